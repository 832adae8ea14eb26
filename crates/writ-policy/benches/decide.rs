//! How long a decision takes: 10,000 policies over an API of 1,200 operations, of which 10 apply to the action.
//!
//! `cargo bench -p writ-policy`. It prints and asserts nothing: a machine's load is no property of the code.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers of a bench, all small"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use writ_policy::{
    ActionShape, ApiActions, InputView, Pdp, PolicySource, Question, ResponseView, baseline,
};
use writ_types::{
    ActionName, Agent, AgentId, Attr, AttrField, AttrType, Bounds, Budget, CallId, Charge, Digest,
    Effect, Effects, Facts, Grant, Mode, Plan, PlanStanding, TaskId, Tenant, Timestamp,
};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const OPERATIONS: usize = 1_200;
const POLICIES: usize = 10_000;
const ROUNDS: usize = 20_000;

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// Nanoseconds this thread has run, where Linux says so: what other processes do does not count.
fn on_processor() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn record(fields: &[(&str, AttrType)]) -> AttrType {
    let field = |(name, ty): &(&str, AttrType)| {
        let ty = ty.clone();
        let required = true;
        ((*name).to_owned(), AttrField { ty, required })
    };
    AttrType::Record(fields.iter().map(field).collect())
}

fn api() -> Option<ApiActions> {
    let body: Vec<(String, AttrType)> = (0..12)
        .map(|number| (format!("field{number}"), AttrType::String))
        .collect();
    let mut fields: Vec<(&str, AttrType)> = body
        .iter()
        .map(|(name, ty)| (name.as_str(), ty.clone()))
        .collect();
    fields.push(("amount", AttrType::Long));
    let attributes = record(&[
        ("path", record(&[("id", AttrType::String)])),
        ("body", record(&fields)),
    ]);
    let operations: Option<Vec<ActionShape>> = (0..OPERATIONS)
        .map(|number| {
            Some(ActionShape {
                operation: format!("op{number}").parse().ok()?,
                effects: Effects::plain(Effect::Write),
                sensitive: true,
                unready: false,
                attributes: attributes.clone(),
                domains: writ_types::Domains::new(),
                quantities: BTreeSet::new(),
            })
        })
        .collect();
    Some(ApiActions {
        api: "hub".parse().ok()?,
        contract: Digest::of(b"hub"),
        operations: operations?,
    })
}

/// Policies that name one operation each; `op0` gets six, so that with the baseline's four for writes ten apply.
fn policies() -> Vec<PolicySource> {
    let mut text = String::new();
    for number in 0..POLICIES.saturating_sub(6) {
        let operation = if number < 6 {
            0
        } else {
            1 + number % (OPERATIONS - 1)
        };
        let limit = number % 997 + 100;
        text.push_str(&format!(
            "@id(\"r{number}\") forbid(principal, action == Api_hub::Action::\"op{operation}\", resource) \
             when {{ context.body.amount > {limit} && context.path.id like \"x{number}*\" }};\n"
        ));
    }
    vec![
        baseline(),
        PolicySource {
            name: "bench.cedar".to_owned(),
            text,
        },
    ]
}

struct Case {
    tenant: Tenant,
    agent: Agent,
    grant: Grant,
    action: ActionName,
    input: Attr,
    facts: Facts,
    none: BTreeSet<String>,
}

fn case() -> Option<Case> {
    let action: ActionName = "hub:op0".parse().ok()?;
    let agent = AgentId::new(NOW, [1; 10]);
    let member = |name: &str, attr: Attr| (name.to_owned(), attr);
    let record = |name: &str, attr| Attr::Record(BTreeMap::from([member(name, attr)]));
    let id = Attr::String("x5-example".to_owned());
    let input = Attr::Record(BTreeMap::from([
        member("path", record("id", id)),
        member("body", record("amount", Attr::Long(50))),
    ]));
    Some(Case {
        tenant: Tenant::default_tenant(),
        agent: Agent {
            id: agent,
            spiffe: "spiffe://writ.local/agent/bench".parse().ok()?,
            owner: "ops@example.org".parse().ok()?,
            groups: BTreeSet::from(["infra".to_owned()]),
            mode: Mode::Copilot,
            purposes: BTreeSet::from(["bench".parse().ok()?]),
            selectors: BTreeSet::new(),
            federations: BTreeSet::new(),
            enabled: true,
            watch: writ_types::Watch::default(),
        },
        grant: Grant {
            tenant: Tenant::default_tenant(),
            task: TaskId::new(NOW, [2; 10]),
            agent,
            requester: None,
            purpose: "bench".parse().ok()?,
            mode: Mode::Copilot,
            actions: (0..5)
                .map(|number| format!("hub:op{number}").parse())
                .collect::<Result<_, _>>()
                .ok()?,
            bounds: Bounds::none(),
            plan: Plan::none(),
            budget: Budget::DEFAULT,
            opened: NOW,
            deadline: NOW.plus(Duration::from_secs(300)),
            parent: None,
            prompt: None,
            asserters: writ_types::Asserters::default(),
        },
        facts: Facts {
            now: NOW,
            labels: BTreeSet::new(),
            sinks: BTreeSet::new(),
            spent: Charge::of(Effects::plain(Effect::Write)),
            windows: BTreeMap::new(),
            this_operation: 1,
            approvals: BTreeSet::new(),
            deferred: BTreeSet::new(),
            left: Budget::DEFAULT,
            seen: BTreeSet::new(),
            approved: BTreeSet::new(),
            operation: action.operation.clone(),
            vouchers: writ_types::Vouchers::default(),
            arguments: writ_types::ArgumentOrigins::default(),
            plan: PlanStanding::Free,
        },
        action,
        input,
        none: BTreeSet::new(),
    })
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn main() {
    let Some((api, case)) = api().zip(case()) else {
        println!("the bench's own names are wrong");
        return;
    };
    let policies = policies();
    let (pdp, took) = timed(|| Pdp::compile(std::slice::from_ref(&api), &policies, NOW));
    let pdp = match pdp {
        Ok(pdp) => pdp,
        Err(found) => {
            println!("{found:#?}");
            return;
        }
    };
    println!("compile {POLICIES} policies over {OPERATIONS} operations: {took:?}");
    let (_again, took) = timed(|| Pdp::recompile(Some(&pdp), &[api], &policies, NOW));
    println!("recompile unchanged: {took:?}");
    let question = Question {
        tenant: &case.tenant,
        call: CallId::new(NOW, [3; 10]),
        agent: &case.agent,
        grant: &case.grant,
        action: &case.action,
        input: InputView::Typed(&case.input),
        facts: &case.facts,
        extra: &case.none,
        nulls: &case.none,
        response: ResponseView::Buffered,
    };
    // On a thread of its own, as in the gateway: the thread that compiled has a heap full of holes.
    std::thread::scope(|scope| {
        scope.spawn(|| decisions(&pdp, &question));
    });
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn decisions(pdp: &Pdp, question: &Question<'_>) {
    let (prepared, took) = timed(|| pdp.prepare(question.agent, question.grant));
    println!("prepare a task of five actions: {took:?}");
    let Ok(prepared) = prepared else { return };
    let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
    let mut allowed = 0usize;
    let before = on_processor();
    for _ in 0..ROUNDS {
        let (permit, took) = timed(|| pdp.decide_prepared(&prepared, question));
        allowed += usize::from(permit.is_ok());
        times.push(took);
    }
    let rounds = u64::try_from(ROUNDS).unwrap_or(u64::MAX);
    if let Some((before, after)) = before.zip(on_processor()) {
        println!(
            "decide, mean on the processor: {} ns",
            (after - before) / rounds
        );
    }
    times.sort_unstable();
    let at = |permille: usize| {
        times
            .get(times.len() * permille / 1000)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "decide, context included, {allowed} of {ROUNDS} allowed: p50 {:?}, p90 {:?}, p99 {:?}",
        at(500),
        at(900),
        at(990)
    );
}
