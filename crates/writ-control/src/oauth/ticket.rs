//! Who vouches for a task that is opened: a registered client, by asking itself or by a ticket, or nobody but the agent.

use writ_token::{ClientError, OauthError, Opening, TaskTicket};
use writ_types::{Asserter, Binding, Purpose, Timestamp};

use crate::oauth::grant_error;
use crate::oauth::proven::Proven;
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
                    &client,
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

/// The same, where the purpose's owner accepts the agent's own word.
pub(super) fn accepted(asserter: Asserter, purpose: &Purpose) -> Asserter {
    if asserter == Asserter::Agent && purpose.agent_vouches {
        Asserter::AgentAccepted
    } else {
        asserter
    }
}
