//! A contract: what an API's document says may be called, and how a call is read.
//!
//! OpenAPI 3.0, 3.1 and 3.2 and Swagger 2.0, as JSON or YAML, become operations, a router and strict typed input; so
//! do the lists of what an MCP server has. No I/O: the document is bytes, and a reference out of it is a diagnostic, never a fetch; [`Bundler`] makes one document of many files.
//! What an owner says of an API stands in an overlay (`overlay`); [`propose`] writes a first one.
//!
//! The way of a document: `document` (bytes to values) → `reader` (values to operations) → `schema` (schemas to
//! one arena) → `router`. The way of a call: [`Contract::resolve`] → [`Operation::parse`] (`parse`) →
//! [`Operation::project`] (`view`); of its answer: [`Operation::check_response`] (`response`). An MCP tool call joins it at the beginning: [`Contract::read_tool_call`] (`tool`).

mod bundle;
mod contract;
mod diagnostic;
pub mod diff;
mod document;
mod fault;
mod field;
#[cfg(test)]
mod fixture;
mod keep;
pub mod lint;
mod marks;
mod media;
mod memory;
mod operation;
mod outline;
mod overlay;
mod pace;
mod parse;
mod pinned;
mod propose;
mod quantity;
mod reader;
mod response;
mod router;
mod schema;
mod shipped;
mod tool;
mod tool_list;
mod view;

pub use bundle::{Bundle, Bundler};
pub use contract::{Contract, Refused, Review, Reviews};
pub use diagnostic::{Diagnostic, DiagnosticSource, Severity};
pub use fault::{Fault, FaultKind};
pub use field::{AuditMode, FieldMark, Quantified};
pub use keep::Kept;
pub use marks::{Marked, SourceValue};
pub use media::{MediaKind, UnsupportedMedia};
pub use operation::{BodyKind, Operation, Parsed, RawCall};
pub use pace::Pace;
pub use pinned::{Ask, Pinned, PinnedResources, PinnedTool};
pub use propose::propose;
pub use reader::Handling;
pub use response::CheckedResponse;
pub use router::{Route, RouteError};
pub use shipped::{SHIPPED, Shipped};
pub use tool::ToolCall;
pub use tool_list::McpRevision;
pub use view::{Coverage, Unrepresentable, Visibility};
