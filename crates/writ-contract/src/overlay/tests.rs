use writ_types::{Effect, Effects, JsonLimits, Trust, Value};

use crate::document;
use crate::fixture::{api, operation};
use crate::{AuditMode, Contract, DiagnosticSource, Reviews};

/// The document after the overlay, or what is wrong with it.
fn applied(document: &str, overlay: &str) -> Result<String, Vec<String>> {
    let mut value = document::read(document.as_bytes()).unwrap();
    super::overlay(overlay, &mut value)
        .map(|()| value.to_string())
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn json(text: &str) -> String {
    Value::parse(text.as_bytes(), &JsonLimits::REQUEST)
        .unwrap()
        .to_string()
}

/// An overlay of one action (YAML in flow style, without braces).
fn one(version: &str, action: &str) -> String {
    format!("overlay: {version}\ninfo: {{title: t, version: '1'}}\nactions:\n  - {{{action}}}\n")
}

/// Document, version, action, the document afterwards.
const MERGES: &[(&str, &str, &str, &str)] = &[
    (
        r#"{"info":{"title":"a"}}"#,
        "1.0.0",
        "target: $.info, update: {title: b, more: {x: 1}}",
        r#"{"info":{"title":"b","more":{"x":1}}}"#,
    ),
    (
        r#"{"a":{"l":[1]}}"#,
        "1.0.0",
        "target: $.a, update: {l: [2]}",
        r#"{"a":{"l":[1,2]}}"#,
    ),
    (
        r#"{"l":[1]}"#,
        "1.0.0",
        "target: $.l, update: {name: x}",
        r#"{"l":[1,{"name":"x"}]}"#,
    ),
    (
        r#"{"l":[1]}"#,
        "1.1.0",
        "target: $.l, update: [2, 3]",
        r#"{"l":[1,2,3]}"#,
    ),
    (
        r#"{"a":{"b":"old"}}"#,
        "1.1.0",
        "target: $.a.b, update: new",
        r#"{"a":{"b":"new"}}"#,
    ),
    (
        r#"{"l":[{"n":1},{"n":2},{"n":1}]}"#,
        "1.0.0",
        "target: '$.l[?@.n==1]', remove: true",
        r#"{"l":[{"n":2}]}"#,
    ),
    (
        r#"{"l":["a","b","a"],"k":1}"#,
        "1.1.0",
        "target: \"$.l[?@=='a']\", remove: true",
        r#"{"k":1,"l":["b"]}"#,
    ),
    (
        r#"{"a":{"a":{"a":1}}}"#,
        "1.0.0",
        "target: $..a, remove: true",
        "{}",
    ),
    (
        r#"{"l":[[1,2],[3]]}"#,
        "1.0.0",
        "target: '$.l..[0]', remove: true",
        r#"{"l":[[]]}"#,
    ),
    (
        r#"{"p":{"/x":{"get":1},"/y":{"put":2}}}"#,
        "1.1.0",
        "target: \"$.p['/y']\", copy: \"$.p['/x']\"",
        r#"{"p":{"/x":{"get":1},"/y":{"get":1,"put":2}}}"#,
    ),
    (
        r#"{"a/b":{"x":1}}"#,
        "1.0",
        "target: \"$['a/b']\", remove: true",
        "{}",
    ),
];

#[test]
fn actions_change_what_they_select() {
    for (document, version, action, expect) in MERGES {
        let found = applied(document, &one(version, action));
        assert_eq!(found, Ok(json(expect)), "{action}");
    }
}

#[test]
fn actions_of_1_2_can_be_written_once() {
    let overlay = "overlay: 1.2.0
$self: https://example.com/o.yaml
info: {title: t, version: '1', description: d}
extends: ./a.yaml
components:
  actions:
    mark~ed:
      description: d
      fields: {update: {x-a: 1}}
actions:
  - {$ref: '#/components/actions/mark~0ed', target: $.a}
  - {$ref: '#/components/actions/mark~0ed', target: $.b, description: d}
";
    let found = applied(r#"{"a":{},"b":{}}"#, overlay);
    assert_eq!(found, Ok(json(r#"{"a":{"x-a":1},"b":{"x-a":1}}"#)));
}

/// Overlay, and the only complaint.
const WRONG: &[(&str, &str)] = &[
    (
        "a: 1",
        "line 1: not an OpenAPI overlay: `overlay: 1.0.0`, `1.1.0` or `1.2.0` is missing",
    ),
    (
        "overlay: 2.0.0",
        "line 1: not an OpenAPI overlay: `overlay: 1.0.0`, `1.1.0` or `1.2.0` is missing",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions: []",
        "line 3: /actions: an overlay has between one and 50000 actions",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t}\nactions: [{target: $}]",
        "line 2: /info: `version` is missing",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactionss: []\nactions: [{target: $}]",
        "line 3: /actionss: unknown key `actionss`: did you mean `actions`?",
    ),
    (
        "overlay: 1.1.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  updates: {}",
        "line 5: /actions/0/updates: unknown key `updates`: did you mean `update`?",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  copy: $.a",
        "line 5: /actions/0/copy: unknown key `copy`: here stand target, description, update, remove",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n- target: info",
        "line 4: /actions/0/target: not a JSONPath (RFC 9535): a query begins with `$` (character 1)",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.gone\n  update: {}",
        "line 4: /actions/0: the target selects nothing",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  update: [1]",
        "line 4: /actions/0: `update` and target are not of one kind (at `/info`)",
    ),
    (
        "overlay: 1.1.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  copy: $.paths.*",
        "line 4: /actions/0: `copy` selects 2 values, not one",
    ),
    (
        "overlay: 1.1.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  copy: $.info\n  update: {}",
        "line 4: /actions/0: an action has `update` or `copy`, not both",
    ),
    (
        "overlay: 1.2.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  $ref: '#/x'",
        "line 5: /actions/0/$ref: no reusable action is called so: `#/components/actions/…`",
    ),
    (
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n- target: $.info\n  target: $",
        "line 5: /actions/0: the key `target` stands twice",
    ),
    (
        "overlay: [",
        "line 2: not YAML: while parsing a node, did not find expected node content",
    ),
];

#[test]
fn what_says_nothing_is_an_error_with_its_line() {
    let document = r#"{"info":{"title":"t"},"paths":{"/a":{},"/b":{}}}"#;
    for (overlay, expect) in WRONG {
        let found = applied(document, overlay).unwrap_err();
        assert_eq!(found, [*expect], "{overlay}");
    }
}

const DOCUMENT: &str = r##"{"openapi":"3.0.3","info":{"title":"t","version":"1"},"tags":[{"name":"money"}],
"paths":{
  "/pay":{"post":{"operationId":"pay","tags":["money"],
    "requestBody":{"content":{"application/json":{"schema":{"type":"object","additionalProperties":false,
      "properties":{"to":{"type":"string"},"note":{"type":"string"},"amount":{"type":"integer"},"cc":{"type":"array","items":{"type":"string"}}}}}}},
    "responses":{"200":{"description":"","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Payment"}}}}}}},
  "/pay/{id}":{"get":{"operationId":"payment","tags":["money"],"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
    "responses":{"200":{"description":"","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Payment"}}}}}}}},
"components":{"schemas":{"Payment":{"type":"object","properties":{
  "id":{"type":"string"},"payer":{"oneOf":[{"$ref":"#/components/schemas/Person"},{"$ref":"#/components/schemas/Company"}]}}},
  "Person":{"type":"object","required":["iban"],"additionalProperties":false,"properties":{"iban":{"type":"string"}}},
  "Company":{"type":"object","required":["account"],"additionalProperties":false,"properties":{"account":{"type":"string"},"iban":{"type":"string"}}}}}}"##;

const SAID: &str = "overlay: 1.0.0
info: {title: t, version: '1'}
actions:
  - target: $.tags[?@.name=='money']
    update: {x-writ: {labels: confidential, records: 1, strict: true}}
  - target: $.paths['/pay'].post
    update: {x-writ: {effect: [write, irreversible], cost: '0.02', sink: [pii], audit: hash}}
  - target: $.paths['/pay'].post.requestBody.content.*.schema.properties.to
    update: {x-writ: {sensitive: iban}}
  - target: $.paths['/pay'].post.requestBody.content.*.schema.properties.note
    update: {x-writ: {payload: true, audit: drop}}
  - target: $.paths['/pay'].post.requestBody.content.*.schema.properties.cc.items
    update: {x-writ: {sensitive: email, fanout: true}}
  - target: $.components.schemas.Payment.properties.id
    update: {x-writ: {source: {trust: trusted, kind: payment}}}
  - target: $.components.schemas.Person.properties.iban
    update: {x-writ: {source: {trust: party, kind: iban}, labels: [pii]}}
  - target: $.paths['/pay/{id}'].get
    update: {x-writ: {reviewed: false, effect: read, stream: true, cost: 1}}
";

fn said(overlay: &str) -> Contract {
    let reviews = Reviews {
        overlay: Some(overlay.to_owned()),
        ..Reviews::default()
    };
    let (contract, diagnostics) = Contract::compile(&api(), DOCUMENT.as_bytes(), &reviews);
    contract.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn marks(marks: &[crate::Marked]) -> Vec<String> {
    marks
        .iter()
        .map(|marked| {
            let sensitive = marked.mark.sensitive.as_ref();
            let kind = sensitive.map(|kind| format!(" {kind}")).unwrap_or_default();
            let source = marked.mark.source.as_ref();
            let source = source
                .map(|source| format!(" <-{}", source.kind))
                .unwrap_or_default();
            let labels: String = marked
                .mark
                .labels
                .iter()
                .map(|label| format!(" #{label}"))
                .collect();
            let payload = if marked.mark.payload { " payload" } else { "" };
            format!("{}{kind}{source}{labels}{payload}", marked.pointer)
        })
        .collect()
}

#[test]
fn an_overlay_says_what_an_operation_does_and_which_values_matter() {
    let contract = said(SAID);
    let pay = operation(&contract, "pay");
    assert!(pay.reviewed());
    let effects = Effects {
        irreversible: true,
        ..Effects::plain(Effect::Write)
    };
    assert_eq!(pay.effects(), effects);
    let labels: Vec<_> = pay.labels().iter().map(ToString::to_string).collect();
    assert_eq!(labels, ["confidential"], "from its tag");
    assert_eq!(pay.handling().records, Some(1), "from its tag");
    assert_eq!(
        pay.handling()
            .cost
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("0.02")
    );
    assert_eq!(pay.handling().audit, Some(AuditMode::Hash));
    assert!(
        pay.handling()
            .sink
            .iter()
            .any(|label| label.as_str() == "pii")
    );
    assert!(pay.refuses_broken(404), "strict, from its tag");
    assert_eq!(
        marks(pay.marks()),
        ["/body/cc/* email", "/body/note payload", "/body/to iban"]
    );
    assert_eq!(
        marks(pay.response_marks()),
        ["/body/id <-payment", "/body/payer/iban <-iban #pii"]
    );
}

#[test]
fn what_nobody_reviewed_is_the_worst_it_can_be() {
    let contract = said(SAID);
    let payment = operation(&contract, "payment");
    assert!(!payment.reviewed() && !payment.stream());
    assert_eq!(payment.effects(), Effects::unreviewed(Effect::Read));
    assert_eq!(
        payment.handling().cost,
        None,
        "nothing is allowed that nobody has looked at"
    );
    assert_eq!(payment.labels().len(), 1, "care holds at once");
    assert_eq!(marks(payment.marks()), ["/path/id unreviewed"]);
    assert_eq!(
        marks(payment.response_marks()),
        ["/body/payer/iban #pii"],
        "and nothing vouches"
    );

    let (plain, _) = Contract::compile(&api(), DOCUMENT.as_bytes(), &Reviews::default());
    let plain = plain.unwrap();
    assert_eq!(
        marks(operation(&plain, "pay").marks()),
        [
            "/body/cc/* unreviewed",
            "/body/note unreviewed",
            "/body/to unreviewed"
        ],
        "every text, and no number"
    );
}

#[test]
fn values_vouch_only_by_the_schema_they_fit() {
    let contract = said(SAID);
    let pay = operation(&contract, "pay");
    let payment = operation(&contract, "payment");
    let table = [
        (
            r#"{"id":"p1","payer":{"iban":"X"}}"#,
            vec!["/body/id payment \"p1\"", "/body/payer/iban iban \"X\""],
        ),
        // Of a company the owner said nothing.
        (
            r#"{"id":"p1","payer":{"account":"1","iban":"X"}}"#,
            vec!["/body/id payment \"p1\""],
        ),
        (r#"{"id":7}"#, vec![]),
        (r#"{"id":"p1","iban":"X"}"#, vec!["/body/id payment \"p1\""]),
    ];
    for (body, expect) in table {
        let checked = pay.check_response(200, Some("application/json"), body.as_bytes());
        let found: Vec<_> = pay
            .source_values(&checked)
            .iter()
            .map(|one| {
                assert!(one.source.trust == Trust::Party || one.pointer == "/body/id");
                format!("{} {} {}", one.pointer, one.source.kind, one.value)
            })
            .collect();
        assert_eq!(found, expect, "{body}");
        let checked = payment.check_response(200, Some("application/json"), body.as_bytes());
        assert!(
            payment.source_values(&checked).is_empty(),
            "nobody reviewed it"
        );
    }
}

/// An action on the document, and the complaint.
const MISSAID: &[(&str, &str)] = &[
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: {effct: read}}",
        "/actions/0/update/x-writ/effct: unknown key `effct`: did you mean `effect`?",
    ),
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: {effect: [read, write]}}",
        "/actions/0/update/x-writ/effect: exactly one of `read`, `write` and `delete`",
    ),
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: {effect: [irreversible]}}",
        "/actions/0/update/x-writ/effect: exactly one of `read`, `write` and `delete`",
    ),
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: {effect: destroy}}",
        "/actions/0/update/x-writ/effect: `destroy` is no effect: `read`, `write` or `delete`",
    ),
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: {reviewed: true}}",
        "/actions/0/update/x-writ/reviewed: a reviewed operation has an `effect`",
    ),
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: {sensitive: iban}}",
        "/actions/0/update/x-writ/sensitive: `sensitive` belongs to a parameter or a schema, not to an operation",
    ),
    (
        "target: \"$.tags[0]\", update: {x-writ: {effect: read}}",
        "/actions/0/update/x-writ/effect: `effect` belongs to an operation, not to a tag",
    ),
    (
        "target: \"$.paths['/pay/{id}'].get.parameters[0]\", update: {x-writ: {source: {trust: trusted, kind: x}}}",
        "/actions/0/update/x-writ/source: `source` belongs to a schema, not to a parameter",
    ),
    (
        "target: $.components.schemas.Person, update: {x-writ: {source: {trust: full, kind: x}}}",
        "/actions/0/update/x-writ/source: `{trust: trusted, kind: …}` or `{trust: party, kind: …}`",
    ),
    (
        "target: $.components.schemas.Person, update: {x-writ: {sensitive: unreviewed}}",
        "/actions/0/update/x-writ/sensitive: `unreviewed` is what every text is until somebody says more",
    ),
    (
        "target: $.info, update: {x-writ: {labels: pii}}",
        "/actions/0/update/x-writ: `x-writ` says nothing here: it belongs to an operation, a parameter, a schema, a tag or the document (at `/info`)",
    ),
    (
        "target: $, update: {paths: {/pay: {post: {x-writ: {records: 0}}}}}",
        "/actions/0/update/paths/~1pay/post/x-writ/records: the most records one call gives: a whole number above 0",
    ),
    (
        "target: \"$.paths['/pay'].post\", update: {x-writ: read}",
        "/actions/0/update/x-writ: `x-writ` is an object",
    ),
];

#[test]
fn a_word_that_is_none_is_an_error_where_it_stands() {
    for (action, expect) in MISSAID {
        let reviews = Reviews {
            overlay: Some(one("1.0.0", action)),
            ..Reviews::default()
        };
        let (contract, diagnostics) = Contract::compile(&api(), DOCUMENT.as_bytes(), &reviews);
        assert!(contract.is_none(), "{action}");
        let [found] = diagnostics.as_slice() else {
            panic!("{diagnostics:?}")
        };
        assert_eq!(found.to_string(), format!("line 4: {expect}"));
        assert_eq!(found.source, DiagnosticSource::Overlay);
    }
}

#[test]
fn a_vendor_cannot_say_it_of_itself() {
    let words = r#""x-writ":{"effect":"read","source":{"trust":"trusted","kind":"iban"}}"#;
    let document = DOCUMENT
        .replace(
            r#""operationId":"pay","#,
            &format!(r#""operationId":"pay",{words},"#),
        )
        .replace(r#""iban":{"type""#, &format!(r#""iban":{{{words},"type""#));
    let (contract, diagnostics) =
        Contract::compile(&api(), document.as_bytes(), &Reviews::default());
    let contract = contract.unwrap();
    assert_eq!(diagnostics.len(), 3, "{diagnostics:?}");
    assert!(
        diagnostics
            .iter()
            .all(|found| found.message.contains("was removed"))
    );
    assert!(!operation(&contract, "pay").reviewed());
    assert_eq!(operation(&contract, "pay").response_marks(), []);
}

#[test]
fn an_operation_is_reviewed_once() {
    let mut reviews = Reviews {
        overlay: Some(SAID.to_owned()),
        ..Reviews::default()
    };
    let review = crate::Review {
        effects: Some(Effects::plain(Effect::Read)),
        ..crate::Review::default()
    };
    reviews.operations.insert("pay".parse().unwrap(), review);
    let (contract, diagnostics) = Contract::compile(&api(), DOCUMENT.as_bytes(), &reviews);
    assert_eq!(contract.unwrap().refused().len(), 1);
    assert!(
        diagnostics
            .iter()
            .any(|found| found.message.contains("reviewed twice"))
    );
}

#[test]
fn an_overlay_is_part_of_what_the_digest_commits_to() {
    let digest = |overlay: &str| said(overlay).digest();
    assert_eq!(digest(SAID), digest(SAID));
    assert_ne!(digest(SAID), digest(&SAID.replace("0.02", "0.03")));
}

#[test]
fn an_overlay_that_doubles_ends() {
    let mut overlay = "overlay: 1.1.0\ninfo: {title: t, version: '1'}\nactions:\n  - {target: $, update: {x: {a: [1, 2, 3, 4]}}}\n".to_owned();
    for _ in 0..60 {
        overlay.push_str("  - {target: $.x.a, copy: $.x.a}\n");
    }
    let found = applied("{}", &overlay).unwrap_err();
    assert!(
        found.iter().any(|fault| fault.contains("adds too much")),
        "{found:?}"
    );
}

#[test]
fn what_is_marked_below_a_recursion_is_not_lost() {
    let document = r##"{"openapi":"3.0.3","paths":{"/x":{"post":{"operationId":"x","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Node"}}}}}}},
      "components":{"schemas":{"Node":{"type":"object","properties":{"iban":{"type":"string"},"next":{"$ref":"#/components/schemas/Node"}}}}}}"##;
    let overlay = "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n  - {target: \"$.paths['/x'].post\", update: {x-writ: {effect: write}}}\n  - {target: $.components.schemas.Node.properties.iban, update: {x-writ: {sensitive: iban}}}\n";
    let reviews = Reviews {
        overlay: Some(overlay.to_owned()),
        ..Reviews::default()
    };
    let (contract, diagnostics) = Contract::compile(&api(), document.as_bytes(), &reviews);
    let contract = contract.unwrap_or_else(|| panic!("{diagnostics:?}"));
    assert_eq!(
        marks(operation(&contract, "x").marks()),
        ["/body/iban iban", "/body/next unreviewed"]
    );
}
