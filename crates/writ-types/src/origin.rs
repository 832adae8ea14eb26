//! What vouches for a value (DESIGN §2 "origin").

use std::fmt;
use std::str::FromStr;

use crate::{Canonical, KeyedDigest, Kind, Secret};

/// How far a response field is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// The API mints the value or its owner entered it: it vouches.
    Trusted,
    /// The other party chose it, such as the sender of a message: it vouches only for a reply to that same object.
    Party,
}

impl Trust {
    /// The word in overlays.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Party => "party",
        }
    }
}

impl FromStr for Trust {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "trusted" => Ok(Self::Trusted),
            "party" => Ok(Self::Party),
            _ => Err("a source's `trust` is `trusted` or `party`"),
        }
    }
}

/// A response field whose values vouch (`x-writ: {source: {trust, kind}}`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// How far it is trusted.
    pub trust: Trust,
    /// What its values are.
    pub kind: Kind,
}

/// Where a value of a sensitive argument comes from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// It is within the task's bounds for this argument.
    Bounds,
    /// A person said yes to it for this argument.
    Endorsement,
    /// It stands in the prompt, as the user's own client sent it.
    Prompt,
    /// A trusted response field of the same kind had it.
    Field,
    /// A party's field of the very object that this call answers had it.
    Party,
    /// Only content that nothing vouches for had it.
    Seen,
    /// Nothing had it: it is computed, or smuggled.
    Unseen,
}

impl Origin {
    /// Every origin, the strongest first.
    pub const ALL: [Self; 7] = [
        Self::Bounds,
        Self::Endorsement,
        Self::Prompt,
        Self::Field,
        Self::Party,
        Self::Seen,
        Self::Unseen,
    ];

    /// The origin of that word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == word)
    }

    /// Whether it vouches.
    #[must_use]
    pub const fn vouches(self) -> bool {
        match self {
            Self::Bounds | Self::Endorsement | Self::Prompt | Self::Field | Self::Party => true,
            Self::Seen | Self::Unseen => false,
        }
    }

    /// The word in records and on cards.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounds => "bounds",
            Self::Endorsement => "endorsement",
            Self::Prompt => "prompt",
            Self::Field => "field",
            Self::Party => "party",
            Self::Seen => "seen",
            Self::Unseen => "unseen",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value, known again but not known: the first half of a keyed digest of its kind and form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueDigest([u8; 16]);

impl ValueDigest {
    /// The digest of a value.
    #[must_use]
    pub fn of(key: &Secret<[u8; 32]>, value: &Canonical) -> Self {
        Self::of_parts(key, "value", &[value.kind().as_str(), value.as_str()])
    }

    /// The digest of a form whatever kind it is read as: what a task has written is known again under every kind.
    #[must_use]
    pub fn of_form(key: &Secret<[u8; 32]>, value: &Canonical) -> Self {
        Self::of_parts(key, "form", &[value.as_str()])
    }

    /// The digest of a value that counts for one argument of one operation alone.
    #[must_use]
    pub fn of_argument(
        key: &Secret<[u8; 32]>,
        action: &str,
        parameter: &str,
        value: &Canonical,
    ) -> Self {
        let parts = [action, parameter, value.kind().as_str(), value.as_str()];
        Self::of_parts(key, "argument", &parts)
    }

    /// The digest of a party's value together with the object it belongs to.
    #[must_use]
    pub fn of_reply(key: &Secret<[u8; 32]>, object: &Canonical, value: &Canonical) -> Self {
        let (object_kind, kind) = (object.kind().as_str(), value.kind().as_str());
        let parts = [object_kind, object.as_str(), kind, value.as_str()];
        Self::of_parts(key, "reply", &parts)
    }

    fn of_parts(key: &Secret<[u8; 32]>, use_: &str, parts: &[&str]) -> Self {
        let mut hasher = KeyedDigest::begin(key, "origin");
        hasher.update(use_.as_bytes());
        for part in parts {
            // Lengths keep parts from running together.
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finish();
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Self(half)
    }
}

/// Several of them, as records carry them: in hexadecimal, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValueDigests(pub Vec<ValueDigest>);

impl ValueDigests {
    /// The length of one in a record, in bytes.
    pub const TEXT_BYTES: usize = 32;
}

impl fmt::Display for ValueDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0.iter().flat_map(|digest| &digest.0);
        bytes.try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ValueDigests {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = |text: &[u8]| {
            let text = std::str::from_utf8(text).ok()?;
            let lower = |digit: char| digit.is_ascii_digit() || ('a'..='f').contains(&digit);
            let number = u128::from_str_radix(text, 16).ok()?;
            (text.len() == Self::TEXT_BYTES && text.chars().all(lower))
                .then(|| ValueDigest(number.to_be_bytes()))
        };
        let digests = text.as_bytes().chunks(Self::TEXT_BYTES).map(digest);
        let digests: Option<Vec<_>> = digests.collect();
        digests.map(Self).ok_or("digests of 32 digits each")
    }
}

impl fmt::Debug for ValueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ownis_of_one_value_in_one_use_under_one_key() {
        let (key, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let value = |kind: &str, text: &str| kind.parse::<Kind>().unwrap().of_text(text).unwrap();
        let bob = value("user", "Bob");
        let own = ValueDigest::of(&key, &bob);
        assert_eq!(own, ValueDigest::of(&key, &value("user", "Bob")));
        let others = [
            ValueDigest::of(&other, &bob),
            ValueDigest::of(&key, &value("user", "Eve")),
            ValueDigest::of(&key, &value("channel", "Bob")),
            ValueDigest::of_form(&key, &bob),
            ValueDigest::of_argument(&key, "chat:send", "/body/to", &bob),
            ValueDigest::of_reply(&key, &value("message", "7"), &bob),
        ];
        for other in others {
            assert_ne!(own, other);
        }
        assert_eq!(
            ValueDigest::of_form(&key, &bob),
            ValueDigest::of_form(&key, &value("channel", "Bob")),
            "what was written is known again under every kind"
        );
        assert_ne!(
            ValueDigest::of_argument(&key, "a", "bc", &bob),
            ValueDigest::of_argument(&key, "ab", "c", &bob)
        );
    }

    #[test]
    fn several_are_read_as_they_were_written() {
        let digests = ValueDigests(vec![ValueDigest([0; 16]), ValueDigest([0xab; 16])]);
        let text = digests.to_string();
        assert_eq!(text.len(), 2 * ValueDigests::TEXT_BYTES);
        assert_eq!(text.parse(), Ok(digests));
        assert_eq!("".parse(), Ok(ValueDigests::default()));
        for bad in [
            "a",
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replace("ab", "+b"),
            "ä",
        ] {
            assert!(bad.parse::<ValueDigests>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_was_seen_or_never_seen_does_not_vouch() {
        let vouching = [
            Origin::Bounds,
            Origin::Endorsement,
            Origin::Prompt,
            Origin::Field,
            Origin::Party,
        ];
        assert!(vouching.into_iter().all(Origin::vouches));
        assert!(!Origin::Seen.vouches() && !Origin::Unseen.vouches());
        assert_eq!("trusted".parse(), Ok(Trust::Trusted));
        assert_eq!("party".parse(), Ok(Trust::Party));
        assert!("untrusted".parse::<Trust>().is_err());
    }
}
