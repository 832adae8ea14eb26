//! A request body on its way up: at hand, or passed on as it comes and watched for its end, a kill and silence.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use writ_task::{CutSignal, Hearing};
use writ_types::{KeyedDigest, KeyedHasher, ReasonCode};

/// The body of a request to an upstream.
#[derive(Debug)]
pub(crate) enum Upload {
    /// The bytes that were decided on.
    Whole(Full<Bytes>),
    /// Bytes that nobody looks at, as they come.
    Streamed(Box<Streamed>),
}

/// A client's body on its way to the upstream.
#[derive(Debug)]
pub(crate) struct Streamed {
    incoming: Incoming,
    cut: CutSignal,
    silence: Pin<Box<Sleep>>,
    patience: Duration,
    watch: Arc<UploadWatch>,
    hearing: Option<Hearing>,
}

/// What is known of a streamed upload while it passes, and when it has ended.
#[derive(Debug)]
pub(crate) struct UploadWatch(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    hasher: KeyedHasher,
    bytes: u64,
    /// When the connection last took a part, and whether it now waits for the client's next one.
    taken: Instant,
    wants_more: bool,
    ended: Option<UploadEnd>,
}

/// Why an upload ended before its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadEnd {
    /// The task was killed while the body passed.
    #[error("the task was revoked")]
    Cut,
    /// The task has read something meanwhile that the decision knew nothing of: the rest could be that.
    #[error("the task has read more while the body passed")]
    Told,
    /// The client sent nothing for too long.
    #[error("the client fell silent")]
    Silent,
    /// The client broke off, or its framing did.
    #[error("the client broke off")]
    Broken,
}

impl UploadEnd {
    /// The reason that the caller is given.
    pub(crate) const fn reason(self) -> ReasonCode {
        match self {
            Self::Cut => ReasonCode::TaskEnded,
            Self::Told => ReasonCode::EffectUnknown,
            Self::Silent => ReasonCode::BodyTimeout,
            Self::Broken => ReasonCode::MalformedRequest,
        }
    }
}

impl UploadWatch {
    /// A watch whose commitment to what passes is made by `hasher`.
    pub(crate) fn new(hasher: KeyedHasher) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Progress {
            hasher,
            bytes: 0,
            taken: Instant::now(),
            wants_more: false,
            ended: None,
        })))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the upload ended early, if it did.
    pub(crate) fn fault(&self) -> Option<UploadEnd> {
        self.progress().ended
    }

    /// The commitment to the bytes that have passed, and how many they are.
    pub(crate) fn passed(&self) -> (KeyedDigest, u64) {
        let progress = self.progress();
        (progress.hasher.clone().finish(), progress.bytes)
    }

    /// Ends when the upstream has neither answered nor taken a part for `patience`; a client that is slow is not its
    /// fault.
    async fn stalled(&self, patience: Duration) {
        loop {
            let quiet = {
                let progress = self.progress();
                if progress.wants_more {
                    Duration::ZERO
                } else {
                    progress.taken.elapsed()
                }
            };
            let Some(left) = patience.checked_sub(quiet).filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::time::sleep(left).await;
        }
    }
}

impl Upload {
    /// A body of bytes at hand.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }

    /// A body that passes as it comes: cut by `cut`, by the client's silence for `patience`, and by what `hearing` hears.
    pub(crate) fn streamed(
        incoming: Incoming,
        (cut, hearing): (CutSignal, Option<Hearing>),
        patience: Duration,
        watch: Arc<UploadWatch>,
    ) -> Self {
        Self::Streamed(Box::new(Streamed {
            incoming,
            cut,
            silence: Box::pin(tokio::time::sleep(patience)),
            patience,
            watch,
            hearing,
        }))
    }

    /// Waits as long as the upstream may take for the head of its response, from the last byte it took.
    pub(crate) fn patience(&self, patience: Duration) -> impl Future<Output = ()> + use<> {
        let watch = match self {
            Self::Whole(_) => None,
            Self::Streamed(body) => Some(Arc::clone(&body.watch)),
        };
        async move {
            match watch {
                None => tokio::time::sleep(patience).await,
                Some(watch) => watch.stalled(patience).await,
            }
        }
    }
}

impl Streamed {
    fn end(&self, end: UploadEnd) -> Poll<Option<Result<Frame<Bytes>, UploadEnd>>> {
        self.watch.progress().ended = Some(end);
        Poll::Ready(Some(Err(end)))
    }

    fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadEnd>>> {
        // A kill comes before whatever the client still has to say.
        if Pin::new(&mut self.cut).poll(context).is_ready() {
            return self.end(UploadEnd::Cut);
        }
        loop {
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // What was read is told after its labels have joined, so whoever tells it here has them by now.
                    if self.hearing.as_ref().is_some_and(Hearing::has_heard_more) {
                        return self.end(UploadEnd::Told);
                    }
                    if let Some(deadline) = Instant::now().checked_add(self.patience) {
                        self.silence.as_mut().reset(deadline);
                    }
                    // Trailers carry nothing that a contract declares; they are dropped.
                    let Ok(part) = frame.into_data() else {
                        continue;
                    };
                    let mut progress = self.watch.progress();
                    progress.hasher.update(&part);
                    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
                    progress.bytes = progress.bytes.saturating_add(length);
                    progress.taken = Instant::now();
                    progress.wants_more = false;
                    return Poll::Ready(Some(Ok(Frame::data(part))));
                }
                Poll::Ready(Some(Err(_broken))) => return self.end(UploadEnd::Broken),
                Poll::Ready(None) => {
                    self.watch.progress().wants_more = false;
                    return Poll::Ready(None);
                }
                Poll::Pending if self.silence.as_mut().poll(context).is_ready() => {
                    return self.end(UploadEnd::Silent);
                }
                Poll::Pending => {
                    self.watch.progress().wants_more = true;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = UploadEnd;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadEnd>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Streamed(body) => body.poll_part(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.incoming.size_hint(),
        }
    }
}
