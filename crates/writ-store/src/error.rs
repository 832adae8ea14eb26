//! Why the store refuses.

use std::path::PathBuf;

use writ_types::{CredentialName, RevisionId};

/// A fault of the database itself: a full disk, a broken file, a lock that was not given up in time.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] sqlx::Error);

/// Why the store did not do what was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be made or looked at.
    #[error("cannot open the store `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open, or this one has.
    #[error("the store `{}` is in use: stop the other process first", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner can read or write the file.
    #[error("the store `{}` has mode {mode:o}; it holds secrets: `chmod 600` it", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is a database, but not one of ours.
    #[error("`{}` is a database that Writ did not make; name another file", .path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A newer Writ has changed the schema; going back would lose what it added.
    #[error(
        "the store has schema version {found}, this binary knows up to {known}: use the newer binary, or restore a backup"
    )]
    NewerSchema {
        /// The version in the store.
        found: u32,
        /// The newest version this binary knows.
        known: u32,
    },
    /// Another revision is in force than the change was made from.
    #[error("another revision is in force by now; look at it and make the change again")]
    Conflict {
        /// The one in force.
        found: Option<RevisionId>,
    },
    /// No such revision in this tenant.
    #[error("there is no revision {0}")]
    UnknownRevision(RevisionId),
    /// The version of a credential is not the next one.
    #[error(
        "version {version} of credential `{name}` is not the next one: another was stored meanwhile"
    )]
    CredentialVersion {
        /// The credential.
        name: CredentialName,
        /// The version that was to be stored.
        version: u32,
    },
    /// The thing is there already.
    #[error("there is such a {0} already")]
    Exists(&'static str),
    /// There is no such thing.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// The first-boot token is wrong, was never made, or has been used.
    #[error("the first-boot token is not valid, or has been used")]
    FirstBoot,
    /// A number that the database cannot hold.
    #[error("{0} is too large to be stored")]
    TooLarge(&'static str),
    /// What is stored cannot be what was written: it does not read, or has another digest than its name.
    #[error("a stored {what} is damaged: {why}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The database itself.
    #[error("the database failed")]
    Database(#[from] DatabaseError),
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        Self::Database(DatabaseError(source))
    }
}

impl StoreError {
    /// A stored thing that does not read.
    pub(crate) fn damaged(what: &'static str, why: &(impl ToString + ?Sized)) -> Self {
        Self::Damaged {
            what,
            why: why.to_string(),
        }
    }

    /// `Exists` for a broken uniqueness rule, the fault itself else.
    pub(crate) fn inserting(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            let unique = source
                .as_database_error()
                .is_some_and(sqlx::error::DatabaseError::is_unique_violation);
            if unique {
                Self::Exists(what)
            } else {
                Self::from(source)
            }
        }
    }
}
