//! Names of members that whoever calls has chosen: where a contract takes any name, a name says as much as a value.

use std::collections::BTreeSet;

use writ_types::{Input, Value};

use super::{nodes_at, parent_of};

/// The names in a value, at any depth, that the contract does not have.
pub(super) fn chosen<'a>(
    value: &'a Value,
    declared: &BTreeSet<String>,
    found: &mut BTreeSet<&'a str>,
) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| chosen(item, declared, found)),
        Value::Object(members) => {
            for (name, member) in members {
                if !declared.contains(name) {
                    found.insert(name);
                }
                chosen(member, declared, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The names that whoever calls has chosen in all of an input.
pub(super) fn chosen_anywhere<'a>(
    input: &'a Input,
    declared: &BTreeSet<String>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let groups = [&input.path, &input.query, &input.header];
    let values = groups.into_iter().flat_map(|group| group.values());
    for value in values.chain(&input.body) {
        chosen(value, declared, &mut found);
    }
    found
}

/// The names that belong to what stands at a place: those below it.
pub(super) fn chosen_below<'a>(
    input: &'a Input,
    pointer: &str,
    declared: &BTreeSet<String>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for node in nodes_at(input, pointer) {
        chosen(node, declared, &mut found);
    }
    found
}

/// The names that `*` at the end of a place stands for.
pub(super) fn chosen_here<'a>(
    input: &'a Input,
    pointer: &str,
    declared: &BTreeSet<String>,
) -> BTreeSet<&'a str> {
    let parent = pointer.strip_suffix("/*").and_then(|_| parent_of(pointer));
    let nodes = parent.map_or_else(Vec::new, |parent| nodes_at(input, parent));
    let objects = nodes.into_iter().filter_map(Value::as_object);
    let names = objects.flat_map(|members| members.keys().map(String::as_str));
    names.filter(|name| !declared.contains(*name)).collect()
}
