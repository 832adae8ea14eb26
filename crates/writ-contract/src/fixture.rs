//! Contracts for tests.

use writ_types::{ApiId, Limits};

use crate::{Contract, Diagnostic, Operation, Parsed, RawCall, Reviews};

pub(crate) const HELPDESK: &str = include_str!("../testdata/helpdesk-3.0.yaml");
pub(crate) const SHOP: &str = include_str!("../testdata/shop-3.1.json");
pub(crate) const PETS: &str = include_str!("../testdata/pets-2.0.json");
pub(crate) const LIBRARY: &str = include_str!("../testdata/library-3.2.yaml");

pub(crate) fn api() -> ApiId {
    "t".parse().unwrap()
}

pub(crate) fn compile(document: &str) -> (Option<Contract>, Vec<Diagnostic>) {
    Contract::compile(&api(), document.as_bytes(), &Reviews::default())
}

/// A contract that must compile.
pub(crate) fn contract(document: &str) -> Contract {
    let (contract, diagnostics) = compile(document);
    contract.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

/// A 3.0 document of the given path items (JSON without the outer braces).
pub(crate) fn of_paths(paths: &str) -> String {
    format!(r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},"paths":{{{paths}}}}}"#)
}

/// A contract of one `POST /x` with a JSON body of the schema.
pub(crate) fn of_body(version: &str, schema: &str) -> Contract {
    contract(&format!(
        r#"{{"openapi":"{version}","paths":{{"/x":{{"post":{{"operationId":"x","requestBody":{{"required":true,
        "content":{{"application/json":{{"schema":{schema}}}}}}}}}}}}}}}"#
    ))
}

pub(crate) fn operation<'c>(contract: &'c Contract, id: &str) -> &'c Operation {
    let id = id.parse().unwrap();
    contract.operation(&id).unwrap_or_else(|| panic!("no {id}"))
}

/// Resolves and reads a call; the path may have a query.
pub(crate) fn call(
    contract: &Contract,
    method: &str,
    target: &str,
    headers: &[(&str, &[u8])],
    body: Option<(&str, &[u8])>,
) -> Parsed {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let route = contract
        .resolve_call(method, path, query, headers)
        .unwrap_or_else(|error| panic!("{method} {target}: {error}"));
    let limits = Limits::default();
    route.operation().parse(
        &route,
        &RawCall {
            query,
            headers,
            content_type: body.map(|(content_type, _)| content_type),
            body: body.map_or(&[], |(_, bytes)| bytes),
            limits: &limits,
        },
    )
}

/// The faults as texts.
pub(crate) fn faults(parsed: &Parsed) -> Vec<String> {
    let faults = parsed.faults.iter();
    faults
        .map(|fault| format!("{}: {}", fault.pointer, fault.kind))
        .collect()
}
