//! The claims of an access token, built and read.

use std::time::Duration;

use writ_types::{
    AgentId, Binding, Digest, PublicUrl, Requester, Resource, SpiffeId, TaskId, Timestamp, TokenId,
    UserAuthentication, Value,
};

use crate::claims::Validity;
use crate::jose::base64url;
use crate::{ClaimError, Claims, ClientId, IssuerUrl, SignError, Signer};

/// The claims of an access token. Every one is required, save `nbf`, `cnf` (absent: unbound), `auth_time`, `acr` and `sub_id`
/// (absent: the agent acts for itself); unknown ones are refused.
///
/// | claim | what |
/// |---|---|
/// | `iss` | the issuer; the tenant follows from it, never from a claim |
/// | `aud` | exactly one: the resource (RFC 8707) |
/// | `sub`, `sub_id` | whose authority it is: the user (RFC 9493 `iss_sub`), else the agent |
/// | `act` | the agent that acts; nested ones are history and decide nothing (RFC 8693 §4.1) |
/// | `client_id` | who asked for the token |
/// | `agent_id`, `task_id`, `jti` | our own ids |
/// | `cnf` | the key: `jkt` (RFC 9449 §6.1) or `x5t#S256` (RFC 8705 §3.1) |
/// | `authorization_details` | the grant (RFC 9396 §9.1) |
/// | `auth_time`, `acr` | how the user authenticated, where there is one and it is known (RFC 9068 §2.2.1) |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTokenClaims {
    /// `iss`.
    pub issuer: IssuerUrl,
    /// `aud`.
    pub resource: Resource,
    /// `client_id`.
    pub client_id: ClientId,
    /// `sub` and `sub_id`: the user, if there is one.
    pub requester: Option<Requester>,
    /// `act.sub`: the agent that acts.
    pub spiffe: SpiffeId,
    /// `act.act…`: who acted before, the latest first. History only.
    pub prior_actors: Vec<SpiffeId>,
    /// `agent_id`.
    pub agent: AgentId,
    /// `task_id`.
    pub task: TaskId,
    /// `jti`.
    pub token: TokenId,
    /// `cnf`.
    pub binding: Binding,
    /// `authorization_details`, as `Grant::to_details` gives it.
    pub details: Value,
    /// `auth_time` and `acr`: how the user has authenticated, as far as their issuer said it.
    pub authentication: Option<UserAuthentication>,
    /// `iat`, whole seconds.
    pub issued: Timestamp,
    /// `nbf`, whole seconds, where present.
    pub not_before: Option<Timestamp>,
    /// `exp`, whole seconds.
    pub expires: Timestamp,
}

const KNOWN: [&str; 16] = [
    "iss",
    "aud",
    "client_id",
    "sub",
    "sub_id",
    "act",
    "agent_id",
    "task_id",
    "jti",
    "cnf",
    "authorization_details",
    "iat",
    "nbf",
    "exp",
    "auth_time",
    "acr",
];

impl AccessTokenClaims {
    /// Longest life of any token: `exp` less `iat`.
    pub const LONGEST_LIFE: Duration = Duration::from_secs(300);
    /// Most prior actors.
    pub const MOST_PRIOR_ACTORS: usize = 8;

    /// The claims as JSON; the audience is the resource under `public_url`.
    #[must_use]
    pub fn to_value(&self, public_url: &PublicUrl) -> Value {
        let seconds = |instant: Timestamp| Value::from_u64(instant.secs_since_epoch());
        let sub = self
            .requester
            .as_ref()
            .map_or(self.spiffe.as_str(), |user| &user.subject);
        let mut members = vec![
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", Value::from(self.resource.to_uri(public_url))),
            ("client_id", Value::from(self.client_id.as_str())),
            ("sub", Value::from(sub)),
            ("act", self.actors()),
            ("agent_id", Value::from(self.agent.to_string())),
            ("task_id", Value::from(self.task.to_string())),
            ("jti", Value::from(self.token.to_string())),
            ("authorization_details", self.details.clone()),
            ("iat", seconds(self.issued)),
            ("exp", seconds(self.expires)),
        ];
        if let Some(user) = &self.requester {
            let sub_id = Value::object([
                ("format", Value::from("iss_sub")),
                ("iss", Value::from(user.issuer.as_str())),
                ("sub", Value::from(user.subject.as_str())),
            ]);
            members.push(("sub_id", sub_id));
        }
        let confirmation = match &self.binding {
            Binding::Dpop(thumbprint) => Some(("jkt", thumbprint)),
            Binding::Mtls(certificate) => Some(("x5t#S256", certificate)),
            Binding::Unbound => None,
        };
        if let Some((name, digest)) = confirmation {
            let digest = Value::from(base64url::encode(digest.as_bytes()));
            members.push(("cnf", Value::object([(name, digest)])));
        }
        members.extend(self.not_before.map(|instant| ("nbf", seconds(instant))));
        if let Some(UserAuthentication { at, acr }) = &self.authentication {
            members.extend(at.map(|instant| ("auth_time", seconds(instant))));
            members.extend(acr.as_ref().map(|acr| ("acr", Value::from(acr.as_str()))));
        }
        Value::object(members)
    }

    /// Reads verified claims; every one but the times is judged here.
    pub(super) fn read(
        claims: &Claims,
        issuer: &IssuerUrl,
        public_url: &PublicUrl,
    ) -> Result<Self, ClaimError> {
        claims.only(&KNOWN)?;
        if claims.text("iss")? != issuer.as_str() {
            return Err(ClaimError::Wrong("iss"));
        }
        let resource = Resource::parse(public_url, claims.only_audience()?);
        let (spiffe, prior_actors) = read_actors(claims.value("act")?)?;
        let sub = claims.text("sub")?;
        let requester = claims.get("sub_id").map(read_requester).transpose()?;
        let expected = requester
            .as_ref()
            .map_or(spiffe.as_str(), |user| &user.subject);
        if sub != expected {
            return Err(ClaimError::Wrong("sub"));
        }
        Ok(Self {
            issuer: issuer.clone(),
            resource: resource.ok_or(ClaimError::Wrong("aud"))?,
            client_id: claims.parsed("client_id")?,
            requester,
            spiffe,
            prior_actors,
            agent: claims.parsed("agent_id")?,
            task: claims.parsed("task_id")?,
            token: claims.parsed("jti")?,
            binding: claims
                .get("cnf")
                .map_or(Ok(Binding::Unbound), read_confirmation)?,
            details: read_details(claims.value("authorization_details")?)?,
            authentication: read_authentication(claims)?,
            issued: claims.instant("iat")?,
            not_before: claims.instant_if_present("nbf")?,
            expires: claims.instant("exp")?,
        })
    }

    pub(super) const fn validity(&self) -> Validity {
        Validity {
            issued: Some(self.issued),
            expires: self.expires,
            not_before: self.not_before,
        }
    }

    fn actors(&self) -> Value {
        let nest = |inner: Option<Value>, actor: &SpiffeId| {
            let sub = ("sub", Value::from(actor.as_str()));
            Some(Value::object(
                [sub].into_iter().chain(inner.map(|inner| ("act", inner))),
            ))
        };
        let history = self.prior_actors.iter().rev().fold(None, nest);
        nest(history, &self.spiffe).unwrap_or(Value::Null)
    }
}

impl Signer {
    /// Signs an access token (RFC 9068 §2). Verify it with a [`crate::TokenVerifier`] before it leaves.
    ///
    /// # Errors
    ///
    /// `Life` if it would live for nothing or longer than [`AccessTokenClaims::LONGEST_LIFE`]; `Library`.
    pub fn sign(
        &self,
        claims: &AccessTokenClaims,
        public_url: &PublicUrl,
    ) -> Result<String, SignError> {
        let life = claims.expires.since(claims.issued);
        if life.is_zero() || life > AccessTokenClaims::LONGEST_LIFE {
            return Err(SignError::Life);
        }
        self.sign_compact("at+jwt", &claims.to_value(public_url))
    }
}

/// The acting agent, and those before it.
fn read_actors(act: &Value) -> Result<(SpiffeId, Vec<SpiffeId>), ClaimError> {
    let malformed = ClaimError::Malformed("act");
    let mut chain = Vec::new();
    let mut current = Some(act);
    while let Some(actor) = current {
        let members = actor.as_object().ok_or(malformed)?;
        if chain.len() > AccessTokenClaims::MOST_PRIOR_ACTORS
            || members
                .keys()
                .any(|name| !matches!(name.as_str(), "sub" | "act"))
        {
            return Err(malformed);
        }
        let sub = members
            .get("sub")
            .and_then(Value::as_str)
            .ok_or(malformed)?;
        chain.push(sub.parse().map_err(|_no_spiffe_id| malformed)?);
        current = members.get("act");
    }
    let mut chain = chain.into_iter();
    let outermost = chain.next().ok_or(malformed)?;
    Ok((outermost, chain.collect()))
}

/// The user (RFC 9493 §3.2.3).
pub(crate) fn read_requester(sub_id: &Value) -> Result<Requester, ClaimError> {
    let text = |name: &str| sub_id.member(name).and_then(Value::as_str);
    let members = sub_id
        .as_object()
        .map_or(0, std::collections::BTreeMap::len);
    match (text("format"), text("iss"), text("sub"), members) {
        (Some("iss_sub"), Some(issuer), Some(subject), 3)
            if !issuer.is_empty() && !subject.is_empty() =>
        {
            Ok(Requester {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            })
        }
        _ => Err(ClaimError::Malformed("sub_id")),
    }
}

/// Exactly one confirmation method, and one that is understood (RFC 7800 §3.1): a key that is not understood would bind
/// nothing.
pub(crate) fn read_confirmation(cnf: &Value) -> Result<Binding, ClaimError> {
    let malformed = ClaimError::Malformed("cnf");
    let mut members = cnf.as_object().ok_or(malformed)?.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(malformed);
    };
    let digest = value
        .as_str()
        .and_then(base64url::decode_digest)
        .ok_or(malformed)?;
    match name.as_str() {
        "jkt" => Ok(Binding::Dpop(Digest::from_bytes(digest))),
        "x5t#S256" => Ok(Binding::Mtls(Digest::from_bytes(digest))),
        _ => Err(malformed),
    }
}

/// How the user has authenticated. Where there is no user, nobody has.
fn read_authentication(claims: &Claims) -> Result<Option<UserAuthentication>, ClaimError> {
    let at = claims.instant_if_present("auth_time")?;
    let acr = claims
        .get("acr")
        .map(|_| claims.parsed("acr"))
        .transpose()?;
    let said = at.is_some() || acr.is_some();
    if claims.get("sub_id").is_none() {
        let alone = ClaimError::Wrong(if at.is_some() { "auth_time" } else { "acr" });
        return if said { Err(alone) } else { Ok(None) };
    }
    Ok(said.then_some(UserAuthentication { at, acr }))
}

/// One object of type `writ_task`; what it grants is the ledger's to say.
fn read_details(details: &Value) -> Result<Value, ClaimError> {
    match details.as_array() {
        Some([detail]) if detail.member("type").and_then(Value::as_str) == Some("writ_task") => {
            Ok(details.clone())
        }
        Some(_) | None => Err(ClaimError::Malformed("authorization_details")),
    }
}
