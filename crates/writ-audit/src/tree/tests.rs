#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;

/// `MTH` exactly as RFC 9162 §2.1.1 writes it.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&mth(&leaves[..split]), &mth(&leaves[split..]))
        }
    }
}

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect()
}

#[test]
fn the_roots_are_those_of_the_definition() {
    let leaves = leaves(600);
    let mut tree = Tree::new();
    for size in 0..=600 {
        assert_eq!(tree.size(), u64::try_from(size).unwrap());
        if size < 70 || size % 32 < 2 {
            assert_eq!(tree.root(), mth(&leaves[..size]), "size {size}");
        }
        if let Some(leaf) = leaves.get(size) {
            tree.push(*leaf, |_full| ());
        }
    }
}

#[test]
fn the_well_known_roots_come_out() {
    // The eight entries of the Certificate Transparency test data (RFC 6962 implementations, transparency-dev/merkle).
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut tree = Tree::new();
    assert_eq!(
        tree.root().to_string(),
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for entry in entries {
        tree.push(leaf_hash(entry), |_full| ());
    }
    assert_eq!(
        tree.root().to_string(),
        "sha256:5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
}

#[test]
fn a_tree_of_70000_has_the_tiles_of_the_specification() {
    let mut tree = Tree::new();
    let mut full = BTreeMap::new();
    for at in 0..70_000u32 {
        tree.push(leaf_hash(&at.to_be_bytes()), |tile| {
            assert_eq!(tile.hashes.len(), 256);
            *full.entry(tile.path.level.unwrap()).or_insert(0) += 1;
        });
    }
    assert_eq!(full, BTreeMap::from([(0, 273), (1, 1)]));
    let partial: Vec<_> = tree.partial().map(|tile| tile.path.to_string()).collect();
    assert_eq!(
        partial,
        ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    );
}

#[test]
fn a_tree_of_256_has_a_full_tile_and_one_above() {
    let mut tree = Tree::new();
    let mut full = Vec::new();
    for leaf in leaves(256) {
        tree.push(leaf, |tile| full.push(tile));
    }
    assert_eq!(full.len(), 1);
    assert_eq!(full[0].hashes, leaves(256));
    let partial: Vec<_> = tree.partial().collect();
    assert_eq!(partial.len(), 1);
    assert_eq!(partial[0].path, TilePath::tile(1, 0, 1));
    assert_eq!(partial[0].hashes, [mth(&leaves(256))]);
}

#[test]
fn the_paths_of_a_huge_tree_end() {
    assert_eq!(partial_tiles(0).count(), 0);
    assert_eq!(partial_tiles(u64::MAX).flatten().count(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_tree_is_loaded_from_its_partial_tiles(size in 0usize..1500, more in 0usize..300) {
        let leaves = leaves(size + more);
        let mut tree = Tree::new();
        leaves[..size].iter().for_each(|leaf| tree.push(*leaf, |_full| ()));
        let stored: BTreeMap<_, _> = tree.partial().map(|tile| (tile.path, tile.hashes)).collect();
        let mut loaded = Tree::load(tree.size(), |path| stored.get(&path).cloned()).unwrap();
        prop_assert_eq!(&loaded.root(), &tree.root());
        leaves[size..].iter().for_each(|leaf| loaded.push(*leaf, |_full| ()));
        prop_assert_eq!(loaded.root(), mth(&leaves));
        if let Some(path) = stored.keys().next() {
            prop_assert!(Tree::load(tree.size(), |other| stored.get(&other).filter(|_| other != *path).cloned()).is_none());
        }
    }
}
