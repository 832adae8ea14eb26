//! The contract: all operations of one API's document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use writ_types::{ApiId, Digest, Effects, Label, OperationId, Rate, Value};

use crate::diagnostic::{Diagnostic, Sink};
use crate::document;
use crate::lint;
use crate::memory;
use crate::operation::Operation;
use crate::overlay;
use crate::reader;
use crate::router::{Route, RouteError, Router, Telling};
use crate::tool::{self, Tools};
use crate::tool_list::{self, McpRevision};

/// What the API's owner reviewed about an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// What it does; without it the operation stays unreviewed.
    pub effects: Option<Effects>,
    /// Labels of what its response holds.
    pub labels: BTreeSet<Label>,
    /// Whether its response is streamed.
    pub stream: bool,
    /// Whether a response that breaks the contract is refused whatever the operation does.
    pub strict: bool,
    /// How often one agent may call it.
    pub rate: Option<Rate>,
}

/// What one API's owner says. An operation that the document does not have is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reviews {
    /// The reviews of the registration, by operation.
    pub operations: BTreeMap<OperationId, Review>,
    /// The overlay, JSON or YAML.
    pub overlay: Option<String>,
    /// How often one agent may call the API, all operations together.
    pub rate: Option<Rate>,
}

impl Reviews {
    /// One text for one set of reviews, and no other.
    fn canonical(&self) -> String {
        let operations = self.operations.iter().map(|(id, review)| {
            let effects = review
                .effects
                .map_or(Value::Null, |effects| Value::from(effects.to_string()));
            let labels = review
                .labels
                .iter()
                .map(|label| Value::from(label.as_str()));
            let members = [
                ("effects", effects),
                ("labels", Value::Array(labels.collect())),
                ("stream", Value::from(review.stream)),
                ("strict", Value::from(review.strict)),
            ];
            // What says nothing of rates commits to what it did before there were any.
            let rate = review
                .rate
                .map(|rate| ("rate", Value::from(rate.to_string())));
            (id.as_str(), Value::object(members.into_iter().chain(rate)))
        });
        let rate = self.rate.map(|rate| format!(" {rate}"));
        format!("{}{}", Value::object(operations), rate.unwrap_or_default())
    }
}

/// An operation of the document that cannot be called, with the reason among the diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The method, upper case.
    pub method: &'static str,
    /// The path as the document writes it.
    pub template: String,
    /// The id it would have.
    pub id: OperationId,
}

/// A compiled contract. Immutable: share it behind `Arc`.
#[derive(Debug)]
pub struct Contract {
    api: ApiId,
    title: String,
    version: String,
    digest: Digest,
    operations: Vec<Operation>,
    by_id: BTreeMap<OperationId, usize>,
    router: Router,
    refused: Vec<Refused>,
    mcp: Option<McpRevision>,
    /// Made when first asked for.
    tools: OnceLock<Tools>,
}

impl Contract {
    /// Compiles an OpenAPI 3.x or Swagger 2.0 document, or a list of MCP tools, JSON or YAML.
    ///
    /// No contract comes back if the bytes are no such document, a review names an unknown operation, or something in the
    /// overlay says nothing. An operation
    /// that cannot be read or routed without doubt is refused by name, with an error among the diagnostics, and the
    /// rest load: see [`Contract::refused`].
    #[must_use]
    pub fn compile(
        api: &ApiId,
        document: &[u8],
        reviews: &Reviews,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let mut sink = Sink::default();
        let mut value = match document::read(document) {
            Ok(value) => value,
            Err(fault) => {
                sink.error(&fault.pointer, None, fault.message);
                let mut diagnostics = sink.into_diagnostics();
                for diagnostic in &mut diagnostics {
                    diagnostic.line = fault.line;
                }
                return (None, diagnostics);
            }
        };
        let pinned = tool_list::convert(&mut value, &mut sink);
        overlay::strip(&mut value, &mut sink);
        document::inline(&mut value);
        if let Some(text) = &reviews.overlay
            && let Err(faults) = overlay::overlay(text, &mut value)
        {
            return (None, faults);
        }
        let read = reader::read(api, &value, reviews, &mut sink);
        let mut diagnostics = sink.into_diagnostics();
        document::locate(document, &mut diagnostics);
        let mcp = pinned.revision;
        let contract = read.map(|mut read| {
            if mcp.is_none() {
                grade(&mut read.operations, &value);
            }
            tool_list::pin(&mut read.operations, pinned);
            let by_id = read
                .operations
                .iter()
                .enumerate()
                .map(|(place, operation)| (operation.id().clone(), place))
                .collect();
            Self {
                api: api.clone(),
                title: read.title,
                version: read.version,
                digest: digest(api, document, reviews),
                operations: read.operations,
                by_id,
                router: read.router,
                refused: read.refused,
                mcp,
                tools: OnceLock::new(),
            }
        });
        (contract, diagnostics)
    }

    /// The API.
    #[must_use]
    pub fn api(&self) -> &ApiId {
        &self.api
    }

    /// The document's title. A stranger's text.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The document's own version. A stranger's text.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Commits to the API id, the document's bytes, the reviews and the overlay.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The revision of MCP that its server is spoken to in; none for an API of HTTP.
    #[must_use]
    pub const fn mcp(&self) -> Option<McpRevision> {
        self.mcp
    }

    /// The bytes it holds in memory, counted from its parts: an estimate that is the same everywhere.
    #[must_use]
    pub fn memory(&self) -> usize {
        memory::of(&self.operations)
    }

    /// The operations that can be called, in the order of their paths.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
    }

    /// The operations that were refused.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// One operation.
    #[must_use]
    pub fn operation(&self, id: &OperationId) -> Option<&Operation> {
        self.operations.get(*self.by_id.get(id)?)
    }

    /// The operations that can be called as MCP tools, by the names of their tools. An operation that needs a body which
    /// is not read is none, nor are two that would have the same name.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &Operation)> {
        let tools = self.tool_names().iter();
        tools.filter_map(|(name, place)| Some((name, self.operations.get(place)?)))
    }

    /// The operation of a tool.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Operation> {
        self.operations.get(self.tool_names().find(name)?)
    }

    /// The name of an operation's tool; none if it is no tool.
    #[must_use]
    pub fn tool_name(&self, operation: &Operation) -> Option<String> {
        let name = tool::name(operation.action());
        let found = self.tool(&name)?;
        (found.id() == operation.id()).then_some(name)
    }

    fn tool_names(&self) -> &Tools {
        self.tools.get_or_init(|| Tools::of(&self.operations))
    }

    /// The operation of a path, where method and path alone tell it: see [`Contract::resolve_call`].
    ///
    /// `raw_path` is what follows `/{api}`: it begins with `/`, is still percent-encoded and has no query.
    ///
    /// # Errors
    ///
    /// [`RouteError`].
    pub fn resolve(&self, method: &str, raw_path: &str) -> Result<Route<'_>, RouteError> {
        self.resolve_call(method, raw_path, None, &[])
    }

    /// The operation of a call.
    ///
    /// Some contracts have several operations on one method and path, told apart by a fixed value in the query or a
    /// header (`?Action=…`, `X-Amz-Target: …`). `headers` have lower-case names.
    ///
    /// # Errors
    ///
    /// [`RouteError`].
    pub fn resolve_call(
        &self,
        method: &str,
        raw_path: &str,
        query: Option<&str>,
        headers: &[(&str, &[u8])],
    ) -> Result<Route<'_>, RouteError> {
        let telling = Telling { query, headers };
        let (place, values) = self.router.find(method, raw_path, telling)?;
        let operation = self.operations.get(place).ok_or(RouteError::NotFound)?;
        Ok(Route { operation, values })
    }
}

/// Gives the operations their scores.
fn grade(operations: &mut [Operation], document: &Value) {
    let scores = lint::scores(document);
    for operation in operations {
        operation.score = scores.get(operation.id()).copied();
    }
}

fn digest(api: &ApiId, document: &[u8], reviews: &Reviews) -> Digest {
    // Each part is of fixed length, so that parts cannot run together.
    Digest::of_parts(&[
        b"writ-contract/1\0",
        Digest::of(api.as_str().as_bytes()).as_bytes(),
        Digest::of(document).as_bytes(),
        Digest::of(reviews.canonical().as_bytes()).as_bytes(),
        Digest::of(reviews.overlay.as_deref().unwrap_or_default().as_bytes()).as_bytes(),
    ])
}

/// What the reader makes of a document.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) operations: Vec<Operation>,
    pub(crate) router: Router,
    pub(crate) refused: Vec<Refused>,
}

#[cfg(test)]
mod tests;
