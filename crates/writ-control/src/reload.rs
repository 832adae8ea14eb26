//! From the revision row to what both planes run on. A fault anywhere leaves the revision before in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use writ_audit::Actor;
use writ_contract::{Contract, DiagnosticSource, Severity};
use writ_policy::{ActionShape, ApiActions, Pack, Pdp, PolicySource, baseline};
use writ_store::{Registry, Store};
use writ_types::{
    Agent, AgentId, Api, ApiId, Program, ProgramName, RevisionId, SpiffeId, Tenant, Timestamp,
    Traps, TrustDomain, Upstream,
};

use crate::drift;
use crate::loaded::{Loaded, LoadedApi, LoadedCredential};
use crate::plane::{Keys, Plane};
use crate::project::{Project, ProjectFault};
use crate::reviews;
use crate::vouching;

/// Reads a project; agents that are known keep their ids.
pub(crate) fn read_project(
    files: &BTreeMap<String, Vec<u8>>,
    trust_domain: &TrustDomain,
    now: Timestamp,
    known: impl Fn(&SpiffeId) -> Option<AgentId>,
) -> Result<Project, Vec<ProjectFault>> {
    let keep =
        |spiffe: &SpiffeId| known(spiffe).unwrap_or_else(|| AgentId::new(now, crate::random()));
    Project::read(files, trust_domain, keep)
}

/// A project as the store keeps it.
#[must_use]
pub(crate) fn registry(project: &Project) -> Registry {
    let contract = |api: &crate::project::ProjectApi| writ_store::Contract {
        document: api.document.clone(),
        reviews: reviews::write(&api.reviews),
    };
    Registry {
        apis: project
            .apis
            .iter()
            .map(|(id, api)| (id.clone(), api.api.clone()))
            .collect(),
        contracts: project
            .apis
            .iter()
            .map(|(id, api)| (id.clone(), contract(api)))
            .collect(),
        agents: project
            .agents
            .values()
            .map(|agent| (agent.id, agent.clone()))
            .collect(),
        purposes: project.purposes.clone(),
        live: BTreeMap::new(),
        beside: BTreeMap::new(),
        policies: project
            .policies
            .iter()
            .map(|policy| (policy.name.clone(), policy.text.clone()))
            .collect(),
    }
}

/// Stops the agents that were stopped before, whatever their files say: a change of something else must not set one free.
/// Gives those that stay stopped.
pub(crate) fn keep_stopped(
    registry: &mut Registry,
    stopped: impl Fn(&Agent) -> bool,
) -> Vec<SpiffeId> {
    let mut kept = Vec::new();
    for agent in registry.agents.values_mut() {
        if agent.enabled && stopped(agent) {
            agent.enabled = false;
            kept.push(agent.spiffe.clone());
        }
    }
    kept
}

/// The programs that a project names and the settings of this process do not. What is started, no project says.
pub(crate) fn unknown_programs(
    registry: &Registry,
    programs: &BTreeMap<ProgramName, Program>,
) -> Vec<ProjectFault> {
    let unknown = registry.apis.values().filter_map(|api| match &api.upstream {
        Upstream::Program(name) if !programs.contains_key(name) => {
            let file = format!("apis/{}.toml", api.id);
            let message = format!("the server's settings name no program `{name}`: what is started, `[mcp.program.{name}]` in its writ.toml says");
            Some(fault(&file, None, &message))
        }
        Upstream::Program(_) | Upstream::Http(_) => None,
    });
    unknown.collect()
}

/// What compiling needs beside the registry.
#[derive(Debug, Clone, Copy)]
pub struct Compiler<'a> {
    /// The store, for credentials.
    pub store: &'a Store,
    /// The tenant.
    pub tenant: &'a Tenant,
    /// Opens credentials.
    pub keys: &'a Keys,
    /// The instant, for rules that expire.
    pub now: Timestamp,
}

impl Compiler<'_> {
    /// Compiles a registry: contracts, policies against them, credentials opened.
    ///
    /// # Errors
    ///
    /// Every fault, by file where one is known.
    pub async fn compile(
        &self,
        revision: RevisionId,
        registry: Registry,
    ) -> Result<Arc<Loaded>, Vec<ProjectFault>> {
        let digest = registry.digest();
        let mut faults = Vec::new();
        let mut apis = BTreeMap::new();
        for (id, api) in registry.apis {
            let contract = registry
                .contracts
                .get(&id)
                .map(|contract| compile_contract(&id, contract, &mut faults));
            if contract.is_none() {
                faults.push(fault(
                    &format!("apis/{id}.toml"),
                    None,
                    "the API has no contract",
                ));
            }
            let credential = self.credential(&api, &mut faults).await;
            if let Some(contract) = contract.flatten() {
                let quarantined = match registry.live.get(&id) {
                    Some(live) => {
                        let (pinned, beside) = (&registry.contracts, &registry.beside);
                        drift::quarantined(&contract, drift::approved(pinned, beside, &id), live)
                    }
                    None => BTreeSet::new(),
                };
                apis.insert(
                    id,
                    LoadedApi {
                        api,
                        quarantined,
                        contract: Arc::new(contract),
                        credential,
                    },
                );
            }
        }
        let mut policies = shipped(&registry.agents);
        policies.extend(
            registry
                .policies
                .into_iter()
                .map(|(name, text)| PolicySource { name, text }),
        );
        let actions: Vec<ApiActions> = apis.values().map(|api| shapes(&api.contract)).collect();
        let pdp = match Pdp::compile(&actions, &policies, self.now) {
            Ok(pdp) => Some(Arc::new(warned(pdp))),
            Err(diagnostics) => {
                faults.extend(diagnostics.iter().map(ProjectFault::of_policy));
                None
            }
        };
        let agents: BTreeMap<AgentId, Arc<Agent>> = registry
            .agents
            .into_iter()
            .map(|(id, agent)| (id, Arc::new(agent)))
            .collect();
        match pdp.filter(|_| faults.is_empty()) {
            Some(pdp) => Ok(Arc::new(Loaded {
                revision,
                digest,
                apis,
                traps: Arc::new(Traps::of(agents.values())),
                agents,
                purposes: registry.purposes,
                pdp,
            })),
            None => Err(faults),
        }
    }

    /// The API's credential, if it wants one and it is set. One that is set and cannot be opened is a fault.
    async fn credential(
        &self,
        api: &Api,
        faults: &mut Vec<ProjectFault>,
    ) -> Option<LoadedCredential> {
        let (name, _) = api.credential.as_ref()?;
        let file = format!("apis/{}.toml", api.id);
        let (version, sealed) = match self.store.sealed(self.tenant, name).await {
            Ok(found) => found?,
            Err(error) => {
                faults.push(fault(
                    &file,
                    None,
                    &format!("the credential `{name}` cannot be read: {error}"),
                ));
                return None;
            }
        };
        match self.keys.sealer.open(self.tenant, name, version, &sealed) {
            Ok(secret) => Some(LoadedCredential { version, secret }),
            Err(error) => {
                faults.push(fault(
                    &file,
                    None,
                    &format!("the credential `{name}` cannot be opened: {error}"),
                ));
                None
            }
        }
    }
}

/// The policies that Writ brings: the baseline, and the packs that some agent has.
pub(crate) fn shipped<K>(agents: &BTreeMap<K, Agent>) -> Vec<PolicySource> {
    let chosen = |pack: &Pack| {
        agents
            .values()
            .any(|agent| agent.groups.contains(&pack.group()))
    };
    let packs = Pack::ALL.into_iter().filter(chosen).map(Pack::source);
    std::iter::once(baseline()).chain(packs).collect()
}

/// Compiles a registry with what the plane has.
pub(crate) async fn compile(
    plane: &Plane,
    revision: RevisionId,
    registry: Registry,
) -> Result<Arc<Loaded>, Vec<ProjectFault>> {
    let compiler = Compiler {
        store: &plane.store,
        tenant: &plane.tenant,
        keys: &plane.keys,
        now: plane.clock.now(),
    };
    compiler.compile(revision, registry).await
}

/// Reads the settings of who vouches and the revision row, and puts both in force. The caller holds `plane.changing`. On any
/// fault in either both stay as they were, and the fault is kept for whoever looks.
pub(crate) async fn reload_all(plane: &Plane, by: Actor) -> Result<RevisionId, String> {
    let ready = vouching::read(plane).await?;
    let revision = reload(plane).await?;
    vouching::put_in_force(plane, ready, by).await?;
    Ok(revision)
}

/// Reads the revision row and puts what it names in force. The caller holds `plane.changing`. On any fault the revision before
/// stays, and the fault is kept for whoever looks.
pub(crate) async fn reload(plane: &Plane) -> Result<RevisionId, String> {
    match read_active(plane).await {
        Ok(loaded) => {
            let revision = loaded.revision;
            plane.put_in_force(loaded)?;
            Ok(revision)
        }
        Err(message) => {
            plane.note_fault(&message);
            Err(message)
        }
    }
}

/// The revision that the row names, compiled.
async fn read_active(plane: &Plane) -> Result<Arc<Loaded>, String> {
    let active = plane
        .store
        .active_revision(&plane.tenant)
        .await
        .map_err(|fault| fault.to_string())?;
    let active = active.ok_or_else(|| "the store has no revision in force".to_owned())?;
    let registry = plane.store.load(&plane.tenant, active.id).await;
    let registry = registry
        .map_err(|fault| format!("revision {} was not put in force: {fault}", active.id))?;
    compile(plane, active.id, registry).await.map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        format!(
            "revision {} was not put in force: {first} ({} faults)",
            active.id,
            faults.len()
        )
    })
}

impl Plane {
    /// Reads the settings of who vouches and the revision row again and puts them in force; on a fault what was before stays,
    /// and the fault is shown.
    ///
    /// # Errors
    ///
    /// Why it was not put in force.
    pub async fn reload(&self) -> Result<RevisionId, String> {
        let _one_at_a_time = self.changing.lock().await;
        reload_all(self, Actor::System).await
    }
}

pub(crate) fn compile_contract(
    id: &ApiId,
    stored: &writ_store::Contract,
    faults: &mut Vec<ProjectFault>,
) -> Option<Contract> {
    let file = format!("apis/{id}.toml");
    let reviewed = match reviews::read(&stored.reviews) {
        Ok(reviewed) => reviewed,
        Err(error) => {
            faults.push(fault(&file, None, &error.to_string()));
            return None;
        }
    };
    let (contract, diagnostics) = Contract::compile(id, &stored.document, &reviewed);
    if contract.is_none() {
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error);
        faults.extend(errors.map(|diagnostic| {
            let file = match diagnostic.source {
                DiagnosticSource::Document => file.clone(),
                DiagnosticSource::Overlay => format!("apis/{id}.overlay.yaml"),
            };
            fault(&file, diagnostic.line, &diagnostic.message)
        }));
    }
    contract
}

/// What the policies see of a contract.
#[must_use]
pub fn shapes(contract: &Contract) -> ApiActions {
    let shape = |operation: &writ_contract::Operation| ActionShape {
        operation: operation.id().clone(),
        effects: operation.effects(),
        sensitive: operation.is_sensitive(),
        unready: operation.unready(),
        attributes: operation.attributes().clone(),
        domains: operation.domains().clone(),
        quantities: operation.quantity_names(),
    };
    ApiActions {
        api: contract.api().clone(),
        contract: contract.digest(),
        operations: contract.operations().map(shape).collect(),
    }
}

fn fault(file: &str, line: Option<u32>, message: &str) -> ProjectFault {
    ProjectFault::of_file(file, line, message.to_owned())
}

/// The bundle, whose draft may not be tried: that is told.
fn warned(pdp: Pdp) -> Pdp {
    for fault in pdp.shadow_faults() {
        tracing::warn!(%fault, "the draft in policies/shadow is not tried");
    }
    pdp
}

/// Whether a draft that somebody writes down can be tried. One that is in force already stops nothing.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn sound_draft(pdp: &Pdp) -> Result<(), Vec<ProjectFault>> {
    let faults = pdp.shadow_faults().iter().map(ProjectFault::of_policy);
    let faults: Vec<ProjectFault> = faults.collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// Checks a project without a store: its files, its contracts, and its policies against them. Says what it holds.
///
/// # Errors
///
/// Every fault, with file and line where they are known.
pub fn check_project(
    files: &BTreeMap<String, Vec<u8>>,
    trust_domain: &TrustDomain,
    now: Timestamp,
) -> Result<String, Vec<ProjectFault>> {
    let project = read_project(files, trust_domain, now, |_| None)?;
    let mut policies = shipped(&project.agents);
    policies.extend(project.policies.iter().cloned());
    let contracts = project
        .apis
        .iter()
        .filter_map(|(id, api)| Contract::compile(id, &api.document, &api.reviews).0);
    let actions: Vec<ApiActions> = contracts.map(|contract| shapes(&contract)).collect();
    let pdp = Pdp::compile(&actions, &policies, now).map_err(|faults| {
        faults
            .iter()
            .map(ProjectFault::of_policy)
            .collect::<Vec<_>>()
    })?;
    sound_draft(&pdp)?;
    Ok(format!(
        "{} APIs, {} agents, {} purposes, {} policy files; all sound",
        project.apis.len(),
        project.agents.len(),
        project.purposes.len(),
        project.policies.len()
    ))
}
