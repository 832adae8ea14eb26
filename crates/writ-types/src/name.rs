//! Names that people choose, each with its grammar.

use std::fmt;
use std::str::FromStr;

/// API ids that Writ keeps for itself: its own administration, the MCP endpoint, and RFC 8615 well-known paths.
pub const RESERVED_API_IDS: [&str; 3] = ["writ", "mcp", "well-known"];

/// Why a text is not a name of the wanted kind. The text says the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An API id that does not follow its grammar.
    #[error("`{0}` is no API id: a lower-case letter, then up to 31 lower-case letters and digits")]
    Api(String),
    /// An API id that Writ keeps for itself.
    #[error("`{0}` is reserved: choose another API id")]
    ReservedApi(String),
    /// A tenant, purpose, credential or owner name that does not follow its grammar.
    #[error(
        "`{text}` is no {kind} name: 1 to {longest} of `a-z 0-9 - _ .`, beginning with a letter"
    )]
    Word {
        /// What kind of name was wanted.
        kind: &'static str,
        /// The refused text.
        text: String,
        /// Most characters.
        longest: usize,
    },
    /// An owner that is neither a name nor an e-mail address.
    #[error(
        "`{0}` is no owner: 1 to 254 printable ASCII characters without spaces, such as an e-mail address"
    )]
    Owner(String),
    /// An action without `:` or with an empty side.
    #[error("`{0}` is no action: write `api:operation`, such as `dns:listZones`")]
    Action(String),
    /// A window or a quantity whose name is no member of a record.
    #[error(
        "`{0}` is no name of a window or a quantity: a lower-case letter, then up to 31 lower-case letters, digits and single `_`"
    )]
    Window(String),
    /// An operation id that is empty, too long, or holds white space or control characters.
    #[error("`{0}` is no operation id: 1 to 512 printable characters without white space")]
    Operation(String),
}

fn word(kind: &'static str, text: &str, longest: usize) -> Result<Box<str>, NameError> {
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    let rest_is_plain = text.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    });
    if starts_well && rest_is_plain && text.len() <= longest {
        Ok(text.into())
    } else {
        Err(NameError::Word {
            kind,
            text: text.chars().take(64).collect(),
            longest,
        })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let parse: fn(&str) -> Result<Box<str>, NameError> = $parse;
                parse(text).map(Self)
            }
        }
    };
}

name!(
    /// The tenant: first in every stored key, digest, key-wrapping context, cache, log origin and metric.
    Tenant,
    |text| word("tenant", text, 63)
);
name!(
    /// A purpose: a named, owner-approved reason.
    PurposeName,
    |text| word("purpose", text, 63)
);
name!(
    /// An environment, as the owners of APIs and purposes call it: `production`.
    EnvironmentName,
    |text| word("environment", text, 63)
);
name!(
    /// The name of a credential; never its value.
    CredentialName,
    |text| word("credential", text, 63)
);
name!(
    /// The name that the settings give a program which may be started.
    ProgramName,
    |text| word("program", text, 63)
);
name!(
    /// The accountable person or team.
    OwnerName,
    |text| {
        if !text.is_empty() && text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(text.into())
        } else {
            Err(NameError::Owner(text.chars().take(64).collect()))
        }
    }
);
name!(
    /// An upstream API: `[a-z][a-z0-9]{0,31}` and not reserved. Its Cedar namespace is `Api_<id>`.
    ApiId,
    |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if RESERVED_API_IDS.contains(&text) {
            Err(NameError::ReservedApi(text.to_owned()))
        } else if plain && text.len() <= 32 && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()) {
            Ok(text.into())
        } else {
            Err(NameError::Api(text.chars().take(64).collect()))
        }
    }
);
name!(
    /// One operation of a contract: its `operationId`, else `METHOD:/template`.
    OperationId,
    |text| {
        let plain = text.chars().all(|char| !char.is_whitespace() && !char.is_control());
        if plain && !text.is_empty() && text.len() <= 512 {
            Ok(text.into())
        } else {
            Err(NameError::Operation(text.chars().take(64).collect()))
        }
    }
);

impl Tenant {
    /// The only tenant of the embedded default.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".into())
    }
}

/// The thing authorized, written `api:operation`. It splits at its first `:`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName {
    /// The API.
    pub api: ApiId,
    /// The operation of its contract.
    pub operation: OperationId,
}

impl ActionName {
    /// What Writ itself does when a task is to hold more: people are asked about it as about a call. No contract has it, since
    /// no API can have this id, so that no grant can hold it.
    pub const AMEND_TASK: &str = "writ:amendTask";

    /// [`Self::AMEND_TASK`].
    #[must_use]
    pub fn amend_task() -> Self {
        Self {
            api: ApiId("writ".into()),
            operation: OperationId("amendTask".into()),
        }
    }

    /// Whether it is [`Self::AMEND_TASK`].
    #[must_use]
    pub fn is_amend_task(&self) -> bool {
        *self == Self::amend_task()
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.api, self.operation)
    }
}

impl fmt::Debug for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}:{}\"", self.api, self.operation)
    }
}

impl FromStr for ActionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == Self::AMEND_TASK {
            return Ok(Self::amend_task());
        }
        let (api, operation) = text
            .split_once(':')
            .ok_or_else(|| NameError::Action(text.chars().take(64).collect()))?;
        Ok(Self {
            api: api.parse()?,
            operation: operation.parse()?,
        })
    }
}

#[cfg(test)]
mod tests;
