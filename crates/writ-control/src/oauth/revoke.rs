//! `POST /oauth/revoke` (RFC 7009): the holder of a token ends what it stands for.
//!
//! A token stands for its task: another token of the same task has the same authority, and whoever says that one of them is
//! not needed any more, or not safe any more, means that authority. So the task ends, with everything below it, and its calls
//! in flight are cut. A single token needs no list of its own: it lives five minutes at most.

use writ_audit::{Actor, Closing};
use writ_task::{Ending, Ledger as _};
use writ_token::{OauthError, OauthErrorCode, TokenInquiry, VerifiedToken, disarmed};
use writ_types::{AgentId, Value};

use crate::ending::settle;
use crate::oauth::introspect::is_of;
use crate::oauth::proven::{Caller, Proof};
use crate::oauth::{OauthAnswer, unavailable};
use crate::plane::{Connection, Plane};

/// Serves one revocation request.
pub(crate) async fn revoke(plane: &Plane, from: &Connection, form: &str) -> OauthAnswer {
    let form = disarmed(form, |text| plane.is_trap(text, from));
    match end(plane, from, &form).await {
        // The content of the answer is ignored by clients (RFC 7009 §2.2).
        Ok(()) => OauthAnswer::ok(Value::object::<&str>([])),
        Err(error) => OauthAnswer::refused(&error),
    }
}

async fn end(plane: &Plane, from: &Connection, form: &str) -> Result<(), OauthError> {
    let now = plane.clock.now();
    let loaded = plane.loaded();
    let inquiry = TokenInquiry::parse(form)?;
    let proof = Proof {
        plane,
        from,
        loaded: &loaded,
        now,
    };
    let (caller, _until) = proof.client(&inquiry.client)?;
    // What is no good token is revoked already (RFC 7009 §2.2).
    let Ok(token) = plane.verify(inquiry.token.expose(), now) else {
        return Ok(());
    };
    let Some(agent) = of_caller(&token, &caller) else {
        return Err(OauthError::new(
            OauthErrorCode::UnauthorizedClient,
            "the token was issued to another client",
        ));
    };
    let task = token.principal().task;
    let Ok(cut) = plane
        .ledger
        .revoke(&plane.tenant, task, Ending::Revoked)
        .await
    else {
        return Ok(());
    };
    let by = Actor::Agent(agent);
    settle(plane, by, task, &cut, Closing::Revoked)
        .await
        .map_err(|fault| {
            tracing::error!(%task, fault, "a revocation could not be kept");
            unavailable("the task has ended here, but that could not be kept: revoke it again")
        })
}

/// The agent that ends its own token. A registered client opens tasks; it holds no token of theirs.
fn of_caller(token: &VerifiedToken, caller: &Caller) -> Option<AgentId> {
    match caller {
        Caller::Agent(agent) if is_of(token, agent) => Some(agent.id),
        Caller::Agent(_) | Caller::Client(_) => None,
    }
}
