//! What clients read about the server: RFC 8414 metadata, the JWKS, the SPIFFE bundle.

use writ_types::Value;

use crate::plane::Plane;

/// Authorization server metadata (RFC 8414).
pub(crate) fn server_metadata(plane: &Plane) -> Value {
    let strings =
        |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::from(*text)).collect());
    let base = plane.settings.issuer.as_str();
    Value::object([
        ("issuer", Value::from(base)),
        ("token_endpoint", Value::from(plane.token_endpoint())),
        ("jwks_uri", Value::from(format!("{base}/oauth/jwks"))),
        (
            "grant_types_supported",
            strings(&[
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ]),
        ),
        ("response_types_supported", strings(&[])),
        (
            "authorization_details_types_supported",
            strings(&["writ_task"]),
        ),
        (
            "dpop_signing_alg_values_supported",
            strings(&["ES256", "EdDSA"]),
        ),
        (
            "tls_client_certificate_bound_access_tokens",
            Value::from(true),
        ),
    ])
}

/// The keys that verify our access tokens (RFC 7517).
pub(crate) fn jwks(plane: &Plane) -> Value {
    Value::object([("keys", Value::Array(vec![plane.keys.token.to_jwks_entry()]))])
}

/// The built-in trust domain's bundle (SPIFFE Trust Domain and Bundle §4).
pub(crate) fn spiffe_bundle(plane: &Plane) -> Value {
    plane
        .keys
        .domain
        .bundle(1, std::time::Duration::from_secs(300))
}
