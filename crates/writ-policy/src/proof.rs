//! What the prover reads of two bundles: for one action the rules before and after, a schema of what they look at, and
//! what may be assumed of every call.
//!
//! The prover is a program of its own and sees types, not contracts. An assumption is only as true as what the gateway
//! does before it asks a policy, so each says where that happens; whatever is not enforced there is not assumed.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Policy;
use cedar_policy::pst::{self, ActionConstraint, Template};
use writ_types::{ActionName, AttrField, AttrType, Projection};

use crate::index::{ActionIndex, Facts, Known};
use crate::pdp::Pdp;
use crate::schema::{self, Operation};
use crate::survey::{self, Part};
use crate::{projected, walk};

/// One action, ready for the prover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofCase {
    /// The action.
    pub action: ActionName,
    /// Cedar's JSON schema of this one action, with what the rules of both sides look at.
    pub schema: String,
    /// A Cedar policy that forbids what no call can be.
    pub assume: String,
    /// The rules about it before.
    pub before: Vec<ProofRule>,
    /// The rules about it after.
    pub after: Vec<ProofRule>,
}

/// One rule about the action. Its scope names no action: it is about this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofRule {
    /// Its `@id`.
    pub id: String,
    /// Cedar's JSON form of the policy.
    pub policy: String,
    /// What it obliges to; such a rule grants nothing.
    pub obliges: Option<String>,
}

impl ProofCase {
    /// The case as the prover reads it: one JSON object on one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let rule = |rule: &ProofRule| {
            serde_json::json!({
                "id": rule.id,
                "policy": rule.policy,
                "obliges": rule.obliges,
            })
        };
        let rules = |rules: &[ProofRule]| rules.iter().map(rule).collect::<Vec<_>>();
        serde_json::json!({
            "action": self.action.to_string(),
            "schema": self.schema,
            "assume": self.assume,
            "before": rules(&self.before),
            "after": rules(&self.after),
        })
        .to_string()
    }
}

/// Why nothing can be proven about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unprovable {
    /// Only one side has it.
    #[error("the action is not on both sides")]
    OneSide,
    /// Its contract says otherwise what the rules look at.
    #[error("the contract changed the type of something that the rules look at")]
    Input,
    /// Its effects are others, and a rule asks for groups of actions in a condition.
    #[error("its effects changed, and a condition asks for the action's groups")]
    Effects,
    /// A rule no longer asks for somebody other than the requester, or another rule does. The prover does not see who
    /// approves.
    #[error("a rule that somebody other than the requester must lift is gone or another")]
    FourEyes,
    /// A rule no longer asks for the values themselves, or another rule does. The prover does not see what is entered.
    #[error("a rule that is lifted only by entering the values is gone or another")]
    Confirm,
    /// A rule cannot be written down for the prover.
    #[error("a rule cannot be written down for the prover")]
    Form,
}

impl Pdp {
    /// What the prover reads to compare what `self` and `after` say about an action.
    ///
    /// # Errors
    ///
    /// Why the two cannot be compared.
    pub fn proof_case(&self, after: &Self, action: &ActionName) -> Result<ProofCase, Unprovable> {
        let (old, operation_before) = side(self, action)?;
        let (new, operation) = side(after, action)?;
        let mut projection = old.projection.clone();
        join(&mut projection, &new.projection);
        let mut facts = old.facts.clone();
        facts.join(&new.facts);
        let attributes = projected::attributes(&operation.attributes, &projection);
        if attributes != projected::attributes(&operation_before.attributes, &projection) {
            return Err(Unprovable::Input);
        }
        if !operation.groups().eq(operation_before.groups())
            && rules_of(old).chain(rules_of(new)).any(asks_for_groups)
        {
            return Err(Unprovable::Effects);
        }
        let form = |index| {
            rules_of(index)
                .map(ProofRule::of)
                .collect::<Option<Vec<_>>>()
                .ok_or(Unprovable::Form)
        };
        let (before, after) = (form(old)?, form(new)?);
        // What an approval takes beside a role is outside Cedar: it may be added to a rule, and not be taken away.
        let taking = |index, rules: &[ProofRule], annotation: &str| -> BTreeSet<String> {
            let asks =
                |(known, _): &(&Known, &ProofRule)| known.policy.annotation(annotation).is_some();
            let both = rules_of(index).zip(rules);
            both.filter(asks)
                .map(|(_, rule)| rule.policy.clone())
                .collect()
        };
        for (annotation, unprovable) in [
            ("four_eyes", Unprovable::FourEyes),
            ("confirm", Unprovable::Confirm),
        ] {
            let (old, new) = (
                taking(old, &before, annotation),
                taking(new, &after, annotation),
            );
            if !old.is_subset(&new) {
                return Err(unprovable);
            }
        }
        Ok(ProofCase {
            action: action.clone(),
            assume: assumption(action, &operation.attributes, &projection, &facts),
            schema: schema::json_of_one(operation, attributes, &facts).to_string(),
            before,
            after,
        })
    }
}

fn side<'p>(
    pdp: &'p Pdp,
    action: &ActionName,
) -> Result<(&'p ActionIndex, &'p Operation), Unprovable> {
    let index = pdp.action(action).ok_or(Unprovable::OneSide)?;
    let (_, operation) = pdp.operation(action).ok_or(Unprovable::OneSide)?;
    Ok((index, operation))
}

fn rules_of(index: &ActionIndex) -> impl Iterator<Item = &Known> {
    index
        .sets
        .iter()
        .flat_map(|set| &set.rules)
        .map(|rule| &**rule)
}

fn asks_for_groups(rule: &Known) -> bool {
    rule.policy.to_pst().map_or(true, |tree| {
        let conditions = crate::rule::conditions(tree.body());
        conditions
            .iter()
            .any(|condition| walk::of_condition(condition).names_actions)
    })
}

impl ProofRule {
    fn of(rule: &Known) -> Option<Self> {
        let tree = rule.policy.to_pst().ok()?;
        let tree = tree.body();
        let freed = Template::new(
            tree.id.clone(),
            tree.effect,
            tree.principal.clone(),
            ActionConstraint::Any,
            tree.resource.clone(),
        );
        let freed = freed
            .try_with_clauses(tree.clauses().iter().cloned())
            .ok()?;
        let freed = pst::StaticPolicy::try_from(freed).ok()?;
        let policy = Policy::from_pst(pst::Policy::Static(freed)).ok()?;
        Some(Self {
            id: rule.id.clone(),
            policy: policy.to_json().ok()?.to_string(),
            obliges: match survey::part(&rule.policy) {
                Part::Obliges(what) => Some(what),
                Part::Permits | Part::Forbids | Part::AsksApproval(_) | Part::Defers(_) => None,
            },
        })
    }
}

/// The wider of two projections.
fn join(one: &mut Projection, other: &Projection) {
    match (&mut *one, other) {
        (Projection::All, _) | (_, Projection::Nothing) => {}
        (_, Projection::All) | (Projection::Nothing, Projection::Some(_)) => one.clone_from(other),
        (Projection::Some(children), Projection::Some(others)) => {
            for (name, other) in others {
                join(children.entry(name.clone()).or_default(), other);
            }
        }
    }
}

/// The rule that forbids what no call can be.
fn assumption(
    action: &ActionName,
    attributes: &BTreeMap<String, AttrField>,
    projection: &Projection,
    facts: &Facts,
) -> String {
    let modes = r#"["copilot", "autonomous"]"#;
    let mut holds = vec![
        // `Mode` has these two; an agent is registered with one and a task granted one.
        format!("{modes}.contains(principal.mode)"),
        format!("{modes}.contains(principal.agent.mode)"),
        // `Prepared` makes the task's entity from the agent's.
        "principal in principal.agent".to_owned(),
        "principal.owner == principal.agent.owner".to_owned(),
        "(if principal has requester then principal in principal.requester else true)".to_owned(),
        // The gate before every rule: a task holds the actions that it declared.
        format!(
            "principal.declared.contains({})",
            quoted(&action.to_string())
        ),
        format!(
            "resource == Writ::Upstream::{}",
            quoted(action.api.as_str())
        ),
    ];
    // Counts are unsigned, and stay at the largest number that Cedar has.
    holds.extend(not_negative("principal.budget", &BUDGET));
    if facts.wants("op") {
        holds.push(format!(
            "context.sys.op == {}",
            quoted(action.operation.as_str())
        ));
    }
    if facts.wants("action") {
        holds.push(format!(
            "context.sys.action == {}",
            quoted(&action.to_string())
        ));
    }
    if facts.wants("held") && facts.wants("labels") {
        // What is held back is of what was read.
        holds.push("context.sys.labels.containsAll(context.sys.held)".to_owned());
    }
    if facts.wants("count") {
        holds.extend(not_negative("context.sys.count", &BUDGET));
        // This call is counted in.
        holds.push("context.sys.count.thisOp >= 1".to_owned());
    }
    if facts.wants("left") {
        holds.extend(not_negative("context.sys.left", &BUDGET));
    }
    holds.extend(of_record("context", attributes, projection));
    format!(
        "forbid (principal, action, resource) unless {{ {} }};",
        holds.join(" && ")
    )
}

const BUDGET: [&str; 4] = ["calls", "writes", "deletes", "irreversible"];

fn not_negative<'a>(record: &'a str, names: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    names
        .iter()
        .map(move |name| format!("{record}.{name} >= 0"))
}

/// What holds of a record of the input: the view of an array counts its items, so its `count` is not negative.
/// Only of what the rules look at: the prover's schema has nothing else.
fn of_record(
    place: &str,
    fields: &BTreeMap<String, AttrField>,
    projection: &Projection,
) -> Vec<String> {
    let is_view = fields
        .values()
        .any(|field| matches!(field.ty, AttrType::Set(_)));
    let mut holds = Vec::new();
    for (name, field) in fields {
        let wanted = projection.child(name);
        if wanted.is_nothing() {
            continue;
        }
        let here = format!("{place}[{}]", quoted(name));
        let below = match &field.ty {
            AttrType::Long if is_view && name == "count" => vec![format!("{here} >= 0")],
            AttrType::Record(fields) => of_record(&here, fields, wanted),
            AttrType::Bool
            | AttrType::Long
            | AttrType::String
            | AttrType::Decimal
            | AttrType::Datetime
            | AttrType::Set(_) => Vec::new(),
        };
        if below.is_empty() {
            continue;
        }
        let below = below.join(" && ");
        holds.push(if field.required {
            below
        } else {
            format!("(if {place} has {} then {below} else true)", quoted(name))
        });
    }
    holds
}

/// A Cedar string literal.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => literal.extend(['\\', char]),
            plain if plain.is_ascii() && !plain.is_ascii_control() => literal.push(plain),
            other => literal.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
    literal.push('"');
    literal
}
