//! Traces as they are printed, one for each way a call can end, and what is never in one.

#![expect(
    clippy::too_many_lines,
    reason = "a call has many parts, and the table of calls stands in one place"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ_types::{
    Asserters, Bounds, Budget, CallId, Charge, Facts, Grant, Input, Inputs, JsonLimits, Origin,
    Plan, PlanStanding, ReasonCode, TaskId, Tenant, Timestamp, Value, Verdict, Vouchers,
};

use super::{Again, Ground, Passage, Person, Recorded, Trace, again, make};
use crate::plan::Side;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

const API: &str = "owner = \"bank@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"bank.yaml\"\n\
[operations.account]\neffect = \"read\"\n\
[operations.transfer]\neffect = \"write\"\nexternal_send = true\n\
[operations.close]\neffect = \"delete\"\nirreversible = true\n\
[operations.audit]\neffect = \"read\"\n";
const CONTRACT: &str = "openapi: 3.0.3
info: {title: Bank, version: '1'}
paths:
  /accounts/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    get:
      operationId: account
      responses: {'200': {description: ok, content: {application/json: {schema: {type: object}}}}}
    delete:
      operationId: close
      responses: {'200': {description: ok}}
  /audit:
    get:
      operationId: audit
      responses: {'200': {description: ok}}
  /transfers:
    post:
      operationId: transfer
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [amount]
              properties: {amount: {type: integer}, memo: {type: string}, note: {type: string}}
      responses: {'200': {description: ok}}
";
const OVERLAY: &str = "overlay: 1.0.0
info: {title: bank, version: '1'}
actions:
  - target: $.paths['/transfers'].post.requestBody.content['application/json'].schema.properties.amount
    update: {x-writ: {sensitive: amount}}
  - target: $.paths['/transfers'].post.requestBody.content['application/json'].schema.properties.memo
    update: {x-writ: {audit: drop}}
";
const PURPOSE: &str = "owner = \"pay-owner@example.org\"\nactions = [\"bank:account\", \"bank:transfer\", \"bank:close\"]\n[budget]\nirreversible = 1\ndeletes = 1\n";
const AGENT: &str = "owner = \"o@example.org\"\nmode = \"copilot\"\npurposes = [\"pay\"]\nselectors = [\"unix:uid:1000\"]\n";
const POLICY: &str = r#"@id("t.large") @owner("risk@example.org") @doc("Large sums go through the bank's own desk.")
forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 500 };
@id("t.medium") @approval("treasury")
forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 100 && context.body.amount <= 500 };
@id("t.wait") @defer("24h")
forbid (principal, action == Api_bank::Action::"close", resource);
@id("t.hide") @oblige("redact:/iban")
permit (principal, action == Api_bank::Action::"account", resource);
@id("t.memo")
forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body has memo && context.body.memo == "no" };
@id("t.note")
forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body has note && context.body.note != "ok" };
"#;

fn side() -> Side {
    side_of(POLICY)
}

fn side_of(policy: &str) -> Side {
    side_with(policy, "")
}

fn side_with(policy: &str, windows: &str) -> Side {
    let files = [
        ("policies/windows.toml", windows),
        ("apis/bank.toml", API),
        ("apis/bank.yaml", CONTRACT),
        ("apis/bank.overlay.yaml", OVERLAY),
        ("purposes/pay.toml", PURPOSE),
        ("agents/bot.toml", AGENT),
        ("policies/local.cedar", policy),
    ]
    .map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()));
    let domain = "writ.local".parse().unwrap();
    Side::of_files(&BTreeMap::from(files), &domain, None, NOW)
        .unwrap()
        .0
}

/// A call of the one agent, and how it ended.
struct Call {
    operation: &'static str,
    body: &'static str,
    origin: Option<Origin>,
    plan: PlanStanding,
    bound: Option<&'static str>,
    left: Option<Budget>,
    faults: Vec<(String, String)>,
    ended: (Verdict, Option<ReasonCode>),
    rules: &'static [&'static str],
    /// What it was decided on is not kept.
    lost: bool,
    /// The places of arguments that are not.
    masked: &'static [&'static str],
}

fn call(operation: &'static str, body: &'static str, ended: (Verdict, Option<ReasonCode>)) -> Call {
    Call {
        operation,
        body,
        origin: None,
        plan: PlanStanding::Free,
        bound: None,
        left: None,
        faults: Vec::new(),
        ended,
        rules: &[],
        lost: false,
        masked: &[],
    }
}

const DENY: fn(ReasonCode) -> (Verdict, Option<ReasonCode>) =
    |reason| (Verdict::Deny, Some(reason));

impl Call {
    fn trace(&self, side: &Side) -> Trace {
        let person = |name: &str, roles: &[&str]| Person {
            name: name.to_owned(),
            is_admin: false,
            is_operator: false,
            approves: roles.iter().map(|role| (*role).to_owned()).collect(),
            identity: None,
        };
        let people = [
            person("ana", &["treasury"]),
            person("bo", &["treasury"]),
            person("cy", &[]),
        ];
        self.given(side, |recorded, ground, grant, kept| {
            make(recorded, Some(ground), Some(grant), kept, &people)
        })
    }

    /// Gives what was recorded and kept of it.
    fn given<T>(
        &self,
        side: &Side,
        to: impl FnOnce(&Recorded, Ground<'_>, &Grant, Result<Inputs, String>) -> T,
    ) -> T {
        let agent = side.registry.agents.values().next().unwrap();
        let action = format!("bank:{}", self.operation).parse().unwrap();
        let contract = side.contracts.values().next().unwrap();
        let operation = contract
            .operation(&self.operation.parse().unwrap())
            .unwrap();
        let purpose = side.registry.purposes.values().next().unwrap();
        let bounds = self.bound.map_or_else(Bounds::none, |bound| {
            let text = format!("{{\"bank:{}\":{bound}}}", self.operation);
            Bounds::parse(&Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap()).unwrap()
        });
        let grant = Grant {
            tenant: Tenant::default_tenant(),
            task: TaskId::new(NOW, [1; 10]),
            agent: agent.id,
            requester: None,
            purpose: purpose.name.clone(),
            mode: agent.mode,
            actions: BTreeSet::from([action]),
            bounds,
            plan: Plan::none(),
            budget: purpose.budget,
            opened: NOW,
            deadline: NOW.plus(Duration::from_secs(600)),
            parent: None,
            prompt: None,
            asserters: Asserters::default(),
        };
        let mut input = Input::default();
        if self.operation == "transfer" {
            input.body = Some(Value::parse(self.body.as_bytes(), &JsonLimits::REQUEST).unwrap());
        } else if self.operation != "audit" {
            input.path.insert("id".to_owned(), Value::from("a"));
        }
        let charge = Charge::of(operation.effects());
        let mut facts = Facts {
            now: NOW,
            labels: BTreeSet::new(),
            sinks: BTreeSet::new(),
            spent: charge,
            this_operation: 1,
            windows: BTreeMap::new(),
            left: purpose.budget.less(charge),
            seen: BTreeSet::new(),
            approved: BTreeSet::new(),
            operation: operation.id().clone(),
            vouchers: Vouchers::default(),
            arguments: writ_types::ArgumentOrigins::default(),
            plan: self.plan,
            approvals: BTreeSet::new(),
            deferred: BTreeSet::new(),
        };
        facts.arguments.free = Some(BTreeSet::new());
        if let Some(origin) = self.origin {
            facts.arguments.add("/body/amount", origin);
        }
        let early = self.left.is_some() || self.operation == "audit";
        let inputs = Inputs {
            input: (self.operation != "audit").then_some(input),
            masked: self
                .masked
                .iter()
                .map(|place| (*place).to_owned())
                .collect(),
            faults: self.faults.clone(),
            facts: (!early).then_some(facts),
            left: self.left,
        };
        let recorded = Recorded {
            call: Some((CallId::new(NOW, [2; 10]), grant.task)),
            at: NOW,
            agent: agent.id,
            purpose: Some(purpose.name.clone()),
            action: Some(operation.action().clone()),
            verdict: self.ended.0,
            reason: self.ended.1,
            rules: self.rules.iter().map(|rule| (*rule).to_owned()).collect(),
            policy: Some(side.pdp.digest()),
            contract: Some(contract.digest()),
        };
        let ground = Ground {
            pdp: &side.pdp,
            agent,
            purposes: &side.registry.purposes,
            api: side.registry.apis.values().next().unwrap(),
            contract,
            operation,
        };
        let kept = if self.lost {
            Err("nothing was kept of what the call was decided on".to_owned())
        } else {
            Ok(inputs)
        };
        to(&recorded, ground, &grant, kept)
    }
}

fn calls() -> Vec<(&'static str, Call)> {
    let none = Budget {
        calls: 40,
        writes: 0,
        deletes: 1,
        irreversible: 1,
    };
    vec![
        (
            "a yes",
            Call {
                rules: &["core.write"],
                ..call(
                    "transfer",
                    r#"{"amount":5,"note":"ok"}"#,
                    (Verdict::Allow, None),
                )
            },
        ),
        (
            "a yes with changes to the response",
            Call {
                rules: &["core.read"],
                ..call("account", "", (Verdict::Modify, None))
            },
        ),
        (
            "a person is asked",
            Call {
                rules: &["t.medium"],
                ..call(
                    "transfer",
                    r#"{"amount":101}"#,
                    (Verdict::StepUp, Some(ReasonCode::ApprovalRequired)),
                )
            },
        ),
        (
            "outside the plan",
            Call {
                plan: PlanStanding::Outside,
                rules: &["core.planned"],
                ..call(
                    "transfer",
                    r#"{"amount":6}"#,
                    (Verdict::StepUp, Some(ReasonCode::ApprovalRequired)),
                )
            },
        ),
        (
            "a wait",
            Call {
                rules: &["t.wait"],
                ..call("close", "", (Verdict::Defer, Some(ReasonCode::Deferred)))
            },
        ),
        (
            "a rule forbids",
            Call {
                rules: &["t.large"],
                ..call("transfer", r#"{"amount":501}"#, DENY(ReasonCode::Forbidden))
            },
        ),
        (
            "outside the bounds",
            Call {
                bound: Some(r#"{"/body/amount":{"max":"4"}}"#),
                ..call(
                    "transfer",
                    r#"{"amount":5}"#,
                    DENY(ReasonCode::OutsideBounds),
                )
            },
        ),
        (
            "the budget is spent",
            Call {
                left: Some(none),
                ..call(
                    "transfer",
                    r#"{"amount":5}"#,
                    DENY(ReasonCode::BudgetExhausted),
                )
            },
        ),
        (
            "nothing vouches for a value",
            Call {
                origin: Some(Origin::Seen),
                rules: &["core.vouched"],
                ..call(
                    "transfer",
                    r#"{"amount":5}"#,
                    (Verdict::StepUp, Some(ReasonCode::ValueNotVouched)),
                )
            },
        ),
        (
            "the contract does not take it",
            Call {
                faults: vec![("/body/amount".to_owned(), "is of another type".to_owned())],
                ..call("transfer", "{}", DENY(ReasonCode::InvalidInput))
            },
        ),
        (
            "the purpose does not need it",
            call("audit", "", DENY(ReasonCode::ActionNotGranted)),
        ),
    ]
}

/// What a draft makes of calls of which a part was not kept: what its rules or those of then do not look at is not missed.
#[test]
fn what_was_not_kept_is_counted_where_rules_of_then_or_of_the_draft_look_at_it() {
    let rule = |id: &str, field: &str| {
        format!(
            "@id(\"{id}\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource) when {{ context.body has {field} && context.body.{field} == \"no\" }};\n"
        )
    };
    let memo = rule("d.memo", "memo");
    let (start, end) = (
        POLICY.find("@id(\"t.memo\")").unwrap(),
        POLICY.find("@id(\"t.note\")").unwrap(),
    );
    let without = [POLICY.get(..start).unwrap(), POLICY.get(end..).unwrap()].concat();
    let body = r#"{"amount":60,"memo":"(not kept)"}"#;
    let allowed = (Verdict::Allow, None);
    let unread = Again::Unsaid(super::Unsaid::Arguments);
    let refused = |rule: &str| Again::Otherwise(Verdict::Deny, BTreeSet::from([rule.to_owned()]));
    let stricter = without.replace("amount > 500", "amount > 50");
    for (name, then, draft, masked, said) in [
        (
            "nobody looks",
            &without,
            &without,
            &["/body/memo"][..],
            Again::Same,
        ),
        (
            "nobody looks at it",
            &without,
            &stricter,
            &["/body/memo"],
            refused("t.large"),
        ),
        (
            "the draft looks",
            &without,
            &[without.as_str(), memo.as_str()].concat(),
            &["/body/memo"],
            unread.clone(),
        ),
        (
            "then looked",
            &POLICY.to_owned(),
            &without,
            &["/body/memo"],
            unread.clone(),
        ),
        (
            "both look",
            &POLICY.to_owned(),
            &POLICY.to_owned(),
            &["/body/memo"],
            unread.clone(),
        ),
        ("all of it", &without, &without, &["/body"], unread),
    ] {
        let (then, draft) = (side_of(then), side_of(draft));
        let call = Call {
            masked,
            ..call("transfer", body, allowed)
        };
        let again = call.given(&then, |recorded, then, grant, kept| {
            let contract = draft.contracts.values().next().unwrap();
            let operation = contract.operation(then.operation.id()).unwrap();
            let ground = Ground {
                pdp: &draft.pdp,
                contract,
                operation,
                ..then
            };
            again(recorded, then, Some(ground), grant, kept.unwrap())
        });
        assert_eq!(again, said, "{name}");
    }
}

/// What is not kept cannot be decided on again, and is never decided on as if it were something else.
#[test]
fn what_was_not_kept_is_said_and_nothing_is_decided_without_it() {
    let side = side();
    let masked = r#"{"amount":5,"memo":"(not kept)"}"#;
    let bound = r#"{"/body/note":["ok"]}"#;
    for (body, places, bound, said) in [
        (masked, &["/body/memo"][..], None, true),
        // No rule and no bound looks at it.
        (masked, &["/path/x"], None, false),
        (r#"{"amount":5,"note":"ok"}"#, &[], Some(bound), false),
        (
            r#"{"amount":5,"note":"ok"}"#,
            &["/body/note"],
            Some(bound),
            true,
        ),
    ] {
        let call = Call {
            body,
            bound,
            masked: places,
            rules: &["core.write"],
            ..call("transfer", "", (Verdict::Allow, None))
        };
        let text = call.trace(&side).to_string();
        let note = format!(
            "keeps {} out of records, and rules or bounds look at it: it was not kept",
            places.join(", ")
        );
        assert_eq!(text.contains(&note), said, "{body} {text}");
        // Nor is anything shown of what rules would say without it.
        assert_eq!(text.contains("\nrules\n"), !said, "{text}");
        assert!(!text.contains("decided again it is"), "{text}");
    }
}

#[test]
fn what_nobody_is_to_read_is_in_no_trace() {
    let side = side();
    let ended = DENY(ReasonCode::Forbidden);
    for (body, rule, hidden) in [
        // The owner of the API wants it out of records.
        (
            r#"{"amount":5,"memo":"no"}"#,
            "t.memo",
            "context.body.memo = \"no\"",
        ),
        // A credential, wherever it stands.
        (
            r#"{"amount":5,"note":"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl"}"#,
            "t.note",
            "eyJhbGciOiJIUzI1NiJ9",
        ),
    ] {
        let call = Call {
            body,
            ..call("transfer", "", ended)
        };
        let trace = call.trace(&side);
        let (text, json) = (trace.to_string(), trace.to_value().to_string());
        assert!(
            text.contains(rule) && text.contains("(not shown)"),
            "{text}"
        );
        assert!(!text.contains(hidden) && !json.contains(hidden), "{text}");
    }
    let plain = Call {
        body: r#"{"amount":5,"note":"hello"}"#,
        ..call("transfer", "", ended)
    };
    assert!(
        plain
            .trace(&side)
            .to_string()
            .contains("context.body.note = \"hello\"")
    );
}

#[test]
fn what_cannot_be_decided_again_is_said_and_not_guessed() {
    let side = side();
    let refused = || Call {
        rules: &["t.large"],
        ..call("transfer", r#"{"amount":501}"#, DENY(ReasonCode::Forbidden))
    };
    let lost = Call {
        lost: true,
        ..refused()
    }
    .trace(&side);
    assert!(lost.turns.is_empty() && lost.tried == 0);
    assert!(
        lost.to_string()
            .contains("note: the arguments were not kept"),
        "{lost}"
    );
    // A record that says something else than the rules do.
    let other = Call {
        body: r#"{"amount":5}"#,
        ..refused()
    };
    let other = other.trace(&side);
    assert!(other.turns.is_empty() && other.tried == 0);
    assert!(
        other
            .to_string()
            .contains("note: decided again it is ALLOW"),
        "{other}"
    );
}

#[test]
fn a_call_stops_at_one_gate_and_passes_none_after_it() {
    let side = side();
    for (name, call) in calls() {
        let trace = call.trace(&side);
        let passages: Vec<Passage> = trace.gates.iter().map(|(_, passage)| *passage).collect();
        let stopped = passages
            .iter()
            .position(|passage| *passage == Passage::Stopped);
        assert_eq!(stopped.is_some(), call.ended.1.is_some(), "{name}");
        let before = stopped.unwrap_or(passages.len());
        assert!(
            passages
                .iter()
                .take(before)
                .all(|passage| *passage == Passage::Passed),
            "{name}"
        );
        let after = passages.iter().skip(before).skip(1);
        assert!(
            after
                .into_iter()
                .all(|passage| *passage == Passage::NotReached),
            "{name}"
        );
    }
}

#[test]
fn every_ending_is_explained_as_it_was_agreed() {
    let side = side();
    let all: Vec<String> = calls()
        .iter()
        .map(|(name, call)| format!("== {name}\n{}", call.trace(&side)))
        .collect();
    let all = all.join("\n");
    assert_eq!(all, include_str!("../../testdata/traces.txt"));
}

/// What a draft makes of calls: who may send how much has changed, and so has who is asked and what is hidden. A decision that does not come out
/// again as it was recorded is no evidence of anything.
#[test]
fn a_draft_is_asked_only_what_comes_out_again_as_it_was() {
    let allowed = (Verdict::Allow, None);
    let medium = (Verdict::StepUp, Some(ReasonCode::ApprovalRequired));
    let sent = |amount: &'static str, ended| call("transfer", amount, ended);
    let draft = POLICY
        .replace("amount > 500", "amount > 50")
        .replace("treasury", "board")
        .replace("/iban", "/owner");
    let now = side_of(POLICY);
    let draft = side_of(&draft);
    let table = [
        ("small, as before", sent(r#"{"amount":5}"#, allowed)),
        ("no yes any more", sent(r#"{"amount":60}"#, allowed)),
        ("a yes that was none", sent(r#"{"amount":600}"#, allowed)),
        (
            "hides another",
            call("account", "", (Verdict::Modify, None)),
        ),
        (
            "a budget's no",
            Call {
                left: Some(Budget {
                    calls: 1,
                    writes: 0,
                    deletes: 0,
                    irreversible: 0,
                }),
                ..sent("{}", DENY(ReasonCode::BudgetExhausted))
            },
        ),
        (
            "too fast",
            sent(r#"{"amount":60}"#, DENY(ReasonCode::RateLimited)),
        ),
        (
            "a person's no",
            sent(r#"{"amount":60}"#, DENY(ReasonCode::ApprovalDenied)),
        ),
        (
            "drifted",
            sent(
                r#"{"amount":60}"#,
                (Verdict::Defer, Some(ReasonCode::ContractQuarantined)),
            ),
        ),
        ("asked", sent(r#"{"amount":200}"#, medium)),
    ];
    let said: Vec<String> = table
        .iter()
        .map(|(name, call)| {
            let again = call.given(&now, |recorded, then, grant, kept| {
                let operation = then.operation.id();
                let contract = draft.contracts.values().next().unwrap();
                let ground = Ground {
                    pdp: &draft.pdp,
                    contract,
                    operation: contract.operation(operation).unwrap(),
                    ..then
                };
                again(recorded, then, Some(ground), grant, kept.unwrap())
            });
            let said = match again {
                Again::Same => "same".to_owned(),
                Again::Otherwise(verdict, rules) => {
                    let rules: Vec<String> = rules.into_iter().collect();
                    format!("{} by {}", verdict.as_str(), rules.join(","))
                }
                Again::Unsaid(why) => why.as_str().to_owned(),
            };
            format!("{name}: {said}")
        })
        .collect();
    let expected = [
        "small, as before: same",
        "no yes any more: DENY by t.large",
        "a yes that was none: not_reproduced",
        "hides another: MODIFY by core.read",
        "a budget's no: not_by_rules",
        "too fast: not_by_rules",
        "a person's no: not_by_rules",
        "drifted: not_by_rules",
        "asked: DENY by t.large,t.medium",
    ];
    assert_eq!(said, expected);
    // One that the draft does not know any more is refused.
    let gone = sent(r#"{"amount":5}"#, allowed).given(&now, |recorded, then, grant, kept| {
        again(recorded, then, None, grant, kept.unwrap())
    });
    let by = BTreeSet::from(["action_not_granted".to_owned()]);
    assert_eq!(gone, Again::Otherwise(Verdict::Deny, by));
}

/// What was counted then answers no rule about what was not.
#[test]
fn a_draft_is_not_asked_by_windows_that_were_counted_otherwise() {
    let paid = |within: &str, by: &str| {
        format!(
            "[[window]]\nname = \"paid\"\nby = \"{by}\"\nwithin = \"{within}\"\nactions = [\"bank:transfer\"]\n"
        )
    };
    let rule = format!(
        "{POLICY}@id(\"t.often\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource) when {{ context.sys.windows.paid.calls > 3 }};\n"
    );
    let other = rule.replace(
        "bank::Action::\"transfer\", resource) when { context.sys",
        "bank::Action::\"close\", resource) when { context.sys",
    );
    let day = paid("24h", "agent");
    let side = side_with(POLICY, &day);
    let small = call("transfer", r#"{"amount":5}"#, (Verdict::Allow, None));
    let none = side_of(POLICY);
    for (name, then, policy, windows, wanted) in [
        ("counted so", &side, &rule, day.clone(), "same"),
        (
            "fewer are allowed",
            &side,
            &rule.replace("> 3", "> 1"),
            day.clone(),
            "DENY",
        ),
        ("another time", &side, &rule, paid("1h", "agent"), "windows"),
        ("of others", &side, &rule, paid("24h", "task"), "windows"),
        ("not counted", &none, &rule, day.clone(), "windows"),
        ("no rule about it", &none, &other, day, "same"),
    ] {
        let draft = side_with(policy, &windows);
        let again = small.given(then, |recorded, then, grant, kept| {
            let contract = draft.contracts.values().next().unwrap();
            let operation = contract.operation(then.operation.id()).unwrap();
            let ground = Ground {
                pdp: &draft.pdp,
                contract,
                operation,
                ..then
            };
            let mut kept = kept.unwrap();
            if let Some(facts) = &mut kept.facts {
                let windows = then.pdp.windows();
                let quantities = then.operation.quantities(kept.input.as_ref().unwrap());
                let (action, effects) = (then.operation.action(), then.operation.effects());
                facts.windows = windows.with_first(action, effects, &quantities);
                for held in facts.windows.values_mut() {
                    held.calls = 2;
                }
            }
            again(recorded, then, Some(ground), grant, kept)
        });
        let said = match again {
            Again::Same => "same",
            Again::Otherwise(verdict, _) => verdict.as_str(),
            Again::Unsaid(why) => why.as_str(),
        };
        assert_eq!(said, wanted, "{name}");
    }
}
