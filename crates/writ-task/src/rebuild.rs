//! The ledger after a restart: a fold over what the log recorded.
//!
//! The log is the budgets' write-ahead log. An intent without outcome counts as spent, because the upstream may have
//! heard of it; a reservation without intent is not in the log and is therefore given back, because it cannot have.

use std::collections::BTreeSet;

use writ_types::{ActionName, Charge, Grant, Label, Limits, TaskId, Tenant, Timestamp};

use crate::ledger::Ending;
use crate::{Cut, MemoryLedger, OpenError, RebuildError};

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
}

impl Rebuild {
    /// Begins without tasks.
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self {
            ledger: MemoryLedger::new(limits),
            intents: 0,
        }
    }

    /// Takes the next event of `tenant`'s log.
    ///
    /// A task is judged as of the instant it was opened. An intent of a task that has ended counts all the same, against
    /// the tasks above it.
    ///
    /// # Errors
    ///
    /// [`RebuildError`]: the event does not fit the log so far. Its task is left without any authority, and the rest of
    /// the log can still be read. Opening a recorded task may be refused rightly: the ledger refused it then too, after
    /// it was recorded. A sub-task refused here is known as ended, so that what it may have spent counts above it.
    pub fn apply(&mut self, tenant: &Tenant, event: Event) -> Result<(), RebuildError> {
        match event {
            Event::Opened(grant) => self.opened(tenant, *grant),
            Event::Intent {
                task,
                action,
                charge,
            } => {
                self.intents = self.intents.saturating_add(1);
                let known = self.ledger.spend_recorded(tenant, task, &action, charge);
                known.then_some(()).ok_or(RebuildError::UnknownTask(task))
            }
            Event::Labelled { task, labels } => {
                let known = self.ledger.label_recorded(tenant, task, &labels);
                known.then_some(()).ok_or(RebuildError::UnknownTask(task))
            }
            Event::Ended { task, why } => {
                let ended = self.ledger.end(tenant, task, why);
                ended.map_or(Err(RebuildError::UnknownTask(task)), |_cut| Ok(()))
            }
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
        }
    }

    fn opened(&self, tenant: &Tenant, grant: Grant) -> Result<(), RebuildError> {
        let (task, opened) = (grant.task, grant.opened);
        let not_opened = |why| RebuildError::NotOpened { task, why };
        if grant.tenant != *tenant {
            return Err(not_opened(OpenError::NotWithinParent(
                crate::Widening::Tenant,
            )));
        }
        let inserted = self.ledger.insert(grant.clone(), None, None, opened);
        if inserted.is_err() {
            self.ledger.insert_ended(grant);
        }
        inserted.map(drop).map_err(not_opened)
    }
}
