//! Tokens whose signature was verified once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use writ_types::{Digest, Timestamp};

use super::{TokenError, TokenVerifier, VerifiedToken};
use crate::ClaimError;

const SHARDS: usize = 16;

#[derive(Debug, Default)]
struct Shard {
    tokens: BTreeMap<Digest, Arc<VerifiedToken>>,
    by_expiry: BTreeSet<(Timestamp, Digest)>,
}

/// A bounded memory of verified tokens. A hit saves the signature, never the clock: `exp` is looked at every time, and
/// whether the task lives is the ledger's to say. Forgetting is always safe.
///
/// The key is the digest of tenant, verifier (issuer, audience, keys) and the token's text, so that a key taken out of
/// the verifier's set takes the tokens it signed with it.
#[derive(Debug)]
pub struct TokenCache {
    shards: Vec<Mutex<Shard>>,
    most_per_shard: usize,
}

impl TokenCache {
    /// A cache of at most about `most` tokens (the limit `token_cache`).
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most_per_shard: most.div_ceil(SHARDS).max(1),
        }
    }

    /// The token, verified now or before, and live at `now`.
    ///
    /// # Errors
    ///
    /// As [`TokenVerifier::verify`].
    pub fn verify(
        &self,
        text: &str,
        verifier: &TokenVerifier,
        now: Timestamp,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        let key = Digest::of_parts(&[
            verifier.tenant().as_str().as_bytes(),
            &[0],
            verifier.fingerprint().as_bytes(),
            text.as_bytes(),
        ]);
        if let Some(token) = self.with(&key, |shard| shard.tokens.get(&key).map(Arc::clone)) {
            return if token.live_at(now) {
                Ok(token)
            } else {
                Err(TokenError::Claim(ClaimError::Expired))
            };
        }
        let token = Arc::new(verifier.verify(text, now)?);
        self.with(&key, |shard| shard.insert(key, &token, self.most_per_shard));
        Ok(token)
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .tokens
                .len()
        };
        self.shards.iter().map(count).sum()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T: Default>(&self, key: &Digest, act: impl FnOnce(&mut Shard) -> T) -> T {
        let [first, ..] = key.as_bytes();
        let place = usize::from(*first) % SHARDS;
        let Some(shard) = self.shards.get(place) else {
            return T::default();
        };
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    /// Remembers a token; if the shard is full, the one that ends first is forgotten.
    fn insert(&mut self, key: Digest, token: &Arc<VerifiedToken>, most: usize) {
        if self.tokens.len() >= most
            && let Some((_, soonest)) = self.by_expiry.pop_first()
        {
            self.tokens.remove(&soonest);
        }
        if self.tokens.insert(key, Arc::clone(token)).is_none() {
            self.by_expiry.insert((token.expires(), key));
        }
    }
}
