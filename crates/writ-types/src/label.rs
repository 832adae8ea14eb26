//! Data sensitivity.

use std::fmt;
use std::str::FromStr;

use crate::NameError;

/// A label on data a task has read: `pii`, `secret`, `confidential`, `untrusted`, or a word of the owner's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

impl Label {
    /// Content that a stranger could have written.
    pub const UNTRUSTED: &'static str = "untrusted";

    /// The label of content that a stranger could have written.
    #[must_use]
    pub fn untrusted() -> Self {
        Self(Self::UNTRUSTED.into())
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a read of data so labelled must be on disk before the upstream hears of it (DESIGN §4 step 11).
    #[must_use]
    pub fn needs_durable_intent(&self) -> bool {
        matches!(&*self.0, "secret" | "pii")
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        if !text.is_empty() && text.len() <= 32 && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Word {
                kind: "label",
                text: text.chars().take(64).collect(),
                longest: 32,
            })
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}
