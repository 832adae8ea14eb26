//! Paths that one call can be read under in two ways.

use std::collections::BTreeMap;

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Outline, Outlined};

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    let mut templates: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (place, operation) in outline.operations.iter().enumerate() {
        one(outline, operation, place, found);
        let key = (operation.method, anonymous(operation.path));
        templates.entry(key).or_default().push(place);
    }
    for places in templates.values().filter(|places| places.len() > 1) {
        for place in places {
            let other = places.iter().find(|other| *other != place);
            let other = other.and_then(|other| outline.operations.get(*other));
            if let (Some(one), Some(other)) = (outline.operations.get(*place), other) {
                let message = format!("one call fits it and {}", shown(other.path));
                let pointer = one.node.pointer.clone();
                found.of_operation(Rule::PathAmbiguous, *place, pointer, message);
            }
        }
    }
    shadows(outline, &templates, found);
}

/// The template with nameless parameters.
pub(crate) fn anonymous(path: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for char in path.chars() {
        match char {
            '{' => {
                inside = true;
                text.push_str("{}");
            }
            '}' => inside = false,
            other if !inside => text.push(other),
            _ => {}
        }
    }
    text
}

fn one(outline: &Outline<'_>, operation: &Outlined<'_>, place: usize, found: &mut Found) {
    let path = operation.path;
    if path.contains(['#', '?']) {
        let pointer = operation.node.pointer.clone();
        found.of_operation(Rule::PathFragment, place, pointer, shown(path));
    }
    let plain = path.split(['#', '?']).next().unwrap_or_default();
    let partial = plain.split('/').find(|segment| {
        segment.contains('{') && !(segment.starts_with('{') && segment.find('}') == last(segment))
    });
    if let Some(segment) = partial {
        let pointer = operation.node.pointer.clone();
        let message = format!("segment `{}`", shown(segment));
        found.of_operation(Rule::PathPartialParameter, place, pointer, message);
    }
    for parameter in operation
        .parameters
        .iter()
        .filter(|one| one.place == "path")
    {
        let schema = parameter.schema.as_ref();
        let pattern = schema.and_then(|schema| outline.schema(schema.value).text("pattern"));
        let crosses = pattern.is_some_and(admits_slash) || parameter.node.flag("allowReserved");
        if crosses {
            let message = format!("`{}`", shown(parameter.name));
            let pointer = parameter.node.pointer.clone();
            found.of_operation(Rule::PathParameterCrosses, place, pointer, message);
        }
    }
}

fn last(segment: &str) -> Option<usize> {
    segment.len().checked_sub(1)
}

/// Whether a pattern names a slash or any character; a slash in a negated class excludes it.
fn admits_slash(pattern: &str) -> bool {
    pattern.contains(".*") || pattern.contains(".+") || {
        pattern.contains('/') && !pattern.contains("[^/") && !pattern.contains("[^\\/")
    }
}

/// Templates with a parameter where a sibling of the same method has a literal.
fn shadows(
    outline: &Outline<'_>,
    templates: &BTreeMap<(&str, String), Vec<usize>>,
    found: &mut Found,
) {
    for ((method, template), literal_places) in templates {
        let segments: Vec<&str> = template.split('/').collect();
        for (at, segment) in segments.iter().enumerate() {
            if segment.contains("{}") || segment.is_empty() {
                continue;
            }
            let mut wider = segments.clone();
            if let Some(segment) = wider.get_mut(at) {
                *segment = "{}";
            }
            let Some(places) = templates.get(&(*method, wider.join("/"))) else {
                continue;
            };
            let literal = literal_places
                .first()
                .and_then(|place| outline.operations.get(*place));
            for place in places {
                if let (Some(one), Some(literal)) = (outline.operations.get(*place), literal) {
                    let message = format!("{} is another operation", shown(literal.path));
                    let pointer = one.node.pointer.clone();
                    found.of_operation(Rule::PathShadowed, *place, pointer, message);
                }
            }
        }
    }
}
