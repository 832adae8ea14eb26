//! Writes canonical JSON (RFC 8785) without building a tree of values first: a record is written for every call.
//!
//! The caller names members in ascending order; the property test compares with [`writ_types::Value::canonical`], which
//! sorts for itself.

use std::fmt::{self, Display, Write};

/// The largest whole number that every JSON reader agrees on (RFC 8785 §3.2.2.3); counts stop here.
const LARGEST: u64 = (1 << 53) - 1;

/// Writes one JSON object into `out`.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins an object; [`Self::end`] ends it.
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    /// A string member.
    pub(super) fn text(&mut self, name: &str, text: impl Display) {
        self.name(name);
        string(self.out, text);
    }

    /// A string member, if there is one.
    pub(super) fn text_if(&mut self, name: &str, text: Option<impl Display>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A member that is a whole number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        // Writing to a `String` cannot fail.
        write!(self.out, "{}", number.min(LARGEST)).unwrap_or_default();
    }

    /// A member that is a whole number, if there is one.
    pub(super) fn number_if(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    /// A member that is an array of strings, if it has any.
    pub(super) fn list_if(&mut self, name: &str, items: impl IntoIterator<Item = impl Display>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return;
        }
        self.name(name);
        self.out.push('[');
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            string(self.out, item);
        }
        self.out.push(']');
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        let mut inner = Object::begin(self.out);
        write(&mut inner);
        inner.end();
    }
}

fn string(out: &mut String, text: impl Display) {
    out.push('"');
    write!(Escaped(out), "{text}").unwrap_or_default();
    out.push('"');
}

/// Escapes what RFC 8785 §3.2.2.2 says, and nothing else.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Looking at every byte is faster than stopping at the first: the processor does many at once.
        let special =
            |found: bool, byte: u8| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\');
        if !text.bytes().fold(false, special) {
            self.0.push_str(text);
            return Ok(());
        }
        for char in text.chars() {
            match char {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\u{8}' => self.0.push_str("\\b"),
                '\u{C}' => self.0.push_str("\\f"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                control if control < ' ' => write!(self.0, "\\u{:04x}", u32::from(control))?,
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}
