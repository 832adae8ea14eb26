//! Stopping: one task, or everything an agent does. The ledger first, the record after: a kill waits for nothing.

use writ_audit::{Actor, Closing, Durability, Event, TaskClosed};
use writ_task::{Cut, Ending, Ledger as _};
use writ_types::{TaskId, Value};

use crate::admin::{AdminError, Call, changes};
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
    keep_ended(plane, task, &cut, Closing::Closed).await?;
    settle(plane, call, &cut, Closing::Closed).await
}

/// Revokes a task with all its children; or every task of an agent, which is disabled until `writ apply --resume`.
pub(super) async fn kill(plane: &Plane, call: &Call<'_>) -> Result<Value, AdminError> {
    let body = object(call.body)?;
    let text = |name| body.member(name).and_then(Value::as_str);
    let cut = match (text("task"), text("agent")) {
        (Some(task), None) => {
            let task = task_id(task)?;
            let cut = plane
                .ledger
                .revoke(&plane.tenant, task, Ending::Revoked)
                .await
                .map_err(|_unknown| NO_TASK)?;
            keep_ended(plane, task, &cut, Closing::Revoked).await?;
            cut
        }
        (None, Some(name)) => {
            let loaded = plane.loaded();
            let agent = loaded.agent_named(name);
            let agent = agent
                .ok_or(AdminError::NotFound("there is no such agent, or several"))?
                .id;
            // What lives is cut at once. Then the agent is disabled, so that it opens nothing new; and what it opened in
            // between is cut too.
            let mut cut = plane.ledger.revoke_agent(&plane.tenant, agent).await;
            changes::disable(plane, call, agent).await?;
            let more = plane.ledger.revoke_agent(&plane.tenant, agent).await;
            cut.tasks.extend(more.tasks);
            cut.calls.extend(more.calls);
            cut
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

/// Stores and records what has ended, and says what it cut.
///
/// Every task is stored and recorded, whatever becomes of the others; what fails is said at the end, and repeating the
/// kill tries it again. The store comes first: it is what a restart believes.
async fn settle(
    plane: &Plane,
    call: &Call<'_>,
    cut: &Cut,
    how: Closing,
) -> Result<Value, AdminError> {
    let now = plane.clock.now();
    let mut faults = Vec::new();
    for task in &cut.tasks {
        if let Err(fault) = plane.end_task(*task, how).await {
            faults.push(format!("{task} could not be stored: {fault}"));
        }
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
        if let Err(fault) = recorded {
            faults.push(format!("{task} could not be recorded: {fault}"));
        }
    }
    if let Some(first) = faults.first() {
        let message = format!(
            "the tasks have ended on this node, but {first} ({} in all): repeat the kill",
            faults.len()
        );
        return Err(AdminError::Unavailable(message));
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

/// A kill that finds its task ended already may be the repetition of one that could not be kept: the store is told again.
async fn keep_ended(
    plane: &Plane,
    task: TaskId,
    cut: &Cut,
    how: Closing,
) -> Result<(), AdminError> {
    if cut.tasks.is_empty() {
        let kept = plane.end_task(task, how).await;
        kept.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    }
    Ok(())
}
