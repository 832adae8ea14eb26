//! Names and texts by which a model chooses.

use std::collections::BTreeMap;

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Outline, Outlined, words};

/// Most operations that a list of tools should have.
const MANY: usize = 128;
/// A thousand tokens, at about four characters each.
const LONG: usize = 4_000;

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    if outline.operations.len() > MANY {
        let message = format!("{} operations", outline.operations.len());
        let pointer = outline.root().pointer.child("paths");
        found.of_document(Rule::TooManyOperations, pointer, message);
    }
    let mut ids: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut texts: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (place, operation) in outline.operations.iter().enumerate() {
        one(operation, place, found);
        if let Some(id) = operation.node.text("operationId") {
            ids.entry(id).or_default().push(place);
        }
        let text = text_of(operation);
        if !text.0.is_empty() || !text.1.is_empty() {
            texts.entry(text).or_default().push(place);
        }
    }
    for (id, places) in ids {
        same(outline, found, &places, |found, place, other, pointer| {
            let message = format!("`{}` is also the id of `{other}`", shown(id));
            let pointer = pointer.child("operationId");
            found.of_operation(Rule::OperationIdDuplicate, place, pointer, message);
        });
    }
    for places in texts.into_values() {
        same(outline, found, &places, |found, place, other, pointer| {
            let message = format!("`{other}` has the same text");
            found.of_operation(Rule::DescriptionDuplicate, place, pointer.clone(), message);
        });
    }
}

/// Reports every member of a group of two or more with another member of it.
fn same(
    outline: &Outline<'_>,
    found: &mut Found,
    places: &[usize],
    report: impl Fn(&mut Found, usize, &str, &writ_types::Pointer),
) {
    let [first, second, ..] = places else { return };
    for place in places {
        let other = if place == first { second } else { first };
        let (Some(one), Some(other)) = (
            outline.operations.get(*place),
            outline.operations.get(*other),
        ) else {
            continue;
        };
        let other = format!("{} {}", other.method, shown(other.path));
        report(found, *place, &other, &one.node.pointer);
    }
}

fn text_of(operation: &Outlined<'_>) -> (String, String) {
    let text = |name: &str| {
        let text = operation.node.text(name).unwrap_or_default();
        text.trim().to_lowercase()
    };
    (text("summary"), text("description"))
}

fn one(operation: &Outlined<'_>, place: usize, found: &mut Found) {
    let pointer = &operation.node.pointer;
    let route = format!("{} {}", operation.method, shown(operation.path));
    match operation.node.text("operationId") {
        None => found.of_operation(Rule::OperationIdMissing, place, pointer.clone(), route),
        Some(id) if is_vague(id) => {
            let message = format!("`{}`", shown(id));
            let pointer = pointer.child("operationId");
            found.of_operation(Rule::OperationIdVague, place, pointer, message);
        }
        Some(_) => {}
    }
    let (summary, description) = text_of(operation);
    let count = summary
        .split_whitespace()
        .chain(description.split_whitespace())
        .count();
    let route = format!("{} {}", operation.method, shown(operation.path));
    if count == 0 {
        let pointer = pointer.clone();
        found.of_operation(Rule::DescriptionMissing, place, pointer, route.as_str());
    } else if count < 3 {
        let message = format!("`{}`", shown(format!("{summary} {description}").trim()));
        found.of_operation(Rule::DescriptionShort, place, pointer.clone(), message);
    }
    let length = operation
        .node
        .text("description")
        .map_or(0, |text| text.chars().count());
    if length > LONG {
        let pointer = pointer.child("description");
        let message = format!("{length} characters");
        found.of_operation(Rule::DescriptionLong, place, pointer, message);
    }
    if operation.node.flag("deprecated") {
        let pointer = pointer.child("deprecated");
        found.of_operation(Rule::OperationDeprecated, place, pointer, route);
    }
}

/// Whether a name says nothing: a verb of HTTP alone, a running number at its end, or fewer than four letters.
fn is_vague(id: &str) -> bool {
    let words = words(id);
    let letters = id.chars().filter(|char| char.is_alphabetic()).count();
    let numbered = words
        .last()
        .is_some_and(|last| words.len() > 1 && last.chars().all(|char| char.is_ascii_digit()));
    let bare = words.iter().all(|word| {
        matches!(
            word.as_str(),
            "get" | "put" | "post" | "patch" | "delete" | "head" | "list" | "create" | "update"
        ) || word.chars().all(|char| char.is_ascii_digit())
    });
    letters < 4 || numbered || bare || is_generic(&words)
}

fn is_generic(words: &[String]) -> bool {
    matches!(words, [first] if ["operation", "endpoint", "method", "request", "call"].contains(&first.as_str()))
}
