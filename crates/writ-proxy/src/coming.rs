//! What comes from an upstream: the body of its response, and what is done when it is dropped before its end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::mcp::upstream::{Held, Pings, Said, SessionMark, Standing, Told};

/// Where a body comes from.
#[derive(Debug)]
enum Source {
    Http(Incoming),
    /// One message of a program.
    Message(Option<Bytes>),
    /// What a program tells, as a stream of events that ends with its answer.
    Told(Box<Telling>),
}

/// What a program tells in a call.
#[derive(Debug)]
struct Telling {
    first: Option<Bytes>,
    more: Told,
    answered: bool,
}

impl Telling {
    /// The next event.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(event(&first)));
        }
        let said = std::task::ready!(self.more.poll_next(context));
        Poll::Ready(said.map(|said| match said {
            Said::Told(message) => event(&message),
            Said::Answer(message) => {
                self.answered = true;
                event(&message)
            }
        }))
    }
}

/// A message of one line as an event. A carriage return in it stands between its parts, never inside of a text (RFC 8259 §7), and would end the line here.
fn event(message: &[u8]) -> Bytes {
    let mut event = b"data: ".to_vec();
    event.extend(
        message
            .iter()
            .map(|byte| if *byte == b'\r' { b' ' } else { *byte }),
    );
    event.extend_from_slice(b"\n\n");
    Bytes::from(event)
}

/// The body of an upstream's response.
#[derive(Debug)]
pub(crate) struct Coming {
    source: Source,
    /// Answers what the server of a session wants to have answered meanwhile.
    pings: Option<Box<Pings>>,
    /// The session.
    within: Option<SessionMark>,
    unfinished: Option<Unfinished>,
    /// Keeps the session while it is read.
    held: Option<Held>,
    /// What is said beside it in the session, where it answers a subscription.
    standing: Option<Arc<Standing>>,
}

impl Coming {
    /// A response in a session with an MCP server: its pings are answered and do not pass; `unfinished` is told unless it comes to its
    /// end.
    pub(crate) fn in_session(
        incoming: Incoming,
        (pings, within): (Pings, SessionMark),
        unfinished: Option<Unfinished>,
    ) -> Self {
        Self {
            source: Source::Http(incoming),
            pings: Some(Box::new(pings)),
            within: Some(within),
            unfinished,
            held: None,
            standing: None,
        }
    }

    /// The answer of a program.
    pub(crate) const fn message(message: Bytes, held: Held) -> Self {
        Self {
            source: Source::Message(Some(message)),
            pings: None,
            within: None,
            unfinished: None,
            held: Some(held),
            standing: None,
        }
    }

    /// The session it is read in.
    pub(crate) const fn within(&self) -> Option<SessionMark> {
        self.within
    }

    /// Somebody hears what the server asks for in it.
    pub(crate) fn let_ask(&mut self) {
        if let Some(pings) = &mut self.pings {
            pings.let_ask();
        }
    }

    /// The answer of a program that tells something before it: `unfinished` is told unless the answer comes.
    pub(crate) fn told((first, more): (Bytes, Told), unfinished: Unfinished, held: Held) -> Self {
        let telling = Telling {
            first: Some(first),
            more,
            answered: false,
        };
        Self {
            source: Source::Told(Box::new(telling)),
            pings: None,
            within: None,
            unfinished: Some(unfinished),
            held: Some(held),
            standing: None,
        }
    }

    /// Keeps the session in use until this is dropped.
    pub(crate) fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// Listens to what is said beside it.
    pub(crate) fn listen(&mut self, standing: Arc<Standing>) {
        self.standing = Some(standing);
    }

    /// What is said beside it, and what keeps the session for that.
    pub(crate) fn take_standing(&mut self) -> Option<(Arc<Standing>, Option<Held>)> {
        let standing = self.standing.take()?;
        Some((standing, self.held.take()))
    }

    /// Nobody wants to know the rest, and nobody has to be told.
    pub(crate) fn let_go(mut self) {
        if let Some(unfinished) = self.unfinished.take() {
            unfinished.finish();
        }
    }

    fn ended(&mut self) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // A program that has ended has not come to the end of its answer.
        let broken = matches!(&self.source, Source::Told(telling) if !telling.answered);
        if let Some(unfinished) = self.unfinished.take()
            && !broken
        {
            unfinished.finish();
        }
        let rest = self.pings.take().map(|pings| pings.end());
        let rest = rest.filter(|rest| !rest.is_empty());
        Poll::Ready(rest.map(|rest| Ok(Frame::data(rest))))
    }
}

impl From<Incoming> for Coming {
    fn from(incoming: Incoming) -> Self {
        Self {
            source: Source::Http(incoming),
            pings: None,
            within: None,
            unfinished: None,
            held: None,
            standing: None,
        }
    }
}

impl HttpBody for Coming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if this.pings.as_ref().is_some_and(|pings| pings.asked()) {
            // What is not read to its end is told so when this is dropped.
            return Poll::Ready(None);
        }
        loop {
            let frame = match &mut this.source {
                Source::Http(incoming) => std::task::ready!(Pin::new(incoming).poll_frame(context)),
                Source::Message(message) => message.take().map(|message| Ok(Frame::data(message))),
                Source::Told(telling) => {
                    let event = std::task::ready!(telling.poll_next(context));
                    event.map(|event| Ok(Frame::data(event)))
                }
            };
            let Some(frame) = frame else {
                return this.ended();
            };
            let Some(pings) = &mut this.pings else {
                return Poll::Ready(Some(frame));
            };
            let part = match frame.map(Frame::into_data) {
                Ok(Ok(part)) => part,
                // Trailers carry nothing that a contract declares.
                Ok(Err(_trailers)) => continue,
                Err(broken) => return Poll::Ready(Some(Err(broken))),
            };
            let passed = pings.pass(&part);
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.source {
            Source::Http(incoming) => incoming.is_end_stream(),
            Source::Message(message) => message.is_none(),
            Source::Told(..) => false,
        };
        self.pings.is_none() && self.unfinished.is_none() && ended
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http(incoming) if self.pings.is_none() => incoming.size_hint(),
            Source::Http(_) | Source::Message(_) | Source::Told(..) => SizeHint::default(),
        }
    }
}

/// What is done if an answer is given up before its end, and if it is not.
pub(crate) struct Unfinished {
    tell: Option<Box<dyn FnOnce() + Send + Sync>>,
    otherwise: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Unfinished {
    pub(crate) fn new(tell: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self {
            tell: Some(Box::new(tell)),
            otherwise: None,
        }
    }

    /// The same, and what is done otherwise.
    pub(crate) fn or(mut self, otherwise: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.otherwise = Some(Box::new(otherwise));
        self
    }

    /// The answer has come to its end.
    pub(crate) fn finish(mut self) {
        self.tell = None;
        if let Some(otherwise) = self.otherwise.take() {
            otherwise();
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell();
        }
    }
}

impl fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unfinished")
    }
}
