//! A ledger to try things on, and short names for what the tests say most.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use writ_types::{
    ActionName, AgentId, Bounds, Budget, CallId, Charge, Effect, Effects, Facts, Grant, Limits,
    Mode, Plan, TaskId, Tenant, Timestamp,
};

use crate::{
    Cut, Ending, EnterError, Entered, Ledger, LedgerFuture, MemoryLedger, OpenError, Reservation,
    ReserveError, TaskStatus,
};

pub(super) const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn tenant() -> Tenant {
    Tenant::default_tenant()
}

pub(super) fn action(text: &str) -> ActionName {
    text.parse().unwrap()
}

fn random(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub(super) fn task(number: u64) -> TaskId {
    TaskId::new(NOON, random(number))
}

pub(super) fn agent(number: u64) -> AgentId {
    AgentId::new(NOON, random(number))
}

pub(super) fn call(number: u64) -> CallId {
    CallId::new(NOON, random(number))
}

pub(super) const READ: Charge = Charge {
    calls: 1,
    writes: 0,
    deletes: 0,
    irreversible: 0,
};

pub(super) fn write() -> Charge {
    Charge::of(Effects::plain(Effect::Write))
}

pub(super) fn budget(calls: u64, writes: u64) -> Budget {
    Budget {
        calls,
        writes,
        deletes: 0,
        irreversible: 0,
    }
}

/// A grant of `dns:list` and `dns:patch` for an hour, with 10 calls and 5 writes.
pub(super) fn grant(number: u64) -> Grant {
    Grant {
        tenant: tenant(),
        task: task(number),
        agent: agent(1),
        requester: None,
        purpose: "acme-renewal".parse().unwrap(),
        mode: Mode::Autonomous,
        actions: BTreeSet::from([action("dns:list"), action("dns:patch")]),
        bounds: Bounds::none(),
        plan: Plan::none(),
        budget: budget(10, 5),
        opened: NOON,
        deadline: NOON.plus(HOUR),
        parent: None,
        prompt: None,
        asserters: writ_types::Asserters::default(),
    }
}

/// The same below another task.
pub(super) fn below(number: u64, parent: u64) -> Grant {
    Grant {
        parent: Some(task(parent)),
        ..grant(number)
    }
}

/// This ledger never waits; a test that would is wrong.
pub(super) fn now<T>(future: LedgerFuture<'_, T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the ledger of one process does not wait"),
    }
}

/// The ledger at noon, without futures.
pub(super) struct Bench(pub(super) MemoryLedger);

impl Bench {
    pub(super) fn new() -> Self {
        Self(MemoryLedger::new(&Limits::default()))
    }

    pub(super) fn open(&self, grant: Grant) -> Result<Arc<Grant>, OpenError> {
        now(self.0.open(grant, NOON))
    }

    pub(super) fn enter(&self, number: u64, id: u64) -> Result<Entered, EnterError> {
        now(self.0.enter(&tenant(), task(number), call(id), NOON))
    }

    pub(super) fn reserve(
        &self,
        entered: &Entered,
        charge: Charge,
    ) -> Result<(Reservation, Facts), ReserveError> {
        let name = if charge.writes > 0 {
            "dns:patch"
        } else {
            "dns:list"
        };
        now(self.0.reserve(entered, (&action(name), charge), None, NOON))
    }

    /// A whole call that reached the upstream.
    pub(super) fn spend(&self, number: u64, id: u64, charge: Charge) {
        let entered = self.enter(number, id).unwrap();
        let (mut reservation, _facts) = self.reserve(&entered, charge).unwrap();
        reservation.commit();
    }

    pub(super) fn revoke(&self, number: u64) -> Cut {
        now(self.0.revoke(&tenant(), task(number), Ending::Revoked)).unwrap()
    }

    pub(super) fn status(&self, number: u64) -> TaskStatus {
        now(self.0.status(&tenant(), task(number), NOON)).unwrap()
    }
}
