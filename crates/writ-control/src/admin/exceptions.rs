//! The exceptions, and how each stands.

use writ_policy::Exception;
use writ_types::{Timestamp, Value};

use crate::admin::look::strings;
use crate::plane::Plane;

/// The exceptions of the revision in force, and how each stands now.
pub(super) fn list(plane: &Plane) -> Value {
    let now = plane.clock.now();
    let loaded = plane.loaded();
    let exceptions = loaded.pdp.exceptions();
    Value::Array(
        exceptions
            .map(|exception| exception_value(exception, now))
            .collect(),
    )
}

fn exception_value(exception: &Exception, now: Timestamp) -> Value {
    let purpose = exception.purpose.as_ref();
    Value::object([
        ("name", Value::from(exception.name.as_str())),
        ("state", Value::from(exception.state(now).as_str())),
        ("rule", Value::from(exception.rule.as_str())),
        ("agent", Value::from(exception.agent.as_str())),
        (
            "purpose",
            purpose.map_or(Value::Null, |name| Value::from(name.as_str())),
        ),
        (
            "actions",
            strings(exception.actions.iter().map(ToString::to_string)),
        ),
        ("owner", Value::from(exception.owner.as_str())),
        ("reason", Value::from(exception.reason.as_str())),
        ("ticket", Value::from(exception.ticket.as_str())),
        ("from", Value::from(exception.from.to_string())),
        ("until", Value::from(exception.until.to_string())),
    ])
}
