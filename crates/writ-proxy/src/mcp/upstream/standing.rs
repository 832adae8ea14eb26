//! What a server says of resources that its clients subscribed to: over HTTP on the stream of their session (2025-11-25), which stands as long as there is a
//! subscription, and otherwise on the stream that answers the subscription itself (2026-07-28).
//!
//! Of all that comes there the notifications of updates are read, and of those their URI. Everything else is dropped; pings are answered, and any other request of the server ends
//! the stream.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use writ_types::{CallId, JsonLimits, ReasonCode, Value};

use super::session::{Session, pings};
use super::sessions::Held;
use super::tells;
use crate::coming::Coming;
use crate::mcp::Reader;
use crate::mcp::updates::{Ear, updated};
use crate::pool::{Lease, Pool, Unanswered};

/// Longest message that is looked at, in bytes; a longer one ends the stream.
const LONGEST: usize = 64 * 1024;
/// Most bytes that a server says before it says that it holds a subscription.
const MOST_BEFORE: usize = 1024 * 1024;
/// Most messages that are read within a second: the server waits with the others.
const MOST_A_SECOND: u32 = 100;
/// How long after the end of a stream another is opened, and how long after one that could not be: ever longer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a stream stands after which an end is no failure.
const STOOD: Duration = Duration::from_secs(60);
/// How often in a row it is tried.
const TRIES: u32 = 5;
/// The method that says which subscriptions are held.
pub(super) const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// What names the subscription in what is said on its stream.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Who hears of which resource in one session with a server.
#[derive(Debug, Default)]
pub(crate) struct Hearers(Mutex<Vec<(String, Weak<Ear>)>>);

impl Hearers {
    fn all(&self) -> MutexGuard<'_, Vec<(String, Weak<Ear>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, uri: &str, ear: &Arc<Ear>) {
        self.all().push((uri.to_owned(), Arc::downgrade(ear)));
    }

    /// One less hears of it, this ear; whether nobody does any more.
    fn leave(&self, uri: &str, ear: &Weak<Ear>) -> bool {
        let mut all = self.all();
        let is_own = |(other, whose): &(String, Weak<Ear>)| other == uri && whose.ptr_eq(ear);
        let own = all.iter().position(is_own);
        if let Some(own) = own {
            all.swap_remove(own);
        }
        !all.iter().any(|(other, _)| other == uri)
    }

    /// A message of the server.
    pub(super) fn hear(&self, message: &Value) {
        let Some(uri) = updated(message) else { return };
        for (own, ear) in self.all().iter() {
            if own == uri
                && let Some(ear) = ear.upgrade()
            {
                ear.hear(uri);
            }
        }
    }

    /// Something may have been missed.
    fn hear_all(&self) {
        for (own, ear) in self.all().iter() {
            if let Some(ear) = ear.upgrade() {
                ear.hear(own);
            }
        }
    }
}

/// What is said in a session beside its calls, while somebody listens.
pub(crate) struct Standing {
    hearers: Arc<Hearers>,
    /// Nothing more will be said.
    over: watch::Receiver<bool>,
    /// Tells the server that a resource is not subscribed any more.
    unsubscribe: Box<dyn Fn(&str) + Send + Sync>,
    reading: Option<AbortHandle>,
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Standing")
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl Standing {
    /// What is said in a session that has no stream of its own for it; `tell` sends a message there.
    pub(super) fn of(
        hearers: Arc<Hearers>,
        over: watch::Receiver<bool>,
        tell: impl Fn(String) + Send + Sync + 'static,
    ) -> Self {
        Self {
            hearers,
            over,
            unsubscribe: Box::new(move |uri| tell(ending(uri))),
            reading: None,
        }
    }

    fn is_over(&self) -> bool {
        *self.over.borrow()
    }
}

/// The message that ends a subscription.
fn ending(uri: &str) -> String {
    let uri = Value::from(uri);
    format!(
        r#"{{"jsonrpc":"2.0","id":"unsubscribe","method":"resources/unsubscribe","params":{{"uri":{uri}}}}}"#
    )
}

/// The stream of a session: the one that stands, or a new one.
///
/// # Errors
///
/// [`Unanswered`]: the server has none, and could tell of no update.
pub(super) async fn standing(
    pool: &Arc<Pool>,
    session: &Arc<Session>,
) -> Result<Arc<Standing>, Unanswered> {
    let mut place = session.standing.lock().await;
    if let Some(standing) = place.upgrade().filter(|standing| !standing.is_over()) {
        return Ok(standing);
    }
    let stream = stream(pool, session).await.ok_or(Unanswered {
        reason: ReasonCode::UpstreamInvalid,
        heard: false,
    })?;
    let hearers = Arc::new(Hearers::default());
    let (ends, over) = watch::channel(false);
    let reading = Reading {
        pool: Arc::clone(pool),
        session: Arc::clone(session),
        hearers: Arc::clone(&hearers),
        ends,
    };
    let (to, through) = (Arc::downgrade(session), Arc::downgrade(pool));
    let tell = move |message| {
        if let (Some(to), Some(through)) = (to.upgrade(), through.upgrade()) {
            to.mention(&through, message);
        }
    };
    let mut standing = Standing::of(hearers, over, tell);
    standing.reading = Some(tokio::spawn(reading.go_on(stream)).abort_handle());
    let standing = Arc::new(standing);
    *place = Arc::downgrade(&standing);
    Ok(standing)
}

/// A stream as it is read, and the connection it comes on.
type Stream = (Coming, Lease);

/// Opens the stream of a session (2025-11-25, streamable HTTP, listening for messages).
async fn stream(pool: &Arc<Pool>, session: &Arc<Session>) -> Option<Stream> {
    let mut request = session.request(Method::GET, String::new());
    let fields = request.headers_mut();
    fields.remove(header::CONTENT_TYPE);
    let events = HeaderValue::from_static("text/event-stream");
    fields.insert(header::ACCEPT, events);
    let opened = pool.exchange(&session.upstream, request).await;
    let (response, lease) = opened.ok()?;
    let events = response.status() == StatusCode::OK && tells(response.headers());
    let within = (pings(pool, session).lasting(), session.mark);
    events.then(|| {
        (
            Coming::in_session(response.into_body(), within, None),
            lease,
        )
    })
}

/// Reads the stream of a session.
struct Reading {
    pool: Arc<Pool>,
    session: Arc<Session>,
    hearers: Arc<Hearers>,
    ends: watch::Sender<bool>,
}

impl Reading {
    /// Until no stream can be opened any more. A server may end one whenever it likes; what it says until there is another is not heard, and so whoever
    /// subscribed to something is told then that it may be another.
    async fn go_on(self, first: Stream) {
        let mut stream = Some(first);
        let mut tried = 0_u32;
        loop {
            if let Some((coming, lease)) = stream.take() {
                let begun = Instant::now();
                let mut messages = Messages::of(coming);
                while let Some(message) = messages.next().await {
                    tried = 0;
                    self.hearers.hear(&message);
                }
                drop((messages, lease));
                if begun.elapsed() >= STOOD {
                    tried = 0;
                }
            }
            if tried >= TRIES {
                break;
            }
            let pause = PAUSE.saturating_mul(1_u32.checked_shl(tried).unwrap_or(u32::MAX));
            tokio::time::sleep(pause).await;
            tried = tried.saturating_add(1);
            stream = self::stream(&self.pool, &self.session).await;
            if stream.is_some() {
                self.hearers.hear_all();
            }
        }
        self.ends.send_replace(true);
    }
}

/// The messages of a stream that has no end, bounded in length and in time.
struct Messages {
    coming: Coming,
    reader: Reader,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes since the last message.
    since: usize,
    second: (Instant, u32),
    /// Kept until the subscription is known to be held.
    heard: Option<BytesMut>,
}

impl Messages {
    fn of(coming: Coming) -> Self {
        Self {
            coming,
            reader: Reader::default(),
            waiting: VecDeque::new(),
            since: 0,
            second: (Instant::now(), 0),
            heard: None,
        }
    }

    /// The next message; none where the stream ends, or what comes is none.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                self.pace().await;
                return Value::parse(&message, &JsonLimits::DOCUMENT).ok();
            }
            let part = self.coming.frame().await?.ok()?;
            let Ok(part) = part.into_data() else { continue };
            if let Some(heard) = &mut self.heard {
                if heard.len().saturating_add(part.len()) > MOST_BEFORE {
                    return None;
                }
                heard.extend_from_slice(&part);
            }
            self.since = self.since.saturating_add(part.len());
            self.waiting.extend(self.reader.pass(&part));
            if !self.waiting.is_empty() {
                self.since = 0;
            }
            if self.since > LONGEST {
                return None;
            }
        }
    }

    /// Waits where the server says too much.
    async fn pace(&mut self) {
        let (begun, count) = self.second;
        let over = begun.checked_add(Duration::from_secs(1)).unwrap_or(begun);
        if Instant::now() >= over {
            self.second = (Instant::now(), 1);
        } else if count < MOST_A_SECOND {
            self.second = (begun, count.saturating_add(1));
        } else {
            tokio::time::sleep_until(over).await;
            self.second = (Instant::now(), 1);
        }
    }
}

/// Where one hears of a subscription.
pub(crate) enum Source {
    /// In the session.
    Standing(InSession),
    /// On its own stream.
    Own(Box<OwnStream>),
}

/// What is said in a session, and what keeps that.
pub(crate) struct InSession {
    standing: Arc<Standing>,
    _held: Option<Held>,
}

/// The stream that answers one subscription (2026-07-28).
pub(crate) struct OwnStream {
    messages: Messages,
    call: String,
    uri: String,
    _lease: Option<Lease>,
}

impl Source {
    /// Lets an ear hear of a resource, where all that is subscribed in a session is heard of on one stream.
    pub(crate) fn listen(&self, uri: &str, ear: &Arc<Ear>) {
        if let Self::Standing(own) = self {
            own.standing.hearers.listen(uri, ear);
        }
    }

    /// One less hears of the resource; whether the server is to be told that nobody does any more.
    pub(crate) fn leave(&self, uri: &str, ear: &Weak<Ear>) -> bool {
        match self {
            Self::Standing(own) => own.standing.hearers.leave(uri, ear),
            // The end of its stream tells it.
            Self::Own(_) => false,
        }
    }

    /// Tells the server that nobody hears of the resource any more.
    pub(crate) fn unsubscribe(&self, uri: &str) {
        if let Self::Standing(own) = self {
            (own.standing.unsubscribe)(uri);
        }
    }

    /// Waits until the resource was updated, for the one who subscribed; none where nothing more is said.
    pub(crate) async fn next(&mut self) -> Option<()> {
        match self {
            Self::Standing(own) => {
                let mut over = own.standing.over.clone();
                drop(over.wait_for(|over| *over).await);
                None
            }
            Self::Own(stream) => stream.next().await,
        }
    }
}

impl OwnStream {
    async fn next(&mut self) -> Option<()> {
        loop {
            let message = self.messages.next().await?;
            // A result ends it, and a request is not for a subscription.
            if message.member("id").is_some() {
                return None;
            }
            let own = updated(&message) == Some(&self.uri);
            if own && is_of(&message, &self.call) {
                return Some(());
            }
        }
    }
}

/// What a message names as the subscription that it is said in.
pub(super) fn subscription(message: &Value) -> Option<&Value> {
    let meta = message.member("params")?.member("_meta")?;
    meta.member(SUBSCRIPTION)
}

/// Whether a message is said in this subscription.
fn is_of(message: &Value, call: &str) -> bool {
    subscription(message).and_then(Value::as_str) == Some(call)
}

/// A subscription that was sent.
pub(crate) struct Opened {
    pub(crate) call: CallId,
    pub(crate) uri: String,
    pub(crate) stateless: bool,
}

impl Opened {
    /// Reads until the server says that it holds the subscription: where one hears of it then, and the bytes that said it. None where it does not say so.
    pub(crate) async fn read(
        self,
        response: Response<Coming>,
        lease: Option<Lease>,
    ) -> Option<(Source, Bytes)> {
        let (head, mut coming) = response.into_parts();
        if head.status != StatusCode::OK {
            return None;
        }
        let standing = coming.take_standing();
        let mut messages = Messages::of(coming);
        messages.heard = Some(BytesMut::new());
        let call = self.call.to_string();
        if self.stateless {
            let message = messages.next().await?;
            let held = tells(&head.headers) && self.is_acknowledged(&message, &call);
            held.then_some(())?;
            let said = messages.heard.take().unwrap_or_default().freeze();
            let stream = OwnStream {
                messages,
                call,
                uri: self.uri,
                _lease: lease,
            };
            return Some((Source::Own(Box::new(stream)), said));
        }
        let (message, said) = if tells(&head.headers) {
            let message = loop {
                let message = messages.next().await?;
                if message.member("method").is_none() {
                    break message;
                }
            };
            let said = messages.heard.take().unwrap_or_default().freeze();
            messages.coming.let_go();
            (message, said)
        } else {
            let said = messages.whole().await?;
            if let Some(lease) = lease {
                lease.give_back();
            }
            (Value::parse(&said, &JsonLimits::DOCUMENT).ok()?, said)
        };
        let own = message.member("id").and_then(Value::as_str) == Some(&*call);
        let held = message.member("result").and_then(Value::as_object);
        held.filter(|_| own && message.member("error").is_none())?;
        let (standing, held) = standing?;
        let own = InSession {
            standing,
            _held: held,
        };
        Some((Source::Standing(own), said))
    }

    /// Whether the server says that it tells of this resource, in this very subscription.
    fn is_acknowledged(&self, message: &Value, call: &str) -> bool {
        let method = message.member("method").and_then(Value::as_str);
        let held = message
            .member("params")
            .and_then(|params| params.member("notifications"))
            .and_then(|held| held.member("resourceSubscriptions"))
            .and_then(Value::as_array);
        let held = held.is_some_and(|held| held.iter().any(|uri| uri.as_str() == Some(&self.uri)));
        method == Some(ACKNOWLEDGED) && held && is_of(message, call)
    }
}

impl Messages {
    /// All of an answer that is one message.
    async fn whole(&mut self) -> Option<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(frame) = self.coming.frame().await {
            let Ok(part) = frame.ok()?.into_data() else {
                continue;
            };
            if whole.len().saturating_add(part.len()) > LONGEST {
                return None;
            }
            whole.extend_from_slice(&part);
        }
        Some(whole.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_takes_its_own_place_and_no_other() {
        let hearers = Hearers::default();
        let (first, second) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
        for (uri, ear) in [
            ("test://a", &first),
            ("test://a", &second),
            ("test://b", &second),
        ] {
            hearers.listen(uri, ear);
        }
        assert!(!hearers.leave("test://a", &Arc::downgrade(&second)));
        let left: Vec<_> = hearers.all().clone();
        let is_left = |uri: &str, ear: &Arc<Ear>| {
            let own = Arc::downgrade(ear);
            left.iter()
                .any(|(other, whose)| other == uri && whose.ptr_eq(&own))
        };
        assert!(is_left("test://a", &first) && is_left("test://b", &second));
        assert!(!is_left("test://a", &second));
        assert!(hearers.leave("test://a", &Arc::downgrade(&first)));
    }
}
