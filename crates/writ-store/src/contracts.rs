//! Contracts, as a revision names them: a document word for word, and what its owner reviewed.

use sqlx::SqliteConnection;
use writ_types::{Digest, Tenant};

use crate::StoreError;

/// An API's pinned document and its reviews. Immutable: another byte is another contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The document as it was imported.
    pub document: Vec<u8>,
    /// The reviewed effects and overlay, as JSON text; the contract compiler knows what it says.
    pub reviews: String,
}

const PUT: &str =
    "INSERT INTO contracts (tenant, digest, document, reviews) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (tenant, digest) DO NOTHING";
const BY_DIGEST: &str = "SELECT document, reviews FROM contracts WHERE tenant = ?1 AND digest = ?2";

impl Contract {
    /// The digest of document and reviews: the name it is stored under.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // The length comes first, so that no document can run into its reviews.
        let length = u64::try_from(self.document.len()).unwrap_or(u64::MAX);
        Digest::of_parts(&[
            b"writ stored contract v1\n",
            &length.to_be_bytes(),
            &self.document,
            self.reviews.as_bytes(),
        ])
    }
}

pub(crate) async fn put(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    contract: &Contract,
) -> Result<Digest, StoreError> {
    let digest = contract.digest();
    sqlx::query(PUT)
        .bind(tenant.as_str())
        .bind(digest.to_string())
        .bind(contract.document.as_slice())
        .bind(contract.reviews.as_str())
        .execute(connection)
        .await?;
    Ok(digest)
}

pub(crate) async fn by_digest(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    digest: &Digest,
) -> Result<Contract, StoreError> {
    let row: Option<(Vec<u8>, String)> = sqlx::query_as(BY_DIGEST)
        .bind(tenant.as_str())
        .bind(digest.to_string())
        .fetch_optional(connection)
        .await?;
    let (document, reviews) =
        row.ok_or_else(|| StoreError::damaged("contract", "it is missing"))?;
    let contract = Contract { document, reviews };
    if contract.digest() == *digest {
        Ok(contract)
    } else {
        Err(StoreError::damaged("contract", "its digest is another"))
    }
}
