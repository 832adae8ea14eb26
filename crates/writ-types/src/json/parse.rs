//! The strict reader.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::{Number, Pointer, Value};

/// What bounds a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Deepest nesting of arrays and objects.
    pub depth: usize,
    /// Most values in the document, every member and item counted.
    pub values: usize,
    /// Longest number, in characters.
    pub number_chars: usize,
}

impl JsonLimits {
    /// For what a stranger sends: calls, claims, forms.
    pub const REQUEST: Self = Self {
        depth: 64,
        values: 100_000,
        number_chars: 128,
    };
    /// For documents an operator imports.
    pub const DOCUMENT: Self = Self {
        depth: 200,
        values: 10_000_000,
        number_chars: 1024,
    };
}

/// A fault in a JSON text, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonFault {
    /// The value in which it stands.
    pub pointer: Pointer,
    /// Where, in bytes from the beginning.
    pub offset: usize,
    /// What is wrong.
    pub kind: JsonFaultKind,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at `{}` (byte {})",
            self.kind, self.pointer, self.offset
        )
    }
}

impl std::error::Error for JsonFault {}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFaultKind {
    /// The text ends inside a value.
    #[error("the text ends too early")]
    Truncated,
    /// A character that no value begins with, or that does not belong here.
    #[error("an unexpected character")]
    Unexpected,
    /// Text after the value.
    #[error("text after the value")]
    Trailing,
    /// A member name that stands twice in one object.
    #[error("a member name stands twice")]
    Duplicate,
    /// Deeper than the limit.
    #[error("nested too deeply")]
    Depth,
    /// More values than the limit.
    #[error("too many values")]
    Values,
    /// A number that does not follow the grammar or is longer than the limit.
    #[error("not a JSON number")]
    Number,
    /// A string with a control character, a bad escape or a lone surrogate.
    #[error("not a JSON string")]
    String,
    /// The text is not UTF-8, or begins with a byte order mark.
    #[error("not UTF-8 text")]
    Encoding,
}

pub(super) fn parse(bytes: &[u8], limits: &JsonLimits) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|fault| JsonFault {
        pointer: Pointer::root(),
        offset: fault.valid_up_to(),
        kind: JsonFaultKind::Encoding,
    })?;
    let mut reader = Reader {
        text,
        at: 0,
        limits,
        depth: 0,
        values: 0,
    };
    if text.starts_with('\u{FEFF}') {
        return Err(reader.fault(JsonFaultKind::Encoding));
    }
    let value = reader.value()?;
    reader.space();
    if reader.at < text.len() {
        Err(reader.fault(JsonFaultKind::Trailing))
    } else {
        Ok(value)
    }
}

/// Whether the whole text is a number of RFC 8259 §6.
pub(super) fn is_number(text: &[u8]) -> bool {
    number_length(text).is_some_and(|length| length == text.len())
}

/// The length of the number at the beginning of `text`, if there is a well-formed one.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        text.get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || whole > 1 && text.get(at) == Some(&b'0') {
        return None;
    }
    at = at.checked_add(whole)?;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at.checked_add(1)?);
        if fraction == 0 {
            return None;
        }
        at = at.checked_add(1)?.checked_add(fraction)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at.checked_add(1)?), Some(b'+' | b'-')));
        let from = at.checked_add(1)?.checked_add(sign)?;
        let exponent = digits(from);
        if exponent == 0 {
            return None;
        }
        at = from.checked_add(exponent)?;
    }
    Some(at)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    limits: &'a JsonLimits,
    depth: usize,
    values: usize,
}

/// Faults carry their pointer as it is built on the way out, so that reading without a fault builds none.
impl JsonFault {
    fn inside(mut self, prefix: &Pointer) -> Self {
        let joined = format!("{prefix}{}", self.pointer);
        if let Some(pointer) = Pointer::parse(&joined) {
            self.pointer = pointer;
        }
        self
    }
}

impl<'a> Reader<'a> {
    fn fault(&self, kind: JsonFaultKind) -> JsonFault {
        JsonFault {
            pointer: Pointer::root(),
            offset: self.at,
            kind,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.step(1);
        }
    }

    fn value(&mut self) -> Result<Value, JsonFault> {
        self.values = self.values.saturating_add(1);
        if self.values > self.limits.values {
            return Err(self.fault(JsonFaultKind::Values));
        }
        self.space();
        match self.peek() {
            None => Err(self.fault(JsonFaultKind::Truncated)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.fault(JsonFaultKind::Unexpected)),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, JsonFault>,
    ) -> Result<Value, JsonFault> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > self.limits.depth {
            return Err(self.fault(JsonFaultKind::Depth));
        }
        self.step(1);
        let value = read(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(value)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonFault> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.step(word.len());
            Ok(value)
        } else {
            Err(self.fault(JsonFaultKind::Unexpected))
        }
    }

    fn number(&mut self) -> Result<Value, JsonFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length =
            number_length(rest.as_bytes()).filter(|length| *length <= self.limits.number_chars);
        let Some(text) = length.and_then(|length| rest.get(..length)) else {
            return Err(self.fault(JsonFaultKind::Number));
        };
        self.step(text.len());
        Ok(Value::Number(Number(text.into())))
    }

    fn array(&mut self) -> Result<Value, JsonFault> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.step(1);
            return Ok(Value::Array(items));
        }
        loop {
            let item = self
                .value()
                .map_err(|fault| fault.inside(&Pointer::root().item(items.len())))?;
            items.push(item);
            self.space();
            match self.peek() {
                Some(b',') => self.step(1),
                Some(b']') => {
                    self.step(1);
                    return Ok(Value::Array(items));
                }
                Some(_) => return Err(self.fault(JsonFaultKind::Unexpected)),
                None => return Err(self.fault(JsonFaultKind::Truncated)),
            }
        }
    }

    fn object(&mut self) -> Result<Value, JsonFault> {
        let mut members = BTreeMap::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.step(1);
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            match self.peek() {
                Some(b'"') => {}
                Some(_) => return Err(self.fault(JsonFaultKind::Unexpected)),
                None => return Err(self.fault(JsonFaultKind::Truncated)),
            }
            let begin = self.at;
            let name = self.string()?;
            self.space();
            match self.peek() {
                Some(b':') => self.step(1),
                Some(_) => return Err(self.fault(JsonFaultKind::Unexpected)),
                None => return Err(self.fault(JsonFaultKind::Truncated)),
            }
            let value = self
                .value()
                .map_err(|fault| fault.inside(&Pointer::root().child(&name)))?;
            match members.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    let pointer = Pointer::root().child(place.key());
                    return Err(JsonFault {
                        pointer,
                        offset: begin,
                        kind: JsonFaultKind::Duplicate,
                    });
                }
            }
            self.space();
            match self.peek() {
                Some(b',') => self.step(1),
                Some(b'}') => {
                    self.step(1);
                    return Ok(Value::Object(members));
                }
                Some(_) => return Err(self.fault(JsonFaultKind::Unexpected)),
                None => return Err(self.fault(JsonFaultKind::Truncated)),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonFault> {
        self.step(1);
        let mut text = String::new();
        loop {
            let rest: &'a str = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .bytes()
                .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1F))
                .count();
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.step(plain);
            match self.peek() {
                Some(b'"') => {
                    self.step(1);
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.fault(JsonFaultKind::String)),
                None => return Err(self.fault(JsonFaultKind::Truncated)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        self.step(1);
        let letter = self
            .peek()
            .ok_or_else(|| self.fault(JsonFaultKind::Truncated))?;
        let plain = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.fault(JsonFaultKind::String)),
        };
        self.step(1);
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonFault> {
        let begin = self.at;
        let high = self.four_hex()?;
        let code = if (0xD800..0xDC00).contains(&high) {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if !rest.starts_with("\\u") {
                return Err(JsonFault {
                    offset: begin,
                    ..self.fault(JsonFaultKind::String)
                });
            }
            self.step(1);
            let low = self.four_hex()?;
            let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400);
            let high = high.saturating_sub(0xD800) << 10;
            low.and_then(|low| 0x1_0000u32.checked_add(high | low))
        } else {
            Some(high)
        };
        // A lone low surrogate is no `char`, so it is refused here with the rest.
        code.and_then(char::from_u32)
            .ok_or_else(|| self.fault(JsonFaultKind::String))
    }

    /// Reads `uXXXX`.
    fn four_hex(&mut self) -> Result<u32, JsonFault> {
        self.step(1);
        let digits = self
            .text
            .get(self.at..self.at.saturating_add(4))
            .unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.fault(JsonFaultKind::String));
        }
        self.step(4);
        u32::from_str_radix(digits, 16).map_err(|_not_hex| self.fault(JsonFaultKind::String))
    }
}
