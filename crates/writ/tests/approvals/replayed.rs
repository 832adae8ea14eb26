//! Recorded calls, decided again by a project that is not in force.

use hyper::Method;
use writ_testkit::{Caller, json, runtime};
use writ_types::Value;

use crate::stage::{RULES, Stage, asked, comment, text};

/// Reads nobody may any more, deletes that everybody may, and comments that somebody else is asked about.
fn draft() -> String {
    RULES
        .replace(
            "@id(\"desk.never\")\nforbid",
            "@id(\"desk.read\")\nforbid (principal, action == Api_helpdesk::Action::\"getTicket\", resource);\n@id(\"desk.deletes\")\npermit",
        )
        .replacen("@approval(\"security\")", "@approval(\"lead\")", 1)
}

#[test]
fn what_was_recorded_is_decided_again_by_a_draft() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let replay = |code: i32, arguments: &[&str]| {
            let arguments = [&["--json", "replay"], arguments].concat();
            let (found, out, err) = stage.project.run(&arguments);
            assert_eq!(found, code, "{out}{err}");
            json(&out)
        };
        let number = |report: &Value, name: &str| report.member(name).and_then(Value::as_u64);
        assert_eq!(number(&replay(0, &[]), "decisions"), Some(0));
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let get = async |path: &str| caller.send("GET", path, &[], "").await.status;
        assert_eq!(get("/helpdesk/tickets/T-1001").await, 200);
        let ticket = caller
            .send("GET", "/helpdesk/tickets/T-1002", &[], "")
            .await;
        let customer = text(&ticket.json(), "customer_id");
        assert_eq!(get(&format!("/helpdesk/customers/{customer}")).await, 200);
        asked(&comment(&caller).await);
        let deleted = caller
            .send("DELETE", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(deleted.status, 403);
        // An operation that the task does not hold, and one that there is not.
        assert_eq!(get("/helpdesk/tickets").await, 403);

        // What is in force decides as it did.
        let same = replay(0, &[]);
        assert_eq!(number(&same, "disagreed"), Some(0), "{same}");
        assert_eq!(number(&same, "decided_again"), Some(6), "{same}");
        let unsaid = same
            .member("not_decided")
            .and_then(Value::as_object)
            .unwrap();
        assert!(unsaid.is_empty(), "{same}");

        stage.project.write("policies/desk.cedar", &draft());
        let report = replay(2, &[]);
        let rows = report
            .member("disagreements")
            .and_then(Value::as_array)
            .unwrap();
        let said = |row: &Value, name: &str| row.member(name).map(ToString::to_string).unwrap();
        let rows: Vec<[String; 6]> = rows
            .iter()
            .map(|row| {
                ["action", "in_force", "drafted", "rules", "looser", "calls"]
                    .map(|name| said(row, name))
            })
            .collect();
        let expected = [
            [
                "\"helpdesk:deleteTicket\"",
                "\"DENY\"",
                "\"ALLOW\"",
                "[\"core.write\",\"desk.deletes\"]",
                "true",
                "1",
            ],
            [
                "\"helpdesk:getTicket\"",
                "\"ALLOW\"",
                "\"DENY\"",
                "[\"desk.read\"]",
                "false",
                "2",
            ],
            [
                "\"helpdesk:addComment\"",
                "\"STEP_UP\"",
                "\"STEP_UP\"",
                "[\"desk.comment\"]",
                "false",
                "1",
            ],
        ];
        assert_eq!(rows, expected, "{report}");
        // Nothing of it is in force, and the newest is looked at first.
        assert_eq!(get("/helpdesk/tickets/T-1001").await, 200);
        let one = replay(2, &["--last", "1"]);
        assert_eq!(number(&one, "decisions"), Some(1), "{one}");
        let (code, out, err) = stage.project.run(&["replay"]);
        assert_eq!(code, 2, "{out}{err}");
        assert!(
            out.contains("7 were made again, and 5 come out otherwise"),
            "{out}"
        );
    });
}

/// A decision is evidence where what was in force then makes it again of what is kept; a draft is not blamed for the rest.
#[test]
fn what_cannot_be_made_again_is_counted_and_not_guessed() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let get = async |path: &str| caller.send("GET", path, &[], "").await.status;
        assert_eq!(get("/helpdesk/tickets/T-1001").await, 200);
        stage.project.write(
            "policies/desk.cedar",
            &RULES.replace("desk.never", "desk.not-now"),
        );
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(get("/helpdesk/tickets/T-1001").await, 200);
        // Rules may say what they want of a delete that the budget has no room for.
        stage.project.write(
            "policies/desk.cedar",
            &draft().replace("desk.read\")\nforbid", "desk.read\")\npermit"),
        );
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        let mut told = Vec::new();
        for ticket in ["T-1001", "T-1002"] {
            let path = format!("/helpdesk/tickets/{ticket}");
            told.push(caller.send("DELETE", &path, &[], "").await.status);
        }
        assert_eq!(told, [204, 403]);
        stage.project.write("policies/desk.cedar", RULES);
        let (code, out, err) = stage.project.run(&["--json", "replay", "--last", "1"]);
        assert_eq!(code, 0, "{out}{err}");
        let report = json(&out);
        let unsaid = report.member("not_decided").unwrap();
        assert_eq!(
            unsaid.member("not_by_rules").and_then(Value::as_u64),
            Some(1),
            "{report}"
        );
        // The files of the vault are gone: what was decided on is not kept any more.
        let vault = stage.project.folder.path().join(".writ/vault");
        std::fs::remove_dir_all(&vault).unwrap();
        let (code, out, err) = stage.project.run(&["--json", "replay"]);
        assert_eq!(code, 0, "{out}{err}");
        let report = json(&out);
        let unsaid = report.member("not_decided").unwrap();
        assert_eq!(
            unsaid.member("not_kept").and_then(Value::as_u64),
            Some(4),
            "{report}"
        );
        assert_eq!(
            report.member("decided_again").and_then(Value::as_u64),
            Some(0),
            "{report}"
        );
    });
}

/// What the API's owner wants out of records is not in the vault: where no rule looks at it calls are explained and made again as before, and where
/// one does it is said and counted.
#[test]
fn what_the_owner_wants_out_of_records_is_not_beside_them() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let overlay = "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n  - target: $.paths['/tickets/{ticket_id}/comments'].post.requestBody.content['application/json'].schema.properties.body\n    update: {x-writ: {audit: drop}}\n";
        stage.project.write("apis/helpdesk.overlay.yaml", overlay);
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let refused = comment(&caller).await;
        let call = refused.header("writ-call-id").unwrap().to_owned();
        asked(&refused);
        let path = format!("/v1/explain/{call}");
        let answer = stage.project.operator(Method::GET, &path, "").await.json();
        let rows = answer.member("records").and_then(Value::as_array).unwrap();
        let beside = rows.iter().filter_map(|row| row.member("evidence"));
        // Beside the card that people were asked with.
        let beside: Vec<String> = beside
            .filter(|evidence| evidence.member("input").is_some())
            .map(ToString::to_string)
            .collect();
        let [kept] = beside.as_slice() else {
            panic!("{answer}");
        };
        assert!(kept.contains("(not kept)") && kept.contains("/body/body"), "{kept}");
        assert!(!kept.contains("looked into it"), "{kept}");
        let (code, out, err) = stage.project.run(&["explain", &call]);
        assert_eq!(code, 0, "{err}");
        assert!(!out.contains("looked into it") && !out.contains("note:"), "{out}");
        let replay = || {
            let (_, out, err) = stage.project.run(&["--json", "replay"]);
            let report = json(&out);
            let unsaid = report.member("not_decided").unwrap_or_else(|| panic!("{out}{err}"));
            let count = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
            (
                count(report.member("decided_again")),
                count(report.member("disagreed")),
                count(unsaid.member("arguments_not_kept")),
            )
        };
        assert_eq!(replay(), (1, 0, 0));
        let looks = "@id(\"desk.words\")\nforbid (principal, action == Api_helpdesk::Action::\"addComment\", resource) when { context.body.body like \"*refund*\" };\n";
        stage.project.write("policies/desk.cedar", &format!("{RULES}{looks}"));
        assert_eq!(replay(), (0, 0, 1));
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{out}{err}");
        let refused = comment(&caller).await;
        let (code, out, err) = stage.project.run(&["explain", refused.header("writ-call-id").unwrap()]);
        assert_eq!(code, 0, "{err}");
        assert!(
            out.contains("note: the API's owner keeps /body/body out of records") && !out.contains("looked into it"),
            "{out}"
        );
        assert_eq!(replay(), (0, 0, 2));
    });
}
