use crate::fixture::{call, compile, faults, of_body};

/// The faults of a body, and what it holds beyond the contract.
fn checked(version: &str, schema: &str, body: &str) -> String {
    let contract = of_body(version, schema);
    let parsed = call(
        &contract,
        "POST",
        "/x",
        &[],
        Some(("application/json", body.as_bytes())),
    );
    let mut shown = faults(&parsed);
    shown.sort();
    shown.extend(
        parsed
            .input
            .extra
            .iter()
            .map(|pointer| format!("extra {pointer}")),
    );
    shown.extend(
        parsed
            .input
            .nulls
            .iter()
            .map(|pointer| format!("null {pointer}")),
    );
    shown.join("; ")
}

/// Schema, body, and what is found.
const KEYWORDS: &[(&str, &str, &str)] = &[
    (r#"{"type":"integer"}"#, "1.0", ""),
    (
        r#"{"type":"integer"}"#,
        "1.5",
        "/body: not of the declared type",
    ),
    (
        r#"{"type":"integer"}"#,
        "\"1\"",
        "/body: not of the declared type",
    ),
    (r#"{"type":["string","null"]}"#, "null", ""),
    (
        r#"{"type":"string"}"#,
        "null",
        "/body: not of the declared type",
    ),
    (
        r#"{"type":"integer","format":"int32"}"#,
        "2147483648",
        "/body: not in the declared format",
    ),
    (
        r#"{"type":"integer","format":"int64"}"#,
        "9223372036854775807",
        "",
    ),
    (
        r#"{"type":"integer","format":"int64"}"#,
        "9223372036854775808",
        "/body: not in the declared format",
    ),
    (r#"{"minimum":0.1,"exclusiveMaximum":1}"#, "0.1", ""),
    (
        r#"{"minimum":0.1,"exclusiveMaximum":1}"#,
        "0.09999999999999999999",
        "/body: outside the declared range",
    ),
    (
        r#"{"minimum":0.1,"exclusiveMaximum":1}"#,
        "1.0",
        "/body: outside the declared range",
    ),
    (r#"{"multipleOf":0.01}"#, "19.99", ""),
    (
        r#"{"multipleOf":0.01}"#,
        "19.999",
        "/body: outside the declared range",
    ),
    (
        r#"{"type":"number"}"#,
        "1e999999999",
        "/body: outside the declared range",
    ),
    (r#"{"maxLength":2}"#, "\"äö\"", ""),
    (
        r#"{"maxLength":2}"#,
        "\"abc\"",
        "/body: outside the declared length",
    ),
    (
        r#"{"pattern":"^a+$"}"#,
        "\"ab\"",
        "/body: does not follow the declared pattern",
    ),
    (r#"{"format":"date"}"#, "\"2024-02-29\"", ""),
    (
        r#"{"format":"date"}"#,
        "\"2023-02-29\"",
        "/body: not in the declared format",
    ),
    (
        r#"{"format":"date-time"}"#,
        "\"2026-11-23T04:05:06.7+01:00\"",
        "",
    ),
    (
        r#"{"format":"date-time"}"#,
        "\"2026-11-23 04:05:06\"",
        "/body: not in the declared format",
    ),
    (r#"{"enum":[1,"a",null]}"#, "1.0", ""),
    (
        r#"{"enum":[1,"a",null]}"#,
        "\"1\"",
        "/body: not one of the declared values",
    ),
    (r#"{"const":{"a":[1]}}"#, r#"{"a":[1.0]}"#, "extra /body/a"),
    (
        r#"{"uniqueItems":true}"#,
        "[1,1.0]",
        "/body: items are not unique",
    ),
    (r#"{"uniqueItems":true}"#, r#"[1,"1",[1],[1,2]]"#, ""),
    (
        r#"{"minItems":1,"maxItems":2}"#,
        "[]",
        "/body: outside the declared count",
    ),
    (
        r#"{"prefixItems":[{"type":"integer"}],"items":{"type":"string"}}"#,
        r#"[1,"a",2]"#,
        "/body/2: not of the declared type",
    ),
    (
        r#"{"properties":{"a":{"type":"string"}},"additionalProperties":false}"#,
        r#"{"a":"x","secret":1}"#,
        "/body: holds something the contract does not declare; extra /body/secret",
    ),
    (
        r#"{"properties":{"a":{"type":"string"}}}"#,
        r#"{"a":"x","b/c":{"d":1}}"#,
        "extra /body/b~1c",
    ),
    (
        r#"{"properties":{"a":{"properties":{"b":{}}}}}"#,
        r#"{"a":{"b":1,"c":2}}"#,
        "extra /body/a/c",
    ),
    (
        r#"{"additionalProperties":{"type":"integer"}}"#,
        r#"{"anything":"x"}"#,
        "/body/*: not of the declared type",
    ),
    (
        r#"{"patternProperties":{"^x-":{"type":"integer"}},"additionalProperties":false}"#,
        r#"{"x-a":1,"y":2}"#,
        "/body: holds something the contract does not declare; extra /body/y",
    ),
    (
        r#"{"required":["a"]}"#,
        "{}",
        "/body/a: required and missing",
    ),
    (
        r#"{"propertyNames":{"maxLength":1}}"#,
        r#"{"ab":1}"#,
        "/body: holds something the contract does not declare; extra /body/ab",
    ),
    (
        r#"{"maxProperties":1}"#,
        r#"{"a":1,"b":2}"#,
        "/body: outside the declared count; extra /body/a; extra /body/b",
    ),
    (
        r#"{"properties":{"id":{"readOnly":true,"type":"integer"}}}"#,
        r#"{"id":1}"#,
        "extra /body/id",
    ),
    (
        r#"{"properties":{"a":{"type":["string","null"]}}}"#,
        r#"{"a":null}"#,
        "null /body/a",
    ),
    (
        r#"{"properties":{"a":false}}"#,
        r#"{"a":1}"#,
        "/body/a: not allowed here",
    ),
    (
        r#"{"oneOf":[{"type":"integer"},{"type":"number"}]}"#,
        "1",
        "/body: fits none of the declared alternatives, or more than one",
    ),
    (
        r#"{"anyOf":[{"type":"integer"},{"type":"number"}]}"#,
        "1",
        "",
    ),
    (
        r#"{"not":{"type":"integer"}}"#,
        "1",
        "/body: is what the contract excludes",
    ),
    // JSON Schema: `additionalProperties` sees only the `properties` beside it.
    (
        r#"{"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]}"#,
        r#"{"a":1,"b":2}"#,
        "/body: holds something the contract does not declare",
    ),
    // An alternative declares only what it holds if the value fits it.
    (
        r#"{"oneOf":[{"properties":{"k":{"const":1},"a":{}}},{"properties":{"k":{"const":2},"b":{}}}]}"#,
        r#"{"k":1,"b":2}"#,
        "extra /body/b",
    ),
];

#[test]
fn keywords_are_checked_as_the_table_says() {
    for (schema, body, expect) in KEYWORDS {
        assert_eq!(
            checked("3.1.0", schema, body),
            *expect,
            "{schema} of {body}"
        );
    }
}

#[test]
fn versions_differ_where_the_standards_do() {
    let sibling = r##"{"properties":{"a":{"$ref":"#/x-defs/a","maxLength":1}},"additionalProperties":false}"##;
    let with = |version: &str| {
        let document = format!(
            r##"{{"openapi":"{version}","x-defs":{{"a":{{"type":"string"}}}},"paths":{{"/x":{{"post":{{"requestBody":{{"content":
            {{"application/json":{{"schema":{sibling}}}}}}}}}}}}}}}"##
        );
        let contract = crate::fixture::contract(&document);
        let body = ("application/json", &br#"{"a":"long"}"#[..]);
        faults(&call(&contract, "POST", "/x", &[], Some(body)))
    };
    assert!(
        with("3.0.0").is_empty(),
        "3.0 ignores what stands beside `$ref`"
    );
    assert_eq!(with("3.1.0"), ["/body/a: outside the declared length"]);
    assert_eq!(with("3.2.0"), ["/body/a: outside the declared length"]);
    assert_eq!(
        checked(
            "3.0.0",
            r#"{"type":"string","nullable":true,"enum":["a"]}"#,
            "null"
        ),
        ""
    );
    let flag = r#"{"type":"number","minimum":1,"exclusiveMinimum":true}"#;
    assert_eq!(
        checked("3.0.0", flag, "1"),
        "/body: outside the declared range"
    );
}

#[test]
fn what_is_read_only_is_not_required_of_a_request() {
    let schema = r#"{"required":["id","name"],"properties":{"id":{"type":"integer","readOnly":true},"name":{"type":"string"}}}"#;
    assert_eq!(checked("3.0.0", schema, r#"{"name":"x"}"#), "");
    assert_eq!(
        checked("3.0.0", schema, r#"{"id":1}"#),
        "/body/name: required and missing; extra /body/id"
    );
}

#[test]
fn entangled_schemas_end() {
    // A schema that applies itself to the same value.
    let own = r##"{"openapi":"3.1.0","x":{"allOf":[{"$ref":"#/x"}]},"paths":{"/x":{"post":{"requestBody":{"content":
        {"application/json":{"schema":{"$ref":"#/x"}}}}}}}}"##;
    let contract = crate::fixture::contract(own);
    let parsed = call(
        &contract,
        "POST",
        "/x",
        &[],
        Some(("application/json", b"1")),
    );
    assert_eq!(faults(&parsed), ["/body: too complex to check"]);
    // Two alternatives on each of 40 levels, all wrong at the end.
    let mut defs = r#""d0":{"type":"integer"}"#.to_owned();
    for level in 1..40 {
        let below = level - 1;
        let both = format!(r##"{{"items":{{"$ref":"#/d{below}"}}}}"##);
        defs.push_str(&format!(r#","d{level}":{{"anyOf":[{both},{both}]}}"#));
    }
    let document = format!(
        r##"{{"openapi":"3.1.0",{defs},"paths":{{"/x":{{"post":{{"requestBody":{{"content":{{"application/json":
        {{"schema":{{"$ref":"#/d39"}}}}}}}}}}}}}}}}"##
    );
    let contract = crate::fixture::contract(&document);
    let body = format!("{}\"x\"{}", "[".repeat(39), "]".repeat(39));
    let parsed = call(
        &contract,
        "POST",
        "/x",
        &[],
        Some(("application/json", body.as_bytes())),
    );
    assert!(faults(&parsed).contains(&"/body: too complex to check".to_owned()));
    // Seen as anything, in bounded time.
    assert!(
        contract
            .operations()
            .all(|operation| operation.coverage().iter().count() > 0)
    );
}

#[test]
fn a_long_name_cannot_multiply() {
    let name = "n".repeat(100_000);
    let items = vec![r#"{"a":null}"#; 10_000].join(",");
    let body = format!(r#"{{"{name}":[{items}]}}"#);
    let schema = r#"{"additionalProperties":{"items":{"properties":{"a":{}}}}}"#;
    assert_eq!(
        checked("3.1.0", schema, &body).split("; ").next(),
        Some("/body: too complex to check")
    );
}

#[test]
fn what_is_not_enforced_is_said() {
    let document = r#"{"openapi":"3.1.0","paths":{"/x":{"post":{"requestBody":{"content":{"application/json":{"schema":
        {"properties":{"a":{"type":"string","pattern":"(?=x)"},"b":{"type":"object","properties":{"c":{"type":"string"}},"if":{}}}}}}}}}}}"#;
    let (contract, diagnostics) = compile(document);
    let messages: Vec<String> = diagnostics
        .iter()
        .map(|found| found.message.clone())
        .collect();
    assert_eq!(
        messages,
        [
            "the pattern cannot be expressed and is not enforced",
            "`if` is not enforced"
        ]
    );
    let contract = contract.unwrap();
    let operation = contract.operations().next().unwrap();
    assert_eq!(
        operation.coverage().of("/body/a"),
        Some(crate::Visibility::Lossy)
    );
}
