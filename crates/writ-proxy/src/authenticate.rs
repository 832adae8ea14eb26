//! Who calls: the token, and the proof that its key is the caller's.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use writ_token::{Authenticated, Authenticator, HttpUri, Presented, UnboundTokens};
use writ_types::{CallId, ReasonCode, Resource, Timestamp};

use crate::gateway::{Downstream, Gateway};
use crate::snapshot::Snapshot;
use crate::target::Target;
use crate::watch;

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Verifies the caller's token and the binding to its key (RFC 9068, RFC 9449 §7, RFC 8705 §3).
///
/// # Errors
///
/// The reason for the wire; what exactly was wrong is not for strangers and goes to the debug log.
pub(crate) fn authenticate(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    from: &Downstream,
    head: &Parts,
    target: &Target,
    call: CallId,
    now: Timestamp,
) -> Result<Authenticated, ReasonCode> {
    let parts = &gateway.parts;
    // A proof names the URL under which agents reach the gateway, whatever `Host` says (RFC 9449 §4.3).
    let uri = format!("{}{}", snapshot.public_url, target.whole_path);
    let uri: HttpUri = uri
        .parse()
        .map_err(|_not_a_uri| ReasonCode::Unauthenticated)?;
    let api = target
        .endpoint
        .api
        .as_ref()
        .and_then(|api| snapshot.apis.get(api));
    let unbound = match api {
        Some(api) if api.api.allow_unbound_tokens => UnboundTokens::Accepted,
        Some(_) | None => UnboundTokens::Refused,
    };
    let resource = target.endpoint.api.clone();
    let resource = resource.map_or(Resource::All, Resource::Api);
    let (authorization, dpop) = (
        values(&head.headers, &AUTHORIZATION),
        values(&head.headers, &DPOP),
    );
    if watch::is_trap(gateway, snapshot, &authorization, from) {
        return Err(ReasonCode::Unauthenticated);
    }
    let presented = Presented {
        authorization: &authorization,
        dpop: &dpop,
        certificate: from.certificate.as_deref(),
        method: &target.method,
        uri: &uri,
        resource: &resource,
    };
    let authenticator = Authenticator {
        verifier: &snapshot.verifier,
        tokens: &parts.tokens,
        nonces: &parts.nonces,
        replays: &parts.replays,
        proof_age: Authenticator::PROOF_AGE,
    };
    authenticator
        .authenticate(&presented, unbound, call, now)
        .map_err(|fault| {
            tracing::debug!(call.id = %call, %fault, "not authenticated");
            fault.reason()
        })
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes())
        .collect()
}
