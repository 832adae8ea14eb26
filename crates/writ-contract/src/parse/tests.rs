use crate::fixture::{HELPDESK, PETS, SHOP, call, contract, faults, of_paths};
use crate::{BodyKind, MediaKind, RawCall, RouteError};

/// `target`, the typed input and the faults of a call without a body.
fn read(document: &str, method: &str, target: &str) -> String {
    let contract = contract(document);
    let parsed = call(&contract, method, target, &[], None);
    let input = parsed.input.to_value();
    let part = |name: &str| {
        input
            .member(name)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let mut shown = vec![parsed.target.clone(), part("path"), part("query")];
    shown.extend(faults(&parsed));
    shown.join(" ")
}

#[test]
fn queries_are_read_strictly_and_rebuilt_exactly() {
    let undeclared = "/query: holds something the contract does not declare";
    let table = [
        ("/tickets", "/tickets {} {}".to_owned()),
        ("/tickets?", "/tickets {} {}".to_owned()),
        ("/tickets?status=open&limit=5", r#"/tickets?status=open&limit=5 {} {"limit":5,"status":"open"}"#.to_owned()),
        // The caller's order stays.
        ("/tickets?limit=5&status=open", r#"/tickets?limit=5&status=open {} {"limit":5,"status":"open"}"#.to_owned()),
        ("/tickets?%73tatus=%6Fpen", r#"/tickets?status=open {} {"status":"open"}"#.to_owned()),
        ("/tickets?label=a+b&label=c%2Bd%26e", r#"/tickets?label=a%20b&label=c%2Bd%26e {} {"label":["a b","c+d&e"]}"#.to_owned()),
        ("/tickets?label=one", r#"/tickets?label=one {} {"label":["one"]}"#.to_owned()),
        ("/tickets?fields=a,b", r#"/tickets?fields=a,b {} {"fields":["a","b"]}"#.to_owned()),
        // The comma was read as a delimiter, so it is sent as one.
        ("/tickets?fields=a%2Cb", r#"/tickets?fields=a,b {} {"fields":["a","b"]}"#.to_owned()),
        ("/tickets?filter[owner]=me&filter%5Bage%5D=3", r#"/tickets?filter%5Bowner%5D=me&filter%5Bage%5D=3 {} {"filter":{"age":3,"owner":"me"}}"#.to_owned()),
        ("/tickets?filter[secret]=1", format!(r#"/tickets?filter%5Bsecret%5D=1 {{}} {{"filter":{{"secret":"1"}}}} {}"#, undeclared.replace("/query", "/query/filter"))),
        ("/tickets?filter[owner=1", "/tickets?filter%5Bowner=1 {} {} /query/filter: not a well-formed form".to_owned()),
        ("/tickets?debug=1", format!("/tickets {{}} {{}} {undeclared}")),
        ("/tickets?status=open&status=closed", "/tickets?status=open&status=closed {} {} /query/status: given more than once".to_owned()),
        ("/tickets?status=none", r#"/tickets?status=none {} {"status":"none"} /query/status: not one of the declared values"#.to_owned()),
        ("/tickets?limit=five", "/tickets?limit=five {} {} /query/limit: not of the declared type".to_owned()),
        ("/tickets?limit=1e1", "/tickets?limit=1e1 {} {} /query/limit: not of the declared type".to_owned()),
        ("/tickets?limit=007", "/tickets?limit=007 {} {} /query/limit: not of the declared type".to_owned()),
        ("/tickets?limit=", "/tickets?limit= {} {} /query/limit: not of the declared type".to_owned()),
        ("/tickets?limit", "/tickets?limit {} {} /query/limit: not of the declared type".to_owned()),
        ("/tickets?limit=101", r#"/tickets?limit=101 {} {"limit":101} /query/limit: outside the declared range"#.to_owned()),
        ("/tickets?status=%zz", "/tickets {} {} /query: not well encoded".to_owned()),
        ("/tickets?label=%00", "/tickets {} {} /query: not well encoded".to_owned()),
        ("/tickets?status=open#x", "/tickets {} {} /query: not well encoded".to_owned()),
        ("/tickets?status=o p", "/tickets {} {} /query: not well encoded".to_owned()),
        ("/tickets?X-API-Key=k", format!("/tickets {{}} {{}} {undeclared}")),
    ];
    for (target, expect) in table {
        assert_eq!(read(HELPDESK, "GET", target), expect, "{target}");
    }
}

#[test]
fn paths_are_typed_and_rebuilt_from_what_was_read() {
    let table = [
        ("/tickets/17", r#"/tickets/17 {"id":17} {}"#),
        ("/tickets/%31%37", r#"/tickets/17 {"id":17} {}"#),
        ("/ticket%73/17", r#"/tickets/17 {"id":17} {}"#),
        (
            "/tickets/x",
            "/tickets/x {} {} /path/id: not of the declared type",
        ),
        (
            "/tickets/9223372036854775808",
            r#"/tickets/9223372036854775808 {"id":9223372036854775808} {} /path/id: not in the declared format"#,
        ),
    ];
    for (target, expect) in table {
        assert_eq!(read(HELPDESK, "GET", target), expect, "{target}");
    }
    let any = of_paths(r#""/z/{id}":{"get":{}},"/v/{a}:{b}.x(1)":{"get":{}}"#);
    let table = [
        (
            "/z/a%2fb%252F%3F%23;c=d@e:f+g",
            r#"/z/a%2Fb%252F%3F%23%3Bc%3Dd%40e%3Af%2Bg {"id":"a/b%2F?#;c=d@e:f+g"} {}"#,
        ),
        (
            "/z/example.org.",
            r#"/z/example.org. {"id":"example.org."} {}"#,
        ),
        ("/z/%C3%A9", r#"/z/%C3%A9 {"id":"é"} {}"#),
        ("/v/1%3A2.x(1)", r#"/v/1:2.x(1) {"a":"1","b":"2"} {}"#),
    ];
    for (target, expect) in table {
        assert_eq!(read(&any, "GET", target), expect, "{target}");
    }
}

#[test]
fn only_declared_headers_are_forwarded_and_never_a_credential() {
    let contract = contract(&of_paths(
        r#""/x":{"get":{"parameters":[
        {"name":"If-Match","in":"header","required":true,"schema":{"type":"string"}},
        {"name":"X-Ids","in":"header","schema":{"type":"array","items":{"type":"integer"}}},
        {"name":"Authorization","in":"header","schema":{"type":"string"}},
        {"name":"Cookie","in":"header","schema":{"type":"string"}},
        {"name":"DPoP","in":"header","schema":{"type":"string"}},
        {"name":"Writ-Task","in":"header","schema":{"type":"string"}},
        {"name":"Transfer-Encoding","in":"header","schema":{"type":"string"}},
        {"name":"session","in":"cookie","schema":{"type":"string"}}]}}"#,
    ));
    let headers: &[(&str, &[u8])] = &[
        ("if-match", b" \"v1\" "),
        ("x-ids", b"1, 2"),
        ("authorization", b"Bearer x"),
        ("cookie", b"session=1"),
        ("dpop", b"x"),
        ("writ-task", b"x"),
        ("transfer-encoding", b"chunked"),
        ("x-other", b"x"),
    ];
    let parsed = call(&contract, "GET", "/x", headers, None);
    assert_eq!(faults(&parsed), Vec::<String>::new());
    let forwarded: Vec<(&str, &str)> = parsed
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(forwarded, [("if-match", "\"v1\""), ("x-ids", "1, 2")]);
    assert_eq!(parsed.input.header["x-ids"].to_string(), "[1,2]");

    let faulty = |headers: &[(&str, &[u8])]| faults(&call(&contract, "GET", "/x", headers, None));
    assert_eq!(faulty(&[]), ["/header/if-match: required and missing"]);
    assert_eq!(
        faulty(&[("if-match", b"a"), ("if-match", b"b")]),
        ["/header/if-match: given more than once"]
    );
    assert_eq!(
        faulty(&[("if-match", b"a\r\nx: y")]),
        ["/header/if-match: not well encoded"]
    );
    assert_eq!(
        faulty(&[("if-match", b"\xff")]),
        ["/header/if-match: not well encoded"]
    );
    assert_eq!(
        faulty(&[("if-match", b"a"), ("x-ids", b"1,x")]),
        ["/header/x-ids: not of the declared type"]
    );
}

#[test]
fn the_upstreams_own_key_is_no_parameter() {
    let contract = contract(HELPDESK);
    let parsed = call(
        &contract,
        "GET",
        "/tickets",
        &[("x-api-key", b"stolen")],
        None,
    );
    assert!(parsed.headers.is_empty());
    assert!(parsed.input.header.is_empty());
}

/// Content type, body, and the faults.
const BODIES: &[(&str, &str, &[&str])] = &[
    ("application/json", r#"{"title":"x"}"#, &[]),
    (
        "application/json; charset=utf-8",
        r#"{"title":"x","due":null,"tags":[]}"#,
        &[],
    ),
    ("application/json", "", &["/body: a body is required"]),
    (
        "application/json",
        r#"{"title":"x","title":"y"}"#,
        &["/body: not strict JSON: a member name stands twice (byte 13)"],
    ),
    (
        "application/json",
        r#"{"title":"x"} {}"#,
        &["/body: not strict JSON: text after the value (byte 14)"],
    ),
    (
        "application/json",
        r#"{"title":"x","secret_field":1}"#,
        &["/body: holds something the contract does not declare"],
    ),
    (
        "application/json",
        r#"{"parent":{"title":""}}"#,
        &[
            "/body/title: required and missing",
            "/body/parent/title: outside the declared length",
        ],
    ),
    (
        "application/json",
        r#"{"title":"x","comments":[{"text":"a"},{}]}"#,
        &["/body/comments/1/text: required and missing"],
    ),
    (
        "application/json",
        r#"{"title":"x","code":true}"#,
        &["/body/code: fits none of the declared alternatives, or more than one"],
    ),
    (
        "application/json",
        "\u{feff}{}",
        &["/body: not strict JSON: not UTF-8 text (byte 0)"],
    ),
    (
        "text/plain",
        r#"{"title":"x"}"#,
        &["/body: not a declared content type"],
    ),
    (
        "application/json; charset=utf-16",
        r#"{"title":"x"}"#,
        &["/body: not a declared content type"],
    ),
];

#[test]
fn bodies_are_read_strictly() {
    let contract = contract(HELPDESK);
    let json = "application/json";
    for (content_type, body, expect) in BODIES {
        let parsed = call(
            &contract,
            "POST",
            "/tickets",
            &[],
            Some((content_type, body.as_bytes())),
        );
        assert_eq!(faults(&parsed), *expect, "{body}");
    }
    let undeclared = call(&contract, "DELETE", "/tickets/1", &[], Some((json, b"{}")));
    assert_eq!(
        faults(&undeclared),
        ["/body: the contract declares no body"]
    );
    let deep = format!(r#"{{"title":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    let parsed = call(
        &contract,
        "POST",
        "/tickets",
        &[],
        Some((json, deep.as_bytes())),
    );
    assert!(faults(&parsed)[0].contains("nested too deeply"));
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(1024 * 1024));
    let parsed = call(
        &contract,
        "POST",
        "/tickets",
        &[],
        Some((json, large.as_bytes())),
    );
    assert_eq!(faults(&parsed), ["/body: larger than the limit"]);
}

#[test]
fn no_fault_holds_what_the_caller_chose() {
    let contract = contract(HELPDESK);
    let marker = "zq9-marker";
    let body = format!(
        r#"{{"title":"{marker}","{marker}":1,"meta":{{"{marker}":1}},"parent":{{"{marker}":"{marker}"}},"due":"{marker}"}}"#
    );
    let parsed = call(
        &contract,
        "POST",
        "/tickets",
        &[],
        Some(("application/json", body.as_bytes())),
    );
    assert!(parsed.faults.len() >= 4);
    assert!(!format!("{:?}", parsed.faults).contains(marker));
    let target = format!("/tickets?{marker}=1&status={marker}&filter[{marker}]=1&limit={marker}");
    let parsed = call(&contract, "GET", &target, &[], None);
    assert!(parsed.faults.len() >= 4);
    assert!(!format!("{:?}", parsed.faults).contains(marker));
}

#[test]
fn what_is_not_read_is_not_accepted_beside_what_is() {
    let shop = contract(SHOP);
    let order = shop.resolve("POST", "/orders").unwrap().operation();
    assert_eq!(order.body(), BodyKind::Form { required: false });
    assert_eq!(
        order.accepts("application/x-www-form-urlencoded"),
        Ok(MediaKind::Form)
    );
    assert!(order.accepts("multipart/form-data; boundary=x").is_err());
    let helpdesk = contract(HELPDESK);
    let file = helpdesk.resolve("PUT", "/files/a.txt").unwrap().operation();
    assert_eq!(file.body(), BodyKind::Opaque { required: false });
    assert_eq!(
        file.accepts("application/octet-stream"),
        Ok(MediaKind::Opaque)
    );
    assert!(file.accepts("application/json").is_err());
}

#[test]
fn forms_become_the_declared_object() {
    let shop = contract(SHOP);
    let form = |contract: &crate::Contract, path: &str, body: &str| {
        let media = ("application/x-www-form-urlencoded", body.as_bytes());
        let parsed = call(contract, "POST", path, &[], Some(media));
        let value = parsed
            .input
            .body
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        [vec![value], faults(&parsed)].concat().join(" ")
    };
    let table = [
        ("note=a+b&amount=1.50", r#"{"amount":1.50,"note":"a b"}"#),
        (
            "items[0][n]=1&items[0][sku]=A1&items[1][n]=2",
            r#"{"items":[{"n":1,"sku":"A1"},{"n":2}]}"#,
        ),
        ("next[note]=x&x-a=1", r#"{"next":{"note":"x"},"x-a":"1"}"#),
        ("items[1][n]=1", " /body/items: not a well-formed form"),
        (
            "items[][n]=1&items[][n]=2",
            " /body/items: not a well-formed form",
        ),
        ("note=a&note=b", " /body/note: given more than once"),
        ("next=1&next[note]=x", " /body/next: not a well-formed form"),
        ("note=%ff", " /body: not well encoded"),
        (
            "other=1",
            r#"{"other":"1"} /body: holds something the contract does not declare"#,
        ),
        (
            "amount=0.001",
            r#"{"amount":0.001} /body/amount: outside the declared range"#,
        ),
    ];
    for (body, expect) in table {
        assert_eq!(form(&shop, "/orders", body), expect, "{body}");
    }
    let pets = contract(PETS);
    assert_eq!(
        form(&pets, "/pets/1", "name=x&age=3"),
        r#"{"age":3,"name":"x"}"#
    );
    assert_eq!(
        form(&pets, "/pets/1", "age=3&admin=1"),
        r#"{"admin":"1","age":3} /body/name: required and missing /body: holds something the contract does not declare"#
    );
}

#[test]
fn a_spread_object_takes_only_its_named_members() {
    let document = of_paths(
        r#""/x":{"get":{"parameters":[{"name":"page","in":"query","schema":{"type":"object","additionalProperties":true,
        "properties":{"size":{"type":"integer"},"after":{"type":"string"}}}}]}}"#,
    );
    assert_eq!(
        read(&document, "GET", "/x?after=a&size=2"),
        r#"/x?after=a&size=2 {} {"page":{"after":"a","size":2}}"#
    );
    assert_eq!(
        read(&document, "GET", "/x?size=2&api_key=k"),
        r#"/x?size=2 {} {"page":{"size":2}} /query: holds something the contract does not declare"#
    );
    assert_eq!(
        read(&document, "GET", "/x?size=two"),
        "/x?size=two {} {} /query/page/size: not of the declared type"
    );
}

#[test]
fn swagger_lists_follow_their_collection_format() {
    assert_eq!(
        read(PETS, "GET", "/pets?ids=1,2&tag=a&tag=b"),
        r#"/pets?ids=1,2&tag=a&tag=b {} {"ids":[1,2],"tag":["a","b"]}"#
    );
    assert_eq!(
        read(PETS, "GET", "/pets?ids=1&ids=2"),
        "/pets?ids=1&ids=2 {} {} /query/ids: given more than once"
    );
}

#[test]
fn a_call_that_is_another_operation_is_a_fault() {
    let beta = r#"{"name":"beta","in":"query","schema":{"type":"string"}}"#;
    let contract = contract(&of_paths(&format!(
        r#""/r":{{"post":{{"operationId":"plain","parameters":[{beta}]}}}},"/r?beta=true":{{"post":{{"operationId":"beta"}}}}"#
    )));
    // Whoever resolves by the path alone cannot smuggle the other operation through the plain one.
    let route = contract.resolve("POST", "/r").unwrap();
    assert_eq!(route.operation().id().as_str(), "plain");
    let limits = writ_types::Limits::default();
    let raw = |query| RawCall {
        query: Some(query),
        headers: &[],
        content_type: None,
        body: &[],
        limits: &limits,
    };
    let parsed = route.operation().parse(&route, &raw("beta=true"));
    assert_eq!(
        faults(&parsed),
        [": the call could also be another operation"]
    );
    assert!(
        route
            .operation()
            .parse(&route, &raw("beta=false"))
            .faults
            .is_empty()
    );
    let other = contract
        .resolve_call("POST", "/r", Some("beta=true"), &[])
        .unwrap();
    assert_eq!(
        other.operation().parse(&other, &raw("beta=true")).target,
        "/r?beta=true"
    );
    assert!(
        !other
            .operation()
            .parse(&route, &raw("beta=true"))
            .faults
            .is_empty()
    );
    assert_eq!(
        contract.resolve("POST", "/s").unwrap_err(),
        RouteError::NotFound
    );
}
