//! The hashes of the Merkle tree (RFC 9162 §2.1.1): a leaf is prefixed with 0x00, a node with 0x01.

use writ_types::Digest;

/// The hash of an entry: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::of_parts(&[&[0], entry])
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    // One buffer is one call into the hash, which is what a full verification consists of.
    let mut bytes = [1; 65];
    if let Some(place) = bytes.get_mut(1..33) {
        place.copy_from_slice(left.as_bytes());
    }
    if let Some(place) = bytes.get_mut(33..65) {
        place.copy_from_slice(right.as_bytes());
    }
    Digest::of(&bytes)
}

/// The hash of a tree without entries: `SHA-256()`.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(&[])
}
