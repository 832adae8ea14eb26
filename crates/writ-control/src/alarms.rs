//! Alarms: somebody did what an honest agent does not do. They are recorded, shown, and where the agent's file says so the
//! agent is stopped.
//!
//! Whoever raises one does not wait, and a stranger who has found a trap fills no log: of the same alarm the first of a minute
//! is recorded, those after it are counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use writ_audit::{Actor, Alarm, AlarmKind, AlarmResponse, Durability, Event, Watchman};
use writ_types::{Agent, AgentId, Clock, Timestamp, Value};

use crate::admin::stop_agent;
use crate::ending::settle;
use crate::plane::{Connection, Plane};
use crate::trust::Client;

/// For so long the same alarm is counted and not recorded again.
const SAME: Duration = Duration::from_secs(60);
/// Most alarms that wait to be recorded; beyond, they are counted.
const MOST_WAITING: usize = 1024;
/// Most different alarms that are told apart. Beyond, some are recorded more often.
const MOST_TOLD: usize = 8192;
/// Most alarms that are shown.
const MOST_SHOWN: usize = 32;
/// How long an alarm is shown.
const SHOWN: Duration = Duration::from_secs(24 * 3600);

/// Which alarms are the same: what, in whose name, and which trap.
type Same = (AlarmKind, Option<AgentId>, Option<String>);

/// Takes alarms. One for a process; both planes share it.
#[derive(Debug)]
pub struct AlarmDesk {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    raised: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be done, and whether it is to be recorded.
    waiting: VecDeque<(Alarm, bool)>,
    told: BTreeMap<Same, Timestamp>,
    shown: VecDeque<(Timestamp, Alarm)>,
    counts: BTreeMap<AlarmKind, u64>,
}

impl AlarmDesk {
    /// A desk at which nothing was told yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            raised: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The alarms of the last day, the newest first, for operators.
    pub(crate) fn shown(&self) -> Value {
        let now = self.clock.now();
        let state = self.lock();
        let lately = state.shown.iter().rev();
        let lately = lately.filter(|(at, _)| now.since(*at) < SHOWN);
        Value::Array(lately.map(|(at, alarm)| shown(*at, alarm)).collect())
    }

    /// How many of each kind were raised since the start.
    pub(crate) fn counts(&self) -> Value {
        let state = self.lock();
        let count = |kind: AlarmKind| {
            let count = state.counts.get(&kind).copied().unwrap_or_default();
            (kind.as_str(), Value::from_u64(count))
        };
        Value::object(AlarmKind::ALL.map(count))
    }
}

fn shown(at: Timestamp, alarm: &Alarm) -> Value {
    let mut members = vec![
        ("time", Value::from(at.to_string())),
        ("what", Value::from(alarm.what.as_str())),
        ("response", Value::from(alarm.response.as_str())),
    ];
    let texts = [
        ("agent", alarm.agent.map(|agent| agent.to_string())),
        ("task", alarm.task.map(|task| task.to_string())),
        ("trap", alarm.trap.clone()),
        ("source", alarm.source.map(|source| source.to_string())),
        ("before", alarm.before.map(|before| before.to_string())),
    ];
    members.extend(
        texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, Value::from(text?)))),
    );
    Value::object(members)
}

impl Watchman for AlarmDesk {
    fn raise(&self, alarm: Alarm) {
        let now = self.clock.now();
        let mut state = self.lock();
        let count = state.counts.entry(alarm.what).or_default();
        *count = count.saturating_add(1);
        let same: Same = (alarm.what, alarm.agent, alarm.trap.clone());
        let is_new = |at: &Timestamp| now.since(*at) >= SAME;
        let fresh = state.told.get(&same).is_none_or(is_new);
        if fresh {
            tracing::warn!(what = alarm.what.as_str(), agent = ?alarm.agent, trap = ?alarm.trap, source = ?alarm.source, response = alarm.response.as_str(), "alarm");
            if state.told.len() >= MOST_TOLD {
                state.told.retain(|_, at| now.since(*at) < SAME);
            }
            if state.told.len() >= MOST_TOLD {
                state.told.clear();
            }
            state.told.insert(same, now);
            if state.shown.len() >= MOST_SHOWN {
                state.shown.pop_front();
            }
            state.shown.push_back((now, alarm.clone()));
        }
        // An agent that was let go on within the minute is stopped again.
        let acts = fresh || alarm.response == AlarmResponse::Stopped;
        if acts && state.waiting.len() < MOST_WAITING {
            state.waiting.push_back((alarm, fresh));
            drop(state);
            self.raised.notify_one();
        }
    }
}

impl Plane {
    /// Records alarms and stops agents, for as long as the process serves.
    pub async fn watch_over(&self) {
        loop {
            self.alarms.raised.notified().await;
            self.tell_alarms().await;
        }
    }

    /// Does what waits to be done about alarms: stops first, because a kill waits for nothing, and records.
    pub async fn tell_alarms(&self) {
        loop {
            let next = self.alarms.lock().waiting.pop_front();
            let Some((alarm, fresh)) = next else {
                return;
            };
            if let (AlarmResponse::Stopped, Some(agent)) = (alarm.response, alarm.agent) {
                self.stop_for_alarm(agent).await;
            }
            if !fresh {
                continue;
            }
            let event = Event::Alarm(Box::new(alarm));
            let header = self.header(self.clock.now());
            let recorded = self.record(header, event, None, Durability::Durable);
            if let Err(fault) = recorded.await {
                tracing::error!(%fault, "an alarm could not be recorded");
            }
        }
    }

    async fn stop_for_alarm(&self, agent: AgentId) {
        let (cut, disabled) = stop_agent(self, Actor::System, agent).await;
        let closing = writ_audit::Closing::Revoked;
        let kept = settle(self, Actor::System, None, &cut, closing).await;
        if let Err(fault) = kept {
            tracing::error!(%agent, fault, "what an alarm has ended could not be kept");
        }
        if let Err(fault) = disabled {
            tracing::error!(%agent, %fault, "an agent could not be stopped for good: `writ kill` it");
        }
    }

    /// Whether a text was laid for thieves; then it is told.
    pub(crate) fn is_trap(&self, text: &str, from: &Connection) -> bool {
        let loaded = self.loaded();
        let Some(trap) = loaded.traps.find(text.as_bytes()) else {
            return false;
        };
        let response = if trap.stop {
            AlarmResponse::Stopped
        } else {
            AlarmResponse::Refused
        };
        let found = (Some(trap.agent), Some(trap.name.clone()));
        self.tell_honey(found, from, response);
        true
    }

    /// Tells of the use of an agent that nobody is. It is refused as every agent that may not act.
    pub(crate) fn tell_nobody(&self, agent: &Agent, from: &Connection) {
        if agent.watch.honey {
            self.tell_honey((Some(agent.id), None), from, AlarmResponse::Refused);
        }
    }

    /// Whether a client that has proven itself is one that nobody is; then it is told.
    pub(crate) fn is_honey(&self, client: &Client, from: &Connection) -> bool {
        if client.honey {
            let name = client.registered.id.as_str().to_owned();
            self.tell_honey((None, Some(name)), from, AlarmResponse::Refused);
        }
        client.honey
    }

    /// Tells that something was used that lies where only a thief finds it.
    fn tell_honey(
        &self,
        (agent, trap): (Option<AgentId>, Option<String>),
        from: &Connection,
        response: AlarmResponse,
    ) {
        self.alarms.raise(Alarm {
            what: AlarmKind::Honey,
            agent,
            task: None,
            key: None,
            trap,
            source: from.source(),
            before: None,
            response,
        });
    }
}
