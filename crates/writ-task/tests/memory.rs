//! How much an open task costs (DESIGN §9): its own process, so that nothing else is counted.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use writ_task::{Ledger, MemoryLedger};
use writ_types::{
    ActionName, AgentId, Bounds, Budget, CallId, Charge, Grant, JsonLimits, Limits, Mode, Plan,
    TaskId, Tenant, Timestamp, Value,
};

const TASKS: u64 = 20_000;
const MOST_BYTES: u64 = 4 * 1024;

/// Resident bytes of this process; the proc file counts pages of 4 KiB on the machines that are measured.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(4096)
}

#[test]
fn an_open_task_that_has_called_costs_at_most_4_kib() {
    let noon = Timestamp::from_secs(1_795_000_000);
    let limits = Limits {
        agent_tasks: usize::MAX,
        ..Limits::default()
    };
    let ledger = MemoryLedger::new(&limits);
    let bounds =
        br#"{"dns:patchZone":{"/path/zone_id":["example.org."],"/body/rrsets/*/type":["TXT"]}}"#;
    let bounds = Value::parse(bounds, &JsonLimits::REQUEST).unwrap();
    let actions: BTreeSet<ActionName> = ["dns:listZones", "dns:listZone", "dns:patchZone"]
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    let Some(before) = resident() else {
        return;
    };
    for number in 0..TASKS {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let grant = Grant {
            tenant: Tenant::default_tenant(),
            task: TaskId::new(noon, random),
            agent: AgentId::new(noon, random),
            requester: None,
            purpose: "acme-renewal".parse().unwrap(),
            mode: Mode::Autonomous,
            actions: actions.clone(),
            bounds: Bounds::parse(&bounds).unwrap(),
            plan: Plan::none(),
            budget: Budget::DEFAULT,
            opened: noon,
            deadline: noon.plus(Duration::from_secs(3600)),
            parent: None,
            prompt: None,
            asserters: writ_types::Asserters::default(),
        };
        let (tenant, task) = (grant.tenant.clone(), grant.task);
        let mut context = Context::from_waker(Waker::noop());
        let opened = pin!(ledger.open(grant, noon)).poll(&mut context);
        assert!(matches!(opened, Poll::Ready(Ok(_))));
        let call = CallId::new(noon, random);
        let entered = pin!(ledger.enter(&tenant, task, call, noon)).poll(&mut context);
        let Poll::Ready(Ok(entered)) = entered else {
            panic!("the task is live");
        };
        for action in &actions {
            let charge = Charge::default();
            let reserved =
                pin!(ledger.reserve(&entered, (action, charge), None, noon)).poll(&mut context);
            assert!(matches!(reserved, Poll::Ready(_)));
        }
    }
    let after = resident().unwrap();
    let each = after.saturating_sub(before).checked_div(TASKS).unwrap();
    assert!(each > 500, "measured something: {each} bytes");
    assert!(each <= MOST_BYTES, "{each} bytes a task");
}
