use writ_types::Value;

use super::{JwtSvid, SvidError};
use crate::testing::{
    agent, authority, domain, doubled, ed25519, json, mutations, now, p256, secs, token_id, with,
};
use crate::{
    ClaimError, JoseError, JwtSvidSigner, KeyPins, SignError, Signer, TrustBundle, TrustBundles,
    generate_signing_key,
};

const US: &str = "https://control.writ.example";

/// A bundle that holds `signer`'s key as a SPIFFE key: `use` `jwt-svid`, no `alg`.
fn bundle(signer: &Signer) -> TrustBundle {
    let key = with(&signer.public().to_value(), "use", Some("\"jwt-svid\""));
    let document = Value::object([("keys", Value::Array(vec![key]))]);
    TrustBundle::of_value(domain(), &document, &KeyPins::default()).unwrap()
}

fn header(signer: &Signer) -> Value {
    json(&format!(
        r#"{{"alg":"{}","kid":"{}","typ":"JWT"}}"#,
        signer.algorithm(),
        signer.kid()
    ))
}

fn claims() -> Value {
    json(&format!(
        r#"{{"sub":"{}","aud":["{US}"],"iat":1795000000,"exp":1795000300,"jti":"x","custom":1}}"#,
        agent()
    ))
}

fn check(signer: &Signer, header: &str, claims: &str) -> Result<JwtSvid, SvidError> {
    JwtSvid::verify(
        &signer.sign_parts(header, claims).unwrap(),
        &bundle(signer),
        US,
        now(),
    )
}

#[test]
fn our_own_svids_verify() {
    let authority = authority();
    let text = authority
        .jwt()
        .sign(&agent(), &[US], secs(300), now(), token_id())
        .unwrap();
    let bundle = authority.trust_bundle().unwrap();
    let svid = JwtSvid::verify(&text, &bundle, US, now()).unwrap();
    assert_eq!(svid.spiffe(), &agent());
    assert_eq!(svid.expires(), now().plus(secs(300)));
    assert_eq!(svid.claims().text("jti").unwrap(), token_id().to_string());
    for mutated in mutations(&text) {
        assert!(
            JwtSvid::verify(&mutated, &bundle, US, now()).is_err(),
            "{mutated}"
        );
    }
    let expired = JwtSvid::verify(&text, &bundle, US, now().plus(secs(300)));
    assert_eq!(expired.err(), Some(SvidError::Claim(ClaimError::Expired)));
    let foreign = "spiffe://other.example/a".parse().unwrap();
    let sign = |spiffe, life| {
        authority
            .jwt()
            .sign(spiffe, &[US], secs(life), now(), token_id())
    };
    assert_eq!(sign(&foreign, 60), Err(SignError::TrustDomain));
    let own = agent();
    assert_eq!(sign(&own, 0), Err(SignError::Life));
    assert_eq!(sign(&own, 3601), Err(SignError::Life));
}

#[test]
fn every_claim_of_an_svid() {
    use ClaimError::{Absent, Malformed, NotClaims, Wrong};
    let signer = p256();
    let header = header(&signer).to_string();
    let good = claims();
    assert!(check(&signer, &header, &good.to_string()).is_ok());
    for (name, member, expect) in [
        ("sub", None, Absent("sub")),
        ("sub", Some("7"), Malformed("sub")),
        ("sub", Some("\"agent\""), Malformed("sub")),
        ("sub", Some("\"spiffe://writ.local\""), Malformed("sub")),
        ("aud", None, Absent("aud")),
        ("aud", Some("[]"), Malformed("aud")),
        ("aud", Some("7"), Malformed("aud")),
        ("aud", Some("\"https://other.example\""), Wrong("aud")),
        (
            "aud",
            Some("\"https://control.writ.example/oauth/token\""),
            Wrong("aud"),
        ),
        (
            "aud",
            Some("[\"https://control.writ.example\",\"https://other.example\"]"),
            Malformed("aud"),
        ),
        ("exp", None, Absent("exp")),
        ("exp", Some("\"1795000300\""), Malformed("exp")),
        ("exp", Some("1795000000"), ClaimError::Expired),
        ("exp", Some("1795086401"), ClaimError::Life),
        ("iat", Some("1795000031"), ClaimError::FromTheFuture),
        ("iat", Some("\"x\""), Malformed("iat")),
        ("nbf", Some("1795000031"), ClaimError::NotYet),
        ("nbf", Some("[]"), Malformed("nbf")),
    ] {
        let claims = with(&good, name, member).to_string();
        let refused = check(&signer, &header, &claims).err();
        assert_eq!(refused, Some(SvidError::Claim(expect)), "{name} {member:?}");
    }
    for name in ["sub", "aud", "exp", "iat"] {
        let refused = check(&signer, &header, &doubled(&good, name)).err();
        assert_eq!(refused, Some(SvidError::Claim(NotClaims)), "{name} twice");
    }
    let foreign = with(&good, "sub", Some("\"spiffe://other.example/agent\"")).to_string();
    assert_eq!(
        check(&signer, &header, &foreign).err(),
        Some(SvidError::TrustDomain)
    );
    // The standard requires neither `iat` nor `jti`.
    let bare = with(&with(&good, "iat", None), "jti", None).to_string();
    assert!(check(&signer, &header, &bare).is_ok());
}

#[test]
fn the_header_has_three_members_at_most() {
    let signer = p256();
    let (good, claims) = (header(&signer), claims().to_string());
    for (name, member) in [("typ", None), ("typ", Some("\"JOSE\"")), ("kid", None)] {
        let header = with(&good, name, member).to_string();
        assert!(
            check(&signer, &header, &claims).is_ok(),
            "{name} {member:?}"
        );
    }
    for (name, member, expect) in [
        ("typ", Some("\"at+jwt\""), JoseError::Typ),
        ("typ", Some("\"jwt\""), JoseError::Typ),
        ("cty", Some("\"JWT\""), JoseError::HeaderMember),
        ("crit", Some("[\"exp\"]"), JoseError::HeaderMember),
        (
            "jku",
            Some("\"https://evil.example\""),
            JoseError::HeaderMember,
        ),
        ("x5t", Some("\"x\""), JoseError::HeaderMember),
        ("jwk", Some("{}"), JoseError::HeaderMember),
        ("alg", Some("\"HS256\""), JoseError::Algorithm),
        ("alg", Some("\"EdDSA\""), JoseError::Algorithm),
        ("alg", Some("\"RS256\""), JoseError::Pinned),
        ("kid", Some("\"other\""), JoseError::UnknownKey),
    ] {
        let header = with(&good, name, member).to_string();
        let refused = check(&signer, &header, &claims).err();
        assert_eq!(refused, Some(SvidError::Jose(expect)), "{name} {member:?}");
    }
}

#[test]
fn eddsa_signs_no_svid() {
    let signer = ed25519();
    let refused = check(&signer, &header(&signer).to_string(), &claims().to_string());
    assert_eq!(refused.err(), Some(SvidError::Jose(JoseError::Algorithm)));
    let document =
        aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new());
    let key = writ_types::Secret::new(document.unwrap().as_ref().to_vec());
    assert_eq!(
        JwtSvidSigner::from_pkcs8(domain(), &key).err(),
        Some(SignError::NotForSvid)
    );
}

#[test]
fn keys_of_another_use_or_domain_verify_nothing() {
    let signer = p256();
    let text = signer
        .sign_parts(&header(&signer).to_string(), &claims().to_string())
        .unwrap();
    for key_use in ["sig", "x509-svid-other", "wit-svid"] {
        let key = with(
            &signer.public().to_value(),
            "use",
            Some(&format!("\"{key_use}\"")),
        );
        let document = Value::object([("keys", Value::Array(vec![key]))]);
        let bundle = TrustBundle::of_value(domain(), &document, &KeyPins::default()).unwrap();
        let refused = JwtSvid::verify(&text, &bundle, US, now()).err();
        assert_eq!(
            refused,
            Some(SvidError::Jose(JoseError::UnknownKey)),
            "{key_use}"
        );
    }
    // Two domains, one of them with the attacker's key: it speaks for its own workloads alone.
    let attacker = JwtSvidSigner::from_pkcs8(
        "evil.example".parse().unwrap(),
        &generate_signing_key().unwrap(),
    )
    .unwrap();
    let evil = "spiffe://evil.example/agent".parse().unwrap();
    let evil = attacker
        .sign(&evil, &[US], secs(60), now(), token_id())
        .unwrap();
    let ours = authority();
    let bundles = TrustBundles::of([ours.trust_bundle().unwrap()]);
    assert_eq!(
        bundles.verify_jwt(&evil, US, now()).err(),
        Some(SvidError::TrustDomain)
    );
    let good = ours
        .jwt()
        .sign(&agent(), &[US], secs(60), now(), token_id())
        .unwrap();
    assert!(bundles.verify_jwt(&good, US, now()).is_ok());
    let empty = TrustBundle::parse(domain(), br#"{"keys":[]}"#, &KeyPins::default()).unwrap();
    assert!(
        JwtSvid::verify(&good, &empty, US, now()).is_err(),
        "an empty bundle revokes all"
    );
}
