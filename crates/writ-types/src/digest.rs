//! SHA-256 digests and keyed commitments.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, hmac};

use crate::Secret;

/// A text is not `sha256:` (or, for a keyed digest, `hmac:`) and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` or `hmac:` and 64 lower-case hexadecimal digits")]
pub struct DigestError;

/// A SHA-256 digest, printed `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// The digest of the parts one after another. The caller separates them so that they cannot run together.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("sha256:").ok_or(DigestError)?;
        unhex(digits).map(Self).ok_or(DigestError)
    }
}

/// An HMAC-SHA-256 commitment to a value that could be guessed (a name, an address, an amount), printed `hmac:<hex>`.
///
/// A bare digest of such a value is as good as the value; with the tenant's audit key it can be searched for by those
/// who hold the key and by nobody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyedDigest([u8; 32]);

impl KeyedDigest {
    /// Commits to `bytes` under `key`; `context` separates uses of one key and ends at a zero byte.
    #[must_use]
    pub fn of(key: &Secret<[u8; 32]>, context: &str, bytes: &[u8]) -> Self {
        let mut hasher = Self::begin(key, context);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Begins a commitment to bytes that come in parts.
    #[must_use]
    pub fn begin(key: &Secret<[u8; 32]>, context: &str) -> KeyedHasher {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
        mac.update(context.as_bytes());
        mac.update(&[0]);
        KeyedHasher(mac)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A commitment that is being made, part by part.
#[derive(Clone)]
pub struct KeyedHasher(hmac::Context);

impl KeyedHasher {
    /// Takes the next part. Parts run together: the caller separates them where that matters.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The commitment to all parts.
    #[must_use]
    pub fn finish(self) -> KeyedDigest {
        let mut tag = [0; 32];
        tag.copy_from_slice(self.0.sign().as_ref());
        KeyedDigest(tag)
    }
}

impl fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHasher")
    }
}

impl fmt::Display for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hmac:")?;
        hex(&self.0, f)
    }
}

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyedDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("hmac:").ok_or(DigestError)?;
        unhex(digits).map(Self).ok_or(DigestError)
    }
}

fn hex(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut text = [0u8; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 0xF));
        }
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let nibble = |byte: &u8| match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a')?.checked_add(10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (nibble(high)? << 4) | nibble(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_print_and_read_back() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(
            "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
                .parse::<Digest>()
                .is_err()
        );
        assert!("sha256:ba".parse::<Digest>().is_err());
    }

    #[test]
    fn a_commitment_depends_on_key_and_context() {
        let (one, two) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let base = KeyedDigest::of(&one, "prompt", b"refund order 17");
        assert_eq!(base, KeyedDigest::of(&one, "prompt", b"refund order 17"));
        assert_ne!(base, KeyedDigest::of(&two, "prompt", b"refund order 17"));
        assert_eq!(base.to_string().parse(), Ok(base));
        assert!(
            base.to_string()
                .replace("hmac:", "sha256:")
                .parse::<KeyedDigest>()
                .is_err()
        );
        assert_ne!(base, KeyedDigest::of(&one, "promptr", b"efund order 17"));
    }
}
