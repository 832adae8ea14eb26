//! Demonstrating proof of possession (RFC 9449).

mod nonce;
mod prove;
mod replay;
mod uri;

use std::time::Duration;

use writ_types::{Digest, Timestamp};

use crate::jose::base64url;
use crate::{
    Algorithm, ClaimError, Claims, JoseError, Jwk, JwkError, Jws, KeyUse, OauthError,
    OauthErrorCode, Profile, Typ,
};

pub use nonce::{NonceCheck, NonceIssuer};
pub use prove::ProofKey;
pub use replay::{ReplayCache, ReplayError, SignedBy};
pub use uri::{HttpUri, HttpUriError};

/// Why a proof was refused: one variant for each numbered check of RFC 9449 §4.3, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// 1: not exactly one `DPoP` header field.
    #[error("a request has exactly one `DPoP` header field")]
    Count,
    /// 2: not one well-formed JWT.
    #[error("the proof is not a well-formed JWT")]
    Form(#[source] JoseError),
    /// 3: a required claim is absent or malformed.
    #[error("the proof lacks a claim it must have")]
    Claim(#[source] ClaimError),
    /// 4: `typ` is not `dpop+jwt`.
    #[error("the proof's `typ` is not `dpop+jwt`")]
    Typ,
    /// 5: the algorithm is symmetric, `none`, unknown or not accepted.
    #[error("the proof's algorithm is not accepted")]
    Algorithm,
    /// 6: the signature is not that of the key in the header.
    #[error("the proof's signature does not verify with its own key")]
    Signature,
    /// 7: the key in the header is absent, malformed, or holds private members.
    #[error("the proof's `jwk` is not a public key")]
    Key(#[source] JwkError),
    /// 8: `htm` is another method.
    #[error("the proof is for another method")]
    Method,
    /// 9: `htu` is another URI.
    #[error("the proof is for another URI")]
    Uri,
    /// 10: the server's nonce is wanted, and it is absent or not a current one.
    #[error("the proof lacks the server's current nonce")]
    Nonce,
    /// 11: made too long ago, or in the future.
    #[error("the proof is too old or from the future")]
    Time,
    /// 12a: `ath` is not the hash of the access token.
    #[error("the proof is for another access token")]
    AccessToken,
    /// 12b: the access token is bound to another key.
    #[error("the access token is bound to another key")]
    Binding,
}

impl DpopError {
    /// The refusal at the token endpoint (RFC 9449 §5, §8); a fresh `DPoP-Nonce` goes with it.
    #[must_use]
    pub const fn oauth_error(&self) -> OauthError {
        match self {
            Self::Nonce => OauthError::new(
                OauthErrorCode::UseDpopNonce,
                "use the nonce of the DPoP-Nonce header in the proof",
            ),
            Self::Count
            | Self::Form(_)
            | Self::Claim(_)
            | Self::Typ
            | Self::Algorithm
            | Self::Signature
            | Self::Key(_)
            | Self::Method
            | Self::Uri
            | Self::Time
            | Self::AccessToken
            | Self::Binding => OauthError::new(
                OauthErrorCode::InvalidDpopProof,
                "the DPoP proof is missing or does not fit the request",
            ),
        }
    }
}

/// What a proof must be for.
#[derive(Debug)]
pub struct DpopExpectation<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's URI.
    pub uri: &'a HttpUri,
    /// The access token that comes with it, if one does.
    pub access_token: Option<&'a str>,
    /// Whether our nonce must be in it.
    pub nonce: NonceCheck<'a>,
    /// The instant of the request.
    pub now: Timestamp,
    /// How old a proof may be.
    pub max_age: Duration,
}

/// A proof that was verified for one request. That it was not used before is not part of it: see [`ReplayCache::spend`].
#[derive(Debug)]
pub struct DpopProof {
    jkt: Digest,
    jti: Digest,
    issued: Timestamp,
}

const PROFILE: Profile = Profile {
    typ: Typ::Required(&["dpop+jwt"]),
    headers: &["alg", "typ", "jwk"],
    algorithms: DpopProof::ALGORITHMS,
};

impl DpopProof {
    /// The accepted algorithms; also `dpop_signing_alg_values_supported` (RFC 9449 §5.1).
    pub const ALGORITHMS: &[Algorithm] = &[
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
        Algorithm::PS256,
        Algorithm::RS256,
    ];
    /// Largest proof, in bytes; an RSA key of 4,096 bits fits.
    pub const MOST_BYTES: usize = 8 * 1024;
    /// Longest `jti`, in bytes.
    pub const MOST_JTI_BYTES: usize = 256;
    /// How far a client's clock may run ahead.
    pub const AHEAD: Duration = Duration::from_secs(5);

    /// The only value of the `DPoP` header field (check 1).
    ///
    /// # Errors
    ///
    /// `Count` if there are more or none, or it is no ASCII text.
    pub fn only<'a>(values: &[&'a [u8]]) -> Result<&'a str, DpopError> {
        match values {
            [value] if value.is_ascii() => {
                std::str::from_utf8(value).map_err(|_not_ascii| DpopError::Count)
            }
            _ => Err(DpopError::Count),
        }
    }

    /// Verifies the proof for one request: checks 2 to 11 and `ath` of RFC 9449 §4.3.
    ///
    /// Whether the access token is bound to this key (the end of check 12) is the caller's to compare with
    /// [`DpopProof::jkt`]; the same holds for reuse and [`ReplayCache::spend`]. [`crate::Authenticator`] does both.
    ///
    /// # Errors
    ///
    /// [`DpopError`], the first check that fails. The nonce is looked at after everything that a client cannot repair
    /// with a new nonce.
    pub fn verify(header: &str, expect: &DpopExpectation<'_>) -> Result<Self, DpopError> {
        let jws = Jws::parse(header, Self::MOST_BYTES, &PROFILE).map_err(header_fault)?;
        let malformed = DpopError::Key(JwkError::Member("jwk"));
        let jwk = Jwk::parse(jws.embedded_key().ok_or(malformed)?).map_err(DpopError::Key)?;
        let algorithm = jws.algorithm();
        let key = jwk
            .verifying_key(KeyUse::Signature, Some(algorithm))
            .map_err(DpopError::Key)?;
        let verified = jws.verify_by(&key).map_err(|_any| DpopError::Signature)?;
        let claims = verified.claims().map_err(DpopError::Claim)?;
        let text = |name| claims.text(name).map_err(DpopError::Claim);
        let (jti, htm, htu) = (text("jti")?, text("htm")?, text("htu")?);
        let issued = claims.instant("iat").map_err(DpopError::Claim)?;
        if jti.len() > Self::MOST_JTI_BYTES {
            return Err(DpopError::Claim(ClaimError::Malformed("jti")));
        }
        if htm != expect.method {
            return Err(DpopError::Method);
        }
        if htu.parse::<HttpUri>().ok().as_ref() != Some(expect.uri) {
            return Err(DpopError::Uri);
        }
        if let Some(token) = expect.access_token {
            let hash = base64url::encode(Digest::of(token.as_bytes()).as_bytes());
            if text("ath")? != hash {
                return Err(DpopError::AccessToken);
            }
        }
        check_time(&claims, issued, expect)?;
        let nonce = match claims.get("nonce") {
            None => None,
            Some(_) => Some(text("nonce")?),
        };
        if !expect.nonce.accepts(nonce, expect.now) {
            return Err(DpopError::Nonce);
        }
        Ok(Self {
            jkt: key.thumbprint(),
            jti: Digest::of(jti.as_bytes()),
            issued,
        })
    }

    /// The thumbprint of the key that was proven (`jkt`).
    #[must_use]
    pub const fn jkt(&self) -> Digest {
        self.jkt
    }

    /// The digest of the proof's `jti`.
    #[must_use]
    pub const fn jti_hash(&self) -> Digest {
        self.jti
    }

    /// When the proof says it was made.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }
}

/// Check 11; `nbf` and `exp`, which a proof need not have, hold where they stand.
fn check_time(
    claims: &Claims,
    issued: Timestamp,
    expect: &DpopExpectation<'_>,
) -> Result<(), DpopError> {
    let date = |name| claims.instant_if_present(name).map_err(DpopError::Claim);
    let (begin, end) = (date("nbf")?.unwrap_or(issued), date("exp")?);
    let ahead = issued.max(begin) > expect.now.plus(DpopProof::AHEAD);
    let old = expect.now > issued.plus(expect.max_age);
    if ahead || old || end.is_some_and(|end| end <= expect.now) {
        return Err(DpopError::Time);
    }
    Ok(())
}

fn header_fault(fault: JoseError) -> DpopError {
    match fault {
        JoseError::Typ => DpopError::Typ,
        JoseError::Algorithm => DpopError::Algorithm,
        other @ (JoseError::TooLong
        | JoseError::NotCompact
        | JoseError::Base64
        | JoseError::Header
        | JoseError::HeaderMember
        | JoseError::HeaderType(_)
        | JoseError::UnknownKey
        | JoseError::NoKid
        | JoseError::Pinned
        | JoseError::Signature) => DpopError::Form(other),
    }
}

#[cfg(test)]
mod tests;
