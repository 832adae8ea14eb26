//! What is said back: JSON-RPC around results, refusals and faults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use writ_contract::{Operation, Pinned};
use writ_types::{CallId, Conformance, JsonLimits, ReasonCode, Value};

use super::{Exchange, Fault, Revision, session, tools, upstream};
use crate::body::Body;
use crate::refusal::{Challenge, Refusal};

/// A response without a body.
pub(super) fn nothing(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// No message: the end of a stream on which nothing is answered.
pub(super) fn end() -> Response<Body> {
    with_fields(StatusCode::OK, Body::Full(Bytes::new()))
}

/// A message as a response.
pub(super) fn said(status: StatusCode, message: &Value) -> Response<Body> {
    with_fields(status, Body::Full(Bytes::from(message.to_string())))
}

fn with_fields(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Exchange {
    pub(super) fn message(&self, name: &'static str, value: Value) -> Value {
        Value::object([
            ("jsonrpc", Value::from("2.0")),
            ("id", self.id.clone().unwrap_or(Value::Null)),
            (name, value),
        ])
    }

    /// A result with what every result of the revision carries.
    fn completed(&self, result: Value) -> Value {
        let mut members = match result {
            Value::Object(members) => members,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {
                return self.message("result", result);
            }
        };
        if self.revision == Revision::Stateless {
            members.insert("resultType".to_owned(), Value::from("complete"));
            let meta = members
                .entry("_meta".to_owned())
                .or_insert_with(|| Value::object::<&str>([]));
            if let Value::Object(meta) = meta {
                let name = "io.modelcontextprotocol/serverInfo".to_owned();
                meta.insert(name, tools::server());
            }
        }
        let result = self.of_task(Value::Object(members));
        self.message("result", result)
    }

    /// A result as a response.
    pub(super) fn result(&self, result: Value) -> Response<Body> {
        said(StatusCode::OK, &self.completed(result))
    }

    /// The result of `initialize`, and the session it opened.
    pub(super) fn opened(&self, result: Value, session: &str) -> Response<Body> {
        let mut response = self.result(result);
        if let Ok(value) = HeaderValue::try_from(session) {
            response.headers_mut().insert(session::FIELD, value);
        }
        response
    }

    /// The upstream's response as a tool's result. It is handed over like any other: a kill still cuts it, and the record
    /// speaks of the bytes that came.
    ///
    /// `faithful` is how the body that is handed over stands to the contract: what was left out of it is not held against it.
    pub(crate) fn forwarded(
        &self,
        response: Response<Body>,
        operation: &Operation,
        call: CallId,
        faithful: Conformance,
    ) -> Response<Body> {
        let (head, body) = response.into_parts();
        if self.answering.is_some() {
            return nothing(StatusCode::ACCEPTED);
        }
        let status = head.status;
        let kind = head.headers.get(header::CONTENT_TYPE);
        let kind = kind
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let in_words = |bytes: &Bytes| {
            let message = match operation.pinned() {
                Some(_) if status == StatusCode::ACCEPTED => self.questions(bytes, call),
                Some(pinned) if status == StatusCode::OK => self.completed(self.passed_on(
                    upstream::passed_on(pinned, bytes, call).unwrap_or(Value::Null),
                    pinned,
                )),
                Some(_) => self.message("error", self.missing(upstream::error(bytes))),
                None => {
                    let mut result = tool_result(status, kind, bytes, call);
                    if status.is_success() && operation.answers_json() {
                        structure(&mut result, status, bytes, faithful);
                    }
                    self.completed(result)
                }
            };
            Bytes::from(message.to_string())
        };
        let body = match body {
            Body::Whole(whole) => Body::Whole(Box::new(whole.reworded(in_words))),
            Body::Full(bytes) => Body::Full(in_words(&bytes)),
            streamed @ (Body::Forwarded(_) | Body::Events(_)) => streamed,
        };
        let pinned = operation.pinned().is_some();
        let status = match (status, self.revision) {
            (StatusCode::BAD_REQUEST, Revision::Stateless) if pinned => status,
            // Its client is not handed this: it is asked.
            (StatusCode::ACCEPTED, Revision::Sessions) if pinned => status,
            _ => StatusCode::OK,
        };
        with_fields(status, body)
    }

    /// What a server asks before it answers.
    fn questions(&self, bytes: &Bytes, call: CallId) -> Value {
        let questions = Value::parse(bytes, &JsonLimits::DOCUMENT).ok();
        let asking = self.asking();
        let sealed = asking.zip(questions);
        let sealed = sealed.and_then(|(asking, questions)| asking.sealed(&questions));
        let Some(Value::Object(mut result)) = sealed else {
            return self.message("error", upstream::error(&Bytes::new()));
        };
        let meta = Value::object([
            ("io.modelcontextprotocol/serverInfo", tools::server()),
            ("writ/call", Value::from(call.to_string())),
        ]);
        result.insert("resultType".to_owned(), Value::from("input_required"));
        result.insert("_meta".to_owned(), meta);
        self.message("result", Value::Object(result))
    }

    /// What a server answered, with what this revision says of results that could be kept.
    fn passed_on(&self, result: Value, pinned: &Pinned) -> Value {
        let cacheable = matches!(pinned, Pinned::Resources(_));
        let mut result = result;
        if let Value::Object(members) = &mut result
            && cacheable
            && self.revision == Revision::Stateless
        {
            let uncached = tools::uncached();
            members.extend(uncached.map(|(name, value)| (name.to_owned(), value)));
        }
        result
    }

    /// Why there is no result. A call that is refused is a result that the model reads; that the caller is not known, or
    /// that there is no message to answer, is said in HTTP.
    pub(crate) fn refusal(
        &self,
        refusal: Refusal,
        call: CallId,
        challenge: Option<&Challenge>,
    ) -> Response<Body> {
        if let Some(fault) = &refusal.mcp {
            return self.fault(fault);
        }
        if refusal.reason.status() == 401 || self.id.is_none() || refusal.insufficient_scope {
            return refusal.into_response(call, challenge);
        }
        let problem = refusal.problem(call).to_value();
        if !self.calls {
            // What is asked for is not there, or not like this: the one is not told from the other.
            let wrong = refusal.reason == ReasonCode::InvalidInput;
            let code = if wrong { -32602 } else { -32603 };
            let error = self.missing(Value::object([
                ("code", Value::from_i64(code)),
                ("message", Value::from("the request was refused")),
                ("data", problem),
            ]));
            let bad = wrong && self.revision == Revision::Stateless;
            let status = if bad {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::OK
            };
            return said(status, &self.message("error", error));
        }
        if let Some(task) = self.task(&refusal, &problem) {
            return said(StatusCode::OK, &self.message("result", task));
        }
        let text = Value::object([
            ("type", Value::from("text")),
            ("text", Value::from(problem.to_string())),
        ]);
        let result = Value::object([
            ("content", Value::Array(vec![text])),
            ("structuredContent", problem),
            ("isError", Value::from(true)),
        ]);
        said(StatusCode::OK, &self.completed(result))
    }

    /// An error that, if it says that what is asked for is not there, says which resource that is: as the client wrote it.
    fn missing(&self, mut error: Value) -> Value {
        let code = error.member("code").map(ToString::to_string);
        let missing = code.as_deref() == Some("-32602");
        if let Some(uri) = self.uri.as_deref().filter(|_| missing)
            && let Value::Object(members) = &mut error
        {
            let data = members
                .entry("data".to_owned())
                .or_insert_with(|| Value::object::<&str>([]));
            if let Value::Object(data) = data {
                data.insert("uri".to_owned(), Value::from(uri));
            }
        }
        error
    }

    fn fault(&self, fault: &Fault) -> Response<Body> {
        let mut error = vec![
            ("code", Value::from_i64(fault.code())),
            ("message", Value::from(fault.to_string())),
        ];
        error.extend(fault.data().map(|data| ("data", data)));
        let message = self.message("error", Value::object(error));
        said(fault.status(self.revision), &message)
    }
}

/// An HTTP response as a tool's result.
fn tool_result(status: StatusCode, kind: &str, bytes: &Bytes, call: CallId) -> Value {
    let text =
        |text: &str| Value::object([("type", Value::from("text")), ("text", Value::from(text))]);
    let failed = !status.is_success();
    let mut content = Vec::new();
    if failed || bytes.is_empty() {
        content.push(text(&format!("The API answered {}.", status.as_u16())));
    }
    if !bytes.is_empty() {
        content.push(match std::str::from_utf8(bytes) {
            Ok(words) => text(words),
            Err(_binary) => binary(kind, bytes, call),
        });
    }
    let meta = Value::object([
        ("writ/status", Value::from_u64(u64::from(status.as_u16()))),
        ("writ/call", Value::from(call.to_string())),
    ]);
    Value::object([
        ("content", Value::Array(content)),
        ("isError", Value::from(failed)),
        ("_meta", meta),
    ])
}

/// Adds what the tool's output schema promises: the status, and the body where it conforms to the contract.
fn structure(result: &mut Value, status: StatusCode, bytes: &Bytes, faithful: Conformance) {
    let conforms = faithful == Conformance::Conforms;
    let body = conforms.then(|| Value::parse(bytes, &JsonLimits::DOCUMENT).ok());
    let body = body.flatten().map(|body| ("body", body));
    let status = ("status", Value::from_u64(u64::from(status.as_u16())));
    if let Value::Object(members) = result {
        let structured = Value::object([status].into_iter().chain(body));
        members.insert("structuredContent".to_owned(), structured);
    }
}

/// Bytes that are no text.
fn binary(kind: &str, bytes: &Bytes, call: CallId) -> Value {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let essence = if essence.is_empty() {
        "application/octet-stream"
    } else {
        essence
    };
    let coded = Value::from(STANDARD.encode(bytes));
    let class = essence.split('/').next().unwrap_or_default();
    if matches!(class, "image" | "audio") {
        return Value::object([
            ("type", Value::from(class)),
            ("data", coded),
            ("mimeType", Value::from(essence)),
        ]);
    }
    let resource = Value::object([
        ("uri", Value::from(format!("urn:writ:call:{call}"))),
        ("mimeType", Value::from(essence)),
        ("blob", coded),
    ]);
    Value::object([("type", Value::from("resource")), ("resource", resource)])
}
