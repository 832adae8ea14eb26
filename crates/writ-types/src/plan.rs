//! Plans: what a task will do, step by step, as whoever opened it said before anything was read.
//!
//! A plan binds every sensitive argument and the number of calls, in order. A call that is none of its steps is asked about,
//! once and by itself; what only reads and is no step of it stays free. So what an agent reads on its way can choose among the
//! steps that are due, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ActionName, BoundPointer, Bounds, BoundsError, Input, Value};

/// Why a `plan` member was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `plan` is no array of steps, or has none or too many, or is too long for the tokens that carry it.
    #[error("`plan` is an array of 1 to 64 steps, at most 8192 bytes long")]
    Shape,
    /// A step is none.
    #[error(
        "step {0} of `plan` is no object of `action`, `arguments` (as bounds) and `times` (1 to 1000)"
    )]
    Step(usize),
    /// An action that is none.
    #[error("step {0} of `plan` has an action that is none: {1}")]
    Action(usize, crate::NameError),
    /// Arguments that are none.
    #[error("step {0} of `plan`: {1}")]
    Arguments(usize, BoundsError),
}

/// One step: calls of one action with these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    action: ActionName,
    /// Of that action alone.
    arguments: Bounds,
    times: u32,
}

impl Step {
    /// The action.
    #[must_use]
    pub const fn action(&self) -> &ActionName {
        &self.action
    }

    /// What its arguments are bound to, as bounds of its action.
    #[must_use]
    pub const fn arguments(&self) -> &Bounds {
        &self.arguments
    }

    /// Most calls of it; at least one comes before the next step.
    #[must_use]
    pub const fn times(&self) -> u32 {
        self.times
    }

    /// Whether a call is one of it: its arguments lie within, and each place in `sensitive` is bound.
    fn fits(&self, action: &ActionName, input: &Input, sensitive: &BTreeSet<BoundPointer>) -> bool {
        self.action == *action
            && self.arguments.violation(action, input).is_none()
            && sensitive
                .iter()
                .all(|place| self.arguments.binds(action, place))
    }

    fn to_value(&self) -> Value {
        let bound = self.arguments.to_value();
        let arguments = bound.member(&self.action.to_string()).cloned();
        let members = [
            ("action", Value::from(self.action.to_string())),
            ("times", Value::from_u64(u64::from(self.times))),
        ];
        let arguments = arguments.map(|arguments| ("arguments", arguments));
        Value::object(members.into_iter().chain(arguments))
    }
}

/// The steps of a task, in their order. A task without a plan has [`Plan::none`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan(Vec<Step>);

impl Plan {
    /// Most steps of one plan.
    pub const MOST_STEPS: usize = 64;

    /// Longest plan in bytes, as it is written in tokens.
    pub const MOST_BYTES: usize = 8192;

    /// Most calls of one step.
    pub const MOST_TIMES: u32 = 1000;

    /// No plan: nothing is compared.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads the `plan` member of `authorization_details`.
    ///
    /// # Errors
    ///
    /// [`PlanError`]: what is not understood would not bind.
    pub fn parse(value: &Value) -> Result<Self, PlanError> {
        let steps = value.as_array().ok_or(PlanError::Shape)?;
        if steps.is_empty() || steps.len() > Self::MOST_STEPS {
            return Err(PlanError::Shape);
        }
        let steps = (1usize..)
            .zip(steps)
            .map(|(number, step)| read(number, step));
        let plan = Self(steps.collect::<Result<_, _>>()?);
        if plan.to_value().to_string().len() > Self::MOST_BYTES {
            return Err(PlanError::Shape);
        }
        Ok(plan)
    }

    /// Back to the JSON form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Array(self.0.iter().map(Step::to_value).collect())
    }

    /// Whether there is no plan.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The step of that number, counted from zero.
    #[must_use]
    pub fn step(&self, number: u16) -> Option<&Step> {
        self.0.get(usize::from(number))
    }

    /// Whether a step is of this action.
    #[must_use]
    pub fn names(&self, action: &ActionName) -> bool {
        self.0.iter().any(|step| step.action == *action)
    }

    /// The steps that a call could be, by their numbers from zero. `sensitive` are the places of its sensitive arguments that
    /// have a value: a step that leaves one of them open is not what the planner has seen.
    #[must_use]
    pub fn fitting(
        &self,
        action: &ActionName,
        input: &Input,
        sensitive: &BTreeSet<BoundPointer>,
    ) -> Vec<u16> {
        let numbered = (0u16..).zip(&self.0);
        let fitting = numbered.filter(|(_, step)| step.fits(action, input, sensitive));
        fitting.map(|(number, _)| number).collect()
    }
}

fn read(number: usize, step: &Value) -> Result<Step, PlanError> {
    let wrong = || PlanError::Step(number);
    let members: &BTreeMap<String, Value> = step.as_object().ok_or_else(wrong)?;
    let known = ["action", "arguments", "times"];
    if members.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(wrong());
    }
    let action = members.get("action").and_then(Value::as_str);
    let action: ActionName = action
        .ok_or_else(wrong)?
        .parse()
        .map_err(|fault| PlanError::Action(number, fault))?;
    let arguments = match members.get("arguments") {
        None => Bounds::none(),
        Some(arguments) => {
            let own = Value::object([(action.to_string(), arguments.clone())]);
            Bounds::parse(&own).map_err(|fault| PlanError::Arguments(number, fault))?
        }
    };
    let times = match members.get("times") {
        None => 1,
        Some(times) => times
            .as_u64()
            .and_then(|times| u32::try_from(times).ok())
            .filter(|times| (1..=Plan::MOST_TIMES).contains(times))
            .ok_or_else(wrong)?,
    };
    Ok(Step {
        action,
        arguments,
        times,
    })
}

/// How a call stands to the plan of its task, or of the task above it that has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlanStanding {
    /// There is no plan, or it says nothing of what only reads.
    #[default]
    Free,
    /// It is the step of this number, counted from zero, and that step is due.
    Follows(u16),
    /// It is none of the steps that are due.
    Outside,
}

impl PlanStanding {
    /// The word in policies and in what is kept of a call.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Follows(_) => "follows",
            Self::Outside => "outside",
        }
    }

    /// Every word of [`Self::as_str`].
    pub const WORDS: [&'static str; 3] = ["free", "follows", "outside"];

    /// The step, if it is one.
    #[must_use]
    pub const fn step(self) -> Option<u16> {
        match self {
            Self::Follows(step) => Some(step),
            Self::Free | Self::Outside => None,
        }
    }
}

/// How far a task has come with its plan: which step is due, and how often each was taken.
///
/// Steps are taken in their order: the one that is due, or, once that was taken, the next. What is only reserved holds its
/// place, so that two calls cannot both be the last of a step, and lets nobody on to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    due: u16,
    taken: BTreeMap<u16, u32>,
    reserved: BTreeMap<u16, u32>,
}

impl Progress {
    /// Reserves one of the steps that a call could be, if one of them is due.
    pub fn reserve(&mut self, plan: &Plan, fitting: &[u16]) -> Option<u16> {
        let count =
            |counts: &BTreeMap<u16, u32>, step: u16| counts.get(&step).copied().unwrap_or(0);
        let begun = count(&self.taken, self.due) > 0;
        let next = self.due.checked_add(1).filter(|_| begun);
        let has_room = |step: &u16| {
            let used = count(&self.taken, *step).saturating_add(count(&self.reserved, *step));
            plan.step(*step).is_some_and(|planned| used < planned.times)
        };
        let due = [Some(self.due), next].into_iter().flatten();
        let step = due.filter(|step| fitting.contains(step)).find(has_room)?;
        let reserved = self.reserved.entry(step).or_default();
        *reserved = reserved.saturating_add(1);
        Some(step)
    }

    /// Gives a reserved step back.
    pub fn release(&mut self, step: u16) {
        let left = self
            .reserved
            .get(&step)
            .copied()
            .unwrap_or(0)
            .saturating_sub(1);
        if left == 0 {
            self.reserved.remove(&step);
        } else {
            self.reserved.insert(step, left);
        }
    }

    /// A step was taken: its call is recorded.
    pub fn take(&mut self, step: u16) {
        let taken = self.taken.entry(step).or_default();
        *taken = taken.saturating_add(1);
        self.due = self.due.max(step);
    }

    /// The number of the step that is due, counted from zero. It may be past the last one's times.
    #[must_use]
    pub const fn due(&self) -> u16 {
        self.due
    }

    /// How often a step was taken.
    #[must_use]
    pub fn taken(&self, step: u16) -> u32 {
        self.taken.get(&step).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
