//! The agent socket: the built-in issuer vouches for processes on this machine.
//!
//! One Unix socket, two ways to ask. With gRPC, the SPIFFE Workload API (`workload_api`). With JSON, three requests that need
//! no library: `POST /v1/jwt-svid`, `POST /v1/x509-svid`, `GET /v1/bundle`. What a process is, the kernel says
//! (`attest`); which agent that makes it, the registration says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use writ_token::{CertifiedLeaf, SubjectKey, generate_signing_key};
use writ_types::{Agent, JsonLimits, Secret, SpiffeId, Timestamp, Value};

use crate::attest::{self, AttestError, DataFolder, OwnUser, Peer, Seen};
use crate::http::{json, respond};
use crate::plane::{Connection, Plane};
use crate::workload_api;

/// Life of a JWT-SVID.
const JWT_LIFE: Duration = Duration::from_secs(300);
/// Longest wait for a request's body.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest request, in bytes.
const MOST: usize = 16 * 1024;
/// Most connections of one user at once: one user's processes leave room for the others'.
const MOST_OF_ONE_USER: usize = 96;

/// A response on the agent socket.
pub type IdentityBody = UnsyncBoxBody<Bytes, Infallible>;

/// How many connections each user has.
#[derive(Debug, Default)]
pub(crate) struct Callers(Mutex<BTreeMap<u32, usize>>);

/// A user's place among the connections, given back when dropped.
#[derive(Debug)]
struct Place {
    callers: Arc<Callers>,
    uid: u32,
}

impl Callers {
    fn admit(self: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(uid).or_default();
        if *count >= MOST_OF_ONE_USER {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            callers: Arc::clone(self),
            uid,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .callers
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

/// Who is at the other end of a connection to the agent socket.
#[derive(Debug, Clone)]
pub struct Workload {
    peer: Result<Arc<Peer>, AttestError>,
    _place: Arc<Place>,
}

impl Workload {
    /// Asks the kernel who is there, as soon as the connection is accepted. None if the user has too many connections.
    #[must_use]
    pub fn of(plane: &Plane, stream: &tokio::net::UnixStream) -> Option<Self> {
        let peer = Peer::of(stream).map(Arc::new);
        // Those whom the kernel does not name share the places of a user that nobody is (chown(2): -1 is no user).
        let uid = peer.as_ref().map_or(u32::MAX, |peer| peer.uid());
        let place = plane.callers.admit(uid)?;
        Some(Self {
            peer,
            _place: Arc::new(place),
        })
    }
}

/// Looks at the process again: it is what it is now.
async fn attested(plane: &Plane, workload: &Workload) -> Result<Seen, Refused> {
    let unattested = |fault: AttestError| Refused::Unattested(fault.to_string());
    let peer = workload.peer.as_ref().map_err(|fault| unattested(*fault))?;
    let own_user = if plane.settings.single_user_machine {
        OwnUser::Accepted
    } else {
        OwnUser::Refused(DataFolder(plane.settings.data.clone()))
    };
    let loaded = plane.loaded();
    let wanted = attest::wanted(peer.uid(), loaded.agents.values().map(Arc::clone));
    let seen = attest::look(Arc::clone(peer), own_user, wanted).await;
    seen.map_err(unattested)
}

/// Every agent that the process is, in the order of their SPIFFE ids; at least one.
pub(crate) async fn agents_of(
    plane: &Plane,
    workload: &Workload,
) -> Result<Vec<Arc<Agent>>, Refused> {
    let seen = attested(plane, workload).await?;
    let mut agents = matching(plane, &seen);
    if agents.is_empty() {
        return Err(unregistered(&seen));
    }
    agents.sort_by(|one, other| one.spiffe.cmp(&other.spiffe));
    Ok(agents)
}

fn matching(plane: &Plane, seen: &Seen) -> Vec<Arc<Agent>> {
    let loaded = plane.loaded();
    let agents = loaded.agents.values();
    let own = agents.filter(|agent| seen.is(agent) && !plane.has_stopped(agent));
    // The built-in issuer vouches for its own trust domain alone.
    let own = own.filter(|agent| *agent.spiffe.trust_domain() == plane.settings.trust_domain);
    own.map(Arc::clone).collect()
}

fn unregistered(seen: &Seen) -> Refused {
    let program = &seen.program;
    let path = program.shown.as_ref().map_or_else(
        || "unreadable program".to_owned(),
        |path| path.display().to_string(),
    );
    let fault = program
        .here
        .err()
        .or_else(|| program.digest.as_ref().err().copied());
    Refused::Unregistered {
        uid: seen.uid,
        path,
        fault: fault.map_or_else(String::new, |fault| format!("; {fault}")),
    }
}

/// A fresh JWT-SVID.
pub(crate) fn jwt_svid(
    plane: &Plane,
    agent: &Agent,
    audiences: &[&str],
    now: Timestamp,
) -> Result<String, Refused> {
    let id = writ_types::TokenId::new(now, crate::random());
    let signer = plane.keys.domain.jwt();
    let svid = signer.sign(&agent.spiffe, audiences, JWT_LIFE, now, id);
    svid.map_err(|_fault| Refused::Issue)
}

fn x509_svid(
    plane: &Plane,
    agent: &Agent,
    key: &SubjectKey,
    now: Timestamp,
) -> Option<CertifiedLeaf> {
    let life = plane.settings.x509_svid_life;
    let authority = plane.keys.domain.x509();
    authority
        .issue(&agent.spiffe, key, now, life, crate::random())
        .ok()
}

/// A fresh X.509-SVID with a fresh private key, as the Workload API hands it out.
pub(crate) fn x509_svid_with_key(
    plane: &Plane,
    agent: &Agent,
    now: Timestamp,
) -> Option<(CertifiedLeaf, Secret<Vec<u8>>)> {
    let key = generate_signing_key().ok()?;
    let public = SubjectKey::of_pkcs8(&key).ok()?;
    Some((x509_svid(plane, agent, &public, now)?, key))
}

/// Why a process gets no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Unattested(String),
    #[error(
        "no registered agent matches this process (uid {uid}, {path}{fault}): see `writ agent add`"
    )]
    Unregistered {
        uid: u32,
        path: String,
        fault: String,
    },
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
) -> Response<IdentityBody> {
    if workload_api::is_grpc(&request) {
        return workload_api::serve(plane, workload, request).await;
    }
    let response = match answer(&plane, &workload, request).await {
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
    };
    response.map(http_body_util::BodyExt::boxed_unsync)
}

async fn answer(
    plane: &Plane,
    workload: &Workload,
    request: Request<Incoming>,
) -> Result<Value, Refused> {
    let (head, body) = request.into_parts();
    let seen = attested(plane, workload).await?;
    let body = read(body).await?;
    let text = |name| body.member(name).and_then(Value::as_str);
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|_went_back| Refused::Issue)?;
    match (head.method.as_str(), head.uri.path()) {
        ("GET", "/v1/bundle") => Ok(crate::oauth::spiffe_bundle(plane)),
        ("POST", "/v1/jwt-svid") => {
            let agent = registered(plane, &seen, text("spiffe_id"))?;
            let audience = text("audience").ok_or(Refused::Invalid("`audience` is missing"))?;
            let svid = jwt_svid(plane, &agent, &[audience], now)?;
            Ok(Value::object([
                ("spiffe_id", Value::from(agent.spiffe.as_str())),
                ("svid", Value::from(svid)),
                ("expires_at", Value::from(now.plus(JWT_LIFE).to_string())),
            ]))
        }
        ("POST", "/v1/x509-svid") => {
            let agent = registered(plane, &seen, text("spiffe_id"))?;
            let key = text("public_key").and_then(crate::base64_decode);
            let key = key.ok_or(Refused::Invalid(
                "`public_key` is a base64 SubjectPublicKeyInfo of a P-256 key",
            ))?;
            let key = SubjectKey::from_spki(&key);
            let key = key.map_err(|_fault| {
                Refused::Invalid("`public_key` is no P-256 SubjectPublicKeyInfo")
            })?;
            let leaf = x509_svid(plane, &agent, &key, now).ok_or(Refused::Issue)?;
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
fn registered(plane: &Plane, seen: &Seen, wanted: Option<&str>) -> Result<Arc<Agent>, Refused> {
    let wanted: Option<SpiffeId> = match wanted {
        Some(text) => Some(
            text.parse()
                .map_err(|_malformed| Refused::Invalid("`spiffe_id` is no SPIFFE id"))?,
        ),
        None => None,
    };
    if let Some(named) = wanted
        .as_ref()
        .and_then(|id| plane.loaded().agent_of(id).cloned())
    {
        plane.tell_nobody(&named, &Connection::local());
    }
    let mut agents = matching(plane, seen);
    agents.retain(|agent| wanted.as_ref().is_none_or(|wanted| agent.spiffe == *wanted));
    match agents.as_slice() {
        [] => Err(unregistered(seen)),
        [agent] => Ok(Arc::clone(agent)),
        _ => Err(Refused::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_users_connections_leave_room_for_the_others() {
        let callers = Arc::<Callers>::default();
        let mut places: Vec<_> = (0..MOST_OF_ONE_USER)
            .map(|_| callers.admit(1000).unwrap())
            .collect();
        assert!(callers.admit(1000).is_none());
        assert!(callers.admit(1001).is_some());
        places.pop();
        assert!(callers.admit(1000).is_some(), "a place was given back");
        places.clear();
        assert!(callers.0.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
