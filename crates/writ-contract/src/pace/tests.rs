use super::*;
use crate::fixture::{api, operation};
use crate::{Contract, Reviews};

#[test]
fn figures_in_words() {
    for (text, rate) in [
        (
            "Rate limited to 100 requests per minute.",
            Some("100/60s burst 100"),
        ),
        (
            "800 requests per minute unless otherwise noted",
            Some("800/60s burst 800"),
        ),
        ("10 requests per 30 seconds", Some("10/30s burst 10")),
        (
            "3,600 requests per hour and per Project",
            Some("3600/3600s burst 3600"),
        ),
        // The strictest of several.
        (
            "20 calls a second, 100 calls every day",
            Some("100/86400s burst 100"),
        ),
        ("Too many requests", None),
        ("25 requests in the batch", None),
        ("0 requests per minute", None),
        ("99999999999 requests per minute", None),
        ("100 requests per fortnight", None),
        ("100 tokens per minute", None),
        ("", None),
    ] {
        let found = in_words(text).map(|rate| rate.to_string());
        assert_eq!(found.as_deref(), rate, "{text}");
    }
}

/// A document of one operation, with more responses, and with more members of its own.
fn document(response: &str, extension: &str) -> String {
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},{extension}"paths":{{"/x":{{"get":{{"operationId":"x","tags":["t"],
        "responses":{{"200":{{"description":"ok"}}{response}}}}}}}}},"tags":[{{"name":"t"}}],
        "components":{{"responses":{{"slow":{{"description":"At most 100 requests per minute."}}}}}}}}"#
    )
}

/// Of the API, of the operation, and whether that is all, as a line.
fn pace(document: &str, said: &[String]) -> String {
    let overlay = (!said.is_empty()).then(|| {
        let actions = said.join(",");
        format!(
            r#"{{"overlay":"1.0.0","info":{{"title":"t","version":"1"}},"actions":[{actions}]}}"#
        )
    });
    let reviews = Reviews {
        overlay,
        ..Reviews::default()
    };
    let (contract, diagnostics) = Contract::compile(&api(), document.as_bytes(), &reviews);
    let contract = contract.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let pace = operation(&contract, "x").pace();
    let shown = |rate: Option<Rate>| rate.map_or_else(|| "-".to_owned(), |rate| rate.to_string());
    let said = if pace.is_said { "said" } else { "ours too" };
    format!("{}, {}, {said}", shown(pace.api), shown(pace.operation))
}

#[test]
fn what_a_document_says_of_its_limits_holds() {
    for (response, extension, line) in [
        ("", "", "-, -, ours too"),
        (
            r#","default":{"description":"any error"}"#,
            "",
            "-, -, ours too",
        ),
        (
            r#","429":{"description":"Too many requests"}"#,
            "",
            "-, -, said",
        ),
        (
            r#","404":{"description":"no","headers":{"X-RateLimit-Limit":{}}}"#,
            "",
            "-, -, said",
        ),
        (
            r##","429":{"$ref":"#/components/responses/slow"}"##,
            "",
            "-, 100/60s burst 100, said",
        ),
        (
            "",
            r#""x-ratelimit":{"limit":50,"window":10},"#,
            "50/10s burst 50, -, said",
        ),
        (
            "",
            r#""x-rate-limit":"5 requests per second","#,
            "5/1s burst 5, -, said",
        ),
        // No figure that can be read says nothing.
        (
            "",
            r#""x-ratelimit":{"limit":0,"window":10},"#,
            "-, -, ours too",
        ),
        ("", r#""x-ratelimit":"much","#, "-, -, ours too"),
    ] {
        assert_eq!(
            pace(&document(response, extension), &[]),
            line,
            "{response} {extension}"
        );
    }
}

#[test]
fn what_the_owner_says_comes_first_and_lifts_our_limits_once_it_is_reviewed() {
    let action = |target: &str, rate: &str, more: &str| {
        vec![format!(
            r#"{{"target":"{target}","update":{{"x-writ":{{"rate":"{rate}"{more}}}}}}}"#
        )]
    };
    let (of_all, of_one, of_tag) = ("$", "$.paths['/x'].get", "$.tags[0]");
    let reviewed = r#","effect":"read""#;
    let (plain, whole) = (document("", ""), document("", r#""x-ratelimit":"50/s","#));
    let figure = document(r#","429":{"description":"100 requests per minute"}"#, "");
    for (document, said, line) in [
        (
            &figure,
            action(of_one, "5/m", reviewed),
            "-, 5/60s burst 5, said",
        ),
        (&whole, action(of_all, "7/s", ""), "7/1s burst 7, -, said"),
        (
            &plain,
            action(of_tag, "9/m", ""),
            "-, 9/60s burst 9, ours too",
        ),
        (
            &plain,
            action(of_one, "5/m", ""),
            "-, 5/60s burst 5, ours too",
        ),
        (
            &plain,
            action(of_one, "5/m", reviewed),
            "-, 5/60s burst 5, said",
        ),
        (
            &plain,
            action(of_all, "7/s", ""),
            "7/1s burst 7, -, ours too",
        ),
    ] {
        assert_eq!(pace(document, &said), line, "{said:?}");
    }
}
