//! Load: agents that call until the process dies under them, and remember what they were told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyper::Method;
use tokio::task::JoinSet;
use writ::agent::{AgentClient, OpenTask};
use writ_testkit::{json, reason};

/// A task with what its agent knows of it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) open: OpenTask,
    pub(crate) calls: u64,
    pub(crate) writes: u64,
}

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
}

impl Kind {
    /// Every `nth` turn is a write.
    pub(crate) const fn of(turn: usize, nth: usize) -> Self {
        if turn.is_multiple_of(nth) {
            Self::Write
        } else {
            Self::Read
        }
    }
}

/// An answer that a client got whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) call: String,
    pub(crate) marker: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
}

/// What all clients of a test were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    told: Arc<Mutex<Vec<Told>>>,
    sent: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Ledger {
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// A marker for the next call of a task: no two calls of a test have the same.
    fn marker(&self, task: &str) -> String {
        let mut sent = self.sent.lock().unwrap();
        let count = sent.entry(task.to_owned()).or_insert(0);
        *count += 1;
        format!("{task}.{count}")
    }

    /// Makes one call; nothing if the process died before it had answered whole.
    pub(crate) async fn call(
        &self,
        client: &AgentClient,
        task: &OpenTask,
        kind: Kind,
    ) -> Option<Told> {
        let marker = self.marker(&task.task);
        let answer = if kind == Kind::Write {
            let body = json(&format!("{{\"marker\":\"{marker}\"}}"));
            client
                .call(task, Method::POST, "/depot/items", Some(&body))
                .await
        } else {
            let path = format!("/depot/items?marker={marker}");
            client.call(task, Method::GET, &path, None).await
        };
        let answer = answer.ok()?;
        let told = Told {
            call: answer.header("writ-call-id").unwrap().to_owned(),
            marker,
            status: answer.status,
            reason: reason(&answer),
        };
        self.told.lock().unwrap().push(told.clone());
        Some(told)
    }
}

/// Lets `clients` call with `tasks` in turn until the process dies. `heard` is told of every answer.
pub(crate) fn unleash(
    agent: &Arc<AgentClient>,
    tasks: &[Arc<Held>],
    ledger: &Ledger,
    clients: usize,
    heard: &tokio::sync::watch::Sender<usize>,
) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for number in 0..clients {
        let (agent, tasks) = (Arc::clone(agent), tasks.to_vec());
        let (ledger, heard) = (ledger.clone(), heard.clone());
        running.spawn(async move {
            for turn in number.. {
                let task = &tasks[turn % tasks.len()];
                let kind = Kind::of(turn, 3);
                let Some(told) = ledger.call(&agent, &task.open, kind).await else {
                    return;
                };
                if told.status == 200 {
                    heard.send_modify(|count| *count += 1);
                }
            }
        });
    }
    running
}
