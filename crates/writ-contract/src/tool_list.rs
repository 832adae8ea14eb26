//! An MCP server's tools as a contract: the result of `tools/list`, pinned as it was read.
//!
//! Each tool becomes `POST /{name}` with its arguments as the JSON body, in the words of OpenAPI 3.1, so that everything that
//! reads, checks, reviews and compares contracts reads this one too. What a tool says of itself (its description, its schema)
//! is kept as it stands in the pinned document: what the server says later reaches no model.

use std::collections::BTreeMap;

use writ_types::Value;

use crate::diagnostic::Sink;
use crate::operation::Operation;

/// Longest description that is kept, in characters.
const LONGEST_DESCRIPTION: usize = 4 * 1024;
/// Longest name of a tool (MCP 2025-11-25, tool names).
const LONGEST_NAME: usize = 128;
/// Schema members that hold data, not schemas.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];
/// Asks for arguments to be repeated in header fields, which is not done.
const MIRRORED: &str = "x-mcp-header";

/// What an MCP server says of one of its tools, as it was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedTool {
    /// Its description, without control characters. A stranger's text.
    pub description: Option<String>,
    /// The schema of its arguments, as the server wrote it.
    pub input_schema: Value,
}

/// The tools of a pinned list by name.
pub(crate) type Pinned = BTreeMap<String, PinnedTool>;

/// Turns a list of tools into the OpenAPI document it means; any other document stays as it is.
pub(crate) fn convert(document: &mut Value, sink: &mut Sink) -> Pinned {
    let is_other = ["openapi", "swagger"]
        .iter()
        .any(|name| document.member(name).is_some());
    let Some(tools) = document
        .member("tools")
        .and_then(Value::as_array)
        .filter(|_| !is_other)
    else {
        return Pinned::new();
    };
    let root = writ_types::Pointer::root().child("tools");
    let mut pinned = Pinned::new();
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
                pinned.insert(name.to_owned(), tool);
            }
            Err(fault) => sink.error(&pointer, None, fault),
        }
    }
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
    pinned
}

/// Gives the operations what was pinned of their tools. Whatever a tool answers, a stranger may have written.
pub(crate) fn pin(operations: &mut [Operation], mut pinned: Pinned) {
    for operation in operations {
        if let Some(tool) = pinned.remove(operation.action.operation.as_str()) {
            operation.said.labels.insert(writ_types::Label::untrusted());
            operation.pinned = Some(Box::new(tool));
        }
    }
}

fn read(tool: &Value) -> Result<(&str, PinnedTool), &'static str> {
    let name = tool.member("name").and_then(Value::as_str);
    let name = name.ok_or("a tool has no name")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty()
        || name.len() > LONGEST_NAME
        || !name.bytes().all(plain)
        || matches!(name, "." | "..")
    {
        return Err("a tool's name is not 1 to 128 of `A-Z a-z 0-9 _ - .`");
    }
    let schema = tool.member("inputSchema");
    let schema = schema.filter(|schema| schema.as_object().is_some());
    let input_schema = schema.ok_or("a tool has no input schema")?.clone();
    if mentions(&input_schema, MIRRORED) {
        return Err("a tool wants arguments repeated in header fields, which is not done");
    }
    let description = tool.member("description").and_then(Value::as_str);
    let description = description.map(|text| {
        text.chars()
            .filter(|char| !char.is_control() || *char == '\n')
            .take(LONGEST_DESCRIPTION)
            .collect()
    });
    Ok((
        name,
        PinnedTool {
            description,
            input_schema,
        },
    ))
}

/// The operation that calls a tool.
fn path_item(name: &str, tool: &PinnedTool) -> Value {
    let mut schema = tool.input_schema.clone();
    let place = format!("#/paths/~1{name}/post/requestBody/content/application~1json/schema");
    move_references(&mut schema, &place);
    let media = Value::object([("application/json", Value::object([("schema", schema)]))]);
    let body = Value::object([("required", Value::from(true)), ("content", media)]);
    let mut operation = vec![("operationId", Value::from(name)), ("requestBody", body)];
    let description = tool.description.as_deref().map(Value::from);
    operation.extend(description.map(|text| ("description", text)));
    Value::object([("post", Value::object(operation))])
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
