//! `writ explain`: what an operator is told of a call, from its record and what is kept beside it.

use hyper::Method;
use writ_testkit::{Caller, reason, runtime};
use writ_types::Value;

use crate::stage::{BODY, COMMENT, Stage, text};

#[test]
fn a_refusal_is_explained_from_what_was_kept_of_it_and_the_agent_hears_none_of_it() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let _ana = stage.person("ana", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let refused = caller
            .send("POST", COMMENT, &[("content-type", "application/json")], BODY)
            .await;
        assert_eq!(refused.status, 403, "{}", refused.json());
        let refusal = refused.json();
        for hidden in ["desk.comment", "desk.cedar", "ana"] {
            assert!(!refusal.to_string().contains(hidden), "{hidden}: {refusal}");
        }
        let call = refused.header("writ-call-id").unwrap().to_owned();
        let explained = |of: &str, more: &[&str]| {
            let arguments: Vec<&str> = ["explain", of].iter().chain(more).copied().collect();
            let (code, out, err) = stage.project.run(&arguments);
            assert_eq!(code, 0, "{err}");
            out
        };
        let out = explained(&call, &[]);
        for line in [
            "STEP_UP approval_required: Approval needed",
            "  yes the arguments lie within the task's bounds",
            "  NO  the policies permit it",
            "  -   the call is recorded, and the upstream answers",
            "forbid  yes desk.comment (policies/desk.cedar:2): Security reads what is written to customers.",
            "  an approval as security: ALLOW (by those who approve)",
            "  security: ana",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
        assert!(!out.contains("note:") && !out.contains("looked into it"), "{out}");
        // By what it asked for, and with what is kept.
        let approval = text(refusal.member("approval").unwrap_or(&refusal), "id");
        let approval = if approval.is_empty() { text(&refusal, "approval") } else { approval };
        assert_eq!(explained(&approval, &[]), out, "{refusal}");
        let whole = explained(&call, &["--records"]);
        assert!(whole.starts_with(&out) && whole.contains("looked into it"), "{whole}");
        // The rules have changed since: it is decided again by those of then.
        stage.project.write("policies/desk.cedar", "");
        let (code, _, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{err}");
        assert_eq!(explained(&call, &[]), out);
    });
}

#[test]
fn of_one_task_so_many_refusals_are_kept_and_each_is_so_large() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let json_body = [("content-type", "application/json")];
        let evidence = async |call: &str| {
            let path = format!("/v1/explain/{call}");
            let answer = stage.project.operator(Method::GET, &path, "").await.json();
            let rows = answer.member("records").and_then(Value::as_array).unwrap();
            rows.first().unwrap().member("evidence").cloned().unwrap()
        };
        let large = format!(r#"{{"body":"{}"}}"#, "x".repeat(20_000));
        let refused = caller.send("POST", COMMENT, &json_body, large).await;
        assert_eq!(
            (refused.status, reason(&refused).as_str()),
            (400, "invalid_input")
        );
        let call = refused.header("writ-call-id").unwrap().to_owned();
        let kept = evidence(&call).await;
        assert!(
            kept.member("faults").is_some() && kept.member("input").is_none(),
            "{kept}"
        );
        let mut last = call;
        for _ in 0..64 {
            let refused = caller
                .send("DELETE", "/helpdesk/tickets/T-1001", &[], "")
                .await;
            assert_eq!(
                (refused.status, reason(&refused).as_str()),
                (403, "forbidden")
            );
            last = refused.header("writ-call-id").unwrap().to_owned();
        }
        assert_eq!(evidence(&last).await, Value::Null);
        let (code, out, err) = stage.project.run(&["explain", &last]);
        assert_eq!(code, 0, "{err}");
        assert!(
            out.contains("note: nothing was kept of what the call was decided on"),
            "{out}"
        );
    });
}
