//! A tool call is the call that HTTP would make of it: the same decision, the same bytes, the same record.

use writ_testkit::{Caller, json, runtime};
use writ_types::Value;

use super::{Client, words};
use crate::installation::{CANARY, Installation};
use crate::odd::KEY;

/// What a record says of a call, but for what is each call's own.
fn essence(records: &Value) -> Vec<(String, Option<Value>)> {
    let rows = records.member("records").and_then(Value::as_array).unwrap();
    let intent = rows
        .iter()
        .filter_map(|row| row.member("record"))
        .find(|record| words(record, "kind") == "intent")
        .unwrap();
    let detail = intent.member("detail").unwrap();
    [
        "action",
        "method",
        "path",
        "contract",
        "effects",
        "request",
        "request_bytes",
        "purpose",
        "credential",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), detail.member(name).cloned()))
    .collect()
}

#[test]
fn both_doors_lead_to_the_same_bytes_and_the_same_record() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let (http, client) = (
            Caller::new(project, &task),
            Client::new(project, &task, "/mcp"),
        );
        let json_type = [
            ("content-type", "application/json"),
            ("accept", "application/json, */*;q=0.5"),
        ];
        let plain = [("accept", "application/json, */*;q=0.5")];
        let table = [
            ("GET", "/odd/echo", "", "odd_echo", "{}"),
            (
                "POST",
                "/odd/measure",
                r#"{"value":1.50}"#,
                "odd_measure",
                r#"{"body":{"value":1.50}}"#,
            ),
        ];
        for (method, path, body, tool, arguments) in table {
            let fields: &[(&str, &str)] = if body.is_empty() { &plain } else { &json_type };
            let answer = http.send(method, path, fields, body).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.json());
            let outcome = client.call(tool, arguments).await;
            assert!(!outcome.is_error, "{}", outcome.whole);
            assert_eq!(outcome.text, ["{}"], "{tool}");
            let seen = installation.odd.seen();
            let [.., first, second] = seen.as_slice() else {
                panic!("{seen:?}")
            };
            assert_eq!(first, second, "{tool}");
            assert!(second.contains(KEY));
            assert!(
                !second.contains(&task.token),
                "the caller's token went upstream"
            );
            let over_http = answer.header("writ-call-id").unwrap().to_owned();
            let mut said = Vec::new();
            for call in [&over_http, &outcome.call] {
                assert_eq!(installation.outcome(call).await, "completed");
                let path = format!("/v1/explain/{call}");
                let answer = project.operator(hyper::Method::GET, &path, "").await;
                said.push(essence(&answer.json()));
            }
            assert!(
                said.iter()
                    .flatten()
                    .any(|(name, value)| name == "request" && value.is_some())
            );
            assert_eq!(said.first(), said.last(), "{tool}");
        }
    });
}

#[test]
fn a_refused_call_is_a_result_the_model_can_act_on() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation
            .task_with(
                &["helpdesk:addComment", "helpdesk:closeTicket", "helpdesk:getTicket", "odd:measure", "odd:closed"],
                r#","bounds":{"helpdesk:addComment":{"/path/ticket_id":["T-1001"]}},"budget":{"calls":20,"writes":9}"#,
            )
            .await;
        let client = Client::new(&installation.project, &task, "/mcp");
        let secret = format!(r#"{{"path":{{"ticket_id":"T-1002"}},"body":{{"body":"{CANARY}"}}}}"#);
        let strange = format!(r#"{{"path":{{"{CANARY}":"1"}},"{CANARY}":1}}"#);
        let table = [
            ("odd_echo", "{}", "action_not_granted", ""),
            ("helpdesk_closeTicket", r#"{"path":{"ticket_id":"T-1001"}}"#, "forbidden", ""),
            ("helpdesk_addComment", secret.as_str(), "outside_bounds", "/path/ticket_id"),
            ("helpdesk_getTicket", strange.as_str(), "invalid_input", ""),
            ("helpdesk_getTicket", r#"{"path":{"ticket_id":["T-1001"]}}"#, "invalid_input", ""),
            ("helpdesk_getTicket", r#"{"path":{"ticket_id":"../T-1001"}}"#, "invalid_input", ""),
            ("odd_measure", r#"{"body":{"value":11}}"#, "forbidden", ""),
            ("odd_measure", r#"{"body":{"value":"1"}}"#, "invalid_input", ""),
            ("odd_closed", "{}", "upstream_unreachable", ""),
        ];
        for (tool, arguments, reason, place) in table {
            let outcome = client.call(tool, arguments).await;
            let denial = outcome.denial();
            assert_eq!(words(&denial, "reason_code"), reason, "{tool} {arguments}: {denial}");
            assert!(denial.to_string().contains(place), "{denial}");
            assert!(!outcome.whole.to_string().contains(CANARY), "{denial}");
            assert!(!words(&denial, "detail").is_empty());
            let records = installation.records(&outcome.call).await;
            assert!(!records.is_empty(), "{tool}: no record");
        }
        // A name that leads to no operation is a fault of the message, and is recorded too.
        for tool in ["odd_nothing", "nothing_echo", "odd", "", "odd:echo", "basic_echo\\u0000"] {
            let params = format!(r#","name":"{tool}""#);
            let name = tool.replace("\\u0000", "");
            let answer = client.ask("tools/call", Some(&name), &params).await;
            assert_eq!(answer.status, 400, "{tool}: {}", answer.json());
        }
        let endpoint = Client::new(&installation.project, &task, "/mcp/odd");
        let params = r#","name":"helpdesk_getTicket","arguments":{"path":{"ticket_id":"T-1001"}}"#;
        let answer = endpoint.ask("tools/call", Some("helpdesk_getTicket"), params).await;
        assert_eq!(super::fault(&answer), (400, "-32602".to_owned()), "another API's tool");
    });
}

#[test]
fn an_upstreams_answer_is_told_as_it_is() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let client = Client::new(&installation.project, &task, "/mcp");
        let outcome = client
            .call("helpdesk_getTicket", r#"{"path":{"ticket_id":"T-9999"}}"#)
            .await;
        assert!(outcome.is_error);
        assert_eq!(
            outcome.text.first().map(String::as_str),
            Some("The API answered 404.")
        );
        let outcome = client
            .call("helpdesk_getTicket", r#"{"path":{"ticket_id":"T-1001"}}"#)
            .await;
        assert!(!outcome.is_error);
        let body = json(outcome.text.first().unwrap());
        assert_eq!(words(&body, "id"), "T-1001");
        let structured = Value::object([("status", Value::from_u64(200)), ("body", body)]);
        assert_eq!(outcome.whole.member("structuredContent"), Some(&structured));
        // What is not what the contract says is handed over as text, and nothing of it is structured content.
        for (how, expect) in [("good", true), ("bad", false)] {
            let arguments = format!(r#"{{"query":{{"how":"{how}"}}}}"#);
            let outcome = client.call("odd_readAnswer", &arguments).await;
            assert!(!outcome.is_error, "{how}");
            let structured = super::at(&outcome.whole, &["structuredContent"]);
            assert_eq!(
                structured.member("body").is_some(),
                expect,
                "{how}: {structured}"
            );
            assert_eq!(
                structured
                    .member("status")
                    .map(ToString::to_string)
                    .as_deref(),
                Some("200")
            );
        }
        // The credential does not leave through this door either.
        for tool in ["odd_leak-body", "odd_leak-header", "basic_leak-basic"] {
            let outcome = client.call(tool, "{}").await;
            assert_eq!(
                words(&outcome.denial(), "reason_code"),
                "upstream_invalid",
                "{tool}"
            );
            assert!(!outcome.whole.to_string().contains(KEY));
        }
    });
}

#[test]
fn a_killed_task_has_no_tools() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task().await;
        let project = &installation.project;
        let client = Client::new(project, &task, "/mcp");
        assert!(!client.call("odd_echo", "{}").await.is_error);
        let silent = client.ask("tools/call", Some("odd_silent"), r#","name":"odd_silent""#);
        let killed = async {
            // The upstream has heard of the call when the task is killed.
            while !installation
                .odd
                .seen()
                .iter()
                .any(|seen| seen.contains("/silent"))
            {
                tokio::task::yield_now().await;
            }
            installation.kill(&task).await;
        };
        let (answer, ()) = tokio::join!(silent, killed);
        assert_eq!(answer.status, 401, "{}", answer.json());
        let answer = client.ask("tools/list", None, "").await;
        assert_eq!(answer.status, 401);
    });
}
