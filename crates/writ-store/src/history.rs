//! What was in force before what is: the revisions back from the one in force, and what each changed.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use writ_types::{RevisionId, Tenant, Timestamp, Value};

use crate::fields::{self, instant_of, parsed};
use crate::{Revision, Store, StoreError};

/// How a part of a registry differs from that of the revision before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It was not there before.
    Added,
    /// It was another.
    Changed,
    /// It is not there any more.
    Removed,
}

impl Step {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// A part of a registry that a revision changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPart {
    /// What it is, as registries name their parts: `apis`, `contracts`, `live`, `agents`, `purposes`, `policies`.
    pub part: String,
    /// Its id or name.
    pub name: String,
    /// What happened to it.
    pub step: Step,
}

/// A revision that is or was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The revision.
    pub revision: Revision,
    /// What it has otherwise than the one it was made from; everything, of the first.
    pub changed: Vec<ChangedPart>,
}

const ROW: &str =
    "SELECT base, manifest, created FROM revisions WHERE tenant = ?1 AND revision = ?2";

/// The parts of a registry by the digests that they are stored under.
type Manifest = BTreeMap<String, BTreeMap<String, Value>>;

struct Row {
    base: Option<RevisionId>,
    manifest: Manifest,
    created: Timestamp,
}

impl Store {
    /// At most `most` revisions, the one in force first, then each that it was made from. A revision that was proposed and never
    /// came into force is none of them: none was made from it.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn history(&self, tenant: &Tenant, most: usize) -> Result<Vec<Past>, StoreError> {
        let mut past = Vec::new();
        let mut connection = self.readers().acquire().await?;
        let Some(active) = crate::revisions::active(&mut connection, tenant).await? else {
            return Ok(past);
        };
        let mut next = row(&mut connection, tenant, active.id)
            .await?
            .map(|row| (active.id, row));
        while let Some((id, this)) = next {
            if past.len() >= most {
                break;
            }
            // One that was cleared away ends the chain.
            let base = match this.base {
                None => None,
                Some(base) => row(&mut connection, tenant, base)
                    .await?
                    .map(|row| (base, row)),
            };
            let before = base.as_ref().map(|(_, row)| &row.manifest);
            past.push(Past {
                revision: Revision {
                    id,
                    base: this.base,
                    created: this.created,
                },
                changed: changed(before.unwrap_or(&Manifest::new()), &this.manifest),
            });
            next = base;
        }
        Ok(past)
    }
}

async fn row(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    id: RevisionId,
) -> Result<Option<Row>, StoreError> {
    let row: Option<(Option<String>, String, i64)> = sqlx::query_as(ROW)
        .bind(tenant.as_str())
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    let read = |(base, manifest, created): (Option<String>, String, i64)| {
        let base = base.as_deref().map(|base| parsed("revision", base));
        Ok(Row {
            base: base.transpose()?,
            manifest: manifest_of(&fields::value("revision", &manifest)?)?,
            created: instant_of("revision", created)?,
        })
    };
    row.map(read).transpose()
}

fn manifest_of(value: &Value) -> Result<Manifest, StoreError> {
    let wrong = || StoreError::damaged("revision", "its manifest names no parts");
    let parts = value.as_object().ok_or_else(wrong)?.iter();
    let part = |(part, named): (&String, &Value)| {
        let named = named.as_object().ok_or_else(wrong)?;
        Ok((part.clone(), named.clone()))
    };
    parts.map(part).collect()
}

fn changed(before: &Manifest, after: &Manifest) -> Vec<ChangedPart> {
    let flat = |manifest: &Manifest| -> BTreeMap<(String, String), Value> {
        let parts = manifest.iter();
        let named = parts.flat_map(|(part, named)| {
            let named = named.iter();
            named.map(|(name, digest)| ((part.clone(), name.clone()), digest.clone()))
        });
        named.collect()
    };
    let (before, after) = (flat(before), flat(after));
    let now = after.iter().filter_map(|(key, digest)| {
        let step = match before.get(key) {
            None => Step::Added,
            Some(earlier) if earlier != digest => Step::Changed,
            Some(_) => return None,
        };
        Some((key, step))
    });
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| (key, Step::Removed));
    let mut changed: Vec<_> = now.chain(gone).collect();
    changed.sort_by_key(|(key, _)| *key);
    let part = |((part, name), step): (&(String, String), Step)| ChangedPart {
        part: part.clone(),
        name: name.clone(),
        step,
    };
    changed.into_iter().map(part).collect()
}
