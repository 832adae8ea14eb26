//! Process settings: `writ.toml`, `WRIT_*` in the environment, and flags, in that order, read once into what they mean.
//!
//! The only module that reads the environment.

mod mcp;
mod reference;
mod sign_in;
mod trust;
mod workload_api;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use writ_control::span;
use writ_types::{Limits, Program, ProgramName, PublicUrl, Timeouts, TrustDomain};

pub(crate) use reference::commented;
pub(crate) use sign_in::SignInConfig;
pub(crate) use trust::{ClientConfig, DomainConfig, IssuerConfig, KeySource, TrustConfig};

/// Shortest life of an X.509-SVID: certificates count whole seconds, and a client takes the next one half-way.
const SHORTEST_SVID: Duration = Duration::from_secs(2);

/// Why the settings cannot be used; says the file, the line and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// There is no file.
    #[error(
        "there is no `{0}`: run `writ init` to write a project here, or name one with `--config`"
    )]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read `{0}`")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is no TOML, or has a key that is not known.
    #[error("{file}:{line}: {message}")]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A value does not mean anything.
    #[error("{file}: `{key}`: {message}")]
    Value {
        /// The file.
        file: PathBuf,
        /// The setting.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// The settings as they are meant.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `writ.toml`.
    pub(crate) file: PathBuf,
    /// Its folder: the project.
    pub(crate) project: PathBuf,
    /// Where state lives.
    pub(crate) data: PathBuf,
    /// Under which URL agents reach the gateway.
    pub(crate) public_url: PublicUrl,
    /// Under which URL agents and operators reach the control plane; the issuer of tokens.
    pub(crate) control_url: PublicUrl,
    /// Where the gateway listens.
    pub(crate) gateway: SocketAddr,
    /// Where the control plane listens.
    pub(crate) control: SocketAddr,
    /// TLS of both listeners, if they have it.
    pub(crate) tls: Option<TlsFiles>,
    /// The built-in trust domain.
    pub(crate) identity: IdentityConfig,
    /// Who vouches for others.
    pub(crate) trust: TrustConfig,
    /// With whose accounts operators sign in, if they do.
    pub(crate) sign_in: Option<SignInConfig>,
    /// The programs that may be started as upstreams.
    pub(crate) programs: BTreeMap<ProgramName, Program>,
    /// Worker threads of the gateway.
    pub(crate) workers: usize,
    /// What bounds what strangers send.
    pub(crate) limits: Limits,
    /// How long each phase may take.
    pub(crate) timeouts: Timeouts,
}

/// Certificate and key of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Private key, PEM.
    pub(crate) key: PathBuf,
}

/// The built-in trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentityConfig {
    /// Its name.
    pub(crate) trust_domain: TrustDomain,
    /// The socket on which agents get their identity.
    pub(crate) socket: PathBuf,
    /// Whether processes that run as Writ's own user may be agents.
    pub(crate) single_user_machine: bool,
    /// Life of an X.509-SVID.
    pub(crate) x509_svid_life: Duration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    public_url: Option<String>,
    control_url: Option<String>,
    data: Option<PathBuf>,
    workers: Option<usize>,
    listen: RawListen,
    tls: Option<RawTls>,
    identity: RawIdentity,
    issuer: Vec<trust::RawIssuer>,
    client: Vec<trust::RawClient>,
    #[serde(rename = "trust_domain")]
    domain: Vec<trust::RawDomain>,
    sign_in: Option<sign_in::RawSignIn>,
    mcp: mcp::RawMcp,
    limits: BTreeMap<String, String>,
    timeouts: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawListen {
    gateway: Option<String>,
    control: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIdentity {
    trust_domain: Option<String>,
    socket: Option<PathBuf>,
    single_user_machine: bool,
    x509_svid_life: Option<String>,
}

impl Config {
    /// Reads `writ.toml` at `path`, then the environment.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
                return Err(ConfigError::Missing(path.to_owned()));
            }
            Err(fault) => return Err(ConfigError::Read(path.to_owned(), fault)),
        };
        Self::parse(path, &text, environment)
    }

    /// Reads the same file and environment again.
    pub(crate) fn again(&self) -> Result<Self, ConfigError> {
        Self::load(&self.file)
    }

    /// What is said otherwise than here and is read at a start alone. What can be read again is said by nobody here: who
    /// vouches for others, and with whose accounts operators sign in.
    pub(crate) fn after_a_restart(&self, later: &Self) -> Vec<&'static str> {
        // Taken apart whole, so that a new setting is thought of.
        let Self {
            file: _,
            project: _,
            data,
            public_url,
            control_url,
            gateway,
            control,
            tls,
            identity,
            trust: _,
            sign_in: _,
            programs,
            workers,
            limits,
            timeouts,
        } = self;
        let changed = [
            ("data", *data != later.data),
            ("public_url", *public_url != later.public_url),
            ("control_url", *control_url != later.control_url),
            ("listen.gateway", *gateway != later.gateway),
            ("listen.control", *control != later.control),
            ("tls", *tls != later.tls),
            ("identity", *identity != later.identity),
            ("mcp.programs", *programs != later.programs),
            ("workers", *workers != later.workers),
            ("limits", *limits != later.limits),
            ("timeouts", *timeouts != later.timeouts),
        ];
        let changed = changed.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(name, _)| name).collect()
    }

    fn parse(
        path: &Path,
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut raw: RawConfig = toml::from_str(text).map_err(|fault| ConfigError::Syntax {
            file: path.to_owned(),
            line: fault.span().map_or(1, |span| line_of(text, span.start)),
            message: fault.message().to_owned(),
        })?;
        let over = |name: &str, slot: &mut Option<String>| {
            if let Some(value) = environment(name) {
                *slot = Some(value);
            }
        };
        over("WRIT_PUBLIC_URL", &mut raw.public_url);
        over("WRIT_CONTROL_URL", &mut raw.control_url);
        over("WRIT_GATEWAY", &mut raw.listen.gateway);
        over("WRIT_CONTROL", &mut raw.listen.control);
        if let Some(data) = environment("WRIT_DATA") {
            raw.data = Some(data.into());
        }
        let endpoint_socket = environment("SPIFFE_ENDPOINT_SOCKET");
        let meaning = Meaning {
            file: path,
            endpoint_socket,
        };
        meaning.of(raw)
    }
}

/// Turns what was typed into what is meant; a fault names the setting.
struct Meaning<'a> {
    file: &'a Path,
    /// What `SPIFFE_ENDPOINT_SOCKET` holds: read where a setting asks for it.
    endpoint_socket: Option<String>,
}

impl Meaning<'_> {
    fn of(&self, raw: RawConfig) -> Result<Config, ConfigError> {
        let RawConfig {
            public_url,
            control_url,
            data,
            workers,
            listen,
            tls,
            identity,
            issuer,
            client,
            domain,
            sign_in,
            mcp,
            limits,
            timeouts,
        } = raw;
        let parent = self
            .file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let project = parent.unwrap_or_else(|| Path::new(".")).to_owned();
        let data = project.join(data.unwrap_or_else(|| ".writ".into()));
        let gateway = self.parse(
            "listen.gateway",
            listen.gateway.as_deref().unwrap_or("127.0.0.1:8080"),
        )?;
        let control = self.parse(
            "listen.control",
            listen.control.as_deref().unwrap_or("127.0.0.1:8081"),
        )?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = |configured: Option<String>, listen: SocketAddr| {
            configured.unwrap_or_else(|| format!("{scheme}://{listen}"))
        };
        let loopback = |address: SocketAddr| address.ip().is_loopback();
        if tls.is_none() && !(loopback(gateway) && loopback(control)) {
            let message = "without [tls] the listeners stay on loopback: tokens and credentials would travel in the clear";
            return Err(self.value("listen", message));
        }
        let trust_domain = identity.trust_domain.as_deref().unwrap_or("writ.local");
        let own: TrustDomain = self.parse("identity.trust_domain", trust_domain)?;
        Ok(Config {
            file: self.file.to_owned(),
            public_url: self.parse("public_url", &url(public_url, gateway))?,
            control_url: self.parse("control_url", &url(control_url, control))?,
            gateway,
            control,
            tls: tls.map(|tls| TlsFiles {
                certificate: project.join(tls.certificate),
                key: project.join(tls.key),
            }),
            identity: IdentityConfig {
                trust_domain: own.clone(),
                socket: identity.socket.map_or_else(
                    || project.join(".writ-agent.sock"),
                    |socket| project.join(socket),
                ),
                single_user_machine: identity.single_user_machine,
                x509_svid_life: self.svid_life(identity.x509_svid_life.as_deref())?,
            },
            trust: self.trust(&project, issuer, client, domain, &own)?,
            sign_in: sign_in.map(|raw| self.sign_in(&project, raw)).transpose()?,
            programs: self.programs(mcp)?,
            workers: workers.filter(|count| *count > 0).unwrap_or_else(cores),
            limits: self.limits(limits)?,
            timeouts: self.timeouts(timeouts)?,
            project,
            data,
        })
    }

    fn svid_life(&self, raw: Option<&str>) -> Result<Duration, ConfigError> {
        let longest = writ_token::X509Authority::LONGEST_LEAF_LIFE;
        let Some(text) = raw else {
            return Ok(longest);
        };
        let life = span::parse(text).filter(|life| (SHORTEST_SVID..=longest).contains(life));
        let message = "an X.509-SVID lives from \"2s\" to \"1h\"";
        life.ok_or_else(|| self.value("identity.x509_svid_life", message))
    }

    fn limits(&self, raw: BTreeMap<String, String>) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        for (name, text) in raw {
            let key = format!("limits.{name}");
            let value = span::parse_size(&text).filter(|value| *value > 0);
            let value = value.ok_or_else(|| {
                self.value(
                    &key,
                    "a limit is a whole number above zero, such as \"64\" or \"1 MiB\"",
                )
            })?;
            if !limits.set(&name, value) {
                return Err(
                    self.value(&key, "there is no such limit: see docs/reference/limits.md")
                );
            }
        }
        Ok(limits)
    }

    fn timeouts(&self, raw: BTreeMap<String, String>) -> Result<Timeouts, ConfigError> {
        let mut timeouts = Timeouts::default();
        for (name, text) in raw {
            let key = format!("timeouts.{name}");
            let value = span::parse(&text).filter(|value| *value > Duration::ZERO);
            let value = value.ok_or_else(|| {
                self.value(
                    &key,
                    "a timeout is a whole number with a unit, such as \"250ms\" or \"30s\"",
                )
            })?;
            if !timeouts.set(&name, value) {
                return Err(self.value(
                    &key,
                    "there is no such timeout: see docs/reference/limits.md",
                ));
            }
        }
        Ok(timeouts)
    }

    fn parse<T>(&self, key: &str, text: &str) -> Result<T, ConfigError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        text.parse()
            .map_err(|fault: T::Err| self.value(key, &fault.to_string()))
    }

    fn value(&self, key: &str, message: &str) -> ConfigError {
        ConfigError::Value {
            file: self.file.to_owned(),
            key: key.to_owned(),
            message: message.to_owned(),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        .saturating_add(1)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether colour is wanted on a terminal: not if `NO_COLOR` is set (no-color.org) or the terminal is dumb.
pub(crate) fn colour_wanted() -> bool {
    environment("NO_COLOR").is_none() && environment("TERM").is_none_or(|term| term != "dumb")
}

/// The log filter, `WRIT_LOG`, such as `info` or `writ_proxy=debug`.
pub(crate) fn log_filter() -> Option<String> {
    environment("WRIT_LOG")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("project/writ.toml"), text, |_| None)
    }

    #[test]
    fn nothing_is_needed() {
        let config = parse("").unwrap();
        assert_eq!(config.public_url.as_str(), "http://127.0.0.1:8080");
        assert_eq!(config.data, Path::new("project/.writ"));
        assert!(!config.identity.single_user_machine);
    }

    #[test]
    fn the_written_default_means_the_default() {
        let (written, plain) = (parse(&commented()).unwrap(), parse("").unwrap());
        assert_eq!(format!("{written:?}"), format!("{plain:?}"));
    }

    /// What was typed, and what the message must say.
    #[test]
    fn faults_name_their_place() {
        for (text, wanted) in [
            (
                "public_ur = \"x\"",
                "project/writ.toml:1: unknown field `public_ur`",
            ),
            ("\n[limits]\nbody_bytes = 5", "project/writ.toml:3: "),
            (
                "public_url = \"http://example.com\"",
                "`public_url`: `http://example.com` is no public URL",
            ),
            (
                "[limits]\nbodybytes = \"1\"",
                "`limits.bodybytes`: there is no such limit",
            ),
            ("[limits]\nbody_bytes = \"0\"", "above zero"),
            (
                "[timeouts]\nrecord = \"5\"",
                "a timeout is a whole number with a unit",
            ),
            ("[listen]\ngateway = \"0.0.0.0:8080\"", "stay on loopback"),
            (
                "[[issuer]]\nissuer = \"a\"\naudience = \"b\"",
                "an issuer is an `https://` URL",
            ),
            (
                "[[issuer]]\nissuer = \"https://a\"\naudience = \"b\"",
                "name either `jwks_file` or `jwks_url`",
            ),
            (
                "[[issuer]]\nissuer = \"https://a\"\naudience = \"b\"\njwks_url = \"http://example.com/jwks\"",
                "`issuer.jwks_url`: keys are fetched over `https://` only",
            ),
            (
                "[[issuer]]\nissuer = \"https://a\"\naudience = \"b\"\njwks_url = \"https://a\"\nrefresh = \"1h\"",
                "`good_for` is longer than `refresh`",
            ),
            (
                "[[issuer]]\nissuer = \"https://a\"\naudience = \"b\"\njwks_file = \"a\"\ngood_for = \"1h\"",
                "are for keys that are fetched",
            ),
            (
                "[[client]]\nid = \"spiffe://writ.local/agent/a\"\njwks_file = \"a\"",
                "no SPIFFE id",
            ),
            (
                "[[client]]\nid = \"a\"\njwks_file = \"a\"\n[[client]]\nid = \"a\"\njwks_file = \"b\"",
                "`a` stands twice",
            ),
            (
                "[[client]]\nid = \"a\"\njwks_file = \"a\"\nagents = [\"//\"]",
                "`client.agents`",
            ),
            (
                "[[trust_domain]]\nname = \"writ.local\"\nbundle_file = \"a\"",
                "this is the built-in trust domain",
            ),
            (
                "[[trust_domain]]\nname = \"a.example\"\nbundle_url = \"http://a.example/\"",
                "`trust_domain.bundle_url`: keys are fetched over `https://` only",
            ),
            (
                "[identity]\nx509_svid_life = \"2h\"",
                "`identity.x509_svid_life`: an X.509-SVID lives from \"2s\" to \"1h\"",
            ),
            ("[identity]\nx509_svid_life = \"1s\"", "from \"2s\""),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text}: {message}");
        }
    }
}
