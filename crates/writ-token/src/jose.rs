//! The one entry point for signed texts (RFC 7515, 7517, 7518, 7638).
//!
//! Nothing else in Writ reads a JWS. A library would add a second parser in front of the checks that have to be ours
//! anyway: header members from an allow-list, duplicates refused, base64url without slack, and one algorithm per key.

mod algorithm;
pub(crate) mod base64url;
mod jwk;
mod jws;
mod key_set;
mod roca;
mod signer;

pub use algorithm::Algorithm;
pub use jwk::{Jwk, JwkError, KeyUse, VerifyingKey};
pub use jws::{JoseError, Jws, Profile, Typ, Verified};
pub use key_set::{KeyPins, KeySet, KeySetError, SkippedKey};
pub use signer::{SignError, Signer};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
