//! The token endpoint's refusals (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 8707 §2, RFC 9396 §5): the code of the RFC, nothing
//! to be stored, never a token.

use std::time::Duration;

use hyper::Method;
use writ::agent::form;
use writ_testkit::runtime;
use writ_token::{JwtSvidSigner, generate_signing_key};
use writ_types::{TokenId, Value};

use crate::kit::{
    ACCESS_TOKEN, BOT, DISABLED, DOMAIN, EXCHANGE, JWT, JWT_SPIFFE, Key, OTHER, READ, Stage,
    decoded, doubled, now, opened, random_bytes, refused, stolen, text, with, without,
};

/// Parameters of a form.
type Pairs<'a> = &'a [(&'a str, &'a str)];

const CLIENT: &str = "invalid_client";
const REQUEST: &str = "invalid_request";
const GRANT: &str = "invalid_grant";
const TARGET: &str = "invalid_target";
const SCOPE: &str = "invalid_scope";
const DETAILS: &str = "invalid_authorization_details";

/// The parameters of a good request, in their order.
async fn good(stage: &Stage) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_assertion_type", JWT_SPIFFE.to_owned()),
        ("client_assertion", stage.svid(BOT).await),
        ("resource", stage.public("")),
        ("authorization_details", READ.to_owned()),
    ]
}

/// The same parameters with one of them set to something else, or left out.
fn set(
    good: &[(&'static str, String)],
    name: &'static str,
    value: Option<&str>,
) -> Vec<(&'static str, String)> {
    let others = good.iter().filter(|(other, _)| *other != name).cloned();
    others
        .chain(value.map(|value| (name, value.to_owned())))
        .collect()
}

fn encode(pairs: &[(&'static str, String)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    form(&pairs)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn requests_that_are_malformed() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, good, public) = (Key::new(), good(&stage).await, stage.public(""));
        for (name, _) in &good {
            let value = good
                .iter()
                .find(|(other, _)| other == name)
                .unwrap()
                .1
                .clone();
            let twice: Vec<_> = good.iter().cloned().chain([(*name, value)]).collect();
            let code = if *name == "resource" { TARGET } else { REQUEST };
            refused(
                &stage.token_form(&key, &encode(&twice)).await,
                code,
                &format!("{name} twice"),
            );
        }
        let unknown_twice = format!("{}&extra=1&extra=1", encode(&good));
        refused(
            &stage.token_form(&key, &unknown_twice).await,
            REQUEST,
            "an unknown parameter twice",
        );
        for (name, value, code) in [
            ("grant_type", None, REQUEST),
            ("grant_type", Some(""), REQUEST),
            (
                "grant_type",
                Some("authorization_code"),
                "unsupported_grant_type",
            ),
            ("grant_type", Some("password"), "unsupported_grant_type"),
            ("client_assertion_type", None, REQUEST),
            (
                "client_assertion_type",
                Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
                CLIENT,
            ),
            (
                "client_assertion_type",
                Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                CLIENT,
            ),
            ("client_assertion", None, REQUEST),
            ("client_secret", Some("secret"), CLIENT),
            ("client_id", Some(OTHER), CLIENT),
            ("client_id", Some("a\nb"), REQUEST),
            ("resource", None, TARGET),
            ("resource", Some("https://evil.example"), TARGET),
            ("resource", Some(&format!("{public}/")), TARGET),
            (
                "resource",
                Some(&format!("{public}/helpdesk/tickets")),
                TARGET,
            ),
            ("audience", Some("https://evil.example"), TARGET),
            ("scope", Some("openid"), SCOPE),
            ("authorization_details", None, REQUEST),
            ("task_id", Some("tsk_00000000000000000000000000"), REQUEST),
        ] {
            let answer = stage
                .token_form(&key, &encode(&set(&good, name, value)))
                .await;
            refused(&answer, code, &format!("{name} {value:?}"));
        }
        for (row, form) in [
            ("no form", "{}"),
            ("a broken escape", "grant_type=%zz"),
            ("nothing", ""),
        ] {
            refused(&stage.token_form(&key, form).await, REQUEST, row);
        }
        let json = [("content-type", "application/json")];
        let peer = stage.project.control();
        let answer = peer
            .send(Method::POST, "/oauth/token", &json, encode(&good))
            .await
            .unwrap();
        refused(&answer, REQUEST, "a form that says it is JSON");
        let answer = peer
            .send(
                Method::GET,
                &format!("/oauth/token?{}", encode(&good)),
                &[],
                "",
            )
            .await
            .unwrap();
        assert_eq!(answer.status, 401, "a token request in the query");
        assert!(answer.json().member("access_token").is_none());
        opened(&stage.token_form(&key, &encode(&good)).await, key);
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn clients_that_are_not_who_they_say() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, good) = (Key::new(), good(&stage).await);
        let domain: writ_types::TrustDomain = DOMAIN.parse().unwrap();
        let ours =
            JwtSvidSigner::from_pkcs8(domain.clone(), &stolen(&stage.project, "svid.p8")).unwrap();
        let forged = JwtSvidSigner::from_pkcs8(domain, &generate_signing_key().unwrap()).unwrap();
        let foreign = JwtSvidSigner::from_pkcs8(
            "other.example".parse().unwrap(),
            &stolen(&stage.project, "svid.p8"),
        )
        .unwrap();
        let (now, minute, audience) = (now(), Duration::from_secs(60), stage.control(""));
        let sign = |signer: &JwtSvidSigner, spiffe: &str, audience: &str, at| {
            let id = TokenId::new(now, random_bytes());
            signer
                .sign(&spiffe.parse().unwrap(), &[audience], minute, at, id)
                .unwrap()
        };
        let shown = &good
            .iter()
            .find(|(name, _)| *name == "client_assertion")
            .unwrap()
            .1;
        let (header, claims) = decoded(shown);
        let raw = Key::stolen(&stage.project, "svid.p8");
        let again = |claims: &Value| raw.sign(&header.to_string(), &claims.to_string());
        let claim =
            |name: &str, value: Value| again(&with(&claims, &Value::object([(name, value)])));
        let both = Value::Array(vec![
            Value::from(audience.as_str()),
            Value::from(stage.public("")),
        ]);
        let headed =
            |change: Value| raw.sign(&with(&header, &change).to_string(), &claims.to_string());
        for (row, assertion) in [
            ("wrong audience", sign(&ours, BOT, &stage.public(""), now)),
            (
                "the token endpoint as audience",
                sign(&ours, BOT, &stage.control("/oauth/token"), now),
            ),
            ("two audiences", claim("aud", both)),
            ("no audience", again(&without(&claims, "aud"))),
            (
                "expired",
                sign(&ours, BOT, &audience, now.minus(Duration::from_secs(120))),
            ),
            (
                "not yet issued",
                sign(&ours, BOT, &audience, now.plus(Duration::from_secs(120))),
            ),
            (
                "not yet valid",
                claim("nbf", Value::from_u64(now.secs_since_epoch() + 120)),
            ),
            ("no expiry", again(&without(&claims, "exp"))),
            ("no subject", again(&without(&claims, "sub"))),
            (
                "a subject that is no SPIFFE id",
                claim("sub", Value::from("bot")),
            ),
            (
                "other trust domain, our key",
                sign(&foreign, "spiffe://other.example/agent/bot", &audience, now),
            ),
            (
                "our trust domain, another key",
                sign(&forged, BOT, &audience, now),
            ),
            (
                "a claim twice",
                raw.sign(&header.to_string(), &doubled(&claims, "sub")),
            ),
            (
                "typ of an access token",
                headed(Value::object([("typ", Value::from("at+jwt"))])),
            ),
            (
                "crit",
                headed(Value::object([(
                    "crit",
                    Value::Array(vec![Value::from("exp")]),
                )])),
            ),
            (
                "unregistered",
                sign(&ours, "spiffe://writ.local/agent/nobody", &audience, now),
            ),
            ("disabled", sign(&ours, DISABLED, &audience, now)),
            ("no JWT", "svid".to_owned()),
            ("empty", String::new()),
        ] {
            let answer = stage
                .token_form(
                    &key,
                    &encode(&set(&good, "client_assertion", Some(&assertion))),
                )
                .await;
            let code = if assertion.is_empty() {
                REQUEST
            } else {
                CLIENT
            };
            refused(&answer, code, row);
        }
        let signed_again = set(&good, "client_assertion", Some(&again(&claims)));
        opened(
            &stage.token_form(&key, &encode(&signed_again)).await,
            Key::new(),
        );
        let nobody: Vec<_> = good
            .iter()
            .filter(|(name, _)| !name.starts_with("client"))
            .cloned()
            .collect();
        refused(
            &stage.token_form(&key, &encode(&nobody)).await,
            CLIENT,
            "no client authentication",
        );
        let by_certificate = set(&nobody, "client_id", Some(BOT));
        refused(
            &stage.token_form(&key, &encode(&by_certificate)).await,
            CLIENT,
            "a client id without a certificate",
        );
        let named = set(&good, "client_id", Some(BOT));
        opened(&stage.token_form(&key, &encode(&named)).await, key);
    });
}

#[test]
fn tasks_that_are_not_granted() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let key = Key::new();
        for (row, details) in [
            ("unknown purpose", r#"[{"type":"writ_task","purpose":"nothing","actions":["helpdesk:listTickets"]}]"#),
            ("another agent's purpose", r#"[{"type":"writ_task","purpose":"spare","actions":["helpdesk:getTicket"]}]"#),
            ("an action outside the purpose", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:createRefund"]}]"#),
            ("an action that does not exist", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:nothing"]}]"#),
            ("an API that does not exist", r#"[{"type":"writ_task","purpose":"triage","actions":["nothing:listTickets"]}]"#),
            ("no action", r#"[{"type":"writ_task","purpose":"triage","actions":[]}]"#),
            ("an action that is none", r#"[{"type":"writ_task","purpose":"triage","actions":["listTickets"]}]"#),
            ("unknown type", r#"[{"type":"payment","purpose":"triage","actions":["helpdesk:listTickets"]}]"#),
            ("two objects", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"]},{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"]}]"#),
            ("unknown member", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"scope":"all"}]"#),
            ("a member twice", r#"[{"type":"writ_task","purpose":"triage","purpose":"triage","actions":["helpdesk:listTickets"]}]"#),
            ("a bound of unknown form", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"],"bounds":{"helpdesk:getTicket":{"/path/ticket_id":{"regex":".*"}}}}]"#),
            ("a bound at an unknown place", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"],"bounds":{"helpdesk:getTicket":{"/cookie/x":["a"]}}}]"#),
            ("a bound on an action not asked for", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket"],"bounds":{"helpdesk:listTickets":{"/query/limit":[1]}}}]"#),
            ("an unknown budget", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"money":1}}]"#),
            ("a negative budget", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"budget":{"calls":-1}}]"#),
            ("no life", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"expires_in":0}]"#),
            ("another mode", r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"],"mode":"copilot"}]"#),
            ("an object", r#"{"type":"writ_task","purpose":"triage","actions":["helpdesk:listTickets"]}"#),
            ("no JSON", "writ_task"),
        ] {
            let answer = stage.ask(BOT, &key, &[("authorization_details", details)]).await;
            refused(&answer, DETAILS, row);
            let description = text(&answer, "error_description");
            assert!(!description.contains("listTickets") && !description.contains("nothing"), "{row}: {description}");
        }
        let elsewhere = stage.public("/second");
        let answer = stage
            .ask(BOT, &key, &[("resource", &elsewhere), ("authorization_details", READ)])
            .await;
        refused(&answer, DETAILS, "an action of another API than the resource");
        let answer = stage.project.operator(Method::GET, "/v1/tasks", "").await;
        assert_eq!(answer.json().as_array().unwrap().len(), 0, "nothing was opened");
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn exchanges_that_are_not_granted() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, public, bot, other) = (
            Key::new(),
            stage.public(""),
            stage.svid(BOT).await,
            stage.svid(OTHER).await,
        );
        let base = [
            ("grant_type", EXCHANGE),
            ("resource", &public),
            ("authorization_details", READ),
        ];
        let expired = {
            let signer = JwtSvidSigner::from_pkcs8(
                DOMAIN.parse().unwrap(),
                &stolen(&stage.project, "svid.p8"),
            )
            .unwrap();
            let long_ago = now().minus(Duration::from_secs(600));
            let id = TokenId::new(now(), random_bytes());
            signer
                .sign(
                    &BOT.parse().unwrap(),
                    &[&stage.control("")],
                    Duration::from_secs(60),
                    long_ago,
                    id,
                )
                .unwrap()
        };
        let jwt = ("subject_token_type", JWT);
        let rows: &[(&str, Pairs<'_>, &str)] = &[
            ("no subject", &[], REQUEST),
            (
                "a subject without its type",
                &[("subject_token", &bot)],
                REQUEST,
            ),
            ("a type without its subject", &[jwt], REQUEST),
            (
                "an unknown type",
                &[
                    ("subject_token", &bot),
                    (
                        "subject_token_type",
                        "urn:ietf:params:oauth:token-type:saml2",
                    ),
                ],
                REQUEST,
            ),
            (
                "an actor without its type",
                &[("subject_token", &bot), jwt, ("actor_token", &bot)],
                REQUEST,
            ),
            (
                "another requested type",
                &[("subject_token", &bot), jwt, ("requested_token_type", JWT)],
                REQUEST,
            ),
            (
                "a subject that is no token",
                &[("subject_token", "token"), jwt],
                GRANT,
            ),
            (
                "an expired subject",
                &[("subject_token", &expired), jwt],
                GRANT,
            ),
            (
                "a subject of another kind than it says",
                &[
                    ("subject_token", &bot),
                    ("subject_token_type", ACCESS_TOKEN),
                ],
                GRANT,
            ),
            (
                "a subject that another agent acts for",
                &[
                    ("subject_token", &bot),
                    jwt,
                    ("actor_token", &other),
                    ("actor_token_type", JWT),
                ],
                GRANT,
            ),
            (
                "an actor that is no token",
                &[
                    ("subject_token", &bot),
                    jwt,
                    ("actor_token", "token"),
                    ("actor_token_type", JWT),
                ],
                GRANT,
            ),
            (
                "another client",
                &[
                    ("subject_token", &bot),
                    jwt,
                    ("client_assertion_type", JWT_SPIFFE),
                    ("client_assertion", &other),
                ],
                GRANT,
            ),
        ];
        for (row, more, code) in rows {
            let pairs: Vec<_> = base.iter().chain(*more).copied().collect();
            refused(&stage.token(&key, &pairs).await, code, row);
        }
        let itself: Vec<_> = base
            .iter()
            .copied()
            .chain([("subject_token", bot.as_str()), jwt])
            .collect();
        let task = opened(&stage.token(&key, &itself).await, key);
        assert_eq!(
            stage
                .call(&task, Method::GET, crate::kit::TICKETS)
                .await
                .status,
            200,
            "the agent for itself"
        );
    });
}

/// Whoever waits for a secret in an error waits in vain.
#[test]
fn refusals_do_not_repeat_what_was_sent() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let marker = "marker-5f2c";
        let good = good(&stage).await;
        for name in [
            "grant_type",
            "client_assertion_type",
            "client_assertion",
            "resource",
            "authorization_details",
            "scope",
            "client_id",
            "task_id",
        ] {
            let answer = stage
                .token_form(&Key::new(), &encode(&set(&good, name, Some(marker))))
                .await;
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(
                answer.status >= 400 && !body.contains(marker),
                "{name}: {body}"
            );
        }
    });
}
