//! What clients read about the server: RFC 8414 metadata, the JWKS, the SPIFFE bundle.

use std::collections::BTreeSet;

use writ_token::Algorithm;
use writ_types::{Acr, Value};

use crate::plane::Plane;

/// How clients prove who they are. A JWT-SVID is a third way; its draft has no agreed name to be listed by.
const METHODS: &[&str] = &["private_key_jwt", "tls_client_auth"];

/// Authorization server metadata (RFC 8414).
pub(crate) fn server_metadata(plane: &Plane) -> Value {
    let strings =
        |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::from(*text)).collect());
    let algorithms = || {
        let names: Vec<&str> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
        strings(&names)
    };
    let base = plane.settings.issuer.as_str();
    let mut members = vec![
        ("issuer", Value::from(base)),
        ("token_endpoint", Value::from(plane.token_endpoint())),
        (
            "introspection_endpoint",
            Value::from(format!("{base}/oauth/introspect")),
        ),
        (
            "revocation_endpoint",
            Value::from(format!("{base}/oauth/revoke")),
        ),
        ("jwks_uri", Value::from(format!("{base}/oauth/jwks"))),
        ("token_endpoint_auth_methods_supported", strings(METHODS)),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            algorithms(),
        ),
        (
            "introspection_endpoint_auth_methods_supported",
            strings(METHODS),
        ),
        (
            "introspection_endpoint_auth_signing_alg_values_supported",
            algorithms(),
        ),
        (
            "revocation_endpoint_auth_methods_supported",
            strings(METHODS),
        ),
        (
            "revocation_endpoint_auth_signing_alg_values_supported",
            algorithms(),
        ),
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
    ];
    members.extend(classes(plane).map(|classes| ("acr_values_supported", classes)));
    Value::object(members)
}

/// What some purpose wants of users, and tokens say (RFC 9470 §7).
fn classes(plane: &Plane) -> Option<Value> {
    let loaded = plane.loaded();
    let wanted = loaded.purposes.values();
    let wanted = wanted.filter_map(|purpose| purpose.user_authentication.as_ref());
    let classes: BTreeSet<&str> = wanted
        .flat_map(|wanted| wanted.acr().iter().map(Acr::as_str))
        .collect();
    let classes: Vec<Value> = classes.into_iter().map(Value::from).collect();
    (!classes.is_empty()).then_some(Value::Array(classes))
}

/// The built-in trust domain's bundle (SPIFFE Trust Domain and Bundle §4).
pub(crate) fn spiffe_bundle(plane: &Plane) -> Value {
    // The sequence grows with each new certificate of the authority, since each ends later than the one before.
    let domain = &plane.keys.domain;
    let sequence = domain.x509().not_after().secs_since_epoch();
    domain.bundle(sequence, std::time::Duration::from_secs(300))
}
