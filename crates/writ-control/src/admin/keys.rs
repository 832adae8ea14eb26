//! Replacing keys.

use writ_audit::{Actor, Durability, Event, KeyRotated};
use writ_types::Value;

use crate::admin::proposals::{self, Kind};
use crate::admin::{AdminError, Call};
use crate::http::object;
use crate::plane::Plane;
use crate::token_keys::{Rotation, TokenKeyError};

/// Rotates, if two people want it; to revoke is to stop, and that never waits.
pub(super) async fn enter(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let revoke = object(call.body)?.member("revoke").and_then(Value::as_bool);
    if revoke != Some(true) {
        return proposals::enter(plane, call, Kind::RotateKeys).await;
    }
    let _one_at_a_time = plane.changing.lock().await;
    rotate(plane, call).await
}

/// Lets the next key sign access tokens. With `{"revoke":true}` the tokens of the key before are refused at once; otherwise
/// they live out their minutes. The lock on changes is held.
pub(super) async fn rotate(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let how = match body.member("revoke").map(Value::as_bool) {
        None | Some(Some(false)) => Rotation::Retire,
        Some(Some(true)) => Rotation::Revoke,
        Some(None) => {
            return Err(AdminError::Invalid("`revoke` is true or false".to_owned()));
        }
    };
    let unavailable = |fault: TokenKeyError| AdminError::Unavailable(fault.to_string());
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    if how == Rotation::Revoke {
        let keys = plane.with_token_keys(|keys| keys.with_another_next());
        in_force(plane, keys.map_err(unavailable)?)?;
    }
    let (old, new) = plane.with_token_keys(|keys| keys.thumbprints());
    let purpose = "token"
        .parse()
        .map_err(|_never| AdminError::Unauthenticated)?;
    let event = Event::KeyRotated(KeyRotated {
        purpose,
        old: Some(old),
        new,
        by: Actor::Operator(call.operator.id),
    });
    let recorded = plane
        .record(plane.header(now), event, None, Durability::Durable)
        .await;
    recorded.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    let keys = plane.with_token_keys(|keys| keys.rotated(how, now));
    in_force(plane, keys.map_err(unavailable)?)?;
    Ok(Value::object([
        ("signs", Value::from(new.to_string())),
        ("signed", Value::from(old.to_string())),
        ("revoked", Value::from(how == Rotation::Revoke)),
    ]))
}

fn in_force(plane: &Plane, keys: crate::token_keys::TokenKeys) -> Result<(), AdminError> {
    plane
        .put_token_keys_in_force(keys)
        .map_err(AdminError::Unavailable)
}
