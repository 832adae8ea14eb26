//! Whether an API answered what its contract says.

use std::fmt;

/// How a response stands to its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conformance {
    /// It was read whole and fits: what it holds is what the contract says it is.
    Conforms,
    /// The contract says nothing about it that could be broken.
    Unchecked,
    /// It is not what the contract says.
    Breaks,
}

impl Conformance {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Conforms, Self::Unchecked, Self::Breaks];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conforms => "conforms",
            Self::Unchecked => "unchecked",
            Self::Breaks => "breaks",
        }
    }
}

impl fmt::Display for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
