//! The ledger of live tasks: who may still act, what is left to spend, and how a kill reaches a call in flight.
//!
//! Read [`Ledger`] first: it is the seam the call path uses, asynchronous and fallible so that a ledger shared by
//! several nodes changes nothing in that path. [`MemoryLedger`] is the ledger of one process; [`Rebuild`] makes it
//! again from the log after a restart. [`Entered`] and [`Reservation`] are what the call path holds in between.
//!
//! Nothing here waits, reads a clock or touches a file: instants come in as arguments, and a restart's events too.

mod amend;
mod approval;
mod carried;
mod cut;
mod detect;
mod error;
mod ledger;
mod memory;
mod narrow;
mod proof;
mod rates;
mod rebuild;
mod recall;
mod stops;
mod tally;
mod tree;

pub use approval::{
    Approvals, Approver, Ask, AskError, STANDING_ROLES, Standing, Status, Subject, Used, Want,
};
pub use carried::{Acting, Knower, several, worst};
pub use cut::{Amendments, Canceller, CutSignal};
pub use detect::Detector;
pub use error::{AmendError, EndError, EnterError, OpenError, RebuildError, ReserveError, Unheld};
pub use ledger::{Cut, Ending, Known, Ledger, LedgerFuture, Read, TaskState, TaskStatus};
pub use memory::MemoryLedger;
pub use narrow::Widening;
pub use proof::{Entered, Hearing, Outcome, Reservation};
pub use rates::{Lane, Pacer, Rates, Share};
pub use rebuild::{Event, Rebuild, Remembered, Restored};
pub use recall::Opening;
pub use stops::{Heading, Stops};
pub use tally::Called;

#[cfg(test)]
mod tests;
