//! Introspection (RFC 7662), revocation (RFC 7009), the published keys and their rotation, and the server's metadata.

use hyper::Method;
use writ::agent::form;
use writ::http::Answer;
use writ_testkit::{reason, runtime};
use writ_types::Value;

use crate::kit::{
    ACCESS_TOKEN, BOT, DISABLED, EXCHANGE, JWT_SPIFFE, Key, OTHER, Opened, READ, Stage, TICKETS,
    decoded, now, opened, refused, text, with,
};

const INTROSPECT: &str = "/oauth/introspect";
const REVOKE: &str = "/oauth/revoke";

impl Stage {
    /// A form to one of the authorization server's endpoints.
    async fn inquire(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let peer = self.project.control();
        let sent = peer.send(Method::POST, path, &kind, form(pairs));
        sent.await.unwrap()
    }

    /// The same, as one of the agents.
    async fn inquire_as(&self, path: &str, spiffe: &str, token: &str) -> Answer {
        let svid = self.svid(spiffe).await;
        let pairs = [
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", svid.as_str()),
            ("token", token),
        ];
        self.inquire(path, &pairs).await
    }

    /// A sub-task of `parent`, with the same key.
    async fn narrow(&self, parent: &Opened) -> Answer {
        let resource = self.public("");
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", parent.token.as_str()),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", &resource),
            ("authorization_details", READ),
        ];
        self.token(&parent.key, &pairs).await
    }

    async fn jwks(&self) -> Vec<String> {
        let peer = self.project.control();
        let answer = peer.send(Method::GET, "/oauth/jwks", &[], Vec::new());
        let answer = answer.await.unwrap().json();
        let keys = answer.member("keys").and_then(Value::as_array).unwrap();
        keys.iter().map(|key| member(key, "kid")).collect()
    }
}

fn member(value: &Value, name: &str) -> String {
    let found = value.member(name).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

fn is_inactive(answer: &Answer, row: &str) {
    assert_eq!(answer.status, 200, "{row}");
    assert_eq!(answer.json().to_string(), r#"{"active":false}"#, "{row}");
}

#[test]
fn an_agent_learns_what_its_own_token_says() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let answer = stage.inquire_as(INTROSPECT, BOT, &task.token).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let (_, claims) = decoded(&task.token);
        let told = answer.json();
        let told = told.as_object().unwrap();
        for (name, value) in claims.as_object().unwrap() {
            assert_eq!(told.get(name), Some(value), "{name}");
        }
        assert_eq!(told.get("active"), Some(&Value::from(true)));
        assert_eq!(told.get("token_type"), Some(&Value::from("DPoP")));
        assert_eq!(told.len(), claims.as_object().unwrap().len() + 2);
    });
}

/// Nothing tells a token that was never issued from one that ended or is somebody else's (RFC 7662 §2.2).
#[test]
fn what_is_not_good_or_not_yours_is_inactive_and_nothing_else() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let (mut tampered, last) = (task.token.clone(), task.token.len() - 1);
        let other = if tampered.ends_with('A') { "Q" } else { "A" };
        tampered.replace_range(last.., other);
        let svid = stage.svid(BOT).await;
        for (row, token) in [
            ("no token", "none"),
            ("no signature of ours", tampered.as_str()),
            ("a JWT-SVID", &svid),
        ] {
            is_inactive(&stage.inquire_as(INTROSPECT, BOT, token).await, row);
        }
        let by_other = stage.inquire_as(INTROSPECT, OTHER, &task.token).await;
        is_inactive(&by_other, "another agent's");

        let closed = format!("/v1/tasks/{}/close", task.task);
        stage.order(&closed, "{}").await;
        let ended = stage.inquire_as(INTROSPECT, BOT, &task.token).await;
        is_inactive(&ended, "of a closed task");

        let live = stage.grant(BOT, READ).await;
        let (header, claims) = decoded(&live.token);
        let before = |seconds| Value::from_u64(now().secs_since_epoch() - seconds);
        let times = Value::object([("iat", before(200)), ("exp", before(1))]);
        let key = Key::stolen(&stage.project, "token.p8");
        let late = key.sign(&header.to_string(), &with(&claims, &times).to_string());
        let late = stage.inquire_as(INTROSPECT, BOT, &late).await;
        is_inactive(&late, "expired, and its task lives");
        let wider = claims.to_string().replace("listTickets", "getTicket");
        let wider = key.sign(&header.to_string(), &wider);
        let wider = stage.inquire_as(INTROSPECT, BOT, &wider).await;
        is_inactive(&wider, "of a task that was granted otherwise");
    });
}

#[test]
fn who_does_not_prove_itself_learns_and_ends_nothing() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let svid = stage.svid(BOT).await;
        let forged = Key::new().sign(r#"{"alg":"ES256","kid":"x"}"#, "{}");
        fn assertion(text: &str) -> (&str, &str) {
            ("client_assertion", text)
        }
        let (token, kind) = (
            ("token", task.token.as_str()),
            ("client_assertion_type", JWT_SPIFFE),
        );
        let good = [kind, assertion(&svid)];
        let (id, other) = (("client_id", BOT), ("client_id", OTHER));
        let (secret, hint) = (("client_secret", "s"), ("token_type_hint", "a"));
        let rows = [
            ("nobody", vec![token]),
            ("the token alone", vec![token, id]),
            ("a forged identity", vec![token, kind, assertion(&forged)]),
            ("the token as id", vec![token, kind, assertion(&task.token)]),
            ("a client secret", vec![token, id, secret]),
            ("another client id", vec![token, good[0], good[1], other]),
        ]
        .map(|(row, pairs)| (row, "invalid_client", pairs));
        let malformed = [
            ("no token", good.to_vec()),
            ("two tokens", vec![token, token, good[0], good[1]]),
            ("two hints", vec![token, hint, hint, good[0], good[1]]),
        ]
        .map(|(row, pairs)| (row, "invalid_request", pairs));
        let rows: Vec<_> = rows.into_iter().chain(malformed).collect();
        for path in [INTROSPECT, REVOKE] {
            for (row, code, pairs) in &rows {
                let answer = stage.inquire(path, pairs).await;
                refused(&answer, code, &format!("{path}: {row}"));
                assert!(answer.json().member("active").is_none(), "{path}: {row}");
            }
            let nothing = stage.project.control();
            let nothing = nothing.send(Method::POST, path, &[], form(&[token])).await;
            refused(&nothing.unwrap(), "invalid_request", "not a form");
        }
        let (header, claims) = decoded(&svid);
        let sub = Value::object([("sub", Value::from(DISABLED))]);
        let domain = Key::stolen(&stage.project, "svid.p8");
        let disabled = domain.sign(&header.to_string(), &with(&claims, &sub).to_string());
        let pairs = [token, kind, assertion(&disabled)];
        let disabled = stage.inquire(INTROSPECT, &pairs).await;
        refused(&disabled, "invalid_client", "a disabled agent");
        let answer = stage.call(&task, Method::GET, TICKETS).await;
        assert_eq!(answer.status, 200, "the task still lives");
    });
}

/// RFC 7009 §2: the task ends with the token, its sub-tasks with it, and the log says who ended them.
#[test]
fn a_revoked_token_ends_its_task_and_what_is_below_it() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let parent = stage.grant(BOT, READ).await;
        let child = stage.narrow(&parent).await;
        let child = opened(&child, Key::new());
        let again = stage.narrow(&parent).await;
        let second = opened(&again, Key::new());

        let answer = stage.inquire_as(REVOKE, BOT, &child.token).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        for (row, task, live) in [
            ("itself", &child, false),
            ("its sibling", &second, true),
            ("its parent", &parent, true),
        ] {
            let seen = stage.inquire_as(INTROSPECT, BOT, &task.token).await;
            assert_eq!(
                seen.json().member("active"),
                Some(&Value::from(live)),
                "{row}"
            );
        }
        assert_eq!(
            stage.inquire_as(REVOKE, BOT, &parent.token).await.status,
            200
        );
        for task in [&parent, &second] {
            is_inactive(
                &stage.inquire_as(INTROSPECT, BOT, &task.token).await,
                "below",
            );
        }
        let answer = stage
            .present(&second.token, &parent.key, Method::GET, TICKETS, None)
            .await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (401, "task_ended")
        );
        let renewed = stage.narrow(&parent).await;
        refused(&renewed, "invalid_grant", "a task below one that has ended");

        let records = stage
            .project
            .operator(Method::GET, "/v1/records?tail=100", "")
            .await;
        let records = records.json().to_string();
        for task in [&parent, &child, &second] {
            assert!(records.contains(&task.task), "{records}");
        }
        assert!(records.contains("\"by\":\"agt_"), "{records}");
    });
}

#[test]
fn nobody_ends_what_was_issued_to_somebody_else() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let task = stage.grant(BOT, READ).await;
        let stolen = stage.inquire_as(REVOKE, OTHER, &task.token).await;
        refused(&stolen, "unauthorized_client", "another agent's token");
        for (row, token) in [("no token", "none"), ("an expired one", "e.e.e")] {
            let answer = stage.inquire_as(REVOKE, OTHER, token).await;
            assert_eq!(answer.status, 200, "{row}: revoked already (RFC 7009 §2.2)");
        }
        let answer = stage.call(&task, Method::GET, TICKETS).await;
        assert_eq!(answer.status, 200);
    });
}

#[test]
fn a_rotated_key_signs_and_the_one_before_lives_out_its_tokens() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let before = stage.jwks().await;
        assert_eq!(before.len(), 2, "the next key is known before it signs");
        let old = stage.grant(BOT, READ).await;
        assert_eq!(member(&decoded(&old.token).0, "kid"), before[0]);

        let done = stage.order("/v1/keys/rotate", "{}").await;
        assert_eq!(done.member("revoked"), Some(&Value::from(false)));
        let after = stage.jwks().await;
        assert_eq!(after.len(), 3);
        assert_eq!((&after[0], &after[2]), (&before[1], &before[0]));
        let new = stage.grant(BOT, READ).await;
        assert_eq!(member(&decoded(&new.token).0, "kid"), before[1]);
        for (row, task) in [("before", &old), ("after", &new)] {
            let answer = stage.call(task, Method::GET, TICKETS).await;
            assert_eq!(answer.status, 200, "{row}");
        }
        stage.restart();
        assert_eq!(stage.jwks().await, after);
        for (row, task) in [("before", &old), ("after", &new)] {
            let seen = stage.inquire_as(INTROSPECT, BOT, &task.token).await;
            assert_eq!(
                seen.json().member("active"),
                Some(&Value::from(true)),
                "{row}"
            );
        }
        let records = stage
            .project
            .operator(Method::GET, "/v1/records?tail=100", "")
            .await;
        assert!(records.json().to_string().contains("key_rotated"));
    });
}

#[test]
fn a_revoked_key_takes_its_tokens_along_and_leaves_the_tasks() {
    runtime().block_on(async {
        let mut stage = Stage::open().await;
        let before = stage.jwks().await;
        let old = stage.grant(BOT, READ).await;
        assert_eq!(stage.call(&old, Method::GET, TICKETS).await.status, 200);
        stage.order("/v1/keys/rotate", r#"{"revoke":true}"#).await;
        let after = stage.jwks().await;
        assert!(after.iter().all(|kid| !before.contains(kid)), "{after:?}");
        // The token was verified before and is in the cache; the cache knows by whose keys.
        let reached = stage.reached();
        let answer = stage.call(&old, Method::GET, TICKETS).await;
        assert_eq!(
            (answer.status, reason(&answer).as_str()),
            (401, "unauthenticated")
        );
        assert_eq!(stage.reached(), reached);
        is_inactive(
            &stage.inquire_as(INTROSPECT, BOT, &old.token).await,
            "revoked",
        );
        let renewed = stage.ask(BOT, &old.key, &[("task_id", &old.task)]).await;
        assert_eq!(renewed.status, 200, "{}", renewed.json());
        stage.restart();
        let answer = stage
            .present(&old.token, &old.key, Method::GET, TICKETS, None)
            .await;
        assert_eq!(answer.status, 401);
        let token = text(&renewed, "access_token");
        let answer = stage
            .present(&token, &old.key, Method::GET, TICKETS, None)
            .await;
        assert_eq!(answer.status, 200);
    });
}

/// RFC 8414 §2: what is listed is there, and what is there is listed.
#[test]
fn the_metadata_lists_what_there_is() {
    runtime().block_on(async {
        let stage = Stage::open().await;
        let peer = stage.project.control();
        let path = "/.well-known/oauth-authorization-server";
        let answer = peer.send(Method::GET, path, &[], Vec::new()).await.unwrap();
        let metadata = answer.json();
        let base = member(&metadata, "issuer");
        assert_eq!(base, stage.control(""));
        for name in ["token", "introspection", "revocation"] {
            let url = member(&metadata, &format!("{name}_endpoint"));
            let path = url.strip_prefix(base.as_str()).unwrap();
            let answer = stage.inquire(path, &[]).await;
            assert!(
                matches!(answer.status, 400 | 401),
                "{name}: {}",
                answer.status
            );
        }
        for name in ["token", "introspection", "revocation"] {
            for kind in ["auth_methods", "auth_signing_alg_values"] {
                let name = format!("{name}_endpoint_{kind}_supported");
                let listed = metadata.member(&name).and_then(Value::as_array).unwrap();
                assert!(!listed.is_empty(), "{name}");
                assert!(!listed.contains(&Value::from("none")), "{name}");
                assert!(
                    !listed.contains(&Value::from("client_secret_basic")),
                    "{name}"
                );
            }
        }
        assert_eq!(member(&metadata, "jwks_uri"), format!("{base}/oauth/jwks"));
    });
}
