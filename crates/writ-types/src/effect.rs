//! What an operation does to the world.

use std::fmt;
use std::str::FromStr;

/// The kind of an operation: exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
    /// Removes something; a kind of write.
    Delete,
}

/// The effect set of an operation: one kind, and any of the two flags.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Effects {
    /// Read, write or delete.
    pub kind: Effect,
    /// It cannot be undone.
    pub irreversible: bool,
    /// It sends data to a party outside.
    pub external_send: bool,
}

impl Effects {
    /// What an operation counts as until its owner has reviewed it: the kind as proposed, irreversible and external.
    #[must_use]
    pub const fn unreviewed(kind: Effect) -> Self {
        Self {
            kind,
            irreversible: true,
            external_send: true,
        }
    }

    /// A reviewed effect without flags.
    #[must_use]
    pub const fn plain(kind: Effect) -> Self {
        Self {
            kind,
            irreversible: false,
            external_send: false,
        }
    }

    /// Whether its intent must be on disk before the upstream hears of it (DESIGN §4 step 11); labels can demand it too.
    #[must_use]
    pub const fn is_plain_read(self) -> bool {
        matches!(self.kind, Effect::Read) && !self.external_send
    }

    /// The Cedar action groups it belongs to, in the order they are documented.
    pub fn groups(self) -> impl Iterator<Item = &'static str> {
        let kind: &[&str] = match self.kind {
            Effect::Read => &["read"],
            Effect::Write => &["write"],
            Effect::Delete => &["write", "delete"],
        };
        kind.iter()
            .copied()
            .chain(self.irreversible.then_some("irreversible"))
            .chain(self.external_send.then_some("external_send"))
    }
}

impl Effect {
    /// The word in overlays and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "delete" => Ok(Self::Delete),
            other => Err(format!(
                "`{}` is no effect: `read`, `write` or `delete`",
                other.chars().take(32).collect::<String>()
            )),
        }
    }
}

impl fmt::Display for Effects {
    /// `write`, `read+external_send`, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        f.write_str(if self.irreversible {
            "+irreversible"
        } else {
            ""
        })?;
        f.write_str(if self.external_send {
            "+external_send"
        } else {
            ""
        })
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_is_a_write_and_unreviewed_is_the_worst() {
        let groups = |effects: Effects| effects.groups().collect::<Vec<_>>();
        assert_eq!(groups(Effects::plain(Effect::Delete)), ["write", "delete"]);
        assert_eq!(
            groups(Effects::unreviewed(Effect::Read)),
            ["read", "irreversible", "external_send"]
        );
        assert!(Effects::plain(Effect::Read).is_plain_read());
        assert!(!Effects::unreviewed(Effect::Read).is_plain_read());
        assert_eq!(
            Effects::unreviewed(Effect::Write).to_string(),
            "write+irreversible+external_send"
        );
    }
}
