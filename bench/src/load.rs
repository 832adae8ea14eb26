//! The load that wrk cannot make: a fresh proof of possession for each call, or a connection with a client certificate.
//!
//! A process of its own on the load's core, so that what it costs counts for nobody. It closes the loop as wrk does: each
//! connection sends its next request when it has read the last answer whole.

use std::cell::RefCell;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::response::Parts;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use writ::agent::random_id;
use writ_token::ProofKey;
use writ_types::{Clock, JsonLimits, Monotonic, Secret, Value};

use crate::error::{BenchError, Tried as _};
use crate::gateway::client_tls;
use crate::machine::{LOAD, MachineClock, on_core};
use crate::wrk::Counted;
use crate::{base64_decode, base64_encode};

/// What to send, to whom, for how long.
#[derive(Debug)]
pub(crate) struct Spec<'a> {
    pub(crate) port: u16,
    pub(crate) connections: u32,
    pub(crate) seconds: u32,
    pub(crate) path: &'a str,
    pub(crate) token: &'a str,
    /// The URL that proofs name and the key that makes them.
    pub(crate) proof: Option<(&'a str, &'a Secret<Vec<u8>>)>,
    /// The folder with the client's certificate, if it shows one.
    pub(crate) tls: Option<&'a Path>,
}

impl Spec<'_> {
    fn to_value(&self) -> Value {
        let mut members = vec![
            ("port", Value::from_u64(self.port.into())),
            ("connections", Value::from_u64(self.connections.into())),
            ("seconds", Value::from_u64(self.seconds.into())),
            ("path", Value::from(self.path)),
            ("token", Value::from(self.token)),
        ];
        if let Some((url, key)) = self.proof {
            members.push(("proof_url", Value::from(url)));
            members.push(("proof_key", Value::from(base64_encode(key.expose()))));
        }
        if let Some(folder) = self.tls {
            members.push(("tls", Value::from(folder.display().to_string())));
        }
        Value::object(members)
    }

    /// Runs the load in a process of its own.
    pub(crate) fn drive(&self) -> Result<Counted, BenchError> {
        use std::io::Write as _;
        let own = std::env::current_exe().tried(|| "find this program".to_owned())?;
        let mut child = on_core(LOAD, &own)
            .arg("load")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .tried(|| "start the load".to_owned())?;
        if let Some(mut pipe) = child.stdin.take() {
            let text = self.to_value().to_string();
            pipe.write_all(text.as_bytes())
                .tried(|| "talk to the load".to_owned())?;
        }
        let output = child
            .wait_with_output()
            .tried(|| "wait for the load".to_owned())?;
        let text = String::from_utf8_lossy(&output.stdout);
        counted(&text).ok_or_else(|| BenchError::Program {
            name: "the load".to_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn counted(text: &str) -> Option<Counted> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|text| text.parse().ok())
        .collect::<Option<_>>()?;
    let [requests, seconds, p50, p99, errors] = *numbers.first_chunk()?;
    Some(Counted {
        requests,
        seconds,
        p50,
        p99,
        errors,
    })
}

/// What all connections share.
struct Shared {
    address: SocketAddr,
    path: String,
    authorization: String,
    token: String,
    proof: Option<(String, ProofKey)>,
    nonce: RefCell<Option<String>>,
    tls: Option<Arc<rustls::ClientConfig>>,
    clock: Arc<dyn Clock>,
    end: Monotonic,
    seen: RefCell<Seen>,
}

impl Shared {
    /// Counts an answer and keeps the nonce it brings. Being told a new nonce is no error (RFC 9449 §8).
    fn count(&self, head: &Parts, latency: Duration, sent_nonce: Option<&str>) {
        let nonce = head.headers.get("dpop-nonce");
        let nonce = nonce.and_then(|nonce| nonce.to_str().ok());
        let fresh = nonce.filter(|nonce| sent_nonce != Some(nonce));
        let mut seen = self.seen.borrow_mut();
        match (head.status, fresh) {
            (StatusCode::OK, _) => seen.latencies.push(latency),
            (StatusCode::UNAUTHORIZED, Some(_)) => {}
            _ => seen.errors = seen.errors.saturating_add(1),
        }
        if let Some(fresh) = fresh {
            self.nonce.replace(Some(fresh.to_owned()));
        }
    }
}

#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    errors: u32,
}

/// The other side: reads what to do from standard input and writes what was counted.
pub(crate) fn serve() -> Result<String, BenchError> {
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .tried(|| "read what to send".to_owned())?;
    let spec = Value::parse(&text, &JsonLimits::DOCUMENT).unwrap_or(Value::Null);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .tried(|| "start a runtime".to_owned())?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, run(&spec))
}

async fn run(spec: &Value) -> Result<String, BenchError> {
    let clock = MachineClock::start();
    let number = |name| spec.member(name).and_then(Value::as_u64).unwrap_or(0);
    let start = clock.monotonic();
    let shared = Rc::new(shared(
        spec,
        &clock,
        start.plus(Duration::from_secs(number("seconds"))),
    )?);
    let mut connections = Vec::new();
    for _ in 0..number("connections") {
        connections.push(tokio::task::spawn_local(converse(Rc::clone(&shared))));
    }
    for connection in connections {
        connection
            .await
            .map_err(|fault| BenchError::Keys(fault.to_string()))??;
    }
    let took = clock.monotonic().since(start).as_secs_f64();
    let seen = std::mem::take(&mut *shared.seen.borrow_mut());
    let mut latencies = seen.latencies;
    latencies.sort_unstable();
    let at = |permille: usize| {
        let place = latencies.len().saturating_mul(permille) / 1000;
        latencies
            .get(place)
            .map_or(0.0, |span| span.as_secs_f64() * 1e6)
    };
    Ok(format!(
        "{} {took} {} {} {}",
        latencies.len(),
        at(500),
        at(990),
        seen.errors
    ))
}

fn shared(spec: &Value, clock: &Arc<dyn Clock>, end: Monotonic) -> Result<Shared, BenchError> {
    let text = |name| spec.member(name).and_then(Value::as_str).map(str::to_owned);
    let broken = || BenchError::Usage("`load` is started by the bench itself".to_owned());
    let port = spec.member("port").and_then(Value::as_u64);
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .ok_or_else(broken)?;
    let proof = match (text("proof_url"), text("proof_key")) {
        (Some(url), Some(key)) => {
            let key = Secret::new(base64_decode(&key)?);
            let key = ProofKey::from_pkcs8(&key);
            Some((
                url,
                key.map_err(|fault| BenchError::Keys(fault.to_string()))?,
            ))
        }
        _ => None,
    };
    let token = text("token").ok_or_else(broken)?;
    let scheme = if proof.is_some() { "DPoP" } else { "Bearer" };
    Ok(Shared {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        path: text("path").ok_or_else(broken)?,
        authorization: format!("{scheme} {token}"),
        token,
        proof,
        nonce: RefCell::default(),
        tls: text("tls")
            .map(|folder| client_tls(Path::new(&folder)))
            .transpose()?,
        clock: Arc::clone(clock),
        end,
        seen: RefCell::default(),
    })
}

async fn converse(shared: Rc<Shared>) -> Result<(), BenchError> {
    let mut sender = connect(&shared).await?;
    loop {
        let nonce = shared.nonce.borrow().clone();
        let request = request(&shared, nonce.as_deref())?;
        let sent = shared.clock.monotonic();
        if sent >= shared.end {
            return Ok(());
        }
        let broke = |fault: hyper::Error| {
            BenchError::Http(writ::http::HttpError::Exchange(
                shared.address.to_string(),
                fault.into(),
            ))
        };
        let response = sender.send_request(request).await.map_err(broke)?;
        let (head, body) = response.into_parts();
        body.collect().await.map_err(broke)?;
        let latency = shared.clock.monotonic().since(sent);
        shared.count(&head, latency, nonce.as_deref());
        sender.ready().await.map_err(broke)?;
    }
}

fn request(shared: &Shared, nonce: Option<&str>) -> Result<Request<Empty<Bytes>>, BenchError> {
    let keys = |fault: &dyn std::fmt::Display| BenchError::Keys(fault.to_string());
    let mut request = Request::get(&shared.path)
        .header(HOST, shared.address.to_string())
        .header(AUTHORIZATION, &shared.authorization);
    if let Some((url, key)) = &shared.proof {
        let proof = key.prove(
            ("GET", url),
            Some(&shared.token),
            nonce,
            &random_id()?,
            shared.clock.now(),
        );
        request = request.header("dpop", proof.map_err(|fault| keys(&fault))?);
    }
    request.body(Empty::new()).map_err(|fault| keys(&fault))
}

async fn connect(shared: &Shared) -> Result<SendRequest<Empty<Bytes>>, BenchError> {
    let name = || shared.address.to_string();
    let stream = TcpStream::connect(shared.address).await.tried(name)?;
    stream.set_nodelay(true).tried(name)?;
    match &shared.tls {
        None => handshake(TokioIo::new(stream)).await,
        Some(config) => {
            let server = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
            let stream = connector.connect(server, stream).await.tried(name)?;
            handshake(TokioIo::new(stream)).await
        }
    }
}

async fn handshake<I>(io: I) -> Result<SendRequest<Empty<Bytes>>, BenchError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(io)
        .await
        .map_err(|fault| BenchError::Keys(fault.to_string()))?;
    tokio::task::spawn_local(async move {
        // What broke shows in the exchange.
        drop(connection.await);
    });
    Ok(sender)
}
