//! Identity and tokens, against the real binary: every field of the token, proofs of possession, client certificates,
//! the token endpoint's refusals, what a task may become, the agent socket, and who may use the control plane.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot be set up has failed"
)]

mod accounts;
mod agents;
mod carried;
mod clients;
mod dpop;
mod endpoint;
mod failures;
mod fields;
mod four_eyes;
mod handed;
mod identity;
mod inquiry;
mod kit;
mod mtls;
mod outside;
mod provider;
mod reload;
mod routes;
mod scripted;
mod spire;
mod step_up;
mod stops;
mod tasks;
mod trust;
mod users;
mod vouching;
mod watch;
