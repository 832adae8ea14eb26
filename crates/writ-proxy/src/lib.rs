//! The data plane: one call path from a token to an upstream, and nothing beside it.
//!
//! Start at [`call`](mod@call). Each step is a file: `target`, `authenticate`, `decide`, `body`, `story` (records),
//! `upstream` (the only way out), `response`, `completion`.

mod again;
mod approve;
mod asked;
mod authenticate;
mod body;
mod call;
mod card;
mod coming;
mod completion;
mod credential;
mod decide;
mod flow;
mod forward;
mod gateway;
mod granted;
mod kept;
mod leak;
mod mcp;
mod metadata;
mod oblige;
mod pace;
mod planned;
mod pool;
mod refusal;
mod response;
mod snapshot;
mod stops;
mod story;
mod target;
mod transaction;
mod upload;
mod upstream;
mod watch;
mod windows;

pub use body::{Body, BodyError, Whole};
pub use call::handle;
pub use credential::{Credential, CredentialError};
pub use forward::Forwarded;
pub use gateway::{Counters, Downstream, Gateway, Parts};
pub use granted::TokenClient;
pub use mcp::{Events, Interview, Reader as EventReader};
pub use pool::Pool;
pub use snapshot::{ApiSnapshot, PreparedTasks, Snapshot};
pub use transaction::TransactionTokens;
