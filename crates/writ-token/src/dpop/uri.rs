//! The URI a proof is for (RFC 9449 §4.2 `htu`).

use std::fmt;
use std::str::FromStr;

use writ_types::PublicUrl;

/// Why a text is no `htu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an absolute http or https URI without query, fragment and user")]
pub struct HttpUriError;

/// Scheme, host, port and path of an HTTP request: what `htu` holds.
///
/// Scheme and host compare without case and a scheme's own port equals none (RFC 3986 §6.2.2.1, §6.2.3); the path compares
/// byte for byte, so that two spellings of one path are two URIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUri {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl HttpUri {
    /// The URI of a request for `path` at `public_url`. A query is cut off.
    ///
    /// # Errors
    ///
    /// [`HttpUriError`] if `path` does not begin with `/` or holds what no path holds.
    pub fn at(public_url: &PublicUrl, path: &str) -> Result<Self, HttpUriError> {
        let path = path.split('?').next().unwrap_or_default();
        if !path.starts_with('/') {
            return Err(HttpUriError);
        }
        format!("{public_url}{path}").parse()
    }
}

impl FromStr for HttpUri {
    type Err = HttpUriError;

    fn from_str(text: &str) -> Result<Self, HttpUriError> {
        let (scheme, rest) = text.split_once("://").ok_or(HttpUriError)?;
        let tls = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return Err(HttpUriError);
        };
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\' | b'"');
        let begin = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(begin).ok_or(HttpUriError)?;
        if !rest.bytes().all(plain) || authority.contains('@') {
            return Err(HttpUriError);
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (authority, None),
        };
        let usual = if tls { 443 } else { 80 };
        let port = match port {
            None | Some("") => usual,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_too_large| HttpUriError)?
            }
            Some(_) => return Err(HttpUriError),
        };
        if host.is_empty() {
            return Err(HttpUriError);
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            },
        })
    }
}

impl fmt::Display for HttpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_exact_and_the_rest_is_normal() {
        let base: PublicUrl = "https://writ.example".parse().unwrap();
        let uri = HttpUri::at(&base, "/dns/zones/a%2fb?x=1").unwrap();
        for same in [
            "https://writ.example/dns/zones/a%2fb",
            "HTTPS://WRIT.example:443/dns/zones/a%2fb",
            "https://writ.example:/dns/zones/a%2fb",
        ] {
            assert_eq!(same.parse().as_ref(), Ok(&uri), "{same}");
        }
        for other in [
            "http://writ.example/dns/zones/a%2fb",
            "https://writ.example:8443/dns/zones/a%2fb",
            "https://writ.example.evil/dns/zones/a%2fb",
            "https://writ.example/dns/zones/a%2Fb",
            "https://writ.example/dns/zones/a/b",
            "https://writ.example/dns/zones/a%2fb/",
            "https://writ.example/dns//zones/a%2fb",
            "https://writ.example/DNS/zones/a%2fb",
        ] {
            assert_ne!(other.parse().as_ref(), Ok(&uri), "{other}");
        }
        for bad in [
            "https://writ.example/dns?x",
            "https://writ.example/dns#x",
            "https://u@writ.example/dns",
            "https:///dns",
            "https://writ.example:99999/",
            "https://writ.example:+443/",
            "writ.example/dns",
            "ftp://writ.example/dns",
            "https://writ.example/a b",
            "https://writ.example/\u{e9}",
        ] {
            assert_eq!(bad.parse::<HttpUri>(), Err(HttpUriError), "{bad}");
        }
        assert_eq!("https://a".parse::<HttpUri>(), "https://a/".parse());
        assert_eq!(HttpUri::at(&base, "dns"), Err(HttpUriError));
    }
}
