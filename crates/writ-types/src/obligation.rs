//! What must be done to a response for its call to be allowed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::Value;

/// Why a text is no obligation. The text is for the person who writes policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObligationsError {
    /// An obligation that there is not.
    #[error("an obligation is `redact:/pointer[,/pointer]` or `limit-bytes:number`")]
    Unknown,
    /// A pointer that is none.
    #[error(
        "`redact:` takes JSON pointers of one to {} members or items, where `*` stands for each of them",
        Obligations::DEEPEST
    )]
    Pointer,
    /// A number that is none.
    #[error("`limit-bytes:` takes a whole number of bytes, at least 1")]
    Number,
}

/// What several policies ask for together: every pointer that one of them redacts, and the least of their limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations {
    redact: BTreeSet<String>,
    limit_bytes: Option<u64>,
}

impl Obligations {
    /// Most tokens of a pointer.
    pub const DEEPEST: usize = 16;

    /// Nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.redact.is_empty() && self.limit_bytes.is_none()
    }

    /// The largest response, in bytes, where there is a limit.
    #[must_use]
    pub const fn limit_bytes(&self) -> Option<u64> {
        self.limit_bytes
    }

    /// Whether something is to be left out, for which the response must be read.
    #[must_use]
    pub fn redacts(&self) -> bool {
        !self.redact.is_empty()
    }

    /// Adds what another policy asks for. Nothing is ever taken back.
    pub fn join(&mut self, other: &Self) {
        self.redact.extend(other.redact.iter().cloned());
        self.limit_bytes = match (self.limit_bytes, other.limit_bytes) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
    }

    /// Puts `null` in the place of every value that is to be left out. A pointer that leads nowhere changes nothing: what
    /// is not there needs no redaction.
    pub fn redact(&self, document: &mut Value) {
        for pointer in &self.redact {
            let tokens: Vec<String> = tokens(pointer).collect();
            blank(document, &tokens);
        }
    }

    /// Each obligation as policies and records write it.
    pub fn words(&self) -> impl Iterator<Item = String> {
        let redact = self
            .redact
            .iter()
            .map(|pointer| format!("redact:{pointer}"));
        let limit = self.limit_bytes.map(|bytes| format!("limit-bytes:{bytes}"));
        limit.into_iter().chain(redact)
    }
}

fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let tokens = pointer.split('/').skip(1);
    tokens.map(|token| token.replace("~1", "/").replace("~0", "~"))
}

fn blank(value: &mut Value, tokens: &[String]) {
    let Some((first, rest)) = tokens.split_first() else {
        *value = Value::Null;
        return;
    };
    match value {
        Value::Object(members) if first == "*" => {
            members.values_mut().for_each(|member| blank(member, rest));
        }
        Value::Object(members) => {
            if let Some(member) = members.get_mut(first) {
                blank(member, rest);
            }
        }
        Value::Array(items) if first == "*" => {
            items.iter_mut().for_each(|item| blank(item, rest));
        }
        Value::Array(items) => {
            let plain = first == "0" || !first.starts_with('0');
            let index = first.parse::<usize>().ok().filter(|_| plain);
            if let Some(item) = index.and_then(|index| items.get_mut(index)) {
                blank(item, rest);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl FromStr for Obligations {
    type Err = ObligationsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(pointers) = text.strip_prefix("redact:") {
            let pointers = pointers.split(',').map(|pointer| {
                let deep = pointer.matches('/').count();
                let known = crate::Pointer::parse(pointer).is_some();
                let fits = known && (1..=Self::DEEPEST).contains(&deep);
                fits.then(|| pointer.to_owned())
                    .ok_or(ObligationsError::Pointer)
            });
            return Ok(Self {
                redact: pointers.collect::<Result<_, _>>()?,
                limit_bytes: None,
            });
        }
        let number = text
            .strip_prefix("limit-bytes:")
            .ok_or(ObligationsError::Unknown)?;
        let number = number.parse().ok().filter(|bytes| *bytes > 0);
        Ok(Self {
            redact: BTreeSet::new(),
            limit_bytes: Some(number.ok_or(ObligationsError::Number)?),
        })
    }
}

impl fmt::Display for Obligations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words().collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JsonLimits;

    #[test]
    fn what_is_redacted_becomes_null_and_nothing_else_changes() {
        for (obligation, before, after) in [
            ("redact:/a", r#"{"a":1,"b":2.50}"#, r#"{"a":null,"b":2.50}"#),
            (
                "redact:/a/b",
                r#"{"a":{"b":[1],"c":1e2}}"#,
                r#"{"a":{"b":null,"c":1e2}}"#,
            ),
            (
                "redact:/items/*/body",
                r#"{"items":[{"body":"x","id":1},{"id":2}]}"#,
                r#"{"items":[{"body":null,"id":1},{"id":2}]}"#,
            ),
            ("redact:/*/body", r#"[{"body":"x"}]"#, r#"[{"body":null}]"#),
            ("redact:/*", r#"{"a":1,"b":[2]}"#, r#"{"a":null,"b":null}"#),
            (
                "redact:/0/x,/1/y",
                r#"[{"x":1},{"y":2,"x":3}]"#,
                r#"[{"x":null},{"x":3,"y":null}]"#,
            ),
            (
                "redact:/a~1b/c~0d",
                r#"{"a/b":{"c~d":1}}"#,
                r#"{"a/b":{"c~d":null}}"#,
            ),
            ("redact:/none/such", r#"{"a":1}"#, r#"{"a":1}"#),
            ("redact:/a/b", r#"{"a":"text"}"#, r#"{"a":"text"}"#),
            ("redact:/00", "[1]", "[1]"),
        ] {
            let obligations: Obligations = obligation.parse().unwrap();
            let mut value = Value::parse(before.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
            obligations.redact(&mut value);
            assert_eq!(value.to_string(), after, "{obligation}");
        }
    }

    #[test]
    fn obligations_join_to_the_strictest() {
        let parse = |text: &str| text.parse::<Obligations>().unwrap();
        let mut all = Obligations::default();
        assert!(all.is_empty() && !all.redacts());
        for text in [
            "limit-bytes:500",
            "redact:/a",
            "limit-bytes:100",
            "redact:/b,/a",
            "limit-bytes:900",
        ] {
            all.join(&parse(text));
        }
        assert_eq!(all.to_string(), "limit-bytes:100 redact:/a redact:/b");
        assert_eq!(all.limit_bytes(), Some(100));
    }

    #[test]
    fn what_is_no_obligation_is_refused() {
        for bad in [
            "",
            "redact",
            "redact:",
            "redact:a",
            "redact:/a,",
            "redact:/~2",
            "limit-bytes:",
            "limit-bytes:0",
            "limit-bytes:-1",
            "limit-bytes:1k",
            "log:full",
            "Redact:/a",
        ] {
            assert!(bad.parse::<Obligations>().is_err(), "{bad}");
        }
        assert!(
            format!("redact:{}", "/a".repeat(16))
                .parse::<Obligations>()
                .is_ok()
        );
        assert!(
            format!("redact:{}", "/a".repeat(17))
                .parse::<Obligations>()
                .is_err()
        );
    }
}
