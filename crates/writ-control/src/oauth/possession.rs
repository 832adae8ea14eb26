//! The key that a token will be bound to, as proven.

use std::time::Duration;

use writ_token::{
    DpopError, DpopExpectation, DpopProof, HttpUri, NonceCheck, OauthError, OauthErrorCode,
    ReplayError,
};
use writ_types::{Binding, Digest, Resource, Timestamp};

use crate::loaded::Loaded;
use crate::oauth::proven::Proven;
use crate::oauth::{grant_error, unavailable};
use crate::plane::{Connection, Plane};

/// How old a proof of possession may be at the token endpoint.
const PROOF_AGE: Duration = Duration::from_secs(60);

/// The key the token will be bound to (RFC 9449 §5, RFC 8705 §3), and until when that key is good.
pub(super) fn bind(
    plane: &Plane,
    from: &Connection,
    loaded: &Loaded,
    dpop: &[&[u8]],
    proven: &Proven,
    resource: &Resource,
    now: Timestamp,
) -> Result<(Binding, Timestamp), OauthError> {
    if !dpop.is_empty() {
        return prove_key(plane, dpop, now).map(|key| (Binding::Dpop(key), proven.until));
    }
    if let Some(certificate) = &from.certificate {
        if certificate.spiffe != proven.agent.spiffe {
            return Err(grant_error(
                "the connection's certificate is another workload's",
            ));
        }
        return Ok((Binding::Mtls(certificate.digest), certificate.not_after));
    }
    let allowed = match resource {
        Resource::Api(api) => loaded
            .apis
            .get(api)
            .is_some_and(|api| api.api.allow_unbound_tokens),
        Resource::All => false,
    };
    if allowed {
        return Ok((Binding::Unbound, proven.until));
    }
    Err(OauthError::new(
        OauthErrorCode::InvalidDpopProof,
        "prove a key: send a DPoP header, or a client certificate",
    ))
}

fn prove_key(plane: &Plane, dpop: &[&[u8]], now: Timestamp) -> Result<Digest, OauthError> {
    let invalid = |description| OauthError::new(OauthErrorCode::InvalidDpopProof, description);
    let uri: HttpUri = plane
        .token_endpoint()
        .parse()
        .map_err(|_no_uri| unavailable("the endpoint has no URL"))?;
    let expect = DpopExpectation {
        method: "POST",
        uri: &uri,
        access_token: None,
        nonce: NonceCheck::Required(&plane.nonces),
        now,
        max_age: PROOF_AGE,
    };
    let header =
        DpopProof::only(dpop).map_err(|_count| invalid("a request has exactly one DPoP header"))?;
    let proof = DpopProof::verify(header, &expect).map_err(|fault| {
        if matches!(fault, DpopError::Nonce) {
            let description = "put the nonce of the DPoP-Nonce header into the proof";
            return OauthError::new(OauthErrorCode::UseDpopNonce, description);
        }
        tracing::debug!(%fault, "a proof of possession was refused");
        invalid("the proof of possession is refused")
    })?;
    plane
        .replays
        .spend(&plane.tenant, &proof, PROOF_AGE, now)
        .map_err(|fault| match fault {
            ReplayError::Replayed => invalid("the proof of possession was used before"),
            ReplayError::Full => unavailable("too many proofs at once"),
        })?;
    Ok(proof.jkt())
}
