//! A live task comes to hold something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use writ_types::{
    Asserter, Asserters, Bounds, Budget, Grant, JsonLimits, Label, Plan, TaskId, Timestamp, Value,
};

use super::support::{
    Bench, HOUR, NOON, READ, action, below, budget, call, grant, now, task, tenant, write,
};
use crate::{
    AmendError, Amendments, Cut, Ending, EnterError, Event, Ledger, MemoryLedger, Rebuild,
    ReserveError, TaskState, Widening,
};

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
}

fn bounds(text: &str) -> Bounds {
    Bounds::parse(&json(text)).unwrap()
}

/// `dns:list` alone, with 4 calls.
fn narrow(number: u64) -> Grant {
    Grant {
        actions: [action("dns:list")].into(),
        budget: budget(4, 0),
        deadline: NOON.plus(Duration::from_secs(1800)),
        ..grant(number)
    }
}

fn amend(ledger: &MemoryLedger, after: Grant, at: Timestamp) -> Result<Cut, AmendError> {
    let status = now(ledger.status(&tenant(), after.task, at));
    let from = status.map(|status| status.grant.digest());
    now(ledger.amend(after, &from.unwrap_or_else(|| grant(99).digest()), at))
}

#[test]
fn what_was_spent_read_and_refused_stays() {
    let bench = Bench::new();
    bench.open(narrow(1)).unwrap();
    for id in 1..=4 {
        bench.spend(1, id, READ);
    }
    let entered = bench.enter(1, 5).unwrap();
    let labels = [Label::untrusted()].into();
    now(bench.0.add_labels(&entered, &labels)).unwrap();
    drop(entered);
    assert_eq!(amend(&bench.0, grant(1), NOON), Ok(Cut::default()));
    let status = bench.status(1);
    assert_eq!((status.spent.calls, status.left), (4, budget(6, 5)));
    let entered = bench.enter(1, 6).unwrap();
    let (_reservation, facts) = bench.reserve(&entered, write()).unwrap();
    assert_eq!(facts.labels, labels);
    assert!(facts.seen.contains("dns:list"));
    // A pause stays, too, and nothing is amended before a person has looked.
    let places = ["/body/to".to_owned()].into();
    for _ in 0..3 {
        now(bench
            .0
            .count_unvouched(&entered, &action("dns:patch"), &places));
    }
    drop(entered);
    assert!(bench.status(1).paused);
    assert_eq!(amend(&bench.0, narrow(1), NOON), Err(AmendError::Paused));
}

#[test]
fn a_token_keeps_what_it_named_and_no_more() {
    let bench = Bench::new();
    bench.open(narrow(1)).unwrap();
    let before = narrow(1).to_details();
    amend(&bench.0, grant(1), NOON).unwrap();
    let after = grant(1).to_details();
    for (id, details, may) in [(1, &before, false), (2, &after, true)] {
        let entered = bench.enter(1, id).unwrap().as_named_by(details);
        assert!(entered.is_named_by(details));
        assert_eq!(entered.grant().holds(&action("dns:patch")), may);
        assert_eq!(
            bench.status(1).named_by(details).as_ref(),
            Some(entered.grant())
        );
    }
    let foreign = grant(2).to_details().to_string();
    let foreign = json(&foreign.replace("3600", "3601"));
    assert!(!bench.enter(1, 3).unwrap().is_named_by(&foreign));
    assert_eq!(bench.status(1).named_by(&foreign), None);
    // What the task has given up since is gone from a token that named it.
    amend(&bench.0, narrow(1), NOON).unwrap();
    let entered = bench.enter(1, 4).unwrap().as_named_by(&after);
    assert!(entered.is_named_by(&after) && !entered.grant().holds(&action("dns:patch")));
}

#[test]
fn a_call_that_lasts_holds_what_its_task_holds_by_then() {
    let bench = Bench::new();
    bench.open(narrow(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let mut amendments = entered.amendments();
    let told = |amendments: &mut Amendments| {
        let next = std::pin::pin!(amendments.next());
        let mut context = Context::from_waker(Waker::noop());
        next.poll(&mut context).is_ready()
    };
    assert!(!told(&mut amendments));
    // It gains nothing that it did not hold when it entered, and loses what the task gives up.
    amend(&bench.0, grant(1), NOON).unwrap();
    assert!(told(&mut amendments) && !told(&mut amendments));
    let wider = entered.renewed().unwrap();
    assert!(!wider.grant().holds(&action("dns:patch")));
    assert!(wider.is_named_by(&narrow(1).to_details()));
    let less = Grant {
        bounds: bounds(r#"{"dns:list":{"/query/zone":["a."]}}"#),
        ..narrow(1)
    };
    amend(&bench.0, less.clone(), NOON).unwrap();
    assert!(told(&mut amendments));
    let bound = entered.renewed().unwrap();
    assert_eq!(bound.grant().bounds, less.bounds);
    // It is one call, as long as either is there.
    drop(entered);
    assert_eq!(bench.status(1).in_flight, 1);
    let again = bound.renewed().unwrap();
    drop((wider, bound));
    assert_eq!(bench.status(1).in_flight, 1);
    drop(again);
    assert_eq!(bench.status(1).in_flight, 0);
    let last = bench.enter(1, 2).unwrap();
    now(bench.0.revoke(&tenant(), task(1), Ending::Revoked)).unwrap();
    assert!(last.renewed().is_none() && last.cut().is_cut());
}

/// What is given up wakes who waits.
#[test]
fn an_amendment_wakes_the_calls_of_its_task() {
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let bench = Bench::new();
    for number in [1, 2] {
        bench.open(grant(number)).unwrap();
    }
    let (own, other) = (bench.enter(1, 1).unwrap(), bench.enter(2, 2).unwrap());
    for (entered, wakes) in [(&own, 1), (&other, 0)] {
        let counts = Arc::new(Counts(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&counts));
        let mut amendments = entered.amendments();
        let next = std::pin::pin!(amendments.next());
        assert!(next.poll(&mut Context::from_waker(&waker)).is_pending());
        let after = match wakes {
            1 => narrow(1),
            _ => grant(1),
        };
        amend(&bench.0, after, NOON).unwrap();
        assert_eq!(counts.0.load(Ordering::SeqCst), wakes);
    }
}

#[test]
fn what_is_given_up_is_gone_for_calls_that_have_begun() {
    for less in [
        Bounds::none(),
        bounds(r#"{"dns:list":{"/query/zone":["a."]}}"#),
    ] {
        let bench = Bench::new();
        bench.open(grant(1)).unwrap();
        let entered = bench.enter(1, 1).unwrap();
        let after = Grant {
            bounds: less,
            actions: [action("dns:list")].into(),
            ..grant(1)
        };
        amend(&bench.0, after.clone(), NOON).unwrap();
        // It was decided on what the task held when it began.
        assert_eq!(
            bench.reserve(&entered, READ).err(),
            Some(ReserveError::NotGranted)
        );
        let entered = bench.enter(1, 2).unwrap();
        assert!(bench.reserve(&entered, READ).is_ok());
        assert_eq!(
            bench.reserve(&entered, write()).err(),
            Some(ReserveError::NotGranted)
        );
    }
}

#[test]
fn sub_tasks_do_not_grow_and_end_where_they_hold_what_is_given_up() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let small = Grant {
        parent: Some(task(1)),
        ..narrow(2)
    };
    bench.open(small).unwrap();
    bench.open(below(3, 1)).unwrap();
    bench.open(below(4, 3)).unwrap();
    let wide = Grant {
        actions: grant(1)
            .actions
            .into_iter()
            .chain([action("dns:delete")])
            .collect(),
        ..grant(1)
    };
    amend(&bench.0, wide, NOON).unwrap();
    assert!(!bench.status(3).grant.holds(&action("dns:delete")));
    let flying = bench.enter(4, 1).unwrap();
    let cut = amend(&bench.0, narrow(1), NOON).unwrap();
    let tasks: std::collections::BTreeSet<TaskId> = cut.tasks.iter().copied().collect();
    assert_eq!(tasks, [task(3), task(4)].into());
    assert_eq!(cut.calls, [call(1)]);
    assert!(flying.cut().is_cut());
    assert_eq!(bench.status(2).state, TaskState::Live);
    assert_eq!(bench.status(4).state, TaskState::Ended(Ending::WithParent));
    assert!(matches!(bench.enter(3, 2), Err(EnterError::Ended(_))));
}

/// A sub-task that asks for more than the task above it holds, or has left.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn no_amendment_goes_beyond_the_task_above() {
    let more = |calls| budget(calls, 0);
    for (after, refused) in [
        (
            Grant {
                budget: more(5),
                ..narrow(2)
            },
            None,
        ),
        (
            Grant {
                budget: more(6),
                ..narrow(2)
            },
            Some(Widening::Budget),
        ),
        (
            Grant {
                actions: [action("dns:list"), action("dns:delete")].into(),
                ..narrow(2)
            },
            Some(Widening::Actions),
        ),
        (
            Grant {
                deadline: NOON.plus(HOUR).plus(Duration::from_millis(1)),
                ..narrow(2)
            },
            Some(Widening::Deadline),
        ),
        (
            Grant {
                actions: [action("dns:list"), action("dns:patch")].into(),
                ..narrow(2)
            },
            Some(Widening::Bounds),
        ),
        // Nothing more than before is asked for: what the task above has left does not matter.
        (
            Grant {
                deadline: NOON.plus(HOUR),
                ..narrow(2)
            },
            None,
        ),
    ] {
        let bench = Bench::new();
        let bounds = bounds(r#"{"dns:patch":{"/path/zone":["a."]}}"#);
        bench.open(Grant { bounds, ..grant(1) }).unwrap();
        let parent = Some(task(1));
        bench
            .open(Grant {
                parent,
                ..narrow(2)
            })
            .unwrap();
        // The parent has spent 5 of 10, and the sub-task 1 of 4, which is spent there, too: 4 are left.
        for id in 1..=5 {
            bench.spend(1, id, READ);
        }
        bench.spend(2, 6, READ);
        let amended = amend(
            &bench.0,
            Grant {
                parent,
                ..after.clone()
            },
            NOON,
        );
        let wanted = refused.map_or_else(
            || Ok(Cut::default()),
            |why| Err(AmendError::NotWithinParent(why)),
        );
        assert_eq!(amended, wanted, "{after:?}");
    }
}

#[test]
fn what_only_narrows_is_no_matter_of_the_task_above() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    for id in 1..=9 {
        bench.spend(1, id, READ);
    }
    let less = Grant {
        budget: budget(8, 1),
        ..below(2, 1)
    };
    assert_eq!(amend(&bench.0, less, NOON), Ok(Cut::default()));
    assert_eq!(bench.status(2).left.calls, 1, "what is left above");
}

/// What the ledger refuses whatever people have said.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn only_what_a_task_holds_is_amended() {
    let client = Asserters::all(Asserter::Client("planner".to_owned()));
    let plan = Plan::parse(&json(r#"[{"action":"dns:list"}]"#)).unwrap();
    let bound = bounds(r#"{"dns:list":{"/query/zone":["a."]}}"#);
    let own = Asserters {
        bounds: Asserter::Agent,
        ..client.clone()
    };
    let vouched = Grant {
        asserters: client,
        ..narrow(1)
    };
    let planned = Grant { plan, ..narrow(1) };
    let more = |of: &Grant| Grant {
        budget: Budget {
            calls: of.budget.calls + 1,
            ..of.budget
        },
        ..of.clone()
    };
    let wider = |of: &Grant| Grant {
        actions: grant(1).actions,
        ..of.clone()
    };
    let late = NOON.plus(Duration::from_secs(900));
    for (before, after, at, wanted) in [
        (narrow(1), wider(&narrow(1)), NOON, Ok(Cut::default())),
        (
            narrow(1),
            Grant {
                agent: super::support::agent(2),
                ..narrow(1)
            },
            NOON,
            Err(AmendError::Another),
        ),
        (
            narrow(1),
            Grant {
                purpose: "other".parse().unwrap(),
                ..narrow(1)
            },
            NOON,
            Err(AmendError::Another),
        ),
        (
            narrow(1),
            Grant {
                mode: writ_types::Mode::Copilot,
                ..narrow(1)
            },
            NOON,
            Err(AmendError::Another),
        ),
        (
            narrow(1),
            Grant {
                deadline: late,
                ..narrow(1)
            },
            late,
            Err(AmendError::DeadlinePast),
        ),
        (
            narrow(1),
            grant(1),
            narrow(1).deadline,
            Err(AmendError::Ended(Ending::Deadline)),
        ),
        // Whoever vouches for a task has said what it holds: less of it is the agent's to say, other bounds and more are not.
        (
            vouched.clone(),
            more(&vouched),
            NOON,
            Err(AmendError::Vouched),
        ),
        (
            vouched.clone(),
            wider(&vouched),
            NOON,
            Err(AmendError::Vouched),
        ),
        (
            vouched.clone(),
            Grant {
                bounds: bound,
                asserters: own,
                ..vouched.clone()
            },
            NOON,
            Err(AmendError::Vouched),
        ),
        (
            vouched.clone(),
            Grant {
                budget: budget(1, 0),
                ..vouched.clone()
            },
            NOON,
            Ok(Cut::default()),
        ),
        // A plan does not grow; how much is spent on it may.
        (
            planned.clone(),
            wider(&planned),
            NOON,
            Err(AmendError::Planned),
        ),
        (planned.clone(), more(&planned), NOON, Ok(Cut::default())),
    ] {
        let bench = Bench::new();
        bench.open(before).unwrap();
        assert_eq!(amend(&bench.0, after.clone(), at), wanted, "{after:?}");
    }
}

#[test]
fn an_amendment_is_of_what_the_task_holds_at_that_moment() {
    let bench = Bench::new();
    bench.open(narrow(1)).unwrap();
    let from = narrow(1).digest();
    let look = |after: &Grant| now(bench.0.look_at_amendment(after, &from, NOON)).map(|_known| ());
    assert_eq!(look(&grant(1)), Ok(()));
    let less = Grant {
        budget: budget(1, 0),
        ..narrow(1)
    };
    now(bench.0.amend(less.clone(), &from, NOON)).unwrap();
    assert_eq!(look(&grant(1)), Err(AmendError::Changed));
    let amended = now(bench.0.amend(grant(1), &from, NOON));
    assert_eq!(amended, Err(AmendError::Changed));
    assert_eq!(*bench.status(1).grant, less);
    bench.revoke(1);
    let ended = AmendError::Ended(Ending::Revoked);
    assert_eq!(amend(&bench.0, grant(1), NOON), Err(ended));
    assert_eq!(amend(&bench.0, grant(7), NOON), Err(AmendError::Unknown));
}

#[test]
fn a_task_is_amended_so_often_and_no_more() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    for calls in 11..=26 {
        let after = Grant {
            budget: budget(calls, 5),
            ..grant(1)
        };
        amend(&bench.0, after, NOON).unwrap();
    }
    let refused = amend(&bench.0, narrow(1), NOON);
    assert_eq!(refused, Err(AmendError::TooOften { most: 16 }));
}

fn rebuilt(log: Vec<Event>) -> Result<MemoryLedger, crate::RebuildError> {
    let mut rebuild = Rebuild::new(&writ_types::Limits::default());
    for event in log {
        rebuild.apply(&tenant(), event)?;
    }
    Ok(rebuild.finish(NOON).ledger)
}

fn opened(grant: Grant) -> Event {
    Event::Opened(Box::new(grant))
}

fn amended(before: &Grant, after: Grant) -> Event {
    Event::Amended {
        grant: Box::new(after),
        from: before.digest(),
    }
}

#[test]
fn after_a_restart_it_holds_what_the_log_says() {
    let child = Grant {
        parent: Some(task(1)),
        ..grant(2)
    };
    let ledger = rebuilt(vec![
        opened(narrow(1)),
        amended(&narrow(1), grant(1)),
        opened(child.clone()),
        Event::Ended {
            task: task(3),
            why: Ending::Closed,
        },
    ]);
    assert!(ledger.is_err(), "task 3 was never opened");
    let ledger = rebuilt(vec![
        opened(narrow(1)),
        amended(&narrow(1), grant(1)),
        opened(child.clone()),
    ])
    .unwrap();
    let status = |ledger: &MemoryLedger, number| now(ledger.status(&tenant(), task(number), NOON));
    let one = status(&ledger, 1).unwrap();
    assert_eq!((&*one.grant, one.former.len()), (&grant(1), 1));
    assert!(one.named_by(&narrow(1).to_details()).is_some());
    assert_eq!(status(&ledger, 2).unwrap().state, TaskState::Live);
    // What it gave up, its sub-tasks have lost.
    let ledger = rebuilt(vec![
        opened(grant(1)),
        opened(child),
        amended(&grant(1), narrow(1)),
    ])
    .unwrap();
    assert_eq!(*status(&ledger, 1).unwrap().grant, narrow(1));
    let ended = TaskState::Ended(Ending::WithParent);
    assert_eq!(status(&ledger, 2).unwrap().state, ended);
    // A kill that was recorded before.
    let ledger = rebuilt(vec![
        opened(narrow(1)),
        Event::Ended {
            task: task(1),
            why: Ending::Revoked,
        },
        amended(&narrow(1), grant(1)),
    ])
    .unwrap();
    assert!(status(&ledger, 1).is_none_or(|one| one.state != TaskState::Live));
}

/// The log has a record that nobody was told of in time, and then the same again.
#[test]
fn an_amendment_that_is_recorded_twice_happened_once() {
    let log = [
        opened(narrow(1)),
        amended(&narrow(1), grant(1)),
        amended(&narrow(1), grant(1)),
    ];
    let ledger = rebuilt(log.to_vec()).unwrap();
    let one = now(ledger.status(&tenant(), task(1), NOON)).unwrap();
    let found = (&*one.grant, one.former.len(), one.state);
    assert_eq!(found, (&grant(1), 1, TaskState::Live));
}

#[test]
fn a_log_that_amends_what_was_not_held_ends_that_task_alone() {
    let wide = Grant {
        budget: Budget {
            calls: 1,
            ..grant(1).budget
        },
        ..grant(1)
    };
    let another = Grant {
        requester: None,
        agent: super::support::agent(9),
        ..grant(1)
    };
    for (amendment, why) in [
        (amended(&wide, grant(1)), AmendError::Changed),
        (amended(&narrow(1), another), AmendError::Another),
    ] {
        let mut rebuild = Rebuild::new(&writ_types::Limits::default());
        for event in [opened(narrow(1)), opened(grant(2)), amendment] {
            rebuild.apply(&tenant(), event).unwrap();
        }
        let restored = rebuild.finish(NOON);
        assert_eq!(restored.refused, [(task(1), crate::Unheld::Amendment(why))]);
        let state = |number| {
            let status = now(restored.ledger.status(&tenant(), task(number), NOON));
            status.map(|status| status.state)
        };
        let ended = TaskState::Ended(Ending::Revoked);
        assert_ne!(state(1), Some(TaskState::Live));
        assert!(state(1).is_none_or(|state| state == ended));
        assert_eq!(state(2), Some(TaskState::Live));
    }
    let refused = rebuilt(vec![amended(&narrow(1), grant(1))]).map(drop);
    assert_eq!(refused, Err(crate::RebuildError::UnknownTask(task(1))));
}
