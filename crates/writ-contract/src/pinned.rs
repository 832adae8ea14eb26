//! What an MCP server has, as it was pinned: its tools, prompts and resources, each an operation.
//!
//! All of it is a stranger's text, kept as it stood when the owner looked at it. What the server says later reaches no model.

use std::collections::BTreeMap;

use writ_types::{Input, Value};

use crate::fault::{Fault, FaultKind};

mod ask;
mod template;

pub use ask::Ask;
pub(crate) use template::Template;

/// What an operation of an MCP server is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// A tool.
    Tool(PinnedTool),
    /// A prompt, as the list shows it.
    Prompt(Value),
    /// The reading of resources.
    Resources(PinnedResources),
    /// The completion of arguments of prompts and resource templates.
    Completion,
}

/// What an MCP server says of one of its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedTool {
    /// Its description, without control characters. A stranger's text.
    pub description: Option<String>,
    /// The schema of its arguments, as the server wrote it.
    pub input_schema: Value,
    /// The schema of its structured content, as the server wrote it.
    pub output_schema: Option<Value>,
    /// The arguments that are repeated in header fields, by what follows `Mcp-Param-`, in lower case.
    pub mirrored: BTreeMap<String, String>,
}

/// The resources and templates of an MCP server. Nothing else can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedResources {
    /// As the list shows them.
    pub resources: Vec<Value>,
    /// As the list shows them.
    pub templates: Vec<Value>,
    /// The server tells who subscribes to one that it was updated.
    pub subscribe: bool,
    pub(crate) expressions: Vec<Template>,
}

impl PinnedResources {
    /// Whether a resource was pinned, or a template that means it.
    fn has(&self, uri: &str) -> bool {
        let named = |resource: &Value| resource.member("uri").and_then(Value::as_str) == Some(uri);
        self.resources.iter().any(named) || self.expressions.iter().any(|one| one.means(uri))
    }
}

impl Pinned {
    /// The method of the protocol that calls it.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tools/call",
            Self::Prompt(_) => "prompts/get",
            Self::Resources(_) => "resources/read",
            Self::Completion => "completion/complete",
        }
    }

    /// Its own name at the server, from the id of its operation; none where the arguments name it.
    #[must_use]
    pub fn name<'o>(&self, id: &'o str) -> Option<&'o str> {
        match self {
            Self::Tool(_) => Some(id),
            Self::Prompt(_) => id.strip_prefix(PROMPTS),
            Self::Resources(_) | Self::Completion => None,
        }
    }

    /// What is wrong with an input beside what its schema says.
    ///
    /// The schema says it too, but how well a schema is enforced is the matter of its keywords; this is not.
    pub(crate) fn faults(&self, input: &Input) -> Option<Fault> {
        let Self::Resources(resources) = self else {
            return None;
        };
        let uri = input.body.as_ref()?.member("uri")?.as_str()?;
        (!resources.has(uri)).then(|| Fault {
            pointer: "/body/uri".to_owned(),
            kind: FaultKind::Enum,
        })
    }
}

/// What the ids of prompts' operations begin with.
pub(crate) const PROMPTS: &str = "prompts/get/";
/// The operation that reads resources.
pub(crate) const RESOURCES: &str = "resources/read";
/// The operation that completes arguments.
pub(crate) const COMPLETION: &str = "completion/complete";
