//! Bodies: taking a request's, bounded, and what a response's can be.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap};
use writ_contract::{BodyKind, MediaKind, Operation};
use writ_task::CutSignal;
use writ_types::{Grant, ReasonCode};

use crate::completion::{Completion, End};
use crate::forward::Forwarded;
use crate::gateway::Parts;
use crate::mcp::Events;

/// The body of a response of the gateway: its own words, or an upstream's on their way through.
#[derive(Debug)]
pub enum Body {
    /// Bytes at hand; empty once sent.
    Full(Bytes),
    /// The upstream's body, read whole and not yet handed over.
    Whole(Box<Whole>),
    /// The upstream's body, watched as it passes.
    Forwarded(Box<Forwarded>),
    /// What is told on the way to an answer, and the answer.
    Events(Box<Events>),
}

/// A response that was read whole. The call is under way until its bytes are handed over: until then it counts as in
/// flight, and a kill still cuts it.
#[derive(Debug)]
pub struct Whole {
    bytes: Bytes,
    /// What is handed over in place of the bytes that came.
    words: Option<Bytes>,
    cut: CutSignal,
    completion: Option<Completion>,
}

impl Whole {
    pub(crate) fn new(bytes: Bytes, completion: Completion) -> Self {
        Self {
            bytes,
            words: None,
            cut: completion.entered().cut(),
            completion: Some(completion),
        }
    }

    /// The same response in other words. The record still speaks of the bytes that came.
    pub(crate) fn reworded(mut self, words: impl FnOnce(&Bytes) -> Bytes) -> Self {
        self.words = Some(words(&self.bytes));
        self
    }

    /// The same response as the answer to another request.
    pub(crate) fn readdressed(mut self, words: impl FnOnce(&Bytes) -> Bytes) -> Self {
        self.words = Some(words(self.words()));
        self
    }

    fn len(&self) -> usize {
        self.words().len()
    }

    /// What is handed over.
    pub(crate) fn words(&self) -> &Bytes {
        self.words.as_ref().unwrap_or(&self.bytes)
    }

    /// What the call's task holds; none once it was handed over.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        let completion = self.completion.as_ref()?;
        Some(completion.entered().grant())
    }

    /// How the call learns that it was cut.
    pub(crate) fn cut(&self) -> CutSignal {
        self.cut.clone()
    }

    /// It was handed over in another way.
    pub(crate) fn handed_over(mut self) {
        drop(self.hand_over());
    }

    /// All of it at once, or nothing.
    fn hand_over(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let mut completion = self.completion.take()?;
        if self.cut.is_cut() {
            completion.finish(End::Cut);
            return Some(Err(BodyError::Cut));
        }
        let bytes = std::mem::take(&mut self.bytes);
        completion.passed(&bytes);
        completion.finish(End::Completed);
        Some(Ok(Frame::data(self.words.take().unwrap_or(bytes))))
    }
}

/// Why a forwarded body ended early. The client sees its connection or stream reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The task was killed while the body passed.
    #[error("the task was revoked")]
    Cut,
    /// The upstream broke off.
    #[error("the upstream broke off")]
    Upstream,
    /// The upstream was silent for too long.
    #[error("the upstream fell silent")]
    Idle,
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Whole(body) => Poll::Ready(body.hand_over()),
            Self::Forwarded(body) => Pin::new(&mut **body).poll_frame(context),
            Self::Events(events) => events.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Whole(body) => body.completion.is_none(),
            Self::Forwarded(body) => body.is_end_stream(),
            Self::Events(events) => events.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Whole(body) => {
                SizeHint::with_exact(u64::try_from(body.len()).unwrap_or(u64::MAX))
            }
            Self::Forwarded(body) => body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// Judges the body's type before anything of it is read: a declared media type, and no content coding.
///
/// # Errors
///
/// `unsupported_media_type` or `unsupported_encoding`.
pub(crate) fn check_type<'h>(
    operation: &Operation,
    headers: &'h HeaderMap,
) -> Result<Option<&'h str>, ReasonCode> {
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| coding != "identity")
    {
        return Err(ReasonCode::UnsupportedEncoding);
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    let unsupported = ReasonCode::UnsupportedMediaType;
    let text = value.to_str().map_err(|_not_ascii| unsupported)?;
    // Without a body the type says nothing; the contract decides in `parse` whether there may be one.
    if operation.body() != BodyKind::None {
        operation
            .accepts(text)
            .map_err(|_unsupported| unsupported)?;
    }
    Ok(Some(text))
}

/// A request body when its call is decided.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// All of it; empty if there is none.
    Whole(Bytes),
    /// Bytes that nobody looks at, still with the client, and how many they will be.
    Streamed(Incoming, u64),
}

impl RequestBody {
    /// The bytes at hand.
    pub(crate) fn at_hand(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Streamed(..) => &[],
        }
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Whole(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Streamed(_, length) => *length,
        }
    }
}

/// Takes a request body: whole, or, where the operation streams and the type is one that nobody looks at, as it is
/// announced.
///
/// # Errors
///
/// Those of [`read`]; `length_required` if a body that would be streamed does not say how long it is (RFC 9110
/// §15.5.12), since the call is decided and recorded with its length before its bytes are here.
pub(crate) async fn take(
    body: Incoming,
    operation: &Operation,
    content_type: Option<&str>,
    parts: &Parts,
) -> Result<RequestBody, ReasonCode> {
    let limits = &parts.limits;
    let opaque = content_type.is_some_and(|text| operation.accepts(text) == Ok(MediaKind::Opaque));
    if !(operation.stream() && opaque) || body.is_end_stream() {
        let bytes = read(body, limits.body_bytes, parts.timeouts.request_body).await?;
        return Ok(RequestBody::Whole(bytes));
    }
    let length = body.size_hint().exact().ok_or(ReasonCode::LengthRequired)?;
    if usize::try_from(length).is_ok_and(|length| length <= limits.stream_bytes) {
        Ok(RequestBody::Streamed(body, length))
    } else {
        Err(ReasonCode::BodyTooLarge)
    }
}

/// Reads a request body whole.
///
/// # Errors
///
/// `body_too_large` beyond `most` bytes (a declared length is believed before anything is read), `body_timeout` if it
/// does not arrive within `patience`, `malformed_request` if its framing breaks.
pub(crate) async fn read(
    mut body: Incoming,
    most: usize,
    patience: Duration,
) -> Result<Bytes, ReasonCode> {
    let hint = body.size_hint();
    let declared = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
    if declared > most {
        return Err(ReasonCode::BodyTooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let collect = async {
        let mut whole = BytesMut::with_capacity(declared);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_broken| ReasonCode::MalformedRequest)?;
            // Trailers carry nothing that a contract declares.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len().saturating_add(data.len()) > most {
                return Err(ReasonCode::BodyTooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(patience, collect)
        .await
        .unwrap_or(Err(ReasonCode::BodyTimeout))
}
