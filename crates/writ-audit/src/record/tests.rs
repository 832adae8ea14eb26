use std::collections::BTreeSet;

use proptest::prelude::*;
use writ_types::{JsonLimits, Value};

use super::*;

const LIMIT: usize = 16 * 1024;

/// The golden file: one canonical record of each kind to a line. A change here is a change of the format.
const GOLDEN: &str = include_str!("../../testdata/records.jsonl");

#[test]
fn the_format_is_the_golden_one() {
    let lines: Vec<_> = samples::all()
        .iter()
        .map(|record| String::from_utf8(record.encode(LIMIT).unwrap()).unwrap())
        .collect();
    assert_eq!(lines.join("\n"), GOLDEN.trim_end());
}

#[test]
fn every_kind_reads_back_and_is_canonical() {
    let kinds: BTreeSet<_> = samples::all()
        .iter()
        .map(|record| record.event.kind())
        .collect();
    assert_eq!(kinds.len(), 15, "a sample of each kind");
    for record in samples::all() {
        let bytes = record.encode(LIMIT).unwrap();
        assert_eq!(Record::decode(&bytes), Ok(record));
        let value = Value::parse(&bytes, &JsonLimits::REQUEST).unwrap();
        assert_eq!(value.canonical().as_bytes(), bytes);
    }
}

#[test]
fn a_newer_version_is_refused_by_its_name() {
    let text = String::from_utf8(samples::intent().encode(LIMIT).unwrap()).unwrap();
    let newer = text
        .replace("\"v\":1", "\"v\":2")
        .replace("\"verdict\"", "\"judgement\"");
    assert_eq!(
        Record::decode(newer.as_bytes()),
        Err(RecordError::Newer { found: 2 })
    );
    let none = text.replace(",\"v\":1", "");
    assert_eq!(
        Record::decode(none.as_bytes()),
        Err(RecordError::Member("v"))
    );
    let zero = text.replace("\"v\":1", "\"v\":0");
    assert_eq!(
        Record::decode(zero.as_bytes()),
        Err(RecordError::Member("v"))
    );
}

#[test]
fn unknown_members_and_other_spellings_are_refused() {
    let text = String::from_utf8(samples::outcome().encode(LIMIT).unwrap()).unwrap();
    for (bad, error) in [
        (
            text.replace("\"status\":204", "\"status\":204,\"extra\":1"),
            RecordError::NotCanonical,
        ),
        (
            text.replace("\"status\":204", "\"status\": 204"),
            RecordError::NotCanonical,
        ),
        (
            text.replace("\"status\":204", "\"status\":70000"),
            RecordError::Member("status"),
        ),
        (
            text.replace("completed", "finished"),
            RecordError::Member("result"),
        ),
        (
            text.replace("\"kind\":\"outcome\"", "\"kind\":\"verdict\""),
            RecordError::Member("kind"),
        ),
        (
            text.replace("\"intent\":17,", ""),
            RecordError::Member("intent"),
        ),
        (text.replace("cal_", "tsk_"), RecordError::Member("call")),
        (format!("{text} "), RecordError::NotCanonical),
        (format!("{text}x"), RecordError::NotJson),
    ] {
        assert_eq!(Record::decode(bad.as_bytes()), Err(error), "{bad}");
    }
}

#[test]
fn what_is_too_long_is_cut_and_counted() {
    let mut record = samples::intent();
    let Event::Intent(intent) = &mut record.event else {
        panic!("an intent")
    };
    intent.path = format!("/é{}", "p".repeat(40_000));
    intent.decision.rules = (0..2000).map(|rule| format!("rule-{rule:05}")).collect();
    let whole = record.write(usize::MAX).len();
    let bytes = record.encode(LIMIT).unwrap();
    assert!(bytes.len() <= LIMIT);
    let read = Record::decode(&bytes).unwrap();
    let Event::Intent(cut) = &read.event else {
        panic!("an intent")
    };
    let Event::Intent(full) = &record.event else {
        panic!("an intent")
    };
    assert!(full.path.starts_with(&cut.path) && cut.path.len() > 1000);
    assert!(cut.decision.rules.is_subset(&full.decision.rules) && !cut.decision.rules.is_empty());
    let rules = |rules: &BTreeSet<String>| rules.iter().map(String::len).sum::<usize>();
    let dropped =
        full.path.len() - cut.path.len() + rules(&full.decision.rules) - rules(&cut.decision.rules);
    assert_eq!(read.truncated, u64::try_from(dropped).unwrap());
    assert!(whole > 60_000);
    assert_eq!(
        Record::decode(&read.encode(LIMIT).unwrap()),
        Ok(read),
        "cutting is done once"
    );
}

#[test]
fn what_cannot_be_cut_is_an_error_and_not_a_smaller_record() {
    let error = samples::intent().encode(500).unwrap_err();
    assert!(
        matches!(error, RecordError::TooLarge { size, limit: 500 } if size > 500),
        "{error}"
    );
}

#[test]
fn counts_stop_at_what_every_reader_agrees_on() {
    let mut record = samples::outcome();
    let Event::Outcome(outcome) = &mut record.event else {
        panic!("an outcome")
    };
    outcome.response_bytes = u64::MAX;
    let text = String::from_utf8(record.encode(LIMIT).unwrap()).unwrap();
    assert!(text.contains("\"response_bytes\":9007199254740991,"));
    assert_eq!(
        Value::parse(text.as_bytes(), &JsonLimits::REQUEST)
            .unwrap()
            .canonical(),
        text
    );
}

#[test]
fn a_record_has_no_place_for_an_address_a_prompt_or_a_secret() {
    let text: String = samples::all()
        .iter()
        .map(|record| record.write(usize::MAX))
        .collect();
    for word in [
        "203.0.113.9",
        "2001:db8:1::9",
        "\"body\"",
        "\"secret\"",
        "\"header\"",
        "\"query\"",
    ] {
        assert!(!text.contains(word), "{word}");
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![".{0,60}", "[\\x00-\\x7f]{0,40}", "[\\u{0}-\\u{ffff}]{0,20}"]
}

proptest! {
    #[test]
    fn the_writer_agrees_with_the_canonical_form(
        path in words(), subject in words(), rules in prop::collection::btree_set(words(), 0..6),
        request_bytes in 0u64..(1 << 53), seed in any::<[u8; 10]>(), millis in 0u64..4_000_000_000_000,
    ) {
        let mut record = samples::intent();
        record.header.time = Timestamp::from_millis(millis);
        record.header.id = RecordId::new(record.header.time, seed);
        let Event::Intent(intent) = &mut record.event else { panic!("an intent") };
        intent.path = path;
        intent.decision.rules = rules;
        intent.request_bytes = request_bytes;
        if let Some(requester) = &mut intent.subject.requester {
            requester.subject = subject;
        }
        let bytes = record.encode(65_535).unwrap();
        let value = Value::parse(&bytes, &JsonLimits::REQUEST).unwrap();
        prop_assert_eq!(Record::decode(&bytes), Ok(record));
        prop_assert_eq!(value.canonical().into_bytes(), bytes);
    }

    #[test]
    fn cutting_always_fits_and_counts(path in words(), room in 1700usize..4000, many in 0usize..300) {
        let mut record = samples::intent();
        let Event::Intent(intent) = &mut record.event else { panic!("an intent") };
        intent.path = path.repeat(many);
        let bytes = record.encode(room).unwrap();
        prop_assert!(bytes.len() <= room);
        prop_assert!(Record::decode(&bytes).is_ok());
    }

    #[test]
    fn no_bytes_make_the_reader_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn one_changed_byte_never_reads_as_the_same_record(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        for record in samples::all() {
            let mut bytes = record.encode(LIMIT).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(Record::decode(&bytes), Ok(record));
        }
    }
}
