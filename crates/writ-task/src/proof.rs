//! What the call path holds: a call that has entered, and a budget that is reserved.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use writ_types::{AgentId, CallId, Charge, Grant, Label, Plan, TaskId, Value};

use crate::amend::Former;
use crate::cut::CutFlag;
use crate::tally::{Booked, Caller};
use crate::tree::{Taken, Tree};
use crate::{Amendments, Canceller, CutSignal, Heading};

/// A call of a live task, registered so that a kill can cut it. Keep it until the last byte; dropping it deregisters.
pub struct Entered {
    pub(crate) tree: Arc<Tree>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) planned: Option<Arc<Grant>>,
    pub(crate) above: Vec<AgentId>,
    /// What the task held before it was amended.
    pub(crate) former: Former,
    pub(crate) call: CallId,
    pub(crate) flag: Arc<CutFlag>,
    pub(crate) registered: Arc<Registered>,
}

/// The place of a call among those in flight, until this is dropped.
pub(crate) struct Registered {
    pub(crate) tree: Arc<Tree>,
    pub(crate) task: TaskId,
    pub(crate) call: CallId,
}

/// What a task holds at an instant, and what of its tree its calls are decided with.
pub(crate) struct Held {
    pub(crate) grant: Arc<Grant>,
    pub(crate) planned: Option<Arc<Grant>>,
    pub(crate) above: Vec<AgentId>,
    pub(crate) former: Former,
}

impl Entered {
    /// What the task holds.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// The same call with what its token names: a token that was issued before the task was amended keeps what it named, as far
    /// as the task still holds it. Details that describe nothing the task ever held change nothing, see [`Self::is_named_by`].
    #[must_use]
    pub fn as_named_by(mut self, details: &Value) -> Self {
        let former = self.former.all();
        if !former.is_empty()
            && let Some(named) = crate::amend::named(&self.grant, former, details)
        {
            self.grant = named;
        }
        self
    }

    /// The same call, one that lasts, with what its task holds now: no more than it held when the call entered, and nothing that it
    /// has given up since. None if the task is over. The call is registered once, until both are dropped.
    #[must_use]
    pub fn renewed(&self) -> Option<Self> {
        let now = self.tree.held(self.grant.task)?;
        let grant = if Arc::ptr_eq(&now.grant, &self.grant) {
            now.grant
        } else {
            Arc::new(now.grant.as_of(&self.grant))
        };
        Some(Self {
            tree: Arc::clone(&self.tree),
            grant,
            planned: now.planned,
            above: now.above,
            former: now.former,
            call: self.call,
            flag: Arc::clone(&self.flag),
            registered: Arc::clone(&self.registered),
        })
    }

    /// Whether a token with these details was issued for the task, for what it holds or for what it held.
    #[must_use]
    pub fn is_named_by(&self, details: &Value) -> bool {
        let mut former = self.former.all().iter();
        self.grant.is_described_by(details) || former.any(|held| held.is_described_by(details))
    }

    /// The plan that holds for the task: its own, or that of a task above it.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.planned.as_ref().map(|grant| &grant.plan)
    }

    /// The agents of the tasks above it, other than its own, each once: it has their authority, and none where they have none.
    #[must_use]
    pub fn above(&self) -> &[AgentId] {
        &self.above
    }

    /// The call.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// Says where the call goes: when something of that is stopped, it is cut ([`Ledger::cut`](crate::Ledger::cut)).
    pub fn heads_for(&self, heading: Heading) {
        self.tree.head(self.grant.task, self.call, heading);
    }

    /// Who the call is counted for.
    pub(crate) fn caller(&self) -> Caller {
        let mut agents = vec![self.grant.agent];
        agents.extend(&self.above);
        Caller {
            root: self.tree.root(),
            agents,
            requester: self.grant.requester.clone(),
        }
    }

    /// How the call learns that it was cut.
    #[must_use]
    pub fn cut(&self) -> CutSignal {
        CutSignal::new(Arc::clone(&self.flag))
    }

    /// How a call that lasts learns that its task has come to hold something else ([`Self::renewed`]).
    #[must_use]
    pub fn amendments(&self) -> Amendments {
        Amendments::new(Arc::clone(&self.flag))
    }

    /// What takes the call back.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::new(Arc::clone(&self.flag))
    }
}

impl Entered {
    /// What tells whether the tree has read more than `known` since.
    #[must_use]
    pub fn hearing(&self, known: BTreeSet<Label>) -> Hearing {
        Hearing {
            tree: Arc::clone(&self.tree),
            known,
        }
    }
}

/// Tells a call that takes its time whether its task has read more than it was decided on.
pub struct Hearing {
    tree: Arc<Tree>,
    known: BTreeSet<Label>,
}

impl Hearing {
    /// Whether the tree has read something so labelled that was not known.
    #[must_use]
    pub fn has_heard_more(&self) -> bool {
        !self.tree.has_read_only(&self.known)
    }
}

impl fmt::Debug for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearing")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.tree.leave(self.task, self.call);
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered")
            .field("task", &self.grant.task)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

/// What became of a call, as far as its budget goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream heard of it, whatever it answered.
    Sent,
    /// It was cut or broke on the way; the upstream may have heard of it.
    Unknown,
    /// The upstream never heard of it.
    NotSent,
}

/// The proof that a call's budget is reserved. It has one maker, [`Ledger::reserve`](crate::Ledger::reserve), and is
/// used up by [`settle`](Self::settle) or by being dropped.
///
/// The log is the budget's write-ahead log: what it counts, the ledger counts. So once [`commit`](Self::commit) was
/// called, because the intent is recorded, the call is spent for good; before that, dropping gives everything back.
///
/// It cannot be forged:
///
/// ```compile_fail,E0451
/// let forged = writ_task::Reservation {
///     tree: unimplemented!(),
///     lineage: unimplemented!(),
///     call: unimplemented!(),
///     taken: unimplemented!(),
///     booked: None,
///     committed: true,
/// };
/// ```
///
/// nor altered:
///
/// ```compile_fail,E0616
/// fn alter(reservation: &mut writ_task::Reservation) {
///     reservation.committed = true;
/// }
/// ```
///
/// nor made another way:
///
/// ```compile_fail,E0599
/// let reservation = writ_task::Reservation::new();
/// ```
///
/// nor copied:
///
/// ```compile_fail,E0599
/// fn copy(reservation: writ_task::Reservation) -> [writ_task::Reservation; 2] {
///     [reservation.clone(), reservation]
/// }
/// ```
///
/// nor used twice:
///
/// ```compile_fail,E0382
/// use writ_task::{Outcome, Reservation};
///
/// fn twice(reservation: Reservation) {
///     reservation.settle(Outcome::Sent);
///     reservation.settle(Outcome::Sent);
/// }
/// ```
///
/// Once is fine, which shows that the examples above fail for no other reason:
///
/// ```
/// use writ_task::{Outcome, Reservation};
///
/// fn once(mut reservation: Reservation) -> writ_types::CallId {
///     let call = reservation.call();
///     reservation.commit();
///     reservation.settle(Outcome::Sent);
///     call
/// }
/// ```
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    tree: Arc<Tree>,
    lineage: Arc<[TaskId]>,
    call: CallId,
    taken: Taken,
    // Where windows count it, once it is said what it is.
    booked: Option<Booked>,
    committed: bool,
}

impl Reservation {
    pub(crate) const fn of(
        tree: Arc<Tree>,
        lineage: Arc<[TaskId]>,
        call: CallId,
        taken: Taken,
    ) -> Self {
        Self {
            tree,
            lineage,
            call,
            taken,
            booked: None,
            committed: false,
        }
    }

    /// The call is counted, for as long as this is not given back.
    pub(crate) fn book(&mut self, booked: Booked) {
        self.booked = Some(booked);
    }

    /// The call it was reserved for.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// What is reserved.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        self.taken.charge
    }

    /// The step of the plan that is reserved with it, counted from zero.
    #[must_use]
    pub const fn step(&self) -> Option<u16> {
        self.taken.step
    }

    /// Says that the intent is recorded: from here on the call is spent, whatever happens.
    pub fn commit(&mut self) {
        if !self.committed {
            self.committed = true;
            self.tree.spend(&self.lineage, &self.taken);
            if let Some(booked) = &mut self.booked {
                booked.keep();
            }
        }
    }

    /// Ends the reservation. [`Outcome::NotSent`] gives it back unless the intent is recorded; anything else spends it.
    pub fn settle(mut self, outcome: Outcome) {
        match outcome {
            Outcome::Sent | Outcome::Unknown => self.commit(),
            Outcome::NotSent => {}
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.committed {
            self.tree.release(&self.lineage, &self.taken);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("call", &self.call)
            .field("taken", &self.taken)
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}
