//! Signing in. The first admin comes with the first-boot token, which dies at that sign-in; later sessions come over the
//! operator socket, from the user Writ runs as.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderMap};
use writ_audit::{Durability, Event, OperatorAction};
use writ_store::{Role, StoreError};
use writ_types::{Digest, OperatorId, Timestamp, Value};

use crate::admin::{AdminError, Operator};
use crate::plane::{Connection, Plane};

/// How long a session lives.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);

/// The operator whose session token came with the request.
pub(crate) async fn authenticate(
    plane: &Plane,
    from: &Connection,
    headers: &HeaderMap,
) -> Result<Operator, AdminError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(AdminError::Unauthenticated);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer "))
        .ok_or(AdminError::Unauthenticated)?;
    if plane.is_trap(token, from) {
        return Err(AdminError::Unauthenticated);
    }
    // The store knows only the digest: a copy of the database opens no session.
    let session = plane
        .store
        .session(&plane.tenant, &hash(token), plane.clock.now())
        .await;
    let session = session.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    let session = session.ok_or(AdminError::Unauthenticated)?;
    Ok(Operator::of(session.operator, session.begun))
}

/// Redeems the first-boot token: makes the first admin and their session.
pub(crate) async fn login(
    plane: &Plane,
    from: &Connection,
    body: &Value,
) -> Result<Value, AdminError> {
    let text = |name| body.member(name).and_then(Value::as_str);
    let token = text("token").ok_or(AdminError::Unauthenticated)?;
    if plane.is_trap(token, from) {
        return Err(AdminError::Unauthenticated);
    }
    let name = text("name").unwrap_or("admin").trim();
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(AdminError::Invalid(
            "`name` is 1 to 64 printable characters".to_owned(),
        ));
    }
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    let id = OperatorId::new(now, crate::random());
    let admin = writ_store::Operator {
        id,
        name: name.to_owned(),
        role: Role::Admin,
        approves: [].into(),
        identity: None,
        certificate: None,
        created: now,
        since: now,
        made_by: None,
        signed_in: Some(now),
    };
    // Looked up before it is used, so that strangers write no records; recorded before it counts; and then used, with the
    // session begun, in one step: an admin without a session could never sign in again.
    let token = hash(token);
    let known = plane.store.is_first_boot_token(&plane.tenant, &token).await;
    if !known.map_err(|fault| AdminError::Unavailable(fault.to_string()))? {
        return accept(plane, &token, now).await;
    }
    let begun = begin(plane, &admin, "operator.first_sign_in", now).await?;
    let redeemed = plane
        .store
        .redeem_first_boot_token(
            &plane.tenant,
            &token,
            &admin,
            (&hash(&begun.session), begun.expires),
            now,
        )
        .await;
    redeemed.map_err(|fault| {
        if matches!(fault, StoreError::FirstBoot) {
            AdminError::Unauthenticated
        } else {
            AdminError::Unavailable(fault.to_string())
        }
    })?;
    Ok(begun.answer(&admin))
}

/// Redeems an invitation: begins the first session of an operator who is registered.
async fn accept(plane: &Plane, token: &Digest, now: Timestamp) -> Result<Value, AdminError> {
    let unavailable = |fault: &dyn std::error::Error| AdminError::Unavailable(fault.to_string());
    let invited = plane
        .store
        .invited_operator(&plane.tenant, token, now)
        .await;
    let invited = invited.map_err(|fault| unavailable(&fault))?;
    let invited = invited.ok_or(AdminError::Unauthenticated)?;
    let operators = plane.store.operators(&plane.tenant, None).await;
    let mut operators = operators.map_err(|fault| unavailable(&fault))?.into_iter();
    let operator = operators.find(|operator| operator.id == invited);
    let operator = operator.ok_or(AdminError::Unauthenticated)?;
    let begun = begin(plane, &operator, "operator.first_sign_in", now).await?;
    let session = (&hash(&begun.session), begun.expires);
    let redeemed = plane
        .store
        .redeem_invitation(&plane.tenant, token, operator.id, session, now)
        .await;
    redeemed.map_err(|fault| {
        if matches!(fault, StoreError::Missing(_)) {
            AdminError::Unauthenticated
        } else {
            unavailable(&fault)
        }
    })?;
    Ok(begun.answer(&operator))
}

/// Begins a session for the operator whose certificate the connection has.
pub(crate) async fn by_certificate(plane: &Plane, from: &Connection) -> Result<Value, AdminError> {
    let certificate = from.certificate.as_ref();
    let certificate = certificate.filter(|certificate| plane.trust.believes(&certificate.spiffe));
    let certificate = certificate.ok_or(AdminError::Unauthenticated)?;
    let unavailable = |fault: &dyn std::error::Error| AdminError::Unavailable(fault.to_string());
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| unavailable(&fault))?;
    // An identity that is an agent's by now is nobody's who runs Writ.
    let loaded = plane.loaded();
    let agent = loaded.agent_of(&certificate.spiffe);
    if let Some(agent) = agent {
        plane.tell_nobody(agent, from);
    }
    if certificate.not_after <= now || agent.is_some() {
        return Err(AdminError::Unauthenticated);
    }
    let operators = plane.store.operators(&plane.tenant, None).await;
    let mut operators = operators.map_err(|fault| unavailable(&fault))?.into_iter();
    let operator = operators
        .find(|one| one.certificate.as_ref() == Some(&certificate.spiffe))
        .ok_or(AdminError::Unauthenticated)?;
    let begun = begin(plane, &operator, "operator.certificate_sign_in", now).await?;
    // A session does not outlive what proved it.
    let expires = begun.expires.min(certificate.not_after);
    let begun = Begun { expires, ..begun };
    let digest = hash(&begun.session);
    let kept = plane
        .store
        .put_session(&plane.tenant, &digest, operator.id, (now, expires));
    kept.await.map_err(|fault| unavailable(&fault))?;
    Ok(begun.answer(&operator))
}

/// Begins another session for the first admin, for a process of the very user that Writ runs as.
///
/// Such a process could read Writ's keys; what it gets here is no more, and unlike that it is recorded.
pub(crate) async fn local_session(plane: &Plane) -> Result<Value, AdminError> {
    let unavailable = |fault: &dyn std::error::Error| AdminError::Unavailable(fault.to_string());
    let now = plane
        .wall
        .check(plane.clock.now())
        .map_err(|fault| unavailable(&fault))?;
    let operators = plane
        .store
        .operators(&plane.tenant, None)
        .await
        .map_err(|fault| unavailable(&fault))?;
    let admin = operators
        .into_iter()
        .find(|operator| operator.role == Role::Admin);
    let admin = admin.ok_or(AdminError::NotFound(
        "there is no admin yet: sign in with the first-boot token",
    ))?;
    let begun = begin(plane, &admin, "operator.local_sign_in", now).await?;
    let kept = plane
        .store
        .put_session(
            &plane.tenant,
            &hash(&begun.session),
            admin.id,
            (now, begun.expires),
        )
        .await;
    kept.map_err(|fault| unavailable(&fault))?;
    Ok(begun.answer(&admin))
}

/// Begins a session for somebody whose sign-in `action` names: recorded before it counts.
pub(crate) async fn begin_session(
    plane: &Plane,
    operator: &writ_store::Operator,
    action: &'static str,
    now: Timestamp,
) -> Result<Value, AdminError> {
    let begun = begin(plane, operator, action, now).await?;
    let digest = hash(&begun.session);
    let kept = plane
        .store
        .put_session(&plane.tenant, &digest, operator.id, (now, begun.expires))
        .await;
    kept.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    Ok(begun.answer(operator))
}

/// A session that is recorded and not yet kept.
struct Begun {
    session: String,
    expires: Timestamp,
}

impl Begun {
    fn answer(self, operator: &writ_store::Operator) -> Value {
        Value::object([
            ("session", Value::from(self.session)),
            ("operator", Value::from(operator.id.to_string())),
            ("name", Value::from(operator.name.as_str())),
            ("role", Value::from(operator.role.as_str())),
            ("expires", Value::from(self.expires.to_string())),
        ])
    }
}

/// Records a sign-in and makes the token of its session, which the caller keeps: recorded before it counts.
async fn begin(
    plane: &Plane,
    operator: &writ_store::Operator,
    action: &'static str,
    now: Timestamp,
) -> Result<Begun, AdminError> {
    let action = action
        .parse()
        .map_err(|_never| AdminError::Unauthenticated)?;
    let event = Event::OperatorAction(OperatorAction {
        by: operator.id,
        action,
        target: operator.id.to_string(),
        digest: Digest::of(operator.name.as_bytes()),
    });
    let recorded = plane
        .record(plane.header(now), event, None, Durability::Durable)
        .await;
    recorded.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
    let session = crate::secret_text("wos_")
        .ok_or_else(|| AdminError::Unavailable("the random source failed".to_owned()))?;
    Ok(Begun {
        session,
        expires: now.plus(SESSION_LIFE),
    })
}

/// What the store keeps of a token.
pub(crate) fn hash(token: &str) -> Digest {
    Digest::of_parts(&[b"writ operator token v1\n", token.as_bytes()])
}
