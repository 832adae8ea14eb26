//! What a person has stopped. It outlives processes and revisions, until a person lets it go on.

use writ_types::{OperatorId, Stop, Tenant, Timestamp};

use crate::fields::{instant_column, instant_of, parsed};
use crate::{Store, StoreError};

/// Something that is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// What.
    pub stop: Stop,
    /// Of a credential, the newest version that is stopped; else 0.
    pub version: u32,
    /// Who stopped it.
    pub by: OperatorId,
    /// When.
    pub at: Timestamp,
}

const WHAT: &str = "what is stopped";
// Stopped again, it is stopped by who did it first, and as far as either wanted.
const PUT: &str =
    "INSERT INTO stops (tenant, kind, name, version, operator, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (tenant, kind, name) DO UPDATE SET version = max(version, excluded.version)";
const REMOVE: &str = "DELETE FROM stops WHERE tenant = ?1 AND kind = ?2 AND name = ?3";
const ALL: &str =
    "SELECT kind, name, version, operator, at FROM stops WHERE tenant = ?1 ORDER BY kind, name";

impl Store {
    /// Keeps that something is stopped.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn put_stop(&self, tenant: &Tenant, stopped: &Stopped) -> Result<(), StoreError> {
        sqlx::query(PUT)
            .bind(tenant.as_str())
            .bind(stopped.stop.kind())
            .bind(stopped.stop.name())
            .bind(i64::from(stopped.version))
            .bind(stopped.by.to_string())
            .bind(instant_column(stopped.at)?)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Forgets that something is stopped; `false` if it was not.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn remove_stop(&self, tenant: &Tenant, stop: &Stop) -> Result<bool, StoreError> {
        let removed = sqlx::query(REMOVE)
            .bind(tenant.as_str())
            .bind(stop.kind())
            .bind(stop.name())
            .execute(self.writer())
            .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Everything that is stopped. Operators stop one thing after another by name, so it is short.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn stops(&self, tenant: &Tenant) -> Result<Vec<Stopped>, StoreError> {
        let rows: Vec<(String, String, i64, String, i64)> = sqlx::query_as(ALL)
            .bind(tenant.as_str())
            .fetch_all(self.readers())
            .await?;
        let stopped = |(kind, name, version, by, at): (String, String, i64, String, i64)| {
            let unknown = || StoreError::damaged(WHAT, &"it is of no kind that is known");
            let stop = Stop::parse(&kind, &name).ok_or_else(unknown)?;
            Ok(Stopped {
                stop: stop.map_err(|fault| StoreError::damaged(WHAT, &fault))?,
                version: u32::try_from(version)
                    .map_err(|fault| StoreError::damaged(WHAT, &fault))?,
                by: parsed(WHAT, &by)?,
                at: instant_of(WHAT, at)?,
            })
        };
        rows.into_iter().map(stopped).collect()
    }
}
