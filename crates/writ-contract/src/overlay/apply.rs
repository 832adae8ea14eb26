//! Actions on a document, one after the other.

use std::collections::BTreeMap;

use writ_types::{Pointer, Value};

use super::vocabulary::{self, KEY, Place};
use super::{Action, Change, Overlay};
use crate::diagnostic::Sink;
use crate::document::count;

/// Most values that an overlay's actions put into a document: a copy of a copy doubles.
const MOST_ADDED: usize = 500_000;

impl Overlay {
    /// Applies every action; the errors stand at the action's place in the overlay.
    pub(super) fn apply(&self, document: &mut Value, sink: &mut Sink) {
        let mut added = 0usize;
        for action in &self.actions {
            if let Err(message) = action.apply(document, &mut added, sink) {
                sink.error(&action.pointer, None, message);
            }
            if added > MOST_ADDED {
                return;
            }
        }
    }
}

impl Action {
    fn apply(
        &self,
        document: &mut Value,
        added: &mut usize,
        sink: &mut Sink,
    ) -> Result<(), String> {
        let mut places = self
            .target
            .select(document)
            .map_err(|fault| fault.to_string())?;
        places.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        places.dedup();
        if places.is_empty() {
            return Err("the target selects nothing".to_owned());
        }
        let source;
        let change = match &self.change {
            Change::Nothing => return Ok(()),
            Change::Remove => {
                remove(document, places);
                return Ok(());
            }
            Change::Update(update, pointer) => {
                said(update, pointer, &places, sink);
                update
            }
            Change::Copy(query) => {
                let found = query.select(document).map_err(|fault| fault.to_string())?;
                let [one] = found.as_slice() else {
                    return Err(format!("`copy` selects {} values, not one", found.len()));
                };
                source = document.at(one).cloned().unwrap_or(Value::Null);
                &source
            }
        };
        *added = count(change)
            .saturating_mul(places.len())
            .saturating_add(*added);
        if *added > MOST_ADDED {
            return Err("the overlay adds too much to the document".to_owned());
        }
        for place in places {
            if let Some(target) = at_mut(document, &place) {
                merge(target, change).map_err(|fault| format!("{fault} (at `{place}`)"))?;
            }
        }
        Ok(())
    }
}

/// Reads what an update says to Writ, at every place where it will stand.
fn said(update: &Value, pointer: &Pointer, places: &[Pointer], sink: &mut Sink) {
    for inner in holders(update) {
        let words = update.at(&inner).and_then(|holder| holder.member(KEY));
        let Some(words) = words else { continue };
        let here = inner
            .tokens()
            .fold(pointer.clone(), |pointer, token| pointer.child(&token));
        let here = here.child(KEY);
        let mut seen = Vec::new();
        for place in places {
            let whole = inner
                .tokens()
                .fold(place.clone(), |whole, token| whole.child(&token));
            // An item that is appended to a list stands in it.
            let kind = Place::of(&whole).or_else(|| Place::of(&whole.item(0)));
            if seen.contains(&kind) {
                continue;
            }
            seen.push(kind);
            match kind {
                Some(kind) => {
                    for fault in vocabulary::faults(words, kind) {
                        let key = fault.key.as_deref();
                        let at = key.map_or_else(|| here.clone(), |key| here.child(key));
                        sink.error(&at, None, fault.message);
                    }
                }
                None => {
                    let message = format!(
                        "`{KEY}` says nothing here: it belongs to an operation, a parameter, a schema, a tag or the document (at `{whole}`)"
                    );
                    sink.error(&here, None, message);
                }
            }
        }
    }
}

/// Where in a value the key stands: the pointers of its objects.
fn holders(value: &Value) -> Vec<Pointer> {
    let mut found = Vec::new();
    let mut open = vec![(value, Pointer::root())];
    while let Some((value, pointer)) = open.pop() {
        match value {
            Value::Object(members) => {
                if members.contains_key(KEY) {
                    found.push(pointer.clone());
                }
                let inner = members.iter().filter(|(name, _)| *name != KEY);
                let inner = inner.filter(|(_, value)| is_deep(value));
                open.extend(inner.map(|(name, value)| (value, pointer.child(name))));
            }
            Value::Array(items) => {
                let items = items.iter().enumerate().filter(|(_, value)| is_deep(value));
                open.extend(items.map(|(index, value)| (value, pointer.item(index))));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    found
}

fn is_deep(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

/// Removes the key from a vendor's own document, and reports each place: nobody is trusted for saying so themselves.
pub(crate) fn strip(document: &mut Value, sink: &mut Sink) {
    for pointer in holders(document) {
        if let Some(Value::Object(members)) = at_mut(document, &pointer) {
            members.remove(KEY);
        }
        let message = "`x-writ` in a vendor's own document says nothing here and was removed: say it in an overlay";
        sink.warning(&pointer.child(KEY), None, message);
    }
}

fn at_mut<'v>(root: &'v mut Value, pointer: &Pointer) -> Option<&'v mut Value> {
    let mut value = root;
    for token in pointer.tokens() {
        value = match value {
            Value::Object(members) => members.get_mut(&*token)?,
            Value::Array(items) => items.get_mut(token.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    Some(value)
}

/// Removes places, the last items of a list first, so that the others keep their numbers.
fn remove(document: &mut Value, places: Vec<Pointer>) {
    let mut by_parent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for place in places {
        if let Some((parent, last)) = place.as_str().rsplit_once('/') {
            by_parent
                .entry(parent.to_owned())
                .or_default()
                .push(last.to_owned());
        }
    }
    // What lies deeper goes first: its numbers are those of the document as it was.
    let mut parents: Vec<_> = by_parent.into_iter().collect();
    parents.sort_by_key(|(parent, _)| std::cmp::Reverse(parent.matches('/').count()));
    let mut later: Vec<(Pointer, Vec<String>)> = Vec::new();
    for (parent, names) in parents {
        if let Some(parent) = Pointer::parse(&parent) {
            later.push((parent, names));
        }
    }
    for (parent, names) in later {
        match at_mut(document, &parent) {
            Some(Value::Object(members)) => {
                for name in names {
                    members.remove(&name.replace("~1", "/").replace("~0", "~"));
                }
            }
            Some(Value::Array(items)) => {
                let mut numbers: Vec<usize> =
                    names.iter().filter_map(|name| name.parse().ok()).collect();
                numbers.sort_unstable();
                for number in numbers.into_iter().rev() {
                    if number < items.len() {
                        items.remove(number);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Overlay 1.1 §4.4.3: objects merge, lists grow, other values are replaced; anything else does not go together.
fn merge(target: &mut Value, update: &Value) -> Result<(), &'static str> {
    match (target, update) {
        (Value::Object(target), Value::Object(update)) => {
            for (name, value) in update {
                match target.get_mut(name) {
                    Some(known) => member(known, value)?,
                    None => {
                        target.insert(name.clone(), value.clone());
                    }
                }
            }
            Ok(())
        }
        (Value::Array(target), Value::Array(update)) => {
            target.extend(update.iter().cloned());
            Ok(())
        }
        (Value::Array(target), update) => {
            target.push(update.clone());
            Ok(())
        }
        (target, update) if !is_deep(target) && !is_deep(update) => {
            *target = update.clone();
            Ok(())
        }
        _ => Err("`update` and target are not of one kind"),
    }
}

fn member(target: &mut Value, update: &Value) -> Result<(), &'static str> {
    if matches!(target, Value::Array(_)) && !matches!(update, Value::Array(_)) {
        return Err("`update` and target are not of one kind");
    }
    merge(target, update)
}
