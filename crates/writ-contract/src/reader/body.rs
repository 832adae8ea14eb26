//! The request body: which media types, and the schema of each.

use std::collections::BTreeMap;

use writ_types::{Pointer, Value};

use super::parameters::Scope;
use crate::document::follow;
use crate::media::{MediaKind, MediaRange};
use crate::operation::{Body, Media};
use crate::schema::{Additional, Dialect, ObjectRules, Schema, SchemaId, Types};

/// Most media types of one body.
const MOST_MEDIA: usize = 64;

/// The operation was refused, with an error.
#[derive(Debug)]
pub(super) struct RefusedHere;

/// The body, if there is one.
pub(super) fn read(scope: &mut Scope<'_, '_>) -> Result<Option<Body>, RefusedHere> {
    let body = if scope.compiler.dialect() == Dialect::Swagger {
        swagger(scope)
    } else {
        openapi(scope)?
    };
    Ok(body.map(|body| judged(scope, body)))
}

/// Leaves out what is not read where something is: a caller could choose it to hide what the body holds.
fn judged(scope: &mut Scope<'_, '_>, mut body: Body) -> Body {
    let opaque = |media: &Media| media.kind == MediaKind::Opaque;
    if body.media.iter().any(opaque) && !body.media.iter().all(opaque) {
        body.media.retain(|media| media.kind != MediaKind::Opaque);
        let pointer = scope.draft.pointer.clone();
        let message = "media types that are not read are not accepted beside those that are";
        scope.warning(&pointer, message);
    }
    body
}

fn openapi(scope: &mut Scope<'_, '_>) -> Result<Option<Body>, RefusedHere> {
    let Some(value) = scope.draft.value.member("requestBody") else {
        return Ok(None);
    };
    let pointer = scope.draft.pointer.child("requestBody");
    let (value, pointer) = match follow(scope.document, value, &pointer) {
        Ok(followed) => followed,
        Err(fault) => {
            scope.error(&pointer, fault.to_string());
            return Err(RefusedHere);
        }
    };
    let pointer = pointer.child("content");
    let Some(content) = value.member("content").and_then(Value::as_object) else {
        scope.error(&pointer, "a request body has no `content`");
        return Err(RefusedHere);
    };
    let mut media = Vec::new();
    for (name, value) in content.iter().take(MOST_MEDIA) {
        let pointer = pointer.child(name);
        let Some(range) = MediaRange::parse(name) else {
            scope.warning(&pointer, "not a media type; it is not accepted");
            continue;
        };
        let raw = value.member("schema");
        let mut kind = range.media_kind();
        if range.is_wild() && raw.is_none_or(|raw| is_text(scope.document, raw)) {
            kind = MediaKind::Opaque;
        }
        let schema = raw.filter(|_| kind != MediaKind::Opaque).map(|raw| {
            let pointer = pointer.child("schema");
            scope.compiler.schema(raw, &pointer, scope.sink)
        });
        media.push(Media {
            range,
            kind,
            schema,
        });
    }
    if media.is_empty() {
        scope.warning(
            &pointer,
            "the request body has no media type: none is accepted",
        );
        return Ok(None);
    }
    let required = value.member("required").and_then(Value::as_bool) == Some(true);
    Ok(Some(Body { required, media }))
}

/// Whether a schema is a text: beside a wildcard that is a file, not JSON.
fn is_text(document: &Value, schema: &Value) -> bool {
    let target = follow(document, schema, &Pointer::root());
    target.is_ok_and(|(schema, _)| schema.member("type").and_then(Value::as_str) == Some("string"))
}

fn swagger(scope: &mut Scope<'_, '_>) -> Option<Body> {
    let consumes = |value: &Value| {
        let list = value.member("consumes")?.as_array()?;
        let names: Vec<MediaRange> = list
            .iter()
            .take(MOST_MEDIA)
            .filter_map(|name| MediaRange::parse(name.as_str()?))
            .collect();
        Some(names)
    };
    let ranges = consumes(scope.draft.value)
        .or_else(|| consumes(scope.document))
        .unwrap_or_default();
    if !scope.form.is_empty() {
        return Some(swagger_form(scope, &ranges));
    }
    let (value, pointer) = scope.body.take()?;
    let required = value.member("required").and_then(Value::as_bool) == Some(true);
    let ranges = or_default(ranges, "application/json");
    let raw = value.member("schema");
    let pointer = pointer.child("schema");
    // One schema for all media types, compiled once.
    let mut schema = None;
    let media = ranges
        .into_iter()
        .map(|range| {
            let text = || raw.is_none_or(|raw| is_text(scope.document, raw));
            let kind = if range.is_wild() && text() {
                MediaKind::Opaque
            } else {
                range.media_kind()
            };
            if kind != MediaKind::Opaque && schema.is_none() {
                schema = raw.map(|raw| scope.compiler.schema(raw, &pointer, scope.sink));
            }
            Media {
                range,
                kind,
                schema: schema.filter(|_| kind != MediaKind::Opaque),
            }
        })
        .collect();
    Some(Body { required, media })
}

fn or_default(ranges: Vec<MediaRange>, default: &str) -> Vec<MediaRange> {
    if ranges.is_empty() {
        MediaRange::parse(default).into_iter().collect()
    } else {
        ranges
    }
}

/// Swagger 2.0's form parameters as one object; what is not declared is not allowed, as with query parameters.
fn swagger_form(scope: &mut Scope<'_, '_>, ranges: &[MediaRange]) -> Body {
    let form = std::mem::take(&mut scope.form);
    let text = |value: &Value, name: &str| {
        value
            .member(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let flag = |value: &Value| value.member("required").and_then(Value::as_bool) == Some(true);
    let required: Vec<String> = form
        .iter()
        .filter(|(value, _)| flag(value))
        .filter_map(|(value, _)| text(value, "name"))
        .collect();
    let any_required = !required.is_empty();
    let file = form
        .iter()
        .any(|(value, _)| text(value, "type").as_deref() == Some("file"));
    let url_encoded = ranges
        .iter()
        .any(|range| range.media_kind() == MediaKind::Form);
    if file || !url_encoded && !ranges.is_empty() {
        let range = if file { &[] } else { ranges };
        let media = or_default(range.to_vec(), "multipart/form-data")
            .into_iter()
            .map(|range| Media {
                range,
                kind: MediaKind::Opaque,
                schema: None,
            })
            .collect();
        return Body {
            required: any_required,
            media,
        };
    }
    let properties: BTreeMap<String, SchemaId> = form
        .iter()
        .filter_map(|(value, pointer)| {
            let name = text(value, "name")?;
            Some((name, scope.compiler.schema(value, pointer, scope.sink)))
        })
        .collect();
    let schema = scope.compiler.made(Schema {
        types: Types::OBJECT,
        object: Some(Box::new(ObjectRules {
            properties,
            required,
            directed: None,
            patterns: Vec::new(),
            unknown_patterns: false,
            additional: Additional::Closed,
            names: None,
            fewest: None,
            most: None,
        })),
        ..Schema::ANYTHING
    });
    let media = or_default(Vec::new(), "application/x-www-form-urlencoded")
        .into_iter()
        .map(|range| Media {
            range,
            kind: MediaKind::Form,
            schema: Some(schema),
        })
        .collect();
    Body {
        required: any_required,
        media,
    }
}
