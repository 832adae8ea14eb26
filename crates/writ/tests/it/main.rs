//! Whole-program tests: the real binary, its own folder, free loopback ports, real clients, real upstreams.
//!
//! One binary, so that the support code compiles once. Each file is one area.

mod authzen;
mod contracts;
mod drift;
mod incidents;
mod other_users;
mod plan;
mod policy;
mod published;
mod readiness;
mod sign_in;
mod smoke;
mod strangers;
mod suggest;
