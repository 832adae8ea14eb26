//! The blast radius: how much a task could do at worst, in one number that anybody can work out.

use std::fmt;

use crate::{Budget, Effects};

/// What a task could do at worst.
///
/// A call weighs 1; that it writes adds 9, that it deletes 40 more, that it cannot be undone 100, that it sends something out 50.
/// Each of these can happen as often as the budget lets it: as many calls, writes, deletes and irreversible actions as it has,
/// and as many sendings as the counter that all sending actions draw on. An effect that no granted action has counts nothing.
///
/// So it never grows when actions are taken away or the budget is lowered, and no run of the task weighs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BlastRadius(u64);

impl BlastRadius {
    const CALL: u64 = 1;
    const WRITE: u64 = 9;
    const DELETE: u64 = 40;
    const IRREVERSIBLE: u64 = 100;
    const SENDING: u64 = 50;

    /// The radius of a task with actions of these effects and this budget.
    #[must_use]
    pub fn of(actions: impl IntoIterator<Item = Effects>, budget: Budget) -> Self {
        let (mut calls, mut writes, mut deletes, mut irreversible, mut sendings) = (0, 0, 0, 0, 0);
        for effects in actions {
            let mut most = budget.calls;
            calls = budget.calls;
            if effects.kind != crate::Effect::Read {
                most = most.min(budget.writes);
                writes = budget.writes.min(budget.calls);
            }
            if effects.kind == crate::Effect::Delete {
                most = most.min(budget.deletes);
                deletes = budget.deletes.min(writes);
            }
            if effects.irreversible {
                most = most.min(budget.irreversible);
                irreversible = budget.irreversible.min(budget.calls);
            }
            if effects.external_send {
                // Of several actions that send, each may draw on another counter.
                sendings = most.saturating_add(sendings).min(budget.calls);
            }
        }
        let parts = [
            (Self::CALL, calls),
            (Self::WRITE, writes),
            (Self::DELETE, deletes),
            (Self::IRREVERSIBLE, irreversible),
            (Self::SENDING, sendings),
        ];
        let weigh = |sum: u64, (weight, count): (u64, u64)| {
            sum.saturating_add(weight.saturating_mul(count))
        };
        Self(parts.into_iter().fold(0, weigh))
    }

    /// The number.
    #[must_use]
    pub const fn weight(self) -> u64 {
        self.0
    }
}

impl fmt::Display for BlastRadius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Charge, Effect};

    fn effects(kind: Effect, [irreversible, external_send]: [bool; 2]) -> Effects {
        Effects {
            kind,
            irreversible,
            external_send,
        }
    }

    fn budget([calls, writes, deletes, irreversible]: [u64; 4]) -> Budget {
        Budget {
            calls,
            writes,
            deletes,
            irreversible,
        }
    }

    #[test]
    fn it_can_be_worked_out_by_hand() {
        let read = effects(Effect::Read, [false, false]);
        let send = effects(Effect::Write, [false, true]);
        let gone = effects(Effect::Delete, [true, false]);
        for (actions, given, radius) in [
            (vec![], [50, 5, 0, 0], 0),
            (vec![read], [50, 5, 5, 5], 50),
            (vec![read, send], [50, 5, 0, 0], 50 + 5 * 9 + 5 * 50),
            (vec![gone], [10, 2, 1, 1], 10 + 2 * 9 + 40 + 100),
            (
                vec![effects(Effect::Read, [false, true])],
                [10, 0, 0, 0],
                10 + 10 * 50,
            ),
            (vec![read], [u64::MAX, 0, 0, 0], u64::MAX),
            (vec![gone, send], [u64::MAX; 4], u64::MAX),
        ] {
            assert_eq!(BlastRadius::of(actions, budget(given)).weight(), radius);
        }
    }

    fn any_effects() -> impl Strategy<Value = Effects> {
        let kind = prop_oneof![
            Just(Effect::Read),
            Just(Effect::Write),
            Just(Effect::Delete)
        ];
        (kind, any::<[bool; 2]>()).prop_map(|(kind, marks)| effects(kind, marks))
    }

    proptest! {
        #[test]
        fn no_run_of_the_task_weighs_more(
            actions in prop::collection::vec(any_effects(), 1..5),
            given in prop::array::uniform4(0_u64..6),
            calls in prop::collection::vec(0_usize..5, 0..12),
        ) {
            let given = budget(given);
            let radius = BlastRadius::of(actions.clone(), given);
            let (mut left, mut weight) = (given, 0);
            for call in calls {
                let Some(done) = actions.iter().cycle().nth(call) else {
                    continue;
                };
                let charge = Charge::of(*done);
                if !left.covers(charge) {
                    continue;
                }
                left = left.less(charge);
                let counts = [
                    (1, 1),
                    (9, charge.writes),
                    (40, charge.deletes),
                    (100, charge.irreversible),
                    (50, u64::from(done.external_send)),
                ];
                let weigh = |sum: u64, (each, count): (u64, u64)| sum.saturating_add(each.saturating_mul(count));
                weight = counts.into_iter().fold(weight, weigh);
            }
            prop_assert!(weight <= radius.weight(), "{weight} > {radius}");
        }

        #[test]
        fn it_shrinks_with_the_authority(
            actions in prop::collection::vec(any_effects(), 1..5),
            given in prop::array::uniform4(0_u64..6),
            less in prop::array::uniform4(0_u64..6),
        ) {
            let (wide, narrow) = (budget(given), budget(given).narrowed_to(budget(less)));
            let whole = BlastRadius::of(actions.clone(), wide);
            prop_assert!(BlastRadius::of(actions.clone(), narrow) <= whole);
            prop_assert!(BlastRadius::of(actions[1..].to_vec(), wide) <= whole);
        }
    }
}
