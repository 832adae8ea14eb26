//! The seam between the call path and whatever keeps the tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use writ_types::{
    ActionName, AgentId, Budget, CallId, Charge, Digest, Facts, Grant, Label, Progress, Sighting,
    Stop, TaskId, Tenant, Timestamp, Value, ValueDigest, Vouchers, WindowName, Windowed, Windows,
};

use crate::{
    AmendError, Called, EndError, EnterError, Entered, OpenError, Reservation, ReserveError,
};

/// What a ledger answers with. Boxed, so that a ledger elsewhere can wait where this one does not.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The live tasks of every tenant (DESIGN §4 step 4 and step 9).
///
/// The call path calls [`enter`](Self::enter), [`reserve`](Self::reserve) and, when the intent is recorded,
/// [`Reservation::commit`]. Whoever opens, closes or kills tasks calls the rest. Every call with the same tenant and
/// task sees one order of events: what enters after a revoke fails, what was in flight is cut.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// Opens a task. With `grant.parent` it must be within the live parent: actions, bounds, deadline, mode, purpose,
    /// requester, and what the parent has left.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing is opened then.
    fn open(&self, grant: Grant, now: Timestamp)
    -> LedgerFuture<'_, Result<Arc<Grant>, OpenError>>;

    /// The party that opened the task vouches for what it said, because it is not the agent: the prompt and the bounds vouch
    /// for values, and the task does not begin with what agent and requester have read before (DESIGN §5, §6). Nothing of
    /// the task has called yet.
    ///
    /// # Errors
    ///
    /// [`EndError`]: no such task.
    fn attest(
        &self,
        tenant: &Tenant,
        task: TaskId,
        prompt: Option<Arc<str>>,
    ) -> LedgerFuture<'_, Result<(), EndError>>;

    /// Another grant takes the place of `from` in a live task: what it only narrows, or what people have said yes to. What the
    /// task has spent, read and been refused stays, and its sub-tasks hold what they held; those that hold what it gives up
    /// end with it, which is what is returned. Nothing is decided here but what only the ledger knows.
    ///
    /// # Errors
    ///
    /// [`AmendError`]; nothing has changed then.
    fn amend(
        &self,
        grant: Grant,
        from: &Digest,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Cut, AmendError>>;

    /// What [`amend`](Self::amend) would say, without amending anything, and what the task's tree knows.
    ///
    /// # Errors
    ///
    /// Those that it would give.
    fn look_at_amendment(
        &self,
        grant: &Grant,
        from: &Digest,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Known, AmendError>>;

    /// Registers a call of a live task, so that a kill can cut it. Dropping the [`Entered`] deregisters it.
    ///
    /// # Errors
    ///
    /// [`EnterError`]: the task has ended or is not known, or too many of its calls are in flight.
    fn enter(
        &self,
        tenant: &Tenant,
        task: TaskId,
        call: CallId,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Entered, EnterError>>;

    /// Reserves what the call costs, from the task's budget and from every ancestor's, in one critical section with
    /// the facts it returns: no other call sees the same counters.
    ///
    /// A call reserves once. It counts as at least one call, whatever `charge` says. `fitting` are the steps of the task's
    /// plan ([`Entered::plan`]) that it could be, or none where it is free; one that is due is reserved with it, and
    /// [`Facts::plan`] says which.
    ///
    /// # Errors
    ///
    /// [`ReserveError`]; nothing is reserved then.
    fn reserve(
        &self,
        entered: &Entered,
        what: (&ActionName, Charge),
        fitting: Option<&[u16]>,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<(Reservation, Facts), ReserveError>>;

    /// Counts a reserved call in the windows that look at calls like it, in one critical section with what they show of its
    /// caller, this call included: no other call sees the same counts. It counts for as long as `reservation` is not given
    /// back. Windows show everything of whom there was no room to remember.
    fn tally(
        &self,
        entered: &Entered,
        reservation: &mut Reservation,
        called: &Called,
        windows: &Windows,
        now: Timestamp,
    ) -> LedgerFuture<'_, BTreeMap<WindowName, Windowed>>;

    /// What windows show of a caller before another call of it, counting nothing.
    fn windows(
        &self,
        entered: &Entered,
        windows: &Windows,
        now: Timestamp,
    ) -> LedgerFuture<'_, BTreeMap<WindowName, Windowed>>;

    /// What [`reserve`](Self::reserve) would find, without reserving anything.
    ///
    /// # Errors
    ///
    /// Those that it would give.
    fn look(
        &self,
        entered: &Entered,
        action: &ActionName,
        charge: Charge,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Facts, ReserveError>>;

    /// Adds labels to the whole task tree: what one task has read, its parents and children may know too. Later tasks of the
    /// agent and of the requester begin with them, unless somebody vouches for those ([`attest`](Self::attest)).
    ///
    /// # Errors
    ///
    /// [`EnterError::Ended`] if the call was cut meanwhile. The labels are added all the same.
    fn add_labels(
        &self,
        entered: &Entered,
        labels: &BTreeSet<Label>,
    ) -> LedgerFuture<'_, Result<(), EnterError>>;

    /// Notes what a response held whose last byte was validated. A source vouches from here on in the whole tree, unless
    /// the tree wrote the value itself, or a task of the same requester did and it has not cooled off.
    ///
    /// # Errors
    ///
    /// [`EnterError::Ended`] if the call was cut meanwhile.
    fn note(
        &self,
        entered: &Entered,
        read: &Read,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<(), EnterError>>;

    /// Remembers the forms of what the call is about to write and nothing vouches for: read back, they vouch for nothing.
    /// Without forms there is more than can be told, and whatever is read from then on could be it. The forms in `given` a
    /// person entered: in later tasks they vouch as they are read.
    ///
    /// # Errors
    ///
    /// [`EnterError::Ended`] if the call was cut meanwhile. They are remembered all the same.
    fn write(
        &self,
        entered: &Entered,
        forms: Option<&[ValueDigest]>,
        given: &BTreeSet<ValueDigest>,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<(), EnterError>>;

    /// Counts a refusal because nothing vouched for the values at `places`. The third for one of them pauses the whole
    /// tree: whoever tries values is stopped before a person is worn out. `true` if it is paused now.
    fn count_unvouched(
        &self,
        entered: &Entered,
        action: &ActionName,
        places: &BTreeSet<String>,
    ) -> LedgerFuture<'_, bool>;

    /// A person entered values for arguments of operations (`(argument, form)`): they vouch in the whole tree, and with
    /// `until` in the tasks of the same requester that are opened before then.
    ///
    /// # Errors
    ///
    /// [`EndError`]: no such task.
    fn endorse(
        &self,
        grant: &Grant,
        values: &[(ValueDigest, ValueDigest)],
        until: Option<Timestamp>,
    ) -> LedgerFuture<'_, Result<(), EndError>>;

    /// A person has looked at a task: its tree goes on if it was paused, and tries are counted anew.
    ///
    /// # Errors
    ///
    /// [`EndError`]: no such task.
    fn resume(&self, tenant: &Tenant, task: TaskId) -> LedgerFuture<'_, Result<(), EndError>>;

    /// Ends a task and everything below it because its work is done. Calls in flight are cut.
    ///
    /// # Errors
    ///
    /// [`EndError`]: no such task. Ending a task that has ended is no error and cuts nothing.
    fn close(&self, tenant: &Tenant, task: TaskId) -> LedgerFuture<'_, Result<Cut, EndError>>;

    /// Ends a task and everything below it. When this returns, every call in flight reads as cut.
    ///
    /// # Errors
    ///
    /// [`EndError`]: no such task. Ending a task that has ended is no error and cuts nothing.
    fn revoke(
        &self,
        tenant: &Tenant,
        task: TaskId,
        why: Ending,
    ) -> LedgerFuture<'_, Result<Cut, EndError>>;

    /// Ends every task of an agent and everything below them.
    fn revoke_agent(&self, tenant: &Tenant, agent: AgentId) -> LedgerFuture<'_, Cut>;

    /// Cuts the calls in flight that need what was stopped, a credential up to this version. Their tasks live on. When this
    /// returns, each of them reads as cut. Put it into [`Stops`](crate::Stops) first.
    fn cut(&self, tenant: &Tenant, stop: &Stop, version: u32) -> LedgerFuture<'_, Cut>;

    /// Ends every task whose deadline has passed and forgets those that nothing hangs on any more.
    fn sweep(&self, now: Timestamp) -> LedgerFuture<'_, Cut>;

    /// A task, live or ended; none if it is not known or was forgotten after its deadline.
    fn status(
        &self,
        tenant: &Tenant,
        task: TaskId,
        now: Timestamp,
    ) -> LedgerFuture<'_, Option<TaskStatus>>;

    /// At most `limit` tasks of a tenant in the order of their ids, those after `after`.
    fn list(
        &self,
        tenant: &Tenant,
        after: Option<TaskId>,
        limit: usize,
        now: Timestamp,
    ) -> LedgerFuture<'_, Vec<TaskStatus>>;
}

/// What a response held that was validated to its last byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The values of its sources.
    pub sources: Vec<Sighting>,
    /// The forms of everything that could be an argument, for the cards of approvals.
    pub seen: Vec<ValueDigest>,
}

/// What a task's tree knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// What it has read.
    pub labels: BTreeSet<Label>,
    /// What vouches for values there, and where they were seen.
    pub vouchers: Vouchers,
}

/// Why a task is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Its work was done.
    Closed,
    /// Its deadline passed.
    Deadline,
    /// Someone revoked it.
    Revoked,
    /// Its agent was revoked or disabled.
    AgentRevoked,
    /// A task above it ended.
    WithParent,
}

impl Ending {
    /// The word in records and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Deadline => "deadline",
            Self::Revoked => "revoked",
            Self::AgentRevoked => "agent_revoked",
            Self::WithParent => "with_parent",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a task may still act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It may.
    Live,
    /// It may not, and never again.
    Ended(Ending),
}

/// What ending tasks has cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// The tasks that ended, a parent before its children.
    pub tasks: Vec<TaskId>,
    /// The calls that were in flight.
    pub calls: Vec<CallId>,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    /// What it holds.
    pub grant: Arc<Grant>,
    /// What it held before it was amended, the oldest first.
    pub former: Vec<Arc<Grant>>,
    /// Whether it may still act.
    pub state: TaskState,
    /// Whether its tree is paused because values were tried that nothing vouched for.
    pub paused: bool,
    /// What it and the tasks below it have spent, the calls whose intent is recorded.
    pub spent: Charge,
    /// What is reserved by calls whose intent is not recorded yet.
    pub reserved: Charge,
    /// What the next call may cost at most: the least that it or a task above it has left. Nothing if it has ended.
    pub left: Budget,
    /// Its own calls in flight, and those of the tasks below it.
    pub in_flight: usize,
    /// The tasks opened directly below it that are still known.
    pub children: Vec<TaskId>,
    /// How far it has come with its plan.
    pub progress: Progress,
    /// The agents of the tasks above it, other than its own, each once. It has their authority, and none where they have none.
    pub above: Vec<AgentId>,
}

impl TaskStatus {
    /// What the task holds as far as a token with these details names it; none if it was not issued for the task.
    #[must_use]
    pub fn named_by(&self, details: &Value) -> Option<Arc<Grant>> {
        crate::amend::named(&self.grant, &self.former, details)
    }
}
