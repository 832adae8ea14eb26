//! `writ api diff`: what changed between two documents, in the order in which a person reviews it.

use std::collections::BTreeMap;
use std::path::Path;

use writ_contract::diff::{Change, Consequence, Diff, Fate, Group, Section, Side, diff};
use writ_types::{Pointer, Value};

use super::documents;
use crate::cli::DiffArgs;
use crate::failure::Failure;
use crate::terminal::{Terminal, Tone};

/// Groups shown of a section unless all are asked for.
const SHOWN: usize = 40;
/// Operations of a group that are named.
const NAMED: usize = 4;

/// Fails with the changes, if there are any.
pub(super) fn run(terminal: Terminal, config: &Path, args: &DiffArgs) -> Result<(), Failure> {
    let old = documents::read(config, &args.old)?;
    let new = documents::read(config, &args.new)?;
    let diff = diff(&old.bytes, &new.bytes).map_err(|fault| {
        let name = match fault.side {
            Side::Old => &old.name,
            Side::New => &new.name,
        };
        let line = fault
            .line
            .map(|line| format!(":{line}"))
            .unwrap_or_default();
        Failure::new(format!("{name}{line} cannot be compared")).detail(fault.message)
    })?;
    if terminal.is_json() {
        terminal.object(&to_value(&diff));
    } else {
        print(terminal, &diff, args);
    }
    if diff.is_empty() {
        return Ok(());
    }
    Err(Failure::changes(format!(
        "{} and {} differ",
        old.name, new.name
    )))
}

fn tone(section: Section) -> Tone {
    match section {
        Section::Security | Section::Added | Section::Widened => Tone::Bad,
        Section::Unproven | Section::Responses | Section::Texts => Tone::Warn,
        Section::Renamed | Section::Removed | Section::Narrowed | Section::Neutral => Tone::Faint,
    }
}

/// Sections whose groups are told in full; of the others only how many there are.
const fn in_full(section: Section) -> bool {
    !matches!(
        section,
        Section::Texts | Section::Narrowed | Section::Neutral
    )
}

fn print(terminal: Terminal, diff: &Diff, args: &DiffArgs) {
    let review = diff.review();
    let mut to_review = 0usize;
    for section in review.sections() {
        let groups: Vec<&Group> = review.section(section).collect();
        if section.needs_owner() && in_full(section) {
            to_review = to_review.saturating_add(groups.len());
        }
        let operations = groups.iter().flat_map(|group| &group.operations);
        let operations: std::collections::BTreeSet<&usize> = operations.collect();
        terminal.line(&format!(
            "{} {}",
            terminal.paint(tone(section), section.title()),
            terminal.paint(Tone::Faint, &format!("({} operations)", operations.len()))
        ));
        if !in_full(section) && !args.all {
            let rules = by_rule(&groups);
            terminal.line(&format!("  {rules}"));
            terminal.line("");
            continue;
        }
        let most = if args.all { groups.len() } else { SHOWN };
        for group in groups.iter().take(most) {
            terminal.line(&line(diff, group));
        }
        if groups.len() > most {
            let rest = groups.len().saturating_sub(most);
            let rest = format!("  … {rest} more, of less consequence (--all)");
            terminal.line(&terminal.paint(Tone::Faint, &rest));
        }
        terminal.line("");
    }
    let changed = diff.changed();
    let waiting = changed
        .values()
        .filter(|authority| authority.needs_owner())
        .count();
    if diff.is_empty() {
        terminal.line("nothing changed");
    } else {
        terminal.line(&format!(
            "{} changes; {waiting} operations of the old document wait for their owner; {to_review} lines to review",
            diff.changes.len()
        ));
    }
}

/// How often each rule applies, the most frequent first.
fn by_rule(groups: &[&Group]) -> String {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for (rule, count) in groups.iter().flat_map(|group| &group.rules) {
        let sum = rules.entry(rule).or_default();
        *sum = sum.saturating_add(*count);
    }
    let mut rules: Vec<(&str, usize)> = rules.into_iter().collect();
    rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut text = joined(&rules, 6);
    text.push_str(" (--all)");
    text
}

fn joined(rules: &[(&str, usize)], most: usize) -> String {
    let shown: Vec<String> = rules
        .iter()
        .take(most)
        .map(|(rule, count)| match count {
            1 => (*rule).to_owned(),
            more => format!("{rule} ×{more}"),
        })
        .collect();
    let mut text = shown.join(", ");
    if rules.len() > most {
        text.push_str(", …");
    }
    text
}

/// One line of review: whom it concerns, what changed, an example.
fn line(diff: &Diff, group: &Group) -> String {
    let count = group.operations.len();
    let names = || {
        // What cannot be taken back is named to the last one.
        let most = match group.consequence {
            Consequence::Irreversible | Consequence::External => usize::MAX,
            Consequence::Write | Consequence::Read => NAMED,
        };
        let ids = group.operations.iter().take(most);
        let ids = ids.filter_map(|place| diff.operations.get(*place));
        let ids: Vec<String> = ids.map(|operation| operation.id.to_string()).collect();
        let rest = count.saturating_sub(ids.len());
        let more = if rest > 0 {
            format!(" and {rest} more")
        } else {
            String::new()
        };
        format!("{}{more}", ids.join(", "))
    };
    match group.section {
        Section::Added => format!("  {} ({count}): {}", group.subject, names()),
        Section::Removed | Section::Renamed => format!("  {}", group.subject),
        Section::Security => format!("  {}: {} ({})", group.subject, rules(group), names()),
        Section::Widened
        | Section::Unproven
        | Section::Responses
        | Section::Texts
        | Section::Narrowed
        | Section::Neutral => {
            let whom = if count > 1 {
                format!("{} in {count} operations", group.subject)
            } else {
                group.subject.clone()
            };
            let at_worst = if matches!(group.section, Section::Widened | Section::Unproven) {
                format!("{} ", group.consequence.as_str())
            } else {
                String::new()
            };
            format!(
                "  {at_worst}{whom}: {}; {}",
                rules(group),
                group.examples.join("; ")
            )
        }
    }
}

fn rules(group: &Group) -> String {
    let rules: Vec<(&str, usize)> = group
        .rules
        .iter()
        .map(|(rule, count)| (rule.as_str(), *count))
        .collect();
    joined(&rules, 4)
}

fn to_value(diff: &Diff) -> Value {
    let pointer = |pointer: &Option<Pointer>| {
        pointer
            .as_ref()
            .map_or(Value::Null, |pointer| Value::from(pointer.as_str()))
    };
    let ids = |change: &Change| {
        let operations = change.operations.iter();
        let operations = operations.filter_map(|place| diff.operations.get(*place));
        operations
            .map(|operation| Value::from(operation.id.as_str()))
            .collect()
    };
    let change = |change: &Change| {
        Value::object([
            ("rule", Value::from(change.rule.as_str())),
            ("topic", Value::from(change.topic.as_str())),
            ("caller", Value::from(change.caller.as_str())),
            ("authority", Value::from(change.authority.as_str())),
            ("old", pointer(&change.old)),
            ("new", pointer(&change.new)),
            ("what", Value::from(change.what.as_str())),
            ("operations", Value::Array(ids(change))),
        ])
    };
    let changed = diff.changed();
    let operations = diff.operations.iter().map(|operation| {
        let (fate, to) = match &operation.fate {
            Fate::Kept => ("kept", None),
            Fate::Renamed { to } => ("renamed", Some(to.to_string())),
            Fate::Moved { to } => ("moved", Some(to.clone())),
            Fate::Added => ("added", None),
            Fate::Removed => ("removed", None),
        };
        let authority = changed
            .get(&operation.id)
            .filter(|_| operation.fate != Fate::Added);
        Value::object([
            ("operation", Value::from(operation.id.as_str())),
            ("method", Value::from(operation.method)),
            ("path", Value::from(operation.path.as_str())),
            ("fate", Value::from(fate)),
            ("to", to.map_or(Value::Null, Value::from)),
            ("consequence", Value::from(operation.consequence.as_str())),
            (
                "authority",
                authority.map_or(Value::Null, |authority| Value::from(authority.as_str())),
            ),
        ])
    });
    Value::object([
        ("operations", Value::Array(operations.collect())),
        (
            "changes",
            Value::Array(diff.changes.iter().map(change).collect()),
        ),
    ])
}
