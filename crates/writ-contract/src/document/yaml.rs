//! YAML 1.2, core schema (§10.3), into JSON values.
//!
//! Keys become strings (`200:` is the response code `200`). Anchors are copied, and the copies count against the
//! number of values, so that a billion laughs end early. A duplicate key is an error; a merge key (`<<`) adds what the
//! mapping does not say itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use writ_types::{JsonLimits, Number, Pointer, Value};

use super::Unreadable;

/// Most values of a YAML document, copies of anchors included.
const MOST_VALUES: usize = 2_000_000;

/// Most bytes scanned again for brackets that stand too far to the left.
const MOST_RESCANNED: usize = 256 * 1024 * 1024;

/// Reads a document, mending what [`indented`] mends.
pub(super) fn read(text: &str) -> Result<Value, Unreadable> {
    let text = indented(text)?;
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(&text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|fault| unreadable(&fault))?;
        let line = u32::try_from(span.start.line()).ok();
        let told = builder.event(event);
        told.map_err(|message| Unreadable {
            pointer: builder.place(),
            ..Unreadable::new(line, message)
        })?;
    }
    builder
        .root
        .ok_or_else(|| Unreadable::new(Some(1), "the document is empty"))
}

fn unreadable(fault: &ScanError) -> Unreadable {
    Unreadable::new(
        u32::try_from(fault.marker().line()).ok(),
        format!("not YAML: {}", fault.info()),
    )
}

/// The text, with a space before each closing bracket that begins a line no deeper than the key it belongs to.
///
/// YAML 1.2 §8.2.3 wants a flow collection deeper than its parent; libyaml and most readers let the closing bracket
/// stand below the key, and real contracts rely on it. Nothing else is mended.
pub(super) fn indented(text: &str) -> Result<Cow<'_, str>, Unreadable> {
    let mut text = Cow::Borrowed(text);
    let mut scanned = 0usize;
    loop {
        let fault = {
            let mut parser = Parser::new_from_str(&text);
            loop {
                match parser.next_event() {
                    None => break None,
                    Some(Ok(_)) => {}
                    Some(Err(fault)) => break Some(fault),
                }
            }
        };
        let Some(fault) = fault else { return Ok(text) };
        scanned = scanned.saturating_add(text.len());
        let bracket = line_start(&text, fault.marker().line()).and_then(|start| {
            let rest = text.get(start..)?;
            let spaces = rest.find(|char| char != ' ')?;
            let at = start.checked_add(spaces)?;
            text.get(at..)?.starts_with(['}', ']']).then_some(at)
        });
        match bracket {
            Some(at) if fault.info() == "invalid indentation" && scanned < MOST_RESCANNED => {
                text.to_mut().insert(at, ' ');
            }
            Some(_) | None => return Err(unreadable(&fault)),
        }
    }
}

/// The byte at which a line begins; lines count from 1.
fn line_start(text: &str, line: usize) -> Option<usize> {
    let Some(breaks) = line.checked_sub(2) else {
        return Some(0);
    };
    let (at, _) = text.match_indices('\n').nth(breaks)?;
    at.checked_add(1)
}

/// A value with what it costs to copy it.
#[derive(Debug, Clone)]
struct Node {
    value: Value,
    values: usize,
    depth: usize,
    /// A plain `<<`, which merges where it is a key.
    merge: bool,
}

#[derive(Debug)]
enum Open {
    Sequence {
        anchor: usize,
        items: Vec<Value>,
        values: usize,
        depth: usize,
    },
    Mapping {
        anchor: usize,
        members: BTreeMap<String, Value>,
        merged: Vec<Value>,
        key: Option<Key>,
        values: usize,
        depth: usize,
    },
}

#[derive(Debug)]
enum Key {
    Name(String),
    Merge,
}

#[derive(Debug, Default)]
struct Builder {
    root: Option<Value>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
}

impl Builder {
    /// The place of what is being read: below all that is open.
    fn place(&self) -> Pointer {
        let below = |pointer: Pointer, open: &Open| match open {
            Open::Sequence { items, .. } => pointer.item(items.len()),
            Open::Mapping { key, .. } => match key {
                Some(Key::Name(name)) => pointer.child(name),
                Some(Key::Merge) => pointer.child("<<"),
                None => pointer,
            },
        };
        self.open.iter().fold(Pointer::root(), below)
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err("more than one YAML document".to_owned())
            }
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => {
                let node = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or("an alias to an anchor that is not complete here")?;
                self.count(node.values)?;
                self.add(node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(&text, style, tag.as_deref())?;
                self.count(node.values)?;
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                self.begin(Open::Sequence {
                    anchor,
                    items: Vec::new(),
                    values: 1,
                    depth: 1,
                })
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                self.begin(Open::Mapping {
                    anchor,
                    members: BTreeMap::new(),
                    merged: Vec::new(),
                    key: None,
                    values: 1,
                    depth: 1,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= JsonLimits::DOCUMENT.depth {
            return Err("nested too deeply".to_owned());
        }
        self.open.push(open);
        self.count(1)
    }

    fn close(&mut self) -> Result<(), String> {
        let (node, anchor) = match self.open.pop() {
            Some(Open::Sequence {
                anchor,
                items,
                values,
                depth,
            }) => (node(Value::Array(items), values, depth), anchor),
            Some(Open::Mapping {
                anchor,
                mut members,
                merged,
                key: _,
                values,
                depth,
            }) => {
                for source in merged {
                    merge(&mut members, source)?;
                }
                (node(Value::Object(members), values, depth), anchor)
            }
            None => return Err("a collection ends that did not begin".to_owned()),
        };
        self.finish(node, anchor)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            // The kept copy is memory too.
            self.count(node.values)?;
        }
        self.add(node)
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(values);
        if self.values > MOST_VALUES {
            return Err("too many values, copies of anchors included".to_owned());
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node) -> Result<(), String> {
        if self.open.len().saturating_add(node.depth) > JsonLimits::DOCUMENT.depth {
            return Err("nested too deeply".to_owned());
        }
        match self.open.last_mut() {
            None => {
                self.root = Some(node.value);
                Ok(())
            }
            Some(Open::Sequence {
                items,
                values,
                depth,
                anchor: _,
            }) => {
                *values = values.saturating_add(node.values);
                *depth = (*depth).max(node.depth.saturating_add(1));
                items.push(node.value);
                Ok(())
            }
            Some(Open::Mapping {
                members,
                merged,
                key,
                values,
                depth,
                anchor: _,
            }) => {
                *values = values.saturating_add(node.values);
                *depth = (*depth).max(node.depth.saturating_add(1));
                match key.take() {
                    None => *key = Some(key_of(node)?),
                    Some(Key::Merge) => merged.push(node.value),
                    Some(Key::Name(name)) => match members.entry(name) {
                        Entry::Vacant(place) => {
                            place.insert(node.value);
                        }
                        Entry::Occupied(place) => {
                            return Err(format!("the key `{}` stands twice", place.key()));
                        }
                    },
                }
                Ok(())
            }
        }
    }
}

fn node(value: Value, values: usize, depth: usize) -> Node {
    Node {
        value,
        values,
        depth,
        merge: false,
    }
}

fn key_of(node: Node) -> Result<Key, String> {
    if node.merge {
        return Ok(Key::Merge);
    }
    match node.value {
        Value::String(text) => Ok(Key::Name(text)),
        Value::Number(number) => Ok(Key::Name(number.as_str().to_owned())),
        Value::Bool(value) => Ok(Key::Name(value.to_string())),
        Value::Null => Ok(Key::Name("null".to_owned())),
        Value::Array(_) | Value::Object(_) => Err("a key that is a collection".to_owned()),
    }
}

/// What the mapping says itself wins; among several sources the earlier one wins.
fn merge(members: &mut BTreeMap<String, Value>, source: Value) -> Result<(), String> {
    match source {
        Value::Object(source) => {
            for (name, value) in source {
                members.entry(name).or_insert(value);
            }
            Ok(())
        }
        Value::Array(sources) if sources.iter().all(|one| one.as_object().is_some()) => sources
            .into_iter()
            .try_for_each(|source| merge(members, source)),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("a merge key (`<<`) takes a mapping or a list of mappings".to_owned())
        }
    }
}

fn collection_tag(tag: Option<&Tag>, wanted: &str) -> Result<(), String> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == wanted => Ok(()),
        Some(tag) => Err(format!("the tag `{tag}` is not understood")),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, String> {
    let quoted = style != ScalarStyle::Plain;
    let value = match tag {
        None if quoted => Value::from(text),
        None => plain(text)?,
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Value::from(text),
        Some(tag)
            if tag.is_yaml_core_schema()
                && matches!(tag.suffix.as_str(), "int" | "float" | "bool" | "null") =>
        {
            plain(text)?
        }
        // The non-specific tag `!` makes a string.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Value::from(text),
        Some(tag) => return Err(format!("the tag `{tag}` is not understood")),
    };
    Ok(Node {
        merge: !quoted && tag.is_none() && text == "<<",
        ..node(value, 1, 0)
    })
}

/// The core schema's table of plain scalars.
fn plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            if matches!(unsigned, ".inf" | ".Inf" | ".INF")
                || matches!(text, ".nan" | ".NaN" | ".NAN")
            {
                return Err(format!("`{text}` is no JSON number"));
            }
            number(text).map_or_else(|| Value::from(text), Value::Number)
        }
    })
}

/// A number of the core schema in JSON's grammar, digits kept.
fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| {
        let good = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        let value = u128::from_str_radix(digits, radix).ok().filter(|_| good)?;
        Number::parse(&value.to_string())
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => unsigned.split_at(at),
        None => (unsigned, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    let point = if fraction.is_empty() { "" } else { "." };
    let text = format!("{sign}{whole}{point}{fraction}{exponent}");
    if text.len() > JsonLimits::DOCUMENT.number_chars {
        return None;
    }
    Number::parse(&text)
}
