//! The example upstream: a small help desk behind one all-powerful static key.
//!
//! `writ demo` and the tests put Writ before it. It is real: it validates what it is sent, keeps state, answers 404, 409
//! and 422, and would pay out a refund to whoever holds the key. Nothing in it knows Writ. [`HelpDesk::state`] and
//! [`HelpDesk::requests`] let a test look at what really happened behind the gateway.

mod answer;
mod form;
mod model;
mod route;
mod seed;
mod serve;
mod store;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_types::{Clock, Digest, Secret};

pub use model::{
    Amount, AmountError, Author, Comment, Customer, Export, Priority, Refund, Resolution, Status,
    Ticket,
};
pub use seed::{INJECTED_IBAN, INJECTED_TICKET};

/// The contract: an OpenAPI 3.1 document in YAML.
pub const OPENAPI: &str = include_str!("../openapi.yaml");

/// The header field that carries the key.
pub const KEY_HEADER: &str = "x-helpdesk-key";

/// One line of the owner's review: operation id, kind of effect (`read`, `write`, `delete`), irreversible, external
/// send, labels of what it answers with.
pub type Review = (
    &'static str,
    &'static str,
    bool,
    bool,
    &'static [&'static str],
);

/// The review that the owner of this API recommends, one line for each operation of [`OPENAPI`].
pub const REVIEWS: &[Review] = &[
    ("listTickets", "read", false, false, &["untrusted"]),
    ("getTicket", "read", false, false, &["untrusted"]),
    ("updateTicket", "write", false, false, &["untrusted"]),
    ("deleteTicket", "delete", true, false, &[]),
    ("listComments", "read", false, false, &["untrusted"]),
    ("addComment", "write", false, false, &[]),
    ("closeTicket", "write", false, false, &["untrusted"]),
    ("getCustomer", "read", false, false, &["pii"]),
    ("exportCustomers", "write", true, true, &["pii"]),
    ("listRefunds", "read", false, false, &["pii"]),
    ("createRefund", "write", true, true, &["pii"]),
];

/// Most requests kept for [`HelpDesk::requests`]; older ones are forgotten first.
pub const SEEN_REQUESTS: usize = 1024;

/// The help desk.
#[derive(Debug)]
pub struct HelpDesk {
    /// A digest, so that comparing takes as long for a key that is nearly right as for any other.
    key: Digest,
    clock: Arc<dyn Clock>,
    store: Mutex<store::Store>,
    seen: Mutex<VecDeque<SeenRequest>>,
}

impl HelpDesk {
    /// A help desk that opens to `key` and has a handful of tickets, dated back from the clock's present.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "takes the key into custody; the caller is to keep none"
    )]
    pub fn new(key: Secret<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: Digest::of(key.expose().as_bytes()),
            store: Mutex::new(seed::store(clock.now())),
            seen: Mutex::default(),
            clock,
        }
    }

    /// All it holds at this moment.
    #[must_use]
    pub fn state(&self) -> State {
        self.store().state()
    }

    /// The last [`SEEN_REQUESTS`] requests that reached it, the oldest first; those without the key too.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.seen().iter().cloned().collect()
    }

    fn store(&self) -> MutexGuard<'_, store::Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, VecDeque<SeenRequest>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, request: SeenRequest) {
        let mut seen = self.seen();
        if seen.len() >= SEEN_REQUESTS {
            seen.pop_front();
        }
        seen.push_back(request);
    }
}

/// All that the help desk holds, in the order of the ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The tickets.
    pub tickets: Vec<Ticket>,
    /// The comments of all tickets.
    pub comments: Vec<Comment>,
    /// The customers.
    pub customers: Vec<Customer>,
    /// The refunds that were ordered.
    pub refunds: Vec<Refund>,
    /// The exports that were queued.
    pub exports: Vec<Export>,
}

/// One request as it reached the help desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// Path and query, undecoded.
    pub path: String,
    /// Names in lower case and values, in the order they came; the value of [`KEY_HEADER`] is `[redacted]`.
    pub headers: Vec<(String, String)>,
    /// The body; empty if it was not read because the key or the path was wrong, or the body too large.
    pub body: Vec<u8>,
}

impl SeenRequest {
    /// Whether it has a field of that name, in whatever case.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(seen, _value)| seen.eq_ignore_ascii_case(name))
    }
}
