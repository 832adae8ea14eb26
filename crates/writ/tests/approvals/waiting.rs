//! A call that waits, as a task of MCP: it is made when it was answered, once, for whoever made it, and as any other.

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{Caller, runtime};
use writ_types::Value;

use crate::stage::{Stage, text};

const KNOWS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// A client of 2026-07-28 and what it says that it can.
struct Client<'t> {
    caller: Caller<'t>,
    path: &'static str,
    can: &'static str,
}

impl<'t> Client<'t> {
    const fn new(caller: Caller<'t>) -> Self {
        let (path, can) = ("/mcp/helpdesk", KNOWS);
        Self { caller, path, can }
    }

    async fn send(&self, method: &str, name: &str, params: &str) -> Answer {
        let fields = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("mcp-name", name),
        ];
        let can = self.can;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{can}}},{params}}}}}"#
        );
        self.caller.send("POST", self.path, &fields, body).await
    }

    async fn comment(&self, words: &str) -> Answer {
        let name = "helpdesk_addComment";
        let arguments = format!(
            r#""name":"{name}","arguments":{{"path":{{"ticket_id":"T-1001"}},"body":{{"body":"{words}"}}}}"#
        );
        self.send("tools/call", name, &arguments).await
    }

    /// A request about a task.
    async fn about(&self, method: &str, id: &str) -> Answer {
        self.send(method, id, &format!(r#""taskId":"{id}""#)).await
    }

    async fn get(&self, id: &str) -> Value {
        let answer = self.about("tasks/get", id).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        at(&answer, &["result"])
    }
}

fn at(answer: &Answer, names: &[&str]) -> Value {
    let json = answer.json();
    let found = names
        .iter()
        .try_fold(&json, |value, name| value.member(name));
    found
        .unwrap_or_else(|| panic!("no {names:?} in {json}"))
        .clone()
}

/// Status and code of an error.
fn error(answer: &Answer) -> (u16, String) {
    (answer.status, at(answer, &["error", "code"]).to_string())
}

/// The task that stands for a call, and the approval that it waits for.
fn task(answer: &Answer) -> (String, String) {
    let result = at(answer, &["result"]);
    assert_eq!(text(&result, "resultType"), "task", "{result}");
    assert_eq!(text(&result, "status"), "working");
    assert!(result.member("ttlMs").and_then(Value::as_u64).unwrap() <= 3_000_000);
    let denial = at(answer, &["result", "_meta", "writ/denial"]);
    assert_eq!(text(&denial, "reason_code"), "approval_required");
    let approval = text(denial.member("approval").unwrap(), "id");
    (text(&result, "taskId"), approval)
}

/// Why the call of a task was refused in the end.
fn why(task: &Value) -> String {
    assert_eq!(text(task, "status"), "completed", "{task}");
    let result = task.member("result").unwrap();
    text(result.member("structuredContent").unwrap(), "reason_code")
}

#[test]
fn a_call_that_waits_is_made_once_when_it_was_approved() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let (mine, other) = (stage.task().await, stage.task().await);
        let client = Client::new(Caller::new(&stage.project, &mine));
        let (id, approval) = task(&client.comment("looked into it").await);
        for _ in 0..3 {
            let working = client.get(&id).await;
            assert_eq!(text(&working, "status"), "working", "{working}");
            assert_eq!(text(&working, "resultType"), "complete");
        }
        assert_eq!(stage.comments(), 0);
        assert_eq!(security.yes(&approval).await.status, 200);
        // Nobody else's task, not at another endpoint, and not for who does not say that it knows tasks.
        let unknown = (400, "-32602".to_owned());
        let stranger = Client::new(Caller::new(&stage.project, &other));
        assert_eq!(error(&stranger.about("tasks/get", &id).await), unknown);
        assert_eq!(error(&stranger.about("tasks/cancel", &id).await), unknown);
        let mut elsewhere = Client::new(Caller::new(&stage.project, &mine));
        elsewhere.path = "/mcp";
        assert_eq!(error(&elsewhere.about("tasks/get", &id).await), unknown);
        let mut silent = Client::new(Caller::new(&stage.project, &mine));
        silent.can = "{}";
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let answer = silent.about(method, &id).await;
            assert_eq!(error(&answer), (400, "-32021".to_owned()), "{method}");
            let required = at(&answer, &["error", "data", "requiredCapabilities"]);
            assert_eq!(required.to_string(), KNOWS);
        }
        let wrong = client
            .send("tasks/get", "another", &format!(r#""taskId":"{id}""#))
            .await;
        assert_eq!(error(&wrong), (400, "-32020".to_owned()));
        assert_eq!(stage.comments(), 0);

        let done = client.get(&id).await;
        assert_eq!(text(&done, "status"), "completed", "{done}");
        let result = done.member("result").unwrap();
        assert_eq!(
            result.member("isError"),
            Some(&Value::from(false)),
            "{done}"
        );
        assert_eq!(stage.comments(), 1);
        // It is over, and recorded as a call of its own.
        let call = text(result.member("_meta").unwrap(), "writ/call");
        let path = format!("/v1/explain/{call}");
        let told = stage
            .project
            .operator(Method::GET, &path, "")
            .await
            .json()
            .to_string();
        assert!(
            told.contains("helpdesk:addComment") && told.contains("intent"),
            "{told}"
        );
        assert_eq!(error(&client.about("tasks/get", &id).await), unknown);
        assert_eq!(stage.comments(), 1);
        // What was approved was this call; the next one waits anew.
        task(&client.comment("looked into it").await);
    });
}

#[test]
fn what_is_answered_otherwise_is_not_made() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let security = stage.person("sue", "approver", &["security"]).await;
        let mine = stage.task().await;
        let client = Client::new(Caller::new(&stage.project, &mine));
        // Its client does not want it any more.
        let (id, approval) = task(&client.comment("one").await);
        assert_eq!(client.about("tasks/cancel", &id).await.status, 200);
        assert_eq!(security.yes(&approval).await.status, 200);
        assert_eq!(error(&client.about("tasks/get", &id).await), (400, "-32602".to_owned()));
        // The same call was made in another way, and used the approval.
        let (id, approval) = task(&client.comment("two").await);
        let mut plain = Client::new(Caller::new(&stage.project, &mine));
        plain.can = "{}";
        assert_eq!(security.yes(&approval).await.status, 200);
        let answer = plain.comment("two").await;
        assert_eq!(at(&answer, &["result", "isError"]).to_string(), "false");
        assert_eq!(stage.comments(), 1);
        assert_eq!(why(&client.get(&id).await), "approval_required");
        assert_eq!(stage.comments(), 1);
        // A person says no.
        let (id, approval) = task(&client.comment("three").await);
        assert_eq!(security.no(&approval, "{}").await.status, 200);
        assert_eq!(why(&client.get(&id).await), "approval_denied");
        assert_eq!(stage.comments(), 1);
        // The task is killed: it has no door any more.
        let next = stage.task_of("other").await;
        let client = Client::new(Caller::new(&stage.project, &next));
        let (id, approval) = task(&client.send("tools/call", "helpdesk_addComment",
            r#""name":"helpdesk_addComment","arguments":{"path":{"ticket_id":"T-1002"},"body":{"body":"four"}}"#).await);
        assert_eq!(security.yes(&approval).await.status, 200);
        let body = format!(r#"{{"task":"{}"}}"#, next.task);
        stage.project.operator(Method::POST, "/v1/kill", &body).await;
        assert_eq!(client.about("tasks/get", &id).await.status, 401);
        assert_eq!(stage.comments(), 1);
    });
}

#[test]
fn who_does_not_know_tasks_is_refused_and_so_are_too_many() {
    runtime().block_on(async {
        let (stage, _server) = Stage::start().await;
        let mine = stage.task().await;
        let mut client = Client::new(Caller::new(&stage.project, &mine));
        client.can = r#"{"extensions":{"io.modelcontextprotocol/tasks":true}}"#;
        let refused = |answer: &Answer| {
            let denial = at(answer, &["result", "structuredContent"]);
            assert_eq!(text(&denial, "reason_code"), "approval_required");
        };
        refused(&client.comment("plainly").await);
        client.can = KNOWS;
        // As often as it is asked, it is one approval.
        for _ in 0..16 {
            task(&client.comment("again").await);
        }
        refused(&client.comment("again").await);
        // What is too long to be kept is not.
        let next = stage.task().await;
        let client = Client::new(Caller::new(&stage.project, &next));
        let (id, _) = task(&client.comment("short").await);
        assert_eq!(client.about("tasks/update", &id).await.status, 200);
        assert_eq!(text(&client.get(&id).await, "status"), "working");
        refused(&client.comment(&"😀".repeat(2_500)).await);
    });
}
