//! How far an approval has come.

use std::fmt;
use std::str::FromStr;

/// How far an approval, or a wait, has come. Whether it has run out is a matter of the instant, not of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApprovalState {
    /// Nobody has answered, or not everyone who is needed.
    Pending,
    /// It may be used, once, by the one call it is for.
    Approved,
    /// A person has said no.
    Denied,
    /// The call it was for has used it.
    Used,
    /// Its task has ended.
    Withdrawn,
}

impl ApprovalState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Used,
        Self::Withdrawn,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApprovalState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text)
            .ok_or("an approval is `pending`, `approved`, `denied`, `used` or `withdrawn`")
    }
}
