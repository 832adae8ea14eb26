//! Operators, their sessions, and the token that lets the first of them in.
//!
//! Tokens are drawn by the caller, shown once, and kept here as digests: whoever reads the store cannot sign in.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sqlx::SqliteConnection;
use writ_types::{Digest, OperatorId, Requester, SpiffeId, Tenant, Timestamp, Value};

use crate::database::PAGE;
use crate::fields::{Fields, instant_column, instant_of, parsed, texts, value};
use crate::{Store, StoreError, makers};

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Everything, operators included.
    Admin,
    /// Look, stop tasks and agents, and answer approvals.
    Operator,
    /// Look, and answer approvals in the roles they were given.
    Approver,
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
            Self::Approver => "approver",
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
            "approver" => Ok(Self::Approver),
            "viewer" => Ok(Self::Viewer),
            _ => Err("a role is `viewer`, `approver`, `operator` or `admin`"),
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
    /// The identity in the certificate they sign in with, where they have one.
    pub certificate: Option<SpiffeId>,
    /// Since when they are registered.
    pub created: Timestamp,
    /// Since when they have their role.
    pub since: Timestamp,
    /// Who gave it to them; nobody for the first admin.
    pub made_by: Option<OperatorId>,
    /// When they first signed in.
    pub signed_in: Option<Timestamp>,
}

/// A session that has not expired, with who it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub operator: Operator,
    /// When they signed in.
    pub begun: Timestamp,
    /// Until when, not included.
    pub expires: Timestamp,
}

type Row = (
    String,
    String,
    String,
    i64,
    String,
    Option<String>,
    Option<String>,
    i64,
    Option<String>,
    Option<i64>,
);

const PUT: &str = "INSERT INTO operators
    (tenant, operator, name, role, created, approves, identity, certificate, since, made_by, signed_in)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const CHANGE_ROLE: &str = "UPDATE operators
    SET role = ?3, approves = ?4, identity = ?5, certificate = ?6, since = ?7, made_by = ?8
    WHERE tenant = ?1 AND operator = ?2";
const PAGE_AFTER: &str = "SELECT operator, name, role, created, approves, identity, certificate, since, made_by, signed_in
    FROM operators WHERE tenant = ?1 AND operator > ?2 ORDER BY operator LIMIT ?3";
const BY_ID: &str = "SELECT operator, name, role, created, approves, identity, certificate, since, made_by, signed_in
    FROM operators WHERE tenant = ?1 AND operator = ?2";
const REMOVE: &str = "DELETE FROM operators WHERE tenant = ?1 AND operator = ?2";
const PUT_SESSION: &str =
    "INSERT INTO operator_sessions (tenant, token_hash, operator, expires, begun)
    SELECT tenant, ?2, operator, ?4, ?5 FROM operators WHERE tenant = ?1 AND operator = ?3";
const SIGNED_IN: &str = "UPDATE operators SET signed_in = ?3
    WHERE tenant = ?1 AND operator = ?2 AND signed_in IS NULL";
const SESSION: &str = "SELECT o.operator, s.begun, s.expires
    FROM operator_sessions s JOIN operators o ON o.tenant = s.tenant AND o.operator = s.operator
    WHERE s.tenant = ?1 AND s.token_hash = ?2 AND s.expires > ?3";
const END_SESSION: &str = "DELETE FROM operator_sessions WHERE tenant = ?1 AND token_hash = ?2";
const END_SESSIONS_OF: &str = "DELETE FROM operator_sessions WHERE tenant = ?1 AND operator = ?2";
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
const UNINVITE: &str = "DELETE FROM operator_invitations WHERE tenant = ?1 AND operator = ?2";
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
        invite(&mut change, tenant, operator.id, token, expires).await?;
        Ok(change.commit().await?)
    }

    /// Invites an operator again, in place of any invitation before. Who invites them could sign in as them, and counts as who
    /// brought them along from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the token is another's; the database fails.
    pub async fn put_invitation(
        &self,
        tenant: &Tenant,
        (operator, by): (OperatorId, OperatorId),
        token: &Digest,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        makers::put(&mut change, tenant, operator, by).await?;
        sqlx::query(UNINVITE)
            .bind(tenant.as_str())
            .bind(operator.to_string())
            .execute(&mut *change)
            .await?;
        invite(&mut change, tenant, operator, token, expires).await?;
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
        begin_session(&mut change, tenant, session, operator, (now, expires)).await?;
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

    /// Gives an operator another role, other roles to approve in, and other ways to sign in; since when, and who gave them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such operator; [`StoreError::Exists`] if somebody else has that certificate.
    pub async fn change_operator(
        &self,
        tenant: &Tenant,
        operator: &Operator,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(CHANGE_ROLE)
            .bind(tenant.as_str())
            .bind(operator.id.to_string())
            .bind(operator.role.as_str())
            .bind(texts(&operator.approves).to_string())
            .bind(identity_column(operator))
            .bind(operator.certificate.as_ref().map(ToString::to_string))
            .bind(instant_column(operator.since)?)
            .bind(operator.made_by.map(|id| id.to_string()))
            .execute(self.writer())
            .await
            .map_err(StoreError::inserting("operator"))?;
        if changed.rows_affected() == 0 {
            Err(StoreError::Missing("operator"))
        } else {
            Ok(())
        }
    }

    /// Removes an operator and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such operator.
    pub async fn remove_operator(&self, tenant: &Tenant, id: OperatorId) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        makers::keep(&mut change, tenant, id).await?;
        let removed = sqlx::query(REMOVE)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .execute(&mut *change)
            .await?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::Missing("operator"));
        }
        Ok(change.commit().await?)
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
        (begun, expires): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        begin_session(&mut change, tenant, token, operator, (begun, expires)).await?;
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
        // One transaction for both looks: nothing changes between them.
        let mut looking = self.readers().begin().await?;
        let row: Option<(String, i64, i64)> = sqlx::query_as(SESSION)
            .bind(tenant.as_str())
            .bind(token.to_string())
            .bind(instant_column(now)?)
            .fetch_optional(&mut *looking)
            .await?;
        let Some((id, begun, expires)) = row else {
            return Ok(None);
        };
        let row: Option<Row> = sqlx::query_as(BY_ID)
            .bind(tenant.as_str())
            .bind(id)
            .fetch_optional(&mut *looking)
            .await?;
        let session = row.map(|row| {
            Ok(Session {
                operator: operator(row)?,
                begun: instant_of("session", begun)?,
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

    /// Ends every session of an operator.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn end_sessions_of(
        &self,
        tenant: &Tenant,
        operator: OperatorId,
    ) -> Result<(), StoreError> {
        sqlx::query(END_SESSIONS_OF)
            .bind(tenant.as_str())
            .bind(operator.to_string())
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
        begin_session(&mut change, tenant, session, admin.id, (now, expires)).await?;
        Ok(change.commit().await?)
    }
}

async fn invite(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    operator: OperatorId,
    token: &Digest,
    expires: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(INVITE)
        .bind(tenant.as_str())
        .bind(token.to_string())
        .bind(operator.to_string())
        .bind(instant_column(expires)?)
        .execute(connection)
        .await
        .map_err(StoreError::inserting("invitation"))?;
    Ok(())
}

async fn begin_session(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    token: &Digest,
    operator: OperatorId,
    (begun, expires): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let put = sqlx::query(PUT_SESSION)
        .bind(tenant.as_str())
        .bind(token.to_string())
        .bind(operator.to_string())
        .bind(instant_column(expires)?)
        .bind(instant_column(begun)?)
        .execute(&mut *connection)
        .await
        .map_err(StoreError::inserting("session"))?;
    if put.rows_affected() == 0 {
        return Err(StoreError::Missing("operator"));
    }
    sqlx::query(SIGNED_IN)
        .bind(tenant.as_str())
        .bind(operator.to_string())
        .bind(instant_column(begun)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn put(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    operator: &Operator,
) -> Result<(), StoreError> {
    sqlx::query(PUT)
        .bind(tenant.as_str())
        .bind(operator.id.to_string())
        .bind(operator.name.as_str())
        .bind(operator.role.as_str())
        .bind(instant_column(operator.created)?)
        .bind(texts(&operator.approves).to_string())
        .bind(identity_column(operator))
        .bind(operator.certificate.as_ref().map(ToString::to_string))
        .bind(instant_column(operator.since)?)
        .bind(operator.made_by.map(|id| id.to_string()))
        .bind(operator.signed_in.map(instant_column).transpose()?)
        .execute(&mut *connection)
        .await
        .map_err(StoreError::inserting("operator"))?;
    match operator.made_by {
        Some(maker) => makers::put(connection, tenant, operator.id, maker).await,
        None => Ok(()),
    }
}

fn identity_column(operator: &Operator) -> Option<String> {
    let identity = operator.identity.as_ref()?;
    let value = Value::object([
        ("issuer", Value::from(identity.issuer.as_str())),
        ("subject", Value::from(identity.subject.as_str())),
    ]);
    Some(value.to_string())
}

fn operator(
    (id, name, role, created, approves, identity, certificate, since, made_by, signed_in): Row,
) -> Result<Operator, StoreError> {
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
        certificate: certificate
            .map(|text| parsed("operator", &text))
            .transpose()?,
        created: instant_of("operator", created)?,
        since: instant_of("operator", since)?,
        made_by: made_by.map(|id| parsed("operator", &id)).transpose()?,
        signed_in: signed_in.map(|at| instant_of("operator", at)).transpose()?,
    })
}
