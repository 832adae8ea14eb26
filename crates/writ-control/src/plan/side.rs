//! One side of a comparison: a registry, compiled.

use std::collections::{BTreeMap, BTreeSet};

use writ_contract::{Contract, Operation};
use writ_policy::{Lint, Named, Pack, Pdp, PolicySource};
use writ_store::Registry;
use writ_types::{
    ActionName, Agent, AgentId, ApiId, BlastRadius, Purpose, SpiffeId, Timestamp, TrustDomain,
};

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
        // As a reload does it, packs included.
        let mut policies = reload::shipped(&registry.agents);
        let own = registry.policies.iter().map(|(name, text)| PolicySource {
            name: name.clone(),
            text: text.clone(),
        });
        policies.extend(own);
        let actions: Vec<_> = contracts.values().map(reload::shapes).collect();
        let pdp = Pdp::compile(&actions, &policies, now).map_err(|faults| {
            faults
                .iter()
                .map(ProjectFault::of_policy)
                .collect::<Vec<_>>()
        })?;
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
        let side = Self::of_registry(registry, now)?;
        reload::sound_draft(&side.pdp)?;
        Ok((side, stopped))
    }

    /// What a person should know though the side compiles. `held` are the roles that somebody has, where that is known.
    #[must_use]
    pub fn notices(&self, held: Option<&BTreeSet<String>>) -> Vec<ProjectFault> {
        let loaded = self.pdp.notices().iter().map(ProjectFault::of_policy);
        let mut notices: Vec<ProjectFault> = loaded.collect();
        if let Some(held) = held {
            let asked = self.pdp.approval_roles().into_iter();
            let unheld = asked.filter(|(role, _)| {
                !writ_task::STANDING_ROLES.contains(role) && !held.contains(*role)
            });
            notices.extend(unheld.map(|(role, rule)| self.nobody_has(role, rule)));
        }
        notices.extend(self.nameless());
        notices.sort();
        notices
    }

    /// The rules about purposes and groups that there are not: they never match.
    fn nameless(&self) -> Vec<ProjectFault> {
        let agents = || self.registry.agents.values();
        let purposes: BTreeSet<&str> = self
            .registry
            .purposes
            .keys()
            .map(|name| name.as_str())
            .collect();
        let groups: BTreeSet<&str> = agents()
            .flat_map(|agent| &agent.groups)
            .map(String::as_str)
            .collect();
        let mut found = Vec::new();
        for (rule, named) in self.pdp.named() {
            let (file, line) = self.pdp.place(rule).unwrap_or_default();
            // A pack that is shipped names its own group.
            let (what, name, known) = match named {
                Named::Purpose(name) => ("purpose", name, &purposes),
                Named::Group(name) if name.starts_with(Pack::GROUPS) => continue,
                Named::Group(name) => ("group that an agent is in", name, &groups),
            };
            if known.contains(name.as_str()) {
                continue;
            }
            let names: Vec<&str> = known.iter().copied().collect();
            found.push(ProjectFault {
                lint: Lint::UnknownName.id(),
                rule: Some(rule.to_owned()),
                fix: Some(if names.is_empty() {
                    Lint::UnknownName.fix().to_owned()
                } else {
                    format!("there is: {}", names.join(", "))
                }),
                ..ProjectFault::of_file(
                    file,
                    Some(line),
                    format!("there is no {what} `{name}`: what asks for it never holds"),
                )
            });
        }
        found
    }

    /// What the widest task of a purpose could do at worst.
    pub(crate) fn blast_radius(&self, purpose: &Purpose) -> BlastRadius {
        let effects = purpose.actions.iter().filter_map(|action| {
            let contract = self.contracts.get(&action.api)?;
            Some(contract.operation(&action.operation)?.effects())
        });
        BlastRadius::of(effects, purpose.budget)
    }

    fn nobody_has(&self, role: &str, rule: &str) -> ProjectFault {
        let (file, line) = self.pdp.place(rule).unwrap_or_default();
        ProjectFault {
            lint: Lint::NobodyApproves.id(),
            rule: Some(rule.to_owned()),
            fix: Some(format!("writ operator add NAME --approves {role}")),
            ..ProjectFault::of_file(file, Some(line), format!("nobody approves as `{role}`"))
        }
    }

    /// How many files of policies of its own it has, and how many rules are in force with those that are shipped.
    #[must_use]
    pub fn policies(&self) -> (usize, usize) {
        (self.registry.policies.len(), self.pdp.rules().count())
    }

    /// The rules of its own files.
    pub fn own_rules(&self) -> impl Iterator<Item = &str> {
        let own = |rule: &&str| {
            let place = self.pdp.place(rule);
            place.is_some_and(|(file, _)| self.registry.policies.contains_key(file))
        };
        self.pdp.rules().filter(own)
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
