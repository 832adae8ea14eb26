//! `POST /oauth/introspect` (RFC 7662): whether a token is good at this moment, for who may know.

use writ_task::TaskState;
use writ_token::{OauthError, TokenInquiry, VerifiedToken, disarmed};
use writ_types::{Agent, Binding, Timestamp, Value};

use crate::oauth::OauthAnswer;
use crate::oauth::proven::{Caller, Proof};
use crate::plane::{Connection, Plane};

/// Serves one introspection request.
pub(crate) async fn introspect(plane: &Plane, from: &Connection, form: &str) -> OauthAnswer {
    let form = disarmed(form, |text| plane.is_trap(text, from));
    match answer(plane, from, &form).await {
        Ok(body) => OauthAnswer::ok(body),
        Err(error) => OauthAnswer::refused(&error),
    }
}

/// What is said of a token that is not good, whatever the cause: unknown, malformed, expired, of an ended task, or somebody
/// else's (RFC 7662 §2.2).
fn inactive() -> Value {
    Value::object([("active", Value::from(false))])
}

async fn answer(plane: &Plane, from: &Connection, form: &str) -> Result<Value, OauthError> {
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
    let Ok(token) = plane.verify(inquiry.token.expose(), now) else {
        return Ok(inactive());
    };
    if !may_know(&token, &caller) || !is_live(plane, &token, now).await {
        return Ok(inactive());
    }
    Ok(describe(plane, &token))
}

/// Who may know: the agent that the token is of, and a client that was registered to ask about every token.
fn may_know(token: &VerifiedToken, caller: &Caller) -> bool {
    match caller {
        Caller::Agent(agent) => is_of(token, agent),
        Caller::Client(client) => client.introspects,
    }
}

/// Whether the token was issued to this agent. The id as well: an agent registered anew under an old name is another.
pub(super) fn is_of(token: &VerifiedToken, agent: &Agent) -> bool {
    let principal = token.principal();
    principal.agent == agent.id && principal.spiffe == agent.spiffe
}

async fn is_live(plane: &Plane, token: &VerifiedToken, now: Timestamp) -> bool {
    let status = plane.task(token.principal().task, now).await;
    status.is_some_and(|status| {
        status.state == TaskState::Live && status.named_by(token.details()).is_some()
    })
}

/// The claims of a token that is good, its key and its grant among them (RFC 7662 §2.2, RFC 8705 §3.2, RFC 9396 §9.2).
fn describe(plane: &Plane, token: &VerifiedToken) -> Value {
    let claims = token.claims().to_value(&plane.settings.public_url);
    let mut members = claims.as_object().cloned().unwrap_or_default();
    let kind = match token.binding() {
        Binding::Dpop(_) => "DPoP",
        Binding::Mtls(_) | Binding::Unbound => "Bearer",
    };
    members.insert("active".to_owned(), Value::from(true));
    members.insert("token_type".to_owned(), Value::from(kind));
    Value::Object(members)
}
