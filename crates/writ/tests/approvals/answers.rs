//! Who can answer, how, and what a no means.

use hyper::Method;
use writ_testkit::{Caller, reason, runtime};
use writ_types::Value;

use crate::stage::{COMMENT, Stage, asked, comment, post, status, text};

#[test]
fn only_those_who_have_the_role_can_say_yes_and_only_to_what_they_saw() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let viewer = stage.person("vic", "viewer", &[]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        let path = format!("/v1/approvals/{approval}");
        // Not a viewer, not even the card; not the admin, who has no such role; not the agent with its token.
        assert_eq!(viewer.send(Method::GET, &path, "").await.status, 403);
        assert_eq!(
            viewer
                .send(Method::POST, &format!("{path}/yes"), "{}")
                .await
                .status,
            403
        );
        assert_eq!(viewer.no(&approval, "{}").await.status, 403);
        let shown = stage.project.operator(Method::GET, &path, "").await.json();
        let card = text(shown.member("approval").unwrap(), "card");
        let body = format!(r#"{{"card":"{card}"}}"#);
        let admin = stage
            .project
            .operator(Method::POST, &format!("{path}/yes"), &body)
            .await;
        assert_eq!(admin.status, 403, "{}", admin.json());
        let fields = caller.fields("POST", &format!("{path}/yes"));
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let agent = stage
            .project
            .control()
            .send(Method::POST, &format!("{path}/yes"), &fields, body.clone())
            .await
            .unwrap();
        assert_eq!(agent.status, 401);
        // The right person, but to a card that is not this one, or to none.
        for wrong in ["{}".to_owned(), body.replace("sha256:", "sha256:0")] {
            assert_eq!(
                security
                    .send(Method::POST, &format!("{path}/yes"), &wrong)
                    .await
                    .status,
                400
            );
        }
        assert_eq!(status(&caller, &approval).await, "pending");
        // What the card says.
        let card = shown.member("card").unwrap();
        assert_eq!(text(card, "action"), "helpdesk:addComment");
        assert_eq!(text(card, "summary"), "Writes a comment");
        assert_eq!(card.member("not_shown").and_then(Value::as_u64), Some(0));
        let whole = card.to_string();
        for part in [
            "looked into it",
            "T-1001",
            "desk.comment",
            "Security reads what is written",
            "spiffe://writ.local/agent/bot",
        ] {
            assert!(whole.contains(part), "{part}\n{whole}");
        }
        let yes = security
            .send(Method::POST, &format!("{path}/yes"), &body)
            .await;
        assert_eq!(yes.status, 200, "{}", yes.json());
    });
}

#[test]
fn a_no_is_final_and_remembered_for_the_resource_and_the_effect() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        assert_eq!(security.no(&approval, "{}").await.status, 200);
        assert_eq!(status(&caller, &approval).await, "denied");
        let denied = (403, "approval_denied".to_owned());
        assert_eq!(
            post(&caller, COMMENT, r#"{"body":"looked into it"}"#).await,
            denied
        );
        assert_eq!(
            post(&caller, COMMENT, r#"{"body":"other words"}"#).await,
            denied
        );
        // Another write on the same ticket, a new task, and another agent of the same owner do not start clean.
        assert_eq!(
            post(
                &caller,
                "/helpdesk/tickets/T-1001/close",
                r#"{"resolution":"solved"}"#
            )
            .await,
            denied
        );
        for agent in ["bot", "other"] {
            let task = stage.task_of(agent).await;
            let other = Caller::new(&stage.project, &task);
            assert_eq!(
                post(&other, COMMENT, r#"{"body":"looked into it"}"#).await,
                denied,
                "{agent}"
            );
            // A read of it, and a write of another ticket, are another matter.
            assert_eq!(
                other
                    .send("GET", "/helpdesk/tickets/T-1001", &[], "")
                    .await
                    .status,
                200
            );
            let elsewhere = other
                .send(
                    "POST",
                    "/helpdesk/tickets/T-1002/comments",
                    &[("content-type", "application/json")],
                    r#"{"body":"x"}"#,
                )
                .await;
            asked(&elsewhere);
        }
        // Too late to change one's mind.
        assert_eq!(security.yes(&approval).await.status, 400);
        assert_eq!(stage.comments(), 0);
    });
}

#[test]
fn a_no_to_one_call_leaves_the_rest_alone() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        assert_eq!(security.no(&approval, r#"{"once":true}"#).await.status, 200);
        assert_eq!(
            post(&caller, COMMENT, r#"{"body":"looked into it"}"#).await,
            (403, "approval_denied".to_owned())
        );
        let other = caller
            .send(
                "POST",
                COMMENT,
                &[("content-type", "application/json")],
                r#"{"body":"other words"}"#,
            )
            .await;
        asked(&other);
    });
}

#[test]
fn an_agent_waits_for_the_answer() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        let path = format!("/writ/approvals/helpdesk/{approval}");
        let waiting = caller.send("GET", &path, &[("prefer", "wait=60")], "");
        let (told, yes) = tokio::join!(waiting, security.yes(&approval));
        assert_eq!(yes.status, 200);
        assert_eq!(
            (told.status, text(&told.json(), "status").as_str()),
            (200, "approved")
        );
        // Nobody else, no other method, and nothing that is none.
        for (method, path, status) in [
            ("POST", path.as_str(), 405),
            ("GET", "/writ/approvals/helpdesk/apr_x", 404),
            ("GET", "/writ/approvals/helpdesk/", 404),
        ] {
            assert_eq!(
                caller.send(method, path, &[], "").await.status,
                status,
                "{method} {path}"
            );
        }
        // Who knows the handle is not who asked: another agent's task learns nothing, and the question stays as it was.
        let theirs = stage.task_of("other").await;
        let theirs = Caller::new(&stage.project, &theirs);
        assert_eq!(status(&theirs, &approval).await, "unknown_operation");
        let unknown = format!("apr_{}", "0".repeat(26));
        assert_eq!(status(&theirs, &unknown).await, "unknown_operation");
        assert_eq!(status(&caller, &approval).await, "approved");
        let stranger = stage
            .project
            .gateway()
            .send(Method::GET, &path, &[], String::new())
            .await
            .unwrap();
        assert_eq!(stranger.status, 401);
        // A task that ends while its agent waits is told so at once.
        let second = asked(
            &caller
                .send(
                    "POST",
                    "/helpdesk/tickets/T-1002/comments",
                    &[("content-type", "application/json")],
                    r#"{"body":"x"}"#,
                )
                .await,
        );
        let path = format!("/writ/approvals/helpdesk/{second}");
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        let waiting = caller.send("GET", &path, &[("prefer", "wait=60")], "");
        let kill = async {
            while stage
                .project
                .operator(Method::GET, &format!("/v1/tasks/{}", task.task), "")
                .await
                .json()
                .member("in_flight")
                .and_then(Value::as_u64)
                == Some(0)
            {
                tokio::task::yield_now().await;
            }
            stage
                .project
                .operator(Method::POST, "/v1/kill", &body)
                .await
        };
        let (told, killed) = tokio::join!(waiting, kill);
        assert_eq!(killed.status, 200);
        assert_eq!((told.status, reason(&told).as_str()), (401, "task_ended"));
    });
}

#[test]
fn what_waits_is_bounded() {
    runtime().block_on(async {
        let (stage, _server) =
            Stage::start_with("[limits]\ntask_approvals = \"2\"\nagent_approvals = \"3\"\n").await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let send = async |caller: &Caller<'_>, number: u32| {
            let path = format!("/helpdesk/tickets/T-{}/comments", 1000 + number);
            let answer = caller
                .send(
                    "POST",
                    &path,
                    &[("content-type", "application/json")],
                    r#"{"body":"x"}"#,
                )
                .await;
            reason(&answer)
        };
        assert_eq!(send(&caller, 1).await, "approval_required");
        assert_eq!(send(&caller, 2).await, "approval_required");
        assert_eq!(send(&caller, 3).await, "too_many_approvals");
        assert_eq!(
            send(&caller, 1).await,
            "approval_required",
            "what was asked is still there"
        );
        let second = stage.task().await;
        let second = Caller::new(&stage.project, &second);
        assert_eq!(send(&second, 4).await, "approval_required");
        assert_eq!(send(&second, 5).await, "too_many_approvals", "by the agent");
        let other = stage.task_of("other").await;
        let other = Caller::new(&stage.project, &other);
        assert_eq!(
            send(&other, 1).await,
            "approval_required",
            "another agent has its own"
        );
    });
}

#[test]
fn the_command_line_shows_and_answers() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        stage.project.write("policies/desk.cedar", r#"@id("desk.ask") @doc("An operator looks at it.") @approval("operator") forbid (principal, action == Api_helpdesk::Action::"addComment", resource);"#);
        let (code, _, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{err}");
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let answer = caller.send("POST", COMMENT, &[("content-type", "application/json")], "{\"body\":\"done \\u001b[2K\\u202e\\\" needs    nothing\"}").await;
        let approval = asked(&answer);
        let (code, listed, _) = stage.project.run(&["approve", "list"]);
        assert!(code == 0 && listed.contains(&approval) && listed.contains("helpdesk:addComment"), "{listed}");
        let (code, shown, _) = stage.project.run(&["approve", "show", &approval]);
        assert_eq!(code, 0);
        assert!(shown.contains("An operator looks at it. [desk.ask]"), "{shown}");
        assert!(shown.contains(r#"| /body/body = "done \u{1b}[2K\u{202e}\" needs    nothing""#), "{shown}");
        assert!(shown.chars().all(|char| char == '\n' || !char.is_control()), "{shown:?}");
        // Without a person at a terminal a yes names the card.
        let (code, _, err) = stage.project.run(&["approve", "yes", &approval]);
        assert!(code == 1 && err.contains("a card they have seen"), "{err}");
        let card = shown.lines().find_map(|line| line.trim().strip_prefix("card")).unwrap().trim().to_owned();
        let (code, out, err) = stage.project.run(&["approve", "yes", &approval, "--card", &card]);
        assert!(code == 0 && out.contains("approved"), "{out}{err}");
        let (_, listed, _) = stage.project.run(&["approve", "list"]);
        assert!(listed.contains("nothing waits"), "{listed}");
        let second = asked(&comment(&caller).await);
        let (code, out, _) = stage.project.run(&["approve", "no", &second]);
        assert!(code == 0 && out.contains("denied"), "{out}");
        let (code, _, err) = stage.project.run(&["approve", "no", &second]);
        assert!(code == 1 && err.contains("no answer any more"), "{err}");
    });
}

#[test]
fn a_role_that_nobody_has_is_loose() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let loose = async || {
            let status = stage.project.operator(Method::GET, "/v1/status", "").await;
            status.json().member("loose").unwrap().to_string()
        };
        let before = loose().await;
        for part in [
            "nobody can approve as `lead`",
            "nobody can approve as `security`",
            "desk.close",
        ] {
            assert!(before.contains(part), "{part}\n{before}");
        }
        let _sue = stage.person("sue", "approver", &["security"]).await;
        let after = loose().await;
        assert!(
            after.contains("`lead`") && !after.contains("`security`"),
            "{after}"
        );
    });
}
