//! Reading the log for operators: the newest records, one, or all about a call, a task or an agent.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use writ_audit::{Event, EvidenceRef, Record, Seal, SealFault};
use writ_types::{ActionName, ApprovalId, CallId, Digest, JsonLimits, RecordId, TaskId, Value};

use crate::log::{Entry, LogReader, LogWriter, Query, ReadError, Vault};

/// The log and the evidence beside it.
#[derive(Debug, Clone)]
pub struct LogPlace {
    /// Writes; knows whether it still can.
    pub writer: Arc<LogWriter>,
    /// Reads.
    pub reader: LogReader,
    /// The evidence.
    pub vault: Arc<Vault>,
}

/// How often an operation was called, as the log has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// Calls that were let through.
    pub(crate) sent: u64,
    /// Calls that were refused, approvals that are waited for included.
    pub(crate) refused: u64,
}

/// What the newest records say of operations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// By operation.
    pub(crate) calls: BTreeMap<ActionName, Calls>,
    /// Records that were looked at.
    pub(crate) looked_at: u64,
    /// Records before them, which were not.
    pub(crate) before: u64,
}

/// Most records that are looked at to know what is called: the newest.
const MOST_LOOKED_AT: u64 = 200_000;

/// Which records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The newest.
    Tail(u64),
    /// One.
    Index(u64),
    /// All about a call, a task or an agent.
    Search(String),
}

/// Most records of one search.
const MOST_FOUND: usize = 1000;

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordsError {
    /// The log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The reading task ended in a panic.
    #[error("the reader ended unexpectedly")]
    Reader,
    /// Not an id.
    #[error("search for a call (`cal_…`), a task (`tsk_…`) or an agent (`agt_…`)")]
    Search,
}

impl LogPlace {
    /// Why the log cannot be written; none if it can.
    pub(crate) fn fault(&self) -> Option<String> {
        self.writer.fault().map(str::to_owned)
    }

    /// How many entries the log has.
    pub(crate) fn entries(&self) -> Result<u64, ReadError> {
        self.reader.size()
    }

    /// Reads records, off the runtime's workers: a log is large and disks are slow.
    pub(crate) async fn read(&self, wanted: Wanted) -> Result<Value, RecordsError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || read(&reader, &wanted));
        read.await.map_err(|_panic| RecordsError::Reader)?
    }

    /// How often each operation was called, by the newest records.
    pub(crate) async fn traffic(&self) -> Result<Traffic, RecordsError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || traffic(&reader, MOST_LOOKED_AT));
        read.await.map_err(|_panic| RecordsError::Reader)?
    }

    /// Folds the newest records, in their order, and says how many older ones were not looked at.
    pub(crate) async fn fold<T: Send + 'static>(
        &self,
        mut folded: T,
        mut take: impl FnMut(&mut T, &Record) + Send + 'static,
    ) -> Result<(T, u64), RecordsError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || {
            let before = reader.size()?.saturating_sub(MOST_LOOKED_AT);
            let mut fault = None;
            reader.scan(before, |index, bytes| {
                match Record::decode(bytes) {
                    Ok(record) => {
                        take(&mut folded, &record);
                        return ControlFlow::Continue(());
                    }
                    Err(error) => fault = Some(ReadError::Record { index, error }),
                }
                ControlFlow::Break(())
            })?;
            fault.map_or(Ok((folded, before)), |fault| Err(fault.into()))
        });
        read.await.map_err(|_panic| RecordsError::Reader)?
    }

    /// Everything about one call, with the inputs of its decision where they are still kept; none if nothing is.
    pub(crate) async fn call(&self, call: CallId) -> Result<Option<Value>, RecordsError> {
        let (reader, vault) = (self.reader.clone(), Arc::clone(&self.vault));
        let read = tokio::task::spawn_blocking(move || {
            let query = Query {
                call: Some(call),
                ..Query::default()
            };
            let found = reader.search(&query, MOST_FOUND)?;
            if found.is_empty() {
                return Ok(None);
            }
            let rows = found
                .iter()
                .map(|(index, record)| explained(*index, record, &vault))
                .collect();
            Ok(Some(Value::object([
                ("call", Value::from(call.to_string())),
                ("records", Value::Array(rows)),
            ])))
        });
        read.await.map_err(|_panic| RecordsError::Reader)?
    }
}

/// The record of a call's decision, with the inputs beside it, or why they are not there.
pub(crate) type Decided = (Record, Result<Value, String>);

impl LogPlace {
    /// What was recorded of a call's decision; none if nothing was.
    pub(crate) async fn decided(&self, call: CallId) -> Result<Option<Decided>, RecordsError> {
        let (reader, vault) = (self.reader.clone(), Arc::clone(&self.vault));
        let read = tokio::task::spawn_blocking(move || {
            let query = Query {
                call: Some(call),
                ..Query::default()
            };
            let found = reader.search(&query, MOST_FOUND)?;
            let decided = found
                .into_iter()
                .map(|(_, record)| record)
                .find(|record| matches!(record.event, Event::Intent(_) | Event::Refused(_)));
            Ok(decided.map(|record| {
                let kept = inputs(&record, &vault);
                (record, kept)
            }))
        });
        read.await.map_err(|_panic| RecordsError::Reader)?
    }

    /// What was kept of what a record's call was decided on, or why nothing is there. It reads a file: off the runtime's workers.
    pub(crate) fn kept(&self, record: &Record) -> Result<Value, String> {
        inputs(record, &self.vault)
    }

    /// The call that a record is about; none if it is about none.
    pub(crate) async fn call_at(&self, index: u64) -> Result<Option<CallId>, RecordsError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || {
            let entry = reader.get(index)?;
            let record = entry.and_then(|entry| Record::decode(&entry.bytes).ok());
            Ok(record.and_then(|record| record.call()))
        });
        read.await.map_err(|_panic| RecordsError::Reader)?
    }

    /// The call that asked for an approval or began a wait, of a task.
    pub(crate) async fn asker(
        &self,
        task: TaskId,
        approval: ApprovalId,
    ) -> Result<Option<CallId>, RecordsError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || {
            let query = Query {
                task: Some(task),
                ..Query::default()
            };
            let found = reader.search(&query, MOST_FOUND)?;
            let asked = |record: Record| {
                let Event::Approval(step) = record.event else {
                    return None;
                };
                step.call.filter(|_| step.approval == approval)
            };
            Ok(found.into_iter().find_map(|(_, record)| asked(record)))
        });
        read.await.map_err(|_panic| RecordsError::Reader)?
    }
}

/// What a task had come to hold when it made a call, by the digests of its grants; none of them: what it was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// At that moment.
    pub(crate) now: Option<Digest>,
    /// When the token of the call was issued.
    pub(crate) named: Option<Digest>,
}

/// Most records of a task that are looked at to know what it held.
const MOST_OF_TASK: usize = 100_000;

impl LogPlace {
    /// What a task held when it made a call.
    pub(crate) async fn held(&self, task: TaskId, call: CallId) -> Result<Held, RecordsError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || {
            let query = Query {
                task: Some(task),
                ..Query::default()
            };
            let (mut now, mut named) = (None, BTreeMap::new());
            for (_, record) in reader.search(&query, MOST_OF_TASK)? {
                let token = match &record.event {
                    Event::TaskAmended(amended) => {
                        now = Some(amended.grant);
                        continue;
                    }
                    Event::TokenIssued(issued) => {
                        named.insert(issued.token, now);
                        continue;
                    }
                    Event::Intent(intent) if intent.call == call => intent.subject.token,
                    Event::Refused(refused) if refused.call == call => refused.subject.token,
                    Event::Intent(_)
                    | Event::Outcome(_)
                    | Event::Refused(_)
                    | Event::TaskOpened(_)
                    | Event::TaskClosed(_)
                    | Event::TokenRefused(_)
                    | Event::UpstreamToken(_)
                    | Event::Started(_)
                    | Event::RevisionActivated(_)
                    | Event::OperatorAction(_)
                    | Event::KeyRotated(_)
                    | Event::Approval(_)
                    | Event::Alarm(_) => continue,
                };
                let named = named.remove(&token).flatten();
                return Ok(Held { now, named });
            }
            Ok(Held { now, named: None })
        });
        read.await.map_err(|_panic| RecordsError::Reader)?
    }
}

fn inputs(record: &Record, vault: &Vault) -> Result<Value, String> {
    let Some(reference) = record.evidence() else {
        return Err("nothing was kept of what the call was decided on".to_owned());
    };
    let opened = vault.open(record.header.id, &reference);
    let (_, plaintext) = opened.map_err(|fault| fault.to_string())?;
    Value::parse(plaintext.expose(), &JsonLimits::DOCUMENT)
        .map_err(|_no_json| "what was kept of the call does not read".to_owned())
}

fn traffic(reader: &LogReader, most: u64) -> Result<Traffic, RecordsError> {
    let before = reader.size()?.saturating_sub(most);
    let mut traffic = Traffic {
        before,
        ..Traffic::default()
    };
    let mut fault = None;
    reader.scan(before, |index, bytes| {
        traffic.looked_at = traffic.looked_at.saturating_add(1);
        match called(index, bytes) {
            Ok(Some((action, sent))) => {
                let calls = traffic.calls.entry(action).or_default();
                let count = if sent {
                    &mut calls.sent
                } else {
                    &mut calls.refused
                };
                *count = count.saturating_add(1);
            }
            Ok(None) => {}
            Err(error) => fault = Some(error),
        }
        if fault.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    fault.map_or(Ok(traffic), |fault| Err(fault.into()))
}

/// The operation that a record tells was called, and whether the call was let through; none if it tells something else.
fn called(index: u64, bytes: &[u8]) -> Result<Option<(ActionName, bool)>, ReadError> {
    let text = str::from_utf8(bytes).unwrap_or_default();
    // A look that costs a hundredth of reading the record: most records are outcomes.
    if !(text.contains(r#""kind":"intent""#) || text.contains(r#""kind":"refused""#)) {
        return Ok(None);
    }
    let record = Record::decode(bytes).map_err(|error| ReadError::Record { index, error })?;
    Ok(match record.event {
        Event::Intent(intent) => Some((intent.action, true)),
        Event::Refused(refused) => refused.action.map(|action| (action, false)),
        Event::Outcome(_)
        | Event::TaskOpened(_)
        | Event::TaskAmended(_)
        | Event::TaskClosed(_)
        | Event::TokenIssued(_)
        | Event::TokenRefused(_)
        | Event::UpstreamToken(_)
        | Event::Started(_)
        | Event::RevisionActivated(_)
        | Event::OperatorAction(_)
        | Event::KeyRotated(_)
        | Event::Alarm(_)
        | Event::Approval(_) => None,
    })
}

fn read(reader: &LogReader, wanted: &Wanted) -> Result<Value, RecordsError> {
    let entries = match wanted {
        Wanted::Tail(count) => reader.tail(usize::try_from(*count).unwrap_or(usize::MAX))?,
        Wanted::Index(index) => reader.get(*index)?.into_iter().collect(),
        Wanted::Search(text) => {
            let query = query(text).ok_or(RecordsError::Search)?;
            let found = reader.search(&query, MOST_FOUND)?;
            return Ok(Value::Array(
                found
                    .iter()
                    .map(|(index, record)| row(*index, record_value(record)))
                    .collect(),
            ));
        }
    };
    Ok(Value::Array(entries.iter().map(entry_row).collect()))
}

fn query(text: &str) -> Option<Query> {
    let (call, task, agent) = (text.parse().ok(), text.parse().ok(), text.parse().ok());
    let any = call.is_some() || task.is_some() || agent.is_some();
    any.then_some(Query {
        call,
        task,
        agent,
        ..Query::default()
    })
}

fn entry_row(entry: &Entry) -> Value {
    let value = Value::parse(&entry.bytes, &JsonLimits::DOCUMENT).unwrap_or(Value::Null);
    row(entry.index, value)
}

fn record_value(record: &Record) -> Value {
    let bytes = record.encode(usize::MAX).unwrap_or_default();
    Value::parse(&bytes, &JsonLimits::DOCUMENT).unwrap_or(Value::Null)
}

fn row(index: u64, record: Value) -> Value {
    Value::object([("index", Value::from_u64(index)), ("record", record)])
}

/// A record with its evidence, opened.
fn explained(index: u64, record: &Record, vault: &Vault) -> Value {
    let evidence = match record.evidence() {
        None => Value::Null,
        Some(reference) => open(vault, record.header.id, &reference),
    };
    Value::object([
        ("index", Value::from_u64(index)),
        ("record", record_value(record)),
        ("evidence", evidence),
    ])
}

fn open(vault: &Vault, record: RecordId, reference: &EvidenceRef) -> Value {
    match vault.open(record, reference) {
        Ok((_, plaintext)) => {
            let parsed = Value::parse(plaintext.expose(), &JsonLimits::DOCUMENT);
            parsed.unwrap_or_else(|_no_json| {
                Value::from(String::from_utf8_lossy(plaintext.expose()).into_owned())
            })
        }
        Err(fault) => Value::object([("unavailable", Value::from(fault.to_string()))]),
    }
}

impl Seal for Vault {
    fn seal(
        &self,
        record: RecordId,
        kind: writ_audit::EvidenceKind,
        plaintext: &[u8],
    ) -> Result<writ_audit::Evidence, SealFault> {
        Self::seal(self, record, kind, plaintext).map_err(|fault| SealFault(fault.to_string()))
    }
}
