//! What a checked body holds beyond what the contract declares, and where it says null.

use std::collections::BTreeSet;

use writ_types::Value;

use super::check::child;
use super::{Additional, Faults, SchemaId, Schemas, fits};

/// Most bytes of pointers recorded of one call: a long name around many members would multiply.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Records the members of `value` that no schema declares (or that are declared read-only), and those that are null.
///
/// An alternative of `anyOf` or `oneOf` declares only what it holds if the value fits it.
pub(crate) fn record_members(
    schemas: &Schemas,
    id: SchemaId,
    value: &Value,
    faults: &mut Faults,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut recorder = Recorder {
        schemas,
        faults,
        extra: BTreeSet::new(),
        nulls: BTreeSet::new(),
        bytes: 0,
    };
    recorder.value(&[id], value, "/body");
    (recorder.extra, recorder.nulls)
}

struct Recorder<'r> {
    schemas: &'r Schemas,
    faults: &'r mut Faults,
    extra: BTreeSet<String>,
    nulls: BTreeSet<String>,
    bytes: usize,
}

impl Recorder<'_> {
    fn value(&mut self, declared: &[SchemaId], value: &Value, pointer: &str) {
        self.bytes = self.bytes.saturating_add(pointer.len());
        if self.bytes > MOST_BYTES || !self.faults.step() {
            self.faults.exhaust();
            return;
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(items) => {
                let all = self.applying(declared, value);
                for (index, item) in items.iter().enumerate() {
                    let below: Vec<SchemaId> = all
                        .iter()
                        .filter_map(|id| self.schemas.of(*id).array.as_deref())
                        .filter_map(|rules| rules.prefix.get(index).copied().or(rules.items))
                        .collect();
                    self.value(&below, item, &format!("{pointer}/{index}"));
                }
            }
            Value::Object(members) => {
                let all = self.applying(declared, value);
                for (name, member) in members {
                    self.member(&all, name, member, pointer);
                }
            }
        }
    }

    fn member(&mut self, all: &[SchemaId], name: &str, member: &Value, parent: &str) {
        let pointer = child(parent, name);
        if *member == Value::Null {
            self.bytes = self.bytes.saturating_add(pointer.len());
            self.nulls.insert(pointer.clone());
        }
        let mut below = Vec::new();
        for rules in all
            .iter()
            .filter_map(|id| self.schemas.of(*id).object.as_deref())
        {
            let named = rules.properties.get(name).copied();
            let matching = rules
                .patterns
                .iter()
                .filter(|(pattern, _)| pattern.is_match(name))
                .map(|(_, id)| *id);
            let found = below.len();
            below.extend(named.into_iter().chain(matching));
            if below.len() == found
                && let Additional::Schema(id) = rules.additional
            {
                below.push(id);
            }
        }
        let read_only = |id: &SchemaId| self.schemas.of(*id).read_only;
        if below.is_empty() || below.iter().any(read_only) {
            self.extra.insert(pointer.clone());
        }
        if !below.is_empty() {
            self.value(&below, member, &pointer);
        }
    }

    /// All schemas that apply to this very value.
    fn applying(&mut self, declared: &[SchemaId], value: &Value) -> Vec<SchemaId> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        let mut open = declared.to_vec();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            all.push(id);
            let schema = self.schemas.of(id);
            open.extend(schema.reference.iter().chain(&schema.all_of));
            for alternative in schema.any_of.iter().chain(&schema.one_of) {
                if fits(self.schemas, *alternative, value, self.faults) {
                    open.push(*alternative);
                }
            }
        }
        all
    }
}
