//! The proof that a call comes from the holder of a live token and of the key it is bound to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use writ_types::{Binding, CallId, Digest, Principal, ReasonCode, Resource, SpiffeId, Timestamp};

use crate::{
    DpopError, DpopExpectation, DpopProof, HttpUri, NonceCheck, NonceIssuer, ReplayCache,
    ReplayError, TokenCache, TokenError, TokenVerifier, VerifiedToken,
};

/// The client certificate of the connection, verified by the TLS layer with [`crate::X509Svid`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The SHA-256 digest of its DER form (`x5t#S256`).
    pub digest: Digest,
    /// The workload it names.
    pub spiffe: SpiffeId,
}

/// What came with a call.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// Every value of `Authorization`.
    pub authorization: &'a [&'a [u8]],
    /// Every value of `DPoP`.
    pub dpop: &'a [&'a [u8]],
    /// The verified client certificate of the connection, never one out of a header field.
    pub certificate: Option<&'a ClientCertificate>,
    /// The method.
    pub method: &'a str,
    /// The URI under the configured `public_url`, never under a `Host` header.
    pub uri: &'a HttpUri,
    /// What is called: one API, or (for the MCP endpoint of all of them) all.
    pub resource: &'a Resource,
}

/// Whether the API's owner accepts tokens that are bound to no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnboundTokens {
    /// No: the default.
    Refused,
    /// Yes.
    Accepted,
}

/// Why a call is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no `Authorization`, or more than one.
    #[error("a call has exactly one `Authorization` header field")]
    NotOneAuthorization,
    /// It is not `DPoP` or `Bearer` and a token.
    #[error("`Authorization` is `DPoP` or `Bearer`, one space and a token")]
    Scheme,
    /// The token.
    #[error("the access token is refused")]
    Token(#[source] TokenError),
    /// The token is for another resource.
    #[error("the access token is for another resource")]
    Audience,
    /// The proof of possession.
    #[error("the proof of possession is refused")]
    Dpop(#[source] DpopError),
    /// The proof was used before, or there is no room to remember it.
    #[error("the proof of possession cannot be used")]
    Replay(#[source] ReplayError),
    /// The token is bound to a `DPoP` key and came as `Bearer` (RFC 9449 §7.1), or the other way round.
    #[error("the token did not come with the scheme its binding demands")]
    SchemeForBinding,
    /// A `DPoP` header field with a token that is not bound to such a key: a proof nobody verifies.
    #[error("a DPoP proof came with a token that is not bound to a DPoP key")]
    UnusedProof,
    /// The token is bound to a certificate, and the connection has none or another (RFC 8705 §3).
    #[error("the connection's certificate is not the one the token is bound to")]
    Certificate,
    /// The token is bound to no key, and the API's owner did not accept that.
    #[error("the token is bound to no key")]
    Unbound,
}

impl AuthError {
    /// What the caller is told. Strangers learn no more than that they are not authenticated.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::NotOneAuthorization
            | Self::Scheme
            | Self::Token(_)
            | Self::SchemeForBinding
            | Self::UnusedProof
            | Self::Certificate
            | Self::Unbound => ReasonCode::Unauthenticated,
            Self::Audience => ReasonCode::WrongAudience,
            Self::Dpop(DpopError::Nonce) => ReasonCode::UseDpopNonce,
            Self::Dpop(_) | Self::Replay(ReplayError::Replayed) => ReasonCode::InvalidDpopProof,
            Self::Replay(ReplayError::Full) => ReasonCode::NotReady,
        }
    }
}

impl AuthError {
    /// The value of `WWW-Authenticate` for a 401 (RFC 9449 §7.1, RFC 6750 §3): static, and without an error code where
    /// there were no credentials at all.
    #[must_use]
    pub fn challenge(&self) -> String {
        let algorithms: Vec<_> = DpopProof::ALGORITHMS
            .iter()
            .map(|known| known.as_str())
            .collect();
        let algorithms = algorithms.join(" ");
        let error = match self {
            Self::NotOneAuthorization => return format!("DPoP algs=\"{algorithms}\""),
            Self::Dpop(DpopError::Nonce) => "use_dpop_nonce",
            Self::Dpop(_) | Self::Replay(_) => "invalid_dpop_proof",
            Self::Scheme
            | Self::Token(_)
            | Self::Audience
            | Self::SchemeForBinding
            | Self::UnusedProof
            | Self::Certificate
            | Self::Unbound => "invalid_token",
        };
        format!("DPoP error=\"{error}\", algs=\"{algorithms}\"")
    }
}

/// Authenticates calls. Built for a call from the parts of the snapshot and of the process.
#[derive(Debug, Clone, Copy)]
pub struct Authenticator<'a> {
    /// Whose tokens.
    pub verifier: &'a TokenVerifier,
    /// Tokens seen before.
    pub tokens: &'a TokenCache,
    /// Nonces of this process.
    pub nonces: &'a NonceIssuer,
    /// Proofs used before.
    pub replays: &'a ReplayCache,
    /// How old a proof may be.
    pub proof_age: Duration,
}

impl Authenticator<'_> {
    /// How old a proof may be unless configured otherwise.
    pub const PROOF_AGE: Duration = Duration::from_secs(60);

    /// Proves that the call comes from the holder of a live token for `presented.resource` and of its key.
    ///
    /// # Errors
    ///
    /// [`AuthError`]. There is no anonymous call: whatever is missing is an error.
    pub fn authenticate(
        &self,
        presented: &Presented<'_>,
        unbound: UnboundTokens,
        call: CallId,
        now: Timestamp,
    ) -> Result<Authenticated, AuthError> {
        let (scheme, text) = credentials(presented.authorization)?;
        let token = self
            .tokens
            .verify(text, self.verifier, now)
            .map_err(AuthError::Token)?;
        match (token.binding(), scheme) {
            (Binding::Dpop(key), Scheme::Dpop) => {
                self.prove_key(presented, text, *key, now)?;
            }
            (Binding::Mtls(_) | Binding::Unbound, Scheme::Bearer) if !presented.dpop.is_empty() => {
                return Err(AuthError::UnusedProof);
            }
            (Binding::Mtls(certificate), Scheme::Bearer) => {
                let same = |own: &ClientCertificate| {
                    own.digest == *certificate && own.spiffe == token.principal().spiffe
                };
                if !presented.certificate.is_some_and(same) {
                    return Err(AuthError::Certificate);
                }
            }
            (Binding::Unbound, Scheme::Bearer) => {
                if unbound != UnboundTokens::Accepted {
                    return Err(AuthError::Unbound);
                }
            }
            (Binding::Dpop(_), Scheme::Bearer)
            | (Binding::Mtls(_) | Binding::Unbound, Scheme::Dpop) => {
                return Err(AuthError::SchemeForBinding);
            }
        }
        let covered = match presented.resource {
            Resource::All => *token.resource() == Resource::All,
            Resource::Api(api) => token.resource().covers(api),
        };
        if !covered {
            return Err(AuthError::Audience);
        }
        Ok(Authenticated { call, token })
    }

    fn prove_key(
        &self,
        presented: &Presented<'_>,
        token: &str,
        key: Digest,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let header = DpopProof::only(presented.dpop).map_err(AuthError::Dpop)?;
        let expect = DpopExpectation {
            method: presented.method,
            uri: presented.uri,
            access_token: Some(token),
            nonce: NonceCheck::Required(self.nonces),
            now,
            max_age: self.proof_age,
        };
        let proof = DpopProof::verify(header, &expect).map_err(AuthError::Dpop)?;
        if proof.jkt() != key {
            return Err(AuthError::Dpop(DpopError::Binding));
        }
        // Last, so that only proofs that were good in everything else take room.
        self.replays
            .spend(self.verifier.tenant(), &proof, self.proof_age, now)
            .map_err(AuthError::Replay)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Dpop,
    Bearer,
}

/// The scheme, whose name has no case (RFC 9110 §11.1), and the token.
fn credentials<'a>(values: &[&'a [u8]]) -> Result<(Scheme, &'a str), AuthError> {
    let [value] = values else {
        return Err(AuthError::NotOneAuthorization);
    };
    let text = std::str::from_utf8(value).map_err(|_not_text| AuthError::Scheme)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Scheme)?;
    let scheme = if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else {
        return Err(AuthError::Scheme);
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.is_empty() || !token.bytes().all(plain) {
        return Err(AuthError::Scheme);
    }
    Ok((scheme, token))
}

/// The proof that a call is authenticated; made by [`Authenticator::authenticate`] alone, for one call.
///
/// It cannot be forged:
///
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// # fn forge(call: writ_types::CallId, token: Arc<writ_token::VerifiedToken>) {
/// let forged = writ_token::Authenticated { call, token };
/// # }
/// ```
///
/// nor copied for a second call:
///
/// ```compile_fail,E0599
/// # fn twice(one: writ_token::Authenticated) -> [writ_token::Authenticated; 2] {
/// [one.clone(), one]
/// # }
/// ```
///
/// nor used after it was handed on:
///
/// ```compile_fail,E0382
/// # fn act(proof: writ_token::Authenticated) {}
/// # fn reuse(one: writ_token::Authenticated) {
/// act(one);
/// act(one);
/// # }
/// ```
///
/// and a token without its key is none, because a verified token is not a proof:
///
/// ```compile_fail,E0308
/// # fn act(proof: writ_token::Authenticated) {}
/// # fn skip(token: writ_token::VerifiedToken) {
/// act(token);
/// # }
/// ```
pub struct Authenticated {
    call: CallId,
    token: Arc<VerifiedToken>,
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("call", &self.call)
            .field("task", &self.token.principal().task)
            .finish_non_exhaustive()
    }
}

impl Authenticated {
    /// The call it was made for.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.token.principal()
    }

    /// The resource the token is for.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        self.token.resource()
    }

    /// When the token ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.token.expires()
    }

    /// The verified token.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.token
    }
}

#[cfg(test)]
mod tests;
