//! Who vouches for others, as the settings name them and as people have approved it.

use writ_audit::Actor;
use writ_types::{Digest, Value};

use crate::admin::{AdminError, Call};
use crate::http::object;
use crate::plane::Plane;
use crate::roots::Roots;
use crate::vouching;

/// Every voucher of the settings, and whether it is believed.
pub(super) async fn list(plane: &Plane) -> Result<Value, AdminError> {
    let approved = plane.store.trust_roots(&plane.tenant).await;
    let approved = approved.map_err(|fault| unavailable(&fault))?;
    let held = plane.roots();
    let roots = &*held;
    let row = |(name, digest): (&String, &Digest)| {
        let state = if !roots.is_held(name) {
            "believed"
        } else if approved.get(name) == Some(digest) {
            // The settings have changed once more, or have a fault: the next reload reads them again.
            "believed_after_a_reload"
        } else {
            "held"
        };
        Value::object([
            ("name", Value::from(name.as_str())),
            ("settings", Value::from(digest.to_string())),
            ("state", Value::from(state)),
        ])
    };
    let named = roots.configured().iter();
    let named = named.filter(|(name, _)| !name.is_empty());
    let rows = named.map(row).collect();
    Ok(Value::object([
        ("digest", Value::from(roots.digest().to_string())),
        ("roots", Value::Array(rows)),
    ]))
}

/// Whether what is to be approved is what the running process was told.
pub(super) fn check(plane: &Plane, call: &Call<'_>) -> Result<(), AdminError> {
    let body = object(call.body)?;
    let digest = body.member("digest").and_then(Value::as_str);
    if digest == Some(&plane.roots().digest().to_string()) {
        return Ok(());
    }
    Err(AdminError::Invalid(
        "`digest` is that of all trust roots of the running process, and it is another: look again"
            .to_owned(),
    ))
}

/// Approves the vouchers of the settings, and believes them. The lock on changes is held.
pub(super) async fn approve(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    check(plane, call)?;
    let before = plane.store.trust_roots(&plane.tenant).await;
    let before = before.map_err(|fault| unavailable(&fault))?;
    let by = Actor::Operator(call.operator.id);
    let roots = plane.roots();
    let approved = roots.approve(plane, Roots::digest_of(&before), by).await;
    approved.map_err(AdminError::Unavailable)?;
    // What is believed is what stands there now: if that is no more what was approved, it is held back.
    let believed = match vouching::read(plane).await {
        Ok(ready) => vouching::put_in_force(plane, ready, by).await,
        Err(fault) => Err(fault),
    };
    let fault = believed.err();
    Ok(Value::object([
        ("digest", Value::from(roots.digest().to_string())),
        ("believed", Value::from(fault.is_none())),
        ("fault", fault.map_or(Value::Null, Value::String)),
    ]))
}

fn unavailable(fault: &dyn std::fmt::Display) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}
