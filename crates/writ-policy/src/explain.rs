//! Why: the trace of a decision, for people.

use std::fmt;

use cedar_policy::PolicySet;
use writ_types::{ReasonCode, Verdict};

use crate::decide::{self, Denied, InputView, Outcome, Question};
use crate::entities::Prepared;
use crate::index::{ActionIndex, Known};
use crate::pdp::Pdp;
use crate::rule::RuleEffect;

/// How a decision came about, in order. It may quote values of the call: for operators and the record, not for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub verdict: Verdict,
    /// Why it was refused; none if it was allowed.
    pub reason: Option<ReasonCode>,
    /// The ids of the rules that decided.
    pub rules: Vec<String>,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What is checked before any rule.
    Gate {
        /// What had to hold.
        name: &'static str,
        /// Whether it did.
        passed: bool,
    },
    /// A rule about the action.
    Rule {
        /// Its `@id`.
        id: String,
        /// What it does when it applies.
        effect: RuleEffect,
        /// What became of it.
        outcome: RuleOutcome,
        /// Its `@doc`.
        doc: Option<String>,
        /// Its file and line.
        place: (String, u32),
    },
    /// Nothing could be asked at all.
    Error(String),
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleOutcome {
    /// Its condition holds.
    Applies,
    /// Its condition does not hold.
    DoesNotApply,
    /// It could not be evaluated.
    Errs(String),
    /// It reads the input, which cannot be looked at.
    NotAsked,
}

impl Pdp {
    /// Decides like [`Pdp::decide`] and says how: every gate, and every rule about the action with what became of it. It
    /// evaluates each rule on its own and is no part of the call path.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let mut steps = gate_steps(self, question);
        let asked = decide::gates(self, question)
            .and_then(|index| Ok((index, self.prepare(question.agent, question.grant)?)))
            .and_then(|(index, prepared)| self.ask(question, index, &prepared, &mut steps));
        if let Err(denied) = &asked
            && denied.reason == ReasonCode::PolicyError
            && denied.rules.is_empty()
        {
            steps.extend(denied.errors.iter().cloned().map(Step::Error));
        }
        match asked {
            Ok(rules) => Explanation {
                verdict: Verdict::Allow,
                reason: None,
                rules,
                steps,
            },
            Err(denied) => Explanation {
                verdict: Verdict::Deny,
                reason: Some(denied.reason),
                rules: denied.rules,
                steps,
            },
        }
    }

    /// Asks every rule about the action; the ids that permit.
    fn ask(
        &self,
        question: &Question<'_>,
        index: &ActionIndex,
        prepared: &Prepared,
        steps: &mut Vec<Step>,
    ) -> Result<Vec<String>, Denied> {
        let (input, otherwise) = match question.input {
            InputView::Typed(input) => (Some(input), None),
            InputView::Faulty => (None, Some(ReasonCode::InvalidInput)),
            InputView::Unrepresentable => (None, Some(ReasonCode::Unrepresentable)),
        };
        let request = decide::request(question, index, prepared, input)?;
        let mut all = Outcome::default();
        for rule in index.sets.iter().flat_map(|set| &set.rules) {
            let asked = input.is_some() || (rule.effect == RuleEffect::Forbid && !rule.reads_input);
            let outcome = if asked {
                let mut one = Outcome::default();
                one.add(&request, &single(rule)?, &prepared.entities);
                let outcome = outcome_of(&one);
                all.permits.append(&mut one.permits);
                all.forbids.append(&mut one.forbids);
                all.errors.append(&mut one.errors);
                outcome
            } else {
                RuleOutcome::NotAsked
            };
            steps.push(step(rule, outcome));
        }
        all.permits.sort_unstable();
        all.forbids.sort_unstable();
        all.errors.sort_unstable();
        match (all.verdict(), otherwise) {
            (Err(denied), Some(reason)) if denied.reason == ReasonCode::NotPermitted => {
                Err(Denied::plain(reason))
            }
            (verdict, _) => verdict,
        }
    }
}

fn gate_steps(pdp: &Pdp, question: &Question<'_>) -> Vec<Step> {
    let same = question.grant.agent == question.agent.id
        && question.grant.tenant == *question.tenant
        && question.facts.operation == question.action.operation;
    let gates = [
        ("the grant is this agent's and tenant's", same),
        ("the agent is enabled", question.agent.enabled),
        (
            "the task holds the action",
            question.grant.holds(question.action),
        ),
        (
            "the bundle has the action",
            pdp.action(question.action).is_some(),
        ),
    ];
    let mut steps = Vec::new();
    for (name, passed) in gates {
        steps.push(Step::Gate { name, passed });
        if !passed {
            break;
        }
    }
    steps
}

fn single(rule: &Known) -> Result<PolicySet, Denied> {
    let mut set = PolicySet::new();
    set.add(rule.policy.clone())
        .map_err(|error| Denied::error(error.to_string()))?;
    Ok(set)
}

fn outcome_of(one: &Outcome) -> RuleOutcome {
    if let Some((_, error)) = one.errors.first() {
        RuleOutcome::Errs(error.clone())
    } else if one.permits.is_empty() && one.forbids.is_empty() {
        RuleOutcome::DoesNotApply
    } else {
        RuleOutcome::Applies
    }
}

fn step(rule: &Known, outcome: RuleOutcome) -> Step {
    Step::Rule {
        id: rule.id.clone(),
        effect: rule.effect,
        outcome,
        doc: rule.doc.clone(),
        place: (rule.file.clone(), rule.line),
    }
}

impl fmt::Display for Explanation {
    /// One line a step, then the decision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        f.write_str(self.verdict.as_str())?;
        if let Some(reason) = self.reason {
            write!(f, " {reason}")?;
        }
        if !self.rules.is_empty() {
            write!(f, " by {}", self.rules.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate { name, passed } => {
                write!(f, "gate    {} {name}", if *passed { "yes" } else { "NO " })
            }
            Self::Rule {
                id,
                effect,
                outcome,
                doc,
                place: (file, line),
            } => {
                write!(f, "{:<7} {outcome} {id} ({file}:{line})", effect.as_str())?;
                if let Some(doc) = doc {
                    write!(f, ": {doc}")?;
                }
                if let RuleOutcome::Errs(error) = outcome {
                    write!(f, ": {error}")?;
                }
                Ok(())
            }
            Self::Error(error) => write!(f, "error   {error}"),
        }
    }
}

impl fmt::Display for RuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applies => "yes",
            Self::DoesNotApply => "no ",
            Self::Errs(_) => "ERR",
            Self::NotAsked => "-  ",
        })
    }
}
