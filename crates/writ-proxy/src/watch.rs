//! What an honest agent does not do (ARCHITECTURE "One instance, one key"): a key in use at two places at once, and what
//! was laid for thieves.
//!
//! A place is a network, as records name it: a /24 of IPv4, a /48 of IPv6. Addresses of both families are places beside each
//! other, because a client with both takes either; several machines behind one translator are one place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use writ_audit::{Alarm, AlarmKind, AlarmResponse, Source};
use writ_task::Entered;
use writ_token::Authenticated;
use writ_types::{Agent, Binding, Digest, Reaction, ReasonCode, Tenant, Timestamp};

use crate::decide;
use crate::gateway::{Downstream, Gateway};
use crate::snapshot::Snapshot;

/// So long after its last call from one network a key belongs there. An agent that moves has been quiet for as long, or
/// renews its token with another key.
const QUIET: Duration = Duration::from_secs(60);

/// Parts of the memory, each with a lock of its own; a key's first byte says which.
const SHARDS: usize = 64;

/// Most keys in one part.
const MOST: usize = 1024;

/// Where keys are in use. Only what was used within [`QUIET`] counts; a restart forgets it.
pub(crate) struct Places([Mutex<BTreeMap<Tenant, BTreeMap<Digest, Place>>>; SHARDS]);

/// Where one key is in use: at most one network of each family.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    v4: Option<(Source, Timestamp)>,
    v6: Option<(Source, Timestamp)>,
}

impl Place {
    fn is_quiet(&self, now: Timestamp) -> bool {
        let lately = |(_, at): (Source, Timestamp)| now.since(at) < QUIET;
        !self.v4.is_some_and(lately) && !self.v6.is_some_and(lately)
    }
}

/// Where a call's key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
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
    fn stand(
        &self,
        tenant: &Tenant,
        key: &Digest,
        (source, is_v4): (Source, bool),
        now: Timestamp,
    ) -> Stand {
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
        let seen = if is_v4 { &mut place.v4 } else { &mut place.v6 };
        match *seen {
            Some((before, at)) if before != source && now.since(at) < QUIET => {
                Stand::Elsewhere(before)
            }
            Some(_) | None => {
                *seen = Some((source, now));
                Stand::Here
            }
        }
    }
}

/// The agent of the task, if it may act and its key is in use at one place.
///
/// # Errors
///
/// Those of [`decide::agent`]; `second_source` if the key is in use elsewhere, `not_ready` if there is no room to know.
pub(crate) fn agent(
    gateway: &Gateway,
    snapshot: &Snapshot,
    (caller, entered): (&Authenticated, &Entered),
    from: &Downstream,
    now: Timestamp,
) -> Result<Arc<Agent>, ReasonCode> {
    let agent = decide::agent(snapshot, caller, entered)
        .inspect_err(|_| nobody(gateway, snapshot, caller, from))?;
    stand(gateway, &agent, caller, from, now)?;
    Ok(agent)
}

/// Whether the caller's key is where it was, as far as the agent's file asks for it.
fn stand(
    gateway: &Gateway,
    agent: &Agent,
    caller: &Authenticated,
    from: &Downstream,
    now: Timestamp,
) -> Result<(), ReasonCode> {
    let response = match agent.watch.second_source {
        Reaction::Allow => return Ok(()),
        Reaction::Raise => AlarmResponse::Raised,
        Reaction::Refuse => AlarmResponse::Refused,
    };
    let principal = caller.principal();
    let key = match principal.binding {
        Binding::Dpop(key) | Binding::Mtls(key) => key,
        // Without a key the token is all there is to steal.
        Binding::Unbound => Digest::of(principal.token.to_string().as_bytes()),
    };
    let address = from.peer.ip().to_canonical();
    let source = Source::of(address);
    let place = (source, address.is_ipv4());
    let before = match gateway.places().stand(&principal.tenant, &key, place, now) {
        Stand::Here => return Ok(()),
        Stand::Full => return Err(ReasonCode::NotReady),
        Stand::Elsewhere(before) => before,
    };
    gateway.parts.watchman.raise(Alarm {
        what: AlarmKind::SecondSource,
        agent: Some(agent.id),
        task: Some(principal.task),
        key: Some(key),
        trap: None,
        source: Some(source),
        before: Some(before),
        response,
    });
    match response {
        AlarmResponse::Raised => Ok(()),
        AlarmResponse::Refused | AlarmResponse::Stopped => Err(ReasonCode::SecondSource),
    }
}

/// Tells of a caller who is the agent that nobody is. It is refused as every agent that may not act.
fn nobody(gateway: &Gateway, snapshot: &Snapshot, caller: &Authenticated, from: &Downstream) {
    let principal = caller.principal();
    let agent = snapshot.agents.get(&principal.agent);
    if agent.is_some_and(|agent| agent.watch.honey) {
        gateway.parts.watchman.raise(Alarm {
            what: AlarmKind::Honey,
            agent: Some(principal.agent),
            task: Some(principal.task),
            key: None,
            trap: None,
            source: Some(Source::of(from.peer.ip())),
            before: None,
            response: AlarmResponse::Refused,
        });
    }
}

/// Whether something in `authorization` was laid for thieves; then it is told.
pub(crate) fn is_trap(
    gateway: &Gateway,
    snapshot: &Snapshot,
    authorization: &[&[u8]],
    from: &Downstream,
) -> bool {
    let traps = &snapshot.traps;
    let trap = authorization.iter().find_map(|value| {
        // The value whole, and what stands behind its scheme.
        let behind = value.iter().position(|byte| *byte == b' ');
        let token = behind.and_then(|place| value.get(place.saturating_add(1)..));
        traps
            .find(value)
            .or_else(|| token.and_then(|token| traps.find(token)))
    });
    let Some(trap) = trap else {
        return false;
    };
    gateway.parts.watchman.raise(Alarm {
        what: AlarmKind::Honey,
        agent: Some(trap.agent),
        task: None,
        key: None,
        trap: Some(trap.name.clone()),
        source: Some(Source::of(from.peer.ip())),
        before: None,
        response: if trap.stop {
            AlarmResponse::Stopped
        } else {
            AlarmResponse::Refused
        },
    });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One key, call after call: the seconds since the first, where it comes from, and where it is in use if not there.
    #[test]
    fn a_key_is_at_one_place_of_each_family() {
        let places = Places::default();
        let (tenant, key) = (Tenant::default_tenant(), Digest::of(b"key"));
        let begin = Timestamp::from_millis(1_795_000_000_000);
        for (seconds, address, elsewhere) in [
            (0, "192.0.2.1", None),
            (1, "192.0.2.200", None),
            (2, "198.51.100.1", Some("192.0.2.0/24")),
            // The other family is no other place, and has one place too.
            (3, "2001:db8:1::1", None),
            (4, "2001:db8:1:ffff::1", None),
            (5, "2001:db8:2::1", Some("2001:db8:1::/48")),
            (6, "::ffff:192.0.2.7", None),
            (7, "::ffff:198.51.100.1", Some("192.0.2.0/24")),
            // Whoever was refused has not moved the key.
            (65, "198.51.100.1", Some("192.0.2.0/24")),
            (66, "198.51.100.1", None),
            (67, "192.0.2.1", Some("198.51.100.0/24")),
            (126, "192.0.2.1", None),
        ] {
            let address: std::net::IpAddr = address.parse().unwrap();
            let place = (Source::of(address), address.to_canonical().is_ipv4());
            let now = begin.plus(Duration::from_secs(seconds));
            let stand = places.stand(&tenant, &key, place, now);
            let expected =
                elsewhere.map_or(Stand::Here, |text| Stand::Elsewhere(text.parse().unwrap()));
            assert_eq!(stand, expected, "{seconds} s, {address}");
            let other = places.stand(&tenant, &Digest::of(b"other"), place, now);
            assert!(seconds > 1 || other == Stand::Here, "another key");
        }
    }

    #[test]
    fn what_finds_no_room_is_not_let_through_and_room_comes_back() {
        let places = Places::default();
        let tenant = Tenant::default_tenant();
        let source = Source::of("192.0.2.1".parse().unwrap());
        let begin = Timestamp::from_millis(1_795_000_000_000);
        let mut full = false;
        for number in 0..=u64::try_from(SHARDS * MOST).unwrap() {
            let key = Digest::of(&number.to_be_bytes());
            full |= places.stand(&tenant, &key, (source, true), begin) == Stand::Full;
        }
        assert!(full, "one more than there is room for");
        let fresh = Digest::of(b"fresh");
        let later = begin.plus(QUIET);
        assert_eq!(
            places.stand(&tenant, &fresh, (source, true), later),
            Stand::Here
        );
    }
}
