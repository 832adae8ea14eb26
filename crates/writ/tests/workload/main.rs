//! The SPIFFE Workload API on the agent socket, asked as its clients ask.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod api;
mod client;
mod python;
