//! The log on disk: one thread writes it, everybody may read it.
//!
//! ```text
//! <data>/log/checkpoint              signed tree head (C2SP tlog-checkpoint)
//! <data>/log/tile/<L>/<N>[.p/<W>]    Merkle tiles (C2SP tlog-tiles)
//! <data>/log/tile/entries/<N>[...]   entry bundles
//! <data>/log/journal/<first>.seg     what is sequenced and not yet, or only just, integrated
//! <data>/log/log.pub                 the verifier key, for convenience: a verification takes its key from elsewhere
//! <data>/vault/<day>.evidence        encrypted evidence, one frame for each record
//! <data>/vault/<day>.key             its key, wrapped; deleting it deletes the day
//! ```
//!
//! [`LogWriter`] has two threads: one gives records their place in the journal and answers as soon as they are as safe as was
//! asked for; the other builds tiles and publishes checkpoints, so that its many small files never delay a call.

mod files;
mod journal;
mod publisher;
mod queue;
mod reader;
mod recovery;
mod vault;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use writ_audit::{CheckpointError, KeyName, NodeName, NoteError, VerifierKey, VerifyReport};
use writ_types::Tenant;

use files::CountedFiles;
pub use files::LogDirectory;
pub use reader::{Entry, LogReader, Query, ReadError};
pub use recovery::{Orphan, Recovered};
pub use vault::{Vault, VaultError};
pub use writer::LogWriter;

/// Why a log could not be opened. Each is a reason not to start: a log that is repaired by guessing proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("another process is writing the log in `{}`", .0.display())]
    Locked(PathBuf),
    /// The checkpoint is not to be trusted, or is of another key.
    #[error("the log's own checkpoint was refused; was the log, or its signing key, exchanged?")]
    Checkpoint(#[source] CheckpointError),
    /// `log.pub` holds another key than the one the log is opened with.
    #[error(
        "`log.pub` is not the verifier of the log's signing key; restore the key that belongs to this log"
    )]
    OtherKey,
    /// The tiles or the last bundle do not lead to the checkpoint.
    #[error(
        "the tiles do not lead to the checkpoint of {size} entries; run `writ audit verify`, and restore the log"
    )]
    Tree {
        /// Entries of the checkpoint.
        size: u64,
    },
    /// An entry that was on disk has changed.
    #[error("journal entry {index} was on disk and is no longer what was written; restore `{}`", path.display())]
    Corrupt {
        /// The entry.
        index: u64,
        /// The segment.
        path: PathBuf,
    },
    /// Entries are missing between the checkpoint or a segment and the next segment.
    #[error("journal entries from {from} on are missing (the next is {to}); restore `{}`", path.display())]
    Gap {
        /// The first missing entry.
        from: u64,
        /// The next that is there.
        to: u64,
        /// The journal.
        path: PathBuf,
    },
    /// A record cannot be read.
    #[error("cannot read the log back")]
    Read(#[source] ReadError),
    /// The operating system gave no thread.
    #[error("cannot start the log's thread")]
    Thread(#[source] io::Error),
}

impl LogError {
    /// Says which file an error of the file system is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// The name of a log, which is its checkpoints' origin: `<install>/<tenant>/<node>`.
///
/// # Errors
///
/// [`NoteError::Name`] if the install's name has a space, a `+` or a control character, or is empty.
pub fn origin(install: &str, tenant: &Tenant, node: &NodeName) -> Result<KeyName, NoteError> {
    if install.is_empty() {
        return Err(NoteError::Name);
    }
    format!("{install}/{tenant}/{node}").parse()
}

/// Verifies the log directory at `path`, or a copy of one, with `key` alone. The key comes from the caller: one that lies
/// beside the log proves nothing.
///
/// # Errors
///
/// Only what the file system says; what is wrong with the log is in the report.
pub fn verify_directory(path: &Path, key: &VerifierKey) -> io::Result<VerifyReport> {
    verify_counting(path, key, &AtomicU64::new(0))
}

/// The same, with the entries that were read so far in `done`, for who waits for a large log.
///
/// # Errors
///
/// Those of [`verify_directory`].
pub fn verify_counting(
    path: &Path,
    key: &VerifierKey,
    done: &AtomicU64,
) -> io::Result<VerifyReport> {
    let files = CountedFiles {
        files: LogDirectory::new(path),
        done,
    };
    writ_audit::verify(&files, key)
}

#[cfg(test)]
mod tests;
