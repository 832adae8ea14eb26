//! Our own lints: what Cedar's validator accepts and a gateway must not (reference: the hazards of a skipped `forbid`).

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::findings::Lint;
use crate::rule::{Mention, Path, Rule};
use crate::schema::{Root, Shape};
use crate::scope::{Apis, Scope};
use crate::{stack, suggest};

/// Everything our lints find in one rule.
pub(crate) fn check(rule: &Rule<'_>, scope: &Scope, apis: &Apis) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    faults.extend(too_deep(rule));
    faults.extend(arithmetic(rule));
    faults.extend(blind_has(rule));
    let mut said = BTreeSet::new();
    for path in &rule.reads.paths {
        if let Some(fault) = unknown_attribute(rule, path, scope, apis)
            && said.insert((fault.line, fault.column))
        {
            faults.push(fault);
        }
    }
    faults
}

/// Arithmetic overflows, an overflow is an error, and an erring `forbid` is skipped by Cedar. We deny on errors, so such
/// a rule would refuse honest calls with large numbers instead: a comparison says the same and cannot err.
fn arithmetic(rule: &Rule<'_>) -> Option<Diagnostic> {
    let sign = rule.reads.arithmetic?;
    let message = format!("`{sign}` can overflow, and a rule that errs decides nothing");
    let help = "compare with a constant or a counter instead: the counters of `context.sys.count` already include this call";
    Some(rule.fault(Lint::Arithmetic, sign, message, Some(help.to_owned())))
}

/// Cedar's evaluator recurses; see [`stack`].
fn too_deep(rule: &Rule<'_>) -> Option<Diagnostic> {
    if rule.reads.depth <= stack::DEEPEST {
        return None;
    }
    let message = format!(
        "the condition is {} levels deep; at most {} are taken",
        rule.reads.depth,
        stack::DEEPEST
    );
    let help = "compare with a set (`[…].contains(…)`), or make several rules of it".to_owned();
    Some(rule.fault(Lint::TooLarge, "when", message, Some(help)))
}

fn blind_has(rule: &Rule<'_>) -> Option<Diagnostic> {
    let attr = rule.reads.blind_has.as_ref()?;
    let message = format!(
        "`has {attr}` is asked of something that is no attribute path, so its spelling cannot be checked"
    );
    let help = "ask it of `context…`, `principal…` or `resource…`".to_owned();
    Some(rule.fault(Lint::BlindHas, attr, message, Some(help)))
}

/// A mentioned attribute must exist in at least one operation the rule is about. The validator takes `context has bdoy`
/// as false and inside `||` says nothing at all.
fn unknown_attribute(
    rule: &Rule<'_>,
    path: &Path,
    scope: &Scope,
    apis: &Apis,
) -> Option<Diagnostic> {
    let ours = Shape::root(path.root, None).at(&path.attrs).is_some();
    let operations = || apis.values().flat_map(|model| scope.operations(model));
    let only_ours =
        path.root != Root::Context || path.attrs.first().is_some_and(|attr| attr == "sys");
    if ours
        || operations().any(|operation| {
            Shape::root(path.root, Some(operation))
                .at(&path.attrs)
                .is_some()
        })
    {
        return None;
    }
    if operations().next().is_none() && !only_ours {
        return None; // about no operation of today: nothing to compare with, and nothing decided by it
    }
    // The operations that get furthest along the path show where it goes wrong, and what was meant.
    let reached: Vec<(usize, Shape<'_>)> = operations()
        .map(Some)
        .chain(std::iter::once(None))
        .map(|operation| furthest(Shape::root(path.root, operation), &path.attrs))
        .collect();
    let depth = reached.iter().map(|(depth, _)| *depth).max()?;
    let names: BTreeSet<&str> = reached
        .iter()
        .filter(|(reached, _)| *reached == depth)
        .flat_map(|(_, parent)| parent.names())
        .collect();
    let wrong = path.attrs.get(depth)?;
    let asked = match path.mention {
        Mention::Has => "is asked for with `has`",
        Mention::Get => "is read",
    };
    let message = format!("`{wrong}` {asked}, but no operation this rule is about has it");
    let names: Vec<&str> = names.into_iter().collect();
    Some(rule.fault(
        Lint::UnknownAttribute,
        wrong,
        message,
        suggest::help(wrong, &names),
    ))
}

fn furthest<'a>(root: Shape<'a>, attrs: &[String]) -> (usize, Shape<'a>) {
    let mut shape = root;
    for (depth, attr) in attrs.iter().enumerate() {
        match shape.child(attr) {
            Some(child) => shape = child,
            None => return (depth, shape),
        }
    }
    (attrs.len(), shape)
}
