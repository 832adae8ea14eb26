//! What an agent has used of a purpose, and the rule that would leave it that.

use std::collections::BTreeSet;

use writ_types::{ActionName, Label, PurposeName, Value};

use super::look::unavailable;
use super::{AdminError, Call};
use crate::plane::Plane;
use crate::suggest::Usage;

/// By the newest records. Nothing is changed.
pub(super) async fn suggest(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let named = |name| {
        let missing = || AdminError::Invalid(format!("`{name}` is missing"));
        call.query(name).ok_or_else(missing)
    };
    let (agent, purpose) = (named("agent")?, named("purpose")?);
    let agent = loaded.agent_named(agent);
    let agent = agent.ok_or(AdminError::NotFound("there is no such agent, or several"))?;
    let purpose: Option<PurposeName> = purpose.parse().ok();
    let purpose = purpose.and_then(|name| loaded.purposes.get(&name));
    let purpose = purpose.filter(|purpose| agent.purposes.contains(&purpose.name));
    let purpose = purpose.ok_or(AdminError::NotFound("the agent has no such purpose"))?;
    let strangers: BTreeSet<ActionName> = loaded
        .apis
        .values()
        .flat_map(|api| api.contract.operations())
        .filter(|operation| operation.response_labels().contains(&Label::untrusted()))
        .map(|operation| operation.action().clone())
        .collect();
    let usage = Usage::of(agent.id, purpose.name.clone());
    let read = plane.logs.fold(usage, move |usage, record| {
        usage.take(record, |action| strangers.contains(action));
    });
    let (usage, before) = read.await.map_err(|fault| unavailable(&fault))?;
    let suggested = usage.suggest(agent, purpose, plane.clock.now());
    let suggestion = suggested.map_err(|nothing| AdminError::Invalid(nothing.to_string()))?;
    Ok(suggestion.to_value(before))
}
