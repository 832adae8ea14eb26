//! Who is at the other end of the agent socket: what the kernel says of a process, never what it says of itself.
//!
//! A process is pinned when its connection is accepted, by a process handle and its start time, and looked at again for
//! each identity it gets: it may have ended, become another program, or gained rights since. `process` reads what the
//! kernel says, `program` judges what runs in it.

mod process;
mod program;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::UnixStream;
use writ_types::{Agent, Selector};

pub(crate) use process::DataFolder;
pub(crate) use program::names_an_interpreter;
use program::{Program, Wanted};

/// Longest look at a process. What it maps can lie on a file system of its own that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a peer is not attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttestError {
    /// The kernel does not say who it is, or it lives where its process id means nothing here.
    #[error("the kernel does not say which process this is")]
    Unknown,
    /// The process id was given to another process while it was looked at.
    #[error("the process changed while it was looked at")]
    Changed,
    /// It has ended; whoever holds its connection now is another.
    #[error("the process that connected has ended")]
    Ended,
    /// It runs as Writ's own user, which could read Writ's keys.
    #[error(
        "the process runs as Writ's own user: run agents as another user, or set `identity.single_user_machine`"
    )]
    OwnUser,
    /// Its rights let it open the data directory.
    #[error(
        "the process could open Writ's data directory: run agents without root's rights and outside its group"
    )]
    ReachesKeys,
    /// It could not be looked at in time.
    #[error("the process could not be looked at in time")]
    Late,
}

/// Which processes may be agents at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnUser {
    /// Those that could read Writ's keys may not: Writ's own user, root, whoever can open the data directory.
    Refused(DataFolder),
    /// All may: it is a machine with one user, and its operator has said so.
    Accepted,
}

/// The process that made a connection. It stays that one: what happens under its process id later is not its doing.
#[derive(Debug)]
pub(crate) struct Peer {
    uid: u32,
    pid: Pid,
    began: u64,
    handle: OwnedFd,
}

impl Peer {
    /// Pins the process behind a connection that was just accepted.
    ///
    /// # Errors
    ///
    /// `Unknown`; `Changed` if the process began after the connection or is not the same before and after its handle was
    /// opened; `Ended`.
    pub(crate) fn of(stream: &UnixStream) -> Result<Self, AttestError> {
        let accepted = process::ticks_since_boot().ok_or(AttestError::Unknown)?;
        let peer = stream
            .peer_cred()
            .map_err(|_no_credentials| AttestError::Unknown)?;
        let pid = peer
            .pid()
            .and_then(Pid::from_raw)
            .ok_or(AttestError::Unknown)?;
        let began = process::start_time(pid).ok_or(AttestError::Ended)?;
        if began > accepted {
            return Err(AttestError::Changed);
        }
        let handle =
            pidfd_open(pid, PidfdFlags::empty()).map_err(|_no_process| AttestError::Ended)?;
        let peer = Self {
            uid: peer.uid(),
            pid,
            began,
            handle,
        };
        peer.is_still_there().map(|()| peer)
    }

    /// The user that made the connection.
    pub(crate) const fn uid(&self) -> u32 {
        self.uid
    }

    /// The process of the handle lives, and its process id still means it.
    fn is_still_there(&self) -> Result<(), AttestError> {
        let mut ended = [PollFd::new(&self.handle, PollFlags::IN)];
        match poll(&mut ended, Some(&Timespec::default())) {
            Ok(0) => {}
            Ok(_) | Err(_) => return Err(AttestError::Ended),
        }
        match process::start_time(self.pid) {
            Some(began) if began == self.began => Ok(()),
            Some(_) => Err(AttestError::Changed),
            None => Err(AttestError::Ended),
        }
    }

    /// What the process is now. Reads files of the kernel, and the program where a digest is wanted: not for an async
    /// thread.
    ///
    /// # Errors
    ///
    /// [`AttestError`].
    pub(crate) fn look(&self, own_user: &OwnUser, wanted: Wanted) -> Result<Seen, AttestError> {
        self.is_still_there()?;
        if let OwnUser::Refused(data) = own_user {
            let rights = process::rights(self.pid).ok_or(AttestError::Unknown)?;
            let own = rustix::process::geteuid().as_raw();
            if self.uid == own || rights.uids.contains(&own) {
                return Err(AttestError::OwnUser);
            }
            if data.opens_for(&rights) {
                return Err(AttestError::ReachesKeys);
            }
        }
        let program = Program::of(self.pid, self.uid, wanted);
        // Handle and start time again: what was read is the same process's.
        self.is_still_there()?;
        Ok(Seen {
            uid: self.uid,
            program,
        })
    }
}

/// Looks at a process, within [`PATIENCE`].
///
/// # Errors
///
/// [`AttestError`].
pub(crate) async fn look(
    peer: Arc<Peer>,
    own_user: OwnUser,
    wanted: Wanted,
) -> Result<Seen, AttestError> {
    let looking = tokio::task::spawn_blocking(move || peer.look(&own_user, wanted));
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(_panicked)) => Err(AttestError::Unknown),
        Err(_elapsed) => Err(AttestError::Late),
    }
}

/// Whether the digest of a process's program is worth reading: some enabled agent of its user is told by one.
pub(crate) fn wanted(uid: u32, mut agents: impl Iterator<Item = Arc<Agent>>) -> Wanted {
    let told_by_digest = |agent: Arc<Agent>| {
        let digest = |selector: &Selector| matches!(selector, Selector::Sha256(_));
        agent.enabled
            && agent.selectors.contains(&Selector::Uid(uid))
            && agent.selectors.iter().any(digest)
    };
    if agents.any(told_by_digest) {
        Wanted::Digest
    } else {
        Wanted::Path
    }
}

/// What the kernel says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The user it runs as.
    pub(crate) uid: u32,
    /// The program it runs.
    pub(crate) program: Program,
}

impl Seen {
    /// Whether the process is the agent: every one of its selectors holds, and it has one.
    pub(crate) fn is(&self, agent: &Agent) -> bool {
        let holds = |selector: &Selector| match selector {
            Selector::Uid(uid) => *uid == self.uid,
            Selector::Path(path) => self.program.path() == Some(std::path::Path::new(path)),
            Selector::Sha256(digest) => self.program.digest() == Some(digest),
        };
        agent.enabled && !agent.selectors.is_empty() && agent.selectors.iter().all(holds)
    }
}

#[cfg(test)]
mod tests;
