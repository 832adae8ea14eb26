//! One operation of a contract.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use writ_types::{
    ActionName, Attr, AttrType, Domains, Effect, Effects, Input, Label, Limits, OperationId,
    Projection,
};

use crate::fault::Fault;
use crate::field::FieldMark;
use crate::lint::{Grade, Score};
use crate::marks::{self, Marked, SourceValue};
use crate::media::{ContentType, MediaKind, MediaRange, UnsupportedMedia};
use crate::pace::Pace;
use crate::pinned::{Pinned, PinnedTool};
use crate::reader::{Handling, Said};
use crate::response::{CheckedResponse, Reply};
use crate::router::{Guard, Route};
use crate::schema::{SchemaId, Schemas};
use crate::view::{Coverage, Seen, Unrepresentable};

/// One operation: its name, what it does, and how a call of it is read.
#[derive(Debug)]
pub struct Operation {
    pub(crate) action: ActionName,
    pub(crate) method: &'static str,
    pub(crate) template: String,
    pub(crate) segments: Vec<crate::router::Segment>,
    pub(crate) summary: Option<String>,
    pub(crate) said: Said,
    /// None for what an MCP server has: the rules are about HTTP APIs' documents.
    pub(crate) score: Option<Score>,
    /// Path parameters first, in the template's order.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<Body>,
    /// What it may answer, the most exact status first; empty if the contract does not say.
    pub(crate) replies: Vec<Reply>,
    /// What would make a call of this path another operation.
    pub(crate) others: Vec<Vec<Guard>>,
    pub(crate) schemas: Arc<Schemas>,
    /// What it is at the MCP server whose it is.
    pub(crate) pinned: Option<Box<Pinned>>,
    /// Made when first asked for: most operations of a large contract are never looked at.
    pub(crate) seen: OnceLock<Seen>,
    /// The marked places of calls and of answers, each made when first asked for.
    pub(crate) marks: OnceLock<Vec<Marked>>,
    pub(crate) response_marks: OnceLock<Vec<Marked>>,
    pub(crate) argument_names: OnceLock<BTreeSet<String>>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ParameterPlace {
    Path,
    Query,
    Header,
}

/// How a parameter's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One text.
    Scalar,
    /// One text, a list between delimiters.
    List(char),
    /// Given once for every item.
    Repeated,
    /// `name[member]=…`, `name[]=…`
    Deep,
    /// An object whose members are parameters of their own.
    Spread,
    /// JSON in one text.
    Json,
    /// In a way that is not taken apart: a policy sees the text.
    Opaque,
}

/// One parameter.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// Lower case for headers.
    pub(crate) name: String,
    pub(crate) place: ParameterPlace,
    pub(crate) required: bool,
    pub(crate) style: Style,
    pub(crate) schema: SchemaId,
    /// What the owner says of it.
    pub(crate) mark: Option<Box<FieldMark>>,
}

/// The request body.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) required: bool,
    pub(crate) media: Vec<Media>,
}

/// One media type of the body.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) range: MediaRange,
    pub(crate) kind: MediaKind,
    pub(crate) schema: Option<SchemaId>,
}

/// What body an operation takes, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// None: a call with a body is refused.
    None,
    /// JSON; some media types may be forms.
    Json {
        /// Whether a call must have it.
        required: bool,
    },
    /// A form.
    Form {
        /// Whether a call must have it.
        required: bool,
    },
    /// Bytes that are not looked at.
    Opaque {
        /// Whether a call must have it.
        required: bool,
    },
}

/// What a call brings besides its path. Nothing of it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct RawCall<'a> {
    /// The query without `?`, still percent-encoded.
    pub query: Option<&'a str>,
    /// The header fields, names in lower case, in the order of the wire.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The value of `Content-Type`, if there is exactly one.
    pub content_type: Option<&'a str>,
    /// The whole body; empty if there is none. Bytes of an opaque body need not be given; then whoever forwards them
    /// must have asked [`Operation::accepts`] with the content type before.
    pub body: &'a [u8],
    /// Bounds of the body.
    pub limits: &'a Limits,
}

/// A call as the contract reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The typed values; where there are faults, what could be read.
    pub input: Input,
    /// What is wrong. A call with a fault is never forwarded.
    pub faults: Vec<Fault>,
    /// Path and query for the upstream, rebuilt from what was read: begins with `/`, percent-encoded in one way.
    pub target: String,
    /// Declared header parameters to forward, in the contract's order; never a credential, a cookie or a hop-by-hop field.
    pub headers: Vec<(String, String)>,
}

impl Operation {
    /// Its id: the document's `operationId`, else `METHOD:/template`.
    #[must_use]
    pub fn id(&self) -> &OperationId {
        &self.action.operation
    }

    /// The thing authorized: `api:operation`.
    #[must_use]
    pub fn action(&self) -> &ActionName {
        &self.action
    }

    /// The HTTP method, upper case.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method
    }

    /// The path as the document writes it.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The document's summary, or the first line of its description. A stranger's text.
    #[must_use]
    pub fn summary(&self) -> Option<&str> {
        self.summary.as_deref()
    }

    /// What it does to the world.
    #[must_use]
    pub fn effects(&self) -> Effects {
        self.said.effects
    }

    /// Whether the API's owner reviewed the effects.
    #[must_use]
    pub fn reviewed(&self) -> bool {
        self.said.reviewed
    }

    /// How safely an agent can be given it, by the lint of the document as its owner's overlay leaves it; none for what an
    /// MCP server has.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        self.score
    }

    /// Whether a person looks at each call: the document says it so badly that it has the worst grade, and its owner has
    /// not reviewed it.
    #[must_use]
    pub fn unready(&self) -> bool {
        let worst = |score: Score| score.grade() == Grade::F;
        !self.reviewed() && self.score.is_some_and(worst)
    }

    /// Labels of what its response holds.
    #[must_use]
    pub fn labels(&self) -> &BTreeSet<Label> {
        &self.said.labels
    }

    /// Labels of what its response holds, those of single fields included.
    #[must_use]
    pub fn response_labels(&self) -> BTreeSet<Label> {
        let fields = self.response_marks().iter();
        let fields = fields.flat_map(|marked| marked.mark.labels.iter());
        self.labels().iter().chain(fields).cloned().collect()
    }

    /// Whether its response is streamed rather than buffered and checked, and a request body that nobody looks at with it.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.said.stream
    }

    /// Whether a response that breaks the contract is not let through.
    ///
    /// Of an operation that only reads it is let through, labelled, unless the owner asked for more. Of one that writes
    /// an answer that tells of success is refused: the agent would go on from what it says. An answer that tells of
    /// failure is let through: few contracts declare them all, and what went wrong must be heard.
    #[must_use]
    pub fn refuses_broken(&self, status: u16) -> bool {
        let tells_of_success = matches!(status, 200..=399);
        self.said.strict || self.said.effects.kind != Effect::Read && tells_of_success
    }

    /// What it is at an MCP server, as it was pinned; none for an operation of HTTP.
    #[must_use]
    pub fn pinned(&self) -> Option<&Pinned> {
        self.pinned.as_deref()
    }

    /// What the MCP server said of this tool when it was pinned; none if it is no tool of one.
    #[must_use]
    pub fn pinned_tool(&self) -> Option<&PinnedTool> {
        match self.pinned() {
            Some(Pinned::Tool(tool)) => Some(tool),
            Some(Pinned::Prompt(_) | Pinned::Resources(_) | Pinned::Completion) | None => None,
        }
    }

    /// The body it takes.
    #[must_use]
    pub fn body(&self) -> BodyKind {
        let Some(body) = &self.body else {
            return BodyKind::None;
        };
        let required = body.required;
        match body.media.iter().map(|media| media.kind).min() {
            Some(MediaKind::Json) => BodyKind::Json { required },
            Some(MediaKind::Form) => BodyKind::Form { required },
            Some(MediaKind::Opaque) | None => BodyKind::Opaque { required },
        }
    }

    /// How a body of this content type would be read.
    ///
    /// # Errors
    ///
    /// [`UnsupportedMedia`] if the contract declares no body, or none of this type. Where the contract declares a type
    /// that is read, one that is not read is not taken: its content could not be judged.
    pub fn accepts(&self, content_type: &str) -> Result<MediaKind, UnsupportedMedia> {
        self.media(content_type)
            .map(|media| media.kind)
            .ok_or(UnsupportedMedia)
    }

    pub(crate) fn media(&self, content_type: &str) -> Option<&Media> {
        let given = ContentType::parse(content_type)?;
        let body = self.body.as_ref()?;
        // An exact type is declared for itself, whatever a range beside it says.
        let takes = |media: &&Media| media.range.takes(&given, media.kind);
        let mut exact = body.media.iter().filter(|media| !media.range.is_wild());
        exact.find(takes).or_else(|| body.media.iter().find(takes))
    }

    /// The type of what a policy sees: a record of `path`, `query`, `header` and `body`, each only if declared.
    #[must_use]
    pub fn attributes(&self) -> &AttrType {
        &self.seen().attributes
    }

    /// The texts that attributes can have, where the contract names them all. A call with another value is refused before
    /// any policy is asked.
    #[must_use]
    pub fn domains(&self) -> &Domains {
        &self.seen().domains
    }

    /// How clearly a policy sees each place of the input.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.seen().coverage
    }

    /// The values a policy sees, as far as `projection` asks for them.
    ///
    /// # Errors
    ///
    /// [`Unrepresentable`] if a value that is asked for cannot be seen exactly.
    pub fn project(&self, input: &Input, projection: &Projection) -> Result<Attr, Unrepresentable> {
        self.seen().project(input, projection)
    }

    /// Reads a call. The route is this operation's own.
    #[must_use]
    pub fn parse(&self, route: &Route<'_>, call: &RawCall<'_>) -> Parsed {
        let mut parsed = crate::parse::parse(self, route, call);
        let more = self
            .pinned()
            .and_then(|pinned| pinned.faults(&parsed.input));
        parsed.faults.extend(more);
        parsed
    }

    /// Checks a response that was read whole: its status, its media type, and what it holds.
    #[must_use]
    pub fn check_response(
        &self,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> CheckedResponse {
        crate::response::check(self, status, content_type, body)
    }

    /// How its calls are handled, as far as the reviewed overlay says.
    #[must_use]
    pub fn handling(&self) -> &Handling {
        &self.said.handling
    }

    /// How often one agent may call it, as far as its owner and its document say.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.said.pace
    }

    /// The places of a call that are marked. Of an operation that nobody reviewed every text is sensitive.
    #[must_use]
    pub fn marks(&self) -> &[Marked] {
        self.marks.get_or_init(|| marks::of_request(self))
    }

    /// The names of the members that its arguments may have. Any other name in a call is chosen by whoever calls.
    #[must_use]
    pub fn argument_names(&self) -> &BTreeSet<String> {
        let names = &self.argument_names;
        names.get_or_init(|| marks::names_of_arguments(self))
    }

    /// Whether something must vouch for one of its arguments. Of an operation that nobody reviewed that is assumed: its
    /// places are looked for when it is first called.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        !self.reviewed() || !self.marks().is_empty()
    }

    /// The places of its answers that are marked.
    #[must_use]
    pub fn response_marks(&self) -> &[Marked] {
        self.response_marks.get_or_init(|| marks::of_response(self))
    }

    /// The values in an answer that vouch for others of their kind: none unless the answer conforms and the operation is
    /// reviewed.
    #[must_use]
    pub fn source_values<'v>(&'v self, checked: &'v CheckedResponse) -> Vec<SourceValue<'v>> {
        match (&checked.value, checked.schema) {
            (Some(value), Some(schema)) => marks::source_values(self, schema, value),
            _ => Vec::new(),
        }
    }

    pub(crate) fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| Seen::of(self))
    }
}
