//! What somebody tries who wants to sign in as another: old answers, answers of others, keys of their own.

use super::*;

impl House {
    /// Ends what was begun with a token of somebody who has just signed in.
    async fn end(&self, begun: &Begun, subject: &str) -> Answer {
        let claims = self.issuer.claims(subject, &begun.asked["nonce"]);
        self.issuer.will_answer(Ok(self.issuer.sign(&claims)));
        self.post("/v1/sign-in/complete", &self.back(begun)).await
    }

    async fn reload(&self) {
        let answer = self.project.operator(Method::POST, "/v1/reload", "{}");
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
}

/// RFC 9700 §2.1.1: an issuer that does not say that it checks PKCE with `S256`, or says it in no way that can be read, is not
/// used.
#[test]
fn an_issuer_that_says_nothing_of_pkce_is_not_used() {
    runtime().block_on(async {
        let list = |items: &[&str]| {
            let items = items.iter().map(|item| Value::from(*item));
            Value::Array(items.collect())
        };
        for (row, value) in [
            ("nothing said", Value::Null),
            ("none", list(&[])),
            ("another spelling", list(&["s256", "plain"])),
            ("a text in place of a list", Value::from("S256")),
        ] {
            let house = House::open("");
            let said = claim("code_challenge_methods_supported", value);
            house.issuer.script.lock().unwrap().metadata = Some(said);
            let port = Value::object([("port", Value::from_u64(u64::from(PORT)))]);
            let answer = house.post("/v1/sign-in", &port).await;
            assert_eq!(answer.status, 503, "{row}: {}", answer.json());
        }
    });
}

/// Mix-up (RFC 9207, RFC 9700 §4.4): an answer that names another issuer is refused, also where ours does not name itself.
#[test]
fn an_answer_of_another_issuer_ends_nothing() {
    runtime().block_on(async {
        for names_itself in [true, false] {
            let house = House::open("");
            house.person("ann", "operator").await;
            let said = claim(
                "authorization_response_iss_parameter_supported",
                names_itself,
            );
            house.issuer.script.lock().unwrap().metadata = Some(said);
            for (row, iss, status) in [
                ("another's name", Some("https://honest.example"), 401),
                ("an empty name", Some(""), 401),
                ("no name", None, if names_itself { 401 } else { 200 }),
                ("its own name", Some(house.issuer.url.as_str()), 200),
            ] {
                let begun = house.begin().await;
                let claims = house.issuer.claims("ann", &begun.asked["nonce"]);
                house.issuer.will_answer(Ok(house.issuer.sign(&claims)));
                let back = without(&house.back(&begun), "iss");
                let back = match iss {
                    Some(iss) => with(&back, &claim("iss", iss)),
                    None => back,
                };
                let answer = house.post("/v1/sign-in/complete", &back).await;
                assert_eq!(answer.status, status, "{row}, names itself: {names_itself}");
            }
        }
    });
}

/// What was good once is good once: its token, its state and its handle, one after another and at the same moment.
#[test]
fn what_was_used_is_used_up() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let issuer = &house.issuer;
        let first = house.begin().await;
        let token = issuer.sign(&issuer.claims("ann", &first.asked["nonce"]));
        issuer.will_answer(Ok(token.clone()));
        let answer = house
            .post("/v1/sign-in/complete", &house.back(&first))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());

        let second = house.begin().await;
        issuer.will_answer(Ok(token.clone()));
        let answer = house
            .post("/v1/sign-in/complete", &house.back(&second))
            .await;
        assert_eq!(answer.status, 401, "the ID token of the sign-in before");
        for (row, name, value) in [
            (
                "the state of the sign-in before",
                "state",
                first.state.as_str(),
            ),
            (
                "the handle of the sign-in before",
                "handle",
                first.handle.as_str(),
            ),
        ] {
            let begun = house.begin().await;
            let claims = issuer.claims("ann", &begun.asked["nonce"]);
            issuer.will_answer(Ok(issuer.sign(&claims)));
            let back = with(&house.back(&begun), &claim(name, value));
            let answer = house.post("/v1/sign-in/complete", &back).await;
            assert_eq!(answer.status, 401, "{row}");
        }
        // Both halves of the sign-in before fit each other, and it is over.
        issuer.will_answer(Ok(token));
        let answer = house
            .post("/v1/sign-in/complete", &house.back(&first))
            .await;
        assert_eq!(answer.status, 401, "all of the sign-in before");

        // Two at once: the code is exchanged for one of them.
        for _round in 0..5 {
            let begun = house.begin().await;
            let claims = issuer.claims("ann", &begun.asked["nonce"]);
            issuer.will_answer(Ok(issuer.sign(&claims)));
            let exchanged = issuer.script.lock().unwrap().posted.len();
            let back = house.back(&begun);
            let (one, other) = tokio::join!(
                house.post("/v1/sign-in/complete", &back),
                house.post("/v1/sign-in/complete", &back),
            );
            let mut both = [one.status, other.status];
            both.sort_unstable();
            assert_eq!(both, [200, 401]);
            let posted = issuer.script.lock().unwrap().posted.len();
            assert_eq!(
                posted,
                exchanged + 1,
                "the code was shown to the issuer once"
            );
        }
    });
}

/// A key that the token brings along is nobody's (RFC 8725 §3.10): not in its header, not at an address that the header names.
#[test]
fn a_token_does_not_say_which_key_verifies_it() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let issuer = &house.issuer;
        let forged = Key::new();
        let elsewhere = Issuer::start();
        let address = Value::from(format!("{}/jwks", elsewhere.url));
        let chain = Value::Array(vec![Value::from("AAAA")]);
        for (row, key, change) in [
            ("a key in the header", &forged, claim("jwk", forged.jwk())),
            (
                "an address of keys",
                &*elsewhere.key,
                claim("jku", address.clone()),
            ),
            (
                "an address of certificates",
                &*elsewhere.key,
                claim("x5u", address),
            ),
            ("a chain", &forged, claim("x5c", chain)),
            (
                "another key's name",
                &forged,
                claim("kid", forged.kid.as_str()),
            ),
            (
                "a member that must be understood",
                &*issuer.key,
                claim("crit", Value::Array(vec![Value::from("x")])),
            ),
            ("a signature of something else", &forged, nothing()),
        ] {
            let begun = house.begin().await;
            let claims = issuer.claims("ann", &begun.asked["nonce"]);
            let header = with(&issuer.header(), &change);
            issuer.will_answer(Ok(key.sign(&header.to_string(), &claims.to_string())));
            let answer = house
                .post("/v1/sign-in/complete", &house.back(&begun))
                .await;
            assert_eq!(answer.status, 401, "{row}");
        }
        let asked = house.begin().await;
        assert_eq!(
            house.end(&asked, "ann").await.status,
            200,
            "the issuer's own"
        );
    });
}

/// Handles are of one process: what was begun before a restart is begun anew.
#[test]
fn what_was_begun_before_a_restart_is_over() {
    runtime().block_on(async {
        let mut house = House::open("");
        house.person("ann", "operator").await;
        let begun = house.begin().await;
        let before = house.server.take();
        assert!(before.unwrap().stop().success());
        house.server = Some(house.project.start());
        assert_eq!(house.end(&begun, "ann").await.status, 401);
        let begun = house.begin().await;
        assert_eq!(house.end(&begun, "ann").await.status, 200);
    });
}

/// Signing in is taken out of the settings while the code is on its way to the issuer: nobody gets a session.
#[test]
fn who_is_not_yet_in_when_the_issuer_goes_stays_out() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let begun = house.begin().await;
        let claims = house.issuer.claims("ann", &begun.asked["nonce"]);
        house.issuer.will_answer(Ok(house.issuer.sign(&claims)));
        // The issuer answers when the settings have been read again, and not before.
        let (asked, answers) = house.issuer.hold();
        let back = house.back(&begun);
        let ending = house.post("/v1/sign-in/complete", &back);
        let meanwhile = async {
            tokio::task::spawn_blocking(move || asked.recv().unwrap())
                .await
                .unwrap();
            house.project.settings("");
            house.reload().await;
            answers.send(()).unwrap();
        };
        let (answer, ()) = tokio::join!(ending, meanwhile);
        assert_eq!(answer.status, 401, "{}", answer.json());
        assert!(answer.json().member("session").is_none());
    });
}

/// Taken out of the settings: nobody signs in, and who had signed in by it is out; others stay.
#[test]
fn who_came_in_by_an_issuer_goes_with_it() {
    runtime().block_on(async {
        let house = House::open("");
        house.person("ann", "operator").await;
        let begun = house.begin().await;
        let session = text(&house.end(&begun, "ann").await, "session");
        assert_eq!(house.status(&session, "/v1/registry").await, 200);
        // Read again and nothing changed: whoever is in stays, and what was begun can be ended.
        let begun = house.begin().await;
        house.reload().await;
        assert_eq!(house.status(&session, "/v1/registry").await, 200);
        assert_eq!(house.end(&begun, "ann").await.status, 200);
        house.project.settings("");
        house.reload().await;
        assert_eq!(house.status(&session, "/v1/registry").await, 401);
        let port = Value::object([("port", Value::from_u64(u64::from(PORT)))]);
        assert_eq!(house.post("/v1/sign-in", &port).await.status, 401);
        // The admin, who has no account there, is in.
        house.reload().await;
    });
}
