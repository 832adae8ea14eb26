//! Questions that nobody has acted on: whether an agent could do something.

use std::collections::{BTreeMap, BTreeSet};

use writ_policy::{Holds, Standing};
use writ_types::{
    ActionName, Agent, BlastRadius, Budget, Charge, Facts, Grant, PlanStanding, Purpose,
    PurposeName, TaskId, Timestamp, Value,
};

use crate::admin::look::strings;
use crate::admin::{AdminError, Call};
use crate::http::object;
use crate::loaded::Loaded;
use crate::plan::{Access, Refusal, by_rules};
use crate::plane::Plane;
use crate::readiness;

/// Whether an agent could do something: the gates in order, with the rules that were looked at.
pub(super) fn can_i(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let text = |name: &'static str| body.member(name).and_then(Value::as_str);
    let loaded = plane.loaded();
    let agent = text("agent").and_then(|name| loaded.agent_named(name));
    let agent = agent.ok_or(AdminError::NotFound("there is no such agent, or several"))?;
    let action: ActionName = text("action")
        .ok_or_else(|| AdminError::Invalid("`action` is missing".to_owned()))?
        .parse()
        .map_err(|fault: writ_types::NameError| AdminError::Invalid(fault.to_string()))?;
    let operation = loaded
        .apis
        .get(&action.api)
        .and_then(|api| api.contract.operation(&action.operation));
    let operation = operation.ok_or(AdminError::NotFound("the contract has no such operation"))?;
    let only: Option<PurposeName> = text("purpose").and_then(|name| name.parse().ok());
    let purposes = agent
        .purposes
        .iter()
        .filter(|purpose| only.as_ref().is_none_or(|only| *purpose == only));
    let answers = purposes
        .filter_map(|name| loaded.purposes.get(name))
        .map(|purpose| ask(plane, &loaded, agent, purpose, operation, &action));
    let answers: Vec<Value> = answers.collect();
    let possible = answers
        .iter()
        .any(|answer| answer.member("possible").and_then(Value::as_bool) == Some(true));
    Ok(Value::object([
        ("agent", Value::from(agent.spiffe.as_str())),
        ("action", Value::from(action.to_string())),
        ("effects", Value::from(operation.effects().to_string())),
        ("possible", Value::from(possible)),
        (
            "fix",
            readiness::fix(operation).map_or(Value::Null, Value::from),
        ),
        ("purposes", Value::Array(answers)),
    ]))
}

fn answer(
    (purpose, radius): (&Purpose, BlastRadius),
    access: &Access,
    why: &str,
    rules: Vec<String>,
) -> Value {
    let possible = matches!(access, Access::Yes { .. });
    let hours = purpose.hours.as_ref();
    let most = purpose.max_blast_radius;
    Value::object([
        (
            "hours",
            hours.map_or(Value::Null, |hours| Value::from(hours.to_string())),
        ),
        ("blast_radius", Value::from_u64(radius.weight())),
        (
            "max_blast_radius",
            most.map_or(Value::Null, Value::from_u64),
        ),
        ("purpose", Value::from(purpose.name.as_str())),
        ("possible", Value::from(possible)),
        ("answer", Value::from(access.word())),
        ("why", Value::from(why)),
        ("rules", strings(rules.into_iter())),
        ("owner", Value::from(purpose.owner.as_str())),
    ])
}

/// The facts of the first call of a task.
fn first_call(action: &ActionName, charge: Charge, left: Budget, now: Timestamp) -> Facts {
    Facts {
        now,
        labels: BTreeSet::new(),
        sinks: BTreeSet::new(),
        spent: charge,
        this_operation: 1,
        approvals: BTreeSet::new(),
        deferred: BTreeSet::new(),
        left,
        seen: BTreeSet::new(),
        approved: BTreeSet::new(),
        windows: BTreeMap::new(),
        operation: action.operation.clone(),
        vouchers: writ_types::Vouchers::default(),
        arguments: writ_types::ArgumentOrigins::default(),
        plan: PlanStanding::Free,
    }
}

/// A task that was opened just now for one action, and the facts of its first call.
pub(crate) fn fresh_task(
    plane: &Plane,
    agent: &Agent,
    purpose: &Purpose,
    action: &ActionName,
    charge: Charge,
    now: Timestamp,
) -> (Grant, Facts) {
    let grant = Grant {
        tenant: plane.tenant.clone(),
        task: TaskId::new(now, crate::random()),
        agent: agent.id,
        requester: None,
        purpose: purpose.name.clone(),
        mode: agent.mode,
        actions: BTreeSet::from([action.clone()]),
        bounds: writ_types::Bounds::none(),
        plan: writ_types::Plan::none(),
        budget: purpose.budget,
        opened: now,
        deadline: now.plus(purpose.max_task_life),
        parent: None,
        prompt: None,
        asserters: writ_types::Asserters::default(),
    };
    let left: Budget = purpose.budget.less(charge);
    let facts = first_call(action, charge, left, now);
    (grant, facts)
}

/// What the rules say of a fresh task of the purpose, before it calls: an approval that every call needs is no no.
fn ask(
    plane: &Plane,
    loaded: &Loaded,
    agent: &Agent,
    purpose: &Purpose,
    operation: &writ_contract::Operation,
    action: &ActionName,
) -> Value {
    // Of a task for this action alone, with all that the purpose gives.
    let radius = BlastRadius::of([operation.effects()], purpose.budget);
    let no = |refusal: Refusal| {
        let access = Access::No(refusal);
        answer((purpose, radius), &access, &access.to_string(), Vec::new())
    };
    if !agent.enabled {
        return no(Refusal::Stopped);
    }
    if !purpose.actions.contains(action) {
        return no(Refusal::NotNamed);
    }
    if !loaded
        .apis
        .get(&action.api)
        .is_some_and(|api| purpose.reaches(&api.api))
    {
        return no(Refusal::Environment);
    }
    let api = loaded.apis.get(&action.api);
    if plane.has_stopped(agent)
        || plane.has_stopped_purpose(purpose)
        || api.is_some_and(|api| plane.has_stopped_api(api))
    {
        let access = Access::No(Refusal::NotPermitted);
        let why = writ_types::ReasonCode::Stopped.detail();
        return answer((purpose, radius), &access, why, Vec::new());
    }
    let quarantined = loaded
        .apis
        .get(&action.api)
        .is_some_and(|api| api.quarantined.contains(operation.id()));
    if quarantined {
        let access = Access::No(Refusal::NotPermitted);
        let why = writ_types::ReasonCode::ContractQuarantined.detail();
        return answer((purpose, radius), &access, why, Vec::new());
    }
    let charge = Charge::of(operation.effects());
    if !purpose.budget.covers(charge) {
        return no(Refusal::Budget);
    }
    let (grant, _) = fresh_task(plane, agent, purpose, action, charge, plane.clock.now());
    let survey = loaded.pdp.survey();
    let standings = match survey.standings(agent, &grant, [action.clone()]) {
        Ok(mut standings) => standings.remove(action).unwrap_or_default(),
        Err(fault) => {
            tracing::warn!(fault, "the entities of a task cannot be made");
            let access = Access::No(Refusal::NotPermitted);
            let why = writ_types::ReasonCode::PolicyError.detail();
            return answer((purpose, radius), &access, why, Vec::new());
        }
    };
    let access = by_rules(&standings);
    let deciding = |standing: &&Standing| match &access {
        Access::No(Refusal::Forbidden(rule)) => standing.rule == *rule,
        Access::No(_) => false,
        Access::Yes { .. } => standing.holds != Holds::Never,
    };
    let rules = standings.iter().filter(deciding);
    let rules = rules.map(|standing| standing.rule.clone()).collect();
    answer((purpose, radius), &access, &access.to_string(), rules)
}
