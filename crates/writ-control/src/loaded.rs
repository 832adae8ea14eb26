//! One revision, read from the store and made ready: what both planes run on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use writ_contract::Contract;
use writ_policy::Pdp;
use writ_task::Heading;
use writ_types::{
    Agent, AgentId, Api, ApiId, Digest, OperationId, Purpose, PurposeName, RevisionId, Secret,
    SpiffeId, Traps,
};

/// A whole revision, compiled.
#[derive(Debug)]
pub struct Loaded {
    /// Which revision it is.
    pub revision: RevisionId,
    /// What it commits to.
    pub digest: Digest,
    /// The APIs with their contracts and credentials.
    pub apis: BTreeMap<ApiId, LoadedApi>,
    /// The agents.
    pub agents: BTreeMap<AgentId, Arc<Agent>>,
    /// The purposes.
    pub purposes: BTreeMap<PurposeName, Purpose>,
    /// The policies.
    pub pdp: Arc<Pdp>,
    /// What was laid for thieves.
    pub traps: Arc<Traps>,
}

/// One API of a revision.
#[derive(Debug)]
pub struct LoadedApi {
    /// Its registration.
    pub api: Api,
    /// Its pinned contract.
    pub contract: Arc<Contract>,
    /// Operations that the server has changed since and that wait for their owner.
    pub quarantined: BTreeSet<OperationId>,
    /// Its credential, where it wants one and it is set.
    pub credential: Option<LoadedCredential>,
}

/// An opened credential.
pub struct LoadedCredential {
    /// Its version.
    pub version: u32,
    /// Its value.
    pub secret: Secret<String>,
}

impl LoadedApi {
    /// Where its calls go.
    #[must_use]
    pub fn heading(&self) -> Heading {
        let named = self.api.credential.as_ref().zip(self.credential.as_ref());
        Heading {
            api: self.api.id.clone(),
            credential: named.map(|((name, _), opened)| (name.clone(), opened.version)),
        }
    }
}

impl fmt::Debug for LoadedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedCredential")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// The agent with this workload identity.
    #[must_use]
    pub fn agent_of(&self, spiffe: &SpiffeId) -> Option<&Arc<Agent>> {
        self.agents.values().find(|agent| agent.spiffe == *spiffe)
    }

    /// Whether all these agents are enabled and have the purpose: what is handed on is theirs only as long as they do.
    #[must_use]
    pub fn all_hold(&self, agents: &[AgentId], purpose: &PurposeName) -> bool {
        let holds = |id: &AgentId| {
            let agent = self.agents.get(id).filter(|agent| agent.enabled);
            agent.is_some_and(|agent| agent.purposes.contains(purpose))
        };
        agents.iter().all(holds)
    }

    /// The agent meant by a SPIFFE id, an agent id, or the end of a SPIFFE id's path, if it is only one.
    #[must_use]
    pub fn agent_named(&self, name: &str) -> Option<&Arc<Agent>> {
        let ending = format!("/{name}");
        let mut meant = self.agents.values().filter(|agent| {
            agent.id.to_string() == name
                || agent.spiffe.as_str() == name
                || agent.spiffe.as_str().ends_with(&ending)
        });
        let agent = meant.next()?;
        meant.next().is_none().then_some(agent)
    }
}
