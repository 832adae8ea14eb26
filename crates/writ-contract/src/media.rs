//! Media types: which bodies an operation takes and how each is read.

/// How the body of one media type is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaKind {
    /// `application/json` or `+json`: strictly parsed.
    Json,
    /// `application/x-www-form-urlencoded`: read into an object.
    Form,
    /// Anything else: bytes that are not looked at.
    Opaque,
}

/// The content type is not one the operation takes (RFC 9110 §15.5.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a content type that the contract declares for this operation")]
pub struct UnsupportedMedia;

/// A media type or range as a contract declares it, lower case, without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaRange {
    kind: String,
    subtype: String,
}

impl MediaRange {
    /// Reads a key of `content` or an item of `consumes`; parameters are dropped.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = match essence.split_once('/') {
            Some((kind, subtype)) => (kind, subtype),
            // `*` is common for `*/*`.
            None if essence == "*" => ("*", "*"),
            None => return None,
        };
        let wild = |part: &str| part == "*" || token(part);
        (wild(kind) && wild(subtype)).then(|| Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
        })
    }

    /// How a body of a declared range is read. A range with a wildcard is JSON, because the schema beside it speaks of
    /// JSON values.
    pub(crate) fn media_kind(&self) -> MediaKind {
        if self.is_wild() {
            return MediaKind::Json;
        }
        self.essence_kind()
    }

    fn essence_kind(&self) -> MediaKind {
        let json = self.subtype == "json" || self.subtype.ends_with("+json");
        if json && self.kind == "application" {
            MediaKind::Json
        } else if self.kind == "application" && self.subtype == "x-www-form-urlencoded" {
            MediaKind::Form
        } else {
            MediaKind::Opaque
        }
    }

    /// The one media type it is; none for a range.
    pub(crate) fn essence(&self) -> Option<String> {
        (!self.is_wild()).then(|| format!("{}/{}", self.kind, self.subtype))
    }

    pub(crate) fn is_wild(&self) -> bool {
        self.kind == "*" || self.subtype.contains('*')
    }

    fn matches(&self, given: &Self) -> bool {
        let part = |own: &str, other: &str| own == "*" || own == other;
        part(&self.kind, &given.kind) && part(&self.subtype, &given.subtype)
    }

    /// Whether a content type is of this range.
    pub(crate) fn names(&self, given: &ContentType) -> bool {
        self.matches(&given.range)
    }

    /// Whether a call's `Content-Type` is of this declared range and read as `kind`.
    pub(crate) fn takes(&self, given: &ContentType, kind: MediaKind) -> bool {
        let read_as = given.range.essence_kind();
        // What is parsed must be what the caller calls it; bytes that are not looked at may be anything declared.
        self.matches(&given.range) && (kind == MediaKind::Opaque || read_as == kind)
    }
}

/// The `Content-Type` of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentType {
    range: MediaRange,
}

impl ContentType {
    /// RFC 9110 §8.3. A `charset` other than UTF-8 is refused, so that the upstream reads the bytes as we do; so is a
    /// repeated parameter.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let range = MediaRange::parse(parts.next()?)?;
        if range.is_wild() {
            return None;
        }
        let mut charset_seen = false;
        for part in parts {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=')?;
            if !token(name.trim()) {
                return None;
            }
            if name.trim().eq_ignore_ascii_case("charset") {
                let value = value.trim().trim_matches('"');
                let utf8 =
                    value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8");
                if charset_seen || !utf8 {
                    return None;
                }
                charset_seen = true;
            }
        }
        Some(Self { range })
    }
}

impl ContentType {
    /// The type a response says it is of. Parameters are not looked at: JSON is UTF-8 (RFC 8259 §8.1), and nothing else
    /// is read.
    pub(crate) fn of_response(text: &str) -> Option<Self> {
        let range = MediaRange::parse(text)?;
        (!range.is_wild()).then_some(Self { range })
    }

    pub(crate) fn is_json(&self) -> bool {
        self.range.essence_kind() == MediaKind::Json
    }
}

/// A token of RFC 9110 §5.6.2.
fn token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_match_declared_ranges() {
        let table = [
            (
                "application/json",
                "application/json",
                MediaKind::Json,
                true,
            ),
            (
                "application/json",
                "Application/JSON; charset=UTF-8",
                MediaKind::Json,
                true,
            ),
            (
                "application/json",
                "application/json; charset=\"utf-8\"",
                MediaKind::Json,
                true,
            ),
            (
                "application/json; version=2",
                "application/json",
                MediaKind::Json,
                true,
            ),
            (
                "application/json",
                "application/json; charset=utf-16",
                MediaKind::Json,
                false,
            ),
            (
                "application/json",
                "application/json; charset=utf-8; charset=utf-8",
                MediaKind::Json,
                false,
            ),
            ("application/json", "text/json", MediaKind::Json, false),
            (
                "application/json",
                "application/merge-patch+json",
                MediaKind::Json,
                false,
            ),
            ("*/*", "application/merge-patch+json", MediaKind::Json, true),
            ("application/*", "application/json", MediaKind::Json, true),
            ("application/*", "application/xml", MediaKind::Json, false),
            ("*/*", "*/*", MediaKind::Json, false),
            ("image/*", "image/png", MediaKind::Opaque, true),
            (
                "application/json",
                "application/json, text/plain",
                MediaKind::Json,
                false,
            ),
            ("application/json", "", MediaKind::Json, false),
            (
                "application/json",
                "application/json; =x",
                MediaKind::Json,
                false,
            ),
        ];
        for (declared, given, kind, expect) in table {
            let range = MediaRange::parse(declared).unwrap();
            let takes = ContentType::parse(given).is_some_and(|given| range.takes(&given, kind));
            assert_eq!(takes, expect, "{declared} takes {given}");
        }
    }
}
