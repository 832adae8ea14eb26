//! An agent that serves the Workload API as SPIRE's does, and as it should not: scripted, and written apart from the product.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use writ_testkit::runtime;

use crate::trust::Domain;

/// What the agent does on each of its streams, the newest as soon as it is told.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says these bundles.
    Say(Bundles),
    /// Says these bundles more often than keys can be rotated.
    Flood(Bundles),
    /// Sends these very bytes on each stream.
    Raw(Vec<u8>),
    /// Refuses or ends with a status of gRPC.
    Status(&'static str),
    /// Ends the stream without any.
    End,
    /// Says nothing.
    Silence,
    /// Is a server of something else.
    Html,
}

/// Per SPIFFE id of a trust domain: certificates in DER, and a JWKS.
pub(crate) type Bundles = BTreeMap<String, (Vec<u8>, Vec<u8>)>;

/// What an agent says of domains. As SPIRE's, its key sets have no `use`.
pub(crate) fn bundles(domains: &[(&str, &[&Domain])]) -> Bundles {
    let one = |(name, domains): &(&str, &[&Domain])| {
        let (mut authorities, mut keys) = (Vec::new(), Vec::new());
        for domain in *domains {
            let bundle = domain.trust_bundle();
            authorities.extend(bundle.authorities().flatten().copied());
            let jwks = bundle.jwks().to_string();
            let key = jwks.strip_prefix("{\"keys\":[").unwrap();
            keys.push(
                key.strip_suffix("]}")
                    .unwrap()
                    .replace(",\"use\":\"jwt-svid\"", ""),
            );
        }
        let jwks = format!("{{\"keys\":[{}]}}", keys.join(","));
        (format!("spiffe://{name}"), (authorities, jwks.into_bytes()))
    };
    domains.iter().map(one).collect()
}

/// A field of bytes.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut written = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7F {
        written.push(u8::try_from(length & 0x7F).unwrap() | 0x80);
        length >>= 7;
    }
    written.push(u8::try_from(length).unwrap());
    written.extend(bytes);
    written
}

/// An entry of a map.
pub(crate) fn entry(map: u8, key: &str, value: &[u8]) -> Vec<u8> {
    field(map, &[field(1, key.as_bytes()), field(2, value)].concat())
}

pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

/// Which bundles are streamed.
#[derive(Debug, Clone, Copy)]
enum Kind {
    X509,
    Jwt,
}

/// What one method says of them.
fn message(bundles: &Bundles, kind: Kind) -> Vec<u8> {
    let entries = bundles
        .iter()
        .map(|(name, (authorities, jwks))| match kind {
            Kind::X509 => entry(2, name, authorities),
            Kind::Jwt => entry(1, name, jwks),
        });
    frame(&entries.collect::<Vec<_>>().concat())
}

/// The agent, at a socket, on a thread of its own: a test that waits for a process does not answer. Dropping it ends it and every
/// connection.
pub(crate) struct Spire {
    pub(crate) socket: PathBuf,
    script: watch::Sender<Act>,
    /// How many streams were opened.
    opened: Arc<AtomicU64>,
    serving: Option<JoinHandle<()>>,
    end: Arc<Notify>,
}

impl Spire {
    pub(crate) fn serve(socket: &Path, act: Act) -> Self {
        drop(std::fs::remove_file(socket));
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (script, told) = watch::channel(act);
        let (opened, end) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let (counter, ending) = (Arc::clone(&opened), Arc::clone(&end));
        let serving = std::thread::spawn(move || {
            runtime().block_on(async {
                tokio::select! {
                    () = ending.notified() => {}
                    () = serve(listener, told, counter) => {}
                }
            });
        });
        Self {
            socket: socket.to_owned(),
            script,
            opened,
            serving: Some(serving),
            end,
        }
    }

    /// From now on it does this.
    pub(crate) fn act(&self, act: Act) {
        self.script.send_replace(act);
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    /// Waits until nobody listens to it.
    pub(crate) async fn left_alone(&self) {
        while self.script.receiver_count() > 1 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Spire {
    fn drop(&mut self) {
        self.end.notify_one();
        drop(self.serving.take().map(JoinHandle::join));
        drop(std::fs::remove_file(&self.socket));
    }
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    told: watch::Receiver<Act>,
    counter: Arc<AtomicU64>,
) {
    let listener = UnixListener::from_std(listener).unwrap();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (told, counter) = (told.clone(), Arc::clone(&counter));
        let service = hyper::service::service_fn(move |request| {
            counter.fetch_add(1, Ordering::SeqCst);
            let response = answer(&request, told.clone());
            async move { Ok::<_, Infallible>(response) }
        });
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        connections.spawn(http2.serve_connection(TokioIo::new(stream), service));
    }
}

fn status(code: &'static str) -> HeaderMap {
    let said = [
        ("grpc-status", code),
        ("grpc-message", "\u{7f}a%20long story"),
    ];
    let said = said.map(|(name, value)| {
        let value = HeaderValue::from_bytes(value.as_bytes());
        (
            name.parse().unwrap(),
            value.unwrap_or(HeaderValue::from_static("x")),
        )
    });
    said.into_iter().collect()
}

fn answer(request: &Request<Incoming>, mut told: watch::Receiver<Act>) -> Response<Messages> {
    let (sender, receiver) = mpsc::channel(1);
    let mut response = Response::new(Messages(receiver));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    let metadata: Vec<_> = request
        .headers()
        .get_all("workload.spiffe.io")
        .iter()
        .collect();
    let kind = match request.uri().path() {
        "/SpiffeWorkloadAPI/FetchX509Bundles" => Kind::X509,
        "/SpiffeWorkloadAPI/FetchJWTBundles" => Kind::Jwt,
        _ => {
            response.headers_mut().extend(status("12"));
            return response;
        }
    };
    let act = told.borrow_and_update().clone();
    if metadata != ["true"] || request.headers()["te"] != "trailers" {
        response.headers_mut().extend(status("3"));
    } else if let Act::Status(code) = act {
        response.headers_mut().extend(status(code));
    } else if matches!(act, Act::Html) {
        let html = HeaderValue::from_static("text/html");
        response.headers_mut().insert("content-type", html);
    } else {
        tokio::spawn(async move {
            let mut act = act;
            loop {
                let data = |bytes: Vec<u8>| Frame::data(Bytes::from(bytes));
                let end = match act {
                    Act::Say(bundles) => {
                        drop(sender.send(data(message(&bundles, kind))).await);
                        None
                    }
                    Act::Flood(bundles) => {
                        let flood = message(&bundles, kind).repeat(1025);
                        drop(sender.send(data(flood)).await);
                        None
                    }
                    Act::Raw(bytes) => {
                        drop(sender.send(data(bytes)).await);
                        None
                    }
                    Act::Status(code) => Some(Some(code)),
                    Act::End | Act::Html => Some(None),
                    Act::Silence => None,
                };
                if let Some(code) = end {
                    if let Some(code) = code {
                        drop(sender.send(Frame::trailers(status(code))).await);
                    }
                    return;
                }
                tokio::select! {
                    () = sender.closed() => return,
                    changed = told.changed() => if changed.is_err() { return },
                }
                act = told.borrow_and_update().clone();
            }
        });
    }
    response
}

struct Messages(mpsc::Receiver<Frame<Bytes>>);

impl Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}
