//! Stopping: one task, or everything an agent does. The ledger first, the record after: a kill waits for nothing.

use writ_audit::{Actor, Closing, Durability, Event, TaskClosed};
use writ_task::{Cut, Ending, Ledger as _};
use writ_types::{TaskId, Value};

use crate::admin::{AdminError, Call};
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
    settle(plane, call, &cut, Closing::Closed).await
}

/// Revokes a task with all its children, or every task of an agent.
pub(super) async fn kill(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let text = |name| body.member(name).and_then(Value::as_str);
    let cut = match (text("task"), text("agent")) {
        (Some(task), None) => {
            let task = task_id(task)?;
            plane
                .ledger
                .revoke(&plane.tenant, task, Ending::Revoked)
                .await
                .map_err(|_unknown| NO_TASK)?
        }
        (None, Some(agent)) => {
            let loaded = plane.loaded();
            let agent = loaded
                .agent_named(agent)
                .ok_or(AdminError::NotFound("there is no such agent, or several"))?;
            plane.ledger.revoke_agent(&plane.tenant, agent.id).await
        }
        _ => {
            return Err(AdminError::Invalid(
                "name either `task` or `agent`".to_owned(),
            ));
        }
    };
    settle(plane, call, &cut, Closing::Revoked).await
}

const NO_TASK: AdminError = AdminError::NotFound("there is no such task");

fn task_id(text: &str) -> Result<TaskId, AdminError> {
    text.parse()
        .map_err(|fault: writ_types::IdError| AdminError::Invalid(fault.to_string()))
}

/// Records and stores what has ended, and says what it cut.
async fn settle(
    plane: &Plane,
    call: &Call<'_>,
    cut: &Cut,
    how: Closing,
) -> Result<Value, AdminError> {
    let now = plane.clock.now();
    for task in &cut.tasks {
        let Some(status) = plane.task(*task, now).await else {
            continue;
        };
        let event = TaskClosed {
            task: *task,
            agent: status.grant.agent,
            how,
            by: Actor::Operator(call.operator.id),
            spent: status.spent,
        };
        let recorded = plane
            .record(
                plane.header(now),
                Event::TaskClosed(event),
                None,
                Durability::Durable,
            )
            .await;
        recorded.map_err(|fault| {
            AdminError::Unavailable(format!(
                "the task has ended, but that could not be recorded: {fault}"
            ))
        })?;
        plane
            .end_task(*task, how)
            .await
            .map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    }
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
