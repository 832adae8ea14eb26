//! The body: of a declared media type, within the limits, strictly parsed, checked against its schema.

use writ_types::{Input, Value};

use super::{form, json_limits};
use crate::fault::FaultKind;
use crate::media::MediaKind;
use crate::operation::{Media, Operation, RawCall};
use crate::schema::{Faults, check, record_members};

pub(super) fn read(
    operation: &Operation,
    call: &RawCall<'_>,
    input: &mut Input,
    faults: &mut Faults,
) {
    let Some(body) = &operation.body else {
        if !call.body.is_empty() {
            faults.push("/body", FaultKind::BodyUndeclared);
        }
        return;
    };
    let media = call
        .content_type
        .and_then(|content_type| operation.media(content_type));
    match media {
        // Its bytes are not looked at, and perhaps not here yet.
        Some(media) if media.kind == MediaKind::Opaque => {}
        // Also with a body that is not here yet.
        None if call.content_type.is_some() || !call.body.is_empty() => {
            faults.push("/body", FaultKind::MediaType);
        }
        Some(_) | None if call.body.is_empty() && body.required => {
            faults.push("/body", FaultKind::BodyMissing);
        }
        Some(_) if call.body.is_empty() => {}
        None => {}
        Some(_) if call.body.len() > call.limits.body_bytes => {
            faults.push("/body", FaultKind::Size);
        }
        Some(media) => input.body = typed(operation, media, call, input, faults),
    }
}

/// The body's value; what it holds beyond the contract goes to the input.
fn typed(
    operation: &Operation,
    media: &Media,
    call: &RawCall<'_>,
    input: &mut Input,
    faults: &mut Faults,
) -> Option<Value> {
    let schemas = &operation.schemas;
    let value = if media.kind == MediaKind::Form {
        let Ok(text) = std::str::from_utf8(call.body) else {
            faults.push("/body", FaultKind::Encoding);
            return None;
        };
        form::read(schemas, media.schema, text, call.limits.json_values, faults)?
    } else {
        match Value::parse(call.body, &json_limits(call.limits)) {
            Ok(value) => value,
            Err(fault) => {
                // The fault's own pointer has the caller's names.
                faults.push("/body", FaultKind::Json(fault.kind, fault.offset));
                return None;
            }
        }
    };
    if let Some(id) = media.schema {
        check(schemas, id, &value, "/body", faults);
        (input.extra, input.nulls) = record_members(schemas, id, &value, faults);
    }
    Some(value)
}
