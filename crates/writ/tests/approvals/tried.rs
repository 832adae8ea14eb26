//! A draft that is tried: calls go as the rules in force say, and a report says where the draft would have decided otherwise.

use std::time::Duration;

use hyper::Method;
use writ_testkit::{Caller, TestClock, json, runtime};
use writ_types::Value;

use crate::stage::{Stage, asked, comment};

const DRAFT: &str = r#"
@id("desk.comment") forbid (principal, action == Api_helpdesk::Action::"addComment", resource);
@id("draft.read") @approval("lead") forbid (principal, action == Api_helpdesk::Action::"getTicket", resource);
"#;

#[test]
fn a_draft_binds_nobody_and_its_disagreements_are_told() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        let run = |arguments: &[&str]| {
            let (code, out, err) = stage.project.run(arguments);
            assert_eq!(code, 0, "{arguments:?}\n{out}{err}");
            out
        };
        let (code, _, err) = stage.project.run(&["shadow"]);
        assert_ne!(code, 0);
        assert!(err.contains("no draft is tried"), "{err}");
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let read = async || {
            caller
                .send("GET", "/helpdesk/tickets/T-1001", &[], "")
                .await
                .status
        };
        assert_eq!(read().await, 200);
        let clock = TestClock::start();
        let (from, until) = (clock.now(), clock.now().plus(Duration::from_secs(3600)));
        stage.project.write("policies/shadow/desk.cedar", DRAFT);
        stage.project.write(
            "policies/shadow.toml",
            &format!("from = \"{from}\"\nuntil = \"{until}\"\nwithout = [\"desk.never\"]\n"),
        );
        run(&["policy", "check"]);
        // Nobody gains or loses by it, and nobody is asked for it.
        let applied = run(&["apply"]);
        assert!(!applied.contains("waits"), "{applied}");
        assert_eq!(read().await, 200, "the draft would have asked");
        asked(&comment(&caller).await);
        let deleted = caller
            .send("DELETE", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(deleted.status, 403);
        // The records have it, over a restart too.
        server.kill();
        let _server = stage.project.start();
        let report = json(&run(&["--json", "shadow"]));
        assert_eq!(
            report.member("decided"),
            Some(&Value::from_u64(3)),
            "{report}"
        );
        assert_eq!(
            report.member("disagreed"),
            Some(&Value::from_u64(3)),
            "{report}"
        );
        let rows = report
            .member("disagreements")
            .and_then(Value::as_array)
            .unwrap();
        let said = |row: &Value, name: &str| row.member(name).map(ToString::to_string).unwrap();
        let rows: Vec<[String; 5]> = rows
            .iter()
            .map(|row| {
                ["action", "in_force", "drafted", "rules", "looser"].map(|name| said(row, name))
            })
            .collect();
        let expected = [
            [
                "\"helpdesk:deleteTicket\"",
                "\"DENY\"",
                "\"ALLOW\"",
                "[\"core.write\"]",
                "true",
            ],
            [
                "\"helpdesk:addComment\"",
                "\"STEP_UP\"",
                "\"DENY\"",
                "[\"desk.comment\"]",
                "false",
            ],
            [
                "\"helpdesk:getTicket\"",
                "\"ALLOW\"",
                "\"STEP_UP\"",
                "[\"draft.read\"]",
                "false",
            ],
        ];
        assert_eq!(rows, expected, "{report}");
        let out = run(&["shadow"]);
        assert!(
            out.contains("of 3 decisions in that time it makes 3 otherwise")
                && out.contains("would let through"),
            "{out}"
        );
        assert!(run(&["doctor"]).contains("binds nobody"));
        let answer = stage.project.operator(Method::GET, "/v1/shadow", "").await;
        assert_eq!(answer.status, 200);
    });
}

#[test]
fn a_draft_without_an_end_is_refused_with_its_place() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        stage.project.write("policies/shadow/desk.cedar", DRAFT);
        for (text, why) in [
            ("", "shadow"),
            ("from = \"2026-01-01T00:00:00Z\"\n", "policies/shadow.toml"),
            (
                "from = \"2026-01-01T00:00:00Z\"\nuntil = \"2026-06-01T00:00:00Z\"\n",
                "at most 30 days",
            ),
            (
                "from = \"2026-01-01T00:00:00Z\"\nuntil = \"soon\"\n",
                "policies/shadow.toml:2: error[project]: an instant",
            ),
        ] {
            stage.project.write("policies/shadow.toml", text);
            let (code, out, err) = stage.project.run(&["policy", "check"]);
            assert_eq!(code, 1, "{text}\n{out}{err}");
            assert!(out.contains(why), "{why}\n{out}{err}");
        }
    });
}
