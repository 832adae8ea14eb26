//! The lines of places in a JSON document. What is not JSON has none: it was refused before anybody asks.

use std::collections::BTreeMap;

use writ_types::{JsonLimits, Value};

use super::lines::Wanted;

/// One pass over the bytes; values that nobody asks for are only skipped.
pub(super) fn walk(bytes: &[u8], wanted: &Wanted) -> BTreeMap<String, u32> {
    let mut walk = Walk {
        bytes,
        at: 0,
        line: 1,
        found: BTreeMap::new(),
    };
    walk.space();
    let line = walk.line;
    // A document that ends early was refused; what was found until then holds.
    if walk.value(Some(wanted), line).is_none() {
        walk.at = bytes.len();
    }
    walk.found
}

struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u32,
    found: BTreeMap<String, u32>,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line = self.line.saturating_add(1);
        }
        self.at = self.at.saturating_add(1);
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.step();
        }
    }

    /// A member's line is that of its name.
    fn value(&mut self, wanted: Option<&Wanted>, line: u32) -> Option<()> {
        self.space();
        if let Some(pointer) = wanted.and_then(|wanted| wanted.pointer.clone()) {
            self.found.entry(pointer).or_insert(line);
        }
        match self.peek()? {
            b'{' => self.object(wanted),
            b'[' => self.array(wanted),
            b'"' => self.string().map(drop),
            _ => {
                while self
                    .peek()
                    .is_some_and(|byte| !matches!(byte, b',' | b'}' | b']'))
                {
                    self.step();
                }
                Some(())
            }
        }
    }

    fn object(&mut self, wanted: Option<&Wanted>) -> Option<()> {
        self.step();
        loop {
            self.space();
            match self.peek()? {
                b'}' => {
                    self.step();
                    return Some(());
                }
                b',' => self.step(),
                b'"' => {
                    let line = self.line;
                    let name = self.string()?;
                    self.space();
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.step();
                    let below = wanted.filter(|wanted| !wanted.below.is_empty());
                    let below = below.and_then(|wanted| wanted.below.get(&self.text(name)?));
                    self.value(below, line)?;
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self, wanted: Option<&Wanted>) -> Option<()> {
        self.step();
        let mut index = 0usize;
        loop {
            self.space();
            match self.peek()? {
                b']' => {
                    self.step();
                    return Some(());
                }
                b',' => self.step(),
                _ => {
                    let below = wanted.and_then(|wanted| wanted.below.get(&index.to_string()));
                    let line = self.line;
                    self.value(below, line)?;
                    index = index.saturating_add(1);
                }
            }
        }
    }

    /// The name that stands between quotes.
    fn text(&self, range: std::ops::Range<usize>) -> Option<String> {
        let raw = self.bytes.get(range.clone())?;
        if !raw.contains(&b'\\') {
            return Some(std::str::from_utf8(raw).ok()?.to_owned());
        }
        let quoted = self
            .bytes
            .get(range.start.checked_sub(1)?..range.end.checked_add(1)?)?;
        let value = Value::parse(quoted, &JsonLimits::DOCUMENT).ok()?;
        value.as_str().map(str::to_owned)
    }

    /// The bytes between the quotes, escapes as they are. Strict JSON has no raw line break there.
    fn string(&mut self) -> Option<std::ops::Range<usize>> {
        self.step();
        let begin = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    let range = begin..self.at;
                    self.step();
                    return Some(range);
                }
                b'\\' => {
                    self.step();
                    self.step();
                }
                _ => self.step(),
            }
        }
    }
}
