//! Another grant for a task that lives: what is asked for, and how it differs from what the task holds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    ActionName, Asserter, Bound, BoundPointer, Bounds, Budget, Grant, TaskRequest,
    TaskRequestError, Timestamp, Value,
};

/// Why what was asked for is no amendment of the task. The text is for the developer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmendmentError {
    /// The details do not read.
    #[error(transparent)]
    Details(#[from] TaskRequestError),
    /// A budget that is none.
    #[error("{0}")]
    Budget(String),
    /// A member that says what the task is, and not how much it holds.
    #[error("`{0}` is what the task was opened with, and stays so: open another task")]
    Fixed(&'static str),
    /// The plan of the task has an action that it would not hold.
    #[error("`plan` has an action that the task would give up")]
    Planned,
}

/// What a task is to hold from now on: an `authorization_details` object as one is opened with (RFC 9396).
///
/// `purpose` and `actions` are there always; what else is left out stays as it is. `bounds` are all of the task's bounds,
/// `budget` is what it may spend in its whole life, and `expires_in` that life in seconds, counted from its opening, as the
/// granted details say it. So the same amendment asked again later is the same amendment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    actions: BTreeSet<ActionName>,
    bounds: Option<Bounds>,
    budget: Option<Budget>,
    life: Option<Duration>,
}

impl Amendment {
    /// Reads what is asked for a task that holds `grant`.
    ///
    /// # Errors
    ///
    /// [`AmendmentError`]: what an amendment cannot change is refused, not left out.
    pub fn parse(details: &Value, grant: &Grant) -> Result<Self, AmendmentError> {
        let request = TaskRequest::parse(details)?;
        if request.purpose != grant.purpose {
            return Err(AmendmentError::Fixed("purpose"));
        }
        if request.mode.is_some_and(|mode| mode != grant.mode) {
            return Err(AmendmentError::Fixed("mode"));
        }
        if request.prompt.is_some() {
            return Err(AmendmentError::Fixed("prompt"));
        }
        if request.plan != grant.plan && !request.plan.is_none() {
            return Err(AmendmentError::Fixed("plan"));
        }
        let steps = grant.plan.steps();
        if steps
            .iter()
            .any(|step| !request.actions.contains(step.action()))
        {
            return Err(AmendmentError::Planned);
        }
        let member = |name| details.as_array().and_then(|all| all.first()?.member(name));
        // Members of a budget that are left out stay as they are, too.
        let budget = member("budget").map(|value| Budget::parse(value, grant.budget));
        Ok(Self {
            bounds: member("bounds").map(|_| request.bounds),
            actions: request.actions,
            budget: budget.transpose().map_err(AmendmentError::Budget)?,
            life: request.expires_in,
        })
    }

    /// The actions asked for.
    #[must_use]
    pub const fn actions(&self) -> &BTreeSet<ActionName> {
        &self.actions
    }

    /// What the task would hold. Bounds that are others than before are the agent's own word, whoever said those before.
    #[must_use]
    pub fn applied_to(&self, grant: &Grant) -> Grant {
        let kept = grant.bounds.only(&self.actions);
        let bounds = self.bounds.as_ref().unwrap_or(&kept).only(&self.actions);
        let life = self.life.unwrap_or_default();
        let same_life = life.as_secs() == grant.deadline.since(grant.opened).as_secs();
        let mut asserters = grant.asserters.clone();
        if bounds != kept {
            asserters.bounds = Asserter::Agent;
        }
        Grant {
            actions: self.actions.clone(),
            bounds,
            budget: self.budget.unwrap_or(grant.budget),
            deadline: if self.life.is_none() || same_life {
                grant.deadline
            } else {
                grant.opened.plus(life)
            },
            asserters,
            ..grant.clone()
        }
    }
}

/// How one grant of a task differs from the one before it.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    before: &'a Grant,
    after: &'a Grant,
}

/// A bound that is another, or that is there before or after only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundChange<'a> {
    /// The action.
    pub action: &'a ActionName,
    /// The place of its arguments.
    pub place: &'a BoundPointer,
    /// The bound before.
    pub before: Option<&'a Bound>,
    /// The bound after.
    pub after: Option<&'a Bound>,
}

impl BoundChange<'_> {
    /// Whether something is let through that was not. Of an action that is new everything is.
    #[must_use]
    pub fn widens(&self) -> bool {
        match (self.before, self.after) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(before), Some(after)) => !after.within(before),
        }
    }
}

impl<'a> Difference<'a> {
    /// The difference between two grants of one task.
    #[must_use]
    pub const fn between(before: &'a Grant, after: &'a Grant) -> Self {
        Self { before, after }
    }

    /// The actions that it holds after and not before.
    pub fn added(&self) -> impl Iterator<Item = &'a ActionName> {
        self.after.actions.difference(&self.before.actions)
    }

    /// The actions that it holds before and not after.
    pub fn dropped(&self) -> impl Iterator<Item = &'a ActionName> {
        self.before.actions.difference(&self.after.actions)
    }

    /// The bounds that change, of the actions that it holds after.
    #[must_use]
    pub fn bounds(&self) -> Vec<BoundChange<'a>> {
        let Self { before, after } = *self;
        let places = |grant: &'a Grant| {
            let bounds = grant.bounds.iter();
            bounds.flat_map(|(action, places)| places.keys().map(move |place| (action, place)))
        };
        let held = |(action, _): &(&ActionName, &BoundPointer)| after.actions.contains(*action);
        let all: BTreeSet<_> = places(before).chain(places(after)).filter(held).collect();
        let change = |(action, place)| {
            let (before, after) = (&before.bounds, &after.bounds);
            let (before, after) = (before.bound(action, place), after.bound(action, place));
            (before != after).then_some(BoundChange {
                action,
                place,
                before,
                after,
            })
        };
        all.into_iter().filter_map(change).collect()
    }

    /// The budget before and after, where they differ.
    #[must_use]
    pub fn budget(&self) -> Option<(Budget, Budget)> {
        let both = (self.before.budget, self.after.budget);
        (both.0 != both.1).then_some(both)
    }

    /// The deadline before and after, where they differ.
    #[must_use]
    pub fn deadline(&self) -> Option<(Timestamp, Timestamp)> {
        let both = (self.before.deadline, self.after.deadline);
        (both.0 != both.1).then_some(both)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.before == self.after
    }

    /// Whether the bounds change, of the actions that it holds before and after.
    #[must_use]
    pub fn changes_bounds(&self) -> bool {
        let mut changes = self.bounds().into_iter();
        changes.any(|change| self.before.actions.contains(change.action))
    }

    /// Whether it holds another action, or a call of one that it holds could say more.
    #[must_use]
    pub fn widens_calls(&self) -> bool {
        self.added().next().is_some() || self.bounds().iter().any(BoundChange::widens)
    }

    /// Whether anything after is more than before. What is no widening is within what the task holds already.
    #[must_use]
    pub fn widens(&self) -> bool {
        self.widens_calls()
            || !self.after.budget.within(self.before.budget)
            || self.after.deadline > self.before.deadline
    }
}

impl Grant {
    /// What a token names that was issued when the task held `former`: nothing that the task does not hold now, and nothing
    /// that it did not hold then.
    #[must_use]
    pub fn as_of(&self, former: &Self) -> Self {
        let both = self.actions.intersection(&former.actions);
        let actions: BTreeSet<ActionName> = both.cloned().collect();
        Self {
            bounds: self.bounds.meet(&former.bounds, &actions),
            actions,
            ..self.clone()
        }
    }

    /// Whether it is another grant of the very same task: only how much it holds may differ.
    #[must_use]
    pub fn amends(&self, before: &Self) -> bool {
        let Self {
            tenant,
            task,
            agent,
            requester,
            purpose,
            mode,
            actions: _,
            bounds: _,
            plan,
            budget: _,
            opened,
            deadline: _,
            parent,
            prompt,
            asserters,
        } = self;
        (tenant, task, agent, requester, purpose, mode)
            == (
                &before.tenant,
                &before.task,
                &before.agent,
                &before.requester,
                &before.purpose,
                &before.mode,
            )
            && (plan, opened, parent, prompt)
                == (&before.plan, &before.opened, &before.parent, &before.prompt)
            && (&asserters.prompt, &asserters.plan)
                == (&before.asserters.prompt, &before.asserters.plan)
    }
}

#[cfg(test)]
mod tests;
