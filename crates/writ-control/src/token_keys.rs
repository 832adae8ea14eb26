//! The keys of access tokens, and their rotation.
//!
//! Three generations are published (RFC 7517): the key that signs, the one that will, so that whoever keeps the JWKS for a
//! while knows it before its first token, and those that signed before, until their last token has ended. Private keys
//! lie in files of their own; of a retired key only the public half is left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use writ_store::{KeyFileError, keyfile};
use writ_token::{
    AccessTokenClaims, Jwk, KeySet, KeyUse, SignError, Signer, VerifyingKey, generate_signing_key,
};
use writ_types::{Digest, JsonLimits, Secret, Timestamp, Value};

const CURRENT: &str = "token.p8";
const NEXT: &str = "token-next.p8";
const RETIRED: &str = "token-retired.json";

/// How long after a token's end its key is still published: clocks differ.
const GRACE: Duration = Duration::from_secs(60);

/// Why the keys of access tokens cannot be used or replaced.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// A key file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A key.
    #[error("the token key cannot be used")]
    Key(#[from] SignError),
    /// The list of retired keys.
    #[error("cannot read or write `{}`", .path.display())]
    Retired {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The list of retired keys is not what was written.
    #[error("`{}` is damaged: remove it, and tokens of the keys before are refused", .0.display())]
    Damaged(PathBuf),
}

/// What becomes of the key that signed until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Its tokens live out their minutes.
    Retire,
    /// Its tokens are refused from here on, and so are those of the keys before it.
    Revoke,
}

/// A key that signs no more.
#[derive(Debug, Clone)]
struct Retired {
    entry: Value,
    key: VerifyingKey,
    until: Timestamp,
}

/// One generation of the keys of access tokens.
#[derive(Debug)]
pub struct TokenKeys {
    folder: PathBuf,
    current: Arc<Signer>,
    next: Arc<Signer>,
    retired: Vec<Retired>,
}

impl TokenKeys {
    /// Reads the keys in `folder`, and makes those that are missing.
    ///
    /// # Errors
    ///
    /// [`TokenKeyError`].
    pub fn open(folder: &Path) -> Result<Self, TokenKeyError> {
        let current = read_or_make(&folder.join(CURRENT))?;
        Ok(Self {
            folder: folder.to_owned(),
            next: Arc::new(read_or_make(&folder.join(NEXT))?),
            // Cut off between its steps, a rotation leaves the key that still signs in the list.
            retired: read_retired(&folder.join(RETIRED))?
                .into_iter()
                .filter(|retired| retired.key.kid() != Some(current.kid()))
                .collect(),
            current: Arc::new(current),
        })
    }

    /// The key that signs.
    #[must_use]
    pub const fn signer(&self) -> &Arc<Signer> {
        &self.current
    }

    /// The keys whose tokens are accepted at `now`. The next one's are not: it has signed nothing yet.
    ///
    /// # Errors
    ///
    /// A key cannot be used.
    pub fn verifying(&self, now: Timestamp) -> Result<KeySet, SignError> {
        let retired = self.retired.iter().filter(|retired| now < retired.until);
        let mut keys = vec![self.current.verifying_key()?];
        keys.extend(retired.map(|retired| retired.key.clone()));
        KeySet::of(keys).map_err(|_one_name_each| SignError::Key)
    }

    /// The published key set (RFC 7517 §5): what signs, what will, and what did until a moment ago.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Value {
        let retired = self.retired.iter().filter(|retired| now < retired.until);
        let keys = [self.current.to_jwks_entry(), self.next.to_jwks_entry()]
            .into_iter()
            .chain(retired.map(|retired| retired.entry.clone()));
        Value::object([("keys", Value::Array(keys.collect()))])
    }

    /// The thumbprints of the key that signs and of the one that will.
    #[must_use]
    pub fn thumbprints(&self) -> (Digest, Digest) {
        (
            self.current.public().thumbprint(),
            self.next.public().thumbprint(),
        )
    }

    /// The same generation with another key to come; the one that was published to come next is thrown away. Both lie in
    /// one place: who has the one may have the other.
    ///
    /// # Errors
    ///
    /// [`TokenKeyError`].
    pub fn with_another_next(&self) -> Result<Self, TokenKeyError> {
        let next = self.folder.join(NEXT);
        std::fs::remove_file(&next).map_err(|source| KeyFileError::File { path: next, source })?;
        Self::open(&self.folder)
    }

    /// The next generation: the key to come signs. On disk when this returns.
    ///
    /// # Errors
    ///
    /// [`TokenKeyError`]. Then a restart finds this generation or the next one, never a mixture that accepts more than both.
    pub fn rotated(&self, how: Rotation, now: Timestamp) -> Result<Self, TokenKeyError> {
        let mut retired: Vec<Retired> = Vec::new();
        if how == Rotation::Retire {
            let alive = self.retired.iter().filter(|retired| now < retired.until);
            retired.extend(alive.cloned());
            retired.push(Retired {
                entry: self.current.to_jwks_entry(),
                key: self.current.verifying_key()?,
                until: now.plus(AccessTokenClaims::LONGEST_LIFE.saturating_add(GRACE)),
            });
        }
        write_retired(&self.folder.join(RETIRED), &retired)?;
        keyfile::succeed(&self.folder.join(NEXT), &self.folder.join(CURRENT))?;
        Self::open(&self.folder)
    }
}

fn read_or_make(path: &Path) -> Result<Signer, TokenKeyError> {
    let made = if path.exists() {
        Secret::new(Vec::new())
    } else {
        generate_signing_key()?
    };
    let pkcs8 = keyfile::load_or_create_with(path, || made)?;
    Ok(Signer::from_pkcs8(&pkcs8)?)
}

fn read_retired(path: &Path) -> Result<Vec<Retired>, TokenKeyError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            let path = path.to_owned();
            return Err(TokenKeyError::Retired { path, source });
        }
    };
    let damaged = || TokenKeyError::Damaged(path.to_owned());
    let listed = Value::parse(&bytes, &JsonLimits::REQUEST).map_err(|_no_json| damaged())?;
    let listed = listed.as_array().ok_or_else(damaged)?;
    let read = |item: &Value| {
        let entry = item.member("key")?;
        let until = item.member("until")?.as_u64()?;
        let key = Jwk::parse(entry)
            .and_then(|key| key.verifying_key(KeyUse::Signature, None))
            .ok()?;
        Some(Retired {
            entry: entry.clone(),
            key,
            until: Timestamp::from_secs(until),
        })
    };
    listed
        .iter()
        .map(|item| read(item).ok_or_else(damaged))
        .collect()
}

/// Writes the list whole or not at all.
fn write_retired(path: &Path, retired: &[Retired]) -> Result<(), TokenKeyError> {
    use std::io::Write as _;
    let item = |retired: &Retired| {
        Value::object([
            ("key", retired.entry.clone()),
            ("until", Value::from_u64(retired.until.secs_since_epoch())),
        ])
    };
    let text = Value::Array(retired.iter().map(item).collect()).to_string();
    let draft = path.with_extension("new");
    let written = std::fs::File::create(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&draft, path));
    written.map_err(|source| TokenKeyError::Retired {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
