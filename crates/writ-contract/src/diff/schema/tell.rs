//! Tables and small judgements.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Decimal, Value};

use super::{Effect, Schema, shown};

/// Bounds from above; a larger value admits more.
pub(super) const HIGH: [(&str, &str); 6] = [
    ("maximum", "max"),
    ("exclusiveMaximum", "exclusive-max"),
    ("maxLength", "max-length"),
    ("maxItems", "max-items"),
    ("maxProperties", "max-properties"),
    ("maxContains", "max-contains"),
];
/// Bounds from below; a smaller value admits more.
pub(super) const LOW: [(&str, &str); 6] = [
    ("minimum", "min"),
    ("exclusiveMinimum", "exclusive-min"),
    ("minLength", "min-length"),
    ("minItems", "min-items"),
    ("minProperties", "min-properties"),
    ("minContains", "min-contains"),
];
/// Keywords with one schema that restricts; below them it cannot be told what a change does to the whole.
pub(super) const RESTRICTING: [(&str, &str); 8] = [
    ("contains", "contains"),
    ("if", "if"),
    ("then", "then"),
    ("else", "else"),
    ("propertyNames", "property-names"),
    ("unevaluatedItems", "unevaluated-items"),
    ("unevaluatedProperties", "unevaluated-properties"),
    ("contentSchema", "content-schema"),
];
/// Keywords that say nothing of what is admitted, and what `x-` begins.
pub(super) const SILENT: [&str; 9] = [
    "$comment",
    "$id",
    "$schema",
    "$anchor",
    "$defs",
    "definitions",
    "deprecated",
    "required",
    "additionalProperties",
];
/// Words for people and models.
pub(super) const TEXTS: [&str; 5] = [
    "title",
    "description",
    "example",
    "examples",
    "externalDocs",
];
/// What of a Swagger 2.0 parameter or header is not its schema.
pub(super) const NOT_SCHEMA: [&str; 6] = [
    "name",
    "in",
    "collectionFormat",
    "allowEmptyValue",
    "style",
    "explode",
];

pub(super) static EMPTY: BTreeMap<String, Value> = BTreeMap::new();

/// Whether a keyword is compared by a rule of its own, or says nothing.
pub(super) fn is_known(name: &str) -> bool {
    let table = |table: &[(&str, &str)]| table.iter().any(|(keyword, _)| *keyword == name);
    name.starts_with("x-")
        || table(&HIGH)
        || table(&LOW)
        || table(&RESTRICTING)
        || SILENT.contains(&name)
        || TEXTS.contains(&name)
        || NOT_SCHEMA.contains(&name)
        || matches!(
            name,
            "$ref"
                | "type"
                | "nullable"
                | "format"
                | "multipleOf"
                | "enum"
                | "const"
                | "default"
                | "pattern"
                | "contentEncoding"
                | "contentMediaType"
                | "uniqueItems"
                | "readOnly"
                | "writeOnly"
                | "allOf"
                | "anyOf"
                | "oneOf"
                | "properties"
                | "items"
                | "prefixItems"
                | "patternProperties"
                | "dependentSchemas"
                | "dependentRequired"
                | "not"
                | "discriminator"
        )
}

/// Whether two layers both restrict by one keyword.
pub(super) fn doubled(schema: &Schema<'_>) -> bool {
    let mut seen = BTreeSet::new();
    let keywords = schema
        .layers
        .iter()
        .filter_map(|layer| layer.as_object())
        .flat_map(BTreeMap::keys);
    keywords
        .filter(|name| *name != "$ref" && !TEXTS.contains(&name.as_str()))
        .any(|name| !seen.insert(name))
}

/// The types a schema names.
#[derive(Debug)]
pub(super) struct Types {
    names: BTreeSet<String>,
    pub(super) null: bool,
    pub(super) is_list: bool,
}

impl Types {
    pub(super) fn of(schema: &Schema<'_>) -> Self {
        let mut names = BTreeSet::new();
        let mut is_list = false;
        match schema.keyword("type") {
            Some(Value::String(name)) => {
                names.insert(name.clone());
            }
            Some(Value::Array(list)) => {
                names.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                is_list = names.iter().filter(|name| *name != "null").count() > 1;
            }
            _ => {}
        }
        let null = names.remove("null") || schema.flag("nullable") || schema.flag("x-nullable");
        Self {
            names,
            null,
            is_list,
        }
    }

    /// From these types to others.
    pub(super) fn step(&self, after: &Self) -> Effect {
        let takes = |types: &Self, name: &str| {
            types.names.contains(name) || name == "integer" && types.names.contains("number")
        };
        match (self.names.is_empty(), after.names.is_empty()) {
            (true, true) => return Effect::Nothing,
            (true, false) => return Effect::Shrinks,
            (false, true) => return Effect::Grows,
            (false, false) => {}
        }
        let kept = self.names.iter().all(|name| takes(after, name));
        let known = after.names.iter().all(|name| takes(self, name));
        match (kept, known) {
            (true, true) => Effect::Nothing,
            (true, false) => Effect::Grows,
            (false, true) => Effect::Shrinks,
            (false, false) => Effect::Differs,
        }
    }
}

impl std::fmt::Display for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.names.is_empty() {
            return f.write_str("any");
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        f.write_str(&shown(&names.join("|")))
    }
}

/// Which end a bound is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    High,
    Low,
}

/// How a bound changed.
pub(super) fn bound(
    before: Option<&Value>,
    after: Option<&Value>,
    end: End,
) -> (&'static str, Effect) {
    let exact = |value: &Value| -> Option<Decimal> { value.as_number()?.to_decimal() };
    match (before, after) {
        // OpenAPI 3.0 writes exclusive bounds as flags.
        (None | Some(Value::Bool(false)), None | Some(Value::Bool(false))) => {
            ("changed", Effect::Nothing)
        }
        (None | Some(Value::Bool(false)), _) => ("set", Effect::Shrinks),
        (_, None | Some(Value::Bool(false))) => ("unset", Effect::Grows),
        (Some(before), Some(after)) => {
            let order = exact(before).zip(exact(after));
            match (order.map(|(before, after)| before.cmp(&after)), end) {
                (Some(Ordering::Less), End::High) => ("increased", Effect::Grows),
                (Some(Ordering::Less), End::Low) => ("increased", Effect::Shrinks),
                (Some(Ordering::Greater), End::High) => ("decreased", Effect::Shrinks),
                (Some(Ordering::Greater), End::Low) => ("decreased", Effect::Grows),
                (Some(Ordering::Equal) | None, _) => ("changed", Effect::Differs),
            }
        }
    }
}

/// How a restriction changed.
pub(super) fn added_or_removed<T>(before: Option<T>, after: Option<T>) -> (&'static str, Effect) {
    match (before, after) {
        (None, _) => ("added", Effect::Shrinks),
        (_, None) => ("removed", Effect::Grows),
        (Some(_), Some(_)) => ("changed", Effect::Differs),
    }
}

pub(super) fn required<'d>(schema: &Schema<'d>) -> BTreeSet<&'d str> {
    let list = schema.keyword("required").and_then(Value::as_array);
    list.unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

pub(super) fn or_none(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| shown(&value.to_string()))
}

/// A few values, and how many more.
pub(super) fn several<'v, I: Iterator<Item = &'v Value>>(values: I) -> String {
    let texts: Vec<String> = values.map(|value| shown(&value.to_string())).collect();
    let mut text = texts.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if texts.len() > 5 {
        text.push_str(&format!(" and {} more", texts.len().saturating_sub(5)));
    }
    text
}

/// What an alternative is called.
pub(super) fn called(value: &Value) -> String {
    let text = |name: &str| value.member(name).and_then(Value::as_str);
    let name = text("$ref").map(|reference| reference.rsplit('/').next().unwrap_or(reference));
    let name = name.or_else(|| text("title")).or_else(|| text("type"));
    shown(name.unwrap_or("a schema"))
}

/// Whether a schema only says words.
pub(super) fn is_annotation(value: &Value) -> bool {
    value.as_object().is_some_and(|members| {
        members.keys().all(|name| {
            TEXTS.contains(&name.as_str())
                || name.starts_with("x-")
                || matches!(
                    name.as_str(),
                    "deprecated" | "$comment" | "readOnly" | "writeOnly"
                )
        })
    })
}

/// Whether two alternatives are one.
type Same<'f> = dyn Fn(&Value, &Value) -> bool + 'f;

/// Pairs of places that are the same alternative, and those without partner: by reference, then by equality, then, if one
/// of each is left, those.
pub(super) fn paired(
    before: &[Value],
    after: &[Value],
) -> (Vec<(usize, usize)>, Vec<usize>, Vec<usize>) {
    let mut pairs = Vec::new();
    let mut old: Vec<usize> = (0..before.len()).collect();
    let mut new: Vec<usize> = (0..after.len()).collect();
    let same_name = |left: &Value, right: &Value| {
        let name = |value: &Value| {
            let reference = value.member("$ref").and_then(Value::as_str);
            reference.and_then(|text| text.rsplit('/').next().map(str::to_owned))
        };
        name(left).is_some() && name(left) == name(right)
    };
    let same_title = |left: &Value, right: &Value| {
        let title = |value: &Value| {
            value
                .member("title")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        title(left).is_some() && title(left) == title(right)
    };
    let equal = |left: &Value, right: &Value| left == right;
    let tests: [&Same<'_>; 3] = [&same_name, &equal, &same_title];
    for test in tests {
        old.retain(|left| {
            let partner = new.iter().position(|right| {
                let (left, right) = (before.get(*left), after.get(*right));
                left.zip(right)
                    .is_some_and(|(left, right)| test(left, right))
            });
            match partner {
                Some(partner) => {
                    pairs.push((*left, new.remove(partner)));
                    false
                }
                None => true,
            }
        });
    }
    let inline = |list: &[Value], place: usize| {
        list.get(place)
            .is_some_and(|value| value.member("$ref").is_none())
    };
    if let ([left], [right]) = (old.as_slice(), new.as_slice())
        && inline(before, *left)
        && inline(after, *right)
    {
        pairs.push((*left, *right));
        return (pairs, Vec::new(), Vec::new());
    }
    (pairs, old, new)
}
