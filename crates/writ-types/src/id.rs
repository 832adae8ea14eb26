//! Typed ids: a `UUIDv7` (RFC 9562 §5.7) behind a prefix that names its kind, in the `TypeID` text form.
//!
//! `tsk_01jd…`: three letters, `_`, and 26 characters of Crockford base32 in lower case. The text sorts by time.

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The prefix names another kind, or there is none.
    #[error("an id of this kind begins with `{wanted}_`")]
    Prefix {
        /// The prefix that was wanted.
        wanted: &'static str,
    },
    /// The part after the prefix is not 26 characters of lower-case Crockford base32 that hold a `UUIDv7`.
    #[error("`{wanted}_` is followed by 26 characters of lower-case base32")]
    Suffix {
        /// The prefix that was wanted.
        wanted: &'static str,
    },
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The 128 bits of a `UUIDv7`: 48 bits of milliseconds, then version, variant and 74 random bits.
fn uuid_v7(now: Timestamp, random: [u8; 10]) -> u128 {
    let millis = u128::from(now.millis_since_epoch() & 0xFFFF_FFFF_FFFF);
    let tail = random
        .iter()
        .fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let rand_a = (tail >> 68) & 0xFFF;
    let rand_b = tail & 0x3FFF_FFFF_FFFF_FFFF;
    (millis << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b
}

fn encode(bits: u128) -> [u8; 26] {
    let mut rest = bits;
    let mut text = [0; 26];
    for place in text.iter_mut().rev() {
        let index = usize::try_from(rest & 0x1F).unwrap_or(0);
        *place = ALPHABET.get(index).copied().unwrap_or(b'0');
        rest >>= 5;
    }
    text
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    let mut bits: u128 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let value = u128::try_from(ALPHABET.iter().position(|known| *known == byte)?).ok()?;
        if place == 0 && value > 7 {
            return None;
        }
        bits = (bits << 5) | value;
    }
    let (version, variant) = ((bits >> 76) & 0xF, (bits >> 62) & 0b11);
    (version == 7 && variant == 0b10).then_some(bits)
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The three letters before the `_`.
            pub const PREFIX: &'static str = $prefix;

            /// An id made at `now` from ten bytes of a secure random source.
            #[must_use]
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }

            /// The 16 bytes of the `UUIDv7`, big-endian.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Every record has a dozen of these: no formatting machinery, no allocation.
                f.write_str(Self::PREFIX)?;
                f.write_str("_")?;
                f.write_str(std::str::from_utf8(&encode(self.0)).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let suffix = text
                    .strip_prefix(Self::PREFIX)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .ok_or(IdError::Prefix { wanted: Self::PREFIX })?;
                decode(suffix).map(Self).ok_or(IdError::Suffix { wanted: Self::PREFIX })
            }
        }
    };
}

typed_id!(
    /// A task: the unit of authority.
    TaskId,
    "tsk"
);
typed_id!(
    /// A registered agent.
    AgentId,
    "agt"
);
typed_id!(
    /// An approval.
    ApprovalId,
    "apr"
);
typed_id!(
    /// A change that takes two people.
    ChangeId,
    "chg"
);
typed_id!(
    /// An audit record.
    RecordId,
    "rec"
);
typed_id!(
    /// One call through the gateway; also its `decision_id` and the value of `Writ-Call-Id`.
    CallId,
    "cal"
);
typed_id!(
    /// An access token (`jti`).
    TokenId,
    "tok"
);
typed_id!(
    /// An operator of the control plane.
    OperatorId,
    "opr"
);
typed_id!(
    /// One request to the control plane.
    RequestId,
    "req"
);
typed_id!(
    /// One immutable revision of contracts, policies, keys and agents.
    RevisionId,
    "rev"
);

#[cfg(test)]
mod tests;
