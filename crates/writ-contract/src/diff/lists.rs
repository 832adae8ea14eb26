//! What changed between the lists of an MCP server, beside what their schemas admit.
//!
//! The words of an entry are what a model chooses by, and whoever can change them can steer it (tool poisoning). So every entry that is
//! in both must be the same, member for member, but for the schemas, which have a comparison of their own, and `_meta`, which nobody is shown.
//! Resources share one operation: one more of them changes nothing for those that were approved.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Pointer, Value};

use super::verdict::{Authority, Caller, Topic};
use super::{Change, Diff, Fate, Found, shown};
use crate::pinned::{COMPLETION, PROMPTS, RESOURCES};

/// A list of entries, what names an entry of it, and the members that are compared as schemas.
struct List {
    member: &'static str,
    name: &'static str,
    schemas: &'static [&'static str],
}

const LISTS: [List; 4] = [
    List {
        member: "tools",
        name: "name",
        schemas: &["inputSchema", "outputSchema", "_meta"],
    },
    List {
        member: "prompts",
        name: "name",
        schemas: &["_meta"],
    },
    List {
        member: "resources",
        name: "uri",
        schemas: &["_meta"],
    },
    List {
        member: "resourceTemplates",
        name: "uriTemplate",
        schemas: &["_meta"],
    },
];

/// Adds to a comparison of what two documents of lists mean what the lists themselves say.
pub(super) fn add(diff: &mut Diff, old: &Value, new: &Value) {
    let places: BTreeMap<String, usize> = diff
        .operations
        .iter()
        .enumerate()
        .filter(|(_, one)| one.fate != Fate::Added)
        .map(|(place, one)| (one.id.as_str().to_owned(), place))
        .collect();
    // What these two take is the sum of all entries; entry for entry it is compared below.
    let shared: BTreeSet<usize> = [RESOURCES, COMPLETION]
        .iter()
        .filter_map(|id| places.get(*id).copied())
        .filter(|place| {
            let one = diff.operations.get(*place);
            one.is_some_and(|one| one.fate != Fate::Removed)
        })
        .collect();
    diff.changes
        .retain(|change| change.operations.is_empty() || !change.operations.is_subset(&shared));
    let mut found = Found::default();
    for list in LISTS {
        let (before, after) = (entries(old, &list), entries(new, &list));
        for (name, (place, entry)) in &before {
            let reached = reached(&list, name, &places);
            // It is there, and it is none that could be called: its schema may have gone, or its arguments' names.
            let own = reached
                .first()
                .and_then(|place| diff.operations.get(*place));
            let unread = own.is_some_and(|own| own.fate == Fate::Removed);
            let entry = (*name, *place, entry.as_slice());
            compare(
                &list,
                entry,
                after.get(name),
                (&reached, unread),
                &mut found,
            );
        }
        let shares = matches!(list.member, "resources" | "resourceTemplates");
        for (name, (place, _)) in after
            .iter()
            .filter(|(name, _)| shares && !before.contains_key(*name))
        {
            let at = (None, Some(pointer(&list, *place)));
            let verdict = ("mcp-entry-added", Caller::Compatible, Authority::Widens);
            tell(verdict, at, name, &[], &mut found);
        }
    }
    renamed(diff, &entries(old, &LISTS[0]), &entries(new, &LISTS[0]));
    diff.changes.extend(found.changes);
}

/// The entries of a list by name: where the first stands, and all of that name.
type Entries<'v> = BTreeMap<&'v str, (usize, Vec<&'v Value>)>;

fn entries<'v>(document: &'v Value, list: &List) -> Entries<'v> {
    let mut found = Entries::new();
    let items = document.member(list.member).and_then(Value::as_array);
    for (place, item) in items.unwrap_or_default().iter().enumerate() {
        let name = item.member(list.name).and_then(Value::as_str);
        if let Some(name) = name {
            let of_name = found.entry(name).or_insert_with(|| (place, Vec::new()));
            of_name.1.push(item);
        }
    }
    found
}

fn pointer(list: &List, place: usize) -> Pointer {
    Pointer::root().child(list.member).item(place)
}

/// The operations that an entry is part of.
fn reached(list: &List, name: &str, places: &BTreeMap<String, usize>) -> Vec<usize> {
    let ids = match list.member {
        "tools" => vec![name.to_owned()],
        "prompts" => vec![format!("{PROMPTS}{name}"), COMPLETION.to_owned()],
        _ => vec![RESOURCES.to_owned(), COMPLETION.to_owned()],
    };
    let place = |id: &String| places.get(id).copied();
    ids.iter().filter_map(place).collect()
}

/// An entry that was there against those of its name that are there now.
fn compare(
    list: &List,
    (name, place, before): (&str, usize, &[&Value]),
    after: Option<&(usize, Vec<&Value>)>,
    (reached, unread): (&[usize], bool),
    found: &mut Found,
) {
    let old = Some(pointer(list, place));
    let Some((place, after)) = after else {
        let verdict = ("mcp-entry-removed", Caller::Breaking, Authority::Narrows);
        return tell(verdict, (old, None), name, reached, found);
    };
    let new = Some(pointer(list, *place));
    let words = |entry: &Value| -> BTreeMap<String, Value> {
        let members = entry.as_object().into_iter().flatten();
        members
            .filter(|(name, _)| !list.schemas.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    match (before, after.as_slice()) {
        ([before], [after]) => {
            if unread || words(before) != words(after) {
                let verdict = ("mcp-entry-changed", Caller::Unclear, Authority::Unproven);
                tell(verdict, (old, new), name, reached, found);
            }
        }
        // Which of them is meant, the server decides.
        _ => {
            let verdict = ("mcp-name-doubled", Caller::Unclear, Authority::Unproven);
            tell(verdict, (old, new), name, reached, found);
        }
    }
}

fn tell(
    (rule, caller, authority): (&str, Caller, Authority),
    (old, new): (Option<Pointer>, Option<Pointer>),
    name: &str,
    reached: &[usize],
    found: &mut Found,
) {
    let topic = match rule {
        "mcp-entry-changed" => Topic::Text,
        _ => Topic::Operation,
    };
    let number = found.push(Change {
        rule: rule.to_owned(),
        topic,
        caller,
        authority,
        old,
        new,
        what: shown(name),
        operations: BTreeSet::new(),
    });
    for place in reached {
        found.reach(number, *place);
    }
}

/// A tool that is gone and one that is new, which are the same but for the name: no grant of the old name holds for the new one.
fn renamed(diff: &mut Diff, before: &Entries<'_>, after: &Entries<'_>) {
    let body = |entry: &Value| -> BTreeMap<String, Value> {
        let members = entry.as_object().into_iter().flatten();
        members
            .filter(|(name, _)| name.as_str() != "name")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let alone =
        |entries: &Entries<'_>, others: &Entries<'_>| -> Vec<(String, BTreeMap<String, Value>)> {
            entries
                .iter()
                .filter(|(name, (_, all))| all.len() == 1 && !others.contains_key(*name))
                .filter_map(|(name, (_, all))| Some(((*name).to_owned(), body(all.first()?))))
                .collect()
        };
    let (gone, new) = (alone(before, after), alone(after, before));
    for (name, entry) in &gone {
        let same = |all: &[(String, BTreeMap<String, Value>)]| -> Vec<String> {
            let like = all.iter().filter(|(_, other)| other == entry);
            like.map(|(name, _)| name.clone()).collect()
        };
        let (own, like) = (same(&gone), same(&new));
        let ([_], [to]) = (own.as_slice(), like.as_slice()) else {
            continue;
        };
        let Ok(to) = to.parse() else { continue };
        let mut operations = diff.operations.iter_mut();
        let one = operations.find(|one| one.fate == Fate::Removed && one.id.as_str() == name);
        if let Some(one) = one {
            one.fate = Fate::Renamed { to };
        }
    }
}

#[cfg(test)]
mod tests;
