//! The audit record: what is written down, and nothing else.
//!
//! A record holds ids, names of the registry, digests and counts. It never holds a prompt, an argument, a body, a
//! secret or an address: what could be guessed is committed to by a keyed digest, and what must be readable later is
//! in the vault, to which [`EvidenceRef`] points.

mod event;
mod form;
mod part;
mod read;
mod write;

use writ_types::{AgentId, CallId, RecordId, RevisionId, TaskId, Tenant, Timestamp};

use crate::hash::leaf_hash;

pub use event::{
    Actor, Alarm, AlarmKind, AlarmResponse, Approval, ApprovalStep, CheckpointRef, Closing,
    Decision, Event, Intent, KeyRotated, OperatorAction, Outcome, OutcomeKind, Phases, Refused,
    RevisionActivated, Shadowed, Started, Subject, TaskAmended, TaskClosed, TaskOpened,
    TokenIssued, TokenRefused, UpstreamToken,
};
pub use part::{Day, EvidenceRef, Method, NodeName, PartError, Source, TraceId, Word};

/// The version of records that this program writes and the newest that it reads.
pub const RECORD_VERSION: u64 = 1;

/// What every record begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The record's own id.
    pub id: RecordId,
    /// The tenant it belongs to.
    pub tenant: Tenant,
    /// When it was made, to the millisecond.
    pub time: Timestamp,
    /// The machine that wrote it.
    pub node: NodeName,
    /// The revision in force; none before the first.
    pub revision: Option<RevisionId>,
}

/// One audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who, when, where.
    pub header: Header,
    /// What happened.
    pub event: Event,
    /// Bytes of free-form parts (rules, paths, listed actions) that did not fit. Set by the writer.
    pub truncated: u64,
}

/// Why a record was not written or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// What cannot be cut is larger than the limit.
    #[error("the record has {size} bytes of what cannot be cut, and the limit is {limit}")]
    TooLarge {
        /// Its size without free-form parts.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are no JSON object.
    #[error("the record is no JSON object")]
    NotJson,
    /// A newer program wrote it.
    #[error(
        "the record has version {found}, and this program reads up to {RECORD_VERSION}: use a newer one"
    )]
    Newer {
        /// Its version.
        found: u64,
    },
    /// A member is missing, unknown, or not what it should be.
    #[error("the record's `{0}` is missing, unknown or not what it should be")]
    Member(&'static str),
    /// It reads, but is not in canonical form.
    #[error("the record is not in canonical form")]
    NotCanonical,
}

impl Record {
    /// A record of `event`.
    #[must_use]
    pub const fn new(header: Header, event: Event) -> Self {
        Self {
            header,
            event,
            truncated: 0,
        }
    }

    /// Its canonical bytes (RFC 8785), at most `limit` of them: free-form parts are cut to fit, and `truncated`
    /// says by how many bytes.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLarge`] if it does not fit without any free-form part.
    pub fn encode(&self, limit: usize) -> Result<Vec<u8>, RecordError> {
        let whole = self.write(usize::MAX);
        if whole.len() <= limit {
            return Ok(whole.into_bytes());
        }
        // Halving what each free-form part may have is exact enough: this is for records that are not meant to be.
        let mut room = limit;
        loop {
            room /= 2;
            let cut = self.write(room);
            if cut.len() <= limit {
                return Ok(cut.into_bytes());
            }
            if room == 0 {
                return Err(RecordError::TooLarge {
                    size: cut.len(),
                    limit,
                });
            }
        }
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: a newer version, an unknown member and another spelling are refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let record = read::record(bytes)?;
        if record.write(usize::MAX).as_bytes() == bytes {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }

    /// The call it is about, if it is about one.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        match &self.event {
            Event::Intent(intent) => Some(intent.call),
            Event::Outcome(outcome) => Some(outcome.call),
            Event::Refused(refused) => Some(refused.call),
            Event::Approval(approval) => approval.call,
            Event::UpstreamToken(token) => Some(token.call),
            Event::TaskOpened(_)
            | Event::TaskAmended(_)
            | Event::TaskClosed(_)
            | Event::TokenIssued(_)
            | Event::TokenRefused(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_)
            | Event::Alarm(_) => None,
        }
    }

    /// The task it is about, if it is about one.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        match &self.event {
            Event::Intent(intent) => Some(intent.subject.task),
            Event::Outcome(outcome) => Some(outcome.task),
            Event::Refused(refused) => Some(refused.subject.task),
            Event::TaskOpened(opened) => Some(opened.task),
            Event::TaskAmended(amended) => Some(amended.task),
            Event::TaskClosed(closed) => Some(closed.task),
            Event::TokenIssued(issued) => Some(issued.task),
            Event::Approval(approval) => Some(approval.task),
            Event::UpstreamToken(token) => Some(token.task),
            Event::Alarm(alarm) => alarm.task,
            Event::TokenRefused(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_) => None,
        }
    }

    /// The agent it is about, if it is about one.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        match &self.event {
            Event::Intent(intent) => Some(intent.subject.agent),
            Event::Outcome(outcome) => Some(outcome.agent),
            Event::Refused(refused) => Some(refused.subject.agent),
            Event::TaskOpened(opened) => Some(opened.agent),
            Event::TaskAmended(amended) => Some(amended.agent),
            Event::TaskClosed(closed) => Some(closed.agent),
            Event::TokenIssued(issued) => Some(issued.agent),
            Event::Approval(approval) => Some(approval.agent),
            Event::TokenRefused(refused) => Some(refused.agent),
            Event::UpstreamToken(token) => Some(token.agent),
            Event::Alarm(alarm) => alarm.agent,
            Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_) => None,
        }
    }

    /// The evidence it commits to, if any.
    #[must_use]
    pub fn evidence(&self) -> Option<EvidenceRef> {
        match &self.event {
            Event::Intent(intent) => intent.evidence,
            Event::Refused(refused) => refused.evidence,
            Event::TaskOpened(opened) => opened.evidence,
            Event::Approval(approval) => approval.evidence,
            Event::Outcome(_)
            | Event::TaskAmended(_)
            | Event::TaskClosed(_)
            | Event::TokenIssued(_)
            | Event::TokenRefused(_)
            | Event::UpstreamToken(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_)
            | Event::Alarm(_) => None,
        }
    }
}

/// A record's canonical bytes with their leaf hash: what the log takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: writ_types::Digest,
    pub(crate) record: RecordId,
    pub(crate) call: Option<CallId>,
}

impl Leaf {
    /// Encodes and hashes `record`; done by whoever appends, so that the writer does not have to.
    ///
    /// # Errors
    ///
    /// As [`Record::encode`]; no leaf is ever larger than an entry bundle can hold (65,535 bytes).
    pub fn of(record: &Record, limit: usize) -> Result<Self, RecordError> {
        let bytes = record.encode(limit.min(65_535))?;
        Ok(Self {
            hash: leaf_hash(&bytes),
            bytes,
            record: record.header.id,
            call: record.call(),
        })
    }

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The leaf hash.
    #[must_use]
    pub const fn hash(&self) -> &writ_types::Digest {
        &self.hash
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
