//! One instance, one key: which keys of an agent hold tokens that are good (ARCHITECTURE "One instance, one key").
//!
//! An instance is a key. It lives for as long as a token that is bound to it is good: until that ends, or its task does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use writ_audit::{Alarm, AlarmKind, AlarmResponse, TokenIssued, Watchman as _};
use writ_task::TaskState;
use writ_token::OauthError;
use writ_types::{AgentId, Binding, Digest, Reaction, TaskId, Timestamp};

use crate::oauth::grant_error;
use crate::oauth::proven::Proven;
use crate::plane::{Connection, Plane};

/// So long a request that was let through may take to get its token; meanwhile its key counts.
const UNDER_WAY: Duration = Duration::from_secs(10);
/// Most keys of one agent that are remembered; what is let through beyond is an alarm all the same.
const MOST_KEYS: usize = 64;

/// The live instances of agents that are watched for a second one.
#[derive(Debug, Default)]
pub struct Instances(Mutex<BTreeMap<AgentId, BTreeMap<Digest, Held>>>);

/// What one key holds.
#[derive(Debug, Default)]
struct Held {
    /// Until when a request counts that has no token yet.
    under_way: Option<Timestamp>,
    /// Until when its tokens are good, by their tasks.
    tokens: BTreeMap<TaskId, Timestamp>,
}

impl Held {
    fn is_live(&self, now: Timestamp) -> bool {
        self.under_way.is_some_and(|until| now < until)
            || self.tokens.values().any(|until| now < *until)
    }
}

impl Instances {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentId, BTreeMap<Digest, Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that the log says was issued: it is good after a restart too.
    pub(crate) fn restore(&self, issued: &TokenIssued) {
        self.hold(
            issued.agent,
            key(&issued.binding),
            issued.task,
            issued.expires,
        );
    }

    fn hold(&self, agent: AgentId, key: Digest, task: TaskId, until: Timestamp) {
        let mut agents = self.lock();
        let keys = agents.entry(agent).or_default();
        if keys.len() >= MOST_KEYS && !keys.contains_key(&key) {
            return;
        }
        let held = keys.entry(key).or_default();
        held.under_way = None;
        let known = held.tokens.entry(task).or_insert(until);
        *known = until.max(*known);
    }

    /// The tasks that other keys of the agent hold tokens of.
    fn tasks_of_others(&self, agent: AgentId, key: Digest, now: Timestamp) -> Vec<TaskId> {
        let agents = self.lock();
        let keys = agents.get(&agent).into_iter().flatten();
        let others = keys.filter(|(other, _)| **other != key);
        let tokens = others.flat_map(|(_, held)| &held.tokens);
        let live = tokens.filter(|(_, until)| now < **until);
        live.map(|(task, _)| *task).collect()
    }

    /// Whether another key of the agent is live, the tasks in `ended` not counted; in one step with letting this one in, so
    /// that of two that race one is the second. With [`Reaction::Refuse`] it is not let in then.
    fn admit(
        &self,
        agent: AgentId,
        key: Digest,
        ended: &[TaskId],
        reaction: Reaction,
        now: Timestamp,
    ) -> bool {
        let mut agents = self.lock();
        let keys = agents.entry(agent).or_default();
        for held in keys.values_mut() {
            held.tokens.retain(|task, _| !ended.contains(task));
        }
        keys.retain(|own, held| *own == key || held.is_live(now));
        let alone = keys.keys().all(|other| *other == key);
        let room = keys.len() < MOST_KEYS || keys.contains_key(&key);
        if room && (alone || reaction != Reaction::Refuse) {
            keys.entry(key).or_default().under_way = Some(now.plus(UNDER_WAY));
        }
        alone
    }
}

fn key(binding: &Binding) -> Digest {
    match binding {
        Binding::Dpop(key) | Binding::Mtls(key) => *key,
        Binding::Unbound => Digest::of(b"no key"),
    }
}

impl Plane {
    /// Lets a key of an agent ask for a token, as far as the agent's file asks for it to be the only one.
    ///
    /// # Errors
    ///
    /// `invalid_grant` if another key holds a good token, or there is no key to tell instances by.
    pub(super) async fn admit_instance(
        &self,
        from: &Connection,
        proven: &Proven,
        binding: &Binding,
        now: Timestamp,
    ) -> Result<(), OauthError> {
        let agent = &proven.agent;
        let reaction = agent.watch.second_instance;
        let response = match reaction {
            Reaction::Allow => return Ok(()),
            Reaction::Raise => AlarmResponse::Raised,
            Reaction::Refuse => AlarmResponse::Refused,
        };
        let keep_out = response == AlarmResponse::Refused;
        if keep_out && *binding == Binding::Unbound {
            return Err(grant_error(
                "the agent runs once, and is told by its key: prove one",
            ));
        }
        let key = key(binding);
        let mut ended = Vec::new();
        for task in self.instances.tasks_of_others(agent.id, key, now) {
            let status = self.task(task, now).await;
            if status.is_none_or(|status| status.state != TaskState::Live) {
                ended.push(task);
            }
        }
        if self.instances.admit(agent.id, key, &ended, reaction, now) {
            return Ok(());
        }
        self.alarms.raise(Alarm {
            what: AlarmKind::SecondInstance,
            agent: Some(agent.id),
            task: None,
            key: Some(key),
            trap: None,
            source: from.source(),
            before: None,
            response,
        });
        if keep_out {
            return Err(grant_error(
                "another instance of this agent holds a token that is good: end its task, or wait until the token ends",
            ));
        }
        Ok(())
    }

    /// Remembers that a key holds a token, where the agent is watched for a second one.
    pub(super) fn hold_instance(&self, proven: &Proven, issued: &TokenIssued) {
        if proven.agent.watch.second_instance != Reaction::Allow {
            self.instances.restore(issued);
        }
    }
}
