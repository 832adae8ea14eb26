//! The keys of an installation: made at the first boot, in the data directory, 0600.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use writ_control::{Keys, TokenKeys};
use writ_store::{CredentialSealer, keyfile};
use writ_token::{JwtSvidSigner, TrustDomainAuthority, X509Authority, generate_signing_key};
use writ_types::{KeyedDigest, Secret, Timestamp, TrustDomain};

use crate::failure::Failure;

/// Life of the trust domain's X.509 authority.
const AUTHORITY_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Everything that is read from `<data>/keys`.
#[derive(Debug)]
pub(crate) struct KeyRing {
    /// What the control plane uses.
    pub(crate) keys: Keys,
    /// Sign access tokens.
    pub(crate) tokens: TokenKeys,
    /// Commits to values that could be guessed; the same as in `keys`.
    pub(crate) audit: Arc<Secret<[u8; 32]>>,
    /// The seed of the log's signing key.
    pub(crate) log: Secret<[u8; 32]>,
    /// Wraps the day keys of evidence.
    pub(crate) vault: Secret<[u8; 32]>,
}

impl KeyRing {
    /// Reads the keys, or makes them at the first boot.
    pub(crate) fn open(data: &Path, domain: &TrustDomain, now: Timestamp) -> Result<Self, Failure> {
        let folder = data.join("keys");
        private_folder(data)?;
        private_folder(&folder)?;
        let signing = |name: &str| -> Result<Secret<Vec<u8>>, Failure> {
            let path = folder.join(name);
            if !path.exists() {
                let made = generate_signing_key()?;
                return Ok(keyfile::load_or_create_with(&path, || made)?);
            }
            Ok(keyfile::load_or_create_with(&path, || {
                Secret::new(Vec::new())
            })?)
        };
        let jwt = JwtSvidSigner::from_pkcs8(domain.clone(), &signing("svid.p8")?)?;
        let x509 = authority(&folder, domain, &signing("authority.p8")?, now)?;
        // One root key for what is kept encrypted; each use has a key of its own derived from it.
        let root = keyfile::load_or_create(&folder.join("root.key"))?;
        let derived = |use_: &str| {
            Secret::new(*KeyedDigest::of(&root, use_, b"writ derived key v1").as_bytes())
        };
        let audit = Arc::new(derived("audit"));
        let keys = Keys {
            domain: TrustDomainAuthority::new(jwt, x509)?,
            audit: Arc::clone(&audit),
            sealer: CredentialSealer::new(&derived("credentials"))?,
        };
        Ok(Self {
            keys,
            tokens: TokenKeys::open(&folder)?,
            audit,
            log: keyfile::load_or_create(&folder.join("log.key"))?,
            vault: derived("vault"),
        })
    }
}

/// The X.509 authority; its certificate lies beside its key.
fn authority(
    folder: &Path,
    domain: &TrustDomain,
    key: &Secret<Vec<u8>>,
    now: Timestamp,
) -> Result<X509Authority, Failure> {
    let path = folder.join("authority.der");
    if path.exists() {
        let certificate = std::fs::read(&path)
            .map_err(|fault| Failure::caused(format!("cannot read {}", path.display()), &fault))?;
        let authority = X509Authority::load(domain.clone(), key, certificate)?;
        if authority.not_after() > now.plus(Duration::from_secs(2 * 3600)) {
            return Ok(authority);
        }
    }
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)
        .map_err(|_unspecified| Failure::new("the random source failed"))?;
    let authority = X509Authority::create(domain.clone(), key, now, AUTHORITY_LIFE, serial)?;
    write_whole(&path, authority.certificate())
        .map_err(|fault| Failure::caused(format!("cannot write {}", path.display()), &fault))?;
    Ok(authority)
}

/// Writes a file that is whole or not there, so that a start that was cut short does not stop the next.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let draft = path.with_extension("new.der");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(draft, path)
}

/// Makes a folder that only its owner may enter.
fn private_folder(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let failed =
        |fault: std::io::Error| Failure::caused(format!("cannot use {}", path.display()), &fault);
    if !path.exists() {
        return std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed);
    }
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let hint = format!("chmod 700 {}", path.display());
        return Err(Failure::new(format!(
            "{} can be entered by other users, and it holds keys",
            path.display()
        ))
        .hint(hint));
    }
    Ok(())
}
