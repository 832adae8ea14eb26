//! The control plane's edge: one request in, one response out.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use writ_types::{JsonLimits, Value};

use crate::admin::{self, AdminError};
use crate::amend::{Asked, amend};
use crate::authzen;
use crate::oauth;
use crate::plane::{Connection, Plane};
use crate::routes::{Access, Endpoint, Found, find};
use crate::sign_in;

/// Largest request body of the control plane, in bytes; a project with its contracts fits.
const MOST: usize = 96 * 1024 * 1024;
/// Largest body of a request without identity, in bytes.
const MOST_PUBLIC: usize = 256 * 1024;

/// What a process says that is ready, on a revision that is not the newest. Strangers are not told why.
const BEHIND: &str =
    "ready, but the last change is not in force; the revision before is: see `writ doctor`\n";

/// Where AuthZEN's endpoints lie, and the field that its answers repeat (Authorization API 1.0 §10.1.3).
const AUTHZEN: &str = "/access/v1/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Serves one request of the control plane. There is always a response.
///
/// The request runs on a task of its own: a client that hangs up does not stop a kill before it is recorded, or a change
/// between its record and its coming into force, and a panic ends one request, not the connection's others.
pub async fn handle(
    plane: Arc<Plane>,
    from: Connection,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let authzen = request.uri().path().starts_with(AUTHZEN);
    let request_id = request.headers().get(REQUEST_ID).cloned();
    let served = tokio::spawn(async move { serve(&plane, &from, request).await }).await;
    let served = served.unwrap_or_else(|fault| {
        tracing::error!(%fault, "a request of the control plane ended in a panic");
        Err(AdminError::Unavailable(
            "the request ended unexpectedly".to_owned(),
        ))
    });
    let mut response = served.unwrap_or_else(if authzen {
        AdminError::into_plain_response
    } else {
        AdminError::into_response
    });
    let headers = response.headers_mut();
    if let Some(id) = request_id.filter(|_| authzen) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn serve(
    plane: &Arc<Plane>,
    from: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, AdminError> {
    let (head, body) = request.into_parts();
    let found = find(head.method.as_str(), head.uri.path());
    if let Found::Route {
        endpoint,
        access: Access::Public,
        parameter,
    } = &found
    {
        let (endpoint, bytes) = (*endpoint, read(plane, body, MOST_PUBLIC).await?);
        // The holder of a task's own token, which the route proves.
        if endpoint == Endpoint::AmendTask {
            let asked = Asked {
                task: parameter,
                path: head.uri.path(),
                headers: &head.headers,
                body: &bytes,
            };
            return Ok(amend(plane, from, &asked).await);
        }
        return public(plane, from, endpoint, &head.headers, &bytes).await;
    }
    // Whether a path exists is not for strangers.
    let operator = admin::authenticate(plane, from, &head.headers).await?;
    match found {
        Found::Nothing => Err(AdminError::NotFound("there is no such route")),
        Found::OtherMethods => Err(AdminError::Method),
        Found::Route { access, .. } if !access.admits(operator.role) => Err(AdminError::Forbidden),
        Found::Route {
            endpoint,
            parameter,
            ..
        } => {
            if head.uri.path().starts_with(AUTHZEN) && !is_json(&head.headers) {
                let why = "the body is `application/json`";
                return Err(AdminError::Invalid(why.to_owned()));
            }
            let bytes = read(plane, body, MOST).await?;
            let call = admin::Call {
                operator: &operator,
                parameter: &parameter,
                query: head.uri.query(),
                body: &bytes,
            };
            let answer = admin::serve(plane, from, endpoint, &call).await?;
            // What waits for somebody is accepted, and not done (RFC 9110 §15.3.3).
            let waits = answer.member("state").and_then(Value::as_str) == Some("waiting")
                && head.method == hyper::Method::POST;
            let status = if waits {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            };
            Ok(json(status, &answer))
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one line for each route")]
async fn public(
    plane: &Arc<Plane>,
    from: &Connection,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response<Full<Bytes>>, AdminError> {
    match endpoint {
        Endpoint::Token => Ok(token(plane, from, headers, body).await),
        Endpoint::Introspect => {
            let answer = oauth::introspect(plane, from, form(headers, body)).await;
            Ok(oauth_response(&answer))
        }
        Endpoint::Revoke => {
            let answer = oauth::revoke(plane, from, form(headers, body)).await;
            Ok(oauth_response(&answer))
        }
        Endpoint::Jwks => Ok(json(StatusCode::OK, &plane.jwks())),
        Endpoint::Bundle => Ok(json(StatusCode::OK, &oauth::spiffe_bundle(plane))),
        Endpoint::Metadata => Ok(json(StatusCode::OK, &oauth::server_metadata(plane))),
        Endpoint::AuthzenMetadata => Ok(json(StatusCode::OK, &authzen::metadata(plane))),
        Endpoint::Health => Ok(text(StatusCode::OK, "ok\n")),
        Endpoint::Ready => Ok(match plane.unready() {
            None if plane.is_behind() => text(StatusCode::OK, BEHIND),
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("not ready: {why}\n"),
            ),
        }),
        Endpoint::Login => admin::login(plane, from, &object(body)?)
            .await
            .map(|value| json(StatusCode::OK, &value)),
        Endpoint::SignInByCertificate => admin::by_certificate(plane, from)
            .await
            .map(|value| json(StatusCode::OK, &value)),
        Endpoint::BeginSignIn => sign_in::begin(plane, &object(body)?)
            .await
            .map(|value| json(StatusCode::OK, &value)),
        Endpoint::CompleteSignIn => sign_in::complete(plane, from, &object(body)?)
            .await
            .map(|value| json(StatusCode::OK, &value)),
        Endpoint::Metrics
        | Endpoint::Status
        | Endpoint::Apis
        | Endpoint::Drift
        | Endpoint::Promote
        | Endpoint::Api
        | Endpoint::Agents
        | Endpoint::Reviews
        | Endpoint::Suggest
        | Endpoint::Shadow
        | Endpoint::Purposes
        | Endpoint::Exceptions
        | Endpoint::Credentials
        | Endpoint::SetCredential
        | Endpoint::Tasks
        | Endpoint::Task
        | Endpoint::AmendTask
        | Endpoint::CloseTask
        | Endpoint::Approvals
        | Endpoint::Approval
        | Endpoint::Approve
        | Endpoint::Refuse
        | Endpoint::Operators
        | Endpoint::AddOperator
        | Endpoint::ChangeOperator
        | Endpoint::InviteOperator
        | Endpoint::RemoveOperator
        | Endpoint::Changes
        | Endpoint::Change
        | Endpoint::ApproveChange
        | Endpoint::RefuseChange
        | Endpoint::Trust
        | Endpoint::ApproveTrust
        | Endpoint::Kill
        | Endpoint::Resume
        | Endpoint::Stops
        | Endpoint::Records
        | Endpoint::Explain
        | Endpoint::CanI
        | Endpoint::Evaluation
        | Endpoint::Evaluations
        | Endpoint::SearchSubject
        | Endpoint::SearchResource
        | Endpoint::SearchAction
        | Endpoint::Apply
        | Endpoint::Revisions
        | Endpoint::Rollback
        | Endpoint::Replay
        | Endpoint::Reload
        | Endpoint::Registry
        | Endpoint::RotateKeys => Err(AdminError::Unauthenticated),
    }
}

async fn token(
    plane: &Plane,
    from: &Connection,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Full<Bytes>> {
    let proofs: Vec<&[u8]> = headers
        .get_all(DPOP)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let answer = oauth::token(plane, from, &proofs, form(headers, body)).await;
    oauth_response(&answer)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The form of a request. A body that is no form is an empty form, which lacks everything: one error for both
/// (RFC 6749 §5.2).
fn form<'a>(headers: &HeaderMap, body: &'a Bytes) -> &'a str {
    let is_form = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(';').next().is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
    };
    headers
        .get(header::CONTENT_TYPE)
        .filter(|value| is_form(value))
        .and_then(|_| std::str::from_utf8(body).ok())
        .unwrap_or_default()
}

/// What the authorization server answers; nobody may store it (RFC 6749 §5.1).
fn oauth_response(answer: &oauth::OauthAnswer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &answer.body);
    let headers = response.headers_mut();
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if let Some(nonce) = answer.nonce.as_deref()
        && let Ok(nonce) = HeaderValue::try_from(nonce)
    {
        headers.insert(DPOP_NONCE, nonce);
    }
    if answer.status == 401 {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("DPoP error=\"invalid_client\""),
        );
    }
    if answer.status == 503 {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Reads a body whole, bounded in size and in time: a stranger that sends slowly holds a connection no longer than that.
async fn read(plane: &Plane, body: Incoming, most: usize) -> Result<Bytes, AdminError> {
    let collected = Limited::new(body, most).collect();
    let collected = tokio::time::timeout(plane.settings.timeouts.request_body, collected).await;
    let collected = collected.map_err(|_elapsed| AdminError::Late)?;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_too_large| AdminError::TooLarge)
}

/// A JSON object, strictly read.
pub(crate) fn object(body: &Bytes) -> Result<Value, AdminError> {
    let value = Value::parse(body, &JsonLimits::DOCUMENT)
        .map_err(|fault| AdminError::Invalid(fault.to_string()))?;
    if value.as_object().is_some() {
        Ok(value)
    } else {
        Err(AdminError::Invalid("the body is a JSON object".to_owned()))
    }
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", value.to_string())
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text.to_owned())
}

pub(crate) fn respond(
    status: StatusCode,
    kind: &'static str,
    body: String,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
