//! Purposes, as a revision names them.

use writ_types::{Budget, Purpose, Value};

use crate::StoreError;
use crate::fields::{Fields, millis, texts};

/// Content-addressed, so the same definition twice is once.
pub(crate) const PUT: &str = "INSERT INTO purposes (tenant, digest, definition) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant, digest) DO NOTHING";
pub(crate) const BY_DIGEST: &str =
    "SELECT definition FROM purposes WHERE tenant = ?1 AND digest = ?2";

pub(crate) fn to_value(purpose: &Purpose) -> Value {
    let Purpose {
        name,
        owner,
        description,
        actions,
        budget,
        max_task_life,
        agent_vouches,
    } = purpose;
    let members = [
        ("name", Value::from(name.as_str())),
        ("owner", Value::from(owner.as_str())),
        ("description", Value::from(description.as_str())),
        ("actions", texts(actions)),
        ("budget", budget.to_value()),
        ("max_task_life_ms", millis(*max_task_life)),
    ];
    // A purpose without it is written as it always was, so that its digest stays.
    let accepted = agent_vouches.then(|| ("agent_vouches", Value::from(true)));
    Value::object(members.into_iter().chain(accepted))
}

pub(crate) fn from_value(value: &Value) -> Result<Purpose, StoreError> {
    let known = [
        "name",
        "owner",
        "description",
        "actions",
        "budget",
        "max_task_life_ms",
        "agent_vouches",
    ];
    let fields = Fields::of("purpose", value, &known)?;
    Ok(Purpose {
        name: fields.parsed("name")?,
        owner: fields.parsed("owner")?,
        description: fields.text("description")?.to_owned(),
        actions: fields.set("actions")?,
        budget: budget("purpose", fields.member("budget")?)?,
        max_task_life: fields.life("max_task_life_ms")?,
        agent_vouches: match fields.optional("agent_vouches") {
            None => false,
            Some(_) => fields.flag("agent_vouches")?,
        },
    })
}

/// A stored budget. A count that is missing would be nothing, never a default.
pub(crate) fn budget(what: &'static str, value: &Value) -> Result<Budget, StoreError> {
    let nothing = Budget {
        calls: 0,
        writes: 0,
        deletes: 0,
        irreversible: 0,
    };
    Budget::parse(value, nothing).map_err(|fault| StoreError::damaged(what, &fault))
}
