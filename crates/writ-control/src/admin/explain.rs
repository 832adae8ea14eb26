//! Why a call was decided as it was: its records, and the trace of its decision.

use std::sync::Arc;

use writ_store::Role;
use writ_types::{ApprovalId, CallId, Grant, Inputs, TaskId, Value};

use crate::admin::proposals::people;
use crate::admin::{AdminError, Call};
use crate::loaded::Loaded;
use crate::plan::Side;
use crate::plane::Plane;
use crate::trace::{self, Ground, Person, Recorded, Trace};

/// Everything that is recorded about one call, with the inputs of its decision from the vault and the trace of it. The call
/// is named by its id, by the approval or wait it asked for, or by the index of one of its records.
pub(super) async fn explain(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let id = call_of(plane, call.parameter).await?;
    let found = plane.logs.call(id).await;
    let found = found.map_err(|fault| unavailable(&fault))?;
    let Some(Value::Object(mut members)) = found else {
        return Err(AdminError::NotFound(
            "no record of this call: strangers' calls are counted, not recorded",
        ));
    };
    if let Some(trace) = of_call(plane, id).await? {
        members.insert("trace".to_owned(), trace.to_value());
    }
    Ok(Value::Object(members))
}

async fn call_of(plane: &Plane, text: &str) -> Result<CallId, AdminError> {
    if let Ok(approval) = text.parse::<ApprovalId>() {
        let none = AdminError::NotFound("there is no such approval, or it is forgotten");
        let stored = plane.store.approval(&plane.tenant, approval).await;
        let stored = stored.map_err(|fault| unavailable(&fault))?.ok_or(none)?;
        let asker = plane.logs.asker(stored.task, approval).await;
        let asker = asker.map_err(|fault| unavailable(&fault))?;
        return asker.ok_or(AdminError::NotFound(
            "no record says which call asked for it",
        ));
    }
    if let Ok(index) = text.parse::<u64>() {
        let named = plane.logs.call_at(index).await;
        let named = named.map_err(|fault| unavailable(&fault))?;
        return named.ok_or(AdminError::NotFound("no call has a record with this index"));
    }
    text.parse().map_err(|_no_id| {
        AdminError::Invalid(
            "name a call (`cal_…`), an approval (`apr_…`) or the index of a record".to_owned(),
        )
    })
}

/// The trace of a recorded call; none if the record is of no decision.
async fn of_call(plane: &Plane, call: CallId) -> Result<Option<Trace>, AdminError> {
    let decided = plane.logs.decided(call).await;
    let Some((record, kept)) = decided.map_err(|fault| unavailable(&fault))? else {
        return Ok(None);
    };
    let Some(recorded) = Recorded::of(&record) else {
        return Ok(None);
    };
    let Some((_, task)) = recorded.call else {
        return Ok(None);
    };
    let grant = held(plane, task, call).await?;
    let persons: Vec<Person> = people(plane).await?.into_iter().map(person).collect();
    let loaded = plane.loaded();
    let then = record.header.revision;
    if then == Some(loaded.revision) {
        return Ok(Some(with_loaded(
            &recorded,
            &loaded,
            grant.as_ref(),
            kept,
            &persons,
        )));
    }
    let registry = match then {
        None => None,
        // Old revisions are cleared away some day; then the trace says less, and that it does.
        Some(then) => plane.store.load(&plane.tenant, then).await.ok(),
    };
    let Some(registry) = registry else {
        let kept = kept.map(|_inputs| Inputs::default());
        return Ok(Some(trace::make(&recorded, None, None, kept, &persons)));
    };
    // A large contract takes a second to compile.
    let made = tokio::task::spawn_blocking(move || {
        let side = Side::of_registry(registry, recorded.at).ok();
        with_side(&recorded, side.as_ref(), grant.as_ref(), kept, &persons)
    });
    let made = made.await;
    made.map(Some)
        .map_err(|_panic| AdminError::Unavailable("the trace ended unexpectedly".to_owned()))
}

/// What the task held when it made a call, as far as the call's token named it; none if nobody knows any more.
async fn held(plane: &Plane, task: TaskId, call: CallId) -> Result<Option<Grant>, AdminError> {
    let stored = plane.store.task(&plane.tenant, task).await;
    let opened = stored.map_err(|fault| unavailable(&fault))?;
    let opened = opened.map(|stored| stored.grant);
    let amended = plane.store.amendments(&plane.tenant, task).await;
    let amended = amended.map_err(|fault| unavailable(&fault))?;
    if amended.is_empty() {
        return Ok(opened);
    }
    let held = plane.logs.held(task, call).await;
    let held = held.map_err(|fault| unavailable(&fault))?;
    let grant = |digest| match digest {
        None => opened.as_ref(),
        Some(digest) => amended.iter().find(|grant| grant.digest() == digest),
    };
    let both = grant(held.now).zip(grant(held.named));
    Ok(both.map(|(now, named)| {
        if held.now == held.named {
            now.clone()
        } else {
            now.as_of(named)
        }
    }))
}

fn with_loaded(
    recorded: &Recorded,
    loaded: &Arc<Loaded>,
    grant: Option<&Grant>,
    kept: Result<Value, String>,
    people: &[Person],
) -> Trace {
    let ground = recorded.action.as_ref().and_then(|action| {
        let api = loaded.apis.get(&action.api)?;
        Some(Ground {
            pdp: &loaded.pdp,
            agent: loaded.agents.get(&recorded.agent)?,
            purposes: &loaded.purposes,
            api: &api.api,
            contract: &api.contract,
            operation: api.contract.operation(&action.operation)?,
        })
    });
    with_ground(recorded, ground, grant, kept, people)
}

fn with_side(
    recorded: &Recorded,
    side: Option<&Side>,
    grant: Option<&Grant>,
    kept: Result<Value, String>,
    people: &[Person],
) -> Trace {
    let ground = side.and_then(|side| Ground::of_side(side, recorded));
    with_ground(recorded, ground, grant, kept, people)
}

fn with_ground(
    recorded: &Recorded,
    ground: Option<Ground<'_>>,
    grant: Option<&Grant>,
    kept: Result<Value, String>,
    people: &[Person],
) -> Trace {
    let read = |value: Value| match ground {
        None => Inputs::default(),
        Some(ground) => {
            let sinks = &ground.operation.handling().sink;
            Inputs::from_value(&value, ground.operation.id(), sinks)
        }
    };
    trace::make(recorded, ground, grant, kept.map(read), people)
}

fn person(operator: writ_store::Operator) -> Person {
    Person {
        is_admin: operator.role == Role::Admin,
        is_operator: matches!(operator.role, Role::Admin | Role::Operator),
        name: operator.name,
        approves: operator.approves,
        identity: operator.identity,
    }
}

fn unavailable(fault: &dyn std::error::Error) -> AdminError {
    AdminError::Unavailable(fault.to_string())
}
