//! One side of a comparison: a registry, compiled.

use std::collections::BTreeMap;

use writ_contract::{Contract, Operation};
use writ_policy::{Pdp, PolicySource, baseline};
use writ_store::Registry;
use writ_types::{ActionName, Agent, AgentId, ApiId, SpiffeId, Timestamp, TrustDomain};

use crate::project::ProjectFault;
use crate::reload;

/// A registry, compiled.
#[derive(Debug)]
pub struct Side {
    pub(crate) registry: Registry,
    pub(crate) contracts: BTreeMap<ApiId, Contract>,
    pub(crate) pdp: Pdp,
}

impl Side {
    /// Compiles a registry.
    ///
    /// # Errors
    ///
    /// Every fault, by file.
    pub fn of_registry(registry: Registry, now: Timestamp) -> Result<Self, Vec<ProjectFault>> {
        let mut faults = Vec::new();
        let compiled = registry.contracts.iter().filter_map(|(id, stored)| {
            let contract = reload::compile_contract(id, stored, &mut faults)?;
            Some((id.clone(), contract))
        });
        let contracts: BTreeMap<ApiId, Contract> = compiled.collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut policies = vec![baseline()];
        let own = registry.policies.iter().map(|(name, text)| PolicySource {
            name: name.clone(),
            text: text.clone(),
        });
        policies.extend(own);
        let actions: Vec<_> = contracts.values().map(reload::shapes).collect();
        let pdp = Pdp::compile(&actions, &policies, now)
            .map_err(|faults| faults.iter().map(reload::policy_fault).collect::<Vec<_>>())?;
        Ok(Self {
            registry,
            contracts,
            pdp,
        })
    }

    /// Compiles a project's files. Agents that `before` knows keep their ids, and those that are stopped there stay so.
    ///
    /// # Errors
    ///
    /// Every fault, by file and line.
    pub fn of_files(
        files: &BTreeMap<String, Vec<u8>>,
        trust_domain: &TrustDomain,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Result<(Self, Vec<SpiffeId>), Vec<ProjectFault>> {
        let known = |spiffe: &SpiffeId| -> Option<AgentId> { Some(before?.agent(spiffe)?.id) };
        let project = reload::read_project(files, trust_domain, now, known)?;
        let mut registry = reload::registry(&project);
        let stopped = reload::keep_stopped(&mut registry, |agent| {
            let known = before.and_then(|before| before.registry.agents.get(&agent.id));
            known.is_some_and(|known| !known.enabled)
        });
        Ok((Self::of_registry(registry, now)?, stopped))
    }

    /// The agent with this identity.
    pub(crate) fn agent(&self, spiffe: &SpiffeId) -> Option<&Agent> {
        let mut agents = self.registry.agents.values();
        agents.find(|agent| agent.spiffe == *spiffe)
    }

    /// The operation of an action.
    pub(crate) fn operation(&self, action: &ActionName) -> Option<&Operation> {
        self.contracts
            .get(&action.api)?
            .operation(&action.operation)
    }
}
