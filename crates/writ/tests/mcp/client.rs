//! A client of revision 2026-07-28 that says what a test wants it to say.

use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Project};
use writ_types::Value;

use crate::server::Stage;

const VERSION: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;

pub(crate) struct Client<'t> {
    caller: Caller<'t>,
    path: &'static str,
    /// What the client says that it can answer: a JSON object.
    pub(crate) can: &'static str,
    /// What it calls its requests by.
    pub(crate) id: &'static str,
}

impl<'t> Client<'t> {
    pub(crate) fn new(stage: &Stage, task: &'t OpenTask, path: &'static str) -> Self {
        Self::of(&stage.project, task, path)
    }

    pub(crate) fn of(project: &Project, task: &'t OpenTask, path: &'static str) -> Self {
        let caller = Caller::new(project, task);
        Self {
            caller,
            path,
            can: "{}",
            id: "7",
        }
    }

    pub(crate) async fn ask(&self, method: &str, name: &str, params: &str) -> Answer {
        let mut fields = vec![
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
        ];
        fields.extend((!name.is_empty()).then_some(("mcp-name", name)));
        let (can, id) = (self.can, self.id);
        let meta =
            format!(r#""_meta":{{{VERSION},"io.modelcontextprotocol/clientCapabilities":{can}}}"#);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{meta}{params}}}}}"#
        );
        self.caller.send("POST", self.path, &fields, body).await
    }

    pub(crate) async fn read(&self, uri: &str) -> Answer {
        let params = format!(r#","uri":"{uri}""#);
        self.ask("resources/read", uri, &params).await
    }

    pub(crate) async fn get(&self, name: &str) -> Answer {
        let params = format!(r#","name":"{name}""#);
        self.ask("prompts/get", name, &params).await
    }
}

pub(crate) fn at<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names
        .iter()
        .try_fold(value, |value, name| value.member(name))
}

/// The code of an answer's error, and the reason of its denial.
pub(crate) fn error(answer: &Answer) -> (u16, String, String) {
    let json = answer.json();
    let code = at(&json, &["error", "code"]).map(ToString::to_string);
    let reason = at(&json, &["error", "data", "reason_code"]);
    let reason = reason
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    (answer.status, code.unwrap_or_default(), reason)
}

/// One member of each entry of a list.
pub(crate) fn listed(answer: &Answer, list: &str, name: &str) -> Vec<String> {
    let json = answer.json();
    let entries = at(&json, &["result", list]).and_then(Value::as_array);
    let text = |entry: &Value| {
        entry
            .member(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    entries
        .unwrap_or_default()
        .iter()
        .filter_map(text)
        .collect()
}
