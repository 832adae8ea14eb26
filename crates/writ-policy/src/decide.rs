//! The decision: one question, one answer.

use std::collections::BTreeSet;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, PolicySet, Request, Schema,
};
use writ_types::{
    ActionName, Agent, Attr, CallId, Digest, Facts, Grant, ReasonCode, TaskId, Tenant, Timestamp,
};

use crate::context::{self, ContextFault, Sys};
use crate::entities::{Prepared, is_action};
use crate::index::{ActionIndex, RuleSet};
use crate::pdp::Pdp;
use crate::projected;
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
/// Permit { call, task, action, rules: Vec::new(), policy, instant }
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

    /// The ids of the rules that permit, in order.
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
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("denied: {reason}")]
pub struct Denied {
    /// Why, from the closed registry.
    pub reason: ReasonCode,
    /// The ids of the rules that decided it, in order.
    pub rules: Vec<String>,
    /// What went wrong while evaluating. For the record; it may quote values of the call and is never for the agent.
    pub errors: Vec<String>,
}

impl Denied {
    pub(crate) fn plain(reason: ReasonCode) -> Self {
        Self {
            reason,
            rules: Vec::new(),
            errors: Vec::new(),
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
    /// `invalid_input` or `unrepresentable`.
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
        let rules = match question.input {
            InputView::Typed(input) => {
                let request = request(question, index, prepared, Some(input))?;
                if matches!(check, Check::Schema) {
                    conforms(self, question, index, prepared, &request)?;
                }
                let outcome = evaluate(&request, index, &prepared.entities, |set| &set.all);
                outcome.permits()?
            }
            InputView::Faulty => {
                return Err(without_input(
                    question,
                    index,
                    prepared,
                    ReasonCode::InvalidInput,
                ));
            }
            InputView::Unrepresentable => {
                return Err(without_input(
                    question,
                    index,
                    prepared,
                    ReasonCode::Unrepresentable,
                ));
            }
        };
        Ok(Permit {
            call: question.call,
            task: question.grant.task,
            action: question.action.clone(),
            rules,
            policy: self.digest(),
            instant: question.facts.now,
        })
    }
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
                reason: ReasonCode::PolicyError,
                rules: kept().map(|(id, _)| id.clone()).collect(),
                errors: kept().map(|(_, error)| error.clone()).collect(),
            });
        }
        (!self.forbids.is_empty()).then(|| Denied {
            rules: self.forbids.clone(),
            ..Denied::plain(ReasonCode::Forbidden)
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
