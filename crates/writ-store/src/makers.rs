//! Who has brought whom along. Links are only ever added, and outlive both people: who was removed still stands between
//! whom they registered and who registered them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::SqliteConnection;
use writ_types::{OperatorId, Tenant};

use crate::fields::parsed;
use crate::{Store, StoreError};

const WHAT: &str = "maker of an operator";
// Who gave somebody the role they have stands with them; a later one takes its place.
const MAKERS: &str = "SELECT operator, maker FROM operator_makers WHERE tenant = ?1
    UNION SELECT operator, made_by FROM operators WHERE tenant = ?1 AND made_by IS NOT NULL";
const PUT: &str = "INSERT INTO operator_makers (tenant, operator, maker) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant, operator, maker) DO NOTHING";
const KEEP: &str = "INSERT INTO operator_makers (tenant, operator, maker)
    SELECT tenant, operator, made_by FROM operators
    WHERE tenant = ?1 AND operator = ?2 AND made_by IS NOT NULL
    ON CONFLICT (tenant, operator, maker) DO NOTHING";

impl Store {
    /// Of everybody who ever was an operator and whom somebody made: who registered or invited them, and who gave them their
    /// last role.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn operator_makers(
        &self,
        tenant: &Tenant,
    ) -> Result<BTreeMap<OperatorId, BTreeSet<OperatorId>>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(MAKERS)
            .bind(tenant.as_str())
            .fetch_all(self.readers())
            .await?;
        let mut makers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (operator, maker) in rows {
            let operator = parsed(WHAT, &operator)?;
            makers
                .entry(operator)
                .or_default()
                .insert(parsed(WHAT, &maker)?);
        }
        Ok(makers)
    }
}

/// Notes who registered or invited somebody.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    operator: OperatorId,
    maker: OperatorId,
) -> Result<(), StoreError> {
    sqlx::query(PUT)
        .bind(tenant.as_str())
        .bind(operator.to_string())
        .bind(maker.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps who gave somebody their role, before their row is removed.
pub(crate) async fn keep(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    operator: OperatorId,
) -> Result<(), StoreError> {
    sqlx::query(KEEP)
        .bind(tenant.as_str())
        .bind(operator.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
