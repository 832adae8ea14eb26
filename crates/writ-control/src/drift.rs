//! Drift: what the server of an API publishes, held against the contract that was approved.
//!
//! A change that is proven to admit less is accepted, and so is another name for the same call. Operations changed in any
//! other way are quarantined: their calls wait for the API's owner, all others flow on. What quarantines is part of the
//! revision, so it is durable, recorded, and the same in both planes; it ends when the owner promotes what was published,
//! or when the server publishes again what is pinned, or what the owner has approved beside it.

mod promote;
mod report;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use writ_audit::Actor;
use writ_contract::McpRevision;
use writ_contract::diff::{Diff, Fate, NotCompared, diff};
use writ_store::{Contract, Registry, StoreError};
use writ_types::{
    Api, ApiId, Attach, Digest, OperationId, ProgramName, RevisionId, Secret, Upstream,
    UpstreamUrl, Value,
};

use crate::admin::{AdminError, Change};
use crate::loaded::LoadedApi;
use crate::plane::Plane;

pub(crate) use promote::{Approved, promote};
use seen::Seen;
pub(crate) use seen::{Asked, LastSeen};

/// Where a document is published, and what its server wants to see.
#[derive(Debug)]
pub struct Published {
    /// Where.
    pub place: Publisher,
    /// An MCP server's lists are asked for, in this revision, and no document.
    pub lists: Option<McpRevision>,
}

impl Published {
    /// Whether a program is to be started.
    const fn is_program(&self) -> bool {
        matches!(self.place, Publisher::Program { .. })
    }
}

/// Who publishes it.
#[derive(Debug)]
pub enum Publisher {
    /// A server.
    Server {
        /// Where.
        url: UpstreamUrl,
        /// A field with the API's credential; none where the document lies at another origin than the API, which must not
        /// learn it.
        field: Option<(String, Secret<String>)>,
    },
    /// A program that the settings name, which is started to be asked.
    Program {
        /// Its name.
        name: ProgramName,
        /// The API's credential.
        credential: Option<Secret<String>>,
    },
}

/// The bytes of a document, on their way.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;
/// Gets what is published.
pub type Fetch = Box<dyn Fn(Published) -> Fetching + Send + Sync>;

/// The documents that an owner has approved for an API: its contract first, then what its server may publish, too.
pub(crate) fn approved<'r>(
    contracts: &'r BTreeMap<ApiId, Contract>,
    beside: &'r BTreeMap<ApiId, Vec<Contract>>,
    id: &ApiId,
) -> Vec<&'r [u8]> {
    let pinned = contracts.get(id);
    let beside = beside.get(id).into_iter().flatten();
    let all = pinned.into_iter().chain(beside);
    all.map(|contract| contract.document.as_slice()).collect()
}

/// The operations of a contract that a published document changes in a way that its owner must look at: against each of
/// the documents that were approved.
///
/// What cannot be compared quarantines everything.
pub(crate) fn quarantined(
    contract: &writ_contract::Contract,
    approved: Vec<&[u8]>,
    live: &Contract,
) -> BTreeSet<OperationId> {
    let compared = approved
        .into_iter()
        .filter_map(|approved| diff(approved, &live.document).ok());
    in_all(contract, &compared.collect::<Vec<Diff>>())
}

/// The operations that need their owner in every one of the comparisons; without any, all do.
fn in_all(contract: &writ_contract::Contract, compared: &[Diff]) -> BTreeSet<OperationId> {
    let mut wanted: BTreeSet<OperationId> = contract
        .operations()
        .map(|operation| operation.id().clone())
        .collect();
    for diff in compared {
        let changed = changed(contract, diff);
        wanted.retain(|id| changed.contains(id));
    }
    wanted
}

/// By method and path: the owner's overlay may give an operation another name than its document does. One that the
/// comparison does not know is quarantined too.
fn changed(contract: &writ_contract::Contract, diff: &Diff) -> BTreeSet<OperationId> {
    let changed = diff.changed();
    let sound: BTreeSet<(&str, &str)> = diff
        .operations
        .iter()
        .filter(|one| one.fate != Fate::Added)
        .filter(|one| {
            let worst = changed.get(&one.id);
            worst.is_none_or(|authority| !authority.needs_owner())
        })
        .map(|one| (one.method, one.path.as_str()))
        .collect();
    contract
        .operations()
        .filter(|operation| !sound.contains(&(operation.method(), operation.template())))
        .map(|operation| operation.id().clone())
        .collect()
}

/// Where an API's document is published, if it says so.
fn published(api: &LoadedApi) -> Option<Published> {
    let lists = api.contract.mcp();
    let url = match api.api.drift.clone()? {
        Upstream::Http(url) => url,
        Upstream::Program(name) => {
            let opened = api.credential.as_ref();
            let credential = opened.map(|opened| Secret::new(opened.secret.expose().clone()));
            let place = Publisher::Program { name, credential };
            return Some(Published { place, lists });
        }
    };
    let upstream = &api.api.upstream;
    let own_origin = upstream.url().is_some_and(|upstream| {
        (url.tls, &url.host, url.port) == (upstream.tls, &upstream.host, upstream.port)
    });
    let credential = api.api.credential.as_ref().zip(api.credential.as_ref());
    let field = credential
        .filter(|_| own_origin)
        .and_then(|((_, how), opened)| {
            let value = opened.secret.expose();
            Some(match how {
                // It is no credential of the API itself.
                Attach::Environment | Attach::ClientSecret => return None,
                Attach::Header(name) => (name.clone(), Secret::new(value.clone())),
                Attach::Bearer => (
                    "authorization".to_owned(),
                    Secret::new(format!("Bearer {value}")),
                ),
                Attach::Basic => {
                    let encoded = base64::engine::general_purpose::STANDARD.encode(value);
                    (
                        "authorization".to_owned(),
                        Secret::new(format!("Basic {encoded}")),
                    )
                }
            })
        });
    let place = Publisher::Server { url, field };
    Some(Published { place, lists })
}

impl Plane {
    /// Looks at what every API publishes, one after another. A server that does not answer is no drift; it is told.
    pub async fn check_drift(&self) {
        let loaded = self.loaded();
        for (id, _) in loaded
            .apis
            .iter()
            .filter(|(_, api)| api.api.drift.is_some())
        {
            if let Err(fault) = check(self, id, Asked::ByClock).await {
                tracing::warn!(api = %id, %fault, "what the API publishes could not be compared");
            }
        }
    }

    /// For each API that publishes its document: why that is not known, if it is not.
    pub(crate) fn unseen(&self) -> Vec<(ApiId, String)> {
        self.seen.faults()
    }
}

/// What an API publishes, and where it says that it does.
async fn fetched(
    plane: &Plane,
    id: &ApiId,
    api: &LoadedApi,
) -> Result<(String, Vec<u8>), AdminError> {
    let published = published(api).ok_or_else(|| {
        AdminError::Invalid(format!("`{id}` does not say where its server publishes its document: `drift = \"https://…\"` in apis/{id}.toml"))
    })?;
    let url = api
        .api
        .drift
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if api.api.credential.is_some() && api.credential.is_none() && published.is_program() {
        let fault = "its credential is not set, so it is not started";
        return Err(unseen(plane, id, &url, fault));
    }
    if plane.has_stopped_api(api) {
        let fault = "a person has stopped the API or its credential, so nothing is asked of it";
        return Err(unseen(plane, id, &url, fault));
    }
    match (plane.fetch)(published).await {
        Ok(live) => Ok((url, live)),
        Err(fault) => Err(unseen(plane, id, &url, &fault)),
    }
}

/// Asks what an API publishes, compares it, and moves the revision if what is quarantined changes.
pub(crate) async fn check(plane: &Plane, id: &ApiId, asked: Asked) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let api = loaded
        .apis
        .get(id)
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let now = plane.clock.now();
    let (url, live) = fetched(plane, id, api).await?;
    let _one_at_a_time = plane.changing.lock().await;
    let before = plane.loaded();
    let mut registry = load(plane, before.revision).await?;
    let pinned = before
        .apis
        .get(id)
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let documents = approved(&registry.contracts, &registry.beside, id);
    let documents = documents.into_iter().map(<[u8]>::to_vec).collect();
    let (diff, wanted) = match compared(&pinned.contract, documents, live.clone()).await {
        Ok(compared) => compared,
        Err(fault) => return Err(unseen(plane, id, &url, &fault)),
    };
    let moves = pinned.quarantined != wanted;
    let digest = Digest::of(&live);
    if moves {
        if wanted.is_empty() {
            registry.live.remove(id);
        } else {
            let live = promote::unreviewed(live.clone());
            registry.live.insert(id.clone(), live);
        }
        let change = Change {
            plane,
            by: Actor::System,
            before: before.revision,
            registry,
        };
        let next = change.compile(now).await?;
        change.put_in_force(&next, now).await?;
        tracing::warn!(api = %id, operations = wanted.len(), "the published contract has drifted");
    }
    let seen = Seen {
        at: now,
        document: live,
    };
    plane.seen.keep(id, asked, seen);
    let used = report::in_use(&before, id);
    let at = plane.seen.at(id);
    Ok(report::of(
        (id, &digest, at),
        &diff,
        (&wanted, &used),
        &pinned.contract,
    ))
}

/// What a registry quarantines goes on being quarantined when a project takes its place: only promotion, or the server, ends
/// it. What is approved beside a contract stays so as long as the contract is the same, and the server that publishes it.
pub(crate) fn keep(registry: &mut Registry, stored: Registry) {
    registry.live = stored.live;
    let apis = &registry.apis;
    registry.live.retain(|id, _| apis.contains_key(id));
    let of = |apis: &BTreeMap<ApiId, Api>, contracts: &BTreeMap<ApiId, Contract>, id: &ApiId| {
        let api = apis.get(id)?;
        let document = Digest::of(&contracts.get(id)?.document);
        Some((document, api.upstream.clone(), api.drift.clone()))
    };
    let (contracts, mut beside) = (&registry.contracts, stored.beside);
    beside.retain(|id, _| {
        let now = of(apis, contracts, id);
        now.is_some() && now == of(&stored.apis, &stored.contracts, id)
    });
    registry.beside = beside;
}

/// The same where an earlier revision comes into force again: what had not been approved beside a contract by then is not any more.
pub(crate) fn keep_of_both(registry: &mut Registry, stored: Registry) {
    let earlier = std::mem::take(&mut registry.beside);
    keep(registry, stored);
    registry.beside.retain(|id, contracts| {
        let approved = earlier.get(id).map_or(&[][..], Vec::as_slice);
        contracts.retain(|contract| approved.contains(contract));
        !contracts.is_empty()
    });
}

async fn load(plane: &Plane, revision: RevisionId) -> Result<Registry, AdminError> {
    let loaded = plane.store.load(&plane.tenant, revision).await;
    loaded.map_err(|fault: StoreError| AdminError::Unavailable(fault.to_string()))
}

/// The comparison with all that is approved, off the threads that serve: a large document takes its time. The comparison given is
/// the one in which least waits, of several the one with the contract.
async fn compared(
    contract: &Arc<writ_contract::Contract>,
    approved: Vec<Vec<u8>>,
    live: Vec<u8>,
) -> Result<(Diff, BTreeSet<OperationId>), String> {
    let contract = Arc::clone(contract);
    let compared = tokio::task::spawn_blocking(move || {
        let compared: Result<Vec<Diff>, NotCompared> = approved
            .iter()
            .map(|approved| diff(approved, &live))
            .collect();
        let compared = compared.map_err(|fault| fault.to_string())?;
        let wanted = in_all(&contract, &compared);
        let nearest = compared
            .into_iter()
            .min_by_key(|diff| changed(&contract, diff).len());
        Ok((nearest.ok_or("nothing is approved")?, wanted))
    });
    compared.await.map_err(|fault| fault.to_string())?
}

/// What is published is not known, and why.
fn unseen(plane: &Plane, id: &ApiId, url: &str, fault: &str) -> AdminError {
    let fault = format!("{url}: {fault}");
    plane.seen.fail(id, fault.clone());
    AdminError::Unavailable(fault)
}

#[cfg(test)]
mod tests;
