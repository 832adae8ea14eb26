//! Questions of a server to a client of 2025-11-25: on the stream of its call, for the session that was asked, and answered once.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_testkit::{Caller, Project, json, runtime};
use writ_types::Value;

use crate::client::at;
use crate::server::Stage;

const PATH: &str = "/mcp/fixture";
/// Asks once, and keeps a state of its own.
const ONCE: &str = "test_input_required_result_request_state";
/// Asks, and asks again.
const TWICE: &str = "test_input_required_result_multi_round";
/// Asks three things at once.
const MANY: &str = "test_input_required_result_multiple_inputs";
/// Asks for the model.
const SAMPLES: &str = "test_sampling";
const EVERYTHING: &str = r#"{"elicitation":{},"sampling":{},"roots":{}}"#;
const BOTH: &str = "application/json, text/event-stream";

/// A session of a client.
pub(crate) struct Session<'t> {
    project: &'t Project,
    pub(crate) caller: Caller<'t>,
    pub(crate) id: String,
}

impl<'t> Session<'t> {
    /// Opens one that says what it can answer.
    pub(crate) async fn open(project: &'t Project, task: &'t OpenTask, can: &str) -> Self {
        let caller = Caller::new(project, task);
        let mut session = Self {
            project,
            caller,
            id: String::new(),
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{can},"clientInfo":{{"name":"t","version":"1"}}}}}}"#
        );
        let answer = session.post(&body).await;
        session.id = answer.header("mcp-session-id").unwrap().to_owned();
        session
    }

    fn fields(&self, accept: &'static str) -> Vec<(&str, &str)> {
        let mut fields = vec![("content-type", "application/json"), ("accept", accept)];
        if !self.id.is_empty() {
            fields.push(("mcp-protocol-version", "2025-11-25"));
            fields.push(("mcp-session-id", &self.id));
        }
        fields
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        let fields = self.fields(BOTH);
        self.caller
            .send("POST", PATH, &fields, body.to_owned())
            .await
    }

    /// Calls a tool and reads what comes as it comes.
    async fn call(&self, tool: &str) -> Coming {
        self.call_taking(tool, BOTH).await
    }

    async fn call_taking(&self, tool: &str, accept: &'static str) -> Coming {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{{"name":"{tool}","arguments":{{"prompt":"x"}}}}}}"#
        );
        self.caller.learn().await;
        let mut head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n",
            self.project.gateway
        );
        let own = self.caller.fields("POST", PATH);
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain(self.fields(accept)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let to = (Ipv4Addr::LOCALHOST, self.project.gateway);
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let seen = String::new();
        Coming { stream, seen }
    }

    /// Answers a question.
    async fn reply(&self, id: &str, said: &str) -> Answer {
        let id = Value::from(id);
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{said}}}"#);
        self.post(&body).await
    }

    async fn answer(&self, id: &str, said: &str) -> u16 {
        self.reply(id, said).await.status
    }
}

const YES: &str = r#""result":{"action":"accept","content":{"ok":true}}"#;
const NO: &str = r#""error":{"code":-1,"message":"no"}"#;

/// What comes back, as it comes.
struct Coming {
    stream: TcpStream,
    seen: String,
}

impl Coming {
    /// Reads until there are so many messages, and gives the last; none if the stream breaks off before.
    async fn message(&mut self, number: usize) -> Option<Value> {
        loop {
            let whole = self.seen.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
            let messages = whole.lines().filter_map(|line| line.strip_prefix("data: "));
            if let Some(message) = messages.skip(number.saturating_sub(1)).map(json).next() {
                return Some(message);
            }
            let mut bytes = Vec::new();
            let read = self.stream.read_buf(&mut bytes).await.ok();
            read.filter(|read| *read > 0)?;
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// A question: its id and its parameters.
    async fn question(&mut self, number: usize) -> (String, Value) {
        let message = self.message(number).await.unwrap();
        let id = at(&message, &["id"]).and_then(Value::as_str);
        let id = id.unwrap_or_else(|| panic!("{message}"));
        (id.to_owned(), at(&message, &["params"]).unwrap().clone())
    }

    /// Everything that comes.
    async fn all(&mut self) -> String {
        let mut bytes = Vec::new();
        drop(self.stream.read_to_end(&mut bytes).await);
        self.seen.push_str(&String::from_utf8_lossy(&bytes));
        self.seen.clone()
    }
}

/// Why the call that a message answers was refused.
fn why(message: &Value) -> String {
    let reason = at(message, &["result", "structuredContent", "reason_code"]);
    let reason = reason.and_then(Value::as_str);
    reason.unwrap_or_else(|| panic!("{message}")).to_owned()
}

fn actions(tools: &[&str]) -> Vec<String> {
    tools.iter().map(|name| format!("fixture:{name}")).collect()
}

#[test]
fn a_question_is_for_the_session_that_was_asked_and_is_answered_once() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (task, other) = (
            stage.task(&actions(&[ONCE]), "").await,
            stage.task(&actions(&[ONCE]), "").await,
        );
        let session = Session::open(&stage.project, &task, EVERYTHING).await;
        let second = Session::open(&stage.project, &task, EVERYTHING).await;
        let stranger = Session::open(&stage.project, &other, EVERYTHING).await;
        let mut call = session.call(ONCE).await;
        let (id, params) = call.question(1).await;
        let asked = call.message(1).await.unwrap();
        assert_eq!(
            at(&asked, &["method"]).and_then(Value::as_str),
            Some("elicitation/create")
        );
        assert_eq!(
            at(&params, &["message"]).and_then(Value::as_str),
            Some("The MCP server fixture asks: Please confirm")
        );
        assert_eq!(
            at(&params, &["_meta"]).unwrap().to_string(),
            r#"{"writ/origin":"fixture","writ/trust":"untrusted"}"#
        );
        assert!(
            !call.seen.contains("requestState"),
            "the state is not the client's"
        );

        // Of another session and another task, and other ids.
        for other in [&second, &stranger] {
            assert_eq!(other.answer(&id, YES).await, 400);
        }
        let (round, number) = id.split_once('-').unwrap();
        assert_eq!((round.len(), number), (40, "0"));
        for wrong in [
            round.to_owned(),
            format!("{round}-1"),
            format!("{round}-00"),
            format!("{round}-+0"),
            format!("{}-0", "0".repeat(40)),
            id.to_uppercase().replace('A', "a"),
            String::new(),
        ] {
            if wrong != id {
                assert_eq!(session.answer(&wrong, YES).await, 400, "{wrong}");
            }
        }
        for wrong in [
            r#""result":7"#,
            r#""result":{},"error":{}"#,
            r#""result":{},"more":1"#,
        ] {
            assert_eq!(session.answer(&id, wrong).await, 400, "{wrong}");
        }
        // The call is in flight all the while, and the right answer makes it again.
        assert_eq!(session.answer(&id, YES).await, 202);
        let result = call.message(2).await.unwrap();
        assert!(result.to_string().contains("state-ok"), "{result}");
        assert_eq!(at(&result, &["id"]), Some(&Value::from("c")));
        assert_eq!(session.answer(&id, YES).await, 400, "once");

        // Two calls, each decided and recorded; the one that was made again with what was answered.
        let first = call
            .seen
            .lines()
            .find_map(|line| line.strip_prefix("writ-call-id: "));
        let first = first.unwrap().to_owned();
        let again = at(&result, &["result", "_meta", "writ/call"]).and_then(Value::as_str);
        let again = again.unwrap();
        assert_ne!(first, again);
        for call in [&first, again] {
            assert_eq!(stage.ended(call).await, ["intent", "outcome"], "{call}");
        }
    });
}

#[test]
fn several_questions_and_several_rounds_are_one_call_to_its_client() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&actions(&[TWICE, MANY]), "").await;
        let session = Session::open(&stage.project, &task, EVERYTHING).await;
        let mut call = session.call(TWICE).await;
        for round in [1, 2] {
            let (id, _) = call.question(round).await;
            assert_eq!(session.answer(&id, YES).await, 202);
        }
        let result = call.message(3).await.unwrap();
        assert!(at(&result, &["result", "content"]).is_some(), "{result}");

        let mut call = session.call(MANY).await;
        let mut asked = Vec::new();
        for number in 1..=3 {
            let message = call.message(number).await.unwrap();
            let id = at(&message, &["id"]).and_then(Value::as_str).unwrap().to_owned();
            asked.push((id, at(&message, &["method"]).unwrap().to_string()));
        }
        for (id, method) in &asked {
            let said = match method.as_str() {
                r#""elicitation/create""# => YES,
                r#""roots/list""# => r#""result":{"roots":[]}"#,
                _ => r#""result":{"role":"assistant","content":{"type":"text","text":"Paris"},"model":"m"}"#,
            };
            assert_eq!(session.answer(id, said).await, 202, "{method}");
        }
        let result = call.message(4).await.unwrap();
        assert!(at(&result, &["result", "content"]).is_some(), "{result}");
    });
}

#[test]
fn what_is_not_answered_is_refused() {
    runtime().block_on(async {
        let stage = Stage::open_with("2026-07-28", "[timeouts]\nclient_answer = \"3s\"\n").await;
        let task = stage.task(&actions(&[ONCE]), "").await;
        let session = Session::open(&stage.project, &task, EVERYTHING).await;
        // Declined.
        let mut call = session.call(ONCE).await;
        let (id, _) = call.question(1).await;
        assert_eq!(session.answer(&id, NO).await, 202);
        assert_eq!(why(&call.message(2).await.unwrap()), "input_unanswered");
        assert_eq!(session.answer(&id, YES).await, 400, "it is over");
        // Not in time.
        let mut call = session.call(ONCE).await;
        let (id, _) = call.question(1).await;
        assert_eq!(why(&call.message(2).await.unwrap()), "input_unanswered");
        assert_eq!(session.answer(&id, YES).await, 400, "too late");
        // Taken back.
        let mut call = session.call(ONCE).await;
        let (id, _) = call.question(1).await;
        let back =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}"#;
        assert_eq!(session.post(back).await.status, 202);
        assert_eq!(why(&call.message(2).await.unwrap()), "cancelled");
        assert_eq!(session.answer(&id, YES).await, 400, "taken back");
        // Killed: the stream breaks off.
        let mut call = session.call(ONCE).await;
        call.question(1).await;
        let kill = format!(r#"{{"task":"{}"}}"#, task.task);
        let killed = stage
            .project
            .operator(hyper::Method::POST, "/v1/kill", &kill)
            .await;
        assert!(killed.status < 300, "{}", killed.json());
        assert_eq!(call.message(2).await, None);
        assert!(
            !call.seen.contains("\r\n0\r\n"),
            "as if it were whole: {}",
            call.seen
        );
    });
}

#[test]
fn nobody_is_asked_who_cannot_answer_or_what_was_not_declared() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&actions(&[ONCE, SAMPLES]), "").await;
        for (can, tool, accept) in [
            ("{}", ONCE, BOTH),
            (r#"{"sampling":{},"roots":{}}"#, ONCE, BOTH),
            // It shows pages and no forms.
            (r#"{"elicitation":{"url":{}}}"#, ONCE, BOTH),
            (r#"{"elicitation":true}"#, ONCE, BOTH),
            // The owner lets this tool ask for forms alone.
            (EVERYTHING, SAMPLES, BOTH),
            // Nothing could be asked on the way.
            (EVERYTHING, ONCE, "application/json"),
        ] {
            let session = Session::open(&stage.project, &task, can).await;
            let mut call = session.call_taking(tool, accept).await;
            let said = call.all().await;
            assert!(
                said.contains("content-type: application/json"),
                "{can} {said}"
            );
            assert!(said.contains(r#""isError":true"#), "{can} {said}");
            assert!(!said.contains("/create"), "{can} {said}");
        }
        let session = Session::open(&stage.project, &task, r#"{"elicitation":{"form":{}}}"#).await;
        session.call(ONCE).await.question(1).await;
    });
}

#[test]
fn one_task_and_one_agent_cannot_make_all_the_calls_that_wait_their_own() {
    runtime().block_on(async {
        let stage = Stage::open_with("2026-07-28", "[limits]\ntask_in_flight = \"80\"\n").await;
        let mut tasks = Vec::new();
        for _ in 0..4 {
            tasks.push(stage.task(&actions(&[ONCE]), "").await);
        }
        let mut sessions = Vec::new();
        for task in &tasks {
            sessions.push(Session::open(&stage.project, task, EVERYTHING).await);
        }
        let refused = async |session: &Session<'_>| {
            let said = session.call(ONCE).await.all().await;
            assert!(said.contains("too_many_in_flight"), "{said}");
        };
        // A quarter of what each task may have under way, so that there is room for the answers; and 64 of the agent.
        let mut waiting = Vec::new();
        for (session, room) in sessions.iter().zip([20, 20, 20, 4]) {
            for _ in 0..room {
                let mut call = session.call(ONCE).await;
                let (id, _) = call.question(1).await;
                waiting.push((call, id));
            }
            refused(session).await;
        }
        let (mut call, id) = waiting.pop().unwrap();
        let last = sessions.last().unwrap();
        assert_eq!(last.answer(&id, YES).await, 202);
        assert!(
            call.message(2)
                .await
                .unwrap()
                .to_string()
                .contains("state-ok")
        );
        refused(&sessions[0]).await;
        last.call(ONCE).await.question(1).await;
    });
}

#[test]
fn a_server_of_sessions_is_answered_while_it_is_at_work() {
    runtime().block_on(async {
        let stage = Stage::open_with("2025-11-25", "[timeouts]\nclient_answer = \"3s\"\n").await;
        let task = stage.task(&actions(&[TWICE, SAMPLES]), "").await;
        let session = Session::open(&stage.project, &task, EVERYTHING).await;
        let second = Session::open(&stage.project, &task, EVERYTHING).await;
        let mut call = session.call(TWICE).await;
        for round in [1, 2] {
            let (id, params) = call.question(round).await;
            let said = at(&params, &["_meta"]).unwrap().to_string();
            assert_eq!(
                said,
                r#"{"writ/origin":"fixture","writ/trust":"untrusted"}"#
            );
            assert_eq!(second.answer(&id, YES).await, 400, "of another session");
            let answer = session.reply(&id, YES).await;
            assert_eq!(answer.status, 202);
            // Each answer is a call of its own, decided and recorded.
            let records = stage.ended(answer.header("writ-call-id").unwrap()).await;
            assert_eq!(records, ["intent", "outcome"]);
            assert_eq!(session.answer(&id, YES).await, 400, "once");
        }
        let result = call.message(3).await.unwrap();
        assert!(at(&result, &["result", "content"]).is_some(), "{result}");

        // Declined, and not in time: the call is over, and so are its questions.
        let mut call = session.call(TWICE).await;
        let (id, _) = call.question(1).await;
        assert_eq!(session.answer(&id, NO).await, 202);
        assert_eq!(why(&call.message(2).await.unwrap()), "input_unanswered");
        let mut call = session.call(TWICE).await;
        let (id, _) = call.question(1).await;
        assert_eq!(why(&call.message(2).await.unwrap()), "input_unanswered");
        assert_eq!(session.answer(&id, YES).await, 400, "too late");
        // The owner lets this tool ask for forms alone.
        let said = session.call(SAMPLES).await.all().await;
        assert!(
            said.contains("upstream_invalid") && !said.contains("/create"),
            "{said}"
        );
    });
}
