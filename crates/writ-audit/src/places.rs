//! Where keys are in use (ARCHITECTURE "One instance, one key"): a key in use at two places at once is in two hands.
//!
//! A place is a network, as records name it: a /24 of IPv4, a /48 of IPv6. Addresses of both families are places beside each
//! other, because a client with both takes either; several machines behind one translator are one place.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use writ_types::{Digest, Tenant, Timestamp};

use crate::Source;

/// So long after it was used last from one network a key belongs there. An agent that moves has been quiet for as long, or
/// renews its token with another key.
const QUIET: Duration = Duration::from_secs(60);

/// Parts of the memory, each with a lock of its own; a key's first byte says which.
const SHARDS: usize = 64;

/// Most keys in one part.
const MOST: usize = 1024;

/// Where keys are in use. Only what was used within a minute counts; a restart forgets it.
pub struct Places([Mutex<BTreeMap<Tenant, BTreeMap<Digest, Place>>>; SHARDS]);

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// A call. It is held against the calls before it.
    Call,
    /// A token is asked for. It is held against calls and askings: an agent may reach the two planes by two ways for its first
    /// call, but whoever asks anew for a key that calls from elsewhere is somebody else.
    Asking,
}

/// The last network of one family that a key was used from.
type Last = Option<(Source, Timestamp)>;

/// Where one key is in use: at most one network of each family.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    v4: Uses,
    v6: Uses,
}

#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    calls: Last,
    askings: Last,
}

impl Place {
    fn is_quiet(&self, now: Timestamp) -> bool {
        let Self { v4, v6 } = self;
        let all = [v4.calls, v4.askings, v6.calls, v6.askings];
        !all.into_iter().any(|last| lately(last, now).is_some())
    }
}

fn lately(last: Last, now: Timestamp) -> Option<Source> {
    let (source, _) = last.filter(|(_, at)| now.since(*at) < QUIET)?;
    Some(source)
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Where it was, or somewhere new after it was quiet.
    Here,
    /// It is in use elsewhere.
    Elsewhere(Source),
    /// There is no room to know.
    Full,
}

impl Default for Places {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Places")
    }
}

impl Places {
    /// Where a key stands that is used from an address now. Who is elsewhere has not moved it.
    #[must_use]
    pub fn stand(
        &self,
        tenant: &Tenant,
        key: &Digest,
        (used, address): (KeyUse, IpAddr),
        now: Timestamp,
    ) -> Stand {
        let address = address.to_canonical();
        let source = Source::of(address);
        let first = key.as_bytes().first().copied().map_or(0, usize::from);
        let Some(shard) = self.0.get(first % SHARDS) else {
            return Stand::Full;
        };
        let mut tenants = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.clone(), BTreeMap::new());
        }
        let Some(keys) = tenants.get_mut(tenant) else {
            return Stand::Full;
        };
        if keys.len() >= MOST && !keys.contains_key(key) {
            keys.retain(|_, place| !place.is_quiet(now));
            if keys.len() >= MOST {
                return Stand::Full;
            }
        }
        let place = keys.entry(*key).or_default();
        let uses = if address.is_ipv4() {
            &mut place.v4
        } else {
            &mut place.v6
        };
        let asked = match used {
            KeyUse::Call => None,
            KeyUse::Asking => lately(uses.askings, now),
        };
        let others = [lately(uses.calls, now), asked];
        if let Some(before) = others
            .into_iter()
            .flatten()
            .find(|before| *before != source)
        {
            return Stand::Elsewhere(before);
        }
        let own = match used {
            KeyUse::Call => &mut uses.calls,
            KeyUse::Asking => &mut uses.askings,
        };
        *own = Some((source, now));
        Stand::Here
    }
}

#[cfg(test)]
mod tests;
