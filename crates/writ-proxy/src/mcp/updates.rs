//! Subscriptions to resources: who subscribes to one hears that it was updated, and nothing else.
//!
//! A subscription is a call of the operation that reads the resource, decided and recorded as the read itself would be, and under way until it ends:
//! it counts among the calls of its task, and ends with the task, a kill, the session or the stream that wanted it, and a revision in which the resource may not be read
//! or its server is another. What the server says in it is compared with the URI that was subscribed, byte by byte; what is handed on is that URI,
//! for whoever may read it then, and no more often than once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use writ_contract::McpRevision;
use writ_task::Amendments;
use writ_types::{
    AgentId, ApiId, CredentialName, Grant, Limits, ReasonCode, TaskId, Tenant, Upstream, Value,
};

use super::envelope::{Envelope, Reply};
use super::listening::Wanted;
use super::offers::Offered;
use super::running::{Name, Runs};
use super::upstream::{Opened, Source};
use super::{Caller, Exchange, Fault, Message, Revision, ToolCall, accepted, session, telling};
use crate::body::Body;
use crate::completion::{Completion, End};
use crate::decide;
use crate::gateway::Gateway;
use crate::pool::Unanswered;
use crate::refusal::Refusal;
use crate::snapshot::{ApiSnapshot, Snapshot};
use crate::upstream::Arrived;

/// The field by which a client comes back to a stream that broke off (HTML §9.2.4).
const LAST_EVENT: &str = "last-event-id";
/// Most resources that one session or stream subscribes to.
pub(super) const MOST_OF_ONE: usize = 32;
/// Most subscriptions of one agent.
const MOST_OF_AN_AGENT: usize = 64;
/// One in so many of the calls that a task may make at once may be a subscription: they last, and the others need room.
const SHARE_OF_A_TASK: usize = 4;
/// Most subscriptions.
const MOST: usize = 1024;

/// How often a subscription on which nothing happens is decided anew: what its task holds and the time are others by then.
const ANEW: Duration = Duration::from_secs(15);

/// The subscriptions under way, counted by task and agent.
#[derive(Debug, Default)]
pub(crate) struct Updates(Mutex<BTreeMap<(Tenant, TaskId, AgentId), usize>>);

/// The place of one, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gateway: Arc<Gateway>,
    holder: (Tenant, TaskId, AgentId),
}

impl Updates {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(Tenant, TaskId, AgentId), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, holder: &(Tenant, TaskId, AgentId), limits: &Limits) -> bool {
        let mut all = self.all();
        let of = |own: &dyn Fn(&(Tenant, TaskId, AgentId)) -> bool| {
            let counts = all.iter().filter(|(other, _)| own(other));
            counts.map(|(_, count)| *count).sum::<usize>()
        };
        let share = limits.task_in_flight.div_ceil(SHARE_OF_A_TASK);
        let of_task = of(&|(tenant, task, _)| (tenant, task) == (&holder.0, &holder.1));
        let of_agent = of(&|(_, _, agent)| *agent == holder.2);
        if of_task >= share || of_agent >= MOST_OF_AN_AGENT || of(&|_| true) >= MOST {
            return false;
        }
        let count = all.entry(holder.clone()).or_default();
        *count = count.saturating_add(1);
        true
    }

    fn give_back(&self, holder: &(Tenant, TaskId, AgentId)) {
        let mut all = self.all();
        if let Some(count) = all.get_mut(holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(holder);
            }
        }
    }
}

impl Place {
    /// A place for one more; none if the task, its agent or the process has as many as it may.
    pub(crate) fn of(gateway: &Arc<Gateway>, grant: &Grant) -> Option<Self> {
        let holder = (grant.tenant.clone(), grant.task, grant.agent);
        let limits = &gateway.parts.limits;
        let taken = gateway.updates().take(&holder, limits);
        taken.then(|| Self {
            gateway: Arc::clone(gateway),
            holder,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gateway.updates().give_back(&self.holder);
    }
}

/// What a client has subscribed to, in one session or on one stream, and what of it was updated since it was last told.
#[derive(Default)]
pub(crate) struct Ear {
    state: Mutex<Heard>,
    woken: Notify,
}

#[derive(Default)]
struct Heard {
    /// The subscriptions by their URI; dropping one ends it.
    held: BTreeMap<String, oneshot::Sender<()>>,
    news: BTreeSet<String>,
    /// A subscription has ended that its client did not end.
    lost: bool,
    closed: bool,
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) uris: BTreeSet<String>,
    /// After that the stream ends: something is not subscribed any more, or all is over.
    pub(super) ends: bool,
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ear")
    }
}

impl Ear {
    fn state(&self) -> MutexGuard<'_, Heard> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more, or it is subscribed already.
    pub(super) fn has_room(&self, uri: &str) -> bool {
        let state = self.state();
        !state.closed && (state.held.len() < MOST_OF_ONE || state.held.contains_key(uri))
    }

    /// Keeps a subscription, in the place of another of the same URI. What comes too late ends at once.
    fn keep(&self, uri: &str, ender: oneshot::Sender<()>) {
        let mut state = self.state();
        if !state.closed {
            state.held.insert(uri.to_owned(), ender);
        }
    }

    /// Something was updated. Only what is subscribed is news.
    pub(super) fn hear(&self, uri: &str) {
        let mut state = self.state();
        if state.held.contains_key(uri) && state.news.insert(uri.to_owned()) {
            drop(state);
            self.woken.notify_waiters();
        }
    }

    /// The client does not want to hear of it any more.
    pub(super) fn release(&self, uri: &str) {
        let mut state = self.state();
        state.held.remove(uri);
        state.news.remove(uri);
    }

    /// The server tells nothing of it any more. Whoever read it last may have missed something.
    fn lose(&self, uri: &str) {
        let mut state = self.state();
        if state.held.remove(uri).is_some() {
            state.news.insert(uri.to_owned());
            state.lost = true;
        }
        drop(state);
        self.woken.notify_waiters();
    }

    /// All of it is over.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.held.clear();
        state.news.clear();
        drop(state);
        self.woken.notify_waiters();
    }

    fn has_news(&self) -> bool {
        let state = self.state();
        state.closed || state.lost || !state.news.is_empty()
    }

    /// Waits until there is something to tell.
    pub(super) async fn wait(&self) {
        loop {
            let woken = self.woken.notified();
            tokio::pin!(woken);
            // First it waits, then it looks: what comes in between wakes it.
            woken.as_mut().enable();
            if self.has_news() {
                return;
            }
            woken.await;
        }
    }

    /// Takes what there is to tell.
    pub(super) fn take(&self) -> News {
        let mut state = self.state();
        let lost = std::mem::take(&mut state.lost);
        News {
            uris: std::mem::take(&mut state.news),
            ends: lost || state.closed,
        }
    }
}

/// What a subscription was made with. With anything else it is over.
#[derive(Debug, PartialEq, Eq)]
struct MadeWith {
    upstream: Upstream,
    revision: Option<McpRevision>,
    credential: Option<(CredentialName, u32)>,
}

impl MadeWith {
    fn of(api: &ApiSnapshot) -> Self {
        let credential = api.credential.as_ref();
        Self {
            upstream: api.api.upstream.clone(),
            revision: api.contract.mcp(),
            credential: credential.map(|one| (one.name().clone(), one.version())),
        }
    }
}

/// A subscription that the server holds.
struct Kept {
    gateway: Arc<Gateway>,
    uri: String,
    api: ApiId,
    with: MadeWith,
    ear: Weak<Ear>,
    completion: Completion,
    source: Source,
    ended: oneshot::Receiver<()>,
    _place: Place,
}

/// Begins a subscription that was sent to its server, and lets it go on until it ends.
///
/// # Errors
///
/// `upstream_invalid` where the server does not say that it holds it, `upstream_timeout`, `task_ended`; `not_ready` where it would not be permitted any more. The outcome is recorded by then.
pub(crate) async fn begin(
    gateway: &Arc<Gateway>,
    api: &ApiSnapshot,
    (arrived, place): (Arrived, Place),
    uri: &str,
    ear: &Arc<Ear>,
) -> Result<(), ReasonCode> {
    let Arrived {
        response,
        lease,
        mut completion,
        ..
    } = arrived;
    let mut cut = completion.entered().cut();
    let patience = gateway.parts.timeouts.upstream_idle;
    let stateless = api.contract.mcp() != Some(Revision::Sessions);
    let opening = Opened {
        call: completion.call(),
        uri: uri.to_owned(),
        stateless,
    };
    let opened = tokio::select! {
        biased;
        () = &mut cut => {
            let reason = completion.cut();
            completion.finish(End::Cut);
            return Err(reason);
        }
        opened = tokio::time::timeout(patience, opening.read(response, lease)) => opened,
    };
    let unanswered = |reason| Unanswered {
        reason,
        heard: true,
    };
    let (source, said) = match opened {
        Ok(Some(opened)) => opened,
        Ok(None) => {
            let fault = unanswered(ReasonCode::UpstreamInvalid);
            return Err(completion.fail(End::Withheld, fault));
        }
        Err(_elapsed) => {
            let fault = unanswered(ReasonCode::UpstreamTimeout);
            return Err(completion.fail(End::UpstreamError, fault));
        }
    };
    completion.passed(&said);
    let (ender, ended) = oneshot::channel();
    let kept = Kept {
        gateway: Arc::clone(gateway),
        uri: uri.to_owned(),
        api: api.api.id.clone(),
        with: MadeWith::of(api),
        ear: Arc::downgrade(ear),
        completion,
        source,
        ended,
        _place: place,
    };
    // What changes from here on is seen there; what changed while the server was asked, here.
    let changes = gateway.changes();
    let amendments = kept.completion.entered().amendments();
    if !kept.stands().await {
        kept.end(End::Completed);
        return Err(ReasonCode::NotReady);
    }
    ear.keep(uri, ender);
    kept.source.listen(uri, ear);
    tokio::spawn(kept.go_on(changes, amendments));
    Ok(())
}

impl Kept {
    /// Until it ends.
    async fn go_on(mut self, mut changes: watch::Receiver<()>, mut amendments: Amendments) {
        let mut cut = self.completion.entered().cut();
        let first = Instant::now().checked_add(ANEW);
        let mut anew = tokio::time::interval_at(first.unwrap_or_else(Instant::now), ANEW);
        anew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                biased;
                () = &mut cut => {
                    // The task lives on after a stop, and whoever reads for it may have missed something.
                    if cut.is_stopped() {
                        self.lose();
                    }
                    break End::Cut;
                }
                _ = &mut self.ended => break End::Completed,
                changed = changes.changed() => {
                    if changed.is_err() || !self.stands().await {
                        self.lose();
                        break End::Completed;
                    }
                }
                () = amendments.next() => {
                    if !self.stands().await {
                        self.lose();
                        break End::Completed;
                    }
                }
                _ = anew.tick() => {
                    if !self.stands().await {
                        self.lose();
                        break End::Completed;
                    }
                }
                heard = self.source.next() => match (heard, self.ear.upgrade()) {
                    (Some(()), Some(ear)) => ear.hear(&self.uri),
                    (Some(()), None) => break End::Completed,
                    (None, _) => {
                        self.lose();
                        break End::UpstreamError;
                    }
                },
            }
        };
        self.end(end);
    }

    /// Lets the server know, unless it was cut: after a kill nothing more is said.
    fn end(self, end: End) {
        let is_cut = end == End::Cut || self.completion.entered().cut().is_cut();
        if self.source.leave(&self.uri, &self.ear) && !is_cut {
            self.source.unsubscribe(&self.uri);
        }
        self.completion.finish(end);
    }

    fn lose(&self) {
        if let Some(ear) = self.ear.upgrade() {
            ear.lose(&self.uri);
        }
    }

    /// Whether it is still the same server that is asked, and the resource may still be read.
    async fn stands(&self) -> bool {
        let Ok(snapshot) = self.gateway.snapshot() else {
            return false;
        };
        let same = snapshot.apis.get(&self.api);
        if same.is_none_or(|api| MadeWith::of(api) != self.with) {
            return false;
        }
        readable(
            &self.gateway,
            &snapshot,
            &self.completion,
            (&self.api, &self.uri),
        )
        .await
    }
}

/// Whether the task of a call, as it holds it now, may hear of a resource, and its agent act.
async fn readable(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    completion: &Completion,
    (api, uri): (&ApiId, &str),
) -> bool {
    let (Some(entered), Ok(now)) = (completion.entered().renewed(), gateway.instant()) else {
        return false;
    };
    let Ok(agent) = decide::acting(snapshot, &entered) else {
        return false;
    };
    let caller = Caller::new(gateway, snapshot, &entered, agent, now);
    let offered = Offered::of(snapshot.apis.get(api), &caller);
    offered.may_hear(&caller, uri).await
}

impl Exchange {
    /// A subscription to a resource, for the session of the message (2025-11-25).
    ///
    /// # Errors
    ///
    /// [`Fault::UnknownMethod`] where the server tells of no updates; `too_many_in_flight` where the session has subscribed to as much as it may.
    pub(super) fn subscribe<'s>(
        &self,
        caller: &Caller<'_, 's>,
        envelope: &Envelope,
    ) -> Result<Message<'s>, Refusal> {
        let offered = self.offered(caller);
        if !offered.updates() {
            return Err(Fault::UnknownMethod.into());
        }
        let (uri, ear) = (envelope.text("uri")?, self.ear(caller)?);
        let call = offered.subscribe(uri)?;
        if !ear.has_room(uri) {
            return Err(ReasonCode::TooManyInFlight.into());
        }
        Ok(Message::Subscribe(call, ear))
    }

    /// Ends a subscription; nothing if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Exchange::subscribe`] that are of the message.
    pub(super) fn unsubscribe(
        &self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
    ) -> Result<Value, Fault> {
        if !self.offered(caller).updates() {
            return Err(Fault::UnknownMethod);
        }
        self.ear(caller)?.release(envelope.text("uri")?);
        Ok(Value::object::<&str>([]))
    }

    /// The stream of a session, if that is what is asked for: where its endpoint's server tells of updates (2025-11-25, listening for messages).
    ///
    /// # Errors
    ///
    /// [`Fault::SessionUnknown`], [`Fault::Header`].
    pub(super) fn stands<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        head: &Parts,
    ) -> Result<Option<Message<'s>>, Fault> {
        let headers = &head.headers;
        let known = session::given(headers)?;
        let stream = head.method == Method::GET
            && telling::takes_events(headers)
            && Reply::agrees_with(headers).is_ok();
        let last = headers.get(LAST_EVENT).map(HeaderValue::to_str);
        let serves = stream && (last.is_some() || self.offered(caller).updates());
        let Some(known) = known.filter(|_| serves) else {
            return Ok(None);
        };
        self.revision = Revision::Sessions;
        self.session = Some(known);
        let ear = self.ear(caller)?;
        if let Some(last) = last {
            let name = last.map_err(|_not_ascii| Fault::Unasked)?;
            self.come_back(caller, name)?;
            return Ok(Some(Message::Answered(accepted())));
        }
        // Its client ends it by going.
        let name = Name::Connection(caller.entered.call());
        let canceller = caller.entered.canceller();
        self.runs = Some(Runs::begin(caller.gateway, name, canceller));
        Ok(Some(Message::Listen(Wanted::default(), Some(ear))))
    }

    /// What the session of the message has subscribed to.
    fn ear(&self, caller: &Caller<'_, '_>) -> Result<Arc<Ear>, Fault> {
        let known = self.session.as_ref().ok_or(Fault::SessionMissing)?;
        let sessions = caller.gateway.sessions();
        sessions.ear(known, caller, self.api.as_ref())
    }

    /// What is answered to a subscription that the server holds.
    pub(crate) fn subscribed(&self) -> Response<Body> {
        self.result(Value::object::<&str>([]))
    }

    /// The reading of a resource, as what subscribes to it.
    pub(crate) fn subscription<'s>(
        &self,
        caller: &Caller<'_, 's>,
        uri: &str,
    ) -> Result<ToolCall<'s>, Refusal> {
        Ok(self.offered(caller).subscribe(uri)?)
    }
}

/// The notification of an update, if that is what a message of a server is: the URI that it names.
pub(super) fn updated(message: &Value) -> Option<&str> {
    let method = message.member("method").and_then(Value::as_str);
    if method != Some(UPDATED) || message.member("id").is_some() {
        return None;
    }
    message.member("params")?.member("uri")?.as_str()
}

/// The method that tells of an update.
pub(super) const UPDATED: &str = "notifications/resources/updated";

#[cfg(test)]
mod tests;
