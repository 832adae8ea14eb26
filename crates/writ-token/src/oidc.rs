//! JWTs of configured issuers: the users that agents act for (OIDC Core §3.1.3.7, RFC 9068 §4).

use std::collections::BTreeSet;
use std::time::Duration;

use writ_types::{Requester, SpiffeId, Timestamp, UserAuthentication, Value};

use crate::claims::{Leeway, Validity};
use crate::{Algorithm, ClaimError, Claims, IssuerUrl, JoseError, Jws, KeySet, Profile, Typ};

/// Why a user's token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The text, its header or its signature.
    #[error(transparent)]
    Jose(#[from] JoseError),
    /// What was signed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The issuer's keys were not renewed within their limit.
    #[error("the issuer's keys are too old to be believed")]
    Stale,
}

/// For whom an issuer vouches. One that vouches for workloads never does for users: a job's token is nobody's consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouches {
    /// For the users that agents act for.
    ForUsers,
    /// For workloads, which are agents if their claims are registered.
    ForWorkloads,
}

const HEADERS: &[&str] = &["alg", "kid", "typ", "x5t", "x5t#S256"];

const ID_TOKEN: Profile = Profile {
    typ: Typ::Optional(&["JWT"]),
    headers: HEADERS,
    algorithms: Algorithm::ALL,
};

const ACCESS_TOKEN: Profile = Profile {
    typ: Typ::Required(&["at+jwt", "application/at+jwt"]),
    headers: HEADERS,
    algorithms: Algorithm::ALL,
};

/// An issuer that an operator configured.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The issuer, as its tokens spell it.
    pub url: IssuerUrl,
    /// What its tokens must be for: exactly this one audience.
    pub audience: String,
    /// Its keys.
    pub keys: KeySet,
    /// Until when the keys may be believed; none for keys that are part of the settings.
    pub keys_until: Option<Timestamp>,
    /// For whom it vouches.
    pub vouches: Vouches,
    /// The clients its tokens may have been made for (`azp`); the audience itself always may.
    pub authorized_parties: BTreeSet<String>,
    /// Whether it issues RFC 9068 access tokens (`at+jwt`) to us, and nothing else. Otherwise `typ` is `JWT` or absent.
    pub access_tokens: bool,
    /// How far its clock may differ from ours, either way.
    pub leeway: Duration,
    /// Longest life of its tokens.
    pub longest_life: Duration,
}

impl Issuer {
    /// An issuer of users' ID tokens with the strict defaults: no other party, 30 seconds of leeway, a day of life.
    #[must_use]
    pub const fn new(url: IssuerUrl, audience: String, keys: KeySet) -> Self {
        Self {
            url,
            audience,
            keys,
            keys_until: None,
            vouches: Vouches::ForUsers,
            authorized_parties: BTreeSet::new(),
            access_tokens: false,
            leeway: Duration::from_secs(30),
            longest_life: Duration::from_secs(86_400),
        }
    }
}

/// A verified token of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcToken {
    requester: Requester,
    expires: Timestamp,
    authentication: UserAuthentication,
    claims: Claims,
}

impl OidcToken {
    /// Largest token, in bytes.
    pub const MOST_BYTES: usize = 16 * 1024;

    /// Verifies a token of `issuer`: `iss` exact, `aud` exactly ours and alone, `azp` where present, `exp`, `iat` and `sub`
    /// required.
    ///
    /// # Errors
    ///
    /// [`OidcError`].
    pub fn verify(text: &str, issuer: &Issuer, now: Timestamp) -> Result<Self, OidcError> {
        if issuer.keys_until.is_some_and(|until| until <= now) {
            return Err(OidcError::Stale);
        }
        let profile = if issuer.access_tokens {
            &ACCESS_TOKEN
        } else {
            &ID_TOKEN
        };
        let jws = Jws::parse(text, Self::MOST_BYTES, profile)?;
        let claims = jws.verify(&issuer.keys)?.claims()?;
        if claims.text("iss")? != issuer.url.as_str() {
            return Err(OidcError::Claim(ClaimError::Wrong("iss")));
        }
        if claims.only_audience()? != issuer.audience {
            return Err(OidcError::Claim(ClaimError::Wrong("aud")));
        }
        if claims.get("azp").is_some() {
            let party = claims.text("azp")?;
            if party != issuer.audience && !issuer.authorized_parties.contains(party) {
                return Err(OidcError::Claim(ClaimError::Wrong("azp")));
            }
        }
        let validity = Validity {
            issued: Some(claims.instant("iat")?),
            expires: claims.instant("exp")?,
            not_before: claims.instant_if_present("nbf")?,
        };
        let leeway = Leeway {
            ahead: issuer.leeway,
            late: issuer.leeway,
        };
        validity.check(now, leeway, issuer.longest_life)?;
        // What is not understood, or lies in the future, says nothing of when or how.
        let instant = claims.instant("auth_time").ok();
        let authentication = UserAuthentication {
            at: instant.filter(|at| *at <= now.plus(issuer.leeway)),
            acr: claims.text("acr").ok().and_then(|acr| acr.parse().ok()),
        };
        Ok(Self {
            authentication,
            requester: Requester {
                issuer: issuer.url.to_string(),
                subject: claims.text("sub")?.to_owned(),
            },
            expires: validity.expires,
            claims,
        })
    }

    /// The user.
    #[must_use]
    pub const fn requester(&self) -> &Requester {
        &self.requester
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// How the user has authenticated, as far as the issuer said it (OIDC Core §2).
    #[must_use]
    pub const fn authentication(&self) -> &UserAuthentication {
        &self.authentication
    }

    /// All its claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether `actor` may act for the user: with `may_act` only the one it names (RFC 8693 §4.4), else the issuer leaves
    /// it to us. A `may_act` that is not understood admits nobody.
    #[must_use]
    pub fn admits_actor(&self, actor: &SpiffeId) -> bool {
        match self.claims.get("may_act").map(Value::as_object) {
            None => true,
            Some(None) => false,
            Some(Some(members)) => {
                let named = members.get("sub").and_then(Value::as_str) == Some(actor.as_str());
                named && members.len() == 1
            }
        }
    }
}

#[cfg(test)]
mod tests;
