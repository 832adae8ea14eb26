//! The start of a process: the store seeded once, the first operator let in, the ledger rebuilt from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use writ_audit::{
    ApprovalStep, Closing, Event, Intent, Outcome, Record, TaskAmended, TaskClosed, TaskOpened,
};
use writ_store::{Store, StoreError};
use writ_task::{
    Acting, Called, Ending, MemoryLedger, Opening, Rebuild, RebuildError, Remembered, Stops, Unheld,
};
use writ_types::{
    ActionName, Asserter, CallId, Charge, Conformance, Grant, Label, Limits, RevisionId, TaskId,
    Tenant, Timestamp, TrustDomain, Windows,
};

use crate::admin::{RESUMED, hash};
use crate::oauth::Instances;
use crate::project::{Project, ProjectFault};
use crate::reload;

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The project has faults; the first is shown.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Project(Vec<ProjectFault>),
    /// The log and the store tell different stories.
    #[error("the ledger cannot be rebuilt from the log")]
    Rebuild(#[from] RebuildError),
    /// A task's row in the store is not what the log says was granted.
    #[error("the store's row of {0} is not what the log says was granted: restore the store")]
    Altered(TaskId),
    /// A file cannot be written.
    #[error("cannot write `{file}`")]
    File {
        /// The file.
        file: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// There is no revision that a change could follow.
    #[error("the store has no revision in force: `writ serve` seeds it from the project")]
    Empty,
    /// The change could not be recorded.
    #[error("the change could not be recorded")]
    Record(#[source] writ_audit::AppendError),
    /// The operating system gives no random bytes.
    #[error("the random source failed")]
    Random,
}

/// Fills a store that was never filled from a project's files; says whether it did.
///
/// # Errors
///
/// [`StartError::Project`] with every fault; the store stays empty then.
pub async fn seed(
    store: &Store,
    tenant: &Tenant,
    files: &BTreeMap<String, Vec<u8>>,
    trust_domain: &TrustDomain,
    now: Timestamp,
) -> Result<bool, StartError> {
    if store.active_revision(tenant).await?.is_some() {
        return Ok(false);
    }
    let project: Project =
        reload::read_project(files, trust_domain, now, |_| None).map_err(StartError::Project)?;
    let first = RevisionId::new(now, crate::random());
    store
        .propose(tenant, None, first, &reload::registry(&project), now)
        .await?;
    store.activate(tenant, None, first, now).await?;
    Ok(true)
}

/// Makes the token with which the first admin signs in, if there is no admin: 0600 at `path`, its digest in the store.
/// Says whether the token waits there. Each start makes another until one is used: a start that was cut short between
/// store and file must not leave a token that nobody holds.
///
/// # Errors
///
/// The store or the file fails.
pub async fn first_boot_token(
    store: &Store,
    tenant: &Tenant,
    path: &Path,
    now: Timestamp,
) -> Result<bool, StartError> {
    let token = crate::secret_text("wfb_").ok_or(StartError::Random)?;
    let waits = store
        .put_first_boot_token(tenant, &hash(&token), now)
        .await?;
    let failed = |cause| StartError::File {
        file: path.display().to_string(),
        cause,
    };
    // One that was used opens nothing and only invites questions; and a mode counts only for a file that is made anew.
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(failed(fault)),
        Ok(()) | Err(_) => {}
    }
    if !waits {
        return Ok(false);
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(format!("{token}\n").as_bytes())
        .map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(true)
}

/// What people have stopped: it holds before the first call is served.
///
/// # Errors
///
/// The store fails, or a row is damaged: what is stopped is not known then.
pub async fn stops(store: &Store, tenant: &Tenant) -> Result<Stops, StoreError> {
    let stops = Stops::default();
    for stopped in store.stops(tenant).await? {
        stops.stop(tenant, stopped.stop, stopped.version);
    }
    Ok(stops)
}

/// The tasks of the store that may still be live.
///
/// # Errors
///
/// The store fails.
pub async fn stored_tasks(
    store: &Store,
    tenant: &Tenant,
    now: Timestamp,
) -> Result<BTreeMap<TaskId, Grant>, StartError> {
    let mut tasks = BTreeMap::new();
    let mut after = None;
    loop {
        let page = store.live_tasks(tenant, after, now).await?;
        let Some(last) = page.last() else {
            return Ok(tasks);
        };
        after = Some(last.grant.task);
        tasks.extend(
            page.into_iter()
                .map(|stored| (stored.grant.task, stored.grant)),
        );
    }
}

/// Rebuilds the ledger of live tasks from the log: it is their write-ahead log, so that no budget goes back up.
#[derive(Debug)]
pub struct LedgerRebuild<L> {
    tenant: Tenant,
    tasks: BTreeMap<TaskId, Grant>,
    /// What they may have come to hold; the log says what they did.
    amendments: BTreeMap<TaskId, Vec<Grant>>,
    labels: L,
    rebuild: Rebuild,
    opened: BTreeSet<TaskId>,
    ended_early: BTreeMap<TaskId, Ending>,
    /// Calls whose outcome has not been read.
    awaited: BTreeMap<CallId, (TaskId, Acting)>,
    /// Which keys hold tokens.
    instances: Instances,
}

impl<L: Fn(&ActionName) -> BTreeSet<Label>> LedgerRebuild<L> {
    /// Begins with the tasks of the store; `labels` says what reading with an action marks a task with, `windows` what
    /// counts its calls.
    #[must_use]
    pub fn new(
        tenant: Tenant,
        tasks: BTreeMap<TaskId, Grant>,
        labels: L,
        windows: &Windows,
        limits: &Limits,
    ) -> Self {
        Self {
            tenant,
            tasks,
            amendments: BTreeMap::new(),
            labels,
            rebuild: Rebuild::new(limits).counting(windows.clone()),
            opened: BTreeSet::new(),
            ended_early: BTreeMap::new(),
            awaited: BTreeMap::new(),
            instances: Instances::default(),
        }
    }

    /// The same with what the store says that the tasks may have come to hold.
    #[must_use]
    pub fn with_amendments(mut self, amendments: BTreeMap<TaskId, Vec<Grant>>) -> Self {
        self.amendments = amendments;
        self
    }

    /// Takes the next record. Of tasks that are over, it counts what was read and written: agents and requesters know it
    /// in their next task too.
    ///
    /// # Errors
    ///
    /// The log and the store tell different stories.
    pub fn take(&mut self, record: &Record) -> Result<(), StartError> {
        self.remember(record);
        let event = match &record.event {
            Event::TaskOpened(opened) => self.opened(opened)?,
            Event::Intent(intent) if self.tasks.contains_key(&intent.subject.task) => {
                let task = intent.subject.task;
                let labels = (self.labels)(&intent.action);
                let charge = Charge::of(intent.effects);
                let spent = writ_task::Event::Intent {
                    task,
                    action: intent.action.clone(),
                    charge,
                    step: intent.step,
                    written: intent.written.clone().map(|digests| digests.0),
                };
                self.rebuild.apply(&self.tenant, spent)?;
                (!labels.is_empty()).then_some(writ_task::Event::Labelled { task, labels })
            }
            Event::Outcome(outcome) if self.tasks.contains_key(&outcome.task) => {
                let labels = brought(outcome);
                let task = outcome.task;
                (!labels.is_empty()).then_some(writ_task::Event::Labelled { task, labels })
            }
            Event::TokenIssued(issued) if self.tasks.contains_key(&issued.task) => {
                self.instances.restore(issued);
                None
            }
            Event::TaskAmended(amended) if self.tasks.contains_key(&amended.task) => {
                Some(self.amended(amended)?)
            }
            Event::TaskClosed(closed) if self.tasks.contains_key(&closed.task) => {
                self.closed(closed)
            }
            Event::Refused(refused)
                if refused.pauses && self.tasks.contains_key(&refused.subject.task) =>
            {
                Some(writ_task::Event::Paused(refused.subject.task))
            }
            // A yes to what a task is to hold lets none go on that was paused.
            Event::Approval(approval)
                if approval.step == ApprovalStep::Approved
                    && !approval.action.is_amend_task()
                    && self.opened.contains(&approval.task) =>
            {
                Some(writ_task::Event::Resumed(approval.task))
            }
            Event::OperatorAction(action) if action.action.as_str() == RESUMED => {
                let task = action.target.parse().ok();
                let task = task.filter(|task| self.opened.contains(task));
                task.map(writ_task::Event::Resumed)
            }
            Event::Intent(_)
            | Event::TaskAmended(_)
            | Event::TaskClosed(_)
            | Event::Outcome(_)
            | Event::Refused(_)
            | Event::TokenIssued(_)
            | Event::TokenRefused(_)
            | Event::UpstreamToken(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_)
            | Event::Approval(_)
            | Event::Alarm(_) => None,
        };
        event.map_or(Ok(()), |event| {
            Ok(self.rebuild.apply(&self.tenant, event)?)
        })
    }

    /// A live task begins; if its end was read before, it is over by now.
    fn opened(&mut self, opened: &TaskOpened) -> Result<Option<writ_task::Event>, StartError> {
        let task = opened.task;
        let Some(grant) = self.tasks.get(&task) else {
            return Ok(None);
        };
        if grant.digest() != opened.grant {
            return Err(StartError::Altered(task));
        }
        let opening = writ_task::Event::Opened(Box::new(grant.clone()));
        self.rebuild.apply(&self.tenant, opening)?;
        self.opened.insert(task);
        // A kill that overtook the opening's record: the task was over before it began.
        let ended = self.ended_early.remove(&task);
        Ok(ended.map(|why| writ_task::Event::Ended { task, why }))
    }

    /// A task comes to hold what the store has under the digest that the log has.
    fn amended(&self, amended: &TaskAmended) -> Result<writ_task::Event, StartError> {
        let task = amended.task;
        let kept = self.amendments.get(&task).into_iter().flatten();
        let mut held = kept.chain(self.tasks.get(&task));
        let grant = held.find(|grant| grant.digest() == amended.grant);
        let grant = grant.ok_or(StartError::Altered(task))?;
        Ok(writ_task::Event::Amended {
            grant: Box::new(grant.clone()),
            from: amended.from,
        })
    }

    fn closed(&mut self, closed: &TaskClosed) -> Option<writ_task::Event> {
        let task = closed.task;
        let why = match closed.how {
            Closing::Closed => Ending::Closed,
            Closing::Revoked => Ending::Revoked,
            Closing::Expired => Ending::Deadline,
        };
        if self.opened.contains(&task) {
            return Some(writ_task::Event::Ended { task, why });
        }
        self.ended_early.insert(task, why);
        None
    }

    /// The ledger and the keys that hold tokens, with what expired meanwhile ended. What a call without an outcome has read,
    /// nobody knows: its task is marked as if it had been anything.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> (MemoryLedger, Instances) {
        for (task, acting) in std::mem::take(&mut self.awaited).into_values() {
            let labels = writ_task::worst();
            let read = Remembered::Read {
                task,
                acting,
                labels: labels.clone(),
            };
            self.rebuild.remember(&self.tenant, &read);
            if !self.tasks.contains_key(&task) {
                continue;
            }
            let anything = writ_task::Event::Labelled { task, labels };
            if let Err(fault) = self.rebuild.apply(&self.tenant, anything) {
                tracing::warn!(%task, %fault, "a task of an unfinished call was not marked");
            }
        }
        let restored = self.rebuild.finish(now);
        for (task, why) in &restored.refused {
            if let Unheld::Amendment(why) = why {
                tracing::error!(%task, fault = %why, "a task has ended: what it held is not known");
            }
        }
        (restored.ledger, self.instances)
    }

    /// What of a record outlives its task.
    fn remember(&mut self, record: &Record) {
        let event = match &record.event {
            Event::TaskOpened(opened) => Remembered::Opened(Opening {
                task: opened.task,
                parent: opened.parent,
                acting: Acting {
                    agent: opened.agent,
                    requester: opened.requester.clone(),
                },
                attested: matches!(opened.asserters.prompt, Asserter::Client(_)),
                opened: opened.opened,
                deadline: opened.deadline,
            }),
            Event::Intent(intent) => self.called(intent, record.header.time),
            Event::Outcome(outcome) => {
                let Some((task, acting)) = self.awaited.remove(&outcome.call) else {
                    return;
                };
                Remembered::Read {
                    task,
                    acting,
                    labels: brought(outcome),
                }
            }
            Event::TaskAmended(amended) => Remembered::Amended {
                task: amended.task,
                deadline: amended.deadline,
            },
            Event::TaskClosed(closed) => Remembered::Ended(closed.task),
            Event::Refused(_)
            | Event::TokenIssued(_)
            | Event::TokenRefused(_)
            | Event::UpstreamToken(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_)
            | Event::Alarm(_)
            | Event::Approval(_) => return,
        };
        self.rebuild.remember(&self.tenant, &event);
    }

    /// A call: what it wrote and counted is remembered here, and what its operation reads is given.
    fn called(&mut self, intent: &Intent, at: Timestamp) -> Remembered {
        let task = intent.subject.task;
        let acting = Acting {
            agent: intent.subject.agent,
            requester: intent.subject.requester.clone(),
        };
        self.awaited.insert(intent.call, (task, acting.clone()));
        if Charge::of(intent.effects).writes > 0 {
            let wrote = Remembered::Wrote {
                task,
                acting: acting.clone(),
                forms: intent.written.clone().map(|digests| digests.0),
                at,
            };
            self.rebuild.remember(&self.tenant, &wrote);
        }
        let called = Remembered::Called {
            task,
            acting: acting.clone(),
            called: Called {
                action: intent.action.clone(),
                effects: intent.effects,
                quantities: intent.quantities.clone().unwrap_or_default(),
            },
            at,
        };
        self.rebuild.remember(&self.tenant, &called);
        Remembered::Read {
            task,
            acting,
            labels: (self.labels)(&intent.action),
        }
    }
}

/// What the response of a call marks its task with.
pub(crate) fn brought(outcome: &Outcome) -> BTreeSet<Label> {
    let mut labels = outcome.labels.clone();
    if outcome.conformance == Some(Conformance::Breaks) {
        labels.insert(Label::untrusted());
    }
    labels
}

#[cfg(test)]
pub(crate) mod tests;
