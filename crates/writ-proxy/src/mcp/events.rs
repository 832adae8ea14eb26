//! An answer as a stream of events: what is told on the way, and the answer last.
//!
//! There is a stream only where there was something to tell: without, the answer is one JSON message, with the status that it has.
//! The call runs on its own task as ever, and its answer is rendered as ever; here it becomes the last event. A kill ends the
//! stream at once, and what was still to be told is not.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use writ_task::CutSignal;
use writ_types::Value;

use super::{HangUp, Turn};
use crate::body::{Body, BodyError};

/// Most events that wait for their client. What finds no room is not told: nothing waits for a client that does not read.
const MOST_WAITING: usize = 64;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// How long a client waits before it comes back, in milliseconds.
const RETRY: u32 = 1_000;
/// What stands between us and the client holds nothing back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One event, and what says whether it may still be told.
pub(crate) struct Event {
    bytes: Bytes,
    cut: CutSignal,
    /// It is the answer, given before its call is over: a message, and nothing comes after it.
    last: bool,
    /// Who is told if its client goes before the answer, and may come back.
    turn: Option<Arc<Turn>>,
}

impl Event {
    /// Whether the call that it belongs to was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_cut()
    }

    /// Whether it is the answer.
    pub(crate) const fn is_last(&self) -> bool {
        self.last
    }

    /// The answer by itself.
    pub(crate) fn alone(self) -> Response<Body> {
        let mut response = Response::new(Body::Full(self.bytes));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Whether the request was taken, and what it leads to is told on the stream of another.
    pub(crate) fn is_acceptance(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The way to the client of one request, for what it is told before its answer.
#[derive(Debug, Clone)]
pub(crate) struct Line(mpsc::Sender<Event>);

/// The client's end of it.
pub(crate) type Told = mpsc::Receiver<Event>;

/// A new one.
pub(crate) fn line() -> (Line, Told) {
    let (sender, told) = mpsc::channel(MOST_WAITING);
    (Line(sender), told)
}

impl Line {
    /// Tells a message, if there is room.
    pub(super) fn tell(&self, message: &Value, cut: CutSignal) -> bool {
        let bytes = event(message.to_string().as_bytes());
        self.send(bytes, cut)
    }

    /// Gives the answer, if there is room.
    pub(super) fn answer(&self, message: &Value, cut: CutSignal) -> bool {
        let bytes = Bytes::from(message.to_string());
        let event = Event {
            bytes,
            cut,
            last: true,
            turn: None,
        };
        self.0.try_send(event).is_ok()
    }

    /// Begins the stream, with an id that its client may come back with.
    pub(super) fn begin(&self, name: &str, cut: CutSignal, turn: Arc<Turn>) {
        let bytes = format!("id: {name}\nretry: {RETRY}\ndata:\n\n");
        let event = Event {
            bytes: Bytes::from(bytes),
            cut,
            last: false,
            turn: Some(turn),
        };
        drop(self.0.try_send(event));
    }

    fn send(&self, bytes: Bytes, cut: CutSignal) -> bool {
        let event = Event {
            bytes,
            cut,
            last: false,
            turn: None,
        };
        self.0.try_send(event).is_ok()
    }

    /// Says that the request was taken, and that nothing more comes on this line.
    pub(super) fn accept(&self, cut: CutSignal) {
        self.send(Bytes::new(), cut);
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    /// Says that the line is still there.
    pub(super) fn breathe(&self, cut: CutSignal) {
        self.send(Bytes::from_static(b":\n\n"), cut);
    }
}

/// The answer as a stream of one event, for a client that takes it rather so. What is no message of JSON stays as it is.
pub(crate) fn streamed(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE);
    let is_message = head.status == StatusCode::OK && kind.is_some_and(|kind| kind == JSON);
    match body {
        Body::Full(message) if is_message && !message.is_empty() => {
            let fields = &mut head.headers;
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
            fields.insert(UNBUFFERED, HeaderValue::from_static("no"));
            Response::from_parts(head, Body::Full(event(&message)))
        }
        body @ (Body::Full(_) | Body::Whole(_) | Body::Forwarded(_) | Body::Events(_)) => {
            Response::from_parts(head, body)
        }
    }
}

/// A message as an event. JSON has no line ends but in its white space, and ours has none.
fn event(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&b"event: message\ndata: "[..]);
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(b"\n\n");
    bytes.freeze()
}

/// A stream of events under way.
pub struct Events {
    first: Option<Event>,
    told: Told,
    /// What makes the answer.
    answering: Option<JoinHandle<Response<Body>>>,
    answer: Option<Body>,
    /// The client that goes before its answer takes its call back, where the revision says so.
    hang_up: Option<HangUp>,
    /// Who is told if the client goes before the answer.
    turn: Option<Arc<Turn>>,
    ended: bool,
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take().filter(|_| !self.ended) {
            turn.leave();
        }
    }
}

impl Events {
    /// The response whose events are what is told, and then the answer.
    pub(crate) fn response(
        first: Option<Event>,
        told: Told,
        answering: JoinHandle<Response<Body>>,
        hang_up: Option<HangUp>,
    ) -> Response<Body> {
        let mut first = first;
        let events = Self {
            turn: first.as_mut().and_then(|first| first.turn.take()),
            first,
            told,
            answering: Some(answering),
            answer: None,
            hang_up,
            ended: false,
        };
        let mut response = Response::new(Body::Events(Box::new(events)));
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
        response
    }

    /// The stream breaks off.
    fn fail(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ended = true;
        self.told.close();
        self.answer = None;
        Poll::Ready(Some(Err(BodyError::Cut)))
    }

    /// The stream ends with this. Its call goes on without it.
    fn end_with(&mut self, last: &Event) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ended = true;
        self.told.close();
        self.answering = None;
        if let Some(hang_up) = self.hang_up.take() {
            hang_up.answered();
        }
        Poll::Ready(Some(Ok(Frame::data(event(&last.bytes)))))
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.first.take() {
            Some(event) => Poll::Ready(Some(event)),
            None => self.told.poll_recv(context),
        }
    }

    /// The body of the answer; none if it is not a message, and says in HTTP why the caller is not served any more.
    fn take_answer(&mut self, answer: Response<Body>) -> Option<()> {
        if let Some(hang_up) = self.hang_up.take() {
            hang_up.answered();
        }
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let is_message = kind.is_some_and(|kind| kind == JSON);
        self.answer = is_message.then(|| answer.into_body());
        self.answer.as_ref().map(drop)
    }

    pub(crate) const fn is_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.answering.is_some() {
            match self.next(context) {
                Poll::Ready(Some(event)) if event.is_cut() => return self.fail(),
                Poll::Ready(Some(last)) if last.is_last() => return self.end_with(&last),
                Poll::Ready(Some(event)) => return Poll::Ready(Some(Ok(Frame::data(event.bytes)))),
                // Nothing more will be told: the answer is there, or about to be.
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        if let Some(answering) = &mut self.answering {
            match Pin::new(answering).poll(context) {
                Poll::Ready(Ok(answer)) => {
                    self.answering = None;
                    if self.take_answer(answer).is_none() {
                        return self.fail();
                    }
                }
                Poll::Ready(Err(fault)) => {
                    tracing::error!(%fault, "a call ended in a panic");
                    self.answering = None;
                    return self.fail();
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(answer) = &mut self.answer else {
            self.ended = true;
            return Poll::Ready(None);
        };
        // An answer that is one message is one frame.
        match Pin::new(answer).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(message) => Poll::Ready(Some(Ok(Frame::data(event(&message))))),
                Err(_trailers) => self.fail(),
            },
            Poll::Ready(Some(Err(_cut))) => self.fail(),
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
