//! Approvals, waits and obligations, with the real binary: who is asked, who can answer, and what an answer is good for.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that cannot be set up has failed; each is one story"
)]

mod amended;
mod answers;
mod before;
mod entered;
mod excepted;
mod explained;
mod intent;
mod obligations;
mod once;
mod planned;
mod replayed;
mod rolled_back;
mod stage;
mod survive;
mod tried;
mod waiting;
