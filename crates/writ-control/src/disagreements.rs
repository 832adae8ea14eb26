//! Where other rules decide otherwise than those that decided: told apart, counted, and the newest calls of each named.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use writ_types::{ActionName, AgentId, CallId, Timestamp, Value, Verdict};

/// Most kinds that are told apart, and most agents and calls that are named of each.
const MOST_KINDS: usize = 500;
const MOST_NAMED: usize = 5;

/// What is told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) action: ActionName,
    pub(crate) in_force: Verdict,
    pub(crate) drafted: Verdict,
    pub(crate) rules: BTreeSet<String>,
}

impl Kind {
    /// Whether the draft lets through what the rules in force do not.
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

/// Decisions that a draft makes otherwise.
#[derive(Debug, Default)]
pub(crate) struct Disagreements {
    kinds: BTreeMap<Kind, Seen>,
    /// Those of kinds that found no room.
    others: u64,
}

impl Disagreements {
    /// Takes the next, in the order of their instants.
    pub(crate) fn take(&mut self, kind: Kind, agent: AgentId, call: CallId, at: Timestamp) {
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            self.others = self.others.saturating_add(1);
            return;
        }
        let seen = self.kinds.entry(kind).or_insert_with(|| Seen {
            calls: 0,
            agents: BTreeSet::new(),
            last: Vec::new(),
            at,
        });
        seen.calls = seen.calls.saturating_add(1);
        seen.at = at;
        if seen.agents.len() < MOST_NAMED {
            seen.agents.insert(agent);
        }
        if seen.last.len() >= MOST_NAMED {
            seen.last.remove(0);
        }
        seen.last.push(call);
    }

    /// The members of a report: what the draft would let through first, then by the number of calls.
    pub(crate) fn members(&self) -> [(&'static str, Value); 3] {
        let mut kinds: Vec<(&Kind, &Seen)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, seen)| {
            (!kind.is_looser(), Reverse(seen.calls), kind.action.clone())
        });
        let calls = self.kinds.values().map(|seen| seen.calls);
        let disagreed = calls.fold(self.others, u64::saturating_add);
        [
            ("disagreed", Value::from_u64(disagreed)),
            ("not_told_apart", Value::from_u64(self.others)),
            (
                "disagreements",
                Value::Array(kinds.into_iter().map(row).collect()),
            ),
        ]
    }
}

fn row((kind, seen): (&Kind, &Seen)) -> Value {
    let strings =
        |items: &mut dyn Iterator<Item = String>| Value::Array(items.map(Value::from).collect());
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
}
