//! Subscriptions to resources: who may read one hears that it was updated, whatever its revision and the server's, and of nothing else.

use std::net::Ipv4Addr;

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ::agent::OpenTask;
use writ::http::Answer;
use writ_mcp_fixture::Fixture;
use writ_testkit::{Caller, json, open, project, runtime};
use writ_types::Value;

use crate::beside::Session;
use crate::client::{at, error};
use crate::keeper::{Beside, KEY, Kept, kept_whole};
use crate::listening::Stream;
use crate::server::{Stage, purpose};

pub(crate) const ONE: &str = "test://watched-resource";
pub(crate) const OTHER: &str = "test://static-text";
pub(crate) const UPDATED: &str = "notifications/resources/updated";

/// What a session is asked for.
pub(crate) fn asking(method: &str, uri: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"u","method":"{method}","params":{{"uri":"{uri}"}}}}"#)
}

pub(crate) async fn subscribe(session: &Session<'_>, uri: &str) -> Answer {
    session.post(&asking("resources/subscribe", uri)).await
}

/// The stream of a session, and what came on it so far.
pub(crate) struct Standing {
    stream: TcpStream,
    pub(crate) seen: String,
}

impl Standing {
    async fn open(port: u16, caller: &Caller<'_>, session: &str, path: &str) -> Self {
        caller.learn().await;
        let own = caller.fields("GET", path);
        let own = own.map(|(name, value)| format!("{name}: {value}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{}connection: close\r\naccept: text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\nmcp-session-id: {session}\r\n\r\n",
            own.concat(),
        );
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut standing = Self {
            stream,
            seen: String::new(),
        };
        standing.until("\r\n\r\n").await.unwrap();
        standing
    }

    pub(crate) async fn of(session: &Session<'_>, port: u16) -> Self {
        Self::open(port, &session.caller, &session.id, "/mcp/fixture").await
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

    /// Reads until so many updates were told, and gives their URIs.
    pub(crate) async fn hears(&mut self, count: usize) -> Vec<String> {
        loop {
            let told = updates(&self.seen);
            if told.len() >= count {
                return told;
            }
            let mut bytes = Vec::new();
            assert!(
                self.stream.read_buf(&mut bytes).await.unwrap() > 0,
                "{}",
                self.seen
            );
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Reads to the end: whether the stream was ended as a whole one is.
    pub(crate) async fn end(&mut self) -> bool {
        assert_eq!(self.until("never").await, None);
        self.seen.ends_with("\r\n0\r\n\r\n")
    }
}

/// The URIs of the updates that were told, each message with nothing but that and the name of its stream.
pub(crate) fn updates(seen: &str) -> Vec<String> {
    let (whole, _) = seen.rsplit_once("\n\n").unwrap_or_default();
    let events = whole.lines().filter_map(|line| line.strip_prefix("data: "));
    let updated = events
        .map(json)
        .filter(|event| at(event, &["method"]) == Some(&Value::from(UPDATED)));
    let uri = |event: Value| {
        let mut params = event.member("params").unwrap().as_object().unwrap().clone();
        params.remove("_meta");
        assert_eq!(params.len(), 1, "{event}");
        params
            .remove("uri")
            .and_then(|uri| uri.as_str().map(str::to_owned))
            .unwrap()
    };
    updated.map(uri).collect()
}

#[test]
fn a_session_hears_of_what_it_subscribed_to_until_it_does_not_want_to_any_more() {
    runtime().block_on(async {
        for revision in ["2026-07-28", "2025-11-25"] {
            let stage = Stage::open_in(revision).await;
            let task = stage.task(&stage.actions, "").await;
            let session = Session::open(&stage.project, &task, "{}").await;
            let other = Session::open(&stage.project, &task, "{}").await;
            let port = stage.project.gateway;
            let mut own = Standing::of(&session, port).await;
            let mut silent = Standing::of(&other, port).await;
            let answer = subscribe(&session, ONE).await;
            assert_eq!(
                at(&answer.json(), &["result"]).unwrap().to_string(),
                "{}",
                "{revision}"
            );
            let call = answer.header("writ-call-id").unwrap().to_owned();
            assert_eq!(stage.records(&call).await, ["intent"], "it is under way");
            stage.fixture.update(OTHER).await;
            stage.fixture.update(ONE).await;
            assert_eq!(own.hears(1).await, [ONE], "{revision}");
            // What nobody wants to hear any more the server is told, and the call is over.
            let answer = session.post(&asking("resources/unsubscribe", ONE)).await;
            assert_eq!(at(&answer.json(), &["result"]).unwrap().to_string(), "{}");
            assert_eq!(stage.ended(&call).await, ["intent", "outcome"]);
            while !stage.fixture.subscribed().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(subscribe(&other, OTHER).await.status, 200);
            stage.fixture.update(ONE).await;
            stage.fixture.update(OTHER).await;
            assert_eq!(silent.hears(1).await, [OTHER], "{revision}");
            assert_eq!(own.hears(1).await, [ONE]);
        }
    });
}

#[test]
fn a_stream_hears_of_what_it_names_as_far_as_that_may_be_read() {
    runtime().block_on(async {
        for revision in ["2026-07-28", "2025-11-25"] {
            let stage = Stage::open_in(revision).await;
            let bounds = format!(
                r#","bounds":{{"fixture:resources/read":{{"/body/uri":["{ONE}","{OTHER}"]}}}}"#
            );
            let task = stage.task(&stage.actions, &bounds).await;
            let wanted = format!(
                r#"{{"resourceSubscriptions":["{OTHER}","{ONE}","{OTHER}","test://static-binary","test://nowhere"]}}"#
            );
            let mut stream = Stream::of(&stage.project, &task, "/mcp/fixture", &wanted).await;
            stream.until("}}}\n\n").await.unwrap();
            let held = format!(r#""notifications":{{"resourceSubscriptions":["{OTHER}","{ONE}"]}}}}}}"#);
            assert!(stream.seen.contains(&held), "{revision}: {}", stream.seen);
            stage.fixture.update("test://static-binary").await;
            stage.fixture.update(ONE).await;
            stream.hears(UPDATED).await;
            assert_eq!(updates(&stream.seen), [ONE], "{revision}");
            // Its client goes, and with it what it heard of.
            drop(stream);
            while revision == "2025-11-25" && !stage.fixture.subscribed().is_empty() {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn a_subscription_is_decided_like_the_reading() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let without: Vec<String> = stage
            .actions
            .iter()
            .filter(|action| !action.ends_with("resources/read"))
            .cloned()
            .collect();
        let task = stage.task(&without, "").await;
        let session = Session::open(&stage.project, &task, "{}").await;
        let (_, code, _) = error(&subscribe(&session, ONE).await);
        assert_eq!(code, "-32601", "what is not held is not there");
        let bounds = format!(r#","bounds":{{"fixture:resources/read":{{"/body/uri":["{ONE}"]}}}}"#);
        let task = stage.task(&stage.actions, &bounds).await;
        let session = Session::open(&stage.project, &task, "{}").await;
        for (uri, code, reason) in [
            (OTHER, "-32603", "outside_bounds"),
            ("test://nowhere", "-32602", "invalid_input"),
        ] {
            let answer = subscribe(&session, uri).await;
            let wanted = (200, code.to_owned(), reason.to_owned());
            assert_eq!(error(&answer), wanted, "{uri}");
            let call = answer.header("writ-call-id").unwrap();
            assert_eq!(stage.records(call).await, ["refused"], "{uri}");
        }
        let answer = session.post(r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe"}"#);
        assert_eq!(error(&answer.await).1, "-32602");
        // Of all APIs there are no resources, and without a session no subscriptions.
        let listed = session
            .post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            .await;
        assert_eq!(listed.status, 200);
        assert_eq!(stage.fixture.subscribed(), Vec::<String>::new());
    });
}

#[test]
fn a_task_has_few_subscriptions() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.task(&stage.actions, "").await;
        let sessions = [
            Session::open(&stage.project, &task, "{}").await,
            Session::open(&stage.project, &task, "{}").await,
        ];
        let mut calls = Vec::new();
        for number in 0..4 {
            let uri = format!("test://template/{number}/data");
            let answer = subscribe(&sessions[number % 2], &uri).await;
            assert_eq!(answer.status, 200);
            calls.push(answer.header("writ-call-id").unwrap().to_owned());
        }
        let fifth = subscribe(&sessions[0], ONE).await;
        assert_eq!(error(&fifth).2, "too_many_in_flight");
        // The end of a session ends its own.
        let fields = [
            ("mcp-session-id", &*sessions[0].id),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        let over = sessions[0]
            .caller
            .send("DELETE", "/mcp/fixture", &fields, "")
            .await;
        assert_eq!(over.status, 204);
        for call in [&calls[0], &calls[2]] {
            assert_eq!(stage.ended(call).await, ["intent", "outcome"]);
        }
        assert_eq!(stage.records(&calls[1]).await, ["intent"]);
        assert_eq!(subscribe(&sessions[1], ONE).await.status, 200);
    });
}

#[test]
fn a_kill_ends_what_was_subscribed_and_who_may_not_read_any_more_hears_nothing() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (task, other) = (
            stage.task(&stage.actions, "").await,
            stage.task(&stage.actions, "").await,
        );
        let port = stage.project.gateway;
        let session = Session::open(&stage.project, &task, "{}").await;
        let second = Session::open(&stage.project, &other, "{}").await;
        let mut killed = Standing::of(&session, port).await;
        let mut left = Standing::of(&second, port).await;
        let mut calls = Vec::new();
        for session in [&session, &second] {
            let answer = subscribe(session, ONE).await;
            calls.push(answer.header("writ-call-id").unwrap().to_owned());
        }
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        stage
            .project
            .operator(Method::POST, "/v1/kill", &body)
            .await;
        assert!(!killed.end().await, "{}", killed.seen);
        assert_eq!(updates(&killed.seen), Vec::<String>::new());
        assert_eq!(stage.ended(&calls[0]).await, ["intent", "outcome"]);
        // Another task goes on, until its purpose does not cover it any more.
        stage.fixture.update(ONE).await;
        assert_eq!(left.hears(1).await, [ONE]);
        let without: Vec<String> = stage
            .actions
            .iter()
            .filter(|action| !action.ends_with("resources/read"))
            .cloned()
            .collect();
        purpose(&stage.project, &without);
        let (code, said, errors) = stage.project.run(&["apply"]);
        assert_eq!(code, 0, "{said}{errors}");
        assert_eq!(stage.ended(&calls[1]).await, ["intent", "outcome"]);
        stage.fixture.update(ONE).await;
        assert!(left.end().await, "{}", left.seen);
        assert_eq!(updates(&left.seen), [ONE]);
    });
}

#[test]
fn of_a_program_one_hears_the_same() {
    runtime().block_on(async {
        for revision in ["2025-11-25", "2026-07-28"] {
            let fixture = Fixture::start_streams().await;
            let project = project!();
            let port = fixture.address.port().to_string();
            let script = "exec 3<>/dev/tcp/127.0.0.1/PORT 4<&0\n/bin/cat <&4 >&3 &\nexec /bin/cat <&3";
            let script = script.replace("PORT", &port);
            project.settings(&format!("[mcp.program.fixture]\ncommand = [\"/bin/bash\", \"-c\", '''{script}''']\n"));
            let pinned = Fixture::pinned().to_string();
            let spoken = format!(r#"{{"protocolVersion":"{revision}","#);
            project.write("apis/fixture.json", &pinned.replacen('{', &spoken, 1));
            project.write(
                "apis/fixture.toml",
                "owner = \"o@example.org\"\nupstream = \"stdio:fixture\"\ncontract = \"fixture.json\"\n[operations.\"resources/read\"]\neffect = \"read\"\n",
            );
            project.agent("bot", "autonomous", &["trial"]);
            purpose(&project, &["fixture:resources/read".to_owned()]);
            let _writ = project.start();
            project.sign_in();
            let details = r#"[{"type":"writ_task","purpose":"trial","actions":["fixture:resources/read"],"budget":{"calls":20,"writes":0},"expires_in":600}]"#;
            let task = open(&project.client(), details).await;
            let wanted = format!(r#"{{"resourceSubscriptions":["{ONE}"]}}"#);
            let mut stream = Stream::of(&project, &task, "/mcp/fixture", &wanted).await;
            stream.until("}}}\n\n").await.unwrap();
            assert!(stream.seen.contains(&wanted), "{revision}: {}", stream.seen);
            fixture.update(OTHER).await;
            fixture.update(ONE).await;
            stream.hears(UPDATED).await;
            assert_eq!(updates(&stream.seen), [ONE], "{revision}");
            drop(stream);
            while !fixture.subscribed().is_empty() {
                tokio::task::yield_now().await;
            }
        }
    });
}

/// A session of a client before the keeper.
pub(crate) async fn opened<'t>(kept: &'t Kept, task: &'t OpenTask) -> (Caller<'t>, String) {
    let caller = Caller::new(&kept.project, task);
    let fields = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let opening = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let opened = caller.send("POST", "/mcp/keeper", &fields, opening).await;
    let said =
        at(&opened.json(), &["result", "capabilities", "resources"]).map(ToString::to_string);
    assert_eq!(said.as_deref(), Some(r#"{"subscribe":true}"#));
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    (caller, session)
}

pub(crate) async fn post(caller: &Caller<'_>, session: &str, body: &str) -> Answer {
    let fields = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", session),
    ];
    caller
        .send("POST", "/mcp/keeper", &fields, body.to_owned())
        .await
}

fn told(uri: &str) -> String {
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{UPDATED}\",\"params\":{{\"uri\":\"{uri}\",\"more\":\"IGNORE\"}}}}\n\n"
    )
}

#[test]
fn of_what_a_server_says_beside_its_calls_the_updates_alone_are_heard() {
    runtime().block_on(async {
        let kept = kept_whole();
        let task = kept.task().await;
        let (caller, session) = opened(&kept, &task).await;
        let noise = [
            told("test://b"),
            told("test://a/"),
            told("TEST://a"),
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n".to_owned(),
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"error\",\"data\":\"IGNORE\"}}\n\n".to_owned(),
        ]
        .concat();
        let asks = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n";
        kept.keeper.says([
            Beside::Ends(format!("{noise}{}", told("test://a"))),
            Beside::Stays(asks.to_owned()),
            Beside::Stays(String::new()),
        ]);
        let mut own = Standing::open(kept.project.gateway, &caller, &session, "/mcp/keeper").await;
        let answer = post(&caller, &session, &asking("resources/subscribe", "test://a")).await;
        assert_eq!(at(&answer.json(), &["result"]).unwrap().to_string(), "{}", "{}", answer.json());
        // Once as it was said; and once because the stream ended, and something may have been missed.
        assert_eq!(own.hears(2).await, ["test://a", "test://a"]);
        // What asks for something on it ends it, and there is another.
        let streams = kept.keeper.wait_for("GET", 3);
        assert!(!own.seen.contains("IGNORE") && !own.seen.contains("sampling"), "{}", own.seen);
        for one in &streams {
            assert_eq!(one.field("mcp-session-id"), Some("s-1"));
            assert_eq!(one.field("authorization"), Some(&*format!("Bearer {KEY}")));
            assert!(!format!("{:?}", one.fields).contains(&task.token));
        }
        let over = post(&caller, &session, &asking("resources/unsubscribe", "test://a")).await;
        assert_eq!(over.status, 200);
        let left = kept.keeper.wait_for("resources/unsubscribe", 1);
        assert!(left[0].body.ends_with(r#""params":{"uri":"test://a"}}"#), "{}", left[0].body);
        assert_eq!(left[0].field("mcp-session-id"), Some("s-1"));
    });
}

#[test]
fn after_a_kill_a_server_is_told_nothing_of_subscriptions_and_without_a_stream_there_are_none() {
    runtime().block_on(async {
        let kept = kept_whole();
        let task = kept.task().await;
        let (caller, session) = opened(&kept, &task).await;
        let refused = post(
            &caller,
            &session,
            &asking("resources/subscribe", "test://a"),
        )
        .await;
        assert_eq!(error(&refused).2, "upstream_invalid");
        assert_eq!(
            kept.keeper.heard_of("resources/subscribe").len(),
            0,
            "it was not heard"
        );
        kept.keeper.says([Beside::Stays(String::new())]);
        let answer = post(
            &caller,
            &session,
            &asking("resources/subscribe", "test://a"),
        )
        .await;
        assert_eq!(at(&answer.json(), &["result"]).unwrap().to_string(), "{}");
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        kept.project.operator(Method::POST, "/v1/kill", &body).await;
        kept.keeper.wait_for("DELETE", 1);
        assert_eq!(kept.keeper.heard_of("resources/unsubscribe").len(), 0);
        assert_eq!(kept.keeper.heard_of("GET").len(), 2);
    });
}
