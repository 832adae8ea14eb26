//! What a call does to the world, and whether doing it twice or by mistake is survivable.

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Outline, Outlined, first_word, words};

/// Verbs that change something, where they begin a summary.
const CHANGES: [&str; 22] = [
    "create",
    "delete",
    "remove",
    "send",
    "trigger",
    "update",
    "cancel",
    "restart",
    "reset",
    "revoke",
    "approve",
    "reject",
    "destroy",
    "purge",
    "publish",
    "upload",
    "rotate",
    "terminate",
    "suspend",
    "invite",
    "activate",
    "deactivate",
];
/// Those of them that are no nouns too, where they are a path segment.
const CHANGES_IN_PATH: [&str; 14] = [
    "create",
    "delete",
    "remove",
    "send",
    "trigger",
    "update",
    "cancel",
    "restart",
    "revoke",
    "destroy",
    "purge",
    "rotate",
    "terminate",
    "deactivate",
];

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    for (place, operation) in outline.operations.iter().enumerate() {
        let pointer = || operation.node.pointer.clone();
        let route = || format!("{} {}", operation.method, shown(operation.path));
        if operation.is_safe()
            && let Some(word) = says_it_changes(operation)
        {
            let message = format!("`{word}` in {}", route());
            found.of_operation(Rule::ReadThatMutates, place, pointer(), message);
        }
        if matches!(operation.method, "GET" | "HEAD" | "DELETE") && operation.body.is_some() {
            found.of_operation(Rule::BodyWithoutSemantics, place, pointer(), route());
        }
        let names = || names_of(outline, operation);
        if matches!(operation.method, "POST" | "PATCH") && !names().iter().any(|name| guards(name))
        {
            found.of_operation(Rule::MutationWithoutIdempotency, place, pointer(), route());
        }
        if is_destructive(operation) && !names().iter().any(|name| rehearses(name)) {
            found.of_operation(Rule::DestructiveWithoutRehearsal, place, pointer(), route());
        }
    }
}

/// The verb by which a safe method says that it changes something.
fn says_it_changes(operation: &Outlined<'_>) -> Option<String> {
    let summary = operation.node.text("summary").unwrap_or_default();
    let first = first_word(summary);
    // `Deletes` as well as `Delete`.
    let verb = first.strip_suffix('s').unwrap_or(&first);
    let verb = CHANGES.iter().find(|change| {
        **change == first || **change == verb || verb.strip_suffix('e') == Some(**change)
    });
    if let Some(verb) = verb {
        return Some((*verb).to_owned());
    }
    let path = operation.path.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').find(|segment| !segment.is_empty())?;
    if last.contains('{') {
        return None;
    }
    // `listDeletionJobs` says what it is, whatever its path is called.
    let id = words(operation.node.text("operationId").unwrap_or_default());
    let reads = ["get", "list", "read", "describe", "search", "find"];
    if id.iter().any(|word| reads.contains(&word.as_str())) {
        return None;
    }
    let verb = first_word(last);
    CHANGES_IN_PATH.contains(&verb.as_str()).then_some(verb)
}

/// The names of what a call may bring: parameters, and the body's own properties.
fn names_of(outline: &Outline<'_>, operation: &Outlined<'_>) -> Vec<String> {
    let mut names: Vec<String> = operation
        .parameters
        .iter()
        .map(|parameter| squeezed(parameter.name))
        .collect();
    if let Some(body) = &operation.body {
        names.extend(body.form.iter().map(|field| squeezed(field.name)));
        if let Some(schema) = body.media.values().flatten().next() {
            outline.walk(schema, &mut |step| {
                if step.depth == 1 {
                    names.extend(step.name.map(squeezed));
                }
            });
        }
    }
    names
}

fn squeezed(name: &str) -> String {
    words(name).concat()
}

fn guards(name: &str) -> bool {
    name.contains("idempoten")
        || matches!(
            name,
            "ifmatch"
                | "ifunmodifiedsince"
                | "clienttoken"
                | "requestid"
                | "xrequestid"
                | "clientrequestid"
                | "transactionid"
                | "xamzclienttoken"
                | "etag"
                | "resourceversion"
        )
}

fn rehearses(name: &str) -> bool {
    matches!(
        name,
        "dryrun"
            | "dry"
            | "preview"
            | "validateonly"
            | "confirm"
            | "confirmation"
            | "simulate"
            | "ifmatch"
            | "ifunmodifiedsince"
            | "trash"
            | "resourceversion"
            | "preconditions"
    )
}

fn is_destructive(operation: &Outlined<'_>) -> bool {
    let named = || {
        let id = operation.node.text("operationId").unwrap_or_default();
        words(id)
            .iter()
            .any(|word| matches!(word.as_str(), "delete" | "purge" | "destroy" | "wipe"))
    };
    operation.method == "DELETE" || (operation.method == "POST" && named())
}
