//! gRPC over HTTP/2: the frame around a message, the status behind it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use tokio::sync::mpsc;

use super::boxed;
use crate::identity::IdentityBody;

/// Largest message of a request, in bytes: a JWT-SVID and an audience fit.
const MOST: usize = 64 * 1024;
/// Longest wait for a request's message.
const PATIENCE: Duration = Duration::from_secs(5);
/// The type of requests and responses.
pub(super) const GRPC: &str = "application/grpc";
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Status codes of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unimplemented,
    Unavailable,
}

impl Code {
    const fn number(self) -> &'static str {
        match self {
            Self::InvalidArgument => "3",
            Self::PermissionDenied => "7",
            Self::ResourceExhausted => "8",
            Self::Unimplemented => "12",
            Self::Unavailable => "14",
        }
    }
}

/// A refusal: the code, and a text of printable ASCII without `%`, which needs no encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) Code, pub(super) &'static str);

impl Status {
    fn fields(self) -> HeaderMap {
        HeaderMap::from_iter([
            (GRPC_STATUS, HeaderValue::from_static(self.0.number())),
            (GRPC_MESSAGE, HeaderValue::from_static(self.1)),
        ])
    }
}

/// Whether a request speaks gRPC.
pub(crate) fn is_grpc(request: &Request<Incoming>) -> bool {
    says_grpc(request.headers())
}

/// Whether what these fields stand before is gRPC.
pub(super) fn says_grpc(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE);
    let rest = kind
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.strip_prefix(GRPC));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The one message of a request.
pub(super) async fn read_message(body: Incoming) -> Result<Vec<u8>, Status> {
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, MOST).collect()).await;
    let collected = collected
        .map_err(|_elapsed| Status(Code::InvalidArgument, "the message did not arrive in time"))?;
    let body = collected
        .map_err(|_too_large| Status(Code::ResourceExhausted, "the message is too large"))?;
    unframe(&body.to_bytes()).map(<[u8]>::to_vec)
}

/// A frame is a flag (compressed or not), the length in four bytes, and the message.
fn unframe(body: &[u8]) -> Result<&[u8], Status> {
    let malformed = Status(Code::InvalidArgument, "the request is not one gRPC message");
    let (head, message) = body.split_at_checked(5).ok_or(malformed)?;
    let [flag, length @ ..] = head else {
        return Err(malformed);
    };
    if *flag == 1 {
        return Err(Status(Code::Unimplemented, "no compression is known here"));
    }
    let length: [u8; 4] = length.try_into().map_err(|_four_bytes| malformed)?;
    let whole =
        usize::try_from(u32::from_be_bytes(length)).is_ok_and(|length| length == message.len());
    if *flag == 0 && whole {
        Ok(message)
    } else {
        Err(malformed)
    }
}

/// A message in its frame; none if it is longer than a frame can say.
pub(super) fn frame(message: &[u8]) -> Option<Bytes> {
    let length = u32::try_from(message.len()).ok()?;
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    Some(framed.into())
}

fn good() -> HeaderMap {
    HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))])
}

/// A response of one message.
pub(super) fn once(message: &[u8]) -> IdentityBody {
    let (sender, receiver) = mpsc::channel(2);
    let frames = frame(message).map(|framed| [Frame::data(framed), Frame::trailers(good())]);
    let frames = frames.into_iter().flatten();
    for frame in frames {
        // There is room for both.
        drop(sender.try_send(frame));
    }
    boxed(Frames(receiver))
}

/// A response whose messages come one by one.
pub(super) fn many() -> (Feed, IdentityBody) {
    let (sender, receiver) = mpsc::channel(1);
    (Feed(sender), boxed(Frames(receiver)))
}

/// Where the messages of a stream go.
#[derive(Debug)]
pub(super) struct Feed(mpsc::Sender<Frame<Bytes>>);

impl Feed {
    /// Whether the message was taken; not if the client is gone.
    pub(super) async fn send(&self, message: &[u8]) -> bool {
        match frame(message) {
            Some(framed) => self.0.send(Frame::data(framed)).await.is_ok(),
            None => false,
        }
    }

    /// Resolves once the client is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    /// Ends the stream with a refusal.
    pub(super) async fn end(self, status: Status) {
        drop(self.0.send(Frame::trailers(status.fields())).await);
    }
}

struct Frames(mpsc::Receiver<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// A response with messages.
pub(super) fn respond(body: IdentityBody) -> Response<IdentityBody> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static(GRPC);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A response without any: the status stands in the head.
pub(super) fn refuse(status: Status) -> Response<IdentityBody> {
    let mut response = respond(boxed(Empty::new()));
    response.headers_mut().extend(status.fields());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_frame() {
        for (body, code) in [
            (&[][..], Some(Code::InvalidArgument)),
            (&[0, 0, 0, 0], Some(Code::InvalidArgument)),
            (&[0, 0, 0, 0, 0], None),
            (&[0, 0, 0, 0, 2, 7, 8], None),
            (&[0, 0, 0, 0, 2, 7], Some(Code::InvalidArgument)),
            (&[0, 0, 0, 0, 1, 7, 8], Some(Code::InvalidArgument)),
            (&[0, 255, 255, 255, 255, 7], Some(Code::InvalidArgument)),
            (&[1, 0, 0, 0, 1, 7], Some(Code::Unimplemented)),
            (&[2, 0, 0, 0, 1, 7], Some(Code::InvalidArgument)),
        ] {
            assert_eq!(unframe(body).err().map(|status| status.0), code, "{body:?}");
        }
        assert_eq!(unframe(&frame(b"abc").unwrap()), Ok(&b"abc"[..]));
    }
}
