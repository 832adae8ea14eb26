//! The revision of MCP that a server is spoken to in: pinned with its lists, and never guessed when it is called.

use writ_types::Value;

/// The member of a document of lists that names it.
pub(super) const MEMBER: &str = "protocolVersion";
/// What is said of a document that names another.
pub(super) const UNKNOWN: &str =
    "the server's revision of MCP is none that is spoken here: 2025-11-25 or 2026-07-28";

/// A revision of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McpRevision {
    /// 2025-11-25: `initialize`, sessions.
    Sessions,
    /// 2026-07-28: each request carries what it needs.
    Stateless,
}

impl McpRevision {
    /// The name of the revision.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "2025-11-25",
            Self::Stateless => "2026-07-28",
        }
    }

    /// The revision of this name, if it is spoken here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Sessions, Self::Stateless];
        all.into_iter().find(|one| one.as_str() == name)
    }

    /// What a document of lists names. One that names none is of 2026-07-28.
    pub(super) fn of(document: &Value) -> Option<Self> {
        match document.member(MEMBER) {
            None => Some(Self::Stateless),
            Some(name) => Self::named(name.as_str()?),
        }
    }
}
