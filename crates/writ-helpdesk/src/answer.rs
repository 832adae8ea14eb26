//! What the help desk answers, in one place.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use writ_types::Value;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The key is missing or wrong.
    Unauthorized,
    /// No operation has this path.
    NoSuchPath,
    /// Operations have this path, but with these methods only.
    MethodNotAllowed(&'static str),
    /// The thing of this kind does not exist.
    NotFound(&'static str),
    /// The request cannot be read.
    Malformed(&'static str),
    /// The body is larger than [`crate::serve::BODY_BYTES`].
    TooLarge,
    /// The body is not JSON by its media type.
    UnsupportedMediaType,
    /// Members, by JSON pointer, have values they cannot have.
    Invalid(Vec<(String, &'static str)>),
    /// The state does not allow it: a word and a sentence.
    Conflict(&'static str, &'static str),
}

/// A response whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What was asked for.
pub(crate) fn done(status: StatusCode, value: &Value) -> Answer {
    json(status, value)
}

/// Nothing but the status.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

impl Fault {
    pub(crate) fn into_answer(self) -> Answer {
        let (status, code, message) = match &self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the key is missing or wrong",
            ),
            Self::NoSuchPath => (
                StatusCode::NOT_FOUND,
                "no_such_path",
                "no operation has this path",
            ),
            Self::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path has no such method",
            ),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, "not_found", *message),
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, "malformed", *message),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is larger than 64 KiB",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be application/json",
            ),
            Self::Invalid(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "a member of the body is wrong",
            ),
            Self::Conflict(code, message) => (StatusCode::CONFLICT, *code, *message),
        };
        let mut members = vec![
            ("code", Value::from(code)),
            ("message", Value::from(message)),
        ];
        if let Self::Invalid(faults) = &self {
            members.push(("faults", Value::Array(faults.iter().map(fault).collect())));
        }
        let mut answer = json(status, &Value::object([("error", Value::object(members))]));
        if let Self::MethodNotAllowed(allow) = self {
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

fn fault((pointer, message): &(String, &'static str)) -> Value {
    Value::object([
        ("pointer", Value::from(pointer.as_str())),
        ("message", Value::from(*message)),
    ])
}

fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
