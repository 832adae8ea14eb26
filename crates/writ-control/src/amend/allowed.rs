//! What a task may come to hold, whatever a person says: its purpose, its agent, what is stopped, and the policies.

use std::collections::BTreeSet;

use writ_policy::{InputView, Question, ResponseView};
use writ_task::{Known, TaskStatus};
use writ_token::Authenticated;
use writ_types::{
    ActionName, Agent, Charge, Difference, Grant, Outlook, Purpose, ReasonCode, Resource,
    Timestamp, Verdict,
};

use super::Refused;
use crate::admin::fresh_task;
use crate::loaded::Loaded;
use crate::oauth::blast_radius;
use crate::plane::Plane;

/// Everything that is looked at anew, each time.
pub(super) struct Allowed<'a> {
    pub(super) plane: &'a Plane,
    pub(super) loaded: &'a Loaded,
    pub(super) caller: &'a Authenticated,
    pub(super) agent: &'a Agent,
    pub(super) status: &'a TaskStatus,
    pub(super) now: Timestamp,
}

impl Allowed<'_> {
    /// Whether a person may be asked about `after`, or their yes be used: the task is opened anew, as it were, with all of it.
    ///
    /// # Errors
    ///
    /// What stands against it, with the place in what was asked for.
    pub(super) fn judge(&self, after: &Grant, known: &Known) -> Result<(), Refused> {
        let (purpose, before) = (self.purpose(after)?, &self.status.grant);
        covered(
            self.loaded,
            purpose,
            self.caller.resource(),
            (before, after),
        )?;
        for action in Difference::between(before, after).added() {
            self.undisturbed(action)?;
            self.permitted(purpose, after, action, known)?;
        }
        Ok(())
    }

    /// The task's purpose, as the revision in force has it, if agent and user may use it now.
    fn purpose(&self, after: &Grant) -> Result<&Purpose, Refused> {
        let Self { plane, loaded, .. } = *self;
        let name = &after.purpose;
        let held = self.agent.purposes.contains(name) && loaded.all_hold(&self.status.above, name);
        let purpose = loaded.purposes.get(name).filter(|_| held);
        let purpose = purpose.ok_or(ReasonCode::ActionNotGranted)?;
        if plane.has_stopped(self.agent) || plane.has_stopped_purpose(purpose) {
            return Err(ReasonCode::Stopped.into());
        }
        if !purpose.is_open(self.now) {
            return Err(ReasonCode::OutsideHours.into());
        }
        let authentication = self.caller.token().authentication();
        if purpose.wants(authentication, self.now).is_some() {
            return Err(ReasonCode::InsufficientUserAuthentication.into());
        }
        Ok(purpose)
    }

    /// Whether nobody has stopped or changed what an action that is new needs.
    fn undisturbed(&self, action: &ActionName) -> Result<(), Refused> {
        let api = self.loaded.apis.get(&action.api);
        let api = api.ok_or(ReasonCode::UnknownOperation)?;
        if self.plane.has_stopped_api(api) {
            return Err(ReasonCode::Stopped.into());
        }
        if api.quarantined.contains(&action.operation) {
            return Err(ReasonCode::ContractQuarantined.into());
        }
        Ok(())
    }

    /// Whether the policies that read nothing of a call let the task have the action at all: what no approval lifts is not asked
    /// for, and nothing is added in a freeze.
    fn permitted(
        &self,
        purpose: &Purpose,
        after: &Grant,
        action: &ActionName,
        known: &Known,
    ) -> Result<(), Refused> {
        let Self { plane, loaded, .. } = *self;
        let api = loaded.apis.get(&action.api);
        let operation = api.and_then(|api| api.contract.operation(&action.operation));
        let Some(operation) = operation else {
            return Err(ReasonCode::UnknownOperation.into());
        };
        let charge = Charge::of(operation.effects());
        let (_, mut facts) = fresh_task(plane, self.agent, purpose, action, charge, self.now);
        facts.labels.clone_from(&known.labels);
        facts.left = after.budget;
        let none = BTreeSet::new();
        // The stronger of its own agent's answer and of those above, as for a call.
        let above = self.status.above.iter();
        let above = above
            .filter_map(|id| loaded.agents.get(id))
            .map(|agent| &**agent);
        for agent in std::iter::once(self.agent).chain(above) {
            let grant = Grant {
                agent: agent.id,
                ..after.clone()
            };
            let decided = loaded.pdp.decide(&Question {
                tenant: &plane.tenant,
                call: self.caller.call(),
                agent,
                grant: &grant,
                action,
                input: InputView::Faulty,
                facts: &facts,
                extra: &none,
                nulls: &none,
                response: ResponseView::Buffered,
            });
            let Err(denied) = decided else { continue };
            // With arguments it may be a yes, or become one.
            let never = denied.reason.outlook() == Outlook::Never;
            let frozen = denied.reason == ReasonCode::Frozen;
            if denied.verdict == Verdict::Deny && (never || frozen) {
                return Err(denied.reason.into());
            }
        }
        Ok(())
    }
}

/// Whether a purpose gives its tasks all that one would hold: the actions, at APIs that it reaches and the token is for, the budget,
/// the life, and the blast radius.
///
/// # Errors
///
/// What is beyond it.
pub(crate) fn covered(
    loaded: &Loaded,
    purpose: &Purpose,
    resource: &Resource,
    (before, after): (&Grant, &Grant),
) -> Result<(), Refused> {
    for action in &after.actions {
        let api = loaded.apis.get(&action.api);
        let known = api.filter(|api| api.contract.operation(&action.operation).is_some());
        let Some(api) = known.filter(|_| purpose.actions.contains(action)) else {
            let why = "an action is not part of the task's purpose";
            return Err(Refused::beyond("actions", why));
        };
        if !before.holds(action) && !resource.covers(&action.api) {
            let why = "the token is not for the API of an action; ask with one that is";
            return Err(Refused::beyond("actions", why));
        }
        if !purpose.reaches(&api.api) {
            return Err(ReasonCode::OutsideEnvironment.into());
        }
    }
    if !after.budget.within(purpose.budget) {
        let why = "the purpose gives its tasks a smaller budget";
        return Err(Refused::beyond("budget", why));
    }
    if after.deadline > after.opened.plus(purpose.max_task_life) {
        let why = "the purpose gives its tasks a shorter life, counted from their opening";
        return Err(Refused::beyond("expires_in", why));
    }
    let radius = blast_radius(loaded, &after.actions, after.budget);
    let most = purpose.max_blast_radius;
    if most.is_some_and(|most| radius.weight() > most) {
        let why = "the task could do more at once than its purpose allows: ask for fewer actions or a smaller budget";
        return Err(Refused::beyond("budget", why));
    }
    Ok(())
}

/// Whether a token is for all the actions and bounds that an amendment changes: one for a single API says nothing of what the task holds
/// at others.
///
/// # Errors
///
/// What it is not for.
pub(super) fn is_for(resource: &Resource, difference: &Difference<'_>) -> Result<(), Refused> {
    let other = |action: &ActionName| !resource.covers(&action.api);
    let why = "the token is for one API, and this changes what the task holds at another; ask with one that is for it";
    let mut actions = difference.added().chain(difference.dropped());
    if actions.any(other) {
        return Err(Refused::beyond("actions", why));
    }
    if difference
        .bounds()
        .iter()
        .any(|change| other(change.action))
    {
        return Err(Refused::beyond("bounds", why));
    }
    Ok(())
}
