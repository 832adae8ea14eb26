//! Recorded traffic, decided again by a draft: what it would have made otherwise.

use std::collections::BTreeMap;

use writ_audit::Record;
use writ_types::{Grant, Inputs, RevisionId, TaskId, Timestamp, Value};

use crate::disagreements::{Disagreements, Kind};
use crate::plan::Side;
use crate::trace::{Again, Ground, Recorded, Unsaid, again};

/// What decided then, and what is tried.
#[derive(Debug)]
pub(crate) struct Sides {
    /// The revisions that decided, as far as they are kept.
    pub(crate) then: BTreeMap<RevisionId, Side>,
    /// The draft.
    pub(crate) draft: Side,
    /// The tasks that called, as far as they are kept.
    pub(crate) grants: BTreeMap<TaskId, Grant>,
}

/// The decisions that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    decisions: u64,
    again: u64,
    /// Those whose arguments another contract read than the draft has.
    other_contract: u64,
    unsaid: BTreeMap<Unsaid, u64>,
    disagreements: Disagreements,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Replay {
    /// Takes the next decision in the order of the log, and what was kept of it.
    pub(crate) fn take(&mut self, record: &Record, kept: Option<&Value>, sides: &Sides) {
        let Some(recorded) = Recorded::of(record) else {
            return;
        };
        add(&mut self.decisions);
        self.from.get_or_insert(recorded.at);
        self.until = Some(recorded.at);
        let (said, other_contract) = said(record, &recorded, kept, sides);
        let (verdict, rules) = match said {
            Again::Unsaid(why) => return add(self.unsaid.entry(why).or_default()),
            Again::Same => {
                add(&mut self.again);
                (None, std::collections::BTreeSet::new())
            }
            Again::Otherwise(verdict, rules) => {
                add(&mut self.again);
                (Some(verdict), rules)
            }
        };
        if other_contract {
            add(&mut self.other_contract);
        }
        if let (Some(drafted), Some((call, _)), Some(action)) =
            (verdict, recorded.call, recorded.action)
        {
            let in_force = recorded.verdict;
            let kind = Kind {
                action,
                in_force,
                drafted,
                rules,
            };
            self.disagreements
                .take(kind, recorded.agent, call, recorded.at);
        }
    }

    /// The report. `before` is how many older records were not looked at.
    pub(crate) fn to_value(&self, before: u64) -> Value {
        let instant =
            |at: Option<Timestamp>| at.map_or(Value::Null, |at| Value::from(at.to_string()));
        let unsaid = self.unsaid.iter();
        let unsaid = unsaid.map(|(why, calls)| (why.as_str(), Value::from_u64(*calls)));
        let members = [
            ("from", instant(self.from)),
            ("until", instant(self.until)),
            ("decisions", Value::from_u64(self.decisions)),
            ("decided_again", Value::from_u64(self.again)),
            ("other_contract", Value::from_u64(self.other_contract)),
            ("not_decided", Value::object(unsaid)),
            ("records_before", Value::from_u64(before)),
        ];
        Value::object(members.into_iter().chain(self.disagreements.members()))
    }
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// What the draft makes of a decision, and whether it has another contract than the one that read the arguments.
fn said(
    record: &Record,
    recorded: &Recorded,
    kept: Option<&Value>,
    sides: &Sides,
) -> (Again, bool) {
    let nothing = |why| (Again::Unsaid(why), false);
    let (Some(_), Some((_, task))) = (&recorded.action, recorded.call) else {
        return nothing(Unsaid::NotByRules);
    };
    let revision = record.header.revision;
    let then = revision.and_then(|revision| sides.then.get(&revision));
    let then = then.and_then(|side| Ground::of_side(side, recorded));
    let (Some(then), Some(grant)) = (then, sides.grants.get(&task)) else {
        return nothing(Unsaid::NotKept);
    };
    let sinks = &then.operation.handling().sink;
    let inputs = match kept {
        Some(kept) => Inputs::from_value(kept, then.operation.id(), sinks),
        // A call that was stopped before anything was read has nothing beside its record.
        None if record.evidence().is_none() => Inputs::default(),
        None => return nothing(Unsaid::NotKept),
    };
    let draft = Ground::of_side(&sides.draft, recorded);
    let other = draft.is_some_and(|draft| draft.contract.digest() != then.contract.digest());
    (again(recorded, then, draft, grant, inputs), other)
}
