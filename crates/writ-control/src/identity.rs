//! The agent socket: the built-in issuer vouches for processes on this machine.
//!
//! HTTP/1.1 on a Unix socket, three requests: `POST /v1/jwt-svid`, `POST /v1/x509-svid`, `GET /v1/bundle`. What a
//! process is, the kernel says (`attest`); which agent that makes it, the registration says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use writ_token::SubjectKey;
use writ_types::{Agent, JsonLimits, SpiffeId, Value};

use crate::attest::{OwnUser, Peer};
use crate::http::{json, respond};
use crate::plane::Plane;

/// Life of a JWT-SVID.
const JWT_LIFE: Duration = Duration::from_secs(300);
/// Life of an X.509-SVID.
const X509_LIFE: Duration = Duration::from_secs(3600);
/// Longest wait for a request's body.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest request, in bytes.
const MOST: usize = 16 * 1024;

/// Who is at the other end of a connection to the agent socket.
#[derive(Debug, Clone)]
pub struct Workload(Result<Peer, String>);

impl Workload {
    /// Asks the kernel who is there.
    #[must_use]
    pub fn of(plane: &Plane, stream: &tokio::net::UnixStream) -> Self {
        let own_user = if plane.settings.single_user_machine {
            OwnUser::Accepted
        } else {
            OwnUser::Refused
        };
        Self(Peer::of(stream, own_user).map_err(|fault| fault.to_string()))
    }
}

/// Why a process gets no identity.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Unattested(String),
    #[error("no registered agent matches this process (uid {uid}, {path}): see `writ agent add`")]
    Unregistered { uid: u32, path: String },
    #[error("this process matches several agents: name one with `spiffe_id`")]
    Ambiguous,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("there is no such request: POST /v1/jwt-svid, POST /v1/x509-svid, GET /v1/bundle")]
    NotFound,
    #[error("the identity could not be issued")]
    Issue,
}

/// Serves one request of a process.
pub async fn serve(
    plane: Arc<Plane>,
    workload: Workload,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match answer(&plane, &workload, request).await {
        Ok(value) => json(StatusCode::OK, &value),
        Err(refused) => {
            let status = match refused {
                Refused::Unattested(_) | Refused::Unregistered { .. } => StatusCode::FORBIDDEN,
                Refused::Ambiguous | Refused::Invalid(_) => StatusCode::BAD_REQUEST,
                Refused::NotFound => StatusCode::NOT_FOUND,
                Refused::Issue => StatusCode::SERVICE_UNAVAILABLE,
            };
            let body = Value::object([("error", Value::from(refused.to_string()))]);
            respond(status, "application/json", body.to_string())
        }
    }
}

async fn answer(
    plane: &Plane,
    workload: &Workload,
    request: Request<Incoming>,
) -> Result<Value, Refused> {
    let (head, body) = request.into_parts();
    let peer = workload
        .0
        .as_ref()
        .map_err(|why| Refused::Unattested(why.clone()))?;
    let body = read(body).await?;
    let text = |name| body.member(name).and_then(Value::as_str);
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|_went_back| Refused::Issue)?;
    match (head.method.as_str(), head.uri.path()) {
        ("GET", "/v1/bundle") => Ok(crate::oauth::spiffe_bundle(plane)),
        ("POST", "/v1/jwt-svid") => {
            let agent = registered(plane, peer, text("spiffe_id"))?;
            let audience = text("audience").ok_or(Refused::Invalid("`audience` is missing"))?;
            let svid = plane.keys.domain.jwt().sign(
                &agent.spiffe,
                audience,
                JWT_LIFE,
                now,
                writ_types::TokenId::new(now, crate::random()),
            );
            let svid = svid.map_err(|_fault| Refused::Issue)?;
            Ok(Value::object([
                ("spiffe_id", Value::from(agent.spiffe.as_str())),
                ("svid", Value::from(svid)),
                ("expires_at", Value::from(now.plus(JWT_LIFE).to_string())),
            ]))
        }
        ("POST", "/v1/x509-svid") => {
            let agent = registered(plane, peer, text("spiffe_id"))?;
            let key = text("public_key").and_then(crate::base64_decode);
            let key = key.ok_or(Refused::Invalid(
                "`public_key` is a base64 SubjectPublicKeyInfo of a P-256 key",
            ))?;
            let key = SubjectKey::from_spki(&key);
            let key = key.map_err(|_fault| {
                Refused::Invalid("`public_key` is no P-256 SubjectPublicKeyInfo")
            })?;
            let leaf = plane.keys.domain.x509().issue(
                &agent.spiffe,
                &key,
                now,
                X509_LIFE,
                crate::random(),
            );
            let leaf = leaf.map_err(|_fault| Refused::Issue)?;
            Ok(Value::object([
                ("spiffe_id", Value::from(agent.spiffe.as_str())),
                ("certificate", Value::from(crate::base64_encode(&leaf.der))),
                (
                    "authority",
                    Value::from(crate::base64_encode(plane.keys.domain.x509().certificate())),
                ),
                ("expires_at", Value::from(leaf.not_after.to_string())),
            ]))
        }
        _ => Err(Refused::NotFound),
    }
}

/// The request's JSON object, bounded in size and in time; empty if there is no body.
async fn read(body: Incoming) -> Result<Value, Refused> {
    let collected = Limited::new(body, MOST).collect();
    let collected = tokio::time::timeout(PATIENCE, collected).await;
    let collected =
        collected.map_err(|_elapsed| Refused::Invalid("the body did not arrive in time"))?;
    let body = collected.map_err(|_too_large| Refused::Invalid("the body is too large"))?;
    match body.to_bytes() {
        bytes if bytes.is_empty() => Ok(Value::object::<String>([])),
        bytes => Value::parse(&bytes, &JsonLimits::REQUEST)
            .map_err(|_fault| Refused::Invalid("the body is a JSON object")),
    }
}

/// The one agent that a process is.
fn registered(plane: &Plane, peer: &Peer, wanted: Option<&str>) -> Result<Arc<Agent>, Refused> {
    let wanted: Option<SpiffeId> = match wanted {
        Some(text) => Some(
            text.parse()
                .map_err(|_malformed| Refused::Invalid("`spiffe_id` is no SPIFFE id"))?,
        ),
        None => None,
    };
    let loaded = plane.loaded();
    let mut matching = loaded.agents.values().filter(|agent| peer.is(agent));
    let mut matching = matching
        .by_ref()
        .filter(|agent| wanted.as_ref().is_none_or(|wanted| agent.spiffe == *wanted));
    let path = peer.path.as_ref().map_or_else(
        || "unreadable program".to_owned(),
        |path| path.display().to_string(),
    );
    let agent = matching.next().ok_or(Refused::Unregistered {
        uid: peer.uid,
        path,
    })?;
    if matching.next().is_some() {
        Err(Refused::Ambiguous)
    } else {
        Ok(Arc::clone(agent))
    }
}
