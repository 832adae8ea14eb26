//! The path of a call, split and decoded once.

use super::RouteError;
use crate::parse::percent;

/// The decoded segments of a raw path.
///
/// `raw` begins with `/`. A segment that is, or that after decoding contains between slashes or backslashes, `.` or
/// `..` is refused: some servers decode first and then resolve (RFC 3986 §5.2.4).
pub(crate) fn split(raw: &str) -> Result<Vec<String>, RouteError> {
    let rest = raw.strip_prefix('/').ok_or(RouteError::Malformed)?;
    rest.split('/').map(segment).collect()
}

fn segment(raw: &str) -> Result<String, RouteError> {
    // RFC 3986 §3.3 pchar; what else a client sends unescaped, servers read in different ways.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
    if !raw.bytes().all(plain) {
        return Err(RouteError::Malformed);
    }
    let text = percent::decode(raw).ok_or(RouteError::Malformed)?;
    let dots = |part: &str| matches!(part, "." | "..");
    if text.chars().any(char::is_control) || text.split(['/', '\\']).any(dots) {
        return Err(RouteError::Malformed);
    }
    Ok(text)
}
