//! The road of a call, walked again: every gate in its order, then the policies.

use std::collections::BTreeSet;

use writ_policy::{Denied, Explanation, InputView, Permit, Question, ResponseView};
use writ_types::{
    Agent, ArgumentOrigins, Attr, CallId, Charge, Facts, Grant, Input, Inputs, PlanStanding,
    Purpose, ReasonCode, Value, Verdict, Vouchers,
};

use super::{Ground, Recorded};
use crate::plan::{Access, by_rules};

/// What a call of a live task passes, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gate {
    Caller,
    Agent,
    Operation,
    Granted,
    Unchanged,
    Pace,
    Readable,
    Budget,
    Bounds,
    Remembered,
    Policies,
    Contract,
    Sent,
}

impl Gate {
    /// Every gate, in the order of a call.
    pub(super) const ALL: [Self; 13] = [
        Self::Caller,
        Self::Agent,
        Self::Operation,
        Self::Granted,
        Self::Unchanged,
        Self::Pace,
        Self::Readable,
        Self::Budget,
        Self::Bounds,
        Self::Remembered,
        Self::Policies,
        Self::Contract,
        Self::Sent,
    ];

    /// What has to hold.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "the token is live, for this gateway, and bound to the caller's key",
            Self::Agent => "the agent is enabled",
            Self::Operation => "the contract has the operation",
            Self::Granted => {
                "the purpose needs the action, reaches the API and is open; the task holds it"
            }
            Self::Unchanged => {
                "the operation is as it was approved, and nothing it needs is stopped"
            }
            Self::Pace => "it is not called faster than it may be",
            Self::Readable => "the request can be read",
            Self::Budget => "the task goes on, and its budget covers the call",
            Self::Bounds => "the arguments lie within the task's bounds",
            Self::Remembered => "no person has refused it",
            Self::Policies => "the policies permit it",
            Self::Contract => "the arguments follow the contract",
            Self::Sent => "the call is recorded, and the upstream answers",
        }
    }

    /// The gate that refuses with this reason.
    pub(super) const fn of(reason: ReasonCode) -> Self {
        match reason {
            ReasonCode::Unauthenticated
            | ReasonCode::InvalidDpopProof
            | ReasonCode::UseDpopNonce
            | ReasonCode::WrongAudience
            | ReasonCode::SecondSource
            | ReasonCode::InsufficientUserAuthentication
            | ReasonCode::NotReady => Self::Caller,
            ReasonCode::AgentDisabled => Self::Agent,
            ReasonCode::MalformedRequest
            | ReasonCode::UnknownOperation
            | ReasonCode::MethodNotAllowed => Self::Operation,
            ReasonCode::ActionNotGranted
            | ReasonCode::AmendmentRefused
            | ReasonCode::OutsideEnvironment
            | ReasonCode::OutsideHours => Self::Granted,
            ReasonCode::ContractQuarantined | ReasonCode::Stopped => Self::Unchanged,
            ReasonCode::RateLimited => Self::Pace,
            ReasonCode::BodyTooLarge
            | ReasonCode::BodyTimeout
            | ReasonCode::LengthRequired
            | ReasonCode::UnsupportedMediaType
            | ReasonCode::UnsupportedEncoding => Self::Readable,
            ReasonCode::TaskEnded
            | ReasonCode::TaskPaused
            | ReasonCode::BudgetExhausted
            | ReasonCode::TooManyInFlight => Self::Budget,
            ReasonCode::OutsideBounds => Self::Bounds,
            ReasonCode::ApprovalDenied => Self::Remembered,
            ReasonCode::ValueNotVouched
            | ReasonCode::Forbidden
            | ReasonCode::NotPermitted
            | ReasonCode::ApprovalRequired
            | ReasonCode::TooManyApprovals
            | ReasonCode::ApprovalUnavailable
            | ReasonCode::Deferred
            | ReasonCode::Frozen
            | ReasonCode::ObligationUnmet
            | ReasonCode::PolicyError
            | ReasonCode::Unrepresentable => Self::Policies,
            ReasonCode::InvalidInput => Self::Contract,
            ReasonCode::RecordUnavailable
            | ReasonCode::CredentialUnavailable
            | ReasonCode::UpstreamUnreachable
            | ReasonCode::UpstreamInvalid
            | ReasonCode::UpstreamTimeout
            | ReasonCode::Cancelled
            | ReasonCode::InputUnanswered
            | ReasonCode::EffectUnknown => Self::Sent,
        }
    }
}

/// A decision: the verdict, and why it is no yes.
pub(super) type Decided = (Verdict, Option<ReasonCode>);

/// A call with everything it is decided on; a copy of it is changed and decided again.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent findings, each a gate of its own"
)]
#[derive(Debug, Clone)]
pub(super) struct Asked<'g> {
    pub(super) ground: Ground<'g>,
    pub(super) agent: Agent,
    pub(super) purpose: Option<Purpose>,
    pub(super) grant: Grant,
    pub(super) quarantined: bool,
    /// A person has said no to it before.
    pub(super) remembered: bool,
    pub(super) input: Option<Input>,
    /// The places of arguments that rules or bounds look at, and that were not kept.
    pub(super) unseen: BTreeSet<String>,
    pub(super) faulty: bool,
    pub(super) facts: Facts,
    /// The budget does not cover it.
    pub(super) unpaid: bool,
    /// The reason of a refusal that is none of those above and is not decided again.
    beyond: Option<ReasonCode>,
}

impl<'g> Asked<'g> {
    pub(super) fn new(
        recorded: &Recorded,
        ground: Ground<'g>,
        grant: &Grant,
        inputs: Inputs,
    ) -> Self {
        let charge = Charge::of(ground.operation.effects());
        let unpaid = recorded.reason == Some(ReasonCode::BudgetExhausted);
        let unseen = unseen(&inputs, ground, grant);
        let faulty = !inputs.faults.is_empty();
        let facts = inputs.facts.unwrap_or_else(|| Facts {
            // Nothing was found out yet: as for the first call of a task.
            now: recorded.at,
            labels: BTreeSet::new(),
            sinks: ground.operation.handling().sink.clone(),
            spent: charge,
            this_operation: 1,
            left: inputs.left.unwrap_or(grant.budget).less(charge),
            seen: BTreeSet::new(),
            approved: BTreeSet::new(),
            windows: ground.pdp.windows().with_first(
                ground.operation.action(),
                ground.operation.effects(),
                &inputs.input.as_ref().map_or_else(
                    || ground.operation.unread_quantities(),
                    |input| ground.operation.quantities(input),
                ),
            ),
            operation: ground.operation.id().clone(),
            vouchers: Vouchers::default(),
            arguments: ArgumentOrigins::default(),
            plan: PlanStanding::Free,
            approvals: BTreeSet::new(),
            deferred: BTreeSet::new(),
        });
        let decided_here = recorded.reason.is_none_or(|reason| {
            matches!(
                Gate::of(reason),
                Gate::Agent
                    | Gate::Granted
                    | Gate::Unchanged
                    | Gate::Bounds
                    | Gate::Remembered
                    | Gate::Policies
                    | Gate::Contract
            ) || unpaid
        });
        Self {
            ground,
            agent: ground.agent.clone(),
            purpose: ground.purposes.get(&grant.purpose).cloned(),
            grant: grant.clone(),
            quarantined: recorded.reason == Some(ReasonCode::ContractQuarantined),
            remembered: recorded.reason == Some(ReasonCode::ApprovalDenied),
            faulty,
            // What cannot be seen any more is not decided on as if it were something else; of a call that did not follow the contract no
            // argument is looked at.
            input: inputs.input.filter(|_| faulty || unseen.is_empty()),
            unseen,
            facts,
            unpaid,
            beyond: recorded.reason.filter(|_| !decided_here),
        }
    }

    /// Whether all that the decision needs is there: a call that stopped before its arguments were read needs none.
    pub(super) fn is_known(&self) -> bool {
        self.input.is_some() || !matches!(self.stops(), Ok(()))
    }

    /// Whether what rules and bounds look at was kept.
    pub(super) fn is_seen(&self) -> bool {
        self.faulty || self.unseen.is_empty()
    }

    /// Whether rules have a word in it: no project says whether a person said no before, what a budget has left, or what a server publishes.
    pub(super) const fn is_for_rules(&self) -> bool {
        self.beyond.is_none() && !self.unpaid && !self.quarantined && !self.remembered
    }

    /// The place that is outside the bounds, and the bound.
    pub(super) fn outside(&self) -> Option<String> {
        let action = self.ground.operation.action();
        let input = self.input.as_ref().filter(|_| !self.faulty)?;
        let place = self.grant.violation(action, input)?;
        let bounds = self.grant.bounds.to_value();
        let bound = bounds
            .member(&action.to_string())?
            .member(&place.to_string())?
            .clone();
        Some(format!("{place}: the bound is {bound}"))
    }

    /// The gates before the arguments are looked at.
    fn stops(&self) -> Result<(), Decided> {
        let deny = |reason| Err((Verdict::Deny, Some(reason)));
        let action = self.ground.operation.action();
        if let Some(reason) = self.beyond {
            return deny(reason);
        }
        if !self.agent.enabled {
            return deny(ReasonCode::AgentDisabled);
        }
        let purpose = self.purpose.as_ref();
        let covered = purpose.is_some_and(|purpose| purpose.actions.contains(action));
        let has = self.agent.purposes.contains(&self.grant.purpose);
        if !covered || !has || !self.grant.holds(action) {
            return deny(ReasonCode::ActionNotGranted);
        }
        let reaches = purpose.is_some_and(|purpose| purpose.reaches(self.ground.api));
        if !reaches {
            return deny(ReasonCode::OutsideEnvironment);
        }
        if !purpose.is_some_and(|purpose| purpose.is_open(self.facts.now)) {
            return deny(ReasonCode::OutsideHours);
        }
        if self.quarantined {
            return Err((Verdict::Defer, Some(ReasonCode::ContractQuarantined)));
        }
        if self.unpaid {
            return deny(ReasonCode::BudgetExhausted);
        }
        Ok(())
    }

    /// Walks the road.
    pub(super) fn decide(&self) -> Decided {
        match self.ruled() {
            Err(stopped) => stopped,
            Ok(Ok(permit)) => (permit.verdict(), None),
            Ok(Err(denied)) => (denied.verdict, Some(self.as_told(&denied))),
        }
    }

    /// What the rules say at the end of the road; an error is what stops the call before they are asked.
    pub(super) fn ruled(&self) -> Result<Result<Permit, Denied>, Decided> {
        self.stops()?;
        let action = self.ground.operation.action();
        let deny = |reason| Err((Verdict::Deny, Some(reason)));
        let read = self.input.as_ref().filter(|_| !self.faulty);
        if read.is_some_and(|input| self.grant.violation(action, input).is_some()) {
            return deny(ReasonCode::OutsideBounds);
        }
        if self.remembered {
            return deny(ReasonCode::ApprovalDenied);
        }
        Ok(self.ask(|pdp, question| pdp.decide(question)))
    }

    /// What the rules say of every such call, whatever its arguments; none if it is no.
    pub(super) fn prospect(&self) -> Option<String> {
        self.stops().ok()?;
        let action = self.ground.operation.action();
        let survey = self.ground.pdp.survey();
        let standings = survey.standings(&self.agent, &self.grant, [action.clone()]);
        let standings = standings.ok()?.remove(action).unwrap_or_default();
        let access = by_rules(&standings);
        matches!(access, Access::Yes { .. }).then(|| access.to_string())
    }

    /// What the policies need beside: roles and waits.
    pub(super) fn needs(&self) -> Option<Box<writ_policy::Needs>> {
        self.stops().ok()?;
        let decided = self.ask(|pdp, question| pdp.decide(question).map(drop));
        decided.err()?.needs
    }

    pub(super) fn explain(&self) -> Explanation {
        self.ask(writ_policy::Pdp::explain)
    }

    /// The gateway has the same words for a value that nothing vouches for, whether a person is asked or not.
    fn as_told(&self, denied: &Denied) -> ReasonCode {
        let by_rule = matches!(
            denied.reason,
            ReasonCode::Forbidden | ReasonCode::ApprovalRequired
        );
        let unvouched = self.facts.arguments.unvouched().next().is_some();
        if by_rule && unvouched && self.ground.pdp.asks_what_vouches(&denied.rules) {
            ReasonCode::ValueNotVouched
        } else {
            denied.reason
        }
    }

    fn ask<T>(&self, put: impl FnOnce(&writ_policy::Pdp, &Question<'_>) -> T) -> T {
        let Ground { pdp, operation, .. } = self.ground;
        let action = operation.action();
        let none = Input::default();
        let input = self.input.as_ref().unwrap_or(&none);
        let projected: Result<Attr, _> = operation.project(input, pdp.projection(action));
        let view = match &projected {
            _ if self.faulty || self.input.is_none() => InputView::Faulty,
            Ok(attributes) => InputView::Typed(attributes),
            Err(_unrepresentable) => InputView::Unrepresentable,
        };
        put(
            pdp,
            &Question {
                tenant: &self.grant.tenant,
                call: CallId::new(self.facts.now, [0; 10]),
                agent: &self.agent,
                grant: &self.grant,
                action,
                input: view,
                facts: &self.facts,
                extra: &input.extra,
                nulls: &input.nulls,
                response: if operation.stream() {
                    ResponseView::Streamed
                } else {
                    ResponseView::Buffered
                },
            },
        )
    }
}

/// The places that were not kept and that rules about the action, or the task's bounds, look at.
fn unseen(inputs: &Inputs, ground: Ground<'_>, grant: &Grant) -> BTreeSet<String> {
    let Ground { pdp, operation, .. } = ground;
    let action = operation.action();
    let bounds = grant.bounds.to_value();
    let bounds = bounds
        .member(&action.to_string())
        .and_then(Value::as_object);
    let bound = |place: &str| {
        let mut bounds = bounds.iter().flat_map(|bounds| bounds.keys());
        bounds.any(|bound| is_within(bound, place))
    };
    // What was counted is kept; of a call that it was not counted for, what it comes to is read here.
    let counted = inputs.facts.is_none()
        && pdp.looks_at_windows(action)
        && !operation.quantity_names().is_empty();
    let looked_at = |place: &&String| {
        counted || operation.looks_at(place, pdp.projection(action)) || bound(place)
    };
    let mut unseen: BTreeSet<String> = inputs.masked.iter().filter(looked_at).cloned().collect();
    if pdp.looks_at_places(action) {
        unseen.extend(inputs.unnamed().cloned());
    }
    unseen
}

/// Whether one of two places lies in the other, or they are the same; `*` is every item.
fn is_within(one: &str, other: &str) -> bool {
    let mut both = one.split('/').zip(other.split('/'));
    both.all(|(one, other)| one == other || one == "*")
}
