//! The agent never sees the upstream's credential, not even where the upstream repeats it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// Shorter credentials are not looked for: they would be found by chance.
const SHORTEST: usize = 8;

/// Looks for a credential in a body that passes by in parts.
///
/// The last bytes of each part are held back until the next one, so that a credential split over two parts is found
/// before any of it has left.
pub(crate) struct LeakGuard {
    /// The spellings of the credential: as it is, and as it is sent.
    finders: Arc<[Finder<'static>]>,
    held: BytesMut,
}

impl fmt::Debug for LeakGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeakGuard([redacted])")
    }
}

/// The credential was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leak;

impl LeakGuard {
    /// A guard for these spellings of a secret; without one it lets everything pass.
    pub(crate) fn new(finders: &Arc<[Finder<'static>]>) -> Self {
        Self {
            finders: Arc::clone(finders),
            held: BytesMut::new(),
        }
    }

    /// A guard that looks for the same and has seen nothing.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(&self.finders)
    }

    /// What a credential's guard looks for: the secret as it is, and as many a JSON writer puts it.
    pub(crate) fn finders(secret: &str) -> impl Iterator<Item = Finder<'static>> {
        let escaped = secret.contains('/').then(|| secret.replace('/', "\\/"));
        let spellings = [secret.to_owned()].into_iter().chain(escaped);
        let long = spellings.filter(|spelling| spelling.len() >= SHORTEST);
        long.map(|spelling| Finder::new(spelling.as_bytes()).into_owned())
    }

    /// Whether the credential stands in a whole body as a reader of JSON would read it: `\/` and `\u0073` are characters
    /// like others to whoever gets them.
    pub(crate) fn stands_in(&self, body: &[u8]) -> bool {
        if self.finders.is_empty() {
            return false;
        }
        let plain = unescaped(body);
        let mut finders = self.finders.iter();
        finders.any(|finder| finder.find(&plain).is_some())
    }

    /// Takes a part and gives what may leave.
    pub(crate) fn pass(&mut self, part: Bytes) -> Result<Bytes, Leak> {
        let longest = self
            .finders
            .iter()
            .map(|finder| finder.needle().len())
            .max();
        let Some(longest) = longest else {
            return Ok(part);
        };
        let keep = longest.saturating_sub(1);
        let whole = if self.held.is_empty() {
            part
        } else {
            self.held.extend_from_slice(&part);
            std::mem::take(&mut self.held).freeze()
        };
        if self
            .finders
            .iter()
            .any(|finder| finder.find(&whole).is_some())
        {
            return Err(Leak);
        }
        let mut leaving = whole;
        let rest = leaving.split_off(leaving.len().saturating_sub(keep));
        self.held = BytesMut::from(&rest[..]);
        Ok(leaving)
    }

    /// The end of the body: what was held back.
    pub(crate) fn end(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

/// The bytes with JSON's escapes for ASCII characters resolved; the bytes themselves if there are none.
fn unescaped(body: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', body).is_none() {
        return Cow::Borrowed(body);
    }
    let mut plain = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at_checked(at).unwrap_or_default();
        plain.extend_from_slice(before);
        let code = escape
            .get(2..6)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, length) = match (escape.get(1), code) {
            (Some(b'u'), Some(code)) if code.is_ascii() => (code, 6),
            (Some(byte), _) => (*byte, 2),
            (None, _) => (b'\\', 1),
        };
        plain.push(byte);
        rest = escape.get(length..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cr3t-k3y";

    /// Two spellings of different lengths: the longer one is held back for, the shorter one is found as well.
    fn guard() -> LeakGuard {
        let finders: Vec<_> = [SECRET, "a longer spelling of it"]
            .into_iter()
            .flat_map(LeakGuard::finders)
            .collect();
        LeakGuard::new(&finders.into())
    }

    fn run(parts: &[&[u8]]) -> Result<Vec<u8>, Leak> {
        let mut guard = guard();
        let mut out = Vec::new();
        for part in parts {
            out.extend_from_slice(&guard.pass(Bytes::copy_from_slice(part))?);
        }
        out.extend_from_slice(&guard.end());
        Ok(out)
    }

    #[test]
    fn a_short_credential_is_not_looked_for() {
        assert!(LeakGuard::finders("abc").next().is_none());
    }

    #[test]
    fn an_escaped_credential_is_found() {
        let secret = "key/with=slash";
        let guard = LeakGuard::new(&LeakGuard::finders(secret).collect());
        for (body, stands) in [
            (r#"{"k":"key/with=slash"}"#, true),
            (r#"{"k":"key\/with=slash"}"#, true),
            (r#"{"k":"\u006bey\u002Fwith=slash"}"#, true),
            (r#"{"k":"key/with\u00e9=slash"}"#, false),
            // JSON in a text of JSON.
            (r#"{"k":"key\\/with=slash"}"#, true),
            ("\\", false),
            ("\\u00", false),
        ] {
            assert_eq!(guard.stands_in(body.as_bytes()), stands, "{body}");
        }
        let mut guard = guard.fresh();
        let streamed = Bytes::from_static(br#"{"k":"key\/with=slash"}"#);
        assert_eq!(guard.pass(streamed), Err(Leak), "in a stream");
    }

    proptest! {
        #[test]
        fn however_it_is_split_no_byte_of_the_credential_leaves(
            before in "[a-z]{0,20}", after in "[a-z]{0,20}", cuts in prop::collection::vec(0usize..60, 0..6),
        ) {
            let text = format!("{before}{SECRET}{after}").into_bytes();
            let mut guard = guard();
            let (mut out, mut found) = (Vec::new(), false);
            for part in split(&text, cuts) {
                match guard.pass(Bytes::copy_from_slice(part)) {
                    Ok(bytes) => out.extend_from_slice(&bytes),
                    Err(Leak) => { found = true; break; }
                }
            }
            prop_assert!(found);
            prop_assert!(out.len() <= before.len(), "something of the credential left");
        }

        #[test]
        fn everything_else_passes_unchanged(text in "[a-z0-9-]{0,80}", cuts in prop::collection::vec(0usize..80, 0..6)) {
            prop_assume!(!text.contains(SECRET));
            prop_assert_eq!(run(&split(text.as_bytes(), cuts)), Ok(text.into_bytes()));
        }
    }

    fn split(text: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
        cuts.retain(|cut| *cut < text.len());
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in cuts {
            parts.push(&text[from..cut]);
            from = cut;
        }
        parts.push(&text[from..]);
        parts
    }
}
