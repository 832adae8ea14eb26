//! The denial object: RFC 9457 problem details with what an agent can act on. Static text only.

use crate::{ApprovalId, CallId, JsonFault, ReasonCode, Timestamp, Value};

/// What was decided about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Allowed as it is.
    Allow,
    /// Allowed with obligations.
    Modify,
    /// Needs an approval.
    StepUp,
    /// Waits for something.
    Defer,
    /// Refused.
    Deny,
}

impl Verdict {
    /// The word on the wire and in records (CSA AARM v1.0 R4).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Modify => "MODIFY",
            Self::StepUp => "STEP_UP",
            Self::Defer => "DEFER",
            Self::Deny => "DENY",
        }
    }
}

/// What the caller can do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemedyKind {
    /// Get a token and prove its key.
    Authenticate,
    /// Correct the request.
    FixRequest,
    /// Use other arguments.
    NarrowArguments,
    /// Stop, and ask whoever gave the task for a new one.
    NewTask,
    /// Ask the owner of the agent or the API.
    AskOwner,
    /// Ask for the state of the approval, and repeat the call when a person has said yes.
    RequestApproval,
    /// Repeat the same call when the time has passed.
    Wait,
    /// Repeat after a while.
    Retry,
    /// Read what the call would have changed before doing anything else.
    ReadState,
}

impl RemedyKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::FixRequest => "fix_request",
            Self::NarrowArguments => "narrow_arguments",
            Self::NewTask => "ask_for_new_task",
            Self::AskOwner => "ask_owner",
            Self::RequestApproval => "request_approval",
            Self::Wait => "wait",
            Self::Retry => "retry_later",
            Self::ReadState => "read_state",
        }
    }
}

/// One remedy: what to do, and static text or a place of the contract that says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What to do.
    pub kind: RemedyKind,
    /// Where: a pointer of the contract or of the task's own bounds, never a value of the request.
    pub place: Option<String>,
}

/// A problem details object (RFC 9457) for a refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Why.
    pub reason: ReasonCode,
    /// What was decided.
    pub verdict: Verdict,
    /// The call; its record is found by this.
    pub call: CallId,
    /// What can be done; the reason's own remedy if empty.
    pub remedies: Vec<Remedy>,
    /// Faults of the input: pointer and static text.
    pub faults: Vec<(String, String)>,
    /// What is waited for, if something is.
    pub pending: Option<Pending>,
    /// After how many seconds the same call may be repeated, where that is known.
    pub retry_after: Option<u64>,
}

/// What a call waits for: our own names and instants, nothing of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The approval or deferral.
    pub id: ApprovalId,
    /// Where its state can be asked for, as a path of the gateway.
    pub href: String,
    /// From when on the call may be repeated, where that is known.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub expires: Timestamp,
}

impl Problem {
    /// The media type.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A refusal for `reason` with the reason's own remedy.
    #[must_use]
    pub fn refusal(reason: ReasonCode, call: CallId) -> Self {
        Self {
            reason,
            verdict: Verdict::Deny,
            call,
            remedies: Vec::new(),
            faults: Vec::new(),
            pending: None,
            retry_after: None,
        }
    }

    /// Adds a fault of the body's JSON text. Its place is a byte offset: a pointer would repeat names the caller chose.
    #[must_use]
    pub fn with_json_fault(mut self, fault: &JsonFault) -> Self {
        self.faults.push((
            "/body".to_owned(),
            format!("{} (byte {})", fault.kind, fault.offset),
        ));
        self
    }

    /// The body. It holds nothing that the caller sent: the denial enters a model's context.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let reason = self.reason;
        let own = [Remedy {
            kind: reason.remedy(),
            place: None,
        }];
        let remedies = if self.remedies.is_empty() {
            &own[..]
        } else {
            &self.remedies
        };
        let remedy = |remedy: &Remedy| {
            let place = remedy
                .place
                .as_deref()
                .map(|place| ("place", Value::from(place)));
            Value::object(
                [("kind", Value::from(remedy.kind.as_str()))]
                    .into_iter()
                    .chain(place),
            )
        };
        let fault = |(pointer, text): &(String, String)| {
            Value::object([
                ("pointer", Value::from(pointer.as_str())),
                ("detail", Value::from(text.as_str())),
            ])
        };
        let mut members = vec![
            ("type", Value::from(format!("urn:writ:reason:{reason}"))),
            ("title", Value::from(reason.title())),
            ("status", Value::from_u64(u64::from(reason.status()))),
            ("detail", Value::from(reason.detail())),
            ("decision_id", Value::from(self.call.to_string())),
            ("verdict", Value::from(self.verdict.as_str())),
            ("reason_code", Value::from(reason.as_str())),
            ("category", Value::from(reason.category().as_str())),
            ("outlook", Value::from(reason.outlook().as_str())),
            ("retryable", Value::from(reason.is_retryable())),
            ("do_not_retry", Value::from(!reason.is_retryable())),
            (
                "remedies",
                Value::Array(remedies.iter().map(remedy).collect()),
            ),
        ];
        if let Some(pending) = &self.pending {
            let mut waited = vec![
                ("id", Value::from(pending.id.to_string())),
                ("href", Value::from(pending.href.as_str())),
                ("expires", Value::from(pending.expires.to_string())),
            ];
            let not_before = pending.not_before.map(|at| Value::from(at.to_string()));
            waited.extend(not_before.map(|at| ("not_before", at)));
            members.push(("approval", Value::object(waited)));
        }
        members.extend(
            self.retry_after
                .map(|seconds| ("retry_after", Value::from_u64(seconds))),
        );
        if !self.faults.is_empty() {
            members.push((
                "faults",
                Value::Array(self.faults.iter().map(fault).collect()),
            ));
        }
        Value::object(members)
    }
}
