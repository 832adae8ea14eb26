//! What operators do: look, stop, change. Every change is recorded before it is in force.

mod approvals;
mod can_i;
mod changes;
mod exceptions;
mod explain;
mod history;
mod keys;
mod look;
mod operators;
mod proposals;
mod queue;
mod replay;
mod shadow;
mod sign_in;
mod status;
mod stop;
mod stops;
mod suggest;
mod trust;

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use writ_audit::{Durability, Event, OperatorAction};
use writ_store::Role;
use writ_task::Approver;
use writ_types::{Digest, OperatorId, Requester, Timestamp, Value};

use crate::authzen;
use crate::http::{object, respond};
use crate::plane::{Connection, Plane};
use crate::routes::Endpoint;

use proposals::Kind;

pub(crate) use can_i::fresh_task;
pub(crate) use changes::Change;
pub(crate) use proposals::people;
pub(crate) use sign_in::{authenticate, begin_session, by_certificate, hash, local_session, login};
pub(crate) use stop::stop_agent;

/// What a record says of a person who lets a paused task go on: its target is the task.
pub(crate) const RESUMED: &str = "task.resume";

/// An operator who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// Their id.
    pub(crate) id: OperatorId,
    /// What they may do.
    pub(crate) role: Role,
    /// The name under which they act.
    pub(crate) name: String,
    /// The roles they approve in, beside those of their rank.
    pub(crate) approves: BTreeSet<String>,
    /// Who they are as a user of agents, where that is known.
    pub(crate) identity: Option<Requester>,
    /// When their session began.
    pub(crate) begun: Timestamp,
}

impl Operator {
    /// Somebody who is registered, in a session that began at an instant.
    pub(crate) fn of(stored: writ_store::Operator, begun: Timestamp) -> Self {
        Self {
            id: stored.id,
            role: stored.role,
            name: stored.name,
            approves: stored.approves,
            identity: stored.identity,
            begun,
        }
    }

    /// This person as one who could approve.
    pub(crate) fn as_approver(&self) -> Approver<'_> {
        Approver {
            name: &self.name,
            is_operator: matches!(self.role, Role::Operator | Role::Admin),
            is_admin: self.role == Role::Admin,
            roles: &self.approves,
            identity: self.identity.as_ref(),
        }
    }
}

/// One request of an operator.
pub(crate) struct Call<'a> {
    /// Who.
    pub(crate) operator: &'a Operator,
    /// The route's `{…}` segment.
    pub(crate) parameter: &'a str,
    /// The query, still encoded.
    pub(crate) query: Option<&'a str>,
    /// The body.
    pub(crate) body: &'a Bytes,
}

impl Call<'_> {
    /// One query parameter, as it stands: ids and numbers need no decoding.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let mut pairs = self
            .query?
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Why an operator's request failed. Operators are told what was wrong; strangers are told nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Not signed in.
    #[error("sign in first: `writ login`")]
    Unauthenticated,
    /// The role does not suffice.
    #[error("your role does not allow this")]
    Forbidden,
    /// Their yes to this change does not count.
    #[error("{0}")]
    NotYours(String),
    /// No such thing.
    #[error("{0}")]
    NotFound(&'static str),
    /// The path has other methods.
    #[error("the route has other methods")]
    Method,
    /// The body is larger than the limit.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    Late,
    /// The request says something impossible.
    #[error("{0}")]
    Invalid(String),
    /// The project has faults.
    #[error("the project has faults ({}); the revision before stays in force", .0.len())]
    Project(Vec<crate::project::ProjectFault>),
    /// Somebody changed it meanwhile.
    #[error("the revision in force has changed meanwhile: look again, and repeat")]
    Conflict,
    /// The store, the log or a key is at fault.
    #[error("{0}")]
    Unavailable(String),
}

impl AdminError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::NotYours(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Project(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The response as AuthZEN has it: the status, and a text (Authorization API 1.0 §10.1.4).
    pub(crate) fn into_plain_response(self) -> Response<Full<Bytes>> {
        let text = self.to_string();
        let (mut head, _problem) = self.into_response().into_parts();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        head.headers.insert(header::CONTENT_TYPE, plain);
        Response::from_parts(head, Full::new(text.into()))
    }

    /// The response (RFC 9457).
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let status = self.status();
        let mut members = vec![
            (
                "title",
                Value::from(status.canonical_reason().unwrap_or("Error")),
            ),
            ("status", Value::from_u64(u64::from(status.as_u16()))),
            ("detail", Value::from(self.to_string())),
        ];
        if let Self::Project(faults) = &self {
            members.push((
                "faults",
                Value::Array(
                    faults
                        .iter()
                        .map(crate::project::ProjectFault::to_value)
                        .collect(),
                ),
            ));
        }
        let mut response = respond(
            status,
            "application/problem+json",
            Value::object(members).to_string(),
        );
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"writ operators\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Records what an operator did, before it counts. `target` is an id or a name of the registry, never a value; `digest` is
/// that of what it then is.
async fn record(
    plane: &Plane,
    by: OperatorId,
    action: &str,
    target: &str,
    digest: Digest,
) -> Result<(), AdminError> {
    let unavailable = |fault: String| AdminError::Unavailable(fault);
    let action = action
        .parse()
        .map_err(|_malformed| unavailable("the action has no name".to_owned()))?;
    let event = Event::OperatorAction(OperatorAction {
        by,
        action,
        target: target.to_owned(),
        digest,
    });
    let header = plane.header(plane.clock.now());
    let recorded = plane.record(header, event, None, Durability::Durable).await;
    recorded.map_err(|fault| unavailable(fault.to_string()))
}

/// Serves an operator whose role has been checked.
#[expect(
    clippy::cognitive_complexity,
    reason = "one line for each route, and nothing between them"
)]
pub(crate) async fn serve(
    plane: &Plane,
    from: &Connection,
    endpoint: Endpoint,
    call: &Call<'_>,
) -> Result<Value, AdminError> {
    tracing::debug!(operator = %call.operator.id, ?endpoint, source = ?from.source(), "operator request");
    match endpoint {
        Endpoint::Status => status::status(plane).await,
        Endpoint::Metrics => Ok(look::metrics(plane)),
        Endpoint::Registry => history::registry(plane, call).await,
        Endpoint::Apis => Ok(look::apis(plane)),
        Endpoint::Api => look::api(plane, call),
        Endpoint::Reviews => queue::list(plane, call).await,
        Endpoint::Suggest => suggest::suggest(plane, call).await,
        Endpoint::Shadow => shadow::shadow(plane).await,
        Endpoint::Agents => Ok(look::agents(plane)),
        Endpoint::Exceptions => Ok(exceptions::list(plane)),
        Endpoint::Purposes => Ok(look::purposes(plane)),
        Endpoint::Credentials => look::credentials(plane).await,
        Endpoint::Tasks => look::tasks(plane, call).await,
        Endpoint::Task => look::task(plane, call).await,
        Endpoint::Records => look::records(plane, call).await,
        Endpoint::Explain => explain::explain(plane, call).await,
        Endpoint::CanI => can_i::can_i(plane, call),
        Endpoint::Evaluation => authzen::evaluation(plane, &object(call.body)?, call.operator),
        Endpoint::Evaluations => authzen::evaluations(plane, &object(call.body)?, call.operator),
        Endpoint::SearchSubject => authzen::search_subject(plane, &object(call.body)?),
        Endpoint::SearchResource => authzen::search_resource(plane, &object(call.body)?),
        Endpoint::SearchAction => authzen::search_action(plane, &object(call.body)?),
        Endpoint::CloseTask => stop::close(plane, call).await,
        Endpoint::Kill => stop::kill(plane, call).await,
        Endpoint::Resume => stops::resume(plane, call).await,
        Endpoint::Stops => stops::list(plane).await,
        Endpoint::Approvals => approvals::list(plane, call).await,
        Endpoint::Approval => approvals::show(plane, call).await,
        Endpoint::Approve => approvals::yes(plane, call).await,
        Endpoint::Refuse => approvals::no(plane, call).await,
        Endpoint::Operators => operators::list(plane).await,
        Endpoint::AddOperator => proposals::enter(plane, call, Kind::AddOperator).await,
        Endpoint::ChangeOperator => proposals::enter(plane, call, Kind::ChangeOperator).await,
        Endpoint::RemoveOperator => proposals::enter(plane, call, Kind::RemoveOperator).await,
        Endpoint::InviteOperator => operators::invite(plane, call).await,
        Endpoint::Changes => proposals::list(plane, call).await,
        Endpoint::Change => proposals::show(plane, call).await,
        Endpoint::ApproveChange => proposals::approve(plane, call).await,
        Endpoint::RefuseChange => proposals::refuse(plane, call).await,
        Endpoint::Trust => trust::list(plane).await,
        Endpoint::ApproveTrust => proposals::enter(plane, call, Kind::ApproveTrust).await,
        Endpoint::SetCredential => changes::set_credential(plane, call).await,
        Endpoint::Revisions => history::list(plane).await,
        Endpoint::Apply => changes::enter(plane, call).await,
        Endpoint::Rollback => changes::enter_rollback(plane, call).await,
        Endpoint::Replay => replay::replay(plane, call).await,
        Endpoint::Drift => changes::check_drift(plane, call).await,
        Endpoint::Promote => changes::promote(plane, call).await,
        Endpoint::Reload => changes::reload(plane, call).await,
        Endpoint::RotateKeys => keys::enter(plane, call).await,
        Endpoint::Token
        | Endpoint::Introspect
        | Endpoint::Revoke
        | Endpoint::AmendTask
        | Endpoint::Jwks
        | Endpoint::Metadata
        | Endpoint::AuthzenMetadata
        | Endpoint::Bundle
        | Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Login
        | Endpoint::BeginSignIn
        | Endpoint::CompleteSignIn
        | Endpoint::SignInByCertificate => Err(AdminError::NotFound("there is no such route")),
    }
}
