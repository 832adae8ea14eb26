//! Signed notes (C2SP signed-note v1.0.0) with Ed25519 keys.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_types::{Digest, Secret};

/// The signature type of an Ed25519 signature over the note's text.
const ED25519_TYPE: u8 = 0x01;

/// Longest note that is read, in bytes: a checkpoint and sixteen post-quantum signatures.
const LONGEST: usize = 128 * 1024;

/// Why a note was refused, or a key could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key name is empty or holds a space, a `+` or a control character.
    #[error("a key name is not empty and has no spaces, no `+` and no control characters")]
    Name,
    /// A verifier key is not `name+hash+key`, or its hash is not that of its name and key.
    #[error("not a verifier key: `name+<8 hex digits>+<base64 of an Ed25519 key>`")]
    VerifierKey,
    /// The signing key is not a usable Ed25519 seed.
    #[error("not a usable Ed25519 signing key")]
    SigningKey,
    /// The text is no note: not UTF-8, too long, with control characters, or without signatures.
    #[error("not a signed note")]
    Format,
    /// No signature is by the key that was asked for.
    #[error("not signed by the key that was given")]
    Unsigned,
    /// A signature by the key that was asked for does not verify.
    #[error("the signature does not verify")]
    Signature,
}

/// The name of a key, by which a log is known: for a log of ours `<install>/<tenant>/<node>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let plain = |char: char| !char.is_whitespace() && !char.is_control() && char != '+';
        if text.is_empty() || text.len() > 512 || !text.chars().all(plain) {
            return Err(NoteError::Name);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// A public key that verifies notes; its text is `name+hash+key`, the *vkey*.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    key: [u8; 32],
}

impl VerifierKey {
    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// `SHA-256(name || 0x0A || 0x01 || key)[:4]`: tells keys apart, proves nothing.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let parts: [&[u8]; 3] = [self.name.0.as_bytes(), &[b'\n', ED25519_TYPE], &self.key];
        let digest = Digest::of_parts(&parts);
        digest.as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// Verifies `note` and gives its text. Signatures of other keys are ignored.
    ///
    /// # Errors
    ///
    /// [`NoteError`]; also if one of several signatures by this key fails.
    pub fn open<'a>(&self, note: &'a [u8]) -> Result<&'a str, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_not_text| NoteError::Format)?;
        let control = |byte: u8| byte < 0x20 && byte != b'\n';
        if note.len() > LONGEST || note.bytes().any(control) || !note.ends_with('\n') {
            return Err(NoteError::Format);
        }
        let gap = note.rfind("\n\n").ok_or(NoteError::Format)?;
        let (text, rest) = note
            .split_at_checked(gap.saturating_add(1))
            .ok_or(NoteError::Format)?;
        let lines = rest.strip_prefix('\n').ok_or(NoteError::Format)?;
        let mut verified = Err(if lines.is_empty() {
            NoteError::Format
        } else {
            NoteError::Unsigned
        });
        for line in lines.lines() {
            let (name, signature) = line
                .strip_prefix("— ")
                .and_then(|line| line.split_once(' '))
                .ok_or(NoteError::Format)?;
            let signature = STANDARD
                .decode(signature)
                .map_err(|_not_base64| NoteError::Format)?;
            let (id, signature) = signature
                .split_first_chunk::<4>()
                .ok_or(NoteError::Format)?;
            let name: KeyName = name.parse().map_err(|_bad_name| NoteError::Format)?;
            if name == self.name && *id == self.id() {
                UnparsedPublicKey::new(&ED25519, &self.key)
                    .verify(text.as_bytes(), signature)
                    .map_err(|_unspecified| NoteError::Signature)?;
                verified = Ok(text);
            }
        }
        verified
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = vec![ED25519_TYPE];
        encoded.extend_from_slice(&self.key);
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(encoded))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim_end().splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let encoded = STANDARD
            .decode(key)
            .map_err(|_not_base64| NoteError::VerifierKey)?;
        let key = match encoded.split_first() {
            Some((&ED25519_TYPE, key)) => {
                key.try_into().map_err(|_length| NoteError::VerifierKey)?
            }
            _ => return Err(NoteError::VerifierKey),
        };
        let name = name.parse()?;
        let read = Self { name, key };
        // The text is written again, so that a hash of another key or a second spelling is refused.
        if read.to_string() == text.trim_end() {
            Ok(read)
        } else {
            Err(NoteError::VerifierKey)
        }
    }
}

/// A private key that signs notes.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// The signer of that name whose Ed25519 seed is `seed`.
    ///
    /// # Errors
    ///
    /// [`NoteError::SigningKey`]
    pub fn new(name: KeyName, seed: &Secret<[u8; 32]>) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_rejected| NoteError::SigningKey)?;
        let key = pair.public_key().as_ref();
        let key = key.try_into().map_err(|_length| NoteError::SigningKey)?;
        Ok(Self {
            verifier: VerifierKey { name, key },
            pair,
        })
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The signed note of `text`, which ends in a newline.
    #[must_use]
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let mut line = self.verifier.id().to_vec();
        line.extend_from_slice(signature.as_ref());
        format!(
            "{text}\n— {} {}\n",
            self.verifier.name,
            STANDARD.encode(line)
        )
    }
}

#[cfg(test)]
mod tests;
