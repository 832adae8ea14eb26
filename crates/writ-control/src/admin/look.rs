//! Looking: what is registered, what lives, what was recorded, and what would be decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use writ_policy::{Exception, ExceptionState, Holds, ShadowTime, Standing};
use writ_task::{Ledger as _, TaskState, TaskStatus};
use writ_types::{
    ActionName, Agent, ApiId, BlastRadius, Budget, Charge, Facts, Grant, PlanStanding, Program,
    ProgramName, Progress, Purpose, PurposeName, TaskId, Timestamp, Upstream, Value,
};

use crate::admin::proposals::everybody;
use crate::admin::{AdminError, Call, stops};
use crate::four_eyes;
use crate::http::object;
use crate::loaded::{Loaded, LoadedApi};
use crate::oauth::blast_radius;
use crate::plan::{Access, Refusal, by_rules};
use crate::plane::Plane;
use crate::readiness;

pub(super) fn strings(texts: impl Iterator<Item = String>) -> Value {
    Value::Array(texts.map(Value::String).collect())
}

pub(super) fn count(number: usize) -> Value {
    Value::from_u64(u64::try_from(number).unwrap_or(u64::MAX))
}

/// What is in force, and what is loose.
pub(super) async fn status(plane: &Plane) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let fault = plane
        .fault
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let active = plane
        .store
        .active_revision(&plane.tenant)
        .await
        .map_err(|fault| unavailable(&fault))?;
    let behind = active.is_some_and(|active| active.id != loaded.revision);
    let mut loose = loose(plane, &loaded);
    loose.extend(unanswerable(plane, &loaded).await?);
    let stopped = stops::told(plane).await;
    loose.extend(stopped.map_err(|fault| unavailable(&fault))?);
    let single = four_eyes::single_operator(&everybody(plane).await?);
    if single {
        loose.push(SINGLE_OPERATOR.to_owned());
    }
    let roots = plane.roots();
    loose.extend(roots.held().map(|name| {
        format!("{name} is new or changed in the settings, and nobody has approved it: nothing it vouches for is believed; `writ trust list`")
    }));
    let (settings_fault, after_a_restart) = standing(plane);
    let waits = |name: &&str| {
        format!("`{name}` has changed in the settings, and is read at the next start")
    };
    loose.extend(after_a_restart.iter().map(waits));
    Ok(Value::object([
        ("program", Value::from(plane.settings.program.as_str())),
        ("revision", Value::from(loaded.revision.to_string())),
        ("revision_digest", Value::from(loaded.digest.to_string())),
        (
            "policy_digest",
            Value::from(loaded.pdp.digest().to_string()),
        ),
        ("apis", count(loaded.apis.len())),
        ("agents", count(loaded.agents.len())),
        ("purposes", count(loaded.purposes.len())),
        (
            "log_entries",
            Value::from_u64(plane.logs.entries().map_err(|fault| unavailable(&fault))?),
        ),
        ("ready", Value::from(plane.unready().is_none())),
        ("not_in_force", fault.map_or(Value::Null, Value::String)),
        (
            "settings_not_in_force",
            settings_fault.map_or(Value::Null, Value::String),
        ),
        (
            "after_a_restart",
            strings(after_a_restart.into_iter().map(str::to_owned)),
        ),
        ("store_is_ahead", Value::from(behind)),
        ("single_operator", Value::from(single)),
        ("alarms", plane.alarms.shown()),
        ("keys", keys(plane)),
        ("authorization_servers", authorization_servers(&loaded)),
        ("loose", strings(loose.into_iter())),
    ]))
}

/// Where the tokens come from that calls of APIs carry, and whether they can be asked for.
fn authorization_servers(loaded: &Loaded) -> Value {
    let row = |(id, api): (&ApiId, &LoadedApi)| {
        let server = api.api.authorization_server.as_ref()?;
        Some(Value::object([
            ("api", Value::from(id.as_str())),
            (
                "token_endpoint",
                Value::from(server.token_endpoint.to_string()),
            ),
            ("grant", Value::from(server.grant.as_str())),
            ("client_id", Value::from(server.client_id.as_str())),
            (
                "authentication",
                Value::from(server.authentication.as_str()),
            ),
            (
                "usable",
                Value::from(api.api.credential.is_some() == api.credential.is_some()),
            ),
        ]))
    };
    Value::Array(loaded.apis.iter().filter_map(row).collect())
}

/// Where the keys of those who vouch come from, and how old they are.
fn keys(plane: &Plane) -> Value {
    let (origins, now) = (plane.trust.origins(), plane.clock.now());
    let rows = origins.iter().map(|(name, origin)| origin.row(name, now));
    Value::Array(rows.collect())
}

/// Why the settings of who vouches are not in force, and which settings wait for a start.
fn standing(plane: &Plane) -> (Option<String>, Vec<&'static str>) {
    let standing = plane.standing.lock();
    let standing = standing.unwrap_or_else(PoisonError::into_inner);
    (standing.fault.clone(), standing.after_a_restart.clone())
}

const SINGLE_OPERATOR: &str = "single-operator mode: one person alone can change roles, keys, trust roots and who is asked, after ten minutes and another sign-in; register another admin: `writ operator add NAME --role admin`";

/// The roles that rules ask and nobody has: such a call waits for an answer that nobody can give.
async fn unanswerable(plane: &Plane, loaded: &Loaded) -> Result<Vec<String>, AdminError> {
    let operators = plane.store.operators(&plane.tenant, None).await;
    let operators = operators.map_err(|fault| unavailable(&fault))?;
    let somebody = |role: &str| {
        operators
            .iter()
            .any(|operator| operator.approves.contains(role))
    };
    let roles = loaded.pdp.approval_roles().into_iter();
    let unheld =
        roles.filter(|(role, _)| !writ_task::STANDING_ROLES.contains(role) && !somebody(role));
    let told = unheld.map(|(role, rule)| {
        format!("nobody can approve as `{role}`, which the rule `{rule}` asks for: `writ operator add NAME --role approver --approves {role}`")
    });
    Ok(told.collect())
}

/// What a draft does now.
fn tried(time: &ShadowTime, now: Timestamp) -> String {
    let until = time.until;
    if now < until {
        format!(
            "the draft in policies/shadow is tried until {until} and binds nobody: `writ shadow` says where it decides otherwise"
        )
    } else {
        format!(
            "the draft in policies/shadow was tried until {until}: put its rules in force, or take them out"
        )
    }
}

/// What an exception does now.
fn excepted(exception: &Exception, now: Timestamp) -> String {
    let agent = &exception.agent;
    match exception.state(now) {
        ExceptionState::Coming => {
            let from = exception.from;
            format!("the exception {exception} for {agent} begins {from}")
        }
        ExceptionState::InForce => format!("the exception {exception} for {agent} is in force"),
        ExceptionState::Expired => format!(
            "the exception {exception} is over and lifts nothing: take it out of policies/exceptions.toml"
        ),
    }
}

/// What works but is weaker than it could be; each a sentence with what to do.
fn loose(plane: &Plane, loaded: &Loaded) -> Vec<String> {
    let mut loose = Vec::new();
    let now = plane.clock.now();
    loose.extend(
        loaded
            .pdp
            .exceptions()
            .map(|exception| excepted(exception, now)),
    );
    let time = loaded.pdp.shadow_time();
    loose.extend(time.map(|time| tried(time, now)));
    let faults = loaded.pdp.shadow_faults().iter();
    loose.extend(faults.map(|fault| format!("the draft in policies/shadow is not tried: {fault}")));
    if plane.settings.single_user_machine {
        loose.push("agents may run as Writ's own user and could read its keys: give them a user of their own and unset `identity.single_user_machine`".to_owned());
    }
    for (id, api) in &loaded.apis {
        if api.api.allow_unbound_tokens {
            loose.push(format!(
                "`{id}` accepts tokens that are bound to no key: a stolen one is good until it ends"
            ));
        }
        if let Upstream::Program(name) = &api.api.upstream {
            loose.push(program(id, name, plane.settings.programs.get(name)));
            if api.api.drift.is_some() {
                loose.push(format!(
                    "`{id}` starts its program every five minutes, too, to ask what it has"
                ));
            }
        }
        if api.api.credential.is_some() && api.credential.is_none() {
            let name = api
                .api
                .credential
                .as_ref()
                .map_or("", |(name, _)| name.as_str());
            loose.push(format!("`{id}` has no credential yet, so its calls are refused: `writ credential set {name}`"));
        }
        if !api.quarantined.is_empty() {
            loose.push(format!("{} operations of `{id}` have changed at their server and wait for their owner: `writ api drift {id}`, then `writ api promote {id}`", api.quarantined.len()));
        }
        let unreviewed = api
            .contract
            .operations()
            .filter(|operation| !operation.reviewed())
            .count();
        if unreviewed > 0 {
            let all = api.contract.operations().count();
            loose.push(format!("{unreviewed} of {all} operations of `{id}` are not reviewed and count as irreversible and external: `writ api reviews {id}` lists them, the most called first"));
        }
        loose.extend(asked_each_time(loaded, api));
    }
    for (id, fault) in plane.unseen() {
        loose.push(format!(
            "what `{id}` publishes is not known, so drift goes unnoticed: {fault}"
        ));
    }
    loose
}

/// That an API runs a program of this machine, and which.
fn program(id: &ApiId, name: &ProgramName, program: Option<&Program>) -> String {
    program.map_or_else(
        || format!("`{id}` names the program `{name}`, which the settings do not: its calls are refused until writ.toml has `[mcp.program.{name}]`"),
        |program| format!("`{id}` runs a program of this machine for each task, with Writ's own user: {}", program.command().join(" ")),
    )
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
fn asked_each_time(loaded: &Loaded, api: &LoadedApi) -> Option<String> {
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

/// The exceptions of the revision in force, and how each stands now.
pub(super) fn exceptions(plane: &Plane) -> Value {
    let now = plane.clock.now();
    let loaded = plane.loaded();
    let exceptions = loaded.pdp.exceptions();
    Value::Array(
        exceptions
            .map(|exception| exception_value(exception, now))
            .collect(),
    )
}

fn exception_value(exception: &Exception, now: Timestamp) -> Value {
    let purpose = exception.purpose.as_ref();
    Value::object([
        ("name", Value::from(exception.name.as_str())),
        ("state", Value::from(exception.state(now).as_str())),
        ("rule", Value::from(exception.rule.as_str())),
        ("agent", Value::from(exception.agent.as_str())),
        (
            "purpose",
            purpose.map_or(Value::Null, |name| Value::from(name.as_str())),
        ),
        (
            "actions",
            strings(exception.actions.iter().map(ToString::to_string)),
        ),
        ("owner", Value::from(exception.owner.as_str())),
        ("reason", Value::from(exception.reason.as_str())),
        ("ticket", Value::from(exception.ticket.as_str())),
        ("from", Value::from(exception.from.to_string())),
        ("until", Value::from(exception.until.to_string())),
    ])
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

pub(super) fn unavailable(fault: &dyn std::error::Error) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}
