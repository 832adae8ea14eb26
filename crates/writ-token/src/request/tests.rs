use proptest::prelude::*;
use writ_types::{Resource, TaskId};

use super::{Authority, ClientAuthentication, GrantRequest, TokenRequest, TokenType};
use crate::testing::{now, public_url, rows};
use crate::{HttpUri, OauthError, OauthErrorCode};

const DETAILS: &str = r#"[{"type":"writ_task","purpose":"acme","actions":["dns:listZones"]}]"#;
const SVID: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn form(parameters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn parse(parameters: &[(&str, &str)]) -> Result<TokenRequest, OauthError> {
    TokenRequest::parse(&form(parameters), &public_url())
}

fn credentials() -> Vec<(&'static str, &'static str)> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", SVID),
        ("client_assertion", "a.b.c"),
        ("resource", "https://writ.example/dns"),
        ("authorization_details", DETAILS),
    ]
}

fn exchange() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", "user.jwt.x"),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
        ),
        ("actor_token", "agent.svid.x"),
        ("actor_token_type", JWT),
        ("resource", "https://writ.example"),
        ("authorization_details", DETAILS),
    ]
}

/// `base` with one parameter set, or taken away.
fn with<'a>(
    base: &[(&'a str, &'a str)],
    name: &'a str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let mut parameters: Vec<_> = base
        .iter()
        .copied()
        .filter(|(other, _)| *other != name)
        .collect();
    parameters.extend(value.map(|value| (name, value)));
    parameters
}

#[test]
fn client_credentials() {
    let request = parse(&credentials()).unwrap();
    assert_eq!(request.resource, Resource::Api("dns".parse().unwrap()));
    let Authority::Open(opening) = request.authority else {
        panic!("a task is opened")
    };
    assert_eq!(opening.task.purpose.as_str(), "acme");
    assert_eq!(opening.details, DETAILS);
    assert!(opening.ticket.is_none());
    let shown = parse(&with(&credentials(), "task_ticket", Some("t.i.c"))).unwrap();
    let Authority::Open(opening) = shown.authority else {
        panic!("a task is opened")
    };
    assert_eq!(opening.ticket.unwrap().expose(), "t.i.c");
    let GrantRequest::ClientCredentials(ClientAuthentication::JwtSpiffe {
        client_id,
        assertion,
    }) = request.grant
    else {
        panic!("a JWT-SVID")
    };
    assert_eq!((client_id, assertion.expose().as_str()), (None, "a.b.c"));

    let bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let request = parse(&with(&credentials(), "client_assertion_type", Some(bearer))).unwrap();
    assert!(matches!(
        request.grant,
        GrantRequest::ClientCredentials(ClientAuthentication::JwtBearer { .. })
    ));
    let certificate = [
        ("grant_type", "client_credentials"),
        ("client_id", "spiffe://writ.local/agent/dns"),
        ("resource", "https://writ.example/dns"),
        ("authorization_details", DETAILS),
    ];
    let GrantRequest::ClientCredentials(ClientAuthentication::Certificate { client_id }) =
        parse(&certificate).unwrap().grant
    else {
        panic!("a certificate")
    };
    assert_eq!(client_id.as_str(), "spiffe://writ.local/agent/dns");
}

#[test]
fn token_exchange_and_renewal() {
    let GrantRequest::TokenExchange(exchanged) = parse(&exchange()).unwrap().grant else {
        panic!("an exchange")
    };
    assert_eq!(exchanged.subject.kind, TokenType::IdToken);
    assert_eq!(exchanged.subject.token.expose(), "user.jwt.x");
    assert_eq!(exchanged.actor.unwrap().kind, TokenType::Jwt);
    assert!(exchanged.client.is_none());

    let task = TaskId::new(now(), [1; 10]).to_string();
    let renewal = with(&exchange(), "authorization_details", None);
    let renewal = parse(&with(&renewal, "task_id", Some(&task))).unwrap();
    assert!(matches!(renewal.authority, Authority::Renew(id) if id.to_string() == task));
    let renewal = with(&exchange(), "authorization_details", None);
    let renewal = with(&renewal, "task_id", Some(&task));
    let refused = parse(&with(&renewal, "task_ticket", Some("t.i.c"))).unwrap_err();
    assert_eq!(refused.code, OauthErrorCode::InvalidRequest);
}

#[test]
fn bad_requests_get_the_code_of_the_rfc() {
    for row in rows(include_str!("../../testdata/token-requests.txt")) {
        let base = match row.name {
            "client_credentials" => credentials(),
            _ => exchange(),
        };
        let parameter = row.value.unwrap();
        let (value, code) = row.expect.split_once(" | ").unwrap();
        let value = (value != "-").then_some(value);
        let refused = parse(&with(&base, parameter, value)).err().unwrap();
        assert_eq!(refused.code.as_str(), code, "{row:?}");
    }
    let nobody = [
        ("grant_type", "client_credentials"),
        ("resource", "https://writ.example"),
    ];
    assert_eq!(
        parse(&nobody).err().unwrap().code,
        OauthErrorCode::InvalidClient
    );
    for good in [
        with(&credentials(), "audience", Some("https://writ.example/dns")),
        with(&credentials(), "scope", Some("")),
        with(&credentials(), "unknown", Some("x")),
        with(
            &exchange(),
            "requested_token_type",
            Some(TokenType::AccessToken.as_str()),
        ),
        with(
            &with(&exchange(), "actor_token", None),
            "actor_token_type",
            None,
        ),
    ] {
        assert!(parse(&good).is_ok(), "{good:?}");
    }
}

#[test]
fn no_parameter_stands_twice() {
    for base in [credentials(), exchange()] {
        for (name, value) in &base {
            for again in [*value, "", "other"] {
                let mut twice = base.clone();
                twice.push((name, again));
                let expect = match *name {
                    "resource" => OauthErrorCode::InvalidTarget,
                    _ => OauthErrorCode::InvalidRequest,
                };
                assert_eq!(parse(&twice).err().unwrap().code, expect, "{name}");
            }
        }
        let mut unknown = base.clone();
        unknown.extend([("unknown", "1"), ("unknown", "1")]);
        assert_eq!(
            parse(&unknown).err().unwrap().code,
            OauthErrorCode::InvalidRequest
        );
    }
}

#[test]
fn nothing_of_the_caller_is_in_a_refusal() {
    let canary = "canary7141";
    let echoing = [
        r#"[{"type":"writ_task","purpose":"p","actions":["canary7141"]}]"#,
        r#"[{"type":"writ_task","purpose":"p","actions":["CANARY canary7141:x"]}]"#,
        r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"bounds":{"canary7141":{}}}]"#,
        r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"bounds":{"a:b":{"/canary7141":[1]}}}]"#,
        r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"budget":{"canary7141":1}}]"#,
        r#"[{"type":"writ_task","purpose":"p","actions":["a:b"],"canary7141":1}]"#,
        r#"{"canary7141":"#,
    ];
    for details in echoing {
        let error = parse(&with(
            &credentials(),
            "authorization_details",
            Some(details),
        ))
        .err()
        .unwrap();
        assert_eq!(error.code, OauthErrorCode::InvalidAuthorizationDetails);
        assert!(!error.to_value().to_string().contains(canary), "{error}");
    }
    for (name, _) in credentials() {
        if let Err(error) = parse(&with(&credentials(), name, Some(canary))) {
            assert!(!error.to_value().to_string().contains(canary), "{error}");
        }
    }
}

#[test]
fn a_request_does_not_print_its_secrets() {
    let request = parse(&exchange()).unwrap();
    let printed = format!("{request:?}");
    assert!(!printed.contains("user.jwt.x") && !printed.contains("agent.svid.x"));
}

proptest! {
    /// Nothing a stranger sends panics, and what is parsed was asked for by exactly one grant type.
    #[test]
    fn no_form_panics(text in "[a-z_=&%+0-9]{0,60}", value in "\\PC{0,60}") {
        drop(TokenRequest::parse(&text, &public_url()));
        for (name, _) in credentials() {
            drop(parse(&with(&credentials(), name, Some(&value))));
        }
        drop(value.parse::<HttpUri>());
    }
}
