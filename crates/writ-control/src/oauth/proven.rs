//! Who asks the authorization server, as proven: the client, the actor, the subject, and the task that is narrowed.

use std::sync::Arc;

use writ_task::TaskState;
use writ_token::{
    ClientAuthentication, GrantRequest, OauthError, OauthErrorCode, OidcToken, PresentedToken,
    TokenType,
};
use writ_types::{Agent, Binding, Budget, Grant, Requester, Resource, SpiffeId, Timestamp};

use crate::loaded::Loaded;
use crate::oauth::{client_error, grant_error};
use crate::plane::{Connection, Plane};

/// Who asks, as proven.
pub(super) struct Proven {
    /// The agent that acts.
    pub(super) agent: Arc<Agent>,
    /// The user it acts for, if there is one.
    pub(super) requester: Option<Requester>,
    /// The earliest end of what proved it.
    pub(super) until: Timestamp,
    /// The task that is narrowed, if the subject is one.
    pub(super) parent: Option<Parent>,
}

/// The task that is narrowed.
pub(super) struct Parent {
    /// What it holds.
    pub(super) grant: Arc<Grant>,
    /// What it has left.
    pub(super) left: Budget,
    binding: Binding,
    resource: Resource,
}

impl Parent {
    /// Narrowing takes the key of the token that is shown, and reaches no API that this token does not.
    pub(super) fn admits(&self, binding: &Binding, resource: &Resource) -> Result<(), OauthError> {
        if self.binding != *binding {
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

impl Proof<'_> {
    /// Proves every identity that a request names, and that they belong together.
    ///
    /// # Errors
    ///
    /// `invalid_client` for the client's own proof, `invalid_grant` for a subject's or an actor's.
    pub(super) async fn of(&self, request: &GrantRequest) -> Result<Proven, OauthError> {
        match request {
            GrantRequest::ClientCredentials(client) => {
                let (agent, until) = self.client(client)?;
                Ok(Proven {
                    agent,
                    requester: None,
                    until,
                    parent: None,
                })
            }
            GrantRequest::TokenExchange(exchange) => {
                let client = exchange
                    .client
                    .as_ref()
                    .map(|client| self.client(client))
                    .transpose()?;
                let actor = exchange
                    .actor
                    .as_ref()
                    .map(|actor| self.svid(actor.token.expose(), grant_error))
                    .transpose()?;
                let mut proven = self
                    .subject(&exchange.subject, actor.as_ref().or(client.as_ref()))
                    .await?;
                for (agent, until) in [client, actor].into_iter().flatten() {
                    if agent.id != proven.agent.id {
                        return Err(grant_error(
                            "client, actor and subject are not the same agent",
                        ));
                    }
                    proven.until = proven.until.min(until);
                }
                Ok(proven)
            }
        }
    }

    /// The client's own authentication (draft-ietf-oauth-spiffe-client-auth, RFC 8705 §2), and until when it holds.
    ///
    /// # Errors
    ///
    /// `invalid_client`.
    pub(super) fn client(
        &self,
        client: &ClientAuthentication,
    ) -> Result<(Arc<Agent>, Timestamp), OauthError> {
        let (found, client_id) = match client {
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
                    .ok_or_else(|| client_error("the connection has no client certificate"))?;
                let agent = self
                    .agent(&certificate.spiffe)
                    .ok_or_else(|| client_error(UNKNOWN))?;
                ((agent, certificate.not_after), Some(client_id))
            }
            ClientAuthentication::JwtBearer {
                client_id: _,
                assertion: _,
            } => {
                return Err(client_error(
                    "the client has no registered key: authenticate with a JWT-SVID or by mTLS",
                ));
            }
        };
        if client_id.is_some_and(|id| id.as_str() != found.0.spiffe.as_str()) {
            return Err(client_error(
                "`client_id` is not the identity that was proven",
            ));
        }
        Ok(found)
    }

    /// The subject: a user whom the agent acts for, the agent itself, or a task that is narrowed.
    async fn subject(
        &self,
        subject: &PresentedToken,
        acting: Option<&(Arc<Agent>, Timestamp)>,
    ) -> Result<Proven, OauthError> {
        let text = subject.token.expose();
        match (subject.kind, acting) {
            (TokenType::AccessToken, _) => self.narrowed(text).await,
            // With somebody acting the subject is a user; alone it is the agent's own SVID.
            (TokenType::Jwt | TokenType::IdToken, Some((agent, until))) => {
                if let Ok((own, own_until)) = self.svid(text, grant_error) {
                    return Ok(Proven {
                        agent: own,
                        requester: None,
                        until: own_until.min(*until),
                        parent: None,
                    });
                }
                let user = self.user(text)?;
                if !user.admits_actor(&agent.spiffe) {
                    return Err(grant_error(
                        "the subject token names another actor (`may_act`)",
                    ));
                }
                let requester = Some(user.requester().clone());
                Ok(Proven {
                    agent: Arc::clone(agent),
                    requester,
                    until: user.expires().min(*until),
                    parent: None,
                })
            }
            (TokenType::Jwt | TokenType::IdToken, None) => {
                let (agent, until) = self.svid(text, grant_error)?;
                Ok(Proven {
                    agent,
                    requester: None,
                    until,
                    parent: None,
                })
            }
        }
    }

    /// One of our own tokens, whose live task is to be narrowed for the same agent.
    async fn narrowed(&self, text: &str) -> Result<Proven, OauthError> {
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
        let parent = Parent {
            grant: status.grant,
            left: status.left,
            binding: token.binding().clone(),
            resource: token.resource().clone(),
        };
        let requester = principal.requester.clone();
        Ok(Proven {
            agent,
            requester,
            until: token.expires(),
            parent: Some(parent),
        })
    }

    fn svid(
        &self,
        text: &str,
        error: fn(&'static str) -> OauthError,
    ) -> Result<(Arc<Agent>, Timestamp), OauthError> {
        let audience = self.plane.settings.issuer.as_str();
        let svid = self.plane.bundles().verify_jwt(text, audience, self.now);
        let svid = svid.map_err(|fault| {
            tracing::debug!(%fault, "a JWT-SVID was refused");
            error("the JWT-SVID is refused")
        })?;
        let agent = self.agent(svid.spiffe()).ok_or_else(|| error(UNKNOWN))?;
        Ok((agent, svid.expires()))
    }

    fn user(&self, text: &str) -> Result<OidcToken, OauthError> {
        let mut verified = self
            .plane
            .issuers
            .iter()
            .filter_map(|issuer| OidcToken::verify(text, issuer, self.now).ok());
        verified
            .next()
            .ok_or_else(|| grant_error("no configured issuer vouches for the subject token"))
    }

    fn agent(&self, spiffe: &SpiffeId) -> Option<Arc<Agent>> {
        self.loaded
            .agent_of(spiffe)
            .filter(|agent| agent.enabled)
            .cloned()
    }
}

const UNKNOWN: &str = "no enabled agent has this identity";
