//! Changes that take two people, from their proposal on, and the trust roots that were approved.
//!
//! Each change of state is one statement that names the state before, so that of two that race one wins.

use std::collections::BTreeMap;

use writ_types::{ChangeId, Digest, OperatorId, Tenant, Timestamp};

use crate::database::PAGE;
use crate::fields::{instant_column, instant_of, parsed};
use crate::{Store, StoreError};

/// A proposed change, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChange {
    /// Which.
    pub id: ChangeId,
    /// Who proposed it.
    pub author: OperatorId,
    /// What kind of change it is: `operator.add`.
    pub kind: String,
    /// To what.
    pub target: String,
    /// What exactly, as it was asked for.
    pub body: String,
    /// How far it has come: `waiting`, `approved`, `refused`.
    pub state: String,
    /// When it was proposed.
    pub proposed: Timestamp,
    /// Until when it can be approved, not included.
    pub expires: Timestamp,
    /// Who approved or refused it.
    pub decided_by: Option<OperatorId>,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<String>,
);

const WHAT: &str = "change";
const PUT: &str = "INSERT INTO changes
    (tenant, change, author, kind, target, body, state, proposed, expires)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', ?7, ?8)";
const BY_ID: &str =
    "SELECT change, author, kind, target, body, state, proposed, expires, decided_by
    FROM changes WHERE tenant = ?1 AND change = ?2";
const PAGE_AFTER: &str =
    "SELECT change, author, kind, target, body, state, proposed, expires, decided_by
    FROM changes WHERE tenant = ?1 AND change > ?2 ORDER BY change LIMIT ?3";
const OPEN: &str = "SELECT count(*) FROM changes
    WHERE tenant = ?1 AND author = ?2 AND state = 'waiting' AND expires > ?3";
const DECIDE: &str = "UPDATE changes SET state = ?3, decided_by = ?4
    WHERE tenant = ?1 AND change = ?2 AND state = 'waiting' AND expires > ?5";
const FORGET: &str = "DELETE FROM changes WHERE tenant = ?1 AND expires < ?2";

const ROOTS: &str = "SELECT name, digest FROM trust_roots WHERE tenant = ?1";
const CLEAR_ROOTS: &str = "DELETE FROM trust_roots WHERE tenant = ?1";
const PUT_ROOT: &str = "INSERT INTO trust_roots (tenant, name, digest) VALUES (?1, ?2, ?3)";

impl Store {
    /// Stores a change that was proposed. It waits.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the id is taken; the database fails.
    pub async fn put_change(
        &self,
        tenant: &Tenant,
        change: &StoredChange,
    ) -> Result<(), StoreError> {
        sqlx::query(PUT)
            .bind(tenant.as_str())
            .bind(change.id.to_string())
            .bind(change.author.to_string())
            .bind(change.kind.as_str())
            .bind(change.target.as_str())
            .bind(change.body.as_str())
            .bind(instant_column(change.proposed)?)
            .bind(instant_column(change.expires)?)
            .execute(self.writer())
            .await
            .map_err(StoreError::inserting(WHAT))?;
        Ok(())
    }

    /// One change.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn change_proposed(
        &self,
        tenant: &Tenant,
        id: ChangeId,
    ) -> Result<Option<StoredChange>, StoreError> {
        let row: Option<Row> = sqlx::query_as(BY_ID)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.map(stored).transpose()
    }

    /// At most 1,000 changes in the order of their ids, which is that of their proposal, those after `after`.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn changes_proposed(
        &self,
        tenant: &Tenant,
        after: Option<ChangeId>,
    ) -> Result<Vec<StoredChange>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(PAGE_AFTER)
            .bind(tenant.as_str())
            .bind(after.map(|after| after.to_string()).unwrap_or_default())
            .bind(PAGE)
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(stored).collect()
    }

    /// How many changes of an author wait.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn changes_waiting(
        &self,
        tenant: &Tenant,
        author: OperatorId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (count,): (i64,) = sqlx::query_as(OPEN)
            .bind(tenant.as_str())
            .bind(author.to_string())
            .bind(instant_column(now)?)
            .fetch_one(self.readers())
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Approves or refuses a change that waits: of two that race one wins.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if it does not wait any more.
    pub async fn decide_change(
        &self,
        tenant: &Tenant,
        id: ChangeId,
        state: &'static str,
        by: OperatorId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let decided = sqlx::query(DECIDE)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(state)
            .bind(by.to_string())
            .bind(instant_column(now)?)
            .execute(self.writer())
            .await?;
        if decided.rows_affected() == 1 {
            Ok(())
        } else {
            Err(StoreError::Missing(WHAT))
        }
    }

    /// Removes the changes that expired before an instant.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn forget_changes(
        &self,
        tenant: &Tenant,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(FORGET)
            .bind(tenant.as_str())
            .bind(instant_column(before)?)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// The trust roots that were approved: the digest of each voucher's settings, by name.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn trust_roots(
        &self,
        tenant: &Tenant,
    ) -> Result<BTreeMap<String, Digest>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(ROOTS)
            .bind(tenant.as_str())
            .fetch_all(self.readers())
            .await?;
        let root = |(name, digest): (String, String)| Ok((name, parsed("trust root", &digest)?));
        rows.into_iter().map(root).collect()
    }

    /// Replaces the trust roots that were approved, whole.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn put_trust_roots(
        &self,
        tenant: &Tenant,
        roots: &BTreeMap<String, Digest>,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query(CLEAR_ROOTS)
            .bind(tenant.as_str())
            .execute(&mut *change)
            .await?;
        for (name, digest) in roots {
            sqlx::query(PUT_ROOT)
                .bind(tenant.as_str())
                .bind(name.as_str())
                .bind(digest.to_string())
                .execute(&mut *change)
                .await?;
        }
        Ok(change.commit().await?)
    }
}

fn stored(
    (id, author, kind, target, body, state, proposed, expires, decided_by): Row,
) -> Result<StoredChange, StoreError> {
    Ok(StoredChange {
        id: parsed(WHAT, &id)?,
        author: parsed(WHAT, &author)?,
        kind,
        target,
        body,
        state,
        proposed: instant_of(WHAT, proposed)?,
        expires: instant_of(WHAT, expires)?,
        decided_by: decided_by.map(|id| parsed(WHAT, &id)).transpose()?,
    })
}
