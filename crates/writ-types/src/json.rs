//! JSON, strictly: RFC 8259 with what it leaves open decided on the safe side.
//!
//! A duplicate member, a lone surrogate, a byte order mark, a number with a leading zero, text after the value: each is
//! a fault with the place it stands at. Numbers keep their exact text, because what is authorized is what is sent.

mod canonical;
mod parse;
mod pointer;

use std::collections::BTreeMap;
use std::fmt;

use crate::Decimal;

pub use parse::{JsonFault, JsonFaultKind, JsonLimits};
pub use pointer::Pointer;

/// A JSON value. Members are in the order of their names.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exactly as written.
    Number(Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

impl Value {
    /// Reads one JSON value, strictly.
    ///
    /// # Errors
    ///
    /// The first fault, with its JSON pointer and byte offset.
    pub fn parse(bytes: &[u8], limits: &JsonLimits) -> Result<Self, JsonFault> {
        parse::parse(bytes, limits)
    }

    /// The canonical text of RFC 8785.
    ///
    /// Numbers go through `f64`, as the RFC says; do not use it where two numbers that differ beyond that must differ.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical::write(self)
    }

    /// A whole number.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        Self::Number(Number(number.to_string().into()))
    }

    /// A whole number.
    #[must_use]
    pub fn from_i64(number: i64) -> Self {
        Self::Number(Number(number.to_string().into()))
    }

    /// An object of the given members.
    #[must_use]
    pub fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// The member `name`, if this is an object that has it.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    /// The value at `pointer`, if there is one.
    #[must_use]
    pub fn at(&self, pointer: &Pointer) -> Option<&Self> {
        pointer.tokens().try_fold(self, |value, token| match value {
            Self::Object(members) => members.get(&*token),
            Self::Array(items) => items.get(pointer::index(&token)?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => None,
        })
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        if let Self::Object(members) = self {
            Some(members)
        } else {
            None
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// The number, if this is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self {
            Some(number)
        } else {
            None
        }
    }

    /// The whole number, if this is one that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_str().parse().ok()
    }

    /// The type's name in JSON Schema.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl fmt::Display for Value {
    /// Compact JSON text; numbers exactly as they were written, members in the order of their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        canonical::write_exact(self, &mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A JSON number, exactly as written. Two are equal if they are the same quantity.
#[derive(Clone)]
pub struct Number(Box<str>);

impl Number {
    /// The text, which follows the grammar of RFC 8259 §6.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From a text that follows the grammar of RFC 8259 §6 whole.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse::is_number(text.as_bytes()).then(|| Self(text.into()))
    }

    /// The exact quantity; none if its exponent is beyond what any API means.
    #[must_use]
    pub fn to_decimal(&self) -> Option<Decimal> {
        self.0.parse().ok()
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self.to_decimal(), other.to_decimal()) {
            (Some(left), Some(right)) => left == right,
            _ => self.0 == other.0,
        }
    }
}

impl Eq for Number {}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
