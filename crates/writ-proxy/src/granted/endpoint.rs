//! A token endpoint: one request, one answer, both bounded, and nothing of the answer believed that was not asked for.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use writ_token::{OutsideClient, OutsideSubject};
use writ_types::{
    JsonLimits, Scope, Secret, TokenId, UpstreamAuthentication, UpstreamGrant, Value,
};

use super::{Asking, TokenClient};
use crate::gateway::random;
use crate::upload::Upload;

/// Largest answer, in bytes.
const MOST: usize = 64 * 1024;
/// Longest token, in bytes: it travels in one header field.
const LONGEST_TOKEN: usize = 8 * 1024;
/// Shortest token: what is shorter could not be looked for in responses, and could be guessed.
const SHORTEST_TOKEN: usize = 16;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Error codes that are repeated (RFC 6749 §5.2, RFC 8693 §2.2.2). Any other text of an answer could be anything.
const KNOWN: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
];

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing could be signed, or the secret is not set.
    #[error("Writ cannot prove itself there: set the client's secret, or look at its keys")]
    Proof,
    /// Nobody answered.
    #[error("nobody answers at the token endpoint")]
    Unreachable,
    /// The answer took too long.
    #[error("the token endpoint did not answer in time")]
    Late,
    /// A refusal in the server's words, where they are known.
    #[error("the authorization server refuses: {0}")]
    Refused(&'static str),
    /// Another status, a redirect among them: none is followed.
    #[error("the token endpoint answers with status {0}, which brings no token")]
    Status(u16),
    /// More than 64 KiB.
    #[error("the answer is larger than 64 KiB, or broke off")]
    Body,
    /// Not strict JSON with a token that a field can carry.
    #[error("the answer holds no token as RFC 6749 §5.1 has it")]
    Malformed,
    /// `token_type` is not `Bearer`, the only one that is attached.
    #[error("the token is not a bearer token")]
    TokenType,
    /// `issued_token_type` is not what was asked for.
    #[error("the token that was issued is not an access token")]
    IssuedType,
    /// `expires_in` is no whole number, or nothing.
    #[error("the token ends as it begins, or its life is no number")]
    Life,
    /// More than was asked for.
    #[error("the token has a scope that was not asked for")]
    Scope,
}

impl Fault {
    /// The word in records.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Proof => "no_proof",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Refused(code) => code,
            Self::Status(_) => "status",
            Self::Body => "body",
            Self::Malformed => "malformed",
            Self::TokenType => "token_type",
            Self::IssuedType => "issued_token_type",
            Self::Life => "expires_in",
            Self::Scope => "scope",
        }
    }
}

/// A token that may be used.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) token: Secret<String>,
    pub(super) expires_in: Option<Duration>,
}

/// Asks for a token.
pub(super) async fn ask(
    asking: &Asking<'_>,
    client: &TokenClient,
    scopes: &BTreeSet<Scope>,
) -> Result<Answer, Fault> {
    let request = request(asking, client, scopes).map_err(|_library| Fault::Proof)?;
    let exchange = async {
        let upstream = &client.server.token_endpoint;
        let answered = asking.pool.exchange(upstream, request).await;
        let (response, lease) = answered.map_err(|_unanswered| Fault::Unreachable)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MOST).collect().await;
        let body = body.map_err(|_too_large_or_broken| Fault::Body)?.to_bytes();
        lease.give_back();
        Ok(Response::from_parts(head, body))
    };
    let patience = asking.pool.timeouts().key_fetch;
    let response = tokio::time::timeout(patience, exchange).await;
    let response = response.map_err(|_late| Fault::Late)??;
    read(
        response.status(),
        response.body(),
        client.server.grant,
        scopes,
    )
}

/// The request could not be made.
struct Unsigned;

fn request(
    asking: &Asking<'_>,
    client: &TokenClient,
    scopes: &BTreeSet<Scope>,
) -> Result<Request<Upload>, Unsigned> {
    let server = &client.server;
    let form = form(asking, client, scopes)?;
    let mut request = Request::new(Upload::whole(Bytes::from(form)));
    *request.method_mut() = Method::POST;
    let path = match server.token_endpoint.base_path.as_str() {
        "" => "/",
        path => path,
    };
    *request.uri_mut() = Uri::try_from(path).map_err(|_no_path| Unsigned)?;
    let host = HeaderValue::try_from(server.token_endpoint.authority());
    let headers = request.headers_mut();
    headers.insert(header::HOST, host.map_err(|_no_host| Unsigned)?);
    for (name, value) in [
        (header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
        (header::ACCEPT, "application/json"),
        (header::ACCEPT_ENCODING, "identity"),
        (
            header::USER_AGENT,
            concat!("writ/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if server.authentication == UpstreamAuthentication::ClientSecretBasic {
        let basic = client.basic().ok_or(Unsigned)?;
        let basic = Secret::new(format!("Basic {}", basic.expose()));
        let value = HeaderValue::try_from(basic.expose().as_str());
        let mut value = value.map_err(|_control| Unsigned)?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// The form of the request (RFC 6749 §4.4.2, RFC 8693 §2.1, RFC 8707 §2).
fn form(
    asking: &Asking<'_>,
    client: &TokenClient,
    scopes: &BTreeSet<Scope>,
) -> Result<String, Unsigned> {
    let server = &client.server;
    let now = asking.transaction.now;
    let id = || TokenId::new(now, random());
    let mut pairs: Vec<(&str, String)> = Vec::new();
    match server.grant {
        UpstreamGrant::ClientCredentials => {
            pairs.push(("grant_type", "client_credentials".to_owned()));
        }
        UpstreamGrant::TokenExchange => {
            let grant = asking.completion.entered().grant();
            let subject = OutsideSubject {
                issuer: &client.issuer,
                server: server.issuer.as_deref().ok_or(Unsigned)?,
                requester: grant.requester.as_ref(),
                spiffe: &asking.transaction.agent.spiffe,
                agent: grant.agent,
                purpose: &grant.purpose,
                task: grant.task,
                call: asking.completion.call(),
                id: id(),
                now,
            };
            let subject = subject.sign(&client.signer).map_err(|_library| Unsigned)?;
            pairs.extend([
                ("grant_type", EXCHANGE.to_owned()),
                ("subject_token", subject),
                ("subject_token_type", JWT.to_owned()),
                ("requested_token_type", ACCESS_TOKEN.to_owned()),
            ]);
        }
    }
    if server.authentication == UpstreamAuthentication::PrivateKeyJwt {
        let assertion = OutsideClient {
            client_id: &server.client_id,
            server: server.issuer.as_deref().ok_or(Unsigned)?,
            id: id(),
            now,
        };
        let assertion = assertion
            .sign(&client.signer)
            .map_err(|_library| Unsigned)?;
        pairs.extend([
            ("client_id", server.client_id.clone()),
            ("client_assertion_type", JWT_BEARER.to_owned()),
            ("client_assertion", assertion),
        ]);
    }
    let said = [
        ("resource", &server.resource),
        ("audience", &server.audience),
    ];
    let said = said
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.clone()?)));
    pairs.extend(said);
    if !scopes.is_empty() {
        pairs.push(("scope", joined(scopes)));
    }
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// The words of a scope, in order.
pub(super) fn joined(scopes: &BTreeSet<Scope>) -> String {
    let words: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    words.join(" ")
}

/// A text as `application/x-www-form-urlencoded` has it.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            // Writing into a text cannot fail.
            other => write!(encoded, "%{other:02X}").unwrap_or_default(),
        }
    }
    encoded
}

/// What an answer brings.
fn read(
    status: StatusCode,
    body: &[u8],
    grant: UpstreamGrant,
    asked: &BTreeSet<Scope>,
) -> Result<Answer, Fault> {
    let value = Value::parse(body, &JsonLimits::REQUEST);
    if status != StatusCode::OK {
        let code = value
            .as_ref()
            .ok()
            .and_then(|value| value.member("error")?.as_str());
        let known = code.and_then(|code| KNOWN.into_iter().find(|known| *known == code));
        return Err(known.map_or(Fault::Status(status.as_u16()), Fault::Refused));
    }
    let value = value.map_err(|_not_strict| Fault::Malformed)?;
    let text = |name| value.member(name).and_then(Value::as_str);
    let token = text("access_token").ok_or(Fault::Malformed)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let body = token.trim_end_matches('=');
    let long = (SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&token.len());
    if !long || !body.bytes().all(plain) {
        return Err(Fault::Malformed);
    }
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
        return Err(Fault::TokenType);
    }
    let exchanged = grant == UpstreamGrant::TokenExchange;
    if exchanged && text("issued_token_type") != Some(ACCESS_TOKEN) {
        return Err(Fault::IssuedType);
    }
    let expires_in = match value.member("expires_in") {
        None => None,
        Some(seconds) => Some(
            seconds
                .as_u64()
                .filter(|life| *life > 0)
                .ok_or(Fault::Life)?,
        ),
    };
    match value.member("scope") {
        None => {}
        Some(scope) => {
            let words = scope.as_str().ok_or(Fault::Scope)?.split(' ');
            let within = |word: &str| asked.iter().any(|scope| scope.as_str() == word);
            if !asked.is_empty() && !words.filter(|word| !word.is_empty()).all(within) {
                return Err(Fault::Scope);
            }
        }
    }
    Ok(Answer {
        token: Secret::new(token.to_owned()),
        expires_in: expires_in.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"access_token":"0123456789abcdef.-_~+/==","token_type":"bearer","expires_in":300}"#;

    /// What of a good answer is said otherwise, and why it is refused then.
    type Row = (&'static str, &'static str, &'static str, Option<Fault>);

    const TOKEN: &str = "\"0123456789abcdef.-_~+/==\"";
    const LIFE: &str = ",\"expires_in\":300";
    const KIND: &str = "\"token_type\":\"bearer\",";
    const PLAIN: &[Row] = &[
        ("as it should be", "300", "300", None),
        ("no life", LIFE, "", None),
        ("a long life", "300", "18446744073709551615", None),
        ("a narrower scope", "}", ",\"scope\":\"read\"}", None),
        (
            "a wider scope",
            "}",
            ",\"scope\":\"read admin\"}",
            Some(Fault::Scope),
        ),
        (
            "a scope that is none",
            "}",
            ",\"scope\":[\"read\"]}",
            Some(Fault::Scope),
        ),
        (
            "no token",
            "access_token",
            "id_token",
            Some(Fault::Malformed),
        ),
        ("no text", TOKEN, "17", Some(Fault::Malformed)),
        ("a short token", TOKEN, "\"abcdef\"", Some(Fault::Malformed)),
        (
            "a line end in it",
            "abcdef",
            "ab\\r\\ncdef",
            Some(Fault::Malformed),
        ),
        ("a space in it", "abcdef", "ab cdef", Some(Fault::Malformed)),
        (
            "two tokens",
            "}",
            ",\"access_token\":\"fedcba9876543210\"}",
            Some(Fault::Malformed),
        ),
        ("no JSON", "{", "", Some(Fault::Malformed)),
        ("a bound token", "bearer", "DPoP", Some(Fault::TokenType)),
        ("no kind", KIND, "", Some(Fault::TokenType)),
        (
            "no token of access",
            "bearer",
            "N_A",
            Some(Fault::TokenType),
        ),
        ("over already", "300", "0", Some(Fault::Life)),
        ("over before it began", "300", "-1", Some(Fault::Life)),
        ("half a second", "300", "0.5", Some(Fault::Life)),
        ("a life in words", "300", "\"300\"", Some(Fault::Life)),
        (
            "a life beyond counting",
            "300",
            "18446744073709551616",
            Some(Fault::Life),
        ),
    ];
    const ISSUED: &str =
        ",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:access_token\"}";
    const ANOTHER: &str = ",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:jwt\"}";
    const EXCHANGED: &[Row] = &[
        ("an access token", "}", ISSUED, None),
        ("nobody says what", "300", "300", Some(Fault::IssuedType)),
        ("something else", "}", ANOTHER, Some(Fault::IssuedType)),
    ];

    #[test]
    fn of_an_answer_nothing_is_taken_that_was_not_asked_for() {
        let asked: BTreeSet<Scope> = ["read", "write"].map(|word| word.parse().unwrap()).into();
        for (grant, rows) in [
            (UpstreamGrant::ClientCredentials, PLAIN),
            (UpstreamGrant::TokenExchange, EXCHANGED),
        ] {
            for (row, from, to, fault) in rows {
                assert!(GOOD.contains(from), "{row}");
                let body = GOOD.replacen(from, to, 1);
                let answer = read(StatusCode::OK, body.as_bytes(), grant, &asked);
                assert_eq!(answer.err(), *fault, "{row}: {body}");
            }
        }
        let long = GOOD.replace("abcdef", &"a".repeat(LONGEST_TOKEN));
        let grant = UpstreamGrant::ClientCredentials;
        let answer = read(StatusCode::OK, long.as_bytes(), grant, &asked);
        assert_eq!(answer.err(), Some(Fault::Malformed));
    }

    /// RFC 6749 §5.2: codes that are known are repeated, and no other text.
    #[test]
    fn of_a_refusal_only_known_codes_are_repeated() {
        for (status, body, fault) in [
            (
                400,
                r#"{"error":"invalid_scope","error_description":"\u001b[31m"}"#,
                Fault::Refused("invalid_scope"),
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                Fault::Refused("invalid_client"),
            ),
            (400, r#"{"error":"secret-of-writ"}"#, Fault::Status(400)),
            (
                400,
                "{\"error\":\"invalid_scope\u{7}\"}",
                Fault::Status(400),
            ),
            (400, "<html>", Fault::Status(400)),
            (302, GOOD, Fault::Status(302)),
            (201, GOOD, Fault::Status(201)),
            (500, GOOD, Fault::Status(500)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = read(
                status,
                body.as_bytes(),
                UpstreamGrant::ClientCredentials,
                &BTreeSet::new(),
            );
            assert_eq!(answer.err(), Some(fault), "{body}");
        }
    }

    #[test]
    fn a_text_in_a_form() {
        assert_eq!(encoded("a b+c:d/ä~"), "a%20b%2Bc%3Ad%2F%C3%A4%7E");
    }
}
