//! Proofs that were used (RFC 9449 §11.1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use writ_types::{Digest, Tenant, Timestamp, WallGuard};

use super::DpopProof;
use crate::ClientId;

const SHARDS: usize = 64;

/// Why a proof may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The same key used the same `jti` before.
    #[error("the proof was used before")]
    Replayed,
    /// There is no room to remember it, and a proof that is not remembered could be used twice.
    #[error("too many proofs are remembered")]
    Full,
}

#[derive(Debug, Default)]
struct Shard {
    used: BTreeMap<Digest, Timestamp>,
    by_end: BTreeSet<(Timestamp, Digest)>,
}

/// Who signed something that is good for one use.
#[derive(Debug, Clone, Copy)]
pub enum SignedBy<'a> {
    /// A registered client.
    Client(&'a ClientId),
    /// Whoever has the key of this thumbprint.
    Key(Digest),
}

/// A bounded memory of used proofs, by tenant, key and `jti`, for as long as each could still be accepted.
///
/// Proofs spread evenly over the shards, so that one key may use as much of the memory as all: what bounds a caller is its
/// budget, and what bounds all callers is the limit.
#[derive(Debug)]
pub struct ReplayCache {
    shards: Vec<Mutex<Shard>>,
    most_per_shard: usize,
}

impl ReplayCache {
    /// A cache of at most about `most` proofs (the limit `proof_cache`).
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most_per_shard: most.div_ceil(SHARDS).max(1),
        }
    }

    /// Notes that the proof is used now. `max_age` is the one the proof was verified with.
    ///
    /// # Errors
    ///
    /// `Replayed`, or `Full`: fail closed.
    pub fn spend(
        &self,
        tenant: &Tenant,
        proof: &DpopProof,
        max_age: Duration,
        now: Timestamp,
    ) -> Result<(), ReplayError> {
        let (jkt, jti) = (proof.jkt(), proof.jti_hash());
        let tenant = tenant.as_str().as_bytes();
        let key = Digest::of_parts(&[tenant, &[0], jkt.as_bytes(), jti.as_bytes()]);
        self.remember(key, proof.issued().plus(max_age), now)
    }

    /// Notes that a client's signed text of this `jti`, which ends at `end`, is used now.
    ///
    /// # Errors
    ///
    /// `Replayed`, or `Full`: fail closed.
    pub fn spend_once(
        &self,
        tenant: &Tenant,
        signer: SignedBy<'_>,
        jti: &str,
        end: Timestamp,
        now: Timestamp,
    ) -> Result<(), ReplayError> {
        let (kind, signer) = match signer {
            SignedBy::Client(client) => ([1], Digest::of(client.as_str().as_bytes())),
            SignedBy::Key(thumbprint) => ([2], thumbprint),
        };
        let parts = [
            tenant.as_str().as_bytes(),
            &kind,
            signer.as_bytes(),
            jti.as_bytes(),
        ];
        self.remember(Digest::of_parts(&parts), end, now)
    }

    fn remember(&self, key: Digest, end: Timestamp, now: Timestamp) -> Result<(), ReplayError> {
        // The clock may step back a little without anyone noticing; a proof must not become fresh again by that.
        let end = end.plus(WallGuard::TOLERANCE.saturating_mul(2));
        let [first, ..] = key.as_bytes();
        let place = usize::from(*first) % SHARDS;
        let shard = self.shards.get(place).ok_or(ReplayError::Full)?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.forget_before(now);
        if shard.used.contains_key(&key) {
            return Err(ReplayError::Replayed);
        }
        if shard.used.len() >= self.most_per_shard {
            return Err(ReplayError::Full);
        }
        shard.used.insert(key, end);
        shard.by_end.insert((end, key));
        Ok(())
    }
}

impl Shard {
    fn forget_before(&mut self, now: Timestamp) {
        while let Some((end, key)) = self.by_end.first().copied()
            && end < now
        {
            self.by_end.pop_first();
            self.used.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(jkt: u8, jti: u64, issued: u64) -> DpopProof {
        DpopProof {
            jkt: Digest::from_bytes([jkt; 32]),
            jti: Digest::of(&jti.to_be_bytes()),
            issued: Timestamp::from_secs(issued),
        }
    }

    #[test]
    fn a_proof_is_used_once_by_tenant_key_and_jti() {
        let cache = ReplayCache::new(1024);
        let (one, two): (Tenant, Tenant) = ("one".parse().unwrap(), "two".parse().unwrap());
        let (age, now) = (Duration::from_secs(60), Timestamp::from_secs(1000));
        let spend = |tenant: &Tenant, proof: DpopProof| cache.spend(tenant, &proof, age, now);
        assert_eq!(spend(&one, proof(1, 1, 1000)), Ok(()));
        assert_eq!(spend(&one, proof(1, 1, 1000)), Err(ReplayError::Replayed));
        assert_eq!(spend(&one, proof(1, 1, 999)), Err(ReplayError::Replayed));
        assert_eq!(spend(&one, proof(1, 2, 1000)), Ok(()));
        assert_eq!(spend(&one, proof(2, 1, 1000)), Ok(()));
        assert_eq!(spend(&two, proof(1, 1, 1000)), Ok(()));
    }

    #[test]
    fn it_is_remembered_for_as_long_as_it_could_be_accepted() {
        let cache = ReplayCache::new(1024);
        let tenant = Tenant::default_tenant();
        let age = Duration::from_secs(60);
        // A client whose clock runs ahead: its proof is accepted until issued + max age.
        let spend =
            |now: u64| cache.spend(&tenant, &proof(1, 1, 1005), age, Timestamp::from_secs(now));
        assert_eq!(spend(1000), Ok(()));
        assert_eq!(spend(1065), Err(ReplayError::Replayed));
        assert_eq!(
            spend(1069),
            Err(ReplayError::Replayed),
            "the clock may step back"
        );
        assert_eq!(spend(1070), Ok(()), "by now the age alone refuses it");
    }

    #[test]
    fn full_is_a_refusal_and_room_comes_back_with_time() {
        let most = SHARDS * 4;
        let cache = ReplayCache::new(most);
        let tenant = Tenant::default_tenant();
        let (age, now) = (Duration::from_secs(60), Timestamp::from_secs(1000));
        let spend = |jti, issued, now| cache.spend(&tenant, &proof(1, jti, issued), age, now);
        let taken = (0..10_000)
            .filter(|jti| spend(*jti, 1000, now).is_ok())
            .count();
        assert!(
            taken <= most && taken > most / 2,
            "one key may use most of the room, and no more than there is: {taken}"
        );
        assert_eq!(spend(99_999, 1000, now), Err(ReplayError::Full));
        assert_eq!(spend(99_999, 1060, Timestamp::from_secs(1065)), Ok(()));
    }
}
