//! What a call may hold: types, bounds, open objects, URLs.

use writ_types::Value;

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Body, Outline, Outlined, Parameter, Schema, Step, words};

/// What page sizes are called, lower case, without separators.
const PAGE_SIZES: [&str; 15] = [
    "limit",
    "perpage",
    "pagesize",
    "pagelimit",
    "maxresults",
    "maxitems",
    "count",
    "size",
    "top",
    "first",
    "maxkeys",
    "maxrecords",
    "itemsperpage",
    "pagelen",
    "take",
];
/// What cursors and page numbers are called.
const CURSORS: [&str; 18] = [
    "page",
    "cursor",
    "after",
    "before",
    "offset",
    "startingafter",
    "endingbefore",
    "pagetoken",
    "marker",
    "skip",
    "start",
    "startat",
    "nexttoken",
    "continue",
    "next",
    "startcursor",
    "pagenumber",
    "since",
];
/// Formats that bound a text's length by themselves.
const BOUNDED_FORMATS: [&str; 11] = [
    "date",
    "date-time",
    "time",
    "uuid",
    "ipv4",
    "ipv6",
    "byte-sha256",
    "duration",
    "int64",
    "int32",
    "email",
];

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    for (place, operation) in outline.operations.iter().enumerate() {
        for parameter in &operation.parameters {
            parameter_of(outline, place, parameter, found);
        }
        if let Some(body) = &operation.body {
            body_of(outline, place, body, found);
        }
        pages(outline, operation, place, found);
    }
}

fn parameter_of(outline: &Outline<'_>, place: usize, parameter: &Parameter<'_>, found: &mut Found) {
    let pointer = &parameter.node.pointer;
    let name = format!("{} parameter `{}`", parameter.place, shown(parameter.name));
    let described = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    let schema = parameter.schema.as_ref();
    let read = schema.map(|schema| outline.schema(schema.value));
    let from_schema = read.as_ref().and_then(|schema| schema.text("description"));
    if !described(parameter.node.text("description")) && !described(from_schema) {
        found.of_operation(
            Rule::ParameterUndescribed,
            place,
            pointer.clone(),
            name.clone(),
        );
    }
    let (Some(schema), Some(read)) = (schema, read) else {
        found.of_operation(Rule::ParameterUntyped, place, pointer.clone(), name);
        return;
    };
    if read.is_untyped() && !read.broken {
        found.of_operation(Rule::ParameterUntyped, place, pointer.clone(), name.clone());
    }
    if is_free(&read) {
        found.of_operation(
            Rule::ParameterUnconstrained,
            place,
            pointer.clone(),
            name.clone(),
        );
    }
    if is_url(parameter.name, &read) {
        found.of_operation(Rule::UrlParameter, place, pointer.clone(), name);
    }
    outline.walk(schema, &mut |step| {
        bounds(step, place, parameter.name, found)
    });
}

fn body_of(outline: &Outline<'_>, place: usize, body: &Body<'_>, found: &mut Found) {
    for field in &body.form {
        parameter_of(outline, place, field, found);
    }
    if body.media.is_empty() && body.form.is_empty() {
        let message = "a body without a media type";
        found.of_operation(Rule::BodyUntyped, place, body.node.pointer.clone(), message);
    }
    for (range, schema) in &body.media {
        let structured = range.contains("json") || range.contains("form") || range.contains('*');
        if !structured {
            continue;
        }
        let says_nothing = match schema {
            None => body.form.is_empty(),
            Some(schema) => {
                let read = outline.schema(schema.value);
                read.is_untyped() && !read.broken
            }
        };
        if says_nothing {
            let message = format!("the `{}` body is not described", shown(range));
            found.of_operation(Rule::BodyUntyped, place, body.node.pointer.clone(), message);
            continue;
        }
        let Some(schema) = schema else { continue };
        outline.walk(schema, &mut |step| {
            open(step, place, found);
            property(step, place, found);
            bounds(step, place, step.name.unwrap_or("the body"), found);
        });
    }
}

/// An object that takes what it does not declare. Parts of an `allOf` are judged with the whole.
fn open(step: &Step<'_, '_>, place: usize, found: &mut Found) {
    let schema = step.schema;
    let closed = matches!(
        schema.keyword("additionalProperties"),
        Some(Value::Bool(false) | Value::Object(_))
    ) || schema.keyword("unevaluatedProperties") == Some(&Value::Bool(false));
    if schema.is_object() && schema.has("properties") && !closed {
        let name = step.name.unwrap_or("the body");
        let message = format!("`{}` takes more than it declares", shown(name));
        found.of_operation(Rule::BodyOpen, place, step.pointer(), message);
    }
}

fn property(step: &Step<'_, '_>, place: usize, found: &mut Found) {
    let Some(name) = step.name else { return };
    let schema = step.schema;
    if schema.flag("readOnly") {
        return;
    }
    let described = ["description", "title"].iter().any(|keyword| {
        schema
            .text(keyword)
            .is_some_and(|text| !text.trim().is_empty())
    });
    if step.depth == 1 && !described && !schema.has("$ref") {
        let message = format!("body property `{}`", shown(name));
        found.of_operation(Rule::ParameterUndescribed, place, step.pointer(), message);
    }
    if is_url(name, schema) {
        let message = format!("body property `{}`", shown(name));
        found.of_operation(Rule::UrlParameter, place, step.pointer(), message);
    }
}

fn bounds(step: &Step<'_, '_>, place: usize, name: &str, found: &mut Found) {
    let schema = step.schema;
    if schema.flag("readOnly") || schema.has("enum") || schema.has("const") {
        return;
    }
    let mut report = |rule| {
        let message = format!("`{}`", shown(name));
        found.of_operation(rule, place, step.pointer(), message);
    };
    let format = schema.text("format").unwrap_or_default();
    if schema.is_type("string")
        && !schema.has("maxLength")
        && !schema.has("pattern")
        && !BOUNDED_FORMATS.contains(&format)
    {
        report(Rule::StringUnbounded);
    }
    if schema.is_type("array") && !schema.has("maxItems") {
        report(Rule::ArrayUnbounded);
    }
    let number = schema.is_type("integer") || schema.is_type("number");
    let low = schema.has("minimum") || schema.has("exclusiveMinimum");
    let high = schema.has("maximum") || schema.has("exclusiveMaximum");
    if number && !(low && high) && format != "int32" {
        report(Rule::IntegerUnbounded);
    }
}

/// A text that may be anything.
fn is_free(schema: &Schema<'_>) -> bool {
    schema.is_type("string")
        && !["enum", "const", "format", "pattern"]
            .iter()
            .any(|keyword| schema.has(keyword))
}

/// Whether a text of the request names where something is.
fn is_url(name: &str, schema: &Schema<'_>) -> bool {
    if !schema.is_type("string") || schema.has("enum") || schema.has("const") {
        return false;
    }
    if matches!(schema.text("format"), Some("uri" | "url" | "uri-reference")) {
        return true;
    }
    words(name).iter().any(|word| {
        matches!(
            word.as_str(),
            "url" | "uri" | "callback" | "webhook" | "href" | "redirect"
        )
    })
}

/// A name as [`PAGE_SIZES`] writes it, whole and in its last part: `page[size]` is a page size.
fn squeezed(name: &str) -> [String; 2] {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|char| char.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let last = name.rsplit(['[', '.']).next().unwrap_or(name);
    [plain(name), plain(last)]
}

fn pages(outline: &Outline<'_>, operation: &Outlined<'_>, place: usize, found: &mut Found) {
    let query = || {
        operation
            .parameters
            .iter()
            .filter(|one| one.place == "query")
    };
    let mut paged = false;
    for parameter in query() {
        let names = squeezed(parameter.name);
        let is_of = |list: &[&str]| names.iter().any(|name| list.contains(&name.as_str()));
        if is_of(&CURSORS) {
            paged = true;
        }
        if !is_of(&PAGE_SIZES) {
            continue;
        }
        paged = true;
        let schema = parameter.schema.as_ref();
        let bounded = schema.is_some_and(|schema| {
            let schema = outline.schema(schema.value);
            ["maximum", "exclusiveMaximum", "enum"]
                .iter()
                .any(|keyword| schema.has(keyword))
        });
        if !bounded && operation.method == "GET" {
            let message = format!("`{}`", shown(parameter.name));
            let pointer = parameter.node.pointer.clone();
            found.of_operation(Rule::PageSizeUnbounded, place, pointer, message);
        }
    }
    if operation.method == "GET" && !paged && is_list(outline, operation) {
        let message = format!("GET {}", shown(operation.path));
        let pointer = operation.node.pointer.clone();
        found.of_operation(Rule::ListUnpaginated, place, pointer, message);
    }
}

/// Whether the first success response is a list, or an object around one.
fn is_list(outline: &Outline<'_>, operation: &Outlined<'_>) -> bool {
    let success = operation
        .responses
        .iter()
        .find(|(code, _)| code.starts_with('2'));
    let schema = success.and_then(|(_, response)| response.media.values().flatten().next());
    let Some(schema) = schema else { return false };
    let schema = outline.schema(schema.value);
    if schema.is_type("array") {
        return true;
    }
    let Some(Value::Object(properties)) = schema.keyword("properties") else {
        return false;
    };
    ["items", "data", "results", "values", "entries", "records"]
        .iter()
        .filter_map(|name| properties.get(*name))
        .any(|property| outline.schema(property).is_type("array"))
}
