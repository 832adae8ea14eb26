//! Agents, as a revision names them.

use writ_types::{Agent, Value};

use crate::StoreError;
use crate::fields::{Fields, texts};

/// Content-addressed, so the same definition twice is once.
pub(crate) const PUT: &str = "INSERT INTO agents (tenant, digest, definition) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant, digest) DO NOTHING";
pub(crate) const BY_DIGEST: &str =
    "SELECT definition FROM agents WHERE tenant = ?1 AND digest = ?2";

pub(crate) fn to_value(agent: &Agent) -> Value {
    let Agent {
        id,
        spiffe,
        owner,
        groups,
        mode,
        purposes,
        selectors,
        enabled,
    } = agent;
    Value::object([
        ("id", Value::from(id.to_string())),
        ("spiffe", Value::from(spiffe.as_str())),
        ("owner", Value::from(owner.as_str())),
        ("groups", texts(groups)),
        ("mode", Value::from(mode.as_str())),
        ("purposes", texts(purposes)),
        ("selectors", texts(selectors)),
        ("enabled", Value::from(*enabled)),
    ])
}

pub(crate) fn from_value(value: &Value) -> Result<Agent, StoreError> {
    let known = [
        "id",
        "spiffe",
        "owner",
        "groups",
        "mode",
        "purposes",
        "selectors",
        "enabled",
    ];
    let fields = Fields::of("agent", value, &known)?;
    Ok(Agent {
        id: fields.parsed("id")?,
        spiffe: fields.parsed("spiffe")?,
        owner: fields.parsed("owner")?,
        groups: fields.set("groups")?,
        mode: fields.parsed("mode")?,
        purposes: fields.set("purposes")?,
        selectors: fields.set("selectors")?,
        enabled: fields.flag("enabled")?,
    })
}
