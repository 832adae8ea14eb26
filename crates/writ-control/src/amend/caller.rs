//! Who asks for an amendment: the holder of a live token of the task and of the key it is bound to.

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use writ_audit::{Alarm, AlarmKind, AlarmResponse, KeyUse, Stand, Subject, Watchman as _};
use writ_task::{TaskState, TaskStatus};
use writ_token::{
    AuthError, Authenticated, Authenticator, ClientCertificate, HttpUri, Presented, TokenCache,
    UnboundTokens,
};
use writ_types::{Agent, Binding, CallId, Reaction, ReasonCode, Resource, Timestamp};

use super::Refused;
use crate::loaded::Loaded;
use crate::plane::{Connection, Plane};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Who asks, as proven.
pub(super) struct Caller {
    proof: Authenticated,
}

impl Caller {
    /// Proves that the request comes from the holder of a live token and of its key, as a call at the gateway does, for this
    /// URL of the control plane.
    ///
    /// # Errors
    ///
    /// 401; strangers learn no more.
    pub(super) fn prove(
        plane: &Plane,
        from: &Connection,
        (headers, path): (&HeaderMap, &str),
        (call, now): (CallId, Timestamp),
    ) -> Result<Self, Refused> {
        let (authorization, dpop) = (values(headers, &AUTHORIZATION), values(headers, &DPOP));
        let text = authorization
            .first()
            .and_then(|value| str::from_utf8(value).ok());
        let text = text.and_then(|text| text.split_once(' '));
        let token = text.map(|(_scheme, token)| token).unwrap_or_default();
        if plane.is_trap(token, from) {
            return Err(ReasonCode::Unauthenticated.into());
        }
        let resource = match plane.verify(token, now) {
            Ok(verified) => verified.resource().clone(),
            Err(_refused_below) => Resource::All,
        };
        let uri: HttpUri = format!("{}{path}", plane.settings.issuer)
            .parse()
            .map_err(|_not_a_uri| ReasonCode::Unauthenticated)?;
        let certificate = from.certificate.as_ref().map(|shown| ClientCertificate {
            digest: shown.digest,
            spiffe: shown.spiffe.clone(),
        });
        let presented = Presented {
            authorization: &authorization,
            dpop: &dpop,
            certificate: certificate.as_ref(),
            method: "POST",
            uri: &uri,
            resource: &resource,
        };
        // One that is bound to no key may be accepted for calls of an API; what its task holds is more than those.
        let proof = plane.authenticate(&presented, UnboundTokens::Refused, (call, now));
        let proof = proof.map_err(|fault| Refused {
            challenge: Some(fault.challenge()),
            ..fault.reason().into()
        })?;
        Ok(Self { proof })
    }

    /// Who they are, for records.
    pub(super) fn subject(&self) -> Subject {
        Subject::from(self.proof.principal())
    }

    /// The proof.
    pub(super) const fn proof(&self) -> &Authenticated {
        &self.proof
    }

    /// The task of the token, if it lives and the token was issued for it, and its agent, if it may act.
    ///
    /// # Errors
    ///
    /// As for a call of the task.
    pub(super) async fn task(
        &self,
        plane: &Plane,
        loaded: &Loaded,
        now: Timestamp,
    ) -> Result<(TaskStatus, Arc<Agent>), Refused> {
        let (principal, token) = (self.proof.principal(), self.proof.token());
        let status = plane.task(principal.task, now).await;
        let live = status.filter(|status| status.state == TaskState::Live);
        let status = live.ok_or(ReasonCode::TaskEnded)?;
        let grant = &status.grant;
        let own = grant.agent == principal.agent
            && grant.tenant == principal.tenant
            && grant.requester == principal.requester
            && status.named_by(token.details()).is_some();
        let agent = loaded.agents.get(&principal.agent).filter(|_| own);
        let agent = agent.ok_or(ReasonCode::Unauthenticated)?;
        if agent.spiffe != principal.spiffe || token.client().as_str() != agent.spiffe.as_str() {
            return Err(ReasonCode::Unauthenticated.into());
        }
        if !agent.enabled {
            return Err(ReasonCode::AgentDisabled.into());
        }
        Ok((status, Arc::clone(agent)))
    }

    /// Whether the key asks from where it is used, as far as the agent's file asks for one place.
    ///
    /// # Errors
    ///
    /// `second_source`, and `not_ready` if there is no room to know.
    pub(super) fn stands(
        &self,
        plane: &Plane,
        from: &Connection,
        agent: &Agent,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let response = match agent.watch.second_source {
            Reaction::Allow => return Ok(()),
            Reaction::Raise => AlarmResponse::Raised,
            Reaction::Refuse => AlarmResponse::Refused,
        };
        let principal = self.proof.principal();
        let key = match &principal.binding {
            Binding::Dpop(key) | Binding::Mtls(key) => *key,
            Binding::Unbound => return Ok(()),
        };
        let place = (KeyUse::Asking, from.peer);
        let before = match plane.places.stand(&plane.tenant, &key, place, now) {
            Stand::Here => return Ok(()),
            Stand::Full => return Err(ReasonCode::NotReady.into()),
            Stand::Elsewhere(before) => before,
        };
        plane.alarms.raise(Alarm {
            what: AlarmKind::SecondSource,
            agent: Some(agent.id),
            task: Some(principal.task),
            key: Some(key),
            trap: None,
            source: from.source(),
            before: Some(before),
            response,
        });
        match response {
            AlarmResponse::Raised => Ok(()),
            AlarmResponse::Refused | AlarmResponse::Stopped => Err(ReasonCode::SecondSource.into()),
        }
    }
}

impl Plane {
    /// Authenticates what was presented with a token of ours and the proof of its key.
    fn authenticate(
        &self,
        presented: &Presented<'_>,
        unbound: UnboundTokens,
        (call, now): (CallId, Timestamp),
    ) -> Result<Authenticated, AuthError> {
        // Tokens are seldom shown here: nothing is worth keeping.
        let tokens = TokenCache::new(1);
        self.with_verifier(|verifier| {
            let authenticator = Authenticator {
                verifier,
                tokens: &tokens,
                nonces: &self.nonces,
                replays: &self.replays,
                proof_age: Authenticator::PROOF_AGE,
            };
            authenticator.authenticate(presented, unbound, call, now)
        })
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    let values = headers.get_all(name).iter();
    values.map(HeaderValue::as_bytes).collect()
}
