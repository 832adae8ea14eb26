//! Looking: what is registered, what lives, what was recorded, and what would be decided.

use writ_task::{Ledger as _, TaskState, TaskStatus};
use writ_types::{Agent, ApiId, Grant, Progress, Purpose, TaskId, Value};

use crate::admin::{AdminError, Call};
use crate::loaded::{Loaded, LoadedApi};
use crate::oauth::blast_radius;
use crate::plane::Plane;
use crate::readiness;

pub(super) fn strings(texts: impl Iterator<Item = String>) -> Value {
    Value::Array(texts.map(Value::String).collect())
}

pub(super) fn count(number: usize) -> Value {
    Value::from_u64(u64::try_from(number).unwrap_or(u64::MAX))
}

/// Counters, in the Prometheus text form as one member.
pub(super) fn metrics(plane: &Plane) -> Value {
    Value::object([
        ("revision", Value::from(plane.loaded().revision.to_string())),
        ("alarms", plane.alarms.counts()),
    ])
}

/// The APIs.
pub(super) fn apis(plane: &Plane) -> Value {
    Value::Array(plane.loaded().apis.values().map(api_value).collect())
}

fn api_value(api: &LoadedApi) -> Value {
    let credential = api
        .api
        .credential
        .as_ref()
        .map_or(Value::Null, |(name, _)| Value::from(name.as_str()));
    Value::object([
        ("id", Value::from(api.api.id.as_str())),
        ("title", Value::from(api.contract.title())),
        ("owner", Value::from(api.api.owner.as_str())),
        ("upstream", Value::from(api.api.upstream.to_string())),
        ("contract", Value::from(api.contract.digest().to_string())),
        ("operations", count(api.contract.operations().count())),
        (
            "reviewed",
            count(
                api.contract
                    .operations()
                    .filter(|operation| operation.reviewed())
                    .count(),
            ),
        ),
        ("credential", credential),
        ("credential_set", Value::from(api.credential.is_some())),
    ])
}

/// The operations that some purpose names and that an operator is asked about before each call, because their document has
/// the worst grade; a few by name.
pub(super) fn asked_each_time(loaded: &Loaded, api: &LoadedApi) -> Option<String> {
    let is_named = |operation: &&writ_contract::Operation| {
        let mut purposes = loaded.purposes.values();
        purposes.any(|purpose| purpose.actions.contains(operation.action()))
    };
    let unready = api.contract.operations().filter(|one| one.unready());
    let unready: Vec<&writ_contract::Operation> = unready.filter(is_named).collect();
    let first = unready.first()?;
    let fix = readiness::fix(first)?;
    Some(match unready.len().saturating_sub(1) {
        0 => fix,
        more => format!(
            "{fix}; the same holds for {more} more operations of `{}`",
            api.api.id
        ),
    })
}

/// One API with its operations.
pub(super) fn api(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let named = call.parameter.parse().ok();
    let api = named
        .and_then(|id: ApiId| loaded.apis.get(&id))
        .ok_or(AdminError::NotFound("there is no such API"))?;
    let operation = |operation: &writ_contract::Operation| {
        let members = [
            ("action", Value::from(operation.action().to_string())),
            ("method", Value::from(operation.method())),
            ("path", Value::from(operation.template())),
            ("effects", Value::from(operation.effects().to_string())),
            ("reviewed", Value::from(operation.reviewed())),
            ("asks_each_time", Value::from(operation.unready())),
            (
                "quarantined",
                Value::from(api.quarantined.contains(operation.id())),
            ),
            (
                "labels",
                strings(operation.labels().iter().map(ToString::to_string)),
            ),
            (
                "summary",
                operation.summary().map_or(Value::Null, Value::from),
            ),
        ];
        Value::object(members.into_iter().chain(readiness::members(operation)))
    };
    let operations = Value::Array(api.contract.operations().map(operation).collect());
    Ok(Value::object([
        ("api", api_value(api)),
        ("operations", operations),
    ]))
}

/// The agents.
pub(super) fn agents(plane: &Plane) -> Value {
    Value::Array(
        plane
            .loaded()
            .agents
            .values()
            .map(|agent| agent_value(agent))
            .collect(),
    )
}

fn agent_value(agent: &Agent) -> Value {
    Value::object([
        ("id", Value::from(agent.id.to_string())),
        ("spiffe_id", Value::from(agent.spiffe.as_str())),
        ("owner", Value::from(agent.owner.as_str())),
        ("mode", Value::from(agent.mode.as_str())),
        ("enabled", Value::from(agent.enabled)),
        ("groups", strings(agent.groups.iter().cloned())),
        (
            "purposes",
            strings(agent.purposes.iter().map(ToString::to_string)),
        ),
        (
            "selectors",
            strings(agent.selectors.iter().map(ToString::to_string)),
        ),
        (
            "federations",
            Value::Array(agent.federations.iter().map(federation_value).collect()),
        ),
        (
            "second_source",
            Value::from(agent.watch.second_source.as_str()),
        ),
        (
            "second_instance",
            Value::from(agent.watch.second_instance.as_str()),
        ),
        ("honey", Value::from(agent.watch.honey)),
        (
            "planted",
            strings(agent.watch.planted.iter().map(|one| one.name.clone())),
        ),
    ])
}

fn federation_value(federation: &writ_types::Federation) -> Value {
    let claims = federation.claims().iter();
    let claims = claims.map(|(name, value)| (name.to_string(), Value::from(value.as_str())));
    Value::object([
        ("issuer", Value::from(federation.issuer())),
        ("claims", Value::object(claims)),
    ])
}

/// The purposes.
pub(super) fn purposes(plane: &Plane) -> Value {
    let loaded = plane.loaded();
    let purpose = |purpose: &Purpose| {
        Value::object([
            ("name", Value::from(purpose.name.as_str())),
            ("owner", Value::from(purpose.owner.as_str())),
            ("description", Value::from(purpose.description.as_str())),
            (
                "actions",
                strings(purpose.actions.iter().map(ToString::to_string)),
            ),
            ("budget", purpose.budget.to_value()),
            (
                "max_task_life_seconds",
                Value::from_u64(purpose.max_task_life.as_secs()),
            ),
            ("agent_vouches", Value::from(purpose.agent_vouches)),
            ("plan_required", Value::from(purpose.plan_required)),
            (
                "hours",
                purpose
                    .hours
                    .as_ref()
                    .map_or(Value::Null, |hours| Value::from(hours.to_string())),
            ),
            (
                "environments",
                strings(purpose.environments.iter().map(ToString::to_string)),
            ),
            (
                "max_blast_radius",
                purpose
                    .max_blast_radius
                    .map_or(Value::Null, Value::from_u64),
            ),
            (
                "user_authentication",
                purpose
                    .user_authentication
                    .as_ref()
                    .map_or(Value::Null, |wanted| Value::from(wanted.to_string())),
            ),
            (
                "blast_radius",
                Value::from_u64(blast_radius(&loaded, &purpose.actions, purpose.budget).weight()),
            ),
        ])
    };
    Value::Array(loaded.purposes.values().map(purpose).collect())
}

/// Names and versions of credentials; there is no way to their values.
pub(super) async fn credentials(plane: &Plane) -> Result<Value, AdminError> {
    let versions = plane
        .store
        .credentials(&plane.tenant, None)
        .await
        .map_err(|fault| unavailable(&fault))?;
    let row = |version: &writ_store::CredentialVersion| {
        Value::object([
            ("name", Value::from(version.name.as_str())),
            ("version", Value::from_u64(u64::from(version.version))),
            ("created", Value::from(version.created.to_string())),
        ])
    };
    Ok(Value::Array(versions.iter().map(row).collect()))
}

/// Tasks in the order of their ids, one page.
pub(super) async fn tasks(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let after = call
        .query("after")
        .map(str::parse::<TaskId>)
        .transpose()
        .map_err(|fault| AdminError::Invalid(fault.to_string()))?;
    let page = plane
        .ledger
        .list(&plane.tenant, after, 200, plane.clock.now())
        .await;
    Ok(Value::Array(page.iter().map(task_value).collect()))
}

/// One task.
pub(super) async fn task(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let task: TaskId = call
        .parameter
        .parse()
        .map_err(|fault: writ_types::IdError| AdminError::Invalid(fault.to_string()))?;
    let status = plane
        .ledger
        .status(&plane.tenant, task, plane.clock.now())
        .await;
    status.as_ref().map(task_value).ok_or(AdminError::NotFound(
        "there is no such task, or it ended long ago",
    ))
}

fn task_value(status: &TaskStatus) -> Value {
    let grant = &status.grant;
    let state = match status.state {
        TaskState::Live => "live",
        TaskState::Ended(ending) => ending.as_str(),
    };
    Value::object([
        ("task", Value::from(grant.task.to_string())),
        ("agent", Value::from(grant.agent.to_string())),
        ("purpose", Value::from(grant.purpose.as_str())),
        ("state", Value::from(state)),
        ("opened", Value::from(grant.opened.to_string())),
        ("deadline", Value::from(grant.deadline.to_string())),
        (
            "parent",
            grant
                .parent
                .map_or(Value::Null, |parent| Value::from(parent.to_string())),
        ),
        (
            "asserters",
            Value::object(
                grant
                    .asserters
                    .parts()
                    .map(|(part, asserter)| (part, Value::from(asserter.to_string()))),
            ),
        ),
        (
            "requester",
            grant
                .requester
                .as_ref()
                .map_or(Value::Null, |user| Value::from(user.subject.as_str())),
        ),
        (
            "actions",
            strings(grant.actions.iter().map(ToString::to_string)),
        ),
        ("bounds", grant.bounds.to_value()),
        ("plan", plan(grant, &status.progress)),
        ("calls_spent", Value::from_u64(status.spent.calls)),
        ("writes_spent", Value::from_u64(status.spent.writes)),
        ("left", status.left.to_value()),
        ("in_flight", count(status.in_flight)),
        (
            "children",
            strings(status.children.iter().map(ToString::to_string)),
        ),
    ])
}

/// The steps of a task's plan, each with how often it was taken and whether it is due.
fn plan(grant: &Grant, progress: &Progress) -> Value {
    let step = |(number, step): (u16, Value)| {
        let mut members = step.as_object().cloned().unwrap_or_default();
        let taken = u64::from(progress.taken(number));
        members.insert("taken".to_owned(), Value::from_u64(taken));
        members.insert("due".to_owned(), Value::from(progress.due() == number));
        Value::Object(members)
    };
    let steps = grant.plan.to_value();
    let steps = (0u16..).zip(steps.as_array().unwrap_or_default().iter().cloned());
    Value::Array(steps.map(step).collect())
}

/// Records: the newest, one by its index, or those that hold a text.
pub(super) async fn records(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let number = |name| {
        call.query(name)
            .map(str::parse::<u64>)
            .transpose()
            .map_err(|_no_number| AdminError::Invalid(format!("`{name}` is a number")))
    };
    let wanted = match (number("index")?, call.query("search"), number("tail")?) {
        (Some(index), _, _) => crate::records::Wanted::Index(index),
        (None, Some(text), _) => crate::records::Wanted::Search(text.to_owned()),
        (None, None, tail) => crate::records::Wanted::Tail(tail.unwrap_or(20).min(1000)),
    };
    plane
        .logs
        .read(wanted)
        .await
        .map_err(|fault| unavailable(&fault))
}

pub(super) fn unavailable(fault: &dyn std::error::Error) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}
