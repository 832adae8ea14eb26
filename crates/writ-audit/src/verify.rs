//! Verifies a copy of a log with nothing but its files and the public key.
//!
//! Every entry is hashed again and the tree built again from them. Where that does not lead to the signed root, the stored
//! tiles tell which entry is to blame: if they lead there, the entries that differ from them were altered.

use std::fmt;
use std::io;

use writ_types::Digest;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::leaf_hash;
use crate::journal::{Tail, read_segment};
use crate::note::VerifierKey;
use crate::tile::{Entries, TILE_WIDTH, TilePath, WIDTH, parse_tile};
use crate::tree::{Tile, Tree};

/// Most faults that are listed; a damaged disk would list millions.
const MOST_FAULTS: usize = 100;

/// The files of a log, wherever they are.
pub trait LogFiles {
    /// The file at `path` below the log's directory; none if there is none.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// The first indexes of the journal's segments, ascending; see [`segment_path`].
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn segments(&self) -> io::Result<Vec<u64>>;
}

/// Where the journal segment whose first entry has the index `first` lies.
#[must_use]
pub fn segment_path(first: u64) -> String {
    format!("journal/{first:020}.seg")
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no checkpoint, so nothing is promised.
    #[error("there is no checkpoint")]
    NoCheckpoint,
    /// The checkpoint is not to be trusted.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// An entry is not the one that was logged.
    #[error("entry {index}: its bytes do not match the tree")]
    Entry {
        /// The entry.
        index: u64,
    },
    /// Entries are not there.
    #[error("entries {first} to {last}: `{path}` is missing")]
    MissingEntries {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
        /// The bundle that should hold them.
        path: TilePath,
    },
    /// A bundle has bytes after its last entry.
    #[error("`{path}` has bytes after its last entry")]
    TrailingBytes {
        /// The bundle.
        path: TilePath,
    },
    /// A tile is missing, though the entries below it are as they were.
    #[error("`{path}` is missing")]
    MissingTile {
        /// The tile.
        path: TilePath,
    },
    /// A tile is not what the entries below it give.
    #[error("`{path}`: its hashes are not those of entries {first} to {last}")]
    Tile {
        /// The tile.
        path: TilePath,
        /// The first entry below it.
        first: u64,
        /// The last entry below it.
        last: u64,
    },
    /// Neither the entries nor the tiles lead to the signed root.
    #[error(
        "the entries and tiles do not lead to the root that was signed: the log was rewritten, or the checkpoint is of another state"
    )]
    Root,
    /// An entry of the journal is not the one that was logged.
    #[error("journal entry {index}: its bytes are not what was written")]
    Journal {
        /// The entry.
        index: u64,
    },
    /// Entries are in neither the tree nor the journal.
    #[error("entries {first} to {last} are missing from the journal")]
    JournalGap {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
}

impl Fault {
    /// The first entry that the fault touches, if it is about entries.
    #[must_use]
    pub const fn entry(&self) -> Option<u64> {
        match self {
            Self::Entry { index } | Self::Journal { index } => Some(*index),
            Self::MissingEntries { first, .. }
            | Self::Tile { first, .. }
            | Self::JournalGap { first, .. } => Some(*first),
            Self::NoCheckpoint
            | Self::Checkpoint(_)
            | Self::TrailingBytes { .. }
            | Self::MissingTile { .. }
            | Self::Root => None,
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// The checkpoint that everything was compared with, if it is to be trusted.
    pub checkpoint: Option<Checkpoint>,
    /// Entries whose bytes were hashed and match the tree under the checkpoint.
    pub verified: u64,
    /// Whole entries in the journal that no checkpoint covers yet: nothing but their own hash speaks for them.
    pub uncovered: u64,
    /// Whether the journal ends in a write that was cut short.
    pub torn: bool,
    /// What is wrong; at most a hundred faults, those of entries in ascending order.
    pub faults: Vec<Fault>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.checkpoint.is_some()
    }

    fn add(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.checkpoint, self.faults.first()) {
            (_, Some(fault)) => write!(f, "{fault}"),
            (Some(checkpoint), None) => {
                write!(
                    f,
                    "{} entries match the signed tree of {}",
                    self.verified, checkpoint.origin
                )?;
                if self.uncovered > 0 {
                    write!(
                        f,
                        "; {} more are not yet under a checkpoint",
                        self.uncovered
                    )?;
                }
                Ok(())
            }
            (None, None) => f.write_str("nothing was verified"),
        }
    }
}

/// Verifies the log in `files` against `key`, which must not come from the same place as the files.
///
/// # Errors
///
/// Only what the file system says; everything that is wrong with the log is in the report.
pub fn verify(files: &impl LogFiles, key: &VerifierKey) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let Some(note) = files.read("checkpoint")? else {
        report.add(Fault::NoCheckpoint);
        verify_journal(files, &mut report, 0, &[])?;
        return Ok(report);
    };
    let checkpoint = match Checkpoint::open(&note, key) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            report.add(Fault::Checkpoint(error));
            return Ok(report);
        }
    };
    let size = checkpoint.size;
    let journal_begin = files.segments()?.first().copied().unwrap_or(size).min(size);
    let mut walk = Walk::new(files, size, journal_begin);
    walk.entries()?;
    let kept = walk.judge(&checkpoint, &mut report)?;
    report.checkpoint = Some(checkpoint);
    verify_journal(files, &mut report, size, &kept)?;
    Ok(report)
}

/// The way through all bundles and tiles below one checkpoint.
struct Walk<'a, F> {
    files: &'a F,
    size: u64,
    /// The tree as the entries give it.
    ours: Tree,
    /// The tree as the stored tiles of level 0 give it, from the first difference on.
    stored: Option<Tree>,
    /// Whether an entry could not be hashed at all, so that `ours` is no tree of this size.
    incomplete: bool,
    /// Entries that differ from their tile, and other faults, which only matter if the root decides so.
    entry_faults: Vec<Fault>,
    tile_faults: Vec<Fault>,
    matching: u64,
    /// Hashes from this index on are kept for the journal.
    keep_from: u64,
    /// By entry and by tile.
    kept: Vec<(Digest, Digest)>,
}

impl<'a, F: LogFiles> Walk<'a, F> {
    fn new(files: &'a F, size: u64, keep_from: u64) -> Self {
        Self {
            files,
            size,
            ours: Tree::new(),
            stored: None,
            incomplete: false,
            entry_faults: Vec::new(),
            tile_faults: Vec::new(),
            matching: 0,
            keep_from,
            kept: Vec::new(),
        }
    }

    /// The file at `path`, or the full one that has replaced it.
    fn read(&self, path: TilePath) -> io::Result<Option<(Vec<u8>, TilePath)>> {
        for path in [path, path.full()] {
            if let Some(bytes) = self.files.read(&path.to_string())? {
                return Ok(Some((bytes, path)));
            }
        }
        Ok(None)
    }

    /// The first `path.width` hashes of a stored tile.
    fn stored_tile(&self, path: TilePath) -> io::Result<Option<Vec<Digest>>> {
        Ok(self.read(path)?.and_then(|(bytes, found)| {
            let mut hashes = parse_tile(&bytes, found.width)?;
            hashes.truncate(usize::from(path.width));
            Some(hashes)
        }))
    }

    fn entries(&mut self) -> io::Result<()> {
        for bundle in 0..self.size.div_ceil(WIDTH) {
            let first = bundle.saturating_mul(WIDTH);
            let width = u16::try_from(self.size.saturating_sub(first).min(WIDTH)).unwrap_or(256);
            let hashes = self.bundle(TilePath::entries(bundle, width))?;
            let tile = self.stored_tile(TilePath::tile(0, bundle, width))?;
            self.compare(first, width, hashes.as_deref(), tile.as_deref())?;
        }
        Ok(())
    }

    /// The leaf hashes of a bundle, as many as can be read; none if there is no such bundle, which is then a fault.
    fn bundle(&mut self, path: TilePath) -> io::Result<Option<Vec<Digest>>> {
        let first = path.index.saturating_mul(WIDTH);
        let Some((bytes, found)) = self.read(path)? else {
            let last = first
                .saturating_add(u64::from(path.width))
                .saturating_sub(1);
            self.entry_faults
                .push(Fault::MissingEntries { first, last, path });
            return Ok(None);
        };
        let mut entries = Entries::of(&bytes);
        let hashes = entries
            .by_ref()
            .take(usize::from(path.width))
            .map(leaf_hash)
            .collect();
        if found == path && !entries.rest().is_empty() {
            self.tile_faults.push(Fault::TrailingBytes { path });
        }
        Ok(Some(hashes))
    }

    /// Compares the hashes of a bundle with the stored tile and takes both into their trees.
    fn compare(
        &mut self,
        first: u64,
        width: u16,
        found: Option<&[Digest]>,
        tile: Option<&[Digest]>,
    ) -> io::Result<()> {
        let path = TilePath::tile(0, first / WIDTH, width);
        let hashes = found.unwrap_or_default();
        let whole = hashes.len() == usize::from(width);
        if tile.is_none() {
            self.tile_faults.push(Fault::MissingTile { path });
        }
        let stored = tile.unwrap_or(hashes);
        let differs = stored != hashes;
        if differs {
            // From here on the two trees differ.
            self.stored.get_or_insert_with(|| self.ours.clone());
        }
        let differing = (first..)
            .zip(stored)
            .enumerate()
            .filter(|(at, (_, hash))| hashes.get(*at) != Some(*hash));
        let faults: Vec<_> = differing
            .map(|(_, (index, _))| Fault::Entry { index })
            .collect();
        let same = usize::from(width)
            .min(stored.len())
            .saturating_sub(faults.len());
        self.matching = self
            .matching
            .saturating_add(u64::try_from(same).unwrap_or(0));
        // A missing bundle is already one fault; its entries are not 256 more. One that is there and unreadable is not.
        if found.is_some() && self.entry_faults.len() < MOST_FAULTS {
            self.entry_faults.extend(faults);
        }
        if differs {
            let last = first.saturating_add(u64::from(width)).saturating_sub(1);
            self.tile_faults.push(Fault::Tile { path, first, last });
        }
        self.incomplete |= !whole;
        for ((at, hash), index) in stored.iter().enumerate().zip(first..) {
            if index >= self.keep_from {
                self.kept
                    .push((hashes.get(at).copied().unwrap_or(*hash), *hash));
            }
        }
        if let Some(tree) = &mut self.stored {
            stored.iter().for_each(|hash| tree.push(*hash, |_full| ()));
        }
        self.grow(hashes)
    }

    /// Takes hashes into our tree, and compares every upper tile that this fills with the stored one.
    fn grow(&mut self, hashes: &[Digest]) -> io::Result<()> {
        let mut full = Vec::new();
        for hash in hashes {
            self.ours.push(*hash, |tile| full.push(tile));
        }
        full.iter().try_for_each(|tile| self.compare_upper(tile))
    }

    fn compare_upper(&mut self, tile: &Tile) -> io::Result<()> {
        let level = tile.path.level.unwrap_or(0);
        if level == 0 {
            return Ok(());
        }
        match self.stored_tile(tile.path)? {
            None => self
                .tile_faults
                .push(Fault::MissingTile { path: tile.path }),
            Some(stored) => {
                let differing = stored
                    .iter()
                    .zip(&tile.hashes)
                    .position(|(stored, ours)| stored != ours);
                if let Some(at) = differing {
                    let span = WIDTH.saturating_pow(u32::from(level));
                    let place = tile.path.index.saturating_mul(WIDTH);
                    let place = place.saturating_add(u64::try_from(at).unwrap_or(0));
                    let first = place.saturating_mul(span);
                    let last = first.saturating_add(span).saturating_sub(1);
                    self.tile_faults.push(Fault::Tile {
                        path: tile.path,
                        first,
                        last,
                    });
                }
            }
        }
        Ok(())
    }

    /// Decides who is to blame for what differs, and gives the leaf hashes that the journal is compared with.
    fn judge(
        mut self,
        checkpoint: &Checkpoint,
        report: &mut VerifyReport,
    ) -> io::Result<Vec<Digest>> {
        let partial: Vec<_> = self.ours.partial().collect();
        partial
            .iter()
            .try_for_each(|tile| self.compare_upper(tile))?;
        let entries_lead_there = !self.incomplete && self.ours.root() == checkpoint.root;
        let tiles_lead_there = self
            .stored
            .as_ref()
            .is_some_and(|tree| tree.root() == checkpoint.root);
        report.verified = self.matching;
        if entries_lead_there {
            report.verified = self.size;
            self.tile_faults
                .drain(..)
                .for_each(|fault| report.add(fault));
        } else if tiles_lead_there {
            // The tiles of level 0 are as they were, so what differs from them are the entries.
            self.entry_faults
                .drain(..)
                .for_each(|fault| report.add(fault));
        }
        // Without the entries leading to the signed root nothing is sound, whatever else was or was not found.
        if !entries_lead_there && (!tiles_lead_there || report.faults.is_empty()) {
            let faults = self
                .entry_faults
                .drain(..)
                .chain(self.tile_faults.drain(..));
            faults.for_each(|fault| report.add(fault));
            report.add(Fault::Root);
        }
        report
            .faults
            .sort_by_key(|fault| fault.entry().unwrap_or(u64::MAX));
        let hash =
            |(ours, stored): &(Digest, Digest)| if entries_lead_there { *ours } else { *stored };
        Ok(self.kept.iter().map(hash).collect())
    }
}

/// Reads the journal: what lies below the checkpoint must be what the tree has, and the rest is counted.
fn verify_journal(
    files: &impl LogFiles,
    report: &mut VerifyReport,
    size: u64,
    kept: &[Digest],
) -> io::Result<()> {
    let segments = files.segments()?;
    let kept_from = size.saturating_sub(u64::try_from(kept.len()).unwrap_or(0));
    let mut next = segments.first().copied().unwrap_or(size).min(size);
    for (place, first) in segments.iter().enumerate() {
        let Some(bytes) = files.read(&segment_path(*first))? else {
            continue;
        };
        if *first > next {
            let last = first.saturating_sub(1);
            report.add(Fault::JournalGap { first: next, last });
        }
        let later = segments.get(place.saturating_add(1)).copied();
        let segment = read_segment(&bytes, *first, later.unwrap_or(size));
        for frame in &segment.frames {
            let index = frame
                .index
                .checked_sub(kept_from)
                .and_then(|at| usize::try_from(at).ok());
            let known = index.and_then(|at| kept.get(at));
            if frame.index >= size {
                report.uncovered = report.uncovered.saturating_add(1);
            } else if known.is_some_and(|hash| *hash != frame.leaf) {
                report.add(Fault::Journal { index: frame.index });
            }
            next = frame.index.saturating_add(1);
        }
        match segment.tail {
            Tail::Clean => {}
            Tail::Torn => report.torn = true,
            Tail::Corrupt { index } => {
                report.add(Fault::Journal { index });
                next = later.unwrap_or(next);
            }
        }
    }
    Ok(())
}

/// How many entries a full bundle has, for readers of the layout.
const _: () = assert!(TILE_WIDTH == 256);

#[cfg(test)]
mod tests;
