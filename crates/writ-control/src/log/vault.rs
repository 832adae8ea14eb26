//! The vault: what a record commits to and does not hold, encrypted under a key of the day.
//!
//! Prompts, arguments and the decision's inputs are personal data with a shelf life. Each day has its own key, wrapped by
//! the tenant's key-encryption key; deleting the day deletes its key, and every digest in the log stays true.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use writ_audit::{Day, Evidence, EvidenceKind, EvidenceRef};
use writ_types::{RecordId, Secret, Tenant};

use super::files::sync_directory;

/// The first bytes of every frame of an evidence file.
const MAGIC: [u8; 4] = *b"WRE1";

/// Bytes before a frame's ciphertext: magic, kind, record, length.
const HEAD: usize = 4 + 1 + 16 + 4;

const NONCE: usize = 12;

/// Why evidence could not be sealed, opened or deleted.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file system.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The operating system has no randomness, or the cipher refused.
    #[error("the cipher failed")]
    Cipher,
    /// The key of a day does not open with the tenant's key.
    #[error("the key of {day} does not open: it is damaged, or the tenant's key is another one")]
    Key {
        /// The day.
        day: Day,
    },
    /// The day was deleted.
    #[error("the evidence of {day} was deleted")]
    Expired {
        /// The day.
        day: Day,
    },
    /// There is no such evidence.
    #[error("there is no evidence of {record} in the file of {day}")]
    Missing {
        /// The record.
        record: RecordId,
        /// The day.
        day: Day,
    },
    /// The ciphertext is not the one the record commits to, or does not open.
    #[error("the evidence of {record} is not what its record commits to")]
    Altered {
        /// The record.
        record: RecordId,
    },
}

type DayKey = Arc<RandomizedNonceKey>;

/// Seals and opens the evidence of one tenant.
pub struct Vault {
    directory: PathBuf,
    tenant: Tenant,
    wrapping: RandomizedNonceKey,
    keys: Mutex<BTreeMap<Day, DayKey>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("directory", &self.directory)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// The vault of `tenant` in `directory` (`<data>/vault`, made if absent), whose day keys `key` wraps.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn new(
        directory: &Path,
        tenant: Tenant,
        key: &Secret<[u8; 32]>,
    ) -> Result<Self, VaultError> {
        fs::create_dir_all(directory).map_err(io_at(directory))?;
        let wrapping = RandomizedNonceKey::new(&AES_256_GCM_SIV, key.expose())
            .map_err(|_unspecified| VaultError::Cipher)?;
        Ok(Self {
            directory: directory.to_owned(),
            tenant,
            wrapping,
            keys: Mutex::new(BTreeMap::new()),
        })
    }

    /// Seals `plaintext` as the evidence of `record`, under the key of the day on which the record's id was made. The first
    /// evidence of a day makes its key, which touches the disk.
    ///
    /// # Errors
    ///
    /// [`VaultError`]
    pub fn seal(
        &self,
        record: RecordId,
        kind: EvidenceKind,
        plaintext: &[u8],
    ) -> Result<Evidence, VaultError> {
        let day = Day::of_record(record);
        let key = self.key(day, Absent::Make)?;
        let sealed = seal(&key, &self.context(record, kind), plaintext)?;
        Ok(Evidence::new(record, kind, day, sealed))
    }

    /// Opens the evidence that `record` commits to by `reference`.
    ///
    /// # Errors
    ///
    /// [`VaultError`]: a deleted day is told from evidence that is missing or was altered.
    pub fn open(
        &self,
        record: RecordId,
        reference: &EvidenceRef,
    ) -> Result<(EvidenceKind, Secret<Vec<u8>>), VaultError> {
        let day = reference.day;
        let key = self.key(day, Absent::Refuse)?;
        let (kind, sealed) = self.find(record, day)?;
        let altered = || VaultError::Altered { record };
        if Evidence::new(record, kind, day, sealed.clone()).reference() != *reference {
            return Err(altered());
        }
        let plaintext = unseal(&key, &self.context(record, kind), &sealed).ok_or_else(altered)?;
        Ok((kind, plaintext))
    }

    /// Deletes every day before `before`: first its key, then its evidence. Gives the days that were deleted.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; what was deleted by then stays deleted.
    pub fn expire(&self, before: Day) -> Result<Vec<Day>, VaultError> {
        let mut days = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(io_at(&self.directory))? {
            let name = entry.map_err(io_at(&self.directory))?.file_name();
            let name = name.to_string_lossy().into_owned();
            let day = name
                .split_once('.')
                .and_then(|(day, _)| day.parse::<Day>().ok());
            days.extend(day.filter(|day| *day < before));
        }
        days.sort_unstable();
        days.dedup();
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|day, _| *day >= before);
        for day in &days {
            for path in [self.key_path(*day), evidence_path(&self.directory, *day)] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_at(&path)(error));
                    }
                    Ok(()) | Err(_) => {}
                }
                sync_directory(&self.directory).map_err(io_at(&self.directory))?;
            }
        }
        Ok(days)
    }

    /// What a ciphertext is bound to.
    fn context(&self, record: RecordId, kind: EvidenceKind) -> Vec<u8> {
        format!(
            "{}\0writ evidence v1\0{record}\0{}",
            self.tenant,
            kind.as_str()
        )
        .into_bytes()
    }

    fn key_context(&self, day: Day) -> Vec<u8> {
        format!("{}\0writ vault key v1\0{day}", self.tenant).into_bytes()
    }

    fn key_path(&self, day: Day) -> PathBuf {
        self.directory.join(format!("{day}.key"))
    }

    fn key(&self, day: Day, absent: Absent) -> Result<DayKey, VaultError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(&day) {
            return Ok(Arc::clone(key));
        }
        let path = self.key_path(day);
        let bytes = match fs::read(&path) {
            Ok(wrapped) => unseal(&self.wrapping, &self.key_context(day), &wrapped)
                .ok_or(VaultError::Key { day })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match absent {
                Absent::Refuse => return Err(VaultError::Expired { day }),
                Absent::Make => self.make_key(day)?,
            },
            Err(error) => return Err(io_at(&path)(error)),
        };
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes.expose())
            .map_err(|_wrong_length| VaultError::Key { day })?;
        let key = Arc::new(key);
        keys.insert(day, Arc::clone(&key));
        Ok(key)
    }

    /// Makes the key of a day and stores it wrapped, before anything is sealed with it.
    fn make_key(&self, day: Day) -> Result<Secret<Vec<u8>>, VaultError> {
        let mut bytes = vec![0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| VaultError::Cipher)?;
        let bytes = Secret::new(bytes);
        let wrapped = seal(&self.wrapping, &self.key_context(day), bytes.expose())?;
        let (path, temporary) = (
            self.key_path(day),
            self.directory.join(format!("{day}.new")),
        );
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&wrapped)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_directory(&self.directory)
        };
        write().map_err(io_at(&path))?;
        Ok(bytes)
    }

    /// The last frame of `record` in the file of `day`.
    fn find(&self, record: RecordId, day: Day) -> Result<(EvidenceKind, Vec<u8>), VaultError> {
        let path = evidence_path(&self.directory, day);
        let missing = || VaultError::Missing { record, day };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(io_at(&path)(error)),
        };
        let mut found = None;
        while let Some(head) = read_head(&mut file).map_err(io_at(&path))? {
            if head.record == record.to_bytes() {
                let mut sealed = vec![0; head.length];
                match file.read_exact(&mut sealed) {
                    Ok(()) => found = Some((head.kind, sealed)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(io_at(&path)(error)),
                }
            } else {
                let skip = i64::try_from(head.length).unwrap_or(i64::MAX);
                file.seek(SeekFrom::Current(skip)).map_err(io_at(&path))?;
            }
        }
        found.ok_or_else(missing)
    }
}

/// What to do where a day has no key.
#[derive(Clone, Copy)]
enum Absent {
    Make,
    Refuse,
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> VaultError + '_ {
    |source| VaultError::Io {
        path: path.to_owned(),
        source,
    }
}

fn evidence_path(directory: &Path, day: Day) -> PathBuf {
    directory.join(format!("{day}.evidence"))
}

/// Nonce, ciphertext, tag.
fn seal(key: &RandomizedNonceKey, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut text = plaintext.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(context), &mut text)
        .map_err(|_unspecified| VaultError::Cipher)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut text);
    Ok(sealed)
}

fn unseal(key: &RandomizedNonceKey, context: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key
        .open_in_place(nonce, Aad::from(context), &mut text)
        .ok()?
        .len();
    text.truncate(length);
    Some(Secret::new(text))
}

struct Head {
    kind: EvidenceKind,
    record: [u8; 16],
    length: usize,
}

/// Reads the next head of an evidence file; none at its end, or where a write was cut short.
fn read_head(file: &mut File) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEAD];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(parse_head(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_head(bytes: &[u8]) -> Option<Head> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (kind, rest) = rest.split_first()?;
    let (record, rest) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?);
    Some(Head {
        kind: EvidenceKind::from_byte(*kind)?,
        record: *record,
        length: usize::try_from(length).ok()?,
    })
}

/// Appends evidence to the files of the days; used by the log's writer alone.
#[derive(Debug)]
pub(super) struct EvidenceFiles {
    directory: PathBuf,
    open: Option<(Day, File)>,
    /// Frames of the open day that are not written yet.
    frames: Vec<u8>,
    is_behind: bool,
}

impl EvidenceFiles {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            open: None,
            frames: Vec::new(),
            is_behind: false,
        }
    }

    /// Adds evidence to what [`Self::write`] writes: one system call for a batch, not one for each.
    pub(super) fn append(&mut self, evidence: &Evidence) -> io::Result<()> {
        let length = u32::try_from(evidence.sealed().len()).map_err(io::Error::other)?;
        self.turn_to(evidence.reference().day)?;
        self.frames.extend_from_slice(&MAGIC);
        self.frames.push(evidence.kind().to_byte());
        self.frames.extend_from_slice(&evidence.record().to_bytes());
        self.frames.extend_from_slice(&length.to_be_bytes());
        self.frames.extend_from_slice(evidence.sealed());
        Ok(())
    }

    /// Opens the file of `day`; the one of another day is made durable first.
    fn turn_to(&mut self, day: Day) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(open, _)| *open == day) {
            return Ok(());
        }
        self.sync()?;
        self.open = Some((day, open_day(&self.directory, day)?));
        Ok(())
    }

    /// Hands what was appended to the operating system.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if let (false, Some((_, file))) = (self.frames.is_empty(), &mut self.open) {
            file.write_all(&self.frames)?;
            self.frames.clear();
            self.is_behind = true;
        }
        Ok(())
    }

    /// Makes what was appended outlive the machine's power.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if let (true, Some((_, file))) = (self.is_behind, &self.open) {
            file.sync_data()?;
        }
        self.is_behind = false;
        Ok(())
    }
}

/// Opens the file of a day at its end. What a crash left of a frame is cut off, or nothing after it could be found.
fn open_day(directory: &Path, day: Day) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    let path = evidence_path(directory, day);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)?;
    sync_directory(directory)?;
    let length = file.metadata()?.len();
    let mut end = 0u64;
    while let Some(head) = read_head(&mut file)? {
        let frame = u64::try_from(HEAD.saturating_add(head.length)).unwrap_or(u64::MAX);
        let next = end.saturating_add(frame);
        if next > length {
            break;
        }
        end = next;
        file.seek(SeekFrom::Start(end))?;
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(file)
}
