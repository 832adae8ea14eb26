//! The ledger after a restart: a fold over what the log recorded.
//!
//! The log is the budgets' write-ahead log. An intent without outcome counts as spent, because the upstream may have
//! heard of it; a reservation without intent is not in the log and is therefore given back, because it cannot have.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{
    ActionName, Charge, Digest, Grant, Label, Limits, TaskId, Tenant, Timestamp, ValueDigest,
    Windows,
};

use crate::carried::Acting;
use crate::ledger::Ending;
use crate::recall::{Opening, Recall};
use crate::tally::{Called, Lineages, SharedTallies};
use crate::tree::{Before, Taken};
use crate::{AmendError, Cut, MemoryLedger, OpenError, RebuildError, Unheld, Widening};

/// What the log says about live tasks. The tenant is the log's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task was opened.
    Opened(Box<Grant>),
    /// A task came to hold something else.
    Amended {
        /// What it holds from then on.
        grant: Box<Grant>,
        /// The digest of what it held.
        from: Digest,
    },
    /// A call was permitted and about to be sent.
    Intent {
        /// The task.
        task: TaskId,
        /// The action.
        action: ActionName,
        /// What it costs.
        charge: Charge,
        /// The step of the plan that it was.
        step: Option<u16>,
        /// What its values could be read back as, if it writes; none: not known.
        written: Option<Vec<ValueDigest>>,
    },
    /// A task has read something so labelled.
    Labelled {
        /// The task.
        task: TaskId,
        /// The labels.
        labels: BTreeSet<Label>,
    },
    /// A task was paused.
    Paused(TaskId),
    /// A person let a task go on.
    Resumed(TaskId),
    /// A task was closed, revoked or cut.
    Ended {
        /// The task.
        task: TaskId,
        /// Why.
        why: Ending,
    },
}

/// What the log says of agents and requesters, whether their tasks live or are over: it outlives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// A task was opened. Before [`Event::Opened`] of the same task.
    Opened(Opening),
    /// A task came to live until another deadline.
    Amended {
        /// The task.
        task: TaskId,
        /// When it ends by itself.
        deadline: Timestamp,
    },
    /// A task has read something so labelled.
    Read {
        /// The task.
        task: TaskId,
        /// Who acts in it.
        acting: Acting,
        /// The labels.
        labels: BTreeSet<Label>,
    },
    /// A task has written.
    Wrote {
        /// The task.
        task: TaskId,
        /// Who.
        acting: Acting,
        /// What it could be read back as; none: not known.
        forms: Option<Vec<ValueDigest>>,
        /// When.
        at: Timestamp,
    },
    /// A task has called.
    Called {
        /// The task.
        task: TaskId,
        /// Who.
        acting: Acting,
        /// What.
        called: Called,
        /// When it was decided.
        at: Timestamp,
    },
    /// A task is over.
    Ended(TaskId),
}

/// Makes the ledger again. Apply the events in the order of the log, every log after the other.
#[derive(Debug)]
pub struct Rebuild {
    ledger: MemoryLedger,
    recalls: BTreeMap<Tenant, Recall>,
    windows: Windows,
    counts: BTreeMap<Tenant, (Lineages, SharedTallies)>,
    intents: u64,
    refused: Vec<(TaskId, Unheld)>,
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
    pub refused: Vec<(TaskId, Unheld)>,
}

impl Rebuild {
    /// Begins without tasks.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            ledger: MemoryLedger::new(limits),
            recalls: BTreeMap::new(),
            windows: Windows::default(),
            counts: BTreeMap::new(),
            intents: 0,
            refused: Vec::new(),
        }
    }

    /// Counts the calls of the log in these windows, those that are in force.
    #[must_use]
    pub fn counting(mut self, windows: Windows) -> Self {
        self.windows = windows;
        self
    }

    /// Takes the next event of `tenant`'s log that outlives its task.
    pub fn remember(&mut self, tenant: &Tenant, event: &Remembered) {
        self.count(tenant, event);
        let recall = self.recalls.entry(tenant.clone()).or_default();
        match event {
            Remembered::Opened(opening) => recall.opened(opening),
            Remembered::Amended { task, deadline } => recall.amended(*task, *deadline),
            Remembered::Read {
                task,
                acting,
                labels,
            } => recall.read(*task, acting, labels),
            Remembered::Wrote {
                task,
                acting,
                forms,
                at,
            } => recall.wrote(*task, acting, forms.as_deref(), *at),
            Remembered::Called { .. } => {}
            Remembered::Ended(task) => recall.ended(*task),
        }
    }

    fn count(&mut self, tenant: &Tenant, event: &Remembered) {
        let (lineages, tallies) = self.counts.entry(tenant.clone()).or_default();
        match event {
            Remembered::Opened(opening) => {
                let life = (opening.opened, opening.deadline);
                let agent = opening.acting.agent;
                let over = lineages.opened(opening.task, opening.parent, agent, life);
                tallies.forget(&over);
            }
            Remembered::Amended { task, deadline } => lineages.amended(*task, *deadline),
            Remembered::Called {
                task,
                acting,
                called,
                at,
            } if self.windows.watch(&called.action, called.effects) => {
                let caller = lineages.caller(*task, acting);
                tallies.recall(&caller, called, &self.windows, *at);
            }
            Remembered::Called { .. }
            | Remembered::Read { .. }
            | Remembered::Wrote { .. }
            | Remembered::Ended(_) => {}
        }
    }

    /// Takes the next event of `tenant`'s log.
    ///
    /// A task is judged as of the instant it was opened, a sub-task against its parent's whole budget: what the parent had
    /// left then was judged when it was opened, and records of calls and of openings may stand in either order. One that is
    /// refused has no authority, is listed in [`Restored::refused`], and what it spent counts against the tasks above it,
    /// as does what a task spent that has ended. An amendment from what a task did not hold ends that task, and no other's.
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
            Event::Amended { grant, from } => {
                let task = grant.task;
                match self.ledger.amend_recorded(*grant, &from) {
                    // One that has ended holds nothing, whatever it would hold.
                    Ok(()) | Err(AmendError::Ended(_)) => (task, true),
                    Err(AmendError::Unknown) => (task, false),
                    // Which of the two it may do nobody knows: neither. The other tasks have nothing to do with it.
                    Err(why) => {
                        self.refused.push((task, why.into()));
                        let ended = self.ledger.end(tenant, task, Ending::Revoked);
                        (task, ended.is_ok())
                    }
                }
            }
            Event::Intent {
                task,
                action,
                charge,
                step,
                written,
            } => {
                self.intents = self.intents.saturating_add(1);
                let written = written.as_deref();
                let taken = Taken {
                    action,
                    charge,
                    step,
                };
                let known = self.ledger.spend_recorded(tenant, task, &taken, written);
                (task, known)
            }
            Event::Labelled { task, labels } => {
                (task, self.ledger.label_recorded(tenant, task, &labels))
            }
            Event::Paused(task) => (task, self.ledger.pause_recorded(tenant, task)),
            Event::Resumed(task) => (task, self.ledger.resume_at(tenant, task)),
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
        for (tenant, recall) in self.recalls {
            let (carried, heard) = recall.finish(now);
            self.ledger.recall(&tenant, carried);
            for (root, labels) in heard {
                // One that is over is not known any more, and knows nothing that counts.
                self.ledger.label_recorded(&tenant, root, &labels);
            }
        }
        for (tenant, (_, tallies)) in self.counts {
            self.ledger.recall_tallies(&tenant, tallies);
        }
        let expired = self.ledger.sweep_at(now);
        // The log tells of more trees than live: they would take the room of those that do.
        self.ledger.keep_live_tallies();
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
            let recall = self.recalls.get(tenant);
            let before = Before {
                labels: recall.map(|recall| recall.labels(task)).unwrap_or_default(),
                ..Before::default()
            };
            self.ledger
                .insert(grant.clone(), Some(before), None, opened)
        } else {
            Err(OpenError::NotWithinParent(Widening::Tenant))
        };
        if let Err(why) = inserted {
            self.refused.push((task, why.into()));
            if grant.tenant == *tenant {
                self.ledger.insert_ended(grant);
            }
        }
    }
}
