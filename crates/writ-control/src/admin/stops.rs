//! Stopping what is no task and no agent: an API, a credential, an owner. It holds on the next decision, outlives restarts and
//! projects, and goes on when a person says so.

use writ_audit::{Actor, Closing};
use writ_store::{Stopped, StoreError};
use writ_task::{Cut, Ending, Ledger as _, TaskState, TaskStatus};
use writ_types::{Agent, Digest, OwnerName, Purpose, Stop, TaskId, Value};

use crate::admin::{AdminError, Call, record};
use crate::ending::settle;
use crate::http::object;
use crate::loaded::{Loaded, LoadedApi};
use crate::plane::Plane;

/// Everything that can be killed, as bodies name it.
pub(super) const KINDS: [&str; 5] = ["task", "agent", "api", "credential", "owner"];

/// Stops it. First nothing new begins and what is in flight is cut; then it is kept and recorded.
pub(super) async fn stop(
    plane: &Plane,
    call: &Call<'_>,
    (kind, name): (&str, &str),
) -> Result<Cut, AdminError> {
    let stop = parsed(kind, name)?;
    let loaded = plane.loaded();
    let known = known(&loaded, &stop);
    let mut cut = Cut::default();
    let mut faults = Vec::new();
    if let Some(version) = known {
        put(plane, call, &stop, version, (&mut cut, &mut faults)).await;
    }
    // A credential that no API of the revision in force has opened can be newer than that, or of none.
    let stored = newest(plane, &stop).await;
    let version = match (known, stored) {
        (None, Ok(None)) => return Err(AdminError::NotFound(unknown(&stop))),
        (None, Err(fault)) => return Err(unkept(&fault)),
        (Some(known), Err(_unread)) => known,
        (known, Ok(stored)) => known.max(stored).unwrap_or_default(),
    };
    // With whoever lets things go on in turn: what is kept and what holds are the same afterwards.
    let _one_at_a_time = plane.changing.lock().await;
    put(plane, call, &stop, version, (&mut cut, &mut faults)).await;
    let stopped = Stopped {
        stop: stop.clone(),
        version,
        by: call.operator.id,
        at: plane.clock.now(),
    };
    let kept = plane.store.put_stop(&plane.tenant, &stopped).await;
    kept.map_err(|fault| unkept(&fault))?;
    recorded(plane, call, &stop, "stop").await?;
    match faults.into_iter().next() {
        Some(fault) => Err(AdminError::Unavailable(fault)),
        None => Ok(cut),
    }
}

/// From here on it holds on this node; what was in flight is cut.
async fn put(
    plane: &Plane,
    call: &Call<'_>,
    stop: &Stop,
    version: u32,
    (cut, faults): (&mut Cut, &mut Vec<String>),
) {
    plane.stops.stop(&plane.tenant, stop.clone(), version);
    let more = plane.ledger.cut(&plane.tenant, stop, version).await;
    cut.calls.extend(more.calls);
    if let Stop::Owner(owner) = stop {
        // A task whose opening was under way is taken back, or found below.
        plane.generation.next();
        faults.extend(end_tasks(plane, call, owner, cut).await);
    }
}

/// Ends the tasks for which an owner answers, by their agent or by their purpose, with everything below. Gives what could not be kept.
async fn end_tasks(
    plane: &Plane,
    call: &Call<'_>,
    owner: &OwnerName,
    cut: &mut Cut,
) -> Vec<String> {
    let (loaded, now) = (plane.loaded(), plane.clock.now());
    let answers = |status: &TaskStatus| {
        let agent = loaded.agents.get(&status.grant.agent);
        let purpose = loaded.purposes.get(&status.grant.purpose);
        status.state == TaskState::Live
            && (agent.is_some_and(|agent| agent.owner == *owner)
                || purpose.is_some_and(|purpose| purpose.owner == *owner))
    };
    let mut faults = Vec::new();
    let mut after: Option<TaskId> = None;
    loop {
        let page = plane.ledger.list(&plane.tenant, after, 200, now).await;
        let Some(last) = page.last() else {
            return faults;
        };
        after = Some(last.grant.task);
        for status in page.iter().filter(|status| answers(status)) {
            let task = status.grant.task;
            let ended = plane.ledger.revoke(&plane.tenant, task, Ending::Revoked);
            // One that has ended meanwhile is over too.
            let Ok(ended) = ended.await else { continue };
            let by = Actor::Operator(call.operator.id);
            faults.extend(
                settle(plane, by, task, &ended, Closing::Revoked)
                    .await
                    .err(),
            );
            cut.tasks.extend(ended.tasks);
            cut.calls.extend(ended.calls);
        }
    }
}

/// Lets something go on that was stopped. Tasks that ended stay ended.
pub(super) async fn resume(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let (kind, name) = match named(&body).as_slice() {
        [("task" | "agent", _)] => {
            return Err(AdminError::Invalid(
                "a task that was killed is over; an agent goes on with `writ apply --resume`"
                    .to_owned(),
            ));
        }
        [named] => *named,
        [] | [_, ..] => {
            return Err(AdminError::Invalid(
                "name one of `api`, `credential` and `owner`".to_owned(),
            ));
        }
    };
    let stop = parsed(kind, name)?;
    let _one_at_a_time = plane.changing.lock().await;
    let stops = plane.store.stops(&plane.tenant).await;
    let stops = stops.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    // One that could not be kept when it was stopped goes on as well.
    let kept = stops.iter().any(|stopped| stopped.stop == stop);
    if !kept && !plane.stops.has(&plane.tenant, &stop) {
        return Err(AdminError::NotFound(
            "it is not stopped: `writ kill list` shows what is",
        ));
    }
    recorded(plane, call, &stop, "resume").await?;
    let removed = plane.store.remove_stop(&plane.tenant, &stop).await;
    removed.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    plane.stops.resume(&plane.tenant, &stop);
    Ok(Value::object([("resumed", Value::from(stop.to_string()))]))
}

/// What is stopped.
pub(super) async fn list(plane: &Plane) -> Result<Value, AdminError> {
    let loaded = plane.loaded();
    let stops = plane.store.stops(&plane.tenant).await;
    let stops = stops.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    let one = |stopped: &Stopped| {
        Value::object([
            ("kind", Value::from(stopped.stop.kind())),
            ("name", Value::from(stopped.stop.name())),
            ("since", Value::from(stopped.at.to_string())),
            ("by", Value::from(stopped.by.to_string())),
            ("holds", Value::from(holds(&loaded, stopped))),
        ])
    };
    Ok(Value::Array(stops.iter().map(one).collect()))
}

/// A sentence for each thing that is stopped, with what to do.
pub(super) async fn told(plane: &Plane) -> Result<Vec<String>, StoreError> {
    let loaded = plane.loaded();
    let stops = plane.store.stops(&plane.tenant).await?;
    let holding = stops.iter().filter(|stopped| holds(&loaded, stopped));
    let told = holding.map(|stopped| {
        let stop = &stopped.stop;
        let name = stop.name();
        match stop {
            Stop::Api(_) => format!("the API `{name}` was killed and stays stopped: `writ resume api {name}`"),
            Stop::Credential(_) => format!("the credential `{name}` was killed and is not used: `writ credential set {name}` with another, or `writ resume credential {name}`"),
            Stop::Owner(_) => format!("`{name}` was killed: their agents do not act and their purposes are no reason; `writ resume owner {name}`"),
        }
    });
    Ok(told.collect())
}

/// Whether it stops anything now: a credential that was replaced since is another.
fn holds(loaded: &Loaded, stopped: &Stopped) -> bool {
    match &stopped.stop {
        Stop::Api(_) | Stop::Owner(_) => true,
        Stop::Credential(_) => {
            known(loaded, &stopped.stop).is_none_or(|version| version <= stopped.version)
        }
    }
}

/// What a body names to be killed, or to go on.
pub(super) fn named(body: &Value) -> Vec<(&'static str, &str)> {
    let text = |kind: &'static str| Some((kind, body.member(kind)?.as_str()?));
    KINDS.into_iter().filter_map(text).collect()
}

fn parsed(kind: &str, name: &str) -> Result<Stop, AdminError> {
    let stop = Stop::parse(kind, name);
    let stop = stop.ok_or(AdminError::NotFound(
        "there is nothing of this kind to stop",
    ))?;
    stop.map_err(|fault| AdminError::Invalid(fault.to_string()))
}

/// Whether the revision in force has it; of a credential, the version that is in use.
fn known(loaded: &Loaded, stop: &Stop) -> Option<u32> {
    match stop {
        Stop::Api(api) => loaded.apis.contains_key(api).then_some(0),
        Stop::Credential(name) => {
            let own = |api: &LoadedApi| api.heading().credential.filter(|(own, _)| own == name);
            let versions = loaded.apis.values().filter_map(own);
            versions.map(|(_, version)| version).max()
        }
        Stop::Owner(owner) => {
            let of_agent = loaded.agents.values().any(|agent| agent.owner == *owner);
            let of_purpose = || loaded.purposes.values().any(|one| one.owner == *owner);
            (of_agent || of_purpose()).then_some(0)
        }
    }
}

/// The newest version of a credential that is stored.
async fn newest(plane: &Plane, stop: &Stop) -> Result<Option<u32>, StoreError> {
    let Stop::Credential(name) = stop else {
        return Ok(None);
    };
    let next = plane.store.next_credential_version(&plane.tenant, name);
    Ok(next.await?.checked_sub(1).filter(|version| *version > 0))
}

const fn unknown(stop: &Stop) -> &'static str {
    match stop {
        Stop::Api(_) => "there is no such API: `writ api list` shows those there are",
        Stop::Credential(_) => {
            "there is no such credential: `writ credential list` shows those there are"
        }
        Stop::Owner(_) => {
            "no agent and no purpose has this owner: `writ agent list` shows whose they are; an API is stopped by `writ kill api`"
        }
    }
}

fn unkept(fault: &StoreError) -> AdminError {
    AdminError::Unavailable(format!(
        "it is stopped on this node, but could not be kept: {fault}; repeat the kill"
    ))
}

async fn recorded(
    plane: &Plane,
    call: &Call<'_>,
    stop: &Stop,
    what: &str,
) -> Result<(), AdminError> {
    let action = format!("{}.{what}", stop.kind());
    let digest = Digest::of(stop.to_string().as_bytes());
    record(plane, call.operator.id, &action, stop.name(), digest).await
}

impl Plane {
    /// Whether a person has stopped whoever answers for an agent.
    pub(crate) fn has_stopped(&self, agent: &Agent) -> bool {
        self.stops.holds_owner(&self.tenant, &agent.owner)
    }

    /// Whether a person has stopped whoever answers for a purpose.
    pub(crate) fn has_stopped_purpose(&self, purpose: &Purpose) -> bool {
        self.stops.holds_owner(&self.tenant, &purpose.owner)
    }

    /// Whether a person has stopped an API or its credential.
    pub(crate) fn has_stopped_api(&self, api: &LoadedApi) -> bool {
        self.stops.holds(&self.tenant, &api.heading())
    }
}
