//! Key sets (RFC 7517 §5).

use std::collections::BTreeMap;

use writ_types::{Digest, JsonFault, JsonLimits, Value};

use super::{Algorithm, JoseError, Jwk, JwkError, KeyUse, VerifyingKey};

/// Why a key set was refused whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The text is no JSON.
    #[error("the key set is not strict JSON: {0}")]
    Json(JsonFault),
    /// Not an object with an array `keys`, or more than [`KeySet::MOST_KEYS`].
    #[error("a key set is an object with an array `keys` of at most 128 keys")]
    Shape,
    /// A secret stands in the set. A publisher that leaks one key is not trusted with the others.
    #[error("key {place} of the set is secret: {cause}")]
    Secret {
        /// Which key, from 0.
        place: usize,
        /// What gave it away.
        cause: JwkError,
    },
    /// Two keys have one name, so that a `kid` would not say which is meant.
    #[error("two keys of the set have the same `kid`")]
    DuplicateKid,
}

/// A key of the set that is not used, and why; for `doctor` and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Which key of the set, from 0.
    pub place: usize,
    /// Why it is not used.
    pub cause: JwkError,
}

/// Which algorithm a key is pinned to where neither its `alg` nor its curve says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPins {
    /// For RSA keys without `alg`.
    pub rsa: Algorithm,
    /// For keys of these names; a pin that contradicts the key leaves the key out.
    pub by_kid: BTreeMap<String, Algorithm>,
}

impl Default for KeyPins {
    /// RSA keys without `alg` verify RS256 and nothing else.
    fn default() -> Self {
        Self {
            rsa: Algorithm::RS256,
            by_kid: BTreeMap::new(),
        }
    }
}

impl KeyPins {
    fn pin(&self, jwk: &Jwk) -> Option<Algorithm> {
        let named = jwk.kid().and_then(|kid| self.by_kid.get(kid)).copied();
        named.or_else(|| (jwk.algorithm().is_none() && jwk.fits(self.rsa)).then_some(self.rsa))
    }
}

/// The public keys of one issuer, each pinned to one algorithm.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: Vec<SkippedKey>,
    fingerprint: Digest,
}

impl KeySet {
    /// Most keys of one set.
    pub const MOST_KEYS: usize = 128;

    /// Reads a JWKS document of an OAuth or OIDC issuer.
    ///
    /// # Errors
    ///
    /// [`KeySetError`]. Keys for other uses and of unknown types are skipped (RFC 7517 §5); a set that publishes a secret
    /// or names two keys alike is refused whole.
    pub fn parse(document: &[u8], pins: &KeyPins) -> Result<Self, KeySetError> {
        let value = Value::parse(document, &JsonLimits::REQUEST).map_err(KeySetError::Json)?;
        Self::of_use(&value, KeyUse::Signature, pins)
    }

    /// Reads the keys of one use out of a key set.
    ///
    /// # Errors
    ///
    /// As [`KeySet::parse`].
    pub fn of_use(value: &Value, wanted: KeyUse, pins: &KeyPins) -> Result<Self, KeySetError> {
        let listed = value.member("keys").and_then(Value::as_array);
        let listed = listed.ok_or(KeySetError::Shape)?;
        if listed.len() > Self::MOST_KEYS {
            return Err(KeySetError::Shape);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (place, key) in listed.iter().enumerate() {
            let loaded = Jwk::parse(key).and_then(|jwk| jwk.verifying_key(wanted, pins.pin(&jwk)));
            match loaded {
                Ok(key) => keys.push(key),
                Err(cause @ (JwkError::Private | JwkError::Symmetric)) => {
                    return Err(KeySetError::Secret { place, cause });
                }
                Err(cause) => skipped.push(SkippedKey { place, cause }),
            }
        }
        let mut set = Self::of(keys)?;
        set.skipped = skipped;
        Ok(set)
    }

    /// A set of keys that are already at hand.
    ///
    /// # Errors
    ///
    /// [`KeySetError::DuplicateKid`].
    pub fn of(keys: Vec<VerifyingKey>) -> Result<Self, KeySetError> {
        let mut names: Vec<_> = keys.iter().filter_map(VerifyingKey::kid).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(KeySetError::DuplicateKid);
        }
        let parts: Vec<String> = keys
            .iter()
            .map(|key| format!("{:?} {} {}\n", key.kid(), key.algorithm(), key.thumbprint()))
            .collect();
        let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        Ok(Self {
            fingerprint: Digest::of_parts(&parts),
            keys,
            skipped: Vec::new(),
        })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// A digest of names, algorithms and keys: two sets with the same one verify the same texts.
    #[must_use]
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// The key a header means: the one it names; without a name only the only key there is.
    pub(super) fn select(&self, kid: Option<&str>) -> Result<&VerifyingKey, JoseError> {
        match (kid, self.keys.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(JoseError::NoKid),
            (Some(kid), keys) => {
                let named = keys.iter().find(|key| key.kid() == Some(kid));
                named.ok_or(JoseError::UnknownKey)
            }
        }
    }
}
