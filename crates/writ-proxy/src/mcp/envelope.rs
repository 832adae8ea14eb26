//! One message, read strictly: JSON-RPC 2.0, and the header fields that must repeat what it says.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderValue};
use writ_contract::Ask;
use writ_types::{JsonLimits, Value};

use super::{Fault, Revision};

/// Longest id of a request, in characters.
const LONGEST_ID: usize = 256;
/// Longest version text that is repeated to whoever asked for it.
const LONGEST_VERSION: usize = 32;

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
/// The prefix of fields that repeat single arguments.
pub(super) const PARAMETER: &str = "mcp-param-";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What is to be logged of one request (2026-07-28).
pub(super) const META_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// A request or a notification.
#[derive(Debug)]
pub(super) struct Envelope {
    /// None for a notification.
    pub(super) id: Option<Value>,
    method: String,
    params: Option<Value>,
}

/// What a message asks for, as far as it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Notification,
    Initialize,
    Discover,
    Ping,
    ListTools,
    CallTool,
    ListResources,
    ListTemplates,
    ReadResource,
    Subscribe,
    Unsubscribe,
    ListPrompts,
    GetPrompt,
    Complete,
    SetLevel,
    Listen,
    GetTask,
    UpdateTask,
    CancelTask,
    Other,
}

impl Kind {
    /// Whether it asks for a list.
    pub(super) const fn lists(self) -> bool {
        matches!(
            self,
            Self::ListTools | Self::ListResources | Self::ListTemplates | Self::ListPrompts
        )
    }
}

/// What a client answers to a request of ours (2025-11-25).
#[derive(Debug)]
pub(super) struct Reply {
    /// The id of the request.
    pub(super) id: Value,
    /// The result; none if the client answers with an error.
    pub(super) result: Option<Value>,
}

/// A message as it comes.
#[derive(Debug)]
pub(super) enum Received {
    /// A request or a notification.
    Asked(Envelope),
    /// An answer.
    Answered(Reply),
}

impl Received {
    /// Reads one message.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let value =
            Value::parse(bytes, &JsonLimits::REQUEST).map_err(|_not_strict| Fault::Parse)?;
        if value.as_array().is_some() {
            return Err(Fault::Batch);
        }
        let members = match value {
            Value::Object(members) => members,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {
                return Err(Fault::Request);
            }
        };
        if members.contains_key("method") {
            Envelope::of(members).map(Self::Asked)
        } else {
            Reply::of(members).map(Self::Answered)
        }
    }
}

impl Reply {
    fn of(mut members: BTreeMap<String, Value>) -> Result<Self, Fault> {
        let version = members.remove("jsonrpc");
        let id = members.remove("id").filter(is_id);
        let (result, error) = (members.remove("result"), members.remove("error"));
        let is_object = |value: &Value| value.as_object().is_some();
        let one = match (&result, &error) {
            (Some(one), None) | (None, Some(one)) => is_object(one),
            (None, None) | (Some(_), Some(_)) => false,
        };
        match id {
            Some(id) if one && members.is_empty() && version == Some(Value::from("2.0")) => {
                Ok(Self { id, result })
            }
            Some(_) | None => Err(Fault::Request),
        }
    }

    /// Whether the header fields say that it is of a session, and nothing that it does not say.
    pub(super) fn agrees_with(headers: &HeaderMap) -> Result<(), Fault> {
        let field = only(headers, VERSION)?;
        if field.is_some_and(|field| field != Revision::Sessions.as_str()) {
            return Err(Fault::Request);
        }
        let none = only(headers, METHOD)?.is_none() && only(headers, NAME)?.is_none();
        let none = none && repeated(headers).next().is_none();
        none.then_some(()).ok_or(Fault::Header)
    }
}

impl Envelope {
    fn of(mut members: BTreeMap<String, Value>) -> Result<Self, Fault> {
        let (id, params) = (members.remove("id"), members.remove("params"));
        let version = members.remove("jsonrpc");
        let method = members.remove("method");
        let Some(Value::String(method)) = method else {
            return Err(Fault::Request);
        };
        let well_formed = version == Some(Value::from("2.0"))
            && members.is_empty()
            && id.as_ref().is_none_or(is_id)
            && params
                .as_ref()
                .is_none_or(|params| params.as_object().is_some());
        if well_formed {
            Ok(Self { id, method, params })
        } else {
            Err(Fault::Request)
        }
    }

    pub(super) fn kind(&self) -> Kind {
        if self.id.is_none() {
            return Kind::Notification;
        }
        match self.method.as_str() {
            "initialize" => Kind::Initialize,
            "server/discover" => Kind::Discover,
            "ping" => Kind::Ping,
            "tools/list" => Kind::ListTools,
            "tools/call" => Kind::CallTool,
            "resources/list" => Kind::ListResources,
            "resources/templates/list" => Kind::ListTemplates,
            "resources/read" => Kind::ReadResource,
            "resources/subscribe" => Kind::Subscribe,
            "resources/unsubscribe" => Kind::Unsubscribe,
            "prompts/list" => Kind::ListPrompts,
            "prompts/get" => Kind::GetPrompt,
            "completion/complete" => Kind::Complete,
            "logging/setLevel" => Kind::SetLevel,
            "subscriptions/listen" => Kind::Listen,
            "tasks/get" => Kind::GetTask,
            "tasks/update" => Kind::UpdateTask,
            "tasks/cancel" => Kind::CancelTask,
            _ => Kind::Other,
        }
    }

    fn parameter(&self, name: &str) -> Option<&Value> {
        self.params.as_ref()?.member(name)
    }

    /// The id of the request that the client takes back, if that is what the message says.
    pub(super) fn cancelled(&self) -> Option<&Value> {
        let is = self.id.is_none() && self.method == "notifications/cancelled";
        self.parameter("requestId").filter(|id| is && is_id(id))
    }

    /// A parameter, whatever it is.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.parameter(name)
    }

    /// A member of what the request says of itself.
    pub(super) fn meta(&self, name: &str) -> Option<&Value> {
        self.parameter("_meta")?.member(name)
    }

    /// Whether the client says in the message that it can answer such a request.
    pub(super) fn capability(&self, name: &str) -> bool {
        let meta = self.parameter("_meta");
        let capabilities = meta.and_then(|meta| meta.member(META_CAPABILITIES));
        let own = capabilities.and_then(|all| all.member(name));
        own.is_some_and(|own| own.as_object().is_some())
    }

    /// What a client that opens a session says that it can answer. One that fills in no forms says so by naming another mode alone.
    pub(super) fn declared(&self) -> BTreeSet<Ask> {
        let capabilities = self.parameter("capabilities");
        let can = |ask: &Ask| {
            let own = capabilities.and_then(|all| all.member(ask.as_str()));
            let own = own.and_then(Value::as_object);
            own.is_some_and(|own| {
                *ask != Ask::Elicitation || own.is_empty() || own.contains_key("form")
            })
        };
        Ask::ALL.into_iter().filter(can).collect()
    }

    /// Whether the client says in the message that it knows an extension.
    pub(super) fn extends(&self, name: &str) -> bool {
        let capabilities = self.meta(META_CAPABILITIES);
        let extensions = capabilities.and_then(|all| all.member("extensions"));
        let own = extensions.and_then(|all| all.member(name));
        own.is_some_and(|own| own.as_object().is_some())
    }

    /// A parameter that is a text.
    pub(super) fn text(&self, name: &str) -> Result<&str, Fault> {
        let value = self.parameter(name).and_then(Value::as_str);
        value.ok_or(Fault::Parameters)
    }

    /// A parameter that may be absent and is a text otherwise.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, Fault> {
        self.parameter(name)
            .map(|value| value.as_str().ok_or(Fault::Parameters))
            .transpose()
    }

    /// Parameters by these names, as far as they are there.
    pub(super) fn parameters(&self, names: &[&'static str]) -> Value {
        let given = names.iter();
        Value::object(given.filter_map(|name| Some((*name, self.parameter(name)?.clone()))))
    }

    /// The arguments of a call; none are an empty object.
    pub(super) fn arguments(&self) -> Result<Value, Fault> {
        match self.parameter("arguments") {
            None => Ok(Value::object::<&str>([])),
            Some(value) if value.as_object().is_some() => Ok(value.clone()),
            Some(_) => Err(Fault::Parameters),
        }
    }

    /// The revision that the message is written in. A request of 2026-07-28 says so in itself; the field alone is never
    /// believed.
    pub(super) fn revision(&self, headers: &HeaderMap) -> Result<Revision, Fault> {
        let field = only(headers, VERSION)?;
        let meta = self.parameter("_meta");
        let inside = meta.and_then(|meta| meta.member(META_VERSION));
        match (field, inside) {
            (None, None) => Ok(Revision::Sessions),
            (Some(field), None) if field == Revision::Sessions.as_str() => Ok(Revision::Sessions),
            // A notification carries no `_meta` of its own.
            (Some(field), None) if field == Revision::Stateless.as_str() => {
                let lacking = self.kind() != Kind::Notification;
                (!lacking).then_some(Revision::Stateless).ok_or(Fault::Meta)
            }
            (Some(field), None) => Err(unsupported(field)),
            (None, Some(_)) => Err(Fault::Header),
            (Some(field), Some(inside)) if inside.as_str() != Some(field) => Err(Fault::Header),
            (Some(field), Some(_)) if field == Revision::Stateless.as_str() => {
                let capabilities = meta.and_then(|meta| meta.member(META_CAPABILITIES));
                if capabilities.is_some_and(|value| value.as_object().is_some()) {
                    Ok(Revision::Stateless)
                } else {
                    Err(Fault::Meta)
                }
            }
            (Some(field), Some(_)) => Err(unsupported(field)),
        }
    }

    /// Whether the header fields repeat what the message says. Somebody before us may have decided by them.
    pub(super) fn agrees_with(&self, headers: &HeaderMap, revision: Revision) -> Result<(), Fault> {
        let must = revision == Revision::Stateless && self.kind() != Kind::Notification;
        let method = only(headers, METHOD)?;
        let name = only(headers, NAME)?.map(decoded).transpose()?;
        let named = match self.method.as_str() {
            "tools/call" | "prompts/get" => self.parameter("name"),
            "resources/read" => self.parameter("uri"),
            "tasks/get" | "tasks/update" | "tasks/cancel" => self.parameter("taskId"),
            _ => None,
        };
        let named = named.and_then(Value::as_str);
        let agrees = match method {
            Some(method) => method == self.method,
            None => !must,
        } && match (name, named) {
            (Some(name), Some(named)) => name == named,
            (Some(_), None) => false,
            (None, Some(_)) => !must,
            (None, None) => true,
        };
        // Whether arguments are repeated as they should be, the tool says.
        let may = must && self.kind() == Kind::CallTool;
        if agrees && (may || repeated(headers).next().is_none()) {
            Ok(())
        } else {
            Err(Fault::Header)
        }
    }

    /// Whether the header fields repeat the arguments that the tool wants repeated, and no others.
    pub(super) fn repeats(
        &self,
        headers: &HeaderMap,
        mirrored: &BTreeMap<String, String>,
        arguments: &Value,
    ) -> Result<(), Fault> {
        for (field, argument) in mirrored {
            let given = only(headers, &format!("{PARAMETER}{field}"))?;
            let given = given.map(decoded).transpose()?;
            if given != arguments.member(argument).and_then(as_field) {
                return Err(Fault::Header);
            }
        }
        let known = |name: &str| mirrored.contains_key(name);
        if repeated(headers).all(known) {
            Ok(())
        } else {
            Err(Fault::Header)
        }
    }
}

/// The fields that repeat arguments, by what follows their prefix.
fn repeated(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let names = headers.keys();
    names.filter_map(|name| name.as_str().strip_prefix(PARAMETER))
}

/// An argument as the text of a field; none if it is not plain.
pub(super) fn as_field(argument: &Value) -> Option<String> {
    match argument {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(argument.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value can be an id of a request, or a token of its progress.
pub(super) fn is_id(id: &Value) -> bool {
    let whole = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.len() <= LONGEST_ID && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    match id {
        Value::String(text) => text.chars().count() <= LONGEST_ID,
        Value::Number(number) => whole(number.as_str()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn unsupported(field: &str) -> Fault {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let short = field.len() <= LONGEST_VERSION && field.bytes().all(plain);
    Fault::Version {
        requested: short.then(|| field.to_owned()),
    }
}

/// The value of a field that may stand once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => value
            .map(HeaderValue::to_str)
            .transpose()
            .map_err(|_not_ascii| Fault::Header),
        (_, Some(_)) => Err(Fault::Header),
    }
}

/// A value as a field: as it is, or as `=?base64?…?=` where it could not stand in one.
pub(super) fn coded(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.starts_with("=?");
    if plain {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(text))
    }
}

/// A value that may be written as `=?base64?…?=`.
fn decoded(text: &str) -> Result<String, Fault> {
    let coded = text
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(coded) = coded else {
        return Ok(text.to_owned());
    };
    let bytes = STANDARD.decode(coded).map_err(|_malformed| Fault::Header)?;
    String::from_utf8(bytes).map_err(|_not_text| Fault::Header)
}
