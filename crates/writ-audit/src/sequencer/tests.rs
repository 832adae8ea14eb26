use super::*;
use crate::journal::{Tail, read_segment};
use crate::record::samples;

fn leaves() -> Vec<Leaf> {
    samples::all()
        .iter()
        .map(|record| Leaf::of(record, 16 * 1024).unwrap())
        .collect()
}

#[test]
fn receipts_are_given_as_far_as_the_log_has_got() {
    let mut sequencer = Sequencer::new(40);
    let asked = [Durability::Handed, Durability::Durable, Durability::Handed];
    let staged = sequencer.stage(&leaves().into_iter().zip(asked).collect::<Vec<_>>());
    assert!(staged.needs_sync());
    let (handed, rest) = staged.committed(Durability::Handed);
    assert_eq!(
        handed.iter().map(Receipt::index).collect::<Vec<_>>(),
        [40, 42]
    );
    assert!(
        handed
            .iter()
            .all(|receipt| receipt.durability() == Durability::Handed)
    );
    let (durable, rest) = rest.committed(Durability::Durable);
    assert_eq!(durable.iter().map(Receipt::index).collect::<Vec<_>>(), [41]);
    assert!(
        rest.committed(Durability::Durable).0.is_empty(),
        "each is given once"
    );
    assert_eq!(sequencer.next_index(), 43);
}

#[test]
fn a_receipt_names_its_record_and_call() {
    let record = samples::intent();
    let leaf = Leaf::of(&record, 16 * 1024).unwrap();
    let (receipts, _) = Sequencer::new(7)
        .stage(&[(leaf.clone(), Durability::Handed)])
        .committed(Durability::Handed);
    let [receipt] = &receipts[..] else {
        panic!("one receipt")
    };
    assert_eq!(receipt.record(), record.header.id);
    assert_eq!(receipt.call(), Some(samples::call_id()));
    assert_eq!(receipt.leaf_hash(), leaf.hash());
    assert_eq!(receipt.index(), 7);
}

#[test]
fn what_is_staged_is_what_the_journal_reads() {
    let mut sequencer = Sequencer::new(3);
    let mut bytes = Vec::new();
    for leaf in leaves() {
        bytes.extend_from_slice(sequencer.stage(&[(leaf, Durability::Handed)]).bytes());
        assert!(sequencer.is_behind());
        sequencer.synced();
        assert!(!sequencer.is_behind());
    }
    let segment = read_segment(&bytes, 3, 3);
    assert_eq!(segment.tail, Tail::Clean);
    let entries: Vec<_> = segment
        .frames
        .iter()
        .map(|frame| frame.entry.to_vec())
        .collect();
    assert_eq!(
        entries,
        leaves()
            .into_iter()
            .map(|leaf| leaf.bytes)
            .collect::<Vec<_>>()
    );
}
