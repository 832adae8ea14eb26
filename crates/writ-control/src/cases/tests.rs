//! Cases against a small project: what passes, what is said of what does not, and what is no case at all.

use std::collections::BTreeMap;

use writ_types::Timestamp;

use super::{Case, read};
use crate::plan::{Side, matrix};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

const API: &str = "owner = \"o@example.org\"\nupstream = \"http://127.0.0.1:1/v1\"\ncontract = \"bank.yaml\"\n\
[operations.account]\neffect = \"read\"\n\
[operations.transfer]\neffect = \"write\"\nexternal_send = true\n\
[operations.close]\neffect = \"delete\"\nirreversible = true\n";
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
              properties: {amount: {type: integer}, rate: {type: number}, memo: {type: string, nullable: true}}
      responses: {'200': {description: ok}}
";
const OVERLAY: &str = "overlay: 1.0.0
info: {title: bank, version: '1'}
actions:
  - target: $.paths['/transfers'].post.requestBody.content['application/json'].schema.properties.amount
    update: {x-writ: {sensitive: amount}}
";
const PURPOSE: &str = "owner = \"o@example.org\"\nactions = [\"bank:account\", \"bank:transfer\", \"bank:close\"]\n[budget]\nirreversible = 1\ndeletes = 1\n";
const AGENT: &str = "owner = \"o@example.org\"\nmode = \"copilot\"\npurposes = [\"pay\"]\nselectors = [\"unix:uid:1000\"]\n";
const POLICY: &str = r#"
@id("t.large") forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 500 };
@id("t.medium") @approval("treasury") forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body.amount > 100 };
@id("t.wait") @defer("24h") forbid (principal, action == Api_bank::Action::"close", resource);
@id("t.hide") @oblige("redact:/iban") permit (principal, action == Api_bank::Action::"account", resource);
@id("t.rate") forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.body has rate && context.body.rate.lessThan(decimal("0.5")) };
@id("t.cleared") forbid (principal, action == Api_bank::Action::"transfer", resource) when { context.sys.nulls.contains("/body/memo") };
"#;

fn side(changed: &[(&str, &str)]) -> Side {
    let mut files: BTreeMap<String, Vec<u8>> = [
        ("apis/bank.toml", API),
        ("apis/bank.yaml", CONTRACT),
        ("apis/bank.overlay.yaml", OVERLAY),
        ("purposes/pay.toml", PURPOSE),
        ("agents/bot.toml", AGENT),
        ("policies/local.cedar", POLICY),
    ]
    .map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()))
    .into();
    for (file, text) in changed {
        files.insert((*file).to_owned(), text.as_bytes().to_vec());
    }
    let domain = "writ.local".parse().unwrap();
    Side::of_files(&files, &domain, None, NOW).unwrap().0
}

fn cases(text: &str) -> Result<Vec<Case>, Vec<String>> {
    let files = BTreeMap::from([("policies/tests/a.toml".to_owned(), text.as_bytes().to_vec())]);
    read(&files).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

const DEFAULT: &str = "[default]\nagent = \"bot\"\npurpose = \"pay\"\n";

/// The one case `text` tried on `side`: its differences, or that it cannot be asked.
fn tried(side: &Side, text: &str) -> String {
    let text = format!("{DEFAULT}[[case]]\nname = \"c\"\n{text}\n");
    let cases = cases(&text).unwrap();
    match cases.first().unwrap().try_on(side, NOW) {
        Ok(tried) => {
            let lines: Vec<String> = tried.differences.iter().map(ToString::to_string).collect();
            lines.join("; ")
        }
        Err(message) => format!("not asked: {message}"),
    }
}

#[test]
fn what_is_so_passes() {
    let side = side(&[]);
    for case in [
        // Every decision, with all that can be said of it.
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nexpect = { decision = \"ALLOW\", rules = [\"core.write\"], obligations = [], needs = [] }",
        "action = \"bank:account\"\npath = { id = \"a\" }\nexpect = { decision = \"MODIFY\", obligations = [\"redact:/iban\"] }",
        "action = \"bank:transfer\"\nbody = { amount = 101 }\nexpect = { decision = \"STEP_UP\", reason = \"approval_required\", needs = [\"treasury\"] }",
        "action = \"bank:close\"\npath = { id = \"a\" }\nexpect = { decision = \"DEFER\", reason = \"deferred\", needs = [\"24h\"] }",
        "action = \"bank:transfer\"\nbody = { amount = 501 }\nexpect = { decision = \"DENY\", reason = \"forbidden\", rules = [\"t.large\", \"t.medium\"] }",
        // What people and time have given.
        "action = \"bank:transfer\"\nbody = { amount = 101 }\nfacts = { approvals = [\"treasury\"] }\nexpect = \"ALLOW\"",
        "action = \"bank:close\"\npath = { id = \"a\" }\nfacts = { deferred = [\"24h\"] }\nexpect = \"ALLOW\"",
        // The road before the rules.
        "action = \"bank:transfer\"\nbody = { amount = \"5\" }\nexpect = { decision = \"DENY\", reason = \"invalid_input\" }",
        "action = \"bank:transfer\"\nbody = { amount = 5, more = 1 }\nexpect = { decision = \"DENY\", reason = \"invalid_input\" }",
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nbounds = { \"/body/amount\" = { max = \"4\" } }\nexpect = { decision = \"DENY\", reason = \"outside_bounds\" }",
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nbounds = { \"/body/amount\" = { max = \"5\" } }\nexpect = \"ALLOW\"",
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nbudget = { writes = 0 }\nexpect = { decision = \"DENY\", reason = \"budget_exhausted\" }",
        "action = \"bank:close\"\npath = { id = \"a\" }\nmode = \"autonomous\"\nbudget = { deletes = 0 }\nexpect = { decision = \"DENY\", reason = \"budget_exhausted\" }",
        // Values of every kind, and what TOML cannot say.
        "action = \"bank:transfer\"\nbody = { amount = 5, rate = 0.25 }\nexpect = { decision = \"DENY\", rules = [\"t.rate\"] }",
        "action = \"bank:transfer\"\nbody = { amount = 5, rate = 0.5 }\nexpect = \"ALLOW\"",
        "action = \"bank:transfer\"\nbody = { amount = 5, rate = 0.12345 }\nexpect = { decision = \"DENY\", reason = \"unrepresentable\" }",
        "action = \"bank:transfer\"\narguments = '{\"body\": {\"amount\": 5, \"memo\": null}}'\nexpect = { decision = \"DENY\", rules = [\"t.cleared\"] }",
        // What the gateway knows.
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nfacts = { labels = [\"untrusted\", \"pii\"] }\nexpect = { decision = \"STEP_UP\", rules = [\"core.flow\"] }",
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nfacts = { origins = { \"/body/amount\" = \"unseen\" } }\nexpect = { decision = \"STEP_UP\", reason = \"value_not_vouched\", rules = [\"core.vouched\"] }",
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nfacts = { origins = { \"/body/amount\" = \"prompt\" } }\nexpect = \"ALLOW\"",
        "action = \"bank:transfer\"\nbody = { amount = 5 }\nrequester = \"https://id.example.org#alice\"\nexpect = \"ALLOW\"",
    ] {
        assert_eq!(tried(&side, case), "", "{case}");
    }
}

#[test]
fn what_is_not_so_is_said_with_what_is() {
    let side = side(&[]);
    for (case, said) in [
        (
            "action = \"bank:transfer\"\nbody = { amount = 101 }\nexpect = \"ALLOW\"",
            "decision: expected ALLOW, was STEP_UP",
        ),
        (
            "action = \"bank:transfer\"\nbody = { amount = 501 }\nexpect = { decision = \"DENY\", reason = \"frozen\", rules = [\"t.large\"] }",
            "reason: expected frozen, was forbidden; rules: expected t.large, was t.large, t.medium",
        ),
        (
            "action = \"bank:account\"\npath = { id = \"a\" }\nexpect = { decision = \"MODIFY\", obligations = [\"limit-bytes:9\"], needs = [\"x\"] }",
            "obligations: expected limit-bytes:9, was redact:/iban; needs: expected x, was none",
        ),
        (
            "agent = \"nobody\"\naction = \"bank:account\"\nexpect = \"ALLOW\"",
            "not asked: there is no agent `nobody`",
        ),
        (
            "purpose = \"none\"\naction = \"bank:account\"\nexpect = \"ALLOW\"",
            "not asked: there is no purpose `none`",
        ),
        (
            "action = \"bank:none\"\nexpect = \"ALLOW\"",
            "not asked: the contract of `bank` has no operation `none`",
        ),
        (
            "action = \"x:none\"\nexpect = \"ALLOW\"",
            "not asked: there is no API `x`",
        ),
    ] {
        assert_eq!(tried(&side, case), said, "{case}");
    }
}

#[test]
fn what_takes_the_agent_off_the_road_is_seen_before_the_rules() {
    let stopped = AGENT.replace("mode", "enabled = false\nmode");
    let other = PURPOSE.replace("\"bank:transfer\", ", "");
    let ask = "action = \"bank:transfer\"\nbody = { amount = 5 }\nexpect = { decision = \"DENY\", reason = ";
    for (changed, reason) in [
        (("agents/bot.toml", stopped.as_str()), "agent_disabled"),
        (("purposes/pay.toml", other.as_str()), "action_not_granted"),
    ] {
        let case = format!("{ask}\"{reason}\" }}");
        assert_eq!(tried(&side(&[changed]), &case), "");
    }
    let elsewhere = [("purposes/other.toml", PURPOSE), ("agents/bot.toml", AGENT)];
    let case = format!("purpose = \"other\"\n{ask}\"action_not_granted\" }}");
    assert_eq!(tried(&side(&elsewhere), &case), "");
}

#[test]
fn the_packs_that_an_agent_has_are_in_force() {
    let packed = AGENT.replace("mode", "packs = [\"read-only\"]\nmode");
    let case = "action = \"bank:transfer\"\nbody = { amount = 5 }\nexpect = { decision = \"DENY\", rules = [\"read-only.write\", \"read-only.external\"] }";
    assert_eq!(tried(&side(&[("agents/bot.toml", &packed)]), case), "");
}

#[test]
fn what_is_no_case_is_a_fault_of_its_line() {
    for (text, said) in [
        ("[[case]]\nnme = \"x\"", "unknown field `nme`"),
        ("[[case]]\nname = \"x\"", "missing field `expect`"),
        (
            "[[case]]\nname = \"x\"\naction = \"a:b\"\nexpect = \"ALLOW\"",
            "a.toml:1: the case names no `agent`",
        ),
        (
            "[default]\nagent = \"a\"\n[[case]]\nname = \"x\"\naction = \"a:b\"\nexpect = \"ALLOW\"",
            "a.toml:3: the case names no `purpose`",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\n[[case]]\nname = \"x\"\nexpect = \"ALLOW\"",
            "the case names no `action`",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = \"YES\"",
            "`YES` is no decision",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = {decision = \"DENY\", reason = \"because\"}",
            "`because` is no reason code",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = {decision = \"DENY\", reson = \"forbidden\"}",
            "data did not match",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = \"DENY\"\n[[case]]\nname = \"x\"\nexpect = \"DENY\"",
            "a.toml:8: another case of this file is called `x`",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = \"DENY\"\nfacts = { origins = { \"/body/x\" = \"heaven\" } }",
            "an origin is",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = \"DENY\"\nfacts = { now = \"tomorrow\" }",
            "`now` is an instant",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = \"DENY\"\narguments = '{'",
            "`arguments` is no JSON",
        ),
        (
            "[default]\nagent = \"a\"\npurpose = \"p\"\naction = \"a:b\"\n[[case]]\nname = \"x\"\nexpect = \"DENY\"\narguments = '{}'\nbody = {}",
            "does not stand beside",
        ),
    ] {
        let faults = cases(text).unwrap_err().join("\n");
        assert!(faults.contains(said), "{said} is not in:\n{faults}");
    }
}

#[test]
fn the_matrix_says_who_can_do_what() {
    let found = matrix(&side(&[]), NOW).unwrap();
    let rows: Vec<&str> = found.lines().skip(2).collect();
    assert_eq!(
        rows,
        [
            "spiffe://writ.local/agent/bot  pay      bank:account   yes, with redact:/iban",
            "spiffe://writ.local/agent/bot  pay      bank:close     depends on the call, after 24h",
            "spiffe://writ.local/agent/bot  pay      bank:transfer  depends on the call",
        ],
        "{found}"
    );
}
