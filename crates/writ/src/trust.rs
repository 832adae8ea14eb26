//! Everybody who vouches for others, with their keys from files, URLs and agents, and keeping those that are fetched fresh.
//!
//! A file that cannot be read stops the start, and a reload leaves everything as it was. A URL or an agent that cannot be reached does not: who depends on it is refused
//! until it can be, and what was had last is believed until its limit, never beyond.

mod following;
mod origin;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use writ_control::{Client, EndpointFault, KeyOrigin, Roots, Trust, WorkloadEndpoint};
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
            KeySource::Agent {
                socket,
                uid,
                refresh,
                good_for,
            } => {
                field("workload_api", socket.as_os_str().as_encoded_bytes());
                if let Some(uid) = uid {
                    field("workload_api_uid", uid.to_string().as_bytes());
                }
                field("refresh", refresh.as_millis().to_string().as_bytes());
                field("good_for", good_for.as_millis().to_string().as_bytes());
            }
        }
        Digest::of_parts(&[b"writ voucher v1\n", &text])
    }

    /// What a document says, to be believed until an instant.
    fn parse(&self, document: &[u8], until: Option<Timestamp>) -> Result<Parsed, Failure> {
        let unusable = |fault: &dyn std::error::Error| {
            Failure::caused(
                format!("the keys of {} cannot be used", self.name()),
                &fault,
            )
        };
        let keys =
            || KeySet::parse(document, &KeyPins::default()).map_err(|fault| unusable(&fault));
        Ok(match self {
            Self::Issuer(issuer) => Parsed::Issuer(Issuer {
                keys_until: until,
                vouches: issuer.vouches,
                access_tokens: issuer.access_tokens,
                ..Issuer::new(issuer.issuer.clone(), issuer.audience.clone(), keys()?)
            }),
            Self::Client(client) => Parsed::Client(Arc::new(Client {
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
                Parsed::Bundle(Box::new(match until {
                    Some(until) => bundle.until(until),
                    None => bundle,
                }))
            }
        })
    }

    /// Lets nobody believe it any more.
    fn remove(&self, trust: &Trust) {
        match self {
            Self::Issuer(issuer) => trust.remove_issuer(&issuer.issuer),
            Self::Client(client) => trust.remove_client(client.id.as_str()),
            Self::Domain(domain) => trust.remove_bundle(&domain.name),
        }
    }
}

/// Somebody with their keys, ready to be believed.
#[derive(Debug)]
enum Parsed {
    Issuer(Issuer),
    Client(Arc<Client>),
    Bundle(Box<TrustBundle>),
}

impl Parsed {
    /// In place of what was believed of them before.
    fn put(&self, trust: &Trust) {
        match self {
            Self::Issuer(issuer) => trust.put_issuer(issuer),
            Self::Client(client) => trust.put_client(client),
            Self::Bundle(bundle) => trust.put_bundle(bundle),
        }
    }

    /// How often to look again, where the document says so.
    fn hint(&self) -> Option<Duration> {
        match self {
            Self::Bundle(bundle) => bundle.refresh_hint(),
            Self::Issuer(_) | Self::Client(_) => None,
        }
    }
}

/// Somebody whom the settings name.
#[derive(Debug)]
struct Known {
    voucher: Voucher,
    /// All that the settings say of it.
    settings: Digest,
    /// Its keys, where they are in a file.
    keys: Option<Parsed>,
}

/// Everybody whom the settings name, with the keys of those that have them in a file: read once, so that what is approved is
/// what is believed.
#[derive(Debug)]
pub(crate) struct Vouchers(Vec<Known>);

impl Vouchers {
    /// Reads and checks every file of the settings.
    pub(crate) fn of(config: &TrustConfig) -> Result<Self, Failure> {
        let issuers = config.issuers.iter().cloned().map(Voucher::Issuer);
        let clients = config.clients.iter().cloned().map(Voucher::Client);
        let domains = config.domains.iter().cloned().map(Voucher::Domain);
        let known = issuers.chain(clients).chain(domains).map(|voucher| {
            let document = match voucher.source() {
                KeySource::File(path) => Some(read(&voucher, path)?),
                KeySource::Url { .. } | KeySource::Agent { .. } => None,
            };
            let parse = |document: &Vec<u8>| voucher.parse(document, None);
            Ok(Known {
                settings: voucher.settings(document.as_deref()),
                keys: document.as_ref().map(parse).transpose()?,
                voucher,
            })
        });
        known.collect::<Result<_, Failure>>().map(Self)
    }

    /// Their names, each with the digest of what the settings say.
    pub(crate) fn settings(&self) -> BTreeMap<String, Digest> {
        let said = |known: &Known| (known.voucher.name().to_owned(), known.settings);
        self.0.iter().map(said).collect()
    }
}

/// A voucher whose keys are fetched.
#[derive(Debug, Clone)]
struct Remote {
    voucher: Voucher,
    settings: Digest,
    place: Place,
    refresh: Duration,
    good_for: Duration,
}

/// Where keys are fetched.
#[derive(Debug, Clone)]
enum Place {
    Url(String),
    Agent(WorkloadEndpoint),
}

impl Remote {
    /// None if the keys are in a file.
    fn of(voucher: &Voucher, settings: Digest, patience: Duration) -> Option<Self> {
        let (place, refresh, good_for) = match (voucher.source().clone(), voucher) {
            (
                KeySource::Url {
                    url,
                    refresh,
                    good_for,
                },
                _,
            ) => (Place::Url(url), refresh, good_for),
            (
                KeySource::Agent {
                    socket,
                    uid,
                    refresh,
                    good_for,
                },
                Voucher::Domain(domain),
            ) => {
                let agent =
                    WorkloadEndpoint::new(socket, domain.name.clone(), patience).run_by(uid);
                (Place::Agent(agent), refresh, good_for)
            }
            // The settings name an agent for trust domains alone.
            (KeySource::File(_) | KeySource::Agent { .. }, _) => return None,
        };
        Some(Self {
            voucher: voucher.clone(),
            settings,
            place,
            refresh,
            good_for,
        })
    }
}

/// Somebody who is believed, by these settings.
#[derive(Debug)]
struct Believed {
    voucher: Voucher,
    settings: Digest,
    /// What fetches its keys.
    fetching: Option<AbortHandle>,
}

/// Who is believed, and what fetches the keys of those who publish them.
#[derive(Debug)]
pub(crate) struct Refresher {
    trust: Arc<Trust>,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    roots: Arc<rustls::ClientConfig>,
    /// By name. Whoever puts keys in place holds it, so that what was fetched too late finds that nobody wants it.
    believed: Mutex<BTreeMap<String, Believed>>,
}

impl Refresher {
    /// Nobody is believed yet.
    pub(crate) fn new(
        timeouts: Timeouts,
        trust: Arc<Trust>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Failure> {
        Ok(Arc::new(Self {
            trust,
            clock,
            timeouts,
            roots: tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?,
            believed: Mutex::default(),
        }))
    }

    /// Believes those who are not held back by `roots`, and nobody else. The keys of files are in place when it returns;
    /// those that are fetched are kept where nothing was changed, and are otherwise asked for from now on. Gives an account
    /// of each first fetch.
    pub(crate) fn put_in_force(self: &Arc<Self>, vouchers: Vouchers, roots: &Roots) -> Fetches {
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *believed);
        let mut fetches = Vec::new();
        let approved = |known: &Known| !roots.is_held(known.voucher.name());
        for known in vouchers.0.into_iter().filter(approved) {
            let name = known.voucher.name().to_owned();
            let same = before
                .get(&name)
                .is_some_and(|one| one.settings == known.settings);
            let known = match before.remove(&name) {
                Some(unchanged) if same => unchanged,
                changed => {
                    if let Some(changed) = changed {
                        changed.end(&self.trust);
                    }
                    self.believe(known, &mut fetches)
                }
            };
            believed.insert(name, known);
        }
        for gone in before.into_values() {
            gone.end(&self.trust);
        }
        Fetches(fetches)
    }

    fn believe(
        self: &Arc<Self>,
        known: Known,
        fetches: &mut Vec<oneshot::Receiver<Option<Failure>>>,
    ) -> Believed {
        let Known {
            voucher,
            settings,
            keys,
        } = known;
        let remote = Remote::of(&voucher, settings, self.timeouts.key_fetch);
        let mut origin = KeyOrigin::unknown(origin::of(voucher.source()));
        if let Some(keys) = keys {
            keys.put(&self.trust);
            origin.since = Some(self.clock.now());
        }
        self.trust.put_origin(voucher.name(), &origin);
        let fetching = remote.map(|remote| {
            let (first, told) = oneshot::channel();
            fetches.push(told);
            let shared = Arc::clone(self);
            let keeping = async move { shared.keep_fresh(&remote, First(Some(first))).await };
            tokio::spawn(keeping).abort_handle()
        });
        Believed {
            voucher,
            settings,
            fetching,
        }
    }

    /// Fetches no more.
    pub(crate) fn stop(&self) {
        let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        for one in believed.values() {
            one.stop();
        }
    }

    async fn keep_fresh(&self, remote: &Remote, mut first: First) {
        let mut failures = 0_u32;
        loop {
            let outcome = match &remote.place {
                Place::Url(url) => self.fetch(remote, url).await,
                Place::Agent(agent) => {
                    let told = (&mut first, &mut failures);
                    self.follow(remote, agent, told).await
                }
            };
            let (pause, fault) = match outcome {
                Ok(next) => {
                    failures = 0;
                    (next, None)
                }
                Err(fault) => {
                    let pause = SHORTEST
                        .saturating_mul(2_u32.saturating_pow(failures.min(16)))
                        .min(remote.refresh.max(SHORTEST));
                    failures = failures.saturating_add(1);
                    (pause, Some(fault))
                }
            };
            if let Some(fault) = &fault {
                tracing::warn!(%fault, failures, "keys could not be renewed; those before are believed until their limit");
                self.note(remote, |origin| origin.fault = Some(fault.to_string()));
            }
            first.tell(fault);
            tokio::time::sleep(pause).await;
        }
    }

    /// Fetches a document and puts its keys in place; gives the pause until the next time.
    async fn fetch(&self, remote: &Remote, url: &str) -> Result<Duration, Failure> {
        // Until when it is believed counts from before it was asked for.
        let asked = self.clock.now();
        let document = download(url, &self.roots, &self.timeouts).await;
        let failed = |why: String| {
            let name = remote.voucher.name();
            Failure::new(format!("cannot fetch the keys of {name} from {url}: {why}"))
        };
        let document = document.map_err(failed)?;
        let until = asked.plus(remote.good_for);
        let parsed = remote.voucher.parse(&document, Some(until))?;
        self.put(remote, &parsed, asked);
        let pause = parsed.hint().unwrap_or(remote.refresh).min(remote.refresh);
        Ok(pause.max(SHORTEST))
    }

    /// Puts keys in place that were asked for at an instant, if they are still wanted: the settings may have changed since.
    fn put(&self, remote: &Remote, parsed: &Parsed, asked: Timestamp) {
        self.if_wanted(remote, || parsed.put(&self.trust));
        self.note(remote, |origin| {
            origin.since = Some(asked);
            origin.until = Some(asked.plus(remote.good_for));
            origin.fault = None;
        });
    }

    /// Notes how the keys of somebody stand.
    fn note(&self, remote: &Remote, change: impl FnOnce(&mut KeyOrigin)) {
        self.if_wanted(remote, || {
            let name = remote.voucher.name();
            if let Some(mut origin) = self.trust.origins().get(name).cloned() {
                change(&mut origin);
                self.trust.put_origin(name, &origin);
            }
        });
    }

    fn if_wanted(&self, remote: &Remote, act: impl FnOnce()) {
        let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = believed.get(remote.voucher.name());
        if wanted.is_some_and(|one| one.settings == remote.settings) {
            act();
        }
    }
}

/// Whoever waits for the first fetch.
#[derive(Debug)]
struct First(Option<oneshot::Sender<Option<Failure>>>);

impl First {
    /// Tells them, once.
    fn tell(&mut self, fault: Option<Failure>) {
        if let Some(first) = self.0.take() {
            // Nobody may be waiting for it.
            drop(first.send(fault));
        }
    }
}

impl Believed {
    fn stop(&self) {
        if let Some(fetching) = &self.fetching {
            fetching.abort();
        }
    }

    fn end(&self, trust: &Trust) {
        self.stop();
        self.voucher.remove(trust);
        trust.remove_origin(self.voucher.name());
    }
}

/// What becomes of the first fetch of each voucher that publishes its keys.
#[derive(Debug)]
pub(crate) struct Fetches(Vec<oneshot::Receiver<Option<Failure>>>);

impl Fetches {
    /// Waits for them. Gives what could not be fetched.
    pub(crate) async fn told(self) -> Vec<String> {
        let mut notices = Vec::new();
        for told in self.0 {
            if let Ok(Some(fault)) = told.await {
                notices.push(format!(
                    "{fault}; it is tried again, and until then refused"
                ));
            }
        }
        notices
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
