//! The authorization server: tokens for tasks.

mod metadata;
mod narrow;
mod possession;
mod proven;
mod token;

pub(crate) use metadata::{jwks, server_metadata, spiffe_bundle};
pub(crate) use token::token;

use writ_token::{OauthError, OauthErrorCode};

const fn grant_error(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::InvalidGrant, description)
}

const fn client_error(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::InvalidClient, description)
}

const fn unavailable(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::TemporarilyUnavailable, description)
}
