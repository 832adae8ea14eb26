//! Envelope encryption of credentials.
//!
//! Each version of a credential is encrypted under a key of its own, and that key under the installation's. Both bind
//! tenant, name and version as associated data, so that a ciphertext moved to another row does not open. AES-256-GCM-SIV
//! (RFC 8452): a nonce drawn twice would not give the key away.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use writ_types::{CredentialName, Secret, Tenant};

/// The first byte of what is stored; another layout would have another.
const LAYOUT: u8 = 1;
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const WRAPPED_LEN: usize = KEY_LEN + TAG_LEN;
/// Layout, nonce and wrapped key, nonce; the ciphertext follows.
const HEAD_LEN: usize = 1 + NONCE_LEN + WRAPPED_LEN + NONCE_LEN;

/// Why a credential was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed for another tenant, name or version, under another key, or has been altered. Which of these cannot
    /// be told.
    #[error(
        "the credential does not open: the key file is another one, or the row was altered or moved"
    )]
    DoesNotOpen,
    /// It is shorter than any sealed credential, or of a layout that this binary does not know.
    #[error("this is no sealed credential of a layout that this binary knows")]
    Layout,
    /// The system's random source or cipher failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// A sealed credential: ciphertext, and all that is ever stored or read of one.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// From what [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Seals and opens credentials under the installation's key.
pub struct CredentialSealer {
    key: LessSafeKey,
}

impl CredentialSealer {
    /// With the installation's key, as [`keyfile::load_or_create`](crate::keyfile::load_or_create) gives it.
    ///
    /// # Errors
    ///
    /// [`SealError::Library`].
    pub fn new(key: &Secret<[u8; 32]>) -> Result<Self, SealError> {
        cipher(key.expose()).map(|key| Self { key })
    }

    /// Seals the value of one version of a credential. Its length can be told from the outside.
    ///
    /// # Errors
    ///
    /// [`SealError::Library`].
    pub fn seal(
        &self,
        tenant: &Tenant,
        name: &CredentialName,
        version: u32,
        value: &Secret<String>,
    ) -> Result<Sealed, SealError> {
        let (wrap_nonce, nonce) = (fresh()?, fresh()?);
        let own = Secret::new(fresh::<KEY_LEN>()?);
        let value_context = context(Layer::Value, tenant, name, version);
        let body = seal_in(
            &cipher(own.expose())?,
            nonce,
            &value_context,
            value.expose().as_bytes(),
        )?;
        let key_context = context(Layer::Key, tenant, name, version);
        let wrapped = seal_in(&self.key, wrap_nonce, &key_context, own.expose())?;
        let parts: [&[u8]; 5] = [&[LAYOUT], &wrap_nonce, &wrapped, &nonce, &body];
        Ok(Sealed(parts.concat()))
    }

    /// Opens it again; tenant, name and version must be those it was sealed for.
    ///
    /// # Errors
    ///
    /// [`SealError::DoesNotOpen`] for any other tenant, name, version, key or byte; [`SealError::Layout`] for something
    /// that is no sealed credential.
    pub fn open(
        &self,
        tenant: &Tenant,
        name: &CredentialName,
        version: u32,
        sealed: &Sealed,
    ) -> Result<Secret<String>, SealError> {
        let (head, body) = sealed
            .0
            .split_at_checked(HEAD_LEN)
            .ok_or(SealError::Layout)?;
        let (layout, rest) = head.split_first().ok_or(SealError::Layout)?;
        let (wrap_nonce, rest) = rest.split_first_chunk().ok_or(SealError::Layout)?;
        let (wrapped, nonce) = rest
            .split_first_chunk::<WRAPPED_LEN>()
            .ok_or(SealError::Layout)?;
        let nonce = nonce.first_chunk().ok_or(SealError::Layout)?;
        if *layout != LAYOUT {
            return Err(SealError::Layout);
        }
        let wrap_context = context(Layer::Key, tenant, name, version);
        let own = open_in(&self.key, *wrap_nonce, &wrap_context, wrapped)?;
        let own = own.expose().first_chunk().ok_or(SealError::DoesNotOpen)?;
        let context = context(Layer::Value, tenant, name, version);
        let value = open_in(&cipher(own)?, *nonce, &context, body)?;
        let text =
            std::str::from_utf8(value.expose()).map_err(|_not_text| SealError::DoesNotOpen)?;
        Ok(Secret::new(text.to_owned()))
    }
}

impl fmt::Debug for CredentialSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSealer([redacted])")
    }
}

/// Which of the two encryptions a context belongs to.
#[derive(Clone, Copy)]
enum Layer {
    Key,
    Value,
}

/// What a ciphertext is bound to. Every part is preceded by its length, so that no two contexts are the same bytes.
fn context(layer: Layer, tenant: &Tenant, name: &CredentialName, version: u32) -> Vec<u8> {
    let layer = match layer {
        Layer::Key => "writ credential key v1",
        Layer::Value => "writ credential value v1",
    };
    let mut context = Vec::new();
    for part in [tenant.as_str(), name.as_str(), layer] {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.extend_from_slice(&length.to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context.extend_from_slice(&version.to_be_bytes());
    context
}

fn cipher(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key).map_err(|_bad_key| SealError::Library)?;
    Ok(LessSafeKey::new(key))
}

fn fresh<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_no_randomness| SealError::Library)?;
    Ok(bytes)
}

fn seal_in(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    context: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    // With room for the tag, so that no plaintext stays behind in a buffer that was outgrown.
    let mut buffer = Vec::with_capacity(plain.len().saturating_add(TAG_LEN));
    buffer.extend_from_slice(plain);
    let nonce = Nonce::assume_unique_for_key(nonce);
    match key.seal_in_place_separate_tag(nonce, Aad::from(context), &mut buffer) {
        Ok(tag) => {
            buffer.extend_from_slice(tag.as_ref());
            Ok(buffer)
        }
        Err(_cipher_failed) => {
            drop(Secret::new(buffer));
            Err(SealError::Library)
        }
    }
}

fn open_in(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    context: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, SealError> {
    let mut buffer = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = key.open_in_place(nonce, Aad::from(context), &mut buffer);
    let length = opened
        .map_err(|_does_not_open| SealError::DoesNotOpen)?
        .len();
    buffer.truncate(length);
    Ok(Secret::new(buffer))
}

#[cfg(test)]
mod tests;
