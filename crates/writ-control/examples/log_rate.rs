//! How many records the log takes and verifies in a second, on this machine and this disk.
//!
//! `cargo run --release -p writ-control --example log_rate [-- <directory>]`; the directory decides which disk is measured.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use writ_audit::{
    Append as _, Decision, Durability, Event, Header, Intent, Leaf, Record, Signer, Source, Subject,
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
    let sample = intent(&clock, 0)?;
    let begun = now();
    for _ in 0..RECORDS {
        std::hint::black_box(Leaf::of(&sample, 16 * 1024)?);
    }
    report("encoded and hashed", RECORDS, begun.elapsed());
    say(&format!(
        "bytes of a record: {}",
        Leaf::of(&sample, 16 * 1024)?.bytes().len()
    ));

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
        let begun = now();
        runtime.block_on(append(&writer, &sample, durability, count))?;
        report(what, count, begun.elapsed());
    }
    let begun = now();
    let checkpoint = runtime.block_on(writer.flush())?;
    say(&format!(
        "flushed in {:?} to a checkpoint of {}",
        begun.elapsed(),
        checkpoint.size
    ));
    drop(writer);

    let path = data.join("log");
    let begun = now();
    let verified = verify_directory(&path, &key)?;
    report("verified", verified.verified, begun.elapsed());
    say(&format!("{verified}"));
    let begun = now();
    let mut bytes = 0usize;
    LogReader::new(&path).scan(0, |_, entry| {
        bytes = bytes.saturating_add(entry.len());
        ControlFlow::Continue(())
    })?;
    report("scanned", checkpoint.size, begun.elapsed());
    Ok(())
}

async fn append(
    writer: &Arc<LogWriter>,
    sample: &Record,
    durability: Durability,
    count: u64,
) -> Result<(), Box<dyn Error>> {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (writer, sample) = (Arc::clone(writer), sample.clone());
        callers.spawn(async move {
            for _ in 0..count / CALLERS {
                drop(writer.append(sample.clone(), None, durability).await?);
            }
            Ok::<_, writ_audit::AppendError>(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

fn intent(clock: &RealClock, number: u8) -> Result<Record, Box<dyn Error>> {
    let now = clock.now();
    let key = Secret::new([3; 32]);
    let effects = Effects::plain(Effect::Write);
    let event = Event::Intent(Box::new(Intent {
        call: CallId::new(now, [number; 10]),
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
        },
        credential: Some("powerdns".parse()?),
        request: KeyedDigest::of(&key, "request", b"request"),
        request_bytes: 311,
        source: Some(Source::of(std::net::Ipv4Addr::LOCALHOST.into())),
        trace: None,
        spent: Charge::of(effects),
        left: Budget::DEFAULT,
        evidence: None,
    }));
    let header = Header {
        id: RecordId::new(now, [number; 10]),
        tenant: Tenant::default_tenant(),
        time: now,
        node: "one".parse()?,
        revision: None,
    };
    Ok(Record::new(header, event))
}

fn report(what: &str, count: u64, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let rate = count.saturating_mul(1_000_000) / micros;
    say(&format!("{what}: {count} in {took:.2?}, {rate} records/s"));
}

#[expect(
    clippy::print_stdout,
    reason = "the measurement is the program's output"
)]
fn say(line: &str) {
    println!("{line}");
}
