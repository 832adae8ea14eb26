//! An MCP server as the upstream: the message that calls what it has, and what its answer must be.
//!
//! Revision 2026-07-28: one POST, one answer, as JSON or as a stream of events that ends with it. In revision 2025-11-25 the same stands
//! in a session of the task (`sessions`, `session`). Whatever else such a server may ask for (sampling, elicitation, roots, input, tasks) is
//! refused, unless it was declared.

mod interview;
mod pings;
mod process;
mod program;
mod session;
mod sessions;
mod standing;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use writ_contract::{Operation, Pinned};
use writ_types::{CallId, JsonLimits, Value};

use super::asking::{Answers, Asking, Way};
use super::beside::Answering;
use super::reader::Reader;
use super::telling::{Level, Wishes};
use super::{Revision, envelope};
use crate::body::RequestBody;
use crate::upstream::Outgoing;

pub use interview::Interview;
pub(crate) use pings::Pings;
pub(crate) use process::{Coming as Told, Said};
pub(crate) use program::{Starting, exchange as ask_program};
pub(crate) use session::{SessionMark, exchange};
pub(crate) use sessions::{Held, ServerSessions};
pub(crate) use standing::{Opened, Source, Standing};

/// The answer is not a result that is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the MCP server's answer is no result of the call")]
pub(crate) struct NoResult;

/// What a message is to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A call that changes nothing and sends nothing out: it may be sent again.
    Read,
    /// Any other call.
    Call,
    /// What asks to be told when a resource is updated.
    Subscription,
    /// An answer to what the server asked in a session, good in that alone.
    Answer(SessionMark),
}

/// The request that calls it: the arguments are the very bytes that were decided on. None if they are no object.
///
/// The server is told of no capability but of those in which it may ask; in a session it was told of none. It is to tell on the way
/// what the client wants to hear, under the call's own id; the client's token stays here.
pub(crate) fn outgoing(
    (operation, pinned, spoken): (&Operation, &Pinned, Revision),
    call: CallId,
    arguments: &[u8],
    asking: Option<&Asking>,
    answers: Option<&Answers>,
    wishes: Option<&Wishes>,
) -> Option<Outgoing> {
    let method = pinned.method();
    let stateless = spoken == Revision::Stateless;
    let meta = meta((call, spoken), asking, wishes);
    let own = pinned.name(operation.id().as_str());
    let mut head = format!(r#"{{"jsonrpc":"2.0","id":"{call}","method":"{method}","params":{{"#);
    if !meta.is_empty() {
        head.push_str(&format!(r#""_meta":{},"#, Value::object(meta)));
    }
    if let Some(answers) = answers {
        let answers = answers.as_value().to_string();
        head.push_str(answers.strip_prefix('{')?.strip_suffix('}')?);
        head.push(',');
    }
    let named;
    let body = if let Some(name) = own {
        named = Some(name.to_owned());
        let name = format!(r#""name":{},"arguments":"#, Value::from(name));
        [head.as_bytes(), name.as_bytes(), arguments, b"}}"].concat()
    } else {
        // The arguments are the parameters themselves, and there is at least one.
        let members = arguments.trim_ascii().strip_prefix(b"{")?;
        let given = Value::parse(arguments, &JsonLimits::REQUEST).ok()?;
        let uri = given.member("uri").and_then(Value::as_str);
        named = uri.map(str::to_owned);
        [head.as_bytes(), members, b"}"].concat()
    };
    let mut headers = fields(spoken, method, named.as_deref())?;
    if let Pinned::Tool(tool) = pinned
        && stateless
        && !tool.mirrored.is_empty()
    {
        let given = Value::parse(arguments, &JsonLimits::REQUEST).ok()?;
        for (field, argument) in &tool.mirrored {
            let Some(text) = given.member(argument).and_then(envelope::as_field) else {
                continue;
            };
            let field = format!("{}{field}", envelope::PARAMETER);
            let value = HeaderValue::try_from(envelope::coded(&text)).ok()?;
            headers.insert(HeaderName::try_from(field).ok()?, value);
        }
    }
    Some(Outgoing {
        method: hyper::Method::POST,
        target: String::new(),
        headers,
        body: RequestBody::Whole(Bytes::from(body)),
        sent: if operation.effects().is_plain_read() {
            Sent::Read
        } else {
            Sent::Call
        },
    })
}

/// The request that subscribes to the resource of these arguments, in the way of the server's revision. None if they name none.
pub(crate) fn subscription(spoken: Revision, call: CallId, arguments: &[u8]) -> Option<Outgoing> {
    let given = Value::parse(arguments, &JsonLimits::REQUEST).ok()?;
    let uri = given.member("uri").filter(|uri| uri.as_str().is_some())?;
    let method = subscribing(spoken);
    let params = match spoken {
        Revision::Sessions => vec![("uri", uri.clone())],
        Revision::Stateless => {
            let uris = Value::Array(vec![uri.clone()]);
            let wanted = Value::object([("resourceSubscriptions", uris)]);
            let meta = Value::object(meta((call, spoken), None, None));
            vec![("_meta", meta), ("notifications", wanted)]
        }
    };
    let params = Value::object(params);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":"{call}","method":"{method}","params":{params}}}"#);
    Some(Outgoing {
        method: hyper::Method::POST,
        target: String::new(),
        headers: fields(spoken, method, None)?,
        body: RequestBody::Whole(Bytes::from(body)),
        sent: Sent::Subscription,
    })
}

/// The method that subscribes to a resource.
pub(crate) const fn subscribing(spoken: Revision) -> &'static str {
    match spoken {
        Revision::Sessions => "resources/subscribe",
        Revision::Stateless => "subscriptions/listen",
    }
}

/// The message that answers a question of the server's, as its client did.
pub(crate) fn answer(answering: &Answering, answers: &Answers) -> Option<Outgoing> {
    let (id, result) = (&answering.id, answers.as_value());
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    Some(Outgoing {
        method: hyper::Method::POST,
        target: String::new(),
        headers: fields(Revision::Sessions, "", None)?,
        body: RequestBody::Whole(Bytes::from(body)),
        sent: Sent::Answer(answering.within),
    })
}

/// The fields that say what a message is, in the way of its revision.
fn fields(spoken: Revision, method: &str, name: Option<&str>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(header::ACCEPT, both);
    let revision = HeaderValue::from_static(spoken.as_str());
    headers.insert(HeaderName::from_static("mcp-protocol-version"), revision);
    if spoken == Revision::Sessions {
        return Some(headers);
    }
    let name = name.map(envelope::coded);
    for (field, value) in [("mcp-method", Some(method.to_owned())), ("mcp-name", name)] {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value).ok()?;
            headers.insert(HeaderName::from_static(field), value);
        }
    }
    Some(headers)
}

/// What a request says of itself. In a session most of it was said at its beginning.
fn meta(
    (call, spoken): (CallId, Revision),
    asking: Option<&Asking>,
    wishes: Option<&Wishes>,
) -> Vec<(&'static str, Value)> {
    let said = [
        (
            "io.modelcontextprotocol/protocolVersion",
            Value::from(spoken.as_str()),
        ),
        ("io.modelcontextprotocol/clientInfo", super::tools::server()),
        (
            "io.modelcontextprotocol/clientCapabilities",
            asking.map_or_else(|| Value::object::<&str>([]), Asking::capabilities),
        ),
    ];
    let level = wishes.and_then(Wishes::level).map(Level::as_str);
    let level = level.map(|level| (envelope::META_LEVEL, Value::from(level)));
    let stateless = spoken == Revision::Stateless;
    let said = said.into_iter().chain(level).filter(|_| stateless);
    let progress = wishes.is_some_and(Wishes::progress);
    let progress = progress.then(|| ("progressToken", Value::from(call.to_string())));
    said.chain(progress).collect()
}

/// The result from what the server answered, as JSON of the members that travel on, and the head it has over HTTP.
///
/// An error of the protocol is a tool's result too: the tool did not do what it was asked. Of everything else it is a 400 with the
/// error's code and message.
///
/// # Errors
///
/// [`NoResult`] for everything else, a request of the server's own included.
pub(crate) fn result(
    pinned: &Pinned,
    asking: Option<&Asking>,
    head: &mut Parts,
    body: &[u8],
    call: CallId,
) -> Result<Bytes, NoResult> {
    let message = match kind(&head.headers) {
        "application/json" => read(body)?,
        "text/event-stream" => last_of(body, call, asking)?,
        _ => return Err(NoResult),
    };
    if message.member("id").and_then(Value::as_str) != Some(&*call.to_string()) {
        return Err(NoResult);
    }
    let tool = matches!(pinned, Pinned::Tool(_));
    let way = asking.map(Asking::way);
    let (status, said) = match (message.member("result"), message.member("error")) {
        (Some(result), None) if head.status == StatusCode::OK && asks(result) => {
            let questions = asking.and_then(|asking| asking.questions(result));
            (StatusCode::ACCEPTED, questions.ok_or(NoResult)?)
        }
        (Some(result), None) if head.status == StatusCode::OK => {
            (StatusCode::OK, judged(pinned, result)?)
        }
        (None, Some(error)) if way == Some(Way::Answer) && lacks(error) => {
            (StatusCode::BAD_REQUEST, unable(error)?)
        }
        (None, Some(error)) if tool => (StatusCode::OK, failed(error)?),
        (None, Some(error)) => (StatusCode::BAD_REQUEST, refused(error)?),
        _ => return Err(NoResult),
    };
    head.status = status;
    head.headers.clear();
    let json = HeaderValue::from_static("application/json");
    head.headers.insert(header::CONTENT_TYPE, json);
    Ok(Bytes::from(said.to_string()))
}

/// What an answer is.
fn kind(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.unwrap_or_default().trim()
}

/// Whether an answer is a stream of events, in which the server may tell something on the way.
pub(crate) fn tells(headers: &HeaderMap) -> bool {
    kind(headers) == "text/event-stream"
}

fn read(bytes: &[u8]) -> Result<Value, NoResult> {
    Value::parse(bytes, &JsonLimits::DOCUMENT).map_err(|_not_strict| NoResult)
}

/// The answer in a stream of events. What the server tells on its way there is not of it; what it asks is refused, unless it was passed on.
fn last_of(body: &[u8], call: CallId, asking: Option<&Asking>) -> Result<Value, NoResult> {
    let call = call.to_string();
    let passed = asking.is_some_and(|asking| asking.way().is_beside());
    for event in Reader::all(body) {
        let message = read(&event)?;
        let id = message.member("id");
        match (message.member("method"), id) {
            (Some(_), None) => {}
            (Some(_), Some(_)) if passed => {}
            (None, Some(id)) if id.as_str() == Some(&*call) => return Ok(message),
            _ => return Err(NoResult),
        }
    }
    Err(NoResult)
}

/// Whether a result is a question.
fn asks(result: &Value) -> bool {
    result.member("resultType").and_then(Value::as_str) == Some("input_required")
}

/// Whether an error says that the client cannot answer what the server would ask.
fn lacks(error: &Value) -> bool {
    let code = error.member("code").map(ToString::to_string);
    code.as_deref() == Some("-32021")
}

/// That error, with the capabilities it names.
fn unable(error: &Value) -> Result<Value, NoResult> {
    let data = error.member("data").ok_or(NoResult)?;
    let named = data
        .member("requiredCapabilities")
        .and_then(Value::as_object);
    let named = named.ok_or(NoResult)?.keys();
    let named = named.map(|name| (name.clone(), Value::object::<&str>([])));
    let data = Value::object([("requiredCapabilities", Value::Object(named.collect()))]);
    let error = Value::object([
        ("code", Value::from_i64(-32021)),
        (
            "message",
            Value::from("the MCP server needs a capability that the client has not declared"),
        ),
        ("data", data),
    ]);
    Ok(Value::object([("error", error)]))
}

/// The members of a result that travel on: the first must be there.
const fn members(pinned: &Pinned) -> &'static [&'static str] {
    match pinned {
        Pinned::Tool(_) => &["content", "isError", "structuredContent"],
        Pinned::Prompt(_) => &["messages", "description"],
        Pinned::Resources(_) => &["contents"],
        Pinned::Completion => &["completion"],
    }
}

fn judged(pinned: &Pinned, result: &Value) -> Result<Value, NoResult> {
    let whole = result
        .member("resultType")
        .is_none_or(|kind| kind.as_str() == Some("complete"));
    let (names, tool) = (members(pinned), matches!(pinned, Pinned::Tool(_)));
    let first = names.first().and_then(|name| result.member(name));
    let list = first.is_some_and(|value| match pinned {
        Pinned::Completion => value.as_object().is_some(),
        Pinned::Tool(_) | Pinned::Prompt(_) | Pinned::Resources(_) => value.as_array().is_some(),
    });
    let failed = result.member("isError");
    if !whole || !list || tool && failed.is_some_and(|failed| failed.as_bool().is_none()) {
        return Err(NoResult);
    }
    let present = |name: &&'static str| Some((*name, result.member(name)?.clone()));
    let said = names.iter().filter_map(present);
    let assumed = (tool && failed.is_none()).then(|| ("isError", Value::from(false)));
    Ok(Value::object(said.chain(assumed)))
}

/// An error of the protocol for what is no tool: its code, where the protocol knows it, and the server's words.
fn refused(error: &Value) -> Result<Value, NoResult> {
    let code = error.member("code").ok_or(NoResult)?.to_string();
    // -32002 is what 2025-11-25 says of a resource that is not there.
    let known = matches!(code.as_str(), "-32602" | "-32002");
    let code = if known { -32602 } else { -32603 };
    let message = error.member("message").and_then(Value::as_str);
    let error = Value::object([
        ("code", Value::from_i64(code)),
        ("message", Value::from(message.ok_or(NoResult)?)),
    ]);
    Ok(Value::object([("error", error)]))
}

/// An error of the protocol in the form of a result.
fn failed(error: &Value) -> Result<Value, NoResult> {
    let message = error.member("message").and_then(Value::as_str);
    let text = Value::object([
        ("type", Value::from("text")),
        ("text", Value::from(message.ok_or(NoResult)?)),
    ]);
    Ok(Value::object([
        ("content", Value::Array(vec![text])),
        ("isError", Value::from(true)),
    ]))
}

/// A result as the other door gave it, for this one.
pub(super) fn passed_on(pinned: &Pinned, bytes: &[u8], call: CallId) -> Option<Value> {
    let Value::Object(mut result) = read(bytes).ok()? else {
        return None;
    };
    if matches!(pinned, Pinned::Tool(_)) {
        let meta = Value::object([("writ/call", Value::from(call.to_string()))]);
        result.insert("_meta".to_owned(), meta);
    }
    Some(Value::Object(result))
}

/// The server's refusal as the other door gave it, for this one.
pub(super) fn error(bytes: &[u8]) -> Value {
    let said = read(bytes).ok();
    let error = said.as_ref().and_then(|said| said.member("error"));
    error.cloned().unwrap_or_else(|| {
        Value::object([
            ("code", Value::from_i64(-32603)),
            ("message", Value::from("the MCP server refused the request")),
        ])
    })
}

#[cfg(test)]
mod tests {
    use hyper::Response;

    use super::*;

    fn call() -> CallId {
        CallId::new(writ_types::Timestamp::from_secs(0), [7; 10])
    }

    fn tool() -> Pinned {
        Pinned::Tool(writ_contract::PinnedTool {
            description: None,
            input_schema: Value::Null,
            output_schema: None,
            mirrored: std::collections::BTreeMap::new(),
        })
    }

    fn answered(status: u16, kind: &str, body: &str) -> String {
        let body = body.replace("ID", &call().to_string());
        let response = Response::builder()
            .status(status)
            .header("content-type", kind)
            .header("mcp-session-id", "s")
            .body(());
        let (mut head, ()) = response.unwrap().into_parts();
        match result(&tool(), None, &mut head, body.as_bytes(), call()) {
            Ok(bytes) => {
                assert_eq!((head.status, head.headers.len()), (StatusCode::OK, 1));
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Err(NoResult) => "none".to_owned(),
        }
    }

    const JSON: &str = "application/json";
    const EVENTS: &str = "text/event-stream";

    #[test]
    fn the_result_of_the_call_is_let_through() {
        let good = r#"{"content":[],"isError":false}"#;
        let failed = r#"{"content":[{"text":"no","type":"text"}],"isError":true}"#;
        let whole =
            r#"{"id":"ID","result":{"content":[],"resultType":"complete","_meta":{},"evil":2}}"#;
        let error = r#"{"id":"ID","error":{"code":-32602,"message":"no"}}"#;
        assert_eq!(answered(200, JSON, whole), good);
        assert_eq!(answered(200, JSON, error), failed);
        assert_eq!(answered(400, JSON, error), failed);
        let lines =
            "event: message\r\ndata: {\"id\":\"ID\",\r\ndata: \"result\":{\"content\":[]}}\r\n\r\n";
        assert_eq!(answered(200, EVENTS, lines), good);
        let resumable = format!("id: 0\nretry: 3000\ndata: \n\ndata: {whole}\n\n");
        assert_eq!(answered(200, EVENTS, &resumable), good);
        let told = format!(
            ": hello\n\ndata: {{\"method\":\"notifications/progress\"}}\n\ndata: {whole}\n\n"
        );
        assert_eq!(answered(200, EVENTS, &told), good);
    }

    #[test]
    fn nothing_else_is() {
        for body in [
            r#"{"id":"other","result":{"content":[]}}"#,
            r#"{"id":1,"result":{"content":[]}}"#,
            r#"{"result":{"content":[]}}"#,
            r#"{"id":"ID","result":{"content":[]},"error":{"message":"no"}}"#,
            r#"{"id":"ID","result":{"content":{}}}"#,
            r#"{"id":"ID","result":{"content":[],"isError":"no"}}"#,
            r#"{"id":"ID","result":{"content":[],"resultType":"input_required"}}"#,
            r#"{"id":"ID","result":{"content":[],"resultType":"task"}}"#,
            r#"{"id":"ID","result":{"content":[]},"id":"ID"}"#,
            r#"[{"id":"ID","result":{"content":[]}}]"#,
            r#"{"id":"ID","method":"sampling/createMessage"}"#,
        ] {
            assert_eq!(answered(200, JSON, body), "none", "{body}");
            let event = format!("data: {body}\n\n");
            assert_eq!(answered(200, EVENTS, &event), "none", "{body}");
        }
        let good = r#"{"id":"ID","result":{"content":[]}}"#;
        assert_eq!(answered(400, JSON, good), "none");
        assert_eq!(answered(200, "text/html", good), "none");
        let asked =
            format!("data: {{\"method\":\"sampling/createMessage\",\"id\":1}}\n\ndata: {good}\n\n");
        assert_eq!(
            answered(200, EVENTS, &asked),
            "none",
            "a request of the server's"
        );
    }
}
