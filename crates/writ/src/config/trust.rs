//! Who vouches for others: `[[issuer]]`, `[[client]]` and `[[trust_domain]]` of `writ.toml`.
//!
//! They are settings of the process, not part of the project: whoever may apply a project may not add a root of trust.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use writ_control::span;
use writ_token::{ClientId, IssuerUrl, Vouches};
use writ_types::{SpiffeId, TrustDomain};

use super::{ConfigError, Meaning, workload_api};

/// How often keys are fetched again, unless it is said.
const REFRESH: Duration = Duration::from_secs(300);
/// How long keys are believed after they were fetched last, unless it is said.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// Longest id of a client; it stands in records.
const LONGEST_CLIENT: usize = 256;

/// Everybody who vouches for others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustConfig {
    /// Issuers of users' and workloads' tokens.
    pub(crate) issuers: Vec<IssuerConfig>,
    /// Registered clients.
    pub(crate) clients: Vec<ClientConfig>,
    /// Other trust domains.
    pub(crate) domains: Vec<DomainConfig>,
}

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerConfig {
    /// Its `iss`, exactly.
    pub(crate) issuer: IssuerUrl,
    /// The audience its tokens must name.
    pub(crate) audience: String,
    /// For whom it vouches.
    pub(crate) vouches: Vouches,
    /// Whether its tokens are access tokens (RFC 9068); otherwise they are ID tokens or plain JWTs.
    pub(crate) access_tokens: bool,
    /// Its keys.
    pub(crate) keys: KeySource,
}

/// A client that proves itself with a key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    /// Its id.
    pub(crate) id: ClientId,
    /// The agents whose tasks it may open.
    pub(crate) agents: BTreeSet<SpiffeId>,
    /// Whether it may ask about every token.
    pub(crate) introspects: bool,
    /// Whether it is a trap, which nobody is.
    pub(crate) honey: bool,
    /// Its keys.
    pub(crate) keys: KeySource,
}

/// A trust domain beside the built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DomainConfig {
    /// Its name.
    pub(crate) name: TrustDomain,
    /// Its bundle: a file, an endpoint with the profile `https_web`, or the Workload API of an agent.
    pub(crate) bundle: KeySource,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A file, read at the start.
    File(PathBuf),
    /// A URL, fetched again and again.
    Url {
        /// The URL.
        url: String,
        /// How often.
        refresh: Duration,
        /// How long what was fetched is believed.
        good_for: Duration,
    },
    /// The Workload API of an agent on this machine, which tells of each change. For trust domains alone.
    Agent {
        /// Its socket.
        socket: PathBuf,
        /// The user that runs it, where it is neither root nor Writ's own.
        uid: Option<u32>,
        /// How often it is asked anew.
        refresh: Duration,
        /// How long what it said is believed after it was asked.
        good_for: Duration,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    issuer: String,
    audience: String,
    #[serde(default)]
    vouches_for: RawVouches,
    #[serde(default)]
    access_tokens: bool,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    refresh: Option<String>,
    good_for: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawVouches {
    #[default]
    Users,
    Workloads,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient {
    id: String,
    #[serde(default)]
    agents: Vec<String>,
    #[serde(default)]
    introspects: bool,
    #[serde(default)]
    honey: bool,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    refresh: Option<String>,
    good_for: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDomain {
    name: String,
    bundle_file: Option<PathBuf>,
    bundle_url: Option<String>,
    workload_api: Option<String>,
    workload_api_uid: Option<u32>,
    refresh: Option<String>,
    good_for: Option<String>,
}

/// What was typed about a source of keys, and under which names.
struct RawSource {
    section: &'static str,
    names: [&'static str; 2],
    file: Option<PathBuf>,
    url: Option<String>,
    refresh: Option<String>,
    good_for: Option<String>,
}

const JWKS: [&str; 2] = ["jwks_file", "jwks_url"];

impl Meaning<'_> {
    /// What was typed about who vouches. `own` is the built-in trust domain.
    pub(super) fn trust(
        &self,
        project: &Path,
        issuers: Vec<RawIssuer>,
        clients: Vec<RawClient>,
        domains: Vec<RawDomain>,
        own: &TrustDomain,
    ) -> Result<TrustConfig, ConfigError> {
        let issuers: Result<Vec<_>, _> = issuers
            .into_iter()
            .map(|raw| self.issuer(project, raw))
            .collect();
        let clients: Result<Vec<_>, _> = clients
            .into_iter()
            .map(|raw| self.client(project, raw, own))
            .collect();
        let domains: Result<Vec<_>, _> = domains
            .into_iter()
            .map(|raw| self.domain(project, raw, own))
            .collect();
        let trust = TrustConfig {
            issuers: issuers?,
            clients: clients?,
            domains: domains?,
        };
        // An assertion's `iss` says whose keys verify it: no two may be called the same.
        let names = trust.issuers.iter().map(|issuer| issuer.issuer.as_str());
        let names = names.chain(trust.clients.iter().map(|client| client.id.as_str()));
        let names = names.chain(trust.domains.iter().map(|domain| domain.name.as_str()));
        let mut known = BTreeSet::new();
        for name in names {
            if !known.insert(name) {
                return Err(self.value("issuer", &format!("`{name}` stands twice")));
            }
        }
        Ok(trust)
    }

    fn issuer(&self, project: &Path, raw: RawIssuer) -> Result<IssuerConfig, ConfigError> {
        Ok(IssuerConfig {
            issuer: self.parse("issuer.issuer", &raw.issuer)?,
            audience: raw.audience,
            vouches: match raw.vouches_for {
                RawVouches::Users => Vouches::ForUsers,
                RawVouches::Workloads => Vouches::ForWorkloads,
            },
            access_tokens: raw.access_tokens,
            keys: self.source(
                project,
                RawSource {
                    section: "issuer",
                    names: JWKS,
                    file: raw.jwks_file,
                    url: raw.jwks_url,
                    refresh: raw.refresh,
                    good_for: raw.good_for,
                },
            )?,
        })
    }

    fn client(
        &self,
        project: &Path,
        raw: RawClient,
        own: &TrustDomain,
    ) -> Result<ClientConfig, ConfigError> {
        // A SPIFFE id is an agent's (RFC 9068 §5: no client may be taken for another party).
        if raw.id.starts_with("spiffe:") || raw.id.len() > LONGEST_CLIENT {
            let message = "a client's id is at most 256 characters and no SPIFFE id";
            return Err(self.value("client.id", message));
        }
        let agent = |name: &String| {
            let spiffe = if name.contains(':') {
                name.clone()
            } else {
                format!("spiffe://{own}/agent/{name}")
            };
            self.parse("client.agents", &spiffe)
        };
        Ok(ClientConfig {
            id: self.parse("client.id", &raw.id)?,
            agents: raw.agents.iter().map(agent).collect::<Result<_, _>>()?,
            introspects: raw.introspects,
            honey: raw.honey,
            keys: self.source(
                project,
                RawSource {
                    section: "client",
                    names: JWKS,
                    file: raw.jwks_file,
                    url: raw.jwks_url,
                    refresh: raw.refresh,
                    good_for: raw.good_for,
                },
            )?,
        })
    }

    fn domain(
        &self,
        project: &Path,
        raw: RawDomain,
        own: &TrustDomain,
    ) -> Result<DomainConfig, ConfigError> {
        let name: TrustDomain = self.parse("trust_domain.name", &raw.name)?;
        if name == *own {
            let message = "this is the built-in trust domain, whose keys are Writ's own";
            return Err(self.value("trust_domain.name", message));
        }
        if raw.workload_api_uid.is_some() && raw.workload_api.is_none() {
            let message = "`workload_api_uid` stands beside `workload_api`";
            return Err(self.value("trust_domain", message));
        }
        let bundle = match raw.workload_api {
            Some(_) if raw.bundle_file.is_some() || raw.bundle_url.is_some() => {
                let message = "name one of `bundle_file`, `bundle_url` and `workload_api`";
                return Err(self.value("trust_domain", message));
            }
            Some(address) => {
                let socket = workload_api::socket(&address, self.endpoint_socket.as_deref());
                let socket = socket.map_err(|why| self.value("trust_domain.workload_api", why))?;
                let (refresh, good_for) = self.lives("trust_domain", raw.refresh, raw.good_for)?;
                KeySource::Agent {
                    socket,
                    uid: raw.workload_api_uid,
                    refresh,
                    good_for,
                }
            }
            None => self.source(
                project,
                RawSource {
                    section: "trust_domain",
                    names: ["bundle_file", "bundle_url"],
                    file: raw.bundle_file,
                    url: raw.bundle_url,
                    refresh: raw.refresh,
                    good_for: raw.good_for,
                },
            )?,
        };
        Ok(DomainConfig { name, bundle })
    }

    fn source(&self, project: &Path, raw: RawSource) -> Result<KeySource, ConfigError> {
        let [file_name, url_name] = raw.names;
        let either = format!("name either `{file_name}` or `{url_name}`");
        match (raw.file, raw.url) {
            (Some(_), None) if raw.refresh.is_some() || raw.good_for.is_some() => {
                let message = "`refresh` and `good_for` are for keys that are fetched";
                Err(self.value(raw.section, message))
            }
            (Some(file), None) => Ok(KeySource::File(project.join(file))),
            (None, Some(url))
                if url.starts_with("https://") || url.starts_with("http://127.0.0.1:") =>
            {
                let (refresh, good_for) = self.lives(raw.section, raw.refresh, raw.good_for)?;
                Ok(KeySource::Url {
                    url,
                    refresh,
                    good_for,
                })
            }
            (None, Some(_)) => Err(self.value(
                &format!("{}.{url_name}", raw.section),
                "keys are fetched over `https://` only (or `http://127.0.0.1:port`)",
            )),
            _ => Err(self.value(raw.section, &either)),
        }
    }

    /// How often keys are asked for, and how long they are believed.
    fn lives(
        &self,
        section: &str,
        refresh: Option<String>,
        good_for: Option<String>,
    ) -> Result<(Duration, Duration), ConfigError> {
        let refresh = self.span(section, "refresh", refresh, REFRESH)?;
        let good_for = self.span(section, "good_for", good_for, GOOD_FOR)?;
        if good_for <= refresh {
            let message =
                "`good_for` is longer than `refresh`: one fetch that fails is no reason to refuse";
            return Err(self.value(section, message));
        }
        Ok((refresh, good_for))
    }

    fn span(
        &self,
        section: &str,
        name: &str,
        text: Option<String>,
        default: Duration,
    ) -> Result<Duration, ConfigError> {
        let Some(text) = text else {
            return Ok(default);
        };
        let span = span::parse(&text).filter(|span| *span > Duration::ZERO);
        span.ok_or_else(|| {
            let message = "a duration is a whole number with a unit, such as \"30s\" or \"5m\"";
            self.value(&format!("{section}.{name}"), message)
        })
    }
}
