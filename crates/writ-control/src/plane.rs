//! The control plane: what its requests share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use writ_audit::{
    Actor, Append, AppendError, CheckpointRef, Closing, Day, Durability, Event, Evidence,
    EvidenceKind, Header, NodeName, Places, Record, Seal, SealFault, Source, Started,
};
use writ_store::{CredentialSealer, Store, StoreError};
use writ_task::{MemoryLedger, Stops, TaskStatus};
use writ_token::{
    AccessTokenClaims, IssuerUrl, NonceIssuer, ReplayCache, SignError, Signer, TokenError,
    TokenVerifier, TrustDomainAuthority, VerifiedToken,
};
use writ_types::{
    Clock, Digest, Grant, Limits, Program, ProgramName, PublicUrl, RecordId, RevisionId, Secret,
    SpiffeId, TaskId, Tenant, Timeouts, Timestamp, TrustDomain, Value, WallGuard,
};

use crate::alarms::AlarmDesk;
use crate::amend::Waiters;
use crate::approvals::ApprovalDesk;
use crate::drift::{Fetch, LastSeen};
use crate::identity::Callers;
use crate::loaded::Loaded;
use crate::log::Recovered;
use crate::oauth::Instances;
use crate::records::LogPlace;
use crate::roots::Roots;
use crate::sign_in::SignIn;
use crate::token_keys::TokenKeys;
use crate::trust::Trust;
use crate::vouching::{self, Generation, Rereading, Standing};

/// How long evidence is kept.
const EVIDENCE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the control plane is told at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where agents reach the gateway: the audience of tokens.
    pub public_url: PublicUrl,
    /// Where the control plane is reached: the issuer of tokens, and the audience of assertions.
    pub issuer: IssuerUrl,
    /// The built-in trust domain.
    pub trust_domain: TrustDomain,
    /// Whether processes of Writ's own user may be agents.
    pub single_user_machine: bool,
    /// Where Writ's keys lie: what can open it is no agent.
    pub data: PathBuf,
    /// Life of an X.509-SVID.
    pub x509_svid_life: Duration,
    /// This machine's name in records.
    pub node: NodeName,
    /// The program's name and version.
    pub program: String,
    /// The programs that may be started as upstreams.
    pub programs: BTreeMap<ProgramName, Program>,
    /// What bounds what strangers send.
    pub limits: Limits,
    /// How long each phase may take.
    pub timeouts: Timeouts,
}

/// Keys of this installation.
#[derive(Debug)]
pub struct Keys {
    /// The built-in trust domain's.
    pub domain: TrustDomainAuthority,
    /// Commits to values that could be guessed.
    pub audit: Arc<Secret<[u8; 32]>>,
    /// Opens and seals credentials.
    pub sealer: CredentialSealer,
}

/// Where a request to the control plane came from.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The address of the peer.
    pub peer: IpAddr,
    /// Its client certificate, verified, if it has one.
    pub certificate: Option<Certificate>,
}

/// A verified client certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The SHA-256 digest of the leaf (`x5t#S256`).
    pub digest: Digest,
    /// Whose it is.
    pub spiffe: SpiffeId,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Connection {
    /// A process of this machine.
    pub(crate) const fn local() -> Self {
        Self {
            peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            certificate: None,
        }
    }

    /// The network it came from, as records say it.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Some(Source::of(self.peer))
    }
}

/// Puts a revision in force in the data plane, with what verifies the tokens that are presented there and what signs those
/// that upstreams are shown.
pub type Swap =
    Box<dyn Fn(&Arc<Loaded>, &TokenVerifier, &Arc<Signer>) -> Result<(), String> + Send + Sync>;

/// What the control plane is made of.
pub struct Parts {
    /// The tenant.
    pub tenant: Tenant,
    /// Settings.
    pub settings: Settings,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Notices a wall clock that goes back.
    pub wall: Arc<WallGuard>,
    /// The live tasks.
    pub ledger: Arc<MemoryLedger>,
    /// The log and the evidence beside it.
    pub logs: LogPlace,
    /// Approvals and waits.
    pub approvals: Arc<ApprovalDesk>,
    /// Alarms.
    pub alarms: Arc<AlarmDesk>,
    /// Which keys of agents hold tokens that are good.
    pub instances: Instances,
    /// Where keys are in use; the data plane knows it too.
    pub places: Arc<Places>,
    /// What people have stopped; the data plane asks it too.
    pub stops: Arc<Stops>,
    /// What is kept.
    pub store: Store,
    /// Keys.
    pub keys: Keys,
    /// Keys of access tokens.
    pub token_keys: TokenKeys,
    /// Nonces for proofs of possession.
    pub nonces: NonceIssuer,
    /// Proofs of possession that were used.
    pub replays: ReplayCache,
    /// Assertions and tickets of clients that were used.
    pub spent: ReplayCache,
    /// Who vouches for others.
    pub trust: Arc<Trust>,
    /// Who may, as people have approved it.
    pub roots: Roots,
    /// Signing in with accounts of an outside issuer, where it is configured.
    pub sign_in: Option<SignIn>,
    /// The agents of each registered client, as the settings say.
    pub clients: BTreeMap<String, BTreeSet<SpiffeId>>,
    /// Reads the settings of who vouches again.
    pub rereading: Rereading,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("tenant", &self.tenant)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// One generation of the token keys, and what verifies the tokens of it and of those before.
struct Signing {
    keys: TokenKeys,
    verifier: TokenVerifier,
}

/// The control plane. One for a process.
pub struct Plane {
    pub(crate) tenant: Tenant,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wall: Arc<WallGuard>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) logs: LogPlace,
    pub(crate) approvals: Arc<ApprovalDesk>,
    pub(crate) alarms: Arc<AlarmDesk>,
    pub(crate) instances: Instances,
    pub(crate) places: Arc<Places>,
    pub(crate) stops: Arc<Stops>,
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) nonces: NonceIssuer,
    pub(crate) replays: ReplayCache,
    pub(crate) spent: ReplayCache,
    pub(crate) trust: Arc<Trust>,
    roots: ArcSwap<Roots>,
    pub(crate) sign_in: ArcSwapOption<SignIn>,
    /// Reads the settings of who vouches again.
    pub(crate) rereading: Rereading,
    /// How those settings stand.
    pub(crate) standing: Mutex<Standing>,
    /// How often somebody ceased to be believed.
    pub(crate) generation: Generation,
    /// When this process began: what was used before is not remembered.
    pub(crate) began: Timestamp,
    signing: ArcSwap<Signing>,
    current: ArcSwap<Loaded>,
    swap: Swap,
    /// Gets what APIs publish.
    pub(crate) fetch: Fetch,
    /// What they published when they were last asked.
    pub(crate) seen: LastSeen,
    /// Why the last change did not come into force, if it did not.
    pub(crate) fault: Mutex<Option<String>>,
    /// Told of each revision that comes into force.
    changes: watch::Sender<()>,
    /// Who is connected to the agent socket.
    pub(crate) callers: Arc<Callers>,
    /// What tasks hold is amended one after another.
    pub(crate) amending: tokio::sync::Mutex<()>,
    /// Who waits for the answer to what they asked their task to hold.
    pub(crate) waiters: Waiters,
    /// Changes come one after another.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// One replay at a time: each compiles what was in force once more, and holds it.
    pub(crate) replaying: tokio::sync::Mutex<()>,
}

/// Why the control plane cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// The token key cannot be used.
    #[error("the token key cannot be used")]
    Key(#[source] SignError),
    /// The data plane refused the revision.
    #[error("the revision cannot be put in force: {0}")]
    Swap(String),
}

/// Why a task could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The log refused.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The evidence could not be encrypted.
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl std::fmt::Debug for Plane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plane")
            .field("tenant", &self.tenant)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Plane {
    /// A control plane that runs on `loaded`, which is put in force in the data plane too.
    ///
    /// # Errors
    ///
    /// [`PlaneError`].
    pub fn new(
        parts: Parts,
        loaded: Arc<Loaded>,
        swap: Swap,
        fetch: Fetch,
    ) -> Result<Self, PlaneError> {
        let now = parts.clock.now();
        let signing = signing(&parts.settings, &parts.tenant, parts.token_keys, now);
        let signing = signing.map_err(PlaneError::Key)?;
        swap(&loaded, &signing.verifier, signing.keys.signer()).map_err(PlaneError::Swap)?;
        Ok(Self {
            began: now,
            signing: ArcSwap::from_pointee(signing),
            current: ArcSwap::new(loaded),
            swap,
            fetch,
            seen: LastSeen::default(),
            fault: Mutex::new(None),
            changes: watch::Sender::new(()),
            callers: Arc::default(),
            amending: tokio::sync::Mutex::new(()),
            waiters: Waiters::default(),
            changing: tokio::sync::Mutex::new(()),
            replaying: tokio::sync::Mutex::new(()),
            tenant: parts.tenant,
            settings: parts.settings,
            clock: parts.clock,
            wall: parts.wall,
            ledger: parts.ledger,
            logs: parts.logs,
            approvals: parts.approvals,
            alarms: parts.alarms,
            instances: parts.instances,
            places: parts.places,
            stops: parts.stops,
            store: parts.store,
            keys: parts.keys,
            nonces: parts.nonces,
            replays: parts.replays,
            spent: parts.spent,
            trust: parts.trust,
            roots: ArcSwap::from_pointee(parts.roots),
            sign_in: ArcSwapOption::new(parts.sign_in.map(Arc::new)),
            rereading: parts.rereading,
            standing: Mutex::new(Standing::of(parts.clients)),
            generation: Generation::default(),
        })
    }

    /// The revision in force.
    #[must_use]
    pub fn loaded(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    /// Puts a revision in force in both planes; on a fault the old one stays.
    pub(crate) fn put_in_force(&self, loaded: Arc<Loaded>) -> Result<(), String> {
        let signing = self.signing.load();
        let outcome = (self.swap)(&loaded, &signing.verifier, signing.keys.signer());
        if outcome.is_ok() {
            self.current.store(loaded);
            self.changes.send_replace(());
        }
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) =
            outcome.as_ref().err().cloned();
        outcome
    }

    /// Tells of each revision that comes into force.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Why the process is not ready; none if it is.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        if let Err(fault) = self.wall.check(self.clock.now()) {
            return Some(fault.to_string());
        }
        self.logs.fault()
    }

    /// Whether the last change, or the last reload, did not come into force.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        fault.is_some() || standing.fault.is_some()
    }

    /// Who vouches by the settings, and who of them waits for people's approval.
    #[must_use]
    pub fn roots(&self) -> Arc<Roots> {
        self.roots.load_full()
    }

    pub(crate) fn put_roots(&self, roots: Roots) {
        self.roots.store(Arc::new(roots));
    }

    /// Deletes the evidence of days that are over for longer than it is kept, keys first.
    ///
    /// # Errors
    ///
    /// A day could not be deleted; it is tried again the next time.
    pub async fn expire_evidence(&self) -> Result<(), String> {
        let before = Day::of(self.clock.now().minus(EVIDENCE_LIFE));
        let vault = Arc::clone(&self.logs.vault);
        let expired = tokio::task::spawn_blocking(move || vault.expire(before)).await;
        let days = expired
            .map_err(|fault| fault.to_string())?
            .map_err(|fault| fault.to_string())?;
        for day in days {
            tracing::info!(%day, "evidence has expired and was deleted");
        }
        Ok(())
    }

    async fn sweep_approvals(&self, now: Timestamp) {
        if let Err(fault) = self.approvals.sweep(&self.tenant, now).await {
            tracing::warn!(%fault, "approvals that are over could not be removed from the store");
        }
    }

    /// Ends what has reached its deadline. Called now and then; no authority depends on it.
    pub async fn sweep(&self) {
        use writ_task::Ledger as _;
        let now = self.clock.now();
        let cut = self.ledger.sweep(now).await;
        for task in cut.tasks {
            if let Err(fault) = self.end_task(task, Closing::Expired).await {
                tracing::warn!(%task, %fault, "an expired task could not be marked in the store");
            }
        }
        self.sweep_approvals(now).await;
    }

    /// Verifies one of our own tokens whole; that its task lives is another question.
    pub(crate) fn verify(&self, text: &str, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        self.signing.load().verifier.verify(text, now)
    }

    /// Asks what verifies our own tokens.
    pub(crate) fn with_verifier<T>(&self, ask: impl FnOnce(&TokenVerifier) -> T) -> T {
        ask(&self.signing.load().verifier)
    }

    /// The published keys of access tokens.
    pub(crate) fn jwks(&self) -> Value {
        self.signing.load().keys.jwks(self.clock.now())
    }

    /// Puts another generation of the token keys in force: first where tokens are presented, then where they are signed.
    pub(crate) fn put_token_keys_in_force(&self, keys: TokenKeys) -> Result<(), String> {
        let signing = signing(&self.settings, &self.tenant, keys, self.clock.now());
        let signing = signing.map_err(|fault| fault.to_string())?;
        (self.swap)(
            &self.current.load(),
            &signing.verifier,
            signing.keys.signer(),
        )?;
        self.signing.store(Arc::new(signing));
        Ok(())
    }

    /// Does something with the token keys in force.
    pub(crate) fn with_token_keys<T>(&self, ask: impl FnOnce(&TokenKeys) -> T) -> T {
        ask(&self.signing.load().keys)
    }

    /// Who vouches for others.
    #[must_use]
    pub const fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Records that this process writes the log now, and how many calls before it have no outcome.
    ///
    /// # Errors
    ///
    /// The log refuses.
    pub async fn record_start(&self, recovered: &Recovered) -> Result<(), AppendError> {
        let previous = recovered.checkpoint.as_ref().map(|found| CheckpointRef {
            size: found.size,
            root: found.root,
        });
        let started = Started {
            orphans: u64::try_from(recovered.orphans.len()).unwrap_or(u64::MAX),
            entries: recovered.entries,
            previous,
            program: self.settings.program.clone(),
        };
        // A clock that is behind the log must stay noticed by the next start too, which looks no further back than this one.
        let now = self.clock.now();
        let time = recovered.last_time.map_or(now, |last| last.max(now));
        self.record(
            self.header(time),
            Event::Started(started),
            None,
            Durability::Durable,
        )
        .await
    }

    /// Records and keeps the trust roots that this start accepts because there is nobody to approve them, and ends what those
    /// brought about who are gone.
    ///
    /// # Errors
    ///
    /// The log or the store refuses.
    pub async fn accept_roots(&self) -> Result<(), String> {
        self.roots().accept(self).await?;
        vouching::end_what_is_gone(self, Actor::System).await
    }

    pub(crate) fn token_endpoint(&self) -> String {
        format!("{}/oauth/token", self.settings.issuer)
    }

    pub(crate) async fn task(&self, task: TaskId, now: Timestamp) -> Option<TaskStatus> {
        use writ_task::Ledger as _;
        self.ledger.status(&self.tenant, task, now).await
    }

    pub(crate) fn note_fault(&self, fault: &str) {
        tracing::error!(fault, "the revision before stays in force");
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault.to_owned());
    }

    /// The header of a new record.
    pub(crate) fn header(&self, time: Timestamp) -> Header {
        Header {
            id: RecordId::new(time, crate::random()),
            tenant: self.tenant.clone(),
            time,
            node: self.settings.node.clone(),
            revision: self.revision(),
        }
    }

    fn revision(&self) -> Option<RevisionId> {
        Some(self.current.load().revision)
    }

    /// Appends a record and waits for it.
    pub(crate) async fn record(
        &self,
        header: Header,
        event: Event,
        evidence: Option<Evidence>,
        durability: Durability,
    ) -> Result<(), AppendError> {
        let append = self
            .logs
            .writer
            .append(Record::new(header, event), evidence, durability);
        let patience: Duration = self.settings.timeouts.record;
        tokio::time::timeout(patience, append)
            .await
            .unwrap_or(Err(AppendError::Late))
            .map(drop)
    }

    pub(crate) fn seal(
        &self,
        header: &Header,
        kind: EvidenceKind,
        plaintext: &[u8],
    ) -> Result<Evidence, SealFault> {
        Seal::seal(&*self.logs.vault, header.id, kind, plaintext)
    }

    pub(crate) async fn store_task(&self, grant: &Grant) -> Result<(), StoreError> {
        self.store.put_task(grant, None).await
    }

    /// Marks a task as ended in the store.
    pub(crate) async fn end_task(&self, task: TaskId, how: Closing) -> Result<(), StoreError> {
        self.store.end_task(&self.tenant, task, how.as_str()).await
    }

    /// Signs claims, and verifies the token with our own verifier before it leaves.
    pub(crate) fn sign(&self, claims: &AccessTokenClaims) -> Result<String, String> {
        let signing = self.signing.load();
        let token = signing
            .keys
            .signer()
            .sign(claims, &self.settings.public_url)
            .map_err(|fault| fault.to_string())?;
        signing
            .verifier
            .verify(&token, claims.issued)
            .map_err(|fault| fault.to_string())?;
        Ok(token)
    }
}

/// A generation of the token keys, with what verifies its tokens.
fn signing(
    settings: &Settings,
    tenant: &Tenant,
    keys: TokenKeys,
    now: Timestamp,
) -> Result<Signing, SignError> {
    let verifier = TokenVerifier::new(
        settings.issuer.clone(),
        tenant.clone(),
        settings.public_url.clone(),
        keys.verifying(now)?,
        settings.limits.token_bytes,
    );
    Ok(Signing { keys, verifier })
}
