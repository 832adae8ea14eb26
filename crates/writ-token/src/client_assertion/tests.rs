use super::*;
use crate::SignedBy;
use crate::testing::{doubled, issuer_url, json, keys_of, mutations, now, p256, secs, with};
use crate::{ReplayCache, ReplayError, Signer};
use writ_types::{Tenant, Value};

fn client(signer: &Signer) -> RegisteredClient {
    RegisteredClient {
        id: "planner".parse().unwrap(),
        keys: keys_of(signer),
        keys_until: None,
    }
}

fn header(signer: &Signer, typ: &str) -> String {
    let kid = signer.kid();
    format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"{typ}"}}"#)
}

fn claims() -> Value {
    json(
        r#"{"iss":"planner","sub":"planner","aud":"https://control.writ.example","jti":"1",
            "iat":1795000000,"exp":1795000060}"#,
    )
}

fn check(signer: &Signer, claims: &str) -> Result<ClientAssertion, ClientError> {
    let text = signer.sign_parts(&header(signer, "JWT"), claims).unwrap();
    ClientAssertion::verify(&text, &client(signer), &issuer_url(), now())
}

#[test]
fn a_good_assertion() {
    let signer = p256();
    let assertion = check(&signer, &claims().to_string()).unwrap();
    assert_eq!(assertion.jti(), "1");
    assert_eq!(assertion.expires(), now().plus(secs(60)));
    for typ in ["JWT", "client-authentication+jwt"] {
        let text = signer.sign_parts(&header(&signer, typ), &claims().to_string());
        let verified =
            ClientAssertion::verify(&text.unwrap(), &client(&signer), &issuer_url(), now());
        assert!(verified.is_ok(), "{typ}");
    }
}

/// RFC 7523 §3 and rfc7523bis: each claim absent, of another type, and of another value.
#[test]
fn every_claim_of_an_assertion() {
    use ClaimError::{Absent, Expired, FromTheFuture, Life, Malformed, NotYet, Wrong};
    let signer = p256();
    for (name, member, expect) in [
        ("iss", None, Absent("iss")),
        ("iss", Some("\"other\""), Wrong("iss")),
        ("iss", Some("[\"planner\"]"), Malformed("iss")),
        ("sub", None, Absent("sub")),
        ("sub", Some("\"other\""), Wrong("sub")),
        ("aud", None, Absent("aud")),
        (
            "aud",
            Some("\"https://control.writ.example/\""),
            Wrong("aud"),
        ),
        (
            "aud",
            Some("\"https://control.writ.example/oauth/token\""),
            Wrong("aud"),
        ),
        (
            "aud",
            Some("[\"https://control.writ.example\",\"https://control.writ.example/oauth/token\"]"),
            Malformed("aud"),
        ),
        ("aud", Some("[]"), Malformed("aud")),
        ("jti", None, Absent("jti")),
        ("jti", Some("\"\""), Malformed("jti")),
        ("jti", Some("7"), Malformed("jti")),
        ("iat", None, Absent("iat")),
        ("iat", Some("1795000031"), FromTheFuture),
        ("exp", None, Absent("exp")),
        ("exp", Some("1794999970"), Expired),
        ("exp", Some("1795003601"), Life),
        ("exp", Some("\"soon\""), Malformed("exp")),
        ("nbf", Some("1795000031"), NotYet),
    ] {
        let changed = with(&claims(), name, member).to_string();
        let refused = check(&signer, &changed);
        assert_eq!(
            refused,
            Err(ClientError::Claim(expect)),
            "{name} {member:?}"
        );
    }
    for name in ["iss", "aud", "exp", "jti"] {
        let refused = check(&signer, &doubled(&claims(), name));
        assert_eq!(refused, Err(ClientError::Claim(ClaimError::NotClaims)));
    }
}

#[test]
fn only_the_clients_own_keys_while_they_are_fresh() {
    let (signer, other) = (p256(), p256());
    let text = signer
        .sign_parts(&header(&signer, "JWT"), &claims().to_string())
        .unwrap();
    let verify = |client: &RegisteredClient| {
        ClientAssertion::verify(&text, client, &issuer_url(), now()).map(drop)
    };
    assert_eq!(
        verify(&client(&other)),
        Err(ClientError::Jose(JoseError::UnknownKey))
    );
    for (until, expect) in [
        (now().plus(secs(1)), Ok(())),
        (now(), Err(ClientError::Stale)),
    ] {
        let mut client = client(&signer);
        client.keys_until = Some(until);
        assert_eq!(verify(&client), expect);
    }
    for changed in mutations(&text) {
        let verified = ClientAssertion::verify(&changed, &client(&signer), &issuer_url(), now());
        assert!(verified.is_err() || changed == text, "{changed}");
    }
    // A token of another kind that the same key signed.
    for typ in ["at+jwt", "writ-ticket+jwt", "dpop+jwt"] {
        let text = signer.sign_parts(&header(&signer, typ), &claims().to_string());
        let refused =
            ClientAssertion::verify(&text.unwrap(), &client(&signer), &issuer_url(), now());
        assert!(matches!(refused, Err(ClientError::Jose(_))), "{typ}");
    }
}

#[test]
fn an_assertion_is_spent_by_client_and_id() {
    let cache = ReplayCache::new(6_400);
    let (tenant, end) = (Tenant::default_tenant(), now().plus(secs(60)));
    let spend = |client: &str, jti, at| {
        cache.spend_once(
            &tenant,
            SignedBy::Client(&client.parse().unwrap()),
            jti,
            end,
            at,
        )
    };
    assert_eq!(spend("planner", "1", now()), Ok(()));
    assert_eq!(spend("planner", "1", end), Err(ReplayError::Replayed));
    assert_eq!(spend("planner", "2", now()), Ok(()));
    assert_eq!(spend("other", "1", now()), Ok(()));
}
