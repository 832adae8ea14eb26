//! The agent socket: who is vouched for, and what the identity says.

use std::time::Duration;

use hyper::Method;
use writ::http::{Answer, Peer};
use writ_testkit::{Project, project, runtime};
use writ_token::{JwtSvid, KeyPins, TrustBundle};
use writ_types::Value;

use crate::kit::{BOT, DISABLED, DOMAIN, OTHER, Stage, base64url, decoded, now, text};

async fn ask(project: &Project, method: Method, path: &str, body: &str) -> Answer {
    let socket = Peer::socket(&project.path(".writ-agent.sock"));
    let json = [("content-type", "application/json")];
    socket
        .send(method, path, &json, body.to_owned())
        .await
        .unwrap()
}

async fn svid(project: &Project, body: &str) -> Answer {
    ask(project, Method::POST, "/v1/jwt-svid", body).await
}

/// A refusal with its status, whose text says all of `words`, and no identity.
fn refused(answer: &Answer, status: u16, words: &[&str], row: &str) {
    let why = text(answer, "error");
    assert_eq!(answer.status, status, "{row}: {why}");
    for word in words {
        assert!(why.contains(word), "{row}: {why}");
    }
    assert!(answer.json().member("svid").is_none(), "{row}");
}

#[test]
fn a_process_that_no_agent_is() {
    runtime().block_on(async {
        let project = project!();
        let uid = rustix::process::geteuid().as_raw();
        let owner = "owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = []\n";
        for (name, selectors) in [
            ("foreign", format!("[\"unix:uid:{}\"]", uid + 1)),
            (
                "program",
                format!("[\"unix:uid:{uid}\", \"unix:path:/usr/bin/another\"]"),
            ),
            ("nobody", "[]".to_owned()),
        ] {
            project.write(
                &format!("agents/{name}.toml"),
                &format!("{owner}selectors = {selectors}\n"),
            );
        }
        let _server = project.start();
        let exe = std::env::current_exe().unwrap().display().to_string();
        let words = [
            "no registered agent matches",
            &format!("uid {uid}"),
            &exe,
            "writ agent add",
        ];
        for (row, body) in [
            ("whoever it is", r#"{"audience":"a"}"#.to_owned()),
            (
                "another user's agent",
                format!(r#"{{"audience":"a","spiffe_id":"spiffe://{DOMAIN}/agent/foreign"}}"#),
            ),
            (
                "another program's agent",
                format!(r#"{{"audience":"a","spiffe_id":"spiffe://{DOMAIN}/agent/program"}}"#),
            ),
            (
                "an agent without selectors",
                format!(r#"{{"audience":"a","spiffe_id":"spiffe://{DOMAIN}/agent/nobody"}}"#),
            ),
            (
                "an agent that is not registered",
                format!(r#"{{"audience":"a","spiffe_id":"{BOT}"}}"#),
            ),
        ] {
            refused(&svid(&project, &body).await, 403, &words, row);
            refused(
                &ask(&project, Method::POST, "/v1/x509-svid", &body).await,
                403,
                &words,
                row,
            );
        }
    });
}

#[test]
fn writs_own_user_is_no_agent_unless_the_machine_has_one_user() {
    runtime().block_on(async {
        let project = project!();
        project.agent("bot", "autonomous", &[]);
        let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
        let strict = settings.replace("single_user_machine = true", "single_user_machine = false");
        assert_ne!(strict, settings);
        project.write("writ.toml", &strict);
        let server = project.start();
        let words = ["Writ's own user", "single_user_machine"];
        for path in ["/v1/jwt-svid", "/v1/x509-svid", "/v1/bundle"] {
            let method = if path == "/v1/bundle" {
                Method::GET
            } else {
                Method::POST
            };
            let answer = ask(&project, method, path, r#"{"audience":"a"}"#).await;
            refused(&answer, 403, &words, path);
        }
        assert!(server.stop().success());
        project.write("writ.toml", &settings);
        let _server = project.start();
        assert_eq!(svid(&project, r#"{"audience":"a"}"#).await.status, 200);
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn what_is_asked_must_be_clear() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let project = &stage.project;
        let named = |spiffe: &str| format!(r#"{{"audience":"a","spiffe_id":"{spiffe}"}}"#);
        for (row, status, body, words) in [
            (
                "two agents",
                400,
                r#"{"audience":"a"}"#.to_owned(),
                "spiffe_id",
            ),
            (
                "no audience",
                400,
                format!(r#"{{"spiffe_id":"{BOT}"}}"#),
                "audience",
            ),
            (
                "an audience that is none",
                400,
                format!(r#"{{"audience":["a"],"spiffe_id":"{BOT}"}}"#),
                "audience",
            ),
            ("no SPIFFE id", 400, named("bot"), "SPIFFE"),
            ("disabled", 403, named(DISABLED), "no registered agent"),
            (
                "another trust domain",
                403,
                named("spiffe://other.example/agent/bot"),
                "no registered agent",
            ),
            ("no JSON", 400, "audience".to_owned(), "JSON"),
            (
                "an audience twice",
                400,
                format!(r#"{{"audience":"a","audience":"b","spiffe_id":"{BOT}"}}"#),
                "JSON",
            ),
            (
                "too much",
                400,
                format!(r#"{{"audience":"{}"}}"#, "a".repeat(20_000)),
                "too large",
            ),
        ] {
            refused(&svid(project, &body).await, status, &[words], row);
        }
        for (row, key) in [
            ("no key", ""),
            ("no base64", r#","public_key":"%""#),
            ("no P-256 key", r#","public_key":"AAAA""#),
        ] {
            let body = format!(r#"{{"spiffe_id":"{BOT}"{key}}}"#);
            let answer = ask(project, Method::POST, "/v1/x509-svid", &body).await;
            refused(&answer, 400, &["public_key"], row);
            assert!(answer.json().member("certificate").is_none(), "{row}");
        }
        for (method, path) in [
            (Method::GET, "/v1/jwt-svid"),
            (Method::POST, "/v1/bundle"),
            (Method::GET, "/"),
            (Method::POST, "/oauth/token"),
        ] {
            refused(
                &ask(project, method, path, "").await,
                404,
                &["no such request"],
                path,
            );
        }
    });
}

/// JWT-SVID §2 and §3: the header has `alg`, `kid`, `typ`; the claims `sub`, one `aud`, `exp`; and the bundle verifies it.
#[test]
fn an_identity_says_who_for_whom_and_how_long() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let bundle = ask(&stage.project, Method::GET, "/v1/bundle", "")
            .await
            .json();
        let published = stage
            .project
            .control()
            .send(Method::GET, "/.well-known/spiffe-bundle", &[], "")
            .await
            .unwrap();
        assert_eq!(
            bundle,
            published.json(),
            "one bundle, on the socket and on the web"
        );
        let bundle =
            TrustBundle::of_value(DOMAIN.parse().unwrap(), &bundle, &KeyPins::default()).unwrap();
        let mut ids = Vec::new();
        for spiffe in [BOT, OTHER, BOT] {
            let body = format!(r#"{{"audience":"https://api.example","spiffe_id":"{spiffe}"}}"#);
            let answer = svid(&stage.project, &body).await;
            assert_eq!(text(&answer, "spiffe_id"), spiffe);
            let token = text(&answer, "svid");
            let (header, claims) = decoded(&token);
            let names: Vec<_> = header
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(names, ["alg", "kid", "typ"]);
            assert_eq!(header.member("alg"), Some(&Value::from("ES256")));
            assert_eq!(header.member("typ"), Some(&Value::from("JWT")));
            let names: Vec<_> = claims
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(names, ["aud", "exp", "iat", "jti", "sub"]);
            assert_eq!(claims.member("sub"), Some(&Value::from(spiffe)));
            assert_eq!(
                claims.member("aud").unwrap().to_string(),
                r#"["https://api.example"]"#
            );
            let seconds = |name| claims.member(name).and_then(Value::as_u64).unwrap();
            assert_eq!(seconds("exp") - seconds("iat"), 300);
            ids.push(text_of(&claims, "jti"));
            let verified = JwtSvid::verify(&token, &bundle, "https://api.example", now()).unwrap();
            assert_eq!(verified.spiffe().as_str(), spiffe);
            assert!(JwtSvid::verify(&token, &bundle, "https://other.example", now()).is_err());
            let later = now().plus(Duration::from_secs(301));
            assert!(JwtSvid::verify(&token, &bundle, "https://api.example", later).is_err());
            let forged = format!(
                "{}.{}",
                token.rsplit_once('.').unwrap().0,
                base64url(&[0; 64])
            );
            assert!(JwtSvid::verify(&forged, &bundle, "https://api.example", now()).is_err());
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3, "each identity is its own");
    });
}

fn text_of(value: &Value, name: &str) -> String {
    value
        .member(name)
        .and_then(Value::as_str)
        .unwrap()
        .to_owned()
}
