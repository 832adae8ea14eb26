//! Going back to what was in force.

use hyper::Method;
use writ_testkit::{Caller, json, runtime};
use writ_types::Value;

use crate::stage::{RULES, Stage};

fn revisions(stage: &Stage) -> Vec<Value> {
    let (code, out, err) = stage.project.run(&["--json", "revisions"]);
    assert_eq!(code, 0, "{out}{err}");
    json(&out).as_array().unwrap().to_vec()
}

fn named(revision: &Value) -> String {
    revision
        .member("revision")
        .and_then(Value::as_str)
        .unwrap()
        .to_owned()
}

const CLOSED: &str = "@id(\"desk.closed\")\nforbid (principal, action == Api_helpdesk::Action::\"getTicket\", resource);\n";

#[test]
fn an_earlier_revision_comes_into_force_again() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        let run = |code: i32, arguments: &[&str]| {
            let (found, out, err) = stage.project.run(arguments);
            assert_eq!(found, code, "{arguments:?}\n{out}{err}");
            format!("{out}{err}")
        };
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let read = async || {
            caller
                .send("GET", "/helpdesk/tickets/T-1001", &[], "")
                .await
                .status
        };
        assert_eq!(read().await, 200);
        let first = named(&revisions(&stage)[0]);
        stage.project.write("policies/closed.cedar", CLOSED);
        run(0, &["apply"]);
        assert_eq!(read().await, 403);
        let listed = revisions(&stage);
        assert_eq!(named(&listed[1]), first);
        let changed = listed[0].member("changed").unwrap().to_string();
        assert!(
            changed.contains("policies/closed.cedar") && changed.contains("added"),
            "{changed}"
        );
        assert!(run(0, &["revisions"]).contains("+policies/policies/closed.cedar"));

        // What it would change is said first, and checking changes nothing.
        let plan = run(2, &["plan", "--to", &first, "--proof-seconds", "0"]);
        assert!(plan.contains("closed.cedar"), "{plan}");
        run(0, &["rollback", &first, "--check"]);
        assert_eq!(read().await, 403);
        let out = run(0, &["rollback", &first]);
        assert!(
            out.contains("in force:") && out.contains("the next `writ apply`"),
            "{out}"
        );
        assert_eq!(read().await, 200);
        assert!(run(0, &["rollback", &first]).contains("nothing has changed"));
        let records = stage
            .project
            .operator(Method::GET, "/v1/records?tail=50", "")
            .await
            .json();
        let records = records.to_string();
        assert!(
            records.contains("revision.rollback") && records.contains(&first),
            "{records}"
        );
        // It is a revision of its own, which a restart keeps, and the log names who did it.
        assert_eq!(revisions(&stage).len(), listed.len() + 1);
        server.kill();
        let _server = stage.project.start();
        assert_eq!(read().await, 200);
        let never = writ_types::RevisionId::new(writ_testkit::TestClock::start().now(), [7; 10]);
        let unknown = run(1, &["rollback", &never.to_string()]);
        assert!(unknown.contains("writ revisions"), "{unknown}");
        run(1, &["rollback", "yesterday"]);
        assert_eq!(
            run(2, &["plan", "--proof-seconds", "0"])
                .matches("closed.cedar")
                .count()
                .min(1),
            1
        );
    });
}

/// Who was stopped, or stopped and then taken out, is not let go on by going back.
#[test]
fn whoever_was_stopped_stays_stopped() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let run = |arguments: &[&str]| {
            let (code, out, err) = stage.project.run(arguments);
            assert_eq!(code, 0, "{arguments:?}\n{out}{err}");
            out
        };
        let first = named(&revisions(&stage)[0]);
        run(&["kill", "agent", "bot"]);
        run(&["kill", "agent", "other"]);
        std::fs::remove_file(stage.project.folder.path().join("agents/other.toml")).unwrap();
        run(&["apply"]);
        let out = run(&["rollback", &first]);
        assert!(
            out.contains("agent/bot was killed") && out.contains("agent/other was killed"),
            "{out}"
        );
        let agents = stage
            .project
            .operator(Method::GET, "/v1/agents", "")
            .await
            .json();
        let mut enabled = Vec::new();
        for agent in agents.as_array().unwrap() {
            let said = |name: &str| agent.member(name).unwrap().to_string();
            enabled.push((said("spiffe_id"), said("enabled")));
        }
        for name in ["bot", "other"] {
            let spiffe = format!("\"spiffe://writ.local/agent/{name}\"");
            assert!(enabled.contains(&(spiffe, "false".to_owned())), "{agents}");
        }
    });
}

/// What would take two people to write takes two people to go back to.
#[test]
fn going_back_to_rules_that_ask_others_takes_two_people() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let first = named(&revisions(&stage)[0]);
        stage
            .project
            .write("policies/desk.cedar", &RULES.replace("security", "lead"));
        let (code, out, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "in the first day a single admin may: {out}{err}");
        let second = stage.person("second", "admin", &["changes"]).await;
        let body = format!(r#"{{"revision":"{first}"}}"#);
        let answer = stage
            .project
            .operator(Method::POST, "/v1/rollback", &body)
            .await
            .json();
        let said = |name: &str| answer.member(name).and_then(Value::as_str);
        assert_eq!(
            (said("state"), said("kind")),
            (Some("waiting"), Some("revision.rollback")),
            "{answer}"
        );
        let change = said("change").unwrap();
        let shown = second
            .send(Method::GET, &format!("/v1/changes/{change}"), "")
            .await
            .json();
        assert!(shown.to_string().contains(&first), "{shown}");
        assert_eq!(
            revisions(&stage).len(),
            2,
            "nothing is in force by one person's word"
        );
    });
}
