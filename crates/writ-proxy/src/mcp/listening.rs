//! `subscriptions/listen` (2026-07-28), and the stream of a session (2025-11-25): who holds a list is told when it is another, and who has subscribed
//! to a resource when that was updated.
//!
//! What is told of lists is Writ's own: that the lists of this task at this endpoint changed, because an owner approved or quarantined
//! something, or a purpose, a policy or an API is another. What a server says of its lists reaches nobody: they are pinned. Of a resource its
//! server says that it was updated (`updates`), and whoever may read it then is told so.
//!
//! A stream gives nothing that its task could not ask for. It is a call of its task that reaches no upstream: it counts among
//! those in flight, ends with the task, a kill and the token that opened it, and its client ends it by going.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Response;
use tokio::time::{Instant, MissedTickBehavior};
use writ_task::Entered;
use writ_token::Authenticated;
use writ_types::{Agent, Digest, ReasonCode, TaskId, Tenant, Timestamp, Value};

use super::envelope::Envelope;
use super::offers::{List, Offered};
use super::updates::{Ear, MOST_OF_ONE, UPDATED};
use super::{Caller, Exchange, Fault, Revision, answer, tools};
use crate::body::Body;
use crate::decide;
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Most streams of one task.
const MOST: usize = 4;
/// Most pages of a list that are looked at. A list is longer than that at nobody's.
const MOST_PAGES: usize = 1_000;
/// How often a stream on which nothing happens shows that it is there.
const BREATH: Duration = Duration::from_secs(15);
/// How often it is told at most what was updated.
const EACH: Duration = Duration::from_secs(1);
/// The word in a filter for resources.
const SUBSCRIPTIONS: &str = "resourceSubscriptions";
/// What names the stream in each of its messages.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The lists one can hear of: the word in a filter, and the notification.
const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    (
        "resourcesListChanged",
        "notifications/resources/list_changed",
    ),
];

/// The open streams, counted by task.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<BTreeMap<(Tenant, TaskId), usize>>);

/// One open stream, until this is dropped.
pub(crate) struct Listener<'g> {
    listeners: &'g Listeners,
    holder: (Tenant, TaskId),
}

impl Listeners {
    /// A place for one more; none if the task has as many as it may.
    pub(crate) fn open(&self, entered: &Entered) -> Option<Listener<'_>> {
        let grant = entered.grant();
        let holder = (grant.tenant.clone(), grant.task);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(holder.clone()).or_default();
        if *count >= MOST {
            return None;
        }
        *count = count.saturating_add(1);
        let listeners = self;
        Some(Listener { listeners, holder })
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let all = self.listeners.0.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.holder);
            }
        }
    }
}

/// What a client wants to hear of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The lists: those of [`LISTS`], in their order.
    lists: [bool; 3],
    /// The resources, where their server tells of updates.
    pub(crate) uris: Vec<String>,
}

impl Wanted {
    /// Reads the filter of a request. What it names beside the lists is not served, and not acknowledged.
    ///
    /// # Errors
    ///
    /// [`Fault::Parameters`] if there is none, a list in it is neither wanted nor not, or its resources are no list of a few URIs.
    pub(super) fn read(envelope: &Envelope, offered: &Offered<'_>) -> Result<Self, Fault> {
        let filter = envelope.member("notifications");
        let filter = filter.filter(|filter| filter.as_object().is_some());
        let filter = filter.ok_or(Fault::Parameters)?;
        let mut lists = [false; 3];
        for (own, (word, _)) in lists.iter_mut().zip(LISTS) {
            let said = filter
                .member(word)
                .map(|said| said.as_bool().ok_or(Fault::Parameters));
            *own = said.transpose()?.unwrap_or(false) && offered.changes(word);
        }
        let uris = match filter.member(SUBSCRIPTIONS) {
            None => Vec::new(),
            Some(given) => uris(given).ok_or(Fault::Parameters)?,
        };
        let uris = if offered.updates() { uris } else { Vec::new() };
        Ok(Self { lists, uris })
    }

    fn acknowledged(&self) -> Value {
        let words = LISTS.into_iter().zip(self.lists);
        let words = words.filter(|(_, wanted)| *wanted);
        let words = words.map(|((word, _), _)| (word, Value::from(true)));
        let uris = self.uris.iter().map(|uri| Value::from(uri.as_str()));
        let uris = (!self.uris.is_empty()).then(|| (SUBSCRIPTIONS, uris.collect()));
        Value::object(words.chain(uris.map(|(word, uris)| (word, Value::Array(uris)))))
    }
}

/// A list of a few URIs, each once.
fn uris(given: &Value) -> Option<Vec<String>> {
    let given = given.as_array().filter(|uris| uris.len() <= MOST_OF_ONE)?;
    let mut uris = Vec::new();
    for uri in given {
        let uri = uri.as_str()?.to_owned();
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    Some(uris)
}

/// One list as it is asked for.
#[derive(Debug, Clone, Copy)]
enum Listing {
    Tools,
    Other(List),
}

const RESOURCES: [Listing; 2] = [
    Listing::Other(List::Resources),
    Listing::Other(List::Templates),
];

/// What the lists are now; none for one that is not there, or not wanted.
type Listed = [Option<Digest>; 3];

/// The holder of a stream.
struct Holder<'a> {
    gateway: &'a Arc<Gateway>,
    caller: &'a Authenticated,
    entered: &'a Entered,
}

/// What a stream is told with at an instant, the task as it holds it then.
struct Stands {
    snapshot: Arc<Snapshot>,
    entered: Entered,
    agent: Arc<Agent>,
    now: Timestamp,
}

/// Whether a stream goes on.
enum Told {
    More,
    Last,
}

impl Holder<'_> {
    /// What its requests are answered with now, if it may still make any.
    fn stands(&self) -> Result<Stands, Refusal> {
        let snapshot = self.gateway.snapshot()?;
        let entered = self.entered.renewed().ok_or(ReasonCode::TaskEnded)?;
        let agent = decide::agent(&snapshot, self.caller, &entered)?;
        let now = self.gateway.instant()?;
        decide::user(&snapshot, self.caller, &entered, now)?;
        Ok(Stands {
            snapshot,
            entered,
            agent,
            now,
        })
    }
}

/// Waits until there is something to tell, and may be told.
async fn due(ear: &Ear, next: Instant) {
    ear.wait().await;
    tokio::time::sleep_until(next).await;
}

impl Exchange {
    /// Tells the client of changes until the stream ends: with its answer if its time is over, broken off if it was cut.
    ///
    /// # Errors
    ///
    /// What any request of its kind is refused for.
    pub(crate) async fn listen(
        &self,
        gateway: &Arc<Gateway>,
        (caller, entered): (&Authenticated, &Entered),
        (wanted, ear): (&Wanted, &Ear),
    ) -> Result<Response<Body>, Refusal> {
        let holder = Holder {
            gateway,
            caller,
            entered,
        };
        // What changes from here on is seen, so what is first looked at is what is in force now.
        let mut changes = gateway.changes();
        let mut amendments = entered.amendments();
        let mut listed = self.listed(&holder, wanted).await?;
        let left = caller.expires().since(gateway.instant()?);
        let over = tokio::time::sleep(left);
        tokio::pin!(over);
        let mut breath = tokio::time::interval_at(Instant::now(), BREATH);
        breath.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cut = entered.cut();
        let mut next = Instant::now();
        if !self.begins(wanted, entered) {
            return Err(ReasonCode::NotReady.into());
        }
        loop {
            tokio::select! {
                biased;
                () = &mut cut => return Ok(broken(ReasonCode::TaskEnded, entered)),
                () = &mut over => return Ok(self.over()),
                changed = changes.changed() => {
                    if changed.is_err() || gateway.snapshot().is_err() {
                        return Ok(self.over());
                    }
                    match self.relisted(&holder, wanted, &listed).await {
                        Ok(now) => listed = now,
                        Err(reason) => return Ok(broken(reason, entered)),
                    }
                }
                () = amendments.next() => {
                    match self.relisted(&holder, wanted, &listed).await {
                        Ok(now) => listed = now,
                        Err(reason) => return Ok(broken(reason, entered)),
                    }
                }
                () = due(ear, next) => {
                    match self.tell(&holder, ear).await {
                        Ok(Told::More) => {}
                        Ok(Told::Last) if self.revision == Revision::Sessions => return Ok(self.over()),
                        Ok(Told::Last) => return Ok(broken(ReasonCode::NotReady, entered)),
                        Err(reason) => return Ok(broken(reason, entered)),
                    }
                    next = Instant::now().checked_add(EACH).unwrap_or(next);
                }
                _ = breath.tick() => self.breathe(entered),
            }
        }
    }

    /// Says that the stream is there: what is heard of on it, or of that of a session nothing.
    fn begins(&self, wanted: &Wanted, entered: &Entered) -> bool {
        if self.revision == Revision::Sessions {
            self.breathe(entered);
            return true;
        }
        let acknowledged = ("notifications", wanted.acknowledged());
        self.say(
            "notifications/subscriptions/acknowledged",
            Some(acknowledged),
            entered,
        )
    }

    /// The end of the stream: its answer, or of that of a session nothing.
    fn over(&self) -> Response<Body> {
        match self.revision {
            Revision::Sessions => answer::end(),
            Revision::Stateless => self.result(self.tagged(None)),
        }
    }

    /// Tells which lists are others than before.
    ///
    /// # Errors
    ///
    /// Why they cannot be asked for any more; `not_ready` of a client that does not read.
    async fn relisted(
        &self,
        holder: &Holder<'_>,
        wanted: &Wanted,
        before: &Listed,
    ) -> Result<Listed, ReasonCode> {
        let now = self.listed(holder, wanted).await;
        let now = now.map_err(|refusal| refusal.reason)?;
        for ((before, now), (_, method)) in before.iter().zip(&now).zip(LISTS) {
            // A client that does not read must not believe that nothing changed.
            if before != now && !self.say(method, None, holder.entered) {
                return Err(ReasonCode::NotReady);
            }
        }
        Ok(now)
    }

    /// Tells what was updated, of what may be read now. Anything else is not subscribed any more.
    ///
    /// # Errors
    ///
    /// Why nothing can be asked for any more; `not_ready` of a client that does not read.
    async fn tell(&self, holder: &Holder<'_>, ear: &Ear) -> Result<Told, ReasonCode> {
        let news = ear.take();
        if !news.uris.is_empty() {
            let stands = holder.stands().map_err(|refusal| refusal.reason)?;
            let (snapshot, agent) = (&stands.snapshot, &stands.agent);
            let asker = Caller::new(holder.gateway, snapshot, &stands.entered, agent, stands.now);
            let offered = self.offered(&asker);
            for uri in news.uris {
                if !offered.may_hear(&asker, &uri).await {
                    ear.release(&uri);
                    continue;
                }
                let uri = Some(("uri", Value::from(uri)));
                if !self.say(UPDATED, uri, holder.entered) {
                    return Err(ReasonCode::NotReady);
                }
            }
        }
        Ok(if news.ends { Told::Last } else { Told::More })
    }

    /// What the lists are now, for a caller who may still ask for them.
    async fn listed(&self, holder: &Holder<'_>, wanted: &Wanted) -> Result<Listed, Refusal> {
        let stands = holder.stands()?;
        let (snapshot, agent) = (&stands.snapshot, &stands.agent);
        let asker = Caller::new(holder.gateway, snapshot, &stands.entered, agent, stands.now);
        let [tools, prompts, resources] = wanted.lists;
        Ok([
            self.seen(&asker, tools.then_some(&[Listing::Tools])).await,
            self.seen(&asker, prompts.then_some(&[Listing::Other(List::Prompts)]))
                .await,
            self.seen(&asker, resources.then_some(&RESOURCES)).await,
        ])
    }

    /// All that these lists show, in one digest; none if that is not wanted, or cannot be asked now.
    async fn seen(&self, asker: &Caller<'_, '_>, lists: Option<&[Listing]>) -> Option<Digest> {
        let mut shown = Vec::new();
        for list in lists? {
            let mut cursor: Option<String> = None;
            for _ in 0..MOST_PAGES {
                let page = match list {
                    Listing::Tools => {
                        tools::list(asker, self.api.as_ref(), cursor.as_deref()).await
                    }
                    Listing::Other(list) => {
                        let offered = self.offered(asker);
                        offered.list(asker, *list, cursor.as_deref()).await
                    }
                };
                let Value::Object(mut page) = page.ok()? else {
                    return None;
                };
                // How much is left out, and why, is not of the list.
                page.remove("_meta");
                let next = page.remove("nextCursor");
                shown.extend_from_slice(Value::Object(page).to_string().as_bytes());
                cursor = next.and_then(|next| next.as_str().map(str::to_owned));
                if cursor.is_none() {
                    break;
                }
            }
        }
        Some(Digest::of(&shown))
    }

    /// Says something on the stream, if there is room.
    fn say(&self, method: &str, more: Option<(&'static str, Value)>, entered: &Entered) -> bool {
        let message = Value::object([
            ("jsonrpc", Value::from("2.0")),
            ("method", Value::from(method)),
            ("params", self.tagged(more)),
        ]);
        let line = self.line.as_ref();
        line.is_some_and(|line| line.tell(&message, entered.cut()))
    }

    fn breathe(&self, entered: &Entered) {
        if let Some(line) = &self.line {
            line.breathe(entered.cut());
        }
    }

    /// Members with the name of the stream: the id of the request that opened it. That of a session has none.
    fn tagged(&self, more: Option<(&'static str, Value)>) -> Value {
        let id = self.id.clone();
        let meta = id.map(|id| ("_meta", Value::object([(SUBSCRIPTION, id)])));
        Value::object(meta.into_iter().chain(more))
    }
}

/// No message: the stream breaks off.
fn broken(reason: ReasonCode, entered: &Entered) -> Response<Body> {
    Refusal::from(reason).into_response(entered.call(), None)
}
