//! A restart: the ledger made again from the log knows what the old one knew, and budgets never go back up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use writ_types::{Budget, Charge, Grant, Label, Limits, TaskId, Timestamp};

use super::support::{
    Bench, HOUR, NOON, READ, action, below, budget, grant, now, task, tenant, write,
};
use super::world::{World, steps};
use crate::{
    Ending, EnterError, Event, Ledger, OpenError, Rebuild, RebuildError, Restored, TaskState,
    Widening,
};

fn rebuild(log: &[Event], at: Timestamp) -> Restored {
    let mut rebuild = Rebuild::new(&Limits::default());
    for event in log {
        rebuild.apply(&tenant(), event.clone()).unwrap();
    }
    rebuild.finish(at)
}

fn opened(grant: Grant) -> Event {
    Event::Opened(Box::new(grant))
}

fn intent(number: u64, charge: Charge) -> Event {
    let action = action(if charge.writes > 0 {
        "dns:patch"
    } else {
        "dns:list"
    });
    Event::Intent {
        task: task(number),
        action,
        charge,
        step: None,
        written: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn budgets_never_go_back_up(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        // The process dies here.
        let restored = rebuild(&world.log, world.at);
        for grant in &world.opened {
            let after = now(restored.ledger.status(&tenant(), grant.task, world.at));
            let Some(before) = world.status(grant.task) else {
                prop_assert!(after.is_none_or(|after| after.state != TaskState::Live));
                continue;
            };
            // A task that ran out may be forgotten now that no call hangs on it.
            let Some(after) = after else {
                prop_assert!(before.state != TaskState::Live);
                continue;
            };
            let sum = |task: TaskId, wanted: fn(&super::world::Held) -> bool| {
                let held = world.held.iter().filter(|held| held.task == task && wanted(held));
                held.fold(Charge::default(), |sum, held| sum.plus(held.charge))
            };
            let unknown = world.below(grant.task, |task| sum(task, |held| held.recorded && !held.committed));
            prop_assert_eq!(after.spent, before.spent.plus(unknown), "every intent counts, and nothing else");
            prop_assert_eq!(after.reserved, Charge::default());
            prop_assert_eq!((&after.grant, &after.former), (&before.grant, &before.former));
            prop_assert_eq!(after.state == TaskState::Live, before.state == TaskState::Live);
            let given_back = world.lineage(grant.task).iter().map(|above| {
                world.below(above.task, |task| sum(task, |held| !held.recorded))
            }).max_by_key(|charge| charge.calls).unwrap_or_default();
            prop_assert!(after.left.calls <= before.left.calls.saturating_add(given_back.calls), "budgets went up");
            prop_assert!(after.left.writes <= before.left.writes.saturating_add(given_back.writes), "budgets went up");
        }
    }

    /// Whatever the log lost at its end, reading less of it never makes a task live that it did not make live.
    #[test]
    fn a_rebuilt_ledger_keeps_every_budget(steps in steps(), cut in 0usize..100) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        let restored = rebuild(&world.log[..cut.min(world.log.len())], world.at);
        for status in now(restored.ledger.list(&tenant(), None, usize::MAX, world.at)) {
            prop_assert!(status.grant.budget.covers(status.spent));
            let holds = |event: &Event| match event {
                Event::Opened(grant) | Event::Amended { grant, .. } => **grant == *status.grant,
                Event::Intent { .. }
                | Event::Labelled { .. }
                | Event::Paused(_)
                | Event::Resumed(_)
                | Event::Ended { .. } => false,
            };
            prop_assert!(world.log.iter().any(holds), "nobody ever granted that");
        }
    }
}

#[test]
fn intents_count_below_and_after_the_end() {
    let child = Grant {
        budget: budget(5, 5),
        ..below(2, 1)
    };
    let log = [
        opened(grant(1)),
        opened(child),
        intent(2, write()),
        Event::Ended {
            task: task(2),
            why: Ending::Closed,
        },
        // In flight when it was closed; its record came after.
        intent(2, write()),
        intent(1, READ),
    ];
    let restored = rebuild(&log, NOON);
    assert_eq!(restored.intents, 3);
    let bench = Bench(restored.ledger);
    assert_eq!(bench.status(1).left, budget(7, 3));
    assert_eq!(bench.status(2).state, TaskState::Ended(Ending::Closed));
    let entered = bench.enter(1, 1).unwrap();
    let (_reservation, facts) = bench.reserve(&entered, write()).unwrap();
    assert_eq!(facts.this_operation, 3, "counters come back too");
    assert_eq!(facts.seen.len(), 2);
}

#[test]
fn labels_come_back() {
    let labels = BTreeSet::from(["pii".parse::<Label>().unwrap()]);
    let log = [
        opened(grant(1)),
        Event::Labelled {
            task: task(1),
            labels: labels.clone(),
        },
    ];
    let bench = Bench(rebuild(&log, NOON).ledger);
    let entered = bench.enter(1, 1).unwrap();
    assert_eq!(bench.reserve(&entered, READ).unwrap().1.labels, labels);
}

#[test]
fn a_task_that_ran_out_meanwhile_has_ended() {
    let restored = rebuild(&[opened(grant(1)), opened(below(2, 1))], NOON.plus(HOUR));
    assert_eq!(restored.expired.tasks, [task(1), task(2)]);
    assert_eq!(now(restored.ledger.status(&tenant(), task(1), NOON)), None);
}

#[test]
fn what_does_not_fit_is_said_and_gives_no_authority() {
    let mut rebuild = Rebuild::new(&Limits::default());
    let mut apply = |event| rebuild.apply(&tenant(), event);
    for event in [
        intent(7, READ),
        Event::Ended {
            task: task(7),
            why: Ending::Closed,
        },
        Event::Labelled {
            task: task(7),
            labels: BTreeSet::new(),
        },
    ] {
        assert_eq!(apply(event), Err(RebuildError::UnknownTask(task(7))));
    }
    let wide = Grant {
        budget: budget(99, 0),
        ..below(2, 1)
    };
    let foreign = Grant {
        tenant: "acme".parse().unwrap(),
        ..grant(4)
    };
    for grant in [grant(1), wide, below(3, 9), foreign] {
        apply(opened(grant)).unwrap();
    }
    // A call of a sub-task that the log cannot vouch for still counts above it.
    apply(intent(2, write())).unwrap();
    apply(intent(3, write())).unwrap();
    let restored = rebuild.finish(NOON);
    assert_eq!(
        restored.refused,
        [
            (task(2), OpenError::NotWithinParent(Widening::Budget).into()),
            (task(3), OpenError::ParentUnknown.into()),
            (task(4), OpenError::NotWithinParent(Widening::Tenant).into()),
        ]
    );
    let bench = Bench(restored.ledger);
    assert_eq!(bench.status(1).left, budget(9, 4));
    assert_eq!(
        bench.enter(2, 1).map(drop),
        Err(EnterError::Ended(Ending::WithParent))
    );
    assert_eq!(bench.enter(3, 1).map(drop), Err(EnterError::Unknown));
    assert_eq!(bench.enter(4, 1).map(drop), Err(EnterError::Unknown));
}

/// The opening is recorded after the ledger has it, or before: calls and kills of the parent may come in between.
#[test]
fn a_record_of_an_opening_may_come_late() {
    let child = Grant {
        budget: budget(10, 5),
        ..below(2, 1)
    };
    let log = [
        opened(grant(1)),
        intent(1, write()),
        opened(child.clone()),
        intent(2, write()),
    ];
    let bench = Bench(rebuild(&log, NOON).ledger);
    assert_eq!(
        bench.status(2).left,
        budget(8, 3),
        "live, and no more than the parent has left"
    );
    let ended = Event::Ended {
        task: task(1),
        why: Ending::Revoked,
    };
    let restored = rebuild(
        &[opened(grant(1)), ended, opened(child), intent(2, write())],
        NOON,
    );
    assert_eq!(
        restored.refused,
        [(task(2), OpenError::ParentEnded(Ending::Revoked).into())]
    );
    let bench = Bench(restored.ledger);
    assert_eq!(bench.status(1).spent, write());
    assert_eq!(
        bench.enter(2, 1).map(drop),
        Err(EnterError::Ended(Ending::WithParent))
    );
}

#[test]
fn a_task_is_put_back_with_what_it_had_spent() {
    let bench = Bench::new();
    let seen = BTreeMap::from([(action("dns:patch"), 4)]);
    let spent = Charge {
        calls: 4,
        writes: 4,
        ..READ
    };
    bench
        .0
        .restore(grant(1), spent, seen, BTreeSet::new(), NOON)
        .unwrap();
    assert_eq!(bench.status(1).left, budget(6, 1));
    // Opened when all of it was left; half of what is spent was spent by it.
    let two = Charge {
        calls: 2,
        writes: 2,
        ..READ
    };
    let child = |number| below(number, 1);
    bench
        .0
        .restore(child(2), two, BTreeMap::new(), BTreeSet::new(), NOON)
        .unwrap();
    assert_eq!(
        (bench.status(2).spent, bench.status(2).left),
        (two, budget(6, 1))
    );
    let wide = Grant {
        budget: budget(11, 5),
        ..child(4)
    };
    let refused = bench
        .0
        .restore(wide, READ, BTreeMap::new(), BTreeSet::new(), NOON);
    assert_eq!(refused, Err(OpenError::NotWithinParent(Widening::Budget)));
    let entered = bench.enter(1, 1).unwrap();
    let (_reservation, facts) = bench.reserve(&entered, write()).unwrap();
    assert_eq!((facts.this_operation, facts.left), (5, budget(5, 0)));
    let over = Budget {
        calls: 1,
        ..budget(1, 0)
    };
    bench
        .0
        .restore(
            Grant {
                budget: over,
                ..grant(3)
            },
            spent,
            BTreeMap::new(),
            BTreeSet::new(),
            NOON,
        )
        .unwrap();
    assert_eq!(
        bench.status(3).left.calls,
        0,
        "overspent is spent, not wrapped around"
    );
}
