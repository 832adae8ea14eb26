//! Purposes, as a revision names them.

use std::collections::BTreeSet;

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
        hours,
        environments,
        max_blast_radius,
    } = purpose;
    let members = [
        ("name", Value::from(name.as_str())),
        ("owner", Value::from(owner.as_str())),
        ("description", Value::from(description.as_str())),
        ("actions", texts(actions)),
        ("budget", budget.to_value()),
        ("max_task_life_ms", millis(*max_task_life)),
    ];
    // A purpose without them is written as it always was, so that its digest stays.
    let accepted = agent_vouches.then(|| ("agent_vouches", Value::from(true)));
    let hours = hours
        .as_ref()
        .map(|hours| ("hours", Value::from(hours.to_string())));
    let named = (!environments.is_empty()).then(|| ("environments", texts(environments)));
    let radius = max_blast_radius.map(|most| ("max_blast_radius", Value::from_u64(most)));
    let intent = hours.into_iter().chain(named).chain(radius);
    Value::object(members.into_iter().chain(accepted).chain(intent))
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
        "hours",
        "environments",
        "max_blast_radius",
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
        hours: fields.maybe("hours")?,
        environments: match fields.optional("environments") {
            None => BTreeSet::new(),
            Some(_) => fields.set("environments")?,
        },
        max_blast_radius: match fields.optional("max_blast_radius") {
            None => None,
            Some(_) => Some(fields.number("max_blast_radius")?),
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
