//! The way back: what an operation may answer, and whether an answer is that.
//!
//! A check says one of three things. A response *conforms* if it is JSON of a declared status and media type and fits
//! the schema: only then can anything in it vouch for a value. It is *unchecked* if the contract says nothing that
//! could be broken: no content, no schema, a media type that is not looked at. Everything else *breaks* the contract.

use writ_types::{Conformance, JsonLimits, Value};

use crate::fault::{Fault, FaultKind};
use crate::media::{ContentType, MediaKind};
use crate::operation::{Media, Operation};
use crate::schema::{Faults, SchemaId, check_response};

/// Bounds of a response that is looked at. What is beyond cannot be checked, and so breaks the contract.
const LIMITS: JsonLimits = JsonLimits {
    depth: 128,
    values: 1_000_000,
    number_chars: 128,
};

/// A status, a class of them (`4XX`), or all others. In the order in which they apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StatusRange {
    Exact(u16),
    /// The first digit.
    Class(u16),
    Default,
}

impl StatusRange {
    /// Reads a key of `responses`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if name == "default" {
            return Some(Self::Default);
        }
        let digit = |range: std::ops::Range<usize>| name.get(range)?.parse::<u16>().ok();
        if name.len() != 3 {
            return None;
        }
        if name.get(1..)?.eq_ignore_ascii_case("xx") {
            return digit(0..1)
                .filter(|class| (1..=5).contains(class))
                .map(Self::Class);
        }
        digit(0..3)
            .filter(|status| (100..=599).contains(status))
            .map(Self::Exact)
    }

    /// Whether it has a status that tells of success.
    pub(crate) fn tells_of_success(self) -> bool {
        match self {
            Self::Exact(status) => matches!(status, 200..=299),
            Self::Class(class) => class == 2,
            Self::Default => true,
        }
    }

    fn has(self, status: u16) -> bool {
        match self {
            Self::Exact(own) => own == status,
            Self::Class(class) => status.checked_div(100) == Some(class),
            Self::Default => true,
        }
    }
}

/// One declared response.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusRange,
    /// Empty if the contract says nothing about content.
    pub(crate) media: Vec<Media>,
}

/// A response, checked against its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedResponse {
    /// What came of it.
    pub conformance: Conformance,
    /// The body, where it conforms: nothing else is worth looking at.
    pub value: Option<Value>,
    /// What it conforms to.
    pub(crate) schema: Option<SchemaId>,
    /// What is wrong: `/status`, `/header/content-type` or `/body/…`. Nothing that the upstream chose is in a fault.
    pub faults: Vec<Fault>,
}

impl CheckedResponse {
    const UNCHECKED: Self = Self {
        conformance: Conformance::Unchecked,
        value: None,
        schema: None,
        faults: Vec::new(),
    };

    fn broken(faults: Vec<Fault>) -> Self {
        Self {
            conformance: Conformance::Breaks,
            value: None,
            schema: None,
            faults,
        }
    }

    fn fault(pointer: &str, kind: FaultKind) -> Self {
        Self::broken(vec![Fault {
            pointer: pointer.to_owned(),
            kind,
        }])
    }
}

/// Checks a response that was read whole.
pub(crate) fn check(
    operation: &Operation,
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> CheckedResponse {
    // A contract without responses says nothing about any.
    if operation.replies.is_empty() {
        return CheckedResponse::UNCHECKED;
    }
    let Some(reply) = operation
        .replies
        .iter()
        .find(|reply| reply.status.has(status))
    else {
        return CheckedResponse::fault("/status", FaultKind::Status);
    };
    // RFC 9110 §6.4.1: these have no content, whatever the contract says of it.
    let bodiless = operation.method() == "HEAD" || matches!(status, 100..=199 | 204 | 205 | 304);
    if reply.media.is_empty() || bodiless && body.is_empty() {
        return CheckedResponse::UNCHECKED;
    }
    if body.is_empty() {
        let wanted = reply
            .media
            .iter()
            .any(|media| media.kind == MediaKind::Json);
        return if wanted {
            CheckedResponse::fault("/body", FaultKind::BodyMissing)
        } else {
            CheckedResponse::UNCHECKED
        };
    }
    let schema = match content_type.map_or(Declared::No, |given| declared(reply, given)) {
        Declared::Looked(schema) => schema,
        Declared::Passed => return CheckedResponse::UNCHECKED,
        Declared::No => {
            return CheckedResponse::fault("/header/content-type", FaultKind::MediaType);
        }
    };
    let value = match Value::parse(body, &LIMITS) {
        Ok(value) => value,
        Err(fault) => {
            return CheckedResponse::fault("/body", FaultKind::Json(fault.kind, fault.offset));
        }
    };
    let mut faults = Faults::default();
    check_response(&operation.schemas, schema, &value, "/body", &mut faults);
    let faults = faults.finish("/body");
    if faults.is_empty() {
        CheckedResponse {
            conformance: Conformance::Conforms,
            value: Some(value),
            schema: Some(schema),
            faults,
        }
    } else {
        CheckedResponse::broken(faults)
    }
}

/// What a contract says about a content type.
enum Declared {
    /// Its content is looked at.
    Looked(SchemaId),
    /// It is declared, and its content is not looked at.
    Passed,
    No,
}

/// JSON of any name is read where JSON is declared (RFC 6839 §3.1), because it is judged by the schema and not by its
/// name. Under a wildcard anything may come, and only JSON is looked at.
fn declared(reply: &Reply, given: &str) -> Declared {
    let Some(given) = ContentType::of_response(given) else {
        return Declared::No;
    };
    let named = |media: &&Media| media.range.names(&given);
    let exact = |media: &&Media| !media.range.is_wild() && named(media);
    let json = |media: &&Media| given.is_json() && media.kind == MediaKind::Json;
    let mut media = reply.media.iter();
    let found = media
        .clone()
        .find(exact)
        .or_else(|| media.clone().find(named))
        .or_else(|| media.find(json));
    match found.map(|media| media.schema.filter(|_| given.is_json())) {
        Some(Some(schema)) => Declared::Looked(schema),
        Some(None) => Declared::Passed,
        None => Declared::No,
    }
}

#[cfg(test)]
mod tests;
