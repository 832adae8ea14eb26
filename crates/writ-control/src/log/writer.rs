//! The writer: one thread that gives records their place, in batches, and answers as soon as they are safe.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use writ_audit::{
    Append, AppendError, Appending, Checkpoint, Durability, Evidence, Leaf, LogFiles as _, Receipt,
    Record, Sequencer, Signer, VerifierKey,
};
use writ_types::{Clock, Limits, Monotonic, Timeouts};

use super::LogError;
use super::files::{LogDirectory, Publication};
use super::journal::{Journal, SEGMENT_BYTES};
use super::publisher::{Poison, Publisher, Work};
use super::queue::{Queue, Refused, Wakers};
use super::reader::LogReader;
use super::recovery::{self, Recovered};
use super::vault::EvidenceFiles;

/// Most records of one write and one sync.
const BATCH: usize = 256;

/// How long an outcome may wait for the next record.
const LINGER: Duration = Duration::from_millis(10);

/// Batches that may wait for integration; then the writer waits, and with it those who append.
const BEHIND: usize = 64;

type Reply = oneshot::Sender<Result<Receipt, AppendError>>;

/// What the writer is asked for.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every job is an append, and a box for each would cost more"
)]
pub(super) enum Job {
    Append {
        leaf: Leaf,
        evidence: Option<Evidence>,
        durability: Durability,
        /// None for an outcome, for which nobody waits.
        reply: Option<Reply>,
    },
    Flush(oneshot::Sender<Result<Checkpoint, String>>),
}

impl Job {
    const fn is_awaited(&self) -> bool {
        matches!(self, Self::Append { reply: Some(_), .. })
    }
}

/// The log, open for writing. Dropping it writes what is queued and publishes it.
#[derive(Debug)]
pub struct LogWriter {
    queue: Arc<Queue<Job>>,
    poison: Poison,
    lost: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
    verifier: VerifierKey,
    record_bytes: usize,
    record_timeout: Duration,
    /// Held, not read: its lock keeps other processes out.
    _lock: File,
}

impl LogWriter {
    /// Opens the log in `<data>/log` (made if absent) for this process alone, and says what was found in it.
    ///
    /// `signer` bears the log's origin, see [`super::origin`]; `clock` decides when to publish.
    ///
    /// # Errors
    ///
    /// [`LogError`]; nothing is repaired but a torn write at the journal's end.
    pub fn open(
        data: &Path,
        signer: Signer,
        clock: Arc<dyn Clock>,
        limits: &Limits,
        timeouts: &Timeouts,
    ) -> Result<(Self, Recovered), LogError> {
        Self::open_with(data, signer, clock, limits, timeouts, SEGMENT_BYTES)
    }

    /// As [`Self::open`], with segments of another size.
    pub(super) fn open_with(
        data: &Path,
        signer: Signer,
        clock: Arc<dyn Clock>,
        limits: &Limits,
        timeouts: &Timeouts,
        segment_bytes: u64,
    ) -> Result<(Self, Recovered), LogError> {
        let directory = LogDirectory::new(&data.join("log"));
        let root = directory.root();
        fs::create_dir_all(root.join("journal")).map_err(LogError::io(root))?;
        let lock = lock(root)?;
        check_public_key(&directory, signer.verifier())?;
        let verifier = signer.verifier().clone();
        let found = recovery::find(&directory, &verifier, segment_bytes)?;
        let poison = Poison::default();
        let published = found.checkpoint.as_ref().map(|checkpoint| checkpoint.size);
        let tree = (found.tree, found.bundle);
        let mut publisher = Publisher::new(
            directory.clone(),
            signer,
            tree,
            published,
            segment_bytes,
            Arc::clone(&poison),
        );
        publisher
            .recover(&found.beyond)
            .map_err(LogError::io(root))?;
        let entries = published
            .unwrap_or(0)
            .saturating_add(u64::try_from(found.beyond.len()).unwrap_or(0));
        // From here on everything that was found is under a checkpoint, so no later damage can pass for a torn write.
        publisher.publish().map_err(LogError::io(root))?;
        let reader = LogReader::new(root);
        let (orphans, last_time) = recovery::orphans(&reader, entries).map_err(LogError::Read)?;
        let queue = Arc::new(Queue::new(limits.record_queue));
        let (work, to_publish) = sync_channel(BEHIND);
        let thread = WriterThread {
            queue: Arc::clone(&queue),
            poison: Arc::clone(&poison),
            journal: found.journal,
            sequencer: Sequencer::new(entries),
            evidence: EvidenceFiles::new(data.join("vault")),
            work,
            sequenced: Vec::new(),
            published_to: entries,
            published_at: clock.monotonic(),
            interval: timeouts.checkpoint,
            awaits_outcomes: false,
            clock,
        };
        let threads = vec![
            spawn("writ-log", Box::new(move || thread.run()))?,
            spawn(
                "writ-log-tiles",
                Box::new(move || publisher.run(&to_publish)),
            )?,
        ];
        let writer = Self {
            queue,
            poison,
            lost: AtomicU64::new(0),
            threads: Mutex::new(threads),
            verifier,
            record_bytes: limits.record_bytes,
            record_timeout: timeouts.record,
            _lock: lock,
        };
        let recovered = Recovered {
            entries,
            checkpoint: found.checkpoint,
            orphans,
            last_time,
            reader,
        };
        Ok((writer, recovered))
    }

    /// The key that verifies the log.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Why the log takes no more records, if it does not.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Outcomes that could not be written because the log had failed. Their intents are orphans at the next start.
    #[must_use]
    pub fn lost_outcomes(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Makes everything that was appended or noted before durable, and publishes a checkpoint over it.
    ///
    /// # Errors
    ///
    /// [`AppendError::Unavailable`]
    pub async fn flush(&self) -> Result<Checkpoint, AppendError> {
        let (reply, answer) = oneshot::channel();
        if !self.queue.push(Job::Flush(reply)) {
            return Err(AppendError::Unavailable(ENDED.to_owned()));
        }
        let answer = answer.await.map_err(|_gone| self.ended())?;
        answer.map_err(AppendError::Unavailable)
    }

    /// Takes no more records, writes and publishes what was taken, and ends the threads. The lock is held until the writer
    /// is dropped.
    ///
    /// # Errors
    ///
    /// [`AppendError::Unavailable`] if the last of it could not be written; the threads have ended all the same.
    pub async fn shutdown(&self) -> Result<Checkpoint, AppendError> {
        let flushed = self.flush().await;
        self.end();
        flushed
    }

    fn end(&self) {
        self.queue.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
    }

    fn ended(&self) -> AppendError {
        AppendError::Unavailable(self.fault().unwrap_or(ENDED).to_owned())
    }

    /// Queues a record; the answer comes by the channel.
    fn enqueue(
        &self,
        record: &Record,
        evidence: Option<Evidence>,
        durability: Durability,
    ) -> Result<oneshot::Receiver<Result<Receipt, AppendError>>, AppendError> {
        if !Evidence::belongs(evidence.as_ref(), record) {
            return Err(AppendError::Evidence);
        }
        if self.poison.get().is_some() {
            return Err(self.ended());
        }
        let leaf = Leaf::of(record, self.record_bytes).map_err(AppendError::Record)?;
        let (reply, answer) = oneshot::channel();
        let job = Job::Append {
            leaf,
            evidence,
            durability,
            reply: Some(reply),
        };
        match self.queue.offer(job) {
            Ok(()) => Ok(answer),
            Err(Refused::Full) => Err(AppendError::Pushback),
            Err(Refused::Closed) => Err(self.ended()),
        }
    }
}

const ENDED: &str = "the log was closed";

impl Append for LogWriter {
    /// A record whose future is dropped before it has its place is withdrawn: nobody holds a receipt for it.
    fn append(
        &self,
        record: Record,
        evidence: Option<Evidence>,
        durability: Durability,
    ) -> Appending<'_> {
        Box::pin(async move {
            let answer = self.enqueue(&record, evidence, durability)?;
            match tokio::time::timeout(self.record_timeout, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_gone)) => Err(self.ended()),
                Err(_elapsed) => Err(AppendError::Late),
            }
        })
    }

    fn note(&self, record: Record) {
        let job = Leaf::of(&record, self.record_bytes).map(|leaf| Job::Append {
            leaf,
            evidence: None,
            durability: Durability::Handed,
            reply: None,
        });
        let taken = match job {
            Ok(job) => self.poison.get().is_none() && self.queue.push_unawaited(job),
            Err(error) => {
                tracing::error!(record = %record.header.id, error = %error, "an outcome cannot be written");
                false
            }
        };
        if !taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(name: &str, body: Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>, LogError> {
    Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(LogError::Thread)
}

/// Takes the directory for this process; the operating system gives it back when the process ends, however it ends.
fn lock(root: &Path) -> Result<File, LogError> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(LogError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked(root.to_owned())),
        Err(TryLockError::Error(error)) => Err(LogError::io(&path)(error)),
    }
}

/// Writes `log.pub` beside a new log, and refuses another key for an old one.
fn check_public_key(directory: &LogDirectory, key: &VerifierKey) -> Result<(), LogError> {
    let root = directory.root();
    let line = format!("{key}\n");
    match directory.read("log.pub").map_err(LogError::io(root))? {
        Some(stored) if stored == line.as_bytes() => Ok(()),
        Some(_) => Err(LogError::OtherKey),
        None => {
            let mut publication = Publication::new(root);
            publication
                .put("log.pub", line.as_bytes())
                .map_err(LogError::io(root))?;
            publication.finish().map_err(LogError::io(root))
        }
    }
}

/// The state of the first thread.
#[derive(Debug)]
pub(super) struct WriterThread {
    pub(super) queue: Arc<Queue<Job>>,
    pub(super) poison: Poison,
    pub(super) journal: Journal,
    pub(super) sequencer: Sequencer,
    pub(super) evidence: EvidenceFiles,
    pub(super) work: SyncSender<Work>,
    /// Entries in the journal that the publisher has not been given yet.
    pub(super) sequenced: Vec<(Leaf, Durability)>,
    /// Entries that the last request for a checkpoint covers.
    pub(super) published_to: u64,
    pub(super) published_at: Monotonic,
    pub(super) interval: Duration,
    /// Whether the last batch had records that somebody waited for.
    pub(super) awaits_outcomes: bool,
    pub(super) clock: Arc<dyn Clock>,
}

/// The records of one write.
#[derive(Debug, Default)]
struct Batch {
    leaves: Vec<(Leaf, Durability)>,
    evidence: Vec<Evidence>,
    replies: Vec<Option<Reply>>,
}

impl WriterThread {
    pub(super) fn run(mut self) {
        while let Some(jobs) = self.next_jobs() {
            self.awaits_outcomes = jobs.iter().any(Job::is_awaited);
            self.serve(jobs);
            let due = self.clock.monotonic().since(self.published_at) >= self.interval;
            if due && self.is_unpublished() {
                self.publish(None);
            }
        }
        self.publish(None);
    }

    /// After records that calls waited for come their outcomes, for which nobody waits: those of quick upstreams are taken
    /// with the next record instead of waking this thread once more for each.
    fn next_jobs(&self) -> Option<Vec<Job>> {
        let patience = self.patience();
        if !self.awaits_outcomes {
            return self.queue.take(BATCH, patience, Wakers::All);
        }
        let brief = patience.map_or(LINGER, |patience| patience.min(LINGER));
        self.queue.take(BATCH, Some(brief), Wakers::Awaited)
    }

    fn is_unpublished(&self) -> bool {
        self.sequencer.next_index() > self.published_to && self.poison.get().is_none()
    }

    /// How long to wait for a record before it is time to publish; without end if there is nothing to publish.
    fn patience(&self) -> Option<Duration> {
        let elapsed = self.clock.monotonic().since(self.published_at);
        let left = self
            .interval
            .saturating_sub(elapsed)
            .max(Duration::from_millis(1));
        self.is_unpublished().then_some(left)
    }

    fn serve(&mut self, jobs: Vec<Job>) {
        let mut batch = Batch::default();
        let mut flushes = Vec::new();
        for job in jobs {
            match job {
                Job::Flush(reply) => flushes.push(reply),
                Job::Append {
                    leaf,
                    evidence,
                    durability,
                    reply,
                } => {
                    // Whoever has stopped waiting does not send the call either.
                    if reply.as_ref().is_none_or(|reply| !reply.is_closed()) {
                        batch.leaves.push((leaf, durability));
                        batch.evidence.extend(evidence);
                        batch.replies.push(reply);
                    }
                }
            }
        }
        if !batch.leaves.is_empty() {
            self.write(batch);
        }
        flushes
            .into_iter()
            .for_each(|reply| self.publish(Some(reply)));
    }

    /// Writes a batch and answers. After a failure nothing more is written: what the disk then holds is not known.
    fn write(&mut self, mut batch: Batch) {
        if self.poison.get().is_none()
            && let Err(error) = self.write_through(&mut batch)
        {
            self.fail(&error);
        }
        let fault = self.poison.get().map_or(ENDED, String::as_str);
        for reply in batch.replies.into_iter().flatten() {
            drop(reply.send(Err(AppendError::Unavailable(fault.to_owned()))));
        }
    }

    fn write_through(&mut self, batch: &mut Batch) -> io::Result<()> {
        for evidence in &batch.evidence {
            self.evidence.append(evidence)?;
        }
        self.evidence.write()?;
        let first = self.sequencer.next_index();
        let staged = self.sequencer.stage(&batch.leaves);
        self.journal.append(first, staged.bytes())?;
        let (receipts, staged) = staged.committed(Durability::Handed);
        answer(&mut batch.replies, first, receipts);
        if staged.needs_sync() {
            self.sync()?;
        }
        let (receipts, _none_left) = staged.committed(Durability::Durable);
        answer(&mut batch.replies, first, receipts);
        self.sequenced.append(&mut batch.leaves);
        if self.sequenced.len() < BATCH {
            return Ok(());
        }
        self.integrate()
    }

    /// Hands what was sequenced to the publisher: many at a time, so that it does not wake for each.
    fn integrate(&mut self) -> io::Result<()> {
        let entries = std::mem::take(&mut self.sequenced);
        self.work
            .send(Work::Integrate(entries))
            .map_err(io::Error::other)
    }

    /// Everything that was sequenced is on disk, and given to the publisher.
    fn complete(&mut self) -> io::Result<()> {
        if self.sequencer.is_behind() {
            self.sync()?;
        }
        self.integrate()
    }

    /// Evidence first: a record on disk never commits to what is not.
    fn sync(&mut self) -> io::Result<()> {
        self.evidence.sync()?;
        self.journal.sync()?;
        self.sequencer.synced();
        Ok(())
    }

    fn fail(&self, error: &io::Error) {
        if self.poison.set(error.to_string()).is_ok() {
            tracing::error!(error = %error, "the log cannot be written; no call is let through any more");
        }
    }

    /// Makes everything durable and asks for a checkpoint over it: a checkpoint never covers what a power loss could take.
    fn publish(&mut self, reply: Option<oneshot::Sender<Result<Checkpoint, String>>>) {
        if self.poison.get().is_none()
            && let Err(error) = self.complete()
        {
            self.fail(&error);
        }
        self.published_to = self.sequencer.next_index();
        self.published_at = self.clock.monotonic();
        // The publisher answers, also when the log has failed; if it has ended, the reply is dropped with the request.
        drop(self.work.send(Work::Publish(reply)));
    }
}

/// Gives receipts to those who wait for them.
fn answer(replies: &mut [Option<Reply>], first: u64, receipts: Vec<Receipt>) {
    for receipt in receipts {
        let place = receipt
            .index()
            .checked_sub(first)
            .and_then(|place| usize::try_from(place).ok());
        let reply = place
            .and_then(|place| replies.get_mut(place))
            .and_then(Option::take);
        if let Some(reply) = reply {
            // Whoever stopped waiting has no receipt; the record is in the log, and counts as spent.
            drop(reply.send(Ok(receipt)));
        }
    }
}
