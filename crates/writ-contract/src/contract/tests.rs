use writ_types::{Effect, Effects};

use super::{Contract, Review, Reviews};
use crate::Severity;
use crate::fixture::{HELPDESK, PETS, SHOP, api, compile, contract, of_paths, operation};
use crate::lint;

fn messages(document: &str) -> Vec<String> {
    let (_, diagnostics) = compile(document);
    diagnostics
        .iter()
        .map(|found| format!("{:?} {found}", found.severity))
        .collect()
}

#[test]
fn the_samples_load() {
    for (document, title, version, operations) in [
        (HELPDESK, "Help desk", "1.4", 6),
        (SHOP, "Shop", "2", 4),
        (PETS, "Pets", "0", 3),
    ] {
        let contract = contract(document);
        assert_eq!((contract.title(), contract.version()), (title, version));
        assert_eq!(contract.operations().count(), operations);
        assert!(contract.refused().is_empty());
    }
    let helpdesk = contract(HELPDESK);
    let list = operation(&helpdesk, "listTickets");
    assert_eq!(list.action().to_string(), "t:listTickets");
    assert_eq!((list.method(), list.template()), ("GET", "/tickets"));
    assert_eq!(list.summary(), Some("List tickets"));
    assert_eq!(operation(&helpdesk, "putFile").method(), "PUT");
}

#[test]
fn what_is_no_document_is_refused_with_a_place() {
    for (document, expect) in [
        (
            "{",
            "Error line 1: not strict JSON: the text ends too early",
        ),
        ("a: [", "Error line 2: not YAML: "),
        (
            "[]",
            "Error line 1: not an OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0 document",
        ),
        (
            "hello: world",
            "Error line 1: not an OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0 document",
        ),
        ("", "Error line 1: the document is empty"),
        (
            "{\n\"openapi\":\"4.0.0\"}",
            "Error line 2: /openapi: not an OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0 document",
        ),
        (
            "info: {}\nopenapi: 3.00",
            "Error line 2: /openapi: not an OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0 document",
        ),
        (
            r#"{"swagger":"1.2"}"#,
            "Error line 1: /swagger: not an OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0 document",
        ),
        (
            r#"{"openapi":"3.0.1","paths":[]}"#,
            "Error line 1: /paths: `paths` is no object",
        ),
    ] {
        let (contract, _) = compile(document);
        assert!(contract.is_none(), "{document}");
        let shown = messages(document).join("\n");
        assert!(shown.starts_with(expect), "{document}: {shown}");
    }
}

#[test]
fn operation_ids_are_unique_and_stable() {
    let document = of_paths(
        r#""/a":{"get":{"operationId":"same"}},"/b":{"get":{"operationId":"same"}},"/c":{"get":{"operationId":"with space"}},
        "/d":{"get":{}},"/e":{"get":{"operationId":"GET:/d"}},"/f g":{"get":{}}"#,
    );
    let contract = contract(&document);
    let ids: Vec<&str> = contract.operations().map(|one| one.id().as_str()).collect();
    assert_eq!(
        ids,
        [
            "GET:/a",
            "GET:/b",
            "GET:/c",
            "GET:/d",
            "GET:/e",
            "GET:/f%20g"
        ]
    );
    let warnings = messages(&document);
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.starts_with("Warning line ")),
        "{warnings:#?}"
    );
}

#[test]
fn an_operation_that_cannot_be_read_is_refused_by_name_and_the_rest_load() {
    let body = |schema: &str| {
        format!(r#""requestBody":{{"content":{{"application/json":{{"schema":{schema}}}}}}}"#)
    };
    let document = of_paths(&format!(
        r##""/a":{{"post":{{"operationId":"remote",{}}}}},
        "/b":{{"post":{{"operationId":"deep",{}}}}},
        "/c":{{"get":{{"operationId":"lost","parameters":[{{"$ref":"#/nowhere"}}]}}}},
        "/d{{x}}{{y}}":{{"get":{{"operationId":"crowded"}}}},
        "/e":{{"get":{{"operationId":"fine"}}}},
        "/f":{{"get":{{"$ref":"#/nowhere"}},"post":{{"$ref":"https://example.com/a.json"}}}},
        "/{{any}}":{{"get":{{"operationId":"any"}},"post":{{"operationId":"post"}}}}"##,
        body(r#"{"$ref":"other.yaml#/x"}"#),
        body(r##"{"properties":{"a":{"items":{"$ref":"#/gone"}}}}"##),
    ));
    let (contract, diagnostics) = compile(&document);
    let contract = contract.unwrap();
    let refused: Vec<&str> = contract
        .refused()
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(
        refused,
        ["remote", "deep", "lost", "crowded", "GET:/f", "POST:/f"]
    );
    for id in refused {
        let named = |found: &&crate::Diagnostic| {
            found.operation.as_deref() == Some(id) && found.severity == Severity::Error
        };
        assert!(
            diagnostics.iter().any(|found| named(&found)),
            "{id}: {diagnostics:#?}"
        );
    }
    assert!(contract.resolve("GET", "/e").is_ok());
    // Their paths are not given to a wider template.
    for (method, path) in [
        ("POST", "/a"),
        ("POST", "/b"),
        ("GET", "/c"),
        ("GET", "/f"),
        ("POST", "/f"),
    ] {
        assert!(contract.resolve(method, path).is_err(), "{method} {path}");
    }
    assert!(contract.resolve("GET", "/a").is_ok());
}

#[test]
fn reviews_hold_and_unknown_ones_are_errors() {
    let review = Review {
        effects: Some(Effects::plain(Effect::Read)),
        labels: ["pii".parse().unwrap()].into(),
        stream: true,
        ..Review::default()
    };
    let id: writ_types::OperationId = "listTickets".parse().unwrap();
    let reviews = Reviews {
        operations: [(id.clone(), review)].into(),
        ..Reviews::default()
    };
    let (contract, _) = Contract::compile(&api(), HELPDESK.as_bytes(), &reviews);
    let contract = contract.unwrap();
    let list = contract.operation(&id).unwrap();
    assert!(list.reviewed() && list.stream() && list.labels().len() == 1);
    assert_eq!(list.effects(), Effects::plain(Effect::Read));
    let unreviewed = |id: &str| {
        let operation = operation(&contract, id);
        assert!(!operation.reviewed());
        operation.effects()
    };
    assert_eq!(unreviewed("getTicket"), Effects::unreviewed(Effect::Read));
    assert_eq!(
        unreviewed("createTicket"),
        Effects::unreviewed(Effect::Write)
    );
    assert_eq!(
        unreviewed("deleteTicket"),
        Effects::unreviewed(Effect::Delete)
    );

    let unknown = Reviews {
        operations: [("gone".parse().unwrap(), Review::default())].into(),
        ..Reviews::default()
    };
    let (contract, diagnostics) = Contract::compile(&api(), HELPDESK.as_bytes(), &unknown);
    assert!(contract.is_none());
    assert_eq!(diagnostics[0].severity, Severity::Error);
    assert_eq!(diagnostics[0].operation.as_deref(), Some("gone"));
}

#[test]
fn the_digest_commits_to_api_bytes_and_reviews() {
    let digest = |api: &str, document: &str, reviews: &Reviews| {
        let (contract, _) = Contract::compile(&api.parse().unwrap(), document.as_bytes(), reviews);
        contract.unwrap().digest()
    };
    let none = Reviews::default();
    let base = digest("a", HELPDESK, &none);
    assert_eq!(base, digest("a", HELPDESK, &none));
    assert_ne!(base, digest("b", HELPDESK, &none));
    assert_ne!(base, digest("a", &format!("{HELPDESK}\n"), &none));
    let reviewed = |review: Review| Reviews {
        operations: [("getTicket".parse().unwrap(), review)].into(),
        ..Reviews::default()
    };
    let mut seen = vec![base];
    for review in [
        Review::default(),
        Review {
            stream: true,
            ..Review::default()
        },
        Review {
            effects: Some(Effects::plain(Effect::Read)),
            ..Review::default()
        },
        Review {
            labels: ["pii".parse().unwrap()].into(),
            ..Review::default()
        },
        Review {
            rate: "5/m".parse().ok(),
            ..Review::default()
        },
    ] {
        let next = digest("a", HELPDESK, &reviewed(review));
        assert!(!seen.contains(&next));
        seen.push(next);
    }
    let of_all = Reviews {
        rate: "5/m".parse().ok(),
        ..Reviews::default()
    };
    assert!(!seen.contains(&digest("a", HELPDESK, &of_all)));
}

#[test]
fn a_vendors_text_cannot_steer_a_terminal() {
    let document = of_paths(
        r#""/a":{"get":{"operationId":"x","summary":"fine\u001b[2Jevil"}},"/b":{"get":{"operationId":"a\u001b b"}}"#,
    );
    let (contract, diagnostics) = compile(&document);
    let contract = contract.unwrap();
    assert_eq!(operation(&contract, "x").summary(), Some("fine[2Jevil"));
    assert!(!diagnostics.is_empty());
    for found in diagnostics {
        assert!(!found.to_string().contains(char::is_control), "{found:?}");
    }
}

#[test]
fn a_vendor_cannot_review_itself() {
    let document = of_paths(r#""/a":{"delete":{"x-writ":{"effect":"read"}}}"#);
    let operation = contract(&document);
    let operation = operation.operations().next().unwrap();
    assert_eq!(operation.effects(), Effects::unreviewed(Effect::Delete));
    assert!(messages(&document)[0].contains("`x-writ`"));
}

#[test]
fn diagnostics_have_lines_in_yaml_and_json() {
    let yaml = "openapi: 3.0.0\npaths:\n  /a/{x}:\n    get:\n      operationId: one two\n";
    let (_, diagnostics) = compile(yaml);
    let lines: Vec<Option<u32>> = diagnostics.iter().map(|found| found.line).collect();
    assert_eq!(lines, [Some(5), Some(4)], "{diagnostics:#?}");
    let json =
        "{\"openapi\":\"3.0.0\",\n\"paths\":{\n\"/a\":{\n\"get\":{\"operationId\":\"one two\"}}}}";
    assert_eq!(compile(json).1[0].line, Some(4));
}

#[test]
fn a_contract_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&contract(HELPDESK));
}

#[test]
fn the_worst_grade_counts_until_the_owner_has_reviewed_the_operation() {
    let bad = r#""/wipe":{"get":{"operationId":"wipeAll","requestBody":{"content":{"application/json":{"schema":{}}}},
        "parameters":[{"name":"token","in":"query","schema":{}}],"responses":{"200":{"description":"ok"}}}}"#;
    let plain = r#""/wipe":{"get":{"operationId":"listAll","summary":"List what there is","responses":{"200":{"description":"ok"}}}}"#;
    let overlay = |update: &str| {
        let target = "$.paths['/wipe'].get";
        Some(format!(
            r#"{{"overlay":"1.0.0","info":{{"title":"t","version":"1"}},"actions":[{{"target":"{target}","update":{update}}}]}}"#
        ))
    };
    let described = r#"{"summary":"Shows what would be wiped","requestBody":{"content":{"application/json":{"schema":{"type":"object","additionalProperties":false}}}}}"#;
    for (paths, overlay, grade, unready) in [
        (bad, None, "F", true),
        (plain, None, "A", false),
        // A proposal is no review.
        (
            bad,
            overlay(r#"{"x-writ":{"effect":"read","reviewed":false}}"#),
            "F",
            true,
        ),
        (bad, overlay(r#"{"x-writ":{"effect":"read"}}"#), "F", false),
        // What the owner mends in the document counts too.
        (bad, overlay(described), "B", false),
    ] {
        let reviews = Reviews {
            overlay,
            ..Reviews::default()
        };
        let document = of_paths(paths);
        let (contract, diagnostics) = Contract::compile(&api(), document.as_bytes(), &reviews);
        let contract = contract.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let operation = contract.operations().next().unwrap();
        let score = operation.score().unwrap();
        let found = (score.grade().as_str(), operation.unready());
        assert_eq!(found, (grade, unready), "{reviews:?} {score:?}");
        // The lint of the document with the overlay says the same.
        let linted = lint::lint_overlaid(document.as_bytes(), reviews.overlay.as_deref());
        assert_eq!(linted.unwrap().operations[0].score, score);
    }
    let list = r#"{"tools":[{"name":"wipe","inputSchema":{"type":"object"}}]}"#;
    let list = contract(list);
    let tool = list.operations().next().unwrap();
    assert_eq!((tool.score(), tool.unready()), (None, false));
}
