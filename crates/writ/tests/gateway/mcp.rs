//! The MCP door: what is said there, and that it leads to the same calls as the other.

mod calls;
mod cancelled;
mod clients;
mod lists;
mod messages;
pub(crate) mod servers;
mod sessions;
pub(crate) mod told;

use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Project, json};
use writ_types::Value;

/// Parameters of revision 2026-07-28 begin with this.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A client of an endpoint that stands for one task.
pub(crate) struct Client<'a> {
    caller: Caller<'a>,
    path: &'a str,
}

impl<'a> Client<'a> {
    pub(crate) fn new(project: &Project, task: &'a OpenTask, path: &'a str) -> Self {
        Self {
            caller: Caller::new(project, task),
            path,
        }
    }

    /// Any message with any fields beside those of JSON.
    async fn send(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        all.extend_from_slice(headers);
        self.caller
            .send("POST", self.path, &all, body.to_owned())
            .await
    }

    /// A request of 2026-07-28 as it should be; `params` are members after `_meta`.
    pub(crate) async fn ask(&self, method: &str, name: Option<&str>, params: &str) -> Answer {
        let mut headers = vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
        ];
        headers.extend(name.map(|name| ("mcp-name", name)));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{META}{params}}}}}"#
        );
        self.send(&headers, &body).await
    }

    /// A tool call that must be answered with a result.
    async fn call(&self, name: &str, arguments: &str) -> Outcome {
        let params = format!(r#","name":"{name}","arguments":{arguments}"#);
        let answer = self.ask("tools/call", Some(name), &params).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        Outcome::of(&answer)
    }
}

/// A tool's result.
struct Outcome {
    is_error: bool,
    /// The text of each block.
    text: Vec<String>,
    whole: Value,
    call: String,
}

impl Outcome {
    fn of(answer: &Answer) -> Self {
        let json = answer.json();
        let whole = at(&json, &["result"]);
        let blocks = whole.member("content").and_then(Value::as_array);
        let text = |block: &Value| block.member("text")?.as_str().map(str::to_owned);
        Self {
            is_error: whole.member("isError").and_then(Value::as_bool).unwrap(),
            text: blocks.unwrap().iter().filter_map(text).collect(),
            call: answer.header("writ-call-id").unwrap().to_owned(),
            whole,
        }
    }

    /// The denial that a refused call's result is.
    fn denial(&self) -> Value {
        assert!(self.is_error, "{}", self.whole);
        let [text] = self.text.as_slice() else {
            panic!("{:?}", self.text)
        };
        let denial = json(text);
        assert_eq!(self.whole.member("structuredContent"), Some(&denial));
        assert_eq!(words(&denial, "decision_id"), self.call);
        denial
    }
}

/// The value below names; it must be there.
pub(crate) fn at(value: &Value, names: &[&str]) -> Value {
    let found = names
        .iter()
        .try_fold(value, |value, name| value.member(name));
    found
        .unwrap_or_else(|| panic!("no {names:?} in {value}"))
        .clone()
}

fn words(value: &Value, name: &str) -> String {
    let text = value.member(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The JSON-RPC error of an answer: status and code.
fn fault(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    let code = json.member("error").and_then(|error| error.member("code"));
    let code = code.map(ToString::to_string).unwrap_or_default();
    (answer.status, code)
}

/// The names of the tools an endpoint lists.
async fn listed(client: &Client<'_>) -> Vec<String> {
    let answer = client.ask("tools/list", None, "").await;
    let tools = at(&answer.json(), &["result", "tools"]);
    let tools = tools.as_array().unwrap();
    tools.iter().map(|tool| words(tool, "name")).collect()
}
