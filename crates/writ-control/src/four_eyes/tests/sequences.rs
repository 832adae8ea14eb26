//! One person alone changes nothing that takes two: over sequences of what admins do.

use proptest::prelude::*;

use super::reference::Given;
use super::world::{Other, Step, World};
use super::*;

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        4 => Just(Given::Admin),
        2 => Just(Given::Changes),
        1 => Just(Given::Finance),
        1 => Just(Given::Viewer),
    ]
}

fn other() -> impl Strategy<Value = Other> {
    prop_oneof![Just(Other::Keys), Just(Other::Roots), Just(Other::Rules)]
}

/// An installation with one to five people, and what they do from then on.
pub(super) fn stories() -> impl Strategy<Value = (Vec<(Given, u8, bool)>, Vec<Step>)> {
    let more = (
        given(),
        0..5_u8,
        prop_oneof![3 => Just(true), 1 => Just(false)],
    );
    (prop::collection::vec(more, 0..5), steps())
}

/// What the world is after a story.
pub(super) fn told((more, steps): (Vec<(Given, u8, bool)>, Vec<Step>)) -> World {
    let world = more.into_iter().fold(World::new(), World::with);
    steps.into_iter().fold(world, |mut world, step| {
        world.step(step);
        world
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || prop_oneof![6 => 1..4_u8, 1 => 4..8_u8];
    let which = || prop_oneof![3 => Just(0_usize), 1 => 1..4_usize];
    // Around ten minutes, an hour, a day and a week, a minute before and after each.
    let minutes = prop_oneof![
        4 => prop_oneof![Just(1_u16), Just(9), Just(10), Just(11)],
        4 => prop_oneof![Just(60_u16), Just(1439), Just(1440), Just(1441)],
        1 => prop_oneof![Just(10_079_u16), Just(10_080)],
    ];
    let step = prop_oneof![
        4 => (who(), given()).prop_map(|(by, given)| Step::Add { by, given }),
        3 => (who(), who(), given()).prop_map(|(by, whom, given)| Step::Give { by, whom, given }),
        2 => (who(), who()).prop_map(|(by, whom)| Step::Remove { by, whom }),
        3 => (who(), other()).prop_map(|(by, kind)| Step::Other { by, kind }),
        1 => (who(), who()).prop_map(|(by, whom)| Step::Invite { by, whom }),
        1 => Just(Step::Account),
        9 => (who(), which()).prop_map(|(by, change)| Step::Yes { by, change }),
        3 => (who(), who(), which()).prop_map(|(one, other, change)| Step::Race { one, other, change }),
        1 => (who(), which()).prop_map(|(by, change)| Step::No { by, change }),
        5 => who().prop_map(|who| Step::SignIn { who }),
        5 => minutes.prop_map(|minutes| Step::Wait { minutes }),
    ];
    // Now and then somebody proposes, waits, signs in and approves, as one who is alone has to.
    let alone =
        (who(), other(), 9..12_u16, any::<bool>()).prop_map(|(by, kind, minutes, again)| {
            let (wait, sign_in) = (Step::Wait { minutes }, Step::SignIn { who: by });
            let (first, then) = if again {
                (wait, sign_in)
            } else {
                (sign_in, wait)
            };
            let (proposes, yes) = (Step::Other { by, kind }, Step::Yes { by, change: 0 });
            vec![proposes, first, then, yes]
        });
    let some = prop_oneof![8 => step.prop_map(|step| vec![step]), 1 => alone];
    prop::collection::vec(some, 1..32).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What comes about, and what does not, is exactly what the history of the installation allows; and what one person
    /// brings about alone is only ever where no two could agree.
    #[test]
    fn no_sequence_lets_one_person_change_what_takes_two(story in stories()) {
        told(story);
    }
}

/// The property is about something: in this very world two people do make changes, one alone does too, and most ways to fail
/// are come across.
#[test]
fn the_world_of_the_property_moves() {
    let mut world = World::new();
    let admin = Given::Admin;
    for step in [
        Step::Add {
            by: 1,
            given: admin,
        },
        Step::Add {
            by: 1,
            given: admin,
        },
        Step::Invite { by: 1, whom: 2 },
        Step::SignIn { who: 2 },
        Step::Wait { minutes: 1441 },
        Step::Other {
            by: 2,
            kind: Other::Keys,
        },
        Step::Race {
            one: 2,
            other: 1,
            change: 0,
        },
        Step::Race {
            one: 1,
            other: 1,
            change: 0,
        },
        // Whom 2 brings along, 1 has brought along.
        Step::Add {
            by: 2,
            given: Given::Changes,
        },
        Step::Yes { by: 1, change: 0 },
        Step::SignIn { who: 4 },
        Step::Wait { minutes: 1440 },
        Step::Other {
            by: 1,
            kind: Other::Rules,
        },
        Step::Yes { by: 4, change: 0 },
        Step::No { by: 1, change: 0 },
        // Nobody says yes to their own end.
        Step::Remove { by: 2, whom: 1 },
        Step::Yes { by: 1, change: 0 },
    ] {
        world.step(step);
    }
    let how: Vec<_> = world.effects.iter().map(|(.., how)| *how).collect();
    let (alone, another) = (Approved::Alone, Approved::ByAnother);
    assert_eq!(how, [alone, alone, another, another]);
    assert_eq!(world.changes[2].0.state, "refused");
    assert_eq!(world.changes[3].0.state, WAITING);
}

/// Of the sequences of the property, so many bring something about by two people, and by one after the delay.
#[test]
fn the_sequences_of_the_property_reach_both_ways() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut two, mut later) = (0_u32, 0_u32);
    for _sequence in 0..2_000 {
        let world = told(stories().new_tree(&mut runner).unwrap().current());
        let another = |(.., how): &&(_, _, Approved)| *how == Approved::ByAnother;
        two += u32::from(world.effects.iter().any(|effect| another(&effect)));
        let approved = |(change, _): &&(StoredChange, Step)| {
            change.state == "approved" && change.decided_by == Some(change.author)
        };
        later += u32::from(world.changes.iter().any(|change| approved(&change)));
    }
    assert!(two > 50, "{two} of 2,000 by two people");
    assert!(later > 30, "{later} of 2,000 by one after the delay");
}
