//! A Writ before the help desk and the odd upstream, with limits small enough to reach.

use std::process::Command;
use std::sync::Arc;

use hyper::Method;
use writ::agent::OpenTask;
use writ_testkit::{Desk, Project, Server, open, project};
use writ_types::Value;

use crate::mcp;
use crate::odd::{KEY, Odd};

/// Stands in every part of a request where a caller can put something, and nowhere in an answer.
pub(crate) const CANARY: &str = "c4n4ry";

/// A running installation.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) project: Project,
    pub(crate) desk: Desk,
    pub(crate) odd: Arc<Odd>,
    pub(crate) server: Server,
}

/// All that the agent's purpose names.
const ACTIONS: [&str; 30] = [
    "helpdesk:listTickets",
    "helpdesk:getTicket",
    "helpdesk:addComment",
    "helpdesk:closeTicket",
    "keyless:echo",
    "basic:leak-basic",
    "odd:closed",
    "odd:garbage",
    "odd:silent",
    "odd:half",
    "odd:oversize",
    "odd:oversize-chunked",
    "odd:leak-body",
    "odd:leak-header",
    "odd:leak-stream",
    "odd:coded",
    "odd:headers",
    "odd:stream",
    "odd:echo",
    "odd:measure",
    "odd:upload",
    "odd:vanish",
    "odd:readAnswer",
    "odd:writeAnswer",
    "odd:strict",
    "basic:echo",
    "helpdesk:updateTicket",
    "tools:echo",
    "tools:asks",
    "tools:fails",
];

const SETTINGS: &str = "[limits]\nbody_bytes = \"4 KiB\"\nresponse_bytes = \"64 KiB\"\nstream_bytes = \"16 KiB\"\ntask_in_flight = \"2\"\n[timeouts]\nupstream_head = \"2s\"\nrequest_body = \"2s\"\nupstream_idle = \"30s\"\n";

const POLICY: &str = r#"
@id("desk.open")
@doc("Tickets are closed by people.")
forbid (principal, action == Api_helpdesk::Action::"closeTicket", resource);

@id("odd.untrusted")
@doc("What a stranger could have written is not filed.")
forbid (principal, action == Api_odd::Action::"upload", resource)
when { context.sys.labels.contains("untrusted") };

@id("tells.secret")
@doc("Who has read a secret asks nothing more.")
forbid (principal, action == Api_tells::Action::"quiet", resource)
when { context.sys.labels.contains("secret") };

@id("tells.masked") @oblige("redact:/structuredContent")
permit (principal, action == Api_tells::Action::"masked", resource);

@id("odd.small")
@doc("Only small values are measured.")
forbid (principal, action == Api_odd::Action::"measure", resource)
when { context.body.value.greaterThan(decimal("10.0")) };
"#;

impl Installation {
    /// Starts it as `writ serve`.
    pub(crate) async fn start() -> Self {
        Self::start_by(|project| project.command(&["serve"])).await
    }

    /// Starts it by another command.
    pub(crate) async fn start_by(command: impl FnOnce(&Project) -> Command) -> Self {
        let project = project!();
        project.settings(SETTINGS);
        let desk = Desk::open(&project).await;
        let odd = Odd::open(&project).await;
        project.agent("bot", "autonomous", &["trial"]);
        let actions = [&ACTIONS[..], &mcp::told::ACTIONS].concat();
        let purpose = format!(
            "owner = \"o@example.org\"\nactions = {actions:?}\n[budget]\ncalls = 500\nwrites = 500\n"
        );
        project.write("purposes/trial.toml", &purpose);
        project.write("policies/trial.cedar", POLICY);
        let server = project.serve(command(&project)).unwrap();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        project.credential("odd-key", KEY);
        project.credential("basic-key", &format!("robot:{KEY}"));
        Self {
            project,
            desk,
            odd,
            server,
        }
    }

    /// A task that holds every action of the purpose, with ticket 1 as the only ticket that may be commented on.
    pub(crate) async fn task(&self) -> OpenTask {
        self.task_with(&ACTIONS, r#","bounds":{"helpdesk:addComment":{"/path/ticket_id":["T-1001"]}},"budget":{"calls":400,"writes":400}"#).await
    }

    /// A task of these actions, with more members of `writ_task`.
    pub(crate) async fn task_with(&self, actions: &[&str], more: &str) -> OpenTask {
        let actions: Vec<Value> = actions.iter().map(|action| Value::from(*action)).collect();
        let details = format!(
            r#"[{{"type":"writ_task","purpose":"trial","actions":{}{more}}}]"#,
            Value::Array(actions)
        );
        open(&self.project.client(), &details).await
    }

    /// The operator stops a task.
    pub(crate) async fn kill(&self, task: &OpenTask) {
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        let answer = self.project.operator(Method::POST, "/v1/kill", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }

    /// The records of a call: kind, and how it ended or why it was refused.
    pub(crate) async fn records(&self, call: &str) -> Vec<(String, String)> {
        let answer = self
            .project
            .operator(Method::GET, &format!("/v1/explain/{call}"), "")
            .await;
        let json = answer.json();
        let rows = json
            .member("records")
            .and_then(Value::as_array)
            .unwrap_or_default();
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let row = |row: &Value| {
            let record = row.member("record").unwrap();
            let detail = record.member("detail").unwrap();
            let how = detail.member("result").or_else(|| detail.member("reason"));
            (text(record.member("kind")), text(how))
        };
        rows.iter().map(row).collect()
    }

    /// What the last record of this kind says of a call.
    pub(crate) async fn detail(&self, call: &str, kind: &str) -> Value {
        let path = format!("/v1/explain/{call}");
        let answer = self.project.operator(Method::GET, &path, "").await.json();
        let rows = answer.member("records").and_then(Value::as_array).unwrap();
        let mut records = rows.iter().filter_map(|row| row.member("record"));
        let record = records.rfind(|row| row.member("kind") == Some(&Value::from(kind)));
        record.unwrap().member("detail").unwrap().clone()
    }

    /// How a call that was sent has ended. The outcome is written a moment after the response.
    pub(crate) async fn outcome(&self, call: &str) -> String {
        for _ in 0..500 {
            let records = self.records(call).await;
            if let Some((_, result)) = records.iter().find(|(kind, _)| kind == "outcome") {
                return result.clone();
            }
        }
        panic!("{call} has no outcome")
    }
}
