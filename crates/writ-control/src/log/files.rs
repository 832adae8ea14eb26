//! The log's files: read whole, written once under another name and then renamed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use writ_audit::{LogFiles, TilePath, segment_path};

/// A log's directory, or a copy of one.
#[derive(Debug, Clone)]
pub struct LogDirectory {
    root: PathBuf,
}

impl LogDirectory {
    /// The log in `root` (`<data>/log`).
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the segment that begins with entry `first` lies.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.root.join(segment_path(first))
    }

    /// The segments there are.
    #[cfg(test)]
    pub(super) fn segments_for_test(&self) -> Vec<u64> {
        self.segments().unwrap_or_default()
    }
}

impl LogFiles for LogDirectory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(self.root.join("journal")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut segments = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let first = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            // A name that is no index (the spare segment, an operator's copy) is not part of the journal.
            segments.extend(first.and_then(|first| first.parse::<u64>().ok()));
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

/// A log's files, with the entries of the bundles that were read.
pub(super) struct CountedFiles<'a> {
    pub(super) files: LogDirectory,
    pub(super) done: &'a AtomicU64,
}

impl LogFiles for CountedFiles<'_> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if let Ok(TilePath {
            level: None, width, ..
        }) = path.parse()
        {
            self.done.fetch_add(u64::from(width), Ordering::Relaxed);
        }
        self.files.read(path)
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        self.files.segments()
    }
}

/// Files that appear whole or not at all, together: written under another name first, made durable in one go (the first
/// sync of a file system carries most of the others), then renamed by [`Self::finish`].
#[derive(Debug)]
pub(super) struct Publication<'a> {
    root: &'a Path,
    files: Vec<(File, PathBuf, PathBuf)>,
    directories: BTreeSet<PathBuf>,
}

impl<'a> Publication<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self {
            root,
            files: Vec::new(),
            directories: BTreeSet::new(),
        }
    }

    /// Writes `bytes`, which will have the name `path` below the root.
    pub(super) fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(path);
        let parent = target.parent().unwrap_or(self.root);
        self.make_directory(parent)?;
        self.directories.insert(parent.to_owned());
        let temporary = target.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        self.files.push((file, temporary, target));
        Ok(())
    }

    /// Makes a directory and, durably, its name and those of the ones above it.
    fn make_directory(&mut self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_directory(parent)?;
            self.directories.insert(parent.to_owned());
        }
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes the files and their names durable.
    pub(super) fn finish(self) -> io::Result<()> {
        for (file, _, _) in &self.files {
            file.sync_data()?;
        }
        for (_, temporary, target) in &self.files {
            fs::rename(temporary, target)?;
        }
        self.directories
            .iter()
            .try_for_each(|directory| sync_directory(directory))
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
