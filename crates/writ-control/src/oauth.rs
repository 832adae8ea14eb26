//! The authorization server: tokens for tasks.

mod metadata;
mod narrow;
mod token;

pub(crate) use metadata::{jwks, server_metadata, spiffe_bundle};
pub(crate) use token::token;
