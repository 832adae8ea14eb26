//! A session with an MCP server (revision 2025-11-25, lifecycle and streamable HTTP): opened for a call that is permitted and recorded, with the
//! credential of that call, and used by the calls of its task.
//!
//! What the server says of itself when it is opened (its instructions, its name, its capabilities) goes nowhere: what it has was pinned.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use writ_contract::Ask;
use writ_types::{CallId, JsonLimits, ReasonCode, UpstreamUrl, Value};

use super::sessions::{Held, Open};
use super::standing::{Standing, standing};
use super::{Pings, Sent};
use crate::coming::{Coming, Unfinished};
use crate::gateway::random;
use crate::mcp::{Reader, Revision, tools};
use crate::pool::{Lease, Pool, Unanswered};
use crate::transaction::TXN_TOKEN;
use crate::upload::Upload;

/// The field that names a session.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The field that names the revision in every request after the first.
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Largest answer to `initialize`, in bytes.
const MOST: usize = 256 * 1024;
/// Longest id of a session, in characters.
const LONGEST_ID: usize = 512;
/// The id of the request that opens a session.
pub(super) const OPENING: &str = "initialize";
/// The server did not open a session as its revision says.
const INVALID: Unanswered = Unanswered {
    reason: ReasonCode::UpstreamInvalid,
    heard: false,
};

/// What tells one session from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionMark([u8; 10]);

/// An open session.
pub(super) struct Session {
    pub(super) mark: SessionMark,
    pub(super) upstream: UpstreamUrl,
    target: Uri,
    /// What the server says in it beside its calls, while somebody listens.
    pub(super) standing: tokio::sync::Mutex<Weak<Standing>>,
    /// The fields of each message in it: the credential as it was attached to the call that opened it, and the session's own.
    fields: HeaderMap,
}

/// Sends a call in its task's session, which is opened if it is not open.
///
/// A server that does not know the session any more should not have taken the call (404). That is its word, or that of whoever stands before it:
/// a call that changes nothing is sent once more, in a new session, and of any other nobody knows whether it was heard.
///
/// # Errors
///
/// [`Unanswered`]: nothing of the call itself was heard where no session could be opened.
pub(crate) async fn exchange(
    pool: &Arc<Pool>,
    upstream: &UpstreamUrl,
    held: Held,
    (call, sent): (CallId, Sent),
    request: Request<Upload>,
) -> Result<(Response<Coming>, Lease), Unanswered> {
    if let Sent::Answer(within) = sent {
        return answer_in(pool, (within, held), request).await;
    }
    let again = again(&request).ok_or(INVALID)?;
    let session = opened(pool, upstream, &held, &request, None).await?;
    let (response, lease) = asked(pool, &session, (call, sent), request).await?;
    if response.status() != StatusCode::NOT_FOUND || !session.fields.contains_key(SESSION) {
        return Ok(finish(response, lease, held));
    }
    drop(lease);
    response.into_body().let_go();
    if !matches!(sent, Sent::Read | Sent::Subscription) {
        forget(&held, &session).await;
        return Err(Unanswered {
            heard: true,
            ..INVALID
        });
    }
    let session = opened(pool, upstream, &held, &again, Some(&session)).await?;
    let (response, lease) = asked(pool, &session, (call, sent), again).await?;
    Ok(finish(response, lease, held))
}

/// Sends the answer to a question of the server, in the session in which it was asked.
///
/// # Errors
///
/// [`Unanswered`]: nothing was heard where that session is over.
async fn answer_in(
    pool: &Arc<Pool>,
    (within, held): (SessionMark, Held),
    mut request: Request<Upload>,
) -> Result<(Response<Coming>, Lease), Unanswered> {
    let place = held.place.open.lock().await;
    let session = asked_in(place.as_ref(), within).ok_or(INVALID)?;
    drop(place);
    if let Some(id) = session.fields.get(SESSION) {
        request.headers_mut().insert(SESSION, id.clone());
    }
    let (response, lease) = pool.exchange(&session.upstream, request).await?;
    if !response.status().is_success() {
        return Err(Unanswered {
            reason: ReasonCode::UpstreamInvalid,
            heard: true,
        });
    }
    Ok(finish(response.map(Coming::from), lease, held))
}

/// The session that is open, if it is this one. In another the server's id would be that of another question.
fn asked_in(open: Option<&Open>, within: SessionMark) -> Option<Arc<Session>> {
    match open? {
        Open::Session(session) if session.mark == within => Some(Arc::clone(session)),
        Open::Session(_) | Open::Process(_) => None,
    }
}

/// The next call opens another session than the one that is gone.
async fn forget(held: &Held, gone: &Arc<Session>) {
    let mut place = held.place.open.lock().await;
    let is_gone = matches!(&*place, Some(Open::Session(session)) if Arc::ptr_eq(session, gone));
    if is_gone {
        *place = None;
    }
}

/// The session counts as used until its last answer was read.
fn finish(mut response: Response<Coming>, lease: Lease, held: Held) -> (Response<Coming>, Lease) {
    response.body_mut().hold(held);
    (response, lease)
}

/// The same request once more: its body is at hand.
fn again(request: &Request<Upload>) -> Option<Request<Upload>> {
    let Upload::Whole(body) = request.body() else {
        return None;
    };
    let mut copy = Request::new(Upload::Whole(body.clone()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// The task's session: the one that is open, unless it is the one that is gone.
async fn opened(
    pool: &Arc<Pool>,
    upstream: &UpstreamUrl,
    held: &Held,
    request: &Request<Upload>,
    gone: Option<&Arc<Session>>,
) -> Result<Arc<Session>, Unanswered> {
    let mut place = held.place.open.lock().await;
    if let Some(Open::Session(session)) = &*place
        && !gone.is_some_and(|gone| Arc::ptr_eq(session, gone))
    {
        return Ok(Arc::clone(session));
    }
    *place = None;
    let session = open(pool, upstream, request, held.place.asks()).await?;
    *place = Some(Open::Session(Arc::clone(&session)));
    Ok(session)
}

/// `initialize`, and that it was understood.
async fn open(
    pool: &Arc<Pool>,
    upstream: &UpstreamUrl,
    request: &Request<Upload>,
    asks: &BTreeSet<Ask>,
) -> Result<Arc<Session>, Unanswered> {
    let mut session = Session {
        mark: SessionMark(random()),
        upstream: upstream.clone(),
        target: request.uri().clone(),
        standing: tokio::sync::Mutex::default(),
        fields: request.headers().clone(),
    };
    session.fields.remove(VERSION);
    let unheard = |fault: Unanswered| Unanswered {
        heard: false,
        ..fault
    };
    let opening = session.request(Method::POST, opening(asks));
    let (response, lease) = pool.exchange(upstream, opening).await.map_err(unheard)?;
    if response.status() != StatusCode::OK {
        return Err(INVALID);
    }
    let (head, body) = response.into_parts();
    session.name(&head.headers).ok_or(INVALID)?;
    let session = Arc::new(session);
    let body = Coming::in_session(body, (pings(pool, &session), session.mark), None);
    let is_open = introduced(pool, &session, &head.headers, body, lease).await;
    match is_open {
        Ok(()) => Ok(session),
        Err(fault) => {
            // The server may have opened it all the same.
            let pool = Arc::clone(pool);
            tokio::spawn(async move { session.end(&pool).await });
            Err(fault)
        }
    }
}

/// The request that opens a session. The server is told of no capability but of those in which the API's owner lets it ask at all.
pub(super) fn opening(asks: &BTreeSet<Ask>) -> String {
    let can = asks.iter();
    let can = can.map(|ask| (ask.as_str(), Value::object::<&str>([])));
    let params = Value::object([
        ("protocolVersion", Value::from(Revision::Sessions.as_str())),
        ("capabilities", Value::object(can)),
        ("clientInfo", tools::server()),
    ]);
    format!(r#"{{"jsonrpc":"2.0","id":"{OPENING}","method":"initialize","params":{params}}}"#)
}

/// Whether an answer to it is of the revision that was pinned.
pub(super) fn speaks(message: &Value) -> bool {
    let result = message.member("result");
    let spoken = result.and_then(|result| result.member("protocolVersion"));
    spoken.and_then(Value::as_str) == Some(Revision::Sessions.as_str())
}

/// Whether the server speaks the revision that was pinned, and has heard that it was understood.
async fn introduced(
    pool: &Arc<Pool>,
    session: &Session,
    headers: &HeaderMap,
    body: Coming,
    lease: Lease,
) -> Result<(), Unanswered> {
    let late = Unanswered {
        reason: ReasonCode::UpstreamTimeout,
        heard: false,
    };
    let read = tokio::time::timeout(pool.timeouts().upstream_idle, read(body));
    let said = read.await.map_err(|_elapsed| late)?.ok_or(INVALID)?;
    lease.give_back();
    let message = answer(headers, &said).ok_or(INVALID)?;
    if !speaks(&message) {
        return Err(INVALID);
    }
    let understood = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let status = session
        .tell(pool, Method::POST, understood.to_owned())
        .await;
    let taken = status.is_some_and(|status| status.is_success());
    taken.then_some(()).ok_or(INVALID)
}

/// The answer to `initialize`. What the server tells before it is dropped; what it asks is refused.
fn answer(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let read = |bytes: &[u8]| Value::parse(bytes, &JsonLimits::DOCUMENT).ok();
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let is_answer = |message: &Value| message.member("id").and_then(Value::as_str) == Some(OPENING);
    match kind.split(';').next()?.trim() {
        "application/json" => read(body).filter(is_answer),
        "text/event-stream" => Reader::all(body).iter().find_map(|data| {
            let message = read(data);
            let told = message
                .as_ref()
                .is_some_and(|message| message.member("id").is_none());
            (!told).then_some(message)
        })?,
        _ => None,
    }
    .filter(|message| is_answer(message) && message.member("method").is_none())
}

/// Sends a call in a session. For a subscription it is listened to what is said beside calls before the server hears of it, so that nothing is missed.
async fn asked(
    pool: &Arc<Pool>,
    session: &Arc<Session>,
    (call, sent): (CallId, Sent),
    request: Request<Upload>,
) -> Result<(Response<Coming>, Lease), Unanswered> {
    let standing = match sent {
        Sent::Subscription => Some(standing(pool, session).await?),
        Sent::Read | Sent::Call | Sent::Answer(_) => None,
    };
    let (mut response, lease) = send(pool, session, call, request).await?;
    if let Some(standing) = standing {
        response.body_mut().listen(standing);
    }
    Ok((response, lease))
}

/// Sends a call in a session. If its answer is given up, the server is told so.
async fn send(
    pool: &Arc<Pool>,
    session: &Arc<Session>,
    call: CallId,
    mut request: Request<Upload>,
) -> Result<(Response<Coming>, Lease), Unanswered> {
    if let Some(id) = session.fields.get(SESSION) {
        request.headers_mut().insert(SESSION, id.clone());
    }
    let (to, through) = (Arc::clone(session), Arc::clone(pool));
    let unfinished = Unfinished::new(move || {
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"{call}"}}}}"#
        );
        to.mention(&through, message);
    });
    match pool.exchange(&session.upstream, request).await {
        Ok((response, lease)) => {
            let pings = (pings(pool, session), session.mark);
            let coming = |body| Coming::in_session(body, pings, Some(unfinished));
            Ok((response.map(coming), lease))
        }
        Err(fault) => {
            if !fault.heard {
                unfinished.finish();
            }
            Err(fault)
        }
    }
}

/// Answers the pings of an answer in the session.
pub(super) fn pings(pool: &Arc<Pool>, session: &Arc<Session>) -> Pings {
    let (to, through) = (Arc::downgrade(session), Arc::downgrade(pool));
    Pings::new(move |id| {
        if let (Some(to), Some(through)) = (to.upgrade(), through.upgrade()) {
            let pong = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            to.mention(&through, pong);
        }
    })
}

/// An answer, read whole. None if it is too large or breaks off.
async fn read(mut body: Coming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let part = frame.ok()?.into_data().ok()?;
        if whole.len().saturating_add(part.len()) > MOST {
            return None;
        }
        whole.extend_from_slice(&part);
    }
    Some(whole.freeze())
}

impl Session {
    pub(super) fn request(&self, method: Method, message: String) -> Request<Upload> {
        let mut request = Request::new(Upload::whole(Bytes::from(message)));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.fields.clone();
        request
    }

    /// Takes the session's id from the answer to `initialize`: one of visible ASCII, or none where the server keeps no sessions.
    fn name(&mut self, headers: &HeaderMap) -> Option<()> {
        // A transaction token is of one call.
        self.fields.remove(TXN_TOKEN);
        let version = HeaderValue::from_static(Revision::Sessions.as_str());
        self.fields.insert(VERSION, version);
        let mut ids = headers.get_all(SESSION).iter();
        match (ids.next(), ids.next()) {
            (None, _) => {}
            (Some(id), None) => {
                let visible = id.as_bytes().iter().all(u8::is_ascii_graphic);
                let short = (1..=LONGEST_ID).contains(&id.len());
                let mut id = id.clone();
                id.set_sensitive(true);
                self.fields
                    .insert(SESSION, (visible && short).then_some(id)?);
            }
            (Some(_), Some(_)) => return None,
        }
        Some(())
    }

    /// Sends one message whose answer nobody reads; gives its status.
    async fn tell(&self, pool: &Arc<Pool>, method: Method, message: String) -> Option<StatusCode> {
        let request = self.request(method, message);
        let (response, lease) = pool.exchange(&self.upstream, request).await.ok()?;
        let status = response.status();
        let body = read(Coming::from(response.into_body()));
        if let Ok(Some(_)) = tokio::time::timeout(SHORT, body).await {
            lease.give_back();
        }
        Some(status)
    }

    /// Sends a message beside a call.
    pub(super) fn mention(self: &Arc<Self>, pool: &Arc<Pool>, message: String) {
        let (session, pool) = (Arc::clone(self), Arc::clone(pool));
        let telling = async move {
            if session.tell(&pool, Method::POST, message).await.is_none() {
                tracing::debug!("an MCP server did not take a message");
            }
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(telling);
        }
    }

    /// Ends the session. A server may refuse to, and ends it when it likes.
    pub(super) async fn end(&self, pool: &Arc<Pool>) {
        if self.fields.contains_key(SESSION) {
            self.tell(pool, Method::DELETE, String::new()).await;
        }
    }
}

/// How long the rest of an answer is waited for in which nothing stands.
const SHORT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_to_the_session_that_asked_and_to_no_other() {
        let open = |mark| {
            Open::Session(Arc::new(Session {
                mark: SessionMark([mark; 10]),
                upstream: "http://127.0.0.1:1/mcp".parse().unwrap(),
                target: Uri::from_static("/mcp"),
                standing: tokio::sync::Mutex::default(),
                fields: HeaderMap::new(),
            }))
        };
        for (now, answers) in [(Some(open(1)), true), (Some(open(2)), false), (None, false)] {
            let session = asked_in(now.as_ref(), SessionMark([1; 10]));
            assert_eq!(session.is_some(), answers);
        }
    }
}
