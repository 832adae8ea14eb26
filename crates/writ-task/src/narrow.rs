//! Authority only shrinks: what a sub-task may hold.

use writ_types::{Budget, Grant, Mode};

/// Where a sub-task would hold more than its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Widening {
    /// An action that the parent does not hold.
    #[error("it asks for an action that the parent does not hold")]
    Actions,
    /// A bound of the parent is missing or wider.
    #[error("a bound of the parent is missing or wider")]
    Bounds,
    /// More than the parent has left.
    #[error("it asks for more budget than the parent has left")]
    Budget,
    /// A later deadline.
    #[error("it would outlive the parent")]
    Deadline,
    /// Autonomous below a task in which a person is present.
    #[error("a copilot task has no autonomous sub-task")]
    Mode,
    /// A plan below a plan.
    #[error("the plan of the parent holds for it, too: it has none of its own")]
    Plan,
    /// Another purpose.
    #[error("it has another purpose")]
    Purpose,
    /// Another user, or one where the parent has none.
    #[error("it acts for another requester")]
    Requester,
    /// Another tenant.
    #[error("it belongs to another tenant")]
    Tenant,
}

/// Whether `child` holds nothing that `parent`, with `left` to spend, does not.
pub(crate) fn within(child: &Grant, parent: &Grant, left: Budget) -> Result<(), Widening> {
    let looser_mode = match (parent.mode, child.mode) {
        (Mode::Copilot, Mode::Autonomous) => true,
        (Mode::Copilot, Mode::Copilot) | (Mode::Autonomous, Mode::Copilot | Mode::Autonomous) => {
            false
        }
    };
    let checks = [
        (child.tenant == parent.tenant, Widening::Tenant),
        (child.purpose == parent.purpose, Widening::Purpose),
        (child.requester == parent.requester, Widening::Requester),
        (!looser_mode, Widening::Mode),
        (child.deadline <= parent.deadline, Widening::Deadline),
        (child.actions.is_subset(&parent.actions), Widening::Actions),
        (
            child.bounds.within(&parent.bounds, &child.actions),
            Widening::Bounds,
        ),
        (child.budget.within(left), Widening::Budget),
    ];
    checks
        .into_iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, widening)| Err(widening))
}
