//! How much memory a contract holds, counted and not measured, so that the same document always gives the same number.

use std::collections::BTreeSet;
use std::mem::{size_of, size_of_val};

use writ_types::Value;

use crate::media::MediaRange;
use crate::operation::{Media, Operation, Parameter};
use crate::router::Segment;
use crate::schema::{Schema, SchemaId, Schemas};

/// A named member: its name's head and its schema, in nodes that are two thirds full in the long run.
const PROPERTY: usize = 48;
/// A compiled pattern, as an order of magnitude: the library does not say.
const PATTERN: usize = 8 * 1024;
/// What a literal segment's text spends.
const SEGMENT: usize = 16;

/// The bytes of the operations and the schemas they share. What is made when a call first needs it is not counted.
pub(crate) fn of(operations: &[Operation]) -> usize {
    let schemas = operations.first().map_or(0, |one| one.schemas.memory());
    operations
        .iter()
        .map(operation)
        .fold(schemas, usize::saturating_add)
}

fn operation(operation: &Operation) -> usize {
    let texts = [
        operation.template.len(),
        operation.summary.as_ref().map_or(0, String::len),
        operation.action.operation.as_str().len(),
    ];
    let media = operation.body.iter().flat_map(|body| &body.media);
    let media = media.chain(operation.replies.iter().flat_map(|reply| &reply.media));
    let parts = [
        size_of::<Operation>(),
        texts.iter().sum(),
        operation
            .segments
            .len()
            .saturating_mul(size_of::<Segment>().saturating_add(SEGMENT)),
        operation
            .parameters
            .iter()
            .map(|parameter| size_of::<Parameter>().saturating_add(parameter.name.len()))
            .sum(),
        media
            .map(|_| size_of::<Media>().saturating_add(size_of::<MediaRange>()))
            .sum(),
        operation
            .replies
            .len()
            .saturating_mul(size_of::<crate::response::Reply>()),
    ];
    parts.into_iter().fold(0, usize::saturating_add)
}

impl Schemas {
    fn memory(&self) -> usize {
        let mut patterns = BTreeSet::new();
        let schemas: usize = self
            .iter()
            .map(|schema| {
                if let Some(pattern) = schema
                    .string
                    .as_ref()
                    .and_then(|rules| rules.pattern.as_ref())
                {
                    patterns.insert(pattern.as_str());
                }
                one(schema)
            })
            .fold(0, usize::saturating_add);
        schemas.saturating_add(patterns.len().saturating_mul(PATTERN))
    }
}

/// One schema with what it points at; schemas it names are counted by themselves.
fn one(schema: &Schema) -> usize {
    let values = schema.values.iter().flatten();
    let values =
        values.map(|value| size_of::<Value>().saturating_add(value.as_str().map_or(0, str::len)));
    let lists = [&schema.all_of, &schema.any_of, &schema.one_of].map(Vec::len);
    let ids = lists.into_iter().fold(0, usize::saturating_add);
    let object = schema.object.as_deref().map_or(0, |rules| {
        let named = rules
            .properties
            .keys()
            .map(|name| name.len().saturating_add(PROPERTY));
        let required = rules
            .required
            .iter()
            .map(|name| name.len().saturating_add(size_of::<String>()));
        named
            .chain(required)
            .fold(size_of_val(rules), usize::saturating_add)
    });
    let parts = [
        size_of::<Schema>(),
        values.fold(0, usize::saturating_add),
        ids.saturating_mul(size_of::<SchemaId>()),
        schema.default.as_ref().map_or(0, String::len),
        schema.number.as_deref().map_or(0, size_of_val),
        schema.string.as_deref().map_or(0, size_of_val),
        schema.array.as_deref().map_or(0, size_of_val),
        object,
    ];
    parts.into_iter().fold(0, usize::saturating_add)
}
