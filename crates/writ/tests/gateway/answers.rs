//! Answers that are what their contract says, and answers that are not.

use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, reason, runtime};
use writ_types::Value;

use crate::installation::Installation;

/// One call: how it was answered, what its outcome says of the contract, and whether the task then counts as having
/// read what a stranger wrote.
async fn called(installation: &Installation, method: &str, path: &str) -> (Answer, Value, bool) {
    let task = installation.task().await;
    let answer = send(installation, &task, method, path, None).await;
    let call = answer.header("writ-call-id").unwrap();
    installation.outcome(call).await;
    let outcome = installation.detail(call, "outcome").await;
    let filed = send(installation, &task, "PUT", "/odd/upload", Some("1"));
    let marked = filed.await.status == 403;
    (answer, outcome, marked)
}

async fn send(
    installation: &Installation,
    task: &OpenTask,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> Answer {
    let caller = Caller::new(&installation.project, task);
    caller.learn().await;
    let content_type = body.map(|_| ("content-type", "application/octet-stream"));
    let fields: Vec<(&str, &str)> = content_type.into_iter().collect();
    caller
        .send(method, path, &fields, body.unwrap_or_default().to_owned())
        .await
}

/// Method and path; status and reason; conformance, faults and result of the outcome; whether the task is marked.
struct Case(
    (&'static str, &'static str),
    (u16, &'static str),
    (&'static str, u64, &'static str),
    bool,
);

const TABLE: &[Case] = &[
    Case(
        ("GET", "/odd/answer?how=good"),
        (200, ""),
        ("conforms", 0, "completed"),
        false,
    ),
    Case(
        ("POST", "/odd/answer?how=good"),
        (200, ""),
        ("conforms", 0, "completed"),
        false,
    ),
    // Of a read it is let through, and the task has then read what a stranger could have written.
    Case(
        ("GET", "/odd/answer?how=bad"),
        (200, ""),
        ("breaks", 1, "completed"),
        true,
    ),
    Case(
        ("GET", "/odd/answer?how=large"),
        (200, ""),
        ("breaks", 1, "completed"),
        true,
    ),
    // Of a write it is not: the call had its effect, and must not be repeated.
    Case(
        ("POST", "/odd/answer?how=bad"),
        (502, "effect_unknown"),
        ("breaks", 1, "cut"),
        true,
    ),
    Case(
        ("POST", "/odd/answer?how=large"),
        (502, "effect_unknown"),
        ("breaks", 1, "cut"),
        true,
    ),
    // What went wrong is heard, declared or not.
    Case(
        ("POST", "/odd/answer?how=failed"),
        (422, ""),
        ("breaks", 1, "completed"),
        true,
    ),
    Case(
        ("GET", "/odd/strict?how=good"),
        (200, ""),
        ("conforms", 0, "completed"),
        false,
    ),
    Case(
        ("GET", "/odd/strict?how=bad"),
        (502, "upstream_invalid"),
        ("breaks", 1, "cut"),
        true,
    ),
    Case(
        ("GET", "/odd/strict?how=failed"),
        (502, "upstream_invalid"),
        ("breaks", 1, "cut"),
        true,
    ),
    // A contract that says nothing cannot be broken.
    Case(
        ("GET", "/odd/echo"),
        (200, ""),
        ("unchecked", 0, "completed"),
        false,
    ),
];

#[test]
fn an_answer_is_what_its_contract_says_or_it_is_told_apart() {
    runtime().block_on(async {
        for Case((method, path), (status, why), (conformance, faults, result), marked) in TABLE {
            // Marks stay with the agent: its next task would begin with them.
            let installation = Installation::start().await;
            let (answer, outcome, is_marked) = called(&installation, method, path).await;
            let what = format!("{method} {path}");
            assert_eq!(answer.status, *status, "{what}");
            let refused = if why.is_empty() {
                String::new()
            } else {
                reason(&answer)
            };
            assert_eq!(refused, *why, "{what}");
            let text = |name: &str| {
                let value = outcome.member(name).and_then(Value::as_str);
                value.unwrap_or_default().to_owned()
            };
            assert_eq!(text("conformance"), *conformance, "{what}");
            assert_eq!(text("result"), *result, "{what}");
            let counted = outcome.member("response_faults").and_then(Value::as_u64);
            assert_eq!(counted.unwrap_or_default(), *faults, "{what}");
            assert_eq!(is_marked, *marked, "{what}");
            if *status == 502 {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(!text.contains("Ignore"), "{what}: {text}");
                let passed = outcome.member("response_bytes").and_then(Value::as_u64);
                assert_eq!(passed, Some(0), "{what}");
            }
        }
    });
}
