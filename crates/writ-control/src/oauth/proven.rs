//! Who asks the authorization server, as proven: the client, the actor, the subject, and the task that is narrowed.

use std::sync::Arc;

use writ_task::TaskState;
use writ_token::{
    ClientAssertion, ClientAuthentication, ClientError, ClientId, GrantRequest, Issuer, OauthError,
    OauthErrorCode, OidcToken, PresentedToken, ReplayError, SignedBy, TokenExchange, TokenType,
    Vouches,
};
use writ_types::{
    Agent, Binding, Budget, Difference, Digest, Federation, Grant, Requester, Resource, Secret,
    SpiffeId, Timestamp, UserAuthentication,
};

use crate::loaded::Loaded;
use crate::oauth::{client_error, grant_error};
use crate::plane::{Connection, Plane};
use crate::trust::Client;

/// Who asks, as proven.
pub(super) struct Proven {
    /// The agent that acts.
    pub(super) agent: Arc<Agent>,
    /// The user it acts for, if there is one.
    pub(super) requester: Option<Requester>,
    /// How that user has authenticated, as far as their issuer said it.
    pub(super) authentication: Option<UserAuthentication>,
    /// The earliest end of what proved it.
    pub(super) until: Timestamp,
    /// The task that is narrowed, if the subject is one.
    pub(super) parent: Option<Parent>,
    /// The registered client that asks for the agent, if one does.
    pub(super) voucher: Option<Arc<Client>>,
}

impl Proven {
    /// An agent that asks for itself.
    const fn itself(agent: Arc<Agent>, until: Timestamp) -> Self {
        Self {
            agent,
            requester: None,
            authentication: None,
            until,
            parent: None,
            voucher: None,
        }
    }
}

impl Proven {
    /// Whether the subject token names what a task below its own would hold.
    ///
    /// # Errors
    ///
    /// `invalid_grant`: it was issued before its task was amended.
    pub(super) fn names(&self, grant: &Grant) -> Result<(), OauthError> {
        let named = self
            .parent
            .as_ref()
            .and_then(|parent| parent.named.as_ref());
        if named.is_some_and(|named| Difference::between(named, grant).widens_calls()) {
            return Err(grant_error(
                "the subject token was issued before its task was amended, and does not name all of that: renew it",
            ));
        }
        Ok(())
    }
}

/// The task that is narrowed.
pub(super) struct Parent {
    /// What it holds.
    pub(super) grant: Arc<Grant>,
    /// What its token names of that, where that is less: it was issued before the task was amended.
    pub(super) named: Option<Arc<Grant>>,
    /// What it has left.
    pub(super) left: Budget,
    binding: Binding,
    resource: Resource,
    /// The token, where it is another agent that asks.
    handed_with: Option<Secret<String>>,
}

impl Parent {
    /// The token whose task is handed on to another agent, and the key that its holder signs with; none if it is narrowed
    /// for its own agent.
    ///
    /// # Errors
    ///
    /// `invalid_grant`: its token is bound to no key that signs.
    pub(super) fn handed(&self) -> Result<Option<(&str, Digest)>, OauthError> {
        match (&self.handed_with, &self.binding) {
            (None, _) => Ok(None),
            (Some(token), Binding::Dpop(key)) => Ok(Some((token.expose(), *key))),
            (Some(_), Binding::Mtls(_) | Binding::Unbound) => Err(grant_error(
                "a task is handed on by the holder of a token that is bound to a key by DPoP",
            )),
        }
    }

    /// Narrowing takes the key of the token that is shown, or what its holder signs for another agent, and reaches no API that
    /// this token does not.
    pub(super) fn admits(&self, binding: &Binding, resource: &Resource) -> Result<(), OauthError> {
        if self.handed()?.is_none() && self.binding != *binding {
            return Err(grant_error(
                "a task is narrowed with the key its token is bound to",
            ));
        }
        if self.resource != Resource::All && self.resource != *resource {
            let description = "the subject token is for another resource";
            return Err(OauthError::new(OauthErrorCode::InvalidTarget, description));
        }
        Ok(())
    }
}

/// Who authenticated as the client of a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// A registered agent.
    Agent(Arc<Agent>),
    /// A registered client, which acts for agents and never as one.
    Client(Arc<Client>),
}

/// Proves who asks.
pub(super) struct Proof<'a> {
    /// The control plane.
    pub(super) plane: &'a Plane,
    /// Where the request came from.
    pub(super) from: &'a Connection,
    /// The revision in force.
    pub(super) loaded: &'a Loaded,
    /// The instant.
    pub(super) now: Timestamp,
}

/// An agent, as proven, and until when that holds.
type ProvenAgent = (Arc<Agent>, Timestamp);

impl Proof<'_> {
    /// Proves every identity that a request names, and that they belong together.
    ///
    /// # Errors
    ///
    /// `invalid_client` for the client's own proof, `invalid_grant` for a subject's or an actor's, `unauthorized_client` for
    /// a client that may not open tasks for the agent.
    pub(super) async fn of(&self, request: &GrantRequest) -> Result<Proven, OauthError> {
        match request {
            GrantRequest::ClientCredentials(client) => match self.client(client)? {
                (Caller::Agent(agent), until) => Ok(Proven::itself(agent, until)),
                (Caller::Client(_), _) => Err(OauthError::new(
                    OauthErrorCode::UnauthorizedClient,
                    "a registered client opens a task for an agent: exchange, with the agent's own token as `actor_token` or `subject_token`",
                )),
            },
            GrantRequest::TokenExchange(exchange) => self.exchange(exchange).await,
        }
    }

    async fn exchange(&self, exchange: &TokenExchange) -> Result<Proven, OauthError> {
        let client = exchange
            .client
            .as_ref()
            .map(|client| self.client(client))
            .transpose()?;
        let (agent, voucher) = match client {
            Some((Caller::Agent(agent), until)) => (Some((agent, until)), None),
            Some((Caller::Client(client), _)) => (None, Some(client)),
            None => (None, None),
        };
        let actor = exchange
            .actor
            .as_ref()
            .map(|actor| self.workload(actor.token.expose(), None, grant_error))
            .transpose()?;
        let mut proven = self
            .subject(&exchange.subject, actor.as_ref().or(agent.as_ref()))
            .await?;
        for (agent, until) in [agent, actor].into_iter().flatten() {
            if agent.id != proven.agent.id {
                return Err(grant_error(
                    "client, actor and subject are not the same agent",
                ));
            }
            proven.until = proven.until.min(until);
        }
        if let Some(client) = voucher {
            if !client.agents.contains(&proven.agent.spiffe) {
                return Err(OauthError::new(
                    OauthErrorCode::UnauthorizedClient,
                    "the client is not registered to open tasks for this agent",
                ));
            }
            proven.voucher = Some(client);
        }
        Ok(proven)
    }

    /// The client's own authentication (draft-ietf-oauth-spiffe-client-auth, RFC 7523 §3, RFC 8705 §2), and until when it
    /// holds.
    ///
    /// # Errors
    ///
    /// `invalid_client`.
    pub(super) fn client(
        &self,
        client: &ClientAuthentication,
    ) -> Result<(Caller, Timestamp), OauthError> {
        let ((agent, until), client_id) = match client {
            ClientAuthentication::JwtSpiffe {
                client_id,
                assertion,
            } => (
                self.svid(assertion.expose(), client_error)?,
                client_id.as_ref(),
            ),
            ClientAuthentication::Certificate { client_id } => {
                let certificate = self.from.certificate.as_ref();
                let certificate = certificate
                    .filter(|certificate| self.plane.trust.believes(&certificate.spiffe))
                    .ok_or_else(|| client_error("the connection has no client certificate"))?;
                let agent = self
                    .agent(&certificate.spiffe)
                    .ok_or_else(|| client_error(UNKNOWN))?;
                ((agent, certificate.not_after), Some(client_id))
            }
            ClientAuthentication::JwtBearer {
                client_id,
                assertion,
            } => {
                let text = assertion.expose();
                if let Some(client) = self.registered(text, client_id.as_ref())? {
                    return Ok((Caller::Client(client), self.now));
                }
                let named = client_id.as_ref();
                (self.federated(text, named, client_error)?, named)
            }
        };
        if client_id.is_some_and(|id| id.as_str() != agent.spiffe.as_str()) {
            return Err(client_error(
                "`client_id` is not the identity that was proven",
            ));
        }
        Ok((Caller::Agent(agent), until))
    }

    /// The registered client that signed an assertion, which is spent; none if it says it comes from somebody else.
    fn registered(
        &self,
        text: &str,
        client_id: Option<&ClientId>,
    ) -> Result<Option<Arc<Client>>, OauthError> {
        let refused = |fault: ClientError| {
            tracing::debug!(%fault, "a client assertion was refused");
            client_error("the client assertion is refused")
        };
        let claimed = ClientAssertion::claimed_issuer(text).map_err(refused)?;
        let Some(client) = self.plane.trust.client(&claimed) else {
            return Ok(None);
        };
        if client_id.is_some_and(|id| *id != client.registered.id) {
            return Err(client_error(
                "`client_id` is not the identity that was proven",
            ));
        }
        let issuer = &self.plane.settings.issuer;
        let assertion = ClientAssertion::verify(text, &client.registered, issuer, self.now);
        let assertion = assertion.map_err(refused)?;
        if self.plane.is_honey(&client, self.from) {
            return Err(client_error("the client assertion is refused"));
        }
        self.plane
            .spend(
                SignedBy::Client(&client.registered.id),
                assertion.jti(),
                (assertion.issued(), assertion.expires()),
                self.now,
            )
            .map_err(client_error)?;
        Ok(Some(client))
    }

    /// The subject: a user whom the agent acts for, the agent itself, or a task that is narrowed.
    async fn subject(
        &self,
        subject: &PresentedToken,
        acting: Option<&ProvenAgent>,
    ) -> Result<Proven, OauthError> {
        let text = subject.token.expose();
        match (subject.kind, acting) {
            (TokenType::AccessToken, acting) => self.narrowed(text, acting).await,
            // With somebody acting the subject is a user; alone it is the agent's own token.
            (TokenType::Jwt | TokenType::IdToken, Some((agent, until))) => {
                if let Ok((own, own_until)) = self.workload(text, None, grant_error) {
                    return Ok(Proven::itself(own, own_until.min(*until)));
                }
                let user = self.user(text)?;
                if !user.admits_actor(&agent.spiffe) {
                    return Err(grant_error(
                        "the subject token names another actor (`may_act`)",
                    ));
                }
                let requester = Some(user.requester().clone());
                let said = user.authentication();
                Ok(Proven {
                    requester,
                    authentication: (*said != UserAuthentication::default()).then(|| said.clone()),
                    ..Proven::itself(Arc::clone(agent), user.expires().min(*until))
                })
            }
            (TokenType::Jwt | TokenType::IdToken, None) => {
                let (agent, until) = self.workload(text, None, grant_error)?;
                Ok(Proven::itself(agent, until))
            }
        }
    }

    /// One of our own tokens, whose live task is to be narrowed: for its own agent, or handed on to the one that is acting.
    async fn narrowed(
        &self,
        text: &str,
        acting: Option<&ProvenAgent>,
    ) -> Result<Proven, OauthError> {
        let refused = || grant_error("the subject token is refused");
        let token = self
            .plane
            .verify(text, self.now)
            .map_err(|_any| refused())?;
        let principal = token.principal();
        let agent = self
            .agent(&principal.spiffe)
            .filter(|agent| agent.id == principal.agent)
            .ok_or_else(refused)?;
        let status = self
            .plane
            .task(principal.task, self.now)
            .await
            .filter(|status| status.state == TaskState::Live);
        let status = status.ok_or_else(|| grant_error("the task has ended"))?;
        // A token from before the task was amended hands on what it named.
        let grant = status.named_by(token.details()).ok_or_else(refused)?;
        let other = acting.filter(|(acting, _)| acting.id != agent.id);
        let mut above = status.above;
        above.extend(other.map(|_| agent.id));
        if !self.loaded.all_hold(&above, &status.grant.purpose) {
            return Err(grant_error(
                "an agent that hands the task on has its purpose no more",
            ));
        }
        let parent = Parent {
            named: (!Arc::ptr_eq(&grant, &status.grant)).then_some(grant),
            grant: status.grant,
            left: status.left,
            binding: token.binding().clone(),
            resource: token.resource().clone(),
            handed_with: other.map(|_| Secret::new(text.to_owned())),
        };
        let requester = principal.requester.clone();
        let (agent, until) = match other {
            None => (agent, token.expires()),
            Some((other, until)) => (Arc::clone(other), token.expires().min(*until)),
        };
        Ok(Proven {
            requester,
            authentication: token.authentication().cloned(),
            parent: Some(parent),
            ..Proven::itself(agent, until)
        })
    }

    /// An agent's own token: a JWT-SVID, or a token of an issuer of workloads.
    fn workload(
        &self,
        text: &str,
        named: Option<&ClientId>,
        error: fn(&'static str) -> OauthError,
    ) -> Result<ProvenAgent, OauthError> {
        self.svid(text, error)
            .or_else(|refused| self.federated(text, named, error).map_err(|_other| refused))
    }

    fn svid(
        &self,
        text: &str,
        error: fn(&'static str) -> OauthError,
    ) -> Result<ProvenAgent, OauthError> {
        let audience = self.plane.settings.issuer.as_str();
        let bundles = self.plane.trust.bundles();
        let svid = bundles.verify_jwt(text, audience, self.now);
        let svid = svid.map_err(|fault| {
            tracing::debug!(%fault, "a JWT-SVID was refused");
            error("the JWT-SVID is refused")
        })?;
        let agent = self.agent(svid.spiffe()).ok_or_else(|| error(UNKNOWN))?;
        Ok((agent, svid.expires()))
    }

    /// The one agent that is registered with the claims of a token of an issuer of workloads. `named` chooses where the
    /// claims fit several.
    fn federated(
        &self,
        text: &str,
        named: Option<&ClientId>,
        error: fn(&'static str) -> OauthError,
    ) -> Result<ProvenAgent, OauthError> {
        let token = self
            .verified(text, Vouches::ForWorkloads)
            .ok_or_else(|| error("no configured issuer of workloads vouches for the token"))?;
        let issuer = &token.requester().issuer;
        let claims = token.claims().members();
        let fits = |agent: &&Arc<Agent>| {
            let federated = |one: &Federation| one.matches(issuer, claims);
            let meant = named.is_none_or(|id| id.as_str() == agent.spiffe.as_str());
            agent.enabled
                && !self.plane.has_stopped(agent)
                && meant
                && agent.federations.iter().any(federated)
        };
        let traps = self.loaded.agents.values().filter(|agent| {
            let federated = |one: &Federation| one.matches(issuer, claims);
            agent.watch.honey && agent.federations.iter().any(federated)
        });
        traps.for_each(|agent| self.plane.tell_nobody(agent, self.from));
        let mut agents = self.loaded.agents.values().filter(fits);
        match (agents.next(), agents.next()) {
            (Some(agent), None) => Ok((Arc::clone(agent), token.expires())),
            (None, _) => Err(error("no enabled agent is registered with these claims")),
            (Some(_), Some(_)) => Err(error(
                "several agents are registered with these claims: name one as `client_id`",
            )),
        }
    }

    fn user(&self, text: &str) -> Result<OidcToken, OauthError> {
        self.verified(text, Vouches::ForUsers)
            .ok_or_else(|| grant_error("no configured issuer vouches for the subject token"))
    }

    /// A token that one of the issuers of this kind vouches for.
    fn verified(&self, text: &str, vouches: Vouches) -> Option<OidcToken> {
        let issuers = self.plane.trust.issuers(vouches);
        let verify = |issuer: &Issuer| OidcToken::verify(text, issuer, self.now).ok();
        issuers.iter().find_map(verify)
    }

    fn agent(&self, spiffe: &SpiffeId) -> Option<Arc<Agent>> {
        self.loaded
            .agent_of(spiffe)
            .inspect(|agent| self.plane.tell_nobody(agent, self.from))
            .filter(|agent| agent.enabled && !self.plane.has_stopped(agent))
            .cloned()
    }
}

const UNKNOWN: &str = "no enabled agent has this identity";

impl Plane {
    /// Spends what a client, or the holder of a key, signed for one use.
    ///
    /// What was signed before this process began is refused: whether it was used before, nobody remembers.
    pub(super) fn spend(
        &self,
        signer: SignedBy<'_>,
        jti: &str,
        (issued, expires): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<(), &'static str> {
        if issued.secs_since_epoch() < self.began.secs_since_epoch() {
            return Err("it was signed before the server began: sign another one");
        }
        let end = expires.plus(ClientAssertion::LEEWAY);
        let spent = self.spent.spend_once(&self.tenant, signer, jti, end, now);
        spent.map_err(|fault| match fault {
            ReplayError::Replayed => "it was used before: sign another one",
            ReplayError::Full => "too many are in use at once: try again",
        })
    }
}
