//! Questions of a server of 2025-11-25 to a client of 2026-07-28: the call waits at the server, and its client comes back with the answers.

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ_testkit::{Caller, runtime};
use writ_types::Value;

use crate::asking::{EVERYTHING, TWICE, answered, call, state};
use crate::client::{Client, at, error};
use crate::keeper::kept_whole;
use crate::server::Stage;

const YES: &str = r#"{"question":{"action":"accept","content":{"ok":true}}}"#;
/// Asks for the model.
const SAMPLES: &str = "test_sampling";

fn actions(tools: &[&str]) -> Vec<String> {
    tools.iter().map(|name| format!("fixture:{name}")).collect()
}

/// Why a call was refused.
fn why(answer: &writ::http::Answer) -> String {
    let json = answer.json();
    let reason = at(&json, &["result", "structuredContent", "reason_code"]);
    let reason = reason.and_then(Value::as_str);
    reason.unwrap_or_else(|| panic!("{json}")).to_owned()
}

#[test]
fn the_call_that_asked_goes_on_with_the_answers_and_its_client_has_what_comes_of_it() {
    runtime().block_on(async {
        let stage = Stage::open_in("2025-11-25").await;
        let task = stage.task(&actions(&[TWICE]), "").await;
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        client.can = EVERYTHING;
        let asked = call(&client, TWICE, "").await;
        let question = at(&asked.json(), &["result", "inputRequests", "question"])
            .cloned()
            .unwrap();
        assert_eq!(
            question.member("method").and_then(Value::as_str),
            Some("elicitation/create")
        );
        assert_eq!(
            at(&question, &["params", "_meta"]).unwrap().to_string(),
            r#"{"writ/origin":"fixture","writ/trust":"untrusted"}"#
        );
        let first = asked.header("writ-call-id").unwrap().to_owned();
        assert_eq!(stage.records(&first).await, ["intent"], "it is under way");
        client.id = "8";
        let again = call(&client, TWICE, &answered(YES, &state(&asked))).await;
        assert_eq!(
            at(&again.json(), &["id"])
                .map(ToString::to_string)
                .as_deref(),
            Some("8")
        );
        // Each answer is a call of its own, decided and recorded.
        let second = again.header("writ-call-id").unwrap();
        assert_eq!(stage.ended(second).await, ["intent", "outcome"]);
        assert_eq!(stage.records(&first).await, ["intent"]);
        client.id = "9";
        let over = call(&client, TWICE, &answered(YES, &state(&again))).await;
        let json = over.json();
        assert_eq!(
            at(&json, &["id"]).map(ToString::to_string).as_deref(),
            Some("9")
        );
        assert_eq!(
            at(&json, &["result", "resultType"]).and_then(Value::as_str),
            Some("complete"),
            "{json}"
        );
        let of = at(&json, &["result", "_meta", "writ/call"]).and_then(Value::as_str);
        assert_eq!(of, Some(&*first), "the result is of the call that asked");
        assert_eq!(stage.ended(&first).await, ["intent", "outcome"]);
    });
}

#[test]
fn a_state_names_one_call_of_its_own_client_once() {
    runtime().block_on(async {
        let stage = Stage::open_in("2025-11-25").await;
        let (task, other) = (
            stage.task(&actions(&[TWICE, SAMPLES]), "").await,
            stage.task(&actions(&[TWICE]), "").await,
        );
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        client.can = EVERYTHING;
        let mut elsewhere = Client::new(&stage, &task, "/mcp");
        elsewhere.can = EVERYTHING;
        let mut stranger = Client::new(&stage, &other, "/mcp/fixture");
        stranger.can = EVERYTHING;
        let asked = state(&call(&client, TWICE, "").await);
        let bad = (400, "-32602".to_owned(), String::new());
        assert_eq!(
            error(&call(&stranger, TWICE, &answered(YES, &asked)).await),
            bad
        );
        assert_eq!(
            error(&call(&client, SAMPLES, &answered(YES, &asked)).await),
            bad
        );
        let named = format!("fixture_{TWICE}");
        assert_eq!(
            error(&call(&elsewhere, &named, &answered(YES, &asked)).await),
            bad
        );
        let more = answered(YES, &asked).replace(r#""arguments":{}"#, r#""arguments":{"a":1}"#);
        assert_eq!(error(&call(&client, TWICE, &more).await), bad);
        for responses in [
            "{}",
            "7",
            r#"{"question":7}"#,
            r#"{"other":{"action":"accept"}}"#,
        ] {
            let answer = call(&client, TWICE, &answered(responses, &asked)).await;
            assert_eq!(error(&answer), bad, "{responses}");
        }
        // It was answered by none of these, and is answered once.
        let again = state(&call(&client, TWICE, &answered(YES, &asked)).await);
        assert_eq!(
            error(&call(&client, TWICE, &answered(YES, &asked)).await),
            bad
        );
        let over = call(&client, TWICE, &answered(YES, &again)).await;
        assert!(
            at(&over.json(), &["result", "content"]).is_some(),
            "{}",
            over.json()
        );
        assert_eq!(
            error(&call(&client, TWICE, &answered(YES, &again)).await),
            bad
        );
    });
}

#[test]
fn who_cannot_answer_is_not_asked_and_who_does_not_come_back_is_not_waited_for() {
    runtime().block_on(async {
        let stage = Stage::open_with("2025-11-25", "[timeouts]\nclient_answer = \"2s\"\n").await;
        let task = stage.task(&actions(&[TWICE, SAMPLES]), "").await;
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        assert_eq!(why(&call(&client, TWICE, "").await), "upstream_invalid");
        client.can = EVERYTHING;
        // The owner lets this tool ask for forms alone.
        assert_eq!(
            why(&call(&client, SAMPLES, r#","arguments":{"prompt":"x"}"#).await),
            "upstream_invalid"
        );
        let asked = call(&client, TWICE, "").await;
        let first = asked.header("writ-call-id").unwrap();
        while !stage.records(first).await.contains(&"outcome".to_owned()) {}
        let late = call(&client, TWICE, &answered(YES, &state(&asked))).await;
        // What it came to without an answer is there for a moment, and then there is nothing.
        assert_eq!(why(&late), "input_unanswered");
        let later = call(&client, TWICE, &answered(YES, &state(&asked))).await;
        assert_eq!(error(&later), (400, "-32602".to_owned(), String::new()));
    });
}

#[test]
fn a_task_has_few_calls_that_wait_and_a_kill_ends_them() {
    runtime().block_on(async {
        let stage = Stage::open_in("2025-11-25").await;
        let task = stage.task(&actions(&[TWICE]), "").await;
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        client.can = EVERYTHING;
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(call(&client, TWICE, "").await);
        }
        assert_eq!(why(&call(&client, TWICE, "").await), "too_many_in_flight");
        let one = asked.pop().unwrap();
        let again = state(&call(&client, TWICE, &answered(YES, &state(&one))).await);
        let over = call(&client, TWICE, &answered(YES, &again)).await;
        assert!(
            at(&over.json(), &["result", "content"]).is_some(),
            "{}",
            over.json()
        );
        state(&call(&client, TWICE, "").await);
        let kill = format!(r#"{{"task":"{}"}}"#, task.task);
        stage
            .project
            .operator(Method::POST, "/v1/kill", &kill)
            .await;
        for one in &asked {
            let call = one.header("writ-call-id").unwrap();
            assert_eq!(stage.ended(call).await, ["intent", "outcome"]);
        }
        let late = call(&client, TWICE, &answered(YES, &state(&asked[0]))).await;
        assert_eq!(late.status, 401);
    });
}

#[test]
fn what_a_stop_ended_waits_for_nobody_and_leaves_its_room_to_others() {
    runtime().block_on(async {
        let stage = Stage::open_in("2025-11-25").await;
        let task = stage.task(&actions(&[TWICE]), "").await;
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        client.can = EVERYTHING;
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(call(&client, TWICE, "").await);
        }
        let stop = stage
            .project
            .operator(Method::POST, "/v1/kill", r#"{"api":"fixture"}"#);
        assert_eq!(stop.await.status, 200);
        for one in &asked {
            let call = one.header("writ-call-id").unwrap();
            assert_eq!(stage.ended(call).await, ["intent", "outcome"]);
        }
        let (code, said, errors) = stage.project.run(&["resume", "api", "fixture"]);
        assert_eq!(code, 0, "{said}{errors}");
        for _ in 0..4 {
            state(&call(&client, TWICE, "").await);
        }
    });
}

/// The call waits at the server; who brought its answer and goes takes it back.
#[test]
fn who_goes_takes_back_the_call_that_waits() {
    runtime().block_on(async {
        let kept = kept_whole();
        let task = kept.task().await;
        let mut client = Client::of(&kept.project, &task, "/mcp/keeper");
        client.can = EVERYTHING;
        let asked = call(&client, "waits", "").await;
        let state = state(&asked);
        let port = kept.project.gateway;
        let caller = Caller::new(&kept.project, &task);
        caller.learn().await;
        let own = caller.fields("POST", "/mcp/keeper");
        let own = own.map(|(name, value)| format!("{name}: {value}\r\n"));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{EVERYTHING}}},"name":"waits"{}}}}}"#,
            answered(YES, &state)
        );
        let request = format!(
            "POST /mcp/keeper HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{}content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: waits\r\ncontent-length: {}\r\n\r\n{body}",
            own.concat(),
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let keeper = kept.keeper.clone();
        let answers = tokio::task::spawn_blocking(move || keeper.wait_for("answer", 1));
        let answers = answers.await.unwrap();
        assert_eq!(
            answers[0].body,
            r#"{"jsonrpc":"2.0","id":"q1","result":{"action":"accept","content":{"ok":true}}}"#
        );
        assert_eq!(answers[0].field("mcp-session-id"), Some("s-1"));
        // Nothing came, and nobody waits any more.
        stream.shutdown().await.unwrap();
        drop(stream.read(&mut []).await);
        drop(stream);
        let keeper = kept.keeper.clone();
        let cancelled = tokio::task::spawn_blocking(move || keeper.wait_for("notifications/cancelled", 1));
        let cancelled = cancelled.await.unwrap();
        let first = asked.header("writ-call-id").unwrap();
        assert!(cancelled[0].body.contains(first), "{}", cancelled[0].body);
    });
}
