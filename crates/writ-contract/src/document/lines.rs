//! The lines of places: looked up once, after all diagnostics are known, so that reading keeps no positions.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};
use writ_types::Pointer;

use super::json_lines;
use crate::diagnostic::Diagnostic;

/// The line of a byte, from 1.
pub(super) fn line_of(bytes: &[u8], offset: usize) -> u32 {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks.saturating_add(1)).unwrap_or(u32::MAX)
}

/// Fills in the lines of `diagnostics`. A place that is not found keeps no line.
pub(crate) fn locate(bytes: &[u8], diagnostics: &mut [Diagnostic]) {
    let pointers: Vec<&Pointer> = diagnostics.iter().map(|found| &found.pointer).collect();
    let found = lines(bytes, &pointers);
    for diagnostic in diagnostics {
        if diagnostic.line.is_none() {
            let whole = diagnostic.pointer.as_str().is_empty();
            let line = found.get(diagnostic.pointer.as_str()).copied();
            diagnostic.line = line.or_else(|| whole.then_some(1));
        }
    }
}

/// The line of each place that is found, from 1.
pub(crate) fn lines(bytes: &[u8], pointers: &[&Pointer]) -> BTreeMap<String, u32> {
    let wanted = Wanted::of(pointers);
    if wanted.below.is_empty() {
        return BTreeMap::new();
    }
    if super::is_json(bytes) {
        return json_lines::walk(bytes, &wanted);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return BTreeMap::new();
    };
    super::yaml::indented(text)
        .map(|text| walk(&text, &wanted))
        .unwrap_or_default()
}

/// The pointers looked for, as a tree of tokens.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) pointer: Option<String>,
    pub(super) below: BTreeMap<String, Self>,
}

impl Wanted {
    fn of(pointers: &[&Pointer]) -> Self {
        let mut root = Self::default();
        for pointer in pointers {
            let mut node = &mut root;
            for token in pointer.tokens() {
                node = node.below.entry(token.into_owned()).or_default();
            }
            node.pointer = Some(pointer.as_str().to_owned());
        }
        root
    }
}

enum Place {
    Sequence(usize),
    /// The key that waits for its value.
    Mapping(Option<String>),
}

/// One pass over the text; `path` holds, for every open collection, what is wanted below it.
fn walk(text: &str, wanted: &Wanted) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut path: Vec<(Place, Option<&Wanted>)> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    let mut key_line = 0;
    while let Some(Ok((event, span))) = parser.next_event() {
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        let (opens, scalar) = match event {
            Event::SequenceStart(..) => (Some(Place::Sequence(0)), None),
            Event::MappingStart(..) => (Some(Place::Mapping(None)), None),
            Event::Scalar(text, ..) => (None, Some(text)),
            Event::Alias(_) => (None, None),
            Event::SequenceEnd | Event::MappingEnd => {
                path.pop();
                continue;
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        let here = match path.last_mut() {
            None => Some(wanted),
            Some((Place::Sequence(index), below)) => {
                let token = index.to_string();
                *index = index.saturating_add(1);
                key_line = line;
                below.and_then(|below| below.below.get(&token))
            }
            Some((Place::Mapping(key), below)) => match key.take() {
                None => {
                    *key = Some(scalar.map(std::borrow::Cow::into_owned).unwrap_or_default());
                    key_line = line;
                    continue;
                }
                Some(key) => below.and_then(|below| below.below.get(&key)),
            },
        };
        if let Some(pointer) = here.and_then(|here| here.pointer.clone()) {
            let line = key_line.max(1);
            found.entry(pointer).or_insert(line);
        }
        if let Some(place) = opens {
            path.push((place, here));
        }
    }
    found
}
