//! The door to the log: what the gateway and the control plane see of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use writ_types::{Digest, RecordId};

use crate::record::{Alarm, Day, EvidenceRef, Record, RecordError};
use crate::sequencer::{Durability, Receipt};

/// Why a record is not in the log. The call it is about must not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is full; later it may not be.
    #[error("too many records are waiting for the log")]
    Pushback,
    /// The log was not in time. Whether the record will be written is not known; if it is, it is an orphan.
    #[error("the log did not answer in time")]
    Late,
    /// The log cannot be written; it stays so until the process is started again.
    #[error("the log cannot be written: {0}")]
    Unavailable(String),
    /// The record is none that can be written.
    #[error(transparent)]
    Record(RecordError),
    /// The evidence is not the one the record commits to.
    #[error("the record and its evidence do not belong together")]
    Evidence,
}

/// What evidence is about; bound to the ciphertext, so that one cannot stand in for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceKind {
    /// The arguments of a call and the inputs of its decision.
    Call,
    /// The prompt of a task.
    Task,
    /// The card of an approval.
    Approval,
}

impl EvidenceKind {
    /// The word, which is part of the associated data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Task => "task",
            Self::Approval => "approval",
        }
    }

    /// The byte in the vault's files.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Task => 2,
            Self::Approval => 3,
        }
    }

    /// From the byte in the vault's files.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Call),
            2 => Some(Self::Task),
            3 => Some(Self::Approval),
            _ => None,
        }
    }
}

/// Sealed evidence on its way into the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct Evidence {
    record: RecordId,
    kind: EvidenceKind,
    day: Day,
    digest: Digest,
    sealed: Vec<u8>,
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("record", &self.record)
            .field("kind", &self.kind)
            .field("day", &self.day)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Evidence {
    /// Evidence of `record`, sealed under the key of `day`. `sealed` is ciphertext with its nonce.
    #[must_use]
    pub fn new(record: RecordId, kind: EvidenceKind, day: Day, sealed: Vec<u8>) -> Self {
        Self {
            record,
            kind,
            day,
            digest: Digest::of(&sealed),
            sealed,
        }
    }

    /// What the record says of it.
    #[must_use]
    pub const fn reference(&self) -> EvidenceRef {
        EvidenceRef {
            day: self.day,
            digest: self.digest,
        }
    }

    /// The record it belongs to.
    #[must_use]
    pub const fn record(&self) -> RecordId {
        self.record
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> EvidenceKind {
        self.kind
    }

    /// The ciphertext with its nonce.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Whether `record` commits to `evidence`: both absent, or the same reference under the record's own id.
    #[must_use]
    pub fn belongs(evidence: Option<&Self>, record: &Record) -> bool {
        match (evidence, record.evidence()) {
            (None, None) => true,
            (Some(evidence), Some(reference)) => {
                evidence.reference() == reference && evidence.record == record.header.id
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

/// Evidence could not be encrypted; the record it belongs to must not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the evidence could not be encrypted: {0}")]
pub struct SealFault(pub String);

/// Encrypts what lies beside the log.
pub trait Seal: Send + Sync + fmt::Debug {
    /// Seals `plaintext` as the evidence of `record`, under the key of the day on which its id was made.
    ///
    /// # Errors
    ///
    /// [`SealFault`].
    fn seal(
        &self,
        record: RecordId,
        kind: EvidenceKind,
        plaintext: &[u8],
    ) -> Result<Evidence, SealFault>;
}

/// An append under way.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Receipt, AppendError>> + Send + 'a>>;

/// Takes records into the log.
pub trait Append: Send + Sync + fmt::Debug {
    /// Appends `record` and, before it, its evidence; the receipt comes when it has got as far as `durability` says.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the record is then not in the log, or nobody may act on it.
    fn append(
        &self,
        record: Record,
        evidence: Option<Evidence>,
        durability: Durability,
    ) -> Appending<'_>;

    /// Appends the outcome of a call whose intent is in the log. It never waits, so that it can be called from `Drop`;
    /// the queue takes it however full it is, which the number of calls in flight bounds.
    fn note(&self, record: Record);
}

/// Who is told when somebody does what an honest agent does not do.
pub trait Watchman: Send + Sync + fmt::Debug {
    /// Takes an alarm and returns at once: what is refused is refused all the same, and what goes on does not wait.
    fn raise(&self, alarm: Alarm);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;

    #[test]
    fn a_record_and_foreign_evidence_do_not_belong_together() {
        let mut record = samples::intent();
        let day = Day::of(record.header.time);
        let own = Evidence::new(
            record.header.id,
            EvidenceKind::Call,
            day,
            b"sealed".to_vec(),
        );
        let Event::Intent(intent) = &mut record.event else {
            panic!("an intent")
        };
        intent.evidence = Some(own.reference());
        assert!(Evidence::belongs(Some(&own), &record));
        assert!(!Evidence::belongs(None, &record));
        let other = Evidence::new(record.header.id, EvidenceKind::Call, day, b"other".to_vec());
        assert!(!Evidence::belongs(Some(&other), &record));
        let foreign = Evidence::new(
            samples::record_id(9),
            EvidenceKind::Call,
            day,
            b"sealed".to_vec(),
        );
        assert!(!Evidence::belongs(Some(&foreign), &record));
        assert!(Evidence::belongs(None, &samples::outcome()));
        assert!(!Evidence::belongs(Some(&own), &samples::outcome()));
    }

    use crate::record::Event;
}
