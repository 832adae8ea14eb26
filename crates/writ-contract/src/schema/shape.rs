//! The shape of a schema: which kinds of values it admits, and what stands below them, alternatives united.
//!
//! A shape admits at least what its schema admits. Whoever reads values by it must still refuse a value that is not of
//! the kind it expects.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::Value;

use super::{Additional, Schema, SchemaId, Schemas, Types};

/// Deepest chain of schemas that apply to the same value.
const DEEPEST: usize = 64;
/// Most schemas looked at for one shape.
const MOST_STEPS: usize = 20_000;

/// One or more schemas, seen as what they admit together.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent keywords, each read by its name"
)]
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Types but null; meaningless if `untyped`.
    pub(crate) types: Types,
    /// Nothing says what it is.
    pub(crate) untyped: bool,
    pub(crate) nullable: bool,
    pub(crate) properties: BTreeMap<String, Property>,
    /// Schemas of members that are not named.
    pub(crate) additional: Vec<SchemaId>,
    /// Members that are not named are let through unseen, because the contract says so.
    pub(crate) open: bool,
    pub(crate) items: Vec<SchemaId>,
    /// Items differ by their place.
    pub(crate) tuple: bool,
    /// References that were followed, to notice a recursion.
    pub(crate) through: Vec<SchemaId>,
    /// Some restriction is not enforced.
    pub(crate) unenforced: bool,
    /// The only texts there can be, if the schemas name them all.
    pub(crate) texts: Option<BTreeSet<String>>,
}

/// A named member.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) schemas: Vec<SchemaId>,
    pub(crate) required: bool,
}

impl Shape {
    fn anything() -> Self {
        Self {
            types: Types::NONE,
            untyped: true,
            nullable: true,
            properties: BTreeMap::new(),
            additional: Vec::new(),
            open: false,
            items: Vec::new(),
            tuple: false,
            through: Vec::new(),
            unenforced: false,
            texts: None,
        }
    }

    /// Whether a value of this shape may be of one of the types.
    pub(crate) fn may_be(&self, types: Types) -> bool {
        !self.untyped && self.types.has(types)
    }

    /// Whether all values of this shape are scalars.
    pub(crate) fn is_scalar(&self) -> bool {
        !self.untyped
            && !self.types.is_none()
            && !self.types.has(Types::ARRAY)
            && !self.types.has(Types::OBJECT)
    }
}

/// The shape of what fits any of the schemas.
pub(crate) fn shape(schemas: &Schemas, ids: &[SchemaId]) -> Shape {
    let mut walk = Walk { schemas, steps: 0 };
    walk.any_of(ids, 0)
}

/// Alternatives of alternatives multiply; what is beyond the bound is seen as anything.
struct Walk<'s> {
    schemas: &'s Schemas,
    steps: usize,
}

impl Walk<'_> {
    fn any_of(&mut self, ids: &[SchemaId], depth: usize) -> Shape {
        ids.iter()
            .map(|id| self.one(*id, depth))
            .reduce(either)
            .unwrap_or_else(Shape::anything)
    }

    fn one(&mut self, id: SchemaId, depth: usize) -> Shape {
        self.steps = self.steps.saturating_add(1);
        if depth >= DEEPEST || self.steps > MOST_STEPS {
            return Shape::anything();
        }
        let schema = self.schemas.of(id);
        let deeper = depth.saturating_add(1);
        let mut shape = own(schema);
        if let Some(reference) = schema.reference {
            let mut target = self.one(reference, deeper);
            target.through.push(reference);
            shape = self.both(shape, target, deeper);
        }
        for id in &schema.all_of {
            let part = self.one(*id, deeper);
            shape = self.both(shape, part, deeper);
        }
        for alternatives in [&schema.any_of, &schema.one_of] {
            if !alternatives.is_empty() {
                let part = self.any_of(alternatives, deeper);
                shape = self.both(shape, part, deeper);
            }
        }
        shape.nullable |= schema.nullable;
        shape
    }

    /// What fits one and the other.
    fn both(&mut self, left: Shape, right: Shape, depth: usize) -> Shape {
        let types = match (left.untyped, right.untyped) {
            (true, _) => right.types,
            (_, true) => left.types,
            (false, false) => left.types.common(right.types),
        };
        let mut properties = left.properties;
        for (name, property) in right.properties {
            match properties.get_mut(&name) {
                Some(known) => {
                    known.required |= property.required;
                    known.schemas = joined(std::mem::take(&mut known.schemas), property.schemas);
                    // One that says nothing must not hide what the other says.
                    let saying: Vec<SchemaId> = known
                        .schemas
                        .iter()
                        .copied()
                        .filter(|id| !self.one(*id, depth).untyped)
                        .collect();
                    if !saying.is_empty() {
                        known.schemas = saying;
                    }
                }
                None => {
                    properties.insert(name, property);
                }
            }
        }
        Shape {
            types,
            untyped: left.untyped && right.untyped,
            nullable: left.nullable && right.nullable,
            properties,
            additional: joined(left.additional, right.additional),
            open: left.open || right.open,
            items: joined(left.items, right.items),
            tuple: left.tuple || right.tuple,
            through: joined(left.through, right.through),
            unenforced: left.unenforced || right.unenforced,
            texts: match (left.texts, right.texts) {
                (Some(left), Some(right)) => Some(left.intersection(&right).cloned().collect()),
                (left, right) => left.or(right),
            },
        }
    }
}

/// What the schema itself says, without the schemas it applies.
fn own(schema: &Schema) -> Shape {
    let mut shape = Shape::anything();
    shape.unenforced = schema.unenforced;
    let types = if schema.types.is_none() {
        implied(schema)
    } else {
        schema.types
    };
    if !types.is_none() {
        shape.untyped = false;
        shape.nullable = types.has(Types::NULL);
        shape.types = types.without_null();
    }
    if let Some(values) = &schema.values {
        shape.nullable &= values.contains(&Value::Null);
        let texts = values.iter().filter(|value| !matches!(value, Value::Null));
        let texts: Option<BTreeSet<String>> = texts
            .map(|value| value.as_str().map(str::to_owned))
            .collect();
        shape.texts = texts.filter(|texts| !texts.is_empty());
    }
    if let Some(rules) = &schema.object {
        for (name, id) in &rules.properties {
            let property = Property {
                schemas: vec![*id],
                required: rules.required.contains(name),
            };
            shape.properties.insert(name.clone(), property);
        }
        for name in &rules.required {
            shape.properties.entry(name.clone()).or_insert(Property {
                schemas: Vec::new(),
                required: true,
            });
        }
        shape
            .additional
            .extend(rules.patterns.iter().map(|(_, id)| *id));
        match rules.additional {
            Additional::Unsaid | Additional::Closed => {}
            Additional::Open => shape.open = true,
            Additional::Schema(id) => shape.additional.push(id),
        }
        shape.open |= rules.unknown_patterns;
    }
    if let Some(rules) = &schema.array {
        shape.tuple = !rules.prefix.is_empty();
        shape.items.extend(rules.items);
        shape.items.extend(&rules.prefix);
    }
    shape
}

/// The types a schema means that names none.
fn implied(schema: &Schema) -> Types {
    if let Some(values) = &schema.values {
        return values.iter().fold(Types::NONE, |types, value| {
            types.with(match value {
                Value::Null => Types::NULL,
                Value::Bool(_) => Types::BOOLEAN,
                Value::Number(_) if Types::INTEGER.admit(value) => Types::INTEGER,
                Value::Number(_) => Types::NUMBER,
                Value::String(_) => Types::STRING,
                Value::Array(_) => Types::ARRAY,
                Value::Object(_) => Types::OBJECT,
            })
        });
    }
    if schema.object.is_some() {
        Types::OBJECT
    } else if schema.array.is_some() {
        Types::ARRAY
    } else if schema.string.is_some() {
        Types::STRING
    } else if schema.number.is_some() {
        Types::NUMBER
    } else {
        Types::NONE
    }
}

/// What fits one or the other.
fn either(left: Shape, right: Shape) -> Shape {
    let mut properties = left.properties;
    for property in properties.iter_mut() {
        if !right.properties.contains_key(property.0) && right.types.has(Types::OBJECT) {
            property.1.required = false;
        }
    }
    let left_has_objects = left.types.has(Types::OBJECT);
    for (name, property) in right.properties {
        match properties.get_mut(&name) {
            Some(known) => {
                known.required &= property.required;
                known.schemas = joined(std::mem::take(&mut known.schemas), property.schemas);
            }
            None => {
                let required = property.required && !left_has_objects;
                properties.insert(
                    name,
                    Property {
                        required,
                        ..property
                    },
                );
            }
        }
    }
    Shape {
        types: left.types.with(right.types),
        untyped: left.untyped || right.untyped,
        nullable: left.nullable || right.nullable,
        properties,
        additional: joined(left.additional, right.additional),
        open: left.open || right.open,
        items: joined(left.items, right.items),
        tuple: left.tuple || right.tuple,
        through: joined(left.through, right.through),
        unenforced: left.unenforced || right.unenforced,
        texts: match (left.texts, right.texts) {
            (Some(left), Some(right)) => Some(left.into_iter().chain(right).collect()),
            (_, _) => None,
        },
    }
}

/// Both lists, each schema once.
fn joined(mut left: Vec<SchemaId>, right: Vec<SchemaId>) -> Vec<SchemaId> {
    let seen: BTreeSet<SchemaId> = left.iter().copied().collect();
    left.extend(right.into_iter().filter(|id| !seen.contains(id)));
    left
}
