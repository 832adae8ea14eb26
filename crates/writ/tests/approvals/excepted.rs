//! An exception: made by a command, honoured for whom it says, seen in the record, and over when it is taken out.

use writ_testkit::{Caller, runtime};

use crate::stage::{Stage, asked, comment};

const ADD: [&str; 17] = [
    "exception",
    "add",
    "ops-4711",
    "--rule",
    "desk.comment",
    "--agent",
    "bot",
    "--action",
    "helpdesk:addComment",
    "--owner",
    "ops@example.org",
    "--reason",
    "the desk moves",
    "--ticket",
    "OPS-4711",
    "--days",
    "3",
];

#[test]
fn a_rule_is_lifted_for_one_agent_and_everybody_can_see_it() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let run = |arguments: &[&str]| {
            let (code, out, err) = stage.project.run(arguments);
            assert_eq!(code, 0, "{arguments:?}\n{out}{err}");
            out
        };
        let (bot, other) = (stage.task().await, stage.task_of("other").await);
        let (bot, other) = (
            Caller::new(&stage.project, &bot),
            Caller::new(&stage.project, &other),
        );
        asked(&comment(&bot).await);
        let before = run(&["exception", "list"]);
        assert!(!before.contains("ops-4711"), "{before}");
        run(&ADD);
        run(&["policy", "check"]);
        let planned = stage.project.run(&["plan"]);
        assert_eq!(planned.0, 2, "{planned:?}");
        assert!(
            planned
                .1
                .contains("exception `ops-4711` lifts `desk.comment` until")
                && planned
                    .1
                    .contains("agent/bot of helpdesk:addComment: added"),
            "{planned:?}"
        );
        run(&["apply"]);
        let allowed = comment(&bot).await;
        assert_eq!(
            (allowed.status, stage.comments()),
            (201, 1),
            "{}",
            allowed.json()
        );
        asked(&comment(&other).await);
        // The record names it, and so does whoever explains the call.
        let call = allowed.header("writ-call-id").unwrap().to_owned();
        let explained = run(&["explain", &call, "--records"]);
        assert!(explained.contains("exception.ops-4711"), "{explained}");
        let listed = run(&["exception", "list"]);
        for part in [
            "ops-4711",
            "in_force",
            "desk.comment",
            "agent/bot",
            "OPS-4711",
        ] {
            assert!(listed.contains(part), "{part}\n{listed}");
        }
        let doctor = run(&["doctor"]);
        assert!(
            doctor.contains("`ops-4711` lifts `desk.comment` until")
                && doctor.contains("is in force"),
            "{doctor}"
        );
        stage.project.write("policies/exceptions.toml", "");
        run(&["apply"]);
        asked(&comment(&bot).await);
        assert_eq!(stage.comments(), 1);
    });
}

#[test]
fn what_is_no_exception_is_said_with_its_place() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let (code, _, err) = stage
            .project
            .run(&[&ADD[..6], &["nobody"], &ADD[7..]].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("there is no agent `nobody`"), "{err}");
        for (rule, why) in [
            ("core.declared", "the floor"),
            ("desk.coment", "did you mean `desk.comment`?"),
        ] {
            stage.project.write("policies/exceptions.toml", "");
            let add = [&ADD[..4], &[rule], &ADD[5..]].concat();
            assert_eq!(stage.project.run(&add).0, 0);
            let (code, out, err) = stage.project.run(&["policy", "check"]);
            assert_eq!(code, 1, "{out}{err}");
            assert!(
                out.contains("policies/exceptions.toml: error[exception]") && out.contains(why),
                "{out}{err}"
            );
            let (code, out, err) = stage.project.run(&["apply"]);
            assert_ne!(code, 0, "{out}{err}");
        }
    });
}
