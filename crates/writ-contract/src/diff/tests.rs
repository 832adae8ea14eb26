use proptest::prelude::*;

use super::*;
use crate::fixture::{call, contract, of_paths};

const CASES: &str = include_str!("../../testdata/diff-cases.txt");

fn document(case: &str) -> String {
    let (kind, text) = case.split_once(' ').unwrap();
    let operation = |inside: &str| {
        of_paths(&format!(
            r#""/x":{{"post":{{"operationId":"x",{inside}}}}}"#
        ))
        .replace("3.0.3", "3.1.0")
    };
    match kind {
        "body" => operation(&format!(
            r#""requestBody":{{"required":true,"content":{{"application/json":{{"schema":{text}}}}}}}"#
        )),
        "reply" => operation(&format!(
            r#""responses":{{"200":{{"description":"ok","content":{{"application/json":{{"schema":{text}}}}}}}}}"#
        )),
        "paths" => of_paths(text),
        "all" => format!(r#"{{"openapi":"3.0.3",{text}}}"#),
        other => panic!("{other}"),
    }
}

fn changes(old: &str, new: &str) -> Vec<String> {
    let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
    let line = |change: &Change| {
        format!(
            "{} {} {}",
            change.rule,
            change.caller.as_str(),
            change.authority.as_str()
        )
    };
    let mut lines: Vec<String> = diff.changes.iter().map(line).collect();
    lines.sort();
    lines
}

/// The golden table: everything that changed, and nothing else.
#[test]
fn each_change_has_its_rule_and_its_two_verdicts() {
    let (mut old, mut new) = ("", "");
    let mut expect: Vec<String> = Vec::new();
    let mut cases = 0;
    for line in CASES
        .lines()
        .chain([""])
        .filter(|line| !line.starts_with('#'))
    {
        match line.split_once(' ') {
            Some(("old", case)) => old = case,
            Some(("new", case)) => new = case,
            Some(("is", change)) => expect.push(change.to_owned()),
            Some(_) => panic!("{line}"),
            None if old.is_empty() => {}
            None => {
                expect.sort();
                assert_eq!(
                    changes(&document(old), &document(new)),
                    expect,
                    "{old}\n{new}"
                );
                assert!(changes(&document(new), &document(new)).is_empty(), "{new}");
                expect.clear();
                old = "";
                cases += 1;
            }
        }
    }
    assert!(cases > 35, "{cases} cases");
}

#[test]
fn a_shared_change_is_one_change_and_reaches_every_operation() {
    let of = |most: u32| {
        document(&format!(
            r##"all "components":{{"schemas":{{"n":{{"type":"integer","maximum":{most}}},"s":{{"type":"array","items":{{"$ref":"#/components/schemas/n"}}}}}}}},
            "paths":{{"/a":{{"put":{{"operationId":"a","requestBody":{{"content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/s"}}}}}}}}}}}},
            "/b":{{"put":{{"operationId":"b","requestBody":{{"content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/s"}}}}}}}}}}}},
            "/c":{{"put":{{"operationId":"c"}}}}}}"##
        ))
    };
    let diff = diff(of(1).as_bytes(), of(2).as_bytes()).unwrap();
    let [change] = diff.changes.as_slice() else {
        panic!("{:?}", diff.changes)
    };
    assert_eq!(
        change.new.as_ref().unwrap().as_str(),
        "/components/schemas/n"
    );
    let changed: Vec<&str> = diff.changed().keys().map(|id| id.as_str()).collect();
    assert_eq!(changed, ["a", "b"]);
    assert_eq!(diff.review().groups.len(), 1);
}

#[test]
fn what_cannot_be_taken_back_is_reviewed_first() {
    let old = of_paths(r#""/a":{"get":{"operationId":"getA"}}"#);
    let new = of_paths(
        r#""/a":{"get":{"operationId":"getA"},"post":{"operationId":"sendMail"},"put":{"operationId":"putA"},"delete":{"operationId":"deleteA"}},
        "/b":{"get":{"operationId":"getB"}}"#,
    );
    let review = diff(old.as_bytes(), new.as_bytes()).unwrap().review();
    let order: Vec<Consequence> = review
        .groups
        .iter()
        .map(|group| group.consequence)
        .collect();
    let expect = [
        Consequence::Irreversible,
        Consequence::External,
        Consequence::Write,
        Consequence::Read,
    ];
    assert_eq!(order, expect);
}

#[test]
fn what_is_no_document_is_refused_by_its_side() {
    let good = of_paths("");
    assert_eq!(diff(b"[]", good.as_bytes()).unwrap_err().side, Side::Old);
    assert_eq!(
        diff(good.as_bytes(), b"{\"a\":1,\"a\":1}")
            .unwrap_err()
            .side,
        Side::New
    );
}

/// A small schema of what the verdict must be right about.
fn schema() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"type":"boolean"}"#.to_owned()),
        (0..4i32, 0..4i32).prop_map(|(low, high)| format!(
            r#"{{"type":"integer","minimum":{low},"maximum":{high}}}"#
        )),
        (0..3usize).prop_map(|most| format!(r#"{{"type":"string","maxLength":{most}}}"#)),
        Just(r#"{"type":["string","null"]}"#.to_owned()),
        Just(r#"{"type":"number","exclusiveMinimum":1}"#.to_owned()),
        Just(r#"{"enum":["a",1]}"#.to_owned()),
        Just(r#"{"const":"a"}"#.to_owned()),
        Just(r#"{"type":"string","pattern":"^a*$"}"#.to_owned()),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        let joined = |keyword: &'static str| list.clone().prop_map(move |list| format!(r#"{{"{keyword}":[{}]}}"#, list.join(",")));
        prop_oneof![
            (inner.clone(), inner.clone(), 0..4u8, 0..3u8).prop_map(|(a, b, required, rest)| {
                let required = ["", r#""a""#, r#""b""#, r#""a","b""#][usize::from(required)];
                let rest = ["", r#","additionalProperties":false"#, r#","additionalProperties":{"type":"integer"}"#][usize::from(rest)];
                format!(r#"{{"type":"object","properties":{{"a":{a},"b":{b}}},"required":[{required}]{rest}}}"#)
            }),
            inner.clone().prop_map(|a| format!(r#"{{"type":"object","properties":{{"a":{a}}},"additionalProperties":false}}"#)),
            (inner.clone(), 0..3usize).prop_map(|(items, most)| format!(r#"{{"type":"array","items":{items},"maxItems":{most}}}"#)),
            joined("anyOf"),
            joined("oneOf"),
            joined("allOf"),
            inner.prop_map(|not| format!(r#"{{"not":{not}}}"#)),
        ]
    })
}

/// Values small enough to meet those schemas.
const VALUES: [&str; 22] = [
    "null",
    "true",
    "0",
    "1",
    "2",
    "3",
    "1.5",
    "\"\"",
    "\"a\"",
    "\"aa\"",
    "\"b\"",
    "[]",
    "[1]",
    "[\"a\",1]",
    "{}",
    r#"{"a":1}"#,
    r#"{"a":"a"}"#,
    r#"{"b":1}"#,
    r#"{"a":1,"b":2}"#,
    r#"{"c":1}"#,
    r#"{"a":true,"c":"x"}"#,
    r#"{"a":{"a":1}}"#,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Soundness: where every change is a proven narrowing, no body passes that did not pass before.
    #[test]
    fn proven_narrowing_lets_nothing_new_through(old in schema(), new in schema()) {
        let (old, new) = (document(&format!("body {old}")), document(&format!("body {new}")));
        let found = diff(old.as_bytes(), new.as_bytes()).unwrap();
        if found.changes.iter().any(|change| change.authority.needs_owner()) {
            return Ok(());
        }
        let (old, new) = (contract(&old), contract(&new));
        for value in VALUES {
            let passes = |contract: &crate::Contract| {
                call(contract, "POST", "/x", &[], Some(("application/json", value.as_bytes()))).faults.is_empty()
            };
            prop_assert!(!passes(&new) || passes(&old), "{value} passes now: {:?}", found.changes);
        }
    }
}
