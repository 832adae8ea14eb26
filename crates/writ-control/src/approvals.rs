//! Approvals and waits, kept: asked for by calls, answered by people, used once.
//!
//! The order of things is the argument. The card goes into the vault and the asking into the log before the row is in the
//! store, so that nothing can be answered that was not recorded; an answer is recorded before it counts; a use is on disk
//! before the call leaves. What is answered one after another here is answered by one statement in the store as well, so
//! that nothing depends on this process being the only one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use writ_audit::{
    Actor, Append as _, ApprovalStep, Day, Durability, Event, EvidenceKind, EvidenceRef, Header,
    NodeName, Record, Seal,
};
use writ_store::{Asked, Store, StoreError, StoredApproval};
use writ_task::{Approvals, Ask, AskError, LedgerFuture, Standing, Status, Used, Want};
use writ_types::{
    ActionName, ApprovalId, ApprovalState, CallId, Clock, Grant, KeyedDigest, Limits, OperatorId,
    RecordId, Tenant, Timestamp, Value,
};

use crate::records::LogPlace;

/// How long an approval can be given and used, if its task lives as long.
const APPROVAL_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a wait that is over can be used.
const WAIT_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a no is remembered.
const NO_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long what has expired stays in the store; the log keeps it longer.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where approvals and waits are kept. One for a process; both planes share it.
#[derive(Debug)]
pub struct ApprovalDesk {
    store: Store,
    logs: LogPlace,
    node: NodeName,
    clock: Arc<dyn Clock>,
    most_of_task: u64,
    most_of_agent: u64,
    /// What people have said no to, and until when that holds. The store has the same.
    refused: RwLock<BTreeMap<KeyedDigest, Timestamp>>,
    /// The approvals whose values are to be remembered once they are used, and until when they can be. Of this process alone:
    /// what is lost here is asked for again.
    remembered: Mutex<BTreeMap<ApprovalId, Timestamp>>,
    changed: Notify,
    one_at_a_time: Mutex<()>,
}

/// Whether an answer is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// A no for requester, resource and effect; the values of a yes for their arguments and the requester.
    Kept,
    /// It is for the one call.
    None,
}

/// Why a person's answer did not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// It waits for no answer.
    #[error("it waits for no answer any more")]
    Over,
    /// It cannot be recorded or kept.
    #[error("the answer cannot be kept: {0}")]
    Unavailable(String),
}

impl ApprovalDesk {
    /// Opens the desk with what the store has.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub async fn open(
        store: Store,
        logs: LogPlace,
        node: NodeName,
        tenant: &Tenant,
        clock: Arc<dyn Clock>,
        limits: &Limits,
    ) -> Result<Self, StoreError> {
        let refused = store.refusals(tenant, clock.now()).await?;
        let most = |most: usize| u64::try_from(most).unwrap_or(u64::MAX);
        Ok(Self {
            store,
            logs,
            node,
            clock,
            most_of_task: most(limits.task_approvals),
            most_of_agent: most(limits.agent_approvals),
            refused: RwLock::new(refused),
            remembered: Mutex::default(),
            changed: Notify::new(),
            one_at_a_time: Mutex::new(()),
        })
    }

    async fn find(&self, ask: &Ask) -> Result<Option<Standing>, AskError> {
        let standing = self
            .store
            .approval_standing(&ask.tenant, &ask.binding, ask.now)
            .await;
        let Some(found) = standing.map_err(|fault| unavailable(&fault))? else {
            return Ok(None);
        };
        Ok(Some(match found.state {
            ApprovalState::Denied => Standing::Denied(found.id),
            ApprovalState::Approved if found.not_before <= ask.now => Standing::Ready(found.id),
            ApprovalState::Pending
            | ApprovalState::Approved
            | ApprovalState::Used
            | ApprovalState::Withdrawn => Standing::Waiting(status(&found)),
        }))
    }

    async fn begin(&self, ask: Ask) -> Result<Standing, AskError> {
        let open = self
            .store
            .open_approvals(&ask.tenant, ask.grant.task, ask.grant.agent, ask.now)
            .await;
        let (of_task, of_agent) = open.map_err(|fault| unavailable(&fault))?;
        if of_task >= self.most_of_task || of_agent >= self.most_of_agent {
            return Err(AskError::TooMany);
        }
        let id = ApprovalId::new(ask.now, crate::random());
        let header = Header {
            id: RecordId::new(ask.now, crate::random()),
            tenant: ask.tenant.clone(),
            time: ask.now,
            node: self.node.clone(),
            revision: Some(ask.revision),
        };
        let card = ask.card.to_string();
        let sealed = Seal::seal(
            &*self.logs.vault,
            header.id,
            EvidenceKind::Approval,
            card.as_bytes(),
        );
        let evidence = sealed.map_err(|fault| unavailable(&fault))?;
        let reference = evidence.reference();
        let approval = stored(&ask, id, header.id, reference);
        let step = match ask.want {
            Want::Approval { .. } => ApprovalStep::Requested,
            Want::Wait { .. } => ApprovalStep::Deferred,
        };
        let event = Event::Approval(Box::new(writ_audit::Approval {
            call: Some(ask.call),
            evidence: Some(reference),
            ..event(&approval, step, Actor::Agent(ask.grant.agent))
        }));
        let appended = self
            .logs
            .writer
            .append(
                Record::new(header, event),
                Some(evidence),
                Durability::Durable,
            )
            .await;
        appended.map(drop).map_err(|fault| unavailable(&fault))?;
        let put = self.store.put_approval(&ask.tenant, &approval).await;
        put.map_err(|fault| unavailable(&fault))?;
        self.changed.notify_waiters();
        Ok(Standing::Begun(status(&approval)))
    }

    /// Adds what a person gives; says how far the approval has come then. What they entered is remembered once the approval
    /// is used, if they want that.
    pub(crate) async fn give(
        &self,
        header: Header,
        approval: &StoredApproval,
        roles: &BTreeSet<String>,
        by: OperatorId,
        memory: Memory,
    ) -> Result<ApprovalState, AnswerError> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let tenant = header.tenant.clone();
        let now = self.clock.now();
        // As it stands now: another person may have given theirs since this one looked.
        let fresh = self.store.approval(&tenant, approval.id).await;
        let fresh = fresh.map_err(|fault| AnswerError::Unavailable(fault.to_string()))?;
        let fresh = fresh.ok_or(AnswerError::Over)?;
        if fresh.state != ApprovalState::Pending || fresh.expires <= now {
            return Err(AnswerError::Over);
        }
        let mut given = fresh.given.clone();
        given.extend(roles.iter().map(|role| (role.clone(), by)));
        let whole = fresh
            .asked
            .roles
            .iter()
            .all(|role| given.contains_key(role));
        let (state, step) = if whole {
            (ApprovalState::Approved, ApprovalStep::Approved)
        } else {
            (ApprovalState::Pending, ApprovalStep::Given)
        };
        let recorded = writ_audit::Approval {
            roles: roles.clone(),
            ..event(&fresh, step, Actor::Operator(by))
        };
        self.record(header, recorded).await?;
        let kept = self
            .store
            .give_approval(&tenant, fresh.id, &given, state, now)
            .await;
        if !kept.map_err(|fault| AnswerError::Unavailable(fault.to_string()))? {
            return Err(AnswerError::Over);
        }
        if memory == Memory::Kept {
            let mut wanted = self.remembered.lock().await;
            wanted.retain(|_, until| *until > now);
            wanted.insert(fresh.id, fresh.expires);
        }
        self.changed.notify_waiters();
        Ok(state)
    }

    /// Says no, and remembers what it was about as `memory` says.
    pub(crate) async fn deny(
        &self,
        header: Header,
        approval: &StoredApproval,
        by: OperatorId,
        memory: Memory,
    ) -> Result<(), AnswerError> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let tenant = header.tenant.clone();
        let now = self.clock.now();
        let recorded = event(approval, ApprovalStep::Denied, Actor::Operator(by));
        self.record(header, recorded).await?;
        let until = now.plus(NO_LIFE);
        let remember = memory == Memory::Kept;
        let memory = remember.then_some((&*approval.asked.memory, until));
        let kept = self
            .store
            .deny_approval(&tenant, approval.id, memory, now)
            .await;
        if !kept.map_err(|fault| AnswerError::Unavailable(fault.to_string()))? {
            return Err(AnswerError::Over);
        }
        if remember {
            let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
            refused.extend(approval.asked.memory.iter().map(|memory| (*memory, until)));
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn record(
        &self,
        header: Header,
        approval: writ_audit::Approval,
    ) -> Result<(), AnswerError> {
        let record = Record::new(header, Event::Approval(Box::new(approval)));
        let appended = self.logs.writer.append(record, None, Durability::Durable);
        let appended = appended.await;
        appended
            .map(drop)
            .map_err(|fault| AnswerError::Unavailable(fault.to_string()))
    }

    /// The card as it was shown, from the vault.
    pub(crate) async fn card(&self, approval: &StoredApproval) -> Result<Value, String> {
        let (day, digest) = approval.asked.evidence.clone().ok_or("it has no card")?;
        let day: Day = day.parse().map_err(|_fault| "its card's day is damaged")?;
        let reference = EvidenceRef { day, digest };
        let (vault, record) = (Arc::clone(&self.logs.vault), approval.asked.record);
        let opened = tokio::task::spawn_blocking(move || vault.open(record, &reference)).await;
        let opened = opened.map_err(|fault| fault.to_string())?;
        let (_, plaintext) = opened.map_err(|fault| fault.to_string())?;
        let limits = &writ_types::JsonLimits::DOCUMENT;
        Value::parse(plaintext.expose(), limits).map_err(|fault| fault.to_string())
    }

    /// Forgets what expired long ago.
    pub(crate) async fn sweep(&self, tenant: &Tenant, now: Timestamp) -> Result<(), StoreError> {
        {
            let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
            refused.retain(|_, until| *until > now);
        }
        let before = now.minus(KEPT);
        self.store.forget_approvals(tenant, before, now).await
    }
}

impl Approvals for ApprovalDesk {
    fn stand(&self, ask: Ask) -> LedgerFuture<'_, Result<Standing, AskError>> {
        Box::pin(async move {
            if let Some(standing) = self.find(&ask).await? {
                return Ok(standing);
            }
            let _one_at_a_time = self.one_at_a_time.lock().await;
            match self.find(&ask).await? {
                Some(standing) => Ok(standing),
                None => self.begin(ask).await,
            }
        })
    }

    fn consume<'a>(
        &'a self,
        tenant: &'a Tenant,
        approvals: &'a [ApprovalId],
        call: CallId,
        now: Timestamp,
    ) -> LedgerFuture<'a, Result<Option<Used>, AskError>> {
        Box::pin(async move {
            let used = self.store.use_approvals(tenant, approvals, now).await;
            let used = used.map_err(|fault| unavailable(&fault))?;
            tracing::debug!(call.id = %call, used, "approvals");
            if !used {
                return Ok(None);
            }
            let mut wanted = self.remembered.lock().await;
            let remembered = approvals.iter().any(|id| wanted.remove(id).is_some());
            Ok(Some(Used { remembered }))
        })
    }

    fn status<'a>(
        &'a self,
        grant: &'a Grant,
        approval: ApprovalId,
        _now: Timestamp,
    ) -> LedgerFuture<'a, Result<Option<Status>, AskError>> {
        Box::pin(async move {
            let found = self.store.approval(&grant.tenant, approval).await;
            let found = found.map_err(|fault| unavailable(&fault))?;
            let own = found.filter(|found| {
                found.agent == grant.agent && (!found.of_task || found.task == grant.task)
            });
            Ok(own.as_ref().map(status))
        })
    }

    fn approved<'a>(
        &'a self,
        grant: &'a Grant,
    ) -> LedgerFuture<'a, Result<BTreeSet<ActionName>, AskError>> {
        Box::pin(async move {
            let found = self.store.approved(&grant.tenant, grant.task).await;
            found.map_err(|fault| unavailable(&fault))
        })
    }

    fn changed(&self) -> LedgerFuture<'_, ()> {
        // Registered when it is made, not when it is first polled: no change after this call is missed.
        Box::pin(self.changed.notified())
    }

    fn remembers_no(&self, memory: &KeyedDigest, now: Timestamp) -> bool {
        let refused = self.refused.read().unwrap_or_else(PoisonError::into_inner);
        refused.get(memory).is_some_and(|until| *until > now)
    }
}

/// The row of what is asked for.
fn stored(ask: &Ask, id: ApprovalId, record: RecordId, reference: EvidenceRef) -> StoredApproval {
    let (roles, four_eyes, state, not_before, expires) = match &ask.want {
        Want::Approval { roles, four_eyes } => {
            let expires = ask.now.plus(APPROVAL_LIFE).min(ask.grant.deadline);
            (
                roles.clone(),
                *four_eyes,
                ApprovalState::Pending,
                ask.now,
                expires,
            )
        }
        Want::Wait { until } => {
            let expires = until.plus(WAIT_LIFE);
            (
                BTreeSet::new(),
                false,
                ApprovalState::Approved,
                *until,
                expires,
            )
        }
    };
    StoredApproval {
        id,
        binding: ask.binding,
        task: ask.grant.task,
        agent: ask.grant.agent,
        of_task: matches!(ask.want, Want::Approval { .. }),
        state,
        asked: Asked {
            action: ask.action.clone(),
            purpose: ask.grant.purpose.clone(),
            requester: ask.grant.requester.clone(),
            owner: ask.owner.clone(),
            roles,
            four_eyes,
            rules: ask.rules.iter().cloned().collect(),
            card: ask.card_digest,
            record,
            evidence: Some((reference.day.to_string(), reference.digest)),
            memory: ask.memory.clone(),
        },
        given: BTreeMap::new(),
        not_before,
        expires,
    }
}

fn unavailable(fault: &dyn std::fmt::Display) -> AskError {
    tracing::error!(%fault, "approvals cannot be kept");
    AskError::Unavailable
}

fn status(approval: &StoredApproval) -> Status {
    Status {
        id: approval.id,
        state: approval.state,
        not_before: (!approval.of_task).then_some(approval.not_before),
        expires: approval.expires,
    }
}

fn event(approval: &StoredApproval, step: ApprovalStep, by: Actor) -> writ_audit::Approval {
    writ_audit::Approval {
        approval: approval.id,
        step,
        call: None,
        task: approval.task,
        agent: approval.agent,
        action: approval.asked.action.clone(),
        roles: approval.asked.roles.clone(),
        by,
        binding: approval.binding,
        card: approval.asked.card,
        expires: approval.expires,
        evidence: None,
    }
}
