//! The authorization server of an API, as a revision names it.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{AuthorizationServer, OperationId, Scope, Value};

use super::WHAT;
use crate::StoreError;
use crate::fields::Fields;

pub(super) fn to_value(server: &AuthorizationServer) -> Value {
    let AuthorizationServer {
        grant,
        token_endpoint,
        client_id,
        authentication,
        issuer,
        resource,
        audience,
        scopes,
        operations,
    } = server;
    let words = |scopes: &BTreeSet<Scope>| {
        Value::Array(
            scopes
                .iter()
                .map(|scope| Value::from(scope.as_str()))
                .collect(),
        )
    };
    let of = operations
        .iter()
        .map(|(id, scopes)| (id.as_str(), words(scopes)));
    let members = [
        ("grant", Value::from(grant.as_str())),
        ("token_endpoint", Value::from(token_endpoint.to_string())),
        ("client_id", Value::from(client_id.as_str())),
        ("authentication", Value::from(authentication.as_str())),
        ("scopes", words(scopes)),
        ("operations", Value::object(of)),
    ];
    let texts = [
        ("issuer", issuer),
        ("resource", resource),
        ("audience", audience),
    ];
    let said = |(name, text): (&'static str, &Option<String>)| {
        text.as_deref().map(|text| (name, Value::from(text)))
    };
    Value::object(
        members
            .into_iter()
            .chain(texts.into_iter().filter_map(said)),
    )
}

pub(super) fn from_value(value: &Value) -> Result<AuthorizationServer, StoreError> {
    let known = [
        "grant",
        "token_endpoint",
        "client_id",
        "authentication",
        "scopes",
        "operations",
        "issuer",
        "resource",
        "audience",
    ];
    let fields = Fields::of(WHAT, value, &known)?;
    let text = |name| -> Result<Option<String>, StoreError> {
        let there = fields.optional(name).is_some();
        there
            .then(|| fields.text(name).map(str::to_owned))
            .transpose()
    };
    let operations = fields.optional("operations").and_then(Value::as_object);
    let operations = operations.into_iter().flatten();
    let operations = operations.map(|(id, scopes)| {
        let id: Result<OperationId, _> = id.parse();
        let id = id.map_err(|fault| StoreError::damaged(WHAT, &fault.to_string()))?;
        Ok((id, words(Some(scopes))?))
    });
    let server = AuthorizationServer {
        grant: fields.parsed("grant")?,
        token_endpoint: fields.parsed("token_endpoint")?,
        client_id: fields.text("client_id")?.to_owned(),
        authentication: fields.parsed("authentication")?,
        issuer: text("issuer")?,
        resource: text("resource")?,
        audience: text("audience")?,
        scopes: words(fields.optional("scopes"))?,
        operations: operations.collect::<Result<BTreeMap<_, _>, StoreError>>()?,
    };
    let checked = server.checked();
    checked.map_err(|fault| StoreError::damaged(WHAT, &fault.to_string()))
}

fn words(value: Option<&Value>) -> Result<BTreeSet<Scope>, StoreError> {
    let damaged = || StoreError::damaged(WHAT, "scopes are a list of words");
    let words = value.and_then(Value::as_array).ok_or_else(damaged)?.iter();
    let word = |word: &Value| word.as_str().and_then(|word| word.parse().ok());
    words.map(|value| word(value).ok_or_else(damaged)).collect()
}
