//! What an MCP server has as a contract: the results of its lists, pinned as they were read.
//!
//! The document is an object with the members of those results: `tools`, and if the server has them `prompts`, `resources`,
//! `resourceTemplates` and the `capabilities` of `server/discover` or `initialize`. The `protocolVersion` beside them is the revision that
//! the server is spoken to in. Each tool becomes `POST /{name}` with its arguments as the JSON body, in
//! the words of OpenAPI 3.1, so that everything that reads, checks, reviews and compares contracts reads this one too; prompts, resources and
//! completion become operations beside them (`offers`). What a tool says of itself (its description, its schemas)
//! is kept as it stands in the pinned document: what the server says later reaches no model.

mod offers;
mod revision;

use std::collections::BTreeMap;

use writ_types::Value;

use crate::diagnostic::Sink;
use crate::operation::Operation;
use crate::pinned::{Pinned, PinnedTool};

pub use revision::McpRevision;

/// Longest description that is kept, in characters.
const LONGEST_DESCRIPTION: usize = 4 * 1024;
/// Longest name of a tool (MCP 2025-11-25, tool names).
const LONGEST_NAME: usize = 128;
/// Schema members that hold data, not schemas.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];
/// Asks for an argument to be repeated in a header field.
const MIRRORED: &str = "x-mcp-header";

/// What was pinned, by the ids of its operations.
type Pins = BTreeMap<String, Pinned>;

/// What a document of lists means.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pins: Pins,
    /// The revision its server speaks; none for a document that is none of lists.
    pub(crate) revision: Option<McpRevision>,
}

/// Turns a list of tools into the OpenAPI document it means; any other document stays as it is, and so does one of a server
/// whose revision is not spoken here.
pub(crate) fn convert(document: &mut Value, sink: &mut Sink) -> Found {
    let is_other = ["openapi", "swagger"]
        .iter()
        .any(|name| document.member(name).is_some());
    let Some(tools) = document
        .member("tools")
        .and_then(Value::as_array)
        .filter(|_| !is_other)
    else {
        return Found::default();
    };
    let Some(revision) = McpRevision::of(document) else {
        let place = writ_types::Pointer::root().child(revision::MEMBER);
        sink.error(&place, None, revision::UNKNOWN);
        return Found::default();
    };
    let root = writ_types::Pointer::root().child("tools");
    let mut pinned = Pins::new();
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    for (index, tool) in tools.iter().enumerate() {
        let pointer = root.item(index);
        match read(tool) {
            Ok((name, _)) if pinned.contains_key(name) => {
                // Which of the two a call would reach, the server decides: neither is called.
                sink.error(&pointer, Some(name), "two tools have this name");
                paths.remove(&format!("/{name}"));
            }
            Ok((name, tool)) => {
                paths.insert(format!("/{name}"), path_item(name, &tool));
                pinned.insert(name.to_owned(), Pinned::Tool(tool));
            }
            Err(fault) => sink.error(&pointer, None, fault),
        }
    }
    offers::add(document, &mut paths, &mut pinned, sink);
    let text = |name: &str| {
        Value::from(
            document
                .member(name)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )
    };
    let info = Value::object([("title", text("title")), ("version", text("version"))]);
    *document = Value::object([
        ("openapi", Value::from("3.1.0")),
        ("info", info),
        ("paths", Value::Object(paths)),
    ]);
    Found {
        pins: pinned,
        revision: Some(revision),
    }
}

/// Gives the operations what was pinned of them. Whatever the server answers, a stranger may have written.
pub(crate) fn pin(operations: &mut [Operation], found: Found) {
    let mut pins = found.pins;
    for operation in operations {
        if let Some(found) = pins.remove(operation.action.operation.as_str()) {
            operation.said.labels.insert(writ_types::Label::untrusted());
            operation.pinned = Some(Box::new(found));
        }
    }
}

fn read(tool: &Value) -> Result<(&str, PinnedTool), &'static str> {
    let name = tool.member("name").and_then(Value::as_str);
    let name = name.ok_or("a tool has no name")?;
    if !is_name(name) {
        return Err("a tool's name is not 1 to 128 of `A-Z a-z 0-9 _ - .`");
    }
    let schema = tool.member("inputSchema");
    let schema = schema.filter(|schema| schema.as_object().is_some());
    let input_schema = schema.ok_or("a tool has no input schema")?.clone();
    let mirrored = mirrored(&input_schema).ok_or(
        "a tool wants arguments repeated in header fields that are no plain members of its arguments, or have no names of their own",
    )?;
    let output_schema = match tool.member("outputSchema") {
        None => None,
        Some(schema) if schema.as_object().is_some() => Some(schema.clone()),
        Some(_) => return Err("a tool's output schema is no object"),
    };
    let description = tool.member("description").and_then(Value::as_str);
    Ok((
        name,
        PinnedTool {
            description: description.map(words),
            input_schema,
            output_schema,
            mirrored,
        },
    ))
}

/// Whether a name is one of MCP's (2025-11-25, tool names), and no dot segment.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = 1..=LONGEST_NAME;
    length.contains(&name.len()) && name.bytes().all(plain) && !matches!(name, "." | "..")
}

/// A stranger's text without control characters, cut.
fn words(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_control() || *char == '\n')
        .take(LONGEST_DESCRIPTION)
        .collect()
}

/// The operation that calls a tool.
fn path_item(name: &str, tool: &PinnedTool) -> Value {
    let place = format!("#/paths/~1{name}/post");
    let mut schema = tool.input_schema.clone();
    let at = format!("{place}/requestBody/content/application~1json/schema");
    move_references(&mut schema, &at);
    let result = tool.output_schema.clone().map(|mut schema| {
        let at = format!(
            "{place}/responses/200/content/application~1json/schema/properties/structuredContent"
        );
        move_references(&mut schema, &at);
        result_of(schema)
    });
    let replies = result.map_or_else(
        || Value::object::<&str>([]),
        |schema| {
            let mut replies = BTreeMap::from([("200".to_owned(), reply(schema))]);
            replies.extend(others());
            Value::Object(replies)
        },
    );
    operation(name, tool.description.as_deref(), schema, replies)
}

/// What a tool's result must be where it says what its structured content is: that, or a failure.
fn result_of(structured: Value) -> Value {
    let is = |schema: &'static str| Value::object([("type", Value::from(schema))]);
    let properties = Value::object([
        ("content", is("array")),
        ("isError", is("boolean")),
        ("structuredContent", structured),
    ]);
    let required = |names: &[&str]| {
        let names = names.iter().map(|name| Value::from(*name));
        ("required", Value::Array(names.collect()))
    };
    let failed = Value::object([("enum", Value::Array(vec![Value::from(true)]))]);
    let failed = Value::object([("isError", failed)]);
    let either = vec![
        Value::object([required(&["structuredContent"])]),
        Value::object([required(&["isError"]), ("properties", failed)]),
    ];
    Value::object([
        ("type", Value::from("object")),
        ("properties", properties),
        required(&["content"]),
        ("anyOf", Value::Array(either)),
    ])
}

/// One operation in OpenAPI's words: what it is given, and what it answers as far as that is said.
fn operation(id: &str, description: Option<&str>, given: Value, replies: Value) -> Value {
    let Value::Object(mut body) = reply(given) else {
        return Value::Null;
    };
    body.insert("required".to_owned(), Value::from(true));
    let mut members = vec![
        ("operationId", Value::from(id)),
        ("requestBody", Value::Object(body)),
        ("responses", replies),
    ];
    members.extend(description.map(|text| ("description", Value::from(text))));
    Value::object([("post", Value::object(members))])
}

/// What is answered beside a result: a question to the client, which nobody's schema describes, and the server's refusal.
fn others() -> [(String, Value); 2] {
    let object = Value::object([("type", Value::from("object"))]);
    let error = Value::object([("error", object)]);
    let refused = Value::object([("type", Value::from("object")), ("properties", error)]);
    let asks = Value::object([("description", Value::from(""))]);
    [("202".to_owned(), asks), ("4XX".to_owned(), reply(refused))]
}

/// JSON of this schema.
fn reply(schema: Value) -> Value {
    let json = Value::object([("schema", schema)]);
    Value::object([("content", Value::object([("application/json", json)]))])
}

/// References within a tool's schema begin at that schema.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if DATA.contains(&name.as_str()) {
                    continue;
                }
                if let Value::String(text) = value
                    && name == "$ref"
                    && text.starts_with('#')
                {
                    *text = text.replacen('#', place, 1);
                }
                move_references(value, place);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| move_references(item, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The arguments that are repeated in header fields (MCP 2026-07-28, `x-mcp-header`), by the field's own name in lower case.
///
/// None if one is not a text, a whole number or a truth that stands directly in the arguments, or if a name is none or stands twice: a
/// client has to leave such a tool out.
fn mirrored(schema: &Value) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = schema.clone();
    let properties = match &mut rest {
        Value::Object(members) => members.get_mut("properties"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    };
    if let Some(Value::Object(properties)) = properties {
        for (argument, property) in properties {
            let Value::Object(members) = property else {
                continue;
            };
            let Some(name) = members.remove(MIRRORED) else {
                continue;
            };
            let kind = members.get("type").and_then(Value::as_str);
            let name = name.as_str().filter(|name| is_name(name))?;
            let plain = matches!(kind, Some("string" | "integer" | "boolean"));
            let taken = found.insert(name.to_ascii_lowercase(), argument.clone());
            if !plain || taken.is_some() {
                return None;
            }
        }
    }
    (!mentions(&rest, MIRRORED)).then_some(found)
}

fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key(name) || members.values().any(|value| mentions(value, name))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests;
