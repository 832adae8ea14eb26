//! What is known in a tree in which several agents act, and of what its tasks are made.

use writ_types::{Grant, Limits, TaskId};

use super::flow::{for_ada, form, labels};
use super::support::{Bench, NOON, action, agent, below, grant, now, task, tenant, write};
use crate::{Acting, EnterError, Event, Ledger, Opening, Rebuild, Remembered};

/// The second agent's.
fn seconds(base: Grant) -> Grant {
    Grant {
        agent: agent(9),
        ..base
    }
}

#[test]
fn a_client_vouches_for_the_agent_that_it_opens_a_task_for_and_for_no_other() {
    let bench = Bench::new();
    for number in [1, 2] {
        bench.open(for_ada(number)).unwrap();
        now(bench.0.attest(&tenant(), task(number), None)).unwrap();
    }
    let child = Grant {
        parent: Some(task(2)),
        ..seconds(for_ada(3))
    };
    bench.open(child).unwrap();
    bench.open(grant(4)).unwrap();
    bench.open(seconds(grant(5))).unwrap();
    bench.is_labelled(4, 1, &["secret"]);
    assert_eq!(
        bench.labels(2, 2),
        labels(&[]),
        "the first agent's word is vouched for"
    );
    bench.is_labelled(5, 3, &["pii"]);
    for (number, knows, why) in [
        (1, labels(&[]), "a tree in which the second does not act"),
        (
            2,
            labels(&["pii"]),
            "the second acts below it, and reads elsewhere",
        ),
        (3, labels(&["pii"]), "its own task there"),
        (
            4,
            labels(&["secret", "pii"]),
            "what the second could tell the first",
        ),
    ] {
        assert_eq!(bench.labels(number, 10 + number), knows, "{why}");
    }
}

#[test]
fn what_one_agent_of_a_tree_wrote_vouches_for_none_of_them() {
    for (row, writes_first) in [("before it is handed on", true), ("after that", false)] {
        let bench = Bench::new();
        bench.open(grant(1)).unwrap();
        bench.open(seconds(grant(2))).unwrap();
        let evil = |number| bench.writes(number, 100 + number, "evil.example");
        if writes_first {
            evil(1);
        }
        bench.open(seconds(below(3, 1))).unwrap();
        if !writes_first {
            evil(1);
        }
        for (number, whose) in [
            (1, "the task that wrote it"),
            (3, "the task that was handed on"),
            (2, "the second agent's own task"),
        ] {
            bench.reads(number, 10 + number, &["evil.example", "good.example"]);
            let found = bench.origin(number, 20 + number, "evil.example");
            assert_eq!(found, "seen", "{whose}, written {row}");
            let found = bench.origin(number, 30 + number, "good.example");
            assert_eq!(found, "field", "{whose}, written {row}");
        }
    }
}

#[test]
fn what_the_second_agent_wrote_elsewhere_vouches_nowhere_in_the_tree() {
    // Read by the first before the second came, after it came, and after it has gone.
    for row in ["before", "while", "after"] {
        let bench = Bench::new();
        bench.open(grant(1)).unwrap();
        bench.open(seconds(grant(2))).unwrap();
        bench.writes(2, 1, "evil.example");
        if row == "before" {
            bench.reads(1, 2, &["evil.example"]);
            assert_eq!(
                bench.origin(1, 3, "evil.example"),
                "field",
                "another agent's"
            );
        }
        bench.open(seconds(below(3, 1))).unwrap();
        if row == "after" {
            bench.revoke(3);
        }
        if row != "before" {
            bench.reads(1, 4, &["evil.example"]);
        }
        assert_eq!(bench.origin(1, 5, "evil.example"), "seen", "read {row}");
    }
}

#[test]
fn what_the_second_agent_writes_elsewhere_meanwhile_vouches_nowhere_in_the_tree() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(seconds(grant(2))).unwrap();
    bench.open(seconds(below(3, 1))).unwrap();
    bench.writes(2, 1, "evil.example");
    bench.reads(1, 2, &["evil.example"]);
    assert_eq!(bench.origin(1, 3, "evil.example"), "seen");
}

#[test]
fn what_a_tree_writes_its_other_agents_wrote_too() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(seconds(below(2, 1))).unwrap();
    bench.writes(1, 1, "evil.example");
    bench.revoke(1);
    bench.open(seconds(grant(3))).unwrap();
    bench.reads(3, 2, &["evil.example"]);
    assert_eq!(bench.origin(3, 3, "evil.example"), "seen");
}

#[test]
fn what_a_person_said_yes_to_stays_when_another_agent_comes() {
    let bench = Bench::new();
    let own = grant(1);
    bench.open(own.clone()).unwrap();
    bench.open(seconds(grant(2))).unwrap();
    bench.writes(2, 1, "evil.example");
    let (argument, yes) = (form("the argument"), form("good.example"));
    now(bench.0.endorse(&own, &[(argument, yes)], None)).unwrap();
    bench.open(seconds(below(3, 1))).unwrap();
    let entered = bench.enter(1, 2).unwrap();
    let (_reservation, facts) = bench.reserve(&entered, super::support::READ).unwrap();
    let origins = facts.vouchers.origins.unwrap();
    assert!(origins.origin(argument).is_some());
}

#[test]
fn a_call_names_every_agent_above_it_once() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench.open(seconds(below(3, 2))).unwrap();
    bench.open(below(4, 3)).unwrap();
    bench.open(seconds(below(5, 4))).unwrap();
    for (number, above) in [
        (1, vec![]),
        (2, vec![]),
        (3, vec![agent(1)]),
        (4, vec![agent(9)]),
        (5, vec![agent(1)]),
    ] {
        assert_eq!(
            bench.enter(number, number).unwrap().above(),
            above,
            "{number}"
        );
        assert_eq!(bench.status(number).above, above, "{number}");
    }
    // Round and round is one tree: who falls, falls with everything below.
    let cut = now(bench.0.revoke_agent(&tenant(), agent(9)));
    assert_eq!(cut.tasks, [task(3), task(4), task(5)]);
    for (number, lives) in [(2, true), (3, false), (4, false), (5, false)] {
        let entered = bench.enter(number, 20 + number);
        assert_eq!(entered.is_ok(), lives, "{number}");
        assert!(lives || matches!(entered, Err(EnterError::Ended(_))));
    }
}

/// The log of a task of the first agent that is handed on, with a write by the first and a read by the second elsewhere.
fn log() -> Vec<(Option<Remembered>, Option<Event>)> {
    let opened = |grant: &Grant| {
        let opening = Opening {
            task: grant.task,
            parent: grant.parent,
            acting: Acting::of(grant),
            attested: grant.task == task(1),
            opened: grant.opened,
            deadline: grant.deadline,
        };
        let opened = Event::Opened(Box::new(grant.clone()));
        (Some(Remembered::Opened(opening)), Some(opened))
    };
    let (first, child, other) = (grant(1), seconds(below(2, 1)), seconds(grant(3)));
    let written = Some(vec![form("evil.example")]);
    let read = |task: TaskId, grant: &Grant| Remembered::Read {
        task,
        acting: Acting::of(grant),
        labels: labels(&["secret"]),
    };
    vec![
        opened(&first),
        opened(&child),
        opened(&other),
        (
            Some(Remembered::Wrote {
                task: first.task,
                acting: Acting::of(&first),
                forms: written.clone(),
                at: NOON,
            }),
            Some(Event::Intent {
                task: first.task,
                action: action("dns:patch"),
                charge: write(),
                step: None,
                written,
            }),
        ),
        (Some(read(other.task, &other)), None),
    ]
}

#[test]
fn a_restart_forgets_none_of_it() {
    let mut rebuild = Rebuild::new(&Limits::default());
    for (known, event) in log() {
        if let Some(known) = known {
            rebuild.remember(&tenant(), &known);
        }
        if let Some(event) = event {
            rebuild.apply(&tenant(), event).unwrap();
        }
    }
    let bench = Bench(rebuild.finish(NOON).ledger);
    assert_eq!(
        bench.labels(1, 1),
        labels(&["secret"]),
        "the second reads elsewhere"
    );
    assert_eq!(bench.enter(2, 2).unwrap().above(), [agent(1)]);
    bench.open(seconds(grant(4))).unwrap();
    for (number, whose) in [(2, "the task that was handed on"), (4, "a fresh task")] {
        bench.reads(number, 10 + number, &["evil.example"]);
        let found = bench.origin(number, 20 + number, "evil.example");
        assert_eq!(found, "seen", "{whose}");
    }
}
