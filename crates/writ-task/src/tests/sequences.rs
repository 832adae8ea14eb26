//! Whatever happens in whatever order, budgets hold and authority shrinks.

use proptest::prelude::*;

use super::world::{World, steps};
use crate::Event;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn budgets_hold_and_authority_shrinks(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn they_hold_after_every_step(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}

/// The lives are worth living: calls are sent below sub-tasks, and kills find calls in flight.
#[test]
fn random_lives_reach_what_matters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut nested, mut held, mut amended) = (0, 0, 0);
    for _ in 0..300 {
        let mut world = World::new();
        for step in steps().new_tree(&mut runner).unwrap().current() {
            world.step(step);
        }
        nested += world
            .sent
            .keys()
            .filter(|task| world.lineage(**task).len() > 1)
            .count();
        held += world.held.len();
        let amendments = world.log.iter();
        amended += amendments
            .filter(|event| matches!(event, Event::Amended { .. }))
            .count();
    }
    assert!(
        nested > 30 && held > 100 && amended > 100,
        "{nested} sent below, {held} still held, {amended} amended"
    );
}
