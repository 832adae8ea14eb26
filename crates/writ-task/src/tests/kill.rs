//! A kill reaches everything below the task and every call in flight.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use writ_types::Grant;

use super::support::{Bench, NOON, READ, agent, below, call, grant, now, task, tenant};
use crate::{Cut, Ending, EnterError, Ledger, ReserveError, TaskState};

#[test]
fn killing_a_task_kills_what_is_below_and_leaves_what_is_beside() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench.open(below(3, 2)).unwrap();
    bench.open(below(4, 1)).unwrap();
    let (child, grandchild, beside) = (
        bench.enter(2, 20).unwrap(),
        bench.enter(3, 30).unwrap(),
        bench.enter(4, 40).unwrap(),
    );
    let cut = bench.revoke(2);
    assert_eq!(cut.tasks, [task(2), task(3)]);
    assert_eq!(
        BTreeSet::from_iter(cut.calls),
        BTreeSet::from([call(20), call(30)])
    );
    assert!(child.cut().is_cut() && grandchild.cut().is_cut() && !beside.cut().is_cut());
    assert_eq!(bench.status(2).state, TaskState::Ended(Ending::Revoked));
    assert_eq!(bench.status(3).state, TaskState::Ended(Ending::WithParent));
    assert_eq!(bench.status(1).state, TaskState::Live);
    assert_eq!(bench.revoke(2), Cut::default(), "twice is once");
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_call_that_waits_is_woken_by_the_kill() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    let entered = bench.enter(2, 1).unwrap();
    let (mut cut, woken) = (pin!(entered.cut()), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    assert!(cut.as_mut().poll(&mut context).is_pending());
    bench.revoke(1);
    assert!(
        woken.0.load(Ordering::SeqCst),
        "or it would find out at its next byte"
    );
    assert!(cut.as_mut().poll(&mut context).is_ready());
}

#[test]
fn after_a_kill_nothing_enters_and_nothing_reserves() {
    for why in [Ending::Closed, Ending::Revoked] {
        let bench = Bench::new();
        bench.open(grant(1)).unwrap();
        let entered = bench.enter(1, 1).unwrap();
        now(bench.0.revoke(&tenant(), task(1), why)).unwrap();
        assert_eq!(bench.enter(1, 2).map(drop), Err(EnterError::Ended(why)));
        assert_eq!(
            bench.reserve(&entered, READ).map(drop),
            Err(ReserveError::Ended(why))
        );
        assert_eq!(bench.status(1).left.calls, 0);
    }
}

#[test]
fn a_call_that_left_is_not_cut() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    drop(bench.enter(1, 1).unwrap());
    assert!(bench.revoke(1).calls.is_empty());
}

#[test]
fn revoking_an_agent_ends_its_tasks_and_what_others_do_below_them() {
    let bench = Bench::new();
    let other = agent(2);
    bench.open(grant(1)).unwrap();
    bench
        .open(Grant {
            agent: other,
            ..below(2, 1)
        })
        .unwrap();
    bench
        .open(Grant {
            agent: other,
            ..grant(3)
        })
        .unwrap();
    let cut = now(bench.0.revoke_agent(&tenant(), agent(1)));
    assert_eq!(cut.tasks, [task(1), task(2)]);
    assert_eq!(
        bench.status(1).state,
        TaskState::Ended(Ending::AgentRevoked)
    );
    assert_eq!(bench.status(3).state, TaskState::Live);
    assert_eq!(now(bench.0.revoke_agent(&tenant(), other)).tasks, [task(3)]);
    assert_eq!(
        now(bench.0.revoke_agent(&"acme".parse().unwrap(), other)),
        Cut::default()
    );
    let ended = now(bench.0.enter(&tenant(), task(3), call(1), NOON)).map(drop);
    assert_eq!(ended, Err(EnterError::Ended(Ending::AgentRevoked)));
}
