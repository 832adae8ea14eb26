use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use writ_types::{JsonLimits, Value};

use super::*;
use crate::fixture::{HELPDESK, PETS, SHOP, of_paths};

const CASES: &str = include_str!("../../testdata/lint-cases.txt");

/// The document that a case means.
fn document(case: &str) -> String {
    let numbered = |count: usize, head: &str| {
        let mut paths = String::new();
        for number in 0..count {
            let comma = if number == 0 { "" } else { "," };
            write!(paths, r#"{comma}"/p{number}":{{"get":{{}}}}"#).unwrap();
        }
        format!(r#"{{"openapi":"3.0.3",{head}"paths":{{{paths}}}}}"#)
    };
    match case {
        "MANY" => numbered(129, ""),
        "BROAD" => numbered(
            51,
            r#""components":{"securitySchemes":{"o":{"type":"oauth2"}}},"security":[{"o":["zones"]}],"#,
        ),
        case if case.starts_with("\"/") => of_paths(&case.replace("LONG", &"word ".repeat(900))),
        case => format!(r#"{{"openapi":"3.0.3",{case}}}"#),
    }
}

fn rules_of(document: &str) -> BTreeSet<&'static str> {
    let report = lint(document.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {document}"));
    report
        .findings
        .iter()
        .map(|found| found.rule.id())
        .collect()
}

/// The golden table: each rule fires on one snippet and is quiet on its mended twin.
#[test]
fn each_rule_fires_and_is_quiet_where_it_should() {
    let mut rule = "";
    let mut seen: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ') {
            Some(("fires", case)) => {
                let rules = rules_of(&document(case));
                assert!(
                    rules.contains(rule),
                    "{rule} does not fire on {case}: {rules:?}"
                );
                seen.entry(rule).or_default().0 += 1;
            }
            Some(("quiet", case)) => {
                let rules = rules_of(&document(case));
                assert!(!rules.contains(rule), "{rule} fires on {case}");
                seen.entry(rule).or_default().1 += 1;
            }
            _ if line.is_empty() => {}
            _ => rule = line,
        }
    }
    let ids: Vec<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    for id in &ids {
        let (fires, quiet) = seen.get(id).copied().unwrap_or_default();
        assert!(fires > 0 && quiet > 0, "{id} has no pair of cases");
    }
    assert!(
        seen.keys().all(|id| ids.contains(id)),
        "a case names no rule"
    );
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "two rules have one id");
}

#[test]
fn findings_have_the_line_of_their_place_in_json_and_yaml() {
    let yaml = "openapi: 3.0.3\npaths:\n  /zones:\n    get:\n      operationId: listZones\n      deprecated: true\n";
    let json = "{\"openapi\": \"3.0.3\",\n \"paths\": {\n  \"\\/zones\": {\n   \"get\": {\n    \"deprecated\":\n true}}}}";
    for (document, line) in [(yaml, 6), (json, 5)] {
        let report = lint(document.as_bytes()).unwrap();
        let found = report
            .findings
            .iter()
            .find(|found| found.rule == Rule::OperationDeprecated);
        let found = found.unwrap();
        assert_eq!(found.pointer.as_str(), "/paths/~1zones/get/deprecated");
        assert_eq!(found.line, Some(line), "{document}");
    }
}

#[test]
fn a_place_that_several_operations_share_is_found_once_and_counts_for_each() {
    let shared = r##""paths":{"/a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/s"}}}}}},
        "/b":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/s"}}}}}}},
        "components":{"schemas":{"s":{"type":"array","items":{"$ref":"#/components/schemas/s"}}}}"##;
    let report = lint(document(shared).as_bytes()).unwrap();
    let of_rule = |found: &&Finding| found.rule == Rule::ArrayUnbounded;
    assert_eq!(report.findings.iter().filter(of_rule).count(), 1);
    let [first, second] = report.operations.as_slice() else {
        panic!("two operations")
    };
    assert_eq!(first.score, second.score);
}

#[test]
fn the_worse_an_operation_the_lower_its_score() {
    let score = |document: &str| {
        let report = lint(document.as_bytes()).unwrap();
        report.operations.first().unwrap().score
    };
    let good = r#""components":{"securitySchemes":{"k":{"type":"http","scheme":"bearer"}}},"security":[{"k":[]}],
        "paths":{"/zones/{id}":{"get":{"operationId":"getZone","summary":"Show one zone of yours","parameters":[
        {"name":"id","in":"path","required":true,"description":"Its id","schema":{"type":"string","format":"uuid"}}],
        "responses":{"200":{"description":"ok","content":{"application/json":{"schema":{"type":"object"}}}},
        "default":{"description":"no","content":{"application/problem+json":{"schema":{"type":"object","properties":{"type":{"type":"string"}}}}}}}}}}"#;
    let good = score(&document(good));
    assert_eq!((good.points(), good.grade()), (100, Grade::A));
    let bad = score(&of_paths(
        r#""/delete":{"get":{"responses":{"200":{"description":"ok","content":{"*/*":{"schema":{"type":"object",
        "properties":{"password":{"type":"string"},"private_key":{"type":"string"}}}}}}}}}"#,
    ));
    assert_eq!(bad.grade(), Grade::F, "{bad:?}");
}

#[test]
fn what_is_no_document_is_refused_with_its_place() {
    for (bytes, line) in [
        ("{\"a\":1,\n\"a\":2}", Some(2)),
        ("hello", Some(1)),
        ("[]", Some(1)),
    ] {
        assert_eq!(lint(bytes.as_bytes()).unwrap_err().line, line, "{bytes}");
    }
}

/// The essentials of the SARIF 2.1.0 schema: what it requires, and what code scanning looks at.
#[test]
fn sarif_follows_its_schema() {
    for document in [HELPDESK, SHOP, PETS] {
        let report = lint(document.as_bytes()).unwrap();
        let text = report.to_sarif("apis/a b.yaml").to_string();
        let log = Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
        let member = |value: &Value, name: &str| {
            value
                .member(name)
                .unwrap_or_else(|| panic!("no {name}"))
                .clone()
        };
        assert_eq!(member(&log, "version").as_str(), Some("2.1.0"));
        assert!(
            member(&log, "$schema")
                .as_str()
                .unwrap()
                .ends_with("sarif-2.1.0.json")
        );
        let runs = member(&log, "runs");
        let [run] = runs.as_array().unwrap() else {
            panic!("one run")
        };
        let driver = member(&member(run, "tool"), "driver");
        assert!(!member(&driver, "name").as_str().unwrap().is_empty());
        let rules = member(&driver, "rules");
        let rules = rules.as_array().unwrap();
        let ids: BTreeSet<&str> = rules
            .iter()
            .map(|rule| rule.member("id").unwrap().as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), rules.len(), "§3.19.23: rules are unique");
        for rule in rules {
            for text in ["shortDescription", "fullDescription", "help"] {
                assert!(
                    !member(&member(rule, text), "text")
                        .as_str()
                        .unwrap()
                        .is_empty()
                );
            }
        }
        let results = member(run, "results");
        let results = results.as_array().unwrap();
        assert_eq!(results.len(), report.findings.len());
        for result in results {
            let id = member(result, "ruleId");
            let index = usize::try_from(member(result, "ruleIndex").as_u64().unwrap()).unwrap();
            assert_eq!(rules[index].member("id"), Some(&id), "§3.27.6");
            let level = member(result, "level");
            assert!(["error", "warning", "note"].contains(&level.as_str().unwrap()));
            assert!(
                !member(&member(result, "message"), "text")
                    .as_str()
                    .unwrap()
                    .is_empty()
            );
            let locations = member(result, "locations");
            let place = member(&locations.as_array().unwrap()[0], "physicalLocation");
            let uri = member(&member(&place, "artifactLocation"), "uri");
            assert_eq!(uri.as_str(), Some("apis/a%20b.yaml"), "RFC 3986");
            if let Some(region) = place.member("region") {
                assert!(
                    member(region, "startLine").as_u64().unwrap() >= 1,
                    "§3.30.5"
                );
            }
        }
    }
}
