//! Reading back what was written as JSON. Strict: a member that is missing, wrong or unknown is damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use writ_types::{JsonLimits, Timestamp, Value};

use crate::StoreError;

/// The members of one stored object.
pub(crate) struct Fields<'a> {
    what: &'static str,
    members: &'a BTreeMap<String, Value>,
}

/// Reads a stored JSON text.
pub(crate) fn value(what: &'static str, text: &str) -> Result<Value, StoreError> {
    Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT)
        .map_err(|fault| StoreError::damaged(what, &fault))
}

impl<'a> Fields<'a> {
    /// The members of `value`, which must be an object with no others than `known`.
    pub(crate) fn of(
        what: &'static str,
        value: &'a Value,
        known: &[&str],
    ) -> Result<Self, StoreError> {
        let members = value.as_object();
        let members = members.ok_or_else(|| StoreError::damaged(what, "it is no object"))?;
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(StoreError::damaged(
                what,
                &format!("it has a member `{name}`"),
            )),
            None => Ok(Self { what, members }),
        }
    }

    fn wrong(&self, name: &str) -> StoreError {
        StoreError::damaged(self.what, &format!("`{name}` is missing or wrong"))
    }

    /// A member that may be absent.
    pub(crate) fn optional(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A member that is always there.
    pub(crate) fn member(&self, name: &str) -> Result<&'a Value, StoreError> {
        self.optional(name).ok_or_else(|| self.wrong(name))
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.member(name)?.as_str().ok_or_else(|| self.wrong(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, StoreError> {
        self.member(name)?.as_bool().ok_or_else(|| self.wrong(name))
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, StoreError> {
        self.member(name)?.as_u64().ok_or_else(|| self.wrong(name))
    }

    pub(crate) fn life(&self, name: &str) -> Result<Duration, StoreError> {
        self.number(name).map(Duration::from_millis)
    }

    pub(crate) fn instant(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.number(name).map(Timestamp::from_millis)
    }

    /// A member whose text reads as a `T`.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, StoreError> {
        self.read(name, self.member(name)?)
    }

    /// The same for a member that may be absent.
    pub(crate) fn maybe<T: FromStr<Err: Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        let member = self.optional(name);
        member.map(|value| self.read(name, value)).transpose()
    }

    /// A member that is an array of texts, each a `T`, none twice.
    pub(crate) fn set<T: FromStr<Err: Display> + Ord>(
        &self,
        name: &str,
    ) -> Result<BTreeSet<T>, StoreError> {
        let items = self
            .member(name)?
            .as_array()
            .ok_or_else(|| self.wrong(name))?;
        let set: BTreeSet<T> = items
            .iter()
            .map(|item| self.read(name, item))
            .collect::<Result<_, _>>()?;
        if set.len() == items.len() {
            Ok(set)
        } else {
            Err(self.wrong(name))
        }
    }

    /// A member that is an array of distinct things, each read by `read`; none if it is absent.
    pub(crate) fn list<T: Ord>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<BTreeSet<T>, StoreError> {
        let Some(member) = self.optional(name) else {
            return Ok(BTreeSet::new());
        };
        let items = member.as_array().ok_or_else(|| self.wrong(name))?;
        let set: Option<BTreeSet<T>> = items.iter().map(read).collect();
        set.filter(|set| set.len() == items.len())
            .ok_or_else(|| self.wrong(name))
    }

    fn read<T: FromStr<Err: Display>>(&self, name: &str, value: &Value) -> Result<T, StoreError> {
        let text = value.as_str().ok_or_else(|| self.wrong(name))?;
        text.parse().map_err(|fault| {
            StoreError::damaged(self.what, &format!("`{name}` does not read: {fault}"))
        })
    }
}

/// A duration as it is stored: whole milliseconds.
pub(crate) fn millis(life: Duration) -> Value {
    Value::from_u64(u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
}

/// An instant as it is stored.
pub(crate) fn instant(at: Timestamp) -> Value {
    Value::from_u64(at.millis_since_epoch())
}

/// A set as it is stored: an array of texts.
pub(crate) fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Value {
    let items = items.into_iter().map(|item| Value::from(item.to_string()));
    Value::Array(items.collect())
}

/// A whole number for a column, which has 63 bits.
pub(crate) fn column(what: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_too_large| StoreError::TooLarge(what))
}

/// An instant for a column.
pub(crate) fn instant_column(at: Timestamp) -> Result<i64, StoreError> {
    column("an instant", at.millis_since_epoch())
}

/// An instant from a column.
pub(crate) fn instant_of(what: &'static str, millis: i64) -> Result<Timestamp, StoreError> {
    let millis = u64::try_from(millis).map_err(|fault| StoreError::damaged(what, &fault))?;
    Ok(Timestamp::from_millis(millis))
}

/// A text column that reads as a `T`.
pub(crate) fn parsed<T: FromStr<Err: Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse()
        .map_err(|fault| StoreError::damaged(what, &fault))
}
