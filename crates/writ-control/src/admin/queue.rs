//! The review queue: what waits for an API's owner, the most called first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use writ_contract::Operation;
use writ_types::{ActionName, ApiId, PurposeName, Value};

use super::look::{count, strings, unavailable};
use super::{AdminError, Call};
use crate::loaded::{Loaded, LoadedApi};
use crate::plane::Plane;
use crate::readiness;
use crate::records::{Calls, Traffic};

/// Most rows of one answer; of the others there is only the number.
const MOST_ROWS: usize = 200;

/// Everything that waits, of all APIs or of the one that is asked for.
pub(super) async fn list(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let only = call.query("api").map(str::parse::<ApiId>);
    let only = only.transpose().ok().filter(|only| {
        only.as_ref()
            .is_none_or(|only| loaded.apis.contains_key(only))
    });
    let only = only.ok_or(AdminError::NotFound("there is no such API"))?;
    let traffic = plane.logs.traffic().await;
    let traffic = traffic.map_err(|fault| unavailable(&fault))?;
    Ok(queue(&loaded, only.as_ref(), &traffic))
}

fn queue(loaded: &Loaded, only: Option<&ApiId>, traffic: &Traffic) -> Value {
    let purposes = named(loaded);
    let chosen = loaded.apis.iter();
    let chosen = chosen.filter(|(id, _)| only.is_none_or(|only| only == *id));
    let mut waiting: Vec<Waiting<'_>> = chosen
        .flat_map(|(_, api)| waiting(api, &purposes, traffic))
        .collect();
    waiting.sort_by_key(Waiting::place);
    let rows = waiting.iter().take(MOST_ROWS).map(Waiting::to_value);
    Value::object([
        ("operations", Value::Array(rows.collect())),
        ("more", count(waiting.len().saturating_sub(MOST_ROWS))),
        ("records_looked_at", Value::from_u64(traffic.looked_at)),
        ("records_before", Value::from_u64(traffic.before)),
    ])
}

/// The purposes that name each action: without one nobody could call it.
fn named(loaded: &Loaded) -> BTreeMap<&ActionName, BTreeSet<&PurposeName>> {
    let mut named: BTreeMap<&ActionName, BTreeSet<&PurposeName>> = BTreeMap::new();
    for purpose in loaded.purposes.values() {
        for action in &purpose.actions {
            named.entry(action).or_default().insert(&purpose.name);
        }
    }
    named
}

/// One operation that waits for its owner.
#[derive(Debug)]
struct Waiting<'a> {
    operation: &'a Operation,
    /// `review`, or `promotion` where it has changed at its server.
    what: &'static str,
    calls: Calls,
    purposes: Vec<&'a PurposeName>,
}

fn waiting<'a>(
    api: &'a LoadedApi,
    purposes: &BTreeMap<&ActionName, BTreeSet<&'a PurposeName>>,
    traffic: &Traffic,
) -> Vec<Waiting<'a>> {
    let one = |operation: &'a Operation| {
        let what = if api.quarantined.contains(operation.id()) {
            "promotion"
        } else if operation.reviewed() {
            return None;
        } else {
            "review"
        };
        let action = operation.action();
        let calls = traffic.calls.get(action).copied().unwrap_or_default();
        let purposes = purposes.get(action).into_iter().flatten().copied();
        Some(Waiting {
            operation,
            what,
            calls,
            purposes: purposes.collect(),
        })
    };
    api.contract.operations().filter_map(one).collect()
}

impl Waiting<'_> {
    /// The most called first; then what could be called, then what is described worst.
    fn place(&self) -> (Reverse<u64>, bool, Option<u8>, ActionName) {
        let score = self.operation.score().map(|score| score.points());
        let calls = self.calls.sent.saturating_add(self.calls.refused);
        let action = self.operation.action().clone();
        (Reverse(calls), self.purposes.is_empty(), score, action)
    }

    fn to_value(&self) -> Value {
        let operation = self.operation;
        let fix = match self.what {
            "promotion" => {
                let api = &operation.action().api;
                format!(
                    "it has changed at its server: `writ api drift {api}`, then `writ api promote {api}`"
                )
            }
            _ => readiness::fix(operation).unwrap_or_else(|| {
                let api = &operation.action().api;
                format!("say what it does in `apis/{api}.overlay.yaml` (`x-writ: {{effect: …}}`)")
            }),
        };
        let purposes = self.purposes.iter().map(ToString::to_string);
        let members = [
            ("action", Value::from(operation.action().to_string())),
            ("waits_for", Value::from(self.what)),
            ("sent", Value::from_u64(self.calls.sent)),
            ("refused", Value::from_u64(self.calls.refused)),
            ("method", Value::from(operation.method())),
            ("path", Value::from(operation.template())),
            ("counts_as", Value::from(operation.effects().to_string())),
            ("asks_each_time", Value::from(operation.unready())),
            ("purposes", strings(purposes)),
            ("fix", Value::from(fix)),
        ];
        Value::object(members.into_iter().chain(readiness::members(operation)))
    }
}
