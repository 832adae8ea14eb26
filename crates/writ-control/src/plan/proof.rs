//! What is said of the policies of an action: by comparison alone, or by the prover.

use std::collections::BTreeMap;

use writ_policy::Unprovable;
use writ_types::{ActionName, JsonLimits, Timestamp, Value, Window};

use super::access::Surveys;
use super::example::Example;
use super::side::Side;

/// What is said of one action whose rules changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The same calls are allowed, and obliged to the same.
    Equal,
    /// Nothing is allowed that was not.
    Narrower,
    /// This call is allowed, and was not; or it no longer has to do what it had to.
    Wider(Box<Example>),
    /// Nothing can be said, because of this.
    Unproven(String),
}

/// The prover's output is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the prover's output cannot be read: {0}")]
pub struct ProofFault(String);

impl Proof {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Narrower => "narrower",
            Self::Wider(_) => "wider",
            Self::Unproven(_) => "unproven",
        }
    }

    /// Whether it is certain that no call is allowed that was not.
    #[must_use]
    pub const fn lets_no_more_through(&self) -> bool {
        matches!(self, Self::Equal | Self::Narrower)
    }

    pub(super) fn to_value(&self) -> Value {
        let more = match self {
            Self::Equal | Self::Narrower => None,
            Self::Wider(example) => Some(("example", example.to_value())),
            Self::Unproven(why) => Some(("why", Value::from(why.as_str()))),
        };
        let verdict = ("verdict", Value::from(self.as_str()));
        Value::object([verdict].into_iter().chain(more))
    }
}

/// The actions on both sides whose rules, or what the rules look at, differ: cases for the prover, and what is said of
/// them until it has spoken.
pub(super) fn cases(
    before: &Side,
    after: &Side,
    surveys: &Surveys<'_>,
) -> (Vec<String>, BTreeMap<ActionName, Proof>) {
    let mut cases = Vec::new();
    let mut proofs = BTreeMap::new();
    for action in after
        .contracts
        .values()
        .flat_map(|contract| contract.operations().map(|operation| operation.action()))
    {
        let (Some(old), Some(new)) = (before.operation(action), after.operation(action)) else {
            continue;
        };
        // The same rule says something else where another time is counted.
        if counted_otherwise(before, after, action) {
            let why = "its rules look at windows, and what is counted in one is not the same";
            proofs.insert(action.clone(), Proof::Unproven(why.to_owned()));
            continue;
        }
        let same_rules = surveys.before.about(action) == surveys.after.about(action);
        if same_rules && old.attributes() == new.attributes() && old.effects() == new.effects() {
            continue;
        }
        match before.pdp.proof_case(&after.pdp, action) {
            // What the rules look at is the same, and so are they.
            Ok(_) if same_rules && old.effects() == new.effects() => {}
            Ok(case) => {
                cases.push(case.to_line());
                let why = "the prover was not asked".to_owned();
                proofs.insert(action.clone(), Proof::Unproven(why));
            }
            Err(Unprovable::OneSide) => {}
            Err(
                why @ (Unprovable::Input
                | Unprovable::Effects
                | Unprovable::FourEyes
                | Unprovable::Confirm
                | Unprovable::Form),
            ) => {
                proofs.insert(action.clone(), Proof::Unproven(why.to_string()));
            }
        }
    }
    (cases, proofs)
}

/// Whether rules on both sides look at windows, and one that both have is another, or counts another amount of a call.
fn counted_otherwise(before: &Side, after: &Side, action: &ActionName) -> bool {
    let (old, new) = (before.pdp.windows(), after.pdp.windows());
    let looked = before.pdp.looks_at_windows(action) && after.pdp.looks_at_windows(action);
    let another = |window: &Window| {
        new.iter()
            .any(|one| one.name == window.name && one != window)
    };
    looked && old.iter().any(another)
}

/// Reads the prover's verdicts into `proofs`. Only what was asked is taken.
pub(super) fn read(
    proofs: &mut BTreeMap<ActionName, Proof>,
    before: &Side,
    after: &Side,
    output: &str,
    now: Timestamp,
) -> Result<(), ProofFault> {
    for line in output.lines().filter(|line| !line.is_empty()) {
        let fault = |why: &dyn std::fmt::Display| ProofFault(why.to_string());
        let line =
            Value::parse(line.as_bytes(), &JsonLimits::DOCUMENT).map_err(|why| fault(&why))?;
        let text = |name: &str| line.member(name).and_then(Value::as_str);
        let action = text("action").ok_or_else(|| fault(&"a line names no action"))?;
        let action: ActionName = action.parse().map_err(|why| fault(&why))?;
        let Some(known) = proofs.get_mut(&action) else {
            return Err(fault(&format!("`{action}` was not asked about")));
        };
        *known = match text("verdict") {
            Some("equal") => Proof::Equal,
            Some("narrower") => Proof::Narrower,
            Some("wider") => wider(&line, before, after, &action, now),
            Some("unproven") => Proof::Unproven(text("why").unwrap_or("no reason").to_owned()),
            _ => return Err(fault(&"a verdict is unknown")),
        };
    }
    Ok(())
}

fn wider(line: &Value, before: &Side, after: &Side, action: &ActionName, now: Timestamp) -> Proof {
    let example = line
        .member("example")
        .and_then(|example| Example::replayed(example, before, after, action, now));
    example.map_or_else(
        || Proof::Unproven("the prover's example does not bear out".to_owned()),
        |example| Proof::Wider(Box::new(example)),
    )
}
