//! A client of 2025-11-25 whose stream breaks off comes back for what comes of its call: in its session, once, and not after a kill.

use std::net::Ipv4Addr;

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ_testkit::{Caller, json, runtime};
use writ_types::Value;

use crate::client::at;
use crate::keeper::kept_whole;
use crate::updates::opened;

const CALL: &str = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"slow","arguments":{}}}"#;

/// A request in a session, as it is read.
struct Sent {
    stream: TcpStream,
    seen: String,
}

impl Sent {
    async fn post(port: u16, caller: &Caller<'_>, session: &str) -> Self {
        let more = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            CALL.len()
        );
        Self::send(port, caller, ("POST", session), &more, CALL).await
    }

    async fn come_back(port: u16, caller: &Caller<'_>, session: &str, id: &str) -> Self {
        let more = format!("last-event-id: {id}\r\n");
        Self::send(port, caller, ("GET", session), &more, "").await
    }

    async fn send(
        port: u16,
        caller: &Caller<'_>,
        (method, session): (&str, &str),
        more: &str,
        body: &str,
    ) -> Self {
        caller.learn().await;
        let own = caller.fields(method, "/mcp/keeper");
        let own = own.map(|(name, value)| format!("{name}: {value}\r\n"));
        let request = format!(
            "{method} /mcp/keeper HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{}connection: close\r\naccept: text/event-stream, application/json\r\nmcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n{more}\r\n{body}",
            own.concat()
        );
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let seen = String::new();
        Self { stream, seen }
    }

    async fn until(&mut self, wanted: &str) {
        while !self.seen.contains(wanted) {
            let mut bytes = Vec::new();
            let read = self.stream.read_buf(&mut bytes).await.unwrap();
            assert!(read > 0, "{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// The id that the stream begins with, and nothing before it.
    async fn id(&mut self) -> String {
        self.until("data:\n\n").await;
        let (_, event) = self.seen.split_once("\r\n\r\n").unwrap();
        let (_, named) = event.split_once("id: ").unwrap();
        let (id, rest) = named.split_once('\n').unwrap();
        assert!(rest.starts_with("retry: 1000\ndata:\n\n"), "{rest}");
        id.to_owned()
    }

    /// All that comes, and the result in it.
    async fn result(mut self) -> Option<Value> {
        let mut bytes = Vec::new();
        drop(self.stream.read_to_end(&mut bytes).await);
        self.seen.push_str(&String::from_utf8_lossy(&bytes));
        let mut lines = self
            .seen
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        lines.next().map(json)
    }

    async fn status(mut self) -> String {
        self.until("\r\n").await;
        self.seen.split(' ').nth(1).unwrap().to_owned()
    }
}

#[test]
fn what_comes_of_a_call_is_there_for_its_own_session_once() {
    runtime().block_on(async {
        let kept = kept_whole();
        let (task, other) = (kept.task().await, kept.task().await);
        let port = kept.project.gateway;
        let (caller, session) = opened(&kept, &task).await;
        let (_, second) = opened(&kept, &task).await;
        let (stranger, third) = opened(&kept, &other).await;
        let mut call = Sent::post(port, &caller, &session).await;
        let id = call.id().await;
        assert_eq!(id.len(), 40);
        drop(call);
        for (caller, session, id) in [
            (&caller, &*second, &*id),
            (&stranger, &*third, &*id),
            (&caller, &*session, "0"),
            (&caller, &*session, ""),
        ] {
            let refused = Sent::come_back(port, caller, session, id).await;
            assert_eq!(refused.status().await, "400");
        }
        let mut back = Sent::come_back(port, &caller, &session, &id).await;
        back.until("text/event-stream").await;
        kept.keeper.release();
        let result = back.result().await.unwrap();
        assert_eq!(at(&result, &["id"]), Some(&Value::from("mine")));
        assert!(result.to_string().contains("did slow in s-1"), "{result}");
        let again = Sent::come_back(port, &caller, &session, &id).await;
        assert_eq!(again.status().await, "400", "once");
        // What was whole when its client went for it is there, too.
        let mut call = Sent::post(port, &caller, &session).await;
        let id = call.id().await;
        drop(call);
        kept.keeper.release();
        let back = Sent::come_back(port, &caller, &session, &id).await;
        let result = back.result().await.unwrap();
        assert!(result.to_string().contains("did slow in s-1"), "{result}");
        // And one that nothing happened to is as ever.
        let mut call = Sent::post(port, &caller, &session).await;
        let id = call.id().await;
        kept.keeper.release();
        let result = call.result().await.unwrap();
        assert!(result.to_string().contains("did slow in s-1"), "{result}");
        let late = Sent::come_back(port, &caller, &session, &id).await;
        assert_eq!(late.status().await, "400", "nothing is kept of it");
    });
}

#[test]
fn after_a_kill_or_the_end_of_the_session_nothing_is_there() {
    runtime().block_on(async {
        let kept = kept_whole();
        let (task, other) = (kept.task().await, kept.task().await);
        let port = kept.project.gateway;
        let (caller, session) = opened(&kept, &task).await;
        let (second, own) = opened(&kept, &other).await;
        let mut calls = Vec::new();
        for (caller, session) in [(&caller, &session), (&second, &own)] {
            let mut call = Sent::post(port, caller, session).await;
            calls.push(call.id().await);
        }
        let body = format!(r#"{{"task":"{}"}}"#, task.task);
        kept.project.operator(Method::POST, "/v1/kill", &body).await;
        let late = Sent::come_back(port, &caller, &session, &calls[0]).await;
        assert_eq!(late.status().await, "401");
        let fields = [
            ("mcp-session-id", &*own),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        let over = second.send("DELETE", "/mcp/keeper", &fields, "").await;
        assert_eq!(over.status, 204);
        let late = Sent::come_back(port, &second, &own, &calls[1]).await;
        assert_eq!(late.status().await, "404");
        kept.keeper.release();
        kept.keeper.release();
    });
}
