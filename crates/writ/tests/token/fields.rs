//! Every field of the access token, made wrong one at a time with the server's own key in hand.

use aws_lc_rs::hmac;
use hyper::Method;
use writ_testkit::{json, reason, runtime};
use writ_types::{AgentId, TaskId, Timestamp, Value};

use crate::kit::{
    BOT, Key, OTHER, Opened, READ, Stage, TICKETS, base64url, decoded, doubled, now, random_bytes,
    with, without,
};

/// A row of `fields.txt`.
struct Row {
    field: String,
    change: String,
    reason: String,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("fields.txt").lines();
    let rows = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| {
        let parts: Vec<_> = line.split(" | ").map(str::to_owned).collect();
        let [field, change, reason] = <[String; 3]>::try_from(parts).unwrap();
        Row {
            field,
            change,
            reason,
        }
    })
    .collect()
}

/// A task of our own, the server's signing key, and what rows name.
struct Forgery {
    stage: Stage,
    task: Opened,
    signer: Key,
    header: Value,
    claims: Value,
    names: Vec<(&'static str, String)>,
}

impl Forgery {
    async fn begin() -> Self {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let sibling = r#"[{"type":"writ_task","purpose":"triage","actions":["helpdesk:getTicket","helpdesk:listTickets"]}]"#;
        let sibling = stage.grant(BOT, sibling).await;
        let other = stage.grant(OTHER, READ).await;
        let signer = Key::stolen(&stage.project, "token.p8");
        let (header, claims) = decoded(&task.token);
        let (_, other_claims) = decoded(&other.token);
        let text = |value: &Value, name| value.member(name).unwrap().as_str().unwrap().to_owned();
        let second = now().secs_since_epoch();
        let nobody = AgentId::new(Timestamp::from_secs(second), random_bytes());
        let nothing = TaskId::new(Timestamp::from_secs(second), random_bytes());
        // The longer name first where one begins with another.
        let names = vec![
            ("@now", second.to_string()),
            ("@past", (second - 1).to_string()),
            ("@ago", (second - 100).to_string()),
            ("@soon", (second + 60).to_string()),
            ("@late", (second + 330).to_string()),
            ("@public", stage.public("")),
            ("@control", stage.control("")),
            ("@sibling", sibling.task),
            ("@other-agent", text(&other_claims, "agent_id")),
            ("@other-spiffe", OTHER.to_owned()),
            ("@other", other.task),
            ("@spiffe", BOT.to_owned()),
            ("@thumb", Key::new().kid),
            ("@nobody", nobody.to_string()),
            ("@nothing", nothing.to_string()),
        ];
        Self {
            stage,
            task,
            signer,
            header,
            claims,
            names,
        }
    }

    fn named(&self, text: &str) -> String {
        let replace = |text: String, (name, value): &(&str, String)| text.replace(name, value);
        self.names.iter().fold(text.to_owned(), replace)
    }

    fn changed(&self, value: &Value, field: &str, change: &str) -> String {
        match change {
            "absent" => without(value, field).to_string(),
            change => with(value, &json(&self.named(change))).to_string(),
        }
    }

    fn of(&self, row: &Row) -> String {
        match row.field.strip_prefix("header.") {
            Some(field) => self.signer.sign(
                &self.changed(&self.header, field, &row.change),
                &self.claims.to_string(),
            ),
            None => self.signer.sign(
                &self.header.to_string(),
                &self.changed(&self.claims, &row.field, &row.change),
            ),
        }
    }

    /// Presents a token that must be refused before anything reaches the help desk.
    async fn refused(&self, token: &str, wanted: &str, row: &str) {
        let before = self.stage.reached();
        let answer = self.present(token).await;
        let why = (answer.status, reason(&answer));
        assert_eq!(why, (401, wanted.to_owned()), "{row}");
        assert!(answer.header("www-authenticate").is_some(), "{row}");
        assert_eq!(self.stage.reached(), before, "{row}: reached the upstream");
    }

    async fn accepted(&self, token: &str, row: &str) {
        let before = self.stage.reached();
        let answer = self.present(token).await;
        assert_eq!(answer.status, 200, "{row}: {}", answer.json());
        assert_eq!(self.stage.reached(), before + 1, "{row}");
    }

    async fn present(&self, token: &str) -> writ::http::Answer {
        self.stage
            .present(token, &self.task.key, Method::GET, TICKETS, None)
            .await
    }
}

#[test]
fn every_field_of_the_token() {
    runtime().block_on(async {
        let forgery = Forgery::begin().await;
        let rows = rows();
        let again = forgery
            .signer
            .sign(&forgery.header.to_string(), &forgery.claims.to_string());
        forgery.accepted(&again, "signed anew, unchanged").await;
        for row in &rows {
            let line = format!("{} {}", row.field, row.change);
            forgery.refused(&forgery.of(row), &row.reason, &line).await;
        }
        for name in forgery.claims.as_object().unwrap().keys() {
            let payload = doubled(&forgery.claims, name);
            let token = forgery.signer.sign(&forgery.header.to_string(), &payload);
            forgery
                .refused(&token, "unauthenticated", &format!("{name} twice"))
                .await;
            let mine = rows.iter().filter(|row| row.field == *name);
            let absent = mine.clone().filter(|row| row.change == "absent").count();
            assert!(absent == 1 && mine.count() > 2, "`{name}` lacks rows");
        }
        for name in forgery.header.as_object().unwrap().keys() {
            let header = doubled(&forgery.header, name);
            let token = forgery.signer.sign(&header, &forgery.claims.to_string());
            forgery
                .refused(&token, "unauthenticated", &format!("header {name} twice"))
                .await;
        }
        forgery
            .accepted(&forgery.task.token, "the token as it was issued")
            .await;
    });
}

/// A token without `cnf` needs no key, so it comes as it would from a thief: with nothing else.
#[test]
fn a_token_without_a_key_is_nobodys() {
    runtime().block_on(async {
        let forgery = Forgery::begin().await;
        let payload = without(&forgery.claims, "cnf").to_string();
        let token = forgery.signer.sign(&forgery.header.to_string(), &payload);
        let bearer = format!("Bearer {token}");
        let gateway = forgery.stage.project.gateway();
        let headers = [("authorization", bearer.as_str())];
        let answer = gateway.send(Method::GET, TICKETS, &headers, Vec::new());
        let answer = answer.await.unwrap();
        let why = (answer.status, reason(&answer));
        assert_eq!(why, (401, "unauthenticated".to_owned()));
        assert_eq!(forgery.stage.reached(), 0);
        forgery
            .accepted(&forgery.task.token, "bound to its key")
            .await;
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn every_way_not_to_have_signed_it() {
    runtime().block_on(async {
        let forgery = Forgery::begin().await;
        let (header, claims) = (forgery.header.to_string(), forgery.claims.to_string());
        let signed = forgery.task.token.clone();
        let (message, signature) = signed.rsplit_once('.').unwrap();
        let (head, payload) = message.split_once('.').unwrap();
        let none = base64url(
            with(&forgery.header, &json(r#"{"alg":"none"}"#))
                .to_string()
                .as_bytes(),
        );
        let symmetric = base64url(
            with(&forgery.header, &json(r#"{"alg":"HS256"}"#))
                .to_string()
                .as_bytes(),
        );
        let public = hmac::Key::new(
            hmac::HMAC_SHA256,
            forgery.signer.jwk().to_string().as_bytes(),
        );
        let tag = hmac::sign(&public, format!("{symmetric}.{payload}").as_bytes());
        let wider = with(&forgery.claims, &json(r#"{"iat":0}"#)).to_string();
        let mut jwk_of_mine = forgery.header.clone();
        let mine = Key::new();
        jwk_of_mine = with(&jwk_of_mine, &Value::object([("jwk", mine.jwk())]));
        let named = with(
            &forgery.header,
            &Value::object([("kid", Value::from(mine.kid.as_str()))]),
        );
        for (row, token) in [
            ("no signature, alg none", format!("{none}.{payload}.")),
            (
                "alg none with the signature",
                format!("{none}.{payload}.{signature}"),
            ),
            (
                "the public key as an HMAC secret",
                format!("{symmetric}.{payload}.{}", base64url(tag.as_ref())),
            ),
            ("no signature", format!("{message}.")),
            ("two parts", message.to_owned()),
            ("four parts", format!("{signed}.{signature}")),
            (
                "a signature of zeros",
                format!("{message}.{}", base64url(&[0; 64])),
            ),
            (
                "a signature cut short",
                format!("{message}.{}", signature.split_at(80).0),
            ),
            (
                "another payload under the signature",
                format!("{head}.{}.{signature}", base64url(wider.as_bytes())),
            ),
            ("another key under our kid", mine.sign(&header, &claims)),
            (
                "another key under its own kid",
                mine.sign(&named.to_string(), &claims),
            ),
            (
                "another key in the header",
                mine.sign(&jwk_of_mine.to_string(), &claims),
            ),
            (
                "the trust domain's key",
                Key::stolen(&forgery.stage.project, "svid.p8").sign(&header, &claims),
            ),
            ("padding", format!("{signed}=")),
            ("a JWT-SVID", forgery.stage.svid(BOT).await),
            ("nothing", ".".to_owned()),
        ] {
            forgery.refused(&token, "unauthenticated", row).await;
        }
        forgery
            .accepted(&signed, "the token as it was issued")
            .await;
    });
}
