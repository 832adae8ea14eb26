//! What is wrong with a message, and the code each fault has on the wire (JSON-RPC 2.0 §5.1, MCP 2026-07-28).

use hyper::StatusCode;
use writ_types::{ReasonCode, Value};

use super::{Revision, waiting};
use crate::refusal::Refusal;

/// A fault of the protocol. What the task may not do is none: that is a tool's result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The request comes from a page of another origin.
    #[error("the origin is not allowed")]
    Origin,
    /// Not strict JSON.
    #[error("the message is not strict JSON")]
    Parse,
    /// Several messages at once.
    #[error("a batch is not accepted: send one message")]
    Batch,
    /// Not one JSON-RPC 2.0 request or notification.
    #[error("the message is not one JSON-RPC 2.0 request or notification")]
    Request,
    /// What a 2026-07-28 request must carry is missing.
    #[error("`_meta` lacks the protocol version or the client's capabilities")]
    Meta,
    /// Header fields and body say different things, or a field is missing or doubled.
    #[error("the header fields and the message do not agree")]
    Header,
    /// A revision that is not served.
    #[error("the protocol version is not supported")]
    Version {
        /// What was asked for, where it is short and plain enough to be repeated.
        requested: Option<String>,
    },
    /// No session where there must be one.
    #[error("the `Mcp-Session-Id` field is missing")]
    SessionMissing,
    /// A session that is over, was never, or is another task's.
    #[error("no such session: initialize again")]
    SessionUnknown,
    /// More sessions than one gateway keeps.
    #[error("too many sessions")]
    SessionsFull,
    /// A method that is not served.
    #[error("the method is not served")]
    UnknownMethod,
    /// A parameter is missing or of the wrong type.
    #[error("a parameter is missing or of the wrong type")]
    Parameters,
    /// A tool that does not exist.
    #[error("no such tool")]
    UnknownTool,
    /// A prompt that does not exist.
    #[error("no such prompt")]
    UnknownPrompt,
    /// A client that asks for a task has to say that it knows them.
    #[error("the client has not declared the extension")]
    Tasks,
    /// A task that is over, was never, or is another's.
    #[error("no such task")]
    UnknownTask,
    /// An answer to what was not asked in this session, was answered before, or is not waited for any more.
    #[error("no such question is open")]
    Unasked,
    /// A state that was not given out for this call, or is too old.
    #[error("the request state is not one that was given out for this call, or is too old")]
    State,
}

impl Fault {
    /// The code.
    pub(super) const fn code(&self) -> i64 {
        match self {
            Self::Parse => -32700,
            Self::Origin
            | Self::Batch
            | Self::Request
            | Self::SessionMissing
            | Self::Unasked
            | Self::SessionUnknown => -32600,
            Self::UnknownMethod => -32601,
            Self::Meta
            | Self::Parameters
            | Self::UnknownTool
            | Self::UnknownPrompt
            | Self::UnknownTask
            | Self::State => -32602,
            Self::SessionsFull => -32603,
            Self::Header => -32020,
            Self::Tasks => -32021,
            Self::Version { .. } => -32022,
        }
    }

    /// The status. In 2025-11-25 what a request asks for is answered with 200, whatever the answer is.
    pub(super) const fn status(&self, revision: Revision) -> StatusCode {
        match (self, revision) {
            (Self::Origin, _) => StatusCode::FORBIDDEN,
            (Self::SessionUnknown, _) => StatusCode::NOT_FOUND,
            (Self::SessionsFull, _) => StatusCode::SERVICE_UNAVAILABLE,
            (
                Self::UnknownMethod
                | Self::Parameters
                | Self::UnknownTool
                | Self::UnknownPrompt
                | Self::UnknownTask
                | Self::State,
                Revision::Sessions,
            ) => StatusCode::OK,
            (Self::UnknownMethod, Revision::Stateless) => StatusCode::NOT_FOUND,
            (
                Self::Parse
                | Self::Batch
                | Self::Request
                | Self::Meta
                | Self::Header
                | Self::Version { .. }
                | Self::SessionMissing
                | Self::Unasked
                | Self::Parameters
                | Self::UnknownTool
                | Self::UnknownPrompt
                | Self::UnknownTask
                | Self::Tasks
                | Self::State,
                _,
            ) => StatusCode::BAD_REQUEST,
        }
    }

    /// What the error says beside its message.
    pub(super) fn data(&self) -> Option<Value> {
        let Self::Version { requested } = self else {
            return (*self == Self::Tasks).then(required);
        };
        let supported = vec![Value::from(Revision::Stateless.as_str())];
        let mut members = vec![("supported", Value::Array(supported))];
        let requested = requested.as_deref().map(Value::from);
        members.extend(requested.map(|requested| ("requested", requested)));
        Some(Value::object(members))
    }

    /// The reason in the record.
    const fn reason(&self) -> ReasonCode {
        match self {
            Self::UnknownMethod | Self::UnknownTool | Self::UnknownPrompt | Self::UnknownTask => {
                ReasonCode::UnknownOperation
            }
            Self::SessionsFull => ReasonCode::NotReady,
            Self::Origin
            | Self::Parse
            | Self::Batch
            | Self::Request
            | Self::Meta
            | Self::Header
            | Self::Version { .. }
            | Self::SessionMissing
            | Self::SessionUnknown
            | Self::State
            | Self::Unasked
            | Self::Tasks
            | Self::Parameters => ReasonCode::MalformedRequest,
        }
    }
}

/// What a client has to declare before it asks for tasks.
fn required() -> Value {
    let nothing = Value::object::<&str>([]);
    let extensions = Value::object([(waiting::EXTENSION, nothing)]);
    let capabilities = Value::object([("extensions", extensions)]);
    Value::object([("requiredCapabilities", capabilities)])
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let reason = fault.reason();
        Self {
            mcp: Some(fault),
            ..reason.into()
        }
    }
}
