//! `subscriptions/listen` (2026-07-28): who holds a list is told when it is another.
//!
//! What is told is Writ's own: that the lists of this task at this endpoint changed, because an owner approved or quarantined
//! something, or a purpose, a policy or an API is another. What a server says of its lists reaches nobody: they are pinned.
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
use writ_types::{Digest, ReasonCode, TaskId, Tenant, Value};

use super::envelope::Envelope;
use super::offers::{List, Offered};
use super::{Caller, Exchange, Fault, tools};
use crate::body::Body;
use crate::decide;
use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// Most streams of one task.
const MOST: usize = 4;
/// Most pages of a list that are looked at. A list is longer than that at nobody's.
const MOST_PAGES: usize = 1_000;
/// How often a stream on which nothing happens shows that it is there.
const BREATH: Duration = Duration::from_secs(15);
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
struct Listener<'g> {
    listeners: &'g Listeners,
    holder: (Tenant, TaskId),
}

impl Listeners {
    fn open(&self, entered: &Entered) -> Option<Listener<'_>> {
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

/// Which lists a client wants to hear of: those of [`LISTS`], in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted([bool; 3]);

impl Wanted {
    /// Reads the filter of a request. What it names beside the lists is not served, and not acknowledged.
    ///
    /// # Errors
    ///
    /// [`Fault::Parameters`] if there is none, or a list in it is neither wanted nor not.
    pub(super) fn read(envelope: &Envelope, offered: &Offered<'_>) -> Result<Self, Fault> {
        let filter = envelope.member("notifications");
        let filter = filter.filter(|filter| filter.as_object().is_some());
        let filter = filter.ok_or(Fault::Parameters)?;
        let mut wanted = [false; 3];
        for (own, (word, _)) in wanted.iter_mut().zip(LISTS) {
            let said = filter
                .member(word)
                .map(|said| said.as_bool().ok_or(Fault::Parameters));
            *own = said.transpose()?.unwrap_or(false) && offered.changes(word);
        }
        Ok(Self(wanted))
    }

    fn acknowledged(self) -> Value {
        let words = LISTS.into_iter().zip(self.0).filter(|(_, wanted)| *wanted);
        Value::object(words.map(|((word, _), _)| (word, Value::from(true))))
    }
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

impl Exchange {
    /// Tells the client of changes until the stream ends: with its answer if its time is over, broken off if it was cut.
    ///
    /// # Errors
    ///
    /// `too_many_in_flight` if the task has as many streams as it may, and what any request of its kind is refused for.
    pub(crate) async fn listen(
        &self,
        gateway: &Arc<Gateway>,
        (caller, entered): (&Authenticated, &Entered),
        wanted: Wanted,
    ) -> Result<Response<Body>, Refusal> {
        let opened = gateway.listeners().open(entered);
        let _listener = opened.ok_or(ReasonCode::TooManyInFlight)?;
        let holder = Holder {
            gateway,
            caller,
            entered,
        };
        // What changes from here on is seen, so what is first looked at is what is in force now.
        let mut changes = gateway.changes();
        let mut listed = self.listed(&holder, wanted).await?;
        let left = caller.expires().since(gateway.instant()?);
        let over = tokio::time::sleep(left);
        tokio::pin!(over);
        let mut breath = tokio::time::interval_at(Instant::now(), BREATH);
        breath.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cut = entered.cut();
        let acknowledged = ("notifications", wanted.acknowledged());
        let said = self.say(
            "notifications/subscriptions/acknowledged",
            Some(acknowledged),
            entered,
        );
        if !said {
            return Err(ReasonCode::NotReady.into());
        }
        loop {
            tokio::select! {
                biased;
                () = &mut cut => return Ok(broken(ReasonCode::TaskEnded, entered)),
                () = &mut over => return Ok(self.result(self.tagged(None))),
                changed = changes.changed() => {
                    if changed.is_err() || gateway.snapshot().is_err() {
                        return Ok(self.result(self.tagged(None)));
                    }
                    let now = match self.listed(&holder, wanted).await {
                        Ok(now) => now,
                        Err(refusal) => return Ok(broken(refusal.reason, entered)),
                    };
                    for ((before, now), (_, method)) in listed.iter().zip(&now).zip(LISTS) {
                        // A client that does not read must not believe that nothing changed.
                        if before != now && !self.say(method, None, entered) {
                            return Ok(broken(ReasonCode::NotReady, entered));
                        }
                    }
                    listed = now;
                }
                _ = breath.tick() => self.breathe(entered),
            }
        }
    }

    /// What the lists are now, for a caller who may still ask for them.
    async fn listed(&self, holder: &Holder<'_>, wanted: Wanted) -> Result<Listed, Refusal> {
        let Holder {
            gateway,
            caller,
            entered,
        } = *holder;
        let snapshot = gateway.snapshot()?;
        let agent = decide::agent(&snapshot, caller, entered)?;
        let now = gateway.instant()?;
        decide::user(&snapshot, caller, entered, now)?;
        let asker = Caller::new(gateway, &snapshot, entered, &agent, now);
        let [tools, prompts, resources] = wanted.0;
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

    /// Members with the name of the stream: the id of the request that opened it.
    fn tagged(&self, more: Option<(&'static str, Value)>) -> Value {
        let id = self.id.clone().unwrap_or(Value::Null);
        let meta = ("_meta", Value::object([(SUBSCRIPTION, id)]));
        Value::object([meta].into_iter().chain(more))
    }
}

/// No message: the stream breaks off.
fn broken(reason: ReasonCode, entered: &Entered) -> Response<Body> {
    Refusal::from(reason).into_response(entered.call(), None)
}
