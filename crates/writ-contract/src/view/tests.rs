//! The mapping as a table: type, value, and what cannot be seen.

use writ_types::{Attr, AttrType, Input, Projection, Value};

use crate::fixture::{HELPDESK, contract, of_body, operation};
use crate::{Contract, Operation, Visibility};

/// `{a: Long, b?: {items: [String], count: Long}}`
fn ty(of: &AttrType) -> String {
    match of {
        AttrType::Bool => "Bool".to_owned(),
        AttrType::Long => "Long".to_owned(),
        AttrType::String => "String".to_owned(),
        AttrType::Decimal => "Decimal".to_owned(),
        AttrType::Datetime => "Datetime".to_owned(),
        AttrType::Set(inner) => format!("[{}]", ty(inner)),
        AttrType::Record(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| {
                    let mark = if field.required { "" } else { "?" };
                    format!("{name}{mark}: {}", ty(&field.ty))
                })
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

fn shown(of: &Attr) -> String {
    match of {
        Attr::Bool(value) => value.to_string(),
        Attr::Long(value) => value.to_string(),
        Attr::String(text) => format!("{text:?}"),
        Attr::Decimal(text) => format!("d{text}"),
        Attr::Datetime(instant) => format!("{instant:?}"),
        Attr::Set(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Attr::Record(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, attr)| format!("{name}: {}", shown(attr)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

fn first(contract: &Contract) -> &Operation {
    contract.operations().next().unwrap()
}

/// The type of a body, without its outer record.
fn body_type(schema: &str) -> String {
    let contract = of_body("3.1.0", schema);
    let shown = ty(first(&contract).attributes());
    shown
        .strip_prefix("{body: ")
        .or_else(|| shown.strip_prefix("{body?: "))
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(&shown)
        .to_owned()
}

fn projected(contract: &Contract, body: &str, wanted: &Projection) -> String {
    let input = Input {
        body: Some(Value::parse(body.as_bytes(), &writ_types::JsonLimits::REQUEST).unwrap()),
        ..Input::default()
    };
    match first(contract).project(&input, wanted) {
        Ok(attr) => shown(&attr),
        Err(fault) => format!("unseen {}", fault.pointer),
    }
}

#[test]
fn types_follow_the_mapping() {
    let opaque = "{bytes: Long, digest: String}";
    let deep = (0..8).fold(r#"{"type":"string"}"#.to_owned(), |inner, _| {
        format!(r#"{{"type":"object","properties":{{"a":{inner}}}}}"#)
    });
    let table = [
        (r#"{"type":"string"}"#, "String".to_owned()),
        (r#"{"type":"integer"}"#, "Long".to_owned()),
        (r#"{"type":"number"}"#, "Decimal".to_owned()),
        (r#"{"enum":["a","b"]}"#, "String".to_owned()),
        (r#"{"type":["integer","string"]}"#, "String".to_owned()),
        (r#"{"oneOf":[{"type":"integer"},{"type":"number"}]}"#, "Decimal".to_owned()),
        (r#"{"properties":{"a":{"type":"integer"},"b":{"type":["string","null"]}},"required":["a","b"]}"#, "{a: Long, b?: String}".to_owned()),
        (r#"{"type":"array","items":{"type":"string"}}"#, "{count: Long, items: [String]}".to_owned()),
        (r#"{"additionalProperties":{"type":"integer"}}"#, "{count: Long, keys: [String], values: [Long]}".to_owned()),
        (r#"{"type":"object"}"#, "{count: Long, keys: [String]}".to_owned()),
        (r#"{"type":"array","items":{"properties":{"a":{"type":"string"}}}}"#, "{a: [String], a__missing: Bool, count: Long}".to_owned()),
        // Columns of columns, and a member that is called as one of ours.
        (
            r#"{"type":"array","items":{"properties":{"count":{"type":"integer"},"r":{"type":"array","items":{"properties":{"c":{"type":"string"}}}},"n":{"properties":{"x":{"type":"boolean"}}}}}}"#,
            "{count: Long, count_: [Long], count___missing: Bool, n: {x: [Bool], x__missing: Bool}, r: {c: [String], c__missing: Bool, count: Long}, r__missing: Bool}".to_owned(),
        ),
        (r#"{"type":"array","items":{"type":"array","items":{"type":"string"}}}"#, opaque.to_owned()),
        (r#"{"type":"array","items":{"type":["string","null"]}}"#, opaque.to_owned()),
        (r#"{"oneOf":[{"type":"string"},{"type":"object","properties":{"a":{"type":"string"}}}]}"#, opaque.to_owned()),
        (r#"{}"#, opaque.to_owned()),
        // A union requires what both require.
        (
            r#"{"oneOf":[{"properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a","b"]},{"properties":{"a":{"type":"integer"}},"required":["a"]}]}"#,
            "{a: String, b?: String}".to_owned(),
        ),
        (r#"{"allOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"a":{},"b":{"type":"integer"}},"required":["a"]}]}"#, "{a: String, b?: Long}".to_owned()),
        (r#"{"properties":{"__entity":{"type":"string"},"_entity":{"type":"string"},"x-y":{"type":"string"}}}"#, "{_entity?: String, _entity_?: String, x-y?: String}".to_owned()),
        (&deep, format!("{}{opaque}{}", "{a?: ".repeat(7), "}".repeat(7))),
    ];
    for (schema, expect) in table {
        assert_eq!(body_type(schema), expect, "{schema}");
    }
}

#[test]
fn recursion_is_opaque_and_the_help_desk_is_seen() {
    let helpdesk = contract(HELPDESK);
    let create = operation(&helpdesk, "createTicket");
    assert_eq!(
        ty(create.attributes()),
        "{body: {anything?: {bytes: Long, digest: String}, code?: String, \
         comments?: {author: [String], author__missing: Bool, count: Long, count_: [Long], count___missing: Bool, text: [String], text__missing: Bool}, \
         cost?: Decimal, due?: String, meta?: {count: Long, keys: [String], values: [String]}, notify?: Bool, \
         parent?: {bytes: Long, digest: String}, priority?: Long, tags?: {count: Long, items: [String]}, title: String}}"
    );
    let list = operation(&helpdesk, "listTickets");
    assert_eq!(
        ty(list.attributes()),
        "{header: {if-none-match?: String}, query: {fields?: {count: Long, items: [String]}, \
         filter?: {age?: Long, owner?: String}, label?: {count: Long, items: [String]}, limit?: Long, status?: String}}"
    );
    assert_eq!(
        ty(operation(&helpdesk, "getTicket").attributes()),
        "{path: {id: Long}}"
    );
    assert_eq!(ty(operation(&helpdesk, "exportTickets").attributes()), "{}");
}

#[test]
fn coverage_names_every_place() {
    let helpdesk = contract(HELPDESK);
    let coverage = operation(&helpdesk, "createTicket").coverage();
    let shown: Vec<String> = coverage
        .iter()
        .map(|(place, seen)| format!("{place} {seen}"))
        .collect();
    assert_eq!(
        shown,
        [
            "/body/anything opaque",
            "/body/code visible",
            "/body/comments/*/author lossy",
            "/body/comments/*/count lossy",
            "/body/comments/*/text lossy",
            "/body/cost visible",
            "/body/due visible",
            "/body/meta lossy",
            "/body/meta/* lossy",
            "/body/notify visible",
            "/body/parent opaque",
            "/body/priority visible",
            "/body/tags/* lossy",
            "/body/title visible",
        ]
    );
    let file = helpdesk.resolve("PUT", "/files/a.b").unwrap().operation();
    assert_eq!(file.coverage().of("/body"), Some(Visibility::Opaque));
    assert_eq!(
        ty(file.attributes()),
        "{path: {extension: String, name: String}}"
    );
}

#[test]
fn values_are_exact_or_unseen() {
    let scalar = r#"{"properties":{"l":{"type":"integer"},"d":{"type":"number"},"m":{"type":["integer","string","boolean"]},"b":{"type":"boolean"}}}"#;
    let contract = of_body("3.1.0", scalar);
    let table = [
        (r#"{"l":1.0}"#, "{body: {l: 1}}"),
        (
            r#"{"l":9223372036854775807}"#,
            "{body: {l: 9223372036854775807}}",
        ),
        (r#"{"l":9223372036854775808}"#, "unseen /body/l"),
        (r#"{"l":1e30}"#, "unseen /body/l"),
        (r#"{"d":2}"#, "{body: {d: d2.0000}}"),
        (r#"{"d":-0.0001}"#, "{body: {d: d-0.0001}}"),
        (r#"{"d":2.00004}"#, "unseen /body/d"),
        (r#"{"d":1e2}"#, "unseen /body/d"),
        (
            r#"{"d":922337203685477.5807}"#,
            "{body: {d: d922337203685477.5807}}",
        ),
        (r#"{"d":922337203685477.5808}"#, "unseen /body/d"),
        (r#"{"m":123}"#, r#"{body: {m: "123"}}"#),
        (r#"{"m":"123"}"#, r#"{body: {m: "123"}}"#),
        (r#"{"m":1.230e2}"#, r#"{body: {m: "123"}}"#),
        (r#"{"m":true}"#, r#"{body: {m: "true"}}"#),
        (r#"{"b":null,"l":null}"#, "{body: {}}"),
        (r#"{"b":"true"}"#, "unseen /body/b"),
        ("[]", "unseen /body"),
    ];
    for (body, expect) in table {
        assert_eq!(
            projected(&contract, body, &Projection::All),
            expect,
            "{body}"
        );
    }
}

#[test]
fn columns_keep_every_value_and_say_what_is_missing() {
    let schema = r#"{"required":["rrsets"],"properties":{"rrsets":{"type":"array","items":{"required":["name"],"properties":{
        "name":{"type":"string"},"type":{"type":"string"},
        "soa":{"properties":{"ttl":{"type":"integer"}}},
        "records":{"type":"array","items":{"properties":{"content":{"type":"string"}}}},
        "tags":{"type":"array","items":{"type":"string"}},
        "any":{}}}}}}"#;
    let contract = of_body("3.1.0", schema);
    let mut wanted = Projection::Nothing;
    for path in [
        "name",
        "type",
        "type__missing",
        "soa",
        "records",
        "records__missing",
        "tags",
    ] {
        wanted.insert(&["body", "rrsets", path]);
    }
    let body = r#"{"rrsets":[
        {"name":"a","type":"TXT","soa":{"ttl":5},"records":[{"content":"x"},{"content":"y"}],"tags":["t"]},
        {"name":"b","type":null,"records":[{}]},
        {"name":"c","type":"TXT","soa":{}}]}"#;
    assert_eq!(
        projected(&contract, body, &wanted),
        r#"{body: {rrsets: {count: 3, name: ["a", "b", "c"], name__missing: false, records: {content: ["x", "y"], content__missing: true, count: 3}, records__missing: true, soa: {ttl: [5], ttl__missing: true}, tags: {count: 1, items: ["t"]}, tags__missing: true, type: ["TXT", "TXT"], type__missing: true}}}"#
    );
    let empty = projected(&contract, r#"{"rrsets":[]}"#, &Projection::All);
    assert!(
        empty.contains("count: 0, name: [], name__missing: false"),
        "{empty}"
    );
    let mixed = projected(&contract, r#"{"rrsets":[{"name":"a"},7]}"#, &wanted);
    assert_eq!(mixed, "unseen /body/rrsets");
}

#[test]
fn only_what_is_asked_for_is_converted() {
    let contract = of_body(
        "3.1.0",
        r#"{"required":["a","b"],"properties":{"a":{"type":"string"},"b":{"type":"number"}}}"#,
    );
    let body = r#"{"a":"x","b":0.00001}"#;
    let mut wanted = Projection::Nothing;
    assert_eq!(projected(&contract, body, &wanted), "{}");
    wanted.insert(&["body", "a"]);
    assert_eq!(projected(&contract, body, &wanted), r#"{body: {a: "x"}}"#);
    wanted.insert(&["body", "b"]);
    assert_eq!(projected(&contract, body, &wanted), "unseen /body/b");
    // What must be there and is not cannot be seen either.
    assert_eq!(
        projected(&contract, r#"{"b":1}"#, &wanted),
        "unseen /body/a"
    );
}

#[test]
fn an_escape_of_the_policy_language_is_only_a_text() {
    let contract = of_body(
        "3.1.0",
        r#"{"properties":{"to":{"type":"object"},"who":{"type":"string"}}}"#,
    );
    let body = r#"{"to":{"__entity":{"type":"User","id":"root"}},"who":"__extn"}"#;
    assert_eq!(
        projected(&contract, body, &Projection::All),
        r#"{body: {to: {count: 1, keys: ["__entity"]}, who: "__extn"}}"#
    );
}

#[test]
fn opaque_values_are_told_apart_by_their_digest() {
    let contract = of_body("3.1.0", "{}");
    let seen = |body: &str| projected(&contract, body, &Projection::All);
    assert_eq!(
        seen(r#"{"a": 1}"#),
        seen(r#"{"a":1}"#),
        "white space is no difference"
    );
    assert_ne!(seen("1"), seen("1.0"));
    assert!(seen("[1,2]").starts_with("{body: {bytes: 5, digest: \"sha256:"));
}

#[test]
fn a_required_opaque_and_the_projection_of_parameters() {
    let helpdesk = contract(HELPDESK);
    let list = operation(&helpdesk, "listTickets");
    let mut input = Input::default();
    input.query.insert("limit".to_owned(), Value::from_u64(5));
    let mut wanted = Projection::Nothing;
    wanted.insert(&["query", "limit"]);
    wanted.insert(&["query", "status"]);
    let attr = list.project(&input, &wanted).unwrap();
    assert_eq!(shown(&attr), "{query: {limit: 5}}");
}

#[test]
fn the_texts_that_a_contract_names_all_of_are_known_and_no_others() {
    let domains = |schema: &str| -> Vec<String> {
        let contract = of_body("3.1.0", schema);
        let domains = first(&contract).domains().iter();
        let line = |(path, texts): (&Vec<String>, &std::collections::BTreeSet<String>)| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            format!("{}: {}", path.join("."), texts.join(" "))
        };
        domains.map(line).collect()
    };
    let of = |property: &str| {
        domains(&format!(
            r#"{{"type": "object", "properties": {{"a": {property}}}}}"#
        ))
    };
    for (property, known) in [
        (r#"{"type": "string", "enum": ["x", "y"]}"#, "body.a: x y"),
        (r#"{"enum": ["x", null]}"#, "body.a: x"),
        (r#"{"type": "string", "const": "x"}"#, "body.a: x"),
        (
            r#"{"type": "array", "items": {"enum": ["x"]}}"#,
            "body.a.items: x",
        ),
        (
            r#"{"type": "array", "items": {"type": "object", "properties": {"b": {"enum": ["x"]}}}}"#,
            "body.a.b: x",
        ),
        (
            r#"{"anyOf": [{"enum": ["x"]}, {"type": "string", "const": "y"}]}"#,
            "body.a: x y",
        ),
        (
            r#"{"allOf": [{"type": "string"}, {"enum": ["x", "y"]}, {"enum": ["y", "z"]}]}"#,
            "body.a: y",
        ),
        // Where one more text fits, nothing is known.
        (r#"{"anyOf": [{"enum": ["x"]}, {"type": "string"}]}"#, ""),
        (r#"{"type": "string"}"#, ""),
        (r#"{"enum": ["x", 5]}"#, ""),
        (r#"{"type": "integer", "enum": [1, 2]}"#, ""),
    ] {
        assert_eq!(of(property).join("; "), known, "{property}");
    }
}
