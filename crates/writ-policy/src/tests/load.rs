//! Loading: all or nothing, and every finding with its place.

use std::time::Duration;

use writ_types::Timestamp;

use super::fixture::{Call, NOW, attrs, bank, compile, dns, findings, source, transfer};
use crate::pdp::same_as_cedar;
use crate::{Pdp, PolicySource, Severity, baseline};

const NEVER: &str = r#"@id("t.no") forbid(principal, action, resource);"#;

#[test]
fn every_finding_has_its_place() {
    let found = findings(
        "@id(\"a\")\npermit(principal, action, resource)\nwhen { context.sys.op == 5 };\n\n  @id(\"b\") forbid(principal, action, resouce);",
    );
    assert!(found.contains("test.cedar:5:38: error[syntax]:"), "{found}");
    let types =
        findings("@id(\"a\")\npermit(principal, action, resource)\nwhen { context.sys.op > 5 };");
    assert!(types.contains("test.cedar:3:8: error[type]:"), "{types}");
    assert!(types.contains("(policy `a`)"), "{types}");
}

#[test]
fn one_bad_policy_among_many_files_refuses_them_all() {
    let good = source(r#"@id("a") permit(principal, action, resource);"#);
    let bad = PolicySource {
        name: "b.cedar".to_owned(),
        text: "permit(principal".to_owned(),
    };
    let found = Pdp::compile(&[dns()], &[good, bad], NOW).unwrap_err();
    assert!(
        found.iter().all(|finding| finding.file == "b.cedar"),
        "{found:?}"
    );
    assert!(findings("permit(principal, action, resource); nonsense").contains("error"));
    assert!(
        findings(r#"@id("a") permit(principal, action, resource)"#).contains("error"),
        "no semicolon"
    );
}

#[test]
fn ids_are_unique_over_files() {
    let first = source(NEVER);
    let second = PolicySource {
        name: "other.cedar".to_owned(),
        text: NEVER.to_owned(),
    };
    let found = Pdp::compile(&[dns()], &[first, second], NOW).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].file.as_str(), found[0].line), ("other.cedar", 1));
    assert!(found[0].message.contains("test.cedar:1"), "{found:?}");
}

#[test]
fn a_file_that_cedar_cuts_otherwise_is_refused() {
    let two = source("permit(principal, action, resource); forbid(principal, action, resource);");
    assert_eq!(same_as_cedar(&two, 2), None);
    for other in [0, 1, 3] {
        assert!(same_as_cedar(&two, other).is_some(), "{other}");
    }
}

#[test]
fn templates_are_refused() {
    for slot in [
        "principal == ?principal, action, resource",
        "principal, action, resource in ?resource",
    ] {
        let found = findings(&format!("@id(\"a\") permit({slot});"));
        assert!(found.contains("templates"), "{found}");
    }
}

#[test]
fn an_expired_permit_is_left_out_aloud_and_a_live_one_ends_by_itself() {
    let text = r#"@id("t.temp") @expires("2026-12-01") permit(principal, action, resource) when { principal.mode == "copilot" };"#;
    let sources = [source(text)];
    let pdp = Pdp::compile(&[dns(), bank()], &sources, NOW).unwrap();
    assert!(pdp.notices().is_empty());
    let mut call = Call::of("bank:account", attrs(&[]));
    assert_eq!(call.word(&pdp), "allow");
    // 2026-12-01T00:00:00Z
    let end = Timestamp::from_secs(1_796_083_200);
    call.facts.now = end.minus(Duration::from_millis(1));
    assert_eq!(call.word(&pdp), "allow");
    call.facts.now = end;
    assert_eq!(
        call.word(&pdp),
        "not_permitted",
        "the bundle was loaded before, the day has come since"
    );
    let later = Pdp::compile(&[dns(), bank()], &sources, end).unwrap();
    assert_eq!(later.rules().count(), 0);
    assert_eq!(later.notices().len(), 1);
    assert_eq!(later.notices()[0].severity, Severity::Notice);
    assert!(
        later.notices()[0]
            .to_string()
            .contains("test.cedar:1:16: notice[expired]: this permit expired on 2026-12-01")
    );
    call.facts.now = NOW;
    assert_eq!(call.word(&later), "not_permitted");
}

#[test]
fn an_expired_forbid_fails_the_load_and_does_not_end_by_itself() {
    let text = r#"@id("t.freeze") @expires("2026-12-01") forbid(principal, action, resource);
                  @id("t.all") permit(principal, action, resource);"#;
    let sources = [source(text)];
    let end = Timestamp::from_secs(1_796_083_200);
    let pdp = Pdp::compile(&[bank()], &sources, NOW).unwrap();
    let mut call = Call::of("bank:account", attrs(&[]));
    call.facts.now = end;
    assert_eq!(call.word(&pdp), "forbidden");
    let found = Pdp::compile(&[bank()], &sources, end).unwrap_err();
    assert!(
        found[0]
            .message
            .contains("a forbid does not vanish by itself"),
        "{found:?}"
    );
}

#[test]
fn an_expiry_is_a_date_that_there_is() {
    let on =
        |date: &str| format!(r#"@id("a") @expires("{date}") permit(principal, action, resource);"#);
    for wrong in [
        "",
        "soon",
        "2026-13-01",
        "2027-02-29",
        "2027-00-10",
        "2027-04-31",
        "2027-1-1",
        "2027-01-01T00:00:00Z",
        "+027-01-01",
    ] {
        assert!(
            findings(&on(wrong)).contains("`@expires` is no date"),
            "{wrong}"
        );
    }
    for right in ["2028-02-29", "2027-12-31"] {
        assert!(compile(&on(right)).is_ok(), "{right}");
    }
}

#[test]
fn a_condition_after_an_expiry_is_kept() {
    let text = "@id(\"t.temp\")\n@expires(\"2030-01-01\")\npermit(principal, action == Api_bank::Action::\"transfer\", resource)\nwhen { context.body.amount < 5 } // small ones\n;";
    let pdp = compile(text).unwrap();
    assert_eq!(
        Call::of("bank:transfer", transfer(1, "bob")).word(&pdp),
        "allow"
    );
    assert_eq!(
        Call::of("bank:transfer", transfer(9, "bob")).word(&pdp),
        "not_permitted"
    );
}

#[test]
fn faults_of_a_contract_are_the_apis() {
    let mut twice = dns();
    twice.operations.push(twice.operations[0].clone());
    let mut odd = bank();
    odd.operations[0].attributes =
        super::fixture::record(&[("sys", writ_types::AttrType::Bool, true)]);
    let mut flat = bank();
    flat.operations[0].attributes = writ_types::AttrType::Bool;
    for (apis, said) in [
        (vec![twice], "operation `listZones` is there twice"),
        (vec![odd], "`sys` is no part of an input"),
        (vec![flat], "are no record"),
        (vec![dns(), dns()], "API `dns` is there twice"),
    ] {
        let found = Pdp::compile(&apis, &[], NOW).unwrap_err();
        assert!(found[0].to_string().contains(said), "{found:?}");
    }
}

#[test]
fn the_digest_is_of_names_and_texts() {
    let digest = |sources: &[(&str, &str)]| {
        let sources: Vec<PolicySource> = sources
            .iter()
            .map(|(name, text)| PolicySource {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        Pdp::compile(&[dns()], &sources, NOW).unwrap().digest()
    };
    let base = digest(&[("a", NEVER), ("b", "// x")]);
    assert_eq!(base, digest(&[("b", "// x"), ("a", NEVER)]));
    assert_ne!(base, digest(&[("a", NEVER), ("b", "// y")]));
    assert_ne!(base, digest(&[("a", NEVER), ("c", "// x")]));
    assert_ne!(
        digest(&[("a", "// b"), ("c", "")]),
        digest(&[("a", "// bc"), ("", "")])
    );
}

#[test]
fn a_contract_change_changes_the_bundle_and_not_the_policies() {
    let mut changed = bank();
    changed.operations.pop();
    let before = Pdp::compile(&[bank()], &[baseline()], NOW).unwrap();
    let after = Pdp::recompile(Some(&before), &[changed], &[baseline()], NOW).unwrap();
    assert_eq!(before.digest(), after.digest());
    assert_ne!(before.bundle(), after.bundle());
    assert_eq!(
        before.contract(&"bank".parse().unwrap()),
        Some(bank().contract)
    );
}

#[test]
fn nesting_beyond_all_measure_is_refused_and_does_not_end_the_process() {
    let on = |condition: &str| {
        format!(r#"@id("a") permit(principal, action, resource) when {{ {condition} }};"#)
    };
    // What Cedar would be given at most, and what it is never given.
    for times in [8, 35, 300, 5000] {
        let nested = |open: &str, inner: &str, close: &str| {
            format!("{}{inner}{}", open.repeat(times), close.repeat(times))
        };
        let conditions = [
            nested("(", "true", ")"),
            nested("!(", "true", ")"),
            nested("[", "true", "]"),
            nested("{a:", "true", "}"),
            nested("if principal.mode == \"x\" then ", "true", " else false"),
            nested("", "true", "&& principal.mode == \"x\""),
            nested("", "true", "|| principal.mode == \"x\""),
            nested("", "context", ".a"),
            nested("", "context", "[\"a\"]"),
            nested("", "context has a", ".a"),
            nested("", "1", "+1"),
        ];
        for condition in conditions {
            let answer = compile(&on(&condition));
            assert!(
                times < 300 || answer.is_err(),
                "{} of {}",
                times,
                condition.chars().take(40).collect::<String>()
            );
        }
    }
    let long = on(&format!("principal.purpose == \"{}\"", "x".repeat(70_000)));
    assert!(findings(&long).contains("at most 65536 bytes"));
    assert!(findings(&on(&"(".repeat(41))).contains("nested 42 deep; at most 40"));
    assert!(findings(&on(&"if ".repeat(9))).contains("has 9 `if`s; at most 8"));
    assert!(findings(&on(&"a.".repeat(501))).contains("operators and accesses; at most 500"));
    // In texts and comments there is nothing to count.
    let quoted = format!(
        "principal.purpose == \"{}\" // {}\n",
        "(.if ".repeat(600),
        "(.if ".repeat(600)
    );
    assert!(compile(&on(&quoted)).is_ok());
}
