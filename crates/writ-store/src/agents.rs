//! Agents, as a revision names them.

use writ_types::{Agent, Federation, Planted, Value, Watch};

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
        federations,
        enabled,
        watch,
    } = agent;
    let mut members = vec![
        ("id", Value::from(id.to_string())),
        ("spiffe", Value::from(spiffe.as_str())),
        ("owner", Value::from(owner.as_str())),
        ("groups", texts(groups)),
        ("mode", Value::from(mode.as_str())),
        ("purposes", texts(purposes)),
        ("selectors", texts(selectors)),
        ("enabled", Value::from(*enabled)),
    ];
    // An agent without them is written as it always was, so that its digest stays.
    if !federations.is_empty() {
        let written = federations.iter().map(write_federation).collect();
        members.push(("federations", Value::Array(written)));
    }
    if *watch != Watch::default() {
        members.push(("watch", write_watch(watch)));
    }
    Value::object(members)
}

fn write_watch(watch: &Watch) -> Value {
    let Watch {
        second_source,
        second_instance,
        honey,
        planted,
    } = watch;
    let planted = planted.iter().map(|planted| {
        Value::object([
            ("name", Value::from(planted.name.as_str())),
            ("digest", Value::from(planted.digest.to_string())),
            ("stop", Value::from(planted.stop)),
        ])
    });
    Value::object([
        ("second_source", Value::from(second_source.as_str())),
        ("second_instance", Value::from(second_instance.as_str())),
        ("honey", Value::from(*honey)),
        ("planted", Value::Array(planted.collect())),
    ])
}

fn read_watch(value: &Value) -> Result<Watch, StoreError> {
    let known = ["second_source", "second_instance", "honey", "planted"];
    let fields = Fields::of("agent", value, &known)?;
    let planted = |value: &Value| {
        Some(Planted {
            name: value.member("name")?.as_str()?.to_owned(),
            digest: value.member("digest")?.as_str()?.parse().ok()?,
            stop: value.member("stop")?.as_bool()?,
        })
    };
    Ok(Watch {
        second_source: fields.parsed("second_source")?,
        second_instance: fields.parsed("second_instance")?,
        honey: fields.flag("honey")?,
        planted: fields.list("planted", planted)?,
    })
}

fn write_federation(federation: &Federation) -> Value {
    let claims = federation.claims().iter();
    let claims = claims.map(|(name, value)| (name.to_string(), Value::from(value.as_str())));
    Value::object([
        ("issuer", Value::from(federation.issuer())),
        ("claims", Value::object(claims)),
    ])
}

fn read_federation(value: &Value) -> Option<Federation> {
    let issuer = value.member("issuer")?.as_str()?.to_owned();
    let claims = value.member("claims")?.as_object()?;
    let claim =
        |(name, value): (&String, &Value)| Some((name.parse().ok()?, value.as_str()?.to_owned()));
    Federation::new(issuer, claims.iter().map(claim).collect::<Option<_>>()?)
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
        "federations",
        "enabled",
        "watch",
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
        federations: fields.list("federations", read_federation)?,
        enabled: fields.flag("enabled")?,
        watch: fields
            .optional("watch")
            .map_or_else(|| Ok(Watch::default()), read_watch)?,
    })
}
