//! A document of many files, made into one that needs no other.
//!
//! No I/O: whoever holds the files is asked for one after the other, by its path relative to the folder of the first.
//! Every file that is referred to stands whole under one key of the result, and every reference leads there. What lies outside the
//! folder, or on another machine, is never asked for: a reference to it stays as it is, and the reader refuses what needs it.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Limits, Pointer, Value};

use crate::diagnostic::{Diagnostic, Sink};
use crate::document;

/// The key under which the other files stand.
const KEY: &str = "x-bundled";
/// Most files of one document.
const MOST_FILES: usize = 20_000;

/// A document that is being put together.
#[derive(Debug)]
pub struct Bundler {
    root: String,
    files: BTreeMap<String, Value>,
    wanted: BTreeSet<String>,
    absent: BTreeMap<String, String>,
    bytes: usize,
}

/// A document that needs no other file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The document, as JSON with one member to a line.
    pub document: String,
    /// How many other files stand in it.
    pub files: usize,
    /// Files that are referred to and are not in it, each with why.
    pub absent: BTreeMap<String, String>,
}

impl Bundler {
    /// Begins with the document that names the others; `path` is its name in the folder.
    ///
    /// # Errors
    ///
    /// What is wrong with its text.
    pub fn new(path: &str, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let mut bundler = Self {
            root: path.to_owned(),
            files: BTreeMap::new(),
            wanted: BTreeSet::new(),
            absent: BTreeMap::new(),
            bytes: bytes.len(),
        };
        let value = document::read(bytes).map_err(|fault| {
            let mut sink = Sink::default();
            sink.error(&fault.pointer, None, fault.message);
            let mut diagnostics = sink.into_diagnostics();
            for diagnostic in &mut diagnostics {
                diagnostic.line = fault.line;
            }
            diagnostics
        })?;
        bundler.take(path.to_owned(), value);
        Ok(bundler)
    }

    /// The next file that is needed: a relative path with `/`, never out of the folder. None if all were given.
    #[must_use]
    pub fn wanted(&self) -> Option<&str> {
        self.wanted.first().map(String::as_str)
    }

    /// Gives a file that was asked for.
    pub fn give(&mut self, path: &str, bytes: &[u8]) {
        if !self.wanted.remove(path) {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        let most = Limits::default().document_bytes;
        let fault = if self.bytes > most || self.files.len() >= MOST_FILES {
            format!("the files together are more than {most} bytes or {MOST_FILES} files")
        } else {
            match document::read(bytes) {
                Ok(value) => {
                    self.take(path.to_owned(), value);
                    return;
                }
                Err(fault) => match fault.line {
                    Some(line) => format!("line {line}: {}", fault.message),
                    None => fault.message,
                },
            }
        };
        self.absent.insert(path.to_owned(), fault);
    }

    /// Says that a file that was asked for cannot be had, and why.
    pub fn absent(&mut self, path: &str, why: impl Into<String>) {
        if self.wanted.remove(path) {
            self.absent.insert(path.to_owned(), why.into());
        }
    }

    fn take(&mut self, path: String, value: Value) {
        let mut found = BTreeSet::new();
        references(&value, &mut |text| {
            found.extend(place(&path, text).map(|(file, _)| file));
        });
        self.files.insert(path, value);
        for file in found {
            if !self.files.contains_key(&file) && !self.absent.contains_key(&file) {
                self.wanted.insert(file);
            }
        }
    }

    /// The whole document; none if the first file needs no other.
    #[must_use]
    pub fn finish(mut self) -> Option<Bundle> {
        let mut root = self.files.remove(&self.root)?;
        if self.files.is_empty() && self.absent.is_empty() && self.wanted.is_empty() {
            return None;
        }
        let known: BTreeSet<String> = self.files.keys().cloned().collect();
        let first = self.root.clone();
        let lead = |path: &str, text: &str| lead(&first, &known, path, text);
        rewrite(&mut root, &|text| lead(&first, text));
        for (path, value) in &mut self.files {
            rewrite(value, &|text| lead(path, text));
        }
        let files = self.files.len();
        if let Value::Object(members) = &mut root {
            members.insert(KEY.to_owned(), Value::Object(self.files));
        }
        for path in self.wanted {
            self.absent.insert(path, "it was not given".to_owned());
        }
        let mut document = String::new();
        write(&root, 0, &mut document);
        document.push('\n');
        Some(Bundle {
            document,
            files,
            absent: self.absent,
        })
    }
}

/// Every `$ref` that is a text.
fn references(value: &Value, found: &mut impl FnMut(&str)) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(text)) = members.get("$ref") {
                    found(text);
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn rewrite(value: &mut Value, lead: &impl Fn(&str) -> Option<String>) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(text)) = members.get_mut("$ref")
                    && let Some(led) = lead(text)
                {
                    *text = led;
                }
                open.extend(members.values_mut());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The file in the folder that a reference means, and the rest of it; none if it stays in its file or leads out.
fn place<'t>(from: &str, text: &'t str) -> Option<(String, &'t str)> {
    let (file, fragment) = text.split_once('#').unwrap_or((text, ""));
    if file.is_empty() || file.starts_with('/') || file.contains([':', '\\', '?']) {
        return None;
    }
    let file = crate::parse::percent::decode(file)?;
    let mut segments: Vec<&str> = from.split('/').collect();
    segments.pop();
    for segment in file.split('/') {
        match segment {
            "" | "." => {}
            // Out of the folder.
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    let path = segments.join("/");
    // Looked at after decoding: `%0A` and `%5C` are what they become.
    let plain = !path.is_empty() && !path.contains(['\\', ':']) && !path.contains(char::is_control);
    plain.then_some((path, fragment))
}

/// Where a reference of a file leads in the whole document; none if it stays as it is.
fn lead(root: &str, known: &BTreeSet<String>, from: &str, text: &str) -> Option<String> {
    let (file, fragment) = match text.strip_prefix('#') {
        Some(_) if from == root => return None,
        Some(fragment) => (from.to_owned(), fragment),
        None => place(from, text)?,
    };
    if file == root {
        return Some(format!("#{fragment}"));
    }
    if !known.contains(&file) {
        return None;
    }
    let pointer = Pointer::root().child(KEY).child(&file);
    // The fragment is percent-encoded already; the file's name is not.
    let pointer = pointer.as_str().replace('%', "%25");
    Some(format!("#{pointer}{fragment}"))
}

/// JSON with one member to a line, so that a change of it can be read.
fn write(value: &Value, depth: usize, into: &mut String) {
    let line = |into: &mut String, depth: usize| {
        into.push('\n');
        into.push_str(&" ".repeat(depth));
    };
    let deeper = depth.saturating_add(1);
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut separator = '{';
            for (name, member) in members {
                into.push(separator);
                line(into, deeper);
                into.push_str(&Value::from(name.as_str()).to_string());
                into.push_str(": ");
                write(member, deeper, into);
                separator = ',';
            }
            line(into, depth);
            into.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            let mut separator = '[';
            for item in items {
                into.push(separator);
                line(into, deeper);
                write(item, deeper, into);
                separator = ',';
            }
            line(into, depth);
            into.push(']');
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => into.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests;
