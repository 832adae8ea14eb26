//! What windows show: of whom, for how long, with the calls of everybody else, and after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use writ_types::{
    Amount, Effect, Effects, Grant, Limits, Quantities, Quantity, Sum, Summed, Timestamp, Unit,
    Value, Window, WindowScope, Windowed, Windows,
};

use super::flow::for_ada;
use super::support::{
    Bench, HOUR, NOON, action, agent, below, budget, call, grant, now, task, tenant, write,
};
use crate::tally::{Caller, SharedTallies};
use crate::{
    Acting, Called, Ending, Entered, Event, Ledger, Opening, Rebuild, Remembered, Reservation,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A window of everything that writes, summing up payments in euros.
fn window(name: &str, by: WindowScope, within: Duration) -> Window {
    Window {
        name: name.parse().unwrap(),
        by,
        within,
        actions: BTreeSet::new(),
        groups: BTreeSet::from(["write".to_owned()]),
        sum: Some(Summed {
            quantity: "payment".parse().unwrap(),
            unit: Unit::of("EUR").unwrap(),
        }),
    }
}

fn windows() -> Windows {
    let mut windows = Windows::default();
    for window in [
        window("minutes", WindowScope::Agent, HOUR),
        window("tree", WindowScope::Task, DAY),
        window("agent", WindowScope::Agent, DAY),
        window("user", WindowScope::Requester, DAY),
        window("month", WindowScope::Agent, Window::LONGEST),
    ] {
        windows.add(window).unwrap();
    }
    windows
}

/// A payment of so many euros; none: an amount that nobody can read.
fn paid(euros: Option<u64>) -> Called {
    let mut quantities = Quantities::default();
    quantities.add(Quantity {
        name: "payment".parse().unwrap(),
        unit: Unit::of("EUR").unwrap(),
        amount: euros.and_then(|euros| Amount::of(&Value::from_u64(euros))),
    });
    Called {
        action: action("dns:patch"),
        effects: Effects::plain(Effect::Write),
        quantities,
    }
}

/// Each window as `calls/sum/others`.
fn shown(all: &BTreeMap<writ_types::WindowName, Windowed>) -> BTreeMap<&str, String> {
    let told = |held: &Windowed| {
        let sum = match held.sum {
            Some(Sum::Exact(amount)) => (amount.ten_thousandths() / 10_000).to_string(),
            Some(Sum::Unrepresentable) => "?".to_owned(),
            None => "-".to_owned(),
        };
        format!("{}/{sum}/{}", held.calls, held.others)
    };
    all.iter()
        .map(|(name, held)| (name.as_str(), told(held)))
        .collect()
}

impl Bench {
    fn pays(
        &self,
        number: u64,
        id: u64,
        called: &Called,
        at: Timestamp,
    ) -> (
        Entered,
        Reservation,
        BTreeMap<writ_types::WindowName, Windowed>,
    ) {
        let entered = now(self.0.enter(&tenant(), task(number), call(id), at)).unwrap();
        let what = (&called.action, write());
        let (mut reservation, _facts) = now(self.0.reserve(&entered, what, None, at)).unwrap();
        let windows = windows();
        let held = now(self
            .0
            .tally(&entered, &mut reservation, called, &windows, at));
        (entered, reservation, held)
    }

    /// A whole call that was recorded.
    fn paid(&self, number: u64, id: u64, euros: u64) {
        let (_entered, mut reservation, _held) = self.pays(number, id, &paid(Some(euros)), NOON);
        reservation.commit();
    }
}

fn long(base: Grant) -> Grant {
    Grant {
        budget: budget(100_000, 50_000),
        deadline: NOON.plus(DAY).plus(DAY).plus(Window::LONGEST),
        ..base
    }
}

#[test]
fn each_window_shows_its_own() {
    let bench = Bench::new();
    let other = Grant {
        agent: agent(2),
        ..for_ada(3)
    };
    for grant in [
        long(for_ada(1)),
        long(for_ada(2)),
        long(other),
        long(grant(4)),
    ] {
        bench.open(grant).unwrap();
    }
    for (number, euros) in [(1, 10), (2, 20), (3, 40), (4, 80)] {
        bench.paid(number, number, euros);
    }
    let (_entered, _reservation, held) = bench.pays(1, 9, &paid(Some(1)), NOON);
    let held = shown(&held);
    assert_eq!(held["tree"], "2/11/0");
    assert_eq!(
        held["agent"], "4/111/0",
        "over its tasks, whomever they are for"
    );
    assert_eq!(held["user"], "4/71/0", "over all agents that act for her");
    let (_entered, _reservation, held) = bench.pays(4, 10, &paid(Some(1)), NOON);
    let held = shown(&held);
    assert_eq!(
        held["user"], held["agent"],
        "who acts for nobody acts for itself"
    );
}

#[test]
fn what_is_handed_on_counts_for_who_handed_it_on() {
    let bench = Bench::new();
    bench.open(long(grant(1))).unwrap();
    for number in 2..6 {
        let child = Grant {
            agent: agent(number),
            budget: budget(10, 5),
            ..long(below(number, 1))
        };
        bench.open(child).unwrap();
        bench.paid(number, number, 100);
    }
    let (_entered, _reservation, held) = bench.pays(2, 9, &paid(Some(1)), NOON);
    assert_eq!(
        shown(&held)["agent"],
        "5/401/0",
        "a hand that splits the sum is the same hand"
    );
}

#[test]
fn two_calls_at_once_see_each_other_and_one_that_was_not_sent_is_given_back() {
    let bench = Bench::new();
    bench.open(long(grant(1))).unwrap();
    let (_first, one, held) = bench.pays(1, 1, &paid(Some(600)), NOON);
    assert_eq!(shown(&held)["tree"], "1/600/0");
    let (_second, mut two, held) = bench.pays(1, 2, &paid(Some(600)), NOON);
    assert_eq!(shown(&held)["tree"], "2/1200/0", "neither is the only one");
    drop(one);
    two.commit();
    drop(two);
    let (_third, _three, held) = bench.pays(1, 3, &paid(Some(1)), NOON);
    assert_eq!(
        shown(&held)["tree"],
        "2/601/0",
        "what was recorded counts, however it ended"
    );
}

#[test]
fn a_call_counts_for_the_whole_window_and_a_bucket_longer_at_most() {
    let at = |seconds: u64| NOON.plus(Duration::from_secs(seconds));
    for (name, within, bucket) in [
        ("minutes", 3600, 60),
        ("agent", 86_400, 3600),
        ("month", 31 * 86_400, 86_400),
    ] {
        for (after, counts) in [(0, true), (within - 1, true), (within + bucket, false)] {
            let bench = Bench::new();
            bench.open(long(grant(1))).unwrap();
            bench.paid(1, 1, 5);
            let (_entered, _reservation, held) = bench.pays(1, 2, &paid(Some(1)), at(after));
            let wanted = if counts { "2/6/0" } else { "1/1/0" };
            assert_eq!(shown(&held)[name], wanted, "{name} after {after} s");
        }
    }
}

#[test]
fn who_only_looks_sees_what_a_call_would_see_and_counts_nothing() {
    let bench = Bench::new();
    bench.open(long(grant(1))).unwrap();
    bench.paid(1, 1, 5);
    let (windows, called) = (windows(), paid(Some(2)));
    let entered = now(bench.0.enter(&tenant(), task(1), call(2), NOON)).unwrap();
    let effects = called.effects;
    for _ in 0..3 {
        let before = now(bench.0.windows(&entered, &windows, NOON));
        assert_eq!(shown(&before)["agent"], "1/5/0");
        let next = windows.with_next(&before, &called.action, effects, &called.quantities);
        let unknown = paid(None).quantities;
        let vague = windows.with_next(&before, &called.action, effects, &unknown);
        assert_eq!(shown(&vague)["agent"], "2/5/1");
        let (_entered, _reservation, held) = bench.pays(1, 3, &called, NOON);
        assert_eq!(next, held);
    }
}

#[test]
fn what_cannot_be_added_is_among_the_others_and_what_cannot_be_held_is_said() {
    let bench = Bench::new();
    bench.open(long(grant(1))).unwrap();
    let (_entered, mut reservation, held) = bench.pays(1, 1, &paid(None), NOON);
    assert_eq!(shown(&held)["agent"], "1/0/1");
    reservation.commit();
    // Most that a decimal of Cedar holds, twice.
    let most = 922_337_203_685_477;
    bench.paid(1, 2, most);
    let (_entered, _reservation, held) = bench.pays(1, 3, &paid(Some(most)), NOON);
    assert_eq!(shown(&held)["agent"], "3/?/1");
}

#[test]
fn what_finds_no_room_counts_for_every_window() {
    let bench = Bench::new();
    let many = |number: u64| Called {
        action: action(&format!("dns:op{number}")),
        ..paid(Some(1))
    };
    let all = Grant {
        actions: (0..3000).map(|number| many(number).action).collect(),
        ..long(grant(1))
    };
    bench.open(all).unwrap();
    for number in 0..3000 {
        let at = NOON.plus(Duration::from_secs(number));
        let (_entered, mut reservation, held) = bench.pays(1, number, &many(number), at);
        assert!(held.values().all(|held| held.calls > number), "{number}");
        reservation.commit();
    }
}

/// Most trees, agents and requesters that are remembered.
const MOST: u64 = 65_536;

/// However many trees the log tells of, those that are over take no room.
#[test]
fn after_a_restart_trees_that_are_over_take_no_room() {
    let mut windows = Windows::default();
    windows
        .add(window("tree", WindowScope::Task, Window::LONGEST))
        .unwrap();
    for (trees, seconds_between) in [(MOST, 0), (MOST + 6000, 1)] {
        let mut rebuild = Rebuild::new(&Limits::default()).counting(windows.clone());
        let mut at = NOON;
        for number in 1..=trees {
            at = at.plus(Duration::from_secs(seconds_between));
            let acting = Acting::of(&grant(1));
            rebuild.remember(
                &tenant(),
                &Remembered::Opened(Opening {
                    task: task(number),
                    parent: None,
                    acting: acting.clone(),
                    attested: false,
                    opened: at,
                    deadline: at.plus(Duration::from_secs(60)),
                }),
            );
            let (task, called) = (task(number), paid(Some(1)));
            let called = Remembered::Called {
                task,
                acting,
                called,
                at,
            };
            rebuild.remember(&tenant(), &called);
        }
        let bench = Bench(rebuild.finish(at.plus(Duration::from_secs(600))).ledger);
        let fresh = trees.saturating_add(1);
        bench.open(long(grant(fresh))).unwrap();
        let (_entered, _reservation, held) = bench.pays(fresh, 1, &paid(Some(1)), at);
        assert_eq!(shown(&held)["tree"], "1/1/0", "{trees}");
    }
}

/// Who is remembered anew after somebody was lost may be the one.
#[test]
fn who_is_remembered_after_a_loss_may_have_done_everything() {
    let mut windows = Windows::default();
    windows
        .add(window("tree", WindowScope::Task, Window::LONGEST))
        .unwrap();
    let (all, called) = (SharedTallies::default(), paid(Some(1)));
    let of = |number| Caller {
        root: task(number),
        agents: vec![agent(1)],
        requester: None,
    };
    for number in 1..=MOST {
        all.recall(&of(number), &called, &windows, NOON);
    }
    let lost = MOST + 1;
    let (_booked, held) = all.reserve(&of(lost), &called, &windows, NOON);
    assert_eq!(held.values().next().unwrap().calls, u64::MAX);
    // There is room again, and what was lost is not found.
    all.forget(&[task(1)]);
    let found = all.reserve(&of(lost), &called, &windows, NOON);
    assert_eq!(
        shown(&found.1)["tree"],
        format!("{}/?/{}", u64::MAX, u64::MAX)
    );
    let known = all.reserve(&of(2), &called, &windows, NOON);
    assert_eq!(shown(&known.1)["tree"], "2/2/0", "it was there before");
    let after = NOON.plus(Window::LONGEST).plus(DAY);
    let later = all.reserve(&of(lost), &called, &windows, after);
    assert_eq!(shown(&later.1)["tree"], "1/1/0");
}

/// A ledger, and what the log has of it.
struct Logged {
    bench: Bench,
    log: Vec<Remembered>,
    live: Vec<Grant>,
}

impl Logged {
    fn open(&mut self, grant: Grant, at: Timestamp) {
        if now(self.bench.0.open(grant.clone(), at)).is_err() {
            return;
        }
        self.log.push(Remembered::Opened(Opening {
            task: grant.task,
            parent: grant.parent,
            acting: Acting::of(&grant),
            attested: false,
            opened: grant.opened,
            deadline: grant.deadline,
        }));
        self.live.push(grant);
    }

    fn restarted(&self, at: Timestamp) -> Bench {
        let mut rebuild = Rebuild::new(&Limits::default()).counting(windows());
        for event in &self.log {
            rebuild.remember(&tenant(), event);
        }
        for grant in &self.live {
            let opened = Event::Opened(Box::new(grant.clone()));
            rebuild.apply(&tenant(), opened).unwrap();
        }
        Bench(rebuild.finish(at).ledger)
    }
}

/// One step: what, in which live task or by which agent, how much and how much later.
type Step = (u8, u8, u64, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..8, 0u8..4, 0u64..40, 0u64..9_000), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Calls whose intent is in the log count after a restart as before it, and no others do.
    #[test]
    fn a_restart_changes_nothing_of_what_windows_show(steps in steps()) {
        let mut logged = Logged { bench: Bench::new(), log: Vec::new(), live: Vec::new() };
        let mut at = NOON;
        for (index, (what, who, size, later)) in (1u64..).zip(steps) {
            at = at.plus(Duration::from_secs(later));
            let chosen = usize::from(who).checked_rem(logged.live.len());
            let of_live = chosen.map(|place| logged.live[place].clone());
            match (what, of_live) {
                (0, _) | (_, None) => {
                    let base = if size.is_multiple_of(2) { for_ada(index) } else { grant(index) };
                    logged.open(Grant { agent: agent(who.into()), ..long(base) }, at);
                }
                (1, Some(parent)) => {
                    let number = (1..200).find(|number| task(*number) == parent.task).unwrap();
                    let child = Grant {
                        agent: agent(size.rem_euclid(4)),
                        budget: budget(100, 50),
                        requester: parent.requester.clone(),
                        ..long(below(index, number))
                    };
                    logged.open(child, at);
                }
                (2, Some(grant)) => {
                    // Its records stand in the log; what its agent did outlives it.
                    now(logged.bench.0.revoke(&tenant(), grant.task, Ending::Closed)).unwrap();
                    logged.log.push(Remembered::Ended(grant.task));
                    let ended = |one: &Grant| {
                        let status = now(logged.bench.0.status(&tenant(), one.task, at));
                        status.is_none_or(|status| status.state != crate::TaskState::Live)
                    };
                    let gone: Vec<bool> = logged.live.iter().map(ended).collect();
                    let mut gone = gone.into_iter();
                    logged.live.retain(|_| !gone.next().unwrap());
                }
                (3, Some(_)) => drop(now(logged.bench.0.sweep(at))),
                (_, Some(grant)) => {
                    let number = (1..200).find(|number| task(*number) == grant.task).unwrap();
                    let called = paid((size > 20 || size.is_multiple_of(7)).then_some(size));
                    let (_entered, mut reservation, _held) =
                        logged.bench.pays(number, index.saturating_add(1000), &called, at);
                    if what > 4 {
                        reservation.commit();
                        let acting = Acting::of(&grant);
                        logged.log.push(Remembered::Called { task: grant.task, acting, called, at });
                    }
                }
            }
        }
        let after = logged.restarted(at);
        for grant in &logged.live {
            let number = (1..200).find(|number| task(*number) == grant.task).unwrap();
            let (_one, _kept, before) = logged.bench.pays(number, 90_000, &paid(Some(1)), at);
            let (_other, _held, after) = after.pays(number, 90_000, &paid(Some(1)), at);
            prop_assert_eq!(shown(&before), shown(&after));
        }
    }
}
