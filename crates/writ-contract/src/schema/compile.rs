//! Schemas of a document into the arena.
//!
//! A reference gets its number at once and is compiled later, from a queue: neither a cycle nor a long chain of
//! references deepens the recursion, which is bounded by the document's own depth.

use std::collections::BTreeMap;

use regex::Regex;
use writ_types::{Decimal, Pointer, Value};

use super::pattern::Patterns;
use super::{
    Additional, ArrayRules, Directed, Format, NumberRules, ObjectRules, Schema, SchemaId, Schemas,
    StringRules, Types,
};
use crate::diagnostic::Sink;
use crate::document::{ReferenceFault, follow, target};
use crate::overlay::vocabulary::{self, KEY, Place};

/// Most schemas of one contract.
const MOST_SCHEMAS: usize = 1_000_000;

/// Keywords that restrict values and are not enforced; each is reported where it stands.
const UNENFORCED: [&str; 13] = [
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
];

/// The rules a document's version sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Swagger 2.0.
    Swagger,
    /// OpenAPI 3.0: what stands beside `$ref` is ignored; `nullable`; boolean `exclusiveMinimum`.
    V30,
    /// OpenAPI 3.1 and later: JSON Schema 2020-12.
    V31,
}

/// A schema that cannot be compiled; the operations that need it are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) pointer: Pointer,
    pub(crate) message: String,
}

/// Compiles schemas on demand.
#[derive(Debug)]
pub(crate) struct Compiler<'d> {
    document: &'d Value,
    dialect: Dialect,
    schemas: Schemas,
    /// Targets of references by pointer.
    named: BTreeMap<Pointer, SchemaId>,
    /// References that wait to be compiled.
    queue: Vec<(SchemaId, Pointer, &'d Value)>,
    patterns: Patterns,
    broken: BTreeMap<SchemaId, Broken>,
}

impl<'d> Compiler<'d> {
    pub(crate) fn new(document: &'d Value, dialect: Dialect) -> Self {
        Self {
            document,
            dialect,
            schemas: Schemas::default(),
            named: BTreeMap::new(),
            queue: Vec::new(),
            patterns: Patterns::default(),
            broken: BTreeMap::new(),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The arena and what in it is broken.
    pub(crate) fn finish(self) -> (Schemas, BTreeMap<SchemaId, Broken>) {
        (self.schemas, self.broken)
    }

    /// Compiles the schema at `pointer` and everything it reaches.
    pub(crate) fn schema(
        &mut self,
        value: &'d Value,
        pointer: &Pointer,
        sink: &mut Sink,
    ) -> SchemaId {
        let id = self.reserve();
        self.fill(id, value, pointer, sink);
        while let Some((id, pointer, value)) = self.queue.pop() {
            self.fill(id, value, &pointer, sink);
        }
        id
    }

    /// A schema that was not in the document: a type, or one of fixed texts.
    pub(crate) fn made(&mut self, schema: Schema) -> SchemaId {
        let id = self.reserve();
        self.put(id, schema);
        id
    }

    fn reserve(&mut self) -> SchemaId {
        let id = SchemaId(u32::try_from(self.schemas.all.len()).unwrap_or(u32::MAX));
        self.schemas.all.push(Schema::ANYTHING);
        id
    }

    fn put(&mut self, id: SchemaId, schema: Schema) {
        let place = usize::try_from(id.0)
            .ok()
            .and_then(|index| self.schemas.all.get_mut(index));
        if let Some(place) = place {
            *place = schema;
        }
    }

    fn break_at(&mut self, id: SchemaId, pointer: &Pointer, message: impl Into<String>) {
        self.broken.entry(id).or_insert_with(|| Broken {
            pointer: pointer.clone(),
            message: message.into(),
        });
    }

    fn child(&mut self, value: &'d Value, pointer: &Pointer, sink: &mut Sink) -> SchemaId {
        let id = self.reserve();
        self.fill(id, value, pointer, sink);
        id
    }

    fn fill(&mut self, id: SchemaId, value: &'d Value, pointer: &Pointer, sink: &mut Sink) {
        if self.schemas.all.len() > MOST_SCHEMAS {
            self.break_at(id, pointer, "the document has too many schemas");
            return;
        }
        let members = match value {
            Value::Bool(admit) => {
                let schema = Schema {
                    never: !admit,
                    ..Schema::ANYTHING
                };
                self.put(id, schema);
                return;
            }
            Value::Object(members) => members,
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.break_at(id, pointer, "a schema is no object");
                return;
            }
        };
        let mut schema = Schema::ANYTHING;
        if let Some(words) = members.get(KEY) {
            match vocabulary::mark(words, Place::Schema) {
                Ok(mark) => schema.mark = (!mark.is_empty()).then(|| Box::new(mark)),
                Err(wrong) => self.break_at(id, &pointer.child(KEY), wrong.message),
            }
        }
        if let Some(reference) = members.get("$ref") {
            match self.reference(reference) {
                Ok(target) => schema.reference = Some(target),
                Err(fault) => self.break_at(id, pointer, fault.to_string()),
            }
            if self.dialect != Dialect::V31 {
                self.put(id, schema);
                return;
            }
        }
        let mut scope = Scope {
            compiler: self,
            members,
            pointer,
            sink,
            id,
        };
        scope.general(&mut schema);
        schema.number = scope.number();
        schema.string = scope.string(&mut schema.unenforced);
        schema.array = scope.array();
        schema.object = scope.object(&mut schema.unenforced);
        schema.all_of = scope.list("allOf");
        schema.any_of = scope.list("anyOf");
        schema.one_of = scope.list("oneOf");
        schema.not = scope.one("not");
        self.put(id, schema);
    }

    fn reference(&mut self, reference: &Value) -> Result<SchemaId, ReferenceFault> {
        let pointer = target(reference)?;
        if let Some(known) = self.named.get(&pointer) {
            return Ok(*known);
        }
        let value = self.document.at(&pointer).ok_or(ReferenceFault::Missing)?;
        let id = self.reserve();
        self.named.insert(pointer.clone(), id);
        self.queue.push((id, pointer, value));
        Ok(id)
    }
}

/// One schema object while it is compiled.
struct Scope<'s, 'd> {
    compiler: &'s mut Compiler<'d>,
    members: &'d BTreeMap<String, Value>,
    pointer: &'s Pointer,
    sink: &'s mut Sink,
    id: SchemaId,
}

impl<'d> Scope<'_, 'd> {
    fn get(&self, name: &str) -> Option<&'d Value> {
        self.members.get(name)
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn wrong(&mut self, keyword: &str) {
        let pointer = self.pointer.child(keyword);
        self.compiler
            .break_at(self.id, &pointer, format!("`{keyword}` has a wrong value"));
    }

    fn general(&mut self, schema: &mut Schema) {
        schema.types = self.types();
        schema.nullable = self.compiler.dialect == Dialect::V30 && self.flag("nullable")
            || self.flag("x-nullable");
        // Documents of 3.1 that still say `nullable` mean it.
        schema.nullable |= self.compiler.dialect == Dialect::V31 && self.flag("nullable");
        schema.read_only = self.flag("readOnly");
        schema.values = match (self.get("const"), self.get("enum")) {
            (Some(value), _) => Some(vec![value.clone()]),
            (None, Some(Value::Array(values))) => Some(values.clone()),
            (None, Some(_)) => {
                self.wrong("enum");
                None
            }
            (None, None) => None,
        };
        schema.default = self
            .get("default")
            .and_then(Value::as_str)
            .map(str::to_owned);
        schema.format = match self.get("format").and_then(Value::as_str) {
            Some("int32") => Some(Format::Int32),
            Some("int64") => Some(Format::Int64),
            Some("date") => Some(Format::Date),
            Some("date-time") => Some(Format::DateTime),
            Some(_) | None => None,
        };
        let members = self.members;
        for keyword in UNENFORCED
            .iter()
            .filter(|name| members.contains_key(**name))
        {
            schema.unenforced = true;
            let pointer = self.pointer.child(keyword);
            self.sink
                .warning(&pointer, None, format!("`{keyword}` is not enforced"));
        }
    }

    fn types(&mut self) -> Types {
        let named = |value: &Value| match value.as_str()? {
            // Swagger 2.0's word for an upload.
            "file" => Some(Types::STRING),
            name => Types::named(name),
        };
        let types = match self.get("type") {
            None => Some(Types::NONE),
            Some(Value::Array(several)) if !several.is_empty() => several
                .iter()
                .try_fold(Types::NONE, |types, one| Some(types.with(named(one)?))),
            Some(one) => named(one),
        };
        types.unwrap_or_else(|| {
            self.wrong("type");
            Types::NONE
        })
    }

    fn number(&mut self) -> Option<Box<NumberRules>> {
        let (minimum, above) = self.limit("minimum", "exclusiveMinimum");
        let (maximum, below) = self.limit("maximum", "exclusiveMaximum");
        let zero = |number: &Decimal| number.scaled_i128(0) == Some(0) || number.is_negative();
        let multiple_of = self.decimal("multipleOf");
        if multiple_of.as_ref().is_some_and(zero) {
            self.wrong("multipleOf");
        }
        let multiple_of = multiple_of.filter(|number| !zero(number));
        let any = minimum.is_some()
            || maximum.is_some()
            || above.is_some()
            || below.is_some()
            || multiple_of.is_some();
        any.then(|| {
            Box::new(NumberRules {
                minimum,
                maximum,
                above,
                below,
                multiple_of,
            })
        })
    }

    /// The inclusive and the exclusive limit. Before JSON Schema 6 the exclusive keyword was a flag on the other.
    fn limit(&mut self, inclusive: &str, exclusive: &str) -> (Option<Decimal>, Option<Decimal>) {
        let limit = self.decimal(inclusive);
        match self.get(exclusive) {
            Some(Value::Bool(true)) => (None, limit),
            Some(Value::Bool(false)) | None => (limit, None),
            Some(_) => (limit, self.decimal(exclusive)),
        }
    }

    fn decimal(&mut self, keyword: &str) -> Option<Decimal> {
        let value = self.get(keyword)?;
        let exact = match value {
            Value::Number(number) => number.to_decimal(),
            // A number in quotes is a number to every tool that wrote it.
            Value::String(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if exact.is_none() {
            self.wrong(keyword);
        }
        exact
    }

    fn count(&mut self, keyword: &str) -> Option<usize> {
        let exact = self.decimal(keyword)?;
        let whole = exact.as_i64().map(usize::try_from);
        match whole {
            Some(Ok(count)) => Some(count),
            // Beyond any length: no bound.
            None if exact.is_integer() && !exact.is_negative() => None,
            Some(Err(_)) | None => {
                self.wrong(keyword);
                None
            }
        }
    }

    fn string(&mut self, unenforced: &mut bool) -> Option<Box<StringRules>> {
        let rules = StringRules {
            shortest: self.count("minLength"),
            longest: self.count("maxLength"),
            pattern: match self.get("pattern") {
                None => None,
                Some(Value::String(text)) => self.pattern("pattern", text, unenforced),
                Some(_) => {
                    self.wrong("pattern");
                    None
                }
            },
        };
        let any = rules.shortest.is_some() || rules.longest.is_some() || rules.pattern.is_some();
        any.then(|| Box::new(rules))
    }

    fn pattern(&mut self, keyword: &str, text: &str, unenforced: &mut bool) -> Option<Regex> {
        let compiled = self.compiler.patterns.compile(text);
        if compiled.is_none() {
            *unenforced = true;
            let pointer = self.pointer.child(keyword);
            self.sink.warning(
                &pointer,
                None,
                "the pattern cannot be expressed and is not enforced",
            );
        }
        compiled
    }

    fn array(&mut self) -> Option<Box<ArrayRules>> {
        let mut rules = ArrayRules {
            prefix: self.list("prefixItems"),
            fewest: self.count("minItems"),
            most: self.count("maxItems"),
            unique: self.flag("uniqueItems"),
            items: None,
        };
        match self.get("items") {
            None => {}
            // Before 2020-12 a list of schemas was what `prefixItems` is now.
            Some(Value::Array(_)) => rules.prefix = self.list("items"),
            Some(_) => rules.items = self.one("items"),
        }
        let any = !rules.prefix.is_empty()
            || rules.items.is_some()
            || rules.fewest.is_some()
            || rules.most.is_some()
            || rules.unique;
        any.then(|| Box::new(rules))
    }

    fn object(&mut self, unenforced: &mut bool) -> Option<Box<ObjectRules>> {
        let (required, directed) = self.required_by_direction();
        let mut rules = ObjectRules {
            properties: self.named("properties"),
            required,
            directed,
            patterns: Vec::new(),
            unknown_patterns: false,
            additional: Additional::Unsaid,
            names: self.one("propertyNames"),
            fewest: self.count("minProperties"),
            most: self.count("maxProperties"),
        };
        for (text, schema) in self.named("patternProperties") {
            match self.pattern("patternProperties", &text, unenforced) {
                Some(regex) => rules.patterns.push((regex, schema)),
                None => rules.unknown_patterns = true,
            }
        }
        rules.additional = match self.get("additionalProperties") {
            None => Additional::Unsaid,
            Some(Value::Bool(true)) => Additional::Open,
            Some(Value::Bool(false)) => Additional::Closed,
            Some(_) => self
                .one("additionalProperties")
                .map_or(Additional::Unsaid, Additional::Schema),
        };
        let any = !rules.properties.is_empty()
            || !rules.required.is_empty()
            || rules.directed.is_some()
            || !rules.patterns.is_empty()
            || rules.unknown_patterns
            || rules.additional != Additional::Unsaid
            || rules.names.is_some()
            || rules.fewest.is_some()
            || rules.most.is_some();
        any.then(|| Box::new(rules))
    }

    /// What requests must have, and where responses differ: what is read-only is required of responses alone, what is
    /// write-only of requests alone (OpenAPI 3.0 §4.7.24.2).
    fn required_by_direction(&mut self) -> (Vec<String>, Option<Box<Directed>>) {
        let document = self.compiler.document;
        let properties = self.get("properties");
        let flagged = |name: &str, flag: &str| {
            let set = |value: &Value| value.member(flag).and_then(Value::as_bool) == Some(true);
            properties
                .and_then(|properties| properties.member(name))
                .is_some_and(|property| {
                    set(property)
                        || follow(document, property, &Pointer::root())
                            .is_ok_and(|(target, _)| set(target))
                })
        };
        let mut directed = Directed::default();
        let mut required = self.required();
        required.retain(|name| {
            if flagged(name, "writeOnly") {
                directed.requests_alone.push(name.clone());
            }
            let read_only = flagged(name, "readOnly");
            if read_only {
                directed.responses_alone.push(name.clone());
            }
            !read_only
        });
        let differs = !directed.requests_alone.is_empty() || !directed.responses_alone.is_empty();
        (required, differs.then(|| Box::new(directed)))
    }

    fn required(&mut self) -> Vec<String> {
        match self.get("required") {
            // Swagger's flag on a property, written where JSON Schema has a list; many documents have it, it says
            // nothing about members.
            None | Some(Value::Bool(_)) => Vec::new(),
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            Some(_) => {
                self.wrong("required");
                Vec::new()
            }
        }
    }

    fn one(&mut self, keyword: &str) -> Option<SchemaId> {
        let value = self.get(keyword)?;
        let pointer = self.pointer.child(keyword);
        Some(self.compiler.child(value, &pointer, self.sink))
    }

    fn list(&mut self, keyword: &str) -> Vec<SchemaId> {
        match self.get(keyword) {
            None => Vec::new(),
            Some(Value::Array(schemas)) => {
                let pointer = self.pointer.child(keyword);
                schemas
                    .iter()
                    .enumerate()
                    .map(|(index, schema)| {
                        self.compiler.child(schema, &pointer.item(index), self.sink)
                    })
                    .collect()
            }
            Some(_) => {
                self.wrong(keyword);
                Vec::new()
            }
        }
    }

    fn named(&mut self, keyword: &str) -> BTreeMap<String, SchemaId> {
        match self.get(keyword) {
            None => BTreeMap::new(),
            Some(Value::Object(schemas)) => {
                let pointer = self.pointer.child(keyword);
                schemas
                    .iter()
                    .map(|(name, schema)| {
                        let id = self.compiler.child(schema, &pointer.child(name), self.sink);
                        (name.clone(), id)
                    })
                    .collect()
            }
            Some(_) => {
                self.wrong(keyword);
                BTreeMap::new()
            }
        }
    }
}
