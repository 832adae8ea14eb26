//! Operations as MCP tools: a name that leads back to the action, an input schema, and arguments that become a call.
//!
//! A tool's arguments are the call's typed input: an object of `path`, `query`, `header` and `body`, so that bounds,
//! policies and faults name the same places for both doors. They are written as the HTTP request they mean and then
//! read as any HTTP request is, so that nothing can be said through a tool that could not be said in HTTP, and the
//! bytes that are forwarded are the same.

mod schema;
mod write;

use std::collections::BTreeMap;

use writ_types::{ActionName, Digest, Limits, Value};

use crate::contract::Contract;
use crate::fault::{Fault, FaultKind};
use crate::media::MediaKind;
use crate::operation::{Media, Operation, Parsed, RawCall};
use crate::pinned::Pinned;
use crate::schema::Faults;

/// Longest tool name: what the strictest of the model APIs takes.
const LONGEST_NAME: usize = 64;
/// How many digits of a digest tell apart names that had to be changed.
const DIGITS: usize = 12;

/// What a tool's arguments mean as an HTTP request.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The call as the contract reads it; with a fault it is never forwarded.
    pub parsed: Parsed,
    /// The `Content-Type` of the body, if there is one.
    pub content_type: Option<String>,
    /// The body's bytes, which are the ones that were parsed.
    pub body: Vec<u8>,
}

/// The tool names of one contract and the operations they stand for.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// None where two operations would have the name: neither has it.
    by_name: BTreeMap<String, Option<usize>>,
}

impl Tools {
    pub(crate) fn of(operations: &[Operation]) -> Self {
        let mut by_name = BTreeMap::new();
        for (place, operation) in operations.iter().enumerate() {
            let other = operation.pinned().is_some() && operation.pinned_tool().is_none();
            if media(operation).is_some() && !other {
                by_name
                    .entry(name(operation.action()))
                    .and_modify(|taken| *taken = None)
                    .or_insert(Some(place));
            }
        }
        Self { by_name }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        let known = self.by_name.iter();
        known.filter_map(|(name, place)| Some((name.as_str(), (*place)?)))
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        *self.by_name.get(name)?
    }
}

impl Operation {
    /// The JSON Schema (2020-12) of a tool's arguments. It shows what is checked; where it is too large to show, the rest
    /// is checked all the same.
    #[must_use]
    pub fn tool_schema(&self) -> Value {
        match self.pinned_tool() {
            Some(pinned) => pinned.input_schema.clone(),
            None => schema::of(self),
        }
    }

    /// The JSON Schema (2020-12) of a tool's structured content; none where nothing is promised.
    ///
    /// For an operation of HTTP it is an object of the answer's `status` and its `body`. The body is absent where it is not
    /// known to be what the contract says.
    #[must_use]
    pub fn tool_output_schema(&self) -> Option<Value> {
        match self.pinned() {
            Some(Pinned::Tool(tool)) => tool.output_schema.clone(),
            Some(Pinned::Prompt(_) | Pinned::Resources(_) | Pinned::Completion) => None,
            None => schema::of_answers(self),
        }
    }

    /// Whether the contract says of an operation of HTTP what JSON it answers when it succeeds.
    #[must_use]
    pub fn answers_json(&self) -> bool {
        self.pinned().is_none() && schema::answers(self).next().is_some()
    }
}

impl Contract {
    /// Reads a tool's arguments as a call of `operation`, which is one of this contract.
    ///
    /// The arguments are written as a request, the request is routed and read like any other, and what was read must be
    /// what was given.
    #[must_use]
    pub fn read_tool_call(
        &self,
        operation: &Operation,
        arguments: &Value,
        limits: &Limits,
    ) -> ToolCall {
        let whole;
        let arguments = if operation.pinned().is_some() {
            // What an MCP server is given is the body of its operation.
            whole = Value::object([("body", arguments.clone())]);
            &whole
        } else {
            arguments
        };
        let mut faults = Faults::default();
        let written = write::write(operation, arguments, &mut faults);
        let headers: Vec<(&str, &[u8])> = written
            .headers
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_bytes()))
            .collect();
        let query = (!written.query.is_empty()).then_some(written.query.as_str());
        let route = self.resolve_call(operation.method(), &written.path, query, &headers);
        let mut parsed = Parsed {
            input: writ_types::Input::default(),
            faults: Vec::new(),
            target: written.path.clone(),
            headers: Vec::new(),
        };
        match route {
            Ok(route) if std::ptr::eq(route.operation(), operation) => {
                let call = RawCall {
                    query,
                    headers: &headers,
                    content_type: written.content_type.as_deref(),
                    body: &written.body,
                    limits,
                };
                parsed = operation.parse(&route, &call);
            }
            // The path's values lead elsewhere, or nowhere: over HTTP they would too.
            Ok(_) | Err(_) => faults.push("/path", FaultKind::Ambiguous),
        }
        let mut faults = faults.finish("");
        faults.extend(std::mem::take(&mut parsed.faults));
        if faults.is_empty() {
            faults = lost(operation, arguments, &parsed);
        }
        parsed.faults = faults;
        ToolCall {
            parsed,
            content_type: written.content_type,
            body: written.body,
        }
    }
}

/// The places where what was read is not what was given: a value that the declared style cannot carry.
fn lost(operation: &Operation, arguments: &Value, parsed: &Parsed) -> Vec<Fault> {
    let read = parsed.input.to_value();
    let mut faults = Faults::default();
    for parameter in &operation.parameters {
        let place = write::group(parameter.place);
        let of = |value: &Value| value.member(place)?.member(&parameter.name).cloned();
        if of(arguments) != of(&read) {
            let pointer = write::pointer(parameter.place, &parameter.name);
            faults.push(pointer, FaultKind::Unwritable);
        }
    }
    if arguments.member("body") != read.member("body") {
        faults.push("/body", FaultKind::Unwritable);
    }
    faults.finish("")
}

/// The media types of the body that a tool can write, with the content type each is sent as; the first is the default. None if
/// the operation cannot be called without a body that is not read: then it is no tool.
fn media(operation: &Operation) -> Option<Vec<(String, &Media)>> {
    let Some(body) = &operation.body else {
        return Some(Vec::new());
    };
    let mut found: Vec<(String, &Media)> = Vec::new();
    for media in body
        .media
        .iter()
        .filter(|media| media.kind != MediaKind::Opaque)
    {
        let essence = media.range.essence();
        let content_type = essence.unwrap_or_else(|| "application/json".to_owned());
        // Only what would be read as this very media type is offered under its name.
        let same = operation
            .media(&content_type)
            .is_some_and(|taken| std::ptr::eq(taken, media));
        if same {
            found.push((content_type, media));
        }
    }
    (!found.is_empty() || !body.required).then_some(found)
}

/// The name of an action's tool: `api_operation` where that is a name every client takes (`[A-Za-z0-9_-]`, at most 64
/// characters), else what is left of it and a digest. It depends on nothing but the action.
pub(crate) fn name(action: &ActionName) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    let whole = format!("{}_{}", action.api, action.operation);
    if whole.chars().all(plain) && whole.len() <= LONGEST_NAME && !looks_digested(&whole) {
        return whole;
    }
    let longest = LONGEST_NAME.saturating_sub(DIGITS).saturating_sub(1);
    let kept: String = whole
        .chars()
        .map(|char| if plain(char) { char } else { '_' })
        .take(longest)
        .collect();
    let digest = Digest::of(action.to_string().as_bytes());
    let digits: String = digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .chars()
        .take(DIGITS)
        .collect();
    format!("{kept}_{digits}")
}

/// Whether a name could be mistaken for one that was changed.
fn looks_digested(name: &str) -> bool {
    let end = name.rsplit_once('_').map_or("", |(_, end)| end);
    let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    end.len() == DIGITS && end.bytes().all(hex)
}

#[cfg(test)]
mod tests;
