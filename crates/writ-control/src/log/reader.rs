//! Reads a log: while it is written, after a crash, or from a copy.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use writ_audit::{
    Checkpoint, Entries, Frame, LogFiles, LogProof, Nodes, Record, RecordError, Tail, TilePath,
    inclusion_proof, parse_tile, read_segment, segment_path,
};
use writ_types::{AgentId, CallId, Digest, TaskId, Timestamp};

use super::files::LogDirectory;

/// How often a reader looks again when the writer has moved files under its hands.
const ATTEMPTS: usize = 8;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system.
    #[error("cannot read the log")]
    Io(#[source] io::Error),
    /// An entry is missing or damaged.
    #[error("entry {index} is missing or damaged in `{}`; run `writ audit verify`", path.display())]
    Damaged {
        /// The entry.
        index: u64,
        /// The file.
        path: PathBuf,
    },
    /// A record cannot be read.
    #[error("entry {index}")]
    Record {
        /// The entry.
        index: u64,
        /// Why.
        #[source]
        error: RecordError,
    },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its index.
    pub index: u64,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// The record in it.
    ///
    /// # Errors
    ///
    /// [`ReadError::Record`]
    pub fn record(&self) -> Result<Record, ReadError> {
        let index = self.index;
        Record::decode(&self.bytes).map_err(|error| ReadError::Record { index, error })
    }
}

/// What to search for. Everything that is named must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query {
    /// Records about this call.
    pub call: Option<CallId>,
    /// Records about this task.
    pub task: Option<TaskId>,
    /// Records about this agent.
    pub agent: Option<AgentId>,
    /// Records not before this instant.
    pub from: Option<Timestamp>,
    /// Records before this instant.
    pub until: Option<Timestamp>,
}

impl Query {
    /// Whether a record's text can match at all: a look that costs a hundredth of reading it.
    fn may_match(&self, ids: &[String], text: &str) -> bool {
        let time = || text_member(text, "time").and_then(Timestamp::parse);
        ids.iter().all(|id| text.contains(id.as_str()))
            && (self.from.is_none() && self.until.is_none()
                || time().is_none_or(|time| {
                    self.from.is_none_or(|from| time >= from)
                        && self.until.is_none_or(|until| time < until)
                }))
    }

    fn matches(&self, record: &Record) -> bool {
        self.call.is_none_or(|call| record.call() == Some(call))
            && self.task.is_none_or(|task| record.task() == Some(task))
            && self.agent.is_none_or(|agent| record.agent() == Some(agent))
    }
}

/// The string member `name` of a canonical record. Within a string a quote is escaped, so that `"name":"` stands only where a
/// member begins; the names asked for here are used once in a record.
pub(super) fn text_member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = format!("\"{name}\":\"");
    text.split_once(begin.as_str())?.1.split('"').next()
}

/// Reads the entries of a log by index.
#[derive(Debug, Clone)]
pub struct LogReader {
    directory: LogDirectory,
}

impl LogReader {
    /// The log in `path` (`<data>/log`), or a copy of one.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            directory: LogDirectory::new(path),
        }
    }

    /// Gives `visit` the entries from index `from` on, in order, until it breaks or there are no more.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; entries are not checked against the tree, which is what a verification does.
    pub fn scan(
        &self,
        from: u64,
        mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut next = from;
        for _ in 0..ATTEMPTS {
            let size = self.covered()?;
            if self.scan_bundles(&mut next, size, &mut visit)?.is_break() {
                return Ok(());
            }
            if self.scan_journal(&mut next, size, &mut visit)? {
                return Ok(());
            }
        }
        Err(self.damaged(next, "journal"))
    }

    /// Entries that the published checkpoint covers. Its signature is for `verify`.
    fn covered(&self) -> Result<u64, ReadError> {
        let note = self.directory.read("checkpoint")?;
        let checkpoint = note.as_deref().and_then(Checkpoint::peek);
        Ok(checkpoint.map_or(0, |checkpoint| checkpoint.size))
    }

    fn scan_bundles(
        &self,
        next: &mut u64,
        size: u64,
        visit: &mut impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        while *next < size {
            let first = next.saturating_sub(*next % 256);
            let width = u16::try_from(size.saturating_sub(first).min(256)).unwrap_or(256);
            let path = TilePath::entries(first / 256, width);
            let bytes = self
                .file_or_full(path)?
                .ok_or_else(|| self.damaged(*next, &path.to_string()))?;
            let begin = *next;
            let entries = (first..).zip(Entries::of(&bytes).take(usize::from(width)));
            for (index, entry) in entries.skip_while(|(index, _)| *index < begin) {
                *next = index.saturating_add(1);
                if visit(index, entry).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let end = first.saturating_add(u64::from(width));
            if *next < end {
                return Err(self.damaged(*next, &path.to_string()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The file at `path`, or the full one that has replaced it.
    fn file_or_full(&self, path: TilePath) -> io::Result<Option<Vec<u8>>> {
        match self.directory.read(&path.to_string())? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.directory.read(&path.full().to_string()),
        }
    }

    /// Visits what the journal has from `next` on; `false` if the writer has moved on meanwhile.
    fn scan_journal(
        &self,
        next: &mut u64,
        size: u64,
        visit: &mut impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<bool, ReadError> {
        let segments = self.directory.segments()?;
        let Some(begin) = segments.iter().rposition(|first| first <= next) else {
            // A copy of tiles without a journal is whole as far as its checkpoint reaches.
            return Ok(segments.is_empty());
        };
        let ours = segments.get(begin..).unwrap_or_default();
        for (place, first) in ours.iter().enumerate() {
            let Some(bytes) = self.directory.read(&segment_path(*first))? else {
                return Ok(false);
            };
            let later = ours.get(place.saturating_add(1)).copied();
            let segment = read_segment(&bytes, *first, later.unwrap_or(0).max(size));
            let wanted = |frame: &&Frame<'_>| frame.index >= *next;
            let frames: Vec<_> = segment.frames.iter().filter(wanted).collect();
            for frame in frames {
                *next = frame.index.saturating_add(1);
                if visit(frame.index, frame.entry).is_break() {
                    return Ok(true);
                }
            }
            if let Tail::Corrupt { index } = segment.tail {
                // The writer may have written between two reads of one file; then the next look is better.
                if index >= *next {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn damaged(&self, index: u64, path: &str) -> ReadError {
        ReadError::Damaged {
            index,
            path: self.directory.root().join(path),
        }
    }

    /// The entries from `begin` to before `end`, as many as there are.
    pub(super) fn range(&self, begin: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
        let mut entries = Vec::new();
        if begin < end {
            self.scan(begin, |index, bytes| {
                entries.push((index, bytes.to_vec()));
                if index.saturating_add(1) < end {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        }
        Ok(entries)
    }

    /// How many entries the log has, those without a checkpoint included.
    ///
    /// # Errors
    ///
    /// [`ReadError`]
    pub fn size(&self) -> Result<u64, ReadError> {
        let mut size = self.covered()?;
        self.scan(size, |index, _| {
            size = index.saturating_add(1);
            ControlFlow::Continue(())
        })?;
        Ok(size)
    }

    /// The entry at `index`; none if the log does not reach there.
    ///
    /// # Errors
    ///
    /// [`ReadError`]
    pub fn get(&self, index: u64) -> Result<Option<Entry>, ReadError> {
        let found = self.range(index, index.saturating_add(1))?.pop();
        Ok(found
            .filter(|(found, _)| *found == index)
            .map(|(index, bytes)| Entry { index, bytes }))
    }

    /// The last `count` entries, oldest first.
    ///
    /// # Errors
    ///
    /// [`ReadError`]
    pub fn tail(&self, count: usize) -> Result<Vec<Entry>, ReadError> {
        let size = self.size()?;
        let begin = size.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        let entries = self.range(begin, size)?.into_iter();
        Ok(entries
            .map(|(index, bytes)| Entry { index, bytes })
            .collect())
    }

    /// The first `most` records that match `query`, oldest first. Every entry is looked at.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; also if an entry that could match cannot be read.
    pub fn search(&self, query: &Query, most: usize) -> Result<Vec<(u64, Record)>, ReadError> {
        let ids = [
            query.call.map(|call| call.to_string()),
            query.task.map(|task| task.to_string()),
            query.agent.map(|agent| agent.to_string()),
        ];
        let ids: Vec<String> = ids.into_iter().flatten().collect();
        let mut found = Vec::new();
        let mut fault = None;
        self.scan(0, |index, bytes| {
            if !query.may_match(&ids, std::str::from_utf8(bytes).unwrap_or_default()) {
                return ControlFlow::Continue(());
            }
            match Record::decode(bytes) {
                Ok(record) if query.matches(&record) => found.push((index, record)),
                Ok(_) => {}
                Err(error) => fault = Some(ReadError::Record { index, error }),
            }
            if fault.is_some() || found.len() >= most {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        fault.map_or(Ok(found), Err)
    }

    /// The evidence that entry `index` is in the log, to be handed to somebody who has only the public key; none if no
    /// checkpoint covers it yet.
    ///
    /// # Errors
    ///
    /// [`ReadError`]
    pub fn proof(&self, index: u64) -> Result<Option<LogProof>, ReadError> {
        let Some(note) = self.directory.read("checkpoint")? else {
            return Ok(None);
        };
        let text = String::from_utf8(note).unwrap_or_default();
        let Some(checkpoint) =
            Checkpoint::peek(text.as_bytes()).filter(|checkpoint| index < checkpoint.size)
        else {
            return Ok(None);
        };
        let stored = StoredNodes {
            reader: self,
            size: checkpoint.size,
        };
        let path = inclusion_proof(index, checkpoint.size, &stored);
        let path = path.ok_or_else(|| self.damaged(index, "tile"))?;
        Ok(Some(LogProof {
            index,
            path,
            checkpoint: text,
        }))
    }
}

/// The hashes in the tiles of a tree of `size`.
struct StoredNodes<'a> {
    reader: &'a LogReader,
    size: u64,
}

impl Nodes for StoredNodes<'_> {
    fn node(&self, level: u8, index: u64) -> Option<Digest> {
        let nodes = self.size.checked_shr(u32::from(level).checked_mul(8)?)?;
        let first = index.checked_sub(index % 256)?;
        let width = u16::try_from(nodes.checked_sub(first)?.min(256)).ok()?;
        let path = TilePath::tile(level, index / 256, width);
        let bytes = self.reader.file_or_full(path).ok()??;
        let width = u16::try_from(bytes.len() / 32).ok()?;
        let place = usize::try_from(index % 256).ok()?;
        parse_tile(&bytes, width)?.get(place).copied()
    }
}
