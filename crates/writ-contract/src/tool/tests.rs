use writ_types::{JsonLimits, Limits, Value};

use super::name;
use crate::Contract;
use crate::fixture::{HELPDESK, PETS, SHOP, call, contract, faults, of_paths, operation};

const LOST: &str =
    "cannot be written as the contract declares it; leave it out or give it in another form";

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap()
}

/// Target, headers, body and faults of a tool call.
fn told(contract: &Contract, id: &str, arguments: &str) -> String {
    let call = contract.read_tool_call(
        operation(contract, id),
        &json(arguments),
        &Limits::default(),
    );
    let mut shown = vec![call.parsed.target.clone()];
    shown.extend(
        call.parsed
            .headers
            .iter()
            .map(|(name, text)| format!("{name}: {text}")),
    );
    if let Some(content_type) = &call.content_type {
        shown.push(format!(
            "{content_type} {}",
            String::from_utf8_lossy(&call.body)
        ));
    }
    shown.extend(faults(&call.parsed));
    shown.join(" | ")
}

#[test]
fn arguments_become_the_request_they_mean() {
    let helpdesk = contract(HELPDESK);
    let table = [
        ("listTickets", "{}", "/tickets"),
        (
            "listTickets",
            r#"{"query":{"status":"open","limit":5}}"#,
            "/tickets?status=open&limit=5",
        ),
        (
            "listTickets",
            r#"{"query":{"label":["a b","c+d&e"]}}"#,
            "/tickets?label=a%20b&label=c%2Bd%26e",
        ),
        (
            "listTickets",
            r#"{"query":{"fields":["a","b"]}}"#,
            "/tickets?fields=a,b",
        ),
        (
            "listTickets",
            r#"{"query":{"filter":{"owner":"me","age":3}}}"#,
            "/tickets?filter%5Bage%5D=3&filter%5Bowner%5D=me",
        ),
    ];
    for (id, arguments, expect) in table {
        assert_eq!(told(&helpdesk, id, arguments), expect, "{arguments}");
    }
}

#[test]
fn what_is_wrong_is_told_by_the_place_the_contract_names() {
    let helpdesk = contract(HELPDESK);
    let table = [
        (
            r#"{"query":{"limit":101}}"#,
            "/tickets?limit=101 | /query/limit: outside the declared range".to_owned(),
        ),
        (
            r#"{"query":{"limit":"5"}}"#,
            format!("/tickets?limit=5 | /query/limit: {LOST}"),
        ),
        (
            r#"{"query":{"label":[]}}"#,
            format!("/tickets | /query/label: {LOST}"),
        ),
        (
            r#"{"query":{"status":null}}"#,
            format!("/tickets | /query/status: {LOST}"),
        ),
        (
            r#"{"query":{"fields":["a,b"]}}"#,
            format!("/tickets?fields=a,b | /query/fields: {LOST}"),
        ),
        (
            r#"{"query":{"evil":1}}"#,
            "/tickets | /query: holds something the contract does not declare".to_owned(),
        ),
        (
            r#"{"evil":1}"#,
            "/tickets | : holds something the contract does not declare".to_owned(),
        ),
        (
            r#"{"query":[]}"#,
            "/tickets | /query: not of the declared type".to_owned(),
        ),
        (
            r#"{"body":{}}"#,
            "/tickets | /body: the contract declares no body".to_owned(),
        ),
        (
            "[]",
            " | : not of the declared type | /path: the call could also be another operation"
                .to_owned(),
        ),
    ];
    for (arguments, expect) in table {
        assert_eq!(
            told(&helpdesk, "listTickets", arguments),
            expect,
            "{arguments}"
        );
    }
}

#[test]
fn a_value_of_the_path_never_leads_to_another_operation() {
    let document = of_paths(
        r#""/a/{id}":{"get":{"operationId":"one"}},"/a/all":{"get":{"operationId":"all"}},"/b/{x}-{y}":{"get":{"operationId":"pair"}}"#,
    );
    let contract = contract(&document);
    let ambiguous = "/path: the call could also be another operation";
    let table = [
        ("one", r#"{"path":{"id":"x/../y z"}}"#, None),
        ("one", r#"{"path":{"id":"plain"}}"#, Some("/a/plain")),
        ("one", r#"{"path":{"id":"a%2Fb"}}"#, Some("/a/a%252Fb")),
        (
            "one",
            r#"{"path":{"id":"a/b?c#d"}}"#,
            Some("/a/a%2Fb%3Fc%23d"),
        ),
        ("one", r#"{"path":{"id":"all"}}"#, None),
        ("one", r#"{"path":{"id":".."}}"#, None),
        ("one", r#"{"path":{"id":""}}"#, None),
        ("one", r#"{"path":{"id":"a\r\nb"}}"#, None),
    ];
    for (id, arguments, expect) in table {
        let shown = told(&contract, id, arguments);
        match expect {
            Some(expect) => assert_eq!(shown, expect, "{arguments}"),
            None => assert!(shown.ends_with(ambiguous), "{arguments}: {shown}"),
        }
    }
    let missing = told(&contract, "one", "{}");
    assert!(
        missing.contains("/path/id: required and missing"),
        "{missing}"
    );
}

/// Arguments; target, fields and body of the same call over HTTP.
type Same<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a [u8])],
    (&'a str, &'a str),
);

#[test]
fn a_tool_call_is_read_as_the_same_request_over_http_is() {
    let contract = contract(&of_paths(
        r##""/x/{id}":{"post":{"operationId":"x","parameters":[
            {"name":"id","in":"path","required":true,"schema":{"type":"integer"}},
            {"name":"If-Match","in":"header","schema":{"type":"string"}},
            {"name":"ids","in":"header","schema":{"type":"array","items":{"type":"integer"}}},
            {"name":"where","in":"query","content":{"application/json":{"schema":{"type":"object"}}}}],
          "requestBody":{"required":true,"content":{
            "application/json":{"schema":{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]}},
            "application/x-www-form-urlencoded":{"schema":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"array","items":{"type":"object","properties":{"c":{"type":"boolean"}}}}}}}}}}}"##,
    ));
    let table: [Same<'_>; 3] = [
        (
            r#"{"path":{"id":7},"body":{"a":1.50,"free":null}}"#,
            "/x/7",
            &[],
            ("application/json", r#"{"a":1.50,"free":null}"#),
        ),
        (
            r#"{"path":{"id":7},"header":{"if-match":"\"v1\"","ids":[1,2]},"query":{"where":{"k":[1]}},"body":{"a":2}}"#,
            "/x/7?where=%7B%22k%22%3A%5B1%5D%7D",
            &[("if-match", b"\"v1\""), ("ids", b"1,2")],
            ("application/json", r#"{"a":2}"#),
        ),
        (
            r#"{"path":{"id":7},"content_type":"application/x-www-form-urlencoded","body":{"a":0.5,"b":[{"c":true}]}}"#,
            "/x/7",
            &[],
            (
                "application/x-www-form-urlencoded",
                "a=0.5&b%5B0%5D%5Bc%5D=true",
            ),
        ),
    ];
    for (arguments, target, headers, (content_type, body)) in table {
        let tool = contract.read_tool_call(
            operation(&contract, "x"),
            &json(arguments),
            &Limits::default(),
        );
        let http = call(
            &contract,
            "POST",
            target,
            headers,
            Some((content_type, body.as_bytes())),
        );
        assert_eq!(faults(&tool.parsed), Vec::<String>::new(), "{arguments}");
        assert_eq!(tool.parsed, http, "{arguments}");
        assert_eq!(tool.content_type.as_deref(), Some(content_type));
        assert_eq!(String::from_utf8_lossy(&tool.body), body);
    }
}

#[test]
fn names_are_plain_short_and_lead_back() {
    let long = "x".repeat(100);
    let table = [
        ("dns:listZones", "dns_listZones".to_owned()),
        ("dns:GET:/zones/{id}", "dns_GET__zones__id_".to_owned()),
        ("dns:a.b", "dns_a_b".to_owned()),
        // A name that looks like a changed one is changed too, so that none can be made to meet another.
        ("dns:a_0123456789ab", "dns_a_0123456789ab".to_owned()),
        (&*format!("dns:{long}"), format!("dns_{}", "x".repeat(47))),
    ];
    for (action, expect) in table {
        let action = action.parse().unwrap();
        let made = name(&action);
        assert!(made.starts_with(&expect), "{made}");
        assert!(made.len() <= 64, "{made}");
        let plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        assert!(made.chars().all(plain), "{made}");
        let kept = made == action.to_string().replacen(':', "_", 1);
        assert_eq!(kept, action.operation.as_str() == "listZones", "{made}");
    }
    for document in [HELPDESK, SHOP, PETS] {
        let contract = contract(document);
        for (name, operation) in contract.tools() {
            assert_eq!(
                contract.tool(name).map(|found| found.id()),
                Some(operation.id())
            );
        }
    }
    assert!(contract(HELPDESK).tool("t_nothing").is_none());
}

#[test]
fn what_needs_a_body_that_is_not_read_is_no_tool() {
    let contract = contract(&of_paths(
        r#""/a":{"put":{"operationId":"must","requestBody":{"required":true,"content":{"image/png":{}}}}},
           "/b":{"put":{"operationId":"may","requestBody":{"content":{"image/png":{}}}}}"#,
    ));
    let names: Vec<&str> = contract.tools().map(|(name, _)| name).collect();
    assert_eq!(names, ["t_may"]);
    assert_eq!(
        told(&contract, "may", r#"{"body":"x"}"#),
        "/b | /body: the contract declares no body"
    );
}

#[test]
fn the_schema_shows_what_is_checked() {
    let table = [
        (
            HELPDESK,
            "listTickets",
            r##"$defs s1 {"additionalProperties":false,"properties":{"age":{"type":"integer"},"owner":{"type":"string"}},"type":"object"}
additionalProperties false
properties header {"additionalProperties":false,"properties":{"if-none-match":{"type":"string"}},"type":"object"}
properties query {"additionalProperties":false,"properties":{"fields":{"items":{"type":"string"},"type":"array"},"filter":{"$ref":"#/$defs/s1"},"label":{"items":{"type":"string"},"type":"array"},"limit":{"maximum":100,"minimum":1,"type":"integer"},"status":{"enum":["open","closed"],"type":"string"}},"type":"object"}
type "object""##,
        ),
        (
            SHOP,
            "POST:/orders/{orderId}:{verb}",
            r##"$defs s1 {"additionalProperties":false,"patternProperties":{"^x-":{"type":"string"}},"properties":{"amount":{"exclusiveMinimum":0,"multipleOf":0.01,"type":"number"},"items":{"items":{"$ref":"#/$defs/s2"},"minItems":1,"type":"array"},"next":{"$ref":"#/$defs/s1"},"note":{"type":["null","string"]}},"type":["null","object"]}
$defs s2 {"properties":{"n":{"type":"integer"},"sku":{"enum":["A1"]}},"type":"object"}
additionalProperties false
properties body {"$ref":"#/$defs/s1","required":["note"]}
properties path {"additionalProperties":false,"properties":{"orderId":{"type":"string"},"verb":{"enum":["cancel","ship"]}},"required":["orderId","verb"],"type":"object"}
required ["path"]
type "object""##,
        ),
    ];
    for (document, id, expect) in table {
        let contract = contract(document);
        assert_eq!(pretty(&operation(&contract, id).tool_schema()), expect);
    }
}

/// One line for each member of the root and of what is below it.
fn pretty(schema: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in schema.as_object().unwrap() {
        if let Some(members) = value.as_object() {
            let of = |(member, value): (&String, &Value)| format!("{name} {member} {value}");
            lines.extend(members.iter().map(of));
        } else {
            lines.push(format!("{name} {value}"));
        }
    }
    lines.join("\n")
}

#[test]
fn a_tools_result_is_promised_as_far_as_the_contract_says_it() {
    let body = r#"{"type":"object","required":["id","secret"],"properties":{
        "id":{"type":"string","pattern":"^T-\\d+$","minLength":3},"secret":{"type":"string","writeOnly":true},
        "at":{"type":"string","format":"date-time"},"price":{"type":"number","multipleOf":0.01},
        "kind":{"oneOf":[{"type":"string","pattern":"^a"},{"type":"string","pattern":"^b"}]},"not":{"not":{"pattern":"x"}}}}"#;
    let document = of_paths(&format!(
        r#""/x":{{"get":{{"operationId":"x","responses":{{
            "200":{{"description":"","content":{{"application/json":{{"schema":{body}}}}}}},
            "404":{{"description":"","content":{{"application/json":{{"schema":{{"type":"string"}}}}}}}}}}}}}},
          "/y":{{"get":{{"operationId":"y","responses":{{"200":{{"description":"","content":{{"text/plain":{{}}}}}}}}}}}},
          "/z":{{"get":{{"operationId":"z","responses":{{"204":{{"description":""}}}}}}}}"#
    ));
    let contract = contract(&document);
    let shown = |id| operation(&contract, id).tool_output_schema();
    assert_eq!(
        shown("x").unwrap().to_string(),
        r#"{"additionalProperties":false,"properties":{"body":{"properties":{"at":{"type":"string"},"id":{"minLength":3,"type":"string"},"kind":{"anyOf":[{"type":"string"},{"type":"string"}]},"not":{},"price":{"type":"number"},"secret":{"type":"string"}},"required":["id"],"type":"object"},"status":{"type":"integer"}},"required":["status"],"type":"object"}"#
    );
    for (id, says) in [("x", true), ("y", false), ("z", false)] {
        assert_eq!(operation(&contract, id).answers_json(), says, "{id}");
        assert_eq!(shown(id).is_some(), says, "{id}");
    }
}
