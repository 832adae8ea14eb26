//! From what an agent asks for to what its task gets: authority only shrinks on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_token::{OauthError, OauthErrorCode};
use writ_types::{
    ActionName, Agent, Asserter, Asserters, BlastRadius, Budget, Canonical, Grant, KeyedDigest,
    Purpose, Requester, Resource, TaskId, TaskRequest, Tenant, Timestamp,
};

use crate::loaded::Loaded;
use crate::oauth::ticket::accepted;

/// Most identifiers that a prompt vouches for: what is pasted into one by the hundred nobody has read.
const MOST_NAMED: usize = 256;

/// What a grant is made of beside the request.
pub(crate) struct Granting<'a> {
    /// The revision in force.
    pub(crate) loaded: &'a Loaded,
    /// The tenant.
    pub(crate) tenant: &'a Tenant,
    /// The agent, proven.
    pub(crate) agent: &'a Agent,
    /// The user, proven, if there is one.
    pub(crate) requester: Option<Requester>,
    /// What the token is for.
    pub(crate) resource: &'a Resource,
    /// The task that is narrowed, if there is one, and what it has left.
    pub(crate) parent: Option<(&'a Grant, Budget)>,
    /// The id of the new task.
    pub(crate) task: TaskId,
    /// Who said what it is opened with.
    pub(crate) asserter: Asserter,
    /// The commitment to the prompt.
    pub(crate) prompt: Option<KeyedDigest>,
    /// The instant.
    pub(crate) now: Timestamp,
}

impl Granting<'_> {
    /// Narrows a request to a grant.
    ///
    /// Actions that the purpose does not need, or that are not at the resource, are left out; the answer says what was
    /// granted (RFC 9396 §7). If nothing is left there is no grant.
    ///
    /// # Errors
    ///
    /// `invalid_authorization_details`, with a sentence for the developer.
    pub(crate) fn narrow(self, request: &TaskRequest) -> Result<Grant, OauthError> {
        let purpose = self.purpose(request)?;
        if !purpose.is_open(self.now) {
            return Err(refused(
                "outside_hours: tasks of this purpose are opened in its hours only",
            ));
        }
        if request.mode.is_some_and(|mode| mode != self.agent.mode) {
            return Err(refused("the agent is registered with another mode"));
        }
        let asserter = accepted(self.asserter.clone(), purpose);
        let prompt = request.prompt.as_deref().filter(|_| asserter.vouches());
        if prompt.is_some_and(|prompt| Canonical::identifiers(prompt, MOST_NAMED).is_none()) {
            return Err(refused(
                "prompt_values: the prompt names more than 256 addresses, accounts and numbers, and would vouch for all of them; say in `bounds` which the task is for",
            ));
        }
        let actions = self.actions(request, purpose)?;
        // That of the task above holds for a sub-task.
        if purpose.plan_required && request.plan.is_none() && self.parent.is_none() {
            return Err(refused(
                "plan_required: tasks of this purpose are opened with a `plan`, the steps that they will take",
            ));
        }
        // A plan of which a step cannot be taken is none.
        let steps = request.plan.steps();
        if steps.iter().any(|step| !actions.contains(step.action())) {
            return Err(refused(
                "the plan has an action that the task would not get; ask for less, or plan without it",
            ));
        }
        let ceiling = self
            .parent
            .map_or(purpose.budget, |(_, left)| left.narrowed_to(purpose.budget));
        let budget = request
            .budget
            .unwrap_or_else(|| Budget::DEFAULT.narrowed_to(ceiling))
            .narrowed_to(ceiling);
        let radius = blast_radius(self.loaded, &actions, budget);
        if purpose
            .max_blast_radius
            .is_some_and(|most| radius.weight() > most)
        {
            return Err(refused(
                "blast_radius: the task could do more at once than its purpose allows; ask for fewer actions or a smaller budget",
            ));
        }
        let life = request.expires_in.map_or(purpose.max_task_life, |asked| {
            asked.min(purpose.max_task_life)
        });
        let deadline = self.now.plus(life);
        let deadline = self
            .parent
            .map_or(deadline, |(parent, _)| deadline.min(parent.deadline));
        Ok(Grant {
            tenant: self.tenant.clone(),
            task: self.task,
            agent: self.agent.id,
            requester: self.requester.clone(),
            purpose: purpose.name.clone(),
            mode: self.agent.mode,
            bounds: request.bounds.only(&actions),
            plan: request.plan.clone(),
            actions,
            budget,
            opened: self.now,
            deadline,
            parent: self.parent.map(|(parent, _)| parent.task),
            prompt: self.prompt,
            asserters: Asserters::all(asserter),
        })
    }

    fn purpose(&self, request: &TaskRequest) -> Result<&Purpose, OauthError> {
        // One answer for an unknown purpose and a foreign one: the list of purposes is not for guessing.
        let held = self.agent.purposes.contains(&request.purpose);
        let purpose = self.loaded.purposes.get(&request.purpose).filter(|_| held);
        purpose.ok_or_else(|| refused("the agent may not open tasks for this purpose"))
    }

    fn actions(
        &self,
        request: &TaskRequest,
        purpose: &Purpose,
    ) -> Result<BTreeSet<ActionName>, OauthError> {
        let known = |action: &&ActionName| {
            let api = self.loaded.apis.get(&action.api);
            api.is_some_and(|api| api.contract.operation(&action.operation).is_some())
        };
        let granted = request
            .actions
            .iter()
            .filter(|action| purpose.actions.contains(*action))
            .filter(known);
        let reached = |action: &&ActionName| {
            let api = self.loaded.apis.get(&action.api);
            api.is_some_and(|api| purpose.reaches(&api.api))
        };
        let granted: BTreeSet<ActionName> = granted
            .filter(|action| self.resource.covers(&action.api))
            .filter(reached)
            .cloned()
            .collect();
        if granted.is_empty() {
            return Err(refused(
                "none of the actions is part of the purpose at this resource",
            ));
        }
        Ok(granted)
    }
}

/// What a task with these actions and this budget could do at worst.
pub(crate) fn blast_radius(
    loaded: &Loaded,
    actions: &BTreeSet<ActionName>,
    budget: Budget,
) -> BlastRadius {
    let effects = actions.iter().filter_map(|action| {
        let api = loaded.apis.get(&action.api)?;
        let operation = api.contract.operation(&action.operation)?;
        Some(operation.effects())
    });
    BlastRadius::of(effects, budget)
}

/// How long a token for a task may live: the least of the task's deadline, what each API allows, and five minutes.
pub(crate) fn token_expiry(
    loaded: &Loaded,
    grant: &Grant,
    resource: &Resource,
    now: Timestamp,
) -> Timestamp {
    let apis = grant
        .actions
        .iter()
        .map(|action| &action.api)
        .filter(|api| resource.covers(api));
    let life = apis
        .filter_map(|api| loaded.apis.get(api))
        .map(|api| api.api.max_token_life)
        .min()
        .unwrap_or(Duration::ZERO)
        .min(writ_token::AccessTokenClaims::LONGEST_LIFE);
    now.plus(life).min(grant.deadline)
}

fn refused(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::InvalidAuthorizationDetails, description)
}

#[cfg(test)]
mod tests;
