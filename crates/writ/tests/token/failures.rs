//! Classes of failure that other products had (docs/failures.md), where no other suite holds them closed.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use writ_control::{Access, ROUTES};
use writ_testkit::{Project, runtime};
use writ_types::{Digest, Value};

use crate::kit::{
    BOT, JWT_SPIFFE, Key, Proof, READ, Stage, TICKETS, base64url, decoded, opened, refused, text,
    with, without,
};

/// The same object, with one member under a name that differs in case alone.
fn renamed(value: &Value, name: &str) -> Value {
    let other = name.to_ascii_uppercase();
    let member = value.member(name).unwrap().clone();
    with(
        &without(value, name),
        &Value::object([(other.as_str(), member)]),
    )
}

/// Two readers that disagree about names let one of them be deceived (GHSA-4gph-2hhr-5mwg, CVE-2026-27896).
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn names_are_compared_to_the_letter() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, svid, resource) = (Key::new(), stage.svid(BOT).await, stage.public(""));
        let (header, claims) = decoded(&svid);
        let domain = Key::stolen(&stage.project, "svid.p8");
        let ask = async |names: [&str; 5], assertion: &str, details: &str| {
            let values = [
                "client_credentials",
                JWT_SPIFFE,
                assertion,
                &resource,
                details,
            ];
            let pairs: Vec<_> = names.into_iter().zip(values).collect();
            stage.token(&key, &pairs).await
        };
        let names = [
            "grant_type",
            "client_assertion_type",
            "client_assertion",
            "resource",
            "authorization_details",
        ];
        opened(&ask(names, &svid, READ).await, Key::new());
        for (at, code) in [
            (0, "invalid_request"),
            (1, "invalid_request"),
            (2, "invalid_request"),
            (3, "invalid_target"),
            (4, "invalid_request"),
        ] {
            let mut other = names;
            let upper = names[at].to_ascii_uppercase();
            other[at] = &upper;
            refused(&ask(other, &svid, READ).await, code, &upper);
        }
        for name in ["sub", "aud", "exp"] {
            let svid = domain.sign(&header.to_string(), &renamed(&claims, name).to_string());
            refused(&ask(names, &svid, READ).await, "invalid_client", name);
        }
        for name in ["type", "purpose", "actions"] {
            let details = READ.replace(
                &format!("\"{name}\""),
                &format!("\"{}\"", name.to_uppercase()),
            );
            let code = "invalid_authorization_details";
            refused(&ask(names, &svid, &details).await, code, name);
        }
        // Beside the right one, too: whoever reads the last one reads another.
        let details = READ.replace("\"purpose\"", "\"Purpose\":\"spare\",\"purpose\"");
        let answer = ask(names, &svid, &details).await;
        refused(&answer, "invalid_authorization_details", "both spellings");

        let task = stage.grant(BOT, READ).await;
        let proof = Proof::new(
            &task.key,
            ("GET", &stage.public(TICKETS)),
            Some(&task.token),
        )
        .claim("nonce", stage.nonce("gateway").await);
        let authorization = format!("DPoP {}", task.token);
        let before = stage.reached();
        for name in ["jti", "htm", "htu", "iat", "ath", "nonce"] {
            let proof = Proof {
                header: proof.header.clone(),
                claims: renamed(&proof.claims, name),
            };
            let proof = proof.sign(&task.key);
            let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
            let gateway = stage.project.gateway();
            let answer = gateway
                .send(Method::GET, TICKETS, &headers, Vec::new())
                .await;
            assert_eq!(answer.unwrap().status, 401, "{name}");
        }
        assert_eq!(stage.reached(), before);
    });
}

/// What an attacker sends to whatever reads it as a program (CVE-2026-42208, CVE-2026-79748).
const HOSTILE: [&str; 5] = [
    "x' OR '1'='1",
    "x'; DROP TABLE tasks; DROP TABLE operators; --",
    "x\" UNION SELECT key FROM credentials --",
    "$(touch owned)`touch owned`;touch owned|touch owned",
    "../../keys/audit.key",
];

/// Texts of strangers and of operators are values, never a part of a statement or of a command.
#[test]
fn hostile_texts_are_nothing_but_texts() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, svid, task) = (
            Key::new(),
            stage.svid(BOT).await,
            stage.grant(BOT, READ).await,
        );
        for text in HOSTILE {
            let login = Value::object([("token", Value::from(text))]).to_string();
            let json = [("content-type", "application/json")];
            let control = stage.project.control();
            let answer = control.send(Method::POST, "/v1/login", &json, login).await;
            assert_eq!(answer.unwrap().status, 401, "a first-boot token: {text}");
            let session = format!("Bearer {text}");
            let session = [("authorization", session.as_str())];
            let answer = control.send(Method::GET, "/v1/status", &session, "").await;
            assert_eq!(answer.unwrap().status, 401, "a session: {text}");
            let resource = stage.public("");
            for changed in ["client_id", "client_assertion", "resource", "task_id"] {
                let mut pairs = BTreeMap::from([
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", JWT_SPIFFE),
                    ("client_assertion", svid.as_str()),
                    ("resource", resource.as_str()),
                ]);
                pairs.insert(changed, text);
                if changed != "task_id" {
                    pairs.insert("authorization_details", READ);
                }
                let pairs: Vec<_> = pairs.into_iter().collect();
                let answer = stage.token(&key, &pairs).await;
                assert!(matches!(answer.status, 400 | 401), "{changed}: {text}");
                assert!(
                    answer.json().member("access_token").is_none(),
                    "{changed}: {text}"
                );
            }
            // What a person is called is kept and given back as it was written.
            let person =
                Value::object([("name", Value::from(text)), ("role", Value::from("viewer"))]);
            let order = ("/v1/operators", person.to_string());
            stage.order(order.0, &order.1).await;
        }
        let people = stage
            .project
            .operator(Method::GET, "/v1/operators", "")
            .await;
        let people = people.json().to_string();
        for hostile in HOSTILE {
            let written = Value::from(hostile).to_string();
            assert!(people.contains(&written), "{hostile}: {people}");
        }
        // The server runs in this process's folder.
        let folders = [
            std::path::PathBuf::from("owned"),
            stage.project.path("owned"),
        ];
        assert!(!folders.iter().any(|path| path.exists()));
        let status = stage.call(&task, Method::GET, TICKETS).await.status;
        assert_eq!(status, 200, "and everything goes on");
    });
}

/// Stored secrets are written and used, and never read again (CVE-2026-105138).
#[test]
fn no_route_gives_a_secret_back() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        assert_eq!(stage.call(&task, Method::GET, TICKETS).await.status, 200);
        let session =
            std::fs::read_to_string(stage.project.path(".writ/operator-session")).unwrap();
        let mut secrets = vec![
            ("the credential".to_owned(), stage.desk.key.clone()),
            ("the session".to_owned(), session.trim().to_owned()),
            ("the token".to_owned(), task.token.clone()),
        ];
        for (name, key) in keys(&stage.project) {
            secrets.push((name.clone(), base64url(&key)));
            secrets.push((name.clone(), STANDARD.encode(&key)));
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            secrets.push((name, hex));
        }
        let mut looked_at = BTreeSet::new();
        for (method, pattern, access, _) in ROUTES {
            if *access == Access::Public || *method != "GET" {
                continue;
            }
            for with in ["helpdesk", "helpdesk-key", &task.task, "unknown"] {
                let path: Vec<_> = pattern
                    .split('/')
                    .map(|segment| {
                        if segment.starts_with('{') {
                            with
                        } else {
                            segment
                        }
                    })
                    .collect();
                let answer = stage
                    .project
                    .operator(Method::GET, &path.join("/"), "")
                    .await;
                assert!(matches!(answer.status, 200 | 400 | 404), "{pattern}");
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                for (what, secret) in &secrets {
                    assert!(!body.contains(secret.as_str()), "{pattern} tells {what}");
                }
                looked_at.insert((*pattern, answer.status == 200));
            }
        }
        assert!(
            looked_at.contains(&("/v1/credentials", true)),
            "{looked_at:?}"
        );
        assert!(looked_at.len() > 12);
        // Where it was written, nothing is read.
        for path in [
            "/v1/credentials/helpdesk-key",
            "/v1/keys",
            "/v1/keys/rotate",
        ] {
            let answer = stage.project.operator(Method::GET, path, "").await;
            assert!(matches!(answer.status, 404 | 405), "{path}");
        }
    });
}

/// Every secret file of an installation.
fn keys(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let folder = std::fs::read_dir(project.path(".writ/keys")).unwrap();
    folder
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// No secret is built in, and none has a default (CVE-2026-53709, GHSA-953h-535j-jg2v): what one installation holds opens
/// nothing of another, whatever it calls itself (GHSA-vgf8-3685-66j9).
#[test]
fn two_installations_share_no_secret() {
    runtime().block_on(async {
        let (one, other) = (Stage::open().await, Stage::open().await);
        let (ours, theirs) = (keys(&one.project), keys(&other.project));
        assert!(ours.len() >= 5, "{:?}", ours.keys());
        assert!(ours.keys().eq(theirs.keys()));
        let mut seen = BTreeSet::new();
        for (name, key) in ours.iter().chain(&theirs) {
            assert!(key.len() >= 32, "{name}");
            assert!(seen.insert(Digest::of(key)), "{name} is not its own");
        }
        let boot =
            |stage: &Stage| std::fs::read(stage.project.path(".writ/operator-session")).unwrap();
        assert_ne!(boot(&one), boot(&other));
        // What one of them signed, to the letter in the other's name.
        let key = Key::new();
        let stranger = Key::stolen(&other.project, "svid.p8");
        let (header, claims) = decoded(&one.svid(BOT).await);
        let resource = one.public("");
        let ask = async |svid: &str| {
            let pairs = [
                ("grant_type", "client_credentials"),
                ("client_assertion_type", JWT_SPIFFE),
                ("client_assertion", svid),
                ("resource", &resource),
                ("authorization_details", READ),
            ];
            one.token(&key, &pairs).await
        };
        let own = Key::stolen(&one.project, "svid.p8");
        let again = own.sign(&header.to_string(), &claims.to_string());
        opened(&ask(&again).await, Key::new());
        let kid = Value::object([("kid", Value::from(stranger.kid.as_str()))]);
        for header in [&header, &with(&header, &kid)] {
            let svid = stranger.sign(&header.to_string(), &claims.to_string());
            refused(
                &ask(&svid).await,
                "invalid_client",
                "another installation's key",
            );
        }
        let session = String::from_utf8(boot(&other)).unwrap();
        let bearer = format!("Bearer {}", session.trim());
        let headers = [("authorization", bearer.as_str())];
        let answer = one
            .project
            .control()
            .send(Method::GET, "/v1/status", &headers, "")
            .await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 401, "{}", text(&answer, "title"));
    });
}
