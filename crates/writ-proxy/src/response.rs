//! The way back: read whole and checked, or passed on as it comes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap};
use writ_contract::Operation;
use writ_task::CutSignal;
use writ_types::ReasonCode;

use crate::body::Body;
use crate::completion::{Completion, End};
use crate::forward::Forwarded;
use crate::gateway::Gateway;
use crate::leak::LeakGuard;
use crate::pool::{Lease, Unanswered};
use crate::snapshot::ApiSnapshot;
use crate::upstream::{Arrived, strip_response};

/// Forwards a response that has arrived.
///
/// # Errors
///
/// For an operation whose responses are read whole: `upstream_invalid`, `upstream_unreachable`, `upstream_timeout` or
/// `task_ended`, before the client has seen a byte. The outcome is recorded by then.
pub(crate) async fn forward(
    gateway: &Arc<Gateway>,
    api: &ApiSnapshot,
    operation: &Operation,
    arrived: Arrived,
) -> Result<Response<Body>, ReasonCode> {
    let Arrived {
        response,
        lease,
        completion,
    } = arrived;
    let (mut head, incoming) = response.into_parts();
    strip_response(&mut head.headers);
    let guard = api.credential.as_ref().map_or_else(
        || LeakGuard::new(&Arc::from([])),
        crate::credential::Credential::guard,
    );
    if is_coded(&head.headers) || holds_credential(&head.headers, &guard) {
        let reason = ReasonCode::UpstreamInvalid;
        return Err(fail(completion, lease, End::Withheld, reason));
    }
    let (cut, patience) = (
        completion.entered().cut(),
        gateway.parts.timeouts.upstream_idle,
    );
    if operation.stream() {
        head.headers.remove(header::CONTENT_LENGTH);
        let body = Forwarded::new(incoming, lease, completion, cut, patience, guard);
        return Ok(Response::from_parts(head, Body::Forwarded(Box::new(body))));
    }
    let read = Whole {
        incoming,
        cut,
        guard,
        most: gateway.parts.limits.response_bytes,
    };
    match tokio::time::timeout(patience, read.read()).await {
        Ok(Ok(body)) => {
            lease.give_back();
            if body.is_empty() {
                // Nothing is left to hand over; a HEAD or 304 keeps what it says of the body it has not.
                completion.finish(End::Completed);
                return Ok(Response::from_parts(head, Body::Full(body)));
            }
            // The length is set anew from the bytes that leave.
            head.headers.remove(header::CONTENT_LENGTH);
            let body = Body::Whole(Box::new(crate::body::Whole::new(body, completion)));
            Ok(Response::from_parts(head, body))
        }
        Ok(Err((end, reason))) => Err(fail(completion, lease, end, reason)),
        Err(_elapsed) => Err(fail(
            completion,
            lease,
            End::UpstreamError,
            ReasonCode::UpstreamTimeout,
        )),
    }
}

/// Whether the body is in another coding than `identity`, which was asked for: in it the guard would look at noise.
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.any(|coding| coding != "identity")
}

fn holds_credential(headers: &HeaderMap, guard: &LeakGuard) -> bool {
    headers.values().any(|value| {
        let bytes = Bytes::copy_from_slice(value.as_bytes());
        guard.fresh().pass(bytes).is_err()
    })
}

fn fail(completion: Completion, lease: Lease, end: End, reason: ReasonCode) -> ReasonCode {
    // The rest of the response is of no use to anyone: the connection is closed.
    drop(lease);
    completion.fail(
        end,
        Unanswered {
            reason,
            heard: true,
        },
    )
}

/// Reads a response whole, within a limit.
struct Whole {
    incoming: Incoming,
    cut: CutSignal,
    guard: LeakGuard,
    most: usize,
}

impl Whole {
    async fn read(self) -> Result<Bytes, (End, ReasonCode)> {
        let Self {
            mut incoming,
            mut cut,
            mut guard,
            most,
        } = self;
        let withheld = (End::Withheld, ReasonCode::UpstreamInvalid);
        if usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX) > most {
            return Err(withheld);
        }
        let mut whole = BytesMut::new();
        loop {
            let frame = tokio::select! {
                biased;
                () = &mut cut => return Err((End::Cut, ReasonCode::TaskEnded)),
                frame = incoming.frame() => frame,
            };
            let Some(frame) = frame else { break };
            let frame =
                frame.map_err(|_broken| (End::UpstreamError, ReasonCode::UpstreamUnreachable))?;
            // Trailers carry nothing that a contract declares.
            let Ok(part) = frame.into_data() else {
                continue;
            };
            if whole.len().saturating_add(part.len()) > most {
                return Err(withheld);
            }
            whole.extend_from_slice(&guard.pass(part).map_err(|_leak| withheld)?);
        }
        whole.extend_from_slice(&guard.end());
        Ok(whole.freeze())
    }
}
