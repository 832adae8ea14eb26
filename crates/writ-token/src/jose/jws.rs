//! The compact JWS (RFC 7515 §7.1, RFC 8725).

use std::collections::BTreeMap;

use writ_types::{Digest, JsonLimits, Value};

use super::{Algorithm, KeySet, VerifyingKey, base64url};
use crate::{ClaimError, Claims};

/// Why a signed text was refused. The text itself never stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// Longer than the limit.
    #[error("the signed text is too long")]
    TooLong,
    /// Not three parts divided by `.`.
    #[error("not a compact JWS: three parts divided by `.`")]
    NotCompact,
    /// A part that is not base64url without padding and slack.
    #[error("a part is not base64url")]
    Base64,
    /// The header is no strict JSON object.
    #[error("the header is not strict JSON")]
    Header,
    /// A header member that this kind of text may not have; among them `crit`, `jku`, `x5u`, `x5c`, `b64`, `zip`, `enc`.
    #[error("the header has a member that is not allowed here")]
    HeaderMember,
    /// A header member of the wrong type.
    #[error("the header member `{0}` is missing or of the wrong type")]
    HeaderType(&'static str),
    /// `alg` is unknown, `none`, symmetric, or not allowed here.
    #[error("the algorithm is not allowed here")]
    Algorithm,
    /// `typ` is not one of those this kind of text has.
    #[error("the `typ` is not the one this kind of token has")]
    Typ,
    /// The header names a key that the issuer does not have.
    #[error("the issuer has no key of that name")]
    UnknownKey,
    /// The header names no key, and the issuer has not exactly one.
    #[error("the header names no key")]
    NoKid,
    /// The key verifies with another algorithm than the header says.
    #[error("the key is pinned to another algorithm")]
    Pinned,
    /// The signature is not the key's over this text.
    #[error("the signature does not verify")]
    Signature,
}

/// Which `typ` a kind of text has (RFC 8725 §3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typ {
    /// One of these, and present.
    Required(&'static [&'static str]),
    /// One of these, or absent.
    Optional(&'static [&'static str]),
}

/// What the header of one kind of signed text may be. What it does not name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The values of `typ`.
    pub typ: Typ,
    /// The members a header may have; `alg` is always one of them.
    pub headers: &'static [&'static str],
    /// The algorithms.
    pub algorithms: &'static [Algorithm],
}

/// Members that no profile can allow: each lets the text choose its own key, its own rules or its own meaning.
const NEVER: [&str; 7] = ["crit", "b64", "jku", "x5u", "x5c", "zip", "enc"];

/// A compact JWS whose form and header are good. Nothing in it is proven before [`Jws::verify`].
#[derive(Debug)]
pub struct Jws<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    jwk: Option<Value>,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a compact JWS apart and checks its header against `profile`.
    ///
    /// # Errors
    ///
    /// [`JoseError`].
    pub fn parse(text: &'a str, most_bytes: usize, profile: &Profile) -> Result<Self, JoseError> {
        if text.len() > most_bytes {
            return Err(JoseError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseError::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(JoseError::NotCompact)?;
        if header.is_empty() || payload.contains('.') {
            return Err(JoseError::NotCompact);
        }
        let decode = |part| base64url::decode(part).ok_or(JoseError::Base64);
        let header =
            Value::parse(&decode(header)?, &HEADER_LIMITS).map_err(|_fault| JoseError::Header)?;
        let members = header.as_object().ok_or(JoseError::Header)?;
        let algorithm = profile.check(members)?;
        let kid = match members.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(JoseError::HeaderType("kid"))?.to_owned()),
        };
        Ok(Self {
            algorithm,
            kid,
            jwk: members.get("jwk").cloned(),
            signed,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The key that the header carries, where the profile allows one (RFC 9449 §4.2). Nothing vouches for it.
    pub(crate) const fn embedded_key(&self) -> Option<&Value> {
        self.jwk.as_ref()
    }

    /// The algorithm of the header.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The payload before anything is proven: only to choose whose keys must verify it.
    pub(crate) fn unproven_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Verifies the signature with the key that the header names.
    ///
    /// # Errors
    ///
    /// `UnknownKey`, `NoKid`, `Pinned` or `Signature`.
    pub fn verify(self, keys: &KeySet) -> Result<Verified, JoseError> {
        let key = keys.select(self.kid.as_deref())?;
        self.verify_by(key)
    }

    /// Verifies the signature with `key`.
    ///
    /// # Errors
    ///
    /// `Pinned` or `Signature`.
    pub fn verify_by(self, key: &VerifyingKey) -> Result<Verified, JoseError> {
        if key.algorithm() != self.algorithm {
            return Err(JoseError::Pinned);
        }
        if !key.accepts(self.signed.as_bytes(), &self.signature) {
            return Err(JoseError::Signature);
        }
        Ok(Verified {
            payload: self.payload,
            key: key.thumbprint(),
        })
    }
}

const HEADER_LIMITS: JsonLimits = JsonLimits {
    depth: 4,
    values: 64,
    number_chars: 32,
};

impl Profile {
    fn check(&self, members: &BTreeMap<String, Value>) -> Result<Algorithm, JoseError> {
        let allowed = |name: &String| {
            let name = name.as_str();
            name == "alg" || (self.headers.contains(&name) && !NEVER.contains(&name))
        };
        if !members.keys().all(allowed) {
            return Err(JoseError::HeaderMember);
        }
        let alg = members.get("alg").and_then(Value::as_str);
        let alg = alg.ok_or(JoseError::HeaderType("alg"))?;
        let algorithm = Algorithm::parse(alg).filter(|known| self.algorithms.contains(known));
        let algorithm = algorithm.ok_or(JoseError::Algorithm)?;
        let typ = match members.get("typ") {
            None => None,
            Some(typ) => Some(typ.as_str().ok_or(JoseError::HeaderType("typ"))?),
        };
        let right = match (self.typ, typ) {
            (Typ::Optional(_), None) => true,
            (Typ::Required(_), None) => false,
            (Typ::Optional(known) | Typ::Required(known), Some(typ)) => known.contains(&typ),
        };
        if right {
            Ok(algorithm)
        } else {
            Err(JoseError::Typ)
        }
    }
}

/// What a key has signed.
#[derive(Debug)]
pub struct Verified {
    payload: Vec<u8>,
    key: Digest,
}

impl Verified {
    /// The signed bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The thumbprint of the key.
    #[must_use]
    pub const fn key(&self) -> Digest {
        self.key
    }

    /// The signed bytes as claims (RFC 7519 §4).
    ///
    /// # Errors
    ///
    /// [`ClaimError::NotClaims`].
    pub fn claims(&self) -> Result<Claims, ClaimError> {
        Claims::parse(&self.payload)
    }
}
