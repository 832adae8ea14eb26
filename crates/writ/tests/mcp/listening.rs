//! Streams of changes: who holds a list hears when it is another, and of nothing else, until its time is over.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ::agent::OpenTask;
use writ_testkit::{Caller, Project, json, runtime};
use writ_types::Value;

use crate::client::{Client, at, error};
use crate::server::{Stage, purpose};

/// All lists that one can hear of, and what is not served.
const EVERYTHING: &str = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"everything":true}"#;

/// A stream, and what came on it so far.
pub(crate) struct Stream {
    stream: TcpStream,
    pub(crate) seen: String,
}

impl Stream {
    async fn open(stage: &Stage, task: &OpenTask, path: &str, filter: &str) -> Self {
        Self::of(&stage.project, task, path, filter).await
    }

    pub(crate) async fn of(project: &Project, task: &OpenTask, path: &str, filter: &str) -> Self {
        let caller = Caller::new(project, task);
        caller.learn().await;
        let own = caller.fields("POST", path);
        let own = own.map(|(name, value)| format!("{name}: {value}\r\n"));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"s1","method":"subscriptions/listen","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}},"notifications":{filter}}}}}"#
        );
        let port = project.gateway;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{}connection: close\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\ncontent-length: {}\r\n\r\n{body}",
            own.concat(),
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let seen = String::new();
        Self { stream, seen }
    }

    /// The same, read until it has begun.
    pub(crate) async fn begin(stage: &Stage, task: &OpenTask, path: &str, filter: &str) -> Self {
        let mut stream = Self::open(stage, task, path, filter).await;
        stream.until("}}}\n\n").await.unwrap();
        stream
    }

    /// Reads until the text is there; none if the connection ends first.
    pub(crate) async fn until(&mut self, wanted: &str) -> Option<()> {
        while !self.seen.contains(wanted) {
            self.more().await?;
        }
        Some(())
    }

    /// Reads until that was said.
    pub(crate) async fn hears(&mut self, method: &str) {
        while !self.methods().contains(&method.to_owned()) {
            self.more().await.unwrap();
        }
    }

    pub(crate) async fn more(&mut self) -> Option<()> {
        let mut bytes = Vec::new();
        let read = self.stream.read_buf(&mut bytes).await.ok();
        read.filter(|read| *read > 0)?;
        self.seen.push_str(&String::from_utf8_lossy(&bytes));
        Some(())
    }

    /// Reads to the end: the methods of the messages that came, and whether the stream was ended as a whole one is.
    pub(crate) async fn end(mut self) -> (Vec<String>, bool) {
        assert_eq!(self.until("never").await, None);
        (self.methods(), self.seen.ends_with("\r\n0\r\n\r\n"))
    }

    /// The methods of the messages that came. Each names the stream.
    pub(crate) fn methods(&self) -> Vec<String> {
        let (whole, _) = self.seen.rsplit_once("\n\n").unwrap();
        let events = whole.lines();
        let events = events.filter_map(|line| line.strip_prefix("data: "));
        events
            .map(json)
            .map(|event| {
                let inside = event.member("params").or_else(|| event.member("result"));
                let id = at(
                    inside.unwrap(),
                    &["_meta", "io.modelcontextprotocol/subscriptionId"],
                );
                assert_eq!(id, Some(&Value::from("s1")), "{event}");
                let method = event.member("method").and_then(Value::as_str);
                method.unwrap_or("the end").to_owned()
            })
            .collect()
    }
}

const BEGUN: &str = "notifications/subscriptions/acknowledged";
const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";

fn apply(stage: &Stage) {
    let (code, said, errors) = stage.project.run(&["apply"]);
    assert_eq!(code, 0, "{said}{errors}");
}

fn without(stage: &Stage, left_out: &str) -> Vec<String> {
    let mut actions = stage.actions.clone();
    actions.retain(|action| !action.contains(left_out));
    actions
}

#[test]
fn a_task_hears_when_its_own_lists_are_others() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let mut all = Stream::begin(&stage, &task, "/mcp/fixture", EVERYTHING).await;
        let prompts = r#"{"promptsListChanged":true,"toolsListChanged":false}"#;
        let mut some = Stream::begin(&stage, &task, "/mcp/fixture", prompts).await;
        // Of all APIs there are tools alone.
        let tools = Stream::begin(&stage, &task, "/mcp", EVERYTHING).await;
        for (stream, honoured) in [
            (&all, r#"{"promptsListChanged":true,"resourcesListChanged":true,"toolsListChanged":true}"#),
            (&some, r#"{"promptsListChanged":true}"#),
            (&tools, r#"{"toolsListChanged":true}"#),
        ] {
            let honoured = format!(r#""notifications":{honoured}}}}}"#);
            assert!(stream.seen.contains(&honoured), "{}", stream.seen);
        }
        // Another agent's purpose is nothing to this task.
        stage.project.write(
            "purposes/other.toml",
            "owner = \"o@example.org\"\nactions = [\"fixture:test_simple_text\"]\n[budget]\ncalls = 5\nwrites = 5\n",
        );
        apply(&stage);
        purpose(&stage.project, &without(&stage, "test_simple_text"));
        apply(&stage);
        all.hears(TOOLS).await;
        purpose(&stage.project, &without(&stage, "test_simple_prompt"));
        apply(&stage);
        all.hears(PROMPTS).await;
        some.hears(PROMPTS).await;
        assert_eq!(all.methods(), [BEGUN, TOOLS, TOOLS, PROMPTS]);
        assert_eq!(some.methods(), [BEGUN, PROMPTS]);
    });
}

#[test]
fn a_stream_ends_with_the_task_the_agent_and_the_server() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (task, other) = (
            stage.task(&stage.actions, "").await,
            stage.task(&stage.actions, "").await,
        );
        let details = r#"[{"type":"writ_task","purpose":"trial","actions":["fixture:test_simple_text"],"expires_in":2}]"#;
        let short = writ_testkit::open(&stage.project.client(), details).await;
        let killed = Stream::begin(&stage, &task, "/mcp", EVERYTHING).await;
        let over = Stream::begin(&stage, &short, "/mcp", EVERYTHING).await;
        let stopped = Stream::begin(&stage, &other, "/mcp", EVERYTHING).await;
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        stage
            .project
            .operator(hyper::Method::POST, "/v1/kill", &body)
            .await;
        assert_eq!(killed.end().await, (vec![BEGUN.to_owned()], false));
        let (methods, _) = over.end().await;
        assert_eq!(methods.first().map(String::as_str), Some(BEGUN));
        // The server waits for calls in flight before it stops; nobody has to wait for a stream.
        let writ = stage.writ;
        let stopping = tokio::task::spawn_blocking(move || writ.stop());
        let ended = vec![BEGUN.to_owned(), "the end".to_owned()];
        assert_eq!(stopped.end().await, (ended, true));
        assert!(stopping.await.unwrap().success());
    });
}

#[test]
fn an_agent_that_may_not_act_any_more_hears_nothing_more() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let stream = Stream::begin(&stage, &task, "/mcp", EVERYTHING).await;
        let agent = std::fs::read_to_string(stage.project.path("agents/bot.toml")).unwrap();
        let agent = format!("enabled = false\n{agent}");
        stage.project.write("agents/bot.toml", &agent);
        purpose(&stage.project, &without(&stage, "test_simple_text"));
        apply(&stage);
        assert_eq!(stream.end().await, (vec![BEGUN.to_owned()], false));
    });
}

#[test]
fn a_task_has_few_streams_and_a_client_that_goes_gives_its_own_back() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (task, other) = (
            stage.task(&stage.actions, "").await,
            stage.task(&stage.actions, "").await,
        );
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(Stream::begin(&stage, &task, "/mcp", EVERYTHING).await);
        }
        let mut fifth = Stream::open(&stage, &task, "/mcp", EVERYTHING).await;
        fifth.until("too_many_in_flight").await.unwrap();
        Stream::begin(&stage, &other, "/mcp", EVERYTHING).await;
        open.pop();
        // The place is free when the connection is known to be gone.
        loop {
            let mut again = Stream::open(&stage, &task, "/mcp", EVERYTHING).await;
            again.until("}").await.unwrap();
            if again.seen.contains(BEGUN) {
                break;
            }
            assert!(again.seen.contains("too_many_in_flight"), "{}", again.seen);
        }
    });
}

#[test]
fn a_filter_says_what_it_wants() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let client = Client::new(&stage, &task, "/mcp");
        // It takes no events, and there is no other answer.
        let params = format!(r#","notifications":{EVERYTHING}"#);
        let answer = client.ask("subscriptions/listen", "", &params).await;
        assert_eq!(error(&answer), (400, "-32020".to_owned(), String::new()));
        let many = (0..33).map(|number| format!("\"test://{number}\""));
        let many = many.collect::<Vec<_>>().join(",");
        let many = format!(r#"{{"resourceSubscriptions":[{many}]}}"#);
        for wrong in [
            "7",
            "[]",
            r#"{"toolsListChanged":"yes"}"#,
            r#"{"promptsListChanged":1}"#,
            r#"{"resourceSubscriptions":"test://static-text"}"#,
            r#"{"resourceSubscriptions":[7]}"#,
            &many,
        ] {
            let mut stream = Stream::open(&stage, &task, "/mcp", wrong).await;
            stream.until("-32602").await.unwrap();
            assert!(stream.seen.starts_with("HTTP/1.1 400 "), "{}", stream.seen);
        }
    });
}
