//! How a kill reaches a call in flight, without a runtime.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The flag of one call: set once, never cleared.
#[derive(Default)]
pub(crate) struct CutFlag {
    cut: AtomicBool,
    /// Its own client took it back.
    cancelled: AtomicBool,
    /// What it needs was stopped, and not its task.
    stopped: AtomicBool,
    /// How often its task has come to hold something else since it entered.
    amended: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl CutFlag {
    /// Sets the flag. What waits is woken by [`CutFlag::wake`], which must not run under the ledger's lock: a waker is
    /// someone else's code.
    pub(crate) fn set(&self) {
        // INVARIANT: sequentially consistent, so that a kill that has returned is seen by every later `is_cut`.
        self.cut.store(true, Ordering::SeqCst);
    }

    /// The same, because what the call needs was stopped and its task lives on; `false` if it was cut already.
    pub(crate) fn stop(&self) -> bool {
        if self.is_set() {
            return false;
        }
        // First, so that who sees that it is cut sees why.
        self.stopped.store(true, Ordering::SeqCst);
        self.set();
        true
    }

    /// Its task holds something else now. What waits is woken by [`CutFlag::wake`], as after [`CutFlag::set`].
    pub(crate) fn amend(&self) {
        self.amended.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Wakes all that wait. Call it after [`CutFlag::set`].
    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut self.waiting().wakers);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a call that its task was killed, closed or ran out, or that what it needs was stopped.
///
/// A future that becomes ready when the call is cut, for waiting on together with the upstream; and
/// [`is_cut`](Self::is_cut), to be read once more after the last wait, right before sending. A kill that returned
/// before that read is seen by it.
pub struct CutSignal {
    flag: Arc<CutFlag>,
    key: Option<u64>,
}

impl CutSignal {
    pub(crate) const fn new(flag: Arc<CutFlag>) -> Self {
        Self { flag, key: None }
    }

    /// Whether the call was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.flag.is_set()
    }

    /// Whether it was cut because what it needs was stopped: its task lives on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.flag.stopped.load(Ordering::SeqCst)
    }
}

impl Clone for CutSignal {
    /// Another signal of the same call; it waits for itself.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.flag))
    }
}

impl fmt::Debug for CutSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutSignal")
            .field("is_cut", &self.is_cut())
            .finish_non_exhaustive()
    }
}

impl Future for CutSignal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let flag = Arc::clone(&self.flag);
        if flag.is_set() {
            return Poll::Ready(());
        }
        let mut waiting = flag.waiting();
        let key = self.key.unwrap_or(waiting.next);
        if self.key.is_none() {
            waiting.next = waiting.next.saturating_add(1);
            self.key = Some(key);
        }
        waiting.wakers.insert(key, context.waker().clone());
        drop(waiting);
        // Read again: the flag may have been set between the first read and the registration, and then `wake` may have
        // found nobody.
        if flag.is_set() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for CutSignal {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.flag.waiting().wakers.remove(&key);
            drop(waker);
        }
    }
}

/// Tells a call that lasts that its task has come to hold something else.
pub struct Amendments {
    flag: Arc<CutFlag>,
    seen: u64,
    key: Option<u64>,
}

impl Amendments {
    /// What comes after this is told.
    pub(crate) fn new(flag: Arc<CutFlag>) -> Self {
        let seen = flag.amended.load(Ordering::SeqCst);
        let key = None;
        Self { flag, seen, key }
    }

    /// Waits until the task holds something else than when this was last told of. Nothing is lost when it is dropped before.
    pub async fn next(&mut self) {
        poll_fn(|context| self.poll_next(context)).await;
    }

    fn poll_next(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.is_told() {
            return Poll::Ready(());
        }
        let mut waiting = self.flag.waiting();
        let key = self.key.unwrap_or(waiting.next);
        if self.key.is_none() {
            waiting.next = waiting.next.saturating_add(1);
            self.key = Some(key);
        }
        waiting.wakers.insert(key, context.waker().clone());
        drop(waiting);
        // Read again, as `CutSignal` does.
        match self.is_told() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn is_told(&mut self) -> bool {
        let now = self.flag.amended.load(Ordering::SeqCst);
        std::mem::replace(&mut self.seen, now) != now
    }
}

impl fmt::Debug for Amendments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amendments")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Drop for Amendments {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.flag.waiting().wakers.remove(&key);
            drop(waker);
        }
    }
}

/// Takes one call back, for its own client: it is cut as by a kill, and its task lives on.
#[derive(Clone)]
pub struct Canceller(Arc<CutFlag>);

impl Canceller {
    pub(crate) const fn new(flag: Arc<CutFlag>) -> Self {
        Self(flag)
    }

    /// Cuts the call. One that has ended is not changed by it.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.0.set();
        self.0.wake();
    }

    /// Whether the call was taken back.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Whether both are of the same call.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
