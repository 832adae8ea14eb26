//! The queue before the writer: bounded for those who can wait or be refused, open for outcomes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who wakes the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wakers {
    /// Whoever adds something.
    All,
    /// Who adds something that is waited for. What nobody waits for is found when the receiver looks again.
    Awaited,
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room.
    Full,
    /// The writer has ended.
    Closed,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    /// Whether the receiver waits, and for whom: waking it is a system call, which is not made for nothing.
    waiting: Option<Wakers>,
}

/// A queue of many senders and one receiver.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    room: usize,
}

impl<T> Queue<T> {
    pub(super) const fn new(room: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                closed: false,
                waiting: None,
            }),
            arrived: Condvar::new(),
            room,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it holds this lock; were it otherwise, the queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item if there is room.
    pub(super) fn offer(&self, item: T) -> Result<(), Refused> {
        let state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.items.len() >= self.room {
            return Err(Refused::Full);
        }
        self.add(state, item, |_waiting| true);
        Ok(())
    }

    /// Adds an item however many there are; `false` if the writer has ended.
    pub(super) fn push(&self, item: T) -> bool {
        self.add_always(item, |_waiting| true)
    }

    /// The same for an item that nobody waits for.
    pub(super) fn push_unawaited(&self, item: T) -> bool {
        self.add_always(item, |waiting| waiting == Wakers::All)
    }

    fn add_always(&self, item: T, wakes: impl Fn(Wakers) -> bool) -> bool {
        let state = self.lock();
        if state.closed {
            return false;
        }
        self.add(state, item, wakes);
        true
    }

    fn add(&self, mut state: MutexGuard<'_, State<T>>, item: T, wakes: impl Fn(Wakers) -> bool) {
        state.items.push_back(item);
        let wake = state.waiting.take_if(|waiting| wakes(*waiting)).is_some();
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Takes up to `most` items, waiting for the first that `wakers` say: at most `patience`, if there is any. None if the
    /// queue is closed and empty.
    pub(super) fn take(
        &self,
        most: usize,
        patience: Option<Duration>,
        wakers: Wakers,
    ) -> Option<Vec<T>> {
        let empty = |state: &mut State<T>| {
            let waits = state.items.is_empty() && !state.closed;
            state.waiting = waits.then_some(wakers);
            waits
        };
        let state = self.lock();
        let idle = state.items.is_empty();
        let mut state = match patience {
            None => self
                .arrived
                .wait_while(state, empty)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.arrived.wait_timeout_while(state, patience, empty);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.waiting = None;
        if idle && !state.closed {
            // Woken by the first of a batch: whoever runs on this core has more to send, and would otherwise be
            // interrupted for each. With a core to spare this returns at once.
            drop(state);
            std::thread::yield_now();
            state = self.lock();
        }
        if state.closed && state.items.is_empty() {
            return None;
        }
        let count = state.items.len().min(most);
        Some(state.items.drain(..count).collect())
    }

    /// Takes no more; what is waiting is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_still_takes_outcomes() {
        let queue = Queue::new(2);
        assert_eq!(queue.offer(1), Ok(()));
        assert_eq!(queue.offer(2), Ok(()));
        assert_eq!(queue.offer(3), Err(Refused::Full));
        assert!(queue.push(4));
        let take = |most, patience| queue.take(most, patience, Wakers::All);
        assert_eq!(take(2, None), Some(vec![1, 2]));
        assert_eq!(take(9, None), Some(vec![4]));
        assert_eq!(take(9, Some(Duration::ZERO)), Some(vec![]));
        assert!(queue.push(5));
        queue.close();
        assert_eq!(queue.offer(6), Err(Refused::Closed));
        assert!(!queue.push(7));
        assert_eq!(take(9, None), Some(vec![5]), "what was taken is given out");
        assert_eq!(take(9, None), None);
    }

    #[test]
    fn what_nobody_waits_for_is_taken_with_the_next_or_when_it_is_time() {
        let queue = Queue::new(9);
        std::thread::scope(|threads| {
            let receiver = threads.spawn(|| queue.take(9, None, Wakers::Awaited));
            while queue.lock().waiting.is_none() {
                std::thread::yield_now();
            }
            assert!(queue.push_unawaited(1));
            assert_eq!(queue.lock().waiting, Some(Wakers::Awaited), "it sleeps on");
            assert_eq!(queue.offer(2), Ok(()));
            assert_eq!(receiver.join().unwrap(), Some(vec![1, 2]));
        });
        assert!(queue.push_unawaited(3));
        let brief = Some(Duration::from_millis(1));
        assert_eq!(queue.take(9, brief, Wakers::Awaited), Some(vec![3]));
        std::thread::scope(|threads| {
            let receiver = threads.spawn(|| queue.take(9, None, Wakers::All));
            while queue.lock().waiting.is_none() {
                std::thread::yield_now();
            }
            assert!(queue.push_unawaited(4));
            assert_eq!(receiver.join().unwrap(), Some(vec![4]));
        });
    }
}
