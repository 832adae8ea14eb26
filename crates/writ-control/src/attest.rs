//! Who is at the other end of the agent socket: what the kernel says of a process, never what it says of itself.

use std::path::PathBuf;

use tokio::net::UnixStream;
use writ_types::{Agent, Selector};

/// What the kernel says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The user it runs as.
    pub(crate) uid: u32,
    /// The executable file it runs, where it can be read.
    pub(crate) path: Option<PathBuf>,
}

/// Why a peer is not attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttestError {
    /// The kernel does not say who it is.
    #[error("the kernel does not say which process this is")]
    Unknown,
    /// The process id was given to another process while it was looked at.
    #[error("the process changed while it was looked at")]
    Changed,
    /// It runs as Writ's own user, which could read Writ's keys.
    #[error(
        "the process runs as Writ's own user: run agents as another user, or set `identity.single_user_machine`"
    )]
    OwnUser,
}

/// Whether processes of Writ's own user may be agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnUser {
    /// They may not: they could read Writ's keys.
    Refused,
    /// They may: it is a machine with one user, and its operator has said so.
    Accepted,
}

impl Peer {
    /// Looks at the process behind a connection.
    ///
    /// The start time of the process is read before and after its executable, so that a process id that was reused in
    /// between is noticed.
    ///
    /// # Errors
    ///
    /// [`AttestError`].
    pub(crate) fn of(stream: &UnixStream, own_user: OwnUser) -> Result<Self, AttestError> {
        let peer = stream
            .peer_cred()
            .map_err(|_no_credentials| AttestError::Unknown)?;
        if own_user == OwnUser::Refused && peer.uid() == rustix::process::geteuid().as_raw() {
            return Err(AttestError::OwnUser);
        }
        let path = match peer.pid().and_then(|pid| u32::try_from(pid).ok()) {
            Some(pid) => {
                let before = start_time(pid).ok_or(AttestError::Unknown)?;
                let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
                if start_time(pid) != Some(before) {
                    return Err(AttestError::Changed);
                }
                path
            }
            None => None,
        };
        Ok(Self {
            uid: peer.uid(),
            path,
        })
    }

    /// Whether the process is the agent: every one of its selectors holds, and it has one.
    pub(crate) fn is(&self, agent: &Agent) -> bool {
        let holds = |selector: &Selector| match selector {
            Selector::Uid(uid) => *uid == self.uid,
            Selector::Path(path) => self
                .path
                .as_deref()
                .is_some_and(|own| own == std::path::Path::new(path)),
        };
        agent.enabled && !agent.selectors.is_empty() && agent.selectors.iter().all(holds)
    }
}

/// When a process began, in clock ticks since boot (proc(5), field 22 of `stat`).
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name in parentheses may hold anything, so fields are counted from the last `)`.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn agent(selectors: &[&str]) -> Agent {
        Agent {
            id: writ_types::AgentId::new(writ_types::Timestamp::from_secs(1), [0; 10]),
            spiffe: "spiffe://writ.local/agent/a".parse().unwrap(),
            owner: "o".parse().unwrap(),
            groups: BTreeSet::new(),
            mode: writ_types::Mode::Autonomous,
            purposes: BTreeSet::new(),
            federations: BTreeSet::new(),
            selectors: selectors.iter().map(|text| text.parse().unwrap()).collect(),
            enabled: true,
        }
    }

    #[test]
    fn every_selector_must_hold_and_there_must_be_one() {
        let peer = Peer {
            uid: 1000,
            path: Some("/usr/bin/agent".into()),
        };
        for (selectors, is) in [
            (&["unix:uid:1000"][..], true),
            (&["unix:uid:1000", "unix:path:/usr/bin/agent"], true),
            (&["unix:uid:1000", "unix:path:/usr/bin/other"], false),
            (&["unix:uid:1001"], false),
            (&[], false),
        ] {
            assert_eq!(peer.is(&agent(selectors)), is, "{selectors:?}");
        }
        let disabled = Agent {
            enabled: false,
            ..agent(&["unix:uid:1000"])
        };
        assert!(!peer.is(&disabled));
        let hidden = Peer {
            uid: 1000,
            path: None,
        };
        assert!(!hidden.is(&agent(&["unix:path:/usr/bin/agent"])));
    }

    #[tokio::test]
    async fn the_kernel_says_who_is_there() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = Peer::of(&here, OwnUser::Accepted).unwrap();
        assert_eq!(peer.path, std::env::current_exe().ok());
        assert_eq!(
            Peer::of(&here, OwnUser::Refused),
            Err(AttestError::OwnUser),
            "Writ's own user is no agent by default"
        );
        assert!(start_time(std::process::id()).is_some());
    }
}
