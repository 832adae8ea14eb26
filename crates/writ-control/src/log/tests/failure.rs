//! What stops a log, and that nothing is let through then.

use super::super::journal::Journal;
use super::super::publisher::{Poison, Work};
use super::super::queue::Queue;
use super::super::vault::EvidenceFiles;
use super::super::writer::{Job, WriterThread};
use super::*;

#[test]
fn one_process_writes_a_log() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    assert!(matches!(open(data.path()), Err(LogError::Locked(_))));
    run(writer.shutdown()).unwrap();
    assert!(
        matches!(open(data.path()), Err(LogError::Locked(_))),
        "held until dropped"
    );
    drop(writer);
    assert!(open(data.path()).is_ok());
}

#[test]
fn another_key_does_not_continue_a_log() {
    let data = scratch();
    drop(open(data.path()).unwrap());
    let other = || open_with(data.path(), signer(8), &Limits::default());
    assert!(matches!(other(), Err(LogError::OtherKey)));
    fs::remove_file(data.path().join("log/log.pub")).unwrap();
    assert!(matches!(other(), Err(LogError::Checkpoint(_))));
}

#[test]
fn a_log_whose_tiles_were_exchanged_does_not_open() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, (0..10).map(intent));
    drop(writer);
    for path in ["log/tile/0/000.p/10", "log/tile/entries/000.p/10"] {
        let copied = copy(data.path());
        let path = copied.path().join(path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(
            open(copied.path()),
            Err(LogError::Tree { size: 10 })
        ));
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            open(copied.path()),
            Err(LogError::Tree { size: 10 })
        ));
    }
    let copied = copy(data.path());
    fs::remove_dir_all(copied.path().join("log/journal")).unwrap();
    assert!(matches!(
        open(copied.path()),
        Err(LogError::Gap { from: 10, .. })
    ));
}

#[test]
fn a_record_of_another_size_or_with_foreign_evidence_is_refused() {
    let data = scratch();
    let limits = Limits {
        record_bytes: 700,
        ..Limits::default()
    };
    let (writer, _) = open_with(data.path(), signer(7), &limits).unwrap();
    let append = |record, evidence| run(writer.append(record, evidence, Durability::Handed));
    assert!(matches!(
        append(intent(1), None),
        Err(AppendError::Record(_))
    ));
    let vault = Vault::new(
        &data.path().join("vault"),
        Tenant::default_tenant(),
        &Secret::new([1; 32]),
    )
    .unwrap();
    let evidence = vault.seal(header(1).id, EvidenceKind::Call, b"{}").unwrap();
    assert_eq!(
        append(closed(1), Some(evidence)),
        Err(AppendError::Evidence)
    );
    assert!(append(closed(1), None).is_ok());
}

#[test]
fn a_closed_log_takes_nothing() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    run(writer.shutdown()).unwrap();
    let late = run(writer.append(intent(1), None, Durability::Handed));
    assert!(matches!(late, Err(AppendError::Unavailable(_))));
    writer.note(outcome(1));
    assert_eq!(writer.lost_outcomes(), 1);
    assert!(run(writer.flush()).is_err());
}

/// A writer thread over the device that is always full, with nobody at the queue's other end.
fn thread_on_a_full_disk(data: &Path, room: usize) -> (WriterThread, Arc<Queue<Job>>, Poison) {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (queue, poison) = (Arc::new(Queue::new(room)), Poison::default());
    let (work, publisher) = std::sync::mpsc::sync_channel::<Work>(64);
    // Nobody integrates in this test; the channel has to stay open.
    std::mem::forget(publisher);
    let thread = WriterThread {
        queue: Arc::clone(&queue),
        poison: Arc::clone(&poison),
        journal: Journal::over(data, full),
        sequencer: Sequencer::new(0),
        evidence: EvidenceFiles::new(data.to_owned()),
        work,
        sequenced: Vec::new(),
        published_to: 0,
        published_at: writ_types::Monotonic::from_start(Duration::ZERO),
        awaits_outcomes: false,
        interval: Duration::from_secs(1),
        clock: Arc::new(ManualClock::at(NOON)),
    };
    (thread, queue, poison)
}

fn job(
    record: &Record,
) -> (
    Job,
    tokio::sync::oneshot::Receiver<Result<Receipt, AppendError>>,
) {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let job = Job::Append {
        leaf: writ_audit::Leaf::of(record, 16 * 1024).unwrap(),
        evidence: None,
        durability: Durability::Handed,
        reply: Some(reply),
    };
    (job, answer)
}

#[test]
fn a_full_disk_ends_the_log_and_gives_no_receipt() {
    let data = scratch();
    let (thread, queue, poison) = thread_on_a_full_disk(data.path(), 8);
    let mut answers = Vec::new();
    for number in 0..3 {
        let (job, answer) = job(&intent(number));
        queue.offer(job).unwrap();
        answers.push(answer);
    }
    queue.close();
    thread.run();
    for mut answer in answers {
        let Ok(Err(AppendError::Unavailable(fault))) = answer.try_recv() else {
            panic!("a receipt, or no answer")
        };
        assert!(fault.contains("No space left"), "{fault}");
    }
    assert!(poison.get().is_some());
}

#[test]
fn a_log_that_has_failed_refuses_everything_until_it_is_opened_again() {
    let data = scratch();
    let (writer, _) = open(data.path()).unwrap();
    append(&writer, [intent(0)]);
    // The journal's directory vanishes: the next segment cannot be made.
    fs::rename(
        data.path().join("log/journal"),
        data.path().join("elsewhere"),
    )
    .unwrap();
    let first_error = (1..100)
        .find_map(|number| run(writer.append(intent(number), None, Durability::Handed)).err());
    assert!(
        matches!(first_error, Some(AppendError::Unavailable(_))),
        "{first_error:?}"
    );
    fs::rename(
        data.path().join("elsewhere"),
        data.path().join("log/journal"),
    )
    .unwrap();
    let still = run(writer.append(intent(200), None, Durability::Handed));
    assert!(
        matches!(still, Err(AppendError::Unavailable(_))),
        "a repaired disk does not revive it"
    );
    assert!(writer.fault().is_some());
    assert!(run(writer.flush()).is_err());
    writer.note(outcome(1));
    assert_eq!(writer.lost_outcomes(), 1);
    drop(writer);
    let (writer, recovered) = open(data.path()).unwrap();
    assert!(recovered.entries >= 1);
    append(&writer, [intent(300)]);
}

#[test]
fn a_full_queue_pushes_back_and_a_withdrawn_record_is_not_written() {
    let queue: Queue<Job> = Queue::new(1);
    let (first, gone) = job(&intent(1));
    queue.offer(first).unwrap();
    assert!(queue.offer(job(&intent(2)).0).is_err());
    drop(gone);
    let data = scratch();
    // On a full disk a write would poison the log; nothing is written, because nobody waits any more.
    let (mut thread, _, poison) = thread_on_a_full_disk(data.path(), 1);
    thread.queue = Arc::new(queue);
    thread.queue.close();
    thread.run();
    assert_eq!(poison.get(), None);
}
