//! What came of the draft that is tried.

use writ_types::Value;

use super::AdminError;
use super::look::unavailable;
use crate::plane::Plane;
use crate::shadow::Trial;

/// By the newest records. Nothing is changed.
pub(super) async fn shadow(plane: &Plane) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let missing =
        "no draft is tried: policies/shadow is empty, or its trial was over at the last start";
    let time = loaded.pdp.shadow_time().cloned();
    let time = time.ok_or(AdminError::NotFound(missing))?;
    let policy = loaded.pdp.shadow_digest();
    let policy = policy.ok_or(AdminError::NotFound(missing))?;
    let trial = Trial::of(policy, time, loaded.revision);
    let folded = plane.logs.fold(trial, |trial, record| trial.take(record));
    let (trial, before) = folded.await.map_err(|fault| unavailable(&fault))?;
    Ok(trial.to_value(before, plane.clock.now()))
}
