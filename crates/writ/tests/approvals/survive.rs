//! Approvals over restarts, kills of the process, and ends of tasks.

use hyper::Method;
use writ_testkit::{Caller, reason, runtime};

use crate::stage::{Stage, asked, comment, post, status, text};

#[test]
fn approvals_live_through_restarts_and_are_used_once_all_the_same() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        // Between the asking and the yes: a clean end. The session lives on, too.
        let security = stage.person("sue", "approver", &["security"]).await;
        assert!(server.stop().success());
        let server = stage.project.start();
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(status(&caller, &approval).await, "pending");
        assert_eq!(asked(&comment(&caller).await), approval);
        assert_eq!(security.yes(&approval).await.status, 200);
        // Between the yes and the use: a kill.
        server.kill();
        let server = stage.project.start();
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(status(&caller, &approval).await, "approved");
        assert_eq!(comment(&caller).await.status, 201);
        // After the use.
        server.kill();
        let _server = stage.project.start();
        let caller = Caller::new(&stage.project, &task);
        assert_eq!(status(&caller, &approval).await, "used");
        assert_ne!(asked(&comment(&caller).await), approval);
        assert_eq!(stage.comments(), 1);
    });
}

#[test]
fn a_no_is_remembered_over_a_kill() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        assert_eq!(security.no(&approval, "{}").await.status, 200);
        server.kill();
        let _server = stage.project.start();
        let second = stage.task().await;
        let caller = Caller::new(&stage.project, &second);
        let answer = comment(&caller).await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (403, "approval_denied")
        );
    });
}

#[test]
fn an_approval_dies_with_its_task() {
    runtime().block_on(async {
        let (stage, server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        for (number, end) in ["close", "kill"].into_iter().enumerate() {
            let task = stage.task().await;
            let caller = Caller::new(&stage.project, &task);
            let (pending, approved) = (
                asked(&comment(&caller).await),
                asked(
                    &caller
                        .send(
                            "POST",
                            "/helpdesk/tickets/T-1002/comments",
                            &[("content-type", "application/json")],
                            r#"{"body":"x"}"#,
                        )
                        .await,
                ),
            );
            assert_eq!(security.yes(&approved).await.status, 200);
            let ended = match end {
                "close" => {
                    stage
                        .project
                        .operator(
                            Method::POST,
                            &format!("/v1/tasks/{}/close", task.task),
                            "{}",
                        )
                        .await
                }
                _ => {
                    stage
                        .project
                        .operator(
                            Method::POST,
                            "/v1/kill",
                            &format!(r#"{{"task":"{}"}}"#, task.task),
                        )
                        .await
                }
            };
            assert_eq!(ended.status, 200, "{}", ended.json());
            let yes = security.yes(&pending).await;
            assert_eq!(yes.status, 400, "{end}: {}", yes.json());
            assert_eq!(
                post(
                    &caller,
                    "/helpdesk/tickets/T-1002/comments",
                    r#"{"body":"x"}"#
                )
                .await
                .0,
                401,
                "{end}"
            );
            let all = stage
                .project
                .operator(Method::GET, "/v1/approvals?all=true", "")
                .await
                .json();
            let states: Vec<String> = all
                .as_array()
                .unwrap()
                .iter()
                .map(|row| text(row, "state"))
                .collect();
            assert_eq!(states.len(), (number + 1) * 2);
            assert!(
                states.iter().all(|state| state == "withdrawn"),
                "{states:?}"
            );
        }
        // A policy that changed: what was given for other rules is not given for these.
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        assert_eq!(security.yes(&approval).await.status, 200);
        let changed = crate::stage::RULES.replace(
            "Security reads what is written to customers.",
            "Security reads all of it.",
        );
        stage.project.write("policies/desk.cedar", &changed);
        let (code, _, err) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{err}");
        assert_ne!(asked(&comment(&caller).await), approval);
        assert_eq!(stage.comments(), 0);
        drop(server);
    });
}

#[test]
fn a_wait_is_the_agents_over_tasks_and_a_person_can_object() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let json = [("content-type", "application/json")];
        let update = async |caller: &Caller<'_>| {
            caller
                .send(
                    "PATCH",
                    "/helpdesk/tickets/T-1001",
                    &json,
                    r#"{"priority":"high"}"#,
                )
                .await
        };
        let answer = update(&caller).await;
        assert_eq!(
            (
                answer.status,
                reason(&answer).as_str(),
                text(&answer.json(), "verdict").as_str()
            ),
            (403, "deferred", "DEFER"),
            "{}",
            answer.json()
        );
        let wait = answer.json();
        let wait = wait.member("approval").unwrap();
        assert!(!text(wait, "not_before").is_empty());
        let id = text(wait, "id");
        let second = stage.task().await;
        let second = Caller::new(&stage.project, &second);
        let again = update(&second).await.json();
        assert_eq!(
            text(again.member("approval").unwrap(), "id"),
            id,
            "a new task does not begin a new wait"
        );
        assert_eq!(
            text(again.member("approval").unwrap(), "not_before"),
            text(wait, "not_before")
        );
        assert_eq!(status(&second, &id).await, "pending");
        // Nobody shortens it; an operator can say no.
        let path = format!("/v1/approvals/{id}");
        assert_eq!(
            stage
                .project
                .operator(Method::POST, &format!("{path}/yes"), "{}")
                .await
                .status,
            400
        );
        assert_eq!(
            stage
                .project
                .operator(Method::POST, &format!("{path}/no"), "{}")
                .await
                .status,
            200
        );
        let answer = update(&second).await;
        assert_eq!(reason(&answer), "approval_denied");
    });
}
