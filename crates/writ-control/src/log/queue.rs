//! The queue before the writer: bounded for those who can wait or be refused, open for outcomes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Whether the receiver waits: waking it is a system call, which is not made for nothing.
    waiting: bool,
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
                waiting: false,
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
        self.add(state, item);
        Ok(())
    }

    /// Adds an item however many are waiting; `false` if the writer has ended.
    pub(super) fn push(&self, item: T) -> bool {
        let state = self.lock();
        if state.closed {
            return false;
        }
        self.add(state, item);
        true
    }

    fn add(&self, mut state: MutexGuard<'_, State<T>>, item: T) {
        state.items.push_back(item);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        if waiting {
            self.arrived.notify_one();
        }
    }

    /// Takes up to `most` items, waiting for the first: at most `patience`, if there is any. None if the queue is closed
    /// and empty.
    pub(super) fn take(&self, most: usize, patience: Option<Duration>) -> Option<Vec<T>> {
        let empty = |state: &mut State<T>| {
            state.waiting = state.items.is_empty() && !state.closed;
            state.waiting
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
        state.waiting = false;
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
        assert_eq!(queue.take(2, None), Some(vec![1, 2]));
        assert_eq!(queue.take(9, None), Some(vec![4]));
        assert_eq!(queue.take(9, Some(Duration::ZERO)), Some(vec![]));
        assert!(queue.push(5));
        queue.close();
        assert_eq!(queue.offer(6), Err(Refused::Closed));
        assert!(!queue.push(7));
        assert_eq!(
            queue.take(9, None),
            Some(vec![5]),
            "what was taken is given out"
        );
        assert_eq!(queue.take(9, None), None);
    }
}
