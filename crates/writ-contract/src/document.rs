//! The document reader: bytes to one [`Value`], with places.

mod json_lines;
mod lines;
mod yaml;

use writ_types::{JsonLimits, Limits, Pointer, Value};

pub(crate) use lines::{lines, locate};

/// Longest chain of references from one place.
const REFERENCE_CHAIN: usize = 64;

/// A document that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) pointer: Pointer,
    pub(crate) line: Option<u32>,
    pub(crate) message: String,
}

impl Unreadable {
    fn new(line: Option<u32>, message: impl Into<String>) -> Self {
        Self {
            pointer: Pointer::root(),
            line,
            message: message.into(),
        }
    }
}

/// Reads JSON if the first character begins a JSON object or array, else YAML.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, Unreadable> {
    let most = Limits::default().document_bytes;
    if bytes.len() > most {
        return Err(Unreadable::new(
            None,
            format!("the document is larger than {most} bytes"),
        ));
    }
    if is_json(bytes) {
        return Value::parse(bytes, &JsonLimits::DOCUMENT).map_err(|fault| Unreadable {
            line: Some(lines::line_of(bytes, fault.offset)),
            message: format!("not strict JSON: {}", fault.kind),
            pointer: fault.pointer,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|fault| {
        Unreadable::new(
            Some(lines::line_of(bytes, fault.valid_up_to())),
            "not UTF-8 text",
        )
    })?;
    yaml::read(text)
}

fn is_json(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| matches!(byte, b'{' | b'['))
}

/// Why a `$ref` leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceFault {
    /// Not a text.
    #[error("a `$ref` is no text")]
    NotText,
    /// Out of the document.
    #[error("a reference out of the document is never fetched: bundle the document first")]
    Remote,
    /// An anchor, or a pointer that is not well formed.
    #[error("a reference is no JSON pointer")]
    NotPointer,
    /// To a place that does not exist.
    #[error("a reference leads to a place that does not exist")]
    Missing,
    /// References that only lead to references.
    #[error("references lead in a circle, or too far")]
    Circle,
}

/// The place that a reference names.
pub(crate) fn target(reference: &Value) -> Result<Pointer, ReferenceFault> {
    let text = reference.as_str().ok_or(ReferenceFault::NotText)?;
    let fragment = text.strip_prefix('#').ok_or(ReferenceFault::Remote)?;
    let decoded = if fragment.contains('%') {
        crate::parse::percent::decode(fragment).ok_or(ReferenceFault::NotPointer)?
    } else {
        fragment.to_owned()
    };
    Pointer::parse(&decoded).ok_or(ReferenceFault::NotPointer)
}

/// Follows `$ref` from a value that is no schema (a parameter, a path item, a request body) to what it means.
pub(crate) fn follow<'d>(
    document: &'d Value,
    value: &'d Value,
    pointer: &Pointer,
) -> Result<(&'d Value, Pointer), ReferenceFault> {
    let (mut value, mut pointer) = (value, pointer.clone());
    for _ in 0..REFERENCE_CHAIN {
        let Some(reference) = value.member("$ref") else {
            return Ok((value, pointer));
        };
        pointer = target(reference)?;
        value = document.at(&pointer).ok_or(ReferenceFault::Missing)?;
    }
    Err(ReferenceFault::Circle)
}

/// Most values that inlining copies.
const MOST_COPIED: usize = 500_000;

/// Puts path items and operations where references to them stand, so that every operation stands under `paths` and what is
/// said of it says it of this one alone. A reference that leads nowhere stays, and so does one too much.
pub(crate) fn inline(document: &mut Value) {
    let mut changes = Vec::new();
    let mut copied = 0usize;
    let root = Pointer::root().child("paths");
    let paths = document.member("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let pointer = root.child(path);
        let mut whole = resolved(document, item, &pointer, &mut copied);
        let methods: Vec<String> = whole
            .as_ref()
            .unwrap_or(item)
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| {
                crate::reader::is_method(name) && value.member("$ref").is_some()
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in methods {
            let value = whole.as_ref().unwrap_or(item).member(&name);
            let place = pointer.child(&name);
            let found = value.and_then(|value| resolved(document, value, &place, &mut copied));
            if let (Some(found), Value::Object(members)) =
                (found, whole.get_or_insert_with(|| item.clone()))
            {
                members.insert(name, found);
            }
        }
        inline_additional(document, item, (&pointer, &mut whole), &mut copied);
        changes.extend(whole.map(|whole| (path.clone(), whole)));
    }
    if let Value::Object(members) = document
        && let Some(Value::Object(paths)) = members.get_mut("paths")
    {
        paths.extend(changes);
    }
}

/// The same of the operations that have no member of their own in a path item.
fn inline_additional(
    document: &Value,
    item: &Value,
    (pointer, whole): (&Pointer, &mut Option<Value>),
    copied: &mut usize,
) {
    let now = whole.as_ref().unwrap_or(item);
    let additional = now.member(crate::reader::ADDITIONAL);
    let additional = additional.and_then(Value::as_object);
    let place = pointer.child(crate::reader::ADDITIONAL);
    let found: Vec<(String, Value)> = additional
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let found = resolved(document, value, &place.child(name), copied)?;
            Some((name.clone(), found))
        })
        .collect();
    if found.is_empty() {
        return;
    }
    if let Value::Object(members) = whole.get_or_insert_with(|| item.clone())
        && let Some(Value::Object(additional)) = members.get_mut(crate::reader::ADDITIONAL)
    {
        additional.extend(found);
    }
}

/// How many values a value holds, itself included.
pub(crate) fn count(value: &Value) -> usize {
    let mut count = 0usize;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        count = count.saturating_add(1);
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    count
}

/// What a reference means, with what stands beside it; none if it is no reference, or leads nowhere.
fn resolved(
    document: &Value,
    value: &Value,
    pointer: &Pointer,
    copied: &mut usize,
) -> Option<Value> {
    value.member("$ref")?;
    let (target, _) = follow(document, value, pointer).ok()?;
    *copied = copied.saturating_add(count(target));
    if *copied > MOST_COPIED {
        return None;
    }
    let mut whole = target.clone();
    if let (Value::Object(members), Some(beside)) = (&mut whole, value.as_object()) {
        let beside = beside.iter().filter(|(name, _)| *name != "$ref");
        members.extend(beside.map(|(name, value)| (name.clone(), value.clone())));
    }
    Some(whole)
}

#[cfg(test)]
mod tests;
