//! A server of revision 2025-11-25 as the upstream: one session for each task, and nothing of it for anybody else.

use hyper::Method;
use writ::agent::OpenTask;
use writ_testkit::{Caller, reason, runtime};
use writ_types::Value;

use crate::keeper::{Heard, INSTRUCTIONS, KEY, Kept, kept};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Calls a tool over HTTP: the text of its answer, or the reason why there is none.
async fn call(kept: &Kept, task: &OpenTask, tool: &str) -> String {
    let caller = Caller::new(&kept.project, task);
    let path = format!("/keeper/{tool}");
    let answer = caller.send("POST", &path, &JSON, "{}").await;
    let json = answer.json();
    let content = json.member("content").and_then(Value::as_array);
    let text = content
        .and_then(<[Value]>::first)
        .and_then(|block| block.member("text"));
    text.and_then(Value::as_str)
        .map_or_else(|| reason(&answer), str::to_owned)
}

/// What was sent, in its order, and in which session.
fn told(heard: &[Heard]) -> Vec<(String, Option<&str>)> {
    heard
        .iter()
        .map(|one| (one.what(), one.field("mcp-session-id")))
        .collect()
}

#[test]
fn each_task_has_a_session_of_its_own_which_is_opened_once() {
    runtime().block_on(async {
        let kept = kept();
        let (first, second) = (kept.task().await, kept.task().await);
        // What is refused opens nothing: the server has not heard of it.
        let caller = Caller::new(&kept.project, &first);
        let answer = caller
            .send("POST", "/keeper/echo", &JSON, r#"{"text":7}"#)
            .await;
        assert_eq!((answer.status, kept.keeper.heard().len()), (400, 0));

        assert_eq!(call(&kept, &first, "echo").await, "did echo in s-1");
        assert_eq!(call(&kept, &first, "echo").await, "did echo in s-1");
        assert_eq!(call(&kept, &second, "echo").await, "did echo in s-2");
        let heard = kept.keeper.heard();
        let wanted = [
            ("initialize", None),
            ("notifications/initialized", Some("s-1")),
            ("tools/call", Some("s-1")),
            ("tools/call", Some("s-1")),
            ("initialize", None),
            ("notifications/initialized", Some("s-2")),
            ("tools/call", Some("s-2")),
        ];
        assert_eq!(
            told(&heard),
            wanted.map(|(what, session)| (what.to_owned(), session))
        );
        for one in &heard {
            assert_eq!(one.field("authorization"), Some(&*format!("Bearer {KEY}")));
            let revision = (one.what() != "initialize").then_some("2025-11-25");
            assert_eq!(
                one.field("mcp-protocol-version"),
                revision,
                "{}",
                one.what()
            );
            assert_eq!(
                (one.field("mcp-method"), one.field("mcp-name")),
                (None, None)
            );
            let whole = format!("{:?}{}", one.fields, one.body);
            assert!(!whole.contains(&first.token) && !whole.contains(&second.token));
        }
        let opening = writ_testkit::json(&heard[0].body);
        let params = opening.member("params").unwrap();
        assert_eq!(params.member("capabilities").unwrap().to_string(), "{}");
        assert_eq!(
            params.member("protocolVersion"),
            Some(&Value::from("2025-11-25"))
        );
        assert!(
            heard[2]
                .body
                .ends_with(r#""params":{"name":"echo","arguments":{}}}"#),
            "{}",
            heard[2].body
        );
    });
}

#[test]
fn calls_at_once_open_one_session() {
    runtime().block_on(async {
        let kept = kept();
        let task = kept.task().await;
        let calls = (0..8).map(|_| call(&kept, &task, "echo"));
        let said = futures(calls).await;
        assert!(
            said.iter().all(|text| text == "did echo in s-1"),
            "{said:?}"
        );
        assert_eq!(kept.keeper.heard_of("initialize").len(), 1);
    });
}

/// All of them at once.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, done) in &mut all {
            if done.is_none()
                && let std::task::Poll::Ready(value) = one.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

#[test]
fn in_a_session_that_the_server_forgot_only_what_changes_nothing_is_repeated() {
    runtime().block_on(async {
        let kept = kept();
        let task = kept.task().await;
        assert_eq!(call(&kept, &task, "pings").await, "did pings in s-1");
        kept.keeper.forget();
        assert_eq!(call(&kept, &task, "pings").await, "did pings in s-2");
        assert_eq!(call(&kept, &task, "pings").await, "did pings in s-2");
        let calls = kept.keeper.heard_of("tools/call");
        // It is the same call, not another.
        assert_eq!(calls[1].body, calls[2].body);
        // The 404 may be anybody's: nobody knows whether a write was heard, and it is not sent twice.
        kept.keeper.forget();
        assert_eq!(call(&kept, &task, "echo").await, "effect_unknown");
        assert_eq!(call(&kept, &task, "echo").await, "did echo in s-3");
        let calls = kept.keeper.heard_of("tools/call");
        let sessions: Vec<_> = calls
            .iter()
            .filter_map(|one| one.field("mcp-session-id"))
            .collect();
        assert_eq!(sessions, ["s-1", "s-1", "s-2", "s-2", "s-2", "s-3"]);
        assert_eq!(kept.keeper.heard_of("notifications/cancelled").len(), 0);
    });
}

#[test]
fn a_kill_takes_its_calls_back_and_ends_its_session_alone() {
    runtime().block_on(async {
        let kept = kept();
        let (task, other) = (kept.task().await, kept.task().await);
        assert_eq!(call(&kept, &task, "echo").await, "did echo in s-1");
        assert_eq!(call(&kept, &other, "echo").await, "did echo in s-2");
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        let (said, ()) = tokio::join!(call(&kept, &task, "silent"), async {
            let keeper = kept.keeper.clone();
            let waiting = tokio::task::spawn_blocking(move || keeper.wait_for("tools/call", 3));
            waiting.await.unwrap();
            let killed = kept.project.operator(Method::POST, "/v1/kill", &body).await;
            assert_eq!(killed.status, 200);
        });
        assert_eq!(said, "task_ended");
        let cancelled = kept.keeper.wait_for("notifications/cancelled", 1);
        let ended = kept.keeper.wait_for("DELETE", 1);
        let silent = kept.keeper.heard_of("tools/call").pop().unwrap();
        let id = writ_testkit::json(&silent.body)
            .member("id")
            .unwrap()
            .to_string();
        assert!(
            cancelled[0].body.contains(&format!(r#""requestId":{id}"#)),
            "{}",
            cancelled[0].body
        );
        for one in [&cancelled[0], &ended[0]] {
            assert_eq!(one.field("mcp-session-id"), Some("s-1"));
            assert_eq!(one.field("authorization"), Some(&*format!("Bearer {KEY}")));
        }
        assert_eq!(call(&kept, &other, "echo").await, "did echo in s-2");

        // With the process the rest ends.
        let Kept { keeper, writ, .. } = kept;
        writ.stop();
        let ended = keeper.heard_of("DELETE");
        assert_eq!(ended.last().unwrap().field("mcp-session-id"), Some("s-2"));
        assert_eq!(ended.len(), 2);
    });
}

#[test]
fn what_is_stopped_ends_its_sessions_and_opens_none() {
    runtime().block_on(async {
        for body in [r#"{"api":"keeper"}"#, r#"{"credential":"keeper-key"}"#] {
            let kept = kept();
            let task = kept.task().await;
            assert_eq!(call(&kept, &task, "echo").await, "did echo in s-1");
            let killed = kept.project.operator(Method::POST, "/v1/kill", body).await;
            assert_eq!(killed.status, 200);
            let ended = kept.keeper.wait_for("DELETE", 1);
            assert_eq!(ended[0].field("mcp-session-id"), Some("s-1"), "{body}");
            assert_eq!(call(&kept, &task, "echo").await, "stopped", "{body}");
            let gone_on = kept
                .project
                .operator(Method::POST, "/v1/resume", body)
                .await;
            assert_eq!(gone_on.status, 200);
            assert_eq!(
                call(&kept, &task, "echo").await,
                "did echo in s-2",
                "{body}"
            );
        }
    });
}

#[test]
fn a_ping_is_answered_and_every_other_request_of_the_server_ends_the_call() {
    runtime().block_on(async {
        let kept = kept();
        let task = kept.task().await;
        assert_eq!(call(&kept, &task, "pings").await, "did pings in s-1");
        let answers = kept.keeper.heard_of("answer");
        assert_eq!(
            answers[0].body,
            r#"{"jsonrpc":"2.0","id":"p1","result":{}}"#
        );
        assert_eq!(answers[0].field("mcp-session-id"), Some("s-1"));
        // Of a call that writes nobody knows what it has done.
        assert_eq!(call(&kept, &task, "asks").await, "effect_unknown");
    });
}

#[test]
fn a_server_that_speaks_another_revision_than_was_pinned_is_not_called() {
    runtime().block_on(async {
        let kept = kept();
        let task = kept.task().await;
        for revision in ["2025-06-18", "2026-07-28", ""] {
            kept.keeper.speaks(revision);
            // The call itself was not heard, so that its effect is known: there is none.
            assert_eq!(
                call(&kept, &task, "echo").await,
                "upstream_invalid",
                "{revision}"
            );
        }
        assert_eq!(kept.keeper.heard_of("tools/call").len(), 0);
        kept.keeper.wait_for("DELETE", 3);
        kept.keeper.speaks("2025-11-25");
        assert_eq!(call(&kept, &task, "echo").await, "did echo in s-4");
    });
}

#[test]
fn another_credential_is_another_session() {
    runtime().block_on(async {
        let kept = kept();
        let task = kept.task().await;
        assert_eq!(call(&kept, &task, "echo").await, "did echo in s-1");
        kept.project
            .credential("keeper-key", "another-key-0011223344");
        assert_eq!(call(&kept, &task, "echo").await, "did echo in s-2");
        let ended = kept.keeper.wait_for("DELETE", 1);
        assert_eq!(ended[0].field("mcp-session-id"), Some("s-1"));
        assert_eq!(
            ended[0].field("authorization"),
            Some(&*format!("Bearer {KEY}")),
            "whose it was"
        );
    });
}

#[test]
fn what_the_server_says_of_itself_reaches_no_model() {
    runtime().block_on(async {
        let kept = kept();
        let task = kept.task().await;
        let caller = Caller::new(&kept.project, &task);
        let fields = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        let opening = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
        let opened = caller.send("POST", "/mcp/keeper", &fields, opening).await;
        let session = opened.header("mcp-session-id").unwrap().to_owned();
        assert!(!session.starts_with("s-"), "the server's session is not the client's");
        let mut within = fields.to_vec();
        within.push(("mcp-session-id", &session));
        let mut said = vec![opened.json().to_string()];
        for body in [
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#,
        ] {
            let answer = caller.send("POST", "/mcp/keeper", &within, body).await;
            assert_eq!(answer.status, 200, "{}", answer.json());
            assert!(answer.header("mcp-session-id").is_none());
            said.push(answer.json().to_string());
        }
        assert!(said[2].contains("did echo in s-1"), "{}", said[2]);
        assert!(said.iter().all(|text| !text.contains(INSTRUCTIONS)), "{said:?}");
    });
}
