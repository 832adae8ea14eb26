//! Schemas as they are written, references followed, and a bounded walk over what stands below one.

use std::collections::BTreeSet;

use writ_types::{Pointer, Value};

use super::{Node, Outline};
use crate::document::target;
use crate::schema::Dialect;

/// Longest chain of references from one place.
const REFERENCE_CHAIN: usize = 64;
/// Deepest nesting that a walk follows.
const DEEPEST: usize = 48;
/// Most schemas that one walk visits.
const MOST_STEPS: usize = 20_000;

/// A schema: what is written at its place and at the places it refers to, nearest first.
///
/// Members beside a `$ref` count from 3.1 on; before, they say nothing.
#[derive(Debug, Clone)]
pub(crate) struct Schema<'d> {
    pub(crate) layers: Vec<&'d Value>,
    /// The last reference that was followed.
    pub(crate) reference: Option<&'d str>,
    /// A reference leads nowhere.
    pub(crate) broken: bool,
}

impl<'d> Schema<'d> {
    /// The nearest layer's word on a keyword.
    pub(crate) fn keyword(&self, name: &str) -> Option<&'d Value> {
        self.layers.iter().find_map(|layer| layer.member(name))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'d str> {
        self.keyword(name)?.as_str()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.keyword(name).and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.keyword(name).is_some()
    }

    /// Whether `type` names the type, alone or among others.
    pub(crate) fn is_type(&self, name: &str) -> bool {
        match self.keyword("type") {
            Some(Value::String(one)) => one == name,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(name)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                false
            }
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        self.is_type("object") || (!self.has("type") && self.has("properties"))
    }

    /// Whether it says nothing about what its values are.
    pub(crate) fn is_untyped(&self) -> bool {
        ![
            "type",
            "enum",
            "const",
            "properties",
            "items",
            "allOf",
            "anyOf",
            "oneOf",
            "additionalProperties",
        ]
        .iter()
        .any(|name| self.has(name))
    }
}

/// One schema met on a walk.
#[derive(Debug)]
pub(crate) struct Step<'w, 'd> {
    pub(crate) schema: &'w Schema<'d>,
    /// The property it is the value of; the root has none.
    pub(crate) name: Option<&'d str>,
    /// Properties between the root and it.
    pub(crate) depth: usize,
    trail: &'w Trail<'d>,
}

impl Step<'_, '_> {
    /// Where it is written, behind the last reference.
    pub(crate) fn pointer(&self) -> Pointer {
        self.trail.pointer()
    }
}

/// A place, made a pointer only when it is asked for.
#[derive(Debug)]
struct Trail<'d> {
    base: Pointer,
    tokens: Vec<Token<'d>>,
}

#[derive(Debug, Clone, Copy)]
enum Token<'d> {
    Name(&'d str),
    Index(usize),
}

impl Trail<'_> {
    fn pointer(&self) -> Pointer {
        self.tokens
            .iter()
            .fold(self.base.clone(), |pointer, token| match token {
                Token::Name(name) => pointer.child(name),
                Token::Index(index) => pointer.item(*index),
            })
    }
}

impl<'d> Outline<'d> {
    /// The schema at a value.
    pub(crate) fn schema(&self, value: &'d Value) -> Schema<'d> {
        let mut schema = Schema {
            layers: Vec::new(),
            reference: None,
            broken: false,
        };
        let mut value = value;
        for _ in 0..REFERENCE_CHAIN {
            let Some(reference) = value.member("$ref") else {
                schema.layers.push(value);
                return schema;
            };
            if self.dialect == Dialect::V31 {
                schema.layers.push(value);
            }
            schema.reference = reference.as_str();
            let found = target(reference).ok();
            match found.and_then(|pointer| self.document.at(&pointer)) {
                Some(next) => value = next,
                None => break,
            }
        }
        schema.broken = true;
        schema
    }

    /// Visits a schema and what stands below it, each reference once.
    pub(crate) fn walk(&self, root: &Node<'d>, visit: &mut dyn FnMut(&Step<'_, 'd>)) {
        let mut walk = Walk {
            outline: self,
            visit,
            followed: BTreeSet::new(),
            steps: 0,
            trail: Trail {
                base: root.pointer.clone(),
                tokens: Vec::new(),
            },
        };
        walk.at(root.value, None, 0, 0);
    }
}

struct Walk<'w, 'd> {
    outline: &'w Outline<'d>,
    visit: &'w mut dyn FnMut(&Step<'_, 'd>),
    followed: BTreeSet<&'d str>,
    steps: usize,
    trail: Trail<'d>,
}

impl<'d> Walk<'_, 'd> {
    fn at(&mut self, value: &'d Value, name: Option<&'d str>, depth: usize, nesting: usize) {
        self.steps = self.steps.saturating_add(1);
        if nesting > DEEPEST || self.steps > MOST_STEPS {
            return;
        }
        let schema = self.outline.schema(value);
        if let Some(reference) = schema.reference {
            if !self.followed.insert(reference) {
                return;
            }
            let base = reference.strip_prefix('#').and_then(Pointer::parse);
            let outside = std::mem::replace(
                &mut self.trail,
                Trail {
                    base: base.unwrap_or_default(),
                    tokens: Vec::new(),
                },
            );
            self.here(&schema, name, depth, nesting);
            self.trail = outside;
        } else {
            self.here(&schema, name, depth, nesting);
        }
    }

    fn here(&mut self, schema: &Schema<'d>, name: Option<&'d str>, depth: usize, nesting: usize) {
        (self.visit)(&Step {
            schema,
            name,
            depth,
            trail: &self.trail,
        });
        let (deeper, inside) = (nesting.saturating_add(1), depth.saturating_add(1));
        for layer in &schema.layers {
            let member = |name: &str| layer.member(name);
            if let Some(Value::Object(properties)) = member("properties") {
                for (property, value) in properties {
                    let tokens = [Token::Name("properties"), Token::Name(property)];
                    self.below(&tokens, value, Some(property), inside, deeper);
                }
            }
            for keyword in ["items", "additionalProperties"] {
                if let Some(value @ Value::Object(_)) = member(keyword) {
                    self.below(&[Token::Name(keyword)], value, name, depth, deeper);
                }
            }
            for keyword in ["allOf", "anyOf", "oneOf", "prefixItems"] {
                let Some(Value::Array(list)) = member(keyword) else {
                    continue;
                };
                for (index, value) in list.iter().enumerate() {
                    let tokens = [Token::Name(keyword), Token::Index(index)];
                    self.below(&tokens, value, name, depth, deeper);
                }
            }
        }
    }

    fn below(
        &mut self,
        tokens: &[Token<'d>],
        value: &'d Value,
        name: Option<&'d str>,
        depth: usize,
        nesting: usize,
    ) {
        let length = self.trail.tokens.len();
        self.trail.tokens.extend_from_slice(tokens);
        self.at(value, name, depth, nesting);
        self.trail.tokens.truncate(length);
    }
}
