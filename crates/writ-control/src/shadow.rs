//! What came of trying a draft: where it decided otherwise than the rules in force, folded over the records.

use std::collections::{BTreeMap, BTreeSet};

use writ_audit::{Decision, Event, Record};
use writ_policy::ShadowTime;
use writ_types::{ActionName, AgentId, CallId, Digest, RevisionId, Timestamp, Value};

use crate::disagreements::{Disagreements, Kind};

/// A draft's trial, folded over the records of a log in their order.
#[derive(Debug)]
pub(crate) struct Trial {
    policy: Digest,
    time: ShadowTime,
    /// Decisions by revision: those of one that had the draft count.
    decided: BTreeMap<RevisionId, u64>,
    had: BTreeSet<RevisionId>,
    disagreements: Disagreements,
}

impl Trial {
    /// A trial of the policies with this digest, which the revision in force has, and each of those that disagreed with it.
    pub(crate) fn of(policy: Digest, time: ShadowTime, in_force: RevisionId) -> Self {
        Self {
            policy,
            time,
            decided: BTreeMap::new(),
            had: BTreeSet::from([in_force]),
            disagreements: Disagreements::default(),
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
            | Event::TaskAmended(_)
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
        let (call, agent) = call;
        self.disagreements.take(kind, agent, call, decision.at);
    }

    /// The report. `before` is how many older records were not looked at.
    pub(crate) fn to_value(&self, before: u64, now: Timestamp) -> Value {
        let state = if now < self.time.from {
            "coming"
        } else if now < self.time.until {
            "tried"
        } else {
            "over"
        };
        let decided = self.had.iter().filter_map(|one| self.decided.get(one));
        let decided = decided.copied().fold(0, u64::saturating_add);
        let members = [
            ("state", Value::from(state)),
            ("from", Value::from(self.time.from.to_string())),
            ("until", Value::from(self.time.until.to_string())),
            ("policy", Value::from(self.policy.to_string())),
            ("decided", Value::from_u64(decided)),
            ("records_before", Value::from_u64(before)),
        ];
        Value::object(members.into_iter().chain(self.disagreements.members()))
    }
}
