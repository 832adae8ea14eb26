//! JSON Schema as the contracts use it: compiled once into an arena, checked against typed values.
//!
//! Schemas refer to each other by number, so that what is shared in the document is shared here, and a cycle is just a
//! number that was met before.

mod check;
mod compile;
mod extra;
mod pattern;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use writ_types::{Decimal, Value};

use crate::field::FieldMark;

pub(crate) use check::{Faults, check, check_response, fits, fits_in};
pub(crate) use compile::{Broken, Compiler, Dialect};
pub(crate) use extra::record_members;
pub(crate) use shape::{Shape, shape};

/// A schema's place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SchemaId(u32);

/// All schemas that the operations of one contract reach.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    all: Vec<Schema>,
}

impl Schemas {
    /// The schema; the one that admits everything if there is none, which cannot happen with ids this arena gave.
    pub(crate) fn of(&self, id: SchemaId) -> &Schema {
        static ANYTHING: Schema = Schema::ANYTHING;
        usize::try_from(id.0)
            .ok()
            .and_then(|index| self.all.get(index))
            .unwrap_or(&ANYTHING)
    }
}

impl Schemas {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Schema> {
        self.all.iter()
    }

    /// The first broken schema that the roots reach.
    pub(crate) fn reach<'b>(
        &self,
        roots: impl Iterator<Item = SchemaId>,
        broken: &'b BTreeMap<SchemaId, Broken>,
    ) -> Option<&'b Broken> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<SchemaId> = roots.collect();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if let Some(fault) = broken.get(&id) {
                return Some(fault);
            }
            self.of(id).children(&mut open);
        }
        None
    }
}

/// A set of JSON types; empty means that the schema says nothing about the type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    pub(crate) const NUMBER: Self = Self(8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn without_null(self) -> Self {
        Self(self.0 & !Self::NULL.0)
    }

    /// The types in both; a number that is also an integer is an integer.
    pub(crate) const fn common(self, other: Self) -> Self {
        let mixed = self.has(Self::INTEGER) && other.has(Self::NUMBER)
            || self.has(Self::NUMBER) && other.has(Self::INTEGER);
        Self(self.0 & other.0 | if mixed { Self::INTEGER.0 } else { 0 })
    }

    /// The type a JSON Schema `type` names.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    /// The names JSON Schema has for the types.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            "null", "boolean", "integer", "number", "string", "array", "object",
        ];
        all.into_iter()
            .filter(move |name| Self::named(name).is_some_and(|one| self.has(one)))
    }

    /// Whether the value is of one of the types. A whole number is an integer however it is written.
    pub(crate) fn admit(self, value: &Value) -> bool {
        if self.is_none() {
            return true;
        }
        match value {
            Value::Null => self.has(Self::NULL),
            Value::Bool(_) => self.has(Self::BOOLEAN),
            Value::Number(number) => {
                self.has(Self::NUMBER)
                    || self.has(Self::INTEGER)
                        && number.to_decimal().is_some_and(|exact| exact.is_integer())
            }
            Value::String(_) => self.has(Self::STRING),
            Value::Array(_) => self.has(Self::ARRAY),
            Value::Object(_) => self.has(Self::OBJECT),
        }
    }
}

/// What `additionalProperties` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Additional {
    /// Nothing: open by JSON Schema's default.
    Unsaid,
    /// `true`
    Open,
    /// `false`
    Closed,
    /// A schema for the rest.
    Schema(SchemaId),
}

/// The formats that are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Int32,
    Int64,
    Date,
    DateTime,
}

/// One compiled schema. Absent keywords cost a word each at most.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent keywords, each read by its name"
)]
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) types: Types,
    /// `nullable: true` of OpenAPI 3.0: null fits whatever else is said.
    pub(crate) nullable: bool,
    /// The schema `false`.
    pub(crate) never: bool,
    pub(crate) read_only: bool,
    pub(crate) reference: Option<SchemaId>,
    /// `enum`, or `const` as an enum of one.
    pub(crate) values: Option<Vec<Value>>,
    /// `default`, where it is a text: some paths are told apart by it alone.
    pub(crate) default: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) number: Option<Box<NumberRules>>,
    pub(crate) string: Option<Box<StringRules>>,
    pub(crate) array: Option<Box<ArrayRules>>,
    pub(crate) object: Option<Box<ObjectRules>>,
    pub(crate) all_of: Vec<SchemaId>,
    pub(crate) any_of: Vec<SchemaId>,
    pub(crate) one_of: Vec<SchemaId>,
    pub(crate) not: Option<SchemaId>,
    /// A keyword that restricts values stands in the document and is not enforced.
    pub(crate) unenforced: bool,
    /// What the owner says of its values.
    pub(crate) mark: Option<Box<FieldMark>>,
}

impl Schema {
    /// Every schema this one names.
    pub(crate) fn children(&self, into: &mut Vec<SchemaId>) {
        into.extend(self.reference.iter().chain(&self.not));
        for list in [&self.all_of, &self.any_of, &self.one_of] {
            into.extend(list);
        }
        if let Some(rules) = &self.array {
            into.extend(rules.prefix.iter().chain(&rules.items));
        }
        if let Some(rules) = &self.object {
            into.extend(rules.properties.values().chain(&rules.names));
            into.extend(rules.patterns.iter().map(|(_, id)| *id));
            if let Additional::Schema(id) = rules.additional {
                into.push(id);
            }
        }
    }

    /// The only text a value of this schema can be, if there is just one.
    pub(crate) fn only_text(&self) -> Option<&str> {
        match self.values.as_deref()? {
            [Value::String(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) const ANYTHING: Self = Self {
        types: Types::NONE,
        nullable: false,
        never: false,
        read_only: false,
        reference: None,
        values: None,
        default: None,
        format: None,
        number: None,
        string: None,
        array: None,
        object: None,
        all_of: Vec::new(),
        any_of: Vec::new(),
        one_of: Vec::new(),
        not: None,
        unenforced: false,
        mark: None,
    };
}

/// `minimum` and its kin.
#[derive(Debug, Default)]
pub(crate) struct NumberRules {
    pub(crate) minimum: Option<Decimal>,
    pub(crate) maximum: Option<Decimal>,
    pub(crate) above: Option<Decimal>,
    pub(crate) below: Option<Decimal>,
    pub(crate) multiple_of: Option<Decimal>,
}

/// `minLength` and its kin; lengths in characters.
#[derive(Debug, Default)]
pub(crate) struct StringRules {
    pub(crate) shortest: Option<usize>,
    pub(crate) longest: Option<usize>,
    pub(crate) pattern: Option<Regex>,
}

/// `items` and its kin.
#[derive(Debug, Default)]
pub(crate) struct ArrayRules {
    pub(crate) prefix: Vec<SchemaId>,
    pub(crate) items: Option<SchemaId>,
    pub(crate) fewest: Option<usize>,
    pub(crate) most: Option<usize>,
    pub(crate) unique: bool,
}

/// Members that are required in one direction.
#[derive(Debug, Default)]
pub(crate) struct Directed {
    /// `writeOnly`: a response need not have them.
    pub(crate) requests_alone: Vec<String>,
    /// `readOnly`: only a response must have them.
    pub(crate) responses_alone: Vec<String>,
}

/// Which way a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the upstream.
    Request,
    /// Back from it.
    Response,
}

/// `properties` and its kin.
#[derive(Debug)]
pub(crate) struct ObjectRules {
    pub(crate) properties: BTreeMap<String, SchemaId>,
    /// What a request must have.
    pub(crate) required: Vec<String>,
    /// Where responses differ.
    pub(crate) directed: Option<Box<Directed>>,
    pub(crate) patterns: Vec<(Regex, SchemaId)>,
    /// A `patternProperties` key that no pattern expresses: what it might name is then not counted as undeclared.
    pub(crate) unknown_patterns: bool,
    pub(crate) additional: Additional,
    pub(crate) names: Option<SchemaId>,
    pub(crate) fewest: Option<usize>,
    pub(crate) most: Option<usize>,
}

#[cfg(test)]
mod tests;
