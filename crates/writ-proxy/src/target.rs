//! The request target and head: what the caller asks for, with nothing in it trusted.

use std::fmt;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use writ_types::{ApiId, Resource};

use crate::approve::PATH;

/// Request fields that travel on as they are. Everything else stays here: an API sees what its contract declares and
/// these, never the caller's credentials, cookies, forwarding claims or connection options (RFC 9110 §7.6.1).
const FORWARDED: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Target {
    /// The door, and the API.
    pub(crate) endpoint: Endpoint,
    /// The approval whose state is asked for, in place of an operation (`/writ/approvals/{api}/{approval}`).
    pub(crate) approval: Option<String>,
    /// The path after it, still percent-encoded; `/` if there is nothing.
    pub(crate) path: String,
    /// The query, still percent-encoded.
    pub(crate) query: Option<String>,
    /// Method and path as the caller wrote them: what its proof of possession must name.
    pub(crate) method: String,
    /// The whole path, still percent-encoded.
    pub(crate) whole_path: String,
    /// The fields that travel on.
    pub(crate) forwarded: HeaderMap,
    /// Why the request cannot be served whatever it asks for. Answered only after the caller is known.
    pub(crate) malformed: bool,
}

/// The two ways to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `/{api}/{path}`.
    Http,
    /// `/mcp` and `/mcp/{api}`.
    Mcp,
}

/// What a path leads to, whether there is such an API or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Which door.
    pub(crate) door: Door,
    /// The API; none for all, or if it could be none.
    pub(crate) api: Option<ApiId>,
}

impl Endpoint {
    /// Reads the beginning of a path. `mcp` is no API's id.
    pub(crate) fn of(path: &str) -> Self {
        // An approval's API is named, so that a token for it alone is one for asking about it, too.
        let path = path
            .strip_prefix(PATH)
            .unwrap_or_else(|| path.strip_prefix('/').unwrap_or_default());
        let mut segments = path.split('/');
        let first = segments.next().unwrap_or_default();
        let (door, api) = match first {
            "mcp" => (Door::Mcp, segments.next().unwrap_or_default()),
            api => (Door::Http, api),
        };
        Self {
            door,
            api: api.parse().ok(),
        }
    }
}

impl fmt::Display for Endpoint {
    /// The path of the resource a token must be for: empty for all APIs, `/mcp` before it at the other door.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let door = match self.door {
            Door::Http => "",
            Door::Mcp => Resource::MCP,
        };
        f.write_str(door)?;
        self.api.as_ref().map_or(Ok(()), |api| write!(f, "/{api}"))
    }
}

/// What is asked for at `/writ/approvals/{api}/{approval}`.
fn approval_of(path: &str) -> Option<String> {
    let (_, approval) = path.strip_prefix(PATH)?.split_once('/')?;
    Some(approval.to_owned())
}

/// Reads the target and head. Never refuses: a stranger learns of a malformed request no more than of a good one.
/// A target beyond `most` bytes is malformed.
pub(crate) fn parse(head: &Parts, most: usize) -> Target {
    let whole_path = head.uri.path().to_owned();
    let length = head.uri.query().map_or(0, str::len);
    let length = length.saturating_add(whole_path.len());
    let rest = whole_path.strip_prefix('/').unwrap_or_default();
    let path = rest
        .split_once('/')
        .map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}"));
    let endpoint = Endpoint::of(&whole_path);
    // The MCP endpoint is the whole path, and has no query.
    let no_endpoint = endpoint.door == Door::Mcp
        && (head.uri.query().is_some() || endpoint.to_string() != whole_path);
    let mut forwarded = HeaderMap::new();
    for name in FORWARDED {
        for value in head.headers.get_all(&name) {
            forwarded.append(name.clone(), value.clone());
        }
    }
    let doubled = |name: &HeaderName| head.headers.get_all(name).iter().count() > 1;
    let framed_twice = head.headers.contains_key(header::TRANSFER_ENCODING)
        && head.headers.contains_key(header::CONTENT_LENGTH);
    let malformed = framed_twice
        || no_endpoint
        || length > most
        || !whole_path.starts_with('/')
        || [header::HOST, header::CONTENT_TYPE, header::CONTENT_LENGTH]
            .iter()
            .any(doubled)
        || head.headers.contains_key(header::UPGRADE);
    Target {
        endpoint,
        approval: approval_of(&whole_path),
        path,
        query: head.uri.query().map(str::to_owned),
        method: head.method.as_str().to_owned(),
        whole_path,
        forwarded,
        malformed,
    }
}
