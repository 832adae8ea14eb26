//! Our own access tokens (RFC 9068 `at+jwt`, RFC 8693 `act`, RFC 9396 `authorization_details`, RFC 7800 `cnf`).

mod cache;
mod claims;

use std::time::Duration;

use writ_types::{
    Binding, Digest, Principal, PublicUrl, Resource, Tenant, Timestamp, UserAuthentication, Value,
};

use crate::claims::{Leeway, Validity};
use crate::{Algorithm, ClaimError, ClientId, IssuerUrl, JoseError, Jws, KeySet, Profile, Typ};

pub use cache::TokenCache;
pub use claims::AccessTokenClaims;
pub(crate) use claims::{read_confirmation, read_requester};

/// Why an access token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text, its header or its signature.
    #[error(transparent)]
    Jose(#[from] JoseError),
    /// What was signed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// The header of an access token: `typ` is `at+jwt`, also as a full media type (RFC 9068 §4).
const PROFILE: Profile = Profile {
    typ: Typ::Required(&["at+jwt", "application/at+jwt"]),
    headers: &["alg", "typ", "kid"],
    algorithms: Algorithm::ALL,
};

/// How far another node's clock may run ahead of ours before its tokens count as from the future.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// What a gateway must know of the issuer whose tokens it takes: exactly one issuer, and with it the tenant.
#[derive(Debug, Clone)]
pub struct TokenVerifier {
    issuer: IssuerUrl,
    tenant: Tenant,
    public_url: PublicUrl,
    keys: KeySet,
    fingerprint: Digest,
    most_bytes: usize,
}

impl TokenVerifier {
    /// Tokens of `issuer`, which speaks for `tenant`, for the gateway at `public_url`, signed with one of `keys`.
    /// `most_bytes` is the limit `token_bytes`.
    #[must_use]
    pub fn new(
        issuer: IssuerUrl,
        tenant: Tenant,
        public_url: PublicUrl,
        keys: KeySet,
        most_bytes: usize,
    ) -> Self {
        let head = format!("{tenant}\n{issuer}\n{public_url}\n{most_bytes}\n");
        let fingerprint = Digest::of_parts(&[head.as_bytes(), keys.fingerprint().as_bytes()]);
        Self {
            issuer,
            tenant,
            public_url,
            keys,
            fingerprint,
            most_bytes,
        }
    }

    /// Who issues the tokens.
    #[must_use]
    pub const fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// The tenant of every token it accepts.
    #[must_use]
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// A digest of everything the verdict on a token depends on, the token and the time aside.
    pub(crate) const fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Verifies a token whole: form, `typ`, signature, issuer, one audience, every claim, times at `now`.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; a claim that is absent, unknown or malformed is one.
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        let jws = Jws::parse(text, self.most_bytes, &PROFILE)?;
        let claims = jws.verify(&self.keys)?.claims()?;
        let claims = AccessTokenClaims::read(&claims, &self.issuer, &self.public_url)?;
        let validity = claims.validity();
        // Another node of ours may have signed, with a clock a little ahead; the end is the end.
        let leeway = Leeway {
            ahead: CLOCK_SKEW,
            late: Duration::ZERO,
        };
        validity.check(now, leeway, AccessTokenClaims::LONGEST_LIFE)?;
        Ok(VerifiedToken {
            principal: Principal {
                tenant: self.tenant.clone(),
                agent: claims.agent,
                spiffe: claims.spiffe.clone(),
                requester: claims.requester.clone(),
                task: claims.task,
                token: claims.token,
                binding: claims.binding.clone(),
            },
            digest: Digest::of(text.as_bytes()),
            validity,
            claims,
        })
    }
}

/// A token whose signature and claims were verified once. Its key binding is not proven, and time goes on: see
/// [`VerifiedToken::live_at`].
#[derive(Debug)]
pub struct VerifiedToken {
    principal: Principal,
    claims: AccessTokenClaims,
    validity: Validity,
    digest: Digest,
}

impl VerifiedToken {
    /// Whether the token is good at `now`. A cached token is asked every time.
    #[must_use]
    pub fn live_at(&self, now: Timestamp) -> bool {
        let begun = |instant: Option<Timestamp>| {
            instant.is_none_or(|instant| instant <= now.plus(CLOCK_SKEW))
        };
        now < self.validity.expires
            && begun(self.validity.not_before)
            && begun(self.validity.issued)
    }

    /// Who calls, if the key is proven as well.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The resource it is for.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.claims.resource
    }

    /// The key it is bound to.
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.principal.binding
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.validity.expires
    }

    /// The client that asked for it.
    #[must_use]
    pub const fn client(&self) -> &ClientId {
        &self.claims.client_id
    }

    /// Its claims.
    #[must_use]
    pub const fn claims(&self) -> &AccessTokenClaims {
        &self.claims
    }

    /// How the user has authenticated for whom it is used, as far as their issuer said it.
    #[must_use]
    pub const fn authentication(&self) -> Option<&UserAuthentication> {
        self.claims.authentication.as_ref()
    }

    /// The granted `authorization_details`.
    #[must_use]
    pub const fn details(&self) -> &Value {
        &self.claims.details
    }

    /// The SHA-256 digest of the token's text.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
mod tests;
