use writ_types::Conformance;

use crate::Contract;
use crate::fixture::{contract, of_paths, operation};

/// One operation `x` with the responses (JSON of the `responses` object).
fn answering(version: &str, responses: &str) -> Contract {
    let paths = format!(r#""/x":{{"post":{{"operationId":"x","responses":{responses}}}}}"#);
    contract(&of_paths(&paths).replace("3.0.3", version))
}

/// The conformance and the faults.
fn checked(contract: &Contract, status: u16, content_type: &str, body: &str) -> String {
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    let found = operation(contract, "x").check_response(status, content_type, body.as_bytes());
    assert_eq!(
        found.value.is_some(),
        found.conformance == Conformance::Conforms
    );
    assert_eq!(
        found.faults.is_empty(),
        found.conformance != Conformance::Breaks
    );
    let faults = found.faults.iter();
    std::iter::once(found.conformance.to_string())
        .chain(faults.map(|fault| format!("{}: {}", fault.pointer, fault.kind)))
        .collect::<Vec<_>>()
        .join("; ")
}

const RESPONSES: &str = r#"{
  "200": {"description":"", "content": {
    "application/json": {"schema": {"type":"object","required":["id","secret","made"],"additionalProperties":false,
      "properties":{"id":{"type":"integer"},"secret":{"type":"string","writeOnly":true},
                    "made":{"type":"string","format":"date-time","readOnly":true}}}},
    "text/csv": {"schema": {"type":"string"}}}},
  "204": {"description":""},
  "4XX": {"description":"", "content": {"application/*": {"schema": {"type":"object","required":["error"]}}}},
  "206": {"description":"", "content": {"application/json": {}}},
  "207": {"description":"", "content": {"*/*": {"schema": {"type":"array"}}}}
}"#;

/// Status, content type, body, what is found.
const TABLE: &[(u16, &str, &str, &str)] = &[
    (
        200,
        "application/json",
        r#"{"id":1,"made":"2026-01-02T03:04:05Z"}"#,
        "conforms",
    ),
    (
        200,
        "application/json; charset=utf-8",
        r#"{"id":1,"made":"2026-01-02T03:04:05Z"}"#,
        "conforms",
    ),
    (
        200,
        "application/vnd.x+json",
        r#"{"id":1,"made":"2026-01-02T03:04:05Z"}"#,
        "conforms",
    ),
    (
        200,
        "application/json",
        r#"{"id":1}"#,
        "breaks; /body/made: required and missing",
    ),
    (
        200,
        "application/json",
        r#"{"id":"1","made":"2026-01-02T03:04:05Z"}"#,
        "breaks; /body/id: not of the declared type",
    ),
    (
        200,
        "application/json",
        r#"{"id":1,"made":"2026-01-02T03:04:05Z","more":1}"#,
        "breaks; /body: holds something the contract does not declare",
    ),
    (
        200,
        "application/json",
        r#"{"id":1,"id":2,"made":"2026-01-02T03:04:05Z"}"#,
        "breaks; /body: not strict JSON: a member name stands twice (byte 8)",
    ),
    (
        200,
        "application/json",
        r#"{"id":1"#,
        "breaks; /body: not strict JSON: the text ends too early (byte 7)",
    ),
    (
        200,
        "application/json",
        "",
        "breaks; /body: a body is required",
    ),
    (
        200,
        "",
        r#"{"id":1}"#,
        "breaks; /header/content-type: not a declared content type",
    ),
    (
        200,
        "text/html",
        "<p>",
        "breaks; /header/content-type: not a declared content type",
    ),
    (
        200,
        "*/*",
        "{}",
        "breaks; /header/content-type: not a declared content type",
    ),
    (200, "text/csv", "a,b", "unchecked"),
    (
        201,
        "application/json",
        "{}",
        "breaks; /status: not a declared status",
    ),
    (204, "", "", "unchecked"),
    (204, "application/json", "{}", "unchecked"),
    (
        404,
        "application/problem+json",
        r#"{"error":1}"#,
        "conforms",
    ),
    (404, "application/xml", "<e/>", "unchecked"),
    (
        404,
        "text/html",
        "<e/>",
        "breaks; /header/content-type: not a declared content type",
    ),
    (
        499,
        "application/json",
        r#"{}"#,
        "breaks; /body/error: required and missing",
    ),
    (
        500,
        "application/json",
        r#"{}"#,
        "breaks; /status: not a declared status",
    ),
    (206, "application/json", r#"not even JSON"#, "unchecked"),
    (207, "application/json", r#"[1]"#, "conforms"),
    (
        207,
        "application/json",
        r#"{}"#,
        "breaks; /body: not of the declared type",
    ),
    (207, "image/png", "...", "unchecked"),
];

#[test]
fn responses_are_what_the_contract_says_or_are_told_apart() {
    let contract = answering("3.0.3", RESPONSES);
    for (status, content_type, body, expect) in TABLE {
        let found = checked(&contract, *status, content_type, body);
        assert_eq!(found, *expect, "{status} {content_type} {body}");
    }
}

#[test]
fn a_contract_without_responses_says_nothing_that_could_be_broken() {
    let contract = answering("3.1.0", "{}");
    assert_eq!(checked(&contract, 599, "a/b", "x"), "unchecked");
    let contract = answering("3.1.0", r#"{"default":{"description":""}}"#);
    assert_eq!(
        checked(&contract, 200, "application/json", "x"),
        "unchecked"
    );
}

#[test]
fn a_head_has_no_body_to_miss() {
    let paths = r#""/x":{"head":{"operationId":"x","responses":{"200":{"content":{"application/json":{"schema":{"type":"object"}}}}}}}"#;
    let contract = contract(&of_paths(paths));
    assert_eq!(checked(&contract, 200, "application/json", ""), "unchecked");
    assert_eq!(
        checked(&contract, 404, "application/json", ""),
        "breaks; /status: not a declared status"
    );
}

#[test]
fn swagger_says_it_with_produces() {
    let of = |more: &str, schema: &str| {
        contract(&format!(
            r#"{{"swagger":"2.0","produces":["application/json","text/plain"],"paths":{{"/x":{{"post":{{"operationId":"x"{more},
            "responses":{{"200":{{"schema":{schema}}}}}}}}}}}}}"#
        ))
    };
    let object = r#"{"type":"object","required":["a"]}"#;
    let table = [
        (
            "",
            object,
            "application/json",
            "{}",
            "breaks; /body/a: required and missing",
        ),
        ("", object, "text/plain", "{}", "unchecked"),
        (
            r#","produces":["text/plain"]"#,
            object,
            "application/json",
            "{}",
            "breaks; /header/content-type: not a declared content type",
        ),
        (
            "",
            r#"{"type":"file"}"#,
            "application/json",
            "{",
            "unchecked",
        ),
    ];
    for (more, schema, content_type, body, expect) in table {
        let contract = of(more, schema);
        assert_eq!(
            checked(&contract, 200, content_type, body),
            expect,
            "{more} {schema}"
        );
    }
}

#[test]
fn a_response_that_cannot_be_read_is_not_checked_and_refuses_nothing() {
    for responses in [
        r##"{"200":{"content":{"application/json":{"schema":{"$ref":"#/gone"}}}}}"##,
        r##"{"200":{"$ref":"#/gone"}}"##,
        r#"{"200":{"content":{"application/json":{"schema":{"type":"wrong"}}}}}"#,
        "[]",
    ] {
        let contract = answering("3.1.0", responses);
        assert_eq!(
            checked(&contract, 200, "application/json", "{}"),
            "unchecked",
            "{responses}"
        );
        assert_eq!(contract.refused(), [], "{responses}");
    }
}
