//! What is in force, and what is loose.

use std::sync::PoisonError;

use writ_policy::{Exception, ExceptionState, ShadowTime};
use writ_types::{ApiId, Program, ProgramName, Timestamp, Upstream, Value};

use crate::admin::look::{asked_each_time, count, strings, unavailable};
use crate::admin::proposals::everybody;
use crate::admin::{AdminError, stops};
use crate::four_eyes;
use crate::loaded::{Loaded, LoadedApi};
use crate::plane::Plane;

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
