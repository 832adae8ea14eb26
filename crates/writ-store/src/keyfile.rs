//! Key files: made once with mode 0600, never overwritten but by the key that was made to succeed them, refused if others
//! can read them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use writ_types::Secret;

/// Longest key file; a PKCS#8 key of any kind we make is far shorter.
const LONGEST: u64 = 64 * 1024;

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("cannot read or make the key file `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others than the owner can read or write it.
    #[error(
        "the key file `{}` has mode {mode:o}: if nobody has read it, `chmod 600` it; else replace the key",
        .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a directory, a device, or something else that is no file.
    #[error("`{}` is no plain file, so it is no key file", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// It is not as long as its key.
    #[error("the key file `{}` has {found} bytes, not the {wanted} of its key: restore it from a backup", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes it has.
        found: usize,
        /// Bytes it should have.
        wanted: &'static str,
    },
    /// The system's random source failed.
    #[error("the system's random source failed")]
    NoRandomness,
}

/// The 32-byte key in the file, which is drawn and written if there is none.
///
/// # Errors
///
/// [`KeyFileError`]. A file that is there is never changed.
pub fn load_or_create(path: &Path) -> Result<Secret<[u8; 32]>, KeyFileError> {
    let draw = || {
        let mut key = vec![0; 32];
        rand::fill(&mut key).map_err(|_no_randomness| KeyFileError::NoRandomness)?;
        Ok(Secret::new(key))
    };
    let bytes = load_or_write(path, draw)?;
    let key: Option<[u8; 32]> = bytes.expose().as_slice().try_into().ok();
    key.map(Secret::new).ok_or_else(|| KeyFileError::Length {
        path: path.to_owned(),
        found: bytes.expose().len(),
        wanted: "32",
    })
}

/// The key in the file, such as a PKCS#8 document (RFC 5958), which is made by `generate` and written if there is none.
///
/// # Errors
///
/// [`KeyFileError`]. A file that is there is never changed; an empty one is refused.
pub fn load_or_create_with(
    path: &Path,
    generate: impl FnOnce() -> Secret<Vec<u8>>,
) -> Result<Secret<Vec<u8>>, KeyFileError> {
    let bytes = load_or_write(path, || Ok(generate()))?;
    if bytes.expose().is_empty() {
        let path = path.to_owned();
        return Err(KeyFileError::Length {
            path,
            found: 0,
            wanted: "1 and more",
        });
    }
    Ok(bytes)
}

/// Lets the key in `next` take the name `current`, whose key is gone then. At every instant there is one whole key of that
/// name.
///
/// # Errors
///
/// [`KeyFileError::File`]; then `current` is as it was, or `next` has taken its name and the system does not promise that it
/// will have after a loss of power.
pub fn succeed(next: &Path, current: &Path) -> Result<(), KeyFileError> {
    std::fs::rename(next, current)
        .and_then(|()| sync_parent(current))
        .map_err(failing(current))
}

/// Makes the names in a file's directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn load_or_write(
    path: &Path,
    generate: impl FnOnce() -> Result<Secret<Vec<u8>>, KeyFileError>,
) -> Result<Secret<Vec<u8>>, KeyFileError> {
    match load(path) {
        Err(KeyFileError::File { path: _, source }) if source.kind() == io::ErrorKind::NotFound => {
            write(path, &generate()?)?;
            // Read back: another process may have been faster, and then its key is the key.
            load(path)
        }
        loaded => loaded,
    }
}

fn load(path: &Path) -> Result<Secret<Vec<u8>>, KeyFileError> {
    let failed = failing(path);
    let file = File::open(path).map_err(&failed)?;
    let metadata = file.metadata().map_err(&failed)?;
    let path = path.to_owned();
    if !metadata.is_file() {
        return Err(KeyFileError::NoFile { path });
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path, mode });
    }
    // Room for all of it at once, so that no part is left behind in a buffer that was outgrown.
    let capacity = usize::try_from(metadata.len().min(LONGEST)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(capacity.saturating_add(1));
    let read = file.take(LONGEST).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(failed).map(|_length| bytes)
}

/// Writes the whole key under another name first, so that a half-written key never bears the name of a key.
fn write(path: &Path, bytes: &Secret<Vec<u8>>) -> Result<(), KeyFileError> {
    let failed = failing(path);
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|_no_randomness| KeyFileError::NoRandomness)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}", u64::from_be_bytes(random)));
    let draft = PathBuf::from(draft);
    let written = write_new(&draft, bytes.expose()).and_then(|()| {
        // A link, not a rename: it fails if there is a file of that name, and a key is never overwritten.
        match std::fs::hard_link(&draft, path) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    let removed = std::fs::remove_file(&draft);
    written
        .and(removed)
        .and_then(|()| sync_parent(path))
        .map_err(failed)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failing(path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::File {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
