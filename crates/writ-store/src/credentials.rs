//! Credentials: sealed versions, written once. What is read back is ciphertext.

use writ_types::{CredentialName, Tenant, Timestamp};

use crate::database::PAGE;
use crate::fields::{instant_column, instant_of, parsed};
use crate::{Sealed, Store, StoreError};

/// One version of a credential, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialVersion {
    /// The credential.
    pub name: CredentialName,
    /// Its newest version.
    pub version: u32,
    /// When that was stored.
    pub created: Timestamp,
    /// Whether its value was forgotten.
    pub forgotten: bool,
}

const NEWEST: &str = "SELECT version, sealed FROM credentials WHERE tenant = ?1 AND name = ?2
    ORDER BY version DESC LIMIT 1";
const VERSION: &str =
    "SELECT coalesce(max(version), 0) FROM credentials WHERE tenant = ?1 AND name = ?2";
const PUT: &str =
    "INSERT INTO credentials (tenant, name, version, sealed, created) VALUES (?1, ?2, ?3, ?4, ?5)";
const FORGET: &str = "UPDATE credentials SET sealed = NULL WHERE tenant = ?1 AND name = ?2";
const PAGE_AFTER: &str = "SELECT name, max(version), created, sealed IS NULL FROM credentials
    WHERE tenant = ?1 AND name > ?2 GROUP BY name ORDER BY name LIMIT ?3";

impl Store {
    /// The version that the next value of a credential is sealed for and stored as; the first is 1.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn next_credential_version(
        &self,
        tenant: &Tenant,
        name: &CredentialName,
    ) -> Result<u32, StoreError> {
        let (newest,): (i64,) = sqlx::query_as(VERSION)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_one(self.readers())
            .await?;
        let newest = version("credential", newest)?;
        newest
            .checked_add(1)
            .ok_or(StoreError::TooLarge("a version"))
    }

    /// Stores the next version of a credential; older ones stay, so that calls in flight can finish.
    ///
    /// # Errors
    ///
    /// [`StoreError::CredentialVersion`] if `version` is not the next one: someone was faster.
    pub async fn put_credential(
        &self,
        tenant: &Tenant,
        name: &CredentialName,
        version: u32,
        sealed: &Sealed,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let (newest,): (i64,) = sqlx::query_as(VERSION)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_one(&mut *change)
            .await?;
        if newest.checked_add(1) != Some(i64::from(version)) {
            let name = name.clone();
            return Err(StoreError::CredentialVersion { name, version });
        }
        sqlx::query(PUT)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(i64::from(version))
            .bind(sealed.as_bytes())
            .bind(instant_column(now)?)
            .execute(&mut *change)
            .await?;
        Ok(change.commit().await?)
    }

    /// The newest version of a credential, sealed; none if there is none or it was forgotten.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn sealed(
        &self,
        tenant: &Tenant,
        name: &CredentialName,
    ) -> Result<Option<(u32, Sealed)>, StoreError> {
        let row: Option<(i64, Option<Vec<u8>>)> = sqlx::query_as(NEWEST)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(self.readers())
            .await?;
        let Some((number, Some(sealed))) = row else {
            return Ok(None);
        };
        Ok(Some((
            version("credential", number)?,
            Sealed::from_bytes(sealed),
        )))
    }

    /// Forgets every version of a credential. Their numbers stay taken.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such credential.
    pub async fn forget_credential(
        &self,
        tenant: &Tenant,
        name: &CredentialName,
    ) -> Result<(), StoreError> {
        let forgotten = sqlx::query(FORGET)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .execute(self.writer())
            .await?;
        if forgotten.rows_affected() == 0 {
            Err(StoreError::Missing("credential"))
        } else {
            Ok(())
        }
    }

    /// At most 1,000 credentials in the order of their names, those after `after`.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn credentials(
        &self,
        tenant: &Tenant,
        after: Option<&CredentialName>,
    ) -> Result<Vec<CredentialVersion>, StoreError> {
        let rows: Vec<(String, i64, i64, bool)> = sqlx::query_as(PAGE_AFTER)
            .bind(tenant.as_str())
            .bind(after.map_or("", CredentialName::as_str))
            .bind(PAGE)
            .fetch_all(self.readers())
            .await?;
        let credential = |(name, number, created, forgotten): (String, i64, i64, bool)| {
            Ok(CredentialVersion {
                name: parsed("credential", &name)?,
                version: version("credential", number)?,
                created: instant_of("credential", created)?,
                forgotten,
            })
        };
        rows.into_iter().map(credential).collect()
    }
}

fn version(what: &'static str, number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|fault| StoreError::damaged(what, &fault))
}
