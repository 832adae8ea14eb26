//! Protected resource metadata (RFC 9728): the one thing a stranger may ask.

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use writ_types::Value;

use crate::body::Body;
use crate::gateway::Gateway;
use crate::target::Endpoint;

/// Where the metadata is; that of one API under its id.
pub(crate) const PATH: &str = "/.well-known/oauth-protected-resource";

/// Answers a request for the metadata of the gateway or of one API; none if it asks for something else.
pub(crate) fn answer<B>(gateway: &Gateway, request: &Request<B>) -> Option<Response<Body>> {
    let rest = request.uri().path().strip_prefix(PATH)?;
    let snapshot = gateway.snapshot().ok()?;
    // Whether an API exists is not for strangers: every well-formed id has metadata.
    let endpoint = Endpoint::of(rest);
    if endpoint.to_string() != rest {
        return None;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let strings =
        |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::from(*text)).collect());
    let document = Value::object([
        (
            "resource",
            Value::from(format!("{}{endpoint}", snapshot.public_url)),
        ),
        (
            "authorization_servers",
            Value::Array(vec![Value::from(snapshot.verifier.issuer().as_str())]),
        ),
        ("bearer_methods_supported", strings(&["header"])),
        (
            "dpop_signing_alg_values_supported",
            strings(&["ES256", "EdDSA"]),
        ),
        (
            "tls_client_certificate_bound_access_tokens",
            Value::from(true),
        ),
        (
            "authorization_details_types_supported",
            strings(&["writ_task"]),
        ),
    ]);
    let mut response = Response::new(Body::Full(Bytes::from(document.to_string())));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=300"),
    );
    Some(response)
}
