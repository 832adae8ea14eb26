//! Where Writ is reached, and what a token's audience may be.

use std::fmt;
use std::str::FromStr;

use crate::ApiId;

/// Why a text is not a public URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no public URL: write `https://host[:port]` (or `http://` on loopback), without path, query or trailing `/`"
)]
pub struct PublicUrlError(String);

/// The configured origin under which agents reach the gateway. It is never taken from a `Host` header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicUrl(Box<str>);

impl PublicUrl {
    /// The text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let refused = || PublicUrlError(text.chars().take(128).collect());
        let (secure, authority) =
            match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
                (Some(authority), _) => (true, authority),
                (None, Some(authority)) => (false, authority),
                (None, None) => return Err(refused()),
            };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let host_is_plain = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| {
                        byte.is_ascii_lowercase()
                            || byte.is_ascii_digit()
                            || matches!(byte, b'.' | b'-')
                    })
            }
        };
        let loopback = matches!(host, "localhost" | "[::1]")
            || host
                .parse::<core::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback());
        let port_is_good = port.is_none_or(|port| {
            port.parse::<u16>().is_ok_and(|number| number > 0) && !port.starts_with(['0', '+'])
        });
        if host_is_plain && port_is_good && (secure || loopback) && text.len() <= 512 {
            Ok(Self(text.into()))
        } else {
            Err(refused())
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// The resource a token is for (RFC 8707): all of Writ's APIs, or one. Its text is the token's only `aud`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `public_url`: every API the task holds actions of.
    All,
    /// `public_url/{api}`: that API alone.
    Api(ApiId),
}

impl Resource {
    /// Reads a `resource` parameter or an `aud` claim. Exactly these two forms are known; nothing is normalised.
    #[must_use]
    pub fn parse(public_url: &PublicUrl, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(public_url.as_str())?;
        if rest.is_empty() {
            return Some(Self::All);
        }
        rest.strip_prefix('/')?.parse().ok().map(Self::Api)
    }

    /// The path of the MCP door.
    pub const MCP: &'static str = "/mcp";

    /// Reads a `resource` parameter: the two forms of [`Self::parse`], or the MCP endpoint of either, which is another door
    /// to the same resource and gives no other token.
    #[must_use]
    pub fn requested(public_url: &PublicUrl, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(public_url.as_str())?;
        match rest.strip_prefix(Self::MCP) {
            Some("") => Some(Self::All),
            Some(rest) if rest.starts_with('/') => {
                rest.strip_prefix('/')?.parse().ok().map(Self::Api)
            }
            Some(_) | None => Self::parse(public_url, text),
        }
    }

    /// The text: `public_url` or `public_url/{api}`.
    #[must_use]
    pub fn to_uri(&self, public_url: &PublicUrl) -> String {
        match self {
            Self::All => public_url.to_string(),
            Self::Api(api) => format!("{public_url}/{api}"),
        }
    }

    /// Whether a token for this resource may call `api`.
    #[must_use]
    pub fn covers(&self, api: &ApiId) -> bool {
        match self {
            Self::All => true,
            Self::Api(own) => own == api,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_origins() {
        for good in [
            "https://writ.example",
            "https://writ.example:8443",
            "http://127.0.0.1:8080",
            "http://localhost:80",
            "http://[::1]:8080",
        ] {
            assert!(good.parse::<PublicUrl>().is_ok(), "{good}");
        }
        for bad in [
            "http://writ.example",
            "https://writ.example/",
            "https://writ.example/a",
            "https://",
            "writ.example",
            "https://Writ.example",
            "https://writ.example:0",
            "https://writ.example:080",
            "https://writ.example:99999",
            "https://a@b",
            "https://a?b",
            "ftp://a",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_audience_is_exactly_the_url_or_one_api_of_it() {
        let url: PublicUrl = "https://writ.example".parse().unwrap();
        assert_eq!(
            Resource::parse(&url, "https://writ.example"),
            Some(Resource::All)
        );
        let dns = Resource::Api("dns".parse().unwrap());
        assert_eq!(
            Resource::parse(&url, "https://writ.example/dns"),
            Some(dns.clone())
        );
        assert_eq!(dns.to_uri(&url), "https://writ.example/dns");
        assert!(dns.covers(&"dns".parse().unwrap()) && !dns.covers(&"crm".parse().unwrap()));
        for (asked, expect) in [
            ("https://writ.example", Some(Resource::All)),
            ("https://writ.example/mcp", Some(Resource::All)),
            ("https://writ.example/dns", Some(dns.clone())),
            ("https://writ.example/mcp/dns", Some(dns)),
            ("https://writ.example/mcp/", None),
            ("https://writ.example/mcp/mcp", None),
            ("https://writ.example/mcp/dns/x", None),
            (
                "https://writ.example/mcpx",
                Some(Resource::Api("mcpx".parse().unwrap())),
            ),
        ] {
            assert_eq!(Resource::requested(&url, asked), expect, "{asked}");
        }
        for bad in [
            "https://writ.example/",
            "https://writ.example/dns/",
            "https://writ.example.evil",
            "https://writ.example/mcp",
            "HTTPS://writ.example",
            "",
        ] {
            assert_eq!(Resource::parse(&url, bad), None, "{bad}");
        }
    }
}
