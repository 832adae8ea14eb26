//! What a person can stop beside tasks and agents.

use std::fmt;

use crate::{ApiId, CredentialName, NameError, OwnerName};

/// Something that is stopped until a person lets it go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// An API: nothing calls it.
    Api(ApiId),
    /// A credential, as far as it was set when it was stopped: no call carries it.
    Credential(CredentialName),
    /// An owner: whoever and whatever acts by their word. Their agents do not act, their purposes are no reason.
    Owner(OwnerName),
}

impl Stop {
    /// Something of this kind and name, as it is stored and as operators say it.
    ///
    /// # Errors
    ///
    /// [`NameError`]: there can be nothing of that name. None: of no such kind.
    pub fn parse(kind: &str, name: &str) -> Option<Result<Self, NameError>> {
        Some(match kind {
            "api" => name.parse().map(Self::Api),
            "credential" => name.parse().map(Self::Credential),
            "owner" => name.parse().map(Self::Owner),
            _ => return None,
        })
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Api(_) => "api",
            Self::Credential(_) => "credential",
            Self::Owner(_) => "owner",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Api(api) => api.as_str(),
            Self::Credential(credential) => credential.as_str(),
            Self::Owner(owner) => owner.as_str(),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_what_was_said() {
        for (kind, name, holds) in [
            ("api", "helpdesk", Some(true)),
            ("api", "Help Desk", Some(false)),
            ("api", "writ", Some(false)),
            ("credential", "helpdesk-key", Some(true)),
            ("credential", "", Some(false)),
            ("owner", "o@example.org", Some(true)),
            ("owner", "two words", Some(false)),
            ("task", "helpdesk", None),
            ("", "helpdesk", None),
        ] {
            let parsed = Stop::parse(kind, name);
            assert_eq!(parsed.as_ref().map(Result::is_ok), holds, "{kind} {name}");
            if let Some(Ok(stop)) = parsed {
                assert_eq!((stop.kind(), stop.name()), (kind, name));
                assert_eq!(stop.to_string(), format!("{kind} {name}"));
            }
        }
    }
}
