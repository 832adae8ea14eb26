//! `kill -9` under load, again and again, on the same folder: nothing is lost and no budget goes back up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use tokio::sync::watch;
use writ::agent::AgentClient;
use writ_audit::{Event, Record};
use writ_store::keyfile;
use writ_testkit::{Project, open, project, reason, runtime};
use writ_types::{KeyedDigest, Secret, Value};

use crate::depot::{Depot, Seen, task};
use crate::load::{Held, Ledger, Told, unleash};
use crate::process::{Process, done, number, records, records_from, starts};

const KILLS: usize = 56;
const CLIENTS: usize = 6;
/// Tasks that are in use at a time; they are looked at after each start, and all of them at the end.
const RECENT: usize = 4;
/// Kills of a process that has not even begun to listen.
const EARLY: usize = 8;

/// A small generator (splitmix64), so that a printed seed repeats a run as far as time can be repeated.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        let seed = option_env!("WRIT_TEST_SEED").and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from_be_bytes(bytes));
        say(&format!("seed {seed} (WRIT_TEST_SEED repeats it)"));
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the seed belongs to the output of a failed test"
)]
fn say(text: &str) {
    eprintln!("  kill: {text}");
}

#[test]
fn nothing_is_lost_however_often_the_process_is_killed() {
    runtime().block_on(async {
        let project = project!();
        let mut world = World::new(&project).await;
        for round in 0..KILLS {
            world.burst(round).await;
        }
        let process = Process::start(&project);
        world.spent_and_dead_stay_so().await;
        let (status, _) = process.stop();
        assert!(status.success());
        done(&project, &["audit", "verify"]);
        world.judge();
    });
}

/// The test's state across kills.
struct World<'a> {
    project: &'a Project,
    depot: Depot,
    agent: Arc<AgentClient>,
    ledger: Ledger,
    tasks: Vec<Arc<Held>>,
    /// What each task had spent when it was last looked at, at rest.
    spent: BTreeMap<String, u64>,
    /// How many intents the log has of each task, among the records that were read.
    intents: BTreeMap<String, u64>,
    read: usize,
    /// Tasks whose kill was answered.
    dead: BTreeSet<String>,
    /// Tasks whose kill was asked for: if nobody answered, they may be dead or not.
    condemned: BTreeSet<String>,
    random: Random,
}

impl<'a> World<'a> {
    async fn new(project: &'a Project) -> Self {
        let depot = Depot::open(project).await;
        let process = Process::start(project);
        project.sign_in();
        process.kill();
        Self {
            project,
            depot,
            agent: Arc::new(project.client()),
            ledger: Ledger::default(),
            tasks: Vec::new(),
            spent: BTreeMap::new(),
            intents: BTreeMap::new(),
            read: 0,
            dead: BTreeSet::new(),
            condemned: BTreeSet::new(),
            random: Random::seeded(),
        }
    }

    /// Starts, lets everybody call, and kills at a random moment after the first call was answered.
    async fn burst(&mut self, round: usize) {
        if round.is_multiple_of(KILLS / EARLY) {
            // A start that is killed is no start; what it left must not matter.
            let process = Process::spawn(self.project);
            tokio::time::sleep(Duration::from_millis(self.random.below(200))).await;
            process.kill();
        }
        let process = Process::start(self.project);
        self.look_back(RECENT).await;
        // A few tasks at a time, with budgets that end within the burst, within several, and never.
        let (calls, writes) = [(7, 2), (60, 20), (100_000, 100_000)][round % 3];
        self.open(calls, writes).await;
        let tail = self.tasks.len().saturating_sub(RECENT);
        let heard = watch::Sender::new(0);
        let mut clients = unleash(
            &self.agent,
            &self.tasks[tail..],
            &self.ledger,
            CLIENTS,
            &heard,
        );
        heard
            .subscribe()
            .wait_for(|count| *count > 0)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(5 + self.random.below(145))).await;
        if round % 5 == 4 {
            self.kill_a_task_and(process).await;
        } else {
            process.kill();
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }

    async fn open(&mut self, calls: u64, writes: u64) {
        let open = open(&self.agent, &task(calls, writes)).await;
        self.tasks.push(Arc::new(Held {
            open,
            calls,
            writes,
        }));
    }

    /// Kills the newest task and the process at the same time: either the answer came, and the task is dead for ever, or
    /// it did not, and nothing was promised.
    async fn kill_a_task_and(&mut self, process: Process) {
        let newest = self.tasks.last().unwrap().open.task.clone();
        self.condemned.insert(newest.clone());
        let body = format!("{{\"task\":\"{newest}\"}}");
        let session = std::fs::read_to_string(self.project.path(".writ/operator-session")).unwrap();
        let control = self.project.control();
        let asked = tokio::spawn(async move {
            let authorization = format!("Bearer {}", session.trim());
            let headers = [
                ("authorization", authorization.as_str()),
                ("content-type", "application/json"),
            ];
            control
                .send(Method::POST, "/v1/kill", &headers, body)
                .await
                .is_ok_and(|answer| answer.status == 200)
        });
        tokio::time::sleep(Duration::from_millis(self.random.below(30))).await;
        process.kill();
        if asked.await.unwrap() {
            self.dead.insert(newest);
        }
    }

    /// After a start, before any call: what is spent is what the log says, at least what the depot saw, and no less than
    /// before.
    async fn look_back(&mut self, newest: usize) {
        let seen = self.seen_by_task();
        let new = records_from(self.project, self.read);
        self.read += new.len();
        for (id, count) in intents_by_task(&new) {
            *self.intents.entry(id).or_insert(0) += count;
        }
        for task in self.tasks.iter().rev().take(newest) {
            let id = &task.open.task;
            let answer = self
                .project
                .operator(Method::GET, &format!("/v1/tasks/{id}"), "")
                .await;
            if answer.status == 404 {
                assert!(self.condemned.contains(id), "{id} was forgotten");
                continue;
            }
            let status = answer.json();
            let state = status.member("state").and_then(Value::as_str).unwrap();
            assert!(
                state != "live" || !self.dead.contains(id),
                "{id} came back to life"
            );
            let spent = number(&status, &["calls_spent"]);
            assert!(
                state == "live" || self.condemned.contains(id),
                "{id}: {state}"
            );
            let wanted = if state == "live" {
                task.calls - spent
            } else {
                0
            };
            assert_eq!(
                spent,
                self.intents.get(id).copied().unwrap_or(0),
                "{id}: every intent counts, and nothing else"
            );
            assert_eq!(number(&status, &["left", "calls"]), wanted, "{id}");
            assert!(
                spent >= seen.get(id).map_or(0, |seen| seen.len()),
                "{id}: the depot saw more than was counted"
            );
            let before = self.spent.insert(id.clone(), spent).unwrap_or(0);
            assert!(spent >= before, "{id}: the budget went back up");
        }
    }

    fn seen_by_task(&self) -> BTreeMap<String, SeenOf> {
        let mut by_task: BTreeMap<String, SeenOf> = BTreeMap::new();
        for seen in self.depot.seen() {
            let marker = seen.marker();
            let (id, _) = marker.split_once('.').unwrap();
            by_task.entry(id.to_owned()).or_default().note(&seen);
        }
        by_task
    }

    async fn spent_and_dead_stay_so(&mut self) {
        self.look_back(self.tasks.len()).await;
        let before = self.depot.seen().len();
        let mut tried = 0;
        for task in self.tasks.clone() {
            let id = &task.open.task;
            let wanted = if self.dead.contains(id) {
                (401, "task_ended")
            } else if self.condemned.contains(id) {
                continue;
            } else if self.spent.get(id) == Some(&task.calls) {
                (403, "budget_exhausted")
            } else {
                continue;
            };
            let answer = self
                .agent
                .call(&task.open, Method::GET, "/depot/items?marker=late", None)
                .await
                .unwrap();
            assert_eq!((answer.status, reason(&answer).as_str()), wanted, "{id}");
            tried += 1;
        }
        assert!(tried > KILLS / 6, "the budgets were too large to be spent");
        assert_eq!(self.depot.seen().len(), before);
        say(&format!(
            "{} calls reached the depot, {} were answered, {} tasks were killed",
            before,
            self.ledger.told().len(),
            self.dead.len()
        ));
    }

    /// After all of it, from the files alone.
    fn judge(&self) {
        let records = records(self.project);
        every_arrival_has_its_intent(&self.depot.seen(), &records, &audit_key(self.project));
        every_answer_has_its_record(&self.ledger.told(), &records);
        every_orphan_is_reported_once(&records);
        let seen = self.seen_by_task();
        for task in &self.tasks {
            let Some(seen) = seen.get(&task.open.task) else {
                continue;
            };
            assert!(seen.len() <= task.calls, "{}: {seen:?}", task.open.task);
            assert!(seen.writes <= task.writes, "{}: {seen:?}", task.open.task);
        }
    }
}

/// What the depot saw of one task.
#[derive(Debug, Default)]
struct SeenOf {
    reads: u64,
    writes: u64,
}

impl SeenOf {
    fn note(&mut self, seen: &Seen) {
        if seen.method == "GET" {
            self.reads += 1;
        } else {
            self.writes += 1;
        }
    }

    fn len(&self) -> u64 {
        self.reads + self.writes
    }
}

fn intents_by_task(records: &[Record]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records {
        if let Event::Intent(intent) = &record.event {
            *counts.entry(intent.subject.task.to_string()).or_insert(0) += 1;
        }
    }
    counts
}

/// The key with which records commit to requests, derived from the installation's root key.
fn audit_key(project: &Project) -> Secret<[u8; 32]> {
    let root = keyfile::load_or_create(&project.path(".writ/keys/root.key")).unwrap();
    Secret::new(*KeyedDigest::of(&root, "audit", b"writ derived key v1").as_bytes())
}

/// Each request bears a marker of its own, so its commitment is its own too: arrivals and intents are matched one to one.
fn every_arrival_has_its_intent(seen: &[Seen], records: &[Record], key: &Secret<[u8; 32]>) {
    let mut committed = BTreeSet::new();
    for record in records {
        if let Event::Intent(intent) = &record.event {
            assert!(
                committed.insert(intent.request.to_string()),
                "one intent for two requests"
            );
        }
    }
    for request in seen {
        let mut digest = KeyedDigest::begin(key, "request");
        for part in [&request.method, &request.target, &request.content_type] {
            digest.update(part.as_bytes());
            digest.update(b"\n");
        }
        digest.update(&request.body);
        assert!(
            committed.remove(&digest.finish().to_string()),
            "the depot heard of {request:?}, the log did not, or not as often"
        );
    }
}

/// Who was answered can look it up: a success has its intent, a refusal its record.
fn every_answer_has_its_record(told: &[Told], records: &[Record]) {
    let mut kinds: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for record in records {
        if let Some(call) = record.call() {
            let kinds = kinds.entry(call.to_string()).or_default();
            assert!(kinds.insert(record.event.kind()), "{call}: two of a kind");
        }
    }
    for answer in told {
        let wanted = match (answer.status, answer.reason.as_str()) {
            (200, _) => "intent",
            (403, "budget_exhausted") | (429, _) => "refused",
            // Before the task is known a caller is a stranger.
            (401, "task_ended") => continue,
            _ => panic!("nobody asked for {answer:?}"),
        };
        assert!(
            kinds
                .get(&answer.call)
                .is_some_and(|kinds| kinds.contains(wanted)),
            "{answer:?} is not in the log"
        );
    }
}

/// Each start reports the intents without outcome since the start before it: every orphan once, and nothing else.
fn every_orphan_is_reported_once(records: &[Record]) {
    let ended: BTreeSet<_> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Outcome(outcome) => Some(outcome.call),
            _ => None,
        })
        .collect();
    let (mut since, mut expected) = (0, Vec::new());
    for record in records {
        match &record.event {
            Event::Intent(intent) if !ended.contains(&intent.call) => since += 1,
            Event::Started(_) => expected.push(std::mem::take(&mut since)),
            _ => {}
        }
    }
    assert_eq!(starts(records), expected);
    assert_eq!(since, 0, "an orderly stop leaves no orphan");
    let orphans: u64 = expected.iter().sum();
    say(&format!("{orphans} orphans over {} starts", expected.len()));
    assert!(orphans > 0, "no kill hit a call in flight");
}
