//! The trust roots of the settings: who vouches for others, held against what people have approved.
//!
//! Whoever may write the settings file may not, by that alone, say whose tokens are believed. What nobody has approved
//! yet is held: known, shown, and believed by nothing. At the first start, and at one in single-operator mode, there is
//! nobody to approve it; it is accepted then, and recorded. A process that runs accepts nothing by itself.

use std::collections::{BTreeMap, BTreeSet};

use writ_audit::{Actor, Durability, Event, KeyRotated};
use writ_store::{Store, StoreError};
use writ_types::{Digest, Tenant};

use crate::four_eyes::{self, People};
use crate::plane::Plane;

/// Stands among the approved roots once there was a start: nothing approved is another thing than nothing known.
const BEGUN: &str = "";

/// The vouchers of the settings, and which of them are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    configured: BTreeMap<String, Digest>,
    held: BTreeSet<String>,
    /// Those who were approved and whom the settings do not name any more.
    gone: BTreeSet<String>,
    /// What stays approved of what was.
    kept: BTreeMap<String, Digest>,
    /// The digest of what was approved before, where this start accepts something else.
    accepted_over: Option<Digest>,
}

/// When settings are held against what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At a start, which accepts what nobody could approve.
    Start,
    /// While the process runs.
    Reload,
}

impl Roots {
    /// Holds the vouchers of the settings, each by its name and the digest of all that is said of it, against what was
    /// approved.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub async fn of(
        store: &Store,
        tenant: &Tenant,
        mut configured: BTreeMap<String, Digest>,
        at: At,
    ) -> Result<Self, StoreError> {
        configured.insert(BEGUN.to_owned(), Digest::of(b""));
        let approved = store.trust_roots(tenant).await?;
        let people = People::read(store, tenant).await?;
        let nobody = approved.is_empty() || four_eyes::single_operator(&people);
        let nobody = nobody && at == At::Start;
        let new = |(name, digest): &(&String, &Digest)| approved.get(*name) != Some(*digest);
        let held: BTreeSet<String> = configured
            .iter()
            .filter(new)
            .map(|(name, _)| name.clone())
            .collect();
        let accepts = nobody && approved != configured;
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = approved
            .clone()
            .into_iter()
            .partition(|(name, _)| configured.contains_key(name));
        Ok(Self {
            gone: gone.into_keys().collect(),
            kept,
            configured,
            held: if nobody { BTreeSet::new() } else { held },
            accepted_over: accepts.then(|| Self::digest_of(&approved)),
        })
    }

    /// Whether a voucher waits for people's approval.
    #[must_use]
    pub fn is_held(&self, name: &str) -> bool {
        self.held.contains(name)
    }

    /// The names of the vouchers that wait.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(String::as_str)
    }

    /// Whether somebody was approved whom the settings do not name any more.
    pub(crate) fn is_gone(&self, name: &str) -> bool {
        self.gone.contains(name)
    }

    /// Whether others are believed than with these, or the same by other settings.
    pub(crate) fn believes_otherwise(&self, later: &Self) -> bool {
        self.configured != later.configured || self.held != later.held
    }

    pub(crate) const fn configured(&self) -> &BTreeMap<String, Digest> {
        &self.configured
    }

    /// Records and keeps what this start accepts because there is nobody to approve it.
    pub(crate) async fn accept(&self, plane: &Plane) -> Result<(), String> {
        match self.accepted_over {
            Some(before) => self.approve(plane, before, Actor::System).await,
            None => Ok(()),
        }
    }

    /// Records that these roots are approved, and keeps them.
    pub(crate) async fn approve(
        &self,
        plane: &Plane,
        before: Digest,
        by: Actor,
    ) -> Result<(), String> {
        keep(plane, before, &self.configured, by).await
    }

    /// Records that those who are gone are approved no more, and forgets them: if they come back, they are new.
    pub(crate) async fn forget(&self, plane: &Plane, by: Actor) -> Result<(), String> {
        // What this start accepts has been kept already, without them.
        if self.gone.is_empty() || self.accepted_over.is_some() {
            return Ok(());
        }
        let approved = plane.store.trust_roots(&plane.tenant).await;
        let before = Self::digest_of(&approved.map_err(|fault| fault.to_string())?);
        if before == Self::digest_of(&self.kept) {
            return Ok(());
        }
        keep(plane, before, &self.kept, by).await
    }

    /// What all of them are together.
    pub(crate) fn digest(&self) -> Digest {
        Self::digest_of(&self.configured)
    }

    pub(crate) fn digest_of(roots: &BTreeMap<String, Digest>) -> Digest {
        let lines: String = roots
            .iter()
            .map(|(name, digest)| format!("{name}\n{digest}\n"))
            .collect();
        Digest::of_parts(&[b"writ trust roots v1\n", lines.as_bytes()])
    }
}

/// Records which roots are approved from now on, and keeps them.
async fn keep(
    plane: &Plane,
    before: Digest,
    roots: &BTreeMap<String, Digest>,
    by: Actor,
) -> Result<(), String> {
    let purpose = "trust"
        .parse()
        .map_err(|_never| "the purpose has no name".to_owned())?;
    let event = Event::KeyRotated(KeyRotated {
        purpose,
        old: Some(before),
        new: Roots::digest_of(roots),
        by,
    });
    let header = plane.header(plane.clock.now());
    let recorded = plane.record(header, event, None, Durability::Durable).await;
    recorded.map_err(|fault| fault.to_string())?;
    let kept = plane.store.put_trust_roots(&plane.tenant, roots).await;
    kept.map_err(|fault| fault.to_string())
}
