//! The gateway: what all calls share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use writ_audit::{Append, NodeName, Places, Seal, Watchman};
use writ_task::{Approvals, Ledger, Rates, Stops};
use writ_token::{ClientCertificate, NonceIssuer, ReplayCache, TokenCache};
use writ_types::{
    CallId, Clock, Limits, Program, ProgramName, ReasonCode, RecordId, Secret, Timeouts, Timestamp,
    WallGuard,
};

use crate::granted::GrantedTokens;
use crate::kept::Kept;
use crate::mcp::upstream::ServerSessions;
use crate::mcp::{HeldCalls, Listeners, Questions, Running, Sessions, Updates, Waiting};
use crate::snapshot::Snapshot;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Downstream {
    /// The address of the peer.
    pub peer: SocketAddr,
    /// The client certificate of the connection, if there is one and it verified.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// What the gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// The live tasks.
    pub ledger: Arc<dyn Ledger>,
    /// Approvals and waits.
    pub approvals: Arc<dyn Approvals>,
    /// The audit log.
    pub audit: Arc<dyn Append>,
    /// What encrypts evidence beside the log.
    pub vault: Arc<dyn Seal>,
    /// Verified tokens.
    pub tokens: TokenCache,
    /// Nonces for proofs of possession.
    pub nonces: NonceIssuer,
    /// Proofs of possession that were used.
    pub replays: ReplayCache,
    /// Where keys are in use; the control plane knows it too.
    pub places: Arc<Places>,
    /// What a person has stopped; the control plane stops and lets go on.
    pub stops: Arc<Stops>,
    /// Who is told of what an honest agent does not do.
    pub watchman: Arc<dyn Watchman>,
    /// Commits to values that could be guessed.
    pub audit_key: Secret<[u8; 32]>,
    /// This machine's name in records.
    pub node: NodeName,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Notices a wall clock that goes back.
    pub wall: Arc<WallGuard>,
    /// The programs that may be started as upstreams.
    pub programs: BTreeMap<ProgramName, Program>,
    /// What bounds what strangers send.
    pub limits: Limits,
    /// How long each phase may take.
    pub timeouts: Timeouts,
}

/// The data plane. One for a process; every worker and every call shares it.
pub struct Gateway {
    pub(crate) parts: Parts,
    snapshot: ArcSwapOption<Snapshot>,
    draining: AtomicBool,
    counters: Counters,
    sessions: Sessions,
    server_sessions: ServerSessions,
    kept: Kept,
    late: Kept,
    running: Running,
    listeners: Listeners,
    updates: Updates,
    waiting: Waiting,
    granted: GrantedTokens,
    questions: Questions,
    held_calls: HeldCalls,
    changed: watch::Sender<()>,
    rates: Mutex<Rates>,
}

/// Counters of what is not worth a record.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls that were let through to an upstream.
    pub forwarded: AtomicU64,
    /// Calls of known callers that were refused.
    pub refused: AtomicU64,
    /// Requests of strangers.
    pub strangers: AtomicU64,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway with no revision in force: it refuses every call until [`Gateway::swap`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            snapshot: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
            counters: Counters::default(),
            sessions: Sessions::default(),
            server_sessions: ServerSessions::default(),
            kept: Kept::default(),
            late: Kept::default(),
            running: Running::default(),
            listeners: Listeners::default(),
            updates: Updates::default(),
            waiting: Waiting::default(),
            granted: GrantedTokens::default(),
            questions: Questions::default(),
            held_calls: HeldCalls::default(),
            changed: watch::Sender::new(()),
            rates: Mutex::new(Rates::new(Rates::MOST)),
        }
    }

    /// The instant of a call, read once for all that is decided in it.
    ///
    /// # Errors
    ///
    /// `not_ready` while the wall clock is behind where it was.
    pub(crate) fn instant(&self) -> Result<Timestamp, ReasonCode> {
        let now = self.parts.clock.now();
        self.parts
            .wall
            .check(now)
            .map_err(|_clock_went_back| ReasonCode::NotReady)
    }

    /// Puts a revision in force. Calls in flight finish on the one they began with.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(Some(snapshot));
        self.changed.send_replace(());
    }

    /// The revision in force.
    ///
    /// # Errors
    ///
    /// `not_ready` before the first revision and while draining.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, ReasonCode> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(ReasonCode::NotReady);
        }
        self.snapshot.load_full().ok_or(ReasonCode::NotReady)
    }

    /// Refuses new calls; those in flight finish.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    /// What was counted since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The open MCP sessions.
    pub(crate) const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The open sessions with MCP servers.
    pub(crate) const fn server_sessions(&self) -> &ServerSessions {
        &self.server_sessions
    }

    /// Whose refusals were kept with their inputs.
    pub(crate) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Of which tasks that are over or paused refusals were recorded.
    pub(crate) const fn late(&self) -> &Kept {
        &self.late
    }

    /// The calls in flight that their clients may take back.
    pub(crate) const fn running(&self) -> &Running {
        &self.running
    }

    /// The open streams of changes.
    pub(crate) const fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// The subscriptions to resources.
    pub(crate) const fn updates(&self) -> &Updates {
        &self.updates
    }

    /// The calls that wait for an answer, for clients that ask for it.
    pub(crate) const fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// The tokens of authorization servers that are good still.
    pub(crate) const fn granted(&self) -> &GrantedTokens {
        &self.granted
    }

    /// The calls that wait for answers of their clients.
    pub(crate) const fn questions(&self) -> &Questions {
        &self.questions
    }

    /// The calls that wait at their servers while their clients are asked.
    pub(crate) const fn held_calls(&self) -> &HeldCalls {
        &self.held_calls
    }

    /// Tells when another revision is in force, or none will be.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How fast everybody calls.
    pub(crate) fn rates(&self) -> MutexGuard<'_, Rates> {
        // Each change of it is one insertion, so what a panic left behind is whole.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id for a new call.
    pub(crate) fn new_call(&self) -> CallId {
        CallId::new(self.parts.clock.now(), random())
    }

    /// An id for a new record.
    pub(crate) fn new_record(&self) -> RecordId {
        RecordId::new(self.parts.clock.now(), random())
    }
}

/// Ten bytes of the operating system's random source.
pub(crate) fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    // Ids need to be unlikely to meet, not secret; a source that fails would fail TLS and signatures long before.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the random source failed");
    }
    bytes
}
