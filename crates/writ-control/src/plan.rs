//! What a change would do, before it does: `writ plan`.
//!
//! Two sides are compared, each a whole registry compiled: the revision in force and the project's files, or two projects.
//! First what is written differently ([`Difference`]), then who could do what ([`Shift`]): for every agent, purpose and
//! action the rules are asked what is fixed before a call (`writ_policy::Survey`), and what depends on the call is named
//! by its rules. Where rules changed, the prover says whether more is let through; without it that stays unproven.

mod access;
mod differences;
mod example;
mod proof;
mod reach;
mod side;

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{ActionName, Effects, PurposeName, SpiffeId, Timestamp, Value};

use crate::readiness;

pub(crate) use access::by_rules;
pub use access::{Access, Direction, Refusal, RuleShift, Shift};
pub use differences::{Change, Difference, Kind};
pub use example::Example;
pub use proof::{Proof, ProofFault};
pub use reach::{Reach, matrix, reach};
pub use side::Side;

/// A comparison of two sides.
#[derive(Debug)]
pub struct Plan {
    /// What is written differently.
    pub differences: Vec<Difference>,
    /// Who could do what: gains first, of these what cannot be undone or leaves the house.
    pub shifts: Vec<Shift>,
    /// What is said of every action whose rules changed.
    pub proofs: BTreeMap<ActionName, Proof>,
    /// Operations that a purpose names and that an operator is asked about before each call from now on, because their
    /// document has the worst grade and nobody reviewed them; each with what mends it.
    pub asked_each_time: Vec<String>,
    /// Agents that were killed, and stay stopped whatever their files say.
    pub still_stopped: Vec<SpiffeId>,
    /// Cases for the prover, one a line.
    cases: Vec<String>,
}

impl Plan {
    /// Compares two sides.
    ///
    /// # Errors
    ///
    /// The entities of a task cannot be made.
    pub fn compare(before: &Side, after: &Side, now: Timestamp) -> Result<Self, String> {
        let surveys = access::Surveys {
            before: before.pdp.survey(),
            after: after.pdp.survey(),
        };
        let (cases, proofs) = proof::cases(before, after, &surveys);
        Ok(Self {
            differences: differences::of(before, after, &surveys),
            shifts: access::shifts(before, after, &surveys, now)?,
            proofs,
            asked_each_time: asked_each_time(before, after),
            still_stopped: Vec::new(),
            cases,
        })
    }

    /// Whether the two sides are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.shifts.is_empty()
    }

    /// What the prover reads; none if there is nothing to prove.
    #[must_use]
    pub fn prover_input(&self) -> Option<String> {
        if self.cases.is_empty() {
            return None;
        }
        let lines = self.cases.iter().map(|case| format!("{case}\n"));
        Some(lines.collect())
    }

    /// Takes the prover's verdicts. An example is asked again here, of the policies as they decide; one that does not bear
    /// out is no proof of anything.
    ///
    /// # Errors
    ///
    /// The prover's output is none.
    pub fn prove(
        &mut self,
        before: &Side,
        after: &Side,
        output: &str,
        now: Timestamp,
    ) -> Result<(), ProofFault> {
        proof::read(&mut self.proofs, before, after, output, now)?;
        access::settle(&mut self.shifts, &self.proofs);
        Ok(())
    }

    /// What is not proven to let no more through: somebody else has to approve the change.
    pub fn unproven(&self) -> impl Iterator<Item = (&ActionName, &Proof)> {
        let open = |(_, proof): &(&ActionName, &Proof)| !proof.lets_no_more_through();
        self.proofs.iter().filter(open)
    }

    /// The plan as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let array = |values: Vec<Value>| Value::Array(values);
        let proofs = self
            .proofs
            .iter()
            .map(|(action, proof)| (action.to_string(), proof.to_value()));
        Value::object([
            ("changes", Value::from(!self.is_empty())),
            (
                "differences",
                array(self.differences.iter().map(Difference::to_value).collect()),
            ),
            (
                "access",
                array(self.shifts.iter().map(Shift::to_value).collect()),
            ),
            ("policies", Value::object(proofs)),
            (
                "second_approver",
                Value::from(self.unproven().next().is_some()),
            ),
            (
                "asked_each_time",
                strings(self.asked_each_time.iter().map(String::as_str)),
            ),
            (
                "still_stopped",
                strings(self.still_stopped.iter().map(|spiffe| spiffe.as_str())),
            ),
        ])
    }
}

/// What is newly asked about each time, because of what its document is worth.
fn asked_each_time(before: &Side, after: &Side) -> Vec<String> {
    let named = |side: &'_ Side| -> BTreeMap<ActionName, String> {
        let purposes = side.registry.purposes.values();
        let actions = purposes.flat_map(|purpose| &purpose.actions);
        let fix = |action: &ActionName| {
            let fix = readiness::fix(side.operation(action)?)?;
            Some((action.clone(), fix))
        };
        actions.filter_map(fix).collect()
    };
    let known = named(before);
    let fixes = named(after).into_iter();
    let new = fixes.filter(|(action, _)| !known.contains_key(action));
    new.map(|(_, fix)| fix).collect()
}

fn strings<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
    let texts = texts.into_iter().map(|text| Value::from(text.into()));
    Value::Array(texts.collect())
}

/// Who would do what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    agent: SpiffeId,
    purpose: PurposeName,
    action: ActionName,
}

/// Whether an effect is one that a person looks at first.
const fn is_grave(effects: Effects) -> bool {
    effects.irreversible || effects.external_send
}

/// The names in either.
fn either<'a, T: Ord + ?Sized>(
    one: impl IntoIterator<Item = &'a T>,
    other: impl IntoIterator<Item = &'a T>,
) -> BTreeSet<&'a T> {
    one.into_iter().chain(other).collect()
}

#[cfg(test)]
mod tests;
