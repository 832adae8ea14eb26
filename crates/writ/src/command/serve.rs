//! `writ serve`.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::app::{App, Start};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::project;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    keep_memory_private()?;
    // Before anything is started and announced: from then on somebody may ask for a reload or an orderly end.
    let signals = Signals::listen()?;
    let files = project::files(&config.project)?;
    let progress = Progress::of("starting: reading the log, compiling contracts and policies");
    let started = Box::pin(App::start(
        config,
        Start {
            files,
            clock: Arc::new(SystemClock::start()),
        },
    ))
    .await;
    drop(progress);
    let app = started?;
    announce(terminal, config, &app);
    until_stopped(&app, signals).await?;
    // Before it is said, so that whoever reads it finds it true.
    app.drain();
    terminal.talk("stopping: calls in flight finish, the log is flushed");
    app.stop(config.timeouts.drain).await
}

/// The process holds keys and credentials in memory: it leaves no core file, and other processes of its user cannot look in.
fn keep_memory_private() -> Result<(), Failure> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let kept = setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    kept.map_err(|fault| Failure::caused("cannot keep this process's memory private", &fault))
}

/// Says where what is.
fn announce(terminal: Terminal, config: &Config, app: &App) {
    let strong = |text: &str| terminal.paint(Tone::Strong, text);
    terminal.talk(&format!(
        "{} gateway {}  control {}  agents {}",
        strong("writ"),
        config.public_url,
        config.control_url,
        app.socket.display()
    ));
    let loaded = app.plane().loaded();
    terminal.talk(&format!(
        "     {} APIs, {} agents, {} purposes in force",
        loaded.apis.len(),
        loaded.agents.len(),
        loaded.purposes.len()
    ));
    if loaded.apis.is_empty() {
        terminal.talk("     nothing to call yet: `writ api import DOCUMENT`, then `writ apply`");
    }
    for notice in &app.notices {
        terminal.talk(&format!("{} {notice}", terminal.paint(Tone::Warn, "note")));
    }
    if let Some(path) = &app.first_boot_token {
        terminal.talk(&format!(
            "     no operator yet: `writ login` signs in with {}",
            path.display()
        ));
    }
}

/// The signals that are listened to instead of dying of them.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|fault| Failure::caused("cannot listen for signals", &fault))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// Waits for SIGINT or SIGTERM; SIGHUP reads who vouches and the revision again; now and then what has expired is ended.
pub(crate) async fn until_stopped(app: &App, signals: Signals) -> Result<(), Failure> {
    let Signals {
        mut interrupt,
        mut terminate,
        mut hangup,
    } = signals;
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
    // The first tick is at once: what changed while nothing ran is found before long.
    let mut drift = tokio::time::interval(std::time::Duration::from_secs(300));
    let mut hour = tokio::time::interval(std::time::Duration::from_secs(3600));
    let mut looking: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => reload(app).await,
            _ = tick.tick() => app.plane().sweep().await,
            _ = drift.tick() => {
                // One look at a time: servers that are slow are not looked at twice at once.
                if looking.as_ref().is_none_or(JoinHandle::is_finished) {
                    looking = Some(look_for_drift(app));
                }
            }
            _ = hour.tick() => expire(app).await,
        }
    }
}

/// A fault is logged and shown by `writ doctor`; the revision before stays in force.
async fn reload(app: &App) {
    if let Err(fault) = app.plane().reload().await {
        tracing::error!(fault, "reload");
    }
}

/// On a task of its own: a server that is slow to answer is not in the way of a signal.
fn look_for_drift(app: &App) -> JoinHandle<()> {
    let plane = Arc::clone(app.plane());
    tokio::spawn(async move { plane.check_drift().await })
}

async fn expire(app: &App) {
    if let Err(fault) = app.plane().expire_evidence().await {
        tracing::error!(fault, "expired evidence could not be deleted");
    }
}
