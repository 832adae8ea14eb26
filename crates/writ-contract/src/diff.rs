//! What changed between two documents of one API: for its callers, and for whoever authorizes them.
//!
//! Every change has a rule and two verdicts. The caller's says whether a call that worked may stop working. The
//! authorizer's says whether an approved agent could do more than was approved. Nothing is skipped because it is not
//! understood: a keyword without a rule of its own, that is not the same in both, is a change of which nothing is proven.
//!
//! The ids of rules are oasdiff's where the meaning is the same.

mod lists;
mod operations;
mod parts;
mod review;
mod schema;
mod security;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{OperationId, Pointer};

use crate::diagnostic::Sink;
use crate::document;
use crate::outline::{Outline, Outlined};
use crate::reader::NO_DOCUMENT;
use crate::tool_list;

pub use review::{Consequence, Group, Review, Section};
pub use verdict::{Authority, Caller, Topic};

/// Compares two documents: JSON or YAML, OpenAPI 3.x or Swagger 2.0, also one of each; or the lists of an MCP server, as they were
/// pinned and as they are now.
///
/// # Errors
///
/// One of them is no such document, or one is of lists and the other is not.
pub fn diff(old: &[u8], new: &[u8]) -> Result<Diff, NotCompared> {
    let (mut old, mut new) = (read(old, Side::Old)?, read(new, Side::New)?);
    let lists = (old.clone(), new.clone());
    // What was refused was said when the contract was compiled.
    let convert = |document| tool_list::convert(document, &mut Sink::default()).revision;
    let revisions = (convert(&mut old), convert(&mut new));
    if revisions.0 != revisions.1 {
        return Err(NotCompared {
            side: Side::New,
            line: None,
            pointer: Pointer::root(),
            message: "one of the two is of an MCP server of another revision, or of none"
                .to_owned(),
        });
    }
    let outline = |value, side| {
        Outline::of(value).ok_or_else(|| NotCompared {
            side,
            line: Some(1),
            pointer: Pointer::root(),
            message: NO_DOCUMENT.to_owned(),
        })
    };
    let (old, new) = (outline(&old, Side::Old)?, outline(&new, Side::New)?);
    let mut diff = operations::compare(&old, &new);
    if revisions.0.is_some() {
        lists::add(&mut diff, &lists.0, &lists.1);
    }
    Ok(diff)
}

fn read(bytes: &[u8], side: Side) -> Result<writ_types::Value, NotCompared> {
    document::read(bytes).map_err(|fault| NotCompared {
        side,
        line: fault.line,
        pointer: fault.pointer,
        message: fault.message,
    })
}

/// One of the two documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The pinned one.
    Old,
    /// The one that would take its place.
    New,
}

/// A document that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {} document: {message} (at `{pointer}`)", match side { Side::Old => "old", Side::New => "new" })]
pub struct NotCompared {
    /// Which of the two.
    pub side: Side,
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// Where in it.
    pub pointer: Pointer,
    /// What is wrong.
    pub message: String,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The changes. One that several operations share stands here once.
    pub changes: Vec<Change>,
    /// Every operation of both documents, the old one's first.
    pub operations: Vec<Compared>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The rule's id.
    pub rule: String,
    /// What it is about.
    pub topic: Topic,
    /// What it means for a caller.
    pub caller: Caller,
    /// What it means for the authorizer.
    pub authority: Authority,
    /// Where in the old document; none for what is new.
    pub old: Option<Pointer>,
    /// Where in the new document; none for what is gone.
    pub new: Option<Pointer>,
    /// What, in words: `body.amount: maximum 100 -> 1000`. Quotes the documents, which are strangers' texts.
    pub what: String,
    /// The operations it reaches, as places in [`Diff::operations`].
    pub operations: BTreeSet<usize>,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is in both, with the same name and path.
    Kept,
    /// The call is the same and its name is another: no grant of the old name holds for the new one.
    Renamed {
        /// The new name.
        to: OperationId,
    },
    /// The name is the same and the path is another.
    Moved {
        /// The new path.
        to: String,
    },
    /// It is only in the new document.
    Added,
    /// It is only in the old document.
    Removed,
}

/// One operation of either document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Its id in the old document; of an added one, in the new.
    pub id: OperationId,
    /// The method, upper case.
    pub method: &'static str,
    /// The path as its document writes it.
    pub path: String,
    /// What became of it.
    pub fate: Fate,
    /// What a call of it can do at worst, judged by method and name.
    pub consequence: Consequence,
}

impl Diff {
    /// The worst that changed for the authorizer in each operation of the old document that changed at all. Operations that
    /// were only renamed are not among them: their calls are the same.
    #[must_use]
    pub fn changed(&self) -> BTreeMap<&OperationId, Authority> {
        let mut changed: BTreeMap<&OperationId, Authority> = BTreeMap::new();
        for change in &self.changes {
            for place in &change.operations {
                let Some(operation) = self.operations.get(*place) else {
                    continue;
                };
                if operation.fate == Fate::Added || change.authority == Authority::Neutral {
                    continue;
                }
                let worst = changed.entry(&operation.id).or_insert(change.authority);
                *worst = (*worst).max(change.authority);
            }
        }
        changed
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes in the order and the groups in which a person reviews them.
    #[must_use]
    pub fn review(&self) -> Review {
        review::of(self)
    }
}

/// What the comparison has found so far.
#[derive(Debug, Default)]
struct Found {
    changes: Vec<Change>,
}

impl Found {
    /// The change's number.
    fn push(&mut self, change: Change) -> usize {
        let number = self.changes.len();
        let what = change.what.replace(char::is_control, "\u{FFFD}");
        self.changes.push(Change { what, ..change });
        number
    }

    fn reach(&mut self, change: usize, operation: usize) {
        if let Some(change) = self.changes.get_mut(change) {
            change.operations.insert(operation);
        }
    }
}

/// Two operations that are one, and their place among the compared.
struct Pair<'p, 'o, 'n> {
    old: &'p Outlined<'o>,
    new: &'p Outlined<'n>,
    place: usize,
}

/// At most 80 characters of a stranger's text.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
