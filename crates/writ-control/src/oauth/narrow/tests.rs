//! No sequence of openings, narrowings, amendments, hand-overs, renewals and endings widens authority beyond what a person
//! approved, or outlives what it came from.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use writ_contract::{Contract, Reviews};
use writ_policy::Pdp;
use writ_task::{Ledger as _, MemoryLedger, TaskState};
use writ_types::{
    Agent, AgentId, Amendment, Api, Asserter, Asserters, Budget, Difference, Digest, Grant,
    JsonLimits, Limits, Mode, Purpose, Resource, RevisionId, TaskId, TaskRequest, Tenant,
    Timestamp, Value,
};

use super::{Granting, token_expiry};
use crate::amend::covered;
use crate::loaded::{Loaded, LoadedApi};

const START: Timestamp = Timestamp::from_secs(1_795_000_000);
const ACTIONS: [&str; 4] = ["desk:a", "desk:b", "desk:c", "desk:d"];
/// What the purpose covers; the fourth action is there and is nobody's.
const COVERED: usize = 3;
const LONGEST_TASK: u64 = 900;
const LONGEST_TOKEN: u64 = 120;

fn contract() -> Contract {
    let operation = |name: &str| {
        format!(
            r#""/{name}":{{"post":{{"operationId":"{name}","requestBody":{{"required":true,"content":{{"application/json":{{"schema":
            {{"type":"object","required":["amount"],"properties":{{"amount":{{"type":"integer"}}}}}}}}}}}},"responses":{{"200":{{"description":"ok"}}}}}}}}"#
        )
    };
    let paths = ["a", "b", "c", "d"].map(operation).join(",");
    let document = format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"desk","version":"1"}},"paths":{{{paths}}}}}"#
    );
    let (contract, report) = Contract::compile(
        &"desk".parse().unwrap(),
        document.as_bytes(),
        &Reviews::default(),
    );
    contract.unwrap_or_else(|| panic!("{report:?}"))
}

fn loaded() -> Loaded {
    let contract = contract();
    let actions = crate::reload::shapes(&contract);
    let api = Api {
        id: "desk".parse().unwrap(),
        owner: "o@example.org".parse().unwrap(),
        upstream: "http://127.0.0.1:1".parse().unwrap(),
        drift: None,
        credential: None,
        transaction_tokens: None,
        authorization_server: None,
        allow_unbound_tokens: false,
        max_token_life: Duration::from_secs(LONGEST_TOKEN),
        environment: Some("staging".parse().unwrap()),
    };
    let purpose = Purpose {
        name: "work".parse().unwrap(),
        owner: "o@example.org".parse().unwrap(),
        description: String::new(),
        actions: ACTIONS[..COVERED]
            .iter()
            .map(|action| action.parse().unwrap())
            .collect(),
        budget: budget(40),
        max_task_life: Duration::from_secs(LONGEST_TASK),
        agent_vouches: false,
        plan_required: false,
        hours: None,
        environments: BTreeSet::new(),
        max_blast_radius: None,
        user_authentication: None,
    };
    let api = LoadedApi {
        api,
        contract: Arc::new(contract),
        quarantined: BTreeSet::new(),
        credential: None,
    };
    Loaded {
        revision: RevisionId::new(START, [1; 10]),
        digest: Digest::of(b"x"),
        apis: BTreeMap::from([("desk".parse().unwrap(), api)]),
        agents: BTreeMap::new(),
        purposes: BTreeMap::from([(purpose.name.clone(), purpose)]),
        pdp: Arc::new(Pdp::compile(&[actions], &[writ_policy::baseline()], START).unwrap()),
        traps: Arc::default(),
    }
}

/// The agent that opens tasks, and those that it hands them on to: one of its kind, one where a person is present, and one that has
/// another purpose.
fn agents() -> [Agent; 4] {
    [
        agent(2, Mode::Autonomous, "work"),
        agent(3, Mode::Autonomous, "work"),
        agent(4, Mode::Copilot, "work"),
        agent(5, Mode::Autonomous, "spare"),
    ]
}

fn agent(number: u8, mode: Mode, purpose: &str) -> Agent {
    Agent {
        id: AgentId::new(START, [number; 10]),
        spiffe: format!("spiffe://writ.local/agent/a{number}")
            .parse()
            .unwrap(),
        owner: "o@example.org".parse().unwrap(),
        groups: BTreeSet::new(),
        mode,
        purposes: BTreeSet::from([purpose.parse().unwrap()]),
        selectors: BTreeSet::new(),
        federations: BTreeSet::new(),
        enabled: true,
        watch: writ_types::Watch::default(),
    }
}

fn budget(calls: u64) -> Budget {
    Budget {
        calls,
        ..Budget::DEFAULT
    }
}

/// What is asked for: which actions, the largest amount (none: any), calls, and seconds.
#[derive(Debug, Clone)]
struct Wish {
    actions: BTreeSet<usize>,
    amount: Option<u32>,
    calls: u64,
    life: u64,
}

impl Wish {
    fn request(&self) -> TaskRequest {
        TaskRequest::parse(&self.details()).unwrap()
    }

    fn details(&self) -> Value {
        let list = |items: Vec<String>| items.join(",");
        let actions = self
            .actions
            .iter()
            .map(|place| format!("\"{}\"", ACTIONS[*place]));
        let bound = |place: &usize| {
            let amount = self.amount?;
            Some(format!(
                "\"{}\":{{\"/body/amount\":{{\"max\":\"{amount}\"}}}}",
                ACTIONS[*place]
            ))
        };
        let bounds = self.actions.iter().filter_map(bound).collect();
        let text = format!(
            r#"[{{"type":"writ_task","purpose":"work","actions":[{}],"bounds":{{{}}},"budget":{{"calls":{}}},"expires_in":{}}}]"#,
            list(actions.collect()),
            list(bounds),
            self.calls,
            self.life
        );
        Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Open(Wish),
    /// For whom: an agent of [`agents`], or the task's own.
    Narrow(usize, Wish, Option<usize>),
    /// A token for a task, by a proof that holds for so many seconds.
    Token(usize, u64),
    Close(usize),
    Wait(u64),
    /// A live task is to hold something else.
    Amend(usize, Wish, Person),
}

/// Whether somebody is there who says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    SaysYes,
    Nobody,
}

fn wish() -> impl Strategy<Value = Wish> {
    let actions = prop::collection::btree_set(0..ACTIONS.len(), 1..=ACTIONS.len());
    let amounts = prop::sample::select(vec![9_u32, 10, 11]);
    let amount = prop::option::of(amounts);
    (actions, amount, 1..60_u64, 1..1200_u64).prop_map(|(actions, amount, calls, life)| Wish {
        actions,
        amount,
        calls,
        life,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => wish().prop_map(Step::Open),
        9 => (0..8_usize, wish(), prop::option::of(0..4_usize))
            .prop_map(|(place, wish, whom)| Step::Narrow(place, wish, whom)),
        4 => (0..8_usize, 0..600_u64).prop_map(|(place, until)| Step::Token(place, until)),
        1 => (0..8_usize).prop_map(Step::Close),
        1 => (1..400_u64).prop_map(Step::Wait),
        5 => (0..8_usize, wish(), prop::sample::select(vec![Person::SaysYes, Person::Nobody]))
            .prop_map(|(place, wish, yes)| Step::Amend(place, wish, yes)),
    ]
}

/// A task as it was granted, with what was asked, so that what it holds is judged without the code under test.
#[derive(Clone)]
struct Known {
    grant: Arc<Grant>,
    wish: Wish,
    parent: Option<usize>,
    closed: bool,
    amended: bool,
}

struct World<'a> {
    loaded: &'a Loaded,
    agents: [Agent; 4],
    tenant: Tenant,
    ledger: MemoryLedger,
    tasks: Vec<Known>,
    now: Timestamp,
    made: u8,
    /// How many tasks were narrowed, how many of them handed on, how many tokens given, and how many tasks came to hold more, over
    /// all sequences.
    done: &'a Cell<(u64, u64, u64, u64)>,
}

/// The ledger of one process answers at once.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match answer.as_mut().poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("the ledger waits"),
    }
}

impl World<'_> {
    fn open(&mut self, parent: Option<usize>, wish: Wish, whom: Option<usize>) {
        let above = parent.map(|place| self.tasks[place].grant.agent);
        let own = |agent: &&Agent| above.is_none_or(|above| agent.id == above);
        let agent = match whom {
            Some(place) => &self.agents[place],
            None => self.agents.iter().find(own).unwrap(),
        };
        let status = parent.map(|place| {
            let task = self.tasks[place].grant.task;
            at_once(self.ledger.status(&self.tenant, task, self.now))
        });
        // As the endpoint does: a task is narrowed only while it lives.
        let status = match status {
            Some(status) => match status.filter(|status| status.state == TaskState::Live) {
                None => return,
                live => live,
            },
            None => None,
        };
        self.made = self.made.wrapping_add(1);
        let granting = Granting {
            loaded: self.loaded,
            tenant: &self.tenant,
            agent,
            requester: None,
            resource: &Resource::All,
            parent: status.as_ref().map(|status| (&*status.grant, status.left)),
            task: TaskId::new(self.now, [self.made; 10]),
            asserter: Asserter::Agent,
            prompt: None,
            now: self.now,
        };
        let Ok(grant) = granting.narrow(&wish.request()) else {
            return;
        };
        if let Ok(grant) = at_once(self.ledger.open(grant, self.now)) {
            let (narrowed, handed, tokens, amended) = self.done.get();
            let is_handed = above.is_some_and(|above| above != grant.agent);
            self.done.set((
                narrowed.saturating_add(u64::from(parent.is_some())),
                handed.saturating_add(u64::from(is_handed)),
                tokens,
                amended,
            ));
            let closed = false;
            self.tasks.push(Known {
                grant,
                wish,
                parent,
                closed,
                amended: false,
            });
        }
    }

    /// As the endpoint does: what widens is within the purpose and has been approved, and the ledger has the last word.
    fn amend(&mut self, place: usize, wish: Wish, person: Person) {
        let before = Arc::clone(&self.tasks[place].grant);
        let Ok(amendment) = Amendment::parse(&wish.details(), &before) else {
            return;
        };
        let (after, from) = (amendment.applied_to(&before), before.digest());
        let looked = self.ledger.look_at_amendment(&after, &from, self.now);
        if at_once(looked).is_err() {
            return;
        }
        let widens = Difference::between(&before, &after).widens();
        let purpose = &self.loaded.purposes[&after.purpose];
        let grants = (&*before, &after);
        if widens
            && (person == Person::Nobody
                || covered(self.loaded, purpose, &Resource::All, grants).is_err())
        {
            return;
        }
        let cut = at_once(self.ledger.amend(after.clone(), &from, self.now));
        let cut = cut.expect("nothing has happened since it was looked at");
        for known in &mut self.tasks {
            known.closed |= cut.tasks.contains(&known.grant.task);
        }
        let (narrowed, handed, tokens, amended) = self.done.get();
        let amended = amended.saturating_add(u64::from(widens));
        self.done.set((narrowed, handed, tokens, amended));
        let known = &mut self.tasks[place];
        (known.grant, known.wish) = (Arc::new(after), wish);
        known.amended = true;
    }

    /// A task and everything above it.
    fn lineage(&self, place: usize) -> impl Iterator<Item = &Known> {
        let parent = |known: &&Known| known.parent.map(|place| &self.tasks[place]);
        std::iter::successors(self.tasks.get(place), parent)
    }

    /// Whether the task, and everything above it, is neither closed nor over: without asking the ledger.
    fn lives(&self, place: usize) -> bool {
        self.lineage(place)
            .all(|known| !known.closed && self.now < known.grant.deadline)
    }

    fn is_live(&self, place: usize) -> bool {
        let task = self.tasks[place].grant.task;
        let status = at_once(self.ledger.status(&self.tenant, task, self.now));
        status.is_some_and(|status| status.state == TaskState::Live)
    }

    /// When a token would end, if one were given.
    fn token(&self, place: usize, until: Timestamp) -> Option<Timestamp> {
        let grant = &self.tasks[place].grant;
        let expires = token_expiry(self.loaded, grant, &Resource::All, self.now).min(until);
        (self.is_live(place) && expires.secs_since_epoch() > self.now.secs_since_epoch())
            .then_some(expires)
    }

    fn holds(&self) {
        for (place, known) in self.tasks.iter().enumerate() {
            let grant = &known.grant;
            assert_eq!(
                self.is_live(place),
                self.lives(place),
                "a child dies with its parent"
            );
            let covered = ACTIONS[..COVERED]
                .iter()
                .map(|action| action.parse().unwrap());
            assert!(
                grant.actions.is_subset(&covered.collect()),
                "the purpose covers it"
            );
            assert!(grant.budget.calls <= known.wish.calls.min(40));
            let status = at_once(self.ledger.status(&self.tenant, grant.task, self.now));
            assert!(
                status.is_none_or(|status| status.grant == *grant),
                "it holds what it was opened with or what a person approved"
            );
            assert!(grant.deadline <= grant.opened.plus(Duration::from_secs(LONGEST_TASK)));
            assert_eq!(
                grant.asserters,
                Asserters::default(),
                "the agent vouches for nothing"
            );
            // One that is over holds nothing, whatever the task above it came to hold since.
            let above = known.parent.filter(|_| self.lives(place));
            let Some(parent) = above.map(|place| &self.tasks[place]) else {
                continue;
            };
            assert!(
                grant.actions.is_subset(&parent.grant.actions),
                "actions shrink"
            );
            let most = |known: &Known| known.wish.amount.map_or(u64::MAX, u64::from);
            assert!(most(known) <= most(parent), "bounds shrink");
            let left = |known: &Known| {
                let status = self.ledger.status(&self.tenant, known.grant.task, self.now);
                at_once(status).map(|status| status.left.calls)
            };
            assert!(left(known) <= left(parent), "budgets shrink");
            let as_opened = grant.budget.calls <= parent.grant.budget.calls;
            assert!(as_opened || parent.amended, "budgets shrink");
            assert!(grant.deadline <= parent.grant.deadline, "deadlines shrink");
            let [_, _, copilot, spare] = &self.agents;
            assert_ne!(
                grant.agent, spare.id,
                "nobody gets a purpose by a hand-over"
            );
            let is_copilots = grant.agent == copilot.id;
            assert_eq!(
                grant.mode == Mode::Copilot,
                is_copilots,
                "a mode is the agent's own"
            );
            let was_copilots = parent.grant.mode == Mode::Copilot;
            assert!(is_copilots || !was_copilots, "modes shrink");
        }
    }

    fn step(&mut self, step: Step) {
        let place = |tasks: &[Known], wanted: usize| wanted.checked_rem(tasks.len());
        match step {
            Step::Open(wish) => self.open(None, wish, None),
            Step::Narrow(wanted, wish, whom) => {
                if let Some(parent) = place(&self.tasks, wanted) {
                    self.open(Some(parent), wish, whom);
                }
            }
            Step::Token(wanted, seconds) => {
                let until = self.now.plus(Duration::from_secs(seconds));
                let Some(place) = place(&self.tasks, wanted) else {
                    return;
                };
                if let Some(expires) = self.token(place, until) {
                    let (narrowed, handed, tokens, amended) = self.done.get();
                    let tokens = tokens.saturating_add(1);
                    self.done.set((narrowed, handed, tokens, amended));
                    assert!(self.lives(place), "a token of a task that has ended");
                    assert!(expires <= until, "a token outlives what proved its agent");
                    assert!(expires <= self.now.plus(Duration::from_secs(LONGEST_TOKEN)));
                    let above = self
                        .lineage(place)
                        .all(|known| expires <= known.grant.deadline);
                    assert!(above, "a token outlives a task above its own");
                }
            }
            Step::Close(wanted) => {
                if let Some(place) = place(&self.tasks, wanted) {
                    let task = self.tasks[place].grant.task;
                    drop(at_once(self.ledger.close(&self.tenant, task)));
                    self.tasks[place].closed = true;
                }
            }
            Step::Amend(wanted, wish, person) => {
                if let Some(place) = place(&self.tasks, wanted) {
                    self.amend(place, wish, person);
                }
            }
            Step::Wait(seconds) => self.now = self.now.plus(Duration::from_secs(seconds)),
        }
        self.holds();
    }
}

#[test]
fn authority_only_shrinks_whatever_is_done() {
    let (loaded, done) = (loaded(), Cell::default());
    let config = ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(first in wish(), steps in prop::collection::vec(step(), 1..15))| {
        let mut world = World {
            loaded: &loaded,
            agents: agents(),
            tenant: Tenant::default_tenant(),
            ledger: MemoryLedger::new(&Limits::default()),
            tasks: Vec::new(),
            now: START,
            made: 0,
            done: &done,
        };
        world.step(Step::Open(first));
        for step in steps {
            world.step(step);
        }
    });
    let (narrowed, handed, tokens, amended) = done.get();
    assert!(narrowed > 3_000 && tokens > 10_000, "{narrowed} {tokens}");
    assert!(handed > 500, "{handed} of {narrowed} were handed on");
    assert!(amended > 500, "{amended} came to hold more");
}

/// What a prompt vouches for is bounded; what the agent says itself vouches for nothing, and may be long.
#[test]
fn a_prompt_vouches_for_what_somebody_could_have_read() {
    let loaded = loaded();
    let agent = &agent(1, Mode::Autonomous, "work");
    let opened = |asserter: Asserter, names: usize| {
        let names: Vec<String> = (0..names)
            .map(|name| format!("u{name}@example.org"))
            .collect();
        let text = format!(
            r#"[{{"type":"writ_task","purpose":"work","prompt":"write to {}","actions":["desk:a"]}}]"#,
            names.join(", ")
        );
        let request = Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap();
        let granting = Granting {
            loaded: &loaded,
            tenant: &Tenant::default_tenant(),
            agent,
            requester: None,
            resource: &Resource::All,
            parent: None,
            task: TaskId::new(START, [9; 10]),
            asserter,
            prompt: None,
            now: START,
        };
        granting
            .narrow(&TaskRequest::parse(&request).unwrap())
            .map(drop)
    };
    let client = || Asserter::Client("planner".parse().unwrap());
    assert_eq!(opened(client(), 256), Ok(()));
    let refused = opened(client(), 257).unwrap_err();
    assert!(refused.to_string().contains("prompt_values"), "{refused}");
    assert_eq!(opened(Asserter::Agent, 257), Ok(()));
}
