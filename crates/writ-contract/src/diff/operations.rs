//! Operations, paired and compared.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::Value;

use super::parts::Parts;
use super::verdict::{Authority, Caller, Topic};
use super::{Change, Compared, Diff, Fate, Found, Pair, review, security, shown};
use crate::lint::anonymous;
use crate::outline::{Outline, Outlined};

/// Compares two documents.
pub(super) fn compare(old: &Outline<'_>, new: &Outline<'_>) -> Diff {
    let mut found = Found::default();
    let pairing = Pairing::of(old, new);
    let mut operations = Vec::new();
    let mut pairs = Vec::new();
    for (place, operation) in old.operations.iter().enumerate() {
        let partner = pairing.partner.get(&place);
        let partner = partner.and_then(|place| new.operations.get(*place));
        operations.push(Compared {
            id: operation.id.clone(),
            method: operation.method,
            path: operation.path.to_owned(),
            fate: fate(operation, partner),
            consequence: review::consequence(old, operation),
        });
        if let Some(new) = partner {
            pairs.push(Pair {
                old: operation,
                new,
                place,
            });
        } else {
            removed(operation, place, &pairing, &mut found);
        }
    }
    for place in &pairing.added {
        let Some(operation) = new.operations.get(*place) else {
            continue;
        };
        let number = operations.len();
        operations.push(Compared {
            id: operation.id.clone(),
            method: operation.method,
            path: operation.path.to_owned(),
            fate: Fate::Added,
            consequence: review::consequence(new, operation),
        });
        let change = found.push(Change {
            rule: "endpoint-added".to_owned(),
            topic: Topic::Operation,
            caller: Caller::Compatible,
            authority: Authority::Widens,
            old: None,
            new: Some(operation.node.pointer.clone()),
            what: format!("{} {}", operation.method, operation.path),
            operations: BTreeSet::new(),
        });
        found.reach(change, number);
    }
    shadowed(old, new, &pairing, &mut found);
    let mut parts = Parts::new(old, new);
    for pair in &pairs {
        frame(pair, &mut found);
        parts.compare(pair, &mut found);
    }
    security::compare(old, new, &pairs, &mut found);
    document(old, new, &mut found);
    Diff {
        changes: once(found.changes),
        operations,
    }
}

/// A part that is reached as a body and as a property is compared twice and told once.
fn once(changes: Vec<Change>) -> Vec<Change> {
    let mut places = BTreeMap::new();
    let mut kept: Vec<Change> = Vec::new();
    for change in changes {
        let key = (
            change.rule.clone(),
            change.authority,
            change.caller,
            change.old.clone(),
            change.new.clone(),
            change.what.clone(),
        );
        let place = *places.entry(key).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(known) => known.operations.extend(change.operations),
            None => kept.push(change),
        }
    }
    kept
}

/// By what operations are paired.
type Key<'f> = dyn Fn(&Outlined<'_>) -> Option<String> + 'f;

/// Which operation of the new document each of the old one is.
struct Pairing {
    partner: BTreeMap<usize, usize>,
    added: Vec<usize>,
    /// Paths of the new document, nameless.
    paths: BTreeSet<String>,
}

impl Pairing {
    /// By method and path; what is left, by method and the document's own id.
    fn of(old: &Outline<'_>, new: &Outline<'_>) -> Self {
        let mut partner = BTreeMap::new();
        let mut taken = BTreeSet::new();
        let exact =
            |operation: &Outlined<'_>| Some(format!("{} {}", operation.method, operation.path));
        let nameless = |operation: &Outlined<'_>| {
            Some(format!(
                "{} {}",
                operation.method,
                anonymous(operation.path)
            ))
        };
        let named = |operation: &Outlined<'_>| {
            let id = operation.node.text("operationId")?;
            Some(format!("{} {id}", operation.method))
        };
        let keys: [&Key<'_>; 3] = [&exact, &nameless, &named];
        for key in keys {
            let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (place, operation) in new.operations.iter().enumerate() {
                if !taken.contains(&place)
                    && let Some(key) = key(operation)
                {
                    places.entry(key).or_default().push(place);
                }
            }
            for (place, operation) in old.operations.iter().enumerate() {
                if partner.contains_key(&place) {
                    continue;
                }
                let found = key(operation).and_then(|key| {
                    let places = places.get_mut(&key)?;
                    (!places.is_empty()).then(|| places.remove(0))
                });
                if let Some(found) = found {
                    partner.insert(place, found);
                    taken.insert(found);
                }
            }
        }
        let added = (0..new.operations.len())
            .filter(|place| !taken.contains(place))
            .collect();
        let paths = new
            .operations
            .iter()
            .map(|operation| anonymous(operation.path))
            .collect();
        Self {
            partner,
            added,
            paths,
        }
    }
}

fn fate(old: &Outlined<'_>, new: Option<&Outlined<'_>>) -> Fate {
    match new {
        None => Fate::Removed,
        Some(new) if anonymous(old.path) != anonymous(new.path) => Fate::Moved {
            to: new.path.to_owned(),
        },
        Some(new) if old.id != new.id => Fate::Renamed { to: new.id.clone() },
        Some(_) => Fate::Kept,
    }
}

fn removed(operation: &Outlined<'_>, place: usize, pairing: &Pairing, found: &mut Found) {
    let whole = !pairing.paths.contains(&anonymous(operation.path));
    let announced = operation.node.flag("deprecated");
    let rule = match (whole, announced) {
        (true, false) => "api-path-removed-without-deprecation",
        (true, true) => "api-path-removed-with-deprecation",
        (false, false) => "api-removed-without-deprecation",
        (false, true) => "api-removed-with-deprecation",
    };
    let change = found.push(Change {
        rule: rule.to_owned(),
        topic: Topic::Operation,
        caller: Caller::Breaking,
        authority: Authority::Narrows,
        old: Some(operation.node.pointer.clone()),
        new: None,
        what: format!("{} {}", operation.method, operation.path),
        operations: BTreeSet::new(),
    });
    found.reach(change, place);
}

/// A new operation whose path some calls of an old template have: those calls become calls of it.
fn shadowed(old: &Outline<'_>, new: &Outline<'_>, pairing: &Pairing, found: &mut Found) {
    let mut templates: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
    for (place, operation) in old.operations.iter().enumerate() {
        if operation.path.contains('{') {
            let key = (operation.method, operation.path.split('/').count());
            templates.entry(key).or_default().push(place);
        }
    }
    for added in &pairing.added {
        let Some(operation) = new.operations.get(*added) else {
            continue;
        };
        let key = (operation.method, operation.path.split('/').count());
        for place in templates.get(&key).into_iter().flatten() {
            let template = old.operations.get(*place);
            let Some(template) = template.filter(|one| takes(one.path, operation.path)) else {
                continue;
            };
            let change = found.push(Change {
                rule: "operation-shadowed".to_owned(),
                topic: Topic::Operation,
                caller: Caller::Unclear,
                authority: Authority::Widens,
                old: Some(template.node.pointer.clone()),
                new: Some(operation.node.pointer.clone()),
                what: format!(
                    "calls of {} that have the path {} are calls of another operation now",
                    template.path, operation.path
                ),
                operations: BTreeSet::new(),
            });
            found.reach(change, *place);
        }
    }
}

/// Whether a template takes paths that another template, more literal than it, has.
fn takes(template: &str, path: &str) -> bool {
    let mut wider = false;
    let plain = |path: &str| path.split(['?', '#']).next().unwrap_or_default().to_owned();
    let (template, path) = (plain(template), plain(path));
    let fits = template
        .split('/')
        .zip(path.split('/'))
        .all(|(own, other)| {
            let parameter = own.contains('{');
            wider |= parameter && !other.contains('{');
            own == other || parameter
        });
    fits && wider
}

/// What is said of an operation beside what goes in and out.
fn frame(pair: &Pair<'_, '_, '_>, found: &mut Found) {
    let (old, new) = (&pair.old.node, &pair.new.node);
    let mut report = |rule: &str, topic, caller, authority, what: String| {
        let change = found.push(Change {
            rule: rule.to_owned(),
            topic,
            caller,
            authority,
            old: Some(old.pointer.clone()),
            new: Some(new.pointer.clone()),
            what,
            operations: BTreeSet::new(),
        });
        found.reach(change, pair.place);
    };
    match (old.text("operationId"), new.text("operationId")) {
        (before, after) if before == after => {}
        (None, Some(id)) => report(
            "api-operation-id-added",
            Topic::Operation,
            Caller::Compatible,
            Authority::Neutral,
            format!("is called {}", shown(id)),
        ),
        (Some(id), after) => report(
            "api-operation-id-removed",
            Topic::Operation,
            Caller::Unclear,
            Authority::Neutral,
            format!(
                "{} is called {}",
                shown(id),
                shown(after.unwrap_or("nothing"))
            ),
        ),
        (None, None) => {}
    }
    if anonymous(pair.old.path) != anonymous(pair.new.path) {
        report(
            "api-path-changed",
            Topic::Operation,
            Caller::Breaking,
            Authority::Unproven,
            format!("{} -> {}", pair.old.path, pair.new.path),
        );
    }
    said(pair, &mut report);
    rest(pair, &mut report);
}

/// Tags, texts, deprecation.
fn said(pair: &Pair<'_, '_, '_>, report: &mut impl FnMut(&str, Topic, Caller, Authority, String)) {
    let (old, new) = (&pair.old.node, &pair.new.node);
    let tags = |value: &Value| -> BTreeSet<String> {
        let tags = value
            .member("tags")
            .and_then(Value::as_array)
            .unwrap_or_default();
        tags.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let (before, after) = (tags(old.value), tags(new.value));
    // Reviews and policies may go by tag.
    for (rule, tags) in [
        ("api-tag-added", after.difference(&before)),
        ("api-tag-removed", before.difference(&after)),
    ] {
        for tag in tags {
            let (topic, caller) = (Topic::Operation, Caller::Compatible);
            report(rule, topic, caller, Authority::Unproven, shown(tag));
        }
    }
    if old.flag("deprecated") != new.flag("deprecated") {
        let rule = if new.flag("deprecated") {
            "endpoint-deprecated"
        } else {
            "endpoint-reactivated"
        };
        report(
            rule,
            Topic::Operation,
            Caller::Compatible,
            Authority::Neutral,
            format!("{} {}", pair.new.method, pair.new.path),
        );
    }
    let texts: Vec<&str> = ["summary", "description", "externalDocs"]
        .into_iter()
        .filter(|name| old.value.member(name) != new.value.member(name))
        .collect();
    if !texts.is_empty() {
        report(
            "api-description-changed",
            Topic::Text,
            Caller::Compatible,
            Authority::Unproven,
            texts.join(", "),
        );
    }
}

/// Members of an operation that have a comparison of their own, or say nothing of a call.
const KNOWN: [&str; 14] = [
    "operationId",
    "summary",
    "description",
    "externalDocs",
    "tags",
    "deprecated",
    "parameters",
    "requestBody",
    "responses",
    "security",
    "consumes",
    "produces",
    "schemes",
    "servers",
];

/// Members that have no rule must be equal.
fn rest(pair: &Pair<'_, '_, '_>, report: &mut impl FnMut(&str, Topic, Caller, Authority, String)) {
    let (old, new) = (pair.old.node.value, pair.new.node.value);
    let names = |value: &Value| -> BTreeSet<String> {
        let members = value.as_object().into_iter().flat_map(BTreeMap::keys);
        members
            .filter(|name| !name.starts_with("x-") && !KNOWN.contains(&name.as_str()))
            .cloned()
            .collect()
    };
    for name in names(old).union(&names(new)) {
        if old.member(name) != new.member(name) {
            report(
                "api-member-changed",
                Topic::Operation,
                Caller::Unclear,
                Authority::Unproven,
                shown(name),
            );
        }
    }
}

/// What belongs to no operation.
fn document(old: &Outline<'_>, new: &Outline<'_>, found: &mut Found) {
    let mut report = |rule: &str, caller, what: String| {
        found.push(Change {
            rule: rule.to_owned(),
            topic: Topic::Document,
            caller,
            // The upstream's address is the registration's; webhooks are not calls.
            authority: Authority::Neutral,
            old: None,
            new: None,
            what,
            operations: BTreeSet::new(),
        });
    };
    let webhooks = |outline: &Outline<'_>| -> BTreeSet<String> {
        let hooks = outline
            .document
            .member("webhooks")
            .and_then(Value::as_object);
        hooks
            .into_iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect()
    };
    let (before, after) = (webhooks(old), webhooks(new));
    for name in after.difference(&before) {
        report("webhook-added", Caller::Compatible, shown(name));
    }
    for name in before.difference(&after) {
        report("webhook-removed", Caller::Breaking, shown(name));
    }
    let servers = |outline: &Outline<'_>| {
        ["servers", "host", "basePath", "schemes"]
            .map(|name| outline.document.member(name).cloned())
    };
    if old.dialect == new.dialect && servers(old) != servers(new) {
        report(
            "servers-changed",
            Caller::Unclear,
            "where it is served".to_owned(),
        );
    }
}
