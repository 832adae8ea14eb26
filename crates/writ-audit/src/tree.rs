//! The Merkle tree (RFC 9162 §2.1) as it grows: the partial tile of every level, and the full ones as they are made.

use writ_types::Digest;

use crate::hash::{empty_root, node_hash};
use crate::tile::{TILE_WIDTH, TilePath, WIDTH};

/// A tile with its place, ready to be stored or compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Where it lies.
    pub path: TilePath,
    /// Its hashes; as many as the path's width says.
    pub hashes: Vec<Digest>,
}

/// A growing tree. It keeps at most 255 hashes of each level; full tiles leave it as they are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// A tree without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` entries whose partial tiles `tile` can read, as they were stored with that size's checkpoint.
    /// None if one is missing or of another width. The caller compares the root with a signed one.
    pub fn load(size: u64, mut tile: impl FnMut(TilePath) -> Option<Vec<Digest>>) -> Option<Self> {
        let mut levels = Vec::new();
        for path in partial_tiles(size) {
            let hashes = match path {
                Some(path) => {
                    tile(path).filter(|hashes| hashes.len() == usize::from(path.width))?
                }
                None => Vec::new(),
            };
            levels.push(hashes);
        }
        Some(Self { size, levels })
    }

    /// How many entries it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of the next entry; `full` is given every tile that this fills, lowest level first.
    pub fn push(&mut self, leaf: Digest, mut full: impl FnMut(Tile)) {
        let mut hash = leaf;
        let mut index = self.size;
        self.size = self.size.saturating_add(1);
        for level in 0..8u8 {
            index /= WIDTH;
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else {
                return;
            };
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::replace(hashes, Vec::with_capacity(TILE_WIDTH));
            hash = perfect_root(&hashes);
            full(Tile {
                path: TilePath::tile(level, index, 256),
                hashes,
            });
        }
    }

    /// The root hash (`MTH` of RFC 9162 §2.1.1).
    #[must_use]
    pub fn root(&self) -> Digest {
        // Perfect subtrees from the left, largest first, are folded together from the right.
        let mut root: Option<Digest> = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            while end > 0 {
                let width = 1usize << end.trailing_zeros();
                let begin = end.saturating_sub(width);
                let left = perfect_root(hashes.get(begin..end).unwrap_or_default());
                root = Some(root.map_or(left, |right| node_hash(&left, &right)));
                end = begin;
            }
        }
        root.unwrap_or_else(empty_root)
    }

    /// The partial tiles of the present size: those that a checkpoint of this size needs beside the full ones.
    pub fn partial(&self) -> impl Iterator<Item = Tile> + '_ {
        partial_tiles(self.size)
            .zip(&self.levels)
            .filter_map(|(path, hashes)| {
                Some(Tile {
                    path: path?,
                    hashes: hashes.clone(),
                })
            })
    }

    /// The hashes of the last, partial tile of level 0.
    #[must_use]
    pub fn last_leaves(&self) -> &[Digest] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }
}

/// For every level of a tree of `size`, its partial tile; none where the level ends with a full one.
pub(crate) fn partial_tiles(size: u64) -> impl Iterator<Item = Option<TilePath>> {
    let mut nodes = size;
    (0..8u8)
        .take_while(move |level| size >> 8u32.saturating_mul(u32::from(*level)) > 0)
        .map(move |level| {
            let width = u16::try_from(nodes % WIDTH).unwrap_or(0);
            nodes /= WIDTH;
            (width > 0).then(|| TilePath::tile(level, nodes, width))
        })
}

/// The root over a power of two of hashes, at most 256.
pub(crate) fn perfect_root(hashes: &[Digest]) -> Digest {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let half = row.len().div_ceil(2);
        for place in 0..half {
            let begin = place.saturating_mul(2);
            if let (Some(left), Some(right)) = (
                row.get(begin).copied(),
                row.get(begin.saturating_add(1)).copied(),
            ) && let Some(slot) = row.get_mut(place)
            {
                *slot = node_hash(&left, &right);
            }
        }
        row.truncate(half);
    }
    row.first().copied().unwrap_or_else(empty_root)
}

#[cfg(test)]
mod tests;
