//! A gRPC client of the Workload API that can also ask wrongly. Its reader of messages is its own, and not the product's.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

/// The metadata of a call that asks as it should.
pub(crate) const METADATA: &[(&str, &str)] = &[("workload.spiffe.io", "true")];

/// A connection.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Any request with this body.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        metadata: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.0.ready().await.unwrap();
        self.0.send_request(request).await.unwrap()
    }

    /// Begins a call.
    pub(crate) async fn call(&mut self, method: &str, message: &[u8]) -> Messages {
        let path = format!("/SpiffeWorkloadAPI/{method}");
        let response = self
            .send(Method::POST, &path, METADATA, frame(message))
            .await;
        Messages::of(response)
    }

    /// A call of one message: the message, or the status.
    pub(crate) async fn once(&mut self, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let mut messages = self.call(method, message).await;
        let first = messages.next().await?;
        Ok(first.unwrap())
    }
}

pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

/// The messages of a response, one by one.
pub(crate) struct Messages {
    body: Incoming,
    buffer: Vec<u8>,
    status: Option<String>,
}

impl Messages {
    pub(crate) fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200, "gRPC is always 200");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        Self {
            status: status(response.headers()),
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    /// The next message; none at a good end; the status at a bad one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().unwrap());
                let end = usize::try_from(length).unwrap().checked_add(5).unwrap();
                if self.buffer.len() >= end {
                    let message = self.buffer[5..end].to_vec();
                    self.buffer.drain(..end);
                    return Ok(Some(message));
                }
            }
            match self.body.frame().await {
                Some(frame) => match frame.unwrap().into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.status = status(&frame.into_trailers().unwrap()),
                },
                None => {
                    return match self.status.as_deref() {
                        Some("0") => Ok(None),
                        Some(status) => Err(status.to_owned()),
                        None => Err("no status".to_owned()),
                    };
                }
            }
        }
    }
}

fn status(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    assert!(
        status == "0" || headers.contains_key("grpc-message"),
        "a refusal says why"
    );
    Some(status.to_str().unwrap().to_owned())
}

/// The fields of bytes of a message, by number.
pub(crate) fn fields(mut message: &[u8]) -> BTreeMap<u64, Vec<Vec<u8>>> {
    let mut fields: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        match tag % 8 {
            0 => drop(varint(&mut message)),
            1 => message = &message[8..],
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                fields
                    .entry(tag / 8)
                    .or_default()
                    .push(message[..length].to_vec());
                message = &message[length..];
            }
            other => assert_eq!(other, 2, "an unknown kind of field"),
        }
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = message[0];
        *message = &message[1..];
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

/// A field of a text, shorter than 128 bytes or longer.
pub(crate) fn field(number: u8, text: &str) -> Vec<u8> {
    let mut written = vec![number << 3 | 2];
    let mut length = text.len();
    while length > 0x7F {
        written.push(u8::try_from(length & 0x7F).unwrap() | 0x80);
        length >>= 7;
    }
    written.push(u8::try_from(length).unwrap());
    written.extend(text.as_bytes());
    written
}

/// A map from texts to bytes.
pub(crate) fn map(entries: &[Vec<u8>]) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: &Vec<u8>| {
        let fields = fields(entry);
        (text(&fields[&1][0]), fields[&2][0].clone())
    };
    entries.iter().map(entry).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
