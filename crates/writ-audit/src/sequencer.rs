//! Gives entries their place, and receipts for what has been written.

use writ_types::{CallId, Digest, RecordId};

use crate::journal::push_frame;
use crate::record::Leaf;

/// How far a record has to have got before its receipt is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// `write` has returned: it outlives the process, not the machine's power.
    Handed,
    /// `fdatasync` has returned: it outlives both.
    Durable,
}

/// The proof that a record is in the log. It is made in one place, [`Staged::committed`], after the bytes were written.
///
/// It cannot be forged:
///
/// ```compile_fail,E0451
/// let forged = writ_audit::Receipt { record: todo!(), call: None, index: 0, leaf: todo!(), durability: todo!() };
/// ```
///
/// copied:
///
/// ```compile_fail,E0599
/// fn twice(receipt: writ_audit::Receipt) -> [writ_audit::Receipt; 2] { [receipt.clone(), receipt] }
/// ```
///
/// or used again:
///
/// ```compile_fail,E0382
/// fn send(receipt: writ_audit::Receipt) {}
/// fn twice(receipt: writ_audit::Receipt) { send(receipt); send(receipt); }
/// ```
///
/// while using it once compiles:
///
/// ```
/// fn send(receipt: writ_audit::Receipt) {}
/// fn once(receipt: writ_audit::Receipt) { send(receipt); }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a receipt is what allows a call to be sent"]
pub struct Receipt {
    record: RecordId,
    call: Option<CallId>,
    index: u64,
    leaf: Digest,
    durability: Durability,
}

impl Receipt {
    /// The record.
    #[must_use]
    pub const fn record(&self) -> RecordId {
        self.record
    }

    /// The call the record is about; none for records that are about none.
    #[must_use]
    pub const fn call(&self) -> Option<CallId> {
        self.call
    }

    /// The entry's index in the log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The entry's leaf hash.
    #[must_use]
    pub const fn leaf_hash(&self) -> &Digest {
        &self.leaf
    }

    /// How far the record has got.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.durability
    }
}

/// Numbers the entries of one log.
#[derive(Debug)]
pub struct Sequencer {
    next: u64,
    synced: u64,
}

impl Sequencer {
    /// For a log that has `entries` entries, all of them on disk.
    #[must_use]
    pub const fn new(entries: u64) -> Self {
        Self {
            next: entries,
            synced: entries,
        }
    }

    /// The index that the next entry gets.
    #[must_use]
    pub const fn next_index(&self) -> u64 {
        self.next
    }

    /// Notes that everything staged so far is on disk.
    pub const fn synced(&mut self) {
        self.synced = self.next;
    }

    /// Whether something was staged that [`Self::synced`] has not been told of.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.synced < self.next
    }

    /// Gives the leaves their indexes, in order.
    pub fn stage(&mut self, leaves: &[(Leaf, Durability)]) -> Staged {
        let mut staged = Staged {
            bytes: Vec::with_capacity(
                leaves
                    .iter()
                    .map(|(leaf, _)| leaf.bytes.len().saturating_add(64))
                    .sum(),
            ),
            waiting: Vec::with_capacity(leaves.len()),
        };
        for (leaf, durability) in leaves {
            push_frame(
                &mut staged.bytes,
                self.next,
                self.synced,
                &leaf.hash,
                &leaf.bytes,
            );
            staged.waiting.push(Receipt {
                record: leaf.record,
                call: leaf.call,
                index: self.next,
                leaf: leaf.hash,
                durability: *durability,
            });
            self.next = self.next.saturating_add(1);
        }
        staged
    }
}

/// Entries that have an index and are to be written.
#[derive(Debug)]
#[must_use = "staged entries have to be written and committed"]
pub struct Staged {
    bytes: Vec<u8>,
    waiting: Vec<Receipt>,
}

impl Staged {
    /// What to append to the journal.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a receipt is still to be given, and needs `fdatasync` for it.
    #[must_use]
    pub fn needs_sync(&self) -> bool {
        self.waiting
            .iter()
            .any(|receipt| receipt.durability == Durability::Durable)
    }

    /// Gives the receipts of those entries that asked for no more than `reached`, in order, and keeps the others.
    ///
    /// INVARIANT: the caller has written [`Self::bytes`] to the journal, and for [`Durability::Durable`] synced it.
    pub fn committed(mut self, reached: Durability) -> (Vec<Receipt>, Self) {
        let (given, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|receipt| receipt.durability <= reached);
        self.waiting = waiting;
        (given, self)
    }
}

#[cfg(test)]
mod tests;
