//! What came of trying a draft: where it decided otherwise than the rules in force, folded over the records.

use std::collections::{BTreeMap, BTreeSet};

use writ_audit::{Decision, Event, Record};
use writ_policy::ShadowTime;
use writ_types::{ActionName, AgentId, CallId, Digest, RevisionId, Timestamp, Value, Verdict};

/// Most kinds of disagreement that are told apart, and most agents and calls that are named of each.
const MOST_KINDS: usize = 500;
const MOST_NAMED: usize = 5;

/// A draft's trial, folded over the records of a log in their order.
#[derive(Debug)]
pub(crate) struct Trial {
    policy: Digest,
    time: ShadowTime,
    /// Decisions by revision: those of one that had the draft count.
    decided: BTreeMap<RevisionId, u64>,
    had: BTreeSet<RevisionId>,
    kinds: BTreeMap<Kind, Seen>,
    /// Disagreements of kinds that found no room.
    others: u64,
}

/// What is told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    action: ActionName,
    in_force: Verdict,
    drafted: Verdict,
    rules: BTreeSet<String>,
}

impl Kind {
    /// Whether the draft would let through what the rules in force do not.
    fn is_looser(&self) -> bool {
        self.drafted < self.in_force
    }
}

#[derive(Debug)]
struct Seen {
    calls: u64,
    agents: BTreeSet<AgentId>,
    /// The newest.
    last: Vec<CallId>,
    at: Timestamp,
}

impl Trial {
    /// A trial of the policies with this digest, which the revision in force has, and each of those that disagreed with it.
    pub(crate) fn of(policy: Digest, time: ShadowTime, in_force: RevisionId) -> Self {
        Self {
            policy,
            time,
            decided: BTreeMap::new(),
            had: BTreeSet::from([in_force]),
            kinds: BTreeMap::new(),
            others: 0,
        }
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::Intent(intent) => {
                let call = (intent.call, intent.subject.agent);
                self.decided(record, &intent.decision, &intent.action, call);
            }
            Event::Refused(refused) => {
                if let (Some(decision), Some(action)) = (&refused.decision, &refused.action) {
                    let call = (refused.call, refused.subject.agent);
                    self.decided(record, decision, action, call);
                }
            }
            Event::Outcome(_)
            | Event::TaskOpened(_)
            | Event::TaskClosed(_)
            | Event::TokenIssued(_)
            | Event::TokenRefused(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_)
            | Event::Approval(_)
            | Event::UpstreamToken(_)
            | Event::Alarm(_) => {}
        }
    }

    fn decided(
        &mut self,
        record: &Record,
        decision: &Decision,
        action: &ActionName,
        call: (CallId, AgentId),
    ) {
        if decision.at < self.time.from || decision.at >= self.time.until {
            return;
        }
        let Some(revision) = record.header.revision else {
            return;
        };
        let decided = self.decided.entry(revision).or_default();
        *decided = decided.saturating_add(1);
        let shadow = decision.shadow.as_ref();
        let Some(shadow) = shadow.filter(|shadow| shadow.policy == self.policy) else {
            return;
        };
        self.had.insert(revision);
        let kind = Kind {
            action: action.clone(),
            in_force: decision.verdict,
            drafted: shadow.verdict,
            rules: shadow.rules.clone(),
        };
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            self.others = self.others.saturating_add(1);
            return;
        }
        let seen = self.kinds.entry(kind).or_insert_with(|| Seen {
            calls: 0,
            agents: BTreeSet::new(),
            last: Vec::new(),
            at: decision.at,
        });
        let (call, agent) = call;
        seen.calls = seen.calls.saturating_add(1);
        seen.at = decision.at;
        if seen.agents.len() < MOST_NAMED {
            seen.agents.insert(agent);
        }
        if seen.last.len() >= MOST_NAMED {
            seen.last.remove(0);
        }
        seen.last.push(call);
    }

    /// The report: what the draft would let through first, then by the number of calls. `before` is how many older records were
    /// not looked at.
    pub(crate) fn to_value(&self, before: u64, now: Timestamp) -> Value {
        let mut kinds: Vec<(&Kind, &Seen)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, seen)| {
            let calls = std::cmp::Reverse(seen.calls);
            (!kind.is_looser(), calls, kind.action.clone())
        });
        let strings = |items: &mut dyn Iterator<Item = String>| {
            Value::Array(items.map(Value::from).collect())
        };
        let row = |(kind, seen): (&Kind, &Seen)| {
            Value::object([
                ("action", Value::from(kind.action.to_string())),
                ("in_force", Value::from(kind.in_force.as_str())),
                ("drafted", Value::from(kind.drafted.as_str())),
                ("looser", Value::from(kind.is_looser())),
                ("rules", strings(&mut kind.rules.iter().cloned())),
                ("calls", Value::from_u64(seen.calls)),
                (
                    "agents",
                    strings(&mut seen.agents.iter().map(ToString::to_string)),
                ),
                (
                    "last",
                    strings(&mut seen.last.iter().map(ToString::to_string)),
                ),
                ("at", Value::from(seen.at.to_string())),
            ])
        };
        let state = if now < self.time.from {
            "coming"
        } else if now < self.time.until {
            "tried"
        } else {
            "over"
        };
        let decided = self.had.iter().filter_map(|one| self.decided.get(one));
        let decided = decided.copied().fold(0, u64::saturating_add);
        let disagreed = self.kinds.values().map(|seen| seen.calls);
        let disagreed = disagreed.fold(self.others, u64::saturating_add);
        Value::object([
            ("state", Value::from(state)),
            ("from", Value::from(self.time.from.to_string())),
            ("until", Value::from(self.time.until.to_string())),
            ("policy", Value::from(self.policy.to_string())),
            ("decided", Value::from_u64(decided)),
            ("disagreed", Value::from_u64(disagreed)),
            ("not_told_apart", Value::from_u64(self.others)),
            ("records_before", Value::from_u64(before)),
            (
                "disagreements",
                Value::Array(kinds.into_iter().map(row).collect()),
            ),
        ])
    }
}
