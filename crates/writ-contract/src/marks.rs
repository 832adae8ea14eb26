//! Which places of a call and of its answer the owner marked, and the values that stand there.

use std::collections::BTreeSet;

use writ_types::{Kind, Source, Value};

use crate::field::{AuditMode, FieldMark, UNREVIEWED};
use crate::operation::{Operation, ParameterPlace};
use crate::schema::{Additional, Direction, Faults, SchemaId, Schemas, Types, fits_in, shape};

/// Deepest place that is looked for.
const DEEPEST: usize = 8;
/// Most places of one operation.
const MOST: usize = 2_000;

/// A place that is marked: `/path/id`, `/body/items/*/iban`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Where; items of a list and members of a map are `*`. A mark counts for all that lies below, where the contract
    /// does not say what does.
    pub pointer: String,
    /// What the owner says.
    pub mark: FieldMark,
}

/// A value in an answer that vouches for values of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceValue<'v> {
    /// Where it stands.
    pub pointer: String,
    /// Who chose it, and what it is.
    pub source: &'v Source,
    /// The value: a scalar.
    pub value: &'v Value,
}

/// Whether nobody has looked at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Said,
    EveryText,
}

/// What may stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    MayBeText,
    NoText,
}

/// The marked places of a call. Of an operation that nobody reviewed every text is sensitive, as a kind that nothing
/// vouches for.
pub(crate) fn of_request(operation: &Operation) -> Vec<Marked> {
    let care = if operation.reviewed() {
        Care::Said
    } else {
        Care::EveryText
    };
    let mut walk = Walk::new(&operation.schemas, care);
    for parameter in &operation.parameters {
        let place = match parameter.place {
            ParameterPlace::Path => "/path",
            ParameterPlace::Query => "/query",
            ParameterPlace::Header => "/header",
        };
        let pointer = child(place, &parameter.name);
        walk.place(&[parameter.schema], &pointer, parameter.mark.as_deref());
    }
    if let Some(body) = &operation.body {
        let ids: Vec<SchemaId> = body.media.iter().filter_map(|media| media.schema).collect();
        let unread = body.media.iter().any(|media| media.schema.is_none());
        if unread {
            walk.put("/body", FieldMark::default(), Content::MayBeText);
        }
        walk.place(&ids, "/body", None);
    }
    walk.found
}

/// The marked places of its answers, of every status together. What vouches is said of reviewed operations alone.
pub(crate) fn of_response(operation: &Operation) -> Vec<Marked> {
    let mut walk = Walk::new(&operation.schemas, Care::Said);
    let media = operation.replies.iter().flat_map(|reply| &reply.media);
    let mut ids: Vec<SchemaId> = media.filter_map(|media| media.schema).collect();
    ids.sort_unstable();
    ids.dedup();
    if !ids.is_empty() {
        walk.place(&ids, "/body", None);
    }
    if !operation.reviewed() {
        for marked in &mut walk.found {
            marked.mark.source = None;
        }
        walk.found.retain(|marked| !marked.mark.is_empty());
    }
    walk.found
}

/// The names of the members that its answers may have, lower case.
pub(crate) fn names_of_answers(operation: &Operation) -> BTreeSet<String> {
    let schemas = &operation.schemas;
    let media = operation.replies.iter().flat_map(|reply| &reply.media);
    let open = media.filter_map(|media| media.schema).collect();
    let names = names_below(schemas, open);
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

/// The names of the members of these schemas and of all below them.
fn names_below(schemas: &Schemas, mut open: Vec<SchemaId>) -> BTreeSet<String> {
    let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
    while let Some(id) = open.pop() {
        if seen.len() >= MOST || !seen.insert(id) {
            continue;
        }
        let schema = schemas.of(id);
        let members = schema
            .object
            .iter()
            .flat_map(|rules| rules.properties.keys());
        names.extend(members.cloned());
        schema.children(&mut open);
    }
    names
}

/// The names of the members that its arguments may have. Any other name in a call is chosen by whoever calls.
pub(crate) fn names_of_arguments(operation: &Operation) -> BTreeSet<String> {
    let schemas = &operation.schemas;
    let parameters = operation.parameters.iter();
    let own = parameters.clone().map(|parameter| parameter.name.clone());
    let mut open: Vec<SchemaId> = parameters.map(|parameter| parameter.schema).collect();
    let media = operation.body.iter().flat_map(|body| &body.media);
    open.extend(media.filter_map(|media| media.schema));
    names_below(schemas, open).into_iter().chain(own).collect()
}

struct Walk<'w> {
    schemas: &'w Schemas,
    care: Care,
    /// Schemas from the root to here, to notice a recursion.
    path: Vec<SchemaId>,
    found: Vec<Marked>,
    /// How many places were looked at.
    looked: usize,
}

impl<'w> Walk<'w> {
    fn new(schemas: &'w Schemas, care: Care) -> Self {
        Self {
            schemas,
            care,
            path: Vec::new(),
            found: Vec::new(),
            looked: 0,
        }
    }

    fn put(&mut self, pointer: &str, mut mark: FieldMark, content: Content) {
        let text = self.care == Care::EveryText && content == Content::MayBeText;
        if text && mark.sensitive.is_none() {
            mark.sensitive = Some(Kind::Own(UNREVIEWED.into()));
        }
        if mark.is_empty() {
            return;
        }
        match self
            .found
            .iter_mut()
            .find(|marked| marked.pointer == pointer)
        {
            Some(known) => known.mark = std::mem::take(&mut known.mark).with(&mark),
            None => self.found.push(Marked {
                pointer: pointer.to_owned(),
                mark,
            }),
        }
    }

    fn place(&mut self, ids: &[SchemaId], pointer: &str, own: Option<&FieldMark>) {
        let all = self.applying(ids);
        let mark = all
            .iter()
            .filter_map(|id| self.schemas.of(*id).mark.as_deref())
            .fold(own.cloned().unwrap_or_default(), FieldMark::with);
        let shape = shape(self.schemas, ids);
        let recursive = all.iter().any(|id| self.path.contains(id));
        self.looked = self.looked.saturating_add(1);
        let beyond = recursive || self.looked > MOST;
        let deep = pointer.matches('/').count() > DEEPEST;
        // What is not taken apart may hold texts.
        let text = shape.untyped || shape.types.has(Types::STRING) || beyond || deep;
        let content = if text {
            Content::MayBeText
        } else {
            Content::NoText
        };
        self.put(pointer, mark, content);
        if beyond || deep {
            if let Some(quantity) = self.reached(&all, |mark| mark.quantity.clone()) {
                // Nor is what is summed up: whatever stands here is an amount that nobody can read.
                let mark = FieldMark {
                    quantity: Some(quantity),
                    ..FieldMark::default()
                };
                self.put(pointer, mark, Content::NoText);
            }
            if self.reached(&all, |mark| mark.sensitive.clone()).is_some() {
                // What is marked below is not taken apart, so all of it is.
                let mark = FieldMark {
                    sensitive: Some(Kind::Own(UNREVIEWED.into())),
                    ..FieldMark::default()
                };
                self.put(pointer, mark, Content::MayBeText);
            }
            let hidden = |mark: &FieldMark| mark.audit.filter(|mode| *mode != AuditMode::Keep);
            if self.reached(&all, hidden).is_some() {
                // Nor does any of it stay in records.
                let mark = FieldMark {
                    audit: Some(AuditMode::Drop),
                    ..FieldMark::default()
                };
                self.put(pointer, mark, Content::NoText);
            }
            return;
        }
        let length = self.path.len();
        self.path.extend(all);
        for (name, property) in &shape.properties {
            self.place(&property.schemas, &child(pointer, name), None);
        }
        let others = format!("{pointer}/*");
        if !shape.additional.is_empty() {
            // Whatever its members are, their names are texts of the caller's.
            self.put(&others, FieldMark::default(), Content::MayBeText);
            self.place(&shape.additional, &others, None);
        }
        if !shape.items.is_empty() {
            self.place(&shape.items, &others, None);
        }
        let open = shape.open && shape.additional.is_empty()
            || shape.types.has(Types::ARRAY) && shape.items.is_empty()
            || shape.types.has(Types::OBJECT)
                && shape.properties.is_empty()
                && shape.additional.is_empty();
        if open {
            self.put(&others, FieldMark::default(), Content::MayBeText);
        }
        self.path.truncate(length);
    }

    /// What something below is marked with.
    fn reached<T>(&self, ids: &[SchemaId], said: impl Fn(&FieldMark) -> Option<T>) -> Option<T> {
        let mut seen = BTreeSet::new();
        let mut open = ids.to_vec();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let schema = self.schemas.of(id);
            if let Some(found) = schema.mark.as_ref().and_then(|mark| said(mark)) {
                return Some(found);
            }
            schema.children(&mut open);
        }
        None
    }

    /// All schemas that may apply to the same value.
    fn applying(&self, ids: &[SchemaId]) -> Vec<SchemaId> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        let mut open: Vec<SchemaId> = ids.to_vec();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            all.push(id);
            let schema = self.schemas.of(id);
            let more = [&schema.all_of, &schema.any_of, &schema.one_of];
            open.extend(schema.reference.iter().chain(more.into_iter().flatten()));
        }
        all
    }
}

/// The values in a response that vouch: scalars at marked places, each only by a schema that its surroundings fit.
pub(crate) fn source_values<'v>(
    operation: &'v Operation,
    schema: SchemaId,
    value: &'v Value,
) -> Vec<SourceValue<'v>> {
    if !operation.reviewed() {
        return Vec::new();
    }
    let mut finder = Finder {
        schemas: &operation.schemas,
        faults: Faults::default(),
        found: Vec::new(),
    };
    finder.value(&[schema], value, "/body".to_owned());
    // What could not be looked at whole vouches for nothing.
    if finder.faults.is_exhausted() {
        return Vec::new();
    }
    finder.found
}

struct Finder<'v> {
    schemas: &'v Schemas,
    faults: Faults,
    found: Vec<SourceValue<'v>>,
}

impl<'v> Finder<'v> {
    fn value(&mut self, declared: &[SchemaId], value: &'v Value, pointer: String) {
        if !self.faults.step() {
            return;
        }
        let all = self.applying(declared, value);
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(_) | Value::String(_) => self.scalar(&all, value, pointer),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let below: Vec<SchemaId> = all
                        .iter()
                        .filter_map(|id| self.schemas.of(*id).array.as_deref())
                        .filter_map(|rules| rules.prefix.get(index).copied().or(rules.items))
                        .collect();
                    if !below.is_empty() {
                        self.value(&below, item, format!("{pointer}/{index}"));
                    }
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let below = self.members(&all, name);
                    if !below.is_empty() {
                        self.value(&below, member, child(&pointer, name));
                    }
                }
            }
        }
    }

    fn members(&self, all: &[SchemaId], name: &str) -> Vec<SchemaId> {
        let mut below = Vec::new();
        for id in all {
            let Some(rules) = self.schemas.of(*id).object.as_deref() else {
                continue;
            };
            let found = below.len();
            below.extend(rules.properties.get(name));
            let matching = rules
                .patterns
                .iter()
                .filter(|(pattern, _)| pattern.is_match(name));
            below.extend(matching.map(|(_, id)| *id));
            if below.len() == found
                && let Additional::Schema(id) = rules.additional
            {
                below.push(id);
            }
        }
        below
    }

    /// Several schemas may speak of one value; if they do not agree what it is, it vouches for nothing.
    fn scalar(&mut self, all: &[SchemaId], value: &'v Value, pointer: String) {
        let mut sources = all
            .iter()
            .filter_map(|id| self.schemas.of(*id).mark.as_deref())
            .filter_map(|mark| mark.source.as_ref());
        let Some(source) = sources.next() else { return };
        if sources.all(|other| other == source) {
            self.found.push(SourceValue {
                pointer,
                source,
                value,
            });
        }
    }

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
                let back = Direction::Response;
                if fits_in(self.schemas, back, *alternative, value, &mut self.faults) {
                    open.push(*alternative);
                }
            }
        }
        all
    }
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
