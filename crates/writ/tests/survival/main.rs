//! What survives: `kill -9`, bad changes, first boots, clocks, orderly stops, and altered copies. The real binary throughout.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot be set up has failed"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all the records there are, a test wants one kind"
)]

mod boot;
mod change;
mod clock;
mod copies;
mod depot;
mod kill;
mod load;
mod process;
mod stop;
