//! A first overlay for an API that nobody has reviewed: a proposal for each operation, and the places that may matter.
//!
//! It is guessed from methods, verbs, names and formats, and every operation in it is marked `reviewed: false`: what asks for
//! more care holds at once, and nothing is allowed until a person has taken the mark away. The operations that can do most harm come
//! first, because that is the order in which they are worth a look.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use writ_types::{Effect, Effects, Value};

use crate::contract::Contract;
use crate::document;
use crate::operation::Operation;
use crate::overlay::{self, quoted};
use crate::shipped::Shipped;

/// Deepest place of a schema that is looked at.
const DEEPEST: usize = 8;

/// The text of an overlay for the document that `contract` was compiled from. With `shipped`, its reviews come first and
/// only the other operations are proposed.
#[must_use]
pub fn propose(contract: &Contract, bytes: &[u8], shipped: Option<&Shipped>) -> String {
    let Ok(mut document) = document::read(bytes) else {
        return String::new();
    };
    document::inline(&mut document);
    let title: String = contract
        .title()
        .chars()
        .filter(|char| !char.is_control())
        .take(80)
        .collect();
    let mut text = format!(
        "# What {title} does, for you to review. An operation counts as irreversible and external, and all its texts as sensitive,\n# until its `reviewed: false` is gone. Those that can do most harm come first.\noverlay: 1.0.0\ninfo:\n  title: {}\n  version: \"1\"\nactions:\n",
        quoted(&format!("Review of {title}"))
    );
    let mut reviewed = BTreeSet::new();
    if let Some(shipped) = shipped {
        let (actions, operations) = shipped.fitted(&mut document);
        text.push_str("  # Reviewed by the makers of Writ; what does not occur in this document was left out.\n");
        text.push_str(&actions);
        reviewed = operations;
    }
    let mut open: Vec<(&Operation, Effects)> = contract
        .operations()
        .filter(|operation| {
            !reviewed.contains(&(
                operation.template().to_owned(),
                operation.method().to_ascii_lowercase(),
            ))
        })
        .map(|operation| (operation, effects(operation)))
        .collect();
    open.sort_by_key(|(_, effects)| std::cmp::Reverse(harm(*effects)));
    for (operation, effects) in open {
        let labels = labels(operation);
        let summary: String = operation
            .summary()
            .unwrap_or_default()
            .chars()
            .filter(|char| !char.is_control())
            .take(100)
            .collect();
        // Writing to a `String` cannot fail.
        write!(
            text,
            "\n  # {} {summary}\n  - target: {}\n    update: {{x-writ: {{reviewed: false, effect: {}",
            operation.id(),
            path_of(operation),
            words(effects)
        )
        .unwrap_or_default();
        if !labels.is_empty() {
            write!(text, ", labels: [{}]", labels.join(", ")).unwrap_or_default();
        }
        text.push_str("}}\n");
    }
    text.push_str(&values(&document));
    // An overlay has an action.
    if !text.contains("- target:") {
        text.push_str("  - target: $\n    update: {}\n");
    }
    text
}

/// The values that may name somebody, as actions.
fn values(document: &Value) -> String {
    let mut text = String::new();
    let mut places = Vec::new();
    sensitive(document, &mut places);
    if !places.is_empty() {
        text.push_str(
            "\n  # Values that name somebody or something, by their names and formats.\n",
        );
    }
    for (target, kind) in places {
        write!(
            text,
            "  - target: {target}\n    update: {{x-writ: {{sensitive: {kind}}}}}\n"
        )
        .unwrap_or_default();
    }
    text
}

/// The `JSONPath` of an operation, as a YAML scalar.
fn path_of(operation: &Operation) -> String {
    let method = operation.method().to_ascii_lowercase();
    let name = name_of(operation.template());
    quoted(&format!(
        "$.paths[{name}]{}",
        member(&method, operation.method())
    ))
}

/// A method's member: `additionalOperations` holds those that have no name of their own.
fn member(method: &str, upper: &str) -> String {
    if crate::reader::is_method(method) {
        format!(".{method}")
    } else {
        format!(".additionalOperations[{}]", name_of(upper))
    }
}

/// A name selector.
fn name_of(name: &str) -> String {
    let mut text = String::from("'");
    for char in name.chars() {
        match char {
            '\'' | '\\' => {
                text.push('\\');
                text.push(char);
            }
            control if control.is_control() => {
                write!(text, "\\u{:04x}", u32::from(control)).unwrap_or_default();
            }
            other => text.push(other),
        }
    }
    text.push('\'');
    text
}

fn words(effects: Effects) -> String {
    let kind = effects.kind.as_str();
    let more: String = [
        (effects.irreversible, ", irreversible"),
        (effects.external_send, ", external_send"),
    ]
    .into_iter()
    .filter_map(|(said, word)| said.then_some(word))
    .collect();
    if more.is_empty() {
        kind.to_owned()
    } else {
        format!("[{kind}{more}]")
    }
}

/// How much harm an operation can do; the larger, the more.
pub(crate) fn harm(effects: Effects) -> u8 {
    let kind = match effects.kind {
        Effect::Read => 0,
        Effect::Write => 1,
        Effect::Delete => 2,
    };
    kind | u8::from(effects.irreversible) << 2 | u8::from(effects.external_send) << 3
}

/// Verbs that look at something, whatever the method.
const LOOKING: [&str; 10] = [
    "search", "query", "list", "find", "lookup", "check", "validate", "preview", "count",
    "estimate",
];
/// Verbs that take away.
const TAKING: [&str; 12] = [
    "delete",
    "remove",
    "destroy",
    "purge",
    "revoke",
    "drop",
    "erase",
    "cancel",
    "void",
    "terminate",
    "uninstall",
    "wipe",
];
/// Verbs that reach somebody outside.
const SENDING: [&str; 16] = [
    "send",
    "email",
    "mail",
    "message",
    "post_message",
    "invite",
    "notify",
    "publish",
    "share",
    "sms",
    "call",
    "webhook",
    "transfer",
    "payout",
    "forward",
    "broadcast",
];
/// Verbs that cannot be taken back.
const FINAL: [&str; 14] = [
    "pay", "charge", "refund", "capture", "transfer", "payout", "finalize", "merge", "publish",
    "send", "sign", "approve", "submit", "rotate",
];
/// Verbs that a GET should not have.
const ACTING: [&str; 8] = [
    "create", "send", "delete", "trigger", "run", "execute", "reset", "start",
];

/// What an operation seems to do, by its method and its words.
fn effects(operation: &Operation) -> Effects {
    let words = words_of(operation);
    let says = |list: &[&str]| list.iter().any(|word| words.contains(*word));
    let proposed = crate::reader::kind(operation.method());
    let kind = match proposed {
        Effect::Write if says(&TAKING) => Effect::Delete,
        Effect::Write if operation.method() == "POST" && says(&LOOKING) && !says(&ACTING) => {
            Effect::Read
        }
        Effect::Read if says(&ACTING) || says(&TAKING) => Effect::Write,
        Effect::Read | Effect::Write | Effect::Delete => proposed,
    };
    let writes = kind != Effect::Read;
    Effects {
        kind,
        irreversible: kind == Effect::Delete || writes && says(&FINAL),
        external_send: writes && says(&SENDING),
    }
}

/// The words of its id and of the literal end of its path, lower case.
fn words_of(operation: &Operation) -> BTreeSet<String> {
    let last = operation
        .template()
        .rsplit('/')
        .find(|part| !part.contains('{'))
        .unwrap_or_default();
    let mut words = BTreeSet::new();
    for text in [operation.id().as_str(), last] {
        // A generated id is the path again, with words of other resources.
        if text.contains(":/") {
            continue;
        }
        words.extend(split(text));
    }
    words
}

/// `createUser_byID` as `create`, `user`, `by`, `id`.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut upper_before = false;
    for char in text.chars() {
        if !char.is_ascii_alphanumeric() {
            words.push(String::new());
            upper_before = false;
            continue;
        }
        if char.is_ascii_uppercase() && !upper_before {
            words.push(String::new());
        }
        upper_before = char.is_ascii_uppercase();
        if let Some(word) = words.last_mut() {
            word.push(char.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Labels by the names of what an answer holds.
fn labels(operation: &Operation) -> Vec<&'static str> {
    let names = crate::marks::names_of_answers(operation);
    let holds = |list: &[&str]| {
        list.iter()
            .any(|wanted| names.iter().any(|name| name == wanted))
    };
    let mut labels = Vec::new();
    if holds(&[
        "password",
        "secret",
        "token",
        "access_token",
        "refresh_token",
        "private_key",
        "privatekey",
        "api_key",
        "apikey",
        "client_secret",
    ]) {
        labels.push("secret");
    }
    if holds(&[
        "email",
        "phone",
        "phone_number",
        "iban",
        "birthday",
        "date_of_birth",
        "first_name",
        "last_name",
        "address",
        "ssn",
    ]) {
        labels.push("pii");
    }
    if holds(&[
        "body",
        "comment",
        "comments",
        "message",
        "content",
        "text",
        "title",
        "description",
        "subject",
        "note",
        "notes",
        "html",
        "name",
    ]) {
        labels.push("untrusted");
    }
    labels
}

/// The kind of a value by its name and format; none if it names nothing.
fn kind(name: &str, schema: &Value, above: &str) -> Option<String> {
    let lower = split(name).join("_");
    let format = schema.member("format").and_then(Value::as_str);
    if let Some(known) = known(&lower, format.unwrap_or_default()) {
        return Some(known.to_owned());
    }
    let id = lower == "id" || lower.ends_with("_id") || lower.ends_with("_ids");
    if !is(&lower, &NAMING) && !id {
        return None;
    }
    let word = if lower == "id" {
        let above = split(above).join("_");
        format!("{}_id", above.strip_suffix('s').unwrap_or(&above))
    } else {
        lower
    };
    let plain = |char: &char| char.is_ascii_lowercase() || char.is_ascii_digit() || *char == '_';
    let word: String = word.chars().filter(plain).take(32).collect();
    let good = word.parse::<writ_types::Kind>().is_ok() && word != crate::field::UNREVIEWED;
    good.then_some(word)
}

/// Names of values that name somebody or something.
const NAMING: [&str; 19] = [
    "to",
    "cc",
    "bcc",
    "recipient",
    "recipients",
    "account",
    "account_number",
    "destination",
    "payee",
    "channel",
    "owner",
    "repo",
    "user",
    "username",
    "assignee",
    "bucket",
    "namespace",
    "login",
    "team",
];

/// A kind with a form of its own.
fn known(name: &str, format: &str) -> Option<&'static str> {
    match format {
        "email" | "idn-email" => Some("email"),
        "uri" | "url" | "uri-reference" | "iri" => Some("url"),
        "hostname" | "idn-hostname" => Some("domain"),
        _ if is(name, &["email", "emails", "mail", "e_mail"]) => Some("email"),
        _ if is(name, &["iban"]) => Some("iban"),
        _ if is(name, &["phone", "phone_number", "mobile", "msisdn"]) => Some("phone"),
        _ if is(name, &["url", "uri", "webhook", "callback", "endpoint"]) => Some("url"),
        _ if is(name, &["domain", "hostname", "fqdn"]) => Some("domain"),
        _ if is(name, &["card_number", "pan"]) => Some("card"),
        _ => None,
    }
}

/// Whether a name is one of the words, or ends with one.
fn is(name: &str, words: &[&str]) -> bool {
    let ends = |word: &str| name == word || name.ends_with(&format!("_{word}"));
    words.iter().any(|word| ends(word))
}

fn is_text(schema: &Value) -> bool {
    match schema.member("type") {
        None => schema.member("properties").is_none() && schema.member("items").is_none(),
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some("string")),
        Some(one) => matches!(one.as_str(), Some("string" | "integer")),
    }
}

/// Places of parameters and request bodies whose values seem to name something, as targets.
fn sensitive(document: &Value, found: &mut Vec<(String, String)>) {
    let object = |value: Option<&Value>| {
        value
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    for (path, item) in object(document.member("paths")) {
        let above = path
            .rsplit('/')
            .find(|part| !part.contains('{') && !part.is_empty())
            .unwrap_or_default()
            .to_owned();
        let place = format!("$.paths[{}]", name_of(&path));
        parameters(item.member("parameters"), &place, &above, found);
        for (method, operation) in object(Some(&item))
            .iter()
            .filter(|(name, _)| crate::reader::is_method(name))
        {
            let place = format!("{place}.{method}");
            parameters(operation.member("parameters"), &place, &above, found);
            let content = operation
                .member("requestBody")
                .and_then(|body| body.member("content"));
            for (media, value) in object(content) {
                if let Some(schema) = value.member("schema") {
                    let place = format!("{place}.requestBody.content[{}].schema", name_of(&media));
                    properties(schema, &place, 0, found);
                }
            }
        }
    }
    let components = document.member("components");
    for (name, parameter) in
        object(components.and_then(|components| components.member("parameters")))
    {
        one(
            &parameter,
            &format!("$.components.parameters[{}]", name_of(&name)),
            "",
            found,
        );
    }
    for (name, parameter) in object(document.member("parameters")) {
        one(
            &parameter,
            &format!("$.parameters[{}]", name_of(&name)),
            "",
            found,
        );
    }
}

fn parameters(list: Option<&Value>, place: &str, above: &str, found: &mut Vec<(String, String)>) {
    for parameter in list.and_then(Value::as_array).unwrap_or_default() {
        let (Some(name), Some(location)) = (
            parameter.member("name").and_then(Value::as_str),
            parameter.member("in").and_then(Value::as_str),
        ) else {
            continue;
        };
        let target = format!(
            "{place}.parameters[?@.name=={} && @.in=={}]",
            name_of(name),
            name_of(location)
        );
        one(parameter, &target, above, found);
    }
}

fn one(parameter: &Value, target: &str, above: &str, found: &mut Vec<(String, String)>) {
    let location = parameter.member("in").and_then(Value::as_str);
    let name = parameter.member("name").and_then(Value::as_str);
    let (Some(name), Some("path" | "query" | "header" | "formData")) = (name, location) else {
        return;
    };
    let schema = parameter.member("schema").unwrap_or(parameter);
    let anything = location == Some("path") && is_text(schema);
    let kind = kind(name, schema, above).or_else(|| {
        // A path names what the call is about.
        let word = split(name).join("_");
        (anything && word.parse::<writ_types::Kind>().is_ok()).then_some(word)
    });
    let marked = parameter.member(overlay::vocabulary::KEY).is_some();
    if let Some(kind) = kind.filter(|_| is_text(schema) && !marked) {
        found.push((quoted(target), kind));
    }
}

fn properties(schema: &Value, place: &str, depth: usize, found: &mut Vec<(String, String)>) {
    if depth > DEEPEST || schema.member("$ref").is_some() {
        return;
    }
    let deeper = depth.saturating_add(1);
    for (name, property) in schema
        .member("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let place = format!("{place}.properties[{}]", name_of(name));
        let kind = kind(name, property, "")
            .filter(|_| is_text(property) && property.member("$ref").is_none());
        let marked = property.member(overlay::vocabulary::KEY).is_some();
        if let Some(kind) = kind.filter(|_| !marked) {
            found.push((quoted(&place), kind));
        }
        properties(property, &place, deeper, found);
    }
    if let Some(items) = schema.member("items") {
        properties(items, &format!("{place}.items"), deeper, found);
    }
}

#[cfg(test)]
mod tests;
