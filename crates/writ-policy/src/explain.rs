//! Why: the trace of a decision, for people.

use std::fmt;

use cedar_policy::{Entities, EvalResult, PolicySet, Request};
use writ_types::{Obligations, ReasonCode, Verdict};

use crate::decide::{self, Denied, InputView, Needs, Outcome, Question};
use crate::entities::Prepared;
use crate::index::{ActionIndex, Known};
use crate::pdp::Pdp;
use crate::rule::{Path, RuleEffect};
use crate::schema::Root;

/// How a decision came about, in order. It may quote values of the call: for operators and the record, not for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub verdict: Verdict,
    /// Why it was refused; none if it was allowed.
    pub reason: Option<ReasonCode>,
    /// The ids of the rules that decided.
    pub rules: Vec<String>,
    /// What is done to the response if it is allowed.
    pub obligations: Obligations,
    /// What would lift the refusal, if something would.
    pub needs: Option<Box<Needs>>,
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
        /// The attributes it looks at, as they were.
        saw: Vec<Saw>,
    },
    /// Nothing could be asked at all.
    Error(String),
}

/// An attribute that a rule looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Saw {
    /// Its path, from its variable on: `["context", "body", "amount"]`.
    pub attribute: Vec<String>,
    /// Its value as Cedar writes it, cut where it is long; none where the attribute was absent.
    pub value: Option<String>,
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("absent");
        write!(f, "{} = {value}", self.attribute.join("."))
    }
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
            .and_then(|(index, prepared)| ask(question, index, &prepared, &mut steps));
        let decided = asked.and_then(|()| self.decide(question));
        match decided {
            Ok(permit) => Explanation {
                verdict: permit.verdict(),
                reason: None,
                rules: permit.rules().to_vec(),
                obligations: permit.obligations().clone(),
                needs: None,
                steps,
            },
            Err(denied) => {
                if denied.reason == ReasonCode::PolicyError && denied.rules.is_empty() {
                    steps.extend(denied.errors.iter().cloned().map(Step::Error));
                }
                Explanation {
                    verdict: denied.verdict,
                    reason: Some(denied.reason),
                    rules: denied.rules,
                    obligations: Obligations::default(),
                    needs: denied.needs,
                    steps,
                }
            }
        }
    }
}

/// Asks every rule about the action, one by one.
fn ask(
    question: &Question<'_>,
    index: &ActionIndex,
    prepared: &Prepared,
    steps: &mut Vec<Step>,
) -> Result<(), Denied> {
    let input = match question.input {
        InputView::Typed(input) => Some(input),
        InputView::Faulty | InputView::Unrepresentable => None,
    };
    let request = decide::request(question, index, prepared, input)?;
    for rule in index.sets.iter().flat_map(|set| &set.rules) {
        let asked = input.is_some() || (rule.effect == RuleEffect::Forbid && !rule.reads_input);
        let outcome = if asked {
            let mut one = Outcome::default();
            one.add(&request, &single(rule)?, &prepared.entities);
            outcome_of(&one)
        } else {
            RuleOutcome::NotAsked
        };
        let saw = if asked {
            saw(rule, &request, prepared)
        } else {
            Vec::new()
        };
        steps.push(step(rule, outcome, saw));
    }
    Ok(())
}

/// Longest value that is shown, in characters.
const LONGEST_VALUE: usize = 160;

/// The values at the paths that a rule mentions, as Cedar saw them.
fn saw(rule: &Known, request: &Request, prepared: &Prepared) -> Vec<Saw> {
    let mut seen: Vec<Saw> = Vec::new();
    for path in &rule.paths {
        if !matches!(path.root, Root::Context | Root::Principal) {
            continue;
        }
        let value = value_at(path, request, prepared);
        let root = path.root.as_str().to_owned();
        seen.push(Saw {
            attribute: std::iter::once(root).chain(path.attrs.clone()).collect(),
            value: value.map(|value| shown(&value.to_string())),
        });
    }
    // What is asked for with `has` and then read is one attribute, and of `a` and `a.b` the second says more.
    seen.sort();
    seen.dedup();
    let paths: Vec<Vec<String>> = seen.iter().map(|saw| saw.attribute.clone()).collect();
    let is_below = |outer: &[String]| {
        let below = |path: &Vec<String>| path.len() > outer.len() && path.starts_with(outer);
        paths.iter().any(below)
    };
    seen.retain(|saw| saw.value.is_none() || !is_below(&saw.attribute));
    seen
}

fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(LONGEST_VALUE).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// What stands at a path, if something does.
fn value_at(path: &Path, request: &Request, prepared: &Prepared) -> Option<EvalResult> {
    let mut attrs = path.attrs.iter();
    let first = attrs.next()?;
    let entities = &prepared.entities;
    let mut value = match path.root {
        Root::Context => request.context()?.get(first),
        Root::Principal => attribute(entities, &prepared.task, first),
        Root::Action | Root::Resource => return None,
    };
    for attr in attrs {
        value = match value {
            Some(EvalResult::Record(record)) => record.get(attr).cloned(),
            Some(EvalResult::EntityUid(uid)) => attribute(entities, &uid, attr),
            Some(_) | None => None,
        };
    }
    value
}

fn attribute(entities: &Entities, uid: &cedar_policy::EntityUid, name: &str) -> Option<EvalResult> {
    entities.get(uid)?.attr(name)?.ok()
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

fn step(rule: &Known, outcome: RuleOutcome, saw: Vec<Saw>) -> Step {
    Step::Rule {
        id: rule.id.clone(),
        effect: rule.effect,
        outcome,
        doc: rule.doc.clone(),
        place: (rule.file.clone(), rule.line),
        saw,
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
        if !self.obligations.is_empty() {
            write!(f, " with {}", self.obligations)?;
        }
        if let Some(needs) = &self.needs {
            let words: Vec<&str> = needs
                .roles
                .iter()
                .chain(&needs.waits)
                .map(String::as_str)
                .collect();
            write!(f, " needs {}", words.join(", "))?;
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
                ..
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
