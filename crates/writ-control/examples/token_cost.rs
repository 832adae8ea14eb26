//! What a token costs: to be verified when it was seen before, and to be made, beside the bare signature and the bare record.
//!
//! `cargo run --release -p writ-control --example token_cost [-- <directory>]`; the directory decides which disk is measured.
//! Medians of a thousand; what is compared is measured in turn.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use writ_audit::{
    Append as _, Durability, Event, Header, Record, Signer as LogSigner, TokenIssued,
};
use writ_control::log::{LogWriter, origin};
use writ_token::{
    AccessTokenClaims, KeySet, Signer, TokenCache, TokenVerifier, generate_signing_key,
};
use writ_types::{
    AgentId, Binding, Clock, Digest, JsonLimits, Limits, Monotonic, RecordId, Resource, Secret,
    TaskId, Tenant, Timeouts, Timestamp, TokenId, Value,
};

/// How often each is measured.
const ROUNDS: usize = 1000;

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

fn instant() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement needs the real clock"
    )]
    Instant::now()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let data = base.join(format!("writ-token-cost-{}", std::process::id()));
    let done = measure(&data);
    std::fs::remove_dir_all(&data)?;
    done
}

/// Claims as the token endpoint makes them; `round` keeps each token its own.
fn claims(now: Timestamp, round: usize) -> Result<AccessTokenClaims, Box<dyn Error>> {
    let details = br#"[{"type":"writ_task","purpose":"acme-renewal","actions":["dns:listZones","dns:patchZone"],"budget":{"calls":50,"writes":5}}]"#;
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().zip(round.to_be_bytes()) {
        *to = from;
    }
    Ok(AccessTokenClaims {
        issuer: "https://control.writ.example".parse()?,
        resource: Resource::Api("dns".parse()?),
        client_id: "spiffe://writ.local/agent/dns".parse()?,
        requester: None,
        spiffe: "spiffe://writ.local/agent/dns".parse()?,
        prior_actors: Vec::new(),
        agent: AgentId::new(now, [1; 10]),
        task: TaskId::new(now, [2; 10]),
        token: TokenId::new(now, random),
        binding: Binding::Dpop(Digest::of(b"key")),
        details: Value::parse(details, &JsonLimits::REQUEST)?,
        issued: now,
        authentication: None,
        not_before: None,
        expires: now.plus(Duration::from_secs(300)),
    })
}

fn issued(claims: &AccessTokenClaims, now: Timestamp) -> Result<Record, Box<dyn Error>> {
    let header = Header {
        id: RecordId::new(now, [3; 10]),
        tenant: Tenant::default_tenant(),
        time: now,
        node: "node1".parse()?,
        revision: None,
    };
    let event = Event::TokenIssued(TokenIssued {
        token: claims.token,
        task: claims.task,
        agent: claims.agent,
        api: None,
        binding: claims.binding.clone(),
        expires: claims.expires,
        source: None,
    });
    Ok(Record::new(header, event))
}

fn measure(data: &Path) -> Result<(), Box<dyn Error>> {
    let clock = RealClock(instant());
    let now = Timestamp::from_secs(clock.now().secs_since_epoch());
    let pkcs8 = generate_signing_key()?;
    let bare = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose())?;
    let signer = Signer::from_pkcs8(&pkcs8)?;
    let public_url = "https://writ.example".parse()?;
    let verifier = TokenVerifier::new(
        "https://control.writ.example".parse()?,
        Tenant::default_tenant(),
        "https://writ.example".parse()?,
        KeySet::of(vec![signer.verifying_key()?])?,
        Limits::default().token_bytes,
    );
    let log = LogSigner::new(
        origin("writ.example", &Tenant::default_tenant(), &"one".parse()?)?,
        &Secret::new([7; 32]),
    )?;
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let (writer, _) = LogWriter::open(
        data,
        log,
        Arc::new(RealClock(instant())),
        &limits,
        &timeouts,
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    let random = SystemRandom::new();
    let (mut signing, mut recording, mut issuing) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let claims = claims(now, round)?;
        let message = [7; 700];
        let begun = instant();
        std::hint::black_box(bare.sign(&random, &message)?);
        signing.push(begun.elapsed());

        let record = issued(&claims, clock.now())?;
        let begun = instant();
        drop(runtime.block_on(writer.append(record, None, Durability::Durable))?);
        recording.push(begun.elapsed());

        // As the endpoint does it: a token is verified before it leaves.
        let begun = instant();
        let text = signer.sign(&claims, &public_url)?;
        std::hint::black_box(verifier.verify(&text, now)?);
        let record = issued(&claims, clock.now())?;
        drop(runtime.block_on(writer.append(record, None, Durability::Durable))?);
        issuing.push(begun.elapsed());
    }
    let (signing, recording, issuing) = (median(signing), median(recording), median(issuing));
    let together = signing.saturating_add(recording);
    say(&format!("the bare signature: {signing:.1?}"));
    say(&format!("the bare record, on disk: {recording:.1?}"));
    say(&format!(
        "a token made, verified and recorded: {issuing:.1?}, {:.2} times both",
        issuing.as_secs_f64() / together.as_secs_f64()
    ));

    seen(&signer, &verifier, now)
}

/// What it costs to verify tokens, the first time and again.
fn seen(signer: &Signer, verifier: &TokenVerifier, now: Timestamp) -> Result<(), Box<dyn Error>> {
    let public_url = "https://writ.example".parse()?;
    let cache = TokenCache::new(Limits::default().token_cache);
    let texts = (0..ROUNDS)
        .map(|round| Ok(signer.sign(&claims(now, round)?, &public_url)?))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let mut first = Vec::new();
    for text in &texts {
        let begun = instant();
        std::hint::black_box(cache.verify(text, verifier, now)?);
        first.push(begun.elapsed());
    }
    // One by one the clock would be a good part of it.
    let mut seen = Vec::new();
    for _ in 0..100 {
        let begun = instant();
        for text in &texts {
            std::hint::black_box(cache.verify(text, verifier, now)?);
        }
        let each = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        seen.push(begun.elapsed().checked_div(each).unwrap_or_default());
    }
    say(&format!(
        "a token of {} bytes",
        texts.first().map_or(0, String::len)
    ));
    say(&format!("verified the first time: {:.1?}", median(first)));
    say(&format!(
        "verified when it was seen before: {:.2?}",
        median(seen)
    ));
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "the measurement is the program's output"
)]
fn say(line: &str) {
    println!("{line}");
}
