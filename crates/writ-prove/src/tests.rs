//! Verdicts over pairs of policies, with the cvc5 that is installed. Without one they say that they were skipped, and fail
//! where `WRIT_REQUIRE_SOLVER` is set.

use std::io::Write as _;
use std::time::Duration;

use writ_policy::{ActionShape, ApiActions, Pdp, PolicySource, baseline};
use writ_types::{ActionName, AttrField, AttrType, Digest, Effect, Effects, Timestamp};

use crate::cluster;
use crate::run::{Outcome, run};
use crate::solver::Cvc5;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn record(fields: &[(&str, AttrType, bool)]) -> AttrType {
    let field = |(name, ty, required): &(&str, AttrType, bool)| {
        let (ty, required) = (ty.clone(), *required);
        ((*name).to_owned(), AttrField { ty, required })
    };
    AttrType::Record(fields.iter().map(field).collect())
}

/// A bank: two operations of one kind, one of another.
fn bank() -> ApiActions {
    let texts = AttrType::Set(Box::new(AttrType::String));
    let tags = record(&[("items", texts, true), ("count", AttrType::Long, true)]);
    let body = record(&[
        ("amount", AttrType::Long, true),
        ("recipient", AttrType::String, true),
        ("fee", AttrType::Decimal, false),
        ("due", AttrType::Datetime, false),
        ("tags", tags, false),
    ]);
    let shape = |name: &str, effects: Effects| ActionShape {
        operation: name.parse().expect("an operation"),
        effects,
        sensitive: true,
        unready: false,
        attributes: record(&[("body", body.clone(), true)]),
        domains: writ_types::Domains::new(),
        quantities: std::collections::BTreeSet::new(),
    };
    let sends = Effects {
        external_send: true,
        ..Effects::plain(Effect::Write)
    };
    ApiActions {
        api: "bank".parse().expect("an API"),
        contract: Digest::of(b"bank"),
        operations: vec![
            shape("transfer", sends),
            shape("payout", sends),
            shape("account", Effects::plain(Effect::Read)),
        ],
    }
}

fn pdp(text: &str) -> Pdp {
    let source = PolicySource {
        name: "test.cedar".to_owned(),
        text: text.to_owned(),
    };
    Pdp::compile(&[bank()], &[baseline(), source], NOW).expect("the policies are sound")
}

/// The case of one action, as the plan writes it.
fn line(before: &str, after: &str, action: &str) -> String {
    let action: ActionName = action.parse().expect("an action");
    let case = pdp(before).proof_case(&pdp(after), &action);
    case.expect("it can be compared").to_line()
}

/// The installed solver, or a loud word that there is none.
fn solver() -> Option<Cvc5> {
    match Cvc5::find(std::env::var_os("WRIT_CVC5")) {
        Ok(cvc5) => Some(cvc5),
        Err(why) => {
            assert!(
                std::env::var_os("WRIT_REQUIRE_SOLVER").is_none(),
                "WRIT_REQUIRE_SOLVER is set, and {why}"
            );
            let skipped = format!("SKIPPED, nothing was proven here: {why}\n");
            drop(std::io::stderr().write_all(skipped.as_bytes()));
            None
        }
    }
}

fn asked(cvc5: &Cvc5, text: &str) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let time = Duration::from_secs(60);
    runtime.block_on(run(cvc5, text, time)).expect("it ran")
}

fn word(outcome: &Outcome) -> String {
    let json = outcome.to_json();
    let text = |name: &str| json.get(name).and_then(|value| value.as_str());
    let mut word = text("verdict").unwrap_or_default().to_owned();
    for more in ["dropped", "why"] {
        if let Some(more) = text(more) {
            word.push_str(": ");
            word.push_str(more);
        }
    }
    word
}

const TRANSFER: &str = "action == Api_bank::Action::\"transfer\"";

/// Before, after, verdict: the condition of a forbid of transfers; empty for none.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "context.body.amount > 5",
        "!(context.body.amount <= 5)",
        "equal",
    ),
    (
        "context.body.amount > 5",
        "context.body.amount > 3",
        "narrower",
    ),
    (
        "context.body.amount > 5",
        "context.body.amount > 9",
        "wider",
    ),
    ("context.body.amount > 5", "", "wider"),
    ("", "context.body.recipient == \"x\"", "narrower"),
    (
        "context.body has fee && context.body.fee.greaterThan(decimal(\"2.0\"))",
        "context.body has fee && context.body.fee.greaterThan(decimal(\"2.5\"))",
        "wider",
    ),
    (
        "context.body has due && context.body.due > datetime(\"2027-01-01\")",
        "context.body has due && context.body.due > datetime(\"2026-01-01\")",
        "narrower",
    ),
    // Items are counted, and nobody counts below zero.
    (
        "context.body has tags && context.body.tags.count > 3",
        "context.body has tags && !(context.body.tags.count <= 3 && context.body.tags.count >= 0)",
        "equal",
    ),
    (
        "context.body.recipient like \"*.ru\"",
        "context.body.recipient like \"*.co.ru\"",
        "wider",
    ),
    // What the gateway ensures before any rule is no difference.
    (
        "context.body.amount > 5",
        "context.body.amount > 5 && context.sys.action == \"bank:transfer\" && context.sys.count.thisOp > 0",
        "equal",
    ),
    (
        "principal.mode == \"autonomous\" || principal.mode == \"copilot\"",
        "true",
        "equal",
    ),
];

fn forbid(condition: &str) -> String {
    if condition.is_empty() {
        return String::new();
    }
    format!("@id(\"t\") forbid (principal, {TRANSFER}, resource) when {{ {condition} }};")
}

#[test]
fn a_change_is_narrower_equal_or_wider() {
    let Some(cvc5) = solver() else { return };
    for (before, after, verdict) in CHANGES {
        let outcomes = asked(
            &cvc5,
            &line(&forbid(before), &forbid(after), "bank:transfer"),
        );
        let words: Vec<String> = outcomes.iter().map(word).collect();
        assert_eq!(words, [*verdict], "{before}\n{after}");
    }
}

#[test]
fn what_a_stricter_rule_beside_it_forbids_is_no_widening() {
    let Some(cvc5) = solver() else { return };
    let stricter = format!("@id(\"u\") forbid (principal, {TRANSFER}, resource);");
    let before = format!("{} {stricter}", forbid("context.body.amount > 5"));
    let outcomes = asked(&cvc5, &line(&before, &stricter, "bank:transfer"));
    let words: Vec<String> = outcomes.iter().map(word).collect();
    assert_eq!(words, ["equal"]);
}

#[test]
fn a_rule_that_may_err_proves_nothing() {
    let Some(cvc5) = solver() else { return };
    let before =
        "@id(\"t\") forbid (principal, action, resource) when { context.sys.count.calls > 5 };";
    let line = line(before, "", "bank:account");
    // Our own lint refuses arithmetic that can overflow, so the case is bent after it was written.
    let sum = r#"{\"+\":{\"left\":{\"."#;
    let calls = r#"{\".\":{\"left\":{\".\":{\"left\":{\".\":{\"left\":{\"Var\":\"context\"},\"attr\":\"sys\"}},\"attr\":\"count\"}},\"attr\":\"calls\"}}"#;
    assert!(line.contains(calls), "{line}");
    let bent = line.replace(
        calls,
        &format!(r#"{{\"+\":{{\"left\":{calls},\"right\":{calls}}}}}"#),
    );
    assert!(bent.contains(sum), "{bent}");
    let outcomes = asked(&cvc5, &bent);
    let words: Vec<String> = outcomes.iter().map(word).collect();
    assert_eq!(words, ["unproven: the rule `t` may err"]);
}

#[test]
fn an_assumption_that_no_call_meets_proves_nothing() {
    let Some(cvc5) = solver() else { return };
    let line = line("", "", "bank:account").replace(
        "principal.budget.calls >= 0",
        "principal.budget.calls >= 0 && principal.budget.calls < 0",
    );
    let outcomes = asked(&cvc5, &line);
    let words: Vec<String> = outcomes.iter().map(word).collect();
    assert_eq!(
        words,
        ["unproven: the solver finds no call that there can be"]
    );
}

/// A program that says it is cvc5, and answers each question with `answer`.
fn pretender(folder: &tempfile::TempDir, answer: &str) -> Cvc5 {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join("cvc5");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'This is cvc5 0'; exit 0; }}\nwhile read -r line; do case \"$line\" in\n'(check-sat)') {answer};;\n'(get-model)') printf '(\\n)\\n';;\nesac; done\n"
    );
    std::fs::write(&path, script).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("allowed");
    Cvc5::find(Some(path.into_os_string())).expect("it says so")
}

/// Whatever a solver says that is not borne out is no proof. A widening is asked about each time.
#[test]
fn a_solver_that_lies_or_fails_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = format!("@id(\"t\") forbid (principal, {TRANSFER}, resource);");
    let case = line(&before, "", "bank:transfer");
    for answer in [
        "echo unsat",
        "echo sat",
        "echo unknown",
        "echo '(error \"no\")'",
        "echo maybe",
        "exit 1",
    ] {
        let outcomes = asked(&pretender(&folder, answer), &case);
        let words: Vec<String> = outcomes.iter().map(word).collect();
        assert!(
            matches!(words.as_slice(), [word] if word.starts_with("unproven: ")),
            "{answer}: {words:?}"
        );
    }
}

#[test]
fn a_solver_that_does_not_answer_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let case = line("", "", "bank:transfer");
    let silent = pretender(&folder, ":");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let outcomes = runtime
        .block_on(run(&silent, &case, Duration::from_millis(300)))
        .expect("it ran");
    let words: Vec<String> = outcomes.iter().map(word).collect();
    assert_eq!(words, ["unproven: the time was up"]);
}

#[test]
fn what_is_no_solver_is_none() {
    assert!(Cvc5::find(Some("/nonexistent/cvc5".into())).is_err());
    assert!(Cvc5::find(Some("true".into())).is_err());
}

#[test]
fn cases_that_differ_by_a_name_alone_are_one() {
    let read = |text: &str| serde_json::from_str(text).expect("JSON");
    let clusters = |lines: &[String]| {
        let cases: Vec<serde_json::Value> = lines.iter().map(|line| read(line)).collect();
        cluster::clusters(&cases).len()
    };
    let plain = "@id(\"t\") forbid (principal, action, resource) when { context.body.amount > 5 };";
    let both = |rule: &str| {
        [
            line("", rule, "bank:transfer"),
            line("", rule, "bank:payout"),
        ]
    };
    assert_eq!(clusters(&both(plain)), 1);
    let [one, _] = both(plain);
    assert_eq!(
        clusters(&[one, line("", plain, "bank:account")]),
        2,
        "another kind has other rules"
    );
    let named = "@id(\"t\") forbid (principal, action, resource) when { context.sys.action == \"bank:payout\" };";
    assert_eq!(clusters(&both(named)), 2, "a rule names one of them");
    let pattern =
        "@id(\"t\") forbid (principal, action, resource) when { context.sys.op like \"pay*\" };";
    assert_eq!(clusters(&both(pattern)), 2, "a pattern looks into the name");
}
