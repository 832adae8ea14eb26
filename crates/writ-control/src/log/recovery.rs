//! What a log is found to be when it is opened: its tree, its journal, and the calls whose end nobody wrote down.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use writ_audit::{
    Checkpoint, Entries, Event, LogFiles as _, Record, RecordError, Tail, TilePath, Tree,
    VerifierKey, parse_tile, read_segment,
};
use writ_types::{CallId, Digest, TaskId, Timestamp};

use super::LogError;
use super::files::LogDirectory;
use super::journal::Journal;
use super::reader::{LogReader, ReadError, text_member};

/// A call that may have reached its upstream and whose end is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// The call.
    pub call: CallId,
    /// Its task; the call counts as spent there.
    pub task: TaskId,
    /// The index of its intent.
    pub intent: u64,
}

/// What was found in the log that was opened.
#[derive(Debug)]
pub struct Recovered {
    /// Entries in the log.
    pub entries: u64,
    /// The checkpoint that was found; none in a new log.
    pub checkpoint: Option<Checkpoint>,
    /// Intents without outcome since the last record of a start, in order of their index. The caller writes a `Started` record,
    /// which says how many they were, and from then on they are history.
    pub orphans: Vec<Orphan>,
    /// The latest time of the records since the last start, that start included: the clock must not be behind it. A start
    /// is dated no earlier than what was before it, so this is the latest time of the whole log.
    pub last_time: Option<Timestamp>,
    pub(super) reader: LogReader,
}

impl Recovered {
    /// Gives `visit` every record from index `from` on, in order: what the ledger is rebuilt from.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; also for a record that this program cannot read, because a ledger with a gap is wrong.
    pub fn replay(&self, from: u64, mut visit: impl FnMut(u64, Record)) -> Result<(), ReadError> {
        let mut fault = None;
        self.reader
            .scan(from, |index, bytes| match Record::decode(bytes) {
                Ok(record) => {
                    visit(index, record);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    fault = Some(ReadError::Record { index, error });
                    ControlFlow::Break(())
                }
            })?;
        fault.map_or(Ok(()), Err)
    }
}

/// Leaf hashes and entries beyond the checkpoint.
type Beyond = Vec<(Digest, Vec<u8>)>;

/// The parts of an opened log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) tree: Tree,
    pub(super) bundle: Vec<u8>,
    pub(super) journal: Journal,
    pub(super) beyond: Beyond,
}

/// Reads checkpoint, tiles and journal, and cuts a torn write off the journal's end.
pub(super) fn find(
    directory: &LogDirectory,
    key: &VerifierKey,
    segment_bytes: u64,
) -> Result<Found, LogError> {
    let note = directory
        .read("checkpoint")
        .map_err(LogError::io(directory.root()))?;
    let checkpoint = note
        .map(|note| Checkpoint::open(&note, key).map_err(LogError::Checkpoint))
        .transpose()?;
    let size = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let (tree, bundle) = match &checkpoint {
        Some(checkpoint) => stored_tree(directory, checkpoint)?,
        None => (Tree::new(), Vec::new()),
    };
    let (journal, beyond) = read_journal(directory, size, segment_bytes)?;
    Ok(Found {
        checkpoint,
        tree,
        bundle,
        journal,
        beyond,
    })
}

/// The tree and the last bundle as they were when the checkpoint was signed.
///
/// A full tile takes the place of the partial one that the checkpoint needs before the next checkpoint is signed. A process
/// that ends between the two leaves only the full one, which begins with the same hashes (C2SP tlog-tiles, "Partial Tiles").
fn stored_tree(
    directory: &LogDirectory,
    checkpoint: &Checkpoint,
) -> Result<(Tree, Vec<u8>), LogError> {
    let size = checkpoint.size;
    let broken = || LogError::Tree { size };
    let read = |path: TilePath| {
        let exact = directory.read(&path.to_string()).ok()?;
        match exact {
            Some(bytes) => Some((bytes, path)),
            None => Some((directory.read(&path.full().to_string()).ok()??, path.full())),
        }
    };
    let tile = |path: TilePath| {
        let (bytes, found) = read(path)?;
        let mut hashes = parse_tile(&bytes, found.width)?;
        hashes.truncate(usize::from(path.width));
        Some(hashes)
    };
    let tree = Tree::load(size, tile).ok_or_else(broken)?;
    if tree.root() != checkpoint.root {
        return Err(broken());
    }
    let leaves = tree.last_leaves();
    let Some(width) = u16::try_from(leaves.len()).ok().filter(|width| *width > 0) else {
        return Ok((tree, Vec::new()));
    };
    let path = TilePath::entries(size / 256, width);
    let (mut bundle, found) = read(path).ok_or_else(broken)?;
    let mut entries = Entries::of(&bundle);
    let same = entries
        .by_ref()
        .take(leaves.len())
        .map(writ_audit::leaf_hash)
        .eq(leaves.iter().copied());
    let rest = entries.rest().len();
    if !same || found == path && rest > 0 {
        return Err(broken());
    }
    bundle.truncate(bundle.len().saturating_sub(rest));
    Ok((tree, bundle))
}

fn read_journal(
    directory: &LogDirectory,
    size: u64,
    segment_bytes: u64,
) -> Result<(Journal, Beyond), LogError> {
    let root = directory.root();
    let segments = directory.segments().map_err(LogError::io(root))?;
    let gap = |from: u64, to: u64| LogError::Gap {
        from,
        to,
        path: root.join("journal"),
    };
    let mut beyond = Vec::new();
    let mut last = None;
    let mut next = segments.first().copied().unwrap_or(size);
    for (place, first) in segments.iter().enumerate() {
        if *first != next || *first > size && place == 0 {
            return Err(gap(next.min(size), *first));
        }
        let path = directory.segment(*first);
        let bytes = fs::read(&path).map_err(LogError::io(&path))?;
        let later = segments.get(place.saturating_add(1)).copied();
        let segment = read_segment(&bytes, *first, later.unwrap_or(0).max(size));
        match segment.tail {
            Tail::Clean => {}
            Tail::Torn => {
                tracing::warn!(path = %path.display(), at = segment.end, "cut off a torn write")
            }
            Tail::Corrupt { index } => {
                // Nothing at all where entries should be: a segment between this one and the next has gone.
                let rest = bytes.get(segment.end..).unwrap_or_default();
                return Err(match later.filter(|_| rest.iter().all(|byte| *byte == 0)) {
                    Some(later) => gap(index, later),
                    None => LogError::Corrupt { index, path },
                });
            }
        }
        for frame in &segment.frames {
            next = frame.index.saturating_add(1);
            if frame.index >= size {
                beyond.push((frame.leaf, frame.entry.to_vec()));
            }
        }
        last = Some((*first, u64::try_from(segment.end).unwrap_or(u64::MAX)));
    }
    let journal = match last {
        Some((first, end)) => Journal::resume(root, first, end, segment_bytes),
        // The last segment is always kept, so a log with entries and without a journal has lost it.
        None if size > 0 => return Err(gap(size, size)),
        None => Journal::create(root, 0, segment_bytes),
    };
    Ok((
        journal.map_err(LogError::io(&root.join("journal")))?,
        beyond,
    ))
}

/// Intents without outcome since the last start, and the latest time of the records since then.
pub(super) fn orphans(
    reader: &LogReader,
    entries: u64,
) -> Result<(Vec<Orphan>, Option<Timestamp>), ReadError> {
    let mut ended: BTreeSet<String> = BTreeSet::new();
    let mut orphans = Vec::new();
    let mut last_time = None;
    // Backwards in blocks: what lies before the last start was reported by that start.
    let mut end = entries;
    let mut started = false;
    while end > 0 && !started {
        let begin = end.saturating_sub(1024);
        for (index, bytes) in reader.range(begin, end)?.iter().rev() {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            last_time = last_time.max(text_member(text, "time").and_then(Timestamp::parse));
            let call = || text_member(text, "call").unwrap_or_default();
            match text_member(text, "kind") {
                Some("started") => {
                    started = true;
                    break;
                }
                Some("outcome") => {
                    ended.insert(call().to_owned());
                }
                Some("intent") if !ended.contains(call()) => orphans.push(orphan(*index, bytes)?),
                Some(_) => {}
                None => {
                    return Err(ReadError::Damaged {
                        index: *index,
                        path: PathBuf::new(),
                    });
                }
            }
        }
        end = begin;
    }
    orphans.reverse();
    Ok((orphans, last_time))
}

fn orphan(index: u64, bytes: &[u8]) -> Result<Orphan, ReadError> {
    let unreadable = |error| ReadError::Record { index, error };
    let record = Record::decode(bytes).map_err(unreadable)?;
    let Event::Intent(intent) = record.event else {
        return Err(unreadable(RecordError::Member("kind")));
    };
    Ok(Orphan {
        call: intent.call,
        task: intent.subject.task,
        intent: index,
    })
}
