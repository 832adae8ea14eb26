use proptest::prelude::*;

use super::*;

#[test]
fn text_form_names_the_kind_and_sorts_by_time() {
    let early = TaskId::new(Timestamp::from_millis(1_700_000_000_000), [0xFF; 10]);
    let late = TaskId::new(Timestamp::from_millis(1_700_000_000_001), [0; 10]);
    assert!(early.to_string().starts_with("tsk_"));
    assert_eq!(early.to_string().len(), 30);
    assert!(early.to_string() < late.to_string() && early < late);
}

#[test]
fn other_kinds_versions_and_spellings_are_refused() {
    let task = TaskId::new(Timestamp::from_millis(1_700_000_000_000), [7; 10]).to_string();
    for wrong in [
        task.replace("tsk_", "agt_"),
        task.to_uppercase(),
        task.replace("tsk_", "tsk"),
        format!("{task}0"),
        format!("tsk_{}", "0".repeat(26)),
        format!("tsk_8{}", "0".repeat(25)),
        String::new(),
    ] {
        assert!(wrong.parse::<TaskId>().is_err(), "{wrong} was accepted");
    }
}

proptest! {
    #[test]
    fn every_id_reads_back(millis in 0u64..(1 << 48), random: [u8; 10]) {
        let id = RecordId::new(Timestamp::from_millis(millis), random);
        prop_assert_eq!(id.to_string().parse::<RecordId>(), Ok(id));
        prop_assert_eq!(id.to_bytes()[6] >> 4, 7);
    }
}
