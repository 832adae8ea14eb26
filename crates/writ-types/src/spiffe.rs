//! SPIFFE ids (SPIFFE-ID §2).

use std::fmt;
use std::str::FromStr;

/// Longest SPIFFE id that a consumer must support, in bytes (SPIFFE-ID §2.3); longer ones are refused.
const LONGEST: usize = 2048;

/// Why a text is not a SPIFFE id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// It does not begin with `spiffe://`.
    #[error("a SPIFFE id begins with `spiffe://`")]
    Scheme,
    /// The trust domain is empty or holds something else than `a-z 0-9 . - _`.
    #[error("a trust domain is lower-case letters, digits, `.`, `-` and `_`")]
    TrustDomain,
    /// A path segment is empty, `.`, `..`, or holds something else than `a-z A-Z 0-9 . - _`.
    #[error(
        "a SPIFFE path has segments of letters, digits, `.`, `-` and `_`, none empty, `.` or `..`"
    )]
    Path,
    /// Longer than 2,048 bytes.
    #[error("a SPIFFE id has at most 2048 bytes")]
    Long,
}

/// A trust domain name, such as `writ.local`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// The name without a scheme.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        if text.is_empty() || text.len() > 255 || !text.bytes().all(plain) {
            return Err(SpiffeError::TrustDomain);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// A workload's SPIFFE id: `spiffe://trust-domain/path`, with a path (an id of a workload is never the bare domain).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: Box<str>,
    domain: TrustDomain,
}

impl SpiffeId {
    /// The whole URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain that vouches for it.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        if text.len() > LONGEST {
            return Err(SpiffeError::Long);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffeError::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(SpiffeError::Path)?;
        let domain: TrustDomain = domain.parse()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if !path.split('/').all(good) {
            return Err(SpiffeError::Path);
        }
        Ok(Self {
            text: text.into(),
            domain,
        })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_standard() {
        for good in ["spiffe://writ.local/agent/dns", "spiffe://a_b-c.d/A.b-c_d"] {
            assert!(good.parse::<SpiffeId>().is_ok(), "{good}");
        }
        let long = format!("spiffe://a/{}", "b".repeat(2048));
        for bad in [
            "spiffe://writ.local",
            "spiffe://writ.local/",
            "spiffe://writ.local/a/",
            "spiffe://writ.local//a",
            "spiffe://writ.local/./a",
            "spiffe://writ.local/../a",
            "spiffe://Writ.local/a",
            "SPIFFE://writ.local/a",
            "spiffe://writ.local:80/a",
            "spiffe://user@writ.local/a",
            "spiffe://writ.local/a%2fb",
            "spiffe://writ.local/a?b",
            "spiffe://writ.local/a#b",
            "spiffe:///a",
            "https://writ.local/a",
            &long,
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }
}
