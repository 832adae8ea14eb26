//! Questions of a server in the middle of a call: those that were declared reach the client, and answers reach the server with the
//! state that was given out for this very call.

use writ::http::Answer;
use writ_testkit::runtime;
use writ_types::Value;

use crate::client::{Client, at, error};
use crate::server::Stage;

const TOOL: &str = "test_input_required_result_request_state";
pub(crate) const TWICE: &str = "test_input_required_result_multi_round";
const ASKING: [&str; 2] = [TOOL, TWICE];
pub(crate) const EVERYTHING: &str = r#"{"elicitation":{},"sampling":{},"roots":{}}"#;
const YES: &str = r#"{"confirm":{"action":"accept","content":{"ok":true}}}"#;

pub(crate) async fn call(client: &Client<'_>, tool: &str, more: &str) -> Answer {
    let params = format!(r#","name":"{tool}"{more}"#);
    client.ask("tools/call", tool, &params).await
}

/// The state of an answer that is a question.
pub(crate) fn state(answer: &Answer) -> String {
    let json = answer.json();
    let kind = at(&json, &["result", "resultType"]).and_then(Value::as_str);
    assert_eq!(kind, Some("input_required"), "{json}");
    let state = at(&json, &["result", "requestState"]).and_then(Value::as_str);
    state.unwrap().to_owned()
}

pub(crate) fn answered(responses: &str, state: &str) -> String {
    format!(r#","arguments":{{}},"inputResponses":{responses},"requestState":"{state}""#)
}

#[test]
fn a_question_is_answered_with_the_state_of_its_own_call() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let actions = ASKING.map(|name| format!("fixture:{name}"));
        let (task, other) = (
            stage.task(&actions, "").await,
            stage.task(&actions, "").await,
        );
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        client.can = EVERYTHING;
        let mut stranger = Client::new(&stage, &other, "/mcp/fixture");
        stranger.can = EVERYTHING;

        let asked = call(&client, TOOL, "").await;
        let question = at(
            &asked.json(),
            &["result", "inputRequests", "confirm", "params"],
        )
        .cloned()
        .unwrap();
        assert_eq!(
            question.member("message").and_then(Value::as_str),
            Some("The MCP server fixture asks: Please confirm")
        );
        assert_eq!(
            question.member("_meta").unwrap().to_string(),
            r#"{"writ/origin":"fixture","writ/trust":"untrusted"}"#
        );
        let state = state(&asked);
        assert!(!state.contains(TOOL), "the server's own state is not shown");
        let bad = (400, "-32602".to_owned(), String::new());
        let tampered = format!("{}A", state.get(..state.len() - 1).unwrap());
        for wrong in [
            "",
            "AAAA",
            &tampered,
            &format!("{state}A"),
            &"A".repeat(70_000),
        ] {
            let answer = call(&client, TOOL, &answered(YES, wrong)).await;
            assert_eq!(error(&answer), bad, "{wrong:.20}");
        }
        // Another's task, another call, other arguments.
        let answer = call(&stranger, TOOL, &answered(YES, &state)).await;
        assert_eq!(error(&answer), bad);
        let answer = call(&client, TWICE, &answered(YES, &state)).await;
        assert_eq!(error(&answer), bad);
        let more = answered(YES, &state).replace(r#""arguments":{}"#, r#""arguments":{"a":1}"#);
        assert_eq!(error(&call(&client, TOOL, &more).await), bad);
        for responses in ["null", "7", r#"{"confirm":7}"#, "[]"] {
            let answer = call(&client, TOOL, &answered(responses, &state)).await;
            assert_eq!(error(&answer), bad, "{responses}");
        }

        let with_more = YES.replacen('{', r#"{"other":{"action":"accept"},"#, 1);
        let answer = call(&client, TOOL, &answered(&with_more, &state)).await;
        let json = answer.json();
        assert_eq!(
            at(&json, &["result", "resultType"]).and_then(Value::as_str),
            Some("complete"),
            "{json}"
        );
        assert!(json.to_string().contains("state-ok"), "{json}");
        let call = answer.header("writ-call-id").unwrap();
        assert!(stage.records(call).await.contains(&"intent".to_owned()));
    });
}

/// A step of a plan says what arguments a call has; what a client answers a server is in none.
#[test]
fn what_a_client_answers_is_no_step_of_its_plan() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let plan = format!(r#","plan":[{{"action":"fixture:{TOOL}","times":5}}]"#);
        let task = stage.task(&[format!("fixture:{TOOL}")], &plan).await;
        let mut client = Client::new(&stage, &task, "/mcp/fixture");
        client.can = EVERYTHING;
        let asked = state(&call(&client, TOOL, "").await);
        let answer = call(&client, TOOL, &answered(YES, &asked)).await;
        let said = answer.json().to_string();
        assert!(said.contains("approval_required"), "{said}");
        // The same call without an answer is the step, again.
        state(&call(&client, TOOL, "").await);
    });
}

#[test]
fn what_was_not_declared_is_not_asked() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let actions = [TOOL, "test_sampling", "test_missing_capability"]
            .map(|name| format!("fixture:{name}"));
        let task = stage.task(&actions, "").await;
        let mut client = Client::new(&stage, &task, "/mcp/fixture");

        // The server is told what the client can answer, and says what it lacks.
        let answer = call(&client, TOOL, "").await;
        assert_eq!(error(&answer).1, "-32021", "{}", answer.json());
        client.can = r#"{"sampling":{}}"#;
        let answer = call(&client, TOOL, "").await;
        assert_eq!(error(&answer).1, "-32021", "{}", answer.json());
        let required = at(&answer.json(), &["error", "data", "requiredCapabilities"]).cloned();
        assert_eq!(required.unwrap().to_string(), r#"{"sampling":{}}"#);
        assert_eq!(answer.status, 400);

        // The owner lets this tool ask for forms alone.
        client.can = EVERYTHING;
        let arguments = r#","arguments":{"prompt":"x"}"#;
        let answer = call(&client, "test_sampling", arguments).await;
        assert!(
            !answer.json().to_string().contains("sampling/createMessage"),
            "{}",
            answer.json()
        );
        assert!(
            !answer.json().to_string().contains("input_required"),
            "{}",
            answer.json()
        );
        let whole = format!(r#"{arguments},"inputResponses":{{"answer":{{"role":"assistant"}}}}"#);
        let answer = call(&client, "test_sampling", &whole).await;
        assert!(
            !answer.json().to_string().contains("input_required"),
            "{}",
            answer.json()
        );
    });
}
