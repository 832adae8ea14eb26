//! The canonical form (RFC 8785), and the exact compact form.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::Value;

/// The canonical text of RFC 8785.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    put(value, &mut text, es6_number);
    text
}

/// Compact text with every number as it was written.
pub(super) fn write_exact(value: &Value, text: &mut String) {
    put(value, text, |number, text| text.push_str(number));
}

fn put(value: &Value, text: &mut String, number: fn(&str, &mut String)) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(digits) => number(digits.as_str(), text),
        Value::String(string) => put_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                put(item, text, number);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            // Byte order and UTF-16 order differ only beyond the basic plane (RFC 8785 §3.2.3).
            if names.iter().any(|(name, _)| !name.is_ascii()) {
                names.sort_by(|left, right| utf16_order(left.0, right.0));
            }
            text.push('{');
            for (place, (name, member)) in names.into_iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                put_string(name, text);
                text.push(':');
                put(member, text, number);
            }
            text.push('}');
        }
    }
}

fn utf16_order(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

fn put_string(string: &str, text: &mut String) {
    text.push('"');
    for char in string.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{C}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                // Writing to a `String` cannot fail.
                write!(text, "\\u{:04x}", u32::from(control)).unwrap_or_default();
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// `Number.prototype.toString` of ECMA-262, as RFC 8785 §3.2.2.3 demands.
fn es6_number(digits: &str, text: &mut String) {
    let number: f64 = digits.parse().unwrap_or(f64::NAN);
    if number == 0.0 || !number.is_finite() {
        // A JSON number beyond the range of `f64` has no canonical form; its own text is at least not another number's.
        text.push_str(if number == 0.0 { "0" } else { digits });
        return;
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-6..21).contains(&exponent) {
        // Rust's plain form is the shortest that reads back, without an exponent.
        write!(text, "{number}").unwrap_or_default();
    } else {
        let sign = if exponent < 0 { "-" } else { "+" };
        write!(text, "{mantissa}e{sign}{}", exponent.unsigned_abs()).unwrap_or_default();
    }
}
