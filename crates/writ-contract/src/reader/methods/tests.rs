use writ_types::Effect;

use super::*;
use crate::fixture::{LIBRARY, call, compile, contract, faults, operation};
use crate::router::RouteError;

#[test]
fn what_is_new_in_3_2_is_loaded() {
    let library = contract(LIBRARY);
    let mut loaded: Vec<_> = library
        .operations()
        .map(|operation| {
            let id = operation.id();
            format!("{} {} {id}", operation.method(), operation.template())
        })
        .collect();
    loaded.sort_unstable();
    assert_eq!(
        loaded,
        [
            "COPY /books/{book} copyBook",
            "GET /books/{book} readBook",
            "LOCK /books/{book} LOCK:/books/{book}",
            "POST /books addBook",
            "QUERY /books findBooks",
        ]
    );
    let kind = |id| operation(&library, id).effects().kind;
    assert_eq!(kind("findBooks"), Effect::Read, "a query changes nothing");
    assert_eq!(kind("copyBook"), Effect::Write);
    let (_, told) = compile(LIBRARY);
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    for (name, why) in [
        ("POST", "the method has a member of its own"),
        ("copy", "no method of the HTTP Method Registry"),
        ("STEAL", "no method of the HTTP Method Registry"),
    ] {
        let place = format!("/paths/~1books~1{{book}}/additionalOperations/{name}: ");
        let is = |one: &&String| one.contains(&place) && one.contains(why);
        assert!(told.iter().any(|one| is(&one)), "{name}: {told:#?}");
    }
}

#[test]
fn such_a_call_is_routed_and_checked() {
    let library = contract(LIBRARY);
    let json = |body: &'static str| Some(("application/json", body.as_bytes()));
    let to: (&str, &[u8]) = ("destination", b"/books/2");
    #[rustfmt::skip]
    let rows = [
        ("QUERY", "/books", None, json(r#"{"title":"Emma"}"#), vec![]),
        ("QUERY", "/books", None, json(r#"{"title":"A title of too many letters"}"#), vec!["/body/title: outside the declared length"]),
        ("QUERY", "/books", None, json(r#"{"title":"Emma","author":"Austen"}"#), vec!["/body: holds something the contract does not declare"]),
        ("QUERY", "/books", None, None, vec!["/body: a body is required"]),
        ("COPY", "/books/1", Some(to), None, vec![]),
        ("COPY", "/books/1", None, None, vec!["/header/destination: required and missing"]),
        ("COPY", "/books/one", Some(to), None, vec!["/path/book: not of the declared type"]),
        ("LOCK", "/books/1", None, None, vec![]),
    ];
    for (method, path, header, body, wanted) in rows {
        let headers: Vec<_> = header.into_iter().collect();
        let parsed = call(&library, method, path, &headers, body);
        assert_eq!(faults(&parsed), wanted, "{method} {path} {body:?}");
    }
    for (method, path, allow) in [
        ("QUERY", "/books/1", vec!["COPY", "GET", "LOCK"]),
        ("query", "/books", vec!["POST", "QUERY"]),
        ("STEAL", "/books/1", vec!["COPY", "GET", "LOCK"]),
        ("POST", "/books/1", vec!["COPY", "GET", "LOCK"]),
    ] {
        let refused = library.resolve(method, path).err();
        assert_eq!(
            refused,
            Some(RouteError::MethodNotAllowed { allow }),
            "{method} {path}"
        );
    }
}

#[test]
fn an_older_document_has_none_of_it() {
    let older = LIBRARY.replace("3.2.0", "3.1.0");
    let (older, told) = compile(&older);
    let ids: Vec<_> = older
        .unwrap()
        .operations()
        .map(|one| one.id().to_string())
        .collect();
    assert_eq!(ids, ["addBook", "readBook"]);
    let said = |name: &str| {
        told.iter()
            .filter(|one| one.to_string().contains(name))
            .count()
    };
    assert_eq!((said("`query`"), said("`additionalOperations`")), (1, 1));
}

#[test]
fn the_registry_is_in_order_and_no_method_is_twice() {
    assert!(REGISTERED.is_sorted());
    for (_, method) in METHODS {
        assert!(!REGISTERED.contains(&method), "{method}");
    }
}
