//! HTTP/1.1 by hand: what no HTTP library would send, and what came back.

use std::net::Ipv4Addr;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use writ::http::Answer;
use writ_testkit::{Caller, Project};

/// A connection to the gateway.
pub(crate) async fn connect(project: &Project) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, project.gateway))
        .await
        .unwrap()
}

/// The head of a request of the task: request line, `host`, the task's fields; more fields and the empty line follow.
pub(crate) fn head(project: &Project, caller: &Caller<'_>, method: &str, path: &str) -> String {
    let [(_, authorization), (_, dpop)] = caller.fields(method, path);
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: {authorization}\r\ndpop: {dpop}\r\n",
        project.gateway
    )
}

/// Sends bytes and reads until the gateway closes.
pub(crate) async fn exchange(project: &Project, bytes: &str) -> String {
    let mut stream = connect(project).await;
    // The gateway may close before it has read everything.
    drop(stream.write_all(bytes.as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A response from its text.
pub(crate) fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    Answer {
        status: status.parse().unwrap(),
        headers,
        body: Bytes::from(body.to_owned()),
    }
}
