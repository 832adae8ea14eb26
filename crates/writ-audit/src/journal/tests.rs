#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use proptest::prelude::*;

use super::*;

/// A segment of `entries` from index `first` on; `synced` says of each frame how many entries were on disk.
fn segment(first: u64, entries: &[Vec<u8>], synced: impl Fn(u64) -> u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for (index, entry) in (first..).zip(entries) {
        push_frame(&mut bytes, index, synced(index), &leaf_hash(entry), entry);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn entries(count: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|at| vec![b'a' + at; 10 + usize::from(at)])
        .collect()
}

#[test]
fn every_prefix_reads_as_a_prefix_of_the_entries() {
    let (whole, ends) = segment(5, &entries(6), |_| 5);
    for length in 0..=whole.len() {
        for zeros in [0, 300] {
            let mut bytes = whole[..length].to_vec();
            bytes.resize(length + zeros, 0);
            let read = read_segment(&bytes, 5, 5);
            let expected = ends.iter().filter(|end| **end <= length).count();
            // A cut inside trailing zero bytes of a frame is no cut once the zeros are back.
            assert!(
                read.frames.len() >= expected && read.frames.len() <= expected + 1,
                "{length}"
            );
            let same = read
                .frames
                .iter()
                .zip(entries(6))
                .all(|(frame, entry)| frame.entry == entry);
            assert!(same);
            assert!(
                !matches!(read.tail, Tail::Corrupt { .. }),
                "a cut is no corruption: {length}"
            );
            assert_eq!(
                read.tail == Tail::Clean,
                bytes[read.end..].iter().all(|byte| *byte == 0)
            );
        }
    }
}

#[test]
fn a_changed_byte_in_what_was_on_disk_is_corruption_and_not_a_torn_write() {
    // Every frame says that all before it were on disk.
    let (whole, ends) = segment(0, &entries(5), |index| index);
    for at in 0..ends[3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes.resize(bytes.len() + 100, 0);
        let read = read_segment(&bytes, 0, 0);
        let hit = ends.iter().filter(|end| **end <= at).count();
        assert_eq!(read.frames.len(), hit, "byte {at}");
        assert_eq!(
            read.tail,
            Tail::Corrupt {
                index: u64::try_from(hit).unwrap()
            },
            "byte {at}"
        );
    }
}

#[test]
fn a_hole_in_what_was_never_synced_is_a_torn_write() {
    let (whole, ends) = segment(0, &entries(5), |_| 1);
    let mut bytes = whole;
    bytes[ends[1]..ends[2]].fill(0);
    let read = read_segment(&bytes, 0, 1);
    assert_eq!((read.frames.len(), read.tail), (2, Tail::Torn));
    // The same hole below a checkpoint was on disk.
    assert_eq!(read_segment(&bytes, 0, 3).tail, Tail::Corrupt { index: 2 });
}

#[test]
fn entries_that_a_checkpoint_covers_cannot_just_be_missing() {
    let (whole, _) = segment(0, &entries(3), |_| 0);
    assert_eq!(read_segment(&whole, 0, 3).tail, Tail::Clean);
    assert_eq!(read_segment(&whole, 0, 4).tail, Tail::Corrupt { index: 3 });
    assert_eq!(read_segment(&[], 0, 1).tail, Tail::Corrupt { index: 0 });
}

#[test]
fn a_frame_of_another_place_is_not_read() {
    let (whole, _) = segment(7, &entries(2), |_| 7);
    assert_eq!(read_segment(&whole, 6, 0).frames.len(), 0);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..300), first in any::<u64>()) {
        prop_assert!(read_segment(&bytes, first, 0).frames.is_empty());
    }

    #[test]
    fn segments_read_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20), first in 0u64..1000) {
        let (bytes, _) = segment(first, &entries, |index| index);
        let read = read_segment(&bytes, first, first);
        prop_assert_eq!(read.frames.iter().map(|frame| frame.entry.to_vec()).collect::<Vec<_>>(), entries);
        prop_assert_eq!(read.end, bytes.len());
    }
}
