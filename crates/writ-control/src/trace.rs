//! Why a recorded call was decided as it was: the gates in their order and where the call stopped, the rules with what they
//! saw, the smallest changes that would turn the decision, and whom to ask.
//!
//! A trace is made afterwards, from the record and the inputs beside it in the vault, with the revision and the policies that
//! were in force then: the call is decided again, and so is every change that is offered. What comes out otherwise than was
//! recorded is said. It is for operators; an agent hears what its refusal says.

mod again;
mod road;
mod show;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

use writ_audit::{Event, Record};
use writ_contract::{Contract, Operation};
use writ_policy::{Explanation, Pdp, Saw};
use writ_task::{Approver, Subject};
use writ_types::{
    ActionName, Agent, Api, CallId, Digest, Grant, Inputs, Mode, Purpose, PurposeName, ReasonCode,
    TaskId, Timestamp, Verdict,
};

use crate::plan::Side;

pub(crate) use again::{Again, Unsaid, again};
use road::Asked;
pub(crate) use road::Gate;
pub(crate) use turn::Turned;

/// What a record says of a call that was decided.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// The call and its task; none for a question that nobody has acted on.
    pub(crate) call: Option<(CallId, TaskId)>,
    /// The instant of its decision.
    pub(crate) at: Timestamp,
    /// Its agent.
    pub(crate) agent: writ_types::AgentId,
    /// What the task is for.
    pub(crate) purpose: Option<PurposeName>,
    /// The action, where the call came so far.
    pub(crate) action: Option<ActionName>,
    /// What was decided.
    pub(crate) verdict: Verdict,
    /// Why it was refused; none if it was not.
    pub(crate) reason: Option<ReasonCode>,
    /// The rules that decided.
    pub(crate) rules: BTreeSet<String>,
    /// The digest of the policies.
    pub(crate) policy: Option<Digest>,
    /// The digest of the contract.
    pub(crate) contract: Option<Digest>,
}

impl Recorded {
    /// What a record says, if it is that of a decision.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        if let Event::Intent(intent) = &record.event {
            return Some(Self {
                call: Some((intent.call, intent.subject.task)),
                at: intent.decision.at,
                agent: intent.subject.agent,
                purpose: Some(intent.purpose.clone()),
                action: Some(intent.action.clone()),
                verdict: intent.decision.verdict,
                reason: None,
                rules: intent.decision.rules.clone(),
                policy: Some(intent.decision.policy),
                contract: Some(intent.contract),
            });
        }
        let Event::Refused(refused) = &record.event else {
            return None;
        };
        let decision = refused.decision.as_ref();
        Some(Self {
            call: Some((refused.call, refused.subject.task)),
            at: record.header.time,
            agent: refused.subject.agent,
            purpose: refused.purpose.clone(),
            action: refused.action.clone(),
            verdict: decision.map_or_else(|| unsaid(refused.reason), |decision| decision.verdict),
            reason: Some(refused.reason),
            rules: decision
                .map(|decision| decision.rules.clone())
                .unwrap_or_default(),
            policy: decision.map(|decision| decision.policy),
            contract: refused.contract,
        })
    }
}

/// The verdict of a refusal that no policy made.
fn unsaid(reason: ReasonCode) -> Verdict {
    if reason == ReasonCode::ContractQuarantined {
        Verdict::Defer
    } else {
        Verdict::Deny
    }
}

/// What was in force when a call was decided, as far as it concerns the call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'g> {
    pub(crate) pdp: &'g Pdp,
    pub(crate) agent: &'g Agent,
    pub(crate) purposes: &'g BTreeMap<PurposeName, Purpose>,
    pub(crate) api: &'g Api,
    pub(crate) contract: &'g Contract,
    pub(crate) operation: &'g Operation,
}

impl<'g> Ground<'g> {
    /// What a side has of a recorded call; none if it does not know its agent, or what it calls.
    pub(crate) fn of_side(side: &'g Side, recorded: &Recorded) -> Option<Self> {
        let action = recorded.action.as_ref()?;
        let contract = side.contracts.get(&action.api)?;
        Some(Self {
            pdp: &side.pdp,
            agent: side.registry.agents.get(&recorded.agent)?,
            purposes: &side.registry.purposes,
            api: side.registry.apis.get(&action.api)?,
            contract,
            operation: contract.operation(&action.operation)?,
        })
    }
}

/// A person who could be asked.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) is_admin: bool,
    pub(crate) is_operator: bool,
    pub(crate) approves: BTreeSet<String>,
    pub(crate) identity: Option<writ_types::Requester>,
}

/// Somebody to ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whom {
    /// As what: `owner of the agent`, `treasury`.
    pub(crate) role: String,
    /// Who that is; empty if it is nobody.
    pub(crate) names: Vec<String>,
}

/// A gate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It let the call pass.
    Passed,
    /// It stopped the call.
    Stopped,
    /// The call did not come so far.
    NotReached,
}

/// The trace of a call.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) recorded: Recorded,
    pub(crate) agent: String,
    pub(crate) mode: Mode,
    pub(crate) gates: Vec<(Gate, Passage)>,
    /// What stands beside the gate that stopped it: places and amounts.
    pub(crate) details: Vec<String>,
    /// The rules about the action, as they were asked; none where no rule was asked, or cannot be any more.
    pub(crate) explanation: Option<Explanation>,
    /// The smallest changes that would turn the decision; each was decided again.
    pub(crate) turns: Vec<Turned>,
    /// How many changes were tried.
    pub(crate) tried: usize,
    pub(crate) ask: Vec<Whom>,
    /// What a person should know of the trace itself.
    pub(crate) notes: Vec<String>,
}

/// Makes the trace of a call. Without a ground, a grant or inputs it says less, and that it does.
pub(crate) fn make(
    recorded: &Recorded,
    ground: Option<Ground<'_>>,
    grant: Option<&Grant>,
    kept: Result<Inputs, String>,
    people: &[Person],
) -> Trace {
    let mut notes = Vec::new();
    let inputs = kept.unwrap_or_else(|why| {
        notes.push(why);
        Inputs::default()
    });
    let stopped = recorded.reason.map(Gate::of);
    let mut trace = Trace {
        recorded: recorded.clone(),
        agent: recorded.agent.to_string(),
        mode: Mode::Copilot,
        gates: Gate::ALL
            .map(|gate| (gate, passage(gate, stopped)))
            .to_vec(),
        details: details(recorded, &inputs),
        explanation: None,
        turns: Vec::new(),
        tried: 0,
        ask: Vec::new(),
        notes,
    };
    let (Some(ground), Some(grant)) = (ground, grant) else {
        let note = "the revision or the task of then is not kept: nothing was decided again";
        trace.notes.push(note.to_owned());
        return trace;
    };
    trace.agent = ground.agent.spiffe.to_string();
    trace.mode = grant.mode;
    let asked = Asked::new(recorded, ground, grant, inputs);
    if let Some(place) = asked.outside() {
        trace.details.push(place);
    }
    let contract = ground.contract.digest();
    if recorded
        .policy
        .is_some_and(|policy| policy != ground.pdp.digest())
        || recorded.contract.is_some_and(|digest| digest != contract)
    {
        let note = "policies or contract of then have other digests: nothing was decided again";
        trace.notes.push(note.to_owned());
        return trace;
    }
    let reached =
        |gate: &(Gate, Passage)| gate.0 == Gate::Policies && gate.1 != Passage::NotReached;
    // What rules would say without what was not kept explains nothing.
    if asked.is_seen() && trace.gates.iter().any(reached) {
        trace.explanation = Some(masked(asked.explain(), ground.operation));
    }
    if asked.is_known() {
        let again = asked.decide();
        if again == (recorded.verdict, recorded.reason) {
            let (tried, turns) = turn::search(&asked);
            (trace.tried, trace.turns) = (tried, turns);
        } else {
            let (verdict, reason) = again;
            let reason = reason.map_or("", ReasonCode::as_str);
            trace.notes.push(format!(
                "decided again it is {} {reason}: what is shown does not explain what was recorded",
                verdict.as_str()
            ));
        }
    } else if !asked.unseen.is_empty() {
        trace.notes.push(unseen(&asked));
    } else {
        let note = "the arguments were not kept: rules that look at them could not be asked again";
        trace.notes.push(note.to_owned());
    }
    trace.ask = whom(&trace, ground, grant, people);
    trace
}

/// Says what could not be seen.
fn unseen(asked: &Asked<'_>) -> String {
    let places: Vec<&str> = asked.unseen.iter().map(String::as_str).collect();
    format!(
        "the API's owner keeps {} out of records, and rules or bounds look at it: it was not kept, and nothing was decided again",
        places.join(", ")
    )
}

/// The trace of a question that nobody has acted on: it is decided here. `stopped` is what stops it before any rule is asked.
pub(crate) fn of_question(
    ground: Ground<'_>,
    grant: &Grant,
    inputs: Inputs,
    stopped: Option<ReasonCode>,
) -> Trace {
    let mut recorded = Recorded {
        call: None,
        at: inputs
            .facts
            .as_ref()
            .map_or(grant.opened, |facts| facts.now),
        agent: ground.agent.id,
        purpose: Some(grant.purpose.clone()),
        action: Some(ground.operation.action().clone()),
        verdict: Verdict::Deny,
        reason: stopped,
        rules: BTreeSet::new(),
        policy: None,
        contract: None,
    };
    let asked = Asked::new(&recorded, ground, grant, inputs.clone());
    let paid = grant
        .budget
        .covers(writ_types::Charge::of(ground.operation.effects()));
    (recorded.verdict, recorded.reason) = if paid {
        asked.decide()
    } else {
        (Verdict::Deny, Some(ReasonCode::BudgetExhausted))
    };
    recorded.rules = asked.explain().rules.into_iter().collect();
    make(&recorded, Some(ground), Some(grant), Ok(inputs), &[])
}

fn passage(gate: Gate, stopped: Option<Gate>) -> Passage {
    match stopped {
        Some(stopped) if gate == stopped => Passage::Stopped,
        Some(stopped) if gate > stopped => Passage::NotReached,
        Some(_) | None => Passage::Passed,
    }
}

/// What is known beside the gate that stopped a call.
fn details(recorded: &Recorded, inputs: &Inputs) -> Vec<String> {
    let faults = inputs.faults.iter();
    let mut lines: Vec<String> = faults.map(|(at, what)| format!("{at}: {what}")).collect();
    if let Some(left) = inputs.left {
        lines.push(format!("left: {}", left.to_value()));
    }
    if recorded.reason == Some(ReasonCode::ValueNotVouched) {
        let facts = inputs.facts.iter();
        let weakest = facts.flat_map(|facts| &facts.arguments.weakest);
        let unvouched = weakest.filter(|(_, origin)| !origin.vouches());
        lines.extend(unvouched.map(|(place, origin)| format!("{place}: {origin}")));
    }
    lines
}

/// What is shown instead of a value that its owner wants out of records, or that is a credential.
const MASKED: &str = "(not shown)";

/// The explanation without the values that nobody is to read: those that the overlay does not keep, and credentials.
fn masked(mut explanation: Explanation, operation: &Operation) -> Explanation {
    for step in &mut explanation.steps {
        if let writ_policy::Step::Rule { saw, .. } = step {
            saw.iter_mut().for_each(|saw| mask(saw, operation));
        }
    }
    explanation
}

fn mask(saw: &mut Saw, operation: &Operation) {
    let Some((context, rest)) = saw.attribute.split_first() else {
        return;
    };
    if context != "context" || rest.first().is_none_or(|part| part == "sys") {
        return;
    }
    let Some(value) = &mut saw.value else { return };
    if is_hidden(rest, operation) || is_secret(value) {
        MASKED.clone_into(value);
    }
}

/// Whether the owner of the API wants the value at the place, or something below it, out of records.
fn is_hidden(place: &[String], operation: &Operation) -> bool {
    use writ_contract::AuditMode;
    let hides = |mode: Option<AuditMode>| matches!(mode, Some(AuditMode::Hash | AuditMode::Drop));
    let of_operation = hides(operation.handling().audit);
    let mut own = None;
    for marked in operation.marks() {
        let marks = marked
            .pointer
            .split('/')
            .skip(1)
            .filter(|token| *token != "*");
        let marks: Vec<&str> = marks.collect();
        let shorter = marks.len().min(place.len());
        let related = marks
            .iter()
            .zip(place)
            .take(shorter)
            .all(|(mark, part)| mark == part);
        if related && marked.mark.audit.is_some() {
            own = Some(own.unwrap_or(false) || hides(marked.mark.audit));
        }
    }
    own.unwrap_or(of_operation)
}

fn is_secret(text: &str) -> bool {
    let labels = writ_task::Detector::labels_of(text.as_bytes());
    labels.iter().any(|label| label.as_str() == "secret")
}

/// Whom to ask: those who can make the changes that were found, the owners of the rules that refused, and the agent's.
fn whom(trace: &Trace, ground: Ground<'_>, grant: &Grant, people: &[Person]) -> Vec<Whom> {
    if trace.recorded.reason.is_none() {
        return Vec::new();
    }
    let subject = Subject {
        requester: grant.requester.as_ref(),
        owner: ground.agent.owner.as_str(),
        four_eyes: false,
    };
    let of_role = |role: &str| Whom {
        role: role.to_owned(),
        names: people
            .iter()
            .filter(|person| person.as_approver().can_give(role, subject))
            .map(|person| person.name.clone())
            .collect(),
    };
    let one = |role: &str, name: &str| Whom {
        role: role.to_owned(),
        names: vec![name.to_owned()],
    };
    let mut ask = Vec::new();
    let needs = trace
        .explanation
        .iter()
        .filter_map(|found| found.needs.as_ref());
    ask.extend(
        needs
            .flat_map(|needs| &needs.roles)
            .map(|role| of_role(role)),
    );
    for rule in &trace.recorded.rules {
        let owner = ground.pdp.owner(rule);
        ask.extend(owner.map(|owner| one(&format!("owner of `{rule}`"), owner)));
    }
    let wants = |who: turn::Who| {
        trace
            .turns
            .iter()
            .flat_map(|turned| &turned.who)
            .any(|w| *w == who)
    };
    let purpose = ground.purposes.get(&grant.purpose);
    if let Some(purpose) = purpose.filter(|_| wants(turn::Who::PurposeOwner)) {
        ask.push(one("owner of the purpose", purpose.owner.as_str()));
    }
    if wants(turn::Who::ApiOwner) {
        ask.push(one("owner of the API", ground.api.owner.as_str()));
    }
    ask.push(one("owner of the agent", ground.agent.owner.as_str()));
    ask
}

impl Person {
    fn as_approver(&self) -> Approver<'_> {
        Approver {
            name: &self.name,
            is_operator: self.is_operator,
            is_admin: self.is_admin,
            roles: &self.approves,
            identity: self.identity.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
