//! `POST /oauth/token`: the life of a token, from top to bottom (ARCHITECTURE "Life of a token").

use std::sync::Arc;

use writ_audit::{
    Actor, Closing, Durability, Event, EvidenceKind, TaskOpened, TokenIssued, TokenRefused,
};
use writ_task::{Ending, Ledger as _, TaskState};
use writ_token::{
    AccessTokenClaims, Authority, OauthError, OauthErrorCode, TokenRequest, TokenType, disarmed,
};
use writ_types::{
    Agent, Asserter, Binding, Grant, KeyedDigest, PurposeName, Resource, SpiffeId, TaskId,
    TaskRequest, Timestamp, Value,
};

use crate::ending::settle;
use crate::loaded::Loaded;
use crate::oauth::narrow::{Granting, blast_radius, token_expiry};
use crate::oauth::possession::bind;
use crate::oauth::proven::{Proof, Proven};
use crate::oauth::ticket::asserter;
use crate::oauth::{OauthAnswer, client_error, grant_error, unavailable};
use crate::plane::{Connection, Plane};

/// Serves one token request.
pub(crate) async fn token(
    plane: &Plane,
    from: &Connection,
    dpop: &[&[u8]],
    form: &str,
) -> OauthAnswer {
    let now = plane.clock.now();
    let nonce = plane.nonces.issue(now);
    let form = disarmed(form, |text| plane.is_trap(text, from));
    let answer = match issue(plane, from, dpop, &form, now).await {
        Ok(body) => OauthAnswer::ok(body),
        Err(Refused { error, agent }) => {
            if let Some(agent) = agent {
                plane.note_refused(from, agent, error.code).await;
            }
            OauthAnswer::refused(&error)
        }
    };
    answer.with_nonce(nonce)
}

/// A refusal, and the agent if it was known by then.
struct Refused {
    error: OauthError,
    agent: Option<writ_types::AgentId>,
}

impl From<OauthError> for Refused {
    fn from(error: OauthError) -> Self {
        Self { error, agent: None }
    }
}

async fn issue(
    plane: &Plane,
    from: &Connection,
    dpop: &[&[u8]],
    form: &str,
    now: Timestamp,
) -> Result<Value, Refused> {
    let clock =
        |_went_back| unavailable("the clock went back; nothing is issued until it is right");
    let now = plane.wall.check(now).map_err(clock)?;
    let loaded = plane.loaded();
    let generation = plane.generation.now();
    let request = TokenRequest::parse(form, &plane.settings.public_url)?;

    let mut proven = Proof {
        plane,
        from,
        loaded: &loaded,
        now,
    }
    .of(&request.grant)
    .await?;
    let agent = Some(proven.agent.id);
    let refused = |error: OauthError| Refused { error, agent };
    let (binding, key_until) =
        bind(plane, from, &loaded, dpop, &proven, &request.resource, now).map_err(refused)?;
    proven.until = proven.until.min(key_until);
    if let Some(parent) = &proven.parent {
        parent
            .admits(&binding, &request.resource)
            .map_err(refused)?;
    }

    plane
        .admit_instance(from, &proven, &binding, now)
        .await
        .map_err(refused)?;
    let asked = Asked {
        plane,
        from,
        loaded: &loaded,
        proven: &proven,
        now,
    };
    let grant = match &request.authority {
        // A token of one task is no authority over another: renewing takes the agent's own identity.
        Authority::Renew(_) if proven.parent.is_some() => Err(grant_error(
            "a task is renewed with the agent's own identity, not with a token",
        )),
        Authority::Renew(task) => asked.renew(*task).await,
        Authority::Open(opening) => match asserter(plane, from, &proven, &binding, opening, now) {
            Ok(asserter) => asked.open(&request.resource, &opening.task, asserter).await,
            Err(error) => Err(error),
        },
    };
    let grant = grant.map_err(refused)?;
    // Who proved it may have ceased to be believed since, after what they had opened was ended.
    if plane.generation.now() != generation {
        asked.take_back(&request.authority, &grant).await;
        return Err(refused(unavailable(
            "who is believed has changed meanwhile: ask again",
        )));
    }
    // Last of all, so that a key takes room only where it gets a token.
    if let Err(elsewhere) = plane.admit_place(from, &proven, (&binding, &request.authority), now) {
        asked.take_back(&request.authority, &grant).await;
        return Err(refused(elsewhere));
    }
    asked
        .mint(&grant, binding, request.resource)
        .await
        .map_err(refused)
}

/// A token request whose parties and key are proven.
struct Asked<'a> {
    plane: &'a Plane,
    from: &'a Connection,
    loaded: &'a Loaded,
    proven: &'a Proven,
    now: Timestamp,
}

impl Asked<'_> {
    /// Opens a task: narrowed, in the ledger, recorded and stored, in this order, so that nothing counts that is not recorded.
    async fn open(
        &self,
        resource: &Resource,
        wanted: &TaskRequest,
        asserter: Asserter,
    ) -> Result<Grant, OauthError> {
        let Self {
            plane,
            loaded,
            proven,
            now,
            from: _,
        } = *self;
        self.unstopped(&wanted.purpose)?;
        self.step_up(&wanted.purpose)?;
        let prompt = wanted
            .prompt
            .as_deref()
            .map(|prompt| KeyedDigest::of(&plane.keys.audit, "prompt", prompt.as_bytes()));
        if wanted
            .prompt
            .as_ref()
            .is_some_and(|prompt| prompt.len() > plane.settings.limits.prompt_bytes)
        {
            return Err(OauthError::new(
                OauthErrorCode::InvalidAuthorizationDetails,
                "`prompt` is too long",
            ));
        }
        let granting = Granting {
            loaded,
            tenant: &plane.tenant,
            agent: &proven.agent,
            requester: proven.requester.clone(),
            resource,
            parent: proven
                .parent
                .as_ref()
                .map(|parent| (&*parent.grant, parent.left)),
            task: TaskId::new(now, crate::random()),
            asserter,
            prompt,
            now,
        };
        let grant = granting.narrow(wanted)?;
        proven.names(&grant)?;
        let opened = plane.ledger.open(grant.clone(), now).await;
        opened.map_err(|fault| OauthError {
            description: fault.to_string().into(),
            ..OauthError::new(OauthErrorCode::InvalidAuthorizationDetails, "")
        })?;
        if let Err(fault) = self.keep(wanted, &grant).await {
            tracing::error!(task = %grant.task, %fault, "a task could not be recorded");
            // What is not recorded did not happen.
            drop(
                plane
                    .ledger
                    .revoke(&plane.tenant, grant.task, Ending::Revoked)
                    .await,
            );
            return Err(unavailable("the task could not be recorded"));
        }
        // Before there is a token, so that nothing of the task has called. It fails only for a task that has ended since.
        if let Asserter::Client(_) = grant.asserters.prompt {
            let prompt = wanted.prompt.as_deref().map(Arc::from);
            let attested = plane.ledger.attest(&plane.tenant, grant.task, prompt);
            attested
                .await
                .map_err(|_ended| grant_error("the task has ended"))?;
        }
        Ok(grant)
    }

    /// Ends a task that was opened by this very request.
    async fn take_back(&self, authority: &Authority, grant: &Grant) {
        let Authority::Open(_) = authority else {
            return;
        };
        let (plane, task) = (self.plane, grant.task);
        let cut = plane.ledger.revoke(&plane.tenant, task, Ending::Revoked);
        // One that has ended meanwhile is over too.
        let Ok(cut) = cut.await else {
            return;
        };
        if let Err(fault) = settle(plane, Actor::System, task, &cut, Closing::Revoked).await {
            tracing::error!(%task, fault, "a task that nobody vouches for could not be kept as ended");
        }
    }

    /// Records and stores a task that was opened.
    async fn keep(
        &self,
        wanted: &TaskRequest,
        grant: &Grant,
    ) -> Result<(), crate::plane::KeepError> {
        let Self {
            plane,
            proven,
            from,
            ..
        } = *self;
        let header = plane.header(grant.opened);
        let prompt = wanted.prompt.as_deref().map(str::as_bytes);
        let evidence = prompt
            .map(|prompt| plane.seal(&header, EvidenceKind::Task, prompt))
            .transpose()?;
        let reference = evidence.as_ref().map(writ_audit::Evidence::reference);
        let opened = TaskOpened::of(grant, &proven.agent.spiffe, from.source(), reference);
        // Stored first: a record of a task that no store knows could not be rebuilt after a crash.
        plane.store_task(grant).await?;
        plane
            .record(
                header,
                Event::TaskOpened(Box::new(opened)),
                evidence,
                Durability::Durable,
            )
            .await?;
        Ok(())
    }

    /// A live task of the same agent gets another token, with fresh proof.
    async fn renew(&self, task: TaskId) -> Result<Grant, OauthError> {
        let Self {
            plane,
            loaded,
            proven,
            now,
            from: _,
        } = *self;
        let status = plane.ledger.status(&plane.tenant, task, now).await;
        let live = status.filter(|status| {
            status.state == TaskState::Live
                && status.grant.agent == proven.agent.id
                && status.grant.requester == proven.requester
        });
        let status = live.ok_or_else(|| grant_error("there is no such live task of this agent"))?;
        if status.left.calls == 0 {
            return Err(grant_error("the task has spent its budget"));
        }
        // What was taken since the task was opened from the agent, from one that handed it on, or from the purpose is not renewed.
        let purpose = loaded.purposes.get(&status.grant.purpose);
        let purpose = purpose.filter(|purpose| {
            let name = &purpose.name;
            proven.agent.purposes.contains(name) && loaded.all_hold(&status.above, name)
        });
        if !purpose.is_some_and(|purpose| status.grant.actions.is_subset(&purpose.actions)) {
            return Err(grant_error(
                "the purpose no longer covers the task: open a new one",
            ));
        }
        self.unstopped(&status.grant.purpose)?;
        self.step_up(&status.grant.purpose)?;
        Ok(Grant::clone(&status.grant))
    }

    /// Whether nobody has stopped the owner of the purpose. Who does not have the purpose learns nothing of it.
    fn unstopped(&self, purpose: &PurposeName) -> Result<(), OauthError> {
        let Self { loaded, proven, .. } = *self;
        let purpose = loaded.purposes.get(purpose);
        let purpose = purpose.filter(|purpose| proven.agent.purposes.contains(&purpose.name));
        if purpose.is_some_and(|purpose| self.plane.has_stopped_purpose(purpose)) {
            return Err(grant_error(
                "stopped: a person has stopped the owner of this purpose",
            ));
        }
        Ok(())
    }

    /// Whether the user has authenticated as the purpose wants it (RFC 9470). Who does not have the purpose learns nothing of it.
    fn step_up(&self, purpose: &PurposeName) -> Result<(), OauthError> {
        let Self { loaded, proven, .. } = *self;
        let purpose = loaded.purposes.get(purpose);
        let purpose = purpose.filter(|purpose| proven.agent.purposes.contains(&purpose.name));
        let known = proven.authentication.as_ref();
        let wanted = purpose.and_then(|purpose| purpose.wants(known, self.now));
        wanted.map_or(Ok(()), |wanted| Err(OauthError::step_up(wanted)))
    }

    /// The other agents that the task came from, the latest first (RFC 8693 §4.1). History, which nobody decides on: the ledger
    /// says whose task it is.
    async fn prior_actors(&self, grant: &Grant) -> Vec<SpiffeId> {
        let status = self.plane.task(grant.task, self.now).await;
        let above = status.map(|status| status.above).unwrap_or_default();
        let agents = above.iter().filter_map(|id| self.loaded.agents.get(id));
        let agents = agents.map(|agent| agent.spiffe.clone());
        agents.take(AccessTokenClaims::MOST_PRIOR_ACTORS).collect()
    }

    /// Builds the claims, records, signs, and verifies with our own verifier before anything leaves.
    async fn mint(
        &self,
        grant: &Grant,
        binding: Binding,
        resource: Resource,
    ) -> Result<Value, OauthError> {
        let Self {
            plane,
            from,
            loaded,
            proven,
            now,
        } = *self;
        let expires = token_expiry(loaded, grant, &resource, now).min(proven.until);
        if expires.secs_since_epoch() <= now.secs_since_epoch() {
            return Err(grant_error(
                "what proves the agent, or its task, ends too soon for a token",
            ));
        }
        let client_id = grant_client(&proven.agent)?;
        let token_type = if matches!(binding, Binding::Dpop(_)) {
            "DPoP"
        } else {
            "Bearer"
        };
        let claims = AccessTokenClaims {
            issuer: plane.settings.issuer.clone(),
            resource: resource.clone(),
            client_id,
            requester: grant.requester.clone(),
            spiffe: proven.agent.spiffe.clone(),
            prior_actors: self.prior_actors(grant).await,
            agent: proven.agent.id,
            task: grant.task,
            token: writ_types::TokenId::new(now, crate::random()),
            binding: binding.clone(),
            details: grant.to_details(),
            authentication: proven.authentication.clone(),
            issued: now,
            not_before: None,
            expires,
        };
        let issued = TokenIssued {
            token: claims.token,
            task: grant.task,
            agent: proven.agent.id,
            api: match &resource {
                Resource::Api(api) => Some(api.clone()),
                Resource::All => None,
            },
            binding,
            expires,
            source: from.source(),
        };
        plane.hold_instance(proven, &issued);
        let token = plane.issue(&claims, issued).await?;
        let radius = blast_radius(loaded, &grant.actions, grant.budget);
        Ok(Value::object([
            ("access_token", Value::from(token)),
            (
                "issued_token_type",
                Value::from(TokenType::AccessToken.as_str()),
            ),
            ("token_type", Value::from(token_type)),
            ("expires_in", Value::from_u64(expires.since(now).as_secs())),
            ("authorization_details", claims.details),
            ("task_id", Value::from(grant.task.to_string())),
            ("blast_radius", Value::from_u64(radius.weight())),
            (
                "task_expires_in",
                Value::from_u64(grant.deadline.since(now).as_secs()),
            ),
        ]))
    }
}

fn grant_client(agent: &Agent) -> Result<writ_token::ClientId, OauthError> {
    agent
        .spiffe
        .as_str()
        .parse()
        .map_err(|_too_long| client_error("the agent's identity is too long for a client id"))
}

impl Plane {
    /// Records a token that is issued, and signs it.
    async fn issue(
        &self,
        claims: &AccessTokenClaims,
        issued: TokenIssued,
    ) -> Result<String, OauthError> {
        let event = Event::TokenIssued(issued);
        let recorded = self
            .record(self.header(claims.issued), event, None, Durability::Durable)
            .await;
        recorded.map_err(|_fault| unavailable("the token could not be recorded"))?;
        self.sign(claims).map_err(|fault| {
            tracing::error!(%fault, "a token could not be signed");
            unavailable("the token could not be signed")
        })
    }

    /// Records that a registered agent was refused a token; a refusal that cannot be recorded is still a refusal.
    async fn note_refused(
        &self,
        from: &Connection,
        agent: writ_types::AgentId,
        code: OauthErrorCode,
    ) {
        let Ok(error) = code.as_str().parse() else {
            return;
        };
        let event = Event::TokenRefused(TokenRefused {
            agent,
            error,
            source: from.source(),
        });
        if let Err(fault) = self
            .record(
                self.header(self.clock.now()),
                event,
                None,
                Durability::Handed,
            )
            .await
        {
            tracing::error!(%fault, "a refused token request could not be recorded");
        }
    }
}
