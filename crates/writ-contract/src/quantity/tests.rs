use writ_types::{Effect, Effects};

use crate::fixture::{api, call, operation};
use crate::{Contract, Reviews};

const DOCUMENT: &str = r##"{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{
  "/pay":{"post":{"operationId":"pay","parameters":[{"name":"fee","in":"query","schema":{"type":"number"}}],
    "requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object",
      "properties":{"amount":{},"currency":{},
        "parts":{"type":"array","items":{"type":"object","properties":{"amount":{},"currency":{}}}}}}}}},
    "responses":{"200":{"description":""}}}},
  "/sum":{"post":{"operationId":"sum",
    "requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object",
      "properties":{"lists":{"type":"object","additionalProperties":{"type":"array","items":{}}},
        "deep":{"type":"array","items":{"type":"object","properties":{"in":{"type":"object","properties":{"amount":{}}}}}}}}}}},
    "responses":{"200":{"description":""}}}},
  "/tree":{"post":{"operationId":"tree","requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Node"}}}},
    "responses":{"200":{"description":""}}}}},
"components":{"schemas":{"Node":{"type":"object","properties":{"amount":{},"below":{"$ref":"#/components/schemas/Node"}}}}}}"##;

const SAID: &str = "overlay: 1.0.0
info: {title: t, version: '1'}
actions:
  - target: $.paths['/pay'].post
    update: {x-writ: {effect: write}}
  - target: $.paths['/pay'].post.requestBody.content.*.schema.properties.amount
    update: {x-writ: {quantity: {name: payment, per: currency}}}
  - target: $.paths['/pay'].post.requestBody.content.*.schema.properties.parts.items.properties.amount
    update: {x-writ: {quantity: {name: payment, per: currency}}}
  - target: $.paths['/pay'].post.parameters[0]
    update: {x-writ: {quantity: {name: fee}}}
  - target: $.paths['/sum'].post
    update: {x-writ: {effect: write}}
  - target: $.paths['/sum'].post.requestBody.content.*.schema.properties.lists.additionalProperties.items
    update: {x-writ: {quantity: {name: weight}}}
  - target: $.paths['/sum'].post.requestBody.content.*.schema.properties.deep.items.properties.in.properties.amount
    update: {x-writ: {quantity: {name: weight}}}
  - target: $.paths['/tree'].post
    update: {x-writ: {effect: write}}
  - target: $.components.schemas.Node.properties.amount
    update: {x-writ: {quantity: {name: weight}}}
";

fn contract(overlay: &str) -> Contract {
    let reviews = Reviews {
        overlay: Some(overlay.to_owned()),
        ..Reviews::default()
    };
    let (contract, diagnostics) = Contract::compile(&api(), DOCUMENT.as_bytes(), &reviews);
    contract.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "the table of calls stands in one place"
)]
fn what_a_call_comes_to_is_read_in_its_unit_or_not_known() {
    let contract = contract(SAID);
    for (target, body, comes_to) in [
        (
            "/pay?fee=0.5",
            r#"{"amount":12.5,"currency":"EUR"}"#,
            "fee::0.5000,payment:EUR:12.5000",
        ),
        // Each item, and what stands beside it.
        (
            "/pay",
            r#"{"parts":[{"amount":"1.25","currency":"eur"},{"amount":2,"currency":"EUR"},{"amount":3,"currency":"USD"}]}"#,
            "fee::?,payment:EUR:3.2500,payment:USD:3.0000",
        ),
        // An item that does not say it is not hidden by one that does.
        (
            "/pay",
            r#"{"parts":[{"amount":"0.01","currency":"EUR"},{"currency":"EUR"}]}"#,
            "fee::?,payment::?,payment:EUR:0.0100",
        ),
        (
            "/pay",
            r#"{"parts":[{"amount":null,"currency":"EUR"},{"amount":"0.01","currency":"EUR"}]}"#,
            "fee::?,payment::?,payment:EUR:0.0100",
        ),
        (
            "/pay",
            r#"{"parts":[{"amount":"0.01"},null]}"#,
            "fee::?,payment::?",
        ),
        (
            "/pay",
            r#"{"amount":1,"currency":"EUR","parts":[{}]}"#,
            "fee::?,payment::?,payment:EUR:1.0000",
        ),
        (
            "/sum",
            r#"{"lists":{"a":[1,2],"b":[]},"deep":[{"in":{"amount":3}},{}]}"#,
            "weight::?",
        ),
        (
            "/sum",
            r#"{"lists":{"a":[1,2],"b":[4]},"deep":[{"in":{"amount":3}}]}"#,
            "weight::10.0000",
        ),
        ("/sum", r#"{"lists":{"a":[1,null]}}"#, "weight::?"),
        // What is not said, or says nothing that can be added, is not known.
        ("/pay", "{}", "fee::?,payment::?"),
        ("/pay", r#"{"amount":null}"#, "fee::?,payment::?"),
        ("/pay", r#"{"amount":5}"#, "fee::?,payment::5.0000"),
        (
            "/pay",
            r#"{"amount":-5,"currency":"EUR"}"#,
            "fee::?,payment:EUR:?",
        ),
        (
            "/pay",
            r#"{"amount":0.00001,"currency":"EUR"}"#,
            "fee::?,payment:EUR:?",
        ),
        (
            "/pay",
            r#"{"amount":[5],"currency":"EUR"}"#,
            "fee::?,payment:EUR:?",
        ),
        (
            "/pay",
            r#"{"amount":5,"currency":["EUR"]}"#,
            "fee::?,payment::?",
        ),
        (
            "/pay",
            r#"{"amount":5,"currency":"E\u200bUR"}"#,
            "fee::?,payment::?",
        ),
        // Below a schema that contains itself nothing is taken apart.
        ("/tree", r#"{"amount":1}"#, "weight::1.0000"),
        ("/tree", r#"{"amount":1,"below":{"amount":2}}"#, "weight::?"),
    ] {
        let body = Some(("application/json", body.as_bytes()));
        let parsed = call(&contract, "POST", target, &[], body);
        let id = target.split('?').next().unwrap().trim_start_matches('/');
        let quantities = operation(&contract, id).quantities(&parsed.input);
        assert_eq!(quantities.to_string(), comes_to, "{target} {body:?}");
    }
    let pay = operation(&contract, "pay");
    assert_eq!(pay.effects(), Effects::plain(Effect::Write));
    assert_eq!(pay.unread_quantities().to_string(), "fee::?,payment::?");
}

#[test]
fn an_overlay_says_quantities_in_words_that_are_understood() {
    for (word, wrong) in [
        (
            "{quantity: {name: payment, pre: currency}}",
            "did you mean `per`",
        ),
        ("{quantity: payment}", "`{name: payment}`"),
        (
            "{quantity: {name: Pay-Ment}}",
            "no name of a window or a quantity",
        ),
        (
            "{quantity: {name: payment}, audit: drop}",
            "stands in the record",
        ),
    ] {
        let overlay = SAID.replace("{quantity: {name: fee}}", word);
        let reviews = Reviews {
            overlay: Some(overlay),
            ..Reviews::default()
        };
        let (_, diagnostics) = Contract::compile(&api(), DOCUMENT.as_bytes(), &reviews);
        let said: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        assert!(
            said.iter().any(|said| said.contains(wrong)),
            "{word}: {said:?}"
        );
    }
}
