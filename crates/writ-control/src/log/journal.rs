//! The journal's segments: filled with zeros ahead of time, so that a sync has no sizes to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use writ_audit::segment_path;

use super::files::sync_directory;

/// Size of a segment, in bytes. A larger batch makes a larger one.
pub(super) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Journal {
    /// The log's directory.
    root: PathBuf,
    file: File,
    position: u64,
    segment_bytes: u64,
}

impl Journal {
    /// Begins the segment whose first entry is `first`.
    pub(super) fn create(root: &Path, first: u64, segment_bytes: u64) -> io::Result<Self> {
        let path = root.join(segment_path(first));
        let spare = spare_path(root);
        let file = if spare.is_file() {
            fs::rename(&spare, &path)?;
            OpenOptions::new().write(true).open(&path)?
        } else {
            // No time to write zeros now; a hole reads the same.
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.set_len(segment_bytes)?;
            file
        };
        file.sync_all()?;
        sync_directory(&root.join("journal"))?;
        Ok(Self {
            root: root.to_owned(),
            file,
            position: 0,
            segment_bytes,
        })
    }

    /// Continues a segment whose entries end at `position`. What stands there is wiped: left over from a torn write, it could
    /// otherwise come to stand behind a later entry as if it belonged there.
    pub(super) fn resume(
        root: &Path,
        first: u64,
        position: u64,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let path = root.join(segment_path(first));
        let mut file = OpenOptions::new().write(true).open(path)?;
        let length = file.metadata()?.len();
        file.set_len(position)?;
        file.set_len(length.max(segment_bytes))?;
        file.seek(SeekFrom::Start(position))?;
        file.sync_all()?;
        Ok(Self {
            root: root.to_owned(),
            file,
            position,
            segment_bytes,
        })
    }

    /// Appends the frames of a batch whose first entry is `first`; they go into one segment.
    pub(super) fn append(&mut self, first: u64, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.position > 0 && self.position.saturating_add(length) > self.segment_bytes {
            // A later segment says that everything in this one is on disk.
            self.sync()?;
            *self = Self::create(&self.root, first, self.segment_bytes)?;
        }
        self.file.write_all(bytes)?;
        self.position = self.position.saturating_add(length);
        Ok(())
    }

    /// Makes what was appended outlive the machine's power.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// A journal that writes to `file`, for tests of what a full or broken disk does.
    #[cfg(test)]
    pub(super) fn over(root: &Path, file: File) -> Self {
        Self {
            root: root.to_owned(),
            file,
            position: 0,
            segment_bytes: u64::MAX,
        }
    }
}

fn spare_path(root: &Path) -> PathBuf {
    root.join("journal/spare")
}

/// Prepares the next segment, if there is none in waiting.
pub(super) fn prepare_spare(root: &Path, segment_bytes: u64) -> io::Result<()> {
    let spare = spare_path(root);
    if spare.is_file() {
        return Ok(());
    }
    let temporary = root.join("journal/spare.new");
    let mut file = File::create(&temporary)?;
    let zeros = vec![0; 64 * 1024];
    let mut left = segment_bytes;
    while left > 0 {
        let chunk = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..chunk).unwrap_or_default())?;
        left = left.saturating_sub(u64::try_from(chunk).unwrap_or(u64::MAX));
    }
    file.sync_all()?;
    fs::rename(temporary, spare)
}

/// Removes the segments all of whose entries a published checkpoint of `size` covers, and always keeps the last.
pub(super) fn remove_covered(root: &Path, segments: &[u64], size: u64) -> io::Result<()> {
    for (first, next) in segments.iter().zip(segments.iter().skip(1)) {
        if *next <= size {
            fs::remove_file(root.join(segment_path(*first)))?;
        }
    }
    Ok(())
}
