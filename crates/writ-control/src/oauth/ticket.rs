//! Who vouches for a task that is opened: a registered client, by asking itself or by a ticket, or nobody but the agent.

use writ_token::{ClientError, Handover, OauthError, Opening, SignedBy, TaskTicket};
use writ_types::{Asserter, Binding, Digest, Purpose, Timestamp};

use crate::oauth::grant_error;
use crate::oauth::proven::{Parent, Proven};
use crate::plane::{Connection, Plane};

/// The party whose own authentication carried what the task is opened with. A ticket is spent.
///
/// # Errors
///
/// `invalid_grant`: a ticket that is not for this agent, key, user and text, or of a client that may not open the agent's tasks.
pub(super) fn asserter(
    plane: &Plane,
    from: &Connection,
    proven: &Proven,
    binding: &Binding,
    opening: &Opening,
    now: Timestamp,
) -> Result<Asserter, OauthError> {
    let refused = |fault: ClientError| {
        tracing::debug!(%fault, "a task ticket was refused");
        grant_error("the task ticket is refused")
    };
    let handed = proven.parent.as_ref().map(Parent::handed);
    if let Some(handed) = handed.transpose()?.flatten() {
        return handed_on(plane, proven, handed, (binding, opening), now);
    }
    let client = match (&opening.ticket, &proven.voucher) {
        (None, None) => return Ok(Asserter::Agent),
        (None, Some(client)) => client.registered.id.to_string(),
        (Some(_), Some(_)) => {
            return Err(grant_error(
                "a client that asks itself vouches itself: leave the task ticket out",
            ));
        }
        (Some(ticket), None) => {
            let text = ticket.expose();
            let claimed = TaskTicket::claimed_issuer(text).map_err(refused)?;
            let client = plane
                .trust
                .client(&claimed)
                .ok_or_else(|| grant_error("the task ticket is refused"))?;
            let issuer = &plane.settings.issuer;
            let ticket = TaskTicket::verify(text, &client.registered, issuer, now);
            let ticket = ticket.map_err(refused)?;
            if plane.is_honey(&client, from) {
                return Err(grant_error("the task ticket is refused"));
            }
            let agent = &proven.agent.spiffe;
            let requester = proven.requester.as_ref();
            if !client.agents.contains(agent)
                || !ticket.admits(agent, requester, binding, &opening.details)
            {
                return Err(grant_error(
                    "the task ticket is for another agent, key, user or task",
                ));
            }
            plane
                .spend(
                    SignedBy::Client(&client.registered.id),
                    ticket.jti(),
                    (ticket.issued(), ticket.expires()),
                    now,
                )
                .map_err(grant_error)?;
            claimed
        }
    };
    Ok(Asserter::Client(client))
}

/// A task that is handed on to another agent takes what the holder of its token signs for that agent, its key and this task; it is
/// spent. An agent vouches for nothing, whoever it hands a task to.
fn handed_on(
    plane: &Plane,
    proven: &Proven,
    token: (&str, Digest),
    (binding, opening): (&Binding, &Opening),
    now: Timestamp,
) -> Result<Asserter, OauthError> {
    let Some(text) = &opening.ticket else {
        return Err(grant_error(
            "a task is handed on to another agent with a `task_ticket` that the holder of its token signs (`writ-handover+jwt`)",
        ));
    };
    if proven.voucher.is_some() {
        return Err(grant_error(
            "a client that asks itself vouches itself: leave the task ticket out",
        ));
    }
    let handover = Handover::verify(text.expose(), token, &plane.settings.issuer, now);
    let handover = handover.map_err(|fault| {
        tracing::debug!(%fault, "a hand-over was refused");
        grant_error("the task ticket is refused")
    })?;
    if !handover.admits(&proven.agent.spiffe, binding, &opening.details) {
        return Err(grant_error(
            "the task ticket is for another agent, key or task",
        ));
    }
    let (_, holder) = token;
    let life = (handover.issued(), handover.expires());
    plane
        .spend(SignedBy::Key(holder), handover.jti(), life, now)
        .map_err(grant_error)?;
    Ok(Asserter::Agent)
}

/// The same, where the purpose's owner accepts the agent's own word.
pub(super) fn accepted(asserter: Asserter, purpose: &Purpose) -> Asserter {
    if asserter == Asserter::Agent && purpose.agent_vouches {
        Asserter::AgentAccepted
    } else {
        asserter
    }
}
