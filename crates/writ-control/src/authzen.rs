//! AuthZEN Authorization API 1.0: the decisions of the gateway's own PDP, for those who ask in that language.
//!
//! | AuthZEN | here |
//! |---|---|
//! | subject | a registered agent: type `agent`, its SPIFFE id or name |
//! | action | an operation of the contract, by its name |
//! | resource | type: the API; id: the value of the operation's last path parameter, or the API's id where it has none |
//! | properties of action and resource | the call's other arguments, by the names of the declared parameters, and `body` |
//! | `context.purpose` | only this purpose; without it one of the agent's that permits is enough |
//!
//! What is asked is what a fresh task could do. Properties of subjects are not read: whoever asks does not vouch for them. What
//! is unknown, what depends on an argument that was not given, and what only the gateway may let pass because it changes the
//! response, is `false`.

mod request;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use writ_contract::{Fault, Operation, Parsed, ToolCall};
use writ_policy::{InputView, Question, ResponseView};
use writ_types::{
    ActionName, Agent, CallId, Charge, Facts, Grant, Inputs, Origin, Purpose, PurposeName,
    ReasonCode, Value, WindowName, Windowed,
};

use crate::admin::{AdminError, Operator, fresh_task};
use crate::loaded::{Loaded, LoadedApi};
use crate::plane::Plane;
use crate::trace::{self, Ground, Trace};
use request::{Evaluation, Semantic};

pub(crate) use search::{search_action, search_resource, search_subject};

/// The type of subjects.
const AGENT: &str = "agent";

/// Where what is answered (Authorization API 1.0 §9).
pub(crate) fn metadata(plane: &Plane) -> Value {
    let base = plane.settings.issuer.as_str();
    let at = |path: &str| Value::from(format!("{base}/access/v1/{path}"));
    Value::object([
        ("policy_decision_point", Value::from(base)),
        ("access_evaluation_endpoint", at("evaluation")),
        ("access_evaluations_endpoint", at("evaluations")),
        ("search_subject_endpoint", at("search/subject")),
        ("search_resource_endpoint", at("search/resource")),
        ("search_action_endpoint", at("search/action")),
    ])
}

/// One decision. Whoever may have calls explained gets the trace of it in the context.
pub(crate) fn evaluation(
    plane: &Plane,
    body: &Value,
    operator: &Operator,
) -> Result<Value, AdminError> {
    let asked = Evaluation::read(body, None)?;
    Ok(told(plane, &plane.loaded(), &asked, operator))
}

/// The answer, with the trace of the decision for those who may see it.
fn told(plane: &Plane, loaded: &Loaded, asked: &Evaluation<'_>, operator: &Operator) -> Value {
    let decision = decide(plane, loaded, asked);
    let mut answer = answer(decision);
    if !operator.as_approver().is_operator {
        return answer;
    }
    if let (Value::Object(members), Some(trace)) = (&mut answer, trace(plane, loaded, asked)) {
        let context = members
            .entry("context".to_owned())
            .or_insert_with(|| Value::Object(BTreeMap::new()));
        if let Value::Object(context) = context {
            context.insert("trace".to_owned(), trace.to_value());
        }
    }
    answer
}

/// Several decisions, over one revision. Without any in the array this is [`evaluation`].
pub(crate) fn evaluations(
    plane: &Plane,
    body: &Value,
    operator: &Operator,
) -> Result<Value, AdminError> {
    let Some((items, semantic)) = request::items(body)? else {
        return evaluation(plane, body, operator);
    };
    let loaded = plane.loaded();
    let mut answers = Vec::new();
    for item in items {
        let answered = match Evaluation::read(item, Some(body)) {
            Ok(asked) => told(plane, &loaded, &asked, operator),
            Err(_incomplete) => answer(Decision::No("invalid_request")),
        };
        let yes = answered.member("decision").and_then(Value::as_bool) == Some(true);
        answers.push(answered);
        let stop = match semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !yes,
            Semantic::PermitOnFirstPermit => yes,
        };
        if stop {
            break;
        }
    }
    Ok(Value::object([("evaluations", Value::Array(answers))]))
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Yes,
    /// The reason's code.
    No(&'static str),
}

fn answer(decision: Decision) -> Value {
    match decision {
        Decision::Yes => Value::object([("decision", Value::from(true))]),
        Decision::No(reason) => {
            let context = Value::object([("reason_code", Value::from(reason))]);
            Value::object([("decision", Value::from(false)), ("context", context)])
        }
    }
}

fn decide(plane: &Plane, loaded: &Loaded, asked: &Evaluation<'_>) -> Decision {
    let Some(agent) = agent(loaded, asked) else {
        return Decision::No("unknown_subject");
    };
    let Some((api, operation)) = operation(loaded, asked) else {
        return Decision::No("unknown_operation");
    };
    possible(plane, loaded, agent, api, operation, asked)
}

fn agent<'l>(loaded: &'l Loaded, asked: &Evaluation<'_>) -> Option<&'l Agent> {
    let known = asked.subject.kind == AGENT;
    let id = asked.subject.id.filter(|_| known)?;
    loaded.agent_named(id).map(|agent| &**agent)
}

/// The API that the resource is of.
fn api<'l>(loaded: &'l Loaded, kind: &str) -> Option<&'l LoadedApi> {
    loaded.apis.get(&kind.parse().ok()?)
}

fn operation<'l>(
    loaded: &'l Loaded,
    asked: &Evaluation<'_>,
) -> Option<(&'l LoadedApi, &'l Operation)> {
    let api = api(loaded, asked.resource.kind)?;
    let name = asked.action?.name;
    // `dns:listZones` says what `listZones` of the resource `dns` does.
    let whole = format!("{}:", api.api.id);
    let action: ActionName = if name.starts_with(&whole) {
        name.parse().ok()?
    } else {
        format!("{whole}{name}").parse().ok()?
    };
    Some((api, api.contract.operation(&action.operation)?))
}

/// Whether a fresh task of the agent could make this call.
fn possible(
    plane: &Plane,
    loaded: &Loaded,
    agent: &Agent,
    api: &LoadedApi,
    operation: &Operation,
    asked: &Evaluation<'_>,
) -> Decision {
    if !agent.enabled {
        return Decision::No(ReasonCode::AgentDisabled.as_str());
    }
    if plane.has_stopped(agent) || plane.has_stopped_api(api) {
        return Decision::No(ReasonCode::Stopped.as_str());
    }
    if api.quarantined.contains(operation.id()) {
        return Decision::No(ReasonCode::ContractQuarantined.as_str());
    }
    let Some(arguments) = arguments(api, operation, asked) else {
        return Decision::No("unknown_resource");
    };
    let limits = &plane.settings.limits;
    let call = api.contract.read_tool_call(operation, &arguments, limits);
    let purposes = agent.purposes.iter();
    let wanted = purposes.filter(|name| asked.purpose.is_none_or(|only| name.as_str() == only));
    let mut decision = Decision::No(ReasonCode::ActionNotGranted.as_str());
    for purpose in wanted.filter_map(|name| loaded.purposes.get(name)) {
        if !purpose.actions.contains(operation.action()) {
            continue;
        }
        if plane.has_stopped_purpose(purpose) {
            decision = Decision::No(ReasonCode::Stopped.as_str());
        } else if !purpose.reaches(&api.api) {
            decision = Decision::No(ReasonCode::OutsideEnvironment.as_str());
        } else if !purpose.is_open(plane.clock.now()) {
            decision = Decision::No(ReasonCode::OutsideHours.as_str());
        } else {
            decision = of_purpose(plane, loaded, agent, purpose, operation, &call);
            if decision == Decision::Yes {
                break;
            }
        }
    }
    decision
}

fn of_purpose(
    plane: &Plane,
    loaded: &Loaded,
    agent: &Agent,
    purpose: &Purpose,
    operation: &Operation,
    call: &ToolCall,
) -> Decision {
    let charge = Charge::of(operation.effects());
    if !purpose.budget.covers(charge) {
        return Decision::No(ReasonCode::BudgetExhausted.as_str());
    }
    let action = operation.action();
    let parsed = &call.parsed;
    let (grant, mut facts) = fresh_call(plane, agent, purpose, operation);
    facts.windows = first_windows(loaded, operation, parsed);
    let projected = operation.project(&parsed.input, loaded.pdp.projection(action));
    let input = match &projected {
        _ if !parsed.faults.is_empty() => InputView::Faulty,
        Ok(attributes) => InputView::Typed(attributes),
        Err(_unrepresentable) => InputView::Unrepresentable,
    };
    let question = Question {
        tenant: &plane.tenant,
        call: CallId::new(facts.now, crate::random()),
        agent,
        grant: &grant,
        action,
        input,
        facts: &facts,
        extra: &parsed.input.extra,
        nulls: &parsed.input.nulls,
        response: if operation.stream() {
            ResponseView::Streamed
        } else {
            ResponseView::Buffered
        },
    };
    match loaded.pdp.decide(&question) {
        Ok(permit) if permit.obligations().is_empty() => Decision::Yes,
        // Whoever asks would let the response pass as it is.
        Ok(_with_obligations) => Decision::No("obligations"),
        Err(denied) => Decision::No(denied.reason.as_str()),
    }
}

/// A fresh task of the purpose, and the facts of its first call. What the task's prompt and bounds will vouch for nobody
/// knows yet.
fn fresh_call(
    plane: &Plane,
    agent: &Agent,
    purpose: &Purpose,
    operation: &Operation,
) -> (Grant, Facts) {
    let charge = Charge::of(operation.effects());
    let now = plane.clock.now();
    let (grant, mut facts) = fresh_task(plane, agent, purpose, operation.action(), charge, now);
    for marked in operation.marks() {
        if marked.mark.sensitive.is_some() || marked.mark.payload {
            facts.arguments.add(&marked.pointer, Origin::Unseen);
        }
    }
    (grant, facts)
}

/// What windows show where nothing was counted before the call.
fn first_windows(
    loaded: &Loaded,
    operation: &Operation,
    parsed: &Parsed,
) -> BTreeMap<WindowName, Windowed> {
    let quantities = operation.quantities(&parsed.input);
    let windows = loaded.pdp.windows();
    windows.with_first(operation.action(), operation.effects(), &quantities)
}

/// How the decision comes about for the purpose that was named, or the first of the agent's that needs the action.
fn trace(plane: &Plane, loaded: &Loaded, asked: &Evaluation<'_>) -> Option<Trace> {
    let agent = agent(loaded, asked)?;
    let (api, operation) = operation(loaded, asked)?;
    let named = |name: &&PurposeName| asked.purpose.is_none_or(|only| name.as_str() == only);
    let purposes = agent.purposes.iter().filter(named);
    let purposes: Vec<&Purpose> = purposes
        .filter_map(|name| loaded.purposes.get(name))
        .collect();
    let needs = |purpose: &&&Purpose| purpose.actions.contains(operation.action());
    let purpose = purposes.iter().find(needs).or_else(|| purposes.first())?;
    let arguments = arguments(api, operation, asked)?;
    let limits = &plane.settings.limits;
    let call = api.contract.read_tool_call(operation, &arguments, limits);
    let (grant, mut facts) = fresh_call(plane, agent, purpose, operation);
    facts.windows = first_windows(loaded, operation, &call.parsed);
    let ground = Ground {
        pdp: &loaded.pdp,
        agent,
        purposes: &loaded.purposes,
        api: &api.api,
        contract: &api.contract,
        operation,
    };
    let fault = |fault: &Fault| (fault.pointer.clone(), fault.kind.to_string());
    let inputs = Inputs {
        faults: call.parsed.faults.iter().map(fault).collect(),
        masked: BTreeSet::new(),
        input: Some(call.parsed.input),
        facts: Some(facts),
        left: None,
    };
    let quarantined = api.quarantined.contains(operation.id());
    let stopped = plane.has_stopped(agent)
        || plane.has_stopped_purpose(purpose)
        || plane.has_stopped_api(api);
    let stopped = stopped.then_some(ReasonCode::Stopped);
    let stopped = stopped.or_else(|| quarantined.then_some(ReasonCode::ContractQuarantined));
    Some(trace::of_question(ground, &grant, inputs, stopped))
}

/// The call's arguments as a tool's: what was said of action and resource, by the names that the contract declares. None if
/// the operation has no such resource.
fn arguments(api: &LoadedApi, operation: &Operation, asked: &Evaluation<'_>) -> Option<Value> {
    let schema = operation.tool_schema();
    let declared = schema.member("properties");
    let last = last_parameter(operation.template());
    let id = asked.resource.id?;
    if last.is_none() && id != api.api.id.as_str() {
        return None;
    }
    let said = |name: &str| {
        let of = |properties: Option<&Value>| properties?.member(name).cloned();
        of(asked.action.and_then(|action| action.properties))
            .or_else(|| of(asked.resource.properties))
    };
    let mut arguments = BTreeMap::new();
    for place in ["path", "query", "header"] {
        let group = declared.and_then(|declared| declared.member(place)?.member("properties"));
        let mut given = BTreeMap::new();
        for (name, schema) in group.and_then(Value::as_object).into_iter().flatten() {
            let value = if place == "path" && last == Some(name) {
                Some(typed(schema, id))
            } else {
                said(name)
            };
            given.extend(value.map(|value| (name.clone(), value)));
        }
        if !given.is_empty() {
            arguments.insert(place.to_owned(), Value::Object(given));
        }
    }
    arguments.extend(said("body").map(|body| ("body".to_owned(), body)));
    Some(Value::Object(arguments))
}

/// An id is a text; where the contract has a number in its place it is that number.
fn typed(schema: &Value, id: &str) -> Value {
    let kind = schema.member("type").and_then(Value::as_str);
    match writ_types::Number::parse(id) {
        Some(number) if matches!(kind, Some("integer" | "number")) => Value::Number(number),
        _ => Value::from(id),
    }
}

/// The name of the last parameter of a path's template.
fn last_parameter(template: &str) -> Option<&str> {
    let (_, rest) = template.rsplit_once('{')?;
    rest.split_once('}').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parameter_of_a_path() {
        for (template, wanted) in [
            ("/records", None),
            ("/records/{id}", Some("id")),
            ("/zones/{zone}/records/{record}/raw", Some("record")),
        ] {
            assert_eq!(last_parameter(template), wanted, "{template}");
        }
    }

    #[test]
    fn a_number_is_one_where_the_contract_says_so() {
        let schema = |kind| Value::object([("type", Value::from(kind))]);
        assert_eq!(typed(&schema("integer"), "7"), Value::from_u64(7));
        assert_eq!(typed(&schema("string"), "7"), Value::from("7"));
        assert_eq!(typed(&schema("integer"), "x"), Value::from("x"));
    }
}
