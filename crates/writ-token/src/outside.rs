//! What Writ signs for the authorization server of an API: who it is there (RFC 7523 §2.2), and for whom it asks (RFC 8693 §2.1).
//!
//! Signed with the key of access tokens, so that Writ's JWKS verifies it. `aud` is that server alone, and `typ` is no access
//! token's, so that neither is worth anything elsewhere.

use std::time::Duration;

use writ_types::{
    AgentId, CallId, PurposeName, Requester, SpiffeId, TaskId, Timestamp, TokenId, Value,
};

use crate::{IssuerUrl, SignError, Signer};

/// How long what is signed is good for: the way to the token endpoint.
const LIFE: Duration = Duration::from_secs(60);

/// Proof that Writ is a client (RFC 7523bis: the server's issuer is its only audience).
#[derive(Debug, Clone, Copy)]
pub struct OutsideClient<'a> {
    /// `iss` and `sub`.
    pub client_id: &'a str,
    /// `aud`.
    pub server: &'a str,
    /// `jti`.
    pub id: TokenId,
    /// `iat`.
    pub now: Timestamp,
}

impl OutsideClient<'_> {
    /// The signed assertion.
    ///
    /// # Errors
    ///
    /// `Library`.
    pub fn sign(&self, signer: &Signer) -> Result<String, SignError> {
        let claims = Value::object([
            ("iss", Value::from(self.client_id)),
            ("sub", Value::from(self.client_id)),
            ("aud", Value::from(self.server)),
            ("jti", Value::from(self.id.to_string())),
            ("iat", seconds(self.now)),
            ("exp", seconds(self.now.plus(LIFE))),
        ]);
        signer.sign_compact("client-authentication+jwt", &claims)
    }
}

/// For whom a task acts: the subject of an exchange, with the agent as its actor (RFC 8693 §4.1), so that there is no actor's token
/// beside it.
#[derive(Debug, Clone, Copy)]
pub struct OutsideSubject<'a> {
    /// `iss`: Writ.
    pub issuer: &'a IssuerUrl,
    /// `aud`.
    pub server: &'a str,
    /// `sub` and `sub_id`: the user it is for, if there is one.
    pub requester: Option<&'a Requester>,
    /// `act`: the agent; `sub`, where it acts for nobody.
    pub spiffe: &'a SpiffeId,
    /// `agent_id`.
    pub agent: AgentId,
    /// `purpose`.
    pub purpose: &'a PurposeName,
    /// `task_id`.
    pub task: TaskId,
    /// `txn`: the call that needs the token first, as it is in the log.
    pub call: CallId,
    /// `jti`.
    pub id: TokenId,
    /// `iat`.
    pub now: Timestamp,
}

impl OutsideSubject<'_> {
    /// The signed token.
    ///
    /// # Errors
    ///
    /// `Library`.
    pub fn sign(&self, signer: &Signer) -> Result<String, SignError> {
        let spiffe = self.spiffe.as_str();
        let subject = self.requester.map_or(spiffe, |user| &user.subject);
        let actor = Value::object([("sub", Value::from(spiffe))]);
        let sub_id = self.requester.map(|user| {
            let user = [
                ("format", Value::from("iss_sub")),
                ("iss", Value::from(user.issuer.as_str())),
                ("sub", Value::from(user.subject.as_str())),
            ];
            ("sub_id", Value::object(user))
        });
        let claims = [
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", Value::from(self.server)),
            ("sub", Value::from(subject)),
            ("act", actor),
            ("jti", Value::from(self.id.to_string())),
            ("txn", Value::from(self.call.to_string())),
            ("iat", seconds(self.now)),
            ("exp", seconds(self.now.plus(LIFE))),
            ("task_id", Value::from(self.task.to_string())),
            ("agent_id", Value::from(self.agent.to_string())),
            ("purpose", Value::from(self.purpose.as_str())),
        ];
        signer.sign_compact("JWT", &Value::object(claims.into_iter().chain(sub_id)))
    }
}

fn seconds(instant: Timestamp) -> Value {
    Value::from_u64(instant.secs_since_epoch())
}

#[cfg(test)]
mod tests {
    use writ_types::JsonLimits;

    use super::*;
    use crate::generate_signing_key;
    use crate::testing::now;

    const SERVER: &str = "https://as.example";

    fn claims(text: &str) -> Value {
        let payload = text.split('.').nth(1).unwrap();
        let payload = crate::jose::base64url::decode(payload).unwrap();
        Value::parse(&payload, &JsonLimits::REQUEST).unwrap()
    }

    /// RFC 8693 §4.1: the user is the subject and the agent the actor; an agent that acts for nobody is both.
    #[test]
    fn a_subject_is_the_user_and_its_actor_the_agent() {
        let signer = Signer::from_pkcs8(&generate_signing_key().unwrap()).unwrap();
        let issuer = "https://control.writ.example".parse().unwrap();
        let (spiffe, purpose) = (
            "spiffe://writ.local/agent/bot".parse().unwrap(),
            "triage".parse().unwrap(),
        );
        let user = Requester {
            issuer: "https://login.example".to_owned(),
            subject: "alice".to_owned(),
        };
        for (requester, subject) in [
            (Some(&user), "alice"),
            (None, "spiffe://writ.local/agent/bot"),
        ] {
            let token = OutsideSubject {
                issuer: &issuer,
                server: SERVER,
                requester,
                spiffe: &spiffe,
                agent: AgentId::new(now(), [1; 10]),
                purpose: &purpose,
                task: TaskId::new(now(), [2; 10]),
                call: CallId::new(now(), [3; 10]),
                id: TokenId::new(now(), [4; 10]),
                now: now(),
            };
            let claims = claims(&token.sign(&signer).unwrap());
            let text = |name: &str| claims.member(name).and_then(Value::as_str);
            assert_eq!((text("sub"), text("aud")), (Some(subject), Some(SERVER)));
            let actor = claims.member("act").and_then(|act| act.member("sub"));
            assert_eq!(actor.and_then(Value::as_str), Some(spiffe.as_str()));
            let whose = claims.member("sub_id").and_then(|id| id.member("iss"));
            let whose = whose.and_then(Value::as_str);
            assert_eq!(whose, requester.map(|user| user.issuer.as_str()));
        }
    }
}
