use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use writ_audit::{
    Append, AppendError, Closing, Day, Durability, Event, EvidenceKind, Fault, Header, Intent,
    Method, Outcome, OutcomeKind, Phases, Receipt, Record, Sequencer, Signer, Started, Subject,
    TaskClosed, leaf_hash,
};
use writ_types::{
    ActionName, AgentId, Binding, Budget, CallId, Charge, Digest, Effect, Effects, KeyedDigest,
    Limits, ManualClock, RecordId, Secret, TaskId, Tenant, Timeouts, Timestamp, TokenId, Verdict,
};

use super::*;

mod crash;
mod failure;
mod vault;

const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A small segment, so that tests cross segments.
const SEGMENT: u64 = 8 * 1024;

/// A directory in memory where there is one: these tests sync thousands of times.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}

fn signer(seed: u8) -> Signer {
    let node = "one".parse().unwrap();
    let origin = origin("writ.example", &Tenant::default_tenant(), &node).unwrap();
    Signer::new(origin, &Secret::new([seed; 32])).unwrap()
}

fn open(data: &Path) -> Result<(LogWriter, Recovered), LogError> {
    open_with(data, signer(7), &Limits::default())
}

fn open_with(
    data: &Path,
    signer: Signer,
    limits: &Limits,
) -> Result<(LogWriter, Recovered), LogError> {
    let clock = Arc::new(ManualClock::at(NOON));
    LogWriter::open_with(data, signer, clock, limits, &Timeouts::default(), SEGMENT)
}

fn verify(data: &Path) -> VerifyReport {
    verify_directory(&data.join("log"), signer(7).verifier()).unwrap()
}

fn ten(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn at(number: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(number))
}

fn header(number: u64) -> Header {
    Header {
        id: RecordId::new(at(number), ten(number)),
        tenant: Tenant::default_tenant(),
        time: at(number),
        node: "one".parse().unwrap(),
        revision: None,
    }
}

fn call(number: u64) -> CallId {
    CallId::new(NOON, ten(number))
}

fn task(number: u64) -> TaskId {
    TaskId::new(NOON, ten(number % 3))
}

fn agent() -> AgentId {
    AgentId::new(NOON, [1; 10])
}

fn action() -> ActionName {
    "dns:patchZone".parse().unwrap()
}

fn intent(number: u64) -> Record {
    let key = Secret::new([3; 32]);
    let event = Event::Intent(Box::new(Intent {
        call: call(number),
        subject: Subject {
            agent: agent(),
            spiffe: "spiffe://writ.local/agent/dns".parse().unwrap(),
            requester: None,
            task: task(number),
            token: TokenId::new(NOON, [2; 10]),
            binding: Binding::Unbound,
        },
        purpose: "acme-renewal".parse().unwrap(),
        prompt: None,
        action: action(),
        method: "PATCH".parse::<Method>().unwrap(),
        path: "/zones/{zone_id}".to_owned(),
        contract: Digest::of(b"contract"),
        effects: Effects::plain(Effect::Write),
        decision: writ_audit::Decision {
            verdict: Verdict::Allow,
            rules: BTreeSet::from(["acme".to_owned()]),
            at: NOON,
            policy: Digest::of(b"policy"),
            obligations: [].into(),
            approval: None,
            shadow: None,
        },
        credential: None,
        request: KeyedDigest::of(&key, "request", &number.to_be_bytes()),
        request_bytes: number,
        source: None,
        trace: None,
        spent: Charge::default(),
        left: Budget::DEFAULT,
        step: None,
        quantities: None,
        written: None,
        evidence: None,
    }));
    Record::new(header(number), event)
}

fn outcome(number: u64) -> Record {
    let event = Event::Outcome(Outcome {
        call: call(number),
        intent: number,
        task: task(number),
        agent: agent(),
        action: action(),
        result: OutcomeKind::Completed,
        status: Some(204),
        request: None,
        request_bytes: None,
        response: None,
        response_bytes: 0,
        conformance: None,
        response_faults: None,
        labels: BTreeSet::new(),
        phases: Phases::default(),
        settled: Charge::default(),
    });
    Record::new(header(number), event)
}

fn started(number: u64, recovered: &Recovered) -> Record {
    let event = Event::Started(Started {
        orphans: u64::try_from(recovered.orphans.len()).unwrap(),
        entries: recovered.entries,
        previous: None,
        program: "0.1.0".to_owned(),
    });
    Record::new(header(number), event)
}

fn closed(number: u64) -> Record {
    let event = Event::TaskClosed(TaskClosed {
        task: task(number),
        agent: agent(),
        how: Closing::Closed,
        by: writ_audit::Actor::System,
        spent: Charge::default(),
    });
    Record::new(header(number), event)
}

/// Runs a future on a runtime of its own.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Appends records and gives their receipts.
fn append(writer: &LogWriter, records: impl IntoIterator<Item = Record>) -> Vec<Receipt> {
    let handed = |record| writer.append(record, None, Durability::Handed);
    run(async {
        let mut receipts = Vec::new();
        for record in records {
            receipts.push(handed(record).await.unwrap());
        }
        receipts
    })
}

fn flush(writer: &LogWriter) -> writ_audit::Checkpoint {
    run(writer.flush()).unwrap()
}

/// A copy of a directory, as a crash at this moment would leave it to the next process.
fn copy(from: &Path) -> TempDir {
    let to = scratch();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The index and the canonical bytes of every entry.
fn entries(data: &Path) -> Vec<(u64, Vec<u8>)> {
    let reader = LogReader::new(&data.join("log"));
    reader.range(0, u64::MAX).unwrap()
}

fn bytes(record: &Record) -> Vec<u8> {
    record.encode(16 * 1024).unwrap()
}

#[test]
fn what_was_appended_is_read_back_verified_and_found() {
    let data = scratch();
    let (writer, recovered) = open(data.path()).unwrap();
    assert_eq!(
        (
            recovered.entries,
            recovered.orphans.len(),
            recovered.last_time
        ),
        (0, 0, None)
    );
    let records: Vec<_> = (0..600)
        .map(|number| {
            if number % 2 == 0 {
                intent(number)
            } else {
                outcome(number - 1)
            }
        })
        .collect();
    let receipts = append(&writer, records.clone());
    for (index, (receipt, record)) in receipts.iter().zip(&records).enumerate() {
        assert_eq!(receipt.index(), u64::try_from(index).unwrap());
        assert_eq!(
            (receipt.call(), receipt.record()),
            (record.call(), record.header.id)
        );
        assert_eq!(*receipt.leaf_hash(), leaf_hash(&bytes(record)));
    }
    let reader = LogReader::new(&data.path().join("log"));
    assert_eq!(
        reader.size().unwrap(),
        600,
        "read before any checkpoint covers it"
    );
    let checkpoint = flush(&writer);
    assert_eq!(checkpoint.size, 600);
    assert_eq!(reader.size().unwrap(), 600);
    append(&writer, [closed(600)]);
    let report = verify(data.path());
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.verified, report.uncovered), (600, 1));

    assert_eq!(reader.get(17).unwrap().unwrap().bytes, bytes(&records[17]));
    assert_eq!(
        reader.get(600).unwrap().unwrap().record().unwrap(),
        closed(600)
    );
    assert_eq!(reader.get(601).unwrap(), None);
    let tail: Vec<_> = reader
        .tail(3)
        .unwrap()
        .iter()
        .map(|entry| entry.index)
        .collect();
    assert_eq!(tail, [598, 599, 600]);
    assert_eq!(reader.tail(9999).unwrap().len(), 601);
}

#[test]
fn searching_finds_by_call_task_agent_and_time() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..300).map(intent));
    flush(&writer);
    append(&writer, [outcome(7), closed(302)]);
    let reader = LogReader::new(&data.path().join("log"));
    let indexes = |query: Query| -> Vec<u64> {
        reader
            .search(&query, 1000)
            .unwrap()
            .iter()
            .map(|(index, _)| *index)
            .collect()
    };
    let by_call = Query {
        call: Some(call(7)),
        ..Query::default()
    };
    assert_eq!(indexes(by_call), [7, 300]);
    assert_eq!(
        indexes(Query {
            task: Some(task(1)),
            ..by_call
        }),
        [7, 300]
    );
    assert_eq!(
        indexes(Query {
            task: Some(task(2)),
            ..by_call
        }),
        Vec::<u64>::new()
    );
    assert_eq!(
        indexes(Query {
            task: Some(task(2)),
            ..Query::default()
        })
        .len(),
        101
    );
    assert_eq!(
        indexes(Query {
            agent: Some(agent()),
            ..Query::default()
        })
        .len(),
        302
    );
    assert!(
        indexes(Query {
            agent: Some(AgentId::new(NOON, [9; 10])),
            ..Query::default()
        })
        .is_empty()
    );
    let span = Query {
        from: Some(at(10)),
        until: Some(at(13)),
        ..Query::default()
    };
    assert_eq!(indexes(span), [10, 11, 12]);
    assert_eq!(reader.search(&Query::default(), 5).unwrap().len(), 5);
}

#[test]
fn a_copy_verifies_without_the_process_and_a_flipped_byte_is_pinned() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..40).map(intent));
    flush(&writer);
    let copied = copy(data.path());
    let path = copied.path().join("log/tile/entries/000.p/40");
    let mut bundle = fs::read(&path).unwrap();
    let number = "\"request_bytes\":17,";
    let place = bundle
        .windows(number.len())
        .position(|window| window == number.as_bytes())
        .unwrap();
    bundle[place + number.len() - 2] ^= 1;
    fs::write(&path, bundle).unwrap();
    let report = verify(copied.path());
    assert_eq!(report.faults, [Fault::Entry { index: 17 }]);
    assert_eq!(
        report.to_string(),
        "entry 17: its bytes do not match the tree"
    );
    assert!(verify(data.path()).is_sound());
}

#[test]
fn a_proof_holds_with_the_public_key_alone() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..700).map(intent));
    flush(&writer);
    append(&writer, [intent(700)]);
    let reader = LogReader::new(&data.path().join("log"));
    for index in [0, 255, 256, 511, 512, 699] {
        let proof = reader.proof(index).unwrap().unwrap();
        let proof = writ_audit::LogProof::parse(&proof.to_text()).unwrap();
        let leaf = leaf_hash(&bytes(&intent(index)));
        assert_eq!(proof.verify(&leaf, signer(7).verifier()).unwrap().size, 700);
        assert!(
            proof
                .verify(&leaf_hash(b"other"), signer(7).verifier())
                .is_err()
        );
    }
    assert_eq!(
        reader.proof(700).unwrap(),
        None,
        "no checkpoint covers it yet"
    );
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let data = scratch();
    let mut expected = Vec::new();
    for round in 0..5u64 {
        let (writer, recovered) = open(data.path()).unwrap();
        assert_eq!(recovered.entries, round * 130);
        let records: Vec<_> = (round * 130..(round + 1) * 130).map(intent).collect();
        expected.extend(records.iter().map(bytes));
        append(&writer, records);
        if round % 2 == 0 {
            run(writer.shutdown()).unwrap();
        }
    }
    let found: Vec<_> = entries(data.path())
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(found, expected);
    let report = verify(data.path());
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.verified, report.uncovered), (650, 0));
}

#[test]
fn checkpoints_of_every_size_stay_consistent() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    for number in 0..300 {
        append(&writer, [closed(number)]);
        flush(&writer);
        if number % 50 == 0 {
            assert!(verify(data.path()).is_sound(), "{number}");
        }
    }
    assert!(verify(data.path()).is_sound());
    // The partial ones are gone where the full one is there.
    assert!(data.path().join("log/tile/entries/000").is_file());
    assert!(!data.path().join("log/tile/entries/000.p").exists());
    assert!(data.path().join("log/tile/0/001.p/44").is_file());
}

#[test]
fn covered_segments_go_and_the_last_stays() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..100).map(intent));
    let segments = || LogDirectory::new(&data.path().join("log")).segments_for_test();
    assert!(segments().len() > 5, "{:?}", segments());
    flush(&writer);
    assert_eq!(segments().len(), 1);
    assert!(data.path().join("log/journal/spare").is_file());
    append(&writer, (100..200).map(intent));
    assert_eq!(entries(data.path()).len(), 200);
    drop(writer);
    let (_writer, recovered) = open(data.path()).unwrap();
    assert_eq!(recovered.entries, 200);
}

#[test]
fn durable_receipts_come_after_handed_ones_of_a_batch_are_possible_together() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    let receipts = run(async {
        let (handed, durable) = tokio::join!(
            writer.append(intent(1), None, Durability::Handed),
            writer.append(intent(2), None, Durability::Durable)
        );
        [handed.unwrap(), durable.unwrap()]
    });
    assert_eq!(receipts[0].durability(), Durability::Handed);
    assert_eq!(receipts[1].durability(), Durability::Durable);
}

#[test]
fn outcomes_that_are_noted_are_written() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, [intent(1)]);
    writer.note(outcome(1));
    assert_eq!(flush(&writer).size, 2);
    assert_eq!(writer.lost_outcomes(), 0);
    writer.note(outcome(2));
    drop(writer);
    assert_eq!(
        entries(data.path()).len(),
        3,
        "dropping writes what is queued"
    );
}

#[test]
fn intents_without_outcome_are_orphans_until_a_start_has_said_so() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..1500).map(intent));
    for number in (0..1500).filter(|number| ![3, 700, 1499].contains(number)) {
        writer.note(outcome(number));
    }
    drop(writer);
    let (writer, recovered) = open(data.path()).unwrap();
    let orphans: Vec<_> = recovered
        .orphans
        .iter()
        .map(|orphan| (orphan.call, orphan.intent))
        .collect();
    assert_eq!(
        orphans,
        [(call(3), 3), (call(700), 700), (call(1499), 1499)]
    );
    assert_eq!(recovered.orphans[0].task, task(3));
    assert_eq!(
        recovered.last_time,
        Some(at(1499)),
        "the latest time, which is not the last record's"
    );
    assert_eq!(
        recovered
            .checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.size),
        Some(2997)
    );
    drop(writer);
    // Nobody has written it down yet, so they are reported again.
    let (writer, recovered) = open(data.path()).unwrap();
    assert_eq!(recovered.orphans.len(), 3);
    append(&writer, [started(5000, &recovered), intent(5001)]);
    drop(writer);
    let (_writer, recovered) = open(data.path()).unwrap();
    let orphans: Vec<_> = recovered.orphans.iter().map(|orphan| orphan.call).collect();
    assert_eq!(orphans, [call(5001)]);
}

#[test]
fn the_ledger_can_be_rebuilt_from_any_index() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..10).map(intent));
    drop(writer);
    let (_writer, recovered) = open(data.path()).unwrap();
    let mut calls = Vec::new();
    recovered
        .replay(6, |index, record| {
            calls.push((index, record.call().unwrap()))
        })
        .unwrap();
    assert_eq!(
        calls,
        (6..10)
            .map(|number| (number, call(number)))
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_checkpoint_follows_the_clock() {
    let data = scratch();
    let clock = Arc::new(ManualClock::at(NOON));
    let shared: Arc<dyn writ_types::Clock> = Arc::<ManualClock>::clone(&clock);
    let (writer, _) = LogWriter::open_with(
        data.path(),
        signer(7),
        shared,
        &Limits::default(),
        &Timeouts::default(),
        SEGMENT,
    )
    .unwrap();
    let covered = || {
        let note = fs::read(data.path().join("log/checkpoint")).unwrap();
        writ_audit::Checkpoint::open(&note, signer(7).verifier())
            .unwrap()
            .size
    };
    append(&writer, [intent(0)]);
    append(&writer, [intent(1)]);
    assert_eq!(covered(), 0, "the interval has not passed");
    clock.advance(Duration::from_secs(2));
    append(&writer, [intent(2)]);
    append(&writer, [intent(3)]);
    run(writer.shutdown()).unwrap();
    assert_eq!(covered(), 4);
}

#[test]
fn origins_are_install_tenant_and_node() {
    let node = "one".parse().unwrap();
    let tenant = Tenant::default_tenant();
    assert_eq!(
        origin("writ.example", &tenant, &node).unwrap().as_str(),
        "writ.example/default/one"
    );
    assert!(origin("", &tenant, &node).is_err());
    assert!(origin("a b", &tenant, &node).is_err());
}
