//! Kinds of values, and the one form in which two values of a kind are compared.
//!
//! A value is vouched for by another of the same kind that has the same canonical form. A form is exact: two values share
//! it only if an upstream that follows the kind's standard takes both for the same thing. What has no form (an address
//! with a look-alike letter, a number in words) is equal to nothing, and so nothing vouches for it and it vouches for
//! nothing.

mod find;
mod number;
mod web;

use std::fmt;
use std::str::FromStr;

use crate::{Decimal, NameError, Value};

pub use find::Identifier;

/// A kind of value, as an overlay's `sensitive` and `source` name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A bank account (ISO 13616): upper case, without spaces.
    Iban,
    /// A payment card's number (ISO/IEC 7812): digits.
    Card,
    /// A mailbox (RFC 5321 `addr-spec`): lower case, ASCII.
    Email,
    /// A telephone number: `+` and digits (E.164), or digits alone, which are another number.
    Phone,
    /// A host name (RFC 1123): lower case, ASCII; an international one in its `xn--` form.
    Domain,
    /// A web address (RFC 3986): host, port, path, query and fragment. `http`, `https` and none are one: they name the same
    /// resource, and what is sent there is Writ's matter and not the address's.
    Url,
    /// A UUID (RFC 9562): lower case.
    Uuid,
    /// An amount: an exact decimal number.
    Amount,
    /// A day: `2026-11-23`.
    Date,
    /// Words: white space is one space, everything else as it is.
    Text,
    /// A kind of the API owner's own, such as `channel` or `ticket_id`: exactly the text, or a whole number.
    Own(Box<str>),
}

/// A value in the canonical form of its kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical {
    kind: Kind,
    text: Box<str>,
}

/// Longest value that has a form, in bytes.
const LONGEST: usize = 2048;

impl Kind {
    /// The kinds with a form of their own.
    pub const KNOWN: [Self; 10] = [
        Self::Iban,
        Self::Card,
        Self::Email,
        Self::Phone,
        Self::Domain,
        Self::Url,
        Self::Uuid,
        Self::Amount,
        Self::Date,
        Self::Text,
    ];

    /// The word in overlays, policies and records.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Iban => "iban",
            Self::Card => "card",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Uuid => "uuid",
            Self::Amount => "amount",
            Self::Date => "date",
            Self::Text => "text",
            Self::Own(word) => word,
        }
    }

    /// The value's form in this kind; none if it is no value of the kind, or not exactly one.
    #[must_use]
    pub fn canonical(&self, value: &Value) -> Option<Canonical> {
        match value {
            Value::String(text) => self.of_text(text),
            Value::Number(number) if *self == Self::Amount => {
                self.form(number.to_decimal()?.to_string())
            }
            Value::Number(number) if matches!(self, Self::Own(_)) => {
                self.form(number.to_decimal()?.as_i64()?.to_string())
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// The form of a value that is a text.
    #[must_use]
    pub fn of_text(&self, text: &str) -> Option<Canonical> {
        if text.is_empty() || text.len() > LONGEST || text.chars().any(is_unseen) {
            return None;
        }
        let form = match self {
            Self::Iban => number::iban(text),
            Self::Card => number::card(text),
            Self::Phone => number::phone(text),
            Self::Uuid => number::uuid(text),
            Self::Date => number::date(text),
            Self::Email => web::email(text),
            Self::Domain => web::domain(text),
            Self::Url => web::url(text),
            Self::Amount => text
                .parse::<Decimal>()
                .ok()
                .map(|amount| amount.to_string()),
            Self::Text => words(text),
            Self::Own(_) => (text.trim() == text).then(|| text.to_owned()),
        };
        self.form(form?)
    }

    fn form(&self, text: String) -> Option<Canonical> {
        (!text.is_empty() && text.len() <= LONGEST).then(|| Canonical {
            kind: self.clone(),
            text: text.into(),
        })
    }
}

impl Canonical {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether its check digits are right; a kind without such digits has none that could be wrong.
    #[must_use]
    pub fn checks(&self) -> bool {
        match self.kind {
            Kind::Iban => number::iban_checks(&self.text),
            Kind::Card => number::luhn_checks(&self.text),
            Kind::Email
            | Kind::Phone
            | Kind::Domain
            | Kind::Url
            | Kind::Uuid
            | Kind::Amount
            | Kind::Date
            | Kind::Text
            | Kind::Own(_) => true,
        }
    }

    /// Whether `text`, written by a person, holds this value as a word of its own.
    ///
    /// Numbers that could stand there for anything else (`13` in `June 13`) count only where they are called an id. A value
    /// without any letter or digit, or of fewer than three characters, is found nowhere.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        find::is_in(self, text)
    }

    /// A text as a person reads it: without what is not seen, wide letters narrow, the dots of other scripts as dots.
    #[must_use]
    pub fn folded(text: &str) -> String {
        find::fold(text)
    }

    /// The identifiers in a text: addresses of the web, mailboxes, bank accounts and telephone numbers, those that are
    /// written to be overlooked included. At most `most`; none if there are more.
    #[must_use]
    pub fn identifiers(text: &str, most: usize) -> Option<Vec<Identifier>> {
        find::identifiers(text, most)
    }
}

/// Words with one space between them.
fn words(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A character that is not seen where it stands: control and format characters, fillers, variation selectors, tags. With
/// one, what a person reads is not what is compared. White space is seen.
pub(crate) const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\x7F'..='\u{9F}'
            | '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}'
            | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}' | '\u{E000}'..='\u{F8FF}'
    )
}

impl FromStr for Kind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(known) = Self::KNOWN.into_iter().find(|kind| kind.as_str() == text) {
            return Ok(known);
        }
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        if !text.is_empty() && text.len() <= 32 && text.bytes().all(plain) {
            Ok(Self::Own(text.into()))
        } else {
            Err(NameError::Word {
                kind: "kind of value",
                text: text.chars().take(64).collect(),
                longest: 32,
            })
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.kind, &self.text)
    }
}

#[cfg(test)]
mod tests;
