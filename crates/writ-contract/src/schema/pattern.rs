//! `pattern`: ECMA-262 regular expressions in the words of the `regex` crate, which runs in linear time.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const LONGEST: usize = 4 * 1024;
/// Most distinct patterns of one document.
const MOST: usize = 2_048;
/// Largest compiled pattern, in bytes.
const SIZE: usize = 512 * 1024;

/// Compiles each distinct pattern once.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    known: BTreeMap<String, Option<Regex>>,
}

impl Patterns {
    /// The pattern, unless it cannot be expressed (look-around, back-references) or is beyond the bounds.
    pub(super) fn compile(&mut self, pattern: &str) -> Option<Regex> {
        if let Some(known) = self.known.get(pattern) {
            return known.clone();
        }
        if pattern.len() > LONGEST || self.known.len() >= MOST {
            return None;
        }
        let compiled = RegexBuilder::new(&translate(pattern))
            .size_limit(SIZE)
            .dfa_size_limit(SIZE)
            .nest_limit(64)
            .build()
            .ok();
        self.known.insert(pattern.to_owned(), compiled.clone());
        compiled
    }
}

/// What means something else in ECMA-262: `\d` and `\w` are ASCII, and inside a class `[`, `&&`, `~~` are plain
/// characters.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len().saturating_add(16));
    let mut in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class {
                    "0-9A-Za-z_"
                } else {
                    "[0-9A-Za-z_]"
                }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some(escaped) => {
                    out.push('\\');
                    out.push(escaped);
                }
                None => out.push('\\'),
            },
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                // `[^]` is any character, `[]` none; neither is written so here, and both fail to compile.
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(char);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_ecma_262_says() {
        let table = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "१२", false),
            (r"^[\w.]+$", "a.b_1", true),
            (r"^[\w.]+$", "ä", false),
            (r"^[\W]$", "-", true),
            (r"^[[a]$", "[", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[^/]+\/[^/]+$", "a/b", true),
            (r"^[a-z0-9\-]+$", "a-b", true),
            ("b", "abc", true),
            ("^a$", "a\n", false),
        ];
        for (pattern, text, expect) in table {
            let regex = Patterns::default().compile(pattern).unwrap();
            assert_eq!(regex.is_match(text), expect, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_cannot_be_expressed_is_none() {
        for pattern in [
            "(?!a)b",
            r"(a)\1",
            "(",
            "[",
            "(a{500}){500}",
            &"a".repeat(5000),
        ] {
            assert!(Patterns::default().compile(pattern).is_none(), "{pattern}");
        }
    }
}
