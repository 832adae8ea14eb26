//! Stopping: one task, everything an agent does, or what calls need. The ledger first, the record after: a kill waits for nothing.

use writ_audit::{Actor, Closing};
use writ_task::{Cut, Ending, Ledger as _};
use writ_types::{AgentId, TaskId, Value};

use crate::admin::{AdminError, Call, changes, stops};
use crate::ending::settle;
use crate::http::object;
use crate::plane::Plane;

/// Closes a task because its work is done.
pub(super) async fn close(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let task = task_id(call.parameter)?;
    let cut = plane
        .ledger
        .close(&plane.tenant, task)
        .await
        .map_err(|_unknown| NO_TASK)?;
    kept(plane, call, Some(task), &cut, Closing::Closed).await
}

/// Revokes a task with all its children; or every task of an agent, which is disabled until `writ apply --resume`; or stops an API, a
/// credential or an owner until `writ resume`.
pub(super) async fn kill(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let (task, cut) = match stops::named(&body).as_slice() {
        [("task", task)] => {
            let task = task_id(task)?;
            let cut = plane
                .ledger
                .revoke(&plane.tenant, task, Ending::Revoked)
                .await
                .map_err(|_unknown| NO_TASK)?;
            (Some(task), cut)
        }
        [("agent", name)] => {
            let loaded = plane.loaded();
            let agent = loaded.agent_named(name);
            let agent = agent
                .ok_or(AdminError::NotFound("there is no such agent, or several"))?
                .id;
            let by = Actor::Operator(call.operator.id);
            let (cut, disabled) = stop_agent(plane, by, agent).await;
            disabled?;
            (None, cut)
        }
        [named] => (None, stops::stop(plane, call, *named).await?),
        [] | [_, ..] => {
            return Err(AdminError::Invalid(
                "name one of `task`, `agent`, `api`, `credential` and `owner`".to_owned(),
            ));
        }
    };
    kept(plane, call, task, &cut, Closing::Revoked).await
}

/// Cuts what an agent has alive, at once; then disables it, so that it opens nothing new; and cuts what it opened in between.
pub(crate) async fn stop_agent(
    plane: &Plane,
    by: Actor,
    agent: AgentId,
) -> (Cut, Result<(), AdminError>) {
    let mut cut = plane.ledger.revoke_agent(&plane.tenant, agent).await;
    let disabled = changes::disable(plane, by, agent).await;
    let more = plane.ledger.revoke_agent(&plane.tenant, agent).await;
    cut.tasks.extend(more.tasks);
    cut.calls.extend(more.calls);
    (cut, disabled)
}

const NO_TASK: AdminError = AdminError::NotFound("there is no such task");

fn task_id(text: &str) -> Result<TaskId, AdminError> {
    text.parse()
        .map_err(|fault: writ_types::IdError| AdminError::Invalid(fault.to_string()))
}

async fn kept(
    plane: &Plane,
    call: &Call<'_>,
    task: Option<TaskId>,
    cut: &Cut,
    how: Closing,
) -> Result<Value, AdminError> {
    let by = Actor::Operator(call.operator.id);
    settle(plane, by, task, cut, how)
        .await
        .map_err(AdminError::Unavailable)?;
    let strings =
        |items: &mut dyn Iterator<Item = String>| Value::Array(items.map(Value::String).collect());
    Ok(Value::object([
        (
            "tasks",
            strings(&mut cut.tasks.iter().map(ToString::to_string)),
        ),
        (
            "calls_cut",
            strings(&mut cut.calls.iter().map(ToString::to_string)),
        ),
    ]))
}
