//! Whether what a call was permitted for would be permitted now: asked of a call that lasts, each time something more comes of it.
//!
//! The questions are those of a new call, and the answer has to be a yes. Nothing is recorded, counted or used up, and nobody is asked.

use writ_task::Entered;
use writ_types::{Agent, Charge, PlanStanding, Timestamp};

use crate::approve::{self, Canonical};
use crate::asked::Asked;
use crate::gateway::Gateway;
use crate::mcp::ToolCall;
use crate::snapshot::Snapshot;
use crate::{decide, flow, planned, stops, windows};

/// Whether the policies say yes to the call as it stands, with nothing that a person or time would have to give first.
pub(crate) async fn is_permitted(
    gateway: &Gateway,
    snapshot: &Snapshot,
    who: (&Agent, &Entered),
    call: ToolCall<'_>,
    now: Timestamp,
) -> bool {
    let (parts, (agent, entered)) = (&gateway.parts, who);
    let (api, operation) = (call.api, call.operation);
    let action = operation.action();
    let stands = decide::granted(snapshot, agent, entered, action, now).is_ok()
        && decide::unchanged(api, operation).is_ok()
        && stops::look(gateway, snapshot, who, api).is_ok();
    if !stands {
        return false;
    }
    let Ok(read) = Asked::Tool(call).read(parts).await else {
        return false;
    };
    let charge = Charge::of(operation.effects());
    let found = parts.ledger.look(entered, action, charge, now).await;
    let Ok(mut facts) = found else { return false };
    let (key, input) = (&parts.audit_key, &read.parsed.input);
    let mut judged = flow::judge(key, operation, input, &facts.vouchers);
    let quantities = windows::quantities(operation, &read);
    windows::tell(parts, snapshot, entered, operation, &quantities, &mut facts).await;
    flow::tell(&mut facts, operation, &mut judged, &read);
    // One reading was a step of the plan, and it was that step: no other follows from it.
    if planned::fitting(entered, operation, &read).is_some() {
        facts.plan = PlanStanding::Outside;
    }
    let canonical = Canonical::of(operation, &read, judged.unvouched.as_deref());
    approve::would_permit(gateway, snapshot, who, &canonical, &mut facts).await
}
