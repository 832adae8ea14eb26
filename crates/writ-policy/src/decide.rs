//! The decision: one question, one answer.

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, PolicySet, Request, Schema,
};
use writ_types::{
    ActionName, Agent, Attr, CallId, Digest, Facts, Grant, Obligations, ReasonCode, TaskId, Tenant,
    Timestamp, Verdict,
};

use crate::baseline::FREEZE_ID;
use crate::context::{self, ContextFault, Sys};
use crate::entities::{Prepared, is_action};
use crate::index::{ActionIndex, RuleSet};
use crate::pdp::Pdp;
use crate::projected;
use crate::rule::Turn;
use crate::{schema, stack};

/// Everything a decision depends on, besides the bundle.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The tenant of the caller.
    pub tenant: &'a Tenant,
    /// The call; the proof carries it.
    pub call: CallId,
    /// The agent as registered in this snapshot.
    pub agent: &'a Agent,
    /// What the task was granted.
    pub grant: &'a Grant,
    /// What the call would do.
    pub action: &'a ActionName,
    /// The input, as the contract sees it.
    pub input: InputView<'a>,
    /// What the gateway knows: labels, counters, now.
    pub facts: &'a Facts,
    /// JSON pointers of body members the contract does not describe (`context.sys.extra`).
    pub extra: &'a BTreeSet<String>,
    /// JSON pointers of members that are `null` (`context.sys.nulls`); a typed view has them as absent.
    pub nulls: &'a BTreeSet<String>,
    /// How the response will be passed on, which says whether an obligation can be met.
    pub response: ResponseView,
}

/// How a response is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseView {
    /// It is read whole first, so that what it holds can be changed or withheld.
    Buffered,
    /// It is passed on as it comes: nothing in it can be changed.
    Streamed,
}

/// What can be seen of the input.
#[derive(Debug, Clone, Copy)]
pub enum InputView<'a> {
    /// A record of `path`, `query`, `header` and `body`; at least what [`Pdp::projection`] names. What it has beyond is
    /// not looked at.
    Typed(&'a Attr),
    /// The input breaks the contract: only forbids that read nothing of it are asked, and the answer is never yes.
    Faulty,
    /// A value some rule looks at cannot be represented exactly: the same, with another reason.
    Unrepresentable,
}

/// The proof that a call is allowed. [`Pdp::decide`] is its only maker; whoever acts on it takes it by value.
///
/// It cannot be forged:
///
/// ```compile_fail,E0451
/// # use writ_policy::Permit;
/// # fn forge(call: writ_types::CallId, task: writ_types::TaskId, action: writ_types::ActionName,
/// #          policy: writ_types::Digest, instant: writ_types::Timestamp) -> Permit {
/// Permit { call, task, action, rules: Vec::new(), policy, instant, obligations: writ_types::Obligations::default() }
/// # }
/// ```
///
/// nor copied:
///
/// ```compile_fail,E0599
/// # fn copy(permit: writ_policy::Permit) -> (writ_policy::Permit, writ_policy::Permit) {
/// (permit.clone(), permit)
/// # }
/// ```
///
/// nor used twice:
///
/// ```compile_fail,E0382
/// # fn send(_: writ_policy::Permit) {}
/// # fn twice(permit: writ_policy::Permit) {
/// send(permit);
/// send(permit);
/// # }
/// ```
///
/// The same calls compile when each proof is used once, so it is not a typing mistake that the above are refused:
///
/// ```
/// # fn send(_: writ_policy::Permit) {}
/// # fn once(permit: writ_policy::Permit) {
/// let _rules: &[String] = permit.rules();
/// send(permit);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a permit is there to be spent on one call"]
pub struct Permit {
    call: CallId,
    task: TaskId,
    action: ActionName,
    rules: Vec<String>,
    policy: Digest,
    instant: Timestamp,
    obligations: Obligations,
}

impl Permit {
    /// The call it is for.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// The task it was decided for.
    #[must_use]
    pub const fn task(&self) -> TaskId {
        self.task
    }

    /// What it allows.
    #[must_use]
    pub const fn action(&self) -> &ActionName {
        &self.action
    }

    /// The ids of the rules that permit, in order, and then of the exceptions that cover the call.
    #[must_use]
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// The digest of the policies it was decided with.
    #[must_use]
    pub const fn policy(&self) -> Digest {
        self.policy
    }

    /// The instant it was decided for.
    #[must_use]
    pub const fn instant(&self) -> Timestamp {
        self.instant
    }

    /// What has to be done to the response; whoever forwards it does that.
    #[must_use]
    pub const fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// `ALLOW`, or `MODIFY` where there are obligations.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.obligations.is_empty() {
            Verdict::Allow
        } else {
            Verdict::Modify
        }
    }
}

/// A refusal, for good or for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", .verdict.as_str())]
pub struct Denied {
    /// `DENY`, `DEFER` or `STEP_UP`.
    pub verdict: Verdict,
    /// Why, from the closed registry.
    pub reason: ReasonCode,
    /// The ids of the rules that decided it, in order.
    pub rules: Vec<String>,
    /// What went wrong while evaluating. For the record; it may quote values of the call and is never for the agent.
    pub errors: Vec<String>,
    /// What would lift every rule that refuses; none for a `DENY`.
    pub needs: Option<Box<Needs>>,
}

/// What stands between a call and its permit: approvals, waits, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The roles that must approve this very call.
    pub roles: BTreeSet<String>,
    /// Whether the requester is no such person, whatever their roles.
    pub four_eyes: bool,
    /// Whether they enter the values that nothing vouches for, instead of nodding to them.
    pub confirm: bool,
    /// The waits, as policies write them.
    pub waits: BTreeSet<String>,
    /// The longest of them; zero if there is none.
    pub span: Duration,
    /// The digest of the deciding rules' texts: what is given for them is not given for others.
    pub rules: Digest,
}

/// Two decisions about one call that must both hold: the stronger refusal, or the permit with what either obliges to.
///
/// # Errors
///
/// The refusal.
pub fn both(one: Result<Permit, Denied>, other: Result<Permit, Denied>) -> Result<Permit, Denied> {
    match (one, other) {
        (Ok(mut one), Ok(other)) => {
            one.obligations.join(&other.obligations);
            Ok(one)
        }
        (Ok(_), Err(denied)) | (Err(denied), Ok(_)) => Err(denied),
        (Err(one), Err(other)) if other.verdict > one.verdict => Err(other),
        (Err(one), Err(_)) => Err(one),
    }
}

impl Denied {
    pub(crate) fn plain(reason: ReasonCode) -> Self {
        Self {
            verdict: Verdict::Deny,
            reason,
            rules: Vec::new(),
            errors: Vec::new(),
            needs: None,
        }
    }

    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self {
            errors: vec![message.into()],
            ..Self::plain(ReasonCode::PolicyError)
        }
    }
}

/// Most errors kept of one decision, and most characters of each.
const MOST_ERRORS: usize = 8;
const LONGEST_ERROR: usize = 400;

/// What a set of rules says.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) permits: Vec<String>,
    pub(crate) forbids: Vec<String>,
    /// Rules that could not be evaluated, with why.
    pub(crate) errors: Vec<(String, String)>,
}

impl Pdp {
    /// Decides one call, fail closed.
    ///
    /// In order: question and snapshot fit together, the agent is enabled, the task holds the action; then the rules. Any
    /// error while evaluating any rule denies, also if other rules permit: Cedar skips an erring `forbid`, we do not.
    ///
    /// # Errors
    ///
    /// [`Denied`], with `agent_disabled`, `action_not_granted`, `forbidden`, `not_permitted`, `policy_error`,
    /// `obligation_unmet`, `invalid_input` or `unrepresentable`; or, with what is needed, `approval_required` or `deferred`:
    /// every rule that refuses can be lifted, and the call would be permitted then.
    pub fn decide(&self, question: &Question<'_>) -> Result<Permit, Denied> {
        self.judge(question, None, Check::Trusted)
    }

    /// [`Self::decide`] with the task's entities at hand. `prepared` changes the cost, never the answer.
    ///
    /// # Errors
    ///
    /// As [`Self::decide`].
    pub fn decide_prepared(
        &self,
        prepared: &Prepared,
        question: &Question<'_>,
    ) -> Result<Permit, Denied> {
        self.judge(question, Some(prepared), Check::Trusted)
    }

    /// [`Self::decide`] that also holds entities and context against the schema. For tests and `doctor`: it costs
    /// milliseconds, and on what the gateway itself makes it never changes the answer.
    ///
    /// # Errors
    ///
    /// As [`Self::decide`]; a question that does not follow the schema is a `policy_error`.
    pub fn decide_checked(&self, question: &Question<'_>) -> Result<Permit, Denied> {
        self.judge(question, None, Check::Schema)
    }

    /// The entities of a task, for [`Self::decide_prepared`].
    ///
    /// # Errors
    ///
    /// A [`Denied`] with `policy_error` if they cannot be made; every call of the task would be denied alike.
    pub fn prepare(&self, agent: &Agent, grant: &Grant) -> Result<Prepared, Denied> {
        Prepared::new(self, agent, grant).map_err(Denied::error)
    }

    fn judge(
        &self,
        question: &Question<'_>,
        prepared: Option<&Prepared>,
        check: Check,
    ) -> Result<Permit, Denied> {
        let index = gates(self, question)?;
        let fresh;
        let prepared = match prepared {
            Some(given) if given.fits(self.bundle(), question.agent, question.grant) => given,
            Some(_) | None => {
                fresh = self.prepare(question.agent, question.grant)?;
                &fresh
            }
        };
        let input = match question.input {
            InputView::Typed(input) => input,
            InputView::Faulty => {
                let reason = ReasonCode::InvalidInput;
                return Err(without_input(question, index, prepared, reason));
            }
            InputView::Unrepresentable => {
                let reason = ReasonCode::Unrepresentable;
                return Err(without_input(question, index, prepared, reason));
            }
        };
        let request = request(question, index, prepared, Some(input))?;
        if matches!(check, Check::Schema) {
            conforms(self, question, index, prepared, &request)?;
        }
        let entities = &prepared.entities;
        let rules = match evaluate(&request, index, entities, |set| &set.all).permits() {
            Ok(rules) => rules,
            Err(denied) => return Err(softened(denied, question, index, prepared, input)),
        };
        let obligations = obligations(&request, question, index, entities)?;
        let rules = excepted(rules, &request, index, entities)?;
        Ok(Permit {
            call: question.call,
            task: question.grant.task,
            action: question.action.clone(),
            rules,
            policy: self.digest(),
            instant: question.facts.now,
            obligations,
        })
    }
}

/// What becomes of a refusal if everything that lifts its rules were given: `STEP_UP` or `DEFER` if the call were permitted
/// then, and otherwise a `DENY`. Nobody is asked for what would not help.
fn softened(
    denied: Denied,
    question: &Question<'_>,
    index: &ActionIndex,
    prepared: &Prepared,
    input: &Attr,
) -> Denied {
    let Some(needs) = needs(&denied, index) else {
        return denied;
    };
    let mut facts = question.facts.clone();
    facts.approvals.extend(needs.roles.iter().cloned());
    facts.deferred.extend(needs.waits.iter().cloned());
    let lifted = Question {
        facts: &facts,
        ..*question
    };
    let entities = &prepared.entities;
    let permitted = request(&lifted, index, prepared, Some(input)).and_then(|request| {
        evaluate(&request, index, entities, |set| &set.all).permits()?;
        obligations(&request, &lifted, index, entities)
    });
    if let Err(still) = permitted {
        return still;
    }
    // DEFER is the stronger of the two: nobody is asked before the wait is over.
    let (verdict, reason) = if needs.waits.is_empty() {
        (Verdict::StepUp, ReasonCode::ApprovalRequired)
    } else {
        (Verdict::Defer, ReasonCode::Deferred)
    };
    Denied {
        verdict,
        reason,
        needs: Some(Box::new(needs)),
        ..denied
    }
}

/// What would lift every rule that refuses; none if one of them is lifted by nothing.
fn needs(denied: &Denied, index: &ActionIndex) -> Option<Needs> {
    if denied.reason != ReasonCode::Forbidden {
        return None;
    }
    let mut needs = Needs {
        roles: BTreeSet::new(),
        four_eyes: false,
        confirm: false,
        waits: BTreeSet::new(),
        span: Duration::ZERO,
        rules: Digest::of(b""),
    };
    let mut texts = b"writ deciding rules v1\n".to_vec();
    for id in &denied.rules {
        let rule = index.rule(id)?;
        match &rule.turn {
            Turn::Approval {
                role,
                four_eyes,
                confirm,
            } => {
                needs.roles.insert(role.clone());
                needs.four_eyes |= four_eyes;
                needs.confirm |= confirm;
            }
            Turn::Defer { wait, span } => {
                needs.waits.insert(wait.clone());
                needs.span = needs.span.max(*span);
            }
            Turn::Plain | Turn::Oblige(_) => return None,
        }
        texts.extend_from_slice(rule.digest.as_bytes());
    }
    needs.rules = Digest::of(&texts);
    Some(needs)
}

/// What every obliging rule that applies asks for, together.
///
/// # Errors
///
/// One of them errs, or the response is passed on in a way in which nothing can be done to it.
fn obligations(
    request: &Request,
    question: &Question<'_>,
    index: &ActionIndex,
    entities: &Entities,
) -> Result<Obligations, Denied> {
    let outcome = evaluate(request, index, entities, |set| &set.obliging);
    if let Some(denied) = outcome.refusal() {
        return Err(denied);
    }
    let mut obligations = Obligations::default();
    for id in &outcome.permits {
        if let Some(Turn::Oblige(asked)) = index.rule(id).map(|rule| &rule.turn) {
            obligations.join(asked);
        }
    }
    if !obligations.is_empty() && question.response == ResponseView::Streamed {
        return Err(Denied {
            rules: outcome.permits,
            ..Denied::plain(ReasonCode::ObligationUnmet)
        });
    }
    Ok(obligations)
}

/// The rules that permit, and the exceptions that cover the call: whoever reads its record sees that it was one of them.
fn excepted(
    mut rules: Vec<String>,
    request: &Request,
    index: &ActionIndex,
    entities: &Entities,
) -> Result<Vec<String>, Denied> {
    let mut covering = Outcome::default();
    covering.add(request, &index.exceptions, entities);
    if !covering.errors.is_empty() {
        return Err(covering
            .refusal()
            .unwrap_or_else(|| Denied::error("an exception errs")));
    }
    covering.permits.sort_unstable();
    rules.append(&mut covering.permits);
    Ok(rules)
}

#[derive(Clone, Copy)]
enum Check {
    Trusted,
    Schema,
}

/// What is checked before any rule, each with its reason.
pub(crate) fn gates<'p>(pdp: &'p Pdp, question: &Question<'_>) -> Result<&'p ActionIndex, Denied> {
    let Question {
        tenant,
        agent,
        grant,
        action,
        facts,
        ..
    } = question;
    if grant.agent != agent.id {
        return Err(Denied::error("the grant is another agent's"));
    }
    if grant.tenant != **tenant {
        return Err(Denied::error("the grant is another tenant's"));
    }
    if facts.operation != action.operation {
        return Err(Denied::error("the facts are another operation's"));
    }
    if !agent.enabled {
        return Err(Denied::plain(ReasonCode::AgentDisabled));
    }
    if !grant.holds(action) {
        return Err(Denied::plain(ReasonCode::ActionNotGranted));
    }
    pdp.action(action)
        .ok_or_else(|| Denied::error("the bundle does not have the action"))
}

/// The answer when nothing of the input may be looked at: a forbid that needs none of it, else `reason`.
fn without_input(
    question: &Question<'_>,
    index: &ActionIndex,
    prepared: &Prepared,
    reason: ReasonCode,
) -> Denied {
    let outcome = request(question, index, prepared, None)
        .map(|request| evaluate(&request, index, &prepared.entities, |set| &set.blind));
    match outcome.map(|outcome| outcome.refusal()) {
        // What an approval or time could lift is no reason not to say what is wrong with the input.
        Ok(Some(denied)) if needs(&denied, index).is_some() => Denied::plain(reason),
        Ok(Some(denied)) | Err(denied) => denied,
        Ok(None) => Denied::plain(reason),
    }
}

/// Cedar's request. `input` is none when nothing of it may be looked at.
pub(crate) fn request(
    question: &Question<'_>,
    index: &ActionIndex,
    prepared: &Prepared,
    input: Option<&Attr>,
) -> Result<Request, Denied> {
    let parts = match input {
        None => None,
        Some(Attr::Record(parts)) => Some((parts, &index.projection)),
        Some(_) => return Err(Denied::error("the typed input is no record")),
    };
    let sys = Sys {
        action: question.action,
        facts: question.facts,
        extra: question.extra,
        nulls: question.nulls,
        wanted: &index.facts,
    };
    let context: Context = context::build(sys, parts).map_err(|fault| match fault {
        ContextFault::Input(message) => Denied {
            errors: vec![message],
            ..Denied::plain(ReasonCode::Unrepresentable)
        },
        ContextFault::Facts(message) => Denied::error(message),
    })?;
    Request::new(
        prepared.task.clone(),
        index.uid.clone(),
        index.upstream.clone(),
        context,
        None,
    )
    .map_err(|error| Denied::error(error.to_string()))
}

/// Asks the chosen part of every set about the action.
pub(crate) fn evaluate(
    request: &Request,
    index: &ActionIndex,
    entities: &Entities,
    part: impl Fn(&RuleSet) -> &PolicySet,
) -> Outcome {
    let mut outcome = Outcome::default();
    for set in &index.sets {
        outcome.add(request, part(set), entities);
    }
    outcome.permits.sort_unstable();
    outcome.forbids.sort_unstable();
    outcome.errors.sort_unstable();
    outcome
}

impl Outcome {
    /// Asks one policy set. Its reasons are its permits if it allows, and its forbids if it denies.
    pub(crate) fn add(&mut self, request: &Request, set: &PolicySet, entities: &Entities) {
        if set.is_empty() {
            return;
        }
        let response = stack::to_decide(|| Authorizer::new().is_authorized(request, set, entities));
        let diagnostics = response.diagnostics();
        let reasons = diagnostics.reason().map(ToString::to_string);
        match response.decision() {
            Decision::Allow => self.permits.extend(reasons),
            Decision::Deny => self.forbids.extend(reasons),
        }
        self.errors.extend(diagnostics.errors().map(|error| {
            let text: String = error.to_string().chars().take(LONGEST_ERROR).collect();
            (rule_of(error), text)
        }));
    }

    /// The refusal that follows, if one does without regard to permits.
    fn refusal(&self) -> Option<Denied> {
        if !self.errors.is_empty() {
            let kept = || self.errors.iter().take(MOST_ERRORS);
            return Some(Denied {
                rules: kept().map(|(id, _)| id.clone()).collect(),
                errors: kept().map(|(_, error)| error.clone()).collect(),
                ..Denied::plain(ReasonCode::PolicyError)
            });
        }
        let frozen = self.forbids.iter().all(|id| id.starts_with(FREEZE_ID));
        let reason = if frozen {
            ReasonCode::Frozen
        } else {
            ReasonCode::Forbidden
        };
        (!self.forbids.is_empty()).then(|| Denied {
            rules: self.forbids.clone(),
            ..Denied::plain(reason)
        })
    }

    /// The rules that permit, if nothing refuses.
    fn permits(self) -> Result<Vec<String>, Denied> {
        if let Some(denied) = self.refusal() {
            return Err(denied);
        }
        if self.permits.is_empty() {
            return Err(Denied::plain(ReasonCode::NotPermitted));
        }
        Ok(self.permits)
    }

    /// What follows from it all.
    #[cfg(test)]
    pub(crate) fn verdict(self) -> Result<Vec<String>, Denied> {
        self.permits()
    }
}

fn rule_of(error: &AuthorizationError) -> String {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
    }
}

/// Holds entities and context against the schema of this operation with a projected input.
fn conforms(
    pdp: &Pdp,
    question: &Question<'_>,
    index: &ActionIndex,
    prepared: &Prepared,
    request: &Request,
) -> Result<(), Denied> {
    let (_, operation) = pdp
        .operation(question.action)
        .ok_or_else(|| Denied::error("the bundle does not have the action"))?;
    let attributes = projected::attributes(&operation.attributes, &index.projection);
    let schema: Schema =
        schema::of_one(operation, attributes, &index.facts).map_err(Denied::error)?;
    let context = request.context().cloned().unwrap_or_else(Context::empty);
    Request::new(
        prepared.task.clone(),
        index.uid.clone(),
        index.upstream.clone(),
        context,
        Some(&schema),
    )
    .map_err(|error| Denied::error(error.to_string()))?;
    let own = prepared.entities.iter().filter(|entity| !is_action(entity));
    Entities::from_entities(own.cloned(), Some(&schema))
        .map_err(|error| Denied::error(error.to_string()))?;
    Ok(())
}
