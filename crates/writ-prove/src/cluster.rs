//! Cases that differ by the action's name alone have one verdict. A change of a rule about a whole group is proven once
//! for each kind of operation, not once for each operation.

use std::collections::BTreeMap;

use serde_json::Value;

/// Cases that are one but for the action's name: the places of its members in the input, the first to be asked.
pub(crate) type Clusters = BTreeMap<String, Vec<usize>>;

/// Groups the cases.
pub(crate) fn clusters(cases: &[Value]) -> Clusters {
    let mut clusters = Clusters::new();
    for (place, case) in cases.iter().enumerate() {
        clusters.entry(key(case)).or_default().push(place);
    }
    clusters
}

/// The case with its action's names replaced. Renaming tells no two values apart that were one, and makes none one that
/// were two, because what it puts in stands nowhere else; so it changes no verdict. Patterns look into a name, and where
/// a rule has one nothing is renamed.
fn key(case: &Value) -> String {
    let whole = case.to_string();
    let action = case
        .get("action")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some((api, operation)) = action.split_once(':') else {
        return whole;
    };
    if whole.contains("like") || whole.contains(MARK) || !is_only_a_name(operation) {
        return whole;
    }
    let mut parts = Vec::new();
    for name in ["schema", "assume", "before", "after"] {
        let text = case.get(name).map(ToString::to_string).unwrap_or_default();
        parts.push(rename(&text, api, operation));
    }
    parts.join("\n")
}

/// Whether the name could be nothing but one: the literal of a time, a number or an address has none of these letters.
fn is_only_a_name(operation: &str) -> bool {
    let tells = |byte: u8| matches!(byte, b'g' | b'i'..=b'l' | b'n'..=b'r' | b't'..=b'y');
    operation.bytes().any(tells)
}

/// Stands in no rule: the control character is escaped in JSON, and this is not.
const MARK: char = '\u{1}';

/// Replaces whole string literals only, at whatever depth of escaping they stand.
fn rename(text: &str, api: &str, operation: &str) -> String {
    let mut renamed = text.to_owned();
    for quote in ["\"", "\\\"", "\\\\\\\""] {
        for (name, mark) in [
            (format!("{api}:{operation}"), "action"),
            (operation.to_owned(), "operation"),
        ] {
            let escaped = escape(&name, quote);
            renamed = renamed.replace(
                &format!("{quote}{escaped}{quote}"),
                &format!("{quote}{MARK}{mark}{quote}"),
            );
        }
    }
    renamed
}

/// A name as it stands within quotes that are escaped `quote`'s way.
fn escape(name: &str, quote: &str) -> String {
    let depth = match quote.len() {
        1 => 1,
        2 => 2,
        _ => 3,
    };
    let mut text = name.to_owned();
    for _ in 0..depth {
        text = text.replace('\\', "\\\\").replace('"', "\\\"");
    }
    text
}
