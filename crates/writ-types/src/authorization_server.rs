//! The authorization server of an API that has one of its own, and how a token of it is obtained there (RFC 6749 §4.4, RFC 8693
//! §2.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::{OperationId, UpstreamUrl};

/// Longest text of a registration, in bytes.
const LONGEST: usize = 512;
/// Most scopes of one API.
const MOST_SCOPES: usize = 64;

/// Where and how the tokens of an API are obtained.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorizationServer {
    /// The grant that is asked for.
    pub grant: UpstreamGrant,
    /// Where it is asked: over TLS, or on this machine.
    pub token_endpoint: UpstreamUrl,
    /// Who Writ is there.
    pub client_id: String,
    /// How Writ proves it.
    pub authentication: UpstreamAuthentication,
    /// The server's issuer identifier: the audience of whatever Writ signs for it (RFC 7523bis §3). None where it signs nothing.
    pub issuer: Option<String>,
    /// The resource that tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// The audience that tokens are for (RFC 8693 §2.1).
    pub audience: Option<String>,
    /// The scopes of a token, unless an operation has its own. Empty: what the server gives.
    pub scopes: BTreeSet<Scope>,
    /// The scopes of single operations, none of which is not among `scopes`.
    pub operations: BTreeMap<OperationId, BTreeSet<Scope>>,
}

/// The grant that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpstreamGrant {
    /// A token of Writ as a client, the same for every task (RFC 6749 §4.4).
    ClientCredentials,
    /// A token for whom the task acts, in exchange for what Writ says of it (RFC 8693).
    TokenExchange,
}

impl UpstreamGrant {
    /// The word in registrations and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => "token_exchange",
        }
    }
}

impl FromStr for UpstreamGrant {
    type Err = AuthorizationServerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::ClientCredentials, Self::TokenExchange]
            .into_iter()
            .find(|grant| grant.as_str() == text)
            .ok_or(AuthorizationServerError::Grant)
    }
}

/// How Writ proves at a token endpoint that it is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpstreamAuthentication {
    /// With a secret, which is the API's credential (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// With an assertion that Writ's own key signs (RFC 7523 §2.2): no secret is shared.
    PrivateKeyJwt,
}

impl UpstreamAuthentication {
    /// The name that is registered for it (RFC 7591 §2).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

impl FromStr for UpstreamAuthentication {
    type Err = AuthorizationServerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::ClientSecretBasic, Self::PrivateKeyJwt]
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or(AuthorizationServerError::Authentication)
    }
}

/// One word of a scope (RFC 6749 §3.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(Box<str>);

impl Scope {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = AuthorizationServerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(word) {
            return Err(AuthorizationServerError::Scope);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a registration of an authorization server is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationServerError {
    /// The grant.
    #[error("a grant is `client_credentials` or `token_exchange`")]
    Grant,
    /// How the client proves itself.
    #[error("a client proves itself by `client_secret_basic` or `private_key_jwt`")]
    Authentication,
    /// A scope.
    #[error("a scope is one word of at most 128 printable characters without `\"` and `\\`")]
    Scope,
    /// The token endpoint is reached in the clear.
    #[error("a token endpoint is reached over `https://`, or at a loopback address")]
    Clear,
    /// A text is empty, long, or holds what no URL and no id holds.
    #[error(
        "`client_id`, `issuer`, `resource` and `audience` are 1 to 512 printable characters without spaces"
    )]
    Text,
    /// A resource is no absolute URI, or has a fragment.
    #[error("a resource is an absolute URI without a fragment (RFC 8707 §2)")]
    Resource,
    /// Writ signs something, and nothing says for whom.
    #[error("what Writ signs needs its audience: name the server's `issuer`")]
    Issuer,
    /// Nothing is signed for the issuer.
    #[error("`issuer` is the audience of what Writ signs, and here it signs nothing: take it away")]
    IssuerUnused,
    /// An audience without an exchange.
    #[error("`audience` goes with `token_exchange` only; name a `resource`")]
    Audience,
    /// Too many scopes, or an operation has one that the API has not.
    #[error("an API has at most 64 scopes, and an operation's are among them")]
    Scopes,
}

impl AuthorizationServer {
    /// The same registration, if its parts go together.
    ///
    /// # Errors
    ///
    /// [`AuthorizationServerError`].
    pub fn checked(self) -> Result<Self, AuthorizationServerError> {
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<(), AuthorizationServerError> {
        use AuthorizationServerError as Fault;
        let host = self.token_endpoint.host.parse::<core::net::IpAddr>();
        if !self.token_endpoint.tls && !host.is_ok_and(|address| address.is_loopback()) {
            return Err(Fault::Clear);
        }
        let texts = [&self.issuer, &self.resource, &self.audience];
        let mut texts = texts.into_iter().flatten().chain([&self.client_id]);
        let plain = |text: &String| {
            let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
            printable && !text.is_empty() && text.len() <= LONGEST
        };
        if !texts.all(plain) {
            return Err(Fault::Text);
        }
        let absolute = |resource: &String| resource.contains("://") && !resource.contains('#');
        if !self.resource.iter().all(absolute) {
            return Err(Fault::Resource);
        }
        let exchanges = self.grant == UpstreamGrant::TokenExchange;
        let signs = exchanges || self.authentication == UpstreamAuthentication::PrivateKeyJwt;
        match self.issuer {
            None if signs => return Err(Fault::Issuer),
            Some(_) if !signs => return Err(Fault::IssuerUnused),
            Some(_) | None => {}
        }
        if self.audience.is_some() && !exchanges {
            return Err(Fault::Audience);
        }
        let within =
            |scopes: &BTreeSet<Scope>| !scopes.is_empty() && scopes.is_subset(&self.scopes);
        if self.scopes.len() > MOST_SCOPES || !self.operations.values().all(within) {
            return Err(Fault::Scopes);
        }
        Ok(())
    }

    /// The scopes of a token for one operation.
    #[must_use]
    pub fn scopes_of(&self, operation: &OperationId) -> &BTreeSet<Scope> {
        self.operations.get(operation).unwrap_or(&self.scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> AuthorizationServer {
        AuthorizationServer {
            grant: UpstreamGrant::ClientCredentials,
            token_endpoint: "https://as.example/token".parse().unwrap(),
            client_id: "writ".to_owned(),
            authentication: UpstreamAuthentication::ClientSecretBasic,
            issuer: None,
            resource: None,
            audience: None,
            scopes: ["read", "write"].map(|word| word.parse().unwrap()).into(),
            operations: BTreeMap::new(),
        }
    }

    type Change = fn(&mut AuthorizationServer);

    fn of_one_operation(it: &mut AuthorizationServer, words: &[&str]) {
        let words = words.iter().map(|word| word.parse().unwrap()).collect();
        it.operations = BTreeMap::from([("list".parse().unwrap(), words)]);
    }

    fn check(rows: &[(&str, Change, Option<AuthorizationServerError>)]) {
        for (row, change, wanted) in rows {
            let mut changed = server();
            change(&mut changed);
            assert_eq!(changed.checked().err(), *wanted, "{row}");
        }
    }

    fn at(it: &mut AuthorizationServer, url: &str) {
        it.token_endpoint = url.parse().unwrap();
    }

    #[test]
    fn a_token_endpoint_is_reached_over_tls() {
        let clear = Some(AuthorizationServerError::Clear);
        check(&[
            ("as it is", |_| {}, None),
            (
                "in the clear",
                |it| at(it, "http://as.example/token"),
                clear,
            ),
            ("a name", |it| at(it, "http://localhost/token"), clear),
            (
                "another machine",
                |it| at(it, "http://10.0.0.1/token"),
                clear,
            ),
            (
                "this machine",
                |it| at(it, "http://127.0.0.1:9/token"),
                None,
            ),
            ("by IPv6", |it| at(it, "http://[::1]:9/token"), None),
        ]);
    }

    #[test]
    fn parts_that_do_not_go_together_are_refused() {
        use AuthorizationServerError as Fault;
        check(&[
            ("no client", |it| it.client_id.clear(), Some(Fault::Text)),
            (
                "a line end",
                |it| it.client_id.push('\n'),
                Some(Fault::Text),
            ),
            (
                "a relative resource",
                |it| it.resource = Some("/api".to_owned()),
                Some(Fault::Resource),
            ),
            (
                "a fragment",
                |it| it.resource = Some("https://a/#b".to_owned()),
                Some(Fault::Resource),
            ),
            (
                "nobody it is signed for",
                |it| it.authentication = UpstreamAuthentication::PrivateKeyJwt,
                Some(Fault::Issuer),
            ),
            (
                "an exchange with nobody",
                |it| it.grant = UpstreamGrant::TokenExchange,
                Some(Fault::Issuer),
            ),
            (
                "an issuer for nothing",
                |it| it.issuer = Some("https://as.example".to_owned()),
                Some(Fault::IssuerUnused),
            ),
            (
                "an audience for nothing",
                |it| it.audience = Some("api".to_owned()),
                Some(Fault::Audience),
            ),
            (
                "an operation that needs less",
                |it| of_one_operation(it, &["read"]),
                None,
            ),
            (
                "one that needs more",
                |it| of_one_operation(it, &["admin"]),
                Some(Fault::Scopes),
            ),
            (
                "one that needs nothing",
                |it| of_one_operation(it, &[]),
                Some(Fault::Scopes),
            ),
        ]);
    }

    #[test]
    fn a_scope_is_one_word() {
        for word in ["", "a b", "a\"b", "a\\b", "ä", "a\u{7f}"] {
            let refused = Err(AuthorizationServerError::Scope);
            assert_eq!(word.parse::<Scope>(), refused, "{word:?}");
        }
    }
}
