//! One test a rule: entering, reserving, facts, limits, deadlines.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_types::{Charge, Grant, Label, ReasonCode};

use super::support::{
    Bench, HOUR, NOON, READ, action, below, budget, call, grant, now, task, tenant, write,
};
use crate::{EndError, Ending, EnterError, Ledger, OpenError, Outcome, ReserveError, TaskState};

#[test]
fn a_task_nobody_opened_and_anothers_tenant_are_unknown() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    assert_eq!(bench.enter(2, 1).map(drop), Err(EnterError::Unknown));
    let foreign = "acme".parse().unwrap();
    let entered = now(bench.0.enter(&foreign, task(1), call(1), NOON));
    assert_eq!(entered.map(drop), Err(EnterError::Unknown));
    assert_eq!(now(bench.0.status(&foreign, task(1), NOON)), None);
    assert_eq!(
        now(bench.0.close(&foreign, task(1))),
        Err(EndError::Unknown)
    );
    assert_eq!(EnterError::Unknown.reason(), ReasonCode::TaskEnded);
}

#[test]
fn a_look_finds_what_a_reservation_would_and_changes_nothing() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.spend(1, 1, write());
    let entered = bench.enter(1, 2).unwrap();
    let look = |name: &str, charge| now(bench.0.look(&entered, &action(name), charge, NOON));
    let before = bench.status(1);
    let looked = look("dns:patch", write()).unwrap();
    assert_eq!(look("dns:patch", write()).unwrap(), looked);
    assert_eq!(bench.status(1), before);
    let (reservation, facts) = bench.reserve(&entered, write()).unwrap();
    assert_eq!(facts, looked);
    drop(reservation);
    for id in 3..7 {
        bench.spend(1, id, write());
    }
    assert!(matches!(
        look("dns:patch", write()),
        Err(ReserveError::Exhausted { .. })
    ));
    assert!(look("dns:list", READ).is_ok());
    assert!(matches!(
        look("dns:drop", READ),
        Err(ReserveError::NotGranted)
    ));
    bench.revoke(1);
    assert!(matches!(
        look("dns:list", READ),
        Err(ReserveError::Ended(Ending::Revoked))
    ));
}

#[test]
fn an_id_is_used_once() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    assert_eq!(bench.open(grant(1)), Err(OpenError::Exists));
    let _entered = bench.enter(1, 1).unwrap();
    assert_eq!(bench.enter(1, 1).map(drop), Err(EnterError::SameCall));
}

#[test]
fn the_deadline_counts_when_entering_reserving_and_opening() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(grant(2)).unwrap();
    let (last, over) = (
        NOON.plus(HOUR).minus(Duration::from_millis(1)),
        NOON.plus(HOUR),
    );
    let entered = now(bench.0.enter(&tenant(), task(1), call(1), last)).unwrap();
    let reserved = now(bench
        .0
        .reserve(&entered, (&action("dns:list"), READ), None, over));
    assert_eq!(
        reserved.map(drop),
        Err(ReserveError::Ended(Ending::Deadline))
    );
    assert!(
        entered.cut().is_cut(),
        "a call that outlives its task is cut"
    );
    let late = now(bench.0.enter(&tenant(), task(2), call(2), over));
    assert_eq!(late.map(drop), Err(EnterError::Ended(Ending::Deadline)));
    let early = now(bench.0.enter(&tenant(), task(2), call(2), NOON));
    assert_eq!(
        early.map(drop),
        Err(EnterError::Ended(Ending::Deadline)),
        "over is over, even if the clock goes back"
    );
    assert_eq!(
        bench.open(Grant {
            deadline: NOON,
            ..grant(3)
        }),
        Err(OpenError::DeadlinePast)
    );
    let state = now(bench.0.status(&tenant(), task(1), over)).unwrap().state;
    assert_eq!(state, TaskState::Ended(Ending::Deadline));
}

#[test]
fn an_action_that_is_not_granted_reserves_nothing() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let refused = now(bench
        .0
        .reserve(&entered, (&action("dns:delete"), READ), None, NOON))
    .map(drop);
    assert_eq!(refused, Err(ReserveError::NotGranted));
    assert_eq!(bench.status(1).left, budget(10, 5));
}

#[test]
fn the_last_of_a_budget_can_be_spent_and_no_more() {
    let bench = Bench::new();
    bench
        .open(Grant {
            budget: budget(3, 1),
            ..grant(1)
        })
        .unwrap();
    bench.spend(1, 1, write());
    let entered = bench.enter(1, 2).unwrap();
    let refused = bench.reserve(&entered, write()).map(drop);
    let left = budget(2, 0);
    let poor = ReserveError::Exhausted {
        task: task(1),
        left,
    };
    assert_eq!(refused, Err(poor));
    assert_eq!(refused.unwrap_err().reason(), ReasonCode::BudgetExhausted);
    let (_reservation, facts) = bench.reserve(&entered, READ).unwrap();
    assert_eq!(
        facts.left,
        budget(1, 0),
        "a refused reservation can be tried smaller"
    );
}

#[test]
fn a_free_call_counts_as_one() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let (reservation, facts) = bench.reserve(&entered, Charge::default()).unwrap();
    assert_eq!((reservation.charge(), facts.spent), (READ, READ));
}

#[test]
fn a_call_reserves_once() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let (reservation, _facts) = bench.reserve(&entered, READ).unwrap();
    assert_eq!(reservation.call(), call(1));
    assert_eq!(
        bench.reserve(&entered, READ).map(drop),
        Err(ReserveError::AlreadyReserved)
    );
    drop(reservation);
    assert_eq!(
        bench.reserve(&entered, READ).map(drop),
        Err(ReserveError::AlreadyReserved)
    );
}

#[test]
fn an_intent_on_record_is_spent_and_nothing_else_is() {
    for (commit, outcome, spent) in [
        (false, None, false),
        (false, Some(Outcome::NotSent), false),
        (false, Some(Outcome::Sent), true),
        (false, Some(Outcome::Unknown), true),
        (true, None, true),
        (true, Some(Outcome::NotSent), true),
        (true, Some(Outcome::Sent), true),
        (true, Some(Outcome::Unknown), true),
    ] {
        let bench = Bench::new();
        bench.open(grant(1)).unwrap();
        let entered = bench.enter(1, 1).unwrap();
        let (mut reservation, _facts) = bench.reserve(&entered, write()).unwrap();
        assert_eq!(bench.status(1).reserved, write());
        if commit {
            reservation.commit();
            reservation.commit();
        }
        match outcome {
            Some(outcome) => reservation.settle(outcome),
            None => drop(reservation),
        }
        let status = bench.status(1);
        let expected = if spent { write() } else { Charge::default() };
        assert_eq!(
            (status.spent, status.reserved),
            (expected, Charge::default()),
            "{commit} {outcome:?}"
        );
    }
}

#[test]
fn a_reservation_may_outlive_its_call_and_its_task() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let (mut reservation, _facts) = bench.reserve(&entered, write()).unwrap();
    drop(entered);
    bench.revoke(1);
    now(bench.0.sweep(NOON.plus(HOUR)));
    assert!(
        now(bench.0.status(&tenant(), task(1), NOON)).is_some(),
        "a task with a reservation is not forgotten"
    );
    reservation.commit();
    assert_eq!(bench.status(1).spent, write());
    now(bench.0.sweep(NOON.plus(HOUR)));
    assert!(now(bench.0.status(&tenant(), task(1), NOON)).is_none());
}

#[test]
fn facts_are_this_calls_own() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench
        .open(Grant {
            budget: budget(4, 4),
            ..below(2, 1)
        })
        .unwrap();
    bench.spend(1, 1, READ);
    let (one, two) = (bench.enter(1, 2).unwrap(), bench.enter(2, 3).unwrap());
    let (first, facts) = bench.reserve(&one, write()).unwrap();
    assert_eq!(facts.seen, BTreeSet::from(["dns:list".to_owned()]));
    assert_eq!((facts.this_operation, facts.now), (1, NOON));
    assert_eq!(facts.left, budget(8, 4));
    assert_eq!(facts.operation, action("dns:patch").operation);
    let (_second, facts) = bench.reserve(&two, write()).unwrap();
    assert_eq!(
        facts.this_operation, 2,
        "a sub-task does not count from zero"
    );
    assert_eq!(
        facts.spent,
        READ.plus(write()).plus(write()),
        "the whole tree's"
    );
    assert_eq!(facts.left, budget(3, 3), "the least of all levels");
    drop(first);
    let three = bench.enter(1, 4).unwrap();
    let (_third, facts) = bench.reserve(&three, write()).unwrap();
    assert_eq!(
        facts.this_operation, 2,
        "what was given back does not count"
    );
}

#[test]
fn labels_belong_to_the_whole_tree() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench.open(below(3, 1)).unwrap();
    let (reader, sibling) = (bench.enter(2, 1).unwrap(), bench.enter(3, 2).unwrap());
    let labels = BTreeSet::from(["pii".parse::<Label>().unwrap()]);
    now(bench.0.add_labels(&reader, &labels)).unwrap();
    assert_eq!(bench.reserve(&sibling, READ).unwrap().1.labels, labels);
    bench.revoke(2);
    let more = BTreeSet::from(["secret".parse::<Label>().unwrap()]);
    assert_eq!(
        now(bench.0.add_labels(&reader, &more)),
        Err(EnterError::Ended(Ending::Revoked))
    );
    let last = bench.enter(3, 3).unwrap();
    assert_eq!(
        bench.reserve(&last, READ).unwrap().1.labels.len(),
        2,
        "kept although the task had ended"
    );
}

#[test]
fn calls_in_flight_are_limited_and_sub_tasks_do_not_add_to_them() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    let mut calls: Vec<_> = (0..8).map(|id| bench.enter(1, id).unwrap()).collect();
    calls.extend((8..16).map(|id| bench.enter(2, id).unwrap()));
    for number in [1, 2] {
        let refused = bench.enter(number, 99).map(drop);
        assert_eq!(refused, Err(EnterError::TooManyInFlight { most: 16 }));
    }
    assert_eq!(
        (bench.status(1).in_flight, bench.status(2).in_flight),
        (16, 8)
    );
    calls.pop();
    assert!(bench.enter(1, 99).is_ok());
}

#[test]
fn an_agent_has_so_many_live_tasks_and_those_that_are_over_do_not_count() {
    let limits = writ_types::Limits {
        agent_tasks: 2,
        ..writ_types::Limits::default()
    };
    let bench = Bench(crate::MemoryLedger::new(&limits));
    bench.open(grant(1)).unwrap();
    bench.open(grant(2)).unwrap();
    assert_eq!(
        bench.open(grant(3)),
        Err(OpenError::TooManyTasks { most: 2 })
    );
    bench.revoke(1);
    bench.open(grant(3)).unwrap();
    let later = NOON.plus(HOUR);
    let next = Grant {
        deadline: later.plus(HOUR),
        ..grant(4)
    };
    assert!(
        now(bench.0.open(next, later)).is_ok(),
        "the others ran out without anyone having looked"
    );
}

#[test]
fn a_sweep_ends_and_forgets_a_whole_tree() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench
        .open(Grant {
            deadline: NOON.plus(Duration::from_secs(1)),
            ..below(3, 1)
        })
        .unwrap();
    let cut = now(bench.0.sweep(NOON.plus(Duration::from_secs(1))));
    assert_eq!(cut.tasks, [task(3)]);
    assert_eq!(bench.status(1).children, [task(2)]);
    let held = bench.enter(2, 1).unwrap();
    let cut = now(bench.0.sweep(NOON.plus(HOUR)));
    assert_eq!(
        (cut.tasks, cut.calls),
        (vec![task(1), task(2)], vec![call(1)])
    );
    assert!(held.cut().is_cut());
    assert_eq!(
        now(bench.0.list(&tenant(), None, 10, NOON)).len(),
        2,
        "a call still hangs on them"
    );
    drop(held);
    now(bench.0.sweep(NOON.plus(HOUR)));
    assert!(now(bench.0.list(&tenant(), None, 10, NOON)).is_empty());
}

#[test]
fn lists_go_on_where_they_stopped() {
    let bench = Bench::new();
    for number in 1..=5 {
        bench.open(grant(number)).unwrap();
    }
    let page = |after| {
        let page = now(bench.0.list(&tenant(), after, 2, NOON));
        page.iter()
            .map(|status| status.grant.task)
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None), [task(1), task(2)]);
    assert_eq!(page(Some(task(2))), [task(3), task(4)]);
    assert_eq!(page(Some(task(4))), [task(5)]);
    assert!(page(Some(task(5))).is_empty());
}
