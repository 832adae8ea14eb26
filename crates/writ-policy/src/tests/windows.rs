//! What rules see of windows, and what a load says of windows that count nothing.

use std::collections::BTreeMap;

use writ_types::{Amount, ReasonCode, Sum, Value, Windowed};

use super::fixture::{Call, NOW, bank, dns, source, transfer, windows};
use crate::{Pdp, PolicySource, baseline, declared_windows, windows_text};

const PAID: &str = "3 paid agent 86400 payment/EUR bank:transfer\n";

const LIMIT: &str = "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource)
    when { context.sys.windows.paid.sum.greaterThan(decimal(\"1000.00\")) || context.sys.windows.paid.others > 0 || context.sys.windows.paid.calls > 20 };";

fn compile(rules: &[PolicySource]) -> Result<Pdp, String> {
    let mut sources = vec![baseline()];
    sources.extend(rules.iter().cloned());
    let compiled = Pdp::compile(&[dns(), bank()], &sources, NOW);
    compiled.map_err(|found| found.iter().map(|one| format!("{one}\n")).collect())
}

fn held(calls: u64, sum: Option<&str>, others: u64) -> Windowed {
    let exact = |text| Amount::of(&Value::from(text)).unwrap();
    Windowed {
        calls,
        sum: Some(sum.map_or(Sum::Unrepresentable, |text| Sum::Exact(exact(text)))),
        others,
    }
}

#[test]
fn a_rule_compares_what_was_done_within_a_time() {
    let pdp = compile(&[windows(PAID), source(LIMIT)]).unwrap();
    let careless = "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource) when { context.sys.windows.paid.calls > 20 };";
    let careless = compile(&[windows(PAID), source(careless)]).unwrap();
    for (shown, refused) in [
        (held(1, Some("1000"), 0), None),
        (held(1, Some("1000.0001"), 0), Some(ReasonCode::Forbidden)),
        (held(20, Some("0"), 0), None),
        (held(21, Some("0"), 0), Some(ReasonCode::Forbidden)),
        (held(1, Some("1"), 1), Some(ReasonCode::Forbidden)),
        // What cannot be held exactly is refused where a rule looks at it.
        (held(1, None, 0), Some(ReasonCode::Unrepresentable)),
        (
            held(u64::MAX, None, u64::MAX),
            Some(ReasonCode::Unrepresentable),
        ),
    ] {
        let mut call = Call::of("bank:transfer", transfer(1, "DE1"));
        call.facts
            .windows
            .insert("paid".parse().unwrap(), shown.clone());
        let said = pdp.decide_checked(&call.question());
        assert_eq!(said.err().map(|denied| denied.reason), refused, "{shown:?}");
        let said = careless.decide_checked(&call.question());
        let many = shown.calls > 20;
        let wanted = many.then_some(ReasonCode::Forbidden);
        assert_eq!(said.err().map(|denied| denied.reason), wanted, "{shown:?}");
    }
    // What was not counted is not nothing.
    let mut call = Call::of("bank:transfer", transfer(1, "DE1"));
    call.facts.windows = BTreeMap::new();
    let said = pdp.decide(&call.question());
    assert_eq!(
        said.err().map(|denied| denied.reason),
        Some(ReasonCode::PolicyError)
    );
}

const SOUND: &str = "context.sys.windows.paid.calls > 5";

/// A window, a condition, and what a load says of them.
const WRONG: &[(&str, &str, Option<&str>)] = &[
    (PAID, SOUND, None),
    (
        "3 paid agent 86400 payment/EUR bank:transfr\n",
        SOUND,
        Some(
            "policies/windows:3:1: error[window]: window `paid`: there is no action `bank:transfr`",
        ),
    ),
    (
        "3 paid agent 86400 paymnt/EUR bank:transfer\n",
        SOUND,
        Some("no argument of `bank:transfer` is a `paymnt`"),
    ),
    (
        "3 paid agent 86400 payment/EUR delete\n",
        SOUND,
        Some("no argument of the actions it counts is a `payment`"),
    ),
    (
        "3 paid agent 9999999 payment/EUR bank:transfer\n",
        SOUND,
        Some("at most 31 days"),
    ),
    (
        "3 paid agent 30 - bank:transfer\n",
        SOUND,
        Some("at least a minute"),
    ),
    (
        "3 paid agent 86400 - wrte\n",
        SOUND,
        Some("`wrte` is no group"),
    ),
    (
        "3 writ_paid agent 86400 - write\n",
        "context.sys.windows.writ_paid.calls > 5",
        Some("that Writ ships begin with `writ_`"),
    ),
    ("3 paid agent 86400\n", SOUND, Some("these are no windows")),
    (
        PAID,
        "context.sys.windows.piad.calls > 5",
        Some("did you mean `paid`?"),
    ),
    (
        PAID,
        "context.sys.windows.paid.cals > 5",
        Some("did you mean `calls`?"),
    ),
    (
        PAID,
        "context.sys.windows.paid.sum.lessThan(decimal(\"5.0\"))",
        Some("gets round the rule"),
    ),
    (
        "3 paid agent 86400 - bank:transfer\n",
        "context.sys.windows.paid.others > 5",
        Some("`others` is read"),
    ),
];

#[test]
fn a_window_that_counts_nothing_is_no_window() {
    let forbid = |condition: &str| {
        source(&format!(
            "@id(\"t\") forbid (principal, action == Api_bank::Action::\"transfer\", resource) when {{ {condition} }};"
        ))
    };
    for (declared, condition, said) in WRONG {
        let found = compile(&[windows(declared), forbid(condition)]).err();
        match said {
            None => assert_eq!(found, None, "{declared}"),
            Some(said) => {
                let found = found.unwrap_or_default();
                assert!(found.contains(said), "{declared}{condition}: {found}");
            }
        }
    }
}

#[test]
fn windows_are_written_in_one_spelling() {
    let text = "1 paid agent 86400 payment/EUR bank:transfer dns:patchZone\n7 gone task 60 - delete irreversible bank:note\n9 seats requester 3600 seats/ write\n";
    assert_eq!(windows_text(&declared_windows(text).unwrap()), text);
    for bad in [
        "1 paid agent 86400 -  write\n",
        "1 paid agent 086400 - write\n",
        "1 paid all 60 - write\n",
    ] {
        assert_eq!(declared_windows(bad), None, "{bad}");
    }
}
