//! The control plane: identity, tasks and tokens for agents; looking, stopping and changing for operators; the log.
//!
//! [`Plane`] is what its requests share; [`handle`] serves one of them. `routes` is the table of who may do what,
//! `oauth` the token endpoint, `identity` the agent socket, `workload_api` what SPIFFE's own clients ask there, `admin` the operators' side, `authzen` the decisions for those who ask in AuthZEN's words, `reload` the way from the
//! revision row to what is in force, [`log`] the log's writer and reader.

mod admin;
mod alarms;
mod amend;
mod approvals;
mod attest;
mod authzen;
pub mod cases;
mod disagreements;
mod drift;
mod ending;
mod four_eyes;
mod http;
mod identity;
mod key_origin;
mod loaded;
pub mod log;
mod mend;
mod oauth;
mod operator_socket;
pub mod plan;
mod plane;
pub mod project;
mod readiness;
pub mod records;
mod reload;
mod replay;
mod reviews;
mod roots;
mod routes;
mod shadow;
mod sign_in;
pub mod span;
mod start;
mod suggest;
mod token_keys;
mod trace;
mod trust;
mod vouching;
mod workload_api;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

pub use alarms::AlarmDesk;
pub use approvals::ApprovalDesk;
pub use drift::{Fetch, Fetching, Published, Publisher};
pub use http::handle;
pub use identity::{IdentityBody, Workload, serve as serve_identity};
pub use key_origin::KeyOrigin;
pub use loaded::{Loaded, LoadedApi, LoadedCredential};
pub use mend::{Mended, Mending};
pub use oauth::Instances;
pub use operator_socket::{is_own_user, serve as serve_operator};
pub use plane::{
    Certificate, Connection, KeepError, Keys, Parts, Plane, PlaneError, Settings, Swap,
};
pub use reload::{Compiler, check_project, shapes};
pub use roots::{At, Roots};
pub use routes::{Access, Endpoint, ROUTES, TWO_PEOPLE};
pub use sign_in::{Accounts, Answering, AskIssuer, Asked, RoleRule, SignIn, SignInSettings};
pub use start::{LedgerRebuild, StartError, first_boot_token, seed, stops, stored_tasks};
pub use token_keys::{Rotation, TokenKeyError, TokenKeys};
pub use trust::{Client, Trust};
pub use vouching::{Reread, Rereading};
pub use workload_api::{EndpointFault, Following, WorkloadEndpoint};

/// Bytes of the operating system's random source.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // Ids need to be unlikely to meet; what must be secret is drawn by `secret_text`, which does not go on.
        tracing::error!("the random source failed");
    }
    bytes
}

/// 32 secret random bytes as text behind a prefix.
pub(crate) fn secret_text(prefix: &str) -> Option<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
