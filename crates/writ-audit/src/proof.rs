//! Inclusion and consistency proofs (RFC 9162 §2.1.3 and §2.1.4): how they are made, and how they are checked.

use writ_types::Digest;

use crate::hash::{empty_root, node_hash};
use crate::tree::perfect_root;

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index lies beyond the tree, or the sizes are in the wrong order.
    #[error("the index or the sizes are outside the tree")]
    Range,
    /// It has more or fewer hashes than such a proof has.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// It leads to another hash than the one it should prove.
    #[error("the proof does not lead to the root")]
    Root,
}

/// Stored hashes of a tree: what proofs are made from.
pub trait Nodes {
    /// The hash at `index` of tile level `level`: that of the entries from `index * 256^level` to the next.
    fn node(&self, level: u8, index: u64) -> Option<Digest>;
}

/// Makes the inclusion proof of entry `index` in the tree of `size`; none if a hash is missing or `index` is beyond.
#[must_use]
pub fn inclusion_proof(index: u64, size: u64, nodes: &impl Nodes) -> Option<Vec<Digest>> {
    if index >= size {
        return None;
    }
    let mut path = Vec::new();
    let (mut begin, mut end) = (0u64, size);
    while end.checked_sub(begin)? > 1 {
        let middle = begin.checked_add(split(end.checked_sub(begin)?))?;
        if index < middle {
            path.push(range_root(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(range_root(begin, middle, nodes)?);
            begin = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// Makes the proof that the tree of `newer` begins with the tree of `older`; none if a hash is missing or the sizes
/// are not `0 < older <= newer`.
#[must_use]
pub fn consistency_proof(older: u64, newer: u64, nodes: &impl Nodes) -> Option<Vec<Digest>> {
    if older == 0 || older > newer {
        return None;
    }
    let mut path = Vec::new();
    let (mut begin, mut end, mut whole) = (0u64, newer, true);
    while older < end {
        let middle = begin.checked_add(split(end.checked_sub(begin)?))?;
        if older <= middle {
            path.push(range_root(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(range_root(begin, middle, nodes)?);
            begin = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range_root(begin, end, nodes)?);
    }
    path.reverse();
    Some(path)
}

/// The largest power of two smaller than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    let last = size.saturating_sub(1);
    1u64.checked_shl(last.checked_ilog2().unwrap_or(0))
        .unwrap_or(1)
}

/// The hash of the entries from `begin` to `end`, where `begin` is where a subtree of that size can begin.
fn range_root(begin: u64, end: u64, nodes: &impl Nodes) -> Option<Digest> {
    let size = end.checked_sub(begin)?;
    if !size.is_power_of_two() {
        let middle = begin.checked_add(split(size))?;
        return Some(node_hash(
            &range_root(begin, middle, nodes)?,
            &range_root(middle, end, nodes)?,
        ));
    }
    let height = size.trailing_zeros();
    let level = u8::try_from(height / 8).ok()?;
    let first = begin >> (height / 8).saturating_mul(8);
    let hashes = (0..1u64 << (height % 8))
        .map(|place| nodes.node(level, first.checked_add(place)?))
        .collect::<Option<Vec<_>>>()?;
    Some(perfect_root(&hashes))
}

/// Checks that `leaf` is entry `index` of the tree of `size` with `root` (RFC 9162 §2.1.3.2).
///
/// # Errors
///
/// [`ProofError`]
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Digest,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        Err(ProofError::Length)
    } else if hash == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree of `newer` with `newer_root` begins with the tree of `older` with `older_root`
/// (RFC 9162 §2.1.4.2).
///
/// # Errors
///
/// [`ProofError`]; also for an empty older tree, about which there is nothing to prove.
pub fn verify_consistency(
    older: u64,
    newer: u64,
    older_root: &Digest,
    newer_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if older == 0 {
        return Err(ProofError::Range);
    }
    verify_subtree_consistency((0, older), newer, older_root, newer_root, proof)
}

/// Checks that the tree of `size` with `root` has `subtree_root` over the entries of `subtree`: the general form of
/// which RFC 9162 §2.1.4.2 is the case of a subtree that begins at 0.
fn verify_subtree_consistency(
    subtree: (u64, u64),
    size: u64,
    subtree_root: &Digest,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    let (begin, end) = subtree;
    if begin == end && end <= size {
        // Nothing is part of every tree.
        return if !proof.is_empty() {
            Err(ProofError::Length)
        } else if *subtree_root == empty_root() {
            Ok(())
        } else {
            Err(ProofError::Root)
        };
    }
    if !is_subtree(begin, end) || end > size {
        return Err(ProofError::Range);
    }
    let mut first = begin;
    let mut second = end.saturating_sub(1);
    let mut last = size.saturating_sub(1);
    let at_the_end = second == last;
    while first != second && (at_the_end || second & 1 == 1) {
        (first, second, last) = (first >> 1, second >> 1, last >> 1);
    }
    let (seed, rest) = if first == second {
        (subtree_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length)?
    };
    let (mut older, mut newer) = (*seed, *seed);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if second & 1 == 1 || second == last {
            if first < second {
                older = node_hash(hash, &older);
            }
            newer = node_hash(hash, &newer);
            while second & 1 == 0 && second != 0 {
                (first, second, last) = (first >> 1, second >> 1, last >> 1);
            }
        } else {
            newer = node_hash(&newer, hash);
        }
        (first, second, last) = (first >> 1, second >> 1, last >> 1);
    }
    if last != 0 {
        Err(ProofError::Length)
    } else if older == *subtree_root && newer == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Whether the entries from `begin` to `end` are those below one node of some tree: `begin` is a multiple of the
/// smallest power of two that is not less than their number.
fn is_subtree(begin: u64, end: u64) -> bool {
    let Some(width) = end.checked_sub(begin).filter(|width| *width > 0) else {
        return false;
    };
    width
        .checked_next_power_of_two()
        .is_some_and(|power| begin.checked_rem(power) == Some(0))
}

#[cfg(test)]
mod tests;
