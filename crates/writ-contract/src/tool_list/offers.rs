//! Prompts, resources and completion of an MCP server as operations.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Pointer, Value};

use super::{Pins, is_name, operation, others, reply, words};
use crate::diagnostic::Sink;
use crate::pinned::{COMPLETION, PROMPTS, Pinned, PinnedResources, RESOURCES, Template};

/// Longest URI of a resource, in characters.
const LONGEST_URI: usize = 2_048;
/// Most resources and templates of one server.
const MOST_RESOURCES: usize = 10_000;

/// Adds what the document has beside tools.
pub(super) fn add(
    document: &Value,
    paths: &mut BTreeMap<String, Value>,
    pinned: &mut Pins,
    sink: &mut Sink,
) {
    let mut put = |id: String, kind: Pinned, item: Value| {
        paths.insert(format!("/{id}"), item);
        pinned.insert(id, kind);
    };
    let prompts = prompts(document, sink);
    for (name, prompt) in &prompts {
        let id = format!("{PROMPTS}{name}");
        let text = prompt.member("description").and_then(Value::as_str);
        let answer = answer("messages", "array");
        let item = operation(&id, text, arguments(prompt), answer);
        put(id, Pinned::Prompt(prompt.clone()), item);
    }
    let capabilities = document.member("capabilities");
    let mut resources = resources(document, sink);
    let updates = capabilities.and_then(|known| known.member("resources")?.member("subscribe"));
    resources.subscribe = updates.and_then(Value::as_bool) == Some(true);
    if !(resources.resources.is_empty() && resources.expressions.is_empty()) {
        let answer = answer("contents", "array");
        let item = operation(RESOURCES, None, reading(&resources), answer);
        let kind = Pinned::Resources(resources.clone());
        put(RESOURCES.to_owned(), kind, item);
    }
    if capabilities.is_some_and(|known| known.member("completions").is_some()) {
        let answer = answer("completion", "object");
        let given = completing(&prompts, &resources);
        let item = operation(COMPLETION, None, given, answer);
        put(COMPLETION.to_owned(), Pinned::Completion, item);
    }
}

/// What is answered: an object with one member that must be there, or the server's refusal.
fn answer(name: &'static str, kind: &'static str) -> Value {
    let said = Value::object([
        ("type", Value::from("object")),
        ("properties", Value::object([(name, of_type(kind))])),
        ("required", Value::Array(vec![Value::from(name)])),
    ]);
    let mut replies = BTreeMap::from([("200".to_owned(), reply(said))]);
    replies.extend(others());
    Value::Object(replies)
}

/// The prompts by name, as the list shows them.
fn prompts(document: &Value, sink: &mut Sink) -> BTreeMap<String, Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    let mut twice = Vec::new();
    for (pointer, prompt) in items(document, "prompts") {
        let name = text(prompt, "name");
        match (name.filter(|name| is_name(name)), declared(prompt)) {
            (None, _) => sink.error(
                &pointer,
                None,
                "a prompt's name is not 1 to 128 of `A-Z a-z 0-9 _ - .`",
            ),
            (Some(name), None) => {
                sink.error(&pointer, Some(name), "a prompt's arguments have no names");
            }
            (Some(name), Some(declared)) => {
                let shown = shown(prompt, &["name", "title", "description"], Some(declared));
                if found.insert(name.to_owned(), shown).is_some() {
                    sink.error(&pointer, Some(name), "two prompts have this name");
                    twice.push(name.to_owned());
                }
            }
        }
    }
    for name in twice {
        found.remove(&name);
    }
    found
}

/// The arguments of a prompt as the list shows them; none if one has no name.
fn declared(prompt: &Value) -> Option<Vec<Value>> {
    let Some(list) = prompt.member("arguments") else {
        return Some(Vec::new());
    };
    let one = |argument: &Value| {
        text(argument, "name")?;
        let mut shown = shown(argument, &["name", "title", "description"], None);
        let required = argument.member("required").and_then(Value::as_bool);
        if let (Value::Object(members), Some(required)) = (&mut shown, required) {
            members.insert("required".to_owned(), Value::from(required));
        }
        Some(shown)
    };
    list.as_array()?.iter().map(one).collect()
}

/// The resources and templates.
fn resources(document: &Value, sink: &mut Sink) -> PinnedResources {
    let mut found = PinnedResources::default();
    let mut known = BTreeSet::new();
    let kept = ["name", "title", "description", "mimeType"];
    let room = |found: &PinnedResources| {
        found.resources.len().saturating_add(found.templates.len()) < MOST_RESOURCES
    };
    for (pointer, resource) in items(document, "resources") {
        let uri = text(resource, "uri").filter(|uri| is_uri(uri));
        let again = |uri: &&str| known.insert((*uri).to_owned());
        match uri.filter(|_| room(&found)).filter(again) {
            Some(uri) => {
                let mut shown = shown(resource, &kept, None);
                set(&mut shown, "uri", uri);
                found.resources.push(shown);
            }
            None => sink.error(
                &pointer,
                None,
                "a resource has no URI of at most 2,048 printable characters, or has that of another, or there are more than 10,000",
            ),
        }
    }
    for (pointer, template) in items(document, "resourceTemplates") {
        let text = text(template, "uriTemplate").filter(|text| is_uri(text));
        let read = text.and_then(|text| Some((text, Template::parse(text)?)));
        match read.filter(|_| room(&found)) {
            Some((text, expression)) => {
                let mut shown = shown(template, &kept, None);
                set(&mut shown, "uriTemplate", text);
                found.templates.push(shown);
                found.expressions.push(expression);
            }
            None => sink.error(
                &pointer,
                None,
                "a template is not one of simple expressions (RFC 6570, level 1), so what it means cannot be told from a URI",
            ),
        }
    }
    found
}

fn is_uri(text: &str) -> bool {
    let length = 1..=LONGEST_URI;
    let plain = |char: char| !char.is_control() && !char.is_whitespace();
    length.contains(&text.chars().count()) && text.chars().all(plain)
}

/// The members of an entry that are shown, without control characters.
fn shown(entry: &Value, names: &[&str], arguments: Option<Vec<Value>>) -> Value {
    let texts = names
        .iter()
        .filter_map(|name| Some((*name, Value::from(words(text(entry, name)?)))));
    let arguments = arguments.filter(|list| !list.is_empty());
    let arguments = arguments.map(|list| ("arguments", Value::Array(list)));
    Value::object(texts.chain(arguments))
}

fn set(entry: &mut Value, name: &str, text: &str) {
    if let Value::Object(members) = entry {
        members.insert(name.to_owned(), Value::from(text));
    }
}

/// The schema of a prompt's arguments: texts, and no others than it declares.
fn arguments(prompt: &Value) -> Value {
    let list = prompt.member("arguments").and_then(Value::as_array);
    let list = list.unwrap_or_default();
    let names = || list.iter().filter_map(|one| text(one, "name"));
    let is_required = |one: &&Value| one.member("required").and_then(Value::as_bool) == Some(true);
    let required: Vec<&str> = list
        .iter()
        .filter(is_required)
        .filter_map(|one| text(one, "name"))
        .collect();
    let properties: Vec<(&str, Value)> = names().map(|name| (name, of_type("string"))).collect();
    object(&properties, &required)
}

/// The schema of what reads a resource.
fn reading(resources: &PinnedResources) -> Value {
    let mut either = vec![one_of(&uris(resources))];
    either.extend(resources.templates.iter().filter_map(|template| {
        let text = text(template, "uriTemplate")?;
        Some(Value::object([("pattern", Value::from(pattern(text)))]))
    }));
    let uri = Value::object([
        ("type", Value::from("string")),
        ("anyOf", Value::Array(either)),
    ]);
    object(&[("uri", uri)], &["uri"])
}

/// A template as a pattern. It is what a reader of the contract sees; what is let through, [`Template::means`] says.
fn pattern(template: &str) -> String {
    let mut pattern = String::from("^");
    let mut inside = false;
    for char in template.chars() {
        match char {
            '{' => {
                inside = true;
                pattern.push_str("[^/?#]+");
            }
            '}' => inside = false,
            _ if inside => {}
            _ if char.is_ascii_alphanumeric() || matches!(char, '/' | ':' | '-' | '_') => {
                pattern.push(char);
            }
            _ => {
                pattern.push('\\');
                pattern.push(char);
            }
        }
    }
    pattern.push('$');
    pattern
}

/// The schema of what completes an argument of a prompt or a template.
fn completing(prompts: &BTreeMap<String, Value>, resources: &PinnedResources) -> Value {
    let kinds = ["ref/prompt", "ref/resource"].map(Value::from);
    let prompts: Vec<Value> = prompts
        .keys()
        .map(|name| Value::from(name.as_str()))
        .collect();
    let templates = resources.templates.iter();
    let mut uris = uris(resources);
    uris.extend(templates.filter_map(|one| one.member("uriTemplate").cloned()));
    let reference = object(
        &[
            ("type", one_of(&kinds)),
            ("name", one_of(&prompts)),
            ("uri", one_of(&uris)),
            ("title", of_type("string")),
        ],
        &["type"],
    );
    let argument = object(
        &[("name", of_type("string")), ("value", of_type("string"))],
        &["name", "value"],
    );
    let known = Value::object([
        ("type", Value::from("object")),
        ("additionalProperties", of_type("string")),
    ]);
    let context = object(&[("arguments", known)], &[]);
    object(
        &[
            ("ref", reference),
            ("argument", argument),
            ("context", context),
        ],
        &["ref", "argument"],
    )
}

fn uris(resources: &PinnedResources) -> Vec<Value> {
    let resources = resources.resources.iter();
    resources
        .filter_map(|one| one.member("uri").cloned())
        .collect()
}

/// A text that is one of these; of none there is none.
fn one_of(values: &[Value]) -> Value {
    if values.is_empty() {
        return Value::from(false);
    }
    Value::object([
        ("type", Value::from("string")),
        ("enum", Value::Array(values.to_vec())),
    ])
}

fn of_type(name: &str) -> Value {
    Value::object([("type", Value::from(name))])
}

/// An object of these members and no others.
fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let required: Vec<Value> = required.iter().map(|name| Value::from(*name)).collect();
    let mut members = vec![
        ("type", Value::from("object")),
        ("properties", Value::object(properties.iter().cloned())),
        ("additionalProperties", Value::from(false)),
    ];
    if !required.is_empty() {
        members.push(("required", Value::Array(required)));
    }
    Value::object(members)
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.member(name)?.as_str()
}

/// The items of a list, with their places.
fn items<'v>(
    document: &'v Value,
    name: &'static str,
) -> impl Iterator<Item = (Pointer, &'v Value)> {
    let list = document.member(name).and_then(Value::as_array);
    let list = list.unwrap_or_default().iter().enumerate();
    list.map(move |(index, item)| (Pointer::root().child(name).item(index), item))
}
