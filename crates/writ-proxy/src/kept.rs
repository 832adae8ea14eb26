//! Of which refusals the inputs are kept.
//!
//! A permitted call is paid for by its task's budget, a refused one by nothing. So what is kept of refusals beside their
//! records is bounded for each task, and each piece in its size: an agent that is refused again and again fills no disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use writ_types::TaskId;

/// Longest inputs of a refusal that are kept, in bytes of JSON. Of longer ones the arguments are left out.
pub(crate) const LONGEST: usize = 16 * 1024;

/// Most refusals of one task that are kept with their inputs.
const MOST_OF_A_TASK: u32 = 64;

/// Most tasks that are counted at a time. Beyond, all are counted anew: their number is bounded by what opens tasks.
const MOST_TASKS: usize = 4096;

/// How many refusals of which task were kept.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<BTreeMap<TaskId, u32>>);

impl Kept {
    /// Whether the inputs of one more refusal of this task are kept.
    pub(crate) fn admits(&self, task: TaskId) -> bool {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.len() >= MOST_TASKS && !tasks.contains_key(&task) {
            tasks.clear();
        }
        let count = tasks.entry(task).or_default();
        *count = count.saturating_add(1);
        *count <= MOST_OF_A_TASK
    }
}

#[cfg(test)]
mod tests {
    use writ_types::Timestamp;

    use super::*;

    #[test]
    fn a_task_is_kept_so_often_and_no_more() {
        let kept = Kept::default();
        let task = |number: u64| TaskId::new(Timestamp::from_millis(number), [7; 10]);
        let admitted = (0..200).filter(|_| kept.admits(task(1))).count();
        assert_eq!(admitted, 64);
        assert!(kept.admits(task(2)), "another task has its own");
        for number in 3..20_000 {
            kept.admits(task(number));
        }
        assert!(kept.0.lock().unwrap().len() <= MOST_TASKS);
    }
}
