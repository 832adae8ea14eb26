//! Purposes that want a fresh or strong authentication of the user (RFC 9470): asked when a task is opened, when its token is
//! renewed and at each call; the answer says what would do.

use hyper::Method;
use writ::http::Answer;
use writ_testkit::{reason, runtime};
use writ_types::Value;

use crate::kit::{
    BOT, EXCHANGE, JWT, Key, Opened, READ, Stage, TICKETS, decoded, now, opened, refused, text,
    with, without,
};
use crate::trust::{Issuer, until};

const CODE: &str = "insufficient_user_authentication";

/// The purpose of [`crate::kit::registrations`], with something more at its beginning.
fn purpose(stage: &Stage, more: &str) {
    let path = "purposes/triage.toml";
    let text = std::fs::read_to_string(stage.project.path(path)).unwrap();
    let plain: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("user_authentication"))
        .collect();
    stage
        .project
        .write(path, &format!("{more}\n{}\n", plain.join("\n")));
    let (code, said, fault) = stage.project.run(&["apply"]);
    assert_eq!(code, 0, "{said}{fault}");
}

struct House {
    stage: Stage,
    issuer: Issuer,
}

impl House {
    async fn open(wanted: &str) -> Self {
        let issuer = Issuer::new();
        let stage = Stage::prepared(|project| issuer.configure(project, "users")).await;
        purpose(&stage, wanted);
        Self { stage, issuer }
    }

    /// Asks for a task, or for another token of one, for a user who has authenticated like this.
    async fn ask(&self, key: &Key, said: &Value, what: (&str, &str)) -> Answer {
        let user = self.issuer.sign(&with(&Issuer::claims(), said));
        let (actor, resource) = (self.stage.svid(BOT).await, self.stage.public(""));
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", user.as_str()),
            ("subject_token_type", JWT),
            ("actor_token", &actor),
            ("actor_token_type", JWT),
            ("resource", &resource),
            what,
        ];
        self.stage.token(key, &pairs).await
    }

    async fn grant(&self, said: &Value) -> Opened {
        let key = Key::new();
        let answer = self.ask(&key, said, ("authorization_details", READ)).await;
        opened(&answer, key)
    }

    async fn call(&self, task: &Opened) -> Answer {
        self.stage.call(task, Method::GET, TICKETS).await
    }
}

/// So many seconds ago, in this class.
fn said(ago: u64, acr: &str) -> Value {
    let at = now().secs_since_epoch() - ago;
    Value::object([
        ("auth_time", Value::from_u64(at)),
        ("acr", Value::from(acr)),
    ])
}

const STRONG: &str = "user_authentication = { max_age = \"15m\", acr = [\"phr\", \"mfa\"] }";

/// Asserts the token endpoint's refusal, with what would do.
fn wants(answer: &Answer, acr: Option<&str>, age: Option<u64>, row: &str) {
    refused(answer, CODE, row);
    let value = answer.json();
    assert_eq!(
        value.member("acr_values"),
        acr.map(Value::from).as_ref(),
        "{row}"
    );
    assert_eq!(
        value.member("max_age"),
        age.map(Value::from_u64).as_ref(),
        "{row}"
    );
}

#[test]
fn a_task_is_opened_for_a_user_who_has_authenticated_as_its_purpose_wants() {
    runtime().block_on(async {
        let house = House::open(STRONG).await;
        let details = ("authorization_details", READ);
        let late = Value::from_u64(now().secs_since_epoch() + 3600);
        let good = said(60, "mfa");
        for (row, said) in [
            ("nothing said", Value::object::<&str>([])),
            ("no time", without(&good, "auth_time")),
            ("no class", without(&good, "acr")),
            ("too long ago", said(901, "mfa")),
            ("another class", said(60, "pwd")),
            ("another spelling", said(60, "MFA")),
            ("two classes in one", said(60, "phr mfa")),
            (
                "a time to come",
                with(&good, &Value::object([("auth_time", late)])),
            ),
            (
                "a time that is none",
                with(&good, &Value::object([("auth_time", Value::from("now"))])),
            ),
            (
                "a class that is none",
                with(
                    &good,
                    &Value::object([("acr", Value::Array(vec![Value::from("mfa")]))]),
                ),
            ),
        ] {
            let answer = house.ask(&Key::new(), &said, details).await;
            wants(&answer, Some("phr mfa"), Some(900), row);
        }
        // Nobody has authenticated for an agent that acts for itself.
        let own = house.stage.ask(BOT, &Key::new(), &[details]).await;
        wants(&own, Some("phr mfa"), Some(900), "no user");

        let task = house.grant(&good).await;
        assert_eq!(house.call(&task).await.status, 200);
        // RFC 9068 §2.2.1, and RFC 9470 §6.2 for whoever asks about it.
        let (_, claims) = decoded(&task.token);
        for name in ["auth_time", "acr"] {
            assert_eq!(claims.member(name), good.member(name), "{name}");
        }
        let svid = house.stage.svid(BOT).await;
        let form = writ::agent::form(&[
            ("token", task.token.as_str()),
            ("client_assertion_type", crate::kit::JWT_SPIFFE),
            ("client_assertion", &svid),
        ]);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let control = house.stage.project.control();
        let told = control
            .send(Method::POST, "/oauth/introspect", &kind, form)
            .await;
        let told = told.unwrap().json();
        assert_eq!(told.member("active"), Some(&Value::from(true)), "{told}");
        for name in ["auth_time", "acr"] {
            assert_eq!(told.member(name), good.member(name), "{name}");
        }
        let path = "/.well-known/oauth-authorization-server";
        let control = house.stage.project.control();
        let metadata = control
            .send(Method::GET, path, &[], Vec::new())
            .await
            .unwrap()
            .json();
        let classes = Value::Array(vec![Value::from("mfa"), Value::from("phr")]);
        assert_eq!(metadata.member("acr_values_supported"), Some(&classes));
    });
}

/// One of the two alone is asked alone.
#[test]
fn age_and_class_are_asked_apart() {
    runtime().block_on(async {
        let house = House::open("user_authentication = { max_age = \"1h\" }").await;
        let details = ("authorization_details", READ);
        let key = Key::new();
        wants(
            &house.ask(&key, &said(3700, "mfa"), details).await,
            None,
            Some(3600),
            "age",
        );
        assert_eq!(
            house
                .ask(&key, &without(&said(60, "x"), "acr"), details)
                .await
                .status,
            200
        );
        purpose(&house.stage, "user_authentication = { acr = [\"phr\"] }");
        wants(
            &house.ask(&key, &said(60, "mfa"), details).await,
            Some("phr"),
            None,
            "class",
        );
        assert_eq!(
            house.ask(&key, &said(80_000, "phr"), details).await.status,
            200
        );
    });
}

/// What is asked of a purpose from now on is asked of its live tasks too: the call is challenged at both doors, and a token
/// renewed with a fresh sign-in of the user goes on with the same task.
#[test]
fn a_call_is_challenged_and_goes_on_after_the_user_has_signed_in_again() {
    runtime().block_on(async {
        let house = House::open("").await;
        let task = house.grant(&said(1000, "pwd")).await;
        let own = house.stage.grant(BOT, READ).await;
        assert_eq!(house.call(&task).await.status, 200);
        purpose(&house.stage, STRONG);
        let challenged = |answer: &Answer, row: &str| {
            assert_eq!(
                (answer.status, reason(answer).as_str()),
                (401, CODE),
                "{row}"
            );
            let fields = answer.headers.get_all("www-authenticate").iter();
            let fields: Vec<_> = fields.map(|field| field.to_str().unwrap()).collect();
            for scheme in ["DPoP", "Bearer"] {
                let field = fields
                    .iter()
                    .find(|field| field.starts_with(scheme))
                    .unwrap();
                for part in [
                    "error=\"insufficient_user_authentication\"",
                    "acr_values=\"phr mfa\"",
                    "max_age=\"900\"",
                    "resource_metadata=\"http://127.0.0.1:",
                ] {
                    assert!(field.contains(part), "{row}: {field}");
                }
            }
        };
        challenged(&house.call(&task).await, "HTTP");
        challenged(&house.call(&own).await, "an agent that acts for itself");
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
        let (token, key) = (&task.token, &task.key);
        let mcp = house
            .stage
            .present(token, key, Method::POST, "/mcp", Some(list));
        challenged(&mcp.await, "MCP");
        let records = house
            .stage
            .project
            .operator(Method::GET, "/v1/records?tail=20", "");
        assert!(
            records.await.json().to_string().contains(CODE),
            "a refusal is a record"
        );

        let renewal = ("task_id", task.task.as_str());
        let stale = house.ask(&task.key, &said(1000, "pwd"), renewal).await;
        wants(&stale, Some("phr mfa"), Some(900), "renewed as it was");
        let fresh = house.ask(&task.key, &said(5, "phr"), renewal).await;
        let fresh = opened(&fresh, Key::new());
        assert_eq!(fresh.task, task.task);
        let answer = house
            .stage
            .present(&fresh.token, &task.key, Method::GET, TICKETS, None);
        assert_eq!(answer.await.status, 200);
        challenged(&house.call(&task).await, "the token before");
    });
}

/// A task that is narrowed is no fresher than the token it is narrowed with.
#[test]
fn a_sub_task_has_the_authentication_of_its_parent() {
    runtime().block_on(async {
        let house = House::open(STRONG).await;
        let task = house.grant(&said(60, "phr")).await;
        let resource = house.stage.public("");
        let narrow = async || {
            let pairs = [
                ("grant_type", EXCHANGE),
                ("subject_token", task.token.as_str()),
                (
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                ("resource", &resource),
                ("authorization_details", READ),
            ];
            house.stage.token(&task.key, &pairs).await
        };
        let child = narrow().await;
        assert_eq!(child.status, 200, "{}", child.json());
        let (parent, child) = (
            decoded(&task.token).1,
            decoded(&text(&child, "access_token")).1,
        );
        for name in ["auth_time", "acr"] {
            assert!(parent.member(name).is_some());
            assert_eq!(child.member(name), parent.member(name), "{name}");
        }
        purpose(&house.stage, "user_authentication = { max_age = \"30s\" }");
        wants(&narrow().await, None, Some(30), "narrowed later");
    });
}

/// Time alone makes an authentication too old: the same token is good, and then is not.
#[test]
fn an_authentication_grows_old_between_two_calls() {
    runtime().block_on(async {
        let house = House::open("user_authentication = { max_age = \"20s\" }").await;
        let task = house.grant(&said(10, "pwd")).await;
        until(401, "it has grown old", async || {
            house.call(&task).await.status
        })
        .await;
        assert_eq!(reason(&house.call(&task).await), CODE);
    });
}
