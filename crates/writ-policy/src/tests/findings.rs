//! Every lint with a rule that has it: what is said, where, and how to mend it. The table is `testdata/lints.txt`, for
//! people; the test prints what it found when that differs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::fixture::{NOW, bank, dns, source, windows};
use crate::{Lint, Pdp, PolicySource, baseline};

/// Rules beside the baseline. Most are refused; the last few are loaded, with a notice.
const RULES: [&str; 39] = [
    // What cannot be read.
    "permit (principal, action, resource",
    "@id(\"t\")\npermit (principal == ?principal, action, resource);",
    "@id(\"t\") permit (principal, action, resource); // \u{202E}hidden",
    "@id(\"t\") permit (principal, action, resource) when { if true then if true then if true then if true then if true then if true then if true then if true then if true then true else true else true else true else true else true else true else true else true else true };",
    // What it says of itself.
    "permit (principal, action, resource);",
    "@id(\"core.read\")\nforbid (principal, action, resource);",
    "@id(\"t\") @aproval(\"ops\")\nforbid (principal, action, resource);",
    "@id(\"t\") @approval(\"ops\")\npermit (principal, action, resource);",
    "@id(\"t\") @expires(\"2026-01-01\")\nforbid (principal, action, resource);",
    // Names.
    "@id(\"t\")\nforbid (principal, action == Api_dns::Action::\"listZone\", resource);",
    "@id(\"t\")\nforbid (principal, action in Writ::Action::\"delte\", resource);",
    "@id(\"t\")\nforbid (principal, action, resource == Writ::Upstream::\"dsn\");",
    // Attributes.
    "@id(\"t\")\nforbid (principal, action, resource)\nwhen { context has bdoy && context.bdoy.amount > 5 };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.body.amount > 5 || context.body has mmeo };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { (if context.sys.count.calls > 1 then context.body else context.body) has memo };",
    "@id(\"t\")\nforbid (principal, action, resource)\nwhen { principal.prompt like \"*refund*\" };",
    "@id(\"t\")\npermit (principal, action, resource)\nwhen { principal has intent || principal.mode == \"copilot\" };",
    // Arithmetic.
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.body.amount + 1 > 1000 };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.body has due && context.sys.now.durationSince(context.body.due) > duration(\"1d\") };",
    // Literals.
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.body has speed && context.body.speed == \"instnat\" };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nunless { context.body has speed && [\"standard\", \"slow\"].contains(context.body.speed) };",
    "@id(\"t\")\nforbid (principal, action, resource)\nwhen { principal.mode == \"autonomus\" };",
    "@id(\"t\")\nforbid (principal, action, resource)\nunless { principal.vouched.contains(\"promt\") };",
    "@id(\"t\")\nforbid (principal, action, resource)\nwhen { context.sys.seen.contains(\"bank:acount\") };",
    "@id(\"t\")\nforbid (principal, action in Writ::Action::\"read\", resource == Writ::Upstream::\"dns\")\nwhen { context.sys.op == \"patchZone\" };",
    "@id(\"t\")\nforbid (principal, action, resource)\nwhen { principal.declared.containsAny([\"dns:patchZone\", \"dns:dropZone\"]) };",
    // Windows.
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.sys.windows.paid.sum.greaterThan(decimal(\"1000.0\")) };",
    // Approvals.
    "@id(\"t\") @approval(\"requester\") @four_eyes\nforbid (principal, action in Writ::Action::\"delete\", resource);",
    "@id(\"t\")\npermit (principal, action, resource)\nwhen { context.sys.approvals.contains(\"security\") };",
    // Types, and rules that never match.
    "@id(\"t\")\nforbid (principal, action, resource)\nwhen { context.sys.op > 5 };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"note\", resource)\nwhen { context.body.text == \"x\" };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"account\", resource)\nwhen { context has body };",
    "@id(\"t\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.body.amount > 5 && !(context.body has amount) };",
    // What is loaded, with a notice.
    "@id(\"t\") @expires(\"2026-01-01\")\npermit (principal, action, resource);",
    "@id(\"t\")\nforbid (principal, action in Writ::Action::\"write\", resource)\nwhen { context has body && context.body has amount && context.body.amount > 5 };",
    "@id(\"t\")\nforbid (principal, action in Writ::Action::\"write\", resource)\nunless { context has path };",
    "@id(\"t\") @approval(\"ops\")\nforbid (principal, action in Writ::Action::\"delete\", resource);\n@id(\"u\")\nforbid (principal, action in Writ::Action::\"write\", resource);",
    "@id(\"t\") @defer(\"24h\")\nforbid (principal, action == Api_bank::Action::\"transfer\", resource);\n@id(\"u\")\nforbid (principal, action, resource == Writ::Upstream::\"bank\");",
    // And nothing at all.
    "@id(\"t\") @approval(\"ops\")\nforbid (principal, action in Writ::Action::\"delete\", resource)\nwhen { principal.mode == \"autonomous\" && context has path };\n@id(\"u\")\nforbid (principal, action in Writ::Action::\"delete\", resource)\nwhen { context.sys.count.deletes > 3 };",
];

#[test]
fn every_lint_has_its_place_and_its_fix() {
    let mut table = String::from(
        "# What a load says of rules beside the baseline: `file:line:column: severity[lint]: what (policy)`, and the fix.\n",
    );
    let mut seen = BTreeSet::new();
    for text in RULES {
        let counted = windows("1 paid agent 86400 payment/EUR bank:transfer\n");
        let rules = [baseline(), counted, source(text)];
        let found = match Pdp::compile(&[dns(), bank()], &rules, NOW) {
            Err(found) => found,
            Ok(pdp) => pdp.notices().to_vec(),
        };
        table.push('\n');
        for line in text.lines() {
            let line: String = line.chars().take(160).collect();
            writeln!(table, "    {}", line.replace('\u{202E}', "<U+202E>")).unwrap();
        }
        for finding in &found {
            assert!(finding.line > 0 && finding.column > 0, "{finding}");
            assert_eq!(finding.file, "test.cedar");
            seen.insert(finding.lint);
            writeln!(table, "{finding}").unwrap();
        }
        if found.is_empty() {
            table.push_str("nothing\n");
        }
    }
    // Faults of a contract, an exception and a draft are none of a rule; `load`, `exceptions` and `shadow` have those.
    let all: BTreeSet<Lint> = Lint::ALL
        .iter()
        .copied()
        .filter(|lint| !matches!(lint, Lint::Contract | Lint::Exception | Lint::Shadow))
        .collect();
    assert_eq!(seen, all, "a lint without an example");
    assert_eq!(
        table,
        include_str!("../../testdata/lints.txt"),
        "found:\n{table}"
    );
}

#[test]
fn an_approval_of_what_nothing_permits_is_seen() {
    let rule = "@id(\"t\") @approval(\"ops\") forbid (principal, action in Writ::Action::\"delete\", resource);";
    let alone = Pdp::compile(&[dns(), bank()], &[source(rule)], NOW).unwrap();
    let [notice] = alone.notices() else {
        panic!("{:?}", alone.notices())
    };
    assert_eq!(notice.lint, Lint::NobodyApproves);
    assert!(notice.message.contains("no rule permits these calls"));
    let beside = Pdp::compile(&[dns(), bank()], &[baseline(), source(rule)], NOW).unwrap();
    assert!(beside.notices().is_empty());
}

#[test]
fn a_domain_is_that_of_all_operations_that_have_the_attribute_and_of_none_if_one_takes_any_text() {
    let rule = |action: &str, text: &str| {
        let rule = format!(
            "@id(\"t\") forbid (principal, {action}, resource) when {{ context has body && context.body has speed && context.body.speed == \"{text}\" }};"
        );
        let mut free = bank();
        free.api = "free".parse().unwrap();
        for operation in &mut free.operations {
            operation.domains.clear();
        }
        let mut slow = bank();
        slow.api = "slow".parse().unwrap();
        for domain in slow
            .operations
            .iter_mut()
            .flat_map(|one| one.domains.values_mut())
        {
            *domain = ["slow".to_owned()].into();
        }
        let sources = [PolicySource {
            name: "t".to_owned(),
            text: rule,
        }];
        move |with_free: bool| {
            let mut apis = vec![bank(), slow.clone()];
            apis.extend(with_free.then(|| free.clone()));
            Pdp::compile(&apis, &sources, NOW).is_ok()
        }
    };
    for (action, text, strict, with_free) in [
        (
            "action == Api_bank::Action::\"transfer\"",
            "instant",
            true,
            true,
        ),
        (
            "action == Api_bank::Action::\"transfer\"",
            "slow",
            false,
            false,
        ),
        ("action", "instant", true, true),
        ("action", "slow", true, true),
        ("action", "other", false, true),
    ] {
        let taken = rule(action, text);
        assert_eq!(
            (taken(false), taken(true)),
            (strict, with_free),
            "{action} {text}"
        );
    }
}

/// The page that people read.
#[test]
fn the_reference_page_says_what_the_registry_says() {
    let mut page = String::from(
        "<!-- Made from crates/writ-policy/src/findings.rs, whose test compares them; do not edit. -->

# Policy lints

`writ policy check` finds these in a project's policies, and a change that has one of them as an error is not taken. Cedar's own
validator sees `type` and a part of `never-matches`; the others are Writ's, because a gateway must not take what Cedar can: a forbid
that is misspelt, that errs, or that is narrower than it looks fails open. An example of each is in `crates/writ-policy/testdata/lints.txt`.

| lint | what |
|---|---|
",
    );
    for lint in Lint::ALL {
        writeln!(page, "| [`{lint}`](#{lint}) | {} |", lint.title()).unwrap();
    }
    for lint in Lint::ALL {
        let (title, why, fix) = (lint.title(), lint.why(), lint.fix());
        write!(page, "\n## `{lint}`\n\n{title}.\n\n{why}\n\nFix: {fix}\n").unwrap();
    }
    assert_eq!(
        page,
        include_str!("../../../../docs/reference/policy-lints.md"),
        "found:\n{page}"
    );
}
