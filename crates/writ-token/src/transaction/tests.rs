use writ_types::JsonLimits;

use super::*;
use crate::{Algorithm, JoseError, Jws, KeySet, Profile, Typ, generate_signing_key};

const PROFILE: Profile = Profile {
    typ: Typ::Required(&["txntoken+jwt"]),
    headers: &["alg", "kid", "typ"],
    algorithms: &[Algorithm::ES256],
};

fn token(action: &str, requester: Option<&Requester>) -> (Signer, Result<String, SignError>) {
    let signer = Signer::from_pkcs8(&generate_signing_key().unwrap()).unwrap();
    let now = Timestamp::from_secs(1_795_000_000);
    let token = TransactionToken {
        issuer: &"https://writ.example".parse().unwrap(),
        trust_domain: &"internal.example".parse().unwrap(),
        call: CallId::new(now, [1; 10]),
        requester,
        spiffe: &"spiffe://writ.local/agent/bot".parse().unwrap(),
        action: &action.parse().unwrap(),
        purpose: &"renewal".parse().unwrap(),
        task: TaskId::new(now, [2; 10]),
        agent: AgentId::new(now, [3; 10]),
        now,
    };
    let signed = token.sign(&signer);
    (signer, signed)
}

fn claims(requester: Option<&Requester>) -> Value {
    let (signer, token) = token("dns:listZones", requester);
    let keys = KeySet::of(vec![signer.verifying_key().unwrap()]).unwrap();
    let token = token.unwrap();
    let jws = Jws::parse(&token, 16_384, &PROFILE).unwrap();
    let verified = jws.verify(&keys).unwrap();
    verified.claims().unwrap().to_value()
}

/// §7 of the draft: every claim that is required, and what an agent adds.
#[test]
fn what_it_says() {
    let user = Requester {
        issuer: "https://login.example".to_owned(),
        subject: "u-1".to_owned(),
    };
    let golden = |text: &str| Value::parse(text.as_bytes(), &JsonLimits::REQUEST).unwrap();
    let ids = |claims: &Value| {
        let text =
            |at: &Value, name: &str| at.member(name).and_then(Value::as_str).unwrap().to_owned();
        let (tctx, rctx) = (
            claims.member("tctx").unwrap(),
            claims.member("rctx").unwrap(),
        );
        (
            text(claims, "txn"),
            text(tctx, "task_id"),
            text(rctx, "agent_id"),
        )
    };
    for (user, subject, sub_id) in [
        (None, "spiffe://writ.local/agent/bot", ""),
        (
            Some(&user),
            "u-1",
            r#","sub_id":{"format":"iss_sub","iss":"https://login.example","sub":"u-1"}"#,
        ),
    ] {
        let claims = claims(user);
        let (txn, task, agent) = ids(&claims);
        let wanted = golden(&format!(
            r#"{{"iss":"https://writ.example","aud":"internal.example","iat":1795000000,"exp":1795000060,"txn":"{txn}","sub":"{subject}","scope":"dns:listZones","req_wl":"spiffe://writ.local/agent/bot","act":{{"sub":"spiffe://writ.local/agent/bot"}},"tctx":{{"task_id":"{task}","purpose":"renewal"}},"rctx":{{"agent_id":"{agent}"}}{sub_id}}}"#
        ));
        assert_eq!(claims, wanted);
    }
}

/// A word with a blank in it would be two scopes, and each of them more than was permitted.
#[test]
fn an_action_that_is_no_scope_is_not_signed() {
    assert_eq!(token("a:GET:/x/{y}", None).1.map(drop), Ok(()));
    for action in ["a:GET:/x y", "a:GET:/x\"y", "a:GET:/x\\y", "a:GET:/\u{e9}"] {
        if action.parse::<ActionName>().is_ok() {
            assert_eq!(token(action, None).1, Err(SignError::Scope), "{action}");
        }
    }
}

#[test]
fn it_is_no_access_token() {
    let (_, token) = token("dns:listZones", None);
    let access = Profile {
        typ: Typ::Required(&["at+jwt", "application/at+jwt"]),
        ..PROFILE
    };
    let refused = Jws::parse(&token.unwrap(), 16_384, &access).map(drop);
    assert!(matches!(refused, Err(JoseError::Typ)), "{refused:?}");
}
