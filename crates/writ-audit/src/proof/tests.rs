#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::hash::leaf_hash;
use crate::tree::Tree;

/// Every hash of every level of a tree, for making proofs.
#[derive(Default)]
struct Stored(BTreeMap<(u8, u64), Digest>);

impl Nodes for Stored {
    fn node(&self, level: u8, index: u64) -> Option<Digest> {
        self.0.get(&(level, index)).copied()
    }
}

fn stored(count: u64) -> (Vec<Digest>, Stored, Vec<Digest>) {
    let mut tree = Tree::new();
    let mut nodes = Stored::default();
    let mut roots = vec![tree.root()];
    let leaves: Vec<_> = (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect();
    let mut keep = |tile: crate::tree::Tile| {
        for (at, hash) in (tile.path.index * 256..).zip(tile.hashes) {
            nodes.0.insert((tile.path.level.unwrap(), at), hash);
        }
    };
    for leaf in &leaves {
        tree.push(*leaf, &mut keep);
        roots.push(tree.root());
    }
    tree.partial().for_each(keep);
    (leaves, nodes, roots)
}

#[test]
fn every_inclusion_proof_of_small_trees_holds_and_for_one_place_only() {
    let (leaves, nodes, roots) = stored(40);
    for size in 1..=40u64 {
        let root = &roots[usize::try_from(size).unwrap()];
        for index in 0..size {
            let leaf = &leaves[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(index, size, &nodes).unwrap();
            assert_eq!(verify_inclusion(index, size, leaf, &proof, root), Ok(()));
            for other in 0..size + 2 {
                let holds = verify_inclusion(other, size, leaf, &proof, root).is_ok();
                assert_eq!(holds, other == index, "{index} as {other} of {size}");
            }
            let mut longer = proof.clone();
            longer.push(*root);
            assert!(verify_inclusion(index, size, leaf, &longer, root).is_err());
            if let Some((_, shorter)) = proof.split_last() {
                assert!(verify_inclusion(index, size, leaf, shorter, root).is_err());
            }
        }
    }
    assert_eq!(inclusion_proof(40, 40, &nodes), None);
}

#[test]
fn every_consistency_proof_of_small_trees_holds() {
    let (_, nodes, roots) = stored(40);
    let root = |size: u64| &roots[usize::try_from(size).unwrap()];
    for newer in 1..=40 {
        for older in 1..=newer {
            let proof = consistency_proof(older, newer, &nodes).unwrap();
            assert_eq!(
                verify_consistency(older, newer, root(older), root(newer), &proof),
                Ok(())
            );
            assert!(
                verify_consistency(older, newer, root(older - 1), root(newer), &proof).is_err()
            );
            assert!(
                verify_consistency(older, newer, root(older), root(newer - 1), &proof).is_err()
            );
        }
        assert_eq!(consistency_proof(newer + 1, newer, &nodes), None);
        assert_eq!(consistency_proof(0, newer, &nodes), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn proofs_over_several_tiles_hold(size in 1u64..1200, at in any::<prop::sample::Index>(), older in any::<prop::sample::Index>()) {
        let (leaves, nodes, roots) = stored(size);
        let index = at.index(leaves.len());
        let root = roots.last().unwrap();
        let at = u64::try_from(index).unwrap();
        let proof = inclusion_proof(at, size, &nodes).unwrap();
        prop_assert_eq!(verify_inclusion(at, size, &leaves[index], &proof, root), Ok(()));
        let older = older.index(leaves.len()) + 1;
        let proof = consistency_proof(u64::try_from(older).unwrap(), size, &nodes).unwrap();
        prop_assert_eq!(verify_consistency(u64::try_from(older).unwrap(), size, &roots[older], root, &proof), Ok(()));
    }
}

/// The vectors of transparency-dev/merkle; none where they are not at hand.
fn vectors() -> Option<Vec<(String, Value)>> {
    let shared = std::env::var_os("WRIT_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let archive = shared.join("vectors/merkle/testdata.tar.zst");
    if !archive.exists() {
        assert!(
            std::env::var_os("WRIT_REQUIRE_SHARED").is_none(),
            "{} is required and missing",
            archive.display()
        );
        #[expect(clippy::print_stderr, reason = "a skipped suite must be seen")]
        {
            eprintln!("SKIPPED: the Merkle vectors need WRIT_SHARED");
        }
        return None;
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(archive).unwrap();
    zstd::Decoder::new(file)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    Some(untar(&bytes))
}

/// The regular JSON files of a tar archive (POSIX ustar).
fn untar(mut bytes: &[u8]) -> Vec<(String, Value)> {
    let text = |field: &[u8]| {
        let end = field
            .iter()
            .position(|byte| matches!(byte, 0))
            .unwrap_or(field.len());
        String::from_utf8(field[..end].to_vec()).unwrap()
    };
    let mut files = Vec::new();
    while bytes.len() > 512 && bytes[0] != 0 {
        let (head, rest) = bytes.split_at(512);
        let size = usize::from_str_radix(&text(&head[124..136]), 8).unwrap();
        let name = format!("{}/{}", text(&head[345..500]), text(&head[..100]));
        let name = name.trim_start_matches('/').to_owned();
        if head[156] == b'0' && name.ends_with(".json") {
            files.push((name, serde_json::from_slice(&rest[..size]).unwrap()));
        }
        bytes = &rest[size.div_ceil(512) * 512..];
    }
    files
}

/// A member's hash, or none if it is empty. Some vectors have text in place of a root that only has to equal
/// another; a [`Digest`] has always 32 bytes, so the digest of that text stands for it.
fn hash(value: &Value) -> Option<Digest> {
    let bytes = STANDARD.decode(value.as_str()?).unwrap();
    if bytes.is_empty() {
        return None;
    }
    Some(
        <[u8; 32]>::try_from(bytes.as_slice())
            .map_or_else(|_text| Digest::of(&bytes), Digest::from_bytes),
    )
}

fn check(kind: &str, vector: &Value) -> Option<bool> {
    let number = |name: &str| vector[name].as_u64().unwrap();
    let proof: Option<Vec<_>> = vector["proof"]
        .as_array()
        .map_or(Some(Vec::new()), |proof| proof.iter().map(hash).collect());
    let result = match kind {
        "inclusion" => verify_inclusion(
            number("leafIdx"),
            number("treeSize"),
            &hash(&vector["leafHash"])?,
            &proof?,
            &hash(&vector["root"])?,
        ),
        "consistency" => verify_consistency(
            number("size1"),
            number("size2"),
            &hash(&vector["root1"])?,
            &hash(&vector["root2"])?,
            &proof?,
        ),
        "subtreeinclusion" => verify_subtree_inclusion(
            number("leafIdx"),
            (number("start"), number("end")),
            &hash(&vector["leafHash"])?,
            &proof?,
            &hash(&vector["root"])?,
        ),
        "subtreeconsistency" => verify_subtree_consistency(
            (number("start"), number("end")),
            number("size"),
            &hash(&vector["root1"])?,
            &hash(&vector["root2"])?,
            &proof?,
        ),
        other => panic!("unknown kind {other}"),
    };
    Some(result.is_ok())
}

/// An entry's inclusion in a subtree is its inclusion in a tree of that size, if the subtree is one.
fn verify_subtree_inclusion(
    index: u64,
    (begin, end): (u64, u64),
    leaf: &Digest,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if !is_subtree(begin, end) || index < begin {
        return Err(ProofError::Range);
    }
    verify_inclusion(index - begin, end - begin, leaf, proof, root)
}

#[test]
fn the_vectors_of_transparency_dev_merkle_hold() {
    let Some(vectors) = vectors() else { return };
    assert_eq!(vectors.len(), 518);
    let mut wrong = Vec::new();
    for (name, vector) in &vectors {
        let kind = name.split('/').nth(1).unwrap();
        let holds = check(kind, vector).unwrap_or(false);
        if holds == vector["wantErr"].as_bool().unwrap() {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

#[test]
fn the_sample_vectors_hold() {
    // Five of the 518, so that a checkout without the shared vectors tests something.
    let samples: Value = serde_json::from_str(include_str!("../../testdata/merkle.json")).unwrap();
    for sample in samples.as_array().unwrap() {
        let holds = check(sample["kind"].as_str().unwrap(), sample).unwrap_or(false);
        assert_ne!(
            holds,
            sample["wantErr"].as_bool().unwrap(),
            "{}",
            sample["desc"]
        );
    }
}
