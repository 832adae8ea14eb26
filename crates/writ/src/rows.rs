//! The rows of an answer, read for a table.

use writ_types::Value;

/// A member that is a string; empty if there is none.
pub(crate) fn text(row: &Value, name: &str) -> String {
    let text = row.member(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Any member as a person reads it: a string without its quotes, anything else as JSON; empty if there is none.
pub(crate) fn shown(row: &Value, name: &str) -> String {
    row.member(name)
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .unwrap_or_default()
}
