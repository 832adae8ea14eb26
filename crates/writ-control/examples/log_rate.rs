//! How many records the log takes and verifies in a second, on this machine and this disk.
//!
//! `cargo run --release -p writ-control --example log_rate [-- <directory>]`; the directory decides which disk is measured.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use writ_audit::{
    Append as _, Decision, Durability, Event, Header, Intent, Leaf, Outcome, OutcomeKind, Phases,
    Record, Signer, Source, Subject,
};
use writ_control::log::{LogReader, LogWriter, origin, verify_directory};
use writ_types::{
    AgentId, Binding, Budget, CallId, Charge, Clock, Digest, Effect, Effects, KeyedDigest, Limits,
    Monotonic, RecordId, Secret, TaskId, Tenant, Timeouts, Timestamp, TokenId, Verdict,
};

/// Records under one measurement.
const RECORDS: u64 = 200_000;

/// Callers that append at the same time.
const CALLERS: u64 = 256;

#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_790_000_000).plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.0.elapsed())
    }
}

fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement needs the real clock"
    )]
    Instant::now()
}

/// What all threads of this process have had of the processors; other programs on the machine do not count.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// A measurement under way.
struct Stopwatch(Instant, Duration);

impl Stopwatch {
    fn start() -> Self {
        Self(now(), processor_time())
    }

    fn report(&self, what: &str, count: u64) {
        let (took, busy) = (self.0.elapsed(), processor_time().saturating_sub(self.1));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let rate = count
            .saturating_mul(1_000_000)
            .checked_div(micros)
            .unwrap_or(0);
        let nanos = u64::try_from(busy.as_nanos())
            .unwrap_or(u64::MAX)
            .checked_div(count)
            .unwrap_or(0);
        say(&format!(
            "{what}: {count} in {took:.2?}, {rate} records/s, {nanos} ns of processor each"
        ));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let data = base.join(format!("writ-log-rate-{}", std::process::id()));
    let done = measure(&data);
    std::fs::remove_dir_all(&data)?;
    done
}

fn measure(data: &Path) -> Result<(), Box<dyn Error>> {
    let clock = RealClock(now());
    // A call has an intent and an outcome.
    let samples = [intent(&clock)?, outcome(&clock)?];
    let begun = Stopwatch::start();
    for _ in 0..RECORDS / 2 {
        for sample in &samples {
            std::hint::black_box(Leaf::of(sample, 16 * 1024)?);
        }
    }
    begun.report("encoded and hashed", RECORDS);
    for sample in &samples {
        let bytes = sample.encode(16 * 1024)?.len();
        say(&format!("bytes of an {}: {bytes}", sample.event.kind()));
    }

    let origin = origin("writ.example", &Tenant::default_tenant(), &"one".parse()?)?;
    let signer = Signer::new(origin, &Secret::new([7; 32]))?;
    let key = signer.verifier().clone();
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let (writer, _) =
        LogWriter::open(data, signer, Arc::new(RealClock(now())), &limits, &timeouts)?;
    let writer = Arc::new(writer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for (what, durability, count) in [
        (
            "appended, handed to the operating system",
            Durability::Handed,
            RECORDS,
        ),
        ("appended, on disk", Durability::Durable, RECORDS / 4),
    ] {
        let begun = Stopwatch::start();
        runtime.block_on(append(&writer, &samples, durability, count))?;
        begun.report(what, count);
    }
    let begun = Stopwatch::start();
    let checkpoint = runtime.block_on(writer.flush())?;
    begun.report("flushed", checkpoint.size);
    drop(writer);

    let path = data.join("log");
    let begun = Stopwatch::start();
    let verified = verify_directory(&path, &key)?;
    begun.report("verified", verified.verified);
    say(&format!("{verified}"));
    let begun = Stopwatch::start();
    let mut bytes = 0usize;
    LogReader::new(&path).scan(0, |_, entry| {
        bytes = bytes.saturating_add(entry.len());
        ControlFlow::Continue(())
    })?;
    begun.report("scanned", checkpoint.size);
    Ok(())
}

async fn append(
    writer: &Arc<LogWriter>,
    samples: &[Record; 2],
    durability: Durability,
    count: u64,
) -> Result<(), Box<dyn Error>> {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (writer, samples) = (Arc::clone(writer), samples.clone());
        callers.spawn(async move {
            let rounds = count.checked_div(CALLERS.saturating_mul(2)).unwrap_or(0);
            for _ in 0..rounds {
                for sample in &samples {
                    drop(writer.append(sample.clone(), None, durability).await?);
                }
            }
            Ok::<_, writ_audit::AppendError>(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

fn intent(clock: &RealClock) -> Result<Record, Box<dyn Error>> {
    let now = clock.now();
    let key = Secret::new([3; 32]);
    let effects = Effects::plain(Effect::Write);
    let event = Event::Intent(Box::new(Intent {
        call: CallId::new(now, [0; 10]),
        subject: Subject {
            agent: AgentId::new(now, [1; 10]),
            spiffe: "spiffe://writ.local/agent/dns".parse()?,
            requester: None,
            task: TaskId::new(now, [2; 10]),
            token: TokenId::new(now, [3; 10]),
            binding: Binding::Dpop(Digest::of(b"key")),
        },
        purpose: "acme-renewal".parse()?,
        prompt: Some(KeyedDigest::of(&key, "prompt", b"prompt")),
        action: "dns:patchZone".parse()?,
        method: "PATCH".parse()?,
        path: "/servers/{server_id}/zones/{zone_id}".to_owned(),
        contract: Digest::of(b"contract"),
        effects,
        decision: Decision {
            verdict: Verdict::Allow,
            rules: ["acme.writes".to_owned()].into(),
            at: now,
            policy: Digest::of(b"policy"),
            obligations: [].into(),
            approval: None,
            shadow: None,
        },
        credential: Some("powerdns".parse()?),
        request: KeyedDigest::of(&key, "request", b"request"),
        request_bytes: 311,
        source: Some(Source::of(std::net::Ipv4Addr::LOCALHOST.into())),
        trace: None,
        spent: Charge::of(effects),
        left: Budget::DEFAULT,
        step: None,
        quantities: None,
        written: None,
        evidence: None,
    }));
    Ok(Record::new(header(now)?, event))
}

fn outcome(clock: &RealClock) -> Result<Record, Box<dyn Error>> {
    let now = clock.now();
    let event = Event::Outcome(Outcome {
        call: CallId::new(now, [0; 10]),
        intent: 17,
        task: TaskId::new(now, [2; 10]),
        agent: AgentId::new(now, [1; 10]),
        action: "dns:patchZone".parse()?,
        result: OutcomeKind::Completed,
        status: Some(204),
        request: None,
        request_bytes: None,
        response: Some(KeyedDigest::of(&Secret::new([3; 32]), "response", b"")),
        response_bytes: 0,
        conformance: None,
        response_faults: None,
        labels: std::collections::BTreeSet::new(),
        phases: Phases::default(),
        settled: Charge::default(),
    });
    Ok(Record::new(header(now)?, event))
}

fn header(now: Timestamp) -> Result<Header, Box<dyn Error>> {
    Ok(Header {
        id: RecordId::new(now, [0; 10]),
        tenant: Tenant::default_tenant(),
        time: now,
        node: "one".parse()?,
        revision: None,
    })
}

#[expect(
    clippy::print_stdout,
    reason = "the measurement is the program's output"
)]
fn say(line: &str) {
    println!("{line}");
}
