//! What agents and requesters know after a restart is what they knew before it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use writ_types::{Grant, Label, Limits, Timestamp};

use super::flow::{for_ada, form, labels, read};
use super::support::{Bench, NOON, action, agent, below, budget, grant, now, task, tenant, write};
use crate::carried::COOLING_OFF;
use crate::{Acting, Ending, Event, Ledger, Opening, Rebuild, Remembered};

/// A ledger, and the log of what was done to it.
struct Logged {
    bench: Bench,
    log: Vec<Line>,
    live: Vec<Grant>,
    calls: u64,
}

#[derive(Clone)]
enum Line {
    Task(Event),
    Known(Remembered),
}

impl Logged {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            log: Vec::new(),
            live: Vec::new(),
            calls: 0,
        }
    }

    fn call(&mut self) -> u64 {
        self.calls = self.calls.saturating_add(1);
        self.calls
    }

    fn open(&mut self, grant: Grant) {
        let opening = Opening {
            task: grant.task,
            parent: grant.parent,
            acting: Acting::of(&grant),
            attested: false,
            opened: grant.opened,
            deadline: grant.deadline,
        };
        self.opens(grant, opening);
    }

    /// A client opens the task and vouches for what it is.
    fn open_attested(&mut self, grant: Grant) {
        let task = grant.task;
        let opening = Opening {
            task,
            parent: None,
            acting: Acting::of(&grant),
            attested: true,
            opened: grant.opened,
            deadline: grant.deadline,
        };
        self.opens(grant, opening);
        now(self.bench.0.attest(&tenant(), task, None)).unwrap();
    }

    fn opens(&mut self, grant: Grant, opening: Opening) {
        self.bench.open(grant.clone()).unwrap();
        self.log.push(Line::Known(Remembered::Opened(opening)));
        self.log
            .push(Line::Task(Event::Opened(Box::new(grant.clone()))));
        self.live.push(grant);
    }

    fn reads(&mut self, grant: &Grant, number: u64, labels: &BTreeSet<Label>) {
        let call = self.call();
        let entered = self.bench.enter(number, call).unwrap();
        now(self.bench.0.add_labels(&entered, labels)).unwrap();
        self.log.push(Line::Known(Remembered::Read {
            task: grant.task,
            acting: Acting::of(grant),
            labels: labels.clone(),
        }));
        self.log.push(Line::Task(Event::Labelled {
            task: grant.task,
            labels: labels.clone(),
        }));
    }

    /// Writes a value; none: what it writes is not told.
    fn writes(&mut self, grant: &Grant, number: u64, name: Option<&str>) {
        let call = self.call();
        let entered = self.bench.enter(number, call).unwrap();
        let forms = name.map(|name| vec![form(name)]);
        let written = self
            .bench
            .0
            .write(&entered, forms.as_deref(), &BTreeSet::new(), NOON);
        now(written).unwrap();
        self.log.push(Line::Known(Remembered::Wrote {
            task: grant.task,
            acting: Acting::of(grant),
            forms: forms.clone(),
            at: NOON,
        }));
        self.log.push(Line::Task(Event::Intent {
            task: grant.task,
            action: action("dns:patch"),
            charge: write(),
            step: None,
            written: forms,
        }));
    }

    fn ends(&mut self, at: usize) {
        let grant = self.live.remove(at);
        let tree = grant.task;
        self.live.retain(|other| other.parent != Some(tree));
        now(self.bench.0.revoke(&tenant(), tree, Ending::Revoked)).unwrap();
        self.log.push(Line::Known(Remembered::Ended(tree)));
        self.log.push(Line::Task(Event::Ended {
            task: tree,
            why: Ending::Revoked,
        }));
    }

    fn restarted(&self, at: Timestamp) -> Bench {
        let mut rebuild = Rebuild::new(&Limits::default());
        for line in self.log.clone() {
            match line {
                Line::Task(event) => rebuild.apply(&tenant(), event).unwrap(),
                Line::Known(event) => rebuild.remember(&tenant(), &event),
            }
        }
        Bench(rebuild.finish(at).ledger)
    }
}

fn of(own: u8, base: Grant) -> Grant {
    Grant {
        agent: agent(own.into()),
        budget: budget(100_000, 1000),
        ..base
    }
}

/// What a fresh task begins with, and whether what it reads vouches.
fn knows(bench: &Bench, number: u64, fresh: Grant) -> (BTreeSet<Label>, Vec<bool>) {
    bench.open(fresh).unwrap();
    let begun = bench.labels(number, number);
    let names = ["a.example", "b.example"];
    bench.reads(number, number.saturating_add(1), &names);
    let vouches = names.map(|name| bench.origin(number, number.saturating_add(2), name) == "field");
    (begun, vouches.to_vec())
}

/// One step: what, by which agent or in which live task, for somebody or attested, and with which label or name.
type Step = (u8, u8, bool, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..6, 0u8..3, any::<bool>(), 0u8..4), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_restart_changes_nothing_of_what_anybody_knows(steps in steps()) {
        let words = ["pii", "secret", "untrusted", "confidential"];
        let mut logged = Logged::new();
        for (index, (what, who, flag, which)) in (1u64..).zip(steps) {
            let chosen = usize::from(who).checked_rem(logged.live.len());
            let of_live = chosen.map(|at| logged.live[at].clone());
            let number = |grant: &Grant| {
                (1..200).find(|number| task(*number) == grant.task).unwrap()
            };
            match (what, of_live) {
                (0, _) => {
                    let base = if flag { for_ada(index) } else { grant(index) };
                    if which == 0 {
                        logged.open_attested(of(who, base));
                    } else {
                        logged.open(of(who, base));
                    }
                }
                (1, Some(parent)) if parent.parent.is_none() => {
                    let child = Grant {
                        agent: agent(which.into()),
                        budget: budget(1000, 50),
                        ..below(index, number(&parent))
                    };
                    let child = Grant { requester: parent.requester.clone(), ..child };
                    logged.open(child);
                }
                (2 | 3, Some(grant)) => {
                    let labels = labels(&[words[usize::from(which)]]);
                    logged.reads(&grant, number(&grant), &labels);
                }
                (4, Some(grant)) => {
                    let name = ["a.example", "b.example", "c.example"].get(usize::from(which));
                    logged.writes(&grant, number(&grant), name.copied());
                }
                (5, Some(_)) => logged.ends(chosen.unwrap()),
                _ => {}
            }
        }
        let after = logged.restarted(NOON);
        for (id, grant) in (100_000u64..).step_by(10).zip(&logged.live) {
            let number = (1..200).find(|number| task(*number) == grant.task).unwrap();
            prop_assert_eq!(after.labels(number, id), logged.bench.labels(number, id), "a live task");
        }
        let all = [of(0, grant(1000)), of(1, for_ada(1010)), of(2, grant(1020))];
        for (number, fresh) in (1000u64..).step_by(10).zip(all) {
            prop_assert_eq!(
                knows(&after, number, fresh.clone()),
                knows(&logged.bench, number, fresh),
                "a fresh task"
            );
        }
    }
}

#[test]
fn what_was_written_before_a_restart_cools_off_after_it() {
    let mut logged = Logged::new();
    logged.open(grant(1));
    logged.writes(&grant(1), 1, Some("a.example"));
    logged.ends(0);
    for (at, vouches) in [(NOON, "seen"), (NOON.plus(COOLING_OFF), "field")] {
        let bench = logged.restarted(at);
        let later = Grant {
            opened: at,
            deadline: at.plus(std::time::Duration::from_secs(60)),
            ..grant(2)
        };
        now(bench.0.open(later, at)).unwrap();
        let entered = bench.at(2, 1, at);
        now(bench.0.note(&entered, &read(&["a.example"]), at)).unwrap();
        assert_eq!(bench.origin(2, 2, "a.example"), vouches);
    }
}

#[test]
fn a_task_that_wrote_what_nobody_knows_reads_nothing_that_vouches_whenever() {
    let mut logged = Logged::new();
    let long = Grant {
        deadline: NOON.plus(COOLING_OFF).plus(COOLING_OFF),
        ..for_ada(1)
    };
    logged.open(long.clone());
    logged.writes(&long, 1, None);
    let later = NOON.plus(COOLING_OFF);
    let bench = logged.restarted(later);
    let entered = bench.at(1, 1, later);
    now(bench.0.note(&entered, &read(&["a.example"]), later)).unwrap();
    assert_eq!(bench.origin(1, 2, "a.example"), "seen");
}

#[test]
fn a_paused_task_is_paused_after_a_restart_until_a_person_has_looked() {
    let (stopped, looked) = (Event::Paused(task(1)), Event::Resumed(task(1)));
    for (lines, paused) in [
        (vec![stopped.clone()], true),
        (vec![stopped, looked], false),
    ] {
        let mut logged = Logged::new();
        logged.open(grant(1));
        logged.log.extend(lines.into_iter().map(Line::Task));
        assert_eq!(logged.restarted(NOON).status(1).paused, paused);
    }
}

#[test]
fn a_sub_agent_keeps_what_it_could_be_told() {
    let mut logged = Logged::new();
    logged.open(grant(1));
    logged.reads(&grant(1), 1, &labels(&["pii"]));
    let child = Grant {
        agent: agent(7),
        ..below(2, 1)
    };
    logged.open(child);
    logged.reads(&grant(1), 1, &labels(&["secret"]));
    let fresh = Grant {
        agent: agent(7),
        ..grant(3)
    };
    for bench in [logged.restarted(NOON), logged.bench] {
        bench.open(fresh.clone()).unwrap();
        assert_eq!(bench.labels(3, 3), labels(&["pii", "secret"]));
    }
}
