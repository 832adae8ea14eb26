//! Who waits for an answer to what they asked for: one request of a task, and so many in all. Each that waits looks again whenever an approval of
//! the tenant changes.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use writ_types::TaskId;

/// Most that wait at once.
const MOST: usize = 256;

/// The tasks of which a request waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<BTreeSet<TaskId>>);

/// The place of one that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter<'w> {
    waiters: &'w Waiters,
    task: TaskId,
}

impl Waiters {
    fn all(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait in; none if the task waits already, or too many do: what can be said now is the answer then.
    pub(super) fn enter(&self, task: TaskId) -> Option<Waiter<'_>> {
        let mut all = self.all();
        if all.len() >= MOST || !all.insert(task) {
            return None;
        }
        Some(Waiter {
            waiters: self,
            task,
        })
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiters.all().remove(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use writ_types::Timestamp;

    use super::*;

    #[test]
    fn one_of_a_task_waits_and_so_many_in_all() {
        let task = |number: usize| {
            let mut random = [0; 10];
            let bytes = u64::try_from(number).unwrap().to_be_bytes();
            random[2..].copy_from_slice(&bytes);
            TaskId::new(Timestamp::from_secs(1), random)
        };
        let waiters = Waiters::default();
        let first = waiters.enter(task(0));
        assert!(first.is_some() && waiters.enter(task(0)).is_none());
        let others: Vec<_> = (1..MOST)
            .map(|number| waiters.enter(task(number)))
            .collect();
        assert!(others.iter().all(Option::is_some));
        assert!(waiters.enter(task(MOST)).is_none());
        drop(first);
        assert!(waiters.enter(task(0)).is_some());
    }
}
