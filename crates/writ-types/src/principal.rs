//! Who calls.

use std::fmt;
use std::str::FromStr;

use crate::{AgentId, Digest, SpiffeId, TaskId, Tenant, TokenId};

/// How an agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A person is present: narrow tools, stronger gates.
    Copilot,
    /// No person is present: provisioning just in time, continuous evaluation, smaller budgets.
    Autonomous,
}

impl Mode {
    /// The word in requests, policies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copilot => "copilot",
            Self::Autonomous => "autonomous",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "copilot" => Ok(Self::Copilot),
            "autonomous" => Ok(Self::Autonomous),
            _ => Err("a mode is `copilot` or `autonomous`"),
        }
    }
}

/// The user an agent acts for: the issuer that vouched for them, and their subject there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requester {
    /// The verified issuer.
    pub issuer: String,
    /// The subject at that issuer.
    pub subject: String,
}

/// The key a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Binding {
    /// The RFC 7638 SHA-256 thumbprint of a `DPoP` key (`cnf.jkt`, RFC 9449 §6).
    Dpop(Digest),
    /// The SHA-256 digest of a client certificate (`cnf.x5t#S256`, RFC 8705 §3.1).
    Mtls(Digest),
    /// None: a bearer token, only where the API's owner allowed it.
    Unbound,
}

impl Binding {
    /// The word in records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Dpop(_) => "dpop",
            Self::Mtls(_) => "mtls",
            Self::Unbound => "none",
        }
    }
}

/// Who makes a call, as proven by its token and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant, from the verified issuer.
    pub tenant: Tenant,
    /// The agent that acts.
    pub agent: AgentId,
    /// Its workload identity.
    pub spiffe: SpiffeId,
    /// The user it acts for, if any.
    pub requester: Option<Requester>,
    /// The task whose authority this is.
    pub task: TaskId,
    /// The token.
    pub token: TokenId,
    /// The key it is bound to.
    pub binding: Binding,
}
