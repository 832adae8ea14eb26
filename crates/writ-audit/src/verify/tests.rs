#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use writ_types::Secret;

use super::*;
use crate::journal::push_frame;
use crate::note::{NoteError, Signer};
use crate::tile::{push_entry, tile_bytes};

/// A log's files in memory.
#[derive(Default, Clone)]
struct Files(BTreeMap<String, Vec<u8>>);

impl LogFiles for Files {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let first = |path: &String| {
            path.strip_prefix("journal/")?
                .strip_suffix(".seg")?
                .parse()
                .ok()
        };
        Ok(self.0.keys().filter_map(first).collect())
    }
}

fn signer() -> Signer {
    Signer::new(
        "writ.example/default/one".parse().unwrap(),
        &Secret::new([7; 32]),
    )
    .unwrap()
}

fn entry(index: u64) -> Vec<u8> {
    format!(
        "{{\"entry\":{index},\"padding\":\"{}\"}}",
        "x".repeat(usize::try_from(index % 7).unwrap())
    )
    .into_bytes()
}

/// A log of `size` entries under a checkpoint, whose journal begins at `journal` and has `tail` more.
fn log(size: u64, journal: u64, tail: u64) -> Files {
    let mut files = Files::default();
    let mut tree = Tree::new();
    let mut keep = |tile: Tile| {
        files
            .0
            .insert(tile.path.to_string(), tile_bytes(&tile.hashes));
    };
    for index in 0..size {
        tree.push(leaf_hash(&entry(index)), &mut keep);
    }
    tree.partial().for_each(keep);
    for first in (0..size).step_by(256) {
        let mut bundle = Vec::new();
        let width = u16::try_from((size - first).min(256)).unwrap();
        for index in first..first + u64::from(width) {
            push_entry(&mut bundle, &entry(index)).unwrap();
        }
        files
            .0
            .insert(TilePath::entries(first / 256, width).to_string(), bundle);
    }
    let note = Checkpoint::sign(size, &tree.root(), &signer());
    files.0.insert("checkpoint".to_owned(), note.into_bytes());
    let mut segment = Vec::new();
    for index in journal..size + tail {
        push_frame(
            &mut segment,
            index,
            index,
            &leaf_hash(&entry(index)),
            &entry(index),
        );
    }
    files.0.insert(segment_path(journal), segment);
    files
}

fn check(files: &Files) -> VerifyReport {
    verify(files, signer().verifier()).unwrap()
}

#[test]
fn a_log_that_nobody_touched_is_sound() {
    for size in [0, 1, 2, 255, 256, 257, 600] {
        let report = check(&log(size, size.saturating_sub(3), 5));
        assert!(report.is_sound(), "{size}: {report}");
        assert_eq!(
            (report.verified, report.uncovered, report.torn),
            (size, 5, false)
        );
    }
    let report = check(&log(300, 0, 2));
    assert_eq!(
        report.to_string(),
        "300 entries match the signed tree of writ.example/default/one; 2 more are not yet under a checkpoint"
    );
}

#[test]
fn a_flipped_byte_is_pinned_on_exactly_its_record() {
    let good = log(600, 600, 0);
    for index in [0u64, 17, 255, 256, 511, 512, 599] {
        let mut files = good.clone();
        let path = TilePath::entries(index / 256, if index < 512 { 256 } else { 88 }).to_string();
        let bundle = files.0.get_mut(&path).unwrap();
        let begin = (index / 256 * 256..index)
            .map(|before| entry(before).len() + 2)
            .sum::<usize>()
            + 2;
        bundle[begin + 3] ^= 0x20;
        let report = check(&files);
        assert_eq!(report.faults, [Fault::Entry { index }]);
        assert_eq!(
            report.to_string(),
            format!("entry {index}: its bytes do not match the tree")
        );
        assert_eq!(report.verified, 599);
    }
}

#[test]
fn no_changed_byte_of_the_tree_goes_unnoticed() {
    let good = log(300, 300, 0);
    for (path, bytes) in &good.0 {
        for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            let mut files = good.clone();
            files.0.get_mut(path).unwrap()[at] ^= 0x01;
            let report = check(&files);
            assert!(!report.is_sound(), "{path} byte {at}");
            if path.starts_with("tile/entries/") {
                // Whatever byte it is, the first fault names the record that it belongs to.
                let mut end = 0;
                let first = if path.ends_with("/000") { 0 } else { 256 };
                let index = (first..).find(|index| {
                    end += entry(*index).len() + 2;
                    end > at
                });
                assert_eq!(
                    report.faults.first().and_then(Fault::entry),
                    index,
                    "{path} byte {at}"
                );
            }
        }
        let mut files = good.clone();
        files.0.remove(path);
        let sound = check(&files).is_sound();
        assert_eq!(sound, path.starts_with("journal/"), "without {path}");
    }
}

#[test]
fn a_changed_tile_is_not_blamed_on_the_entries() {
    let mut files = log(600, 0, 0);
    files.0.get_mut("tile/0/001").unwrap()[32 * 5] ^= 1;
    let report = check(&files);
    let path = TilePath::tile(0, 1, 256);
    let (first, last) = (256, 511);
    assert_eq!(report.faults, [Fault::Tile { path, first, last }]);
    assert_eq!(report.verified, 600);
    let mut files = log(600, 600, 0);
    files.0.get_mut("tile/1/000.p/2").unwrap()[32] ^= 1;
    let path = TilePath::tile(1, 0, 2);
    assert_eq!(check(&files).faults, [Fault::Tile { path, first, last }]);
}

#[test]
fn an_entry_rewritten_together_with_its_tile_is_found_by_the_tile_above_and_the_root() {
    let mut files = log(600, 600, 0);
    let forged = b"{\"forged\":true}";
    let mut bundle = Vec::new();
    for index in 0..256 {
        let entry = entry(index);
        push_entry(&mut bundle, if index == 17 { forged } else { &entry }).unwrap();
    }
    files.0.insert("tile/entries/000".to_owned(), bundle);
    files.0.get_mut("tile/0/000").unwrap()[17 * 32..18 * 32]
        .copy_from_slice(leaf_hash(forged).as_bytes());
    let path = TilePath::tile(1, 0, 2);
    let (first, last) = (0, 255);
    assert_eq!(
        check(&files).faults,
        [Fault::Tile { path, first, last }, Fault::Root]
    );
}

#[test]
fn a_whole_rewritten_log_needs_the_key() {
    // Another log of the same length, with the checkpoint of the first.
    let mut files = log(10, 10, 0);
    let other = log(11, 11, 0);
    files
        .0
        .insert("checkpoint".to_owned(), other.0["checkpoint"].clone());
    assert!(!check(&files).is_sound());
    let key = Signer::new(signer().verifier().name().clone(), &Secret::new([8; 32])).unwrap();
    let report = verify(&log(10, 10, 0), key.verifier()).unwrap();
    assert_eq!(
        report.faults,
        [Fault::Checkpoint(CheckpointError::Note(
            NoteError::Unsigned
        ))]
    );
    assert_eq!((report.verified, report.is_sound()), (0, false));
}

#[test]
fn a_log_without_a_checkpoint_promises_nothing() {
    let mut files = log(0, 0, 4);
    files.0.remove("checkpoint");
    let report = check(&files);
    assert_eq!(
        (report.faults.as_slice(), report.uncovered),
        (&[Fault::NoCheckpoint][..], 4)
    );
}

#[test]
fn the_journal_is_compared_too() {
    let files = log(300, 280, 10);
    let (mut altered, mut torn) = (files.clone(), files);
    let segment = altered.0.get_mut(&segment_path(280)).unwrap();
    let at = segment
        .windows(11)
        .position(|window| window == b"\"entry\":285")
        .unwrap();
    segment[at + 10] ^= 1;
    assert_eq!(check(&altered).faults, [Fault::Journal { index: 285 }]);
    let segment = torn.0.get_mut(&segment_path(280)).unwrap();
    segment.truncate(segment.len() - 4);
    let report = check(&torn);
    assert!(report.is_sound() && report.torn);
    assert_eq!(report.uncovered, 9);
    // A whole, well-formed entry that is not the one in the tree.
    let mut forged = log(300, 280, 0);
    let mut segment = Vec::new();
    for index in 280..300 {
        let entry = if index == 290 {
            b"{}".to_vec()
        } else {
            entry(index)
        };
        push_frame(&mut segment, index, index, &leaf_hash(&entry), &entry);
    }
    forged.0.insert(segment_path(280), segment);
    assert_eq!(check(&forged).faults, [Fault::Journal { index: 290 }]);
}

#[test]
fn a_missing_segment_is_a_gap() {
    let mut files = log(300, 280, 0);
    let mut later = Vec::new();
    push_frame(&mut later, 310, 310, &leaf_hash(&entry(310)), &entry(310));
    files.0.insert(segment_path(310), later);
    let report = check(&files);
    assert!(
        report
            .faults
            .iter()
            .any(|fault| matches!(fault, Fault::Journal { index: 300 })),
        "{report:?}"
    );
}

#[test]
fn a_partial_bundle_may_have_been_replaced_by_a_longer_one() {
    // The reader took the checkpoint of 300 and then found the tiles of 600.
    let mut files = log(600, 600, 0);
    let older = log(300, 300, 0);
    files
        .0
        .insert("checkpoint".to_owned(), older.0["checkpoint"].clone());
    files.0.insert(
        "tile/1/000.p/1".to_owned(),
        older.0["tile/1/000.p/1"].clone(),
    );
    files.0.remove(&segment_path(600));
    let report = check(&files);
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.verified, 300);
}

#[test]
fn faults_are_bounded() {
    let mut files = log(600, 600, 0);
    for path in ["tile/entries/000", "tile/entries/001"] {
        files
            .0
            .get_mut(path)
            .unwrap()
            .iter_mut()
            .for_each(|byte| *byte ^= 0x55);
    }
    assert!(check(&files).faults.len() <= MOST_FAULTS);
}

/// Every bit of a small log, and every bit around the edges of the files of one with full tiles.
#[test]
fn every_flipped_bit_is_found() {
    for size in [1, 3, 257] {
        let whole = log(size, size.saturating_sub(2), 0);
        for (path, bytes) in &whole.0 {
            let edges = |at: &usize| bytes.len() < 400 || *at < 40 || *at + 40 > bytes.len();
            for at in (0..bytes.len()).filter(edges) {
                for bit in 0..8 {
                    let mut files = whole.clone();
                    files.0.get_mut(path).unwrap()[at] ^= 1 << bit;
                    let found = !check(&files).is_sound();
                    assert!(found, "{path} of {size}: byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn a_bundle_whose_first_length_is_wrong_is_as_many_faults_as_entries() {
    let mut files = log(300, 300, 0);
    files.0.get_mut("tile/entries/001.p/44").unwrap()[0] = 0xff;
    let faults = check(&files).faults;
    let entries: Vec<_> = faults.iter().filter_map(Fault::entry).collect();
    assert_eq!(entries, (256..300).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_makes_it_fail_or_pass(size in 1u64..400, which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut files = log(size, size, 0);
        let paths: Vec<_> = files.0.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(path, _)| path.clone()).collect();
        let bytes = files.0.get_mut(&paths[which.index(paths.len())]).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(!check(&files).is_sound());
    }
}
