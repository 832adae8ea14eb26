//! What happens to tasks that have ended in the ledger: the store learns it, and the log.

use writ_audit::{Actor, Closing, Durability, Event, TaskClosed};
use writ_task::Cut;
use writ_types::TaskId;

use crate::plane::Plane;

/// Stores and records what has ended. `named` is the task that was meant, where one was.
///
/// Every task is stored and recorded, whatever becomes of the others; what fails is said at the end, and repeating the
/// kill tries it again. The store comes first: it is what a restart believes.
///
/// # Errors
///
/// What could not be kept. The tasks have ended on this node all the same.
pub(crate) async fn settle(
    plane: &Plane,
    by: Actor,
    named: impl Into<Option<TaskId>>,
    cut: &Cut,
    how: Closing,
) -> Result<(), String> {
    let now = plane.clock.now();
    // A kill that finds its task ended already may be the repetition of one that could not be kept: the store is told again.
    if let Some(task) = named.into()
        && cut.tasks.is_empty()
    {
        let kept = plane.end_task(task, how).await;
        kept.map_err(|fault| fault.to_string())?;
    }
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
            by,
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
    match faults.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "the tasks have ended on this node, but {first} ({} in all): repeat the kill",
            faults.len()
        )),
    }
}
