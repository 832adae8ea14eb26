//! Sessions of revision 2025-11-25. A session is no authority: each message proves its token and key anew, and a session
//! is good for the task and the endpoint that opened it alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::HeaderMap;
use writ_contract::Ask;
use writ_types::{ApiId, TaskId, Tenant, Timestamp};

use super::telling::Level;
use super::updates::Ear;
use super::{Caller, Fault};
use crate::gateway::random;

/// The field that names a session.
pub(super) const FIELD: &str = "mcp-session-id";
/// Most tasks that have sessions.
const MOST_TASKS: usize = 16_384;
/// Most sessions of one task; the oldest makes room.
const MOST_OF_A_TASK: usize = 16;

/// Whose sessions they are.
type Holder = (Tenant, TaskId);

/// The open sessions. They end with their task; a restart ends all, and clients open new ones.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<Holder, Open>>);

/// The sessions of one task, the oldest first.
#[derive(Debug)]
struct Open {
    deadline: Timestamp,
    sessions: VecDeque<Session>,
}

#[derive(Debug)]
struct Session {
    id: String,
    /// The endpoint that opened it.
    api: Option<ApiId>,
    /// What its client said.
    said: Said,
    /// What it has subscribed to.
    ear: Arc<Ear>,
}

impl Drop for Session {
    /// With a session its subscriptions end.
    fn drop(&mut self) {
        self.ear.close();
    }
}

/// What the client of a session said for all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What it wants to hear of what servers log: nothing, until it says so.
    pub(super) level: Option<Level>,
    /// What it can answer.
    pub(super) can: BTreeSet<Ask>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    /// Opens a session for the caller's task at an endpoint, and gives its id: 160 random bits.
    pub(super) fn open(
        &self,
        caller: &Caller<'_, '_>,
        api: Option<&ApiId>,
        can: BTreeSet<Ask>,
    ) -> Result<String, Fault> {
        let bytes = [random(), random()].concat();
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST_TASKS {
            open.retain(|_, own| own.deadline > caller.now);
        }
        let holder = holder(caller);
        if open.len() >= MOST_TASKS && !open.contains_key(&holder) {
            return Err(Fault::SessionsFull);
        }
        let own = open.entry(holder).or_insert_with(|| Open {
            deadline: caller.entered.grant().deadline,
            sessions: VecDeque::new(),
        });
        if own.sessions.len() >= MOST_OF_A_TASK {
            own.sessions.pop_front();
        }
        own.sessions.push_back(Session {
            id: id.clone(),
            api: api.cloned(),
            said: Said { level: None, can },
            ear: Arc::default(),
        });
        Ok(id)
    }

    /// Whether the session is open and the caller's own, and what its client said. Another's is as unknown as none.
    pub(super) fn check(
        &self,
        id: &str,
        caller: &Caller<'_, '_>,
        api: Option<&ApiId>,
    ) -> Result<Said, Fault> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&holder(caller));
        let is = |session: &&Session| session.id == id && session.api.as_ref() == api;
        let known = own.and_then(|own| own.sessions.iter().find(is));
        known
            .map(|session| session.said.clone())
            .ok_or(Fault::SessionUnknown)
    }

    /// What a session of the caller's has subscribed to.
    pub(super) fn ear(
        &self,
        id: &str,
        caller: &Caller<'_, '_>,
        api: Option<&ApiId>,
    ) -> Result<Arc<Ear>, Fault> {
        self.check(id, caller, api)?;
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&holder(caller));
        let known = own.and_then(|own| own.sessions.iter().find(|session| session.id == id));
        known
            .map(|session| Arc::clone(&session.ear))
            .ok_or(Fault::SessionUnknown)
    }

    /// Remembers what the client of a session wants to hear.
    pub(super) fn listen(&self, id: &str, caller: &Caller<'_, '_>, level: Level) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = open.get_mut(&holder(caller)).map(|own| &mut own.sessions);
        let own = sessions.into_iter().flatten();
        for session in own.filter(|session| session.id == id) {
            session.said.level = Some(level);
        }
    }

    /// Ends a session of the caller's.
    pub(super) fn end(
        &self,
        id: &str,
        caller: &Caller<'_, '_>,
        api: Option<&ApiId>,
    ) -> Result<(), Fault> {
        self.check(id, caller, api)?;
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&holder(caller)) {
            own.sessions.retain(|session| session.id != id);
        }
        Ok(())
    }
}

fn holder(caller: &Caller<'_, '_>) -> Holder {
    let grant = caller.entered.grant();
    (grant.tenant.clone(), grant.task)
}

/// The session a request names.
pub(super) fn given(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(FIELD).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_not_ascii| Fault::SessionUnknown)?;
            Ok(Some(text.to_owned()))
        }
        (Some(_), Some(_)) => Err(Fault::Header),
    }
}
