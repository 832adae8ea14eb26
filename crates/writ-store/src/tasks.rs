//! Tasks: what was granted, how far the ledger had come, whether it is over.
//!
//! The log is the truth about what was spent; the snapshot here says from where in the log to read on.

use sqlx::SqliteConnection;
use writ_types::{Charge, Grant, TaskId, Tenant, Timestamp};

use crate::approvals::WITHDRAW;
use crate::database::PAGE;
use crate::fields::{column, instant_column, value};
use crate::{Store, StoreError, grants};

/// A task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTask {
    /// What was granted.
    pub grant: Grant,
    /// The word for why it is over; none while it lives.
    pub ended: Option<String>,
    /// What it had spent as of `log_index`.
    pub spent: Charge,
    /// The index in the log from where on `spent` knows nothing; none if the log has to be read from its beginning.
    pub log_index: Option<u64>,
}

type Row = (String, Option<String>, String, Option<i64>);

const PUT: &str =
    "INSERT INTO tasks (tenant, task, root, granted, deadline, ended, spent, log_index)
    VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7)";
const ROOT: &str = "SELECT root FROM tasks WHERE tenant = ?1 AND task = ?2";
// The first ending stays: what killed a task is not overwritten by its being closed later.
const END: &str = "UPDATE tasks SET ended = ?3 WHERE tenant = ?1 AND task = ?2 AND ended IS NULL";
// A snapshot never goes back.
const SNAPSHOT: &str = "UPDATE tasks SET spent = ?3, log_index = ?4
    WHERE tenant = ?1 AND task = ?2 AND coalesce(log_index, 0) <= ?4";
const BY_ID: &str =
    "SELECT granted, ended, spent, log_index FROM tasks WHERE tenant = ?1 AND task = ?2";
const EXISTS: &str = "SELECT count(*) FROM tasks WHERE tenant = ?1 AND task = ?2";
const PAGE_AFTER: &str = "SELECT granted, ended, spent, log_index FROM tasks
    WHERE tenant = ?1 AND task > ?2 ORDER BY task LIMIT ?3";
const LIVE_AFTER: &str = "SELECT t.granted, t.ended, t.spent, t.log_index
    FROM tasks t JOIN tasks r ON r.tenant = t.tenant AND r.task = t.root
    WHERE t.tenant = ?1 AND t.task > ?2 AND r.ended IS NULL AND r.deadline > ?4 ORDER BY t.task LIMIT ?3";

impl Store {
    /// Stores a task that was opened, and the log index of its opening where that is known. Its parent, if it has one,
    /// is stored already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the id is taken, [`StoreError::Missing`] if the parent is not there.
    pub async fn put_task(&self, grant: &Grant, log_index: Option<u64>) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let root = match grant.parent {
            Some(parent) => root(&mut change, &grant.tenant, parent).await?,
            None => grant.task.to_string(),
        };
        let index = log_index.map(|index| column("a log index", index));
        sqlx::query(PUT)
            .bind(grant.tenant.as_str())
            .bind(grant.task.to_string())
            .bind(root)
            .bind(grants::to_value(grant).to_string())
            .bind(instant_column(grant.deadline)?)
            .bind(grants::charge_to_value(Charge::default()).to_string())
            .bind(index.transpose()?)
            .execute(&mut *change)
            .await
            .map_err(StoreError::inserting("task"))?;
        Ok(change.commit().await?)
    }

    /// Notes that a task is over. The first reason stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such task.
    pub async fn end_task(
        &self,
        tenant: &Tenant,
        task: TaskId,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let (known,): (i64,) = sqlx::query_as(EXISTS)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .fetch_one(&mut *change)
            .await?;
        if known == 0 {
            return Err(StoreError::Missing("task"));
        }
        sqlx::query(END)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .bind(why)
            .execute(&mut *change)
            .await?;
        // What was asked for it dies with it, in the same step.
        sqlx::query(WITHDRAW)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .execute(&mut *change)
            .await?;
        Ok(change.commit().await?)
    }

    /// Notes what a task had spent as of `log_index`. An older snapshot than the one there changes nothing.
    ///
    /// # Errors
    ///
    /// The database fails, or the index is beyond what it can hold.
    pub async fn snapshot_task(
        &self,
        tenant: &Tenant,
        task: TaskId,
        spent: Charge,
        log_index: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(SNAPSHOT)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .bind(grants::charge_to_value(spent).to_string())
            .bind(column("a log index", log_index)?)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// One task, live or over.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn task(
        &self,
        tenant: &Tenant,
        task: TaskId,
    ) -> Result<Option<StoredTask>, StoreError> {
        let row: Option<Row> = sqlx::query_as(BY_ID)
            .bind(tenant.as_str())
            .bind(task.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| stored(tenant, row)).transpose()
    }

    /// At most 1,000 tasks in the order of their ids, which is that of their opening, those after `after`.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn tasks(
        &self,
        tenant: &Tenant,
        after: Option<TaskId>,
    ) -> Result<Vec<StoredTask>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(PAGE_AFTER)
            .bind(tenant.as_str())
            .bind(key(after))
            .bind(PAGE)
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(|row| stored(tenant, row)).collect()
    }

    /// The same for the tasks of live trees, which are those to put back after a restart: the root is not over and its
    /// deadline has not passed. Sub-tasks that are over are among them, because what they spent is spent in the tasks
    /// above them; [`StoredTask::ended`] tells.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn live_tasks(
        &self,
        tenant: &Tenant,
        after: Option<TaskId>,
        now: Timestamp,
    ) -> Result<Vec<StoredTask>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(LIVE_AFTER)
            .bind(tenant.as_str())
            .bind(key(after))
            .bind(PAGE)
            .bind(instant_column(now)?)
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(|row| stored(tenant, row)).collect()
    }
}

async fn root(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    parent: TaskId,
) -> Result<String, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(ROOT)
        .bind(tenant.as_str())
        .bind(parent.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(|(root,)| root)
        .ok_or(StoreError::Missing("parent task"))
}

fn key(after: Option<TaskId>) -> String {
    after.map(|after| after.to_string()).unwrap_or_default()
}

fn stored(
    tenant: &Tenant,
    (granted, ended, spent, log_index): Row,
) -> Result<StoredTask, StoreError> {
    let grant = grants::from_value(&value("grant", &granted)?)?;
    if grant.tenant != *tenant {
        return Err(StoreError::damaged("grant", "it belongs to another tenant"));
    }
    let log_index = log_index.map(u64::try_from).transpose();
    Ok(StoredTask {
        grant,
        ended,
        spent: grants::charge_from_value(&value("task", &spent)?)?,
        log_index: log_index.map_err(|fault| StoreError::damaged("task", &fault))?,
    })
}
