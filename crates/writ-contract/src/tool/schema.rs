//! The JSON Schema (2020-12) of a tool's arguments, from the schemas that are checked.

use std::collections::BTreeMap;

use writ_types::{Number, Value};

use super::write::group;
use crate::media::MediaKind;
use crate::operation::{Operation, Parameter, ParameterPlace, Style};
use crate::schema::{
    Additional, ArrayRules, Format, NumberRules, ObjectRules, Schema, SchemaId, Schemas,
    StringRules, Types, shape,
};

/// Most schemas that are shown of one operation: a model reads all of them before each call.
const MOST_SHOWN: usize = 1_500;
/// Deepest schema within another.
const DEEPEST: usize = 48;

/// The schemas of what an operation answers as JSON when it succeeds.
pub(super) fn answers(operation: &Operation) -> impl Iterator<Item = SchemaId> {
    let replies = operation.replies.iter();
    replies
        .filter(|reply| reply.status.tells_of_success())
        .flat_map(|reply| &reply.media)
        .filter(|media| media.kind == MediaKind::Json)
        .filter_map(|media| media.schema)
}

/// The schema of what a tool's result is made of: the status, and a body that conforms. None if the contract says of no body what
/// it is.
pub(super) fn of_answers(operation: &Operation) -> Option<Value> {
    let mut writer = Writer::new(operation, Written::ForAnswers);
    let mut bodies: Vec<Value> = Vec::new();
    for schema in answers(operation) {
        let schema = writer.value(schema, 0);
        if !bodies.contains(&schema) {
            bodies.push(schema);
        }
    }
    let body = match bodies.as_slice() {
        [] => return None,
        [one] => one.clone(),
        [_, ..] => Value::object([("anyOf", Value::Array(bodies))]),
    };
    let status = Value::object([("type", Value::from("integer"))]);
    let mut members = vec![
        ("type", Value::from("object")),
        (
            "properties",
            Value::object([("body", body), ("status", status)]),
        ),
        ("required", Value::Array(vec![Value::from("status")])),
        ("additionalProperties", Value::Bool(false)),
    ];
    let defs = writer.finish();
    if !defs.is_empty() {
        members.push(("$defs", Value::Object(defs)));
    }
    Some(Value::object(members))
}

/// The schema of an operation's arguments.
pub(super) fn of(operation: &Operation) -> Value {
    let mut writer = Writer::new(operation, Written::ForArguments);
    let mut properties = BTreeMap::new();
    let mut required = Vec::new();
    for place in [
        ParameterPlace::Path,
        ParameterPlace::Query,
        ParameterPlace::Header,
    ] {
        let declared: Vec<&Parameter> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.place == place)
            .collect();
        if declared.is_empty() {
            continue;
        }
        if declared.iter().any(|parameter| parameter.required) {
            required.push(Value::from(group(place)));
        }
        properties.insert(group(place).to_owned(), writer.group(&declared));
    }
    body(operation, &mut writer, &mut properties, &mut required);
    let mut members = vec![
        ("type", Value::from("object")),
        ("properties", Value::Object(properties)),
        ("additionalProperties", Value::Bool(false)),
    ];
    if !required.is_empty() {
        members.push(("required", Value::Array(required)));
    }
    let defs = writer.finish();
    if !defs.is_empty() {
        members.push(("$defs", Value::Object(defs)));
    }
    Value::object(members)
}

fn body(
    operation: &Operation,
    writer: &mut Writer<'_>,
    properties: &mut BTreeMap<String, Value>,
    required: &mut Vec<Value>,
) {
    let media = super::media(operation).unwrap_or_default();
    let Some(body) = operation.body.as_ref().filter(|_| !media.is_empty()) else {
        return;
    };
    let mut alternatives: Vec<Value> = Vec::new();
    for (_, media) in &media {
        let schema = media.schema.map_or_else(anything, |id| writer.value(id, 0));
        if !alternatives.contains(&schema) {
            alternatives.push(schema);
        }
    }
    let schema = match alternatives.as_slice() {
        [one] => one.clone(),
        _ => Value::object([("anyOf", Value::Array(alternatives))]),
    };
    properties.insert("body".to_owned(), schema);
    if body.required {
        required.push(Value::from("body"));
    }
    if media.len() > 1 {
        let names = media.iter().map(|(name, _)| Value::from(name.as_str()));
        let schema = Value::object([("enum", Value::Array(names.collect()))]);
        properties.insert("content_type".to_owned(), schema);
    }
}

fn anything() -> Value {
    Value::Object(BTreeMap::new())
}

/// Writes schemas, and those that are referred to once for all.
struct Writer<'s> {
    schemas: &'s Schemas,
    /// What was referred to, numbered in the order it was met.
    named: BTreeMap<SchemaId, usize>,
    defs: BTreeMap<String, Value>,
    /// Referred to and not yet written.
    open: Vec<SchemaId>,
    shown: usize,
    /// It is of an answer, and admits all that a check of it admits: clients hold results against it. Patterns and formats are
    /// left out, because clients compile such schemas before they call anything, in another dialect of regular expressions; and with
    /// them what would then say more than was meant (`oneOf`, `not`, `multipleOf` in another arithmetic).
    written: Written,
}

/// What a schema is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    ForArguments,
    ForAnswers,
}

impl<'s> Writer<'s> {
    fn new(operation: &'s Operation, written: Written) -> Self {
        Self {
            schemas: &operation.schemas,
            named: BTreeMap::new(),
            defs: BTreeMap::new(),
            open: Vec::new(),
            shown: 0,
            written,
        }
    }

    /// The parameters of one place as an object.
    fn group(&mut self, declared: &[&Parameter]) -> Value {
        let required: Vec<Value> = declared
            .iter()
            .filter(|parameter| parameter.required)
            .map(|parameter| Value::from(parameter.name.as_str()))
            .collect();
        let properties: BTreeMap<String, Value> = declared
            .iter()
            .map(|parameter| (parameter.name.clone(), self.parameter(parameter)))
            .collect();
        let mut members = vec![
            ("type", Value::from("object")),
            ("properties", Value::Object(properties)),
            ("additionalProperties", Value::Bool(false)),
        ];
        if !required.is_empty() {
            members.push(("required", Value::Array(required)));
        }
        Value::object(members)
    }

    fn parameter(&mut self, parameter: &Parameter) -> Value {
        let scalar = matches!(parameter.style, Style::Scalar | Style::Opaque);
        if scalar && shape(self.schemas, &[parameter.schema]).untyped {
            // Nothing says what it is, so it is read as the text it arrives as.
            return Value::object([("type", Value::from("string"))]);
        }
        self.value(parameter.schema, 0)
    }

    /// All schemas that were referred to. Those that are not shown any more admit everything.
    fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(id) = self.open.pop() {
            let schema = self.value(id, 0);
            let name = self.name(id);
            self.defs.insert(name, schema);
        }
        self.defs
    }

    /// The name under which a schema stands among the definitions.
    fn name(&mut self, id: SchemaId) -> String {
        let next = self.named.len().saturating_add(1);
        let number = *self.named.entry(id).or_insert_with(|| {
            self.open.push(id);
            next
        });
        format!("s{number}")
    }

    fn value(&mut self, id: SchemaId, depth: usize) -> Value {
        self.shown = self.shown.saturating_add(1);
        if self.shown > MOST_SHOWN || depth > DEEPEST {
            return anything();
        }
        let schemas = self.schemas;
        let schema = schemas.of(id);
        if schema.never {
            return Value::Bool(false);
        }
        let depth = depth.saturating_add(1);
        let mut members = BTreeMap::new();
        self.general(schema, &mut members);
        for (name, list) in [("allOf", &schema.all_of), ("anyOf", &schema.any_of)] {
            if !list.is_empty() {
                members.insert(name.to_owned(), self.list(list, depth));
            }
        }
        if !schema.one_of.is_empty() {
            let list = self.list(&schema.one_of, depth);
            if self.written == Written::ForArguments {
                members.insert("oneOf".to_owned(), list);
            } else if schema.any_of.is_empty() {
                members.insert("anyOf".to_owned(), list);
            }
        }
        if let Some(id) = schema.not.filter(|_| self.written == Written::ForArguments) {
            members.insert("not".to_owned(), self.value(id, depth));
        }
        if let Some(rules) = &schema.number {
            number(rules, self.written, &mut members);
        }
        if let Some(rules) = &schema.string {
            string(rules, self.written, &mut members);
        }
        if let Some(rules) = &schema.array {
            self.array(rules, depth, &mut members);
        }
        if let Some(rules) = &schema.object {
            self.object(rules, depth, &mut members);
        }
        let written = Value::Object(members);
        if schema.nullable && !schema.types.has(Types::NULL) {
            let null = Value::object([("type", Value::from("null"))]);
            return Value::object([("anyOf", Value::Array(vec![written, null]))]);
        }
        written
    }

    fn general(&mut self, schema: &Schema, members: &mut BTreeMap<String, Value>) {
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        let mut types: Vec<Value> = schema.types.names().map(Value::from).collect();
        if types.len() > 1 {
            put("type", Value::Array(types));
        } else if let Some(one) = types.pop() {
            put("type", one);
        }
        if let Some(target) = schema.reference {
            put(
                "$ref",
                Value::from(format!("#/$defs/{}", self.name(target))),
            );
        }
        if let Some(values) = &schema.values {
            put("enum", Value::Array(values.clone()));
        }
        if let Some(default) = &schema.default {
            put("default", Value::from(default.as_str()));
        }
        if let Some(format) = schema
            .format
            .filter(|_| self.written == Written::ForArguments)
        {
            put("format", Value::from(format_name(format)));
        }
        if schema.read_only {
            put("readOnly", Value::Bool(true));
        }
    }

    fn list(&mut self, ids: &[SchemaId], depth: usize) -> Value {
        Value::Array(ids.iter().map(|id| self.value(*id, depth)).collect())
    }

    fn array(&mut self, rules: &ArrayRules, depth: usize, members: &mut BTreeMap<String, Value>) {
        if !rules.prefix.is_empty() {
            members.insert("prefixItems".to_owned(), self.list(&rules.prefix, depth));
        }
        if let Some(items) = rules.items {
            members.insert("items".to_owned(), self.value(items, depth));
        }
        count("minItems", rules.fewest, members);
        count("maxItems", rules.most, members);
        if rules.unique {
            members.insert("uniqueItems".to_owned(), Value::Bool(true));
        }
    }

    fn object(&mut self, rules: &ObjectRules, depth: usize, members: &mut BTreeMap<String, Value>) {
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        if !rules.properties.is_empty() {
            let properties = rules.properties.iter();
            let properties = properties.map(|(name, id)| (name.clone(), self.value(*id, depth)));
            put("properties", Value::Object(properties.collect()));
        }
        if !rules.patterns.is_empty() && self.written == Written::ForArguments {
            let patterns = rules.patterns.iter();
            let patterns =
                patterns.map(|(pattern, id)| (pattern.as_str().to_owned(), self.value(*id, depth)));
            put("patternProperties", Value::Object(patterns.collect()));
        }
        match rules.additional {
            Additional::Unsaid | Additional::Open => {}
            // A name that an inexpressible pattern admits would be an additional one here.
            Additional::Closed if rules.unknown_patterns => {}
            Additional::Closed | Additional::Schema(_)
                if self.written == Written::ForAnswers && !rules.patterns.is_empty() => {}
            Additional::Closed => {
                put("additionalProperties", Value::Bool(false));
            }
            Additional::Schema(id) => {
                put("additionalProperties", self.value(id, depth));
            }
        }
        if let Some(id) = rules.names {
            put("propertyNames", self.value(id, depth));
        }
        // What is required of requests alone is not promised.
        let directed = rules
            .directed
            .as_deref()
            .filter(|_| self.written == Written::ForAnswers);
        let spared =
            |name: &&String| directed.is_some_and(|only| only.requests_alone.contains(*name));
        let names = rules.required.iter().filter(|name| !spared(name));
        let names: Vec<Value> = names.map(|name| Value::from(name.as_str())).collect();
        if !names.is_empty() {
            put("required", Value::Array(names));
        }
        count("minProperties", rules.fewest, members);
        count("maxProperties", rules.most, members);
    }
}

fn count(name: &str, value: Option<usize>, members: &mut BTreeMap<String, Value>) {
    if let Some(value) = value.and_then(|value| u64::try_from(value).ok()) {
        members.insert(name.to_owned(), Value::from_u64(value));
    }
}

fn number(rules: &NumberRules, written: Written, members: &mut BTreeMap<String, Value>) {
    for (name, value) in [
        ("minimum", &rules.minimum),
        ("maximum", &rules.maximum),
        ("exclusiveMinimum", &rules.above),
        ("exclusiveMaximum", &rules.below),
        ("multipleOf", &rules.multiple_of),
    ] {
        if written == Written::ForAnswers && name == "multipleOf" {
            continue;
        }
        let value = value.as_ref().map(ToString::to_string);
        if let Some(number) = value.as_deref().and_then(Number::parse) {
            members.insert(name.to_owned(), Value::Number(number));
        }
    }
}

fn string(rules: &StringRules, written: Written, members: &mut BTreeMap<String, Value>) {
    count("minLength", rules.shortest, members);
    count("maxLength", rules.longest, members);
    if let Some(pattern) = rules
        .pattern
        .as_ref()
        .filter(|_| written == Written::ForArguments)
    {
        members.insert("pattern".to_owned(), Value::from(pattern.as_str()));
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Int32 => "int32",
        Format::Int64 => "int64",
        Format::Date => "date",
        Format::DateTime => "date-time",
    }
}
