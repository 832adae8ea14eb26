//! What Writ keeps: the registry and its revisions, tasks, sealed credentials, operators.
//!
//! The only crate with SQL. Statements are constants with bound parameters, one file per resource; every key but that of
//! `meta` begins with the tenant; a schema newer than this binary knows is refused. [`Store::open`] is the door,
//! [`Registry`] what a revision holds. Key files and the sealing of credentials are here too, because they are the rest
//! of what lies in the data directory.

mod agents;
mod amendments;
mod apis;
mod approvals;
mod changes;
mod contracts;
mod credentials;
mod database;
mod error;
mod fields;
mod grants;
mod history;
pub mod keyfile;
mod makers;
mod migrations;
mod operators;
mod policies;
mod purposes;
mod revisions;
mod seal;
mod stops;
mod tasks;

pub use approvals::{Asked, StoredApproval};
pub use changes::StoredChange;
pub use contracts::Contract;
pub use credentials::CredentialVersion;
pub use database::Store;
pub use error::{DatabaseError, StoreError};
pub use history::{ChangedPart, Past, Step};
pub use keyfile::KeyFileError;
pub use operators::{Operator, Role, Session};
pub use revisions::{ActiveRevision, Registry, Revision};
pub use seal::{CredentialSealer, SealError, Sealed};
pub use stops::Stopped;
pub use tasks::StoredTask;

#[cfg(test)]
mod tests;
