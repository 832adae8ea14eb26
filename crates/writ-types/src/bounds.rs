//! Bounds: what values a task's calls may carry, at named places.
//!
//! The grammar is DESIGN §5: an action maps pointers (`/path/…`, `/query/…`, `/header/…`, `/body/…`) to a bound, and a
//! bound is an array of allowed values, `{min,max}`, `{prefix}` or `{from,to}`. An unknown form is refused, never ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{ActionName, Decimal, Input, Pointer, Value};

/// Why a `bounds` member was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// `bounds` or one action's bounds is no object, or there are too many.
    #[error("`bounds` is an object of actions, each an object of pointers; at most 256 in all")]
    Shape,
    /// A key is no action.
    #[error("`bounds` has a key that is no action: {0}")]
    Action(crate::NameError),
    /// A pointer does not begin with a known place or is malformed.
    #[error("a bound's pointer begins with `/path/`, `/query/`, `/header/` or `/body/`")]
    Pointer,
    /// A bound of an unknown form.
    #[error("a bound is an array of values, `{{min,max}}`, `{{prefix}}` or `{{from,to}}`")]
    Form,
}

/// Where a bounded value stands in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoundPlace {
    /// A path parameter.
    Path,
    /// A query parameter.
    Query,
    /// A declared header parameter.
    Header,
    /// A place in the JSON body.
    Body,
}

/// A pointer into an [`Input`], such as `/body/amount`. A `*` token stands for every item of an array.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundPointer {
    place: BoundPlace,
    inner: Pointer,
}

impl BoundPointer {
    /// Reads `/path/name`, `/query/name`, `/header/name` or `/body/…`.
    ///
    /// # Errors
    ///
    /// [`BoundsError::Pointer`].
    pub fn parse(text: &str) -> Result<Self, BoundsError> {
        let split = |prefix: &str| {
            text.strip_prefix(prefix)
                .filter(|rest| rest.starts_with('/') && rest.len() > 1)
        };
        let (place, rest) = [
            (BoundPlace::Path, "/path"),
            (BoundPlace::Query, "/query"),
            (BoundPlace::Header, "/header"),
            (BoundPlace::Body, "/body"),
        ]
        .into_iter()
        .find_map(|(place, prefix)| split(prefix).map(|rest| (place, rest)))
        .ok_or(BoundsError::Pointer)?;
        Ok(Self {
            place,
            inner: Pointer::parse(rest).ok_or(BoundsError::Pointer)?,
        })
    }

    /// The part of the input.
    #[must_use]
    pub const fn place(&self) -> BoundPlace {
        self.place
    }

    /// The pointer within that part.
    #[must_use]
    pub const fn inner(&self) -> &Pointer {
        &self.inner
    }
}

impl fmt::Display for BoundPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            BoundPlace::Path => "/path",
            BoundPlace::Query => "/query",
            BoundPlace::Header => "/header",
            BoundPlace::Body => "/body",
        };
        write!(f, "{place}{}", self.inner)
    }
}

impl fmt::Debug for BoundPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// What one value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// One of these scalars.
    OneOf(Vec<Value>),
    /// A number from `min` to `max`, both included; either may be open, not both.
    Range {
        /// Least.
        min: Option<Decimal>,
        /// Most.
        max: Option<Decimal>,
    },
    /// A string that begins so.
    Prefix(String),
    /// An RFC 3339 full date (`2026-11-23`) from `from` to `to`, both included; either may be open, not both.
    Dates {
        /// First day.
        from: Option<String>,
        /// Last day.
        to: Option<String>,
    },
}

impl Bound {
    fn parse(value: &Value) -> Result<Self, BoundsError> {
        if let Some(items) = value.as_array() {
            let scalars = items
                .iter()
                .all(|item| matches!(item, Value::String(_) | Value::Number(_) | Value::Bool(_)));
            return if scalars && items.len() <= 1024 {
                Ok(Self::OneOf(items.to_vec()))
            } else {
                Err(BoundsError::Form)
            };
        }
        let members = value.as_object().ok_or(BoundsError::Form)?;
        let names: BTreeSet<&str> = members.keys().map(String::as_str).collect();
        let only =
            |known: &[&str]| !names.is_empty() && names.iter().all(|name| known.contains(name));
        if only(&["min", "max"]) {
            let read = |name: &str| {
                members
                    .get(name)
                    .map(|value| amount(value).ok_or(BoundsError::Form))
                    .transpose()
            };
            let (min, max) = (read("min")?, read("max")?);
            return Ok(Self::Range { min, max });
        }
        if only(&["prefix"]) {
            let prefix = members
                .get("prefix")
                .and_then(Value::as_str)
                .filter(|prefix| !prefix.is_empty());
            return prefix
                .map(|prefix| Self::Prefix(prefix.to_owned()))
                .ok_or(BoundsError::Form);
        }
        if only(&["from", "to"]) {
            let read = |name: &str| {
                let date = |value: &Value| {
                    value
                        .as_str()
                        .filter(|text| is_date(text))
                        .map(str::to_owned)
                };
                members
                    .get(name)
                    .map(|value| date(value).ok_or(BoundsError::Form))
                    .transpose()
            };
            return Ok(Self::Dates {
                from: read("from")?,
                to: read("to")?,
            });
        }
        Err(BoundsError::Form)
    }

    /// Whether `value` lies within. A value of another type than the bound speaks of does not.
    #[must_use]
    pub fn admits(&self, value: &Value) -> bool {
        match self {
            Self::OneOf(allowed) => allowed.contains(value),
            Self::Range { min, max } => amount(value).is_some_and(|amount| {
                min.as_ref().is_none_or(|min| amount >= *min)
                    && max.as_ref().is_none_or(|max| amount <= *max)
            }),
            Self::Prefix(prefix) => value
                .as_str()
                .is_some_and(|text| text.starts_with(prefix.as_str()) && !climbs_out(prefix, text)),
            Self::Dates { from, to } => {
                value
                    .as_str()
                    .filter(|text| is_date(text))
                    .is_some_and(|date| {
                        from.as_deref().is_none_or(|from| date >= from)
                            && to.as_deref().is_none_or(|to| date <= to)
                    })
            }
        }
    }

    /// Whether everything that `self` admits, `wider` admits too.
    #[must_use]
    pub fn within(&self, wider: &Self) -> bool {
        match (self, wider) {
            (Self::OneOf(values), _) => values.iter().all(|value| wider.admits(value)),
            (
                Self::Range { min, max },
                Self::Range {
                    min: wide_min,
                    max: wide_max,
                },
            ) => {
                let above = wide_min
                    .as_ref()
                    .is_none_or(|wide| min.as_ref().is_some_and(|min| min >= wide));
                above
                    && wide_max
                        .as_ref()
                        .is_none_or(|wide| max.as_ref().is_some_and(|max| max <= wide))
            }
            (Self::Prefix(prefix), Self::Prefix(wide)) => prefix.starts_with(wide.as_str()),
            (
                Self::Dates { from, to },
                Self::Dates {
                    from: wide_from,
                    to: wide_to,
                },
            ) => {
                let after = wide_from
                    .as_ref()
                    .is_none_or(|wide| from.as_ref().is_some_and(|from| from >= wide));
                after
                    && wide_to
                        .as_ref()
                        .is_none_or(|wide| to.as_ref().is_some_and(|to| to <= wide))
            }
            (Self::Range { .. } | Self::Prefix(_) | Self::Dates { .. }, _) => false,
        }
    }

    /// What both admit, or less where that cannot be said by one bound: never more than either.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let nothing = || Self::OneOf(Vec::new());
        match (self, other) {
            (one, other) if one.within(other) => one.clone(),
            (one, other) if other.within(one) => other.clone(),
            (Self::OneOf(values), other) | (other, Self::OneOf(values)) => {
                let both = values.iter().filter(|value| other.admits(value));
                Self::OneOf(both.cloned().collect())
            }
            (
                Self::Range { min, max },
                Self::Range {
                    min: other_min,
                    max: other_max,
                },
            ) => Self::Range {
                min: tighter(min.as_ref(), other_min.as_ref(), Ord::max),
                max: tighter(max.as_ref(), other_max.as_ref(), Ord::min),
            },
            (
                Self::Dates { from, to },
                Self::Dates {
                    from: other_from,
                    to: other_to,
                },
            ) => Self::Dates {
                from: tighter(from.as_ref(), other_from.as_ref(), Ord::max),
                to: tighter(to.as_ref(), other_to.as_ref(), Ord::min),
            },
            (Self::Range { .. } | Self::Prefix(_) | Self::Dates { .. }, _) => nothing(),
        }
    }

    /// Back to the JSON form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let decimal = |number: &Decimal| Value::String(number.to_string());
        let pair = |first: (&str, Option<Value>), second: (&str, Option<Value>)| {
            Value::object(
                [first, second]
                    .into_iter()
                    .filter_map(|(name, value)| value.map(|value| (name, value))),
            )
        };
        match self {
            Self::OneOf(values) => Value::Array(values.clone()),
            Self::Range { min, max } => pair(
                ("min", min.as_ref().map(decimal)),
                ("max", max.as_ref().map(decimal)),
            ),
            Self::Prefix(prefix) => Value::object([("prefix", Value::from(prefix.as_str()))]),
            Self::Dates { from, to } => pair(
                ("from", from.as_deref().map(Value::from)),
                ("to", to.as_deref().map(Value::from)),
            ),
        }
    }
}

/// The tighter of two ends, where either may be open.
fn tighter<T: Clone>(one: Option<&T>, other: Option<&T>, tight: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(tight(one.clone(), other.clone())),
        (one, other) => one.or(other).cloned(),
    }
}

/// An amount: a JSON number, or a string that is one (money is often sent as text).
fn amount(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => number.to_decimal(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a path that begins with a prefix leaves it again by a dot segment.
fn climbs_out(prefix: &str, text: &str) -> bool {
    prefix.contains('/')
        && text
            .split(['/', '\\'])
            .any(|segment| matches!(segment, "." | ".."))
}

/// `YYYY-MM-DD` with a month and a day that can be; such texts order as the days do.
fn is_date(text: &str) -> bool {
    let part = |from: usize, to: usize| {
        text.get(from..to)
            .and_then(|digits| digits.parse::<u8>().ok())
    };
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shaped
        && part(5, 7).is_some_and(|month| (1..=12).contains(&month))
        && part(8, 10).is_some_and(|day| (1..=31).contains(&day))
}

/// The bounds of a task, by action and place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds(BTreeMap<ActionName, BTreeMap<BoundPointer, Bound>>);

impl Bounds {
    /// No bounds.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Reads the `bounds` member of `authorization_details`.
    ///
    /// # Errors
    ///
    /// [`BoundsError`]: an unknown form is refused, since a bound that is not understood would not bind.
    pub fn parse(value: &Value) -> Result<Self, BoundsError> {
        let actions = value.as_object().ok_or(BoundsError::Shape)?;
        let mut bounds = BTreeMap::new();
        let mut count = 0usize;
        for (action, places) in actions {
            let action: ActionName = action.parse().map_err(BoundsError::Action)?;
            let places = places.as_object().ok_or(BoundsError::Shape)?;
            let mut parsed = BTreeMap::new();
            for (pointer, bound) in places {
                count = count.saturating_add(1);
                parsed.insert(BoundPointer::parse(pointer)?, Bound::parse(bound)?);
            }
            bounds.insert(action, parsed);
        }
        if count > 256 {
            Err(BoundsError::Shape)
        } else {
            Ok(Self(bounds))
        }
    }

    /// The first place where a call of `action` lies outside its bounds, if there is one.
    ///
    /// A bounded place that the call leaves out lies outside: the bound's author expected a value there. Where the
    /// pointer has `*` tokens, every item counts, and an empty array lies outside too.
    #[must_use]
    pub fn violation(&self, action: &ActionName, input: &Input) -> Option<&BoundPointer> {
        let places = self.0.get(action)?;
        places
            .iter()
            .find(|(pointer, bound)| !admits_all(bound, pointer, input))
            .map(|(pointer, _)| pointer)
    }

    /// Whether the values at `place`, or each item of the array there, are bounded.
    #[must_use]
    pub fn binds(&self, action: &ActionName, place: &BoundPointer) -> bool {
        let items = BoundPointer {
            place: place.place,
            inner: place.inner.child("*"),
        };
        self.0
            .get(action)
            .is_some_and(|places| places.contains_key(place) || places.contains_key(&items))
    }

    /// Whether the values at `place`, or of each item of the array there, are listed one by one.
    #[must_use]
    pub fn lists(&self, action: &ActionName, place: &BoundPointer) -> bool {
        let items = BoundPointer {
            place: place.place,
            inner: place.inner.child("*"),
        };
        let is_list = |place| {
            let bound = self.0.get(action).and_then(|places| places.get(place));
            matches!(bound, Some(Bound::OneOf(_)))
        };
        is_list(place) || is_list(&items)
    }

    /// Whether everything these bounds admit for the given actions, `wider` admits too.
    #[must_use]
    pub fn within(&self, wider: &Self, actions: &BTreeSet<ActionName>) -> bool {
        actions
            .iter()
            .filter_map(|action| wider.0.get(action).map(|places| (action, places)))
            .all(|(action, places)| {
                let own = self.0.get(action);
                places.iter().all(|(pointer, wide)| {
                    own.and_then(|own| own.get(pointer))
                        .is_some_and(|bound| bound.within(wide))
                })
            })
    }

    /// The bound of an action's place, if there is one.
    #[must_use]
    pub fn bound(&self, action: &ActionName, place: &BoundPointer) -> Option<&Bound> {
        self.0.get(action)?.get(place)
    }

    /// Bounds that admit of the given actions nothing that either does not: what is bound by one of them is bound.
    #[must_use]
    pub fn meet(&self, other: &Self, actions: &BTreeSet<ActionName>) -> Self {
        let mut met = self.only(actions).0;
        for (action, places) in other.only(actions).0 {
            let own = met.entry(action).or_default();
            for (place, bound) in places {
                let both = own.get(&place).map(|known| known.meet(&bound));
                own.insert(place, both.unwrap_or(bound));
            }
        }
        Self(met)
    }

    /// The bounds of the given actions alone.
    #[must_use]
    pub fn only(&self, actions: &BTreeSet<ActionName>) -> Self {
        let held = self
            .0
            .iter()
            .filter(|(action, _)| actions.contains(*action));
        Self(
            held.map(|(action, places)| (action.clone(), places.clone()))
                .collect(),
        )
    }

    /// The actions that are bounded, with their places.
    pub fn iter(&self) -> impl Iterator<Item = (&ActionName, &BTreeMap<BoundPointer, Bound>)> {
        self.0.iter()
    }

    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Back to the JSON form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::object(self.0.iter().map(|(action, places)| {
            (
                action.to_string(),
                Value::object(
                    places
                        .iter()
                        .map(|(pointer, bound)| (pointer.to_string(), bound.to_value())),
                ),
            )
        }))
    }
}

fn admits_all(bound: &Bound, pointer: &BoundPointer, input: &Input) -> bool {
    let tokens: Vec<_> = pointer.inner.tokens().collect();
    let tokens: Vec<&str> = tokens.iter().map(AsRef::as_ref).collect();
    if pointer.place == BoundPlace::Body {
        return input
            .body
            .as_ref()
            .is_some_and(|body| every(bound, body, &tokens));
    }
    let group = match pointer.place {
        BoundPlace::Path => &input.path,
        BoundPlace::Query => &input.query,
        BoundPlace::Header | BoundPlace::Body => &input.header,
    };
    tokens.split_first().is_some_and(|(name, rest)| {
        if *name == "*" {
            return !group.is_empty() && group.values().all(|value| every(bound, value, rest));
        }
        group
            .get(*name)
            .is_some_and(|value| every(bound, value, rest))
    })
}

fn every(bound: &Bound, value: &Value, tokens: &[&str]) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return bound.admits(value);
    };
    match value {
        Value::Array(items) if *token == "*" => {
            !items.is_empty() && items.iter().all(|item| every(bound, item, rest))
        }
        Value::Array(items) => token
            .parse::<usize>()
            .ok()
            .and_then(|at| items.get(at))
            .is_some_and(|item| every(bound, item, rest)),
        // Every member, and never only the one that somebody called `*`.
        Value::Object(members) if *token == "*" => {
            !members.is_empty() && members.values().all(|member| every(bound, member, rest))
        }
        Value::Object(members) => members
            .get(*token)
            .is_some_and(|member| every(bound, member, rest)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests;
