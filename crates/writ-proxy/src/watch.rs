//! What an honest agent does not do (ARCHITECTURE "One instance, one key"): a key in use at two places at once, and what
//! was laid for thieves.

use std::sync::Arc;

use writ_audit::{Alarm, AlarmKind, AlarmResponse, KeyUse, Source, Stand};
use writ_task::Entered;
use writ_token::Authenticated;
use writ_types::{Agent, Binding, Digest, Reaction, ReasonCode, Timestamp};

use crate::decide;
use crate::gateway::{Downstream, Gateway};
use crate::snapshot::Snapshot;

/// The agent of the task, if it may act and its key is in use at one place.
///
/// # Errors
///
/// Those of [`decide::agent`]; `second_source` if the key is in use elsewhere, `not_ready` if there is no room to know.
pub(crate) fn agent(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (caller, entered): (&Authenticated, &Entered),
    from: &Downstream,
    now: Timestamp,
) -> Result<Arc<Agent>, ReasonCode> {
    let agent = decide::agent(snapshot, caller, entered)
        .inspect_err(|_| nobody(gateway, snapshot, caller, from))?;
    stand(gateway, &agent, caller, from, now)?;
    Ok(agent)
}

/// Whether the caller's key is where it was, as far as the agent's file asks for it.
fn stand(
    gateway: &Gateway,
    agent: &Agent,
    caller: &Authenticated,
    from: &Downstream,
    now: Timestamp,
) -> Result<(), ReasonCode> {
    let response = match agent.watch.second_source {
        Reaction::Allow => return Ok(()),
        Reaction::Raise => AlarmResponse::Raised,
        Reaction::Refuse => AlarmResponse::Refused,
    };
    let principal = caller.principal();
    let key = match principal.binding {
        Binding::Dpop(key) | Binding::Mtls(key) => key,
        // Without a key the token is all there is to steal.
        Binding::Unbound => Digest::of(principal.token.to_string().as_bytes()),
    };
    let address = from.peer.ip();
    let source = Source::of(address);
    let place = (KeyUse::Call, address);
    let before = match gateway
        .parts
        .places
        .stand(&principal.tenant, &key, place, now)
    {
        Stand::Here => return Ok(()),
        Stand::Full => return Err(ReasonCode::NotReady),
        Stand::Elsewhere(before) => before,
    };
    gateway.parts.watchman.raise(Alarm {
        what: AlarmKind::SecondSource,
        agent: Some(agent.id),
        task: Some(principal.task),
        key: Some(key),
        trap: None,
        source: Some(source),
        before: Some(before),
        response,
    });
    match response {
        AlarmResponse::Raised => Ok(()),
        AlarmResponse::Refused | AlarmResponse::Stopped => Err(ReasonCode::SecondSource),
    }
}

/// Tells of a caller who is the agent that nobody is. It is refused as every agent that may not act.
fn nobody(gateway: &Gateway, snapshot: &Snapshot, caller: &Authenticated, from: &Downstream) {
    let principal = caller.principal();
    let agent = snapshot.agents.get(&principal.agent);
    if agent.is_some_and(|agent| agent.watch.honey) {
        gateway.parts.watchman.raise(Alarm {
            what: AlarmKind::Honey,
            agent: Some(principal.agent),
            task: Some(principal.task),
            key: None,
            trap: None,
            source: Some(Source::of(from.peer.ip())),
            before: None,
            response: AlarmResponse::Refused,
        });
    }
}

/// Whether something in `authorization` was laid for thieves; then it is told.
pub(crate) fn is_trap(
    gateway: &Gateway,
    snapshot: &Snapshot,
    authorization: &[&[u8]],
    from: &Downstream,
) -> bool {
    let traps = &snapshot.traps;
    let trap = authorization.iter().find_map(|value| {
        // The value whole, and what stands behind its scheme.
        let behind = value.iter().position(|byte| *byte == b' ');
        let token = behind.and_then(|place| value.get(place.saturating_add(1)..));
        traps
            .find(value)
            .or_else(|| token.and_then(|token| traps.find(token)))
    });
    let Some(trap) = trap else {
        return false;
    };
    gateway.parts.watchman.raise(Alarm {
        what: AlarmKind::Honey,
        agent: Some(trap.agent),
        task: None,
        key: None,
        trap: Some(trap.name.clone()),
        source: Some(Source::of(from.peer.ip())),
        before: None,
        response: if trap.stop {
            AlarmResponse::Stopped
        } else {
            AlarmResponse::Refused
        },
    });
    true
}
