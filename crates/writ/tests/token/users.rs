//! A user and an agent: RFC 8693 with a token of a configured issuer as the subject.

use hyper::Method;
use writ_testkit::{Project, runtime};
use writ_types::Value;

use crate::kit::{
    BOT, EXCHANGE, JWT, JWT_SPIFFE, Key, OTHER, READ, Stage, TICKETS, decoded, now, opened,
    refused, with, without,
};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "writ-test";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const GRANT: &str = "invalid_grant";

/// An issuer of users that the installation believes.
struct Issuer(Key);

impl Issuer {
    fn configure(&self, project: &Project) {
        let mut entry = self.0.jwk();
        for (name, value) in [
            ("kid", self.0.kid.as_str()),
            ("alg", "ES256"),
            ("use", "sig"),
        ] {
            entry = with(&entry, &Value::object([(name, Value::from(value))]));
        }
        let keys = Value::object([("keys", Value::Array(vec![entry]))]);
        project.write("issuer.jwks", &keys.to_string());
        project.settings(&format!(
            "[[issuer]]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\njwks_file = \"issuer.jwks\"\n"
        ));
    }

    fn header(&self) -> Value {
        let texts = [
            ("alg", "ES256"),
            ("kid", self.0.kid.as_str()),
            ("typ", "JWT"),
        ];
        Value::object(texts.map(|(name, value)| (name, Value::from(value))))
    }

    fn claims() -> Value {
        let second = now().secs_since_epoch();
        Value::object([
            ("iss", Value::from(ISSUER)),
            ("aud", Value::from(AUDIENCE)),
            ("sub", Value::from("alice")),
            ("iat", Value::from_u64(second)),
            ("exp", Value::from_u64(second + 120)),
        ])
    }

    fn sign(&self, claims: &Value) -> String {
        self.0.sign(&self.header().to_string(), &claims.to_string())
    }
}

fn claim(name: &str, value: Value) -> Value {
    with(&Issuer::claims(), &Value::object([(name, value)]))
}

async fn exchange(stage: &Stage, key: &Key, user: &str, actor: &str) -> writ::http::Answer {
    let public = stage.public("");
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", user),
        ("subject_token_type", ID_TOKEN),
        ("actor_token", actor),
        ("actor_token_type", JWT),
        ("resource", &public),
        ("authorization_details", READ),
    ];
    stage.token(key, &pairs).await
}

#[test]
fn an_agent_acts_for_a_user() {
    runtime().block_on(async {
        let issuer = Issuer(Key::new());
        let stage = Stage::prepared(|project| issuer.configure(project)).await;
        let actor = stage.svid(BOT).await;
        let answer = exchange(&stage, &Key::new(), &issuer.sign(&Issuer::claims()), &actor).await;
        let task = opened(&answer, Key::new());
        let (_, claims) = decoded(&task.token);
        let member = |name: &str| claims.member(name).cloned().unwrap_or(Value::Null);
        assert_eq!(member("sub"), Value::from("alice"));
        assert_eq!(member("act"), Value::object([("sub", Value::from(BOT))]));
        assert_eq!(member("sub_id").member("iss"), Some(&Value::from(ISSUER)));
        let lives = answer
            .json()
            .member("expires_in")
            .and_then(Value::as_u64)
            .unwrap();
        assert!(lives <= 120, "it ends with the user's token: {lives}");
        let seen = stage.task(&task.task).await;
        assert_eq!(seen.member("requester"), Some(&Value::from("alice")));

        let key = Key::new();
        let named = claim("may_act", Value::object([("sub", Value::from(BOT))]));
        let task = opened(
            &exchange(&stage, &key, &issuer.sign(&named), &actor).await,
            key,
        );
        let called = stage.call(&task, Method::GET, TICKETS).await;
        assert_eq!(called.status, 200, "{}", called.json());
        let call = called.header("writ-call-id").unwrap();
        let found = stage
            .project
            .operator(Method::GET, &format!("/v1/records?search={call}"), "")
            .await;
        let text = found.json().to_string();
        assert!(
            text.contains("alice") && text.contains(ISSUER),
            "the record names the user: {text}"
        );
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn a_user_who_is_not_vouched_for() {
    runtime().block_on(async {
        let issuer = Issuer(Key::new());
        let stage = Stage::prepared(|project| issuer.configure(project)).await;
        let actor = stage.svid(BOT).await;
        let text = |text: &str| Value::from(text);
        let second = now().secs_since_epoch();
        let past = with(
            &claim("iat", Value::from_u64(second - 600)),
            &Value::object([("exp", Value::from_u64(second - 300))]),
        );
        for (row, claims) in [
            ("unknown issuer", claim("iss", text("https://evil.example"))),
            ("no issuer", without(&Issuer::claims(), "iss")),
            ("another audience", claim("aud", text("another"))),
            ("no audience", without(&Issuer::claims(), "aud")),
            (
                "two audiences",
                claim("aud", Value::Array(vec![text(AUDIENCE), text("another")])),
            ),
            ("made for another client", claim("azp", text("another"))),
            ("expired", past),
            ("no expiry", without(&Issuer::claims(), "exp")),
            (
                "issued in the future",
                claim("iat", Value::from_u64(second + 110)),
            ),
            ("not yet valid", claim("nbf", Value::from_u64(second + 110))),
            ("nobody", without(&Issuer::claims(), "sub")),
            (
                "another may act",
                claim("may_act", Value::object([("sub", text(OTHER))])),
            ),
            (
                "nobody may act",
                claim("may_act", Value::object::<&str>([])),
            ),
            ("may_act is not understood", claim("may_act", text(BOT))),
            (
                "may_act says more",
                claim(
                    "may_act",
                    Value::object([("sub", text(BOT)), ("iss", text(ISSUER))]),
                ),
            ),
        ] {
            let answer = exchange(&stage, &Key::new(), &issuer.sign(&claims), &actor).await;
            refused(&answer, GRANT, row);
        }
        let forged = Issuer(Key::new()).sign(&Issuer::claims());
        refused(
            &exchange(&stage, &Key::new(), &forged, &actor).await,
            GRANT,
            "an unknown key",
        );
        let (header, claims) = (issuer.header(), Issuer::claims().to_string());
        for change in [
            r#"{"typ":"at+jwt"}"#,
            r#"{"alg":"none"}"#,
            r#"{"crit":["exp"]}"#,
            r#"{"jku":"https://evil.example"}"#,
        ] {
            let header = with(&header, &writ_testkit::json(change)).to_string();
            let answer = exchange(
                &stage,
                &Key::new(),
                &issuer.0.sign(&header, &claims),
                &actor,
            )
            .await;
            refused(&answer, GRANT, change);
        }
        let (public, user) = (stage.public(""), issuer.sign(&Issuer::claims()));
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", user.as_str()),
            ("subject_token_type", ID_TOKEN),
            ("resource", &public),
            ("authorization_details", READ),
        ];
        refused(
            &stage.token(&Key::new(), &pairs).await,
            GRANT,
            "a user without an agent",
        );
        let as_actor = exchange(&stage, &Key::new(), &actor, &user).await;
        refused(&as_actor, GRANT, "the user as actor");
        let as_client = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", user.as_str()),
            ("resource", &public),
            ("authorization_details", READ),
        ];
        refused(
            &stage.token(&Key::new(), &as_client).await,
            "invalid_client",
            "the user as client",
        );
    });
}

#[test]
fn a_users_task_is_renewed_for_that_user_only() {
    runtime().block_on(async {
        let issuer = Issuer(Key::new());
        let stage = Stage::prepared(|project| issuer.configure(project)).await;
        let actor = stage.svid(BOT).await;
        let key = Key::new();
        let task = opened(
            &exchange(&stage, &key, &issuer.sign(&Issuer::claims()), &actor).await,
            key,
        );
        let public = stage.public("");
        let renew = async |user: Option<&str>| {
            let user = user.map(|user| issuer.sign(&claim("sub", Value::from(user))));
            let subject = user.as_deref().unwrap_or(&actor);
            let pairs = [
                ("grant_type", EXCHANGE),
                ("subject_token", subject),
                ("subject_token_type", JWT),
                ("actor_token", actor.as_str()),
                ("actor_token_type", JWT),
                ("resource", &public),
                ("task_id", task.task.as_str()),
            ];
            stage.token(&Key::new(), &pairs).await
        };
        refused(&renew(Some("mallory")).await, GRANT, "another user");
        refused(&renew(None).await, GRANT, "the agent for itself");
        let answer = renew(Some("alice")).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let (_, claims) = decoded(&crate::kit::text(&answer, "access_token"));
        assert_eq!(claims.member("sub"), Some(&Value::from("alice")));
    });
}
