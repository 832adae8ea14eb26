//! A random life of a ledger, with the log that would have been written and a model of what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use writ_types::{
    ActionName, Budget, Charge, Difference, Effect, Effects, Grant, JsonLimits, Plan, PlanStanding,
    Progress, TaskId, Timestamp, Value,
};

use super::support::{Bench, NOON, READ, action, call, grant, now, tenant, write};
use crate::{Ending, Entered, Event, Ledger, Outcome, Reservation, TaskState, TaskStatus};

/// One step: what to do, to which of those there are, and how much.
pub(super) type Step = (u8, usize, u64);

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..22, 0usize..64, 0u64..12), 1..90)
}

pub(super) struct Held {
    pub(super) task: TaskId,
    pub(super) charge: Charge,
    /// The intent is in the log; the ledger may not know yet.
    pub(super) recorded: bool,
    pub(super) committed: bool,
    step: Option<u16>,
    reservation: Reservation,
}

pub(super) struct World {
    pub(super) bench: Bench,
    pub(super) log: Vec<Event>,
    pub(super) at: Timestamp,
    pub(super) opened: Vec<Arc<Grant>>,
    pub(super) held: Vec<Held>,
    entered: Vec<Entered>,
    ended: BTreeSet<TaskId>,
    /// What each task itself has sent, as the model counts it.
    pub(super) sent: BTreeMap<TaskId, Charge>,
    next: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            bench: Bench::new(),
            log: Vec::new(),
            at: NOON,
            opened: Vec::new(),
            held: Vec::new(),
            entered: Vec::new(),
            ended: BTreeSet::new(),
            sent: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn step(&mut self, (what, which, size): Step) {
        match what {
            0..=2 => self.open(which, size),
            3..=6 => self.enter(which),
            7..=11 => self.reserve(which, size),
            12..=14 => self.record(which),
            15 => self.commit(which),
            16 => self.settle(which, size),
            17 => self.leave(which),
            18 => self.end(which, size),
            19 => self.pass(size),
            _ => self.amend(which, size),
        }
    }

    fn open(&mut self, which: usize, size: u64) {
        self.next = self.next.saturating_add(1);
        let parent = pick(&self.opened, which).filter(|_| size > 3).cloned();
        let charge =
            [READ, write(), Charge::of(Effects::plain(Effect::Delete))][which.rem_euclid(3)];
        let granted = Grant {
            parent: parent.as_ref().map(|parent| parent.task),
            budget: Budget {
                calls: size.saturating_add(2),
                writes: size / 2,
                deletes: charge.deletes,
                irreversible: 0,
            },
            deadline: self.at.plus(std::time::Duration::from_secs(
                size.saturating_mul(7).max(1),
            )),
            // Below a plan there is none; one in four asks for one all the same.
            plan: if parent.is_none() && which.is_multiple_of(2) || which.is_multiple_of(8) {
                plan()
            } else {
                Plan::none()
            },
            ..grant(self.next)
        };
        let granted = match &parent {
            // Mostly within its parent, or hardly any would be.
            Some(parent) if !which.is_multiple_of(4) => Grant {
                budget: granted.budget.narrowed_to(parent.budget),
                deadline: granted.deadline.min(parent.deadline),
                ..granted
            },
            _ => granted,
        };
        self.log.push(Event::Opened(Box::new(granted.clone())));
        match now(self.bench.0.open(granted.clone(), self.at)) {
            Ok(opened) => {
                if let Some(parent) = parent {
                    assert!(!self.is_over(&parent), "opened below a task that has ended");
                    assert!(
                        opened.budget.within(parent.budget) && opened.deadline <= parent.deadline
                    );
                    assert!(opened.actions.is_subset(&parent.actions));
                }
                self.opened.push(opened);
            }
            Err(_refused) => self.log.push(Event::Ended {
                task: granted.task,
                why: Ending::Closed,
            }),
        }
    }

    fn enter(&mut self, which: usize) {
        let Some(grant) = pick(&self.opened, which).cloned() else {
            return;
        };
        self.next = self.next.saturating_add(1);
        let entered = now(self
            .bench
            .0
            .enter(&tenant(), grant.task, call(self.next), self.at));
        if let Ok(entered) = entered {
            assert!(!self.is_over(&grant), "entered a task that has ended");
            self.entered.push(entered);
        }
    }

    fn reserve(&mut self, which: usize, size: u64) {
        let Some(entered) = pick(&self.entered, which) else {
            return;
        };
        let charge = if size.is_multiple_of(2) {
            READ
        } else {
            write()
        };
        // What the arguments say is which steps a call could be.
        let number = u16::try_from(size.rem_euclid(4)).unwrap();
        let fitting = [number, number.saturating_add(1)];
        let planned = entered.plan().is_some();
        let reserved =
            self.bench
                .0
                .reserve(entered, (&named(charge), charge), Some(&fitting), self.at);
        if let Ok((reservation, facts)) = now(reserved) {
            assert_eq!(planned, facts.plan != PlanStanding::Free);
            assert_eq!(facts.plan.step(), reservation.step());
            assert!(
                !self.is_over(entered.grant()),
                "reserved for a task that has ended"
            );
            assert!(!entered.cut().is_cut(), "reserved for a call that was cut");
            assert!(facts.spent.calls >= charge.calls && facts.this_operation >= 1);
            let task = entered.grant().task;
            self.held.push(Held {
                task,
                charge,
                recorded: false,
                committed: false,
                step: reservation.step(),
                reservation,
            });
        }
    }

    fn record(&mut self, which: usize) {
        let index = which.checked_rem(self.held.len());
        if let Some(held) = index.and_then(|index| self.held.get_mut(index))
            && !held.recorded
        {
            held.recorded = true;
            let (task, charge, step) = (held.task, held.charge, held.step);
            self.log.push(Event::Intent {
                task,
                action: named(charge),
                charge,
                step,
                written: None,
            });
        }
    }

    fn commit(&mut self, which: usize) {
        self.record(which);
        let index = which.checked_rem(self.held.len());
        if let Some(held) = index.and_then(|index| self.held.get_mut(index))
            && !held.committed
        {
            held.reservation.commit();
            held.committed = true;
            let sent = self.sent.entry(held.task).or_default();
            *sent = sent.plus(held.charge);
        }
    }

    /// As the call path does: what is on record is committed first, and only what is on record is sent.
    fn settle(&mut self, which: usize, size: u64) {
        let Some(index) = which.checked_rem(self.held.len()) else {
            return;
        };
        if self.held[index].recorded {
            self.commit(index);
        }
        let held = self.held.swap_remove(index);
        match size.rem_euclid(3) {
            0 => held.reservation.settle(Outcome::NotSent),
            1 if held.committed => held.reservation.settle(Outcome::Sent),
            _ => drop(held.reservation),
        }
    }

    fn leave(&mut self, which: usize) {
        if let Some(index) = which.checked_rem(self.entered.len()) {
            drop(self.entered.swap_remove(index));
        }
    }

    fn end(&mut self, which: usize, size: u64) {
        let Some(grant) = pick(&self.opened, which).cloned() else {
            return;
        };
        let why = if size.is_multiple_of(2) {
            Ending::Closed
        } else {
            Ending::Revoked
        };
        if now(self.bench.0.revoke(&tenant(), grant.task, why)).is_ok() {
            self.ended.insert(grant.task);
            self.log.push(Event::Ended {
                task: grant.task,
                why,
            });
        }
    }

    /// A task asks to hold something else. What widens is put before the ledger only when a person has said yes.
    fn amend(&mut self, which: usize, size: u64) {
        let Some(before) = pick(&self.opened, which).cloned() else {
            return;
        };
        let all = grant(0).actions.into_iter();
        let more = all.chain([action("dns:delete")]);
        let used = self.status(before.task).map_or(before.budget, |status| {
            let used = status.spent.plus(status.reserved);
            Budget {
                calls: used.calls.saturating_add(size),
                writes: used.writes.saturating_add(size / 3),
                deletes: used.deletes,
                irreversible: 0,
            }
        });
        let after = Grant {
            actions: more.take(which.rem_euclid(3).saturating_add(1)).collect(),
            budget: used,
            deadline: before
                .deadline
                .plus(std::time::Duration::from_secs(size / 4)),
            ..Grant::clone(&before)
        };
        let widens = Difference::between(&before, &after).widens();
        let is_approved = size.is_multiple_of(2);
        if widens && !is_approved {
            return;
        }
        let from = before.digest();
        let amended = now(self.bench.0.amend(after.clone(), &from, self.at));
        let Ok(cut) = amended else {
            return;
        };
        assert!(!self.is_over(&before), "amended a task that has ended");
        if let Some(above) = self.lineage(before.task).get(1) {
            assert!(!widens || after.actions.is_subset(&above.actions));
            assert!(!widens || after.deadline <= above.deadline);
        }
        self.ended.extend(cut.tasks);
        let place = self.opened.iter_mut().find(|held| held.task == after.task);
        *place.unwrap() = Arc::new(after.clone());
        self.log.push(Event::Amended {
            grant: Box::new(after),
            from,
        });
    }

    fn pass(&mut self, size: u64) {
        self.at = self.at.plus(std::time::Duration::from_secs(size / 6));
        if size.is_multiple_of(2) {
            now(self.bench.0.sweep(self.at));
        }
    }

    /// Whether the task or one above it was ended or has run out, as the model has it.
    fn is_over(&self, grant: &Grant) -> bool {
        self.lineage(grant.task)
            .iter()
            .any(|above| self.ended.contains(&above.task) || above.deadline <= self.at)
    }

    pub(super) fn lineage(&self, task: TaskId) -> Vec<&Grant> {
        let mut lineage: Vec<&Grant> = Vec::new();
        let mut next = Some(task);
        while let Some(task) = next {
            let Some(grant) = self.opened.iter().find(|grant| grant.task == task) else {
                break;
            };
            lineage.push(grant);
            next = grant.parent;
        }
        lineage
    }

    /// The sum over a task and everything below it.
    pub(super) fn below(&self, top: TaskId, own: impl Fn(TaskId) -> Charge) -> Charge {
        let tasks = self.opened.iter().map(|grant| grant.task);
        let inside = tasks.filter(|task| self.lineage(*task).iter().any(|above| above.task == top));
        inside.fold(Charge::default(), |sum, task| sum.plus(own(task)))
    }

    pub(super) fn status(&self, task: TaskId) -> Option<TaskStatus> {
        now(self.bench.0.status(&tenant(), task, self.at))
    }

    /// What holds at every moment of every life.
    pub(super) fn check(&self) {
        for grant in &self.opened {
            let Some(status) = self.status(grant.task) else {
                assert!(self.is_over(grant), "a live task was forgotten");
                continue;
            };
            assert_eq!(
                status.grant, *grant,
                "it holds what it was opened with or what people approved"
            );
            if status.state == TaskState::Live
                && let Some(above) = self.lineage(grant.task).get(1)
            {
                assert!(
                    grant.actions.is_subset(&above.actions),
                    "beyond the task above"
                );
                assert!(grant.deadline <= above.deadline, "outlives the task above");
            }
            let used = status.spent.plus(status.reserved);
            assert!(grant.budget.covers(used), "{used:?} of {:?}", grant.budget);
            let sent = self.below(grant.task, |task| {
                self.sent.get(&task).copied().unwrap_or_default()
            });
            assert_eq!(status.spent, sent, "spent is what was sent, here and below");
            let waiting = self.below(grant.task, |task| {
                let held = self
                    .held
                    .iter()
                    .filter(|held| held.task == task && !held.committed);
                held.fold(Charge::default(), |sum, held| sum.plus(held.charge))
            });
            assert_eq!(status.reserved, waiting);
            assert_eq!(status.state == TaskState::Live, !self.is_over(grant));
            check_plan(grant, &status.progress);
        }
    }
}

/// A step is taken so often at most, and none before those ahead of it.
fn check_plan(grant: &Grant, progress: &Progress) {
    let taken = |step: u16| progress.taken(step);
    let steps = (0u16..).zip(grant.plan.steps());
    for (number, step) in steps {
        assert!(taken(number) <= step.times());
        let ahead = (0..number).all(|ahead| taken(ahead) > 0);
        assert!(
            ahead || taken(number) == 0,
            "{number} before one ahead of it"
        );
    }
}

fn plan() -> Plan {
    let text = r#"[{"action":"dns:list"},{"action":"dns:patch","times":2},{"action":"dns:patch"}]"#;
    Plan::parse(&Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()).unwrap()
}

fn named(charge: Charge) -> ActionName {
    action(if charge.writes > 0 {
        "dns:patch"
    } else {
        "dns:list"
    })
}

fn pick<T>(of: &[T], which: usize) -> Option<&T> {
    of.get(which.checked_rem(of.len())?)
}
