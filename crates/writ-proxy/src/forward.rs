//! A streamed response on its way through: watched for the end, a kill, silence, and the credential.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use writ_task::{CutSignal, Detector};

use crate::body::BodyError;
use crate::coming::Coming;
use crate::completion::{Completion, End};
use crate::leak::{Leak, LeakGuard};
use crate::pool::Lease;

/// The upstream's body, as it passes.
#[derive(Debug)]
pub struct Forwarded {
    incoming: Coming,
    lease: Option<Lease>,
    completion: Option<Completion>,
    cut: CutSignal,
    idle: Pin<Box<Sleep>>,
    patience: Duration,
    guard: LeakGuard,
    detector: Detector,
    ended: bool,
}

impl Forwarded {
    /// Takes over a response whose head has been let through.
    pub(crate) fn new(
        incoming: Coming,
        lease: Option<Lease>,
        completion: Completion,
        cut: CutSignal,
        patience: Duration,
        guard: LeakGuard,
    ) -> Self {
        let idle = Box::pin(tokio::time::sleep(patience));
        let completion = Some(completion);
        Self {
            incoming,
            lease,
            completion,
            cut,
            idle,
            patience,
            guard,
            detector: Detector::new(),
            ended: false,
        }
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        if let Some(completion) = self.completion.take() {
            completion.finish(end);
        }
        let lease = self.lease.take();
        if end == End::Completed
            && let Some(lease) = lease
        {
            lease.give_back();
        }
    }

    fn fail(
        &mut self,
        end: End,
        error: BodyError,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.end(end);
        Poll::Ready(Some(Err(error)))
    }

    /// A part of the body, or the rest that was held back at its end.
    fn data(
        &mut self,
        part: Option<Bytes>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(part) = part else {
            let rest = self.guard.end();
            if !self.mark(&rest, context) {
                return self.fail(End::Withheld, BodyError::Upstream);
            }
            self.count(&rest);
            self.end(End::Completed);
            return if rest.is_empty() {
                Poll::Ready(None)
            } else {
                Poll::Ready(Some(Ok(Frame::data(rest))))
            };
        };
        match self.guard.pass(part) {
            Ok(bytes) => {
                if !self.mark(&bytes, context) {
                    return self.fail(End::Withheld, BodyError::Upstream);
                }
                self.count(&bytes);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Err(Leak) => self.fail(End::Withheld, BodyError::Upstream),
        }
    }

    /// Marks the task with what the bytes raise, before they are handed on. `false` if that cannot be done now: a ledger
    /// that has to be waited for ends the stream, since nothing may pass that nobody has noted.
    fn mark(&mut self, bytes: &Bytes, context: &mut Context<'_>) -> bool {
        let labels = self.detector.pass(bytes);
        let Some(completion) = &mut self.completion else {
            return true;
        };
        if completion.has_marked(&labels) {
            return true;
        }
        matches!(
            completion.mark(&labels).as_mut().poll(context),
            Poll::Ready(Ok(()))
        )
    }

    fn count(&mut self, bytes: &Bytes) {
        if let Some(completion) = &mut self.completion {
            completion.passed(bytes);
        }
    }
}

impl HttpBody for Forwarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // A kill comes before whatever the upstream still has to say.
        if Pin::new(&mut this.cut).poll(context).is_ready() {
            return this.fail(End::Cut, BodyError::Cut);
        }
        loop {
            match Pin::new(&mut this.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let deadline = Instant::now().checked_add(this.patience);
                    if let Some(deadline) = deadline {
                        this.idle.as_mut().reset(deadline);
                    }
                    // Trailers carry nothing that a contract declares; they are dropped.
                    let Ok(part) = frame.into_data() else {
                        continue;
                    };
                    return match this.data(Some(part), context) {
                        // Everything may have been held back: an empty frame would end nothing and mean nothing.
                        Poll::Ready(Some(Ok(frame)))
                            if frame.data_ref().is_some_and(Bytes::is_empty) =>
                        {
                            continue;
                        }
                        other @ (Poll::Ready(_) | Poll::Pending) => other,
                    };
                }
                Poll::Ready(Some(Err(_broken))) => {
                    return this.fail(End::UpstreamError, BodyError::Upstream);
                }
                Poll::Ready(None) => return this.data(None, context),
                Poll::Pending if this.idle.as_mut().poll(context).is_ready() => {
                    return this.fail(End::UpstreamError, BodyError::Idle);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        // Held-back bytes make the exact hint of the upstream wrong in the middle, never at the beginning.
        if self.ended {
            SizeHint::with_exact(0)
        } else {
            self.incoming.size_hint()
        }
    }
}
