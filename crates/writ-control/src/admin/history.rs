//! Revisions: what was in force, and what each of them holds.

use writ_store::{ChangedPart, Past};
use writ_types::{RevisionId, Value};

use crate::admin::changes::stays_stopped;
use crate::admin::look::unavailable;
use crate::admin::{AdminError, Call};
use crate::plane::Plane;
use crate::reload;

/// How many revisions back one can go.
const REMEMBERED: usize = 200;

/// Whether one can go back to a revision: it was in force, and not too long ago.
pub(super) async fn was_in_force(plane: &Plane, revision: RevisionId) -> Result<(), AdminError> {
    let history = plane.store.history(&plane.tenant, REMEMBERED).await;
    let history = history.map_err(|fault| unavailable(&fault))?;
    if history.iter().any(|past| past.revision.id == revision) {
        Ok(())
    } else {
        Err(AdminError::NotFound(
            "no such revision was in force, or it is too long ago: `writ revisions` lists them",
        ))
    }
}

/// The revisions that were in force, the one that is first, with what each changed.
pub(super) async fn list(plane: &Plane) -> Result<Value, AdminError> {
    let history = plane.store.history(&plane.tenant, REMEMBERED).await;
    let history = history.map_err(|fault| unavailable(&fault))?;
    Ok(Value::Array(history.iter().map(past).collect()))
}

fn past(past: &Past) -> Value {
    let part = |changed: &ChangedPart| {
        Value::object([
            ("part", Value::from(changed.part.as_str())),
            ("name", Value::from(changed.name.as_str())),
            ("step", Value::from(changed.step.as_str())),
        ])
    };
    let base = past.revision.base;
    Value::object([
        ("revision", Value::from(past.revision.id.to_string())),
        (
            "base",
            base.map_or(Value::Null, |base| Value::from(base.to_string())),
        ),
        ("made", Value::from(past.revision.created.to_string())),
        (
            "changed",
            Value::Array(past.changed.iter().map(part).collect()),
        ),
    ])
}

/// Everything that is registered in the revision in force, for comparing it with a project; or, of an earlier one that is named,
/// what would be in force if it were rolled back to.
pub(super) async fn registry(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let revision = match call.query("revision") {
        None => loaded.revision,
        Some(text) => text
            .parse::<RevisionId>()
            .map_err(|fault| AdminError::Invalid(fault.to_string()))?,
    };
    if revision != loaded.revision {
        was_in_force(plane, revision).await?;
    }
    let registry = plane.store.load(&plane.tenant, revision).await;
    let mut registry = registry.map_err(|fault| unavailable(&fault))?;
    if revision != loaded.revision {
        reload::keep_stopped(&mut registry, |agent| stays_stopped(&loaded, agent));
    }
    let registry = registry.to_value().map_err(|fault| unavailable(&fault))?;
    Ok(Value::object([
        ("revision", Value::from(revision.to_string())),
        ("registry", registry),
    ]))
}
