//! Everybody who vouches for others, with their keys from files and URLs, and keeping those that are fetched fresh.
//!
//! A file that cannot be read stops the start. A URL that cannot be reached does not: who depends on it is refused until it
//! can be, and what was fetched last is believed until its limit, never beyond.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use writ_control::{Client, Roots, Trust};
use writ_token::{Issuer, KeyPins, KeySet, RegisteredClient, TrustBundle, Vouches};
use writ_types::{Clock, Digest, Timeouts, Timestamp};

use crate::config::{ClientConfig, DomainConfig, IssuerConfig, KeySource, TrustConfig};
use crate::failure::Failure;
use crate::http::Peer;
use crate::tls;

/// Largest document of keys, in bytes.
const MOST: usize = 256 * 1024;
/// The shortest pause between two fetches, whatever a bundle's refresh hint says, and the first one after a fetch that
/// failed. Doubled after each further one.
const SHORTEST: Duration = Duration::from_secs(1);

/// Somebody whose keys are known by where they come from.
#[derive(Debug, Clone)]
enum Voucher {
    Issuer(IssuerConfig),
    Client(ClientConfig),
    Domain(DomainConfig),
}

impl Voucher {
    fn source(&self) -> &KeySource {
        match self {
            Self::Issuer(issuer) => &issuer.keys,
            Self::Client(client) => &client.keys,
            Self::Domain(domain) => &domain.bundle,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Issuer(issuer) => issuer.issuer.as_str(),
            Self::Client(client) => client.id.as_str(),
            Self::Domain(domain) => domain.name.as_str(),
        }
    }

    /// The digest of all that the settings say of it, the keys of a file among them: what people approve. Each field has its
    /// name, its length and its bytes, so that no two settings are the same text.
    fn settings(&self, document: Option<&[u8]>) -> Digest {
        let mut text = Vec::new();
        let mut field = |name: &str, value: &[u8]| {
            text.extend_from_slice(format!("{name} {}\n", value.len()).as_bytes());
            text.extend_from_slice(value);
        };
        match self {
            Self::Issuer(issuer) => {
                let vouches = match issuer.vouches {
                    Vouches::ForUsers => "users",
                    Vouches::ForWorkloads => "workloads",
                };
                let tokens = if issuer.access_tokens { "access" } else { "id" };
                field("issuer", issuer.issuer.as_str().as_bytes());
                field("audience", issuer.audience.as_bytes());
                field("vouches_for", vouches.as_bytes());
                field("tokens", tokens.as_bytes());
            }
            Self::Client(client) => {
                field("client", client.id.as_str().as_bytes());
                for agent in &client.agents {
                    field("agent", agent.as_str().as_bytes());
                }
                field("introspects", client.introspects.to_string().as_bytes());
                // Left out where there is none, so that what was approved before there were traps stays approved.
                if client.honey {
                    field("honey", b"true");
                }
            }
            Self::Domain(domain) => field("trust_domain", domain.name.as_str().as_bytes()),
        }
        match self.source() {
            KeySource::File(_) => field("keys", document.unwrap_or_default()),
            KeySource::Url {
                url,
                refresh,
                good_for,
            } => {
                field("url", url.as_bytes());
                field("refresh", refresh.as_millis().to_string().as_bytes());
                field("good_for", good_for.as_millis().to_string().as_bytes());
            }
        }
        Digest::of_parts(&[b"writ voucher v1\n", &text])
    }

    /// Puts the keys of a document in place of those before, to be believed until an instant. Gives the refresh hint, where
    /// the document has one.
    fn put(
        &self,
        trust: &Trust,
        document: &[u8],
        until: Option<Timestamp>,
    ) -> Result<Option<Duration>, Failure> {
        let unusable = |fault: &dyn std::error::Error| {
            Failure::caused(
                format!("the keys of {} cannot be used", self.name()),
                &fault,
            )
        };
        let keys =
            || KeySet::parse(document, &KeyPins::default()).map_err(|fault| unusable(&fault));
        match self {
            Self::Issuer(issuer) => trust.put_issuer(&Issuer {
                keys_until: until,
                vouches: issuer.vouches,
                access_tokens: issuer.access_tokens,
                ..Issuer::new(issuer.issuer.clone(), issuer.audience.clone(), keys()?)
            }),
            Self::Client(client) => trust.put_client(&Arc::new(Client {
                registered: RegisteredClient {
                    id: client.id.clone(),
                    keys: keys()?,
                    keys_until: until,
                },
                agents: client.agents.clone(),
                introspects: client.introspects,
                honey: client.honey,
            })),
            Self::Domain(domain) => {
                let bundle = TrustBundle::parse(domain.name.clone(), document, &KeyPins::default())
                    .map_err(|fault| unusable(&fault))?;
                let hint = bundle.refresh_hint();
                let bundle = match until {
                    Some(until) => bundle.until(until),
                    None => bundle,
                };
                trust.put_bundle(&bundle);
                return Ok(hint);
            }
        }
        Ok(None)
    }
}

/// Everybody whom the settings name, with the keys of those that have them in a file: read once, so that what is approved is
/// what is believed.
#[derive(Debug)]
pub(crate) struct Vouchers(Vec<(Voucher, Option<Vec<u8>>)>);

impl Vouchers {
    /// Reads every file of the settings.
    pub(crate) fn of(config: &TrustConfig) -> Result<Self, Failure> {
        let issuers = config.issuers.iter().cloned().map(Voucher::Issuer);
        let clients = config.clients.iter().cloned().map(Voucher::Client);
        let domains = config.domains.iter().cloned().map(Voucher::Domain);
        let known = issuers.chain(clients).chain(domains).map(|voucher| {
            let document = match voucher.source() {
                KeySource::File(path) => Some(read(&voucher, path)?),
                KeySource::Url { .. } => None,
            };
            Ok((voucher, document))
        });
        known.collect::<Result<_, Failure>>().map(Self)
    }

    /// Their names, each with the digest of what the settings say.
    pub(crate) fn settings(&self) -> BTreeMap<String, Digest> {
        let said = |(voucher, document): &(Voucher, Option<Vec<u8>>)| {
            let settings = voucher.settings(document.as_deref());
            (voucher.name().to_owned(), settings)
        };
        self.0.iter().map(said).collect()
    }
}

/// A voucher whose keys are fetched.
#[derive(Debug)]
struct Remote {
    voucher: Voucher,
    url: String,
    refresh: Duration,
    good_for: Duration,
}

/// What fetches keys again and again.
#[derive(Debug)]
pub(crate) struct Refresher {
    trust: Arc<Trust>,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    roots: Arc<rustls::ClientConfig>,
    remotes: Vec<Remote>,
}

impl Refresher {
    /// Puts the keys of files into `trust`, and knows what is to be fetched. Who is held back by `roots` is believed by
    /// nothing.
    pub(crate) fn new(
        vouchers: Vouchers,
        roots: &Roots,
        timeouts: Timeouts,
        trust: Arc<Trust>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let mut remotes = Vec::new();
        let approved = |(voucher, _): &(Voucher, _)| !roots.is_held(voucher.name());
        for (voucher, document) in vouchers.0.into_iter().filter(approved) {
            if let Some(document) = document {
                let _hint = voucher.put(&trust, &document, None)?;
            }
            if let KeySource::Url {
                url,
                refresh,
                good_for,
            } = voucher.source().clone()
            {
                remotes.push(Remote {
                    voucher,
                    url,
                    refresh,
                    good_for,
                });
            }
        }
        Ok(Self {
            trust,
            clock,
            timeouts,
            roots: tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?,
            remotes,
        })
    }

    /// Fetches everything once, then goes on doing so until the tasks are dropped. Gives what could not be fetched at first.
    pub(crate) async fn start(self, tasks: &mut JoinSet<()>) -> Vec<String> {
        let mut first = JoinSet::new();
        let shared = Arc::new(self);
        for place in 0..shared.remotes.len() {
            let shared = Arc::clone(&shared);
            first.spawn(async move {
                let fetched = match shared.remotes.get(place) {
                    Some(remote) => shared.fetch(remote).await,
                    None => Ok(SHORTEST),
                };
                (place, fetched)
            });
        }
        let mut notices = Vec::new();
        while let Some(done) = first.join_next().await {
            let Ok((place, fetched)) = done else {
                continue;
            };
            if let Err(fault) = &fetched {
                notices.push(format!(
                    "{fault}; it is tried again, and until then refused"
                ));
            }
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                if let Some(remote) = shared.remotes.get(place) {
                    shared.keep_fresh(remote, fetched.ok()).await;
                }
            });
        }
        notices
    }

    async fn keep_fresh(&self, remote: &Remote, first: Option<Duration>) {
        let mut failures = u32::from(first.is_none());
        let mut pause = first.unwrap_or(SHORTEST);
        loop {
            tokio::time::sleep(pause).await;
            match self.fetch(remote).await {
                Ok(next) => (failures, pause) = (0, next),
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    pause = SHORTEST
                        .saturating_mul(2_u32.saturating_pow(failures.min(16)))
                        .min(remote.refresh.max(SHORTEST));
                    tracing::warn!(%fault, failures, "keys could not be renewed; those before are believed until their limit");
                }
            }
        }
    }

    /// Fetches a document and puts its keys in place; gives the pause until the next time.
    async fn fetch(&self, remote: &Remote) -> Result<Duration, Failure> {
        // Until when it is believed counts from before it was asked for.
        let until = self.clock.now().plus(remote.good_for);
        let document = download(&remote.url, &self.roots, &self.timeouts).await;
        let failed = |why: String| {
            Failure::new(format!(
                "cannot fetch the keys of {} from {}: {why}",
                remote.voucher.name(),
                remote.url
            ))
        };
        let hint = remote
            .voucher
            .put(&self.trust, &document.map_err(failed)?, Some(until))?;
        let pause = hint.unwrap_or(remote.refresh).min(remote.refresh);
        Ok(pause.max(SHORTEST))
    }
}

fn read(voucher: &Voucher, path: &Path) -> Result<Vec<u8>, Failure> {
    let what = || format!("the keys of {} from {}", voucher.name(), path.display());
    let document = std::fs::read(path)
        .map_err(|fault| Failure::caused(format!("cannot read {}", what()), &fault))?;
    if document.len() > MOST {
        return Err(Failure::new(format!("{} are more than 256 KiB", what())));
    }
    Ok(document)
}

async fn download(
    url: &str,
    roots: &Arc<rustls::ClientConfig>,
    timeouts: &Timeouts,
) -> Result<Vec<u8>, String> {
    let scheme_end = url.find("://").map_or(0, |at| at.saturating_add(3));
    let path_at = url
        .get(scheme_end..)
        .and_then(|rest| rest.find('/'))
        .map(|at| at.saturating_add(scheme_end));
    let (origin, path) = path_at
        .and_then(|at| url.split_at_checked(at))
        .unwrap_or((url, "/"));
    let peer = Peer::url(origin, Some(Arc::clone(roots))).map_err(|fault| fault.to_string())?;
    let exchange = peer.send(
        hyper::Method::GET,
        path,
        &[("accept", "application/json")],
        Vec::new(),
    );
    let answer = tokio::time::timeout(timeouts.key_fetch, exchange)
        .await
        .map_err(|_late| "no answer in time".to_owned())?;
    let answer = answer.map_err(|fault| fault.to_string())?;
    // A redirect is not followed: it could lead anywhere.
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    if answer.body.len() > MOST {
        return Err("more than 256 KiB".to_owned());
    }
    Ok(answer.body.to_vec())
}
