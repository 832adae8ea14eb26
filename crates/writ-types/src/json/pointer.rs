//! JSON pointers (RFC 6901).

use std::borrow::Cow;
use std::fmt;

/// A JSON pointer in its text form; always well formed. The empty pointer is the whole document.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(String);

impl Pointer {
    /// The whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Reads a pointer: empty, or `/` before every token, `~` only as `~0` and `~1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tokens_are_good = || {
            text.split('~')
                .skip(1)
                .all(|after| after.starts_with('0') || after.starts_with('1'))
        };
        ((text.is_empty() || text.starts_with('/')) && tokens_are_good())
            .then(|| Self(text.to_owned()))
    }

    /// This pointer and one more member name.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut text = self.0.clone();
        text.push('/');
        if name.contains(['~', '/']) {
            text.push_str(&name.replace('~', "~0").replace('/', "~1"));
        } else {
            text.push_str(name);
        }
        Self(text)
    }

    /// This pointer and an array index.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(|token| {
            if token.contains('~') {
                Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
            } else {
                Cow::Borrowed(token)
            }
        })
    }
}

/// The array index a token means: decimal digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let plain =
        token == "0" || !token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit());
    if plain { token.parse().ok() } else { None }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
