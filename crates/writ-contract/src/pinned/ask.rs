//! What a server may ask of a client in the middle of a call (MCP 2026-07-28, multi round-trip requests).

use std::str::FromStr;

/// A request of the server's. None is passed on unless the API's owner declared it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// The user is asked to fill in a form.
    Elicitation,
    /// The client's model is asked.
    Sampling,
    /// The client is asked which folders it works in.
    Roots,
}

impl Ask {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Elicitation, Self::Sampling, Self::Roots];

    /// The word for it: a client's capability, and a word of an overlay.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation",
            Self::Sampling => "sampling",
            Self::Roots => "roots",
        }
    }

    /// The method of the request.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation/create",
            Self::Sampling => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    /// The request of a method.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.method() == method)
    }
}

impl FromStr for Ask {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.as_str() == text)
            .ok_or("`elicitation`, `sampling` or `roots`, or a list of them")
    }
}
