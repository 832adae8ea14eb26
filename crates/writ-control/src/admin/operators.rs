//! The people who run Writ, and those who approve.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_store::{Role, StoreError};
use writ_types::{Digest, OperatorId, Requester, SpiffeId, Timestamp, Value};

use crate::admin::proposals::people;
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
            (
                "certificate",
                operator
                    .certificate
                    .as_ref()
                    .map_or(Value::Null, |spiffe| Value::from(spiffe.as_str())),
            ),
            ("created", Value::from(operator.created.to_string())),
            ("since", Value::from(operator.since.to_string())),
            (
                "made_by",
                operator
                    .made_by
                    .map_or(Value::Null, |id| Value::from(id.to_string())),
            ),
            (
                "signed_in",
                operator
                    .signed_in
                    .map_or(Value::Null, |at| Value::from(at.to_string())),
            ),
        ])
    };
    Ok(Value::Array(operators.iter().map(row).collect()))
}

/// The member of an answer that lets somebody sign in.
pub(super) const INVITATION: &str = "invitation";

/// Registers an operator and invites them: the token in the answer signs them in, once, within a day. The lock on changes is
/// held.
pub(super) async fn add(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let operator = wanted(plane, call).await?;
    let (token, expires) = invitation(operator.created)?;
    record(plane, call, "operator.add", &operator).await?;
    let invited = plane
        .store
        .invite_operator(&plane.tenant, &operator, &hash(&token), expires)
        .await;
    invited.map_err(|fault| taken(&fault))?;
    Ok(Value::object([
        ("operator", Value::from(operator.id.to_string())),
        (INVITATION, Value::from(token)),
        ("expires", Value::from(expires.to_string())),
    ]))
}

/// Invites somebody again who has never signed in. Only who registered them can: whoever approved it gets no way to sign in
/// as the person they approved.
pub(super) async fn invite(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    let operator = named(&people(plane).await?, call.parameter)?;
    if operator.made_by != Some(call.operator.id) {
        return Err(AdminError::Forbidden);
    }
    if operator.signed_in.is_some() {
        return Err(invalid("they have signed in already"));
    }
    let (token, expires) = invitation(now(plane)?)?;
    record(plane, call, "operator.invite", &operator).await?;
    let put = plane
        .store
        .put_invitation(
            &plane.tenant,
            (operator.id, call.operator.id),
            &hash(&token),
            expires,
        )
        .await;
    put.map_err(|fault| taken(&fault))?;
    Ok(Value::object([
        ("operator", Value::from(operator.id.to_string())),
        (INVITATION, Value::from(token)),
        ("expires", Value::from(expires.to_string())),
    ]))
}

/// Gives somebody another role, other roles to approve in, and other ways to sign in. The lock on changes is held.
pub(super) async fn change(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let operator = changed(plane, call).await?;
    record(plane, call, "operator.change", &operator).await?;
    let changed = plane.store.change_operator(&plane.tenant, &operator).await;
    changed.map_err(|fault| taken(&fault))?;
    Ok(Value::object([(
        "operator",
        Value::from(operator.id.to_string()),
    )]))
}

/// Removes somebody and ends their sessions. The lock on changes is held.
pub(super) async fn remove(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let operator = removed(plane, call).await?;
    record(plane, call, "operator.remove", &operator).await?;
    let removed = plane
        .store
        .remove_operator(&plane.tenant, operator.id)
        .await;
    removed.map_err(|fault| unavailable(&fault))?;
    Ok(Value::object([(
        "operator",
        Value::from(operator.id.to_string()),
    )]))
}

fn invalid(message: &str) -> AdminError {
    AdminError::Invalid(message.to_owned())
}

fn taken(fault: &StoreError) -> AdminError {
    if matches!(fault, StoreError::Exists(_)) {
        invalid("an operator of that name or certificate is registered already")
    } else {
        unavailable(fault)
    }
}

fn now(plane: &Plane) -> Result<Timestamp, AdminError> {
    let now = plane.wall.check(plane.clock.now());
    now.map_err(|fault| unavailable(&fault))
}

fn invitation(now: Timestamp) -> Result<(String, Timestamp), AdminError> {
    let token = crate::secret_text("woi_");
    let token = token.ok_or_else(|| unavailable(&"the random source failed"))?;
    Ok((token, now.plus(INVITATION_LIFE)))
}

async fn record(
    plane: &Plane,
    call: &Call<'_>,
    action: &str,
    operator: &writ_store::Operator,
) -> Result<(), AdminError> {
    let digest = Digest::of(format!("{operator:?}").as_bytes());
    let target = operator.id.to_string();
    super::record(plane, call.operator.id, action, &target, digest).await
}

fn named(people: &[writ_store::Operator], id: &str) -> Result<writ_store::Operator, AdminError> {
    let id: OperatorId = id
        .parse()
        .map_err(|fault: writ_types::IdError| AdminError::Invalid(fault.to_string()))?;
    let found = people.iter().find(|one| one.id == id);
    let found = found.ok_or(AdminError::NotFound("there is no such operator"))?;
    Ok(found.clone())
}

/// The operator that a request wants to register.
pub(super) async fn wanted(
    plane: &Plane,
    call: &Call<'_>,
) -> Result<writ_store::Operator, AdminError> {
    let now = now(plane)?;
    let body = object(call.body)?;
    let name = body.member("name").and_then(Value::as_str);
    let name = name.unwrap_or_default().trim();
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(invalid("`name` is 1 to 64 printable characters"));
    }
    let people = people(plane).await?;
    if people.iter().any(|one| one.name == name) {
        return Err(taken(&StoreError::Exists("operator")));
    }
    let fresh = writ_store::Operator {
        id: OperatorId::new(now, crate::random()),
        name: name.to_owned(),
        role: Role::Viewer,
        approves: BTreeSet::new(),
        identity: None,
        certificate: None,
        created: now,
        since: now,
        made_by: Some(call.operator.id),
        signed_in: None,
    };
    described(plane, &people, &body, fresh)
}

/// The operator that a request wants to change, as they would be.
pub(super) async fn changed(
    plane: &Plane,
    call: &Call<'_>,
) -> Result<writ_store::Operator, AdminError> {
    let now = now(plane)?;
    let people = people(plane).await?;
    let found = named(&people, call.parameter)?;
    let operator = writ_store::Operator {
        approves: BTreeSet::new(),
        identity: None,
        certificate: None,
        since: now,
        made_by: Some(call.operator.id),
        ..found.clone()
    };
    let operator = described(plane, &people, &object(call.body)?, operator)?;
    if found.role == Role::Admin && operator.role != Role::Admin {
        last_admin(&people)?;
    }
    Ok(operator)
}

/// The operator that a request wants to remove.
pub(super) async fn removed(
    plane: &Plane,
    call: &Call<'_>,
) -> Result<writ_store::Operator, AdminError> {
    let people = people(plane).await?;
    let found = named(&people, call.parameter)?;
    if found.role == Role::Admin {
        last_admin(&people)?;
    }
    Ok(found)
}

/// Somebody who has signed in stays admin.
fn last_admin(people: &[writ_store::Operator]) -> Result<(), AdminError> {
    let admins = people
        .iter()
        .filter(|one| one.role == Role::Admin && one.signed_in.is_some());
    if admins.count() < 2 {
        return Err(invalid("this is the only admin who has ever signed in"));
    }
    Ok(())
}

/// An operator with the role, the roles to approve in, and the ways to sign in that a request describes.
fn described(
    plane: &Plane,
    people: &[writ_store::Operator],
    body: &Value,
    operator: writ_store::Operator,
) -> Result<writ_store::Operator, AdminError> {
    let text = |name| body.member(name).and_then(Value::as_str);
    let role: Role = text("role")
        .unwrap_or("viewer")
        .parse()
        .map_err(|fault: &str| invalid(fault))?;
    let approves: BTreeSet<String> = match body.member("approves") {
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
    if role == Role::Viewer && !approves.is_empty() {
        return Err(invalid(
            "a `viewer` approves nothing: the role of somebody who does is `approver`",
        ));
    }
    let others = || people.iter().filter(|one| one.id != operator.id);
    let identity = text("identity").map(user).transpose()?;
    if identity.is_some() && others().any(|one| one.identity == identity) {
        return Err(invalid("another operator is that user already"));
    }
    let certificate: Option<SpiffeId> = text("certificate")
        .map(str::parse)
        .transpose()
        .map_err(|_fault| invalid("`certificate` is the SPIFFE id in their client certificate"))?;
    if let Some(spiffe) = &certificate {
        if plane.loaded().agent_of(spiffe).is_some() {
            return Err(invalid("that identity is an agent's"));
        }
        if others().any(|one| one.certificate.as_ref() == Some(spiffe)) {
            return Err(taken(&StoreError::Exists("operator")));
        }
    }
    Ok(writ_store::Operator {
        role,
        approves,
        identity,
        certificate,
        ..operator
    })
}

fn user(text: &str) -> Result<Requester, AdminError> {
    let parts = text.split_once('#');
    let parts = parts.filter(|(issuer, subject)| !issuer.is_empty() && !subject.is_empty());
    let (issuer, subject) = parts.ok_or_else(|| invalid("`identity` is `<issuer>#<subject>`"))?;
    Ok(Requester {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
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
