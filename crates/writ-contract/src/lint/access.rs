//! Credentials: which there are, what each covers, how each travels.

use std::collections::BTreeMap;

use writ_types::{Pointer, Value};

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Node, Outline, items, members};

/// Most operations that one scope should cover.
const BROAD: usize = 50;

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    servers(outline, found);
    let schemes = outline.security_schemes();
    if schemes.is_empty() {
        if !outline.operations.is_empty() {
            let message = "neither `securitySchemes` nor `securityDefinitions`";
            found.of_document(Rule::SecurityUndeclared, Pointer::root(), message);
        }
        return;
    }
    for (name, scheme) in &schemes {
        let at = || scheme.pointer.clone();
        let kind = scheme.text("type").unwrap_or_default();
        if kind == "apiKey" && scheme.text("in") == Some("query") {
            let message = format!("scheme `{}`", shown(name));
            found.of_document(Rule::KeyInUrl, at(), message);
        }
        let basic = scheme
            .text("scheme")
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"));
        if kind == "basic" || (kind == "http" && basic) {
            let message = format!("scheme `{}`", shown(name));
            found.of_document(Rule::BasicAuthentication, at(), message);
        }
    }
    let mut scopes: BTreeMap<(&str, &str), Covered> = BTreeMap::new();
    for (place, operation) in outline.operations.iter().enumerate() {
        let security = operation.security(outline);
        let requirements: Vec<Node<'_>> = security.iter().flat_map(items).collect();
        let open = requirements.is_empty()
            || requirements
                .iter()
                .any(|one| one.value.as_object().is_none_or(BTreeMap::is_empty));
        if open {
            let message = format!("{} {}", operation.method, shown(operation.path));
            let pointer = operation.node.pointer.clone();
            found.of_operation(Rule::OperationWithoutSecurity, place, pointer, message);
        }
        for requirement in &requirements {
            for (scheme, list) in members(Some(requirement)) {
                for scope in list.value.as_array().unwrap_or_default() {
                    let scope = scope.as_str().unwrap_or_default();
                    let covered = scopes.entry((scheme, scope)).or_default();
                    covered.count = covered.count.saturating_add(1);
                    covered.reads |= operation.is_safe();
                    covered.deletes |= operation.method == "DELETE";
                }
            }
        }
    }
    for ((scheme, scope), covered) in scopes {
        let pointer = schemes
            .get(scheme)
            .map_or_else(Pointer::root, |scheme| scope_place(scheme, scope));
        if covered.reads && covered.deletes {
            let message = format!("`{}` covers GET and DELETE", shown(scope));
            found.of_document(Rule::ScopeMixesEffects, pointer.clone(), message);
        }
        if covered.count > BROAD {
            let message = format!("`{}` covers {} operations", shown(scope), covered.count);
            found.of_document(Rule::ScopeTooBroad, pointer, message);
        }
    }
}

#[derive(Debug, Default)]
struct Covered {
    count: usize,
    reads: bool,
    deletes: bool,
}

/// Where a scope is declared, else its scheme.
fn scope_place(scheme: &Node<'_>, scope: &str) -> Pointer {
    let declared = |node: Node<'_>| {
        node.member("scopes")?
            .member(scope)
            .map(|node| node.pointer)
    };
    let flows = scheme.member("flows");
    members(flows.as_ref())
        .find_map(|(_, flow)| declared(flow))
        .or_else(|| declared(scheme.clone()))
        .unwrap_or_else(|| scheme.pointer.clone())
}

fn servers(outline: &Outline<'_>, found: &mut Found) {
    let root = outline.root();
    if let Some(servers) = root.member("servers") {
        for server in items(&servers) {
            let url = server.text("url").unwrap_or_default();
            if url.starts_with("http://") && !is_local(url) {
                let message = format!("`{}`", shown(url));
                found.of_document(Rule::PlainHttpServer, server.pointer.clone(), message);
            }
        }
    }
    let host = root.text("host").unwrap_or_default();
    if let Some(schemes) = root.member("schemes") {
        let only = schemes.value.as_array().unwrap_or_default();
        let plain = |scheme: &Value| scheme.as_str() == Some("http");
        if only.iter().any(plain) && !host.is_empty() && !is_local(&format!("http://{host}")) {
            let message = format!("`http://{}`", shown(host));
            found.of_document(Rule::PlainHttpServer, schemes.pointer.clone(), message);
        }
    }
}

/// Whether a URL stays on the machine, or its host is the operator's to fill in.
fn is_local(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url);
    ["localhost", "127.", "[::1]", "{", "0.0.0.0"]
        .iter()
        .any(|begin| host.starts_with(begin))
}
