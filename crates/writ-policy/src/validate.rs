//! Cedar's strict validation, per policy and API, remembered by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    PolicySet, Schema, ValidationMode, ValidationResult, ValidationWarning, Validator,
};
use writ_types::{ApiId, Digest, OperationId};

use crate::diagnostic::Diagnostic;
use crate::findings::Lint;
use crate::rule::{Rule, located};
use crate::schema::ApiModel;
use crate::scope::{Apis, Scope};

/// How many entities a condition may follow from the request (RFC 76): `principal.agent.owner` is two. The gateway loads
/// exactly what lies within.
const LEVEL: u32 = 2;

/// A rule about at most this many operations is validated against a schema of these alone.
const NARROW: usize = 8;

/// What is known of a rule that passed: by the rule's digest and the schema's, whether it can ever match.
pub(crate) type Verdicts = BTreeMap<(Digest, Digest), CanMatch>;

/// Whether the validator found a request for which the rule's condition could hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CanMatch {
    Perhaps,
    Never,
}

/// A rule with its scope, in the order of the bundle.
pub(crate) type Scoped<'r, 'a> = (&'r Rule<'a>, &'r Scope);

/// Validates every rule against every API it is about. Verdicts in `known` are taken over.
pub(crate) fn check(
    rules: &[Scoped<'_, '_>],
    apis: &Apis,
    known: Option<&Verdicts>,
) -> Result<Verdicts, Vec<Diagnostic>> {
    let mut verdicts = Verdicts::new();
    let mut faults = Vec::new();
    for model in apis.values() {
        for (slice, group) in groups(rules, model, known, &mut verdicts) {
            let schema = match slice {
                Some(operations) => model.slice(&operations).map(Arc::new),
                None => Ok(Arc::clone(&model.schema)),
            };
            match schema {
                Ok(schema) => validate(&group, model, &schema, &mut verdicts, &mut faults),
                Err(message) => {
                    faults.extend(
                        group.iter().map(|rule| {
                            rule.fault(Lint::Contract, "action", message.clone(), None)
                        }),
                    );
                }
            }
        }
    }
    if faults.is_empty() {
        faults.extend(
            rules
                .iter()
                .filter_map(|rule| never_matches(rule, apis, &verdicts)),
        );
    }
    if faults.is_empty() {
        Ok(verdicts)
    } else {
        Err(faults)
    }
}

type Groups<'r, 'a> = BTreeMap<Option<BTreeSet<OperationId>>, Vec<&'r Rule<'a>>>;

/// The rules that must be validated against `model`, by the schema that is enough for them; none means the whole one.
fn groups<'r, 'a>(
    rules: &[Scoped<'r, 'a>],
    model: &ApiModel,
    known: Option<&Verdicts>,
    verdicts: &mut Verdicts,
) -> Groups<'r, 'a> {
    let mut groups = Groups::new();
    for (rule, scope) in rules {
        let key = (rule.digest, model.digest);
        if let Some(verdict) = known.and_then(|known| known.get(&key)) {
            verdicts.insert(key, *verdict);
            continue;
        }
        if scope.operations(model).next().is_none() {
            continue;
        }
        let named = scope.operations.get(&model.id);
        let narrow = named
            .filter(|named| !scope.is_wide() && !rule.reads.names_actions && named.len() <= NARROW);
        groups.entry(narrow.cloned()).or_default().push(rule);
    }
    groups
}

fn validate(
    rules: &[&Rule<'_>],
    model: &ApiModel,
    schema: &Schema,
    verdicts: &mut Verdicts,
    faults: &mut Vec<Diagnostic>,
) {
    let by_id: BTreeMap<&str, &Rule<'_>> =
        rules.iter().map(|rule| (rule.id.as_str(), *rule)).collect();
    let mut set = PolicySet::new();
    for rule in rules {
        if let Err(error) = set.add(rule.written.clone()) {
            faults.push(rule.fault(Lint::Id, "id", error.to_string(), None));
        }
    }
    let result =
        Validator::new(schema.clone()).validate_with_level(&set, ValidationMode::Strict, LEVEL);
    for rule in rules {
        verdicts.insert((rule.digest, model.digest), CanMatch::Perhaps);
    }
    for id in impossible(&result) {
        if let Some(rule) = by_id.get(id.as_str()) {
            verdicts.insert((rule.digest, model.digest), CanMatch::Never);
        }
    }
    let mut fault = |id: &str, error: DetailedError| {
        let Some(rule) = by_id.get(id) else { return };
        let mut fault = located(&rule.chunk, Lint::Type, Some(&rule.id), &error);
        fault.message = own_words(&fault.message, id).to_owned();
        let help = fault.help.take();
        fault.help = help.map(|help| own_words(&help, id).to_owned());
        let said = |other: &Diagnostic| {
            other.message.starts_with(&fault.message)
                && (other.line, other.column) == (fault.line, fault.column)
        };
        if !faults.iter().any(said) {
            fault.message = format!("{} (API `{}`)", fault.message, model.id);
            faults.push(fault);
        }
    };
    for error in result.validation_errors() {
        fault(error.policy_id().as_ref(), DetailedError::from(error));
    }
    for warning in result.validation_warnings() {
        if !is_impossible(warning) {
            fault(warning.policy_id().as_ref(), DetailedError::from(warning));
        }
    }
}

/// Cedar begins its messages with the policy's name, which a diagnostic already carries.
fn own_words<'a>(message: &'a str, id: &str) -> &'a str {
    message
        .strip_prefix(&format!("for policy `{id}`, "))
        .unwrap_or(message)
}

fn impossible(result: &ValidationResult) -> impl Iterator<Item = String> {
    result
        .validation_warnings()
        .filter(|warning| is_impossible(warning))
        .map(|warning| warning.policy_id().to_string())
}

/// The two warnings that mean "never here". A rule about a group may well never match in one API; it is an error when
/// that is so in every API ([`never_matches`]). Every other warning is an error at once.
fn is_impossible(warning: &ValidationWarning) -> bool {
    matches!(
        warning,
        ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
    )
}

fn never_matches(
    (rule, scope): &Scoped<'_, '_>,
    apis: &Apis,
    verdicts: &Verdicts,
) -> Option<Diagnostic> {
    let mut about = apis
        .values()
        .filter(|model| scope.operations(model).next().is_some())
        .map(|model| verdicts.get(&(rule.digest, model.digest)))
        .peekable();
    about.peek()?;
    if about.any(|verdict| verdict != Some(&CanMatch::Never)) {
        return None;
    }
    let help = "its condition is false for every call it is about: check the guards and the spelling of literals";
    Some(rule.fault(
        Lint::NeverMatches,
        "when",
        "this rule can never match".to_owned(),
        Some(help.to_owned()),
    ))
}

/// Whether a rule can match calls of one operation alone: for the coverage of a forbid over its group.
pub(crate) fn can_match(
    policy: &cedar_policy::Policy,
    model: &ApiModel,
    operation: &OperationId,
) -> CanMatch {
    let wanted = BTreeSet::from([operation.clone()]);
    let Ok(schema) = model.slice(&wanted) else {
        return CanMatch::Perhaps;
    };
    let mut set = PolicySet::new();
    if set.add(policy.clone()).is_err() {
        return CanMatch::Perhaps;
    }
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    if impossible(&result).next().is_some() {
        CanMatch::Never
    } else {
        CanMatch::Perhaps
    }
}

/// The APIs and the digests of their schemas: what verdicts hold for.
pub(crate) fn schema_digests(apis: &Apis) -> BTreeMap<ApiId, Digest> {
    apis.iter()
        .map(|(id, model)| (id.clone(), model.digest))
        .collect()
}
