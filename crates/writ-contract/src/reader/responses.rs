//! The responses: which statuses, which media types, and the schema of each.

use writ_types::{Pointer, Value};

use super::parameters::Scope;
use crate::document::follow;
use crate::media::{MediaKind, MediaRange};
use crate::operation::Media;
use crate::response::{Reply, StatusRange};
use crate::schema::Dialect;

/// Most statuses of one operation, and most media types of one response.
const MOST: usize = 128;

/// What the operation may answer. What cannot be read is left unchecked, with a warning: a response never refuses its
/// operation.
pub(super) fn read(scope: &mut Scope<'_, '_>) -> Vec<Reply> {
    let pointer = scope.draft.pointer.child("responses");
    let declared = match scope.draft.value.member("responses") {
        Some(Value::Object(declared)) => declared,
        None | Some(Value::Null) => return Vec::new(),
        Some(_) => {
            scope.warning(
                &pointer,
                "`responses` is no object: responses are not checked",
            );
            return Vec::new();
        }
    };
    let mut replies = Vec::new();
    for (name, value) in declared.iter().take(MOST) {
        let pointer = pointer.child(name);
        let Some(status) = StatusRange::parse(name) else {
            if !name.starts_with("x-") {
                scope.warning(&pointer, "not a status: the response is not declared");
            }
            continue;
        };
        let media = match follow(scope.document, value, &pointer) {
            Ok((value, pointer)) if scope.compiler.dialect() == Dialect::Swagger => {
                swagger(scope, value, &pointer)
            }
            Ok((value, pointer)) => openapi(scope, value, &pointer),
            Err(fault) => {
                let message = format!("{fault}: the response is not checked");
                scope.warning(&pointer, message);
                Vec::new()
            }
        };
        replies.push(Reply { status, media });
    }
    // The most exact first.
    replies.sort_by_key(|reply| reply.status);
    replies
}

fn openapi<'d>(scope: &mut Scope<'_, 'd>, value: &'d Value, pointer: &Pointer) -> Vec<Media> {
    let Some(content) = value.member("content").and_then(Value::as_object) else {
        return Vec::new();
    };
    let pointer = pointer.child("content");
    let mut media = Vec::new();
    for (name, value) in content.iter().take(MOST) {
        let pointer = pointer.child(name);
        let Some(range) = MediaRange::parse(name) else {
            scope.warning(&pointer, "not a media type; a response of it is undeclared");
            continue;
        };
        let schema = value.member("schema");
        media.push(one(scope, range, schema, &pointer.child("schema")));
    }
    media
}

fn swagger<'d>(scope: &mut Scope<'_, 'd>, value: &'d Value, pointer: &Pointer) -> Vec<Media> {
    let Some(schema) = value.member("schema") else {
        return Vec::new();
    };
    let produces = |value: &Value| {
        let list = value.member("produces")?.as_array()?;
        let ranges: Vec<MediaRange> = list
            .iter()
            .take(MOST)
            .filter_map(|name| MediaRange::parse(name.as_str()?))
            .collect();
        Some(ranges).filter(|ranges| !ranges.is_empty())
    };
    let ranges = produces(scope.draft.value)
        .or_else(|| produces(scope.document))
        .or_else(|| MediaRange::parse("application/json").map(|range| vec![range]))
        .unwrap_or_default();
    let pointer = pointer.child("schema");
    // One schema for all media types, compiled once.
    let mut compiled = None;
    ranges
        .into_iter()
        .map(|range| {
            let mut media = Media {
                kind: kind(&range, Some(schema)),
                range,
                schema: compiled,
            };
            if media.kind != MediaKind::Json {
                media.schema = None;
            } else if compiled.is_none() {
                compiled = Some(scope.compiler.schema(schema, &pointer, scope.sink));
                media.schema = compiled;
            }
            media
        })
        .collect()
}

fn one<'d>(
    scope: &mut Scope<'_, 'd>,
    range: MediaRange,
    schema: Option<&'d Value>,
    pointer: &Pointer,
) -> Media {
    let kind = kind(&range, schema);
    let schema = schema
        .filter(|_| kind == MediaKind::Json)
        .map(|schema| scope.compiler.schema(schema, pointer, scope.sink));
    Media {
        range,
        kind,
        schema,
    }
}

/// JSON is looked at; everything else passes as it is. A file (Swagger 2.0) is bytes, whatever its type is called.
fn kind(range: &MediaRange, schema: Option<&Value>) -> MediaKind {
    let file = schema
        .and_then(|schema| schema.member("type"))
        .and_then(Value::as_str);
    if range.media_kind() == MediaKind::Json && file != Some("file") {
        MediaKind::Json
    } else {
        MediaKind::Opaque
    }
}
