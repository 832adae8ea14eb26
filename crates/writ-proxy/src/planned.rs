//! How a call compares with the plan of its task.

use std::collections::BTreeSet;

use writ_contract::Operation;
use writ_task::{Entered, Reservation, ReserveError};
use writ_types::{BoundPointer, Charge, Effect, Facts, Input, Timestamp};

use crate::asked::Read;
use crate::flow;
use crate::gateway::Parts;
use crate::snapshot::Snapshot;
use crate::windows;

/// Reserves what a call costs, with the step of the plan that it is, and counts it in windows. Says what is known of its
/// task.
///
/// # Errors
///
/// As [`Ledger::reserve`](writ_task::Ledger::reserve).
pub(crate) async fn reserve(
    parts: &Parts,
    snapshot: &Snapshot,
    entered: &Entered,
    operation: &Operation,
    read: &Read<'_>,
    now: Timestamp,
) -> Result<(Reservation, Facts), ReserveError> {
    let fitting = fitting(entered, operation, read);
    let what = (operation.action(), Charge::of(operation.effects()));
    let reserved = parts.ledger.reserve(entered, what, fitting.as_deref(), now);
    let (mut reservation, mut facts) = reserved.await?;
    let counted = (&mut reservation, &mut facts);
    windows::count(parts, snapshot, entered, operation, read, counted).await;
    Ok((reservation, facts))
}

/// The steps of the plan that a call could be, by their numbers; none where there is no plan, or where the call only reads and
/// no step speaks of its action. What does not follow the contract is none, and refused for that.
///
/// Whether one of them is due the ledger says, because two calls could both be the last.
pub(crate) fn fitting(
    entered: &Entered,
    operation: &Operation,
    read: &Read<'_>,
) -> Option<Vec<u16>> {
    let plan = entered.plan()?;
    let (action, effects) = (operation.action(), operation.effects());
    let only_reads =
        effects.kind == Effect::Read && !effects.irreversible && !effects.external_send;
    let free = only_reads && !plan.names(action);
    if free || !read.parsed.faults.is_empty() {
        return None;
    }
    let input = &read.parsed.input;
    // What a client answers a server nobody has planned.
    let body = read.body_is_told() || !flow::judges_body(operation.marks());
    let told = body && read.answers.is_none();
    let sensitive = sensitive(operation, input).filter(|_| told);
    Some(sensitive.map_or_else(Vec::new, |sensitive| {
        plan.fitting(action, input, &sensitive)
    }))
}

/// The places of the sensitive arguments that have a value; none if one of them is no place that a step could bind.
fn sensitive(operation: &Operation, input: &Input) -> Option<BTreeSet<BoundPointer>> {
    let values = flow::sensitive(operation, input);
    let places = values.iter().map(|value| BoundPointer::parse(value.place));
    places.collect::<Result<_, _>>().ok()
}
