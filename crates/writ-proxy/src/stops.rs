//! What a person has stopped (ARCHITECTURE "Stopping"): an API, its credential, an owner.

use writ_task::{Entered, Heading};
use writ_types::{Agent, AgentId, ReasonCode};

use crate::gateway::Gateway;
use crate::snapshot::{ApiSnapshot, Snapshot};

/// Whether nothing is stopped that a call needs. From here on the call is cut when something of it is.
///
/// # Errors
///
/// `stopped`.
pub(crate) fn keep(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (agent, entered): (&Agent, &Entered),
    api: &ApiSnapshot,
) -> Result<(), ReasonCode> {
    // First, so that whoever stops something after it was looked for finds the call.
    entered.heads_for(heading(api));
    look(gateway, snapshot, (agent, entered), api)
}

/// The same question for a list: nothing is registered.
///
/// # Errors
///
/// `stopped`.
pub(crate) fn look(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (agent, entered): (&Agent, &Entered),
    api: &ApiSnapshot,
) -> Result<(), ReasonCode> {
    let (stops, tenant) = (&gateway.parts.stops, &snapshot.tenant);
    let above = |id: &AgentId| {
        let agent = snapshot.agents.get(id);
        agent.is_none_or(|agent| stops.holds_owner(tenant, &agent.owner))
    };
    let purpose = snapshot.purposes.get(&entered.grant().purpose);
    let stopped = stops.holds(tenant, &heading(api))
        || stops.holds_owner(tenant, &agent.owner)
        || purpose.is_some_and(|purpose| stops.holds_owner(tenant, &purpose.owner))
        || entered.above().iter().any(above);
    if stopped {
        return Err(ReasonCode::Stopped);
    }
    Ok(())
}

fn heading(api: &ApiSnapshot) -> Heading {
    let credential = api.credential.as_ref();
    Heading {
        api: api.api.id.clone(),
        credential: credential.map(|one| (one.name().clone(), one.version())),
    }
}
