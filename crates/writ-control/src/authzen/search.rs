//! Searches (Authorization API 1.0 §8): whatever of what is registered the decision would be `true` for, on one page.

use writ_types::{Agent, Value};

use super::request::{Action, Entity, Evaluation, Search};
use super::{AGENT, Decision, agent, api, decide, last_parameter, operation, possible};
use crate::admin::AdminError;
use crate::plane::Plane;

fn results(found: Vec<Value>) -> Value {
    Value::object([("results", Value::Array(found))])
}

/// Which agents could do it.
pub(crate) fn search_subject(plane: &Plane, body: &Value) -> Result<Value, AdminError> {
    let asked = Evaluation::search(body, Search::Subject)?;
    let loaded = plane.loaded();
    let known = asked.subject.kind == AGENT;
    let Some((api, operation)) = operation(&loaded, &asked).filter(|_| known) else {
        return Ok(results(Vec::new()));
    };
    let could =
        |agent: &&Agent| possible(plane, &loaded, agent, api, operation, &asked) == Decision::Yes;
    let agents = loaded.agents.values().map(|agent| &**agent).filter(could);
    let found = agents.map(|agent| entity(AGENT, agent.spiffe.as_str()));
    Ok(results(found.collect()))
}

/// On which resources of an API it could do it: the API itself, or the ids that the contract enumerates. What lies at the
/// upstream is not known here.
pub(crate) fn search_resource(plane: &Plane, body: &Value) -> Result<Value, AdminError> {
    let asked = Evaluation::search(body, Search::Resource)?;
    let loaded = plane.loaded();
    let Some((api, operation)) = operation(&loaded, &asked) else {
        return Ok(results(Vec::new()));
    };
    let ids = match last_parameter(operation.template()) {
        None => vec![api.api.id.to_string()],
        Some(name) => enumerated(&operation.tool_schema(), name),
    };
    let could = |id: &&String| {
        let resource = Entity {
            id: Some(id),
            ..asked.resource
        };
        decide(plane, &loaded, &Evaluation { resource, ..asked }) == Decision::Yes
    };
    let found = ids.iter().filter(could);
    let found = found.map(|id| entity(asked.resource.kind, id));
    Ok(results(found.collect()))
}

/// What it could do there.
pub(crate) fn search_action(plane: &Plane, body: &Value) -> Result<Value, AdminError> {
    let asked = Evaluation::search(body, Search::Action)?;
    let loaded = plane.loaded();
    let (Some(_), Some(api)) = (agent(&loaded, &asked), api(&loaded, asked.resource.kind)) else {
        return Ok(results(Vec::new()));
    };
    let mut found = Vec::new();
    for operation in api.contract.operations() {
        let name = operation.id().as_str();
        let action = Some(Action {
            name,
            properties: None,
        });
        if decide(plane, &loaded, &Evaluation { action, ..asked }) == Decision::Yes {
            found.push(Value::object([("name", Value::from(name))]));
        }
    }
    Ok(results(found))
}

fn entity(kind: &str, id: &str) -> Value {
    Value::object([("type", Value::from(kind)), ("id", Value::from(id))])
}

/// The texts that the contract enumerates for a path parameter.
fn enumerated(schema: &Value, name: &str) -> Vec<String> {
    let parameter = schema
        .member("properties")
        .and_then(|groups| groups.member("path")?.member("properties")?.member(name));
    let values = parameter.and_then(|parameter| parameter.member("enum")?.as_array());
    let texts = values.unwrap_or_default().iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
