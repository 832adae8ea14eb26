//! Whose sessions with MCP servers are open: over HTTP those of revision 2025-11-25, and the processes of programs.
//!
//! A session is of one task at one API, so that nothing a server keeps of one task reaches another. It ends with its task, when nobody has
//! used it for a while, when it makes room, when the API's server or credential becomes another, and when either is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use writ_contract::Ask;
use writ_task::{Heading, TaskState};
use writ_types::{
    AgentId, ApiId, Clock, CredentialName, Grant, Monotonic, TaskId, Tenant, Upstream,
};

use super::process::Process;
use super::program::Crashes;
use super::session::Session;
use crate::gateway::Gateway;
use crate::mcp::Revision;
use crate::pool::Pool;
use crate::snapshot::ApiSnapshot;

/// Most sessions with the server of one API, and most of one agent's.
const MOST_OF_AN_API: Most = Most {
    all: 256,
    of_an_agent: 64,
};
/// Most processes of the program of one API, and most of one agent's.
const MOST_PROCESSES: Most = Most {
    all: 32,
    of_an_agent: 8,
};
/// How long a session is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(300);
/// How often is looked for sessions that are to end.
const EACH: Duration = Duration::from_millis(500);
/// How long the ends of sessions may take when the process stops.
const LAST: Duration = Duration::from_secs(2);

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    api: ApiId,
    tenant: Tenant,
    task: TaskId,
}

/// How many there may be with one server.
#[derive(Debug, Clone, Copy)]
struct Most {
    all: usize,
    of_an_agent: usize,
}

/// What a session was opened with. Another server, or another credential, is another session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OpenedWith {
    upstream: Upstream,
    revision: Option<Revision>,
    credential: Option<(CredentialName, u32)>,
    /// What the server was told that it may ask.
    asks: BTreeSet<Ask>,
}

impl OpenedWith {
    const fn most(&self) -> Most {
        match self.upstream {
            Upstream::Http(_) => MOST_OF_AN_API,
            Upstream::Program(_) => MOST_PROCESSES,
        }
    }
}

/// What is open.
pub(super) enum Open {
    Session(Arc<Session>),
    Process(Arc<Process>),
}

/// The place of one session: open, or about to be.
pub(super) struct Place {
    with: OpenedWith,
    /// The agent of the task.
    agent: AgentId,
    /// Held while it is opened, so that one call opens it and the others wait.
    pub(super) open: tokio::sync::Mutex<Option<Open>>,
    used: Mutex<Used>,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    calls: usize,
    last: Monotonic,
}

impl Place {
    /// What the server may ask at all.
    pub(super) const fn asks(&self) -> &BTreeSet<Ask> {
        &self.with.asks
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent of its task.
    pub(super) const fn agent(&self) -> AgentId {
        self.agent
    }

    /// Since when nobody uses it; none while somebody does.
    fn idle_since(&self) -> Option<Monotonic> {
        let used = *self.used();
        (used.calls == 0).then_some(used.last)
    }

    fn is_idle(&self, now: Monotonic) -> bool {
        self.idle_since()
            .is_some_and(|since| now.since(since) > IDLE)
    }
}

/// A place in use by a call, until this is dropped.
pub(crate) struct Held {
    pub(super) place: Arc<Place>,
    clock: Arc<dyn Clock>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.place.used();
        used.calls = used.calls.saturating_sub(1);
        used.last = self.clock.monotonic();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// There is no room for another session with this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sessions with the MCP server are in use")]
pub(crate) struct NoRoom;

/// The sessions with all servers. Memory only: a restart opens new ones, and the servers end the old.
#[derive(Default)]
pub(crate) struct ServerSessions {
    places: Mutex<BTreeMap<Holder, Arc<Place>>>,
    crashes: Crashes,
}

impl fmt::Debug for ServerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSessions")
    }
}

impl ServerSessions {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Holder, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often programs ended by themselves.
    pub(super) const fn crashes(&self) -> &Crashes {
        &self.crashes
    }

    /// The place of a task's session with an API's server. What makes room for it, or was opened with something else, ends.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if all sessions with the server are in use.
    pub(crate) fn hold(
        &self,
        grant: &Grant,
        api: &ApiSnapshot,
        clock: &Arc<dyn Clock>,
        pool: &Arc<Pool>,
    ) -> Result<Held, NoRoom> {
        let holder = Holder {
            api: api.api.id.clone(),
            tenant: grant.tenant.clone(),
            task: grant.task,
        };
        let credential = api.credential.as_ref();
        let with = OpenedWith {
            upstream: api.api.upstream.clone(),
            revision: api.contract.mcp(),
            credential: credential.map(|one| (one.name().clone(), one.version())),
            asks: asks(api),
        };
        let (held, over) = self.place((holder, grant.agent), with, clock)?;
        if let Some(over) = over {
            tokio::spawn(end(over, Arc::clone(pool)));
        }
        Ok(held)
    }

    /// The place of a session that is opened with this, and the one that ends for it.
    fn place(
        &self,
        (holder, agent): (Holder, AgentId),
        with: OpenedWith,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Held, Option<Arc<Place>>), NoRoom> {
        let mut all = self.all();
        let mut over = None;
        let known = all.get(&holder).filter(|place| place.with == with);
        let place = if let Some(place) = known {
            Arc::clone(place)
        } else {
            over = all.remove(&holder);
            if over.is_none() {
                over = make_room(&mut all, (&holder.api, agent), with.most())?;
            }
            let place = Arc::new(Place {
                with,
                agent,
                open: tokio::sync::Mutex::default(),
                used: Mutex::new(Used {
                    calls: 0,
                    last: clock.monotonic(),
                }),
            });
            all.insert(holder, Arc::clone(&place));
            place
        };
        let mut used = place.used();
        used.calls = used.calls.saturating_add(1);
        drop(used);
        let clock = Arc::clone(clock);
        Ok((Held { place, clock }, over))
    }

    /// Takes out the sessions of tasks that are over, those that nobody has used for a while, and those whose API or credential
    /// a person has stopped.
    async fn take_over(&self, gateway: &Gateway) -> Vec<Arc<Place>> {
        let parts = &gateway.parts;
        let holders: Vec<Holder> = self.all().keys().cloned().collect();
        let mut taken = Vec::new();
        for holder in holders {
            let now = parts.clock.now();
            let status = parts.ledger.status(&holder.tenant, holder.task, now).await;
            let over = status.is_none_or(|status| status.state != TaskState::Live);
            let mut all = self.all();
            let now = parts.clock.monotonic();
            let idle = all.get(&holder).is_some_and(|place| place.is_idle(now));
            let stopped = all.get(&holder).is_some_and(|place| {
                let heading = Heading {
                    api: holder.api.clone(),
                    credential: place.with.credential.clone(),
                };
                parts.stops.holds(&holder.tenant, &heading)
            });
            if over || idle || stopped {
                taken.extend(all.remove(&holder));
            }
        }
        taken
    }
}

/// What the owner of an API lets its server ask in any of its operations.
fn asks(api: &ApiSnapshot) -> BTreeSet<Ask> {
    let operations = api.contract.operations();
    let asks = operations.flat_map(|operation| &operation.handling().asks);
    asks.copied().collect()
}

/// Lets the session go that nobody has used for longest, if there are too many with one server: the agent's own, if those are too many.
fn make_room(
    all: &mut BTreeMap<Holder, Arc<Place>>,
    (api, agent): (&ApiId, AgentId),
    most: Most,
) -> Result<Option<Arc<Place>>, NoRoom> {
    let with = || all.iter().filter(|(holder, _)| holder.api == *api);
    let own = || with().filter(|(_, place)| place.agent == agent);
    let own_full = own().count() >= most.of_an_agent;
    if !own_full && with().count() < most.all {
        return Ok(None);
    }
    let may_go = with().filter(|(_, place)| !own_full || place.agent == agent);
    let idle = may_go.filter_map(|(holder, place)| Some((place.idle_since()?, holder)));
    let oldest = idle.min_by_key(|(since, _)| *since);
    let oldest = oldest.map(|(_, holder)| holder.clone()).ok_or(NoRoom)?;
    Ok(all.remove(&oldest))
}

async fn end(place: Arc<Place>, pool: Arc<Pool>) {
    let open = place.open.lock().await.take();
    match open {
        Some(Open::Session(session)) => session.end(&pool).await,
        Some(Open::Process(process)) => process.end(),
        None => {}
    }
}

impl Gateway {
    /// Ends sessions with MCP servers when they are over, and forgets the tokens of tasks that are, for as long as it is polled.
    pub async fn tend(&self, pool: &Arc<Pool>) {
        loop {
            tokio::time::sleep(EACH).await;
            for place in self.server_sessions().take_over(self).await {
                tokio::spawn(end(place, Arc::clone(pool)));
            }
            self.granted().forget_ended(self).await;
        }
    }

    /// Ends all sessions with MCP servers, because the process stops: as far as that is done in a moment.
    pub async fn leave(&self, pool: &Arc<Pool>) {
        let all = std::mem::take(&mut *self.server_sessions().all());
        let mut ending = JoinSet::new();
        for place in all.into_values() {
            ending.spawn(end(place, Arc::clone(pool)));
        }
        let ended =
            tokio::time::timeout(LAST, async { while ending.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::debug!("not all sessions with MCP servers were ended");
        }
    }
}

#[cfg(test)]
mod tests;
