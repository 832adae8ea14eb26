//! `JSONPath` queries (RFC 9535), whole: what selects the places that an overlay changes.

mod filter;
mod parse;
mod select;

use std::fmt;

use writ_types::{Decimal, Pointer, Value};

use regex::Regex;

/// Longest query, in bytes.
const LONGEST: usize = 4 * 1024;
/// Deepest nesting of filters in a query.
const DEEPEST: usize = 16;

/// A query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    segments: Vec<Segment>,
}

/// Why a query cannot be read, and where, in characters from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryFault {
    pub(crate) at: usize,
    pub(crate) message: &'static str,
}

impl fmt::Display for QueryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a JSONPath (RFC 9535): {} (character {})",
            self.message,
            self.at.saturating_add(1)
        )
    }
}

/// The query looks at more values than anybody means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the target looks at too many values")]
pub(crate) struct TooMuch;

#[derive(Debug, Clone)]
struct Segment {
    /// `..`
    descendant: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Filter(Logical),
}

#[derive(Debug, Clone)]
enum Logical {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Exists(FilterQuery),
    Compare(Comparable, Comparison, Comparable),
    /// `match` and `search`.
    Matches {
        text: Comparable,
        pattern: Pattern,
        extent: Extent,
    },
}

/// How much of a text a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All: `match`.
    Whole,
    /// Any part: `search`.
    Part,
}

#[derive(Debug, Clone)]
enum Pattern {
    /// A literal, compiled once; none if it is no regular expression, which matches nothing.
    Fixed(Option<Regex>),
    Computed(Box<Comparable>),
}

#[derive(Debug, Clone)]
struct FilterQuery {
    /// From `$`, not from `@`.
    absolute: bool,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
enum Comparable {
    Literal(Value),
    /// A query that selects at most one value.
    Singular(FilterQuery),
    Length(Box<Self>),
    Count(FilterQuery),
    Value(FilterQuery),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Query {
    /// Reads a query.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryFault> {
        parse::query(text)
    }

    /// The places it selects, in the order of RFC 9535 §2.3 and §2.5; one place may come twice.
    pub(crate) fn select(&self, root: &Value) -> Result<Vec<Pointer>, TooMuch> {
        select::select(self, root)
    }
}

/// A number exactly; numbers beyond any exact reading equal nothing.
fn exact(value: &Value) -> Option<Decimal> {
    value.as_number().and_then(writ_types::Number::to_decimal)
}

#[cfg(test)]
mod tests;
