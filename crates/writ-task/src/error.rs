//! Why the ledger refuses, and which reason the caller sees.

use writ_types::{Budget, ReasonCode, TaskId};

use crate::{Ending, Widening};

/// Why a task was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It would hold more than its parent does.
    #[error("the sub-task is not within its parent: {0}")]
    NotWithinParent(Widening),
    /// The parent may not act any more.
    #[error("the parent task has ended: {0}")]
    ParentEnded(Ending),
    /// There is no such parent in this tenant.
    #[error("there is no such parent task")]
    ParentUnknown,
    /// It would be over before it began.
    #[error("the deadline has already passed")]
    DeadlinePast,
    /// The agent has as many live tasks as it may have.
    #[error("the agent has {most} live tasks, and that is the most: close some first")]
    TooManyTasks {
        /// The limit `agent_tasks`.
        most: usize,
    },
    /// Sub-tasks of sub-tasks, too deep.
    #[error("sub-tasks are nested at most {most} deep")]
    TooDeep {
        /// The deepest.
        most: usize,
    },
    /// The id is taken.
    #[error("there is a task of this id already")]
    Exists,
}

/// Why a task holds what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmendError {
    /// The ledger does not know the task.
    #[error("there is no such task")]
    Unknown,
    /// The task is over.
    #[error("the task has ended: {0}")]
    Ended(Ending),
    /// Values were tried that nothing vouched for; a person has to look first.
    #[error("the task is paused: values were tried that nothing vouched for")]
    Paused,
    /// It was amended since.
    #[error("the task holds something else by now")]
    Changed,
    /// It is no grant of this task.
    #[error("only what a task holds can be amended, not what it is")]
    Another,
    /// It would hold more than the task above it.
    #[error("it would not be within the task above it: {0}")]
    NotWithinParent(Widening),
    /// Whoever opened it vouches for what it holds.
    #[error("the party that opened the task vouches for what it holds: it opens another")]
    Vouched,
    /// What it does was planned.
    #[error("the task has a plan, and the plan does not grow")]
    Planned,
    /// It would be over.
    #[error("the deadline has already passed")]
    DeadlinePast,
    /// It was amended too often.
    #[error("the task was amended {most} times, and that is the most")]
    TooOften {
        /// The limit.
        most: usize,
    },
}

/// Why a call may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnterError {
    /// The task is over.
    #[error("the task has ended: {0}")]
    Ended(Ending),
    /// The ledger does not know the task: it never did, or forgot it after its deadline.
    #[error("there is no such task")]
    Unknown,
    /// Values were tried that nothing vouched for; a person has to look.
    #[error("the task is paused: values were tried that nothing vouched for")]
    Paused,
    /// Too many calls of the task, or of one above it, are in flight.
    #[error("{most} calls of the task are in flight, and that is the most")]
    TooManyInFlight {
        /// The limit `task_in_flight`.
        most: usize,
    },
    /// Another call of this id is in flight; ids are drawn by the gateway, so this is its fault.
    #[error("a call of this id is in flight already")]
    SameCall,
}

impl EnterError {
    /// What the caller is told.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Ended(_) | Self::Unknown => ReasonCode::TaskEnded,
            Self::Paused => ReasonCode::TaskPaused,
            Self::TooManyInFlight { most: _ } => ReasonCode::TooManyInFlight,
            Self::SameCall => ReasonCode::NotReady,
        }
    }
}

/// Why a call may not spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// The task ended after the call began.
    #[error("the task has ended: {0}")]
    Ended(Ending),
    /// Values were tried that nothing vouched for; a person has to look.
    #[error("the task is paused: values were tried that nothing vouched for")]
    Paused,
    /// The task does not hold the action.
    #[error("the task does not hold the action")]
    NotGranted,
    /// The task, or one above it, has too little left.
    #[error("the budget of {task} is spent")]
    Exhausted {
        /// The task whose budget it is: the call's own, or one above it.
        task: TaskId,
        /// What it has left.
        left: Budget,
    },
    /// The call has reserved before. One call, one reservation, one record.
    #[error("the call has reserved its budget already")]
    AlreadyReserved,
}

impl ReserveError {
    /// What the caller is told.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Ended(_) => ReasonCode::TaskEnded,
            Self::Paused => ReasonCode::TaskPaused,
            Self::NotGranted => ReasonCode::ActionNotGranted,
            Self::Exhausted { .. } => ReasonCode::BudgetExhausted,
            Self::AlreadyReserved => ReasonCode::NotReady,
        }
    }
}

/// Why nothing was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// The ledger does not know the task.
    #[error("there is no such task")]
    Unknown,
}

/// Why an event of the log does not fit what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// The task was never opened, as far as the log that was read says.
    #[error("the log speaks of {0}, but does not say that it was opened")]
    UnknownTask(TaskId),
}

/// Why a task of the log holds no authority after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unheld {
    /// Its opening does not hold.
    #[error(transparent)]
    Opening(#[from] OpenError),
    /// It was amended from what it did not hold, or to what it cannot hold: what it may do is not known.
    #[error("the log amends it to what it cannot have come to hold: {0}")]
    Amendment(#[from] AmendError),
}
