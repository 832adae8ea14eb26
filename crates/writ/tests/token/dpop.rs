//! Proofs of possession, end to end: every check of RFC 9449 §4.3, at the gateway and at the token endpoint.

use aws_lc_rs::hmac;
use hyper::Method;
use writ::agent::form;
use writ::http::Answer;
use writ_testkit::{json, reason, runtime};
use writ_types::Value;

use crate::kit::{
    BOT, JWT_SPIFFE, Key, Opened, Proof, READ, Stage, TICKETS, base64url, hash, now, refused, text,
    with, without,
};

/// What a row sends as its `DPoP` header fields, made from a good proof and two keys.
type Spoil = fn(Proof, &Key, &Key) -> Vec<String>;

fn one(proof: &Proof, key: &Key) -> Vec<String> {
    vec![proof.sign(key)]
}

fn header(proof: Proof, change: &str) -> Proof {
    let header = with(&proof.header, &json(change));
    Proof { header, ..proof }
}

fn lacks(proof: Proof, claim: &str) -> Proof {
    let claims = without(&proof.claims, claim);
    Proof { claims, ..proof }
}

fn made(seconds: i64) -> Value {
    Value::from_i64(i64::try_from(now().secs_since_epoch()).unwrap() + seconds)
}

/// The number of the check in RFC 9449 §4.3, what is wrong, how, and the error.
const ROWS: &[(u8, &str, Spoil, &str)] = &[
    (1, "no header", |_, _, _| Vec::new(), INVALID),
    (
        1,
        "two headers, both good",
        |proof, key, _| {
            let second = proof.clone().claim("jti", "another");
            vec![proof.sign(key), second.sign(key)]
        },
        INVALID,
    ),
    (
        1,
        "the same header twice",
        |proof, key, _| vec![proof.sign(key); 2],
        INVALID,
    ),
    (
        1,
        "two proofs in one header",
        |proof, key, _| vec![format!("{0}, {0}", proof.sign(key))],
        INVALID,
    ),
    (2, "no JWT", |_, _, _| vec!["proof".to_owned()], INVALID),
    (2, "empty", |_, _, _| vec![String::new()], INVALID),
    (
        2,
        "four parts",
        |proof, key, _| vec![format!("{}.AA", proof.sign(key))],
        INVALID,
    ),
    (
        2,
        "the payload is an array",
        |proof, key, _| vec![key.sign(&proof.header.to_string(), "[]")],
        INVALID,
    ),
    (
        2,
        "a claim twice",
        |proof, key, _| {
            vec![key.sign(
                &proof.header.to_string(),
                &crate::kit::doubled(&proof.claims, "htm"),
            )]
        },
        INVALID,
    ),
    (
        2,
        "crit",
        |proof, key, _| one(&header(proof, r#"{"crit":["exp"]}"#), key),
        INVALID,
    ),
    (
        3,
        "no jti",
        |proof, key, _| one(&lacks(proof, "jti"), key),
        INVALID,
    ),
    (
        3,
        "an empty jti",
        |proof, key, _| one(&proof.claim("jti", ""), key),
        INVALID,
    ),
    (
        3,
        "a jti that is a number",
        |proof, key, _| one(&proof.claim("jti", Value::from_u64(1)), key),
        INVALID,
    ),
    (
        3,
        "no htm",
        |proof, key, _| one(&lacks(proof, "htm"), key),
        INVALID,
    ),
    (
        3,
        "no htu",
        |proof, key, _| one(&lacks(proof, "htu"), key),
        INVALID,
    ),
    (
        3,
        "no iat",
        |proof, key, _| one(&lacks(proof, "iat"), key),
        INVALID,
    ),
    (
        3,
        "iat is a text",
        |proof, key, _| {
            one(
                &proof.claim("iat", now().secs_since_epoch().to_string()),
                key,
            )
        },
        INVALID,
    ),
    (
        4,
        "typ is JWT",
        |proof, key, _| one(&header(proof, r#"{"typ":"JWT"}"#), key),
        INVALID,
    ),
    (
        4,
        "typ is at+jwt",
        |proof, key, _| one(&header(proof, r#"{"typ":"at+jwt"}"#), key),
        INVALID,
    ),
    (
        4,
        "no typ",
        |proof, key, _| {
            let header = without(&proof.header, "typ");
            one(&Proof { header, ..proof }, key)
        },
        INVALID,
    ),
    (
        5,
        "alg is none",
        |proof, key, _| {
            let signed = header(proof, r#"{"alg":"none"}"#).sign(key);
            vec![format!("{}.", signed.rsplit_once('.').unwrap().0)]
        },
        INVALID,
    ),
    (
        5,
        "alg is HS256 over the public key",
        |proof, key, _| {
            let proof = header(proof, r#"{"alg":"HS256"}"#);
            let signed = proof.sign(key);
            let message = signed.rsplit_once('.').unwrap().0;
            let secret = hmac::Key::new(hmac::HMAC_SHA256, key.jwk().to_string().as_bytes());
            vec![format!(
                "{message}.{}",
                base64url(hmac::sign(&secret, message.as_bytes()).as_ref())
            )]
        },
        INVALID,
    ),
    (
        5,
        "alg of another curve",
        |proof, key, _| one(&header(proof, r#"{"alg":"ES384"}"#), key),
        INVALID,
    ),
    (
        5,
        "no alg",
        |proof, key, _| {
            let header = without(&proof.header, "alg");
            one(&Proof { header, ..proof }, key)
        },
        INVALID,
    ),
    (
        6,
        "signed by another key",
        |proof, _, other| one(&proof, other),
        INVALID,
    ),
    (
        6,
        "another payload under the signature",
        |proof, key, _| {
            let signed = proof.sign(key);
            let parts: Vec<_> = signed.split('.').collect();
            let payload = base64url(proof.claim("jti", "another").claims.to_string().as_bytes());
            vec![format!("{}.{payload}.{}", parts[0], parts[2])]
        },
        INVALID,
    ),
    (
        7,
        "no jwk",
        |proof, key, _| {
            let header = without(&proof.header, "jwk");
            one(&Proof { header, ..proof }, key)
        },
        INVALID,
    ),
    (
        7,
        "a private jwk",
        |proof, key, _| {
            let jwk = with(
                &key.jwk(),
                &json(r#"{"d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}"#),
            );
            let header = with(&proof.header, &Value::object([("jwk", jwk)]));
            one(&Proof { header, ..proof }, key)
        },
        INVALID,
    ),
    (
        7,
        "a symmetric jwk",
        |proof, key, _| one(&header(proof, r#"{"jwk":{"kty":"oct","k":"AAAA"}}"#), key),
        INVALID,
    ),
    (
        7,
        "a kid in place of the jwk",
        |proof, key, _| {
            let header = without(&proof.header, "jwk");
            let header = with(
                &header,
                &Value::object([("kid", Value::from(key.kid.as_str()))]),
            );
            one(&Proof { header, ..proof }, key)
        },
        INVALID,
    ),
    (
        8,
        "htm is another method",
        |proof, key, _| one(&proof.claim("htm", "DELETE"), key),
        INVALID,
    ),
    (
        8,
        "htm in lower case",
        |proof, key, _| {
            let method = proof
                .claims
                .member("htm")
                .unwrap()
                .as_str()
                .unwrap()
                .to_lowercase();
            one(&proof.claim("htm", method), key)
        },
        INVALID,
    ),
    (
        9,
        "htu is another path",
        |proof, key, _| {
            let uri = format!(
                "{}/more",
                proof.claims.member("htu").unwrap().as_str().unwrap()
            );
            one(&proof.claim("htu", uri), key)
        },
        INVALID,
    ),
    (
        9,
        "htu is another host",
        |proof, key, _| {
            let uri = proof
                .claims
                .member("htu")
                .unwrap()
                .as_str()
                .unwrap()
                .replace("127.0.0.1", "localhost");
            one(&proof.claim("htu", uri), key)
        },
        INVALID,
    ),
    (
        9,
        "htu is another scheme",
        |proof, key, _| {
            let uri = proof
                .claims
                .member("htu")
                .unwrap()
                .as_str()
                .unwrap()
                .replace("http:", "https:");
            one(&proof.claim("htu", uri), key)
        },
        INVALID,
    ),
    (
        9,
        "htu is a path",
        |proof, key, _| one(&proof.claim("htu", "/oauth/token"), key),
        INVALID,
    ),
    (
        10,
        "no nonce",
        |proof, key, _| one(&lacks(proof, "nonce"), key),
        NONCE,
    ),
    (
        10,
        "an invented nonce",
        |proof, key, _| one(&proof.claim("nonce", base64url(&[7; 16])), key),
        NONCE,
    ),
    (
        10,
        "an empty nonce",
        |proof, key, _| one(&proof.claim("nonce", ""), key),
        INVALID,
    ),
    (
        11,
        "made two minutes ago",
        |proof, key, _| one(&proof.claim("iat", made(-120)), key),
        INVALID,
    ),
    (
        11,
        "made in a minute",
        |proof, key, _| one(&proof.claim("iat", made(60)), key),
        INVALID,
    ),
    (
        11,
        "expired",
        |proof, key, _| one(&proof.claim("exp", made(-1)), key),
        INVALID,
    ),
    (
        11,
        "not yet valid",
        |proof, key, _| one(&proof.claim("nbf", made(60)), key),
        INVALID,
    ),
];

/// The rows that only a call with a token can have.
const WITH_A_TOKEN: &[(u8, &str, Spoil, &str)] = &[
    (
        12,
        "no ath",
        |proof, key, _| one(&lacks(proof, "ath"), key),
        INVALID,
    ),
    (
        12,
        "ath of another token",
        |proof, key, _| one(&proof.claim("ath", hash("another")), key),
        INVALID,
    ),
    (
        12,
        "ath is the token",
        |proof, key, _| one(&proof.claim("ath", "token"), key),
        INVALID,
    ),
    (
        12,
        "another key than the token's",
        |proof, _, other| {
            let header = with(&proof.header, &Value::object([("jwk", other.jwk())]));
            one(&Proof { header, ..proof }, other)
        },
        INVALID,
    ),
];

const INVALID: &str = "invalid_dpop_proof";
const NONCE: &str = "use_dpop_nonce";

/// A call with these very header fields.
async fn send(stage: &Stage, authorization: &str, proofs: &[String]) -> Answer {
    let mut headers = vec![("authorization", authorization)];
    headers.extend(proofs.iter().map(|proof| ("dpop", proof.as_str())));
    let gateway = stage.project.gateway();
    let sent = gateway.send(Method::GET, TICKETS, &headers, Vec::new());
    sent.await.unwrap()
}

async fn good(stage: &Stage, task: &Opened) -> Proof {
    let uri = stage.public(TICKETS);
    Proof::new(&task.key, ("GET", &uri), Some(&task.token))
        .claim("nonce", stage.nonce("gateway").await)
}

#[test]
fn every_check_at_the_gateway() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let (other, authorization) = (Key::new(), format!("DPoP {}", task.token));
        for (check, row, spoil, wanted) in ROWS.iter().chain(WITH_A_TOKEN) {
            let before = stage.reached();
            let proofs = spoil(good(&stage, &task).await, &task.key, &other);
            let answer = send(&stage, &authorization, &proofs).await;
            let row = format!("check {check}, {row}");
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (401, *wanted),
                "{row}"
            );
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(
                challenge.starts_with(&format!("DPoP error=\"{wanted}\"")),
                "{row}: {challenge}"
            );
            assert!(answer.header("dpop-nonce").is_some(), "{row}");
            assert_eq!(stage.reached(), before, "{row}: reached the upstream");
        }
        let proof = good(&stage, &task).await.sign(&task.key);
        let answer = send(&stage, &authorization, std::slice::from_ref(&proof)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let replayed = send(&stage, &authorization, &[proof]).await;
        assert_eq!(
            (replayed.status, reason(&replayed).as_str()),
            (401, INVALID),
            "used twice"
        );
    });
}

#[test]
fn every_check_at_the_token_endpoint() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let (key, other, uri) = (Key::new(), Key::new(), stage.control("/oauth/token"));
        let svid = stage.svid(BOT).await;
        let form = form(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", &svid),
            ("resource", &stage.public("")),
            ("authorization_details", READ),
        ]);
        let send = async |proofs: &[String]| {
            let headers: Vec<_> = proofs
                .iter()
                .map(|proof| ("dpop", proof.as_str()))
                .collect();
            stage.post_form(&headers, &form).await
        };
        for (check, row, spoil, wanted) in ROWS {
            let proof =
                Proof::new(&key, ("POST", &uri), None).claim("nonce", stage.nonce("control").await);
            let answer = send(&spoil(proof, &key, &other)).await;
            let row = format!("check {check}, {row}");
            refused(&answer, wanted, &row);
            assert!(answer.header("dpop-nonce").is_some(), "{row}");
        }
        let proof = Proof::new(&key, ("POST", &uri), None)
            .claim("nonce", stage.nonce("control").await)
            .sign(&key);
        let answer = send(std::slice::from_ref(&proof)).await;
        assert_eq!(text(&answer, "token_type"), "DPoP", "{}", answer.json());
        refused(&send(&[proof]).await, INVALID, "used twice");
    });
}

#[test]
fn a_nonce_is_asked_for_and_dies_with_its_process() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let authorization = format!("DPoP {}", task.token);
        let proof = |nonce: Option<&str>| {
            let uri = stage.public(TICKETS);
            let proof = Proof::new(&task.key, ("GET", &uri), Some(&task.token));
            match nonce {
                Some(nonce) => proof.claim("nonce", nonce).sign(&task.key),
                None => proof.sign(&task.key),
            }
        };
        let asked = send(&stage, &authorization, &[proof(None)]).await;
        assert_eq!((asked.status, reason(&asked).as_str()), (401, NONCE));
        let nonce = asked.header("dpop-nonce").unwrap().to_owned();
        let answer = send(&stage, &authorization, &[proof(Some(&nonce))]).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let of_the_control_plane = stage.nonce("control").await;
        let answer = send(
            &stage,
            &authorization,
            &[proof(Some(&of_the_control_plane))],
        )
        .await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (401, NONCE),
            "the other plane's nonce"
        );

        let before_the_restart = proof(Some(&nonce));
        stage.restart();
        let answer = send(&stage, &authorization, &[before_the_restart]).await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (401, NONCE),
            "a nonce of another boot"
        );
        let fresh = answer.header("dpop-nonce").unwrap().to_owned();
        assert_ne!(fresh, nonce);
        let uri = stage.public(TICKETS);
        let proof = Proof::new(&task.key, ("GET", &uri), Some(&task.token)).claim("nonce", fresh);
        let answer = send(&stage, &authorization, &[proof.sign(&task.key)]).await;
        assert_eq!(
            answer.status,
            200,
            "the token outlives the process: {}",
            answer.json()
        );
    });
}

#[test]
fn a_scheme_is_not_exchanged_for_another() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let token = &task.token;
        for (row, authorization, with_proof) in [
            (
                "bound to a key, as Bearer",
                format!("Bearer {token}"),
                false,
            ),
            (
                "bound to a key, as Bearer with a proof",
                format!("Bearer {token}"),
                true,
            ),
            ("another scheme", format!("Basic {token}"), true),
            ("no scheme", token.clone(), true),
            ("two spaces", format!("DPoP  {token}"), true),
            ("two tokens", format!("DPoP {token}, DPoP {token}"), true),
            ("no token", "DPoP ".to_owned(), true),
        ] {
            let proof = good(&stage, &task).await.sign(&task.key);
            let proofs = if with_proof { vec![proof] } else { Vec::new() };
            let answer = send(&stage, &authorization, &proofs).await;
            let why = (answer.status, reason(&answer));
            assert_eq!(why, (401, "unauthenticated".to_owned()), "{row}");
        }
        let proof = good(&stage, &task).await.sign(&task.key);
        let both = [
            ("authorization", format!("DPoP {token}")),
            ("authorization", format!("DPoP {token}")),
            ("dpop", proof),
        ];
        let both: Vec<_> = both
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let gateway = stage.project.gateway();
        let answer = gateway
            .send(Method::GET, TICKETS, &both, Vec::new())
            .await
            .unwrap();
        assert_eq!(answer.status, 401, "two Authorization fields");
        let in_the_query = format!("{TICKETS}?access_token={token}");
        let answer = gateway
            .send(Method::GET, &in_the_query, &[], Vec::new())
            .await
            .unwrap();
        assert_eq!(answer.status, 401, "a token in the query (RFC 6750 §2.3)");
        assert_eq!(stage.reached(), 0);
        let proof = good(&stage, &task).await.sign(&task.key);
        let answer = send(&stage, &format!("dpop {token}"), &[proof]).await;
        assert_eq!(answer.status, 200, "a scheme has no case (RFC 9110 §11.1)");
    });
}
