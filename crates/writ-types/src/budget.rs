//! Budgets: how much a task may do.

use crate::{Effects, Value};

/// What a task may spend. Every count is a hard ceiling; what is not named is not limited by the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget {
    /// Calls of any kind.
    pub calls: u64,
    /// Calls that write or delete.
    pub writes: u64,
    /// Calls that delete.
    pub deletes: u64,
    /// Calls that cannot be undone.
    pub irreversible: u64,
}

/// What one call takes from a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge {
    /// Always 1 for a call.
    pub calls: u64,
    /// 1 for a write or delete.
    pub writes: u64,
    /// 1 for a delete.
    pub deletes: u64,
    /// 1 for an irreversible action.
    pub irreversible: u64,
}

impl Charge {
    /// What a call of an operation with these effects takes.
    #[must_use]
    pub fn of(effects: Effects) -> Self {
        let (writes, deletes) = match effects.kind {
            crate::Effect::Read => (0, 0),
            crate::Effect::Write => (1, 0),
            crate::Effect::Delete => (1, 1),
        };
        Self {
            calls: 1,
            writes,
            deletes,
            irreversible: u64::from(effects.irreversible),
        }
    }
}

impl Budget {
    /// What a task gets that names no budget: enough to be useful, small enough to be harmless.
    pub const DEFAULT: Self = Self {
        calls: 50,
        writes: 5,
        deletes: 0,
        irreversible: 0,
    };

    /// What is left after `spent`; nothing goes below zero.
    #[must_use]
    pub fn less(self, spent: Charge) -> Self {
        Self {
            calls: self.calls.saturating_sub(spent.calls),
            writes: self.writes.saturating_sub(spent.writes),
            deletes: self.deletes.saturating_sub(spent.deletes),
            irreversible: self.irreversible.saturating_sub(spent.irreversible),
        }
    }

    /// Whether this budget covers `charge`.
    #[must_use]
    pub fn covers(self, charge: Charge) -> bool {
        self.calls >= charge.calls
            && self.writes >= charge.writes
            && self.deletes >= charge.deletes
            && self.irreversible >= charge.irreversible
    }

    /// Whether this budget is at most `wider` in everything.
    #[must_use]
    pub fn within(self, wider: Self) -> bool {
        self.narrowed_to(wider) == self
    }

    /// The lesser of both in everything.
    #[must_use]
    pub fn narrowed_to(self, other: Self) -> Self {
        Self {
            calls: self.calls.min(other.calls),
            writes: self.writes.min(other.writes),
            deletes: self.deletes.min(other.deletes),
            irreversible: self.irreversible.min(other.irreversible),
        }
    }

    /// Reads the `budget` member of `authorization_details`; members that are absent keep `default`'s value.
    ///
    /// # Errors
    ///
    /// A sentence for the caller: an unknown member, or one that is no whole number.
    pub fn parse(value: &Value, default: Self) -> Result<Self, String> {
        let members = value.as_object().ok_or("`budget` is an object")?;
        let mut budget = default;
        for (name, value) in members {
            let slot = match name.as_str() {
                "calls" => &mut budget.calls,
                "writes" => &mut budget.writes,
                "deletes" => &mut budget.deletes,
                "irreversible" => &mut budget.irreversible,
                _ => {
                    return Err(
                        "`budget` has `calls`, `writes`, `deletes` and `irreversible`".to_owned(),
                    );
                }
            };
            *slot = value.as_u64().ok_or("a budget is a whole number")?;
        }
        Ok(budget)
    }

    /// Back to the JSON form.
    #[must_use]
    pub fn to_value(self) -> Value {
        Value::object([
            ("calls", Value::from_u64(self.calls)),
            ("writes", Value::from_u64(self.writes)),
            ("deletes", Value::from_u64(self.deletes)),
            ("irreversible", Value::from_u64(self.irreversible)),
        ])
    }
}

impl Charge {
    /// Adds another call's charge.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            writes: self.writes.saturating_add(other.writes),
            deletes: self.deletes.saturating_add(other.deletes),
            irreversible: self.irreversible.saturating_add(other.irreversible),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, JsonLimits};

    #[test]
    fn charges_follow_effects() {
        let charge = Charge::of(Effects::unreviewed(Effect::Delete));
        assert_eq!(
            charge,
            Charge {
                calls: 1,
                writes: 1,
                deletes: 1,
                irreversible: 1
            }
        );
        assert!(
            !Budget::DEFAULT.covers(charge),
            "an unreviewed delete is beyond the default budget"
        );
        assert!(Budget::DEFAULT.covers(Charge::of(Effects::plain(Effect::Write))));
    }

    #[test]
    fn unknown_members_are_refused() {
        let parse = |text: &str| {
            Budget::parse(
                &Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap(),
                Budget::DEFAULT,
            )
        };
        assert_eq!(
            parse(r#"{"calls":3}"#).unwrap(),
            Budget {
                calls: 3,
                ..Budget::DEFAULT
            }
        );
        for bad in [
            r#"{"tokens":3}"#,
            r#"{"calls":-1}"#,
            r#"{"calls":1.5}"#,
            r#"{"calls":"3"}"#,
            "[]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
