//! How fast an API is called: by what its owner or its document says, and where nobody says it by the gateway's own limits.

use std::num::NonZeroU32;
use std::time::Duration;

use writ_contract::Operation;
use writ_task::{Entered, Lane, Pacer, Share};
use writ_types::{Limits, Rate, ReasonCode};

use crate::gateway::Gateway;
use crate::refusal::Refusal;

/// Counts a call, before its input is read: a refused one too, because an agent that tries another way until something works
/// is what this is for.
///
/// # Errors
///
/// `rate_limited`, with the time to wait; then nothing was counted.
pub(crate) fn keep(
    gateway: &Gateway,
    entered: &Entered,
    operation: &Operation,
) -> Result<(), Refusal> {
    let parts = &gateway.parts;
    let lanes = lanes(&parts.limits, entered, operation);
    let now = parts.clock.monotonic();
    let taken = gateway.rates().take(&lanes, now);
    taken.map_err(|wait| Refusal {
        wait: seconds(wait),
        ..ReasonCode::RateLimited.into()
    })
}

/// Whole seconds, enough of them (RFC 9110 §10.2.3).
fn seconds(wait: Duration) -> Option<NonZeroU32> {
    let whole = wait
        .as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0));
    NonZeroU32::new(u32::try_from(whole).unwrap_or(u32::MAX))
}

/// What a call is counted in. What is said holds for an agent with all its tasks; our own limits hold for each task too.
fn lanes(limits: &Limits, entered: &Entered, operation: &Operation) -> Vec<(Lane, Rate)> {
    let (grant, action) = (entered.grant(), operation.action());
    let lane = |pacer, of, rate| {
        let lane = Lane {
            tenant: grant.tenant.clone(),
            pacer,
            api: action.api.clone(),
            of,
        };
        (lane, rate)
    };
    let pace = operation.pace();
    let (task, agent) = (Pacer::Task(grant.task), Pacer::Agent(grant.agent));
    let own = |calls, burst| own(calls, burst).filter(|_| !pace.is_said);
    let of_operation = || Share::Operation(action.operation.clone());
    let lanes = [
        own(limits.task_rate, limits.task_burst).map(|rate| lane(task, Share::Unsaid, rate)),
        own(limits.agent_rate, limits.agent_burst).map(|rate| lane(agent, Share::Unsaid, rate)),
        pace.api.map(|rate| lane(agent, Share::Api, rate)),
        pace.operation.map(|rate| lane(agent, of_operation(), rate)),
    ];
    lanes.into_iter().flatten().collect()
}

/// A limit of ours; beyond what a rate can be it is the widest there is.
fn own(calls: usize, burst: usize) -> Option<Rate> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).min(1_000_000);
    Rate::new(number(calls), Duration::from_secs(1), number(burst))
}
