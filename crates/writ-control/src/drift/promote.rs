//! The owner's yes to what a server publishes.

use std::collections::BTreeSet;

use writ_audit::Actor;
use writ_store::{Contract, Registry};
use writ_types::{ApiId, Digest, OperationId, Value};

use super::load;
use crate::admin::{AdminError, Change};
use crate::plane::Plane;
use crate::reviews;

/// What an owner's yes makes of a published document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approved {
    /// It becomes the contract.
    Instead,
    /// The contract stays, with its names and what it admits; the server may publish this, too. For servers that do not publish the same
    /// twice: `OpenBao` calls one operation `list` or `scan`, and describes it so, by the order of a map.
    Beside,
}

/// Most documents that are approved beside one contract: what varies without end is not known.
const MOST_BESIDE: usize = 8;

/// Approves what was published, by the digest of the bytes that were looked at.
///
/// Reviews of operations that are there under their name stay; a new name has none. A task's grant names operations, so
/// what was renamed is in no grant. What the server publishes by now is held against what is approved, as ever.
pub(crate) async fn promote(
    plane: &Plane,
    id: &ApiId,
    (digest, how): (Digest, Approved),
    by: Actor,
) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let before = plane.loaded();
    let now = plane.clock.now();
    let mut registry = load(plane, before.revision).await?;
    let stored = registry.live.remove(id).map(|live| live.document);
    // What was seen last counts: an older document must not lift the quarantine of what the server does by now.
    let newest = plane.seen.last(id).or_else(|| stored.clone());
    let looked_at = plane.seen.of(id, &digest).or(stored);
    let document = looked_at.filter(|document| Digest::of(document) == digest);
    let document = document.ok_or_else(|| {
        AdminError::Invalid(format!("`{id}` does not publish a document with this digest (any more): look again with `writ api drift {id}`"))
    })?;
    let text = String::from_utf8(document.clone())
        .map_err(|_binary| AdminError::Invalid("the document is not UTF-8 text".to_owned()))?;
    let dropped = match how {
        Approved::Instead => instead(&mut registry, id, document)?,
        Approved::Beside => beside(&mut registry, id, document)?,
    };
    if let Some(newest) = newest.filter(|newest| Digest::of(newest) != digest) {
        registry.live.insert(id.clone(), unreviewed(newest));
    }
    let change = Change {
        plane,
        by,
        before: before.revision,
        registry,
    };
    let next = change.compile(now).await?;
    change.put_in_force(&next, now).await?;
    let dropped = dropped.iter().map(|id| Value::from(id.as_str())).collect();
    let document = (how == Approved::Instead).then_some(("document", Value::from(text)));
    Ok(Value::object(
        [
            ("revision", Value::from(next.revision.to_string())),
            ("digest", Value::from(digest.to_string())),
            ("reviews_dropped", Value::Array(dropped)),
        ]
        .into_iter()
        .chain(document),
    ))
}

/// A document that nobody has said anything of.
pub(super) fn unreviewed(document: Vec<u8>) -> Contract {
    Contract {
        document,
        reviews: String::new(),
    }
}

/// The document is the contract from now on, and what was approved beside the old one no longer is. Gives the names that
/// had a review and are no operations any more.
fn instead(
    registry: &mut Registry,
    id: &ApiId,
    document: Vec<u8>,
) -> Result<Vec<OperationId>, AdminError> {
    let pinned = contract(registry, id)?;
    let damaged = |fault: reviews::ReviewsError| AdminError::Unavailable(fault.to_string());
    let mut kept = reviews::read(&pinned.reviews).map_err(damaged)?;
    let all = writ_contract::Contract::compile(id, &document, &writ_contract::Reviews::default()).0;
    let known: BTreeSet<OperationId> = all
        .iter()
        .flat_map(|contract| contract.operations())
        .map(|operation| operation.id().clone())
        .collect();
    let dropped = kept
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
    registry.beside.remove(id);
    Ok(dropped)
}

/// The server may publish the document, too.
fn beside(
    registry: &mut Registry,
    id: &ApiId,
    document: Vec<u8>,
) -> Result<Vec<OperationId>, AdminError> {
    let pinned = contract(registry, id)?;
    if pinned.document == document {
        return Err(AdminError::Invalid(
            "this document is the contract itself".to_owned(),
        ));
    }
    let all = registry.beside.entry(id.clone()).or_default();
    if all.iter().any(|known| known.document == document) {
        return Err(AdminError::Invalid(
            "this document is approved already".to_owned(),
        ));
    }
    if all.len() >= MOST_BESIDE {
        return Err(AdminError::Invalid(format!(
            "{MOST_BESIDE} documents are approved beside the contract of `{id}` already; approve this one in its place, without `--beside`"
        )));
    }
    all.push(unreviewed(document));
    Ok(Vec::new())
}

fn contract<'r>(registry: &'r mut Registry, id: &ApiId) -> Result<&'r mut Contract, AdminError> {
    let pinned = registry.contracts.get_mut(id);
    pinned.ok_or(AdminError::NotFound("there is no such API"))
}
