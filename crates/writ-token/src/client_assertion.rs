//! `private_key_jwt`: a registered client proves itself with a key of its own (RFC 7523 §3 as tightened by rfc7523bis).

use std::time::Duration;

use writ_types::Timestamp;

use crate::claims::{Leeway, Validity};
use crate::{
    Algorithm, ClaimError, Claims, ClientId, IssuerUrl, JoseError, Jws, KeySet, Profile, Typ,
};

/// Why a text that a client signed was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The text, its header or its signature.
    #[error(transparent)]
    Jose(#[from] JoseError),
    /// What was signed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The client's keys were not renewed within their limit.
    #[error("the client's keys are too old to be believed")]
    Stale,
}

/// A client whose keys an operator registered.
#[derive(Debug, Clone)]
pub struct RegisteredClient {
    /// Its id.
    pub id: ClientId,
    /// Its keys. Never taken from the client's own word: it would vouch for itself.
    pub keys: KeySet,
    /// Until when the keys may be believed; none for keys that are part of the settings.
    pub keys_until: Option<Timestamp>,
}

impl RegisteredClient {
    pub(crate) fn keys_at(&self, now: Timestamp) -> Result<&KeySet, ClientError> {
        if self.keys_until.is_some_and(|until| until <= now) {
            return Err(ClientError::Stale);
        }
        Ok(&self.keys)
    }
}

const PROFILE: Profile = Profile {
    typ: Typ::Optional(&["JWT", "client-authentication+jwt"]),
    headers: &["alg", "kid", "typ"],
    algorithms: Algorithm::ALL,
};

/// A verified client assertion. It authenticates one request: spend its `jti`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAssertion {
    jti: String,
    issued: Timestamp,
    expires: Timestamp,
}

impl ClientAssertion {
    /// Largest assertion, in bytes.
    pub const MOST_BYTES: usize = 16 * 1024;
    /// Longest life, so that its `jti` need not be remembered for longer.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(3600);
    /// How far the client's clock may differ from ours, either way.
    pub const LEEWAY: Duration = Duration::from_secs(30);

    /// The `iss` that a text claims, before anything is proven: only to choose whose keys must verify it.
    ///
    /// # Errors
    ///
    /// The text is no JWS of this kind, or has no such claim.
    pub fn claimed_issuer(text: &str) -> Result<String, ClientError> {
        // Tokens of outside issuers arrive here too, and their headers may say more.
        let any = Profile {
            typ: Typ::Optional(&[
                "JWT",
                "JOSE",
                "client-authentication+jwt",
                "at+jwt",
                "application/at+jwt",
            ]),
            headers: &["alg", "kid", "typ", "x5t", "x5t#S256"],
            algorithms: Algorithm::ALL,
        };
        let jws = Jws::parse(text, Self::MOST_BYTES, &any)?;
        Ok(Claims::parse(jws.unproven_payload())?
            .text("iss")?
            .to_owned())
    }

    /// Verifies an assertion: `iss` and `sub` are the client, `aud` is the authorization server's issuer identifier and
    /// nothing else (rfc7523bis §4: not the token endpoint, not an array of more), `exp`, `iat` and `jti` are there.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn verify(
        text: &str,
        client: &RegisteredClient,
        server: &IssuerUrl,
        now: Timestamp,
    ) -> Result<Self, ClientError> {
        let jws = Jws::parse(text, Self::MOST_BYTES, &PROFILE)?;
        let claims = jws.verify(client.keys_at(now)?)?.claims()?;
        let (issued, expires) = signed_by(&claims, client, server, Self::LONGEST_LIFE, now)?;
        if claims.text("sub")? != client.id.as_str() {
            return Err(ClientError::Claim(ClaimError::Wrong("sub")));
        }
        Ok(Self {
            jti: claims.text("jti")?.to_owned(),
            issued,
            expires,
        })
    }

    /// Its id, good once.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// When it was made.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When it ends; it is accepted for [`ClientAssertion::LEEWAY`] longer.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// What everything a registered client signs for us has: `iss`, one `aud`, `iat`, `exp`. Gives the two instants.
pub(crate) fn signed_by(
    claims: &Claims,
    client: &RegisteredClient,
    server: &IssuerUrl,
    longest: Duration,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), ClaimError> {
    if claims.text("iss")? != client.id.as_str() {
        return Err(ClaimError::Wrong("iss"));
    }
    if claims.only_audience()? != server.as_str() {
        return Err(ClaimError::Wrong("aud"));
    }
    let issued = claims.instant("iat")?;
    let validity = Validity {
        issued: Some(issued),
        expires: claims.instant("exp")?,
        not_before: claims.instant_if_present("nbf")?,
    };
    let leeway = Leeway {
        ahead: ClientAssertion::LEEWAY,
        late: ClientAssertion::LEEWAY,
    };
    validity.check(now, leeway, longest)?;
    Ok((issued, validity.expires))
}

#[cfg(test)]
mod tests;
