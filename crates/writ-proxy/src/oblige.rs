//! What a policy asks to be done to a response that was read whole.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName};
use writ_types::{JsonLimits, Obligations, Value};

/// A response in which what was asked for cannot be done. It is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unmet;

/// The largest response, in bytes, where `most` is the largest of all.
pub(crate) fn most(obligations: &Obligations, most: usize) -> usize {
    let limit = obligations.limit_bytes().unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX).min(most)
}

/// Fields that commit to the bytes as the upstream sent them.
const OF_THE_BYTES: [HeaderName; 4] = [
    header::ETAG,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// The body with everything left out that is to be left out.
///
/// # Errors
///
/// [`Unmet`] if something is to be left out and the body is not JSON, strictly read: what cannot be read could hold it
/// anywhere. A body that is not there needs no redaction.
pub(crate) fn meet(
    obligations: &Obligations,
    headers: &mut HeaderMap,
    body: Bytes,
) -> Result<Bytes, Unmet> {
    if !obligations.redacts() || body.is_empty() {
        return Ok(body);
    }
    if !is_json(headers) {
        return Err(Unmet);
    }
    let mut document = Value::parse(&body, &JsonLimits::DOCUMENT).map_err(|_fault| Unmet)?;
    obligations.redact(&mut document);
    for name in OF_THE_BYTES {
        headers.remove(name);
    }
    Ok(Bytes::from(document.to_string()))
}

/// Whether the one content type is JSON (RFC 8259, RFC 6839 §3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn met(kind: &'static str, body: &'static str) -> Result<String, Unmet> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let obligations = "redact:/secret".parse().unwrap();
        let body = meet(
            &obligations,
            &mut headers,
            Bytes::from_static(body.as_bytes()),
        )?;
        assert_eq!(headers.contains_key(header::ETAG), body.is_empty());
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn what_can_be_read_is_redacted_and_what_cannot_is_withheld() {
        let json = "application/json; charset=utf-8";
        let body = r#"{"id":1.50,"secret":"x"}"#;
        let redacted = r#"{"id":1.50,"secret":null}"#.to_owned();
        assert_eq!(met(json, body), Ok(redacted.clone()));
        assert_eq!(met("application/problem+json", body), Ok(redacted));
        assert_eq!(met("text/html", ""), Ok(String::new()));
        for (kind, body) in [
            ("text/html", "<p>secret</p>"),
            ("text/plain", body),
            (json, "{\"secret\":\"x\""),
            (json, "{\"secret\":1,\"secret\":2}"),
            (json, "\u{feff}{\"secret\":1}"),
        ] {
            assert_eq!(met(kind, body), Err(Unmet), "{kind} {body}");
        }
    }

    #[test]
    fn without_anything_to_leave_out_the_bytes_stay_as_they_are() {
        let body = Bytes::from_static(b"not json at all");
        let mut headers = HeaderMap::new();
        let obligations = "limit-bytes:100".parse().unwrap();
        assert_eq!(meet(&obligations, &mut headers, body.clone()), Ok(body));
    }
}
