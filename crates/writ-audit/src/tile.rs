//! Tiles and entry bundles (C2SP tlog-tiles): where they lie and what is in them.

use std::fmt;
use std::str::FromStr;

use writ_types::Digest;

/// Hashes of a full tile and entries of a full bundle.
pub const TILE_WIDTH: usize = 256;

/// The same as a count of entries.
pub(crate) const WIDTH: u64 = 256;

/// Where a tile or an entry bundle lies below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    /// The level; none for an entry bundle.
    pub level: Option<u8>,
    /// The place within the level.
    pub index: u64,
    /// Hashes or entries in it: 1 to 256, where 256 is a full one.
    pub width: u16,
}

impl TilePath {
    /// The tile of `level` at `index`, `width` wide.
    #[must_use]
    pub const fn tile(level: u8, index: u64, width: u16) -> Self {
        Self {
            level: Some(level),
            index,
            width,
        }
    }

    /// The bundle of the entries from `256 * index` on, `width` of them.
    #[must_use]
    pub const fn entries(index: u64, width: u16) -> Self {
        Self {
            level: None,
            index,
            width,
        }
    }

    /// Whether it has all 256.
    #[must_use]
    pub fn is_full(&self) -> bool {
        usize::from(self.width) == TILE_WIDTH
    }

    /// The full one at the same place, which replaces every partial one.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: 256, ..self }
    }
}

impl fmt::Display for TilePath {
    /// `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`, N in groups of three digits: `x001/x234/067`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let groups = digits.len().div_ceil(3);
        let width = groups.saturating_mul(3);
        let padded = format!("{digits:0>width$}");
        for (place, group) in padded.as_bytes().chunks(3).enumerate() {
            let group = std::str::from_utf8(group).unwrap_or_default();
            if place.saturating_add(1) == groups {
                f.write_str(group)?;
            } else {
                write!(f, "x{group}/")?;
            }
        }
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// A text is no path of a tile or bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the path of a tile: `tile/<level>/<index>` or `tile/entries/<index>`, with `.p/<width>` if partial"
)]
pub struct TilePathError;

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let rest = text.strip_prefix("tile/").ok_or(TilePathError)?;
        let (level, rest) = rest.split_once('/').ok_or(TilePathError)?;
        let level = match level {
            "entries" => None,
            digits => Some(digits.parse().map_err(|_not_a_number| TilePathError)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_not_a_number| TilePathError)?),
            None => (rest, 256),
        };
        let digits: String = index.chars().filter(|char| char.is_ascii_digit()).collect();
        let index = digits.parse().map_err(|_not_a_number| TilePathError)?;
        let path = Self {
            level,
            index,
            width,
        };
        let known = level.is_none_or(|level| level < 64) && (1..=256).contains(&width);
        // Only the one spelling that is written is read.
        (known && path.to_string() == text)
            .then_some(path)
            .ok_or(TilePathError)
    }
}

/// The bytes of a tile: its hashes one after another.
#[must_use]
pub fn tile_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes of a tile of `width`; none if the bytes are not exactly that many.
#[must_use]
pub fn parse_tile(bytes: &[u8], width: u16) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    let fits = rest.is_empty() && hashes.len() == usize::from(width);
    fits.then(|| {
        hashes
            .iter()
            .map(|hash| Digest::from_bytes(*hash))
            .collect()
    })
}

/// An entry that is longer than a bundle can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry has at most 65535 bytes, and this one has {0}")]
pub struct EntryTooLong(pub usize);

/// Adds one entry to the bytes of a bundle: its length as a big-endian uint16, then its bytes.
///
/// # Errors
///
/// [`EntryTooLong`]; the bundle is then as it was.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(entry.len()).map_err(|_beyond| EntryTooLong(entry.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle in order. After a length that reaches beyond the end there is nothing more.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// The entries of the bundle `bytes`.
    #[must_use]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read; empty after the last entry of a whole bundle.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (path, text) in [
            (TilePath::tile(0, 0, 256), "tile/0/000"),
            (TilePath::tile(0, 273, 112), "tile/0/273.p/112"),
            (TilePath::tile(1, 1_234_067, 256), "tile/1/x001/x234/067"),
            (TilePath::tile(63, 999, 1), "tile/63/999.p/1"),
            (TilePath::entries(1000, 256), "tile/entries/x001/000"),
            (TilePath::entries(7, 255), "tile/entries/007.p/255"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
        for bad in [
            "",
            "tile/0/0",
            "tile/0/x000/001",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/../../000",
            "tile/data/000",
            "/tile/0/000",
        ] {
            assert!(bad.parse::<TilePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bundle_with_a_bad_length_ends_there() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"one").unwrap();
        push_entry(&mut bundle, b"").unwrap();
        push_entry(&mut bundle, b"three").unwrap();
        bundle[8] = 9;
        let mut entries = Entries::of(&bundle);
        assert_eq!(entries.by_ref().collect::<Vec<_>>(), [&b"one"[..], b""]);
        assert!(!entries.rest().is_empty());
        assert_eq!(
            push_entry(&mut bundle, &vec![0; 65_536]),
            Err(EntryTooLong(65_536))
        );
    }

    proptest! {
        #[test]
        fn bundles_and_tiles_read_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
            let mut bundle = Vec::new();
            for entry in &entries {
                push_entry(&mut bundle, entry).unwrap();
            }
            let mut read = Entries::of(&bundle);
            prop_assert_eq!(read.by_ref().map(<[u8]>::to_vec).collect::<Vec<_>>(), entries.clone());
            prop_assert!(read.rest().is_empty());
            let hashes: Vec<_> = entries.iter().map(|entry| Digest::of(entry)).collect();
            let width = u16::try_from(hashes.len()).unwrap();
            prop_assert_eq!(parse_tile(&tile_bytes(&hashes), width), Some(hashes.clone()));
            prop_assert_eq!(parse_tile(&tile_bytes(&hashes), width.saturating_add(1)), None);
        }

        #[test]
        fn no_path_makes_the_reader_fail(text in ".{0,40}") {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
