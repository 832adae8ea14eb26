//! Operators, their sessions, and the token that lets the first of them in.
//!
//! Tokens are drawn by the caller, shown once, and kept here as digests: whoever reads the store cannot sign in.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sqlx::SqliteConnection;
use writ_types::{Digest, OperatorId, Requester, Tenant, Timestamp, Value};

use crate::database::PAGE;
use crate::fields::{Fields, instant_column, instant_of, parsed, texts, value};
use crate::{Store, StoreError};

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Everything, operators included.
    Admin,
    /// Change the registry, and open and kill tasks.
    Operator,
    /// Look.
    Viewer,
}

impl Role {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "admin" => Ok(Self::Admin),
            "operator" => Ok(Self::Operator),
            "viewer" => Ok(Self::Viewer),
            _ => Err("a role is `admin`, `operator` or `viewer`"),
        }
    }
}

/// A person who runs Writ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their id.
    pub id: OperatorId,
    /// Their name; one of each in a tenant.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The roles they approve in, beside those of their rank.
    pub approves: BTreeSet<String>,
    /// Who they are as a user of agents, where that is known.
    pub identity: Option<Requester>,
    /// Since when.
    pub created: Timestamp,
}

/// A session that has not expired, with who it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub operator: Operator,
    /// Until when, not included.
    pub expires: Timestamp,
}

type Row = (String, String, String, i64, String, Option<String>);
type SessionRow = (String, String, String, i64, String, Option<String>, i64);

const PUT: &str =
    "INSERT INTO operators (tenant, operator, name, role, created, approves, identity)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const PAGE_AFTER: &str = "SELECT operator, name, role, created, approves, identity FROM operators
    WHERE tenant = ?1 AND operator > ?2 ORDER BY operator LIMIT ?3";
const REMOVE: &str = "DELETE FROM operators WHERE tenant = ?1 AND operator = ?2";
const PUT_SESSION: &str = "INSERT INTO operator_sessions (tenant, token_hash, operator, expires)
    SELECT tenant, ?2, operator, ?4 FROM operators WHERE tenant = ?1 AND operator = ?3";
const SESSION: &str =
    "SELECT o.operator, o.name, o.role, o.created, o.approves, o.identity, s.expires
    FROM operator_sessions s JOIN operators o ON o.tenant = s.tenant AND o.operator = s.operator
    WHERE s.tenant = ?1 AND s.token_hash = ?2 AND s.expires > ?3";
const END_SESSION: &str = "DELETE FROM operator_sessions WHERE tenant = ?1 AND token_hash = ?2";
const EXPIRE_SESSIONS: &str = "DELETE FROM operator_sessions WHERE tenant = ?1 AND expires <= ?2";
const PUT_FIRST_BOOT: &str =
    "INSERT INTO first_boot_token (tenant, token_hash, created) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant) DO UPDATE SET token_hash = excluded.token_hash, created = excluded.created
    WHERE consumed IS NULL";
const FIRST_BOOT: &str = "SELECT count(*) FROM first_boot_token
    WHERE tenant = ?1 AND token_hash = ?2 AND consumed IS NULL";
const CONSUME_FIRST_BOOT: &str = "UPDATE first_boot_token SET consumed = ?3
    WHERE tenant = ?1 AND token_hash = ?2 AND consumed IS NULL";
const ADMINS: &str = "SELECT count(*) FROM operators WHERE tenant = ?1 AND role = 'admin'";

const INVITE: &str = "INSERT INTO operator_invitations (tenant, token_hash, operator, expires) VALUES (?1, ?2, ?3, ?4)";
const INVITED: &str = "SELECT operator FROM operator_invitations WHERE tenant = ?1 AND token_hash = ?2 AND expires > ?3";
const REDEEM: &str = "DELETE FROM operator_invitations WHERE tenant = ?1 AND token_hash = ?2 AND operator = ?3 AND expires > ?4";

impl Store {
    /// Registers an operator and invites them: whoever holds what `token` is the digest of signs in as them, once, before
    /// `expires`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the id or the name is taken.
    pub async fn invite_operator(
        &self,
        tenant: &Tenant,
        operator: &Operator,
        token: &Digest,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        put(&mut change, tenant, operator).await?;
        sqlx::query(INVITE)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(operator.id.to_string())
            .bind(instant_column(expires)?)
            .execute(&mut *change)
            .await
            .map_err(StoreError::inserting("invitation"))?;
        Ok(change.commit().await?)
    }

    /// The operator that an invitation is for, if it is good.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn invited_operator(
        &self,
        tenant: &Tenant,
        token: &Digest,
        now: Timestamp,
    ) -> Result<Option<OperatorId>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as(INVITED)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(instant_column(now)?)
            .fetch_optional(self.readers())
            .await?;
        row.map(|(id,)| parsed("invitation", &id)).transpose()
    }

    /// Uses up an invitation and begins the session of the operator it is for, in one step.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if it was used meanwhile.
    pub async fn redeem_invitation(
        &self,
        tenant: &Tenant,
        token: &Digest,
        operator: OperatorId,
        (session, expires): (&Digest, Timestamp),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let redeemed = sqlx::query(REDEEM)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(operator.to_string())
            .bind(instant_column(now)?)
            .execute(&mut *change)
            .await?;
        if redeemed.rows_affected() != 1 {
            return Err(StoreError::Missing("invitation"));
        }
        begin_session(&mut change, tenant, session, operator, expires).await?;
        Ok(change.commit().await?)
    }

    /// Registers an operator.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the id or the name is taken.
    pub async fn put_operator(
        &self,
        tenant: &Tenant,
        operator: &Operator,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        put(&mut change, tenant, operator).await?;
        Ok(change.commit().await?)
    }

    /// Removes an operator and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such operator.
    pub async fn remove_operator(&self, tenant: &Tenant, id: OperatorId) -> Result<(), StoreError> {
        let removed = sqlx::query(REMOVE)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .execute(self.writer())
            .await?;
        if removed.rows_affected() == 0 {
            Err(StoreError::Missing("operator"))
        } else {
            Ok(())
        }
    }

    /// At most 1,000 operators in the order of their ids, those after `after`.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn operators(
        &self,
        tenant: &Tenant,
        after: Option<OperatorId>,
    ) -> Result<Vec<Operator>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(PAGE_AFTER)
            .bind(tenant.as_str())
            .bind(after.map(|after| after.to_string()).unwrap_or_default())
            .bind(PAGE)
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(operator).collect()
    }

    /// Begins a session of an operator. `token` is the digest of what the operator keeps.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such operator.
    pub async fn put_session(
        &self,
        tenant: &Tenant,
        token: &Digest,
        operator: OperatorId,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        begin_session(&mut change, tenant, token, operator, expires).await?;
        Ok(change.commit().await?)
    }

    /// The session of a token's digest, if it has not expired.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn session(
        &self,
        tenant: &Tenant,
        token: &Digest,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let row: Option<SessionRow> = sqlx::query_as(SESSION)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(instant_column(now)?)
            .fetch_optional(self.readers())
            .await?;
        let session = row.map(|(id, name, role, created, approves, identity, expires)| {
            Ok(Session {
                operator: operator((id, name, role, created, approves, identity))?,
                expires: instant_of("session", expires)?,
            })
        });
        session.transpose()
    }

    /// Ends a session. Ending one that is over is no error.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn end_session(&self, tenant: &Tenant, token: &Digest) -> Result<(), StoreError> {
        sqlx::query(END_SESSION)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Removes the sessions that have expired.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn expire_sessions(&self, tenant: &Tenant, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(EXPIRE_SESSIONS)
            .bind(tenant.as_str())
            .bind(instant_column(now)?)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Notes the digest of the first-boot token, in place of one that nobody has used; unless one was used or there is an
    /// admin. `true` if it was noted.
    ///
    /// It is replaced because the token itself is written after this: a process that ended between the two would have left a
    /// digest of what nobody holds.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn put_first_boot_token(
        &self,
        tenant: &Tenant,
        token: &Digest,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let (admins,): (i64,) = sqlx::query_as(ADMINS)
            .bind(tenant.as_str())
            .fetch_one(&mut *change)
            .await?;
        if admins > 0 {
            return Ok(false);
        }
        let noted = sqlx::query(PUT_FIRST_BOOT)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(instant_column(now)?)
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(noted.rows_affected() == 1)
    }

    /// Whether this is the digest of a first-boot token that nobody has used.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn is_first_boot_token(
        &self,
        tenant: &Tenant,
        token: &Digest,
    ) -> Result<bool, StoreError> {
        let (count,): (i64,) = sqlx::query_as(FIRST_BOOT)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .fetch_one(self.readers())
            .await?;
        Ok(count == 1)
    }

    /// Uses up the first-boot token, registers the first admin and begins their session: all of it or nothing, because an
    /// admin without a session could never sign in again. `session` is the digest of what the admin keeps, and its end.
    ///
    /// # Errors
    ///
    /// [`StoreError::FirstBoot`] for a wrong or used token; [`StoreError::Exists`] if the operator's name is taken, and the
    /// token is then still good.
    pub async fn redeem_first_boot_token(
        &self,
        tenant: &Tenant,
        token: &Digest,
        admin: &Operator,
        (session, expires): (&Digest, Timestamp),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let consumed = sqlx::query(CONSUME_FIRST_BOOT)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(instant_column(now)?)
            .execute(&mut *change)
            .await?;
        if consumed.rows_affected() != 1 || admin.role != Role::Admin {
            return Err(StoreError::FirstBoot);
        }
        put(&mut change, tenant, admin).await?;
        begin_session(&mut change, tenant, session, admin.id, expires).await?;
        Ok(change.commit().await?)
    }
}

async fn begin_session(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    token: &Digest,
    operator: OperatorId,
    expires: Timestamp,
) -> Result<(), StoreError> {
    let begun = sqlx::query(PUT_SESSION)
        .bind(tenant.as_str())
        .bind(token.to_string())
        .bind(operator.to_string())
        .bind(instant_column(expires)?)
        .execute(connection)
        .await
        .map_err(StoreError::inserting("session"))?;
    if begun.rows_affected() == 0 {
        Err(StoreError::Missing("operator"))
    } else {
        Ok(())
    }
}

async fn put(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    operator: &Operator,
) -> Result<(), StoreError> {
    let identity = operator.identity.as_ref().map(|identity| {
        Value::object([
            ("issuer", Value::from(identity.issuer.as_str())),
            ("subject", Value::from(identity.subject.as_str())),
        ])
    });
    sqlx::query(PUT)
        .bind(tenant.as_str())
        .bind(operator.id.to_string())
        .bind(operator.name.as_str())
        .bind(operator.role.as_str())
        .bind(instant_column(operator.created)?)
        .bind(texts(&operator.approves).to_string())
        .bind(identity.map(|identity| identity.to_string()))
        .execute(connection)
        .await
        .map_err(StoreError::inserting("operator"))?;
    Ok(())
}

fn operator((id, name, role, created, approves, identity): Row) -> Result<Operator, StoreError> {
    let approves = Value::object([("approves", value("operator", &approves)?)]);
    let identity = identity.map(|text| {
        let value = value("operator", &text)?;
        let fields = Fields::of("operator", &value, &["issuer", "subject"])?;
        Ok::<_, StoreError>(Requester {
            issuer: fields.text("issuer")?.to_owned(),
            subject: fields.text("subject")?.to_owned(),
        })
    });
    Ok(Operator {
        id: parsed("operator", &id)?,
        name,
        role: parsed("operator", &role)?,
        approves: Fields::of("operator", &approves, &["approves"])?.set("approves")?,
        identity: identity.transpose()?,
        created: instant_of("operator", created)?,
    })
}
