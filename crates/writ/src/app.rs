//! A running Writ: everything put together, in the order of the start.

mod listener;
mod recover;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use writ_audit::{NodeName, Places};
use writ_control::log::{LogWriter, Vault};
use writ_control::records::LogPlace;
use writ_control::{
    AlarmDesk, ApprovalDesk, At, Compiler, Loaded, Mended, Mending, Plane, Roots, Settings, Trust,
};
use writ_proxy::{
    ApiSnapshot, Credential, Gateway, Pool, PreparedTasks, Snapshot, TokenClient, TransactionTokens,
};
use writ_store::Store;
use writ_task::MemoryLedger;
use writ_token::{IssuerUrl, NonceIssuer, ReplayCache, Signer, TokenCache, TokenVerifier};
use writ_types::{Api, Clock, Secret, Tenant, WallGuard};

use crate::app::listener::Stop;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::drift;
use crate::failure::Failure;
use crate::keys::KeyRing;
use crate::operator;
use crate::tls;
use crate::trust::Refresher;
use crate::vouching;

/// This machine's name in records.
const NODE: &str = "node1";

/// What is told at the start beside the settings.
#[derive(Debug)]
pub(crate) struct Start {
    /// The project's files, by path relative to it: what an empty store is seeded with.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
}

/// A running Writ.
#[derive(Debug)]
pub(crate) struct App {
    /// Where agents get their identity.
    pub(crate) socket: PathBuf,
    /// Where the first-boot token waits, if there is no admin yet.
    pub(crate) first_boot_token: Option<PathBuf>,
    /// What was found at the start that a person should know.
    pub(crate) notices: Vec<String>,
    plane: Arc<Plane>,
    data_plane: Arc<Gateway>,
    /// Through which sessions with upstreams are ended.
    leaving: Arc<Pool>,
    log: LogPlace,
    stop: watch::Sender<Stop>,
    tasks: JoinSet<()>,
    workers: Vec<std::thread::JoinHandle<()>>,
    /// Fetches keys again and again.
    refresher: Arc<Refresher>,
    /// Do what is to be done about alarms; end with the process.
    watchers: JoinSet<()>,
}

impl App {
    /// Starts everything, or nothing.
    #[expect(
        clippy::too_many_lines,
        reason = "the order of the start, top to bottom"
    )]
    pub(crate) async fn start(config: &Config, start: Start) -> Result<Self, Failure> {
        let Start { files, clock } = start;
        let tenant = Tenant::default_tenant();
        let now = clock.now();
        let ring = KeyRing::open(&config.data, &config.identity.trust_domain, now)?;
        let store = Store::open(&config.data.join("writ.db")).await?;
        let seeded =
            writ_control::seed(&store, &tenant, &files, &config.identity.trust_domain, now).await;
        seeded.map_err(|fault| {
            project_failure(fault, "nothing was started, and the store is still empty")
        })?;
        let token_path = config.data.join("first-boot-token");
        let waits = writ_control::first_boot_token(&store, &tenant, &token_path, now).await?;

        let node: NodeName = NODE.parse()?;
        let opened = recover::open_log(config, &ring, &store, &tenant, &node, Arc::clone(&clock))?;
        let loaded = load(&store, &tenant, &ring, &*clock).await?;
        let (ledger, instances) = recover::ledger(
            &opened.recovered,
            &store,
            &tenant,
            &loaded,
            &config.limits,
            now,
        )
        .await?;
        let ledger = Arc::new(ledger);
        let wall = Arc::new(WallGuard::new(opened.recovered.last_time));

        let alarms = Arc::new(AlarmDesk::new(Arc::clone(&clock)));
        let places = Arc::new(Places::default());
        let stops = Arc::new(writ_control::stops(&store, &tenant).await?);
        let desk = desk(config, &store, &opened.place, &node, &clock).await?;
        let gateway = Arc::new(Gateway::new(writ_proxy::Parts {
            ledger: Arc::<MemoryLedger>::clone(&ledger),
            approvals: Arc::<ApprovalDesk>::clone(&desk),
            audit: Arc::<LogWriter>::clone(&opened.place.writer),
            vault: Arc::<Vault>::clone(&opened.place.vault),
            watchman: Arc::<AlarmDesk>::clone(&alarms),
            places: Arc::clone(&places),
            stops: Arc::clone(&stops),
            tokens: TokenCache::new(config.limits.token_cache),
            nonces: nonces()?,
            replays: ReplayCache::new(config.limits.proof_cache),
            audit_key: Secret::new(*ring.audit.expose()),
            node: node.clone(),
            clock: Arc::clone(&clock),
            wall: Arc::clone(&wall),
            programs: config.programs.clone(),
            limits: config.limits,
            timeouts: config.timeouts,
        }));
        let trust = Arc::new(Trust::of(ring.keys.domain.trust_bundle()?));
        let (vouchers, outside) = vouching::read(config)?;
        let configured = vouching::names(&vouchers, outside.as_ref());
        let roots = Roots::of(&store, &tenant, configured, At::Start).await?;
        let refresher = Refresher::new(config.timeouts, Arc::clone(&trust), Arc::clone(&clock))?;
        let held: Vec<String> = roots.held().map(held_back).collect();
        let plane_parts = writ_control::Parts {
            tenant: tenant.clone(),
            settings: settings(config, node)?,
            clock: Arc::clone(&clock),
            wall,
            ledger,
            logs: opened.place.clone(),
            approvals: desk,
            alarms,
            instances,
            places,
            stops,
            store,
            keys: ring.keys,
            token_keys: ring.tokens,
            nonces: nonces()?,
            replays: ReplayCache::new(config.limits.proof_cache),
            spent: ReplayCache::new(config.limits.proof_cache),
            trust: Arc::clone(&trust),
            roots,
            sign_in: outside.map(|outside| outside.start(config)).transpose()?,
            clients: vouching::clients(config),
            rereading: vouching::rereading(config, &refresher),
        };
        let plane = Self::join(plane_parts, loaded, &gateway, config)?;
        plane.record_start(&opened.recovered).await?;
        plane.accept_roots().await.map_err(Failure::new)?;
        let mut notices = recover::notices(&opened.recovered, config);
        notices.extend(held);
        let fetches = refresher.put_in_force(vouchers, &plane.roots());
        notices.extend(fetches.told().await);
        let mut watchers = JoinSet::new();
        let watching = Arc::clone(&plane);
        watchers.spawn(async move { watching.watch_over().await });
        let waiting = waits.then_some(token_path);
        let app = Self::listen(
            config,
            (plane, refresher),
            gateway,
            opened.place,
            notices,
            waiting,
        )?;
        let (gateway, pool) = (Arc::clone(&app.data_plane), Arc::clone(&app.leaving));
        watchers.spawn(async move { gateway.tend(&pool).await });
        Ok(Self { watchers, ..app })
    }

    /// Puts a project in force with nothing running. The log is taken for the while, so that no other process can.
    pub(crate) async fn mend(
        config: &Config,
        files: BTreeMap<String, Vec<u8>>,
        resumed: &[String],
    ) -> Result<Mended, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let tenant = Tenant::default_tenant();
        let ring = KeyRing::open(&config.data, &config.identity.trust_domain, clock.now())?;
        let store = Store::open(&config.data.join("writ.db")).await?;
        let node: NodeName = NODE.parse()?;
        let opened = recover::open_log(config, &ring, &store, &tenant, &node, Arc::clone(&clock))?;
        let now = WallGuard::new(opened.recovered.last_time).check(clock.now())?;
        let mending = Mending {
            store: &store,
            tenant: &tenant,
            keys: &ring.keys,
            log: &opened.place.writer,
            node: &node,
            trust_domain: &config.identity.trust_domain,
        };
        let mended = mending.apply(&files, resumed, now).await;
        opened.place.writer.shutdown().await?;
        mended.map_err(|fault| project_failure(fault, "the revision before stays in force"))
    }

    /// Joins the planes: what the control plane loads, the data plane runs on.
    fn join(
        parts: writ_control::Parts,
        loaded: Arc<Loaded>,
        gateway: &Arc<Gateway>,
        config: &Config,
    ) -> Result<Arc<Plane>, Failure> {
        let (tenant, public_url) = (parts.tenant.clone(), config.public_url.clone());
        let target = Arc::clone(gateway);
        let issuer = parts.settings.issuer.clone();
        let swap = move |loaded: &Arc<Loaded>, verifier: &TokenVerifier, signer: &Arc<Signer>| {
            let mut snapshot = snapshot(loaded, &tenant, &public_url, verifier)?;
            for api in snapshot.apis.values_mut() {
                api.transaction_tokens = api.api.transaction_tokens.clone().map(|domain| {
                    TransactionTokens::new(issuer.clone(), domain, Arc::clone(signer))
                });
                let own = (issuer.clone(), Arc::clone(signer));
                api.token_client = token_client(loaded, &api.api, own);
            }
            target.swap(Arc::new(snapshot));
            Ok(())
        };
        Ok(Arc::new(Plane::new(
            parts,
            loaded,
            Box::new(swap),
            drift::fetch(config.timeouts.key_fetch, config.programs.clone())?,
        )?))
    }

    fn listen(
        config: &Config,
        (plane, refresher): (Arc<Plane>, Arc<Refresher>),
        gateway: Arc<Gateway>,
        log: LogPlace,
        notices: Vec<String>,
        first_boot_token: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = watch::channel(Stop::Serving);
        let trust = Arc::clone(plane.trust());
        let tls = config
            .tls
            .as_ref()
            .map(|files| tls::server(files, Arc::clone(&trust)))
            .transpose()?;
        let front = listener::Front {
            tls,
            trust,
            clock: plane.clock(),
            limits: config.limits,
            timeouts: config.timeouts,
        };
        let roots = tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
        let leaving = Pool::new(Arc::clone(&roots), config.timeouts, plane.clock());
        let mut tasks = JoinSet::new();
        let workers = listener::gateway(config, &front, &gateway, &roots, &stopped)?;
        listener::control(config, &front, &plane, &stopped, &mut tasks)?;
        listener::identity(&config.identity.socket, &plane, &stopped, &mut tasks)?;
        listener::operator(&operator::socket_file(config), &plane, &stopped, &mut tasks)?;
        Ok(Self {
            socket: config.identity.socket.clone(),
            first_boot_token,
            notices,
            plane,
            data_plane: gateway,
            leaving,
            log,
            stop,
            tasks,
            workers,
            refresher,
            watchers: JoinSet::new(),
        })
    }

    /// The control plane.
    pub(crate) const fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Publishes a checkpoint that covers everything recorded so far.
    pub(crate) async fn flush_log(&self) -> Result<(), Failure> {
        self.log.writer.flush().await?;
        Ok(())
    }

    /// Takes no new calls from here on.
    pub(crate) fn drain(&self) {
        self.data_plane.drain();
    }

    /// Stops: no new calls, those in flight finish within their time, the log is flushed and its checkpoint published.
    pub(crate) async fn stop(mut self, drain: std::time::Duration) -> Result<(), Failure> {
        self.drain();
        self.stop.send_replace(Stop::Draining);
        self.refresher.stop();
        self.watchers.abort_all();
        let workers = std::mem::take(&mut self.workers);
        let mut drained = std::pin::pin!(async {
            while self.tasks.join_next().await.is_some() {}
            let joined = tokio::task::spawn_blocking(move || {
                workers.into_iter().for_each(|worker| drop(worker.join()))
            });
            drop(joined.await);
        });
        // Calls that do not finish in time are cut, and the log stays open until their outcomes are in it.
        if tokio::time::timeout(drain, &mut drained).await.is_err() {
            self.stop.send_replace(Stop::Now);
            drained.await;
        }
        self.data_plane.leave(&self.leaving).await;
        // What the last calls raised is in the log too.
        self.plane.tell_alarms().await;
        self.log.writer.shutdown().await?;
        Ok(())
    }
}

fn held_back(name: &str) -> String {
    format!(
        "{name} is new or changed in the settings, and nobody has approved it: `writ trust list`"
    )
}

/// Where approvals are kept.
async fn desk(
    config: &Config,
    store: &Store,
    place: &LogPlace,
    node: &NodeName,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ApprovalDesk>, Failure> {
    let tenant = Tenant::default_tenant();
    let (store, place, node) = (store.clone(), place.clone(), node.clone());
    let desk = ApprovalDesk::open(
        store,
        place,
        node,
        &tenant,
        Arc::clone(clock),
        &config.limits,
    );
    Ok(Arc::new(desk.await?))
}

/// Reads the revision in force and compiles it.
async fn load(
    store: &Store,
    tenant: &Tenant,
    ring: &KeyRing,
    clock: &dyn Clock,
) -> Result<Arc<Loaded>, Failure> {
    let active = store
        .active_revision(tenant)
        .await?
        .ok_or_else(|| Failure::new("the store has no revision in force"))?;
    let registry = store.load(tenant, active.id).await?;
    let compiler = Compiler {
        store,
        tenant,
        keys: &ring.keys,
        now: clock.now(),
    };
    compiler
        .compile(active.id, registry)
        .await
        .map_err(|faults| {
            let failure = Failure::new(format!("revision {} cannot be put in force", active.id));
            let failure = faults
                .iter()
                .take(20)
                .fold(failure, |failure, fault| failure.detail(fault.to_string()));
            failure.hint("mend the project's files, then `writ apply --offline`")
        })
}

/// What obtains the tokens of an API, where it has an authorization server; with the client's secret, where there is one and it is
/// set.
fn token_client(loaded: &Loaded, api: &Api, own: (IssuerUrl, Arc<Signer>)) -> Option<TokenClient> {
    let server = api.authorization_server.clone()?;
    let opened = loaded
        .apis
        .get(&api.id)
        .and_then(|api| api.credential.as_ref());
    let opened = opened.zip(api.credential.as_ref());
    let version = opened.map(|(opened, (name, _))| (name.clone(), opened.version));
    let secret = opened.map(|(opened, _)| Secret::new(opened.secret.expose().clone()));
    Some(TokenClient::new(server, version, secret, own))
}

/// What the data plane runs on.
fn snapshot(
    loaded: &Arc<Loaded>,
    tenant: &Tenant,
    public_url: &writ_types::PublicUrl,
    verifier: &TokenVerifier,
) -> Result<Snapshot, String> {
    let mut apis = BTreeMap::new();
    for (id, api) in &loaded.apis {
        let credential = match (&api.api.credential, &api.credential) {
            (Some((name, attach)), Some(opened)) => {
                let prepared =
                    Credential::new(name.clone(), opened.version, attach, &opened.secret);
                Some(prepared.map_err(|fault| format!("`{name}` of `{id}`: {fault}"))?)
            }
            _ => None,
        };
        let contract = Arc::clone(&api.contract);
        apis.insert(
            id.clone(),
            ApiSnapshot {
                api: api.api.clone(),
                contract,
                quarantined: api.quarantined.clone(),
                credential,
                transaction_tokens: None,
                token_client: None,
            },
        );
    }
    Ok(Snapshot {
        revision: loaded.revision,
        tenant: tenant.clone(),
        public_url: public_url.clone(),
        verifier: verifier.clone(),
        apis,
        agents: loaded.agents.clone(),
        purposes: loaded.purposes.clone(),
        pdp: Arc::clone(&loaded.pdp),
        prepared: PreparedTasks::default(),
        traps: Arc::clone(&loaded.traps),
    })
}

fn settings(config: &Config, node: NodeName) -> Result<Settings, Failure> {
    Ok(Settings {
        public_url: config.public_url.clone(),
        issuer: config.control_url.as_str().parse()?,
        trust_domain: config.identity.trust_domain.clone(),
        single_user_machine: config.identity.single_user_machine,
        data: config.data.clone(),
        x509_svid_life: config.identity.x509_svid_life,
        node,
        program: concat!("writ ", env!("CARGO_PKG_VERSION")).to_owned(),
        programs: config.programs.clone(),
        limits: config.limits,
        timeouts: config.timeouts,
    })
}

/// Nonces of this boot: a proof from before a restart does not fit.
fn nonces() -> Result<NonceIssuer, Failure> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)
        .map_err(|_unspecified| Failure::new("the random source failed"))?;
    Ok(NonceIssuer::new(Secret::new(secret)))
}

fn project_failure(fault: writ_control::StartError, consequence: &str) -> Failure {
    let writ_control::StartError::Project(faults) = &fault else {
        return fault.into();
    };
    let failure = Failure::new(format!("the project has faults; {consequence}"));
    let failure = faults
        .iter()
        .take(20)
        .fold(failure, |failure, fault| failure.detail(fault.to_string()));
    failure.hint("mend the files and try again")
}
