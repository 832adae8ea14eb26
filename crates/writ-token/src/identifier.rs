//! Names of issuers and clients.

use std::fmt;
use std::str::FromStr;

/// Why a text is no issuer or client identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Not an `https` URL without query and fragment.
    #[error(
        "an issuer is an `https://` URL (or `http://` on loopback) without query, fragment and user"
    )]
    Issuer,
    /// Empty, too long, or not printable ASCII.
    #[error("a client id has 1 to 2048 printable ASCII characters")]
    Client,
}

/// An issuer (RFC 8414 §2). Two are the same only if their texts are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerUrl(Box<str>);

impl IssuerUrl {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IssuerUrl {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let plain = text.len() <= 512
            && text.bytes().all(|byte| {
                byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@' | b'\\' | b'"')
            });
        let secure = text.strip_prefix("https://");
        let authority = secure.or_else(|| text.strip_prefix("http://"));
        let authority = authority
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_default();
        if !plain || authority.is_empty() || (secure.is_none() && !is_loopback(authority)) {
            return Err(IdentifierError::Issuer);
        }
        Ok(Self(text.into()))
    }
}

/// Whether `host[:port]` can only be this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    };
    matches!(host, "localhost" | "[::1]")
        || host
            .parse::<core::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An OAuth client identifier (RFC 6749 §2.2); for a workload its SPIFFE id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let printable = text.bytes().all(|byte| matches!(byte, 0x20..=0x7E));
        if text.is_empty() || text.len() > 2048 || !printable {
            return Err(IdentifierError::Client);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_urls() {
        for good in [
            "https://idp.example",
            "https://idp.example/",
            "https://idp.example/realms/a",
            "http://127.0.0.1:8081",
            "http://localhost:8081/x",
            "http://[::1]:8081",
        ] {
            assert_eq!(good.parse::<IssuerUrl>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "https://",
            "http://idp.example",
            "https://idp.example?x",
            "https://idp.example#x",
            "https://u@idp.example",
            "idp.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
        ] {
            assert!(bad.parse::<IssuerUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn client_ids_are_printable() {
        assert!("spiffe://writ.local/agent".parse::<ClientId>().is_ok());
        for bad in ["", "a\n", "\u{e9}"] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad:?}");
        }
    }
}
