//! Authority only shrinks.

use std::time::Duration;

use writ_types::{Bounds, Grant, JsonLimits, Mode, Plan, PlanStanding, Requester, Value};

use super::support::{Bench, NOON, READ, action, agent, below, budget, grant, now, task, write};
use crate::{Ending, Ledger, OpenError, ReserveError, Widening};

fn bounds(text: &str) -> Bounds {
    Bounds::parse(&Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()).unwrap()
}

fn requester(subject: &str) -> Option<Requester> {
    Some(Requester {
        issuer: "https://idp.example".to_owned(),
        subject: subject.to_owned(),
    })
}

/// The parent has 10 calls and 5 writes of which one write is spent, one action bounded, and a requester.
fn parent() -> Grant {
    Grant {
        bounds: bounds(r#"{"dns:patch":{"/path/zone":["a.","b."]}}"#),
        requester: requester("alice"),
        ..grant(1)
    }
}

fn child() -> Grant {
    Grant {
        parent: Some(task(1)),
        budget: budget(3, 2),
        bounds: bounds(r#"{"dns:patch":{"/path/zone":["a."]}}"#),
        requester: requester("alice"),
        ..grant(2)
    }
}

fn open_changed(change: fn(&mut Grant)) -> Result<(), OpenError> {
    let bench = Bench::new();
    bench.open(parent()).unwrap();
    bench.spend(1, 1, write());
    let mut child = child();
    change(&mut child);
    bench.open(child).map(drop)
}

#[test]
fn a_narrower_sub_task_is_opened() {
    type Case = (&'static str, fn(&mut Grant));
    let cases: [Case; 7] = [
        ("as it is", |_| {}),
        ("fewer actions", |child| {
            child.actions = [action("dns:list")].into();
        }),
        ("no bound on an action it does not hold", |child| {
            child.bounds = Bounds::none();
            child.actions = [action("dns:list")].into();
        }),
        ("all that is left", |child| child.budget = budget(9, 4)),
        ("an earlier deadline", |child| {
            child.deadline = NOON.plus(Duration::from_secs(1));
        }),
        ("a tighter mode", |child| child.mode = Mode::Copilot),
        ("another agent", |child| child.agent = agent(9)),
    ];
    for (name, change) in cases {
        assert_eq!(open_changed(change), Ok(()), "{name}");
    }
}

#[test]
fn a_sub_task_that_is_wider_in_anything_is_refused() {
    type Case = (Widening, fn(&mut Grant));
    let cases: [Case; 9] = [
        (Widening::Actions, |child| {
            child.actions.insert(action("dns:delete"));
        }),
        (Widening::Bounds, |child| child.bounds = Bounds::none()),
        (Widening::Bounds, |child| {
            child.bounds = bounds(r#"{"dns:patch":{"/path/zone":["a.","c."]}}"#);
        }),
        (Widening::Budget, |child| child.budget = budget(10, 4)),
        (Widening::Budget, |child| child.budget = budget(9, 5)),
        (Widening::Deadline, |child| {
            child.deadline = child.deadline.plus(Duration::from_millis(1));
        }),
        (Widening::Purpose, |child| {
            child.purpose = "other".parse().unwrap();
        }),
        (Widening::Requester, |child| {
            child.requester = requester("bob");
        }),
        (Widening::Requester, |child| child.requester = None),
    ];
    for (widening, change) in cases {
        let refused = Err(OpenError::NotWithinParent(widening));
        assert_eq!(open_changed(change), refused, "{widening}");
    }
}

#[test]
fn a_task_with_a_person_has_no_autonomous_sub_task() {
    let bench = Bench::new();
    bench
        .open(Grant {
            mode: Mode::Copilot,
            ..grant(1)
        })
        .unwrap();
    let refused = bench.open(below(2, 1));
    assert_eq!(refused, Err(OpenError::NotWithinParent(Widening::Mode)));
    assert!(
        bench
            .open(Grant {
                mode: Mode::Copilot,
                ..below(3, 1)
            })
            .is_ok()
    );
}

#[test]
fn another_tenants_task_is_no_parent() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let foreign = Grant {
        tenant: "acme".parse().unwrap(),
        ..below(2, 1)
    };
    assert_eq!(bench.open(foreign), Err(OpenError::ParentUnknown));
}

#[test]
fn an_ended_task_has_no_new_children() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.revoke(1);
    assert_eq!(
        bench.open(below(2, 1)),
        Err(OpenError::ParentEnded(Ending::Revoked))
    );
    assert_eq!(bench.open(below(2, 7)), Err(OpenError::ParentUnknown));
}

#[test]
fn what_is_reserved_but_not_spent_is_not_left_either() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let (reservation, _facts) = bench.reserve(&entered, write()).unwrap();
    let refused = bench.open(below(2, 1));
    assert_eq!(refused, Err(OpenError::NotWithinParent(Widening::Budget)));
    drop(reservation);
    assert!(bench.open(below(2, 1)).is_ok());
}

#[test]
fn a_childs_spending_is_its_ancestors() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench
        .open(Grant {
            budget: budget(6, 5),
            ..below(2, 1)
        })
        .unwrap();
    bench
        .open(Grant {
            budget: budget(6, 5),
            ..below(3, 2)
        })
        .unwrap();
    bench.spend(3, 1, write());
    for number in [1, 2, 3] {
        assert_eq!(bench.status(number).spent, write(), "task {number}");
    }
    // The parent spends what the children were promised: the least of all levels counts.
    for id in 2..11 {
        bench.spend(1, id, READ);
    }
    assert_eq!(bench.status(3).left, budget(0, 4));
    let entered = bench.enter(3, 20).unwrap();
    let refused = bench.reserve(&entered, READ).map(drop);
    let left = bench.status(1).left;
    let poorest = ReserveError::Exhausted {
        task: task(1),
        left,
    };
    assert_eq!(refused, Err(poorest));
}

#[test]
fn sub_tasks_nest_only_so_deep() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    for number in 2..=16 {
        bench.open(below(number, number - 1)).unwrap();
    }
    assert_eq!(
        bench.open(below(17, 16)),
        Err(OpenError::TooDeep { most: 16 })
    );
}

#[test]
fn the_plan_of_a_task_holds_below_it_and_is_taken_once() {
    let plan = |text: &str| {
        Plan::parse(&Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()).unwrap()
    };
    let bench = Bench::new();
    bench
        .open(Grant {
            plan: plan(r#"[{"action":"dns:patch"}]"#),
            ..parent()
        })
        .unwrap();
    let own = bench.open(Grant {
        plan: plan(r#"[{"action":"dns:patch","times":2}]"#),
        ..child()
    });
    assert_eq!(
        own.map(drop),
        Err(OpenError::NotWithinParent(Widening::Plan)),
        "one that allows itself more"
    );
    bench.open(child()).unwrap();
    let standing = |number, id| {
        let entered = bench.enter(number, id).unwrap();
        assert!(entered.plan().is_some());
        let patch = action("dns:patch");
        let reserved = bench
            .0
            .reserve(&entered, (&patch, write()), Some(&[0]), NOON);
        let (mut reservation, facts) = now(reserved).unwrap();
        reservation.commit();
        facts.plan
    };
    assert_eq!(standing(2, 1), PlanStanding::Follows(0));
    assert_eq!(standing(2, 2), PlanStanding::Outside);
    assert_eq!(
        standing(1, 3),
        PlanStanding::Outside,
        "the sub-task took it"
    );
}
