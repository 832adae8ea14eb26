//! Two projects compared: what is said of who gains and who loses.

use std::collections::BTreeMap;

use writ_types::{ActionName, Timestamp};

use super::{Direction, Plan, Proof, Side};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"bank.yaml\"\n\
[operations.account]\neffect = \"read\"\n\
[operations.transfer]\neffect = \"write\"\nexternal_send = true\n\
[operations.note]\neffect = \"write\"\n\
[operations.close]\neffect = \"delete\"\nirreversible = true\n";
const CONTRACT: &str = "openapi: 3.0.3
info: {title: Bank, version: '1'}
paths:
  /account:
    get:
      operationId: account
      responses: {'200': {description: ok}}
    delete:
      operationId: close
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
              properties: {amount: {type: integer}, recipient: {type: string}}
      responses: {'200': {description: ok}}
  /notes:
    post:
      operationId: note
      responses: {'200': {description: ok}}
";
const PURPOSE: &str = "owner = \"o@example.org\"\nactions = [\"bank:account\", \"bank:transfer\", \"bank:note\"]\n[budget]\nirreversible = 1\ndeletes = 1\n";
const AGENT: &str = "owner = \"o@example.org\"\nmode = \"copilot\"\npurposes = [\"pay\"]\nselectors = [\"unix:uid:1000\"]\n";
const POLICY: &str = "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource) when { context.body.amount > 5 };";

type Files = BTreeMap<String, Vec<u8>>;

/// A sound project with some files exchanged; an empty text takes a file out.
fn files(changed: &[(&str, &str)]) -> Files {
    let sound = [
        ("apis/bank.toml", API),
        ("apis/bank.yaml", CONTRACT),
        ("purposes/pay.toml", PURPOSE),
        ("agents/bot.toml", AGENT),
        ("policies/local.cedar", POLICY),
    ];
    let mut files = Files::new();
    for (path, text) in sound.iter().chain(changed) {
        if text.is_empty() {
            files.remove(*path);
        } else {
            files.insert((*path).to_owned(), text.as_bytes().to_vec());
        }
    }
    files
}

fn sides(old: &[(&str, &str)], new: &[(&str, &str)]) -> (Side, Side) {
    let domain = "writ.local".parse().unwrap();
    let (before, _) = Side::of_files(&files(old), &domain, None, NOW).unwrap();
    let (after, _) = Side::of_files(&files(new), &domain, Some(&before), NOW).unwrap();
    (before, after)
}

fn plan(old: &[(&str, &str)], new: &[(&str, &str)]) -> Plan {
    let (before, after) = sides(old, new);
    Plan::compare(&before, &after, NOW).unwrap()
}

/// Every shift on a line: `gains bot pay bank:close: no: … -> yes; rules`.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |shift: &super::Shift| {
        let agent = shift.agent.as_str().rsplit('/').next().unwrap();
        let rules: Vec<String> = shift
            .rules
            .iter()
            .map(|rule| format!("; {} {}", rule.rule, rule.what))
            .collect();
        format!(
            "{} {agent} {} {}: {} -> {}{}",
            shift.direction.as_str(),
            shift.purpose,
            shift.action,
            shift.before,
            shift.after,
            rules.concat(),
        )
    };
    plan.shifts.iter().map(line).collect()
}

#[test]
fn nothing_changed_is_no_plan() {
    let plan = plan(&[], &[]);
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.prover_input(), None);
}

#[test]
fn words_and_layout_change_nobodys_access() {
    let text = format!("// why\n{}", POLICY.replace("when {", "\nwhen {"));
    let plan = plan(&[], &[("policies/local.cedar", &text)]);
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert_eq!(plan.prover_input(), None, "the rules say the same");
    let [difference] = plan.differences.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        difference.details,
        ["words and layout only: every rule says the same"]
    );
}

/// What is changed in which file, and who gains and loses what.
type Case = (&'static str, String, &'static [&'static str]);

fn cases() -> Vec<Case> {
    let policy = |more: &str| ("policies/local.cedar", format!("{POLICY}\n{more}"));
    let case =
        |(file, text): (&'static str, String), lines: &'static [&'static str]| (file, text, lines);
    vec![
        case(
            (
                "purposes/pay.toml",
                PURPOSE.replace("\"bank:note\"]", "\"bank:note\", \"bank:close\"]"),
            ),
            &["gains bot pay bank:close: no: the purpose does not name it -> depends on the call"],
        ),
        case(
            (
                "agents/bot.toml",
                AGENT.replace("purposes = [\"pay\"]", "purposes = []"),
            ),
            &[
                "loses bot pay bank:account: yes -> no: the agent does not have the purpose",
                "loses bot pay bank:note: depends on the call -> no: the agent does not have the purpose",
                "loses bot pay bank:transfer: depends on the call -> no: the agent does not have the purpose",
            ],
        ),
        case(
            policy(
                "@id(\"n\") forbid (principal, action == Api_bank::Action::\"note\", resource);",
            ),
            &["loses bot pay bank:note: depends on the call -> no: forbidden by `n`; n added"],
        ),
        case(
            policy(
                "@id(\"n\") forbid (principal, action == Api_bank::Action::\"note\", resource) when { principal.mode == \"autonomous\" };",
            ),
            &[],
        ),
        case(
            ("policies/local.cedar", POLICY.replace("> 5", "> 9")),
            &[
                "may_gain bot pay bank:transfer: depends on the call -> depends on the call; t changed",
            ],
        ),
        case(
            ("policies/local.cedar", "// nothing\n".to_owned()),
            &[
                "may_gain bot pay bank:transfer: depends on the call -> depends on the call; t removed",
            ],
        ),
        case(
            policy(
                "@id(\"u\") forbid (principal, action == Api_bank::Action::\"account\", resource) when { context.sys.labels.contains(\"untrusted\") };",
            ),
            &["may_lose bot pay bank:account: yes -> depends on the call; u added"],
        ),
        (
            "purposes/pay.toml",
            PURPOSE.replace("irreversible = 1", "irreversible = 0"),
            &[],
        ),
        (
            "agents/bot.toml",
            AGENT.replace("mode = \"copilot\"", "mode = \"autonomous\"") + "groups = [\"g\"]\n",
            &[],
        ),
    ]
}

#[test]
fn who_gains_and_who_loses() {
    for (file, text, wanted) in cases() {
        let plan = plan(&[], &[(file, &text)]);
        assert_eq!(lines(&plan), wanted, "{file}:\n{text}");
    }
}

#[test]
fn what_is_grave_stands_first() {
    let more = PURPOSE.replace("\"bank:note\"]", "\"bank:note\", \"bank:close\"]");
    let less = PURPOSE.replace("\"bank:account\", ", "");
    let purposes: &[(&str, &str)] = &[("purposes/pay.toml", &less)];
    let plan = plan(purposes, &[("purposes/pay.toml", &more)]);
    let order: Vec<(String, bool)> = plan
        .shifts
        .iter()
        .map(|shift| (shift.action.to_string(), shift.is_grave()))
        .collect();
    let wanted = [
        ("bank:close".to_owned(), true),
        ("bank:account".to_owned(), false),
    ];
    assert_eq!(order, wanted);
}

#[test]
fn a_killed_agent_stays_stopped_and_the_plan_says_so() {
    let domain = "writ.local".parse().unwrap();
    let off = AGENT.to_owned() + "enabled = false\n";
    let old = files(&[("agents/bot.toml", &off)]);
    let (before, _) = Side::of_files(&old, &domain, None, NOW).unwrap();
    let (after, stopped) = Side::of_files(&files(&[]), &domain, Some(&before), NOW).unwrap();
    assert_eq!(stopped.len(), 1);
    let plan = Plan::compare(&before, &after, NOW).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

fn transfer() -> ActionName {
    "bank:transfer".parse().unwrap()
}

/// What becomes of a plan that raises a limit, when the prover says `line` of it.
fn proven(line: &str) -> Result<Plan, super::ProofFault> {
    let (before, after) = sides(
        &[],
        &[("policies/local.cedar", &POLICY.replace("> 5", "> 9"))],
    );
    let mut plan = Plan::compare(&before, &after, NOW).unwrap();
    assert!(plan.prover_input().is_some());
    assert_eq!(plan.unproven().count(), 1, "nothing is proven by itself");
    plan.prove(&before, &after, line, NOW).map(|()| plan)
}

/// The prover's example of a transfer of this amount.
fn example(amount: &str) -> String {
    let line = r#"{"action":"bank:transfer","verdict":"wider","dropped":null,"example":{
        "principal":{"type":"Writ::Task","id":""},
        "context":{"body":{"amount":AMOUNT},"sys":{"extra":[],"action":"bank:transfer"}},
        "entities":[
            {"uid":{"type":"Writ::Task","id":""},"parents":[{"type":"Writ::Agent","id":"A"}],
             "attrs":{"agent":{"__entity":{"type":"Writ::Agent","id":"A"}},"owner":"","purpose":"","mode":"copilot",
                      "declared":["bank:transfer","x"],"budget":{"calls":0,"writes":0,"deletes":0,"irreversible":0}}},
            {"uid":{"type":"Writ::Agent","id":"A"},"parents":[],
             "attrs":{"owner":"","mode":"copilot","spiffe":"","purposes":[]}}]}}"#;
    line.replace("AMOUNT", amount).replace('\n', "")
}

#[test]
fn an_example_is_asked_again_and_made_plain() {
    let plan = proven(&example("7")).unwrap();
    let Some(Proof::Wider(example)) = plan.proofs.get(&transfer()) else {
        panic!("{:?}", plan.proofs)
    };
    assert_eq!(
        example.sentence(),
        "spiffe://writ.local/agent/bot for pay, with /body/amount = 7"
    );
    assert_eq!(plan.unproven().count(), 1);
}

/// The prover says of the task what it could say of its agent: that it is in a group.
#[test]
fn a_widening_for_a_group_is_shown_by_somebody_in_it() {
    let rule = POLICY.replace("principal,", "principal in Writ::AgentGroup::\"payers\",");
    let agent = format!("{AGENT}groups = [\"payers\"]\n");
    let agents = ("agents/bot.toml", agent.as_str());
    let (before, after) = sides(
        &[agents, ("policies/local.cedar", &rule)],
        &[
            agents,
            ("policies/local.cedar", &rule.replace("> 5", "> 9")),
        ],
    );
    let mut plan = Plan::compare(&before, &after, NOW).unwrap();
    let group = r#"[{"type":"Writ::AgentGroup","id":"payers"},{"type":"Writ::Agent","id":"A"}]"#;
    let line = example("7").replacen(r#"[{"type":"Writ::Agent","id":"A"}]"#, group, 1);
    plan.prove(&before, &after, &line, NOW).unwrap();
    let Some(Proof::Wider(example)) = plan.proofs.get(&transfer()) else {
        panic!("{:?}", plan.proofs)
    };
    assert!(
        example
            .sentence()
            .starts_with("spiffe://writ.local/agent/bot for pay")
    );
}

#[test]
fn an_example_that_does_not_bear_out_proves_nothing() {
    for amount in ["3", "11"] {
        let plan = proven(&example(amount)).unwrap();
        let wanted = Proof::Unproven("the prover's example does not bear out".to_owned());
        assert_eq!(plan.proofs.get(&transfer()), Some(&wanted), "{amount}");
        assert_eq!(plan.unproven().count(), 1);
    }
}

#[test]
fn a_proof_settles_what_somebody_might_gain() {
    for verdict in ["equal", "narrower"] {
        let line = format!(r#"{{"action":"bank:transfer","verdict":"{verdict}"}}"#);
        let plan = proven(&line).unwrap();
        assert_eq!(plan.unproven().count(), 0);
        let directions: Vec<Direction> = plan.shifts.iter().map(|shift| shift.direction).collect();
        assert_eq!(directions, [Direction::NoMore]);
    }
}

#[test]
fn a_proof_about_rules_settles_nothing_where_the_agent_is_another_too() {
    let autonomous = AGENT.replace("copilot", "autonomous");
    let (before, after) = sides(
        &[],
        &[
            ("policies/local.cedar", &POLICY.replace("> 5", "> 4")),
            ("agents/bot.toml", &autonomous),
        ],
    );
    let mut plan = Plan::compare(&before, &after, NOW).unwrap();
    let line = r#"{"action":"bank:transfer","verdict":"narrower"}"#;
    plan.prove(&before, &after, line, NOW).unwrap();
    let of_transfer = plan.shifts.iter().find(|shift| shift.action == transfer());
    assert_eq!(
        of_transfer.map(|shift| shift.direction),
        Some(Direction::MayGain)
    );
}

#[test]
fn what_the_prover_was_not_asked_is_not_taken() {
    for line in [
        r#"{"action":"bank:account","verdict":"equal"}"#,
        r#"{"action":"bank:transfer","verdict":"fine"}"#,
        r#"{"action":"bank:transfer"}"#,
        r#"{"verdict":"equal"}"#,
        "equal",
    ] {
        assert!(proven(line).is_err(), "{line}");
    }
}

#[test]
fn an_input_that_is_another_is_unproven_only_where_rules_look_at_it() {
    let other = CONTRACT.replace("amount: {type: integer}", "amount: {type: number}");
    let policy = POLICY.replace(
        "context.body.amount > 5",
        "context.body.amount.greaterThan(decimal(\"5.0\"))",
    );
    let changed = plan(
        &[],
        &[
            ("apis/bank.yaml", &other),
            ("policies/local.cedar", &policy),
        ],
    );
    let wanted = "the contract changed the type of something that the rules look at";
    assert_eq!(
        changed.proofs.get(&transfer()),
        Some(&Proof::Unproven(wanted.to_owned()))
    );
    let unseen = CONTRACT.replace("recipient: {type: string}", "recipient: {type: integer}");
    let unseen = plan(&[], &[("apis/bank.yaml", &unseen)]);
    assert!(unseen.proofs.is_empty(), "{:?}", unseen.proofs);
    assert!(!unseen.is_empty(), "the contract is another all the same");
}

#[test]
fn what_no_registry_has_is_told_with_its_rule() {
    let rules = r#"@id("a") forbid (principal in Writ::AgentGroup::"infra", action, resource);
@id("b") forbid (principal, action, resource) when { principal.purpose == "pya" };
@id("c") forbid (principal, action, resource) unless { principal.agent.purposes.contains("pay") };
@id("d") @approval("treasury") forbid (principal, action in Writ::Action::"delete", resource);"#;
    let told = |agent: &str, held: Option<&[&str]>| -> Vec<String> {
        let changed = [("policies/local.cedar", rules), ("agents/bot.toml", agent)];
        let (_, side) = sides(&[], &changed);
        let held = held.map(|held| held.iter().map(|role| (*role).to_owned()).collect());
        let lines = side.notices(held.as_ref());
        lines.iter().map(ToString::to_string).collect()
    };
    let grouped = AGENT.replace("mode", "groups = [\"infra\"]\nmode");
    let purpose = "policies/local.cedar:2: `b`: there is no purpose `pya`: what asks for it never holds (there is: pay)";
    assert_eq!(told(&grouped, None), [purpose]);
    assert_eq!(told(&grouped, Some(&["treasury"])), [purpose]);
    let unheld = told(AGENT, Some(&[]));
    assert_eq!(unheld.len(), 3, "{unheld:?}");
    assert!(
        unheld[0].starts_with(
            "policies/local.cedar:1: `a`: there is no group that an agent is in `infra`"
        )
    );
    assert_eq!(
        unheld[2],
        "policies/local.cedar:4: `d`: nobody approves as `treasury` (writ operator add NAME --approves treasury)"
    );
}
