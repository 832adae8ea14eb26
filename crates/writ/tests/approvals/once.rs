//! An approval is for one call, to the byte, once.

use writ_testkit::{Caller, reason, runtime};

use crate::stage::{BODY, COMMENT, Stage, asked, comment, post, status};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_call_is_held_back_approved_made_once_and_held_back_again() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let first = asked(&comment(&caller).await);
        assert_eq!(
            asked(&comment(&caller).await),
            first,
            "the same call is not asked for twice"
        );
        assert_eq!(status(&caller, &first).await, "pending");
        assert_eq!(stage.comments(), 0);
        let yes = security.yes(&first).await;
        assert_eq!((yes.status, stage.comments()), (200, 0), "{}", yes.json());
        assert_eq!(status(&caller, &first).await, "approved");
        assert_eq!(comment(&caller).await.status, 201);
        assert_eq!(
            (stage.comments(), status(&caller, &first).await.as_str()),
            (1, "used")
        );
        let second = asked(&comment(&caller).await);
        assert_ne!(second, first, "an approval is good once");
        assert_eq!(stage.comments(), 1);
        // The record of the call names the approval.
        let (code, out, _) = stage
            .project
            .run(&["--json", "audit", "search", &task.task]);
        assert_eq!(code, 0);
        assert!(
            out.contains(&first) && out.contains("desk.comment"),
            "{out}"
        );
        let (_, listed, _) = stage.project.run(&["--json", "audit", "tail", "-n", "40"]);
        for word in [
            "\"step\":\"requested\"",
            "\"step\":\"approved\"",
            &format!("\"approval\":\"{first}\""),
        ] {
            assert!(listed.contains(word), "{word}\n{listed}");
        }
        assert!(
            !listed.contains("looked into it"),
            "no argument is in a record"
        );
    });
}

#[test]
fn a_call_that_differs_in_one_byte_is_another_call() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let approval = asked(&comment(&caller).await);
        assert_eq!(security.yes(&approval).await.status, 200);
        for (path, header, body) in [
            (COMMENT, JSON, r#"{"body":"looked into it."}"#),
            (COMMENT, JSON, r#"{"body": "looked into it"}"#),
            (COMMENT, JSON, "{\"body\":\"looked into it\"}\n"),
            (COMMENT, JSON, r#"{"body":"looked\u0020into it"}"#),
            ("/helpdesk/tickets/T-1002/comments", JSON, BODY),
            (
                COMMENT,
                ("content-type", "application/json; charset=utf-8"),
                BODY,
            ),
        ] {
            let answer = caller.send("POST", path, &[header], body).await;
            assert_ne!(asked(&answer), approval, "{path} {header:?} {body}");
        }
        let answer = caller
            .send("POST", COMMENT, &[JSON, ("accept", "text/html")], BODY)
            .await;
        assert_ne!(
            asked(&answer),
            approval,
            "a field that travels on is part of the call"
        );
        // Another task, of the same agent and of another.
        for agent in ["bot", "other"] {
            let task = stage.task_of(agent).await;
            let other = Caller::new(&stage.project, &task);
            assert_ne!(asked(&comment(&other).await), approval, "{agent}");
            assert_eq!(
                status(&other, &approval).await,
                "unknown_operation",
                "nobody else's is shown"
            );
        }
        assert_eq!(stage.comments(), 0);
        assert_eq!(
            comment(&caller).await.status,
            201,
            "the call itself is still approved"
        );
    });
}

#[test]
fn of_two_calls_that_race_for_one_approval_one_is_made() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        caller.learn().await;
        for round in 1..=5 {
            let approval = asked(&comment(&caller).await);
            assert_eq!(security.yes(&approval).await.status, 200);
            let (a, b, c, d) = tokio::join!(
                comment(&caller),
                comment(&caller),
                comment(&caller),
                comment(&caller)
            );
            let mut statuses = [a.status, b.status, c.status, d.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [201, 403, 403, 403]);
            assert_eq!(stage.comments(), round);
        }
    });
}

#[test]
fn every_role_that_is_asked_for_must_answer() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let lead = stage.person("lea", "approver", &["lead"]).await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let close = || {
            caller.send(
                "POST",
                "/helpdesk/tickets/T-1001/close",
                &[JSON],
                r#"{"resolution":"solved"}"#,
            )
        };
        let approval = asked(&close().await);
        assert_eq!(security.yes(&approval).await.status, 200);
        assert_eq!(status(&caller, &approval).await, "pending");
        assert_eq!(asked(&close().await), approval);
        assert_eq!(
            security.yes(&approval).await.status,
            403,
            "one person is not both"
        );
        assert_eq!(lead.yes(&approval).await.status, 200);
        assert_eq!(close().await.status, 200);
    });
}

#[test]
fn a_hard_no_is_never_asked_for_and_a_faulty_call_is_not_either() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let task = stage.task().await;
        let caller = Caller::new(&stage.project, &task);
        let answer = caller
            .send("DELETE", "/helpdesk/tickets/T-1001", &[], "")
            .await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (403, "forbidden")
        );
        assert_eq!(
            post(&caller, COMMENT, r#"{"body":""}"#).await,
            (400, "invalid_input".to_owned())
        );
        let waiting = stage
            .project
            .operator(hyper::Method::GET, "/v1/approvals", "")
            .await;
        assert_eq!(waiting.json().as_array().unwrap().len(), 0);
    });
}
