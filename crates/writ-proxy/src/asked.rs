//! What a call asks for, whichever door it came through: the two doors meet here.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request;
use writ_contract::{Operation, Parsed, Route};
use writ_types::ReasonCode;

use crate::body::{self, RequestBody};
use crate::decide;
use crate::gateway::Parts;
use crate::mcp::asking::Answers;
use crate::mcp::{Errand, ToolCall};
use crate::snapshot::ApiSnapshot;
use crate::target::Target;

/// What a tool call takes from the upstream: what a model can read best, but nothing is turned away.
const TOOL_ACCEPT: HeaderValue = HeaderValue::from_static("application/json, */*;q=0.5");

/// A call before its input is read.
pub(crate) enum Asked<'c> {
    /// A request of the API's own.
    Http {
        api: &'c ApiSnapshot,
        route: Route<'c>,
        target: Box<Target>,
        head: &'c request::Parts,
        body: Incoming,
    },
    /// A tool call.
    Tool(ToolCall<'c>),
}

/// A call's input, and what travels on with it.
pub(crate) struct Read<'c> {
    /// The typed input. Its faults are kept.
    pub(crate) parsed: Parsed,
    /// The type of the body, if there is one.
    pub(crate) content_type: Option<Cow<'c, str>>,
    /// The body.
    pub(crate) body: RequestBody,
    /// The fields that travel on.
    pub(crate) forwarded: HeaderMap,
    /// Answers to an MCP server's questions. They travel on beside the arguments, and nobody takes them apart.
    pub(crate) answers: Option<Answers>,
    /// What is asked for.
    pub(crate) errand: Errand,
}

impl Read<'_> {
    /// Whether the values that are sent are known: there is no body, or it was taken apart, and no answers are beside it.
    pub(crate) fn is_told(&self) -> bool {
        self.body_is_told() && self.answers.is_none()
    }

    /// Whether there is no body, or it was taken apart.
    pub(crate) fn body_is_told(&self) -> bool {
        self.body.length() == 0 || self.parsed.input.body.is_some()
    }
}

impl<'c> Asked<'c> {
    /// The operation.
    pub(crate) fn operation(&self) -> (&'c ApiSnapshot, &'c Operation) {
        match self {
            Self::Http { api, route, .. } => (api, route.operation()),
            Self::Tool(call) => (call.api, call.operation),
        }
    }

    /// Reads the input. A tool's arguments become the request they mean, and are read as that.
    ///
    /// # Errors
    ///
    /// Why a body was not taken.
    pub(crate) async fn read(self, parts: &Parts) -> Result<Read<'c>, ReasonCode> {
        match self {
            Self::Http {
                route,
                target,
                head,
                body,
                ..
            } => {
                let operation = route.operation();
                let content_type = body::check_type(operation, &head.headers)?;
                let body = body::take(body, operation, content_type, parts).await?;
                let parsed = decide::parse(
                    operation,
                    &route,
                    &target,
                    head,
                    content_type,
                    body.at_hand(),
                    &parts.limits,
                );
                Ok(Read {
                    parsed,
                    content_type: content_type.map(Cow::Borrowed),
                    body,
                    forwarded: target.forwarded,
                    answers: None,
                    errand: Errand::Call,
                })
            }
            Self::Tool(call) => {
                let contract = &call.api.contract;
                let read = contract.read_tool_call(call.operation, &call.arguments, &parts.limits);
                let mut forwarded = HeaderMap::new();
                forwarded.insert(header::ACCEPT, TOOL_ACCEPT);
                let content_type = read.content_type.as_deref();
                if let Some(value) = content_type.and_then(|text| HeaderValue::try_from(text).ok())
                {
                    forwarded.insert(header::CONTENT_TYPE, value);
                }
                Ok(Read {
                    parsed: read.parsed,
                    content_type: read.content_type.map(Cow::Owned),
                    body: RequestBody::Whole(Bytes::from(read.body)),
                    forwarded,
                    answers: call.answers,
                    errand: call.errand,
                })
            }
        }
    }
}
