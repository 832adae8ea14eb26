//! What a call adds to what was done within a time, and what rules see of that.

use writ_contract::Operation;
use writ_task::{Called, Entered, Reservation};
use writ_types::{BoundPlace, BoundPointer, Facts, Quantities};

use crate::asked::Read;
use crate::gateway::Parts;
use crate::snapshot::Snapshot;

/// Counts a reserved call in the windows of the installation and tells the facts what they show, this call included.
pub(crate) async fn count(
    parts: &Parts,
    snapshot: &Snapshot,
    entered: &Entered,
    operation: &Operation,
    read: &Read<'_>,
    (reservation, facts): (&mut Reservation, &mut Facts),
) {
    let (pdp, action) = (&snapshot.pdp, operation.action());
    let windows = pdp.windows();
    if windows.watch(action, operation.effects()) || pdp.looks_at_windows(action) {
        let called = Called {
            action: action.clone(),
            effects: operation.effects(),
            quantities: quantities(operation, read),
        };
        let ledger = &parts.ledger;
        let shown = ledger.tally(entered, reservation, &called, windows, facts.now);
        facts.windows = shown.await;
    }
}

/// Tells the facts of a call that is only asked about what the windows would show with it: nothing is counted. Rules
/// about windows are not asked where nobody knows its arguments.
pub(crate) async fn tell(
    parts: &Parts,
    snapshot: &Snapshot,
    entered: &Entered,
    operation: &Operation,
    quantities: &Quantities,
    facts: &mut Facts,
) {
    let (pdp, action) = (&snapshot.pdp, operation.action());
    if !pdp.looks_at_windows(action) {
        return;
    }
    let (windows, effects) = (pdp.windows(), operation.effects());
    let before = parts.ledger.windows(entered, windows, facts.now).await;
    facts.windows = windows.with_next(&before, action, effects, quantities);
}

/// What its arguments come to; of a body that nobody has taken apart that is not known.
pub(crate) fn quantities(operation: &Operation, read: &Read<'_>) -> Quantities {
    let in_body = |pointer: &str| {
        let place = BoundPointer::parse(pointer);
        // The whole body is no place that a bound could name.
        place.map_or(true, |place| place.place() == BoundPlace::Body)
    };
    let marks = operation.marks().iter();
    let mut counted = marks.filter(|marked| marked.mark.quantity.is_some());
    if !read.body_is_told() && counted.any(|marked| in_body(&marked.pointer)) {
        return operation.unread_quantities();
    }
    operation.quantities(&read.parsed.input)
}
