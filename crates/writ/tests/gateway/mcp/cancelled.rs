//! Calls that their client takes back while they are in flight.

use hyper::Method;
use tokio::io::AsyncWriteExt as _;
use writ::http::Answer;
use writ_testkit::{Caller, runtime};
use writ_types::Value;

use super::sessions::{open, within};
use super::{Client, META, Outcome, words};
use crate::installation::Installation;
use crate::wire;

/// Nothing ever comes back from it: without a cancellation the call ends with the upstream's time, in two seconds.
const SILENT: &str = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"odd_silent","arguments":{}}}"#;

/// Takes back the request of that id again and again, until the call has its answer.
async fn cancelled(
    (client, session): (&Client<'_>, &str),
    (other, of): (&Client<'_>, &str),
    id: &str,
) -> Answer {
    let cancel = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"no more"}}}}"#
    );
    let call = within(client, session, SILENT);
    tokio::pin!(call);
    loop {
        tokio::select! {
            answer = &mut call => return answer,
            told = within(other, of, &cancel) => assert_eq!(told.status, 202, "{}", told.json()),
        }
    }
}

/// How the calls of these records ended.
fn results(records: &Value) -> Vec<String> {
    let result = |row: &Value| {
        let result = row.member("record")?.member("detail")?.member("result");
        result?.as_str().map(str::to_owned)
    };
    let rows = records.as_array().unwrap_or_default();
    rows.iter().filter_map(result).collect()
}

fn why(answer: &Answer) -> String {
    words(&Outcome::of(answer).denial(), "reason_code")
}

#[test]
fn a_client_takes_back_its_own_requests_and_no_others() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        let (mine, other) = (installation.task().await, installation.task().await);
        let [here, there] = [&mine, &other].map(|task| Client::new(project, task, "/mcp"));
        let (session, second, strange) = (open(&here).await, open(&here).await, open(&there).await);
        let own = (&here, session.as_str());

        let answer = Box::pin(cancelled(own, own, r#""mine""#)).await;
        assert_eq!(why(&answer), "cancelled");
        // It is recorded, and spent: the server may have heard of it.
        let call = answer.header("writ-call-id").unwrap();
        let path = format!("/v1/explain/{call}");
        let ended = loop {
            let told = project.operator(Method::GET, &path, "").await.json();
            // The outcome is written when the answer has left, and nobody waits for it.
            if let Some(ended) = results(told.member("records").unwrap()).pop() {
                break ended;
            }
        };
        assert_eq!(ended, "cut");

        // Another id, another session of the task, another task's session: the call runs to its end.
        for (whose, id) in [
            (own, r#""other""#),
            ((&here, second.as_str()), r#""mine""#),
            ((&there, strange.as_str()), r#""mine""#),
        ] {
            let answer = Box::pin(cancelled(own, whose, id)).await;
            assert_eq!(why(&answer), "upstream_timeout", "{id}");
        }
    });
}

#[test]
fn a_client_that_closes_its_connection_takes_its_call_back_where_each_request_stands_alone() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let project = &installation.project;
        let task = installation.task().await;
        let caller = Caller::new(project, &task);
        caller.learn().await;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{META},"name":"odd_silent","arguments":{{}}}}}}"#
        );
        let head = wire::head(project, &caller, "POST", "/mcp");
        let fields = "content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: odd_silent\r\n";
        let mut stream = wire::connect(project).await;
        let request = format!("{head}{fields}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        // The upstream has it, and says nothing.
        while !installation.odd.seen().iter().any(|seen| seen.contains("silent")) {
            project.operator(Method::GET, "/v1/status", "").await;
        }
        drop(stream);
        let ended = loop {
            let newest = project.operator(Method::GET, "/v1/records?tail=5", "").await.json();
            if let Some(ended) = results(&newest).pop() {
                break ended;
            }
        };
        // Otherwise the upstream would have been waited for until it was late.
        assert_eq!(ended, "cut");
    });
}
