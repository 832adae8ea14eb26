//! The audit record and the transparency log it stands in, without a file or a clock.
//!
//! [`Record`] is what is written down; [`Leaf`] its canonical bytes. [`Sequencer`] numbers leaves and gives the
//! [`Receipt`] without which no call is sent. [`Tree`] integrates them (RFC 9162), [`Checkpoint`] publishes the root
//! (C2SP tlog-checkpoint), and [`verify()`] checks a copy of all that offline. [`Append`] is what others see of the writer,
//! which is in `writ-control`.

mod append;
mod checkpoint;
mod hash;
mod journal;
mod note;
mod places;
mod proof;
mod record;
mod sequencer;
mod tile;
mod tree;
mod verify;

pub use append::{
    Append, AppendError, Appending, Evidence, EvidenceKind, Seal, SealFault, Watchman,
};
pub use checkpoint::{Checkpoint, CheckpointError, LogProof, LogProofError};
pub use hash::{empty_root, leaf_hash, node_hash};
pub use journal::{Frame, Segment, Tail, read_segment};
pub use note::{KeyName, NoteError, Signer, VerifierKey};
pub use places::{KeyUse, Places, Stand};
pub use proof::{
    Nodes, ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
pub use record::{
    Actor, Alarm, AlarmKind, AlarmResponse, Approval, ApprovalStep, CheckpointRef, Closing, Day,
    Decision, Event, EvidenceRef, Header, Intent, KeyRotated, Leaf, Method, NodeName,
    OperatorAction, Outcome, OutcomeKind, PartError, Phases, RECORD_VERSION, Record, RecordError,
    Refused, RevisionActivated, Shadowed, Source, Started, Subject, TaskAmended, TaskClosed,
    TaskOpened, TokenIssued, TokenRefused, TraceId, UpstreamToken, Word,
};
pub use sequencer::{Durability, Receipt, Sequencer, Staged};
pub use tile::{
    Entries, EntryTooLong, TILE_WIDTH, TilePath, TilePathError, parse_tile, push_entry, tile_bytes,
};
pub use tree::{Tile, Tree};
pub use verify::{Fault, LogFiles, VerifyReport, segment_path, verify};
