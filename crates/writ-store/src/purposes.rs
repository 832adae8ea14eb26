//! Purposes, as a revision names them.

use std::collections::BTreeSet;

use writ_types::{Budget, Purpose, Value, WantedAuthentication};

use crate::StoreError;
use crate::fields::{Fields, millis, parsed, texts};

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
        plan_required,
        hours,
        environments,
        max_blast_radius,
        user_authentication,
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
    let planned = plan_required.then(|| ("plan_required", Value::from(true)));
    let hours = hours
        .as_ref()
        .map(|hours| ("hours", Value::from(hours.to_string())));
    let named = (!environments.is_empty()).then(|| ("environments", texts(environments)));
    let radius = max_blast_radius.map(|most| ("max_blast_radius", Value::from_u64(most)));
    let user = user_authentication
        .as_ref()
        .map(|wanted| ("user_authentication", wanted_value(wanted)));
    let intent = hours.into_iter().chain(named).chain(radius).chain(user);
    let said = accepted.into_iter().chain(planned).chain(intent);
    Value::object(members.into_iter().chain(said))
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
        "plan_required",
        "hours",
        "environments",
        "max_blast_radius",
        "user_authentication",
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
        plan_required: match fields.optional("plan_required") {
            None => false,
            Some(_) => fields.flag("plan_required")?,
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
        user_authentication: fields
            .optional("user_authentication")
            .map(wanted)
            .transpose()?,
    })
}

fn wanted_value(wanted: &WantedAuthentication) -> Value {
    let age = wanted.max_age().map(|age| ("max_age_ms", millis(age)));
    let acr = wanted.acr().iter().map(|acr| Value::from(acr.as_str()));
    let acr = (!wanted.acr().is_empty()).then(|| ("acr", Value::Array(acr.collect())));
    Value::object(age.into_iter().chain(acr))
}

/// What is damaged asks for something that nobody can give: it is never read as asking for less.
fn wanted(value: &Value) -> Result<WantedAuthentication, StoreError> {
    const WHAT: &str = "purpose";
    let fields = Fields::of(WHAT, value, &["max_age_ms", "acr"])?;
    let age = match fields.optional("max_age_ms") {
        None => None,
        Some(_) => Some(fields.life("max_age_ms")?),
    };
    let named = fields.optional("acr").map(Value::as_array);
    let named = named.map_or(Some([].as_slice()), |named| named);
    let named = named.unwrap_or(&[Value::Null]).iter();
    let acr = named.map(|name| parsed(WHAT, name.as_str().unwrap_or_default()));
    let acr = acr.collect::<Result<Vec<_>, StoreError>>()?;
    WantedAuthentication::new(age, acr).map_err(|fault| StoreError::damaged(WHAT, &fault))
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
