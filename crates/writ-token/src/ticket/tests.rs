use super::*;
use crate::testing::{agent, doubled, issuer_url, json, keys_of, mutations, now, p256, secs, with};
use crate::{JoseError, Signer};
use writ_types::Value;

const DETAILS: &str = r#"[{"type":"writ_task"}]"#;

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

fn encoded(digest: Digest) -> String {
    base64url::encode(digest.as_bytes())
}

fn key() -> Digest {
    Digest::from_bytes([7; 32])
}

fn claims() -> Value {
    json(&format!(
        r#"{{"iss":"planner","aud":"https://control.writ.example","sub":"{}","jti":"1","cnf":{{"jkt":"{}"}},
            "sub_id":{{"format":"iss_sub","iss":"https://idp.example","sub":"alice"}},
            "authorization_details#S256":"{}","iat":1795000000,"exp":1795000600}}"#,
        agent(),
        encoded(key()),
        encoded(Digest::of(DETAILS.as_bytes())),
    ))
}

fn check(signer: &Signer, claims: &str) -> Result<TaskTicket, ClientError> {
    let header = header(signer, "writ-ticket+jwt");
    let text = signer.sign_parts(&header, claims).unwrap();
    TaskTicket::verify(&text, &client(signer), &issuer_url(), now())
}

fn alice() -> Requester {
    Requester {
        issuer: "https://idp.example".to_owned(),
        subject: "alice".to_owned(),
    }
}

#[test]
fn a_ticket_is_for_one_agent_one_key_one_user_and_one_text() {
    let signer = p256();
    let ticket = check(&signer, &claims().to_string()).unwrap();
    let (agent, alice, key) = (agent(), alice(), Binding::Dpop(key()));
    assert!(ticket.admits(&agent, Some(&alice), &key, DETAILS));
    let other = "spiffe://writ.local/agent/other".parse().unwrap();
    assert!(!ticket.admits(&other, Some(&alice), &key, DETAILS));
    let bob = Requester {
        subject: "bob".to_owned(),
        ..alice.clone()
    };
    for requester in [None, Some(&bob)] {
        assert!(!ticket.admits(&agent, requester, &key, DETAILS));
    }
    let digest = Digest::from_bytes([7; 32]);
    for other in [
        Binding::Unbound,
        Binding::Mtls(digest),
        Binding::Dpop(Digest::from_bytes([8; 32])),
    ] {
        assert!(!ticket.admits(&agent, Some(&alice), &other, DETAILS));
    }
    for other in ["", "[{\"type\":\"writ_task\" }]", "[]"] {
        assert!(!ticket.admits(&agent, Some(&alice), &key, other), "{other}");
    }
    let nobody = with(&claims(), "sub_id", None).to_string();
    let nobody = check(&signer, &nobody).unwrap();
    assert!(nobody.admits(&agent, None, &key, DETAILS));
    assert!(!nobody.admits(&agent, Some(&alice), &key, DETAILS));
}

#[test]
fn every_claim_of_a_ticket() {
    use ClaimError::{Absent, Expired, FromTheFuture, Life, Malformed, Unknown, Wrong};
    let signer = p256();
    let details = "authorization_details#S256";
    for (name, member, expect) in [
        ("iss", None, Absent("iss")),
        ("iss", Some("\"other\""), Wrong("iss")),
        ("aud", None, Absent("aud")),
        ("aud", Some("\"https://other.example\""), Wrong("aud")),
        ("sub", None, Absent("sub")),
        ("sub", Some("\"alice\""), Malformed("sub")),
        ("sub_id", Some("\"alice\""), Malformed("sub_id")),
        ("sub_id", Some("null"), Malformed("sub_id")),
        ("cnf", None, Absent("cnf")),
        ("cnf", Some("{}"), Malformed("cnf")),
        ("cnf", Some("{\"jkt\":\"x\"}"), Malformed("cnf")),
        (details, None, Absent("authorization_details#S256")),
        (
            details,
            Some("\"x\""),
            Malformed("authorization_details#S256"),
        ),
        ("jti", None, Absent("jti")),
        ("iat", None, Absent("iat")),
        ("iat", Some("1795000031"), FromTheFuture),
        ("exp", None, Absent("exp")),
        ("exp", Some("1795000601"), Life),
        ("exp", Some("1794999970"), Expired),
        ("limit", Some("1"), Unknown),
    ] {
        let changed = with(&claims(), name, member).to_string();
        let refused = check(&signer, &changed);
        assert_eq!(
            refused,
            Err(ClientError::Claim(expect)),
            "{name} {member:?}"
        );
    }
    let twice = check(&signer, &doubled(&claims(), "sub"));
    assert_eq!(twice, Err(ClientError::Claim(ClaimError::NotClaims)));
}

#[test]
fn a_ticket_is_no_other_token_and_no_other_token_is_a_ticket() {
    let signer = p256();
    for typ in ["JWT", "at+jwt", "client-authentication+jwt", "dpop+jwt"] {
        let text = signer.sign_parts(&header(&signer, typ), &claims().to_string());
        let refused = TaskTicket::verify(&text.unwrap(), &client(&signer), &issuer_url(), now());
        assert!(
            matches!(refused, Err(ClientError::Jose(JoseError::Typ))),
            "{typ}: {refused:?}"
        );
    }
    let text = signer
        .sign_parts(&header(&signer, "writ-ticket+jwt"), &claims().to_string())
        .unwrap();
    let mut stale = client(&signer);
    stale.keys_until = Some(now());
    let refused = TaskTicket::verify(&text, &stale, &issuer_url(), now());
    assert_eq!(refused, Err(ClientError::Stale));
    for changed in mutations(&text) {
        let verified = TaskTicket::verify(&changed, &client(&signer), &issuer_url(), now());
        assert!(verified.is_err() || changed == text, "{changed}");
    }
    assert!(now().plus(secs(600)) == check(&signer, &claims().to_string()).unwrap().expires());
}
