//! The people who run Writ, and those who approve.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_audit::{Durability, Event, OperatorAction};
use writ_store::{Role, StoreError};
use writ_types::{Digest, OperatorId, Requester, Timestamp, Value};

use crate::admin::{AdminError, Call, hash};
use crate::http::object;
use crate::plane::Plane;

/// How long an invitation is good.
const INVITATION_LIFE: Duration = Duration::from_secs(24 * 3600);

fn unavailable(fault: &dyn std::fmt::Display) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}

/// The operators.
pub(super) async fn list(plane: &Plane) -> Result<Value, AdminError> {
    let operators = plane.store.operators(&plane.tenant, None).await;
    let operators = operators.map_err(|fault| unavailable(&fault))?;
    let row = |operator: &writ_store::Operator| {
        let identity = operator.identity.as_ref();
        let roles = operator.approves.iter();
        Value::object([
            ("id", Value::from(operator.id.to_string())),
            ("name", Value::from(operator.name.as_str())),
            ("role", Value::from(operator.role.as_str())),
            (
                "approves",
                Value::Array(roles.map(|role| Value::from(role.as_str())).collect()),
            ),
            (
                "identity",
                identity.map_or(Value::Null, |user| {
                    Value::from(format!("{}#{}", user.issuer, user.subject))
                }),
            ),
            ("created", Value::from(operator.created.to_string())),
        ])
    };
    Ok(Value::Array(operators.iter().map(row).collect()))
}

/// Registers an operator and invites them: the token in the answer signs them in, once, within a day.
pub(super) async fn add(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| unavailable(&fault))?;
    let operator = wanted(&object(call.body)?, now)?;
    let token =
        crate::secret_text("woi_").ok_or_else(|| unavailable(&"the random source failed"))?;
    let action = "operator.add"
        .parse()
        .map_err(|_never| AdminError::Forbidden)?;
    let event = Event::OperatorAction(OperatorAction {
        by: call.operator.id,
        action,
        target: operator.id.to_string(),
        digest: Digest::of(format!("{operator:?}").as_bytes()),
    });
    let recorded = plane
        .record(plane.header(now), event, None, Durability::Durable)
        .await;
    recorded.map_err(|fault| unavailable(&fault))?;
    let expires = now.plus(INVITATION_LIFE);
    let invited = plane
        .store
        .invite_operator(&plane.tenant, &operator, &hash(&token), expires)
        .await;
    invited.map_err(|fault| {
        if matches!(fault, StoreError::Exists(_)) {
            invalid("an operator of that name is registered already")
        } else {
            unavailable(&fault)
        }
    })?;
    Ok(Value::object([
        ("operator", Value::from(operator.id.to_string())),
        ("invitation", Value::from(token)),
        ("expires", Value::from(expires.to_string())),
    ]))
}

fn invalid(message: &str) -> AdminError {
    AdminError::Invalid(message.to_owned())
}

/// The operator that a request describes.
fn wanted(body: &Value, now: Timestamp) -> Result<writ_store::Operator, AdminError> {
    let text = |name| body.member(name).and_then(Value::as_str);
    let name = text("name").unwrap_or_default().trim();
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(invalid("`name` is 1 to 64 printable characters"));
    }
    let role: Role = text("role")
        .unwrap_or("viewer")
        .parse()
        .map_err(|fault: &str| invalid(fault))?;
    let approves = match body.member("approves") {
        None => BTreeSet::new(),
        Some(roles) => roles
            .as_array()
            .and_then(|roles| roles.iter().map(role_name).collect::<Option<_>>())
            .ok_or_else(|| {
                invalid(
                    "`approves` is a list of roles other than admin, operator, owner and requester",
                )
            })?,
    };
    let identity = match text("identity") {
        None => None,
        Some(identity) => {
            let parts = identity.split_once('#');
            let parts = parts.filter(|(issuer, subject)| !issuer.is_empty() && !subject.is_empty());
            let (issuer, subject) =
                parts.ok_or_else(|| invalid("`identity` is `<issuer>#<subject>`"))?;
            Some(Requester {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            })
        }
    };
    Ok(writ_store::Operator {
        id: OperatorId::new(now, crate::random()),
        name: name.to_owned(),
        role,
        approves,
        identity,
        created: now,
    })
}

fn role_name(role: &Value) -> Option<String> {
    let role = role.as_str()?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = !role.is_empty()
        && role.len() <= 32
        && role.bytes().all(plain)
        && !writ_task::STANDING_ROLES.contains(&role);
    good.then(|| role.to_owned())
}
