//! The methods that a path item can have.

use writ_types::Value;

use crate::diagnostic::Sink;

use super::identify::Nameless;

/// The methods with a member of their own, as the document and as HTTP write them.
const METHODS: [(&str, &str); 9] = [
    ("get", "GET"),
    ("put", "PUT"),
    ("post", "POST"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("head", "HEAD"),
    ("patch", "PATCH"),
    ("trace", "TRACE"),
    ("query", "QUERY"),
];

/// The other methods of the registry (IANA, HTTP Method Registry), which `additionalOperations` can have. Not `CONNECT`, which asks for a tunnel and names
/// no resource, and not those that are reserved.
const REGISTERED: [&str; 29] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// Where the operations stand whose methods have no member of their own (OpenAPI 3.2).
pub(crate) const ADDITIONAL: &str = "additionalOperations";
/// Members of OpenAPI 3.2.
const NEW: [&str; 2] = ["query", ADDITIONAL];

/// The members that a document's path items can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    /// Those of before OpenAPI 3.2.
    Old,
    New,
}

impl Members {
    pub(super) fn of(document: &Value) -> Self {
        let version = document
            .member("openapi")
            .and_then(|version| match version {
                Value::String(text) => Some(text.as_str()),
                // Unquoted in YAML.
                Value::Number(number) => Some(number.as_str()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            });
        match version {
            Some(text) if text == "3.2" || text.starts_with("3.2.") => Self::New,
            Some(_) | None => Self::Old,
        }
    }
}

/// Whether a path item's member is an operation.
pub(crate) fn is_method(name: &str) -> bool {
    METHODS.iter().any(|(known, _)| *known == name)
}

/// Finds the operations of a path item. What an older document has of OpenAPI 3.2 is told and left out.
pub(super) fn find<'d>(
    item: &Nameless<'d>,
    members: Members,
    found: &mut Vec<Nameless<'d>>,
    sink: &mut Sink,
) {
    let knows = members == Members::New;
    for (name, method) in METHODS {
        if let Some(value) = item
            .value
            .member(name)
            .filter(|_| knows || !NEW.contains(&name))
        {
            found.push(Nameless {
                method,
                value,
                pointer: item.pointer.child(name),
                ..item.clone()
            });
        }
    }
    for name in NEW
        .into_iter()
        .filter(|name| !knows && item.value.member(name).is_some())
    {
        let message = format!(
            "`{name}` is of OpenAPI 3.2, and the document is of another version: it is not loaded"
        );
        sink.warning(&item.pointer.child(name), Some(item.path), message);
    }
    let Some(additional) = item.value.member(ADDITIONAL).filter(|_| knows) else {
        return;
    };
    let place = item.pointer.child(ADDITIONAL);
    let Value::Object(additional) = additional else {
        let message = "`additionalOperations` is no object";
        sink.error(&place, Some(item.path), message);
        return;
    };
    for (name, value) in additional
        .iter()
        .filter(|(name, _)| !name.starts_with("x-"))
    {
        let known = REGISTERED.into_iter().find(|known| known == name);
        let Some(method) = known else {
            let own = METHODS.iter().any(|(_, own)| own == name);
            let message = if own {
                "the method has a member of its own in the path item"
            } else {
                "no method of the HTTP Method Registry, as it is written there"
            };
            sink.error(&place.child(name), Some(item.path), message);
            continue;
        };
        found.push(Nameless {
            method,
            value,
            pointer: place.child(name),
            ..item.clone()
        });
    }
}

#[cfg(test)]
mod tests;
