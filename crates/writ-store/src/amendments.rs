//! What tasks hold since they were amended. The log says which of the rows count.

use std::collections::BTreeMap;

use writ_types::{ApprovalId, Grant, TaskId, Tenant, Timestamp};

use crate::approvals::{USE, WITHDRAW_AMENDMENTS};
use crate::fields::{instant_column, value};
use crate::{Store, StoreError, grants};

// A task that comes to hold again what it held has that row already.
const PUT: &str = "INSERT INTO amendments (tenant, task, digest, granted) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (tenant, task, digest) DO NOTHING";
// The latest deadline that the task may have by any of its grants: which of them counts is not known here.
const EXTEND: &str = "UPDATE tasks SET deadline = max(deadline, ?3) WHERE tenant = ?1 AND task = ?2 AND ended IS NULL";
const OF_TASK: &str =
    "SELECT granted FROM amendments WHERE tenant = ?1 AND task = ?2 ORDER BY digest";
const LIVE: &str = "SELECT a.task, a.granted FROM amendments a
    JOIN tasks t ON t.tenant = a.tenant AND t.task = a.task
    JOIN tasks r ON r.tenant = t.tenant AND r.task = t.root
    WHERE a.tenant = ?1 AND r.ended IS NULL AND r.deadline > ?2 ORDER BY a.task, a.digest";

impl Store {
    /// Uses up the approval that a task's amendment rests on, if it rests on one, keeps what the task is to hold, and withdraws
    /// what else was asked for it, all in one step; `false`, and nothing is changed, if the approval is not good any more or
    /// the task is over.
    ///
    /// # Errors
    ///
    /// The database fails; nothing is changed then.
    pub async fn amend_task(
        &self,
        grant: &Grant,
        approval: Option<ApprovalId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (tenant, task) = (grant.tenant.as_str(), grant.task.to_string());
        let mut change = self.change().await?;
        if let Some(approval) = approval {
            let used = sqlx::query(USE)
                .bind(tenant)
                .bind(approval.to_string())
                .bind(instant_column(now)?)
                .execute(&mut *change)
                .await?;
            if used.rows_affected() != 1 {
                return Ok(false);
            }
        }
        let extended = sqlx::query(EXTEND)
            .bind(tenant)
            .bind(&task)
            .bind(instant_column(grant.deadline)?)
            .execute(&mut *change)
            .await?;
        if extended.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(PUT)
            .bind(tenant)
            .bind(&task)
            .bind(grant.digest().to_string())
            .bind(grants::to_value(grant).to_string())
            .execute(&mut *change)
            .await?;
        sqlx::query(WITHDRAW_AMENDMENTS)
            .bind(tenant)
            .bind(&task)
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(true)
    }

    /// Everything that a task may have come to hold, live or over.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn amendments(
        &self,
        tenant: &Tenant,
        task: TaskId,
    ) -> Result<Vec<Grant>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(OF_TASK)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .fetch_all(self.readers())
            .await?;
        let grant = |(granted,): &(String,)| grants::from_value(&value("grant", granted)?);
        rows.iter().map(grant).collect()
    }

    /// Everything that the tasks of live trees may have come to hold; the same trees as [`Store::live_tasks`].
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn live_amendments(
        &self,
        tenant: &Tenant,
        now: Timestamp,
    ) -> Result<BTreeMap<TaskId, Vec<Grant>>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(LIVE)
            .bind(tenant.as_str())
            .bind(instant_column(now)?)
            .fetch_all(self.readers())
            .await?;
        let mut amendments: BTreeMap<TaskId, Vec<Grant>> = BTreeMap::new();
        for (task, granted) in rows {
            let grant = grants::from_value(&value("grant", &granted)?)?;
            if grant.tenant != *tenant || grant.task.to_string() != task {
                return Err(StoreError::damaged("grant", "it belongs to another task"));
            }
            amendments.entry(grant.task).or_default().push(grant);
        }
        Ok(amendments)
    }
}
