//! The ledger after a restart: a fold over what the log recorded.
//!
//! The log is the budgets' write-ahead log. An intent without outcome counts as spent, because the upstream may have
//! heard of it; a reservation without intent is not in the log and is therefore given back, because it cannot have.

use std::collections::BTreeSet;

use writ_types::{ActionName, Charge, Grant, Label, Limits, TaskId, Tenant, Timestamp};

use crate::ledger::Ending;
use crate::tree::Before;
use crate::{Cut, MemoryLedger, OpenError, RebuildError, Widening};

/// What the log says about tasks. The tenant is the log's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task was opened.
    Opened(Box<Grant>),
    /// A call was permitted and about to be sent.
    Intent {
        /// The task.
        task: TaskId,
        /// The action.
        action: ActionName,
        /// What it costs.
        charge: Charge,
    },
    /// A task has read something so labelled.
    Labelled {
        /// The task.
        task: TaskId,
        /// The labels.
        labels: BTreeSet<Label>,
    },
    /// A task was closed, revoked or cut.
    Ended {
        /// The task.
        task: TaskId,
        /// Why.
        why: Ending,
    },
}

/// Makes the ledger again. Apply the events in the order of the log, every log after the other.
#[derive(Debug)]
pub struct Rebuild {
    ledger: MemoryLedger,
    intents: u64,
    refused: Vec<(TaskId, OpenError)>,
}

/// A ledger made again.
#[derive(Debug)]
pub struct Restored {
    /// The ledger; tasks whose deadline passed while nobody looked have ended.
    pub ledger: MemoryLedger,
    /// How many calls were counted as spent.
    pub intents: u64,
    /// The tasks that ran out meanwhile.
    pub expired: Cut,
    /// The tasks that the log opens but that hold no authority now, and why. A few are normal: a parent may be revoked
    /// between the opening of a sub-task and its record.
    pub refused: Vec<(TaskId, OpenError)>,
}

impl Rebuild {
    /// Begins without tasks.
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self {
            ledger: MemoryLedger::new(limits),
            intents: 0,
            refused: Vec::new(),
        }
    }

    /// Takes the next event of `tenant`'s log.
    ///
    /// A task is judged as of the instant it was opened, a sub-task against its parent's whole budget: what the parent had
    /// left then was judged when it was opened, and records of calls and of openings may stand in either order. One that is
    /// refused has no authority, is listed in [`Restored::refused`], and what it spent counts against the tasks above it,
    /// as does what a task spent that has ended.
    ///
    /// # Errors
    ///
    /// [`RebuildError`]: the log speaks of a task that it never opened.
    pub fn apply(&mut self, tenant: &Tenant, event: Event) -> Result<(), RebuildError> {
        let (task, known) = match event {
            Event::Opened(grant) => {
                self.opened(tenant, *grant);
                return Ok(());
            }
            Event::Intent {
                task,
                action,
                charge,
            } => {
                self.intents = self.intents.saturating_add(1);
                let known = self.ledger.spend_recorded(tenant, task, &action, charge);
                (task, known)
            }
            Event::Labelled { task, labels } => {
                (task, self.ledger.label_recorded(tenant, task, &labels))
            }
            Event::Ended { task, why } => (task, self.ledger.end(tenant, task, why).is_ok()),
        };
        if known || self.refused.iter().any(|(refused, _)| *refused == task) {
            Ok(())
        } else {
            Err(RebuildError::UnknownTask(task))
        }
    }

    /// The ledger as of `now`.
    #[must_use]
    pub fn finish(self, now: Timestamp) -> Restored {
        let expired = self.ledger.sweep_at(now);
        Restored {
            ledger: self.ledger,
            intents: self.intents,
            expired,
            refused: self.refused,
        }
    }

    fn opened(&mut self, tenant: &Tenant, grant: Grant) {
        let (task, opened) = (grant.task, grant.opened);
        let inserted = if grant.tenant == *tenant {
            let before = Some(Before::default());
            self.ledger.insert(grant.clone(), before, None, opened)
        } else {
            Err(OpenError::NotWithinParent(Widening::Tenant))
        };
        if let Err(why) = inserted {
            self.refused.push((task, why));
            if grant.tenant == *tenant {
                self.ledger.insert_ended(grant);
            }
        }
    }
}
