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

/// The items of a member that is an array; none if it is something else.
pub(crate) fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    let items = of.member(name).and_then(Value::as_array);
    items.unwrap_or_default()
}

/// A row of the table of what a draft decides otherwise.
pub(crate) fn disagreement(row: &Value) -> [String; 6] {
    let rules = items(row, "rules").iter();
    let rules: Vec<&str> = rules.filter_map(Value::as_str).collect();
    let last = items(row, "last").last().and_then(Value::as_str);
    [
        shown(row, "calls"),
        text(row, "action"),
        text(row, "in_force"),
        text(row, "drafted"),
        rules.join(","),
        last.unwrap_or_default().to_owned(),
    ]
}
