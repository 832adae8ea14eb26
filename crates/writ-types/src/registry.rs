//! What operators register: APIs, agents, purposes. Plain data of one revision.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{
    ActionName, AgentId, ApiId, AuthorizationServer, Budget, CredentialName, Digest,
    EnvironmentName, Federation, Hours, Mode, OwnerName, PurposeName, SpiffeId, Timestamp,
    TrustDomain, Upstream, UserAuthentication, WantedAuthentication, Watch,
};

/// Why a text is not an upstream URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no upstream URL: write `http://host:port/base` or `https://host/base`, without query or fragment"
)]
pub struct UpstreamUrlError(String);

/// Where an API is reached: scheme, host, port and a base path without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamUrl {
    /// Whether TLS is used.
    pub tls: bool,
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Prepended to every operation's path: empty, or `/…` without a trailing slash.
    pub base_path: String,
}

impl UpstreamUrl {
    /// `host:port`, or `host` alone where the port is the scheme's: the value of the `Host` field (RFC 9110 §7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        let refused = || UpstreamUrlError(text.chars().take(128).collect());
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(refused()),
        };
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, String::new()), |(authority, path)| {
                (authority, format!("/{path}"))
            });
        let base_path = path.trim_end_matches('/').to_owned();
        let plain_path = base_path.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~')
        });
        let dots = base_path
            .split('/')
            .any(|segment| matches!(segment, "." | ".."));
        let (host, port) = match authority
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((address, rest)) => {
                address
                    .parse::<core::net::Ipv6Addr>()
                    .map_err(|_not_an_address| refused())?;
                (
                    address,
                    rest.strip_prefix(':')
                        .or_else(|| rest.is_empty().then_some("")),
                )
            }
            None => authority
                .split_once(':')
                .map_or((authority, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = match port.ok_or_else(refused)? {
            "" => {
                if tls {
                    443
                } else {
                    80
                }
            }
            digits => digits
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(refused)?,
        };
        let plain_host = !host.is_empty()
            && host.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'_')
            });
        if !plain_host || !plain_path || dots || base_path.contains("//") {
            return Err(refused());
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            base_path,
        })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            if self.tls { "https" } else { "http" },
            self.authority(),
            self.base_path
        )
    }
}

/// How a credential is attached to a permitted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// In a header field of the given lower-case name, as it is.
    Header(String),
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Basic …`; the credential is `user:password`.
    Basic,
    /// In the environment of a program, in the variable that the settings name.
    Environment,
    /// To no call: it is what Writ proves itself with at the API's authorization server.
    ClientSecret,
}

/// An upstream API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Its id, the first path segment at the gateway.
    pub id: ApiId,
    /// Who answers for it.
    pub owner: OwnerName,
    /// Where it is reached.
    pub upstream: Upstream,
    /// Where its server publishes its document, if it does: what is there is compared with what is pinned. A program is its own place.
    pub drift: Option<Upstream>,
    /// The credential it wants and how it is attached; none for an API without authentication.
    pub credential: Option<(CredentialName, Attach)>,
    /// The trust domain of its services, if they verify transaction tokens: each call then carries one.
    pub transaction_tokens: Option<TrustDomain>,
    /// Its authorization server, if its calls carry tokens of one.
    pub authorization_server: Option<AuthorizationServer>,
    /// Whether its owner accepts tokens that are bound to no key.
    pub allow_unbound_tokens: bool,
    /// Longest life of a token for it.
    pub max_token_life: Duration,
    /// The environment that it, and so its credential, belongs to.
    pub environment: Option<EnvironmentName>,
}

/// What the built-in issuer looks at to recognise a process (SPIRE's unix selectors).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// The process runs as this user.
    Uid(u32),
    /// The process runs this executable file.
    Path(String),
    /// The process runs an executable file with this SHA-256 digest.
    Sha256(Digest),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{}` is no selector: `unix:uid:1000`, `unix:path:/usr/bin/agent` or `unix:sha256:` and 64 hexadecimal digits",
                text.chars().take(128).collect::<String>()
            )
        };
        if let Some(uid) = text.strip_prefix("unix:uid:") {
            return uid
                .parse()
                .map(Self::Uid)
                .map_err(|_not_a_number| unknown());
        }
        let digest = text
            .strip_prefix("unix:")
            .filter(|rest| rest.starts_with("sha256:"));
        if let Some(digest) = digest {
            return digest
                .parse()
                .map(Self::Sha256)
                .map_err(|_not_a_digest| unknown());
        }
        let path = text
            .strip_prefix("unix:path:")
            .filter(|path| path.starts_with('/'));
        path.map(|path| Self::Path(path.to_owned()))
            .ok_or_else(unknown)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "unix:uid:{uid}"),
            Self::Path(path) => write!(f, "unix:path:{path}"),
            Self::Sha256(digest) => write!(f, "unix:{digest}"),
        }
    }
}

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its workload identity.
    pub spiffe: SpiffeId,
    /// Who answers for it.
    pub owner: OwnerName,
    /// Groups it belongs to (Cedar `Writ::AgentGroup`).
    pub groups: BTreeSet<String>,
    /// Copilot or autonomous.
    pub mode: Mode,
    /// The purposes it may open tasks for.
    pub purposes: BTreeSet<PurposeName>,
    /// How the built-in issuer recognises its processes; all must hold. Empty: the built-in issuer never vouches for it.
    pub selectors: BTreeSet<Selector>,
    /// How tokens of outside issuers are recognised as its own; any one suffices.
    pub federations: BTreeSet<Federation>,
    /// Whether it may act at all.
    pub enabled: bool,
    /// What is watched for in its name.
    pub watch: Watch,
}

/// A named, owner-approved reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// Its name.
    pub name: PurposeName,
    /// Who approved it.
    pub owner: OwnerName,
    /// What it is for, for people.
    pub description: String,
    /// The actions it can need.
    pub actions: BTreeSet<ActionName>,
    /// The largest budget of a task.
    pub budget: Budget,
    /// The longest life of a task.
    pub max_task_life: Duration,
    /// Whether its owner accepts that the agent itself vouches for prompt, bounds and plan.
    pub agent_vouches: bool,
    /// Whether its tasks are opened with a plan, and used with one.
    pub plan_required: bool,
    /// When its tasks are opened and used; none for always.
    pub hours: Option<Hours>,
    /// The environments whose APIs it reaches; none named is any.
    pub environments: BTreeSet<EnvironmentName>,
    /// The largest blast radius of a task.
    pub max_blast_radius: Option<u64>,
    /// How the users have authenticated for whom its tasks are opened and used; none for any way, and for no user too.
    pub user_authentication: Option<WantedAuthentication>,
}

impl Purpose {
    /// Whether its tasks may be opened and used at this instant.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.admit(now))
    }

    /// How a user would have to authenticate for its tasks to be opened and used now; none where they have, or nothing is
    /// asked.
    #[must_use]
    pub fn wants(
        &self,
        known: Option<&UserAuthentication>,
        now: Timestamp,
    ) -> Option<&WantedAuthentication> {
        let wanted = self.user_authentication.as_ref();
        wanted.filter(|wanted| !wanted.is_met(known, now))
    }

    /// Whether it reaches the API. One that nobody has put into an environment is in none.
    #[must_use]
    pub fn reaches(&self, api: &Api) -> bool {
        let environment = api.environment.as_ref();
        self.environments.is_empty()
            || environment.is_some_and(|environment| self.environments.contains(environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_urls_read_and_print() {
        for (text, printed) in [
            (
                "http://127.0.0.1:8081/api/v1/",
                "http://127.0.0.1:8081/api/v1",
            ),
            ("https://API.example.com", "https://api.example.com"),
            ("https://[::1]:8443/x", "https://[::1]:8443/x"),
            ("http://host:80", "http://host"),
        ] {
            assert_eq!(text.parse::<UpstreamUrl>().unwrap().to_string(), printed);
        }
        for bad in [
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a/b?c",
            "http://a/../b",
            "http://a//b",
            "http://u@a",
            "http://a/%2e",
            "http://[zz]/",
        ] {
            assert!(bad.parse::<UpstreamUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn selectors_read_and_print() {
        let digest = format!("unix:sha256:{}", "0f".repeat(32));
        for text in ["unix:uid:1000", "unix:path:/usr/bin/agent", &digest] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for bad in [
            "uid:1",
            "unix:uid:x",
            "unix:path:relative",
            "unix:gid:1",
            "unix:sha256:0f",
        ] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
