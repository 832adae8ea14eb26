//! JWT-SVIDs (JWT-SVID §3, §4).

use std::time::Duration;

use writ_types::{SpiffeId, Timestamp};

use crate::claims::{Leeway, Validity};
use crate::{Algorithm, ClaimError, Claims, JoseError, Jws, Profile, TrustBundle, Typ};

/// Why a JWT-SVID was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// The text, its header or its signature.
    #[error(transparent)]
    Jose(#[from] JoseError),
    /// What was signed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// `sub` is a SPIFFE id of a trust domain that the keys do not speak for.
    #[error("the SPIFFE id belongs to a trust domain that is not trusted here")]
    TrustDomain,
}

/// The header has `alg`, `kid` and `typ` and nothing else (JWT-SVID §2).
const PROFILE: Profile = Profile {
    typ: Typ::Optional(&["JWT", "JOSE"]),
    headers: &["alg", "kid", "typ"],
    algorithms: Algorithm::SVID,
};

/// The `sub` that a text claims, before anything is proven: only to choose whose keys must verify it.
pub(crate) fn claimed_subject(text: &str) -> Result<SpiffeId, SvidError> {
    let jws = Jws::parse(text, JwtSvid::MOST_BYTES, &PROFILE)?;
    Ok(Claims::parse(jws.unproven_payload())?.parsed("sub")?)
}

/// A verified JWT-SVID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtSvid {
    spiffe: SpiffeId,
    expires: Timestamp,
    claims: Claims,
}

impl JwtSvid {
    /// Largest JWT-SVID, in bytes.
    pub const MOST_BYTES: usize = 16 * 1024;
    /// Longest life that is left to one, whatever its issuer says.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
    /// How far its issuer's clock may run ahead.
    pub const AHEAD: Duration = Duration::from_secs(30);

    /// Verifies a JWT-SVID of `bundle`'s trust domain that was made for `audience` and nobody else.
    ///
    /// It may be presented again until it expires: agents cache them, and `jti` is no replay key.
    ///
    /// # Errors
    ///
    /// [`SvidError`].
    pub fn verify(
        text: &str,
        bundle: &TrustBundle,
        audience: &str,
        now: Timestamp,
    ) -> Result<Self, SvidError> {
        let verified = Self::validate(text, bundle, audience, now)?;
        // The standard allows several audiences; one that a second party could present to us as well is not proof of
        // who presents it, so that exactly ours is demanded.
        verified.claims.only_audience()?;
        Ok(verified)
    }

    /// Validates a JWT-SVID of `bundle`'s trust domain for a workload that is one of its audiences (JWT-SVID §5.1).
    ///
    /// # Errors
    ///
    /// [`SvidError`].
    pub fn validate(
        text: &str,
        bundle: &TrustBundle,
        audience: &str,
        now: Timestamp,
    ) -> Result<Self, SvidError> {
        let jws = Jws::parse(text, Self::MOST_BYTES, &PROFILE)?;
        let claims = jws.verify(bundle.jwt_keys())?.claims()?;
        let spiffe: SpiffeId = claims.parsed("sub")?;
        if spiffe.trust_domain() != bundle.domain() {
            return Err(SvidError::TrustDomain);
        }
        if !claims.audiences()?.contains(&audience) {
            return Err(SvidError::Claim(ClaimError::Wrong("aud")));
        }
        let validity = Validity {
            issued: claims.instant_if_present("iat")?,
            expires: claims.instant("exp")?,
            not_before: claims.instant_if_present("nbf")?,
        };
        let leeway = Leeway {
            ahead: Self::AHEAD,
            late: Duration::ZERO,
        };
        validity.check(now, leeway, Self::LONGEST_LIFE)?;
        Ok(Self {
            spiffe,
            expires: validity.expires,
            claims,
        })
    }

    /// The workload.
    #[must_use]
    pub const fn spiffe(&self) -> &SpiffeId {
        &self.spiffe
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// All its claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
}

#[cfg(test)]
mod tests;
