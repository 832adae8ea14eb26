//! The way back: read whole and checked, or passed on as it comes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap};
use hyper::http::response::Parts;
use tokio::time::Instant;
use writ_contract::{CheckedResponse, Operation};
use writ_task::{CutSignal, Detector, Read};
use writ_types::{Conformance, Grant, Label, Obligations, ReasonCode};

use crate::body::Body;
use crate::coming::Coming;
use crate::completion::{Completion, End};
use crate::flow::{self, Memory};
use crate::forward::Forwarded;
use crate::gateway::Gateway;
use crate::leak::LeakGuard;
use crate::mcp::telling::{Heard, Telling};
use crate::mcp::{Exchange, Passer, Reader, upstream};
use crate::oblige;
use crate::pool::{Lease, Unanswered};
use crate::snapshot::ApiSnapshot;
use crate::upstream::{Arrived, strip_response};

/// Largest response that is checked on the thread of its call, in bytes.
const CHECKED_HERE: usize = 32 * 1024;
/// A response is not let through.
const REFUSED: Unanswered = Unanswered {
    reason: ReasonCode::UpstreamInvalid,
    heard: true,
};

/// Forwards a response that has arrived, in HTTP or in the words of MCP.
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
    mcp: Option<&Exchange>,
) -> Result<Response<Body>, ReasonCode> {
    let Arrived {
        response,
        lease,
        mut completion,
        obligations,
        guard,
    } = arrived;
    let (mut head, mut incoming) = response.into_parts();
    strip_response(&mut head.headers);
    // A tool's result is one message: it is read whole whatever the operation does over HTTP.
    let pinned = operation.pinned();
    let streams = operation.stream() && mcp.is_none() && pinned.is_none();
    // The decision was made for a streamed response, so that none of them has obligations.
    let unmet = streams && !obligations.is_empty();
    if unmet || is_coded(&head.headers) || holds_credential(&head.headers, &guard) {
        let reason = ReasonCode::UpstreamInvalid;
        return Err(fail(completion, lease, End::Withheld, reason));
    }
    let (cut, patience) = (
        completion.entered().cut(),
        gateway.parts.timeouts.upstream_idle,
    );
    if streams {
        head.headers.remove(header::CONTENT_LENGTH);
        let body = Forwarded::new(incoming, lease, completion, cut, patience, guard);
        return Ok(Response::from_parts(head, Body::Forwarded(Box::new(body))));
    }
    // What must be left out of a result cannot be left out of words: then nothing is told before it.
    let tells = obligations.is_empty() && pinned.is_some() && upstream::tells(&head.headers);
    let listens = mcp.filter(|_| tells);
    let telling = listens.and_then(|exchange| {
        let action = operation.action();
        exchange.telling(gateway, &action.api, &completion, &guard)
    });
    let within = incoming.within();
    let passer = listens.and_then(|exchange| exchange.passer(gateway, &completion, &guard, within));
    if passer.is_some() {
        incoming.let_ask();
    }
    let read = Whole {
        incoming,
        cut,
        guard,
        most: oblige::most(&obligations, gateway.parts.limits.response_bytes),
        patience,
    };
    match read.read((telling, passer), &mut completion).await {
        Ok(mut body) => {
            if let Some(lease) = lease {
                lease.give_back();
            }
            // To an answer nothing is answered.
            let answers = mcp.is_some_and(|exchange| exchange.answering().is_some());
            if let Some(pinned) = pinned.filter(|_| !answers) {
                let (asking, call) = (mcp.and_then(Exchange::asking), completion.call());
                let Ok(result) = upstream::result(pinned, asking, &mut head, &body, call) else {
                    return Err(completion.fail(End::Withheld, REFUSED));
                };
                body = result;
            }
            // What the upstream said is held against its contract; what is left out of it then is ours.
            let held = hold(gateway, api, operation, (&head, &body), completion).await?;
            hand_over(operation, (head, body), held, &obligations, mcp)
        }
        Err((end, reason)) => Err(fail(completion, lease, end, reason)),
    }
}

/// Hands over a response that was held against its contract: without what must be left out, in the words of its door.
fn hand_over(
    operation: &Operation,
    (mut head, body): (Parts, Bytes),
    (completion, conformance): (Completion, Conformance),
    obligations: &Obligations,
    mcp: Option<&Exchange>,
) -> Result<Response<Body>, ReasonCode> {
    let call = completion.call();
    let faithful = if obligations.is_empty() {
        conformance
    } else {
        Conformance::Unchecked
    };
    let in_words = |response| match mcp {
        None => response,
        Some(exchange) => exchange.forwarded(response, operation, call, faithful),
    };
    let Ok(body) = oblige::meet(obligations, &mut head.headers, body) else {
        return Err(completion.fail(End::Withheld, REFUSED));
    };
    if body.is_empty() {
        // Nothing is left to hand over; a HEAD or 304 keeps what it says of the body it has not.
        completion.finish(End::Completed);
        return Ok(in_words(Response::from_parts(head, Body::Full(body))));
    }
    // The length is set anew from the bytes that leave.
    head.headers.remove(header::CONTENT_LENGTH);
    let body = Body::Whole(Box::new(crate::body::Whole::new(body, completion)));
    Ok(in_words(Response::from_parts(head, body)))
}

/// Holds a response that was read whole against its contract, before the client sees a byte of it.
///
/// Credentials and personal data in it mark the task, and so does a response that breaks the contract: a stranger could have
/// written it. The sources of one that conforms vouch from here on. Whether it is let through is the
/// operation's to say ([`Operation::refuses_broken`]); of a call that writes, its caller then hears that the call may
/// have had its effect and must not be repeated.
async fn hold(
    gateway: &Arc<Gateway>,
    api: &ApiSnapshot,
    operation: &Operation,
    (head, body): (&Parts, &Bytes),
    mut completion: Completion,
) -> Result<(Completion, Conformance), ReasonCode> {
    let status = head.status.as_u16();
    let grant = completion.entered().grant();
    let Some(mut held) = Held::of(gateway, api, operation, (head, body), grant).await else {
        tracing::error!(call.id = %completion.call(), "a response could not be checked");
        return Err(completion.fail(End::Withheld, REFUSED));
    };
    completion.checked(&held.checked);
    for fault in &held.checked.faults {
        tracing::warn!(call.id = %completion.call(), place = fault.pointer, fault = %fault.kind, "a response breaks its contract");
    }
    // First what it is marked with, then what it vouches for, then its bytes.
    if !held.labels.is_empty()
        && let Err(ended) = completion.mark(&held.labels).await
    {
        completion.finish(End::Cut);
        return Err(ended.reason());
    }
    let sources = &mut held.read.sources;
    sources.retain(|source| !completion.echoes(source.form));
    let now = gateway.parts.clock.now();
    let ledger = &gateway.parts.ledger;
    if let Err(ended) = ledger.note(completion.entered(), &held.read, now).await {
        completion.finish(End::Cut);
        return Err(ended.reason());
    }
    let conformance = held.checked.conformance;
    if conformance != Conformance::Breaks {
        return Ok((completion, conformance));
    }
    if operation.refuses_broken(status) {
        return Err(completion.fail(End::Withheld, REFUSED));
    }
    Ok((completion, conformance))
}

/// What was found in a response that was read whole.
struct Held {
    checked: CheckedResponse,
    labels: BTreeSet<Label>,
    read: Read,
}

impl Held {
    /// None if the check itself failed.
    async fn of(
        gateway: &Arc<Gateway>,
        api: &ApiSnapshot,
        operation: &Operation,
        (head, body): (&Parts, &Bytes),
        grant: &Grant,
    ) -> Option<Self> {
        let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
        let content_type = match (types.next(), types.next()) {
            (Some(content_type), None) => content_type.to_str().ok(),
            _ => None,
        };
        let status = head.status.as_u16();
        // The last call before a stop ends without one, and no card will be shown of it.
        let snapshot = gateway.snapshot();
        let memory = snapshot.map_or(Memory::Sources, |snapshot| Memory::of(&snapshot, grant));
        if body.len() <= CHECKED_HERE {
            let held = Self::find(gateway, operation, status, content_type, body, memory);
            return Some(held);
        }
        // The other calls of this thread, and their kills, do not wait for it.
        let (contract, id) = (Arc::clone(&api.contract), operation.id().clone());
        let (content_type, body) = (content_type.map(str::to_owned), body.clone());
        let gateway = Arc::clone(gateway);
        let checking = tokio::task::spawn_blocking(move || {
            let operation = contract.operation(&id)?;
            let content_type = content_type.as_deref();
            let held = Self::find(&gateway, operation, status, content_type, &body, memory);
            Some(held)
        });
        checking.await.ok().flatten()
    }

    fn find(
        gateway: &Gateway,
        operation: &Operation,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        memory: Memory,
    ) -> Self {
        let checked = operation.check_response(status, content_type, body);
        let mut labels = Detector::labels_of(body);
        if checked.conformance == Conformance::Breaks {
            labels.insert(Label::untrusted());
        }
        // Only what tells of success says what is.
        let read = if matches!(status, 200..=299) {
            flow::read(&gateway.parts.audit_key, operation, &checked, memory)
        } else {
            Read::default()
        };
        Self {
            checked,
            labels,
            read,
        }
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

fn fail(completion: Completion, lease: Option<Lease>, end: End, reason: ReasonCode) -> ReasonCode {
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

/// What hears a server on the way to its result: what it tells, and what it asks.
type Hearers<'e> = (Option<Telling<'e>>, Option<Box<Passer<'e>>>);

/// Reads a response whole, within a limit.
struct Whole {
    incoming: Coming,
    cut: CutSignal,
    guard: LeakGuard,
    most: usize,
    patience: Duration,
}

impl Whole {
    /// `telling`: what hears the messages of a server on the way. As long as it says that it gets further, it is waited for
    /// anew; the task's end, and how much may be told and read, bound that. `passer`: what hears what the server asks. While
    /// it waits for an answer, nothing else is waited for.
    async fn read(
        self,
        mut hearers: Hearers<'_>,
        completion: &mut Completion,
    ) -> Result<Bytes, (End, ReasonCode)> {
        let Self {
            mut incoming,
            mut cut,
            mut guard,
            most,
            patience,
        } = self;
        let withheld = (End::Withheld, ReasonCode::UpstreamInvalid);
        if usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX) > most {
            return Err(withheld);
        }
        let (mut whole, mut reader) = (BytesMut::new(), Reader::default());
        let late = tokio::time::sleep(patience);
        tokio::pin!(late);
        loop {
            let frame = tokio::select! {
                biased;
                () = &mut cut => return Err((End::Cut, completion.cut())),
                passed = next(&mut hearers, completion) => {
                    passed.map_err(|reason| (End::Withheld, reason))?;
                    if let Some(deadline) = Instant::now().checked_add(patience) {
                        late.as_mut().reset(deadline);
                    }
                    continue;
                }
                () = &mut late, if !hearers.1.as_ref().is_some_and(|passer| passer.waits()) => {
                    return Err((End::UpstreamError, ReasonCode::UpstreamTimeout));
                }
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
            if hearers.0.is_some() || hearers.1.is_some() {
                for message in reader.pass(&part) {
                    let further = hear(&mut hearers, &message, completion).await?;
                    let deadline = Instant::now().checked_add(patience);
                    if let Some(deadline) = deadline.filter(|_| further) {
                        late.as_mut().reset(deadline);
                    }
                }
            }
            whole.extend_from_slice(&guard.pass(part).map_err(|_leak| withheld)?);
        }
        whole.extend_from_slice(&guard.end());
        if guard.stands_in(&whole) {
            return Err(withheld);
        }
        Ok(whole.freeze())
    }
}

/// Gives a message of a server to whoever hears it; whether it says that the call gets further.
async fn hear(
    (telling, passer): &mut Hearers<'_>,
    message: &[u8],
    completion: &mut Completion,
) -> Result<bool, (End, ReasonCode)> {
    if let Some(passer) = passer {
        Box::pin(passer.hear(message, completion)).await?;
    }
    match telling {
        None => Ok(false),
        Some(telling) => Ok(telling.tell(message, completion).await? == Heard::Progress),
    }
}

/// Waits until the server has the next answer of its client; for ever where nobody was asked.
async fn next((_, passer): &mut Hearers<'_>, completion: &Completion) -> Result<(), ReasonCode> {
    match passer {
        None => std::future::pending().await,
        Some(passer) => Box::pin(passer.next(completion)).await,
    }
}
