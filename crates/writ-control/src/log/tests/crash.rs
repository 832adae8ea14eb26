//! What a crash can leave behind, and what is found in it.

use super::*;

/// A log of `count` intents of which the first `covered` are under a checkpoint, copied while the process still runs: as
/// `kill -9` leaves it.
fn killed(count: u64, covered: u64) -> TempDir {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..covered).map(intent));
    flush(&writer);
    append(&writer, (covered..count).map(intent));
    copy(data.path())
}

fn last_segment(data: &Path) -> PathBuf {
    let directory = LogDirectory::new(&data.join("log"));
    let first = directory.segments_for_test().pop().unwrap();
    directory.segment(first)
}

/// Where the whole entries of a segment end.
fn frames_end(path: &Path) -> usize {
    let first = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    writ_audit::read_segment(&fs::read(path).unwrap(), first, 0).end
}

#[test]
fn every_record_with_a_receipt_outlives_the_process() {
    for (count, covered) in [(1, 0), (5, 0), (5, 5), (40, 3), (300, 260)] {
        let data = killed(count, covered);
        let (_writer, recovered) = open(data.path()).unwrap();
        assert_eq!(recovered.entries, count);
        assert_eq!(recovered.orphans.len(), usize::try_from(count).unwrap());
        let found: Vec<_> = entries(data.path())
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        assert_eq!(
            found,
            (0..count)
                .map(|number| bytes(&intent(number)))
                .collect::<Vec<_>>()
        );
        assert!(verify(data.path()).is_sound());
    }
}

#[test]
fn a_full_tile_stands_in_for_the_partial_one_of_the_last_checkpoint() {
    // The publisher writes a tile that has become full, removes the partial one, and signs the next checkpoint: in this
    // order, and the process may end after each.
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..200).map(intent));
    flush(&writer);
    append(&writer, (200..300).map(intent));
    let crashed = copy(data.path());
    flush(&writer);
    for name in ["tile/0/000", "tile/entries/000"] {
        let (from, to) = (data.path().join("log"), crashed.path().join("log"));
        fs::copy(from.join(name), to.join(name)).unwrap();
        fs::remove_dir_all(to.join(format!("{name}.p"))).unwrap();
    }
    let between = copy(crashed.path());
    let (writer, recovered) = open(crashed.path()).unwrap();
    assert_eq!((recovered.entries, recovered.orphans.len()), (300, 300));
    append(&writer, [closed(300)]);
    drop(writer);
    assert!(verify(crashed.path()).is_sound());
    assert_eq!(entries(crashed.path()).len(), 301);

    // It stands in for nothing if it says something else.
    let path = between.path().join("log/tile/entries/000");
    let mut altered = fs::read(&path).unwrap();
    altered[40] ^= 1;
    fs::write(&path, altered).unwrap();
    assert!(matches!(
        open(between.path()),
        Err(LogError::Tree { size: 200 })
    ));
}

#[test]
fn the_latest_time_is_found_behind_records_of_a_clock_that_went_back() {
    let data = scratch();
    let (writer, recovered) = open(data.path()).unwrap();
    let begin = started(0, &recovered);
    append(&writer, [begin, closed(900), closed(3), closed(4)]);
    drop(writer);
    let (_writer, recovered) = open(data.path()).unwrap();
    assert_eq!(recovered.last_time, Some(at(900)));
}

#[test]
fn every_prefix_of_the_journal_recovers_a_prefix_of_the_entries() {
    let data = killed(6, 2);
    let segment = last_segment(data.path());
    let whole = fs::read(&segment).unwrap();
    let end = frames_end(&segment);
    let covered_end = writ_audit::read_segment(&whole, 0, 0).frames[..2]
        .iter()
        .map(|frame| 64 + frame.entry.len())
        .sum::<usize>();
    let mut seen = BTreeSet::new();
    for length in (covered_end..=end).step_by(7).chain([end]) {
        let copied = copy(data.path());
        let path = copied
            .path()
            .join("log/journal")
            .join(segment.file_name().unwrap());
        let mut bytes_left = whole[..length].to_vec();
        if length % 2 == 0 {
            bytes_left.resize(whole.len(), 0);
        }
        fs::write(&path, bytes_left).unwrap();
        let (writer, recovered) = open(copied.path()).unwrap();
        assert!((2..=6).contains(&recovered.entries), "{length}");
        seen.insert(recovered.entries);
        // The next record takes the place of what was cut, and nothing of the old remains behind it.
        append(&writer, [closed(99)]);
        drop(writer);
        let expected: Vec<_> = (0..recovered.entries)
            .map(|number| bytes(&intent(number)))
            .chain([bytes(&closed(99))])
            .collect();
        let found: Vec<_> = entries(copied.path())
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        assert_eq!(found, expected, "{length}");
        assert!(verify(copied.path()).is_sound(), "{length}");
    }
    assert_eq!(seen, BTreeSet::from([2, 3, 4, 5, 6]));
}

#[test]
fn stale_frames_behind_a_cut_do_not_come_back() {
    // Entry 3 is torn, entry 4 is whole behind it (pages reach a disk in any order), and the new entry 3 is exactly as long as
    // the old one: without wiping, the old entry 4 would stand in its place again.
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (10..15).map(intent));
    let copied = copy(data.path());
    drop(writer);
    let path = last_segment(copied.path());
    let mut bytes_left = fs::read(&path).unwrap();
    let frames = writ_audit::read_segment(&bytes_left, 0, 0)
        .frames
        .iter()
        .map(|frame| 64 + frame.entry.len())
        .collect::<Vec<_>>();
    let begin: usize = frames[..3].iter().sum();
    bytes_left[begin + 100] ^= 1;
    fs::write(&path, bytes_left).unwrap();
    let (writer, recovered) = open(copied.path()).unwrap();
    assert_eq!(recovered.entries, 3);
    append(&writer, [intent(20)]);
    assert_eq!(bytes(&intent(20)).len() + 64, frames[3]);
    let crashed = copy(copied.path());
    let (_writer, recovered) = open(crashed.path()).unwrap();
    assert_eq!(recovered.entries, 4);
}

#[test]
fn a_changed_entry_that_was_on_disk_stops_the_start() {
    // Below the checkpoint.
    let data = killed(6, 4);
    let path = last_segment(data.path());
    let good = fs::read(&path).unwrap();
    let mut altered = good;
    altered[100] ^= 1;
    fs::write(&path, altered).unwrap();
    let Err(LogError::Corrupt { index: 0, .. }) = open(data.path()) else {
        panic!("opened")
    };
    // In a segment before the last.
    let data = killed(60, 0);
    let directory = LogDirectory::new(&data.path().join("log"));
    let second = directory.segments_for_test()[1];
    let path = directory.segment(second);
    let mut altered = fs::read(&path).unwrap();
    altered[100] ^= 1;
    fs::write(&path, altered).unwrap();
    let Err(LogError::Corrupt { index, .. }) = open(data.path()) else {
        panic!("opened")
    };
    assert_eq!(index, second);
    // A segment that is missing.
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(data.path()), Err(LogError::Gap { .. })));
}

#[test]
fn an_entry_that_was_synced_is_told_from_a_torn_one_without_a_checkpoint() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    run(async {
        for number in 0..4 {
            let durability = if number == 1 {
                Durability::Durable
            } else {
                Durability::Handed
            };
            assert!(
                writer
                    .append(intent(number), None, durability)
                    .await
                    .is_ok()
            );
        }
    });
    let copied = copy(data.path());
    let path = last_segment(copied.path());
    let good = fs::read(&path).unwrap();
    let lengths: Vec<_> = writ_audit::read_segment(&good, 0, 0)
        .frames
        .iter()
        .map(|frame| 64 + frame.entry.len())
        .collect();
    for (entry, corrupt) in [(0, true), (1, true), (2, false), (3, false)] {
        let mut altered = good.clone();
        altered[lengths[..entry].iter().sum::<usize>() + 80] ^= 1;
        fs::write(&path, altered).unwrap();
        let opened = open(copy(copied.path()).path());
        assert_eq!(
            matches!(opened, Err(LogError::Corrupt { .. })),
            corrupt,
            "entry {entry}"
        );
    }
}

#[test]
fn a_crash_between_tiles_and_checkpoint_is_made_good() {
    let data = killed(300, 0);
    let done = scratch();
    copy_into(data.path(), done.path());
    drop(open(done.path()).unwrap());
    // The tiles of the finished publication, with the checkpoint and journal of before.
    copy_into(&done.path().join("log/tile"), &data.path().join("log/tile"));
    let (_writer, recovered) = open(data.path()).unwrap();
    assert_eq!(recovered.entries, 300);
    assert!(verify(data.path()).is_sound());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_one_flipped_bit_in_the_journal_never_changes_an_entry(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let data = killed(8, 3);
        let path = last_segment(data.path());
        let mut altered = fs::read(&path).unwrap();
        let at = at.index(frames_end(&path));
        altered[at] ^= 1 << bit;
        fs::write(&path, altered).unwrap();
        match open(data.path()) {
            Err(LogError::Corrupt { .. }) => {}
            Err(other) => panic!("{other}"),
            Ok(_) => {
                for (index, found) in entries(data.path()) {
                    prop_assert_eq!(found, bytes(&intent(index)));
                }
            }
        }
    }
}
