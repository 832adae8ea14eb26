//! The closed registry of reasons: every refusal on the wire names one, and docs and remedies are generated from here.

use std::fmt;

use crate::RemedyKind;

/// Which part of Writ refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Who calls is not proven.
    Authn,
    /// The call does not follow the contract.
    Contract,
    /// The task or the policy does not allow it.
    Policy,
    /// The task has spent what it had.
    Budget,
    /// Writ or the upstream is at fault, not the caller.
    GatewayFault,
}

impl Category {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authn => "authn",
            Self::Contract => "contract",
            Self::Policy => "policy",
            Self::Budget => "budget",
            Self::GatewayFault => "gateway_fault",
        }
    }
}

/// What repeating the call would bring: the three honest classes, and a fault that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// It will not be allowed in this task.
    Never,
    /// It may be allowed later, after an approval or a wait.
    NotYet,
    /// It may be allowed with other arguments.
    NotLikeThis,
    /// The same call may succeed when the fault has passed.
    Fault,
}

impl Outlook {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::NotYet => "not_yet",
            Self::NotLikeThis => "not_like_this",
            Self::Fault => "fault",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $status:literal $category:ident $outlook:ident $remedy:ident $title:literal, $detail:literal;)+) => {
        /// Why something was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ReasonCode {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word on the wire and in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Which part of Writ refused.
            #[must_use]
            pub const fn category(self) -> Category {
                match self { $(Self::$name => Category::$category,)+ }
            }

            /// What repeating the call would bring.
            #[must_use]
            pub const fn outlook(self) -> Outlook {
                match self { $(Self::$name => Outlook::$outlook,)+ }
            }

            /// What the caller can do.
            #[must_use]
            pub const fn remedy(self) -> RemedyKind {
                match self { $(Self::$name => RemedyKind::$remedy,)+ }
            }

            /// A few words, static.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// One or two sentences for the agent, static: nothing of the request is in it.
            #[must_use]
            pub const fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)+ }
            }

            /// What it means, for the documentation.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

reasons! {
    /// No token, or one that does not verify, has expired, is for another audience, or whose key was not proven. Strangers learn nothing else.
    Unauthenticated "unauthenticated" 401 Authn NotLikeThis Authenticate "Not authenticated", "The call has no live token bound to the caller's key. Get a token for a task and prove its key with every call.";
    /// The `DPoP` proof is missing, malformed, not for this request, too old, or was used before (RFC 9449 §7.1).
    InvalidDpopProof "invalid_dpop_proof" 401 Authn NotLikeThis Authenticate "Proof of possession refused", "Make a fresh DPoP proof for this method and URL with the key the token is bound to.";
    /// The `DPoP` proof lacks the server's current nonce (RFC 9449 §9).
    UseDpopNonce "use_dpop_nonce" 401 Authn NotLikeThis Authenticate "DPoP nonce required", "Repeat the call with the nonce from the DPoP-Nonce header in the proof.";
    /// The token is good, but its task was closed, revoked, or has reached its deadline.
    TaskEnded "task_ended" 401 Authn Never NewTask "The task has ended", "This task is over. Do not retry; report back to whoever gave you the task.";
    /// The token is not for this API.
    WrongAudience "wrong_audience" 401 Authn NotLikeThis Authenticate "The token is not for this API", "Ask for a token whose resource is this API.";
    /// The key of the token was used from another network a moment ago (ARCHITECTURE "One instance, one key").
    SecondSource "second_source" 401 Authn NotLikeThis Authenticate "The key is in use elsewhere", "The key of this token was used from another network within the last minute. Prove a new key and renew the task's token with it.";
    /// The user has authenticated too long ago for the task's purpose, in another way than it wants, or there is no user (RFC 9470 §3). The challenge says how: `max_age` and `acr_values`.
    InsufficientUserAuthentication "insufficient_user_authentication" 401 Authn NotLikeThis Authenticate "The user has to authenticate again", "The purpose of this task wants a fresher or stronger authentication of the user. Have the user sign in as the challenge says, and renew the task's token with what comes of it.";
    /// The request line, a header field or the framing is malformed (RFC 9112).
    MalformedRequest "malformed_request" 400 Contract NotLikeThis FixRequest "Malformed request", "The request is not well-formed HTTP for this gateway.";
    /// No operation of the contract has this path.
    UnknownOperation "unknown_operation" 404 Contract NotLikeThis FixRequest "No such operation", "The API's contract has no operation at this path.";
    /// Operations have this path, but none with this method.
    MethodNotAllowed "method_not_allowed" 405 Contract NotLikeThis FixRequest "Method not allowed", "The API's contract has no operation with this method at this path.";
    /// Parameters or body do not follow the contract; `faults` points at each place.
    InvalidInput "invalid_input" 400 Contract NotLikeThis FixRequest "The input does not follow the contract", "Correct the places named in faults and call again.";
    /// The body is larger than the limit.
    BodyTooLarge "body_too_large" 413 Contract NotLikeThis FixRequest "Body too large", "The body is larger than this gateway accepts.";
    /// The body did not arrive in time.
    BodyTimeout "body_timeout" 408 Contract Fault Retry "Body not received", "The body did not arrive in time.";
    /// A body that would be passed on as it comes does not say how long it is (RFC 9110 §15.5.12).
    LengthRequired "length_required" 411 Contract NotLikeThis FixRequest "Length required", "Send this body with a Content-Length.";
    /// The `Content-Type` is not one the contract declares for the operation.
    UnsupportedMediaType "unsupported_media_type" 415 Contract NotLikeThis FixRequest "Unsupported media type", "The contract does not declare this Content-Type for the operation.";
    /// The body has a content coding; what cannot be read cannot be authorized.
    UnsupportedEncoding "unsupported_encoding" 415 Contract NotLikeThis FixRequest "Unsupported content coding", "Send the body without Content-Encoding.";
    /// The task does not hold this action.
    ActionNotGranted "action_not_granted" 403 Policy Never NewTask "The task does not hold this action", "This action is not part of the task. Do not try another way; ask whoever gave you the task.";
    /// The API belongs to an environment that the task's purpose does not reach.
    OutsideEnvironment "outside_environment" 403 Policy Never NewTask "Another environment", "This API is in an environment that the task's purpose does not reach. Do not try another way; ask whoever gave you the task.";
    /// The task's purpose has hours, and it is not within them.
    OutsideHours "outside_hours" 403 Policy NotYet Wait "Outside the purpose's hours", "This task is used in the hours of its purpose only. Do not try another way; repeat the call within them or report back.";
    /// An argument lies outside the task's bounds.
    OutsideBounds "outside_bounds" 403 Policy NotLikeThis NarrowArguments "Outside the task's bounds", "An argument is outside what this task was opened for.";
    /// A value of a sensitive argument has no origin that vouches for it. The same words whatever is known of the value.
    ValueNotVouched "value_not_vouched" 403 Policy NotLikeThis NarrowArguments "A value is not vouched for", "A value in the call comes from nowhere that may decide it. Use values from the task itself; do not try others.";
    /// Values were tried that nothing vouched for, and the task waits for a person.
    TaskPaused "task_paused" 403 Policy Never AskOwner "The task is paused", "This task is paused until a person has looked at it. Do not retry and do not try another way; report back.";
    /// What was asked for a live task is beyond what its purpose, the task above it, or the party that opened it lets it hold; `faults` says which.
    AmendmentRefused "amendment_refused" 403 Policy Never NewTask "The task cannot hold that", "What was asked for is beyond what this task can come to hold; faults says why. Do not ask in another way; ask whoever gave you the task.";
    /// The upstream's contract has changed in this operation since it was approved, and its owner has not looked at it yet.
    ContractQuarantined "contract_quarantined" 403 Contract NotYet AskOwner "The operation has changed", "The API has changed this operation since it was approved. Its owner has to look at the change first. Do not try another way; other operations are not affected.";
    /// A person has stopped the API, the credential that the call would carry, or the owner of the agent or the purpose.
    Stopped "stopped" 403 Policy NotYet AskOwner "Stopped by a person", "A person has stopped this API, its credential, or whoever answers for the agent or the purpose. Do not retry and do not try another way; ask the owner.";
    /// A policy forbids the call.
    Forbidden "forbidden" 403 Policy Never AskOwner "Forbidden by policy", "A policy forbids this call. Do not try another way; ask the owner.";
    /// No policy permits the call.
    NotPermitted "not_permitted" 403 Policy Never AskOwner "Not permitted", "No policy permits this call. Do not try another way; ask the owner.";
    /// A person has to say yes to this very call first. The refusal names the approval, and where its state can be asked for.
    ApprovalRequired "approval_required" 403 Policy NotYet RequestApproval "Approval needed", "A person has to approve this call. Ask for the state of the approval, and repeat the very same call once it is approved. Do not try another way.";
    /// A person has said no to this call, or to the same effect on the same resource.
    ApprovalDenied "approval_denied" 403 Policy Never AskOwner "A person has refused this", "A person was asked and said no. Do not retry and do not try another way; report back.";
    /// Too many approvals of this task or agent wait for an answer already.
    TooManyApprovals "too_many_approvals" 403 Policy NotYet AskOwner "Too many approvals are waiting", "Too many approvals of this task or agent wait for a person. Wait until some are answered.";
    /// Approvals cannot be looked up or kept at the moment, and without one the call is not allowed.
    ApprovalUnavailable "approval_unavailable" 503 GatewayFault Fault Retry "Approvals are not available", "The gateway cannot ask for approvals at the moment.";
    /// The call may be repeated after a time that a policy sets; nobody needs to do anything meanwhile.
    Deferred "deferred" 403 Policy NotYet Wait "Deferred by policy", "A policy makes this call wait. Repeat the very same call when the time has passed.";
    /// Nothing is changed and nothing leaves for a time that was set beforehand.
    Frozen "frozen" 403 Policy NotYet Wait "Frozen for a while", "Nothing is changed for now. Do not try another way; repeat the call later or report back.";
    /// A policy asks for something that cannot be done for this operation, such as leaving out a member of a response that is streamed.
    ObligationUnmet "obligation_unmet" 403 Policy Never AskOwner "An obligation cannot be met", "A policy allows this call only with changes to its response that cannot be made here. Ask the owner.";
    /// A policy could not be evaluated; whatever it is, it is not a yes.
    PolicyError "policy_error" 403 Policy Never AskOwner "The policy could not be evaluated", "The call could not be decided and is therefore refused.";
    /// A value that a policy looks at cannot be represented exactly.
    Unrepresentable "unrepresentable" 403 Policy NotLikeThis NarrowArguments "A value cannot be judged exactly", "A value in the call is beyond what can be compared exactly.";
    /// The agent was disabled by an operator.
    AgentDisabled "agent_disabled" 403 Policy Never AskOwner "The agent is disabled", "This agent may not act. Ask the owner.";
    /// The task has no budget left for this kind of call.
    BudgetExhausted "budget_exhausted" 403 Budget Never NewTask "The task's budget is spent", "The task has spent its budget for this kind of call. Do not retry; report back to whoever gave you the task.";
    /// Too many calls of this task are in flight.
    TooManyInFlight "too_many_in_flight" 429 Budget NotYet Retry "Too many calls in flight", "Wait for calls of this task to finish.";
    /// The task or the agent calls the API faster than its owner, its document or the gateway's limits let it; `Retry-After` says for how long.
    RateLimited "rate_limited" 429 Budget NotYet Retry "Called too fast", "This task or agent calls the API faster than it may. Wait as many seconds as Retry-After says, then repeat the same call.";
    /// The client took the call back while it was in flight. What the upstream had done by then it has done.
    Cancelled "cancelled" 409 Policy NotYet ReadState "The call was taken back", "This call was cancelled by its own client. It may have had its effect: read what it would have changed before calling again.";
    /// The record could not be written, and a call that has no record does not happen.
    RecordUnavailable "record_unavailable" 503 GatewayFault Fault Retry "The call could not be recorded", "The gateway cannot record calls at the moment.";
    /// No revision is in force, the wall clock went back, or the gateway is shutting down.
    NotReady "not_ready" 503 GatewayFault Fault Retry "The gateway is not ready", "The gateway cannot serve calls at the moment.";
    /// The credential for the upstream is missing or cannot be opened.
    CredentialUnavailable "credential_unavailable" 503 GatewayFault Fault AskOwner "The upstream's credential is not available", "The gateway has no usable credential for this API.";
    /// The upstream refused the connection, broke it, or answered with something that is not HTTP.
    UpstreamUnreachable "upstream_unreachable" 502 GatewayFault Fault Retry "The upstream did not answer", "The API behind the gateway could not be reached.";
    /// The upstream's response is larger than the limit or breaks its contract where that is refused.
    UpstreamInvalid "upstream_invalid" 502 GatewayFault Fault AskOwner "The upstream's response was refused", "The API behind the gateway answered with something that is not let through.";
    /// The upstream did not answer in time.
    UpstreamTimeout "upstream_timeout" 504 GatewayFault Fault Retry "The upstream did not answer in time", "The API behind the gateway did not answer in time.";
    /// The MCP server asked its client something in the middle of the call, and no answer came in time, or the client declined.
    InputUnanswered "input_unanswered" 400 Contract NotLikeThis FixRequest "A question was not answered", "The MCP server asked its client something in the middle of this call, and was not answered. Call again only if the question can be answered.";
    /// A call that writes may have reached the upstream, and no response to it can be given: it did not come, broke off, or is not let through.
    EffectUnknown "effect_unknown" 502 GatewayFault NotLikeThis ReadState "Whether the call had its effect is not known", "The call may have had its effect. Do not repeat it: read what it would have changed first.";
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ReasonCode {
    /// The reason of that word, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text)
    }

    /// Whether the same call may succeed if it is repeated unchanged, without anybody doing anything meanwhile.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self.outlook() {
            Outlook::Fault => true,
            Outlook::NotYet => self.status() == 429,
            Outlook::Never | Outlook::NotLikeThis => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_no_refusal_is_a_success() {
        let codes: BTreeSet<_> = ReasonCode::ALL
            .iter()
            .map(|reason| reason.as_str())
            .collect();
        assert_eq!(codes.len(), ReasonCode::ALL.len());
        for reason in ReasonCode::ALL {
            assert!(
                reason
                    .as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{reason}"
            );
            assert!((400..600).contains(&reason.status()), "{reason}");
            assert_eq!(ReasonCode::parse(reason.as_str()), Some(*reason));
            assert!(
                reason.detail().ends_with('.') && !reason.title().ends_with('.'),
                "{reason}"
            );
        }
    }

    #[test]
    fn what_is_never_allowed_is_never_called_retryable() {
        for reason in ReasonCode::ALL {
            let server_fault = reason.status() >= 500 || matches!(reason.status(), 408 | 429);
            // Repeating what may have happened would make it happen twice.
            let safe = *reason != ReasonCode::EffectUnknown;
            assert_eq!(reason.is_retryable(), server_fault && safe, "{reason}");
        }
    }
}
