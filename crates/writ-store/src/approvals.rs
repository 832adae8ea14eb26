//! Approvals and waits: what was asked for, who gave what, and what people have said no to.
//!
//! Each change of state is one statement that names the state before, so that of two that race one wins.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{
    ActionName, AgentId, ApprovalId, ApprovalState, Digest, KeyedDigest, OperatorId, OwnerName,
    PurposeName, RecordId, Requester, TaskId, Tenant, Timestamp, Value,
};

use crate::database::PAGE;
use crate::fields::{Fields, instant_column, instant_of, parsed, texts, value};
use crate::{Store, StoreError};

/// An approval, or a wait, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApproval {
    /// Which.
    pub id: ApprovalId,
    /// The commitment to the one call it is for.
    pub binding: KeyedDigest,
    /// The task that asked.
    pub task: TaskId,
    /// Its agent.
    pub agent: AgentId,
    /// Whether it dies with the task.
    pub of_task: bool,
    /// How far it has come.
    pub state: ApprovalState,
    /// What was asked for.
    pub asked: Asked,
    /// Who gave which role.
    pub given: BTreeMap<String, OperatorId>,
    /// From when on it can be used.
    pub not_before: Timestamp,
    /// Until when, not included.
    pub expires: Timestamp,
}

/// What was asked for. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The action.
    pub action: ActionName,
    /// What the task is for.
    pub purpose: PurposeName,
    /// The user the agent acts for, if any.
    pub requester: Option<Requester>,
    /// Who answers for the agent.
    pub owner: OwnerName,
    /// The roles that must say yes; none for a wait.
    pub roles: BTreeSet<String>,
    /// Whether the requester is nobody to ask.
    pub four_eyes: bool,
    /// The rules that decided.
    pub rules: BTreeSet<String>,
    /// The digest of the card.
    pub card: Digest,
    /// The record of the asking, under whose id the card is in the vault.
    pub record: RecordId,
    /// The day of the vault and the digest of what lies there.
    pub evidence: Option<(String, Digest)>,
    /// The commitments to requester, resource and effect, one for each resource.
    pub memory: Vec<KeyedDigest>,
}

type Row = (
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    String,
    i64,
    i64,
);

const WHAT: &str = "approval";
const PUT: &str = "INSERT INTO approvals
    (tenant, approval, binding, task, agent, of_task, state, asked, given, not_before, expires)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const BY_ID: &str =
    "SELECT approval, binding, task, agent, of_task, state, asked, given, not_before, expires
    FROM approvals WHERE tenant = ?1 AND approval = ?2";
const STANDING: &str = "SELECT approval, binding, task, agent, of_task, state, asked, given, not_before, expires
    FROM approvals WHERE tenant = ?1 AND binding = ?2 AND expires > ?3 AND state IN ('pending', 'approved', 'denied')
    ORDER BY approval DESC LIMIT 1";
const PAGE_AFTER: &str =
    "SELECT approval, binding, task, agent, of_task, state, asked, given, not_before, expires
    FROM approvals WHERE tenant = ?1 AND approval > ?2 ORDER BY approval LIMIT ?3";
const OPEN_PAGE_AFTER: &str = "SELECT approval, binding, task, agent, of_task, state, asked, given, not_before, expires
    FROM approvals WHERE tenant = ?1 AND approval > ?2 AND state = 'pending' AND expires > ?4 ORDER BY approval LIMIT ?3";
const APPROVED: &str = "SELECT DISTINCT json_extract(asked, '$.action') FROM approvals
    WHERE tenant = ?1 AND task = ?2 AND state = 'used' AND of_task = 1
    AND json_extract(asked, '$.action') <> 'writ:amendTask'";
const OPEN_OF_TASK: &str = "SELECT count(*) FROM approvals
    WHERE tenant = ?1 AND task = ?2 AND state IN ('pending', 'approved') AND expires > ?3";
const OPEN_OF_AGENT: &str = "SELECT count(*) FROM approvals
    WHERE tenant = ?1 AND agent = ?2 AND state IN ('pending', 'approved') AND expires > ?3";
const GIVE: &str = "UPDATE approvals SET given = ?3, state = ?4
    WHERE tenant = ?1 AND approval = ?2 AND state = 'pending' AND expires > ?5";
const DENY: &str = "UPDATE approvals SET state = 'denied'
    WHERE tenant = ?1 AND approval = ?2 AND state IN ('pending', 'approved') AND expires > ?3";
pub(crate) const USE: &str = "UPDATE approvals SET state = 'used'
    WHERE tenant = ?1 AND approval = ?2 AND state = 'approved' AND not_before <= ?3 AND expires > ?3";
pub(crate) const WITHDRAW: &str = "UPDATE approvals SET state = 'withdrawn'
    WHERE tenant = ?1 AND task = ?2 AND state IN ('pending', 'approved') AND of_task = 1";
// What was asked for a task that holds something else by now, or that was asked for instead.
pub(crate) const WITHDRAW_AMENDMENTS: &str = "UPDATE approvals SET state = 'withdrawn'
    WHERE tenant = ?1 AND task = ?2 AND state IN ('pending', 'approved') AND of_task = 1
    AND json_extract(asked, '$.action') = 'writ:amendTask'";
const OPEN_AMENDMENT: &str = "SELECT approval, binding, task, agent, of_task, state, asked, given, not_before, expires
    FROM approvals WHERE tenant = ?1 AND task = ?2 AND state IN ('pending', 'approved') AND of_task = 1
    AND json_extract(asked, '$.action') = 'writ:amendTask' AND expires > ?3 ORDER BY approval DESC LIMIT 1";
// What was used counts as long as its task lives.
const FORGET: &str = "DELETE FROM approvals WHERE tenant = ?1 AND expires < ?2 AND NOT (state = 'used' AND EXISTS
    (SELECT 1 FROM tasks WHERE tasks.tenant = ?1 AND tasks.task = approvals.task AND tasks.ended IS NULL AND tasks.deadline >= ?2))";
const REMEMBER: &str = "INSERT INTO refusals (tenant, memory, approval, until) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (tenant, memory) DO UPDATE SET approval = excluded.approval, until = excluded.until";
const REMEMBERED: &str = "SELECT memory, until FROM refusals WHERE tenant = ?1 AND until > ?2";
const EXPIRE_MEMORY: &str = "DELETE FROM refusals WHERE tenant = ?1 AND until <= ?2";

impl Store {
    /// Stores an approval that was asked for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the id is taken; the database fails.
    pub async fn put_approval(
        &self,
        tenant: &Tenant,
        approval: &StoredApproval,
    ) -> Result<(), StoreError> {
        sqlx::query(PUT)
            .bind(tenant.as_str())
            .bind(approval.id.to_string())
            .bind(approval.binding.to_string())
            .bind(approval.task.to_string())
            .bind(approval.agent.to_string())
            .bind(i64::from(approval.of_task))
            .bind(approval.state.as_str())
            .bind(asked_to_value(&approval.asked).to_string())
            .bind(given_to_value(&approval.given).to_string())
            .bind(instant_column(approval.not_before)?)
            .bind(instant_column(approval.expires)?)
            .execute(self.writer())
            .await
            .map_err(StoreError::inserting("approval"))?;
        Ok(())
    }

    /// One approval.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn approval(
        &self,
        tenant: &Tenant,
        id: ApprovalId,
    ) -> Result<Option<StoredApproval>, StoreError> {
        let row: Option<Row> = sqlx::query_as(BY_ID)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.map(stored).transpose()
    }

    /// The newest for the very call that `binding` commits to which is neither used, withdrawn nor expired.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn approval_standing(
        &self,
        tenant: &Tenant,
        binding: &KeyedDigest,
        now: Timestamp,
    ) -> Result<Option<StoredApproval>, StoreError> {
        let row: Option<Row> = sqlx::query_as(STANDING)
            .bind(tenant.as_str())
            .bind(binding.to_string())
            .bind(instant_column(now)?)
            .fetch_optional(self.readers())
            .await?;
        row.map(stored).transpose()
    }

    /// The amendment of a task that waits for an answer or was approved and not used.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn open_amendment(
        &self,
        tenant: &Tenant,
        task: TaskId,
        now: Timestamp,
    ) -> Result<Option<StoredApproval>, StoreError> {
        let row: Option<Row> = sqlx::query_as(OPEN_AMENDMENT)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .bind(instant_column(now)?)
            .fetch_optional(self.readers())
            .await?;
        row.map(stored).transpose()
    }

    /// Withdraws what was asked for a task to hold and was not used.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn withdraw_amendments(
        &self,
        tenant: &Tenant,
        task: TaskId,
    ) -> Result<(), StoreError> {
        sqlx::query(WITHDRAW_AMENDMENTS)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// At most 1,000 in the order of their ids, which is that of their asking, those after `after`: all, or only those that
    /// wait for an answer at `open`.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn approvals(
        &self,
        tenant: &Tenant,
        after: Option<ApprovalId>,
        open: Option<Timestamp>,
    ) -> Result<Vec<StoredApproval>, StoreError> {
        let query = match open {
            Some(now) => sqlx::query_as(OPEN_PAGE_AFTER)
                .bind(tenant.as_str())
                .bind(after.map(|after| after.to_string()).unwrap_or_default())
                .bind(PAGE)
                .bind(instant_column(now)?),
            None => sqlx::query_as(PAGE_AFTER)
                .bind(tenant.as_str())
                .bind(after.map(|after| after.to_string()).unwrap_or_default())
                .bind(PAGE),
        };
        let rows: Vec<Row> = query.fetch_all(self.readers()).await?;
        rows.into_iter().map(stored).collect()
    }

    /// The actions for which an approval of this task was used.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn approved(
        &self,
        tenant: &Tenant,
        task: TaskId,
    ) -> Result<BTreeSet<ActionName>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(APPROVED)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|(action,)| parsed(WHAT, action)).collect()
    }

    /// How many of a task, and of an agent, are neither answered with a no, used, withdrawn nor expired.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn open_approvals(
        &self,
        tenant: &Tenant,
        task: TaskId,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        let (of_task,): (i64,) = sqlx::query_as(OPEN_OF_TASK)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .bind(instant_column(now)?)
            .fetch_one(self.readers())
            .await?;
        let (of_agent,): (i64,) = sqlx::query_as(OPEN_OF_AGENT)
            .bind(tenant.as_str())
            .bind(agent.to_string())
            .bind(instant_column(now)?)
            .fetch_one(self.readers())
            .await?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok((count(of_task), count(of_agent)))
    }

    /// Notes who gave what, and whether that is all; `false` if it waits for no answer any more.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn give_approval(
        &self,
        tenant: &Tenant,
        id: ApprovalId,
        given: &BTreeMap<String, OperatorId>,
        state: ApprovalState,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = sqlx::query(GIVE)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(given_to_value(given).to_string())
            .bind(state.as_str())
            .bind(instant_column(now)?)
            .execute(self.writer())
            .await?;
        Ok(changed.rows_affected() == 1)
    }

    /// Notes a no, and remembers what it was about until `until` if that is given; `false` if it cannot be refused any more.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn deny_approval(
        &self,
        tenant: &Tenant,
        id: ApprovalId,
        memory: Option<(&[KeyedDigest], Timestamp)>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let denied = sqlx::query(DENY)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(instant_column(now)?)
            .execute(&mut *change)
            .await?;
        if denied.rows_affected() != 1 {
            return Ok(false);
        }
        if let Some((memories, until)) = memory {
            for memory in memories {
                sqlx::query(REMEMBER)
                    .bind(tenant.as_str())
                    .bind(memory.to_string())
                    .bind(id.to_string())
                    .bind(instant_column(until)?)
                    .execute(&mut *change)
                    .await?;
            }
        }
        change.commit().await?;
        Ok(true)
    }

    /// Uses up all of them, or none; `false` if one of them is not good any more.
    ///
    /// # Errors
    ///
    /// The database fails; none is used then.
    pub async fn use_approvals(
        &self,
        tenant: &Tenant,
        ids: &[ApprovalId],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        for id in ids {
            let used = sqlx::query(USE)
                .bind(tenant.as_str())
                .bind(id.to_string())
                .bind(instant_column(now)?)
                .execute(&mut *change)
                .await?;
            if used.rows_affected() != 1 {
                return Ok(false);
            }
        }
        change.commit().await?;
        Ok(true)
    }

    /// What people have said no to, and until when that holds.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn refusals(
        &self,
        tenant: &Tenant,
        now: Timestamp,
    ) -> Result<BTreeMap<KeyedDigest, Timestamp>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(REMEMBERED)
            .bind(tenant.as_str())
            .bind(instant_column(now)?)
            .fetch_all(self.readers())
            .await?;
        rows.into_iter()
            .map(|(memory, until)| Ok((parsed("refusal", &memory)?, instant_of("refusal", until)?)))
            .collect()
    }

    /// Removes what expired before `before`, and refusals that are over at `now`. The log keeps what they were.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn forget_approvals(
        &self,
        tenant: &Tenant,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (statement, instant) in [(FORGET, before), (EXPIRE_MEMORY, now)] {
            sqlx::query(statement)
                .bind(tenant.as_str())
                .bind(instant_column(instant)?)
                .execute(self.writer())
                .await?;
        }
        Ok(())
    }
}

fn asked_to_value(asked: &Asked) -> Value {
    let requester = asked.requester.as_ref().map(|requester| {
        let members = [
            ("issuer", Value::from(requester.issuer.as_str())),
            ("subject", Value::from(requester.subject.as_str())),
        ];
        ("requester", Value::object(members))
    });
    let evidence = asked.evidence.as_ref().map(|(day, digest)| {
        let members = [
            ("day", Value::from(day.as_str())),
            ("digest", Value::from(digest.to_string())),
        ];
        ("evidence", Value::object(members))
    });
    let memory: Vec<String> = asked.memory.iter().map(ToString::to_string).collect();
    let members = [
        ("action", Value::from(asked.action.to_string())),
        ("purpose", Value::from(asked.purpose.as_str())),
        ("owner", Value::from(asked.owner.as_str())),
        ("roles", texts(&asked.roles)),
        ("four_eyes", Value::from(asked.four_eyes)),
        ("rules", texts(&asked.rules)),
        ("card", Value::from(asked.card.to_string())),
        ("record", Value::from(asked.record.to_string())),
        ("memory", Value::from(memory.join(" "))),
    ];
    Value::object(members.into_iter().chain(requester).chain(evidence))
}

fn asked_from_value(value: &Value) -> Result<Asked, StoreError> {
    let known = [
        "action",
        "purpose",
        "owner",
        "roles",
        "four_eyes",
        "rules",
        "card",
        "record",
        "memory",
        "requester",
        "evidence",
    ];
    let fields = Fields::of(WHAT, value, &known)?;
    let requester = fields.optional("requester").map(|value| {
        let fields = Fields::of(WHAT, value, &["issuer", "subject"])?;
        Ok::<_, StoreError>(Requester {
            issuer: fields.text("issuer")?.to_owned(),
            subject: fields.text("subject")?.to_owned(),
        })
    });
    let evidence = fields.optional("evidence").map(|value| {
        let fields = Fields::of(WHAT, value, &["day", "digest"])?;
        Ok::<_, StoreError>((fields.text("day")?.to_owned(), fields.parsed("digest")?))
    });
    Ok(Asked {
        action: fields.parsed("action")?,
        purpose: fields.parsed("purpose")?,
        requester: requester.transpose()?,
        owner: fields.parsed("owner")?,
        roles: fields.set("roles")?,
        four_eyes: fields.flag("four_eyes")?,
        rules: fields.set("rules")?,
        card: fields.parsed("card")?,
        record: fields.parsed("record")?,
        evidence: evidence.transpose()?,
        memory: fields
            .text("memory")?
            .split(' ')
            .map(|memory| parsed(WHAT, memory))
            .collect::<Result<_, _>>()?,
    })
}

fn given_to_value(given: &BTreeMap<String, OperatorId>) -> Value {
    let given = given
        .iter()
        .map(|(role, operator)| (role.clone(), Value::from(operator.to_string())));
    Value::object(given)
}

fn given_from_value(value: &Value) -> Result<BTreeMap<String, OperatorId>, StoreError> {
    let damaged = || StoreError::damaged(WHAT, "`given` does not read");
    let members = value.as_object().ok_or_else(damaged)?;
    members
        .iter()
        .map(|(role, operator)| {
            let operator = operator.as_str().ok_or_else(damaged)?;
            Ok((role.clone(), parsed(WHAT, operator)?))
        })
        .collect()
}

fn stored(
    (id, binding, task, agent, of_task, state, asked, given, not_before, expires): Row,
) -> Result<StoredApproval, StoreError> {
    Ok(StoredApproval {
        id: parsed(WHAT, &id)?,
        binding: parsed(WHAT, &binding)?,
        task: parsed(WHAT, &task)?,
        agent: parsed(WHAT, &agent)?,
        of_task: of_task != 0,
        state: parsed(WHAT, &state)?,
        asked: asked_from_value(&value(WHAT, &asked)?)?,
        given: given_from_value(&value(WHAT, &given)?)?,
        not_before: instant_of(WHAT, not_before)?,
        expires: instant_of(WHAT, expires)?,
    })
}
