//! Security: the first class of alarm. No change of it is proven harmless for the authorizer.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Pointer, Value};

use super::verdict::{Authority, Caller, Topic};
use super::{Change, Found, Pair, shown};
use crate::outline::{Node, Outline, items, members};

/// The alternatives of a requirement: scheme and scopes of each.
type Alternatives = BTreeMap<BTreeSet<String>, BTreeSet<(String, String)>>;

pub(super) fn compare(
    old: &Outline<'_>,
    new: &Outline<'_>,
    pairs: &[Pair<'_, '_, '_>],
    found: &mut Found,
) {
    let own = |node: &Node<'_>| node.member("security").is_some();
    let mut inheriting = Vec::new();
    for pair in pairs {
        if own(&pair.old.node) || own(&pair.new.node) {
            let before = alternatives(pair.old.security(old).as_ref());
            let after = alternatives(pair.new.security(new).as_ref());
            let at = (&pair.old.node.pointer, &pair.new.node.pointer);
            requirement("api-security", &before, &after, at, &[pair.place], found);
        } else {
            inheriting.push(pair.place);
        }
    }
    let global = |outline: &Outline<'_>| alternatives(outline.root().member("security").as_ref());
    let root = Pointer::root().child("security");
    let at = (&root, &root);
    requirement(
        "api-global-security",
        &global(old),
        &global(new),
        at,
        &inheriting,
        found,
    );
    components(old, new, pairs, found);
}

fn alternatives(security: Option<&Node<'_>>) -> Alternatives {
    let mut all = Alternatives::new();
    for requirement in security.into_iter().flat_map(items) {
        let mut schemes = BTreeSet::new();
        let mut scopes = BTreeSet::new();
        for (scheme, list) in members(Some(&requirement)) {
            schemes.insert(scheme.to_owned());
            let list = list.value.as_array().unwrap_or_default();
            for scope in list.iter().filter_map(Value::as_str) {
                scopes.insert((scheme.to_owned(), scope.to_owned()));
            }
        }
        all.entry(schemes).or_default().extend(scopes);
    }
    all
}

fn requirement(
    begin: &str,
    before: &Alternatives,
    after: &Alternatives,
    (old, new): (&Pointer, &Pointer),
    places: &[usize],
    found: &mut Found,
) {
    let mut report = |word: &str, caller, what: &str| {
        let number = found.push(Change {
            rule: format!("{begin}-{word}"),
            topic: Topic::Security,
            caller,
            authority: Authority::Widens,
            old: Some(old.clone()),
            new: Some(new.clone()),
            what: shown(what),
            operations: BTreeSet::new(),
        });
        for place in places {
            found.reach(number, *place);
        }
    };
    let name = |schemes: &BTreeSet<String>| {
        let names: Vec<&str> = schemes.iter().map(String::as_str).collect();
        if names.is_empty() {
            "no security".to_owned()
        } else {
            names.join(" and ")
        }
    };
    for (schemes, scopes) in after {
        match before.get(schemes) {
            None => {
                let caller = if before.is_empty() {
                    Caller::Breaking
                } else {
                    Caller::Compatible
                };
                report("added", caller, &name(schemes));
            }
            Some(known) => {
                for (scheme, scope) in scopes.difference(known) {
                    let what = format!("{scheme}: {scope}");
                    report("scope-added", Caller::Breaking, &what);
                }
                for (scheme, scope) in known.difference(scopes) {
                    let what = format!("{scheme}: {scope}");
                    report("scope-removed", Caller::Compatible, &what);
                }
            }
        }
    }
    for schemes in before
        .keys()
        .filter(|schemes| !after.contains_key(*schemes))
    {
        let caller = if after.is_empty() {
            Caller::Compatible
        } else {
            Caller::Breaking
        };
        report("removed", caller, &name(schemes));
    }
}

/// The schemes themselves; a change of one reaches the operations that name it.
fn components(old: &Outline<'_>, new: &Outline<'_>, pairs: &[Pair<'_, '_, '_>], found: &mut Found) {
    let (before, after) = (old.security_schemes(), new.security_schemes());
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for name in names {
        let changes = match (before.get(name), after.get(name)) {
            (None, _) => vec![("added", name.to_owned())],
            (_, None) => vec![("removed", name.to_owned())],
            (Some(before), Some(after)) => scheme(name, before, after),
        };
        let users = || {
            pairs.iter().filter(|pair| {
                let names = |node: Option<Node<'_>>| {
                    let all = alternatives(node.as_ref());
                    all.keys().any(|schemes| schemes.contains(name))
                };
                names(pair.old.security(old)) || names(pair.new.security(new))
            })
        };
        for (word, what) in changes {
            let number = found.push(Change {
                rule: format!("api-security-component-{word}"),
                topic: Topic::Security,
                caller: Caller::Unclear,
                authority: Authority::Widens,
                old: before.get(name).map(|node| node.pointer.clone()),
                new: after.get(name).map(|node| node.pointer.clone()),
                what: shown(&what),
                operations: BTreeSet::new(),
            });
            for user in users() {
                found.reach(number, user.place);
            }
        }
    }
}

/// What changed in one scheme.
fn scheme(name: &str, old: &Node<'_>, new: &Node<'_>) -> Vec<(&'static str, String)> {
    let mut changes = Vec::new();
    if old.text("type") != new.text("type") {
        let text = |node: &Node<'_>| node.text("type").unwrap_or("none").to_owned();
        changes.push((
            "type-changed",
            format!("{name}: {} -> {}", text(old), text(new)),
        ));
    }
    let (before, after) = (flows(old), flows(new));
    let kinds: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for kind in kinds {
        let (Some(before), Some(after)) = (before.get(kind), after.get(kind)) else {
            changes.push(("flow-changed", format!("{name}: {kind}")));
            continue;
        };
        for (key, word) in [
            ("authorizationUrl", "oauth-url-changed"),
            ("tokenUrl", "oauth-token-url-changed"),
            ("refreshUrl", "oauth-refresh-url-changed"),
        ] {
            if before.text(key) != after.text(key) {
                let text = |node: &Node<'_>| node.text(key).unwrap_or("none").to_owned();
                changes.push((word, format!("{name}: {} -> {}", text(before), text(after))));
            }
        }
        let scopes = |node: &Node<'_>| -> BTreeMap<String, Value> {
            let scopes = node.value.member("scopes").and_then(Value::as_object);
            scopes.cloned().unwrap_or_default()
        };
        let (before, after) = (scopes(before), scopes(after));
        for (scope, text) in &after {
            match before.get(scope) {
                None => changes.push(("oauth-scope-added", format!("{name}: {scope}"))),
                Some(known) if known != text => {
                    changes.push(("oauth-scope-changed", format!("{name}: {scope}")));
                }
                Some(_) => {}
            }
        }
        for scope in before.keys().filter(|scope| !after.contains_key(*scope)) {
            changes.push(("oauth-scope-removed", format!("{name}: {scope}")));
        }
    }
    let rest = ["in", "name", "scheme", "bearerFormat", "openIdConnectUrl"];
    for key in rest {
        if old.text(key) != new.text(key) {
            changes.push(("changed", format!("{name}: {key}")));
        }
    }
    changes
}

/// The flows of an OAuth scheme by kind; Swagger 2.0 has one, in the scheme itself.
fn flows<'d>(scheme: &Node<'d>) -> BTreeMap<String, Node<'d>> {
    if let Some(kind) = scheme.text("flow") {
        let kind = match kind {
            "accessCode" => "authorizationCode",
            "application" => "clientCredentials",
            other => other,
        };
        return BTreeMap::from([(kind.to_owned(), scheme.clone())]);
    }
    let flows = scheme.member("flows");
    members(flows.as_ref())
        .map(|(kind, flow)| (kind.to_owned(), flow))
        .collect()
}
