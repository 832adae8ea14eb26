//! A project put in force while nothing runs: the way out when the revision in force is one that this program cannot use.

use std::collections::BTreeMap;

use writ_audit::{Actor, Append, Durability, Event, Header, NodeName, Record, RevisionActivated};
use writ_store::Store;
use writ_types::{RecordId, RevisionId, SpiffeId, Tenant, Timestamp, TrustDomain};

use crate::drift;
use crate::log::LogWriter;
use crate::plane::Keys;
use crate::reload::{self, Compiler};
use crate::start::StartError;

/// What mending works on. The log is open for this process alone, so nothing else runs on the store.
#[derive(Debug, Clone, Copy)]
pub struct Mending<'a> {
    /// The store.
    pub store: &'a Store,
    /// The tenant.
    pub tenant: &'a Tenant,
    /// Opens credentials.
    pub keys: &'a Keys,
    /// Where the change is recorded.
    pub log: &'a LogWriter,
    /// This machine's name in records.
    pub node: &'a NodeName,
    /// The built-in trust domain.
    pub trust_domain: &'a TrustDomain,
}

/// What mending did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The revision in force now.
    pub revision: RevisionId,
    /// Agents that were killed and stay stopped.
    pub still_stopped: Vec<SpiffeId>,
}

impl Mending<'_> {
    /// Checks a project whole, records it and moves the revision row, as `POST /v1/apply` does in a running process. Agents keep
    /// their ids, and those that were killed stay stopped unless `resumed` names them by SPIFFE id or its last part.
    ///
    /// # Errors
    ///
    /// [`StartError::Project`] with every fault of the project; the revision before stays then.
    pub async fn apply(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        resumed: &[String],
        now: Timestamp,
    ) -> Result<Mended, StartError> {
        let active = self.store.active_revision(self.tenant).await?;
        let active = active.ok_or(StartError::Empty)?;
        let stored = self.store.load(self.tenant, active.id).await?;
        let before = stored.agents.clone();
        let known = |spiffe: &SpiffeId| {
            let mut agents = before.values();
            agents
                .find(|agent| agent.spiffe == *spiffe)
                .map(|agent| agent.id)
        };
        let project = reload::read_project(files, self.trust_domain, now, known)
            .map_err(StartError::Project)?;
        let mut registry = reload::registry(&project);
        drift::keep(&mut registry, stored);
        let is_resumed = |spiffe: &SpiffeId| {
            let text = spiffe.as_str();
            let ends = |name: &String| text == name || text.ends_with(&format!("/{name}"));
            resumed.iter().any(ends)
        };
        let still_stopped = reload::keep_stopped(&mut registry, |agent| {
            let stopped = before.get(&agent.id).is_some_and(|known| !known.enabled);
            stopped && !is_resumed(&agent.spiffe)
        });
        let revision = RevisionId::new(now, crate::random());
        let compiler = Compiler {
            store: self.store,
            tenant: self.tenant,
            keys: self.keys,
            now,
        };
        let next = compiler
            .compile(revision, registry.clone())
            .await
            .map_err(StartError::Project)?;
        self.store
            .propose(self.tenant, Some(active.id), revision, &registry, now)
            .await?;
        let header = Header {
            id: RecordId::new(now, crate::random()),
            tenant: self.tenant.clone(),
            time: now,
            node: self.node.clone(),
            revision: Some(active.id),
        };
        let event = RevisionActivated {
            from: Some(active.id),
            to: revision,
            digest: next.digest,
            by: Actor::System,
        };
        let record = Record::new(header, Event::RevisionActivated(event));
        self.log
            .append(record, None, Durability::Durable)
            .await
            .map(drop)
            .map_err(StartError::Record)?;
        self.store
            .activate(self.tenant, Some(active.id), revision, now)
            .await?;
        Ok(Mended {
            revision,
            still_stopped,
        })
    }
}
