//! The authorization server: tokens for tasks.

mod instances;
mod introspect;
mod metadata;
mod narrow;
mod places;
mod possession;
mod proven;
mod revoke;
mod ticket;
mod token;

pub use instances::Instances;
pub(crate) use introspect::introspect;
pub(crate) use metadata::{server_metadata, spiffe_bundle};
pub(crate) use narrow::blast_radius;
pub(crate) use revoke::revoke;
pub(crate) use token::token;

use writ_token::{OauthError, OauthErrorCode};
use writ_types::Value;

/// What the authorization server answers: what was asked for, or the error of the RFC. Nobody may store it
/// (RFC 6749 §5.1).
pub(crate) struct OauthAnswer {
    /// The status.
    pub(crate) status: u16,
    /// The JSON body.
    pub(crate) body: Value,
    /// A fresh nonce for the next proof of possession, where one is wanted.
    pub(crate) nonce: Option<String>,
}

impl OauthAnswer {
    const fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body,
            nonce: None,
        }
    }

    fn refused(error: &OauthError) -> Self {
        Self {
            status: error.status(),
            body: error.to_value(),
            nonce: None,
        }
    }

    fn with_nonce(self, nonce: String) -> Self {
        Self {
            nonce: Some(nonce),
            ..self
        }
    }
}

const fn grant_error(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::InvalidGrant, description)
}

const fn client_error(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::InvalidClient, description)
}

const fn unavailable(description: &'static str) -> OauthError {
    OauthError::new(OauthErrorCode::TemporarilyUnavailable, description)
}
