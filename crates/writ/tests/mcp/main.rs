//! Writ before an MCP server of another hand: what a client gets from the server directly, it gets through Writ.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

mod asking;
mod beside;
mod client;
mod conformance;
mod drift;
mod holding;
mod imported;
mod inspector;
mod keeper;
mod listening;
mod local;
mod node;
mod offers;
mod programs;
mod returning;
mod server;
mod sessions;
mod shim;
mod standing;
mod updates;
