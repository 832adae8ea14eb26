//! What a server says on the way to its result: who hears it, what of it, and what may not be in it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Project, json, runtime};
use writ_types::Value;

use super::sessions::{open, within};
use super::{Client, META, Outcome, at, fault, words};
use crate::installation::Installation;
use crate::odd::KEY;
use crate::wire;

/// What the server has.
pub(crate) const ACTIONS: [&str; 9] = [
    "tells:steps",
    "tells:logs",
    "tells:leaks",
    "tells:leaks-late",
    "tells:floods",
    "tells:waits",
    "tells:asks",
    "tells:quiet",
    "tells:masked",
];

/// Registers the server, at a path of the odd upstream.
pub(crate) fn register(project: &Project, address: SocketAddr) {
    let names = ACTIONS.map(|action| action.trim_start_matches("tells:"));
    let tools =
        names.map(|name| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#));
    let list = format!(r#"{{"tools":[{}]}}"#, tools.join(","));
    project.write("apis/tells.json", &list);
    let mut text = format!(
        "owner = \"odd@example.org\"\nupstream = \"http://{address}/tells\"\ncontract = \"tells.json\"\nrate = \"1000000/s\"\n[credential]\nname = \"odd-key\"\nattach = \"bearer\"\n"
    );
    for name in names {
        text.push_str(&format!("[operations.\"{name}\"]\neffect = \"read\"\n"));
    }
    project.write("apis/tells.toml", &text);
}

/// One thing the server does.
enum Does {
    /// Says a message.
    Says(String),
    /// Waits until the test lets it go on.
    Waits,
}

fn says(method: &str, params: &str) -> Does {
    Does::Says(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{{params}}}}}"#
    ))
}

fn progress(token: &Value, rest: &str) -> Does {
    says("progress", &format!(r#""progressToken":{token},{rest}"#))
}

fn log(level: &str, data: &str) -> Does {
    says(
        "message",
        &format!(r#""level":"{level}","logger":"db","data":{data}"#),
    )
}

/// What a tool says before its result.
fn script(tool: &str, token: &Value) -> Vec<Does> {
    let (first, rest) = KEY.split_at(9);
    let (letter, rest) = rest.split_at(1);
    let code = letter.as_bytes().first().unwrap();
    let leak = log("error", &format!(r#""{first}\u00{code:x}{rest}""#));
    let begun = progress(token, r#""progress":1"#);
    match tool {
        "steps" => vec![
            progress(token, r#""progress":1,"total":4"#),
            Does::Waits,
            progress(token, r#""progress":2.5,"message":"half\u001b[2J of it""#),
            // Not further, back, another call's, no number, more than a number, and of something else.
            progress(token, r#""progress":2.50"#),
            progress(token, r#""progress":1"#),
            progress(&Value::from("mine"), r#""progress":3"#),
            progress(token, r#""progress":"3""#),
            progress(token, &format!(r#""progress":{}"#, "3".repeat(40))),
            says(
                "tools/list_changed",
                &format!(r#""progressToken":{token},"progress":3"#),
            ),
            progress(token, r#""progress":4,"total":"no","message":7"#),
        ],
        "logs" => vec![
            log("debug", r#""fine""#),
            log("info", r#""started""#),
            log("odd", r#""no such level""#),
            log("error", r#"{"password":"hunter2hunter2"}"#),
            Does::Waits,
            log("emergency", &format!("\"{}\"", "long ".repeat(1_000))),
        ],
        "leaks" => vec![leak],
        "leaks-late" => vec![begun, leak],
        "floods" => (0..200)
            .map(|step| progress(token, &format!(r#""progress":{step}"#)))
            .collect(),
        "masked" => vec![begun, log("error", r#""what must be left out""#)],
        "waits" => vec![begun, Does::Waits],
        "asks" => vec![
            begun,
            Does::Says(
                r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#
                    .to_owned(),
            ),
        ],
        _ => vec![],
    }
}

/// The server: a stream of events that ends with the result.
pub(crate) async fn tell(mut stream: TcpStream, request: &str, go_on: &Notify) {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let message = json(body);
    let params = at(&message, &["params"]);
    let meta = params.member("_meta");
    let token = meta.and_then(|meta| meta.member("progressToken"));
    let mut doings = script(&words(&params, "name"), token.unwrap_or(&Value::Null));
    let result = r#""result":{"content":[{"type":"text","text":"done"}],"resultType":"complete"}"#;
    let id = words(&message, "id");
    doings.push(Does::Says(format!(
        r#"{{"jsonrpc":"2.0","id":"{id}",{result}}}"#
    )));
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    drop(stream.write_all(head.as_bytes()).await);
    for does in doings {
        match does {
            Does::Says(message) => {
                let event = format!("data: {message}\n\n");
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                if stream.write_all(chunk.as_bytes()).await.is_err() {
                    return;
                }
            }
            Does::Waits => go_on.notified().await,
        }
    }
    drop(stream.write_all(b"0\r\n\r\n").await);
}

const TOKEN: &str = r#""progressToken":"mine""#;
const LEVEL: &str = r#""io.modelcontextprotocol/logLevel":"info""#;
/// What every message of the server says of itself.
const OF_TELLS: &str = r#""_meta":{"writ/origin":"tells","writ/trust":"untrusted"}"#;

/// A call of 2026-07-28 that wants to hear something on the way.
fn asking(tool: &str, wishes: &str) -> String {
    let meta = META.replacen(":{", &format!(":{{{wishes},"), 1);
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{meta},"name":"{tool}","arguments":{{}}}}}}"#
    )
}

const fn fields(tool: &str) -> [(&str, &str); 3] {
    [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ]
}

async fn call(client: &Client<'_>, tool: &str, wishes: &str) -> Answer {
    client.send(&fields(tool), &asking(tool, wishes)).await
}

/// The parameters of what was told, and the result.
fn told(answer: &Answer) -> (Vec<String>, Value) {
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = std::str::from_utf8(&answer.body).unwrap();
    let event = |event: &str| json(event.strip_prefix("event: message\ndata: ").unwrap());
    let mut events: Vec<Value> = text.split_terminator("\n\n").map(event).collect();
    let last = events.pop().unwrap();
    let params = |event: &Value| at(event, &["params"]).to_string();
    (events.iter().map(params).collect(), at(&last, &["result"]))
}

/// Why a call was refused.
fn why(answer: &Answer) -> String {
    words(&Outcome::of(answer).denial(), "reason_code")
}

/// A call on a connection of its own, and what came of it so far.
struct Open {
    stream: TcpStream,
    seen: String,
}

impl Open {
    async fn begin(installation: &Installation, task: &OpenTask, tool: &str, wishes: &str) -> Self {
        Self::send(installation, task, &fields(tool), &asking(tool, wishes)).await
    }

    async fn send(
        installation: &Installation,
        task: &OpenTask,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let project = &installation.project;
        let caller = Caller::new(project, task);
        caller.learn().await;
        let head = wire::head(project, &caller, "POST", "/mcp/tells");
        let own = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let request = format!(
            "{head}{}content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
            own.collect::<String>(),
            body.len()
        );
        let mut stream = wire::connect(project).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let seen = String::new();
        Self { stream, seen }
    }

    /// Reads until the text is there; none if the connection ends first.
    async fn until(&mut self, wanted: &str) -> Option<()> {
        while !self.seen.contains(wanted) {
            let mut bytes = Vec::new();
            let read = self.stream.read_buf(&mut bytes).await.ok();
            read.filter(|read| *read > 0)?;
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        Some(())
    }

    fn call(&self) -> String {
        let mut lines = self.seen.lines();
        let call = lines.find_map(|line| line.strip_prefix("writ-call-id: "));
        call.unwrap().to_owned()
    }
}

#[test]
fn a_client_hears_how_far_its_own_call_is() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        installation.odd.go_on.notify_one();
        let answer = call(&client, "steps", TOKEN).await;
        let unbuffered = answer.header("x-accel-buffering");
        assert_eq!((answer.status, unbuffered), (200, Some("no")));
        let (heard, result) = told(&answer);
        let half = "The MCP server tells says: half [2J of it";
        assert_eq!(
            heard,
            [
                format!(r#"{{{OF_TELLS},"progress":1,"progressToken":"mine","total":4}}"#),
                format!(
                    r#"{{{OF_TELLS},"message":"{half}","progress":2.5,"progressToken":"mine"}}"#
                ),
                format!(r#"{{{OF_TELLS},"progress":4,"progressToken":"mine"}}"#),
            ]
        );
        let id = answer.header("writ-call-id").unwrap();
        assert_eq!(
            at(&result, &["content"]).to_string(),
            r#"[{"text":"done","type":"text"}]"#
        );
        assert_eq!(words(&at(&result, &["_meta"]), "writ/call"), id);
        assert_eq!(installation.outcome(id).await, "completed");
        // The server knows the call by its id alone.
        let sent = installation.odd.seen().pop().unwrap();
        assert!(!sent.contains("mine"), "{sent}");
        let own = format!(r#""progressToken":"{id}""#);
        assert!(sent.contains(&own), "{sent}");
        for wrong in ["7.5", "null", "{}", r#"["mine"]"#] {
            let answer = call(&client, "steps", &format!(r#""progressToken":{wrong}"#)).await;
            assert_eq!(fault(&answer), (400, "-32602".to_owned()), "{wrong}");
        }
    });
}

#[test]
fn who_did_not_ask_hears_nothing_on_the_way() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        let json = ("content-type", "application/json");
        installation.odd.go_on.notify_one();
        let mut answers = vec![call(&client, "steps", r#""other":1"#).await];
        // One that takes no events.
        let mut all = fields("steps").to_vec();
        all.extend([json, ("accept", "application/json, text/event-stream;q=0")]);
        installation.odd.go_on.notify_one();
        let body = asking("steps", TOKEN);
        answers.push(client.caller.send("POST", client.path, &all, body).await);
        // And one at the other door.
        installation.odd.go_on.notify_one();
        let caller = &client.caller;
        answers.push(caller.send("POST", "/tells/steps", &[json], "{}").await);
        for answer in answers {
            let kind = answer.header("content-type");
            assert_eq!((answer.status, kind), (200, Some("application/json")));
        }
        // The server was not asked to say anything.
        let sent = installation.odd.seen();
        assert_eq!(sent.len(), 3);
        for sent in sent {
            assert!(!sent.contains("progressToken"), "{sent}");
        }
    });
}

#[test]
fn what_is_logged_marks_the_task_before_it_is_heard() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        assert_eq!(call(&client, "quiet", TOKEN).await.status, 200);
        let mut logs = Open::begin(&installation, &task, "logs", LEVEL).await;
        logs.until("hunter2").await.unwrap();
        // The call is under way, and what it told counts.
        let refused = call(&client, "quiet", TOKEN).await;
        assert_eq!(why(&refused), "forbidden");
        installation.odd.go_on.notify_one();
        logs.until("\r\n0\r\n\r\n").await.unwrap();
        let events = logs.seen.lines();
        let events = events.filter_map(|line| line.strip_prefix("data: "));
        let heard: Vec<String> = events
            .map(json)
            .filter_map(|event| event.member("params").cloned())
            .map(|params| {
                assert_eq!(words(&params, "logger"), "tells/db");
                let trust = at(&params, &["_meta", "writ/trust"]).to_string();
                assert_eq!(trust, r#""untrusted""#);
                format!("{} {}", words(&params, "level"), words(&params, "data"))
            })
            .collect();
        assert_eq!(
            heard,
            [
                "info The MCP server tells says: started".to_owned(),
                r#"error The MCP server tells says: {"password":"hunter2hunter2"}"#.to_owned(),
                format!(
                    "emergency The MCP server tells says: {}…",
                    "long ".repeat(400)
                ),
            ]
        );
        // The record says what the task was marked with, though nothing of the kind is in the result.
        let call = logs.call();
        assert_eq!(installation.outcome(&call).await, "completed");
        let outcome = installation.detail(&call, "outcome").await;
        assert_eq!(at(&outcome, &["labels"]).to_string(), r#"["secret"]"#);
    });
}

#[test]
fn the_credential_is_in_nothing_that_is_told() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        let wishes = format!("{TOKEN},{LEVEL}");
        let (start, _) = KEY.split_at(5);
        // Nothing was told before: the call is refused like any other.
        let answer = call(&client, "leaks", &wishes).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(why(&answer), "upstream_invalid");
        // Otherwise that is what the stream ends with, and so it is where the server asks what nobody declared.
        for tool in ["leaks-late", "asks"] {
            let answer = call(&client, tool, &wishes).await;
            let all = String::from_utf8_lossy(&answer.body);
            assert!(!all.contains(start), "{tool}");
            let (heard, result) = told(&answer);
            assert_eq!(heard.len(), 1, "{tool}");
            let denial = at(&result, &["structuredContent"]);
            assert_eq!(words(&denial, "reason_code"), "upstream_invalid", "{tool}");
            let call = answer.header("writ-call-id").unwrap();
            assert_eq!(installation.outcome(call).await, "cut", "{tool}");
        }
    });
}

#[test]
fn where_something_must_be_left_out_nothing_is_told() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        let answer = call(&client, "masked", &format!("{TOKEN},{LEVEL}")).await;
        let kind = answer.header("content-type");
        assert_eq!((answer.status, kind), (200, Some("application/json")));
        assert_eq!(Outcome::of(&answer).text, ["done"]);
    });
}

#[test]
fn a_session_that_loses_its_stream_does_not_lose_its_call() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        let session = open(&client).await;
        let fields = [("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", &*session)];
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"_meta":{{{TOKEN}}},"name":"waits","arguments":{{}}}}}}"#
        );
        let mut waits = Open::send(&installation, &task, &fields, &body).await;
        waits.until("notifications/progress").await.unwrap();
        let call = waits.call();
        drop(waits);
        // It is not taken back: it ends when the server has answered, and nobody is there to take that.
        installation.odd.go_on.notify_one();
        assert_eq!(installation.outcome(&call).await, "client_gone");
    });
}

#[test]
fn a_server_that_tells_too_much_is_not_heard_out() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        let (heard, result) = told(&call(&client, "floods", TOKEN).await);
        // 200 at once: 32 in a second, and another second may have begun in between.
        assert!(matches!(heard.len(), 32..=96), "{}", heard.len());
        assert_eq!(at(&result, &["isError"]).to_string(), "false");
    });
}

#[test]
fn a_kill_and_a_client_that_goes_end_the_stream() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        for killed in [true, false] {
            let task = installation.task_with(&ACTIONS, "").await;
            let mut waits = Open::begin(&installation, &task, "waits", TOKEN).await;
            waits.until("notifications/progress").await.unwrap();
            let call = waits.call();
            if killed {
                installation.kill(&task).await;
                assert_eq!(waits.until("never").await, None);
                let seen = &waits.seen;
                assert!(!seen.contains("\r\n0\r\n"), "as if it were whole: {seen}");
            }
            drop(waits);
            // Nobody lets the server go on: the end comes from here.
            assert_eq!(installation.outcome(&call).await, "cut", "killed: {killed}");
        }
    });
}

/// A message of a session that says what its client wants to hear.
fn set(level: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{{"level":{level}}}}}"#
    )
}

#[test]
fn a_session_says_once_what_it_wants_to_hear() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let task = installation.task_with(&ACTIONS, "").await;
        let client = Client::new(&installation.project, &task, "/mcp/tells");
        let (session, other) = (open(&client).await, open(&client).await);
        let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"logs","arguments":{}}}"#;
        for wrong in [r#""loud""#, "7", "null"] {
            let answer = within(&client, &session, &set(wrong)).await;
            assert_eq!(fault(&answer), (200, "-32602".to_owned()), "{wrong}");
        }
        let answer = within(&client, &session, &set(r#""error""#)).await;
        assert_eq!(answer.json().to_string(), r#"{"id":1,"jsonrpc":"2.0","result":{}}"#);
        installation.odd.go_on.notify_one();
        let (heard, _) = told(&within(&client, &session, call).await);
        assert_eq!(heard.len(), 2, "{heard:?}");
        // What one session wants, another has not said.
        installation.odd.go_on.notify_one();
        let answer = within(&client, &other, call).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
    });
}

#[test]
fn where_no_server_logs_there_is_no_level() {
    runtime().block_on(async {
        let installation = Installation::start().await;
        let actions = [&ACTIONS[..], &["odd:echo"]].concat();
        let task = installation.task_with(&actions, "").await;
        for (path, logs) in [("/mcp/tells", true), ("/mcp", true), ("/mcp/odd", false)] {
            let client = Client::new(&installation.project, &task, path);
            let answer = client.ask("server/discover", None, "").await;
            let capabilities = at(&answer.json(), &["result", "capabilities"]);
            assert_eq!(capabilities.member("logging").is_some(), logs, "{path}");
            let session = open(&client).await;
            let answer = within(&client, &session, &set(r#""error""#)).await;
            let code = if logs { "" } else { "-32601" };
            assert_eq!(fault(&answer), (200, code.to_owned()), "{path}");
            // Where each request stands alone, each says it itself.
            let answer = client
                .ask("logging/setLevel", None, r#","level":"error""#)
                .await;
            assert_eq!(fault(&answer), (404, "-32601".to_owned()), "{path}");
        }
    });
}
