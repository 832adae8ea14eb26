//! What comes back: errors a caller can act on, and what must not enter a context.

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Outline, Outlined, Response, Schema, words};

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    for (place, operation) in outline.operations.iter().enumerate() {
        errors(outline, operation, place, found);
        for (code, response) in &operation.responses {
            if code.starts_with('2') {
                success(outline, operation, place, (code, response), found);
            }
        }
    }
}

fn is_client_error(code: &str) -> bool {
    code.starts_with('4') || code == "default"
}

fn errors(outline: &Outline<'_>, operation: &Outlined<'_>, place: usize, found: &mut Found) {
    let pointer = operation
        .node
        .member("responses")
        .map_or_else(|| operation.node.pointer.clone(), |node| node.pointer);
    let route = format!("{} {}", operation.method, shown(operation.path));
    let mut errors = operation
        .responses
        .iter()
        .filter(|(code, _)| is_client_error(code))
        .peekable();
    if errors.peek().is_none() {
        found.of_operation(
            Rule::ErrorUndocumented,
            place,
            pointer.clone(),
            route.clone(),
        );
    }
    for (code, response) in errors {
        let schema = response.media.values().flatten().next();
        let Some(schema) = schema else {
            let message = format!("response {}", shown(code));
            let pointer = response.node.pointer.clone();
            found.of_operation(Rule::ErrorSchemaMissing, place, pointer, message);
            continue;
        };
        let mut coded = false;
        let mut is_object = false;
        outline.walk(schema, &mut |step| {
            is_object |= step.schema.is_object();
            coded |= step.depth <= 2 && step.name.is_some_and(is_code);
        });
        if is_object && !coded {
            let message = format!("response {}", shown(code));
            found.of_operation(
                Rule::ErrorCodeMissing,
                place,
                schema.pointer.clone(),
                message,
            );
        }
    }
    let told = |code: &str| matches!(code, "429" | "4XX" | "4xx" | "default");
    if !operation.responses.keys().any(|code| told(code)) {
        found.of_operation(Rule::RateLimitUndocumented, place, pointer, route);
    }
    if let Some(response) = operation.responses.get("429") {
        let waits = response.headers.keys().any(|name| {
            let name = name.to_ascii_lowercase();
            name == "retry-after" || name.contains("ratelimit") || name.contains("rate-limit")
        });
        if !waits {
            let pointer = response.node.pointer.clone();
            found.of_operation(Rule::RetryAfterMissing, place, pointer, "response 429");
        }
    }
}

/// Whether a field of an error is one that a program can act on.
fn is_code(name: &str) -> bool {
    matches!(
        words(name).join("").as_str(),
        "code"
            | "errorcode"
            | "errcode"
            | "type"
            | "error"
            | "reason"
            | "status"
            | "key"
            | "errno"
            | "reasoncode"
            | "errorkey"
            | "errortype"
    )
}

fn success(
    outline: &Outline<'_>,
    operation: &Outlined<'_>,
    place: usize,
    (code, response): (&str, &Response<'_>),
    found: &mut Found,
) {
    let pointer = &response.node.pointer;
    let empty = matches!(code, "202" | "204" | "205");
    let reads = operation.method == "GET";
    if !empty && response.media.is_empty() && reads {
        let message = format!("response {} has no content", shown(code));
        found.of_operation(Rule::ResponseUntyped, place, pointer.clone(), message);
    }
    for (range, schema) in &response.media {
        if range.trim() == "*/*" {
            let message = format!("response {}", shown(code));
            found.of_operation(Rule::ResponseAnyMedia, place, pointer.clone(), message);
        }
        let says_nothing = schema.as_ref().is_none_or(|schema| {
            let schema = outline.schema(schema.value);
            schema.is_untyped() && !schema.broken
        });
        if says_nothing && (range.contains("json") || range.contains('*')) {
            let message = format!("response {} of `{}`", shown(code), shown(range));
            found.of_operation(Rule::ResponseUntyped, place, pointer.clone(), message);
        }
    }
    // Several media types have one schema in all but a few documents.
    let Some(schema) = response.media.values().flatten().next() else {
        return;
    };
    outline.walk(schema, &mut |step| {
        let Some(name) = step.name else { return };
        if is_secret(name, step.schema) {
            let message = format!("`{}`", shown(name));
            found.of_operation(Rule::SecretInResponse, place, step.pointer(), message);
        }
        if is_third_party_text(name, step.schema) {
            let message = format!("`{}`", shown(name));
            found.of_operation(Rule::UntrustedText, place, step.pointer(), message);
        }
    });
}

/// Whether a text of a response looks like a secret: by its format, or by a name that ends in one.
fn is_secret(name: &str, schema: &Schema<'_>) -> bool {
    if !schema.is_type("string") || schema.has("enum") || schema.has("const") {
        return false;
    }
    if schema.text("format") == Some("password") {
        return true;
    }
    // A page's token, or the hash, name or address of a secret, is none.
    let words = words(name);
    let harmless = words.iter().any(|word| {
        matches!(
            word.as_str(),
            "page"
                | "next"
                | "prev"
                | "previous"
                | "continuation"
                | "cursor"
                | "public"
                | "type"
                | "design"
                | "sync"
                | "last"
                | "masked"
                | "redacted"
                | "pagination"
        )
    });
    if harmless {
        return false;
    }
    let mut last = words.iter().rev().map(String::as_str);
    matches!(
        (last.next(), last.next()),
        (
            Some(
                "password" | "passwd" | "passphrase" | "secret" | "apikey" | "credential" | "token"
            ),
            _
        ) | (
            Some("key"),
            Some("api" | "private" | "secret" | "access" | "signing")
        )
    )
}

/// Whether a text is one that people outside write.
fn is_third_party_text(name: &str, schema: &Schema<'_>) -> bool {
    schema.is_type("string")
        && !schema.has("enum")
        && !schema.has("format")
        && matches!(
            name,
            "body"
                | "comment"
                | "comments"
                | "title"
                | "text"
                | "content"
                | "subject"
                | "bio"
                | "message"
                | "notes"
                | "note"
                | "html"
                | "markdown"
                | "body_text"
                | "body_html"
                | "snippet"
                | "review"
                | "readme"
        )
}
