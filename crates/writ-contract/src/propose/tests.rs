use writ_types::Effect;

use super::propose;
use crate::fixture::{HELPDESK, LIBRARY, PETS, SHOP, api, contract, of_paths, operation};
use crate::{Contract, Reviews};

fn with(document: &str, overlay: &str) -> Contract {
    let reviews = Reviews {
        overlay: Some(overlay.to_owned()),
        ..Reviews::default()
    };
    let (contract, diagnostics) = Contract::compile(&api(), document.as_bytes(), &reviews);
    contract.unwrap_or_else(|| panic!("{diagnostics:?}\n{overlay}"))
}

#[test]
fn a_proposal_is_an_overlay_that_reviews_nothing() {
    for document in [HELPDESK, SHOP, PETS, LIBRARY] {
        let overlay = propose(&contract(document), document.as_bytes(), None);
        let proposed = with(document, &overlay);
        assert!(
            proposed.operations().all(|operation| !operation.reviewed()),
            "{overlay}"
        );
        let reviewed = with(document, &overlay.replace("reviewed: false, ", ""));
        assert!(
            reviewed.operations().all(crate::Operation::reviewed),
            "{overlay}"
        );
    }
}

#[test]
fn effects_are_guessed_from_methods_and_verbs() {
    let table = [
        ("get", "/users", "listUsers", "read"),
        ("get", "/jobs/start", "startJob", "write"),
        ("post", "/users/search", "searchUsers", "read"),
        ("post", "/users", "createUser", "write"),
        (
            "post",
            "/users/{id}/delete",
            "deleteUser",
            "[delete, irreversible]",
        ),
        (
            "delete",
            "/users/{id}",
            "dropUser",
            "[delete, irreversible]",
        ),
        (
            "post",
            "/payments/{id}/refund",
            "refundPayment",
            "[write, irreversible]",
        ),
        (
            "post",
            "/mail",
            "sendMail",
            "[write, irreversible, external_send]",
        ),
        ("put", "/users/{id}", "replaceUser", "write"),
    ];
    for (method, path, id, expect) in table {
        let document = of_paths(&format!(
            r#""{path}":{{"{method}":{{"operationId":"{id}"}}}}"#
        ));
        let overlay = propose(&contract(&document), document.as_bytes(), None);
        let wanted = format!("reviewed: false, effect: {expect}}}");
        assert!(overlay.contains(&wanted), "{method} {path}: {overlay}");
    }
}

#[test]
fn places_are_guessed_from_names_and_formats() {
    let document = of_paths(
        r#""/zones/{id}/mail":{"post":{"operationId":"x","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
        "requestBody":{"content":{"application/json":{"schema":{"type":"object","properties":{
          "to":{"type":"array","items":{"type":"string"}},"reply_to":{"type":"string","format":"email"},"webhookUrl":{"type":"string"},
          "iban":{"type":"string"},"count":{"type":"integer"},"customerId":{"type":"string"},"o'dd\\":{"type":"object","properties":{"email":{"type":"string"}}}}}}}}}}"#,
    );
    let overlay = propose(&contract(&document), document.as_bytes(), None);
    let reviewed = with(&document, &overlay.replace("reviewed: false, ", ""));
    let marks: Vec<String> = operation(&reviewed, "x")
        .marks()
        .iter()
        .filter_map(|marked| {
            Some(format!(
                "{} {}",
                marked.pointer,
                marked.mark.sensitive.as_ref()?
            ))
        })
        .collect();
    assert_eq!(
        marks,
        [
            "/path/id mail_id",
            "/body/customerId customer_id",
            "/body/iban iban",
            "/body/o'dd\\/email email",
            "/body/reply_to email",
            "/body/webhookUrl url",
        ]
    );
}

#[test]
fn the_worst_comes_first() {
    let document = of_paths(
        r#""/a":{"get":{"operationId":"readA"}},"/b":{"post":{"operationId":"sendB"}},"/c":{"delete":{"operationId":"c"}}"#,
    );
    let overlay = propose(&contract(&document), document.as_bytes(), None);
    let place = |id: &str| overlay.find(&format!("# {id}")).unwrap();
    assert!(
        place("sendB") < place("c") && place("c") < place("readA"),
        "{overlay}"
    );
    assert_eq!(crate::reader::kind("QUERY"), Effect::Read);
}
