//! Task tickets: a registered client says which task an agent may open, and so vouches for its prompt, bounds and plan.

use std::time::Duration;

use writ_types::{Binding, Digest, Requester, SpiffeId, Timestamp};

use crate::access::{read_confirmation, read_requester};
use crate::client_assertion::signed_by;
use crate::jose::base64url;
use crate::{
    Algorithm, ClaimError, Claims, ClientAssertion, ClientError, IssuerUrl, Jws, Profile,
    RegisteredClient, Typ,
};

const PROFILE: Profile = Profile {
    typ: Typ::Required(&["writ-ticket+jwt"]),
    headers: &["alg", "kid", "typ"],
    algorithms: Algorithm::ALL,
};

const KNOWN: [&str; 10] = [
    "iss",
    "aud",
    "sub",
    "sub_id",
    "iat",
    "nbf",
    "exp",
    "jti",
    "cnf",
    "authorization_details#S256",
];

/// A verified task ticket. It opens one task: spend its `jti`.
///
/// | claim | what |
/// |---|---|
/// | `iss`, `aud` | the client that vouches; the authorization server and nobody else |
/// | `sub`, `cnf` | the agent that may use it, and the key its token will be bound to |
/// | `sub_id` | the user the task is for (RFC 9493 `iss_sub`); absent: for nobody |
/// | `authorization_details#S256` | SHA-256 of the parameter's exact text, in base64url |
/// | `iat`, `exp`, `jti` | good for ten minutes at most, once |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTicket {
    agent: SpiffeId,
    requester: Option<Requester>,
    binding: Binding,
    details: Digest,
    jti: String,
    issued: Timestamp,
    expires: Timestamp,
}

impl TaskTicket {
    /// Longest life.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(600);

    /// The client that a ticket claims to be from, before anything is proven: only to choose whose keys must verify it.
    ///
    /// # Errors
    ///
    /// The text is no ticket.
    pub fn claimed_issuer(text: &str) -> Result<String, ClientError> {
        let jws = Jws::parse(text, ClientAssertion::MOST_BYTES, &PROFILE)?;
        Ok(Claims::parse(jws.unproven_payload())?
            .text("iss")?
            .to_owned())
    }

    /// Verifies a ticket of `client`. Unknown claims are refused: they may narrow what is not understood.
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
        let jws = Jws::parse(text, ClientAssertion::MOST_BYTES, &PROFILE)?;
        let claims = jws.verify(client.keys_at(now)?)?.claims()?;
        claims.only(&KNOWN)?;
        let (issued, expires) = signed_by(&claims, client, server, Self::LONGEST_LIFE, now)?;
        let details = read_details(&claims)?;
        Ok(Self {
            agent: claims.parsed("sub")?,
            requester: claims.get("sub_id").map(read_requester).transpose()?,
            binding: read_confirmation(claims.value("cnf")?)?,
            details,
            jti: claims.text("jti")?.to_owned(),
            issued,
            expires,
        })
    }

    /// Whether it is for this agent with this key, for this user, and for exactly these details.
    #[must_use]
    pub fn admits(
        &self,
        agent: &SpiffeId,
        requester: Option<&Requester>,
        binding: &Binding,
        details: &str,
    ) -> bool {
        self.agent == *agent
            && self.requester.as_ref() == requester
            && self.binding == *binding
            && self.details == Digest::of(details.as_bytes())
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

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// The digest of the one `authorization_details` that something signed is for.
pub(crate) fn read_details(claims: &Claims) -> Result<Digest, ClaimError> {
    let details = claims.text("authorization_details#S256")?;
    let malformed = ClaimError::Malformed("authorization_details#S256");
    let details = base64url::decode_digest(details).ok_or(malformed)?;
    Ok(Digest::from_bytes(details))
}

#[cfg(test)]
mod tests;
