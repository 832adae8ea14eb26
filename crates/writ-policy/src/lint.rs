//! Our own lints: what Cedar's validator accepts and a gateway must not (reference: the hazards of a skipped `forbid`).

use std::collections::BTreeSet;

use writ_types::{Mode, PlanStanding};

use crate::diagnostic::{Diagnostic, Severity};
use crate::findings::Lint;
use crate::rule::{Compared, Mention, Path, Rule, RuleEffect, Turn};
use crate::schema::{Operation, Root, Shape};
use crate::scope::{Apis, Scope};
use crate::{guards, stack, suggest};

/// Everything our lints find in one rule.
pub(crate) fn check(rule: &Rule<'_>, scope: &Scope, apis: &Apis) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    faults.extend(too_deep(rule));
    faults.extend(arithmetic(rule));
    faults.extend(blind_has(rule));
    faults.extend(outside_domain(rule, scope, apis));
    faults.extend(nothing_to_confirm(rule));
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

/// What people ask for in their own words. None of it is an attribute: a rule that looked at it could be talked round.
const FREE_TEXT: [&str; 6] = ["prompt", "intent", "description", "plan", "reason", "goal"];

/// A text that an attribute is compared with and can never have: the comparison is always false, and the rule does less
/// than it says. Cedar has no types for it; the domains are the contract's and ours.
fn outside_domain(rule: &Rule<'_>, scope: &Scope, apis: &Apis) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for compared in &rule.reads.literals {
        let Some(domain) = domain(compared, scope, apis) else {
            continue;
        };
        if domain.contains(compared.text.as_str()) {
            continue;
        }
        let shown: String = compared.text.chars().take(64).collect();
        let attribute = compared.attrs.last().map_or("", String::as_str);
        let message = format!("`{attribute}` is never `{shown}`: what compares them says nothing");
        let known: Vec<&str> = domain.into_iter().collect();
        let help = suggest::help(&compared.text, &known);
        faults.push(rule.fault(Lint::OutsideDomain, &compared.text, message, help));
    }
    faults
}

/// The texts that an attribute can have in the operations of a rule, where all of them are known.
fn domain<'a>(compared: &Compared, scope: &'a Scope, apis: &'a Apis) -> Option<BTreeSet<&'a str>> {
    let attrs: Vec<&str> = compared.attrs.iter().map(String::as_str).collect();
    let operations = || apis.values().flat_map(|model| scope.operations(model));
    let fixed = |texts: &[&'static str]| Some(texts.iter().copied().collect());
    match (compared.root, attrs.as_slice()) {
        (Root::Principal, ["mode"] | ["agent", "mode"]) => {
            fixed(&[Mode::Copilot.as_str(), Mode::Autonomous.as_str()])
        }
        (Root::Context, ["sys", "plan"]) => fixed(&PlanStanding::WORDS),
        (Root::Principal, ["vouched"]) => fixed(&["bounds", "plan", "prompt"]),
        (Root::Principal, ["declared"]) | (Root::Context, ["sys", "seen" | "approved"]) => {
            let all = apis.values().flat_map(|model| model.operations.values());
            Some(all.map(|operation| operation.name.as_str()).collect())
        }
        (Root::Context, ["sys", "action"]) => {
            let names: BTreeSet<&str> = operations()
                .map(|operation| operation.name.as_str())
                .collect();
            (!names.is_empty()).then_some(names)
        }
        (Root::Context, ["sys", "op"]) => {
            let names: BTreeSet<&str> = operations()
                .map(|operation| operation.action.operation.as_str())
                .collect();
            (!names.is_empty()).then_some(names)
        }
        (Root::Context, [part, ..]) if *part != "sys" => {
            let mut domain = BTreeSet::new();
            let has = |operation: &&Operation| {
                let context = Shape::root(Root::Context, Some(operation));
                context.at(&compared.attrs).is_some()
            };
            for operation in operations().filter(has) {
                domain.extend(
                    operation
                        .domains
                        .get(&compared.attrs)?
                        .iter()
                        .map(String::as_str),
                );
            }
            (!domain.is_empty()).then_some(domain)
        }
        (_, _) => None,
    }
}

/// What a person should know of the rules though all of them are sound.
pub(crate) fn notices(rules: &[(&Rule<'_>, &Scope)], apis: &Apis) -> Vec<Diagnostic> {
    let found = rules.iter().flat_map(|(rule, scope)| {
        let narrow = narrow_forbid(rule, scope, apis);
        let idle = idle_approval((rule, scope), rules, apis);
        narrow.into_iter().chain(idle)
    });
    let notice = |found: Diagnostic| Diagnostic {
        severity: Severity::Notice,
        ..found
    };
    found.map(notice).collect()
}

/// Most operations that are named in one finding.
const SHOWN: usize = 5;

/// A forbid of a class of operations whose guard (`context has body`) lets some of them pass untouched.
fn narrow_forbid(rule: &Rule<'_>, scope: &Scope, apis: &Apis) -> Option<Diagnostic> {
    let guard = rule.reads.paths.iter().find(|path| {
        let of_input = path.attrs.first().is_some_and(|first| first != "sys");
        path.root == Root::Context && path.mention == Mention::Has && of_input
    })?;
    if rule.effect != RuleEffect::Forbid || !scope.is_wide() {
        return None;
    }
    let tree = rule.evaluated.to_pst().ok()?;
    let tree = tree.body();
    let (mut matched, mut passed) = (0usize, Vec::new());
    for operation in apis.values().flat_map(|model| scope.operations(model)) {
        if guards::never_holds(tree, operation) {
            passed.push(operation.name.as_str());
        } else {
            matched = matched.saturating_add(1);
        }
    }
    if matched == 0 || passed.is_empty() {
        return None;
    }
    let more = passed.len().saturating_sub(SHOWN);
    let named: Vec<&str> = passed.iter().copied().take(SHOWN).collect();
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let message = format!(
        "this forbid is about {} operations and can match {matched}: it never matches {}{more}",
        matched.saturating_add(passed.len()),
        named.join(", "),
    );
    let help = "name the operations it is meant for, and say in a rule of their own what is to happen to the others";
    let word = guard.attrs.last().map_or("has", String::as_str);
    Some(rule.fault(Lint::NarrowForbid, word, message, Some(help.to_owned())))
}

/// An approval or a wait that would not help: something else refuses the same calls whatever they are, or nothing permits
/// them.
fn idle_approval(
    (rule, scope): (&Rule<'_>, &Scope),
    rules: &[(&Rule<'_>, &Scope)],
    apis: &Apis,
) -> Option<Diagnostic> {
    let (what, word) = match &rule.turn {
        Turn::Approval { .. } => ("an approval", "approval"),
        Turn::Defer { .. } => ("a wait", "defer"),
        Turn::Plain | Turn::Oblige(_) => return None,
    };
    let operations = || apis.values().flat_map(|model| scope.operations(model));
    let covers = |scope: &Scope, operation: &Operation| {
        scope.covers_widely(operation) || scope.names(operation)
    };
    let first = operations().next()?;
    let refuses = |operation: &Operation| {
        rules.iter().find(|(other, scope)| {
            other.refuses_everything() && other.id != rule.id && covers(scope, operation)
        })
    };
    let permits = |operation: &Operation| {
        rules
            .iter()
            .any(|(other, scope)| other.effect == RuleEffect::Permit && covers(scope, operation))
    };
    let message = match refuses(first) {
        Some((other, _)) if operations().all(|operation| refuses(operation).is_some()) => {
            let id = &other.id;
            format!("{what} would not help: `{id}` forbids these calls whatever they are")
        }
        _ if !operations().any(permits) => {
            format!("{what} would not help: no rule permits these calls")
        }
        _ => return None,
    };
    let help = "take the rule out, or change what stands in its way".to_owned();
    Some(rule.fault(Lint::NobodyApproves, word, message, Some(help)))
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

/// `@confirm` asks for the values that nothing vouches for: on a rule that asks nothing of them a click would do.
fn nothing_to_confirm(rule: &Rule<'_>) -> Option<Diagnostic> {
    let confirms = matches!(rule.turn, Turn::Approval { confirm: true, .. });
    if !confirms || rule.reads.vouched() {
        return None;
    }
    let message = "`@confirm` stands on a rule that does not ask what vouches for values";
    let help = "it is for a `forbid` … `unless { context.sys.unvouched.isEmpty() }`";
    let (message, help) = (message.to_owned(), Some(help.to_owned()));
    Some(rule.fault(Lint::Annotation, "confirm", message, help))
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
    let counted = path.attrs.get(1).is_some_and(|attr| attr == "windows");
    if operations().next().is_none() && (!only_ours || counted) {
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
    if FREE_TEXT.contains(&wrong.as_str()) && only_ours {
        let message = format!(
            "`{wrong}` would be free text, which nobody can judge by its words, and no rule can look at it"
        );
        let help = "compare `principal.purpose`, `principal.declared`, a bound or a typed argument";
        return Some(rule.fault(Lint::FreeText, wrong, message, Some(help.to_owned())));
    }
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
