use proptest::prelude::*;

use super::{Fit, RouteError, Router, Segment, Telling, Template};
use crate::fixture::{contract, of_paths};

/// A contract whose operations are the given `METHOD /template` lines.
fn document(operations: &[&str]) -> String {
    let mut paths = std::collections::BTreeMap::<&str, Vec<String>>::new();
    for operation in operations {
        let (method, path) = operation.split_once(' ').unwrap();
        let method = method.to_lowercase();
        paths
            .entry(path)
            .or_default()
            .push(format!("\"{method}\":{{}}"));
    }
    let items: Vec<String> = paths
        .iter()
        .map(|(path, methods)| format!("\"{path}\":{{{}}}", methods.join(",")))
        .collect();
    of_paths(&items.join(","))
}

/// What a call resolves to: `template [values]`, or the error's name.
fn resolved(operations: &[&str], call: &str) -> String {
    let contract = contract(&document(operations));
    let (method, path) = call.split_once(' ').unwrap();
    match contract.resolve(method, path) {
        Ok(route) => format!("{} {:?}", route.operation().template(), route.values),
        Err(RouteError::Malformed) => "malformed".to_owned(),
        Err(RouteError::NotFound) => "not found".to_owned(),
        Err(RouteError::MethodNotAllowed { allow }) => format!("allow {}", allow.join(" ")),
    }
}

#[test]
fn paths_resolve_as_the_table_says() {
    let operations = [
        "GET /zones",
        "POST /zones/",
        "GET /zones/{zone}",
        "DELETE /zones/{zone}",
        "GET /zones/all",
        "GET /zones/{zone}/export",
        "GET /{a}/{b}/export",
        "GET /calls/{sid}.json",
        "GET /calls/{sid}",
        "POST /calls/{sid}:cancel",
        "GET /compare/{base}...{head}",
        "GET /double//slash",
        "GET /odd/a%2Fb",
        "POST /zones/purge",
    ];
    let table = [
        ("GET /zones", "/zones []"),
        ("GET /zon%65s", "/zones []"),
        ("GET /zones/", "allow POST"),
        ("POST /zones/", "/zones/ []"),
        (
            "GET /zones/example.org.",
            r#"/zones/{zone} ["example.org."]"#,
        ),
        ("GET /zones/all", "/zones/all []"),
        ("GET /zones/%61ll", "/zones/all []"),
        ("GET /zones/all.", r#"/zones/{zone} ["all."]"#),
        // A method is looked for on the most specific path that has it.
        ("GET /zones/purge", r#"/zones/{zone} ["purge"]"#),
        ("DELETE /zones/all", r#"/zones/{zone} ["all"]"#),
        ("PATCH /zones/all", "allow DELETE GET"),
        ("GET /zones/x/export", r#"/zones/{zone}/export ["x"]"#),
        ("GET /other/x/export", r#"/{a}/{b}/export ["other", "x"]"#),
        // An encoded slash is data, decoded once.
        ("GET /zones/a%2Fb", r#"/zones/{zone} ["a/b"]"#),
        ("GET /zones/a%252Fb", r#"/zones/{zone} ["a%2Fb"]"#),
        ("GET /odd/a%2fb", "/odd/a%2Fb []"),
        ("GET /odd/a/b", "not found"),
        ("GET /calls/x.json", r#"/calls/{sid}.json ["x"]"#),
        ("GET /calls/.json", r#"/calls/{sid} [".json"]"#),
        ("GET /calls/x.jsonl", r#"/calls/{sid} ["x.jsonl"]"#),
        ("POST /calls/x:cancel", r#"/calls/{sid}:cancel ["x"]"#),
        ("POST /calls/x%3Acancel", r#"/calls/{sid}:cancel ["x"]"#),
        (
            "GET /compare/a...b",
            r#"/compare/{base}...{head} ["a", "b"]"#,
        ),
        // Two ways to split it.
        ("GET /compare/a...b...c", "malformed"),
        ("GET /compare/a....b", "malformed"),
        ("GET /double//slash", "/double//slash []"),
        ("GET //zones", "malformed"),
        ("GET /zones//", "malformed"),
        ("GET /zones//export", "malformed"),
        ("get /zones", "allow GET"),
        ("GET /nothing", "not found"),
        ("GET /", "not found"),
    ];
    for (call, expect) in table {
        assert_eq!(resolved(&operations, call), expect, "{call}");
    }
}

#[test]
fn what_others_might_read_differently_is_malformed() {
    for path in [
        "",
        "zones",
        "/zones/.",
        "/zones/..",
        "/zones/%2e",
        "/zones/%2E%2e",
        "/zones/.%2e",
        "/./zones",
        "/zones/a/../b",
        "/zones/%2e%2e%2fadmin",
        "/zones/a%2f..%2fb",
        "/zones/..%5Cadmin",
        "/zones/%5c..",
        "/zones/%00",
        "/zones/%0a",
        "/zones/%0D%0A",
        "/zones/%7f",
        "/zones/%c2%85",
        "/zones/%",
        "/zones/%4",
        "/zones/%zz",
        "/zones/%ff",
        "/zones/%c0%ae",
        "/zones/a b",
        "/zones/a\\b",
        "/zones/é",
        "/zones/a\tb",
        "/zones/a?b",
        "/zones/a#b",
        "/zones/\"",
        "/zones/<x>",
        "/zones/{x}",
        "/zones/a|b",
        "/zones/a^b",
    ] {
        let call = format!("GET {path}");
        assert_eq!(
            resolved(&["GET /zones/{zone}"], &call),
            "malformed",
            "{path:?}"
        );
    }
    // Three dots are a name.
    let route = resolved(&["GET /zones/{zone}"], "GET /zones/...");
    assert_eq!(route, r#"/zones/{zone} ["..."]"#);
}

#[test]
fn a_refused_operation_keeps_its_place() {
    let operations = ["GET /a/{x}", "GET /a/{y}", "GET /{z}/b", "POST /a/{x}"];
    // `GET /a/…` is nobody's, and does not fall to the wider template.
    assert_eq!(resolved(&operations, "GET /a/b"), "not found");
    assert_eq!(resolved(&operations, "GET /c/b"), r#"/{z}/b ["c"]"#);
    assert_eq!(resolved(&operations, "POST /a/b"), r#"/a/{x} ["b"]"#);
    assert_eq!(resolved(&operations, "PUT /a/b"), "allow GET POST");
}

#[test]
fn crossing_partial_segments_are_refused_and_nested_ones_ordered() {
    let crossing = contract(&document(&["GET /{a}.json", "GET /x{b}", "GET /{c}"]));
    assert_eq!(crossing.refused().len(), 2);
    let nested = ["GET /{a}.json", "GET /x{b}.json", "GET /{c}"];
    assert_eq!(contract(&document(&nested)).refused().len(), 0);
    assert_eq!(resolved(&nested, "GET /xy.json"), r#"/x{b}.json ["y"]"#);
    let apart = ["GET /{a}:stop", "GET /{a}:start"];
    assert_eq!(contract(&document(&apart)).refused().len(), 0);
}

#[test]
fn one_path_is_told_apart_by_what_the_contract_fixes() {
    let fixed = |name: &str, place: &str, value: &str| {
        format!(
            r#"{{"name":"{name}","in":"{place}","required":true,"schema":{{"type":"string","enum":["{value}"]}}}}"#
        )
    };
    let operation = |id: &str, parameters: &[String]| {
        format!(
            r#"{{"post":{{"operationId":"{id}","parameters":[{}]}}}}"#,
            parameters.join(",")
        )
    };
    let target = |value| operation(value, &[fixed("X-Target", "header", value)]);
    let paths = [
        format!(r#""/#get":{}"#, target("get")),
        format!(r#""/#put":{}"#, target("put")),
        format!(r#""/r":{}"#, operation("plain", &[])),
        format!(r#""/r?beta=true":{}"#, operation("beta", &[])),
        format!(r##""/s":{}"##, operation("only", &[])),
        format!(r##""/s#other":{}"##, operation("fragment", &[])),
    ];
    let contract = contract(&of_paths(&paths.join(",")));
    let refused: Vec<&str> = contract
        .refused()
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(refused, ["fragment"]);
    let resolve = |path: &str, query: Option<&str>, headers: &[(&str, &[u8])]| {
        let route = contract.resolve_call("POST", path, query, headers);
        route.map_or_else(
            |error| error.to_string(),
            |route| route.operation().id().to_string(),
        )
    };
    let none = "no operation of the contract has this path";
    assert_eq!(resolve("/", None, &[("x-target", b"get")]), "get");
    assert_eq!(resolve("/", None, &[("x-target", b"put")]), "put");
    assert_eq!(resolve("/", None, &[("x-target", b"other")]), none);
    assert_eq!(
        resolve("/", None, &[("x-target", b"get"), ("x-target", b"put")]),
        none
    );
    assert_eq!(resolve("/", None, &[]), none);
    assert_eq!(resolve("/r", None, &[]), "plain");
    assert_eq!(resolve("/r", Some("beta=true"), &[]), "beta");
    assert_eq!(resolve("/r", Some("b%65ta=%74rue"), &[]), "beta");
    assert_eq!(resolve("/r", Some("beta=true&beta=true"), &[]), "plain");
    assert_eq!(resolve("/s", None, &[]), "only");
}

#[test]
fn defaults_narrow_only_where_nothing_else_tells_apart() {
    let path = |name: &str, default: &str| {
        format!(
            r#""/auth/{{{name}}}/login":{{"post":{{"operationId":"{name}","parameters":[{{"name":"{name}","in":"path",
            "required":true,"schema":{{"type":"string","default":"{default}"}}}}]}}}}"#
        )
    };
    let two = contract(&of_paths(&[path("a", "aws"), path("b", "ldap")].join(",")));
    let resolve = |path| {
        two.resolve("POST", path)
            .map(|route| route.operation().id().to_string())
    };
    assert_eq!(resolve("/auth/aws/login"), Ok("a".to_owned()));
    assert_eq!(resolve("/auth/ldap/login"), Ok("b".to_owned()));
    assert_eq!(resolve("/auth/mine/login"), Err(RouteError::NotFound));
    let alone = contract(&of_paths(&path("a", "aws")));
    assert!(alone.resolve("POST", "/auth/mine/login").is_ok());
    let same = contract(&of_paths(&[path("a", "aws"), path("b", "aws")].join(",")));
    assert_eq!(same.refused().len(), 2);
}

/// The same question, answered the slow way: every template that matches, ordered by its segments.
fn naive(templates: &[(&'static str, Template)], method: &str, path: &str) -> Option<usize> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let matches = |template: &Template| {
        template.segments.len() == segments.len()
            && template
                .segments
                .iter()
                .zip(&segments)
                .all(|(own, given)| match own {
                    Segment::Literal(text) => text == given,
                    Segment::Partial(partial) => partial.fit(given) != Fit::No,
                    Segment::Parameter => !given.is_empty(),
                })
    };
    let rank = |template: &Template| -> Vec<(u8, usize)> {
        let segments = template.segments.iter();
        segments
            .map(|segment| match segment {
                Segment::Literal(_) => (0, 0),
                Segment::Partial(partial) => (1, usize::MAX.saturating_sub(partial.weight())),
                Segment::Parameter => (2, 0),
            })
            .collect()
    };
    let matching = templates
        .iter()
        .enumerate()
        .filter(|(_, (own, template))| *own == method && matches(template));
    matching
        .min_by_key(|(_, (_, template))| rank(template))
        .map(|(place, _)| place)
}

proptest! {
    #[test]
    fn the_router_agrees_with_a_naive_matcher(
        texts in prop::collection::btree_set("(/(a|b|ab|\\{x\\}|a\\{x\\}|\\{x\\}b)){1,4}/?", 1..12),
        calls in prop::collection::vec("(/(a|b|ab|aab|c)){1,4}/?", 1..24),
    ) {
        let mut templates: Vec<(&'static str, Template)> = Vec::new();
        for text in &texts {
            // Parameter names must differ within a template.
            let mut named = String::new();
            for (place, part) in text.split("{x}").enumerate() {
                if place > 0 {
                    named.push_str(&format!("{{x{place}}}"));
                }
                named.push_str(part);
            }
            let template = Template::parse(&named).unwrap();
            for method in ["GET", "POST"] {
                let taken = |(own, other): &(&str, Template)| *own == method && (other.segments == template.segments || super::template::crossing(other, &template));
                if !templates.iter().any(taken) {
                    templates.push((method, template.clone()));
                }
            }
        }
        let mut router = Router::default();
        for (place, (method, template)) in templates.iter().enumerate() {
            router.add(method, template, Some(place), Vec::new());
        }
        for call in &calls {
            for method in ["GET", "POST", "PUT"] {
                let found = router.find(method, call, Telling::default());
                let found = found.ok().map(|(place, _)| place);
                prop_assert_eq!(found, naive(&templates, method, call), "{} {}", method, call);
            }
        }
    }

    #[test]
    fn no_path_panics(path in "\\PC{0,40}|(/|%2[eEfF]|%25|\\.|[a-z{}:]){0,24}") {
        let operations = ["GET /{a}", "GET /{a}/{b}.{c}", "GET /x/{a}:{b}"];
        let contract = contract(&document(&operations));
        if let Ok(route) = contract.resolve("GET", &path) {
            prop_assert!(!route.values.iter().any(String::is_empty));
        }
    }
}
