//! Transaction tokens: what a permitted call tells the upstream's services of itself (draft-ietf-oauth-transaction-tokens-10).
//!
//! Not a credential: it says for whom, by which agent and to what end a call is made, and is worth nothing elsewhere. One is
//! signed for each call, with the key of access tokens, so that Writ's JWKS verifies it; `typ` and `aud` keep both kinds apart.

use std::time::Duration;

use writ_types::{
    ActionName, AgentId, CallId, PurposeName, Requester, SpiffeId, TaskId, Timestamp, TrustDomain,
    Value,
};

use crate::{IssuerUrl, SignError, Signer};

/// What a transaction token says.
#[derive(Debug, Clone)]
pub struct TransactionToken<'a> {
    /// `iss`.
    pub issuer: &'a IssuerUrl,
    /// `aud`: the trust domain whose services verify it.
    pub trust_domain: &'a TrustDomain,
    /// `txn`: the call, as it is in the log.
    pub call: CallId,
    /// `sub` and `sub_id`: the user it is for, if there is one.
    pub requester: Option<&'a Requester>,
    /// `req_wl` and `act`: the agent that asked.
    pub spiffe: &'a SpiffeId,
    /// `scope`: the one action that was permitted.
    pub action: &'a ActionName,
    /// `tctx.purpose`.
    pub purpose: &'a PurposeName,
    /// `tctx.task_id`.
    pub task: TaskId,
    /// `rctx.agent_id`.
    pub agent: AgentId,
    /// `iat`.
    pub now: Timestamp,
}

impl TransactionToken<'_> {
    /// The header field that carries it.
    pub const HEADER: &'static str = "txn-token";
    /// How long one is good for: a call's way through the services behind the upstream.
    pub const LIFE: Duration = Duration::from_secs(60);

    /// The signed token.
    ///
    /// # Errors
    ///
    /// `Scope` if the action cannot be one word of a scope (RFC 6749 §3.3); `Library`.
    pub fn sign(&self, signer: &Signer) -> Result<String, SignError> {
        let scope = self.action.to_string();
        let word = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if scope.is_empty() || !scope.bytes().all(word) {
            return Err(SignError::Scope);
        }
        let seconds = |instant: Timestamp| Value::from_u64(instant.secs_since_epoch());
        let spiffe = Value::from(self.spiffe.as_str());
        let subject = self
            .requester
            .map_or(self.spiffe.as_str(), |user| &user.subject);
        let mut claims = vec![
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", Value::from(self.trust_domain.as_str())),
            ("iat", seconds(self.now)),
            ("exp", seconds(self.now.plus(Self::LIFE))),
            ("txn", Value::from(self.call.to_string())),
            ("sub", Value::from(subject)),
            ("scope", Value::from(scope)),
            ("req_wl", spiffe.clone()),
            ("act", Value::object([("sub", spiffe)])),
            (
                "tctx",
                Value::object([
                    ("task_id", Value::from(self.task.to_string())),
                    ("purpose", Value::from(self.purpose.as_str())),
                ]),
            ),
            (
                "rctx",
                Value::object([("agent_id", Value::from(self.agent.to_string()))]),
            ),
        ];
        if let Some(user) = self.requester {
            let sub_id = Value::object([
                ("format", Value::from("iss_sub")),
                ("iss", Value::from(user.issuer.as_str())),
                ("sub", Value::from(user.subject.as_str())),
            ]);
            claims.push(("sub_id", sub_id));
        }
        signer.sign_compact("txntoken+jwt", &Value::object(claims))
    }
}

#[cfg(test)]
mod tests;
