//! Who can do what on one side: for each agent, purpose and action what the rules say before anybody calls.

use std::collections::BTreeSet;

use writ_policy::{Holds, Part};
use writ_types::{ActionName, Effects, OwnerName, PurposeName, SpiffeId, Timestamp, Value};

use super::access::{self, Access};
use super::side::Side;
use super::strings;

/// What one agent can do for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The agent.
    pub agent: SpiffeId,
    /// The purpose of its task.
    pub purpose: PurposeName,
    /// Who answers for the purpose.
    pub owner: OwnerName,
    /// The action.
    pub action: ActionName,
    /// What the action does; none if the contract does not have it.
    pub effects: Option<Effects>,
    /// Whether it can.
    pub access: Access,
    /// The rules that refuse, ask or depend on the call.
    pub rules: Vec<String>,
}

impl Reach {
    /// Whether some call could be allowed.
    #[must_use]
    pub const fn is_possible(&self) -> bool {
        matches!(self.access, Access::Yes { .. })
    }

    /// The reach as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let effects = self.effects.map(|effects| effects.to_string());
        Value::object([
            ("agent", Value::from(self.agent.as_str())),
            ("purpose", Value::from(self.purpose.as_str())),
            ("owner", Value::from(self.owner.as_str())),
            ("action", Value::from(self.action.to_string())),
            ("effects", effects.map_or(Value::Null, Value::from)),
            ("answer", Value::from(self.access.word())),
            ("why", Value::from(self.access.to_string())),
            ("rules", strings(self.rules.iter().map(String::as_str))),
        ])
    }
}

/// Every agent with every action of its purposes, and those of `beside`, in this order: agent, purpose, action.
///
/// # Errors
///
/// The entities of a task cannot be made.
pub fn reach(
    side: &Side,
    beside: &BTreeSet<ActionName>,
    now: Timestamp,
) -> Result<Vec<Reach>, String> {
    let survey = side.pdp.survey();
    let mut agents: Vec<_> = side.registry.agents.values().collect();
    agents.sort_by_key(|agent| &agent.spiffe);
    let mut found = Vec::new();
    for agent in agents {
        for name in &agent.purposes {
            let Some(purpose) = side.registry.purposes.get(name) else {
                continue;
            };
            let actions = purpose.actions.union(beside).cloned().collect();
            let stands = access::stands(side, &survey, &agent.spiffe, name, &actions, now)?;
            for (action, stand) in stands {
                let decides = |standing: &&writ_policy::Standing| {
                    standing.part != Part::Permits && standing.holds != Holds::Never
                };
                let rules = match &stand.access {
                    Access::No(access::Refusal::Forbidden(rule)) => vec![rule.clone()],
                    Access::No(_) => Vec::new(),
                    Access::Yes { .. } => {
                        let deciding = stand.standings.iter().filter(decides);
                        deciding.map(|standing| standing.rule.clone()).collect()
                    }
                };
                found.push(Reach {
                    agent: agent.spiffe.clone(),
                    purpose: name.clone(),
                    owner: purpose.owner.clone(),
                    action,
                    effects: stand.effects,
                    access: stand.access,
                    rules,
                });
            }
        }
    }
    Ok(found)
}

/// Who can do what, as a text that is kept beside the policies: a change of it is a change in who may do what.
///
/// # Errors
///
/// As [`reach`].
pub fn matrix(side: &Side, now: Timestamp) -> Result<String, String> {
    let rows: Vec<[String; 4]> = reach(side, &BTreeSet::new(), now)?
        .into_iter()
        .map(|reach| {
            [
                reach.agent.to_string(),
                reach.purpose.to_string(),
                reach.action.to_string(),
                reach.access.to_string(),
            ]
        })
        .collect();
    let head = ["agent", "purpose", "action", "access"].map(str::to_owned);
    let mut widths = [0usize; 4];
    for row in std::iter::once(&head).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::from(
        "# Who can do what. A change here is a change in who may do what; `writ policy test --accept` writes it anew.\n",
    );
    for row in std::iter::once(&head).chain(&rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    Ok(text)
}
