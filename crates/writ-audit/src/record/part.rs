//! The small parts of records: each a type of its own, so that two of them cannot be exchanged.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use writ_types::{Digest, RecordId, Timestamp};

/// Why a text is not a part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// Not the name of a node.
    #[error("a node name is 1 to 63 of `a-z 0-9 - .`, beginning with a letter or digit")]
    Node,
    /// Not a method.
    #[error("a method is 1 to 32 upper-case letters and `-`")]
    Method,
    /// Not a word.
    #[error("a word is 1 to 64 of `a-z 0-9 - _ .`, beginning with a letter")]
    Word,
    /// Not a trace id.
    #[error("a trace id is 32 lower-case hexadecimal digits, not all zero")]
    Trace,
    /// Not a network.
    #[error("a source is a /24 of IPv4 or a /48 of IPv6")]
    Source,
    /// Not a day.
    #[error("a day is `YYYY-MM-DD`, from 1970-01-01 on")]
    Day,
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $error:ident, $good:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = PartError;

            fn from_str(text: &str) -> Result<Self, PartError> {
                let good: fn(&str) -> bool = $good;
                good(text).then(|| Self(text.into())).ok_or(PartError::$error)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

word!(
    /// The machine that wrote a record; the last part of its log's origin.
    NodeName,
    Node,
    |text| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() <= 63
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
    }
);
word!(
    /// The request method of a call (RFC 9110 §9).
    Method,
    Method,
    |text| {
        (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    }
);
word!(
    /// One of our own words: what an operator did (`agent.add`), what a key is for (`token`).
    Word,
    Word,
    |text| {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        };
        text.len() <= 64
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
            && text.bytes().all(plain)
    }
);

/// The trace a call belongs to (W3C Trace Context, `trace-id`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// From its 16 bytes; none if all are zero.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let bits = u128::from_be_bytes(bytes);
        (bits != 0).then_some(Self(bits))
    }
}

impl FromStr for TraceId {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(digits) {
            return Err(PartError::Trace);
        }
        let bits = u128::from_str_radix(text, 16).map_err(|_not_hex| PartError::Trace)?;
        Self::from_bytes(bits.to_be_bytes()).ok_or(PartError::Trace)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a call came from, cut to the network: a /24 of IPv4, a /48 of IPv6. The rest of an address is a person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The network of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Source {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let (address, _) = text.split_once('/').ok_or(PartError::Source)?;
        let source = Self::of(address.parse().map_err(|_no_address| PartError::Source)?);
        if source.to_string() == text {
            Ok(source)
        } else {
            Err(PartError::Source)
        }
    }
}

/// A UTC calendar day: the unit in which evidence is kept and deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Timestamp);

impl Day {
    /// The day of `instant`.
    #[must_use]
    pub fn of(instant: Timestamp) -> Self {
        let within = instant.millis_since_epoch() % 86_400_000;
        Self(Timestamp::from_millis(
            instant.millis_since_epoch().saturating_sub(within),
        ))
    }

    /// The day on which a record with this id was made: the first 48 bits of a `UUIDv7` are milliseconds.
    #[must_use]
    pub fn of_record(record: RecordId) -> Self {
        let bits = u128::from_be_bytes(record.to_bytes()) >> 80;
        Self::of(Timestamp::from_millis(u64::try_from(bits).unwrap_or(0)))
    }

    /// Its first instant.
    #[must_use]
    pub const fn begin(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let instant = Timestamp::parse(&format!("{text}T00:00:00.000Z")).ok_or(PartError::Day)?;
        Ok(Self(instant))
    }
}

/// What a record commits to in the vault: the ciphertext, in the file of a day, under the record's own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceRef {
    /// The day whose key encrypts it.
    pub day: Day,
    /// The digest of the ciphertext, which stays true when the key is gone.
    pub digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_cut_to_its_network() {
        for (address, text) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            let source = Source::of(address.parse().unwrap());
            assert_eq!(source.to_string(), text);
            assert_eq!(text.parse(), Ok(source));
        }
        for bad in [
            "203.0.113.77/24",
            "203.0.113.0",
            "203.0.113.0/32",
            "2001:db8:1::/64",
            "x/24",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_have_one_spelling() {
        assert!(
            "0af7651916cd43dd8448eb211c80319c"
                .parse::<TraceId>()
                .is_ok()
        );
        for bad in [
            "",
            "0AF7651916CD43DD8448EB211C80319C",
            "+af7651916cd43dd8448eb211c80319c",
            &"0".repeat(32),
        ] {
            assert!(bad.parse::<TraceId>().is_err(), "{bad}");
        }
        let day = Day::of(Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(day.to_string(), "2023-11-14");
        assert_eq!("2023-11-14".parse(), Ok(day));
        let made = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(Day::of_record(RecordId::new(made, [255; 10])), day);
        for bad in ["2023-11-31", "2023-1-1", "", "2023-11-14T"] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
        assert!("PATCH".parse::<Method>().is_ok() && "M-SEARCH".parse::<Method>().is_ok());
        assert!("get".parse::<Method>().is_err() && "".parse::<Method>().is_err());
        assert!("agent.add".parse::<Word>().is_ok() && "Agent".parse::<Word>().is_err());
        assert!("gw-1.example".parse::<NodeName>().is_ok() && "gw/1".parse::<NodeName>().is_err());
    }
}
