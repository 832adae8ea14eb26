//! Changing: recorded first, then in force.

use std::collections::BTreeMap;

use writ_audit::{Actor, Durability, Event, OperatorAction, RevisionActivated};
use writ_store::StoreError;
use writ_types::{CredentialName, Digest, RevisionId, Secret, Value};

use crate::admin::{AdminError, Call};
use crate::http::object;
use crate::plane::Plane;
use crate::reload;

/// Stores a new version of a credential, and puts it in force.
pub(super) async fn set_credential(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let name: CredentialName = call
        .parameter
        .parse()
        .map_err(|fault: writ_types::NameError| AdminError::Invalid(fault.to_string()))?;
    let body = object(call.body)?;
    let value = body
        .member("value")
        .and_then(Value::as_str)
        .filter(|value| !value.is_empty());
    let value =
        value.ok_or_else(|| AdminError::Invalid("`value` is missing or empty".to_owned()))?;
    if value.len() > 16 * 1024 || value.chars().any(char::is_control) {
        return Err(AdminError::Invalid(
            "a credential is one line of at most 16 KiB".to_owned(),
        ));
    }
    let _one_at_a_time = plane.changing.lock().await;
    let version = plane
        .store
        .next_credential_version(&plane.tenant, &name)
        .await
        .map_err(|fault| store(&fault))?;
    let secret = Secret::new(value.to_owned());
    let sealed = plane
        .keys
        .sealer
        .seal(&plane.tenant, &name, version, &secret);
    let sealed = sealed.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    record(
        plane,
        call,
        "credential.set",
        &format!("{name} {version}"),
        Digest::of(sealed.as_bytes()),
    )
    .await?;
    plane
        .store
        .put_credential(&plane.tenant, &name, version, &sealed, plane.clock.now())
        .await
        .map_err(|fault| store(&fault))?;
    reload::reload(plane)
        .await
        .map_err(AdminError::Unavailable)?;
    Ok(Value::object([
        ("name", Value::from(name.as_str())),
        ("version", Value::from_u64(u64::from(version))),
    ]))
}

/// Checks a whole project and, unless it is only checked, puts it in force.
pub(super) async fn apply(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let files = project_files(&body)?;
    let check_only = body
        .member("check")
        .and_then(Value::as_bool)
        .unwrap_or(false);

    let _one_at_a_time = plane.changing.lock().await;
    let before = plane.loaded();
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    let known = |spiffe: &writ_types::SpiffeId| before.agent_of(spiffe).map(|agent| agent.id);
    let project = reload::read_project(&files, &plane.settings.trust_domain, now, known)
        .map_err(AdminError::Project)?;
    let registry = reload::registry(&project);
    let revision = RevisionId::new(now, crate::random());
    // Whatever could keep it from coming into force shows here, before anything is written.
    let next = reload::compile(plane, revision, registry.clone())
        .await
        .map_err(AdminError::Project)?;
    let summary = Value::object([
        ("revision", Value::from(revision.to_string())),
        ("digest", Value::from(next.digest.to_string())),
        ("changed", Value::from(next.digest != before.digest)),
        ("checked_only", Value::from(check_only)),
    ]);
    if check_only || next.digest == before.digest {
        return Ok(summary);
    }
    plane
        .store
        .propose(
            &plane.tenant,
            Some(before.revision),
            revision,
            &registry,
            now,
        )
        .await
        .map_err(|fault| store(&fault))?;
    let event = RevisionActivated {
        from: Some(before.revision),
        to: revision,
        digest: next.digest,
        by: Actor::Operator(call.operator.id),
    };
    let recorded = plane
        .record(
            plane.header(now),
            Event::RevisionActivated(event),
            None,
            Durability::Durable,
        )
        .await;
    recorded.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    plane
        .store
        .activate(&plane.tenant, Some(before.revision), revision, now)
        .await
        .map_err(|fault| store(&fault))?;
    reload::reload(plane)
        .await
        .map_err(AdminError::Unavailable)?;
    Ok(summary)
}

/// The texts of a project, by path.
fn project_files(body: &Value) -> Result<BTreeMap<String, Vec<u8>>, AdminError> {
    let refused = || AdminError::Invalid("`files` is an object of texts by path".to_owned());
    let files = body
        .member("files")
        .and_then(Value::as_object)
        .ok_or_else(refused)?;
    let text = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    let read = files
        .iter()
        .map(|(path, value)| Some((path.clone(), text(value)?)));
    read.collect::<Option<_>>().ok_or_else(refused)
}

/// Reads the revision row again.
pub(super) async fn reload(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let _one_at_a_time = plane.changing.lock().await;
    record(plane, call, "revision.reload", "", plane.loaded().digest).await?;
    let revision = reload::reload(plane)
        .await
        .map_err(AdminError::Unavailable)?;
    Ok(Value::object([(
        "revision",
        Value::from(revision.to_string()),
    )]))
}

async fn record(
    plane: &Plane,
    call: &Call<'_>,
    action: &str,
    target: &str,
    digest: Digest,
) -> Result<(), AdminError> {
    let action = action
        .parse()
        .map_err(|_malformed| AdminError::Unavailable("the action has no name".to_owned()))?;
    let event = Event::OperatorAction(OperatorAction {
        by: call.operator.id,
        action,
        target: target.to_owned(),
        digest,
    });
    let recorded = plane
        .record(
            plane.header(plane.clock.now()),
            event,
            None,
            Durability::Durable,
        )
        .await;
    recorded.map_err(|fault| AdminError::Unavailable(fault.to_string()))
}

fn store(fault: &StoreError) -> AdminError {
    if matches!(fault, StoreError::Conflict { .. }) {
        AdminError::Conflict
    } else {
        AdminError::Unavailable(fault.to_string())
    }
}
