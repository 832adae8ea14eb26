//! Overlays (OpenAPI Overlay 1.0, 1.1 and 1.2): what an API's owner changes in a vendor's document, and what they say about it.
//!
//! All that Writ trusts stands under one key, `x-writ`, and only an overlay can say it: in the document itself the key is
//! removed first, and reported. An overlay is read strictly. A key that is not known, a value that is not one, and a
//! target that selects nothing are errors, because a misspelt word would not bind.

mod apply;
mod jsonpath;
pub(crate) mod vocabulary;

use std::collections::BTreeMap;

use writ_types::{Pointer, Value};

use crate::diagnostic::{Diagnostic, DiagnosticSource, Sink};
use crate::document;
use jsonpath::Query;

pub(crate) use apply::strip;

/// Most actions of one overlay.
const MOST_ACTIONS: usize = 50_000;

/// An overlay that was read.
#[derive(Debug)]
pub(crate) struct Overlay {
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Action {
    /// Where it stands in the overlay.
    pointer: Pointer,
    target: Query,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Remove,
    /// The value, and where it stands in the overlay.
    Update(Value, Pointer),
    Copy(Query),
    Nothing,
}

/// The versions that differ in what they know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V10,
    V11,
    V12,
}

/// Applies the overlay's text to a document.
///
/// # Errors
///
/// Everything that is wrong with it, with lines of the overlay.
pub(crate) fn overlay(text: &str, document: &mut Value) -> Result<(), Vec<Diagnostic>> {
    let mut sink = Sink::default();
    match document::read(text.as_bytes()) {
        Ok(value) => {
            if let Some(overlay) = Overlay::read(&value, &mut sink) {
                overlay.apply(document, &mut sink);
            }
        }
        Err(fault) => {
            sink.error(&fault.pointer, None, fault.message);
            let mut diagnostics = sink.into_diagnostics();
            for diagnostic in &mut diagnostics {
                diagnostic.line = fault.line;
                diagnostic.source = DiagnosticSource::Overlay;
            }
            return Err(diagnostics);
        }
    }
    let mut diagnostics = sink.into_diagnostics();
    if diagnostics.is_empty() {
        return Ok(());
    }
    document::locate(text.as_bytes(), &mut diagnostics);
    for diagnostic in &mut diagnostics {
        diagnostic.source = DiagnosticSource::Overlay;
    }
    Err(diagnostics)
}

/// The operations that the targets of an overlay select, as path and method. Nothing if it is not an overlay.
pub(crate) fn operations_of(text: &str, document: &Value) -> Vec<(String, String)> {
    let mut sink = Sink::default();
    let value = document::read(text.as_bytes()).ok();
    let overlay = value.and_then(|value| Overlay::read(&value, &mut sink));
    let actions = overlay.map(|overlay| overlay.actions).unwrap_or_default();
    let mut found = Vec::new();
    for action in actions {
        for place in action.target.select(document).unwrap_or_default() {
            if vocabulary::Place::of(&place) == Some(vocabulary::Place::Operation) {
                let mut tokens = place.tokens().skip(1);
                let path = tokens.next().unwrap_or_default().into_owned();
                let method = tokens.last().unwrap_or_default().into_owned();
                found.push((path, method.to_ascii_lowercase()));
            }
        }
    }
    found
}

/// A text as a YAML scalar.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Overlay {
    /// Reads an overlay; none, with errors, if it is not one.
    fn read(value: &Value, sink: &mut Sink) -> Option<Self> {
        let mut reader = Reader {
            sink,
            faulty: false,
        };
        let overlay = reader.overlay(value);
        overlay.filter(|_| !reader.faulty)
    }
}

struct Reader<'r> {
    sink: &'r mut Sink,
    faulty: bool,
}

impl Reader<'_> {
    fn fault(&mut self, pointer: &Pointer, message: impl AsRef<str>) {
        self.faulty = true;
        self.sink.error(pointer, None, message);
    }

    /// The members of an object that has no others than these; extensions are allowed.
    fn object<'v>(
        &mut self,
        value: &'v Value,
        pointer: &Pointer,
        known: &[&str],
    ) -> Option<&'v BTreeMap<String, Value>> {
        let Some(members) = value.as_object() else {
            self.fault(pointer, "not an object");
            return None;
        };
        for name in members.keys().filter(|name| !name.starts_with("x-")) {
            if !known.contains(&name.as_str()) {
                let message = vocabulary::unknown(name, known.iter().copied());
                self.fault(&pointer.child(name), message);
            }
        }
        Some(members)
    }

    fn overlay(&mut self, value: &Value) -> Option<Overlay> {
        let root = Pointer::root();
        let version = match value.member("overlay") {
            Some(Value::String(text)) => version(text),
            // Unquoted in YAML: `1.1` is a number.
            Some(Value::Number(number)) => version(number.as_str()),
            _ => None,
        };
        let Some(version) = version else {
            self.fault(
                &root,
                "not an OpenAPI overlay: `overlay: 1.0.0`, `1.1.0` or `1.2.0` is missing",
            );
            return None;
        };
        let mut known = vec!["overlay", "info", "extends", "actions"];
        if version >= Version::V12 {
            known.extend(["$self", "components"]);
        }
        let members = self.object(value, &root, &known)?;
        match members.get("info") {
            Some(info) => {
                let pointer = root.child("info");
                self.object(info, &pointer, &["title", "version", "description"]);
                for name in ["title", "version"] {
                    if info.member(name).is_none() {
                        self.fault(&pointer, format!("`{name}` is missing"));
                    }
                }
            }
            None => self.fault(&root, "`info` with a `title` and a `version` is missing"),
        }
        let reusable = self.reusable(members, version);
        let pointer = root.child("actions");
        let Some(actions) = members.get("actions").and_then(Value::as_array) else {
            self.fault(&pointer, "`actions` is missing, or no list");
            return None;
        };
        if actions.is_empty() || actions.len() > MOST_ACTIONS {
            self.fault(&pointer, "an overlay has between one and 50000 actions");
            return None;
        }
        let actions = actions
            .iter()
            .enumerate()
            .filter_map(|(index, action)| {
                self.action(action, &pointer.item(index), version, &reusable)
            })
            .collect();
        Some(Overlay { actions })
    }

    /// The fields of reusable actions (1.2), by reference, with their places.
    fn reusable<'v>(
        &mut self,
        members: &'v BTreeMap<String, Value>,
        version: Version,
    ) -> BTreeMap<String, (&'v Value, Pointer)> {
        let mut found = BTreeMap::new();
        let Some(components) = members
            .get("components")
            .filter(|_| version >= Version::V12)
        else {
            return found;
        };
        let pointer = Pointer::root().child("components");
        let actions = self
            .object(components, &pointer, &["actions"])
            .and_then(|components| components.get("actions"));
        let pointer = pointer.child("actions");
        for (name, action) in actions.and_then(Value::as_object).into_iter().flatten() {
            let pointer = pointer.child(name);
            let fields = self
                .object(action, &pointer, &["description", "fields"])
                .and_then(|action| action.get("fields"));
            match fields {
                Some(fields) => {
                    found.insert(format!("#{pointer}"), (fields, pointer.child("fields")));
                }
                None => self.fault(&pointer, "`fields` is missing"),
            }
        }
        found
    }

    fn action(
        &mut self,
        value: &Value,
        pointer: &Pointer,
        version: Version,
        reusable: &BTreeMap<String, (&Value, Pointer)>,
    ) -> Option<Action> {
        let mut fields = (value, pointer.clone());
        let mut known = vec!["target", "description", "update", "remove"];
        if version >= Version::V11 {
            known.push("copy");
        }
        if let Some(reference) = value.member("$ref").filter(|_| version >= Version::V12) {
            self.object(value, pointer, &["$ref", "target", "description"]);
            let Some(found) = reference.as_str().and_then(|text| reusable.get(text)) else {
                let message = "no reusable action is called so: `#/components/actions/…`";
                self.fault(&pointer.child("$ref"), message);
                return None;
            };
            fields = found.clone();
            known.retain(|name| *name != "target");
        }
        let (fields, place) = fields;
        self.object(fields, &place, &known)?;
        let target = self.query(value.member("target"), &pointer.child("target"))?;
        let remove = match fields.member("remove") {
            None => false,
            Some(Value::Bool(remove)) => *remove,
            Some(_) => {
                self.fault(&place.child("remove"), "`remove` is `true` or `false`");
                return None;
            }
        };
        let change = match (remove, fields.member("update"), fields.member("copy")) {
            (true, _, _) => Change::Remove,
            (false, Some(_), Some(_)) => {
                self.fault(&place, "an action has `update` or `copy`, not both");
                return None;
            }
            (false, Some(update), None) => Change::Update(update.clone(), place.child("update")),
            (false, None, Some(copy)) => {
                Change::Copy(self.query(Some(copy), &place.child("copy"))?)
            }
            (false, None, None) => Change::Nothing,
        };
        Some(Action {
            pointer: pointer.clone(),
            target,
            change,
        })
    }

    fn query(&mut self, value: Option<&Value>, pointer: &Pointer) -> Option<Query> {
        let Some(text) = value.and_then(Value::as_str) else {
            self.fault(pointer, "a JSONPath is missing, or no text");
            return None;
        };
        match Query::parse(text) {
            Ok(query) => Some(query),
            Err(fault) => {
                self.fault(pointer, fault.to_string());
                None
            }
        }
    }
}

fn version(text: &str) -> Option<Version> {
    let (version, patch) = match text.split_once('.')? {
        ("1", rest) => match rest.split_once('.') {
            Some((minor, patch)) => (minor, patch),
            None => (rest, "0"),
        },
        _ => return None,
    };
    let digits = !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
    match version {
        "0" if digits => Some(Version::V10),
        "1" if digits => Some(Version::V11),
        "2" if digits => Some(Version::V12),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
