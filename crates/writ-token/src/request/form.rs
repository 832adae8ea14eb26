//! `application/x-www-form-urlencoded` (RFC 6749 appendix B), strictly.

use std::collections::BTreeMap;

/// Why a form was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormFault {
    /// Larger than the limit, or too many parameters.
    Size,
    /// A broken escape, a raw character that must be escaped, or no UTF-8.
    Syntax,
}

/// The parameters by name, each with all its values. A parameter without a value is as good as omitted (RFC 6749 §3.2),
/// but it counts as a value where repetition is refused.
pub(super) struct Form(BTreeMap<String, Vec<String>>);

const MOST_PARAMETERS: usize = 64;

impl Form {
    pub(super) fn parse(text: &str, most_bytes: usize) -> Result<Self, FormFault> {
        if text.len() > most_bytes {
            return Err(FormFault::Size);
        }
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (place, pair) in text.split('&').enumerate() {
            if place >= MOST_PARAMETERS {
                return Err(FormFault::Size);
            }
            let (name, value) = pair.split_once('=').ok_or(FormFault::Syntax)?;
            let (name, value) = (decode(name)?, decode(value)?);
            if name.is_empty() {
                return Err(FormFault::Syntax);
            }
            parameters.entry(name).or_default().push(value);
        }
        Ok(Self(parameters))
    }

    /// Every name that stands more than once.
    pub(super) fn repeated(&self) -> impl Iterator<Item = &str> {
        let several = |entry: &(&String, &Vec<String>)| entry.1.len() > 1;
        self.0.iter().filter(several).map(|(name, _)| name.as_str())
    }

    /// The value of a parameter that does not stand twice; none if it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match self.0.get(name)?.as_slice() {
            [value] if !value.is_empty() => Some(value),
            _ => None,
        }
    }
}

/// The form with every value that `is_trap` knows made into one that it is not: whoever reads it refuses it in the words
/// in which it refuses what was never good. What is no form is left as it is; its reader refuses it.
#[must_use]
pub fn disarmed(text: &str, mut is_trap: impl FnMut(&str) -> bool) -> String {
    let mut pairs = Vec::new();
    for (place, pair) in text.split('&').enumerate() {
        let value = pair.split_once('=').and_then(|(_, raw)| decode(raw).ok());
        let sprung = place < MOST_PARAMETERS && value.is_some_and(|value| is_trap(&value));
        pairs.push(if sprung {
            spoiled(pair)
        } else {
            pair.to_owned()
        });
    }
    pairs.join("&")
}

/// A text that differs in its last character alone: both are digits of any escape that may end there.
fn spoiled(text: &str) -> String {
    let mut spoiled = text.to_owned();
    let last = if spoiled.pop() == Some('A') { 'B' } else { 'A' };
    spoiled.push(last);
    spoiled
}

fn decode(text: &str) -> Result<String, FormFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let pair = high.zip(low).map(|(high, low)| (high << 4) | low);
                pair.and_then(|pair| u8::try_from(pair).ok())
                    .ok_or(FormFault::Syntax)?
            }
            plain if plain.is_ascii_graphic() && !matches!(plain, b'"' | b'<' | b'>' | b'#') => {
                plain
            }
            _ => return Err(FormFault::Syntax),
        });
    }
    String::from_utf8(bytes).map_err(|_not_utf8| FormFault::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_laid_for_thieves_becomes_something_else_and_the_rest_stays() {
        for (form, disarmed_form) in [
            ("a=trap", "a=traA"),
            ("a=b&c=t%72ap", "a=b&c=t%72aA"),
            ("a=tra%70&b=c", "a=tra%7A&b=c"),
            ("a=trapA&b=trap&b=trap", "a=trapA&b=traA&b=traA"),
            ("trap=a&trap", "trap=a&trap"),
            ("a=%zz&b=trap", "a=%zz&b=traA"),
            ("", ""),
        ] {
            assert_eq!(disarmed(form, |text| text == "trap"), disarmed_form);
        }
        assert_eq!(disarmed("a=A", |text| text == "A"), "a=B");
    }

    #[test]
    fn forms_are_read_strictly() {
        let form = Form::parse("a=1&b=x+y%20z&c=&d=%F0%9F%A6%80&e=a=b", 100)
            .ok()
            .unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), Some("x y z"));
        assert_eq!(form.get("c"), None);
        assert_eq!(form.get("d"), Some("\u{1F980}"));
        assert_eq!(form.get("e"), Some("a=b"));
        assert_eq!(form.repeated().count(), 0);
        let twice = Form::parse("a=1&%61=", 100).ok().unwrap();
        assert_eq!(twice.repeated().collect::<Vec<_>>(), ["a"]);
        for bad in [
            "", "a", "=1", "a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff", "a=1&", "a=\u{e9}", "a=b c",
            "a=\0",
        ] {
            assert_eq!(
                Form::parse(bad, 100).err(),
                Some(FormFault::Syntax),
                "{bad:?}"
            );
        }
        assert_eq!(Form::parse("a=12", 3).err(), Some(FormFault::Size));
        let many = vec!["a=1"; 65].join("&");
        assert_eq!(Form::parse(&many, 1000).err(), Some(FormFault::Size));
    }
}
