//! What a task knows after it has read and written, and what the next task knows of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use writ_types::{
    Argument, BoundPointer, Canonical, Grant, Kind, Label, Origin, ReasonCode, Requester, Secret,
    Sighting, Timestamp, ValueDigest,
};

use super::support::{Bench, NOON, READ, action, agent, below, call, grant, now, task, tenant};
use crate::carried::COOLING_OFF;
use crate::{EnterError, Entered, Ledger, Read, ReserveError};

const KEY: Secret<[u8; 32]> = Secret::new([7; 32]);

pub(super) fn zone(name: &str) -> Canonical {
    "zone".parse::<Kind>().unwrap().of_text(name).unwrap()
}

pub(super) fn form(name: &str) -> ValueDigest {
    ValueDigest::of_form(&KEY, &zone(name))
}

pub(super) fn read(names: &[&str]) -> Read {
    let source = |name: &&str| Sighting {
        value: ValueDigest::of(&KEY, &zone(name)),
        form: form(name),
        origin: Origin::Field,
    };
    Read {
        sources: names.iter().map(source).collect(),
        seen: names.iter().map(|name| form(name)).collect(),
    }
}

pub(super) fn labels(words: &[&str]) -> BTreeSet<Label> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

pub(super) fn for_ada(number: u64) -> Grant {
    Grant {
        requester: Some(Requester {
            issuer: "https://id.example".to_owned(),
            subject: "ada".to_owned(),
        }),
        ..grant(number)
    }
}

impl Bench {
    pub(super) fn at(&self, number: u64, id: u64, instant: Timestamp) -> Entered {
        now(self.0.enter(&tenant(), task(number), call(id), instant)).unwrap()
    }

    /// What a call of task `number` says of a zone's origin.
    pub(super) fn origin(&self, number: u64, id: u64, name: &str) -> &'static str {
        let entered = self.enter(number, id).unwrap();
        let (_reservation, facts) = self.reserve(&entered, READ).unwrap();
        let argument = Argument {
            action: &action("dns:list"),
            place: &BoundPointer::parse("/path/zone").unwrap(),
            objects: &[],
        };
        facts.vouchers.origin(&KEY, &argument, &zone(name)).as_str()
    }

    pub(super) fn labels(&self, number: u64, id: u64) -> BTreeSet<Label> {
        let entered = self.enter(number, id).unwrap();
        self.reserve(&entered, READ).unwrap().1.labels
    }

    pub(super) fn reads(&self, number: u64, id: u64, names: &[&str]) {
        let entered = self.enter(number, id).unwrap();
        now(self.0.note(&entered, &read(names), NOON)).unwrap();
    }

    pub(super) fn writes(&self, number: u64, id: u64, name: &str) {
        let entered = self.enter(number, id).unwrap();
        let written = [form(name)];
        let written = self
            .0
            .write(&entered, Some(&written), &BTreeSet::new(), NOON);
        now(written).unwrap();
    }

    pub(super) fn is_labelled(&self, number: u64, id: u64, words: &[&str]) {
        let entered = self.enter(number, id).unwrap();
        now(self.0.add_labels(&entered, &labels(words))).unwrap();
    }

    pub(super) fn attest(&self, number: u64, prompt: &str) {
        now(self.0.attest(&tenant(), task(number), Some(prompt.into()))).unwrap();
    }
}

#[test]
fn what_one_task_of_a_tree_reads_vouches_in_all_of_it_and_nowhere_else() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench.open(grant(3)).unwrap();
    assert_eq!(bench.origin(1, 1, "a.example"), "unseen");
    bench.reads(2, 2, &["a.example"]);
    assert_eq!(bench.origin(1, 3, "a.example"), "field");
    assert_eq!(bench.origin(3, 4, "a.example"), "unseen", "another task");
}

#[test]
fn a_prompt_vouches_only_if_somebody_vouches_for_it_and_for_what_is_below() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench.open(grant(3)).unwrap();
    assert_eq!(
        bench.origin(1, 1, "a.example"),
        "unseen",
        "the agent's own words"
    );
    bench.attest(1, "Clean up a.example, please");
    assert_eq!(bench.origin(1, 2, "a.example"), "prompt");
    assert_eq!(bench.origin(2, 3, "a.example"), "prompt");
    assert_eq!(bench.origin(3, 4, "a.example"), "unseen");
    // What a sub-task was told is nobody's word for the task above it.
    bench.attest(2, "Look at b.example");
    assert_eq!(bench.origin(2, 5, "b.example"), "prompt");
    assert_eq!(bench.origin(1, 6, "b.example"), "unseen");
}

#[test]
fn a_bound_vouches_only_if_somebody_vouches_for_it() {
    let bench = Bench::new();
    let bounds = br#"{"dns:list":{"/path/zone":["evil.example"]}}"#;
    let bounds = writ_types::Value::parse(bounds, &writ_types::JsonLimits::REQUEST).unwrap();
    let bounded = Grant {
        bounds: writ_types::Bounds::parse(&bounds).unwrap(),
        ..grant(1)
    };
    bench.open(bounded).unwrap();
    assert_eq!(
        bench.origin(1, 1, "evil.example"),
        "unseen",
        "the agent bound itself"
    );
    now(bench.0.attest(&tenant(), task(1), None)).unwrap();
    assert_eq!(bench.origin(1, 2, "evil.example"), "bounds");
}

#[test]
fn a_step_of_a_plan_vouches_only_if_somebody_vouches_for_it() {
    let plan = br#"[{"action":"dns:list","arguments":{"/path/zone":["a.example"]},"times":9}]"#;
    let plan = writ_types::Value::parse(plan, &writ_types::JsonLimits::REQUEST).unwrap();
    let planned = Grant {
        plan: writ_types::Plan::parse(&plan).unwrap(),
        ..grant(1)
    };
    let bench = Bench::new();
    bench.open(planned).unwrap();
    let origin = |id, fitting: &[u16]| {
        let entered = bench.enter(1, id).unwrap();
        let list = action("dns:list");
        let reserved = bench
            .0
            .reserve(&entered, (&list, READ), Some(fitting), NOON);
        let (_reservation, facts) = now(reserved).unwrap();
        let place = BoundPointer::parse("/path/zone").unwrap();
        facts.vouchers.is_bound(&list, &place)
    };
    assert!(!origin(1, &[0]), "the agent planned for itself");
    now(bench.0.attest(&tenant(), task(1), None)).unwrap();
    assert!(origin(2, &[0]));
    assert!(
        !origin(3, &[]),
        "the call is another than the one that was planned"
    );
}

#[test]
fn a_value_that_a_task_wrote_does_not_vouch_in_it_nor_in_the_requesters_next() {
    let bench = Bench::new();
    for number in [1, 2] {
        bench.open(for_ada(number)).unwrap();
    }
    bench.open(grant(3)).unwrap();
    bench
        .open(Grant {
            agent: agent(9),
            ..grant(4)
        })
        .unwrap();
    bench.writes(1, 1, "evil.example");
    for (number, wanted, why) in [
        (1, "seen", "the task itself"),
        (2, "seen", "another task of the requester"),
        (3, "seen", "another task of the agent"),
        (4, "field", "another agent's task, for nobody"),
    ] {
        bench.reads(number, 10 + number, &["evil.example", "good.example"]);
        assert_eq!(
            bench.origin(number, 20 + number, "evil.example"),
            wanted,
            "{why}"
        );
        assert_eq!(
            bench.origin(number, 30 + number, "good.example"),
            "field",
            "{why}"
        );
    }
}

#[test]
fn after_a_write_that_cannot_be_told_nothing_that_is_read_vouches() {
    let bench = Bench::new();
    for number in [1, 2] {
        bench.open(for_ada(number)).unwrap();
    }
    let entered = bench.enter(1, 1).unwrap();
    now(bench.0.write(&entered, None, &BTreeSet::new(), NOON)).unwrap();
    drop(entered);
    for number in [1, 2] {
        bench.reads(number, 10 + number, &["a.example"]);
        assert_eq!(bench.origin(number, 20 + number, "a.example"), "seen");
    }
}

#[test]
fn what_an_agent_reads_in_one_task_it_knows_in_the_others_that_live() {
    let bench = Bench::new();
    for number in [1, 2] {
        bench.open(grant(number)).unwrap();
    }
    bench
        .open(Grant {
            agent: agent(9),
            ..grant(3)
        })
        .unwrap();
    bench.open(grant(4)).unwrap();
    now(bench.0.attest(&tenant(), task(4), None)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    now(bench.0.add_labels(&entered, &labels(&["secret"]))).unwrap();
    drop(entered);
    for (number, knows, why) in [
        (1, true, "the task itself"),
        (2, true, "another task of the same agent"),
        (3, false, "another agent's"),
        (4, false, "one that a client opened, and vouches for"),
    ] {
        let found = bench.labels(number, 10 + number);
        assert_eq!(found == labels(&["secret"]), knows, "{why}: {found:?}");
    }
}

#[test]
fn an_agent_that_is_handed_a_task_brings_what_it_knows_and_hears_what_is_known() {
    let bench = Bench::new();
    let others = |number| Grant {
        agent: agent(9),
        ..grant(number)
    };
    bench.open(others(1)).unwrap();
    let reads = |number, id, label| {
        let entered = bench.enter(number, id).unwrap();
        now(bench.0.add_labels(&entered, &labels(&[label]))).unwrap();
    };
    reads(1, 1, "untrusted");
    bench.open(grant(2)).unwrap();
    bench.open(grant(3)).unwrap();
    reads(2, 2, "secret");
    let both = labels(&["secret", "untrusted"]);
    bench
        .open(Grant {
            agent: agent(9),
            ..below(4, 2)
        })
        .unwrap();
    for (number, why) in [
        (4, "the task that was handed on"),
        (2, "the task above it"),
        (1, "what else the other agent does"),
        (3, "what else the first agent does"),
    ] {
        assert_eq!(bench.labels(number, 10 + number), both, "{why}");
    }
}

#[test]
fn beginning_anew_teaches_nobody_what_their_live_tasks_have_not_heard() {
    let bench = Bench::new();
    // What Ada has heard from another agent is on her tasks, and not on those the agent has for nobody.
    let other = Grant {
        agent: agent(9),
        ..for_ada(1)
    };
    bench.open(other).unwrap();
    let reads = |number, id| {
        let entered = bench.enter(number, id).unwrap();
        now(bench.0.add_labels(&entered, &labels(&["untrusted"]))).unwrap();
    };
    reads(1, 1);
    bench.open(grant(2)).unwrap();
    bench.open(for_ada(3)).unwrap();
    assert_eq!(bench.labels(3, 2), labels(&["untrusted"]));
    assert_eq!(bench.labels(2, 3), labels(&[]));
    // A client begins a task of the agent anew, and then the agent reads such a thing itself.
    bench.open(grant(4)).unwrap();
    now(bench.0.attest(&tenant(), task(4), None)).unwrap();
    reads(3, 4);
    assert_eq!(bench.labels(2, 5), labels(&["untrusted"]), "it knows now");
}

#[test]
fn what_was_written_cools_off() {
    let bench = Bench::new();
    let long = |number| Grant {
        deadline: NOON.plus(COOLING_OFF).plus(COOLING_OFF),
        ..for_ada(number)
    };
    bench.open(long(1)).unwrap();
    bench.open(long(2)).unwrap();
    bench.open(long(3)).unwrap();
    bench.writes(1, 1, "new.example");
    let (before, after) = (
        COOLING_OFF.saturating_sub(Duration::from_secs(1)),
        COOLING_OFF,
    );
    for (number, later, wanted) in [(2, before, "seen"), (3, after, "field")] {
        let entered = bench.at(number, number, NOON.plus(later));
        now(bench
            .0
            .note(&entered, &read(&["new.example"]), NOON.plus(later)))
        .unwrap();
        drop(entered);
        assert_eq!(bench.origin(number, 10 + number, "new.example"), wanted);
    }
}

#[test]
fn labels_go_up_and_down_the_tree() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    bench.is_labelled(2, 1, &["untrusted", "pii"]);
    assert_eq!(
        bench.labels(1, 2),
        labels(&["untrusted", "pii"]),
        "a sub-agent tells its parent"
    );
    bench.open(below(3, 1)).unwrap();
    assert_eq!(bench.labels(3, 3), labels(&["untrusted", "pii"]));
}

#[test]
fn a_fresh_task_after_a_poisoned_one_is_not_clean() {
    let bench = Bench::new();
    bench.open(for_ada(1)).unwrap();
    bench.is_labelled(1, 1, &["untrusted"]);
    bench.revoke(1);
    // The same agent, whoever it is for; the same requester, whichever agent.
    bench.open(grant(2)).unwrap();
    let other_agent = |number| Grant {
        agent: agent(2),
        ..for_ada(number)
    };
    bench.open(other_agent(3)).unwrap();
    bench
        .open(Grant {
            agent: agent(2),
            ..grant(4)
        })
        .unwrap();
    assert_eq!(bench.labels(2, 2), labels(&["untrusted"]));
    assert_eq!(bench.labels(3, 3), labels(&["untrusted"]));
    assert_eq!(bench.labels(4, 4), labels(&[]), "neither of them");
    // A person or an orchestrator begins anew, and what the agent opens after that does too.
    bench.revoke(2);
    bench.revoke(3);
    bench.open(for_ada(5)).unwrap();
    bench.attest(5, "something else");
    assert_eq!(bench.labels(5, 5), labels(&[]));
    bench.open(for_ada(6)).unwrap();
    assert_eq!(bench.labels(6, 6), labels(&[]));
}

#[test]
fn beginning_anew_does_not_wash_what_a_live_task_has_read() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.is_labelled(1, 1, &["untrusted"]);
    bench.open(grant(2)).unwrap();
    bench.attest(2, "something else");
    assert_eq!(bench.labels(2, 2), labels(&[]));
    bench.open(grant(3)).unwrap();
    assert_eq!(
        bench.labels(3, 3),
        labels(&["untrusted"]),
        "the first task still lives"
    );
}

#[test]
fn beginning_anew_does_not_wash_what_another_agent_reads_for_the_same_requester() {
    let bench = Bench::new();
    let of = |number, own| Grant {
        agent: agent(own),
        ..for_ada(number)
    };
    bench.open(of(1, 8)).unwrap();
    bench.is_labelled(1, 1, &["secret"]);
    bench.open(of(2, 9)).unwrap();
    bench.attest(2, "something else");
    bench.open(of(3, 9)).unwrap();
    assert_eq!(bench.labels(3, 3), labels(&["secret"]), "by the requester");
}

#[test]
fn what_an_agent_writes_for_nobody_does_not_vouch_when_it_reads_it_for_somebody() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(for_ada(2)).unwrap();
    bench.writes(1, 1, "a.example");
    bench.reads(2, 2, &["a.example"]);
    assert_eq!(bench.origin(2, 3, "a.example"), "seen");
}

#[test]
fn the_third_value_for_one_parameter_pauses_the_tree_until_a_person_looks() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    bench.open(below(2, 1)).unwrap();
    let waiting = bench.enter(1, 99).unwrap();
    let tried = |number, id, place: &str| {
        let entered = bench.enter(number, id).unwrap();
        let places = BTreeSet::from([place.to_owned()]);
        now(bench
            .0
            .count_unvouched(&entered, &action("dns:patch"), &places))
    };
    assert!(!tried(1, 1, "/path/zone"));
    assert!(!tried(2, 2, "/path/zone"), "a sub-task's tries count too");
    assert!(!tried(1, 3, "/body/name"), "another parameter");
    assert!(!bench.status(1).paused);
    assert!(tried(1, 4, "/path/zone"));
    assert!(bench.status(1).paused && bench.status(2).paused);
    for number in [1, 2] {
        let entered = bench.enter(number, 5).map(drop);
        assert_eq!(entered, Err(EnterError::Paused));
    }
    let reserved = bench.reserve(&waiting, READ).map(drop);
    assert_eq!(
        reserved,
        Err(ReserveError::Paused),
        "a call that was under way"
    );
    let looked = now(bench.0.look(&waiting, &action("dns:list"), READ, NOON));
    assert_eq!(looked.map(drop), Err(ReserveError::Paused));
    assert_eq!(EnterError::Paused.reason(), ReasonCode::TaskPaused);
    // A person says yes to one value for one argument.
    let value = ValueDigest::of_argument(&KEY, "dns:list", "/path/zone", &zone("odd.example"));
    let endorsed = bench
        .0
        .endorse(&grant(1), &[(value, form("odd.example"))], None);
    now(endorsed).unwrap();
    assert_eq!(bench.origin(1, 6, "odd.example"), "endorsement");
    assert!(!tried(1, 7, "/path/zone"), "the count begins again");
}

#[test]
fn what_a_person_entered_is_remembered_as_long_as_they_want_and_for_their_requester() {
    let bench = Bench::new();
    let value = ValueDigest::of_argument(&KEY, "dns:list", "/path/zone", &zone("odd.example"));
    let values = [(value, form("odd.example"))];
    bench.open(for_ada(1)).unwrap();
    let until = NOON.plus(Duration::from_secs(60));
    now(bench.0.endorse(&for_ada(1), &values, None)).unwrap();
    bench.open(for_ada(2)).unwrap();
    assert_eq!(
        bench.origin(2, 1, "odd.example"),
        "unseen",
        "not remembered"
    );
    now(bench.0.endorse(&for_ada(1), &values, Some(until))).unwrap();
    bench.open(for_ada(3)).unwrap();
    assert_eq!(bench.origin(3, 1, "odd.example"), "endorsement");
    assert_eq!(bench.origin(3, 2, "other.example"), "unseen");
    bench.open(grant(4)).unwrap();
    assert_eq!(
        bench.origin(4, 1, "odd.example"),
        "unseen",
        "another requester"
    );
    // A second before it is over, and then.
    for (number, instant, wanted) in [
        (5, until.minus(Duration::from_millis(1)), "endorsement"),
        (6, until, "unseen"),
    ] {
        now(bench.0.open(for_ada(number), instant)).unwrap();
        let entered = bench.at(number, 1, instant);
        let (_reservation, facts) = bench.reserve(&entered, READ).unwrap();
        let argument = Argument {
            action: &action("dns:list"),
            place: &BoundPointer::parse("/path/zone").unwrap(),
            objects: &[],
        };
        let origin = facts.vouchers.origin(&KEY, &argument, &zone("odd.example"));
        assert_eq!(origin.as_str(), wanted);
    }
    // What a person entered may be written: in a later task it is as good as the field it is read from.
    let entered = bench.enter(1, 7).unwrap();
    let forms = [form("odd.example"), form("own.example")];
    let given = BTreeSet::from([form("odd.example")]);
    now(bench.0.write(&entered, Some(&forms), &given, NOON)).unwrap();
    bench.open(for_ada(8)).unwrap();
    bench.reads(8, 1, &["odd.example", "own.example"]);
    let entered = bench.enter(8, 2).unwrap();
    let (_reservation, facts) = bench.reserve(&entered, READ).unwrap();
    let knows = |name: &str| {
        let origins = facts.vouchers.origins.as_deref().unwrap();
        origins.origin(ValueDigest::of(&KEY, &zone(name)))
    };
    assert_eq!(knows("odd.example"), Some(Origin::Field));
    assert_eq!(knows("own.example"), None, "it cools off");
}

#[test]
fn trying_ever_new_parameters_pauses_too() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let tried = (0..100).position(|number| {
        let places = BTreeSet::from([format!("/body/{number}")]);
        now(bench
            .0
            .count_unvouched(&entered, &action("dns:patch"), &places))
    });
    assert_eq!(tried, Some(64));
}

#[test]
fn facts_are_of_the_instant_of_the_reservation() {
    let bench = Bench::new();
    bench.open(grant(1)).unwrap();
    let entered = bench.enter(1, 1).unwrap();
    let (_reservation, facts) = bench.reserve(&entered, READ).unwrap();
    bench.reads(1, 2, &["late.example"]);
    let known = facts.vouchers.origins.as_ref().map(Arc::clone);
    let known =
        known.and_then(|origins| origins.origin(ValueDigest::of(&KEY, &zone("late.example"))));
    assert_eq!(known, None, "what is read meanwhile belongs to later calls");
}
