//! Drift: what the server of an API publishes, held against the contract that was approved.
//!
//! A change that is proven to admit less is accepted, and so is another name for the same call. Operations changed in any
//! other way are quarantined: their calls wait for the API's owner, all others flow on. What quarantines is part of the
//! revision, so it is durable, recorded, and the same in both planes; it ends when the owner promotes what was published,
//! or when the server publishes again what is pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use writ_audit::Actor;
use writ_contract::McpRevision;
use writ_contract::diff::{Diff, Fate, diff};
use writ_store::{Contract, StoreError};
use writ_types::{
    ApiId, Attach, Digest, OperationId, RevisionId, Secret, Timestamp, UpstreamUrl, Value,
};

use crate::admin::{AdminError, Change};
use crate::loaded::LoadedApi;
use crate::plane::Plane;
use crate::reviews;

/// Where a document is published, and what its server wants to see.
#[derive(Debug)]
pub struct Published {
    /// Where.
    pub url: UpstreamUrl,
    /// A field with the API's credential; none where the document lies at another origin than the API, which must not
    /// learn it.
    pub field: Option<(String, Secret<String>)>,
    /// An MCP server's lists are asked for, in this revision, and no document.
    pub lists: Option<McpRevision>,
}

/// The bytes of a document, on their way.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;
/// Gets what is published.
pub type Fetch = Box<dyn Fn(Published) -> Fetching + Send + Sync>;

/// What was published when it was last asked for.
#[derive(Debug)]
struct Seen {
    at: Timestamp,
    document: Vec<u8>,
}

/// The last answers of all APIs. Memory only: what follows from them stands in the revision.
#[derive(Debug, Default)]
pub(crate) struct LastSeen(Mutex<BTreeMap<ApiId, Result<Seen, String>>>);

impl LastSeen {
    fn document(&self, id: &ApiId) -> Option<Vec<u8>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(all.get(id)?.as_ref().ok()?.document.clone())
    }
}

/// The operations of a contract that a published document changes in a way that its owner must look at.
///
/// What cannot be compared quarantines everything.
pub(crate) fn quarantined(
    contract: &writ_contract::Contract,
    pinned: &[u8],
    live: Option<&Contract>,
) -> BTreeSet<OperationId> {
    let Some(live) = live else {
        return BTreeSet::new();
    };
    match diff(pinned, &live.document) {
        Ok(diff) => changed(contract, &diff),
        Err(_not_compared) => contract
            .operations()
            .map(|operation| operation.id().clone())
            .collect(),
    }
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
    let url = api.api.drift.clone()?;
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
    let lists = api.contract.mcp();
    Some(Published { url, field, lists })
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
            if let Err(fault) = check(self, id).await {
                tracing::warn!(api = %id, %fault, "what the API publishes could not be compared");
            }
        }
    }

    /// For each API that publishes its document: why that is not known, if it is not.
    pub(crate) fn unseen(&self) -> Vec<(ApiId, String)> {
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = |(id, seen): (&ApiId, &Result<Seen, String>)| {
            Some((id.clone(), seen.as_ref().err()?.clone()))
        };
        seen.iter().filter_map(fault).collect()
    }
}

/// Asks what an API publishes, compares it, and moves the revision if what is quarantined changes.
pub(crate) async fn check(plane: &Plane, id: &ApiId) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let api = loaded
        .apis
        .get(id)
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let published = published(api).ok_or_else(|| {
        AdminError::Invalid(format!("`{id}` does not say where its server publishes its document: `drift = \"https://…\"` in apis/{id}.toml"))
    })?;
    let now = plane.clock.now();
    let url = published.url.to_string();
    if plane.has_stopped_api(api) {
        let fault = "a person has stopped the API or its credential, so nothing is asked of it";
        return Err(unseen(plane, id, &url, fault));
    }
    let live = match (plane.fetch)(published).await {
        Ok(live) => live,
        Err(fault) => return Err(unseen(plane, id, &url, &fault)),
    };
    let _one_at_a_time = plane.changing.lock().await;
    let before = plane.loaded();
    let mut registry = load(plane, before.revision).await?;
    let pinned = registry
        .contracts
        .get(id)
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let diff = match compared(pinned.document.clone(), live.clone()).await {
        Ok(diff) => diff,
        Err(fault) => return Err(unseen(plane, id, &url, &fault)),
    };
    let pinned = before
        .apis
        .get(id)
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let wanted = changed(&pinned.contract, &diff);
    let moves = pinned.quarantined != wanted;
    let digest = Digest::of(&live);
    if moves {
        if wanted.is_empty() {
            registry.live.remove(id);
        } else {
            let contract = Contract {
                document: live.clone(),
                reviews: String::new(),
            };
            registry.live.insert(id.clone(), contract);
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
    remember(
        plane,
        id,
        Ok(Seen {
            at: now,
            document: live,
        }),
    );
    Ok(report(plane, id, &digest, &diff, &wanted))
}

/// Approves what was published: it becomes the pinned contract. The digest says which bytes were looked at.
///
/// Reviews of operations that are there under their name stay; a new name has none. A task's grant names operations, so
/// what was renamed is in no grant.
pub(crate) async fn promote(
    plane: &Plane,
    id: &ApiId,
    digest: Digest,
    by: Actor,
) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let before = plane.loaded();
    let now = plane.clock.now();
    let mut registry = load(plane, before.revision).await?;
    let stored = registry.live.remove(id).map(|live| live.document);
    let seen = plane.seen.document(id);
    // What was seen last counts: an older document would lift the quarantine of what the server does by now.
    let document = seen.or(stored);
    let document = document.filter(|document| Digest::of(document) == digest);
    let document = document.ok_or_else(|| {
        AdminError::Invalid(format!("`{id}` does not publish a document with this digest (any more): look again with `writ api drift {id}`"))
    })?;
    let text = String::from_utf8(document.clone())
        .map_err(|_binary| AdminError::Invalid("the document is not UTF-8 text".to_owned()))?;
    let pinned = registry
        .contracts
        .get_mut(id)
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let damaged = |fault: reviews::ReviewsError| AdminError::Unavailable(fault.to_string());
    let mut kept = reviews::read(&pinned.reviews).map_err(damaged)?;
    let all = writ_contract::Contract::compile(id, &document, &writ_contract::Reviews::default()).0;
    let known: BTreeSet<OperationId> = all
        .iter()
        .flat_map(|contract| contract.operations())
        .map(|operation| operation.id().clone())
        .collect();
    let dropped: Vec<OperationId> = kept
        .operations
        .keys()
        .filter(|id| !known.contains(id))
        .cloned()
        .collect();
    kept.operations.retain(|id, _| known.contains(id));
    *pinned = Contract {
        document,
        reviews: reviews::write(&kept),
    };
    let change = Change {
        plane,
        by,
        before: before.revision,
        registry,
    };
    let next = change.compile(now).await?;
    change.put_in_force(&next, now).await?;
    let dropped = dropped.iter().map(|id| Value::from(id.as_str())).collect();
    Ok(Value::object([
        ("revision", Value::from(next.revision.to_string())),
        ("digest", Value::from(digest.to_string())),
        ("document", Value::from(text)),
        ("reviews_dropped", Value::Array(dropped)),
    ]))
}

/// What a registry quarantines goes on being quarantined when a project takes its place: only promotion, or the server, ends
/// it.
pub(crate) fn keep_live(registry: &mut writ_store::Registry, live: BTreeMap<ApiId, Contract>) {
    registry.live = live;
    let apis = &registry.apis;
    registry.live.retain(|id, _| apis.contains_key(id));
}

async fn load(plane: &Plane, revision: RevisionId) -> Result<writ_store::Registry, AdminError> {
    let loaded = plane.store.load(&plane.tenant, revision).await;
    loaded.map_err(|fault: StoreError| AdminError::Unavailable(fault.to_string()))
}

/// The comparison, off the threads that serve: a large document takes its time.
async fn compared(pinned: Vec<u8>, live: Vec<u8>) -> Result<Diff, String> {
    let compared = tokio::task::spawn_blocking(move || diff(&pinned, &live)).await;
    compared
        .map_err(|fault| fault.to_string())?
        .map_err(|fault| fault.to_string())
}

/// What is published is not known, and why.
fn unseen(plane: &Plane, id: &ApiId, url: &str, fault: &str) -> AdminError {
    let fault = format!("{url}: {fault}");
    remember(plane, id, Err(fault.clone()));
    AdminError::Unavailable(fault)
}

fn remember(plane: &Plane, id: &ApiId, seen: Result<Seen, String>) {
    let mut all = plane.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(id.clone(), seen);
}

/// The review, for the owner.
fn report(
    plane: &Plane,
    id: &ApiId,
    digest: &Digest,
    diff: &Diff,
    quarantined: &BTreeSet<OperationId>,
) -> Value {
    let ids = |ids: &mut dyn Iterator<Item = &OperationId>| {
        Value::Array(ids.map(|id| Value::from(id.as_str())).collect())
    };
    let added = diff
        .operations
        .iter()
        .filter(|one| one.fate == Fate::Added)
        .map(|one| &one.id);
    let renamed = diff.operations.iter().filter_map(|one| match &one.fate {
        Fate::Renamed { to } => Some((one.id.as_str(), Value::from(to.as_str()))),
        Fate::Kept | Fate::Moved { .. } | Fate::Added | Fate::Removed => None,
    });
    let changed = diff.changed();
    let narrowed = changed
        .iter()
        .filter(|(_, authority)| !authority.needs_owner());
    let seen = plane.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    let at = seen
        .get(id)
        .and_then(|seen| seen.as_ref().ok())
        .map(|seen| seen.at);
    Value::object([
        ("api", Value::from(id.as_str())),
        ("digest", Value::from(digest.to_string())),
        (
            "seen",
            at.map_or(Value::Null, |at| Value::from(at.to_string())),
        ),
        ("quarantined", ids(&mut quarantined.iter())),
        ("narrowed", ids(&mut narrowed.map(|(id, _)| *id))),
        ("added", ids(&mut added.into_iter())),
        ("renamed", Value::object(renamed)),
        (
            "review",
            Value::Array(
                diff.review()
                    .groups
                    .iter()
                    .filter(|group| group.section.needs_owner())
                    .map(|group| {
                        Value::object([
                            ("section", Value::from(group.section.title())),
                            ("subject", Value::from(group.subject.as_str())),
                            ("consequence", Value::from(group.consequence.as_str())),
                            (
                                "rules",
                                Value::object(group.rules.iter().map(|(rule, count)| {
                                    (
                                        rule.as_str(),
                                        Value::from_u64(u64::try_from(*count).unwrap_or(u64::MAX)),
                                    )
                                })),
                            ),
                            (
                                "examples",
                                Value::Array(
                                    group
                                        .examples
                                        .iter()
                                        .map(|text| Value::from(text.as_str()))
                                        .collect(),
                                ),
                            ),
                        ])
                    })
                    .collect(),
            ),
        ),
    ])
}
