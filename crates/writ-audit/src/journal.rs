//! The frames of the journal: how entries lie on disk until their tiles do, and how they are read after a crash.
//!
//! A segment is pre-filled with zeros. A frame is a head of 64 bytes and the entry's bytes; the head has its own check,
//! so that a torn write is told from a changed byte: every head says how many entries were already on disk
//! when it was written (`synced`), and what was on disk cannot have been torn.

use writ_types::Digest;

use crate::hash::leaf_hash;

/// The first bytes of every frame.
const MAGIC: [u8; 4] = *b"WRJ1";

/// Bytes before an entry: magic, length, index, synced, leaf hash, check.
const HEAD: usize = 64;

/// Longest entry: what a bundle can hold.
const LONGEST: usize = 65_535;

/// One entry as it was read from a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The entry's index in the log.
    pub index: u64,
    /// Its leaf hash, which its bytes have.
    pub leaf: Digest,
    /// Its bytes.
    pub entry: &'a [u8],
}

/// Adds a frame to `bytes`. `entry` is at most 65,535 bytes long and has the hash `leaf`; `synced` counts the entries
/// that were on disk before this frame was written.
pub(crate) fn push_frame(
    bytes: &mut Vec<u8>,
    index: u64,
    synced: u64,
    leaf: &Digest,
    entry: &[u8],
) {
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    let begin = bytes.len();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&index.to_be_bytes());
    bytes.extend_from_slice(&synced.to_be_bytes());
    bytes.extend_from_slice(leaf.as_bytes());
    let check = check(bytes.get(begin..).unwrap_or_default());
    bytes.extend_from_slice(&check);
    bytes.extend_from_slice(entry);
}

/// The first eight bytes of the SHA-256 of a head without its check.
fn check(head: &[u8]) -> [u8; 8] {
    let digest = Digest::of(head);
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

struct Head {
    length: usize,
    index: u64,
    synced: u64,
    leaf: Digest,
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let (head, rest) = bytes.split_at_checked(HEAD.checked_sub(8)?)?;
    if rest.first_chunk::<8>()? != &check(head) {
        return None;
    }
    let rest = head.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (synced, leaf) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (length <= LONGEST).then_some(Head {
        length,
        index: u64::from_be_bytes(*index),
        synced: u64::from_be_bytes(*synced),
        leaf: Digest::from_bytes(leaf.try_into().ok()?),
    })
}

/// What stands after the last whole entry of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Zeros, or nothing.
    Clean,
    /// A write that was cut short; nothing after it was ever on disk for certain.
    Torn,
    /// An entry that had been on disk is no longer what it was.
    Corrupt {
        /// The entry.
        index: u64,
    },
}

/// A segment as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its whole entries, in order and without a gap.
    pub frames: Vec<Frame<'a>>,
    /// Where the next entry would begin, in bytes.
    pub end: usize,
    /// What stands there.
    pub tail: Tail,
}

/// Reads a segment whose first entry has the index `first`. Entries below `durable` are known to have been on disk (from
/// a checkpoint, or because a later segment exists): if one of them is not whole, that is no torn write.
#[must_use]
pub fn read_segment(bytes: &[u8], first: u64, durable: u64) -> Segment<'_> {
    let mut frames = Vec::new();
    let (mut end, mut index) = (0usize, first);
    let tail = loop {
        let rest = bytes.get(end..).unwrap_or_default();
        let Some(frame) = whole_frame(rest, index) else {
            break tail(rest, index, durable);
        };
        end = end.saturating_add(HEAD).saturating_add(frame.entry.len());
        index = index.saturating_add(1);
        frames.push(frame);
    };
    Segment { frames, end, tail }
}

fn whole_frame(rest: &[u8], index: u64) -> Option<Frame<'_>> {
    let head = read_head(rest)?;
    let entry = rest.get(HEAD..HEAD.checked_add(head.length)?)?;
    (head.index == index && leaf_hash(entry) == head.leaf).then_some(Frame {
        index,
        leaf: head.leaf,
        entry,
    })
}

/// Judges what stands where entry `index` should: a later head that says this entry was on disk convicts.
fn tail(rest: &[u8], index: u64, durable: u64) -> Tail {
    if rest.iter().all(|byte| *byte == 0) {
        return if index < durable {
            Tail::Corrupt { index }
        } else {
            Tail::Clean
        };
    }
    let convicts = |head: Head| head.index > index && head.synced > index;
    let convicted = rest
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == MAGIC)
        .any(|(at, _)| rest.get(at..).and_then(read_head).is_some_and(convicts));
    if index < durable || convicted {
        Tail::Corrupt { index }
    } else {
        Tail::Torn
    }
}

#[cfg(test)]
mod tests;
