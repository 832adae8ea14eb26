//! Calls in flight that their client may take back (2025-11-25 `notifications/cancelled`; 2026-07-28: the end of its connection).
//!
//! Taking a call back cuts it as a kill does, and no other: what the upstream has done by then it has done, the call stays spent, and its
//! outcome is recorded. A client names its own requests alone; what it names wrongly is nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_task::Canceller;
use writ_types::{CallId, TaskId, Tenant};

use crate::gateway::Gateway;

/// What a client calls one of its calls by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The connection on which the answer is waited for.
    Connection(CallId),
    /// A request of a session, by its id as it was written.
    Request {
        tenant: Tenant,
        task: TaskId,
        session: String,
        id: String,
    },
}

/// The calls in flight that can be taken back: no more than tasks have calls in flight, because each is gone with its call.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<BTreeMap<Name, Canceller>>);

impl Running {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Name, Canceller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call back; nothing if there is none of that name.
    pub(super) fn cancel(&self, name: &Name) {
        let found = self.all().get(name).cloned();
        if let Some(canceller) = found {
            canceller.cancel();
        }
    }

    /// The client of a call has gone.
    fn gone(&self, call: CallId) {
        self.cancel(&Name::Connection(call));
    }
}

/// A call that can be taken back, until this is dropped.
pub(super) struct Runs {
    gateway: Arc<Gateway>,
    name: Name,
    canceller: Canceller,
}

impl Runs {
    /// Lets the call be taken back by `name`. A second request of the same id takes the name over.
    pub(super) fn begin(gateway: &Arc<Gateway>, name: Name, canceller: Canceller) -> Self {
        gateway
            .running()
            .all()
            .insert(name.clone(), canceller.clone());
        Self {
            gateway: Arc::clone(gateway),
            name,
            canceller,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.canceller.is_cancelled()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let mut all = self.gateway.running().all();
        let own = |other: &Canceller| other.is_of(&self.canceller);
        if all.get(&self.name).is_some_and(own) {
            all.remove(&self.name);
        }
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Waits for the answer together with its client: dropped before [`HangUp::answered`], the client has gone.
pub(crate) struct HangUp {
    gateway: Arc<Gateway>,
    call: Option<CallId>,
}

impl HangUp {
    pub(crate) fn of(gateway: &Arc<Gateway>, call: CallId) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            call: Some(call),
        }
    }

    /// The answer is there.
    pub(crate) fn answered(mut self) {
        self.call = None;
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.gateway.running().gone(call);
        }
    }
}
