//! Reading again, while the process runs, who vouches for others and with whose accounts operators sign in.
//!
//! What is read is checked whole before anything of it counts; on a fault everything stays as it was. What nobody has
//! approved is held back, as at a start. What is gone from the settings is believed no more, at once, and what it brought
//! about ends: the tasks of its users, of the agents it vouches for, and those that a client opened; the sessions of operators
//! who sign in there. It is forgotten too: if it comes back, people approve it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use writ_audit::{Actor, Closing};
use writ_task::{Ending, Ledger as _, TaskState, TaskStatus};
use writ_types::{Asserter, Digest, SpiffeId, TaskId};

use crate::ending::settle;
use crate::four_eyes::People;
use crate::plane::Plane;
use crate::roots::{At, Roots};
use crate::sign_in::SignIn;

/// What the settings say of who vouches: read, checked, and not in force.
pub struct Reread {
    /// Each voucher by its name, with the digest of all that is said of it.
    pub configured: BTreeMap<String, Digest>,
    /// The agents of each registered client.
    pub clients: BTreeMap<String, BTreeSet<SpiffeId>>,
    /// With whose accounts operators sign in.
    pub sign_in: Option<SignIn>,
    /// The settings that have changed and are read at a start alone.
    pub after_a_restart: Vec<&'static str>,
    /// Lets those be believed who are not held back, and nobody else.
    pub put: Box<dyn FnOnce(&Roots) + Send>,
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread")
            .field("configured", &self.configured)
            .finish_non_exhaustive()
    }
}

/// Reads the settings again, or says why they cannot be used.
pub type Rereading = Box<dyn Fn() -> Result<Reread, String> + Send + Sync>;

/// How the settings of who vouches stand in a running process.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Why they could not be used when they were read last.
    pub(crate) fault: Option<String>,
    /// Those that have changed and are read at a start alone.
    pub(crate) after_a_restart: Vec<&'static str>,
    /// The agents of each registered client.
    clients: BTreeMap<String, BTreeSet<SpiffeId>>,
}

impl Standing {
    /// As a start reads them.
    pub(crate) fn of(clients: BTreeMap<String, BTreeSet<SpiffeId>>) -> Self {
        Self {
            clients,
            ..Self::default()
        }
    }
}

/// Counts how often somebody ceased to be believed.
#[derive(Debug, Default)]
pub(crate) struct Generation(AtomicU64);

impl Generation {
    /// Which one it is. What was proven in another has to be proven again.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn next(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Settings that were read again and can be put in force.
pub(crate) struct Ready {
    reread: Reread,
    roots: Roots,
}

/// Reads the settings again and holds them against what people approved; changes nothing.
///
/// # Errors
///
/// Why they cannot be used. It is kept for whoever looks.
pub(crate) async fn read(plane: &Plane) -> Result<Ready, String> {
    let ready = match (plane.rereading)() {
        Ok(reread) => {
            let configured = reread.configured.clone();
            let roots = Roots::of(&plane.store, &plane.tenant, configured, At::Reload).await;
            roots
                .map(|roots| Ready { reread, roots })
                .map_err(|fault| fault.to_string())
        }
        Err(fault) => Err(fault),
    };
    if let Err(fault) = &ready {
        tracing::error!(fault, "the settings before stay in force");
        note(plane, fault);
    }
    ready
}

/// Puts settings in force that were read. The caller holds `plane.changing`.
///
/// # Errors
///
/// Who is gone could not be recorded, or not all of what they brought about could be kept as ended. They are believed by
/// nothing all the same; the next reload tries again.
pub(crate) async fn put_in_force(plane: &Plane, ready: Ready, by: Actor) -> Result<(), String> {
    let Ready { reread, roots } = ready;
    let Reread {
        clients,
        sign_in,
        after_a_restart,
        put,
        ..
    } = reread;
    tell(&after_a_restart, &roots);
    // First nobody believes them, then what they began before is no longer finished, then what they finished ends.
    put(&roots);
    if plane.roots().believes_otherwise(&roots) {
        plane.generation.next();
    }
    put_sign_in(plane, sign_in);
    plane.put_roots(roots);
    *standing(plane) = Standing {
        fault: None,
        after_a_restart,
        clients,
    };
    let ended = end_what_is_gone(plane, by).await;
    if let Err(fault) = &ended {
        tracing::error!(fault, "who is gone from the settings");
        note(plane, fault);
    }
    ended
}

/// Says in the log what a person should do something about.
fn tell(after_a_restart: &[&'static str], roots: &Roots) {
    for name in after_a_restart {
        tracing::warn!(name, "a setting has changed that is read at a start alone");
    }
    for name in roots.held() {
        tracing::warn!(name, "nobody has approved it: it is held back");
    }
}

/// What was begun can be ended where nothing was changed.
fn put_sign_in(plane: &Plane, sign_in: Option<SignIn>) {
    let same = match (&*plane.sign_in.load(), &sign_in) {
        (Some(before), Some(after)) => before.is_like(after),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !same {
        plane.sign_in.store(sign_in.map(Arc::new));
    }
}

fn standing(plane: &Plane) -> MutexGuard<'_, Standing> {
    plane
        .standing
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn note(plane: &Plane, fault: &str) {
    standing(plane).fault = Some(fault.to_owned());
}

/// Ends what those brought about who are gone from the settings, and forgets that they were approved.
///
/// # Errors
///
/// What could not be kept or recorded; what is alive on this node has ended all the same.
pub(crate) async fn end_what_is_gone(plane: &Plane, by: Actor) -> Result<(), String> {
    let roots = plane.roots();
    let clients = standing(plane).clients.clone();
    let ended = end_tasks(plane, &roots, &clients, by).await;
    let sessions = end_sessions(plane, &roots).await;
    // Forgotten last: what could not be kept is tried again by the next reload, or the next start.
    ended?;
    sessions?;
    roots.forget(plane, by).await
}

async fn end_tasks(
    plane: &Plane,
    roots: &Roots,
    clients: &BTreeMap<String, BTreeSet<SpiffeId>>,
    by: Actor,
) -> Result<(), String> {
    let loaded = plane.loaded();
    let now = plane.clock.now();
    let over = |status: &TaskStatus| {
        let grant = &status.grant;
        let asserters = &grant.asserters;
        let vouched = [&asserters.prompt, &asserters.bounds, &asserters.plan];
        let agent = loaded.agents.get(&grant.agent);
        let by_client = |asserter: &&Asserter| match asserter {
            Asserter::Client(id) => {
                let agents = clients.get(id);
                roots.is_gone(id)
                    || agents.is_some_and(|agents| {
                        !agent.is_some_and(|agent| agents.contains(&agent.spiffe))
                    })
            }
            Asserter::Agent | Asserter::AgentAccepted => false,
        };
        let requester = grant.requester.as_ref();
        // Which of an agent's proofs opened a task is not known afterwards: any that is gone ends it.
        status.state == TaskState::Live
            && (requester.is_some_and(|user| roots.is_gone(&user.issuer))
                || vouched.iter().any(by_client)
                || agent.is_some_and(|agent| {
                    let federated = agent.federations.iter();
                    roots.is_gone(agent.spiffe.trust_domain().as_str())
                        || federated.into_iter().any(|one| roots.is_gone(one.issuer()))
                }))
    };
    let mut after: Option<TaskId> = None;
    let mut faults = Vec::new();
    loop {
        let page = plane.ledger.list(&plane.tenant, after, 200, now).await;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.grant.task);
        for status in page.iter().filter(|status| over(status)) {
            let task = status.grant.task;
            let cut = plane.ledger.revoke(&plane.tenant, task, Ending::Revoked);
            // A task that ended meanwhile is over too.
            if let Ok(cut) = cut.await
                && let Err(fault) = settle(plane, by, task, &cut, Closing::Revoked).await
            {
                faults.push(fault);
            }
        }
    }
    faults.into_iter().next().map_or(Ok(()), Err)
}

/// Ends the sessions of those who sign in with accounts of an issuer that is gone, or with certificates of a trust domain that is.
async fn end_sessions(plane: &Plane, roots: &Roots) -> Result<(), String> {
    let people = People::read(&plane.store, &plane.tenant).await;
    let people = people.map_err(|fault| fault.to_string())?;
    for one in people.all() {
        let issuer = one.identity.as_ref().map(|identity| &identity.issuer);
        let domain = one.certificate.as_ref().map(SpiffeId::trust_domain);
        if issuer.is_some_and(|issuer| roots.is_gone(&format!("sign-in {issuer}")))
            || domain.is_some_and(|domain| roots.is_gone(domain.as_str()))
        {
            let ended = plane.store.end_sessions_of(&plane.tenant, one.id).await;
            ended.map_err(|fault| fault.to_string())?;
        }
    }
    Ok(())
}
