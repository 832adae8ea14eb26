//! What the gateway says when it does not serve, what it lets through when it does, and how it reads the wire.
//!
//! Upstreams are the help desk, which behaves, and [`odd::Odd`], which does not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

mod answers;
mod flow;
mod hygiene;
mod installation;
mod mcp;
mod methods;
mod odd;
mod pace;
mod refusals;
mod smuggling;
mod stops;
mod strangers;
mod streaming;
mod transactions;
mod unrecorded;
mod uploads;
mod wire;
