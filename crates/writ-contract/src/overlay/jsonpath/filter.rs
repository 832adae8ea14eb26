//! Filters: tests, comparisons and the five functions (RFC 9535 §2.3.5, §2.4).

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use writ_types::Value;

use super::select::Walk;
use super::{Comparable, Comparison, Extent, Logical, Pattern, TooMuch, exact};

/// What compiling a pattern costs, in looks at a value.
const COMPILING: usize = 1_000;

pub(super) fn holds<'v>(
    walk: &mut Walk<'v>,
    logical: &Logical,
    current: &'v Value,
) -> Result<bool, TooMuch> {
    walk.step()?;
    match logical {
        Logical::Or(parts) => {
            for part in parts {
                if holds(walk, part, current)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Logical::And(parts) => {
            for part in parts {
                if !holds(walk, part, current)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Logical::Not(inner) => Ok(!holds(walk, inner, current)?),
        Logical::Exists(query) => Ok(!walk.values(query, current)?.is_empty()),
        Logical::Compare(left, comparison, right) => {
            let left = value(walk, left, current)?;
            let right = value(walk, right, current)?;
            Ok(compare(left.as_ref(), *comparison, right.as_ref()))
        }
        Logical::Matches {
            text,
            pattern,
            extent,
        } => {
            let Some(Value::String(text)) = value(walk, text, current)? else {
                return Ok(false);
            };
            let matches = |regex: Option<&Regex>| regex.is_some_and(|regex| regex.is_match(&text));
            match pattern {
                Pattern::Fixed(regex) => Ok(matches(regex.as_ref())),
                Pattern::Computed(pattern) => {
                    for _ in 0..COMPILING {
                        walk.step()?;
                    }
                    let pattern = value(walk, pattern, current)?;
                    let pattern = pattern.as_ref().and_then(Value::as_str);
                    Ok(matches(
                        pattern.and_then(|text| iregexp(text, *extent)).as_ref(),
                    ))
                }
            }
        }
    }
}

/// The value; none is RFC 9535's Nothing.
fn value<'v>(
    walk: &mut Walk<'v>,
    comparable: &Comparable,
    current: &'v Value,
) -> Result<Option<Value>, TooMuch> {
    Ok(match comparable {
        Comparable::Literal(value) => Some(value.clone()),
        Comparable::Singular(query) | Comparable::Value(query) => {
            match walk.values(query, current)?.as_slice() {
                [one] => Some(one.value.clone()),
                _ => None,
            }
        }
        Comparable::Count(query) => Some(number(walk.values(query, current)?.len())),
        Comparable::Length(inner) => match value(walk, inner, current)? {
            Some(Value::String(text)) => Some(number(text.chars().count())),
            Some(Value::Array(items)) => Some(number(items.len())),
            Some(Value::Object(members)) => Some(number(members.len())),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => None,
        },
    })
}

fn number(count: usize) -> Value {
    Value::from_u64(u64::try_from(count).unwrap_or(u64::MAX))
}

fn compare(left: Option<&Value>, comparison: Comparison, right: Option<&Value>) -> bool {
    let equal = || match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => same(left, right),
        _ => false,
    };
    let order = || match (left?, right?) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (left, right) => Some(exact(left)?.cmp(&exact(right)?)),
    };
    match comparison {
        Comparison::Equal => equal(),
        Comparison::NotEqual => !equal(),
        Comparison::Less => order() == Some(Ordering::Less),
        Comparison::Greater => order() == Some(Ordering::Greater),
        Comparison::LessOrEqual => equal() || order() == Some(Ordering::Less),
        Comparison::GreaterOrEqual => equal() || order() == Some(Ordering::Greater),
    }
}

/// Equal as JSON values: numbers by what they mean, not by how they are written.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => match (exact(left), exact(right)) {
            (Some(left), Some(right)) => left == right,
            _ => left == right,
        },
        (Value::Array(left), Value::Array(right)) => {
            let mut pairs = left.iter().zip(right);
            left.len() == right.len() && pairs.all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let alike = |(name, left): (&String, &Value)| {
                right.get(name).is_some_and(|right| same(left, right))
            };
            left.len() == right.len() && left.iter().all(alike)
        }
        _ => left == right,
    }
}

/// An I-Regexp (RFC 9485) in the words of the `regex` crate: `.` is anything but the ends of lines.
pub(super) fn iregexp(pattern: &str, extent: Extent) -> Option<Regex> {
    if pattern.len() > super::LONGEST {
        return None;
    }
    let mut text = String::new();
    let (mut in_class, mut escaped) = (false, false);
    for char in pattern.chars() {
        match char {
            _ if escaped => {}
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        if char == '.' && !in_class && !escaped {
            text.push_str("[^\\n\\r]");
        } else {
            text.push(char);
        }
        escaped = char == '\\' && !escaped;
    }
    if extent == Extent::Whole {
        text = format!("^(?:{text})$");
    }
    RegexBuilder::new(&text)
        .size_limit(256 * 1024)
        .nest_limit(32)
        .build()
        .ok()
}
