//! Handing a task on: the holder of a task's token lets another agent open one task below it.

use std::time::Duration;

use writ_types::{Binding, Digest, SpiffeId, Timestamp};

use crate::access::read_confirmation;
use crate::claims::{Leeway, Validity};
use crate::jose::base64url;
use crate::ticket::read_details;
use crate::{
    ClaimError, Claims, ClientAssertion, ClientError, DpopProof, IssuerUrl, JoseError, Jwk, Jws,
    KeyUse, Profile, Typ,
};

const PROFILE: Profile = Profile {
    typ: Typ::Required(&["writ-handover+jwt"]),
    headers: &["alg", "jwk", "typ"],
    algorithms: DpopProof::ALGORITHMS,
};

const KNOWN: [&str; 9] = [
    "aud",
    "sub",
    "iat",
    "nbf",
    "exp",
    "jti",
    "cnf",
    "ath",
    "authorization_details#S256",
];

/// A verified hand-over. It opens one task: spend its `jti`.
///
/// It is signed with the key that the token is bound to, which is in its header as in a proof (RFC 9449 §4.2), so that who found the
/// token alone hands nothing on.
///
/// | claim | what |
/// |---|---|
/// | `aud` | the authorization server and nobody else |
/// | `sub`, `cnf` | the agent that may use it, and the key its token will be bound to |
/// | `ath` | SHA-256 of the token, in base64url (RFC 9449 §4.2) |
/// | `authorization_details#S256` | SHA-256 of the parameter's exact text, in base64url |
/// | `iat`, `exp`, `jti` | good for ten minutes at most, once |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    agent: SpiffeId,
    binding: Binding,
    details: Digest,
    jti: String,
    issued: Timestamp,
    expires: Timestamp,
}

impl Handover {
    /// Longest life.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(600);

    /// Longest `jti`, in bytes.
    pub const MOST_JTI_BYTES: usize = 256;

    /// Verifies a hand-over of the task of `token`, which is bound to the key with the thumbprint `holder`. Unknown claims are
    /// refused: they may narrow what is not understood.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn verify(
        text: &str,
        (token, holder): (&str, Digest),
        server: &IssuerUrl,
        now: Timestamp,
    ) -> Result<Self, ClientError> {
        let jws = Jws::parse(text, ClientAssertion::MOST_BYTES, &PROFILE)?;
        let key = jws.embedded_key().ok_or(JoseError::Header)?;
        let key = Jwk::parse(key).map_err(|_no_key| JoseError::Header)?;
        let key = key
            .verifying_key(KeyUse::Signature, Some(jws.algorithm()))
            .map_err(|_no_key| JoseError::Header)?;
        if key.thumbprint() != holder {
            return Err(JoseError::Signature.into());
        }
        let claims = jws.verify_by(&key)?.claims()?;
        claims.only(&KNOWN)?;
        if claims.only_audience()? != server.as_str() {
            return Err(ClaimError::Wrong("aud").into());
        }
        if claims.text("ath")? != base64url::encode(Digest::of(token.as_bytes()).as_bytes()) {
            return Err(ClaimError::Wrong("ath").into());
        }
        let (issued, expires) = lives(&claims, now)?;
        let details = read_details(&claims)?;
        let jti = claims.text("jti")?;
        if jti.is_empty() || jti.len() > Self::MOST_JTI_BYTES {
            return Err(ClaimError::Malformed("jti").into());
        }
        Ok(Self {
            agent: claims.parsed("sub")?,
            binding: read_confirmation(claims.value("cnf")?)?,
            details,
            jti: jti.to_owned(),
            issued,
            expires,
        })
    }

    /// Whether it is for this agent with this key, and for exactly these details.
    #[must_use]
    pub fn admits(&self, agent: &SpiffeId, binding: &Binding, details: &str) -> bool {
        self.agent == *agent
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

fn lives(claims: &Claims, now: Timestamp) -> Result<(Timestamp, Timestamp), ClaimError> {
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
    validity.check(now, leeway, Handover::LONGEST_LIFE)?;
    Ok((issued, validity.expires))
}
