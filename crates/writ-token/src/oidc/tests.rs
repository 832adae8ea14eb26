use super::{Issuer, OidcError, OidcToken};
use crate::testing::{agent, doubled, json, keys_of, mutations, now, p256, secs, with};
use crate::{ClaimError, JoseError, Signer};
use writ_types::Value;

fn issuer(signer: &Signer) -> Issuer {
    Issuer::new(
        "https://idp.example".parse().unwrap(),
        "writ".to_owned(),
        keys_of(signer),
    )
}

fn header(signer: &Signer) -> Value {
    json(&format!(
        r#"{{"alg":"ES256","kid":"{}","typ":"JWT"}}"#,
        signer.kid()
    ))
}

fn claims() -> Value {
    json(
        r#"{"iss":"https://idp.example","aud":"writ","sub":"alice","iat":1795000000,"exp":1795003600,"email":"a@b"}"#,
    )
}

fn check(
    issuer: &Issuer,
    signer: &Signer,
    header: &str,
    claims: &str,
) -> Result<OidcToken, OidcError> {
    OidcToken::verify(&signer.sign_parts(header, claims).unwrap(), issuer, now())
}

#[test]
fn a_user_is_issuer_and_subject() {
    let signer = p256();
    let token = check(
        &issuer(&signer),
        &signer,
        &header(&signer).to_string(),
        &claims().to_string(),
    )
    .unwrap();
    assert_eq!(token.requester().issuer, "https://idp.example");
    assert_eq!(token.requester().subject, "alice");
    assert_eq!(token.expires(), now().plus(secs(3600)));
    assert_eq!(token.claims().text("email"), Ok("a@b"));
}

#[test]
fn every_claim_of_a_users_token() {
    use ClaimError::{Absent, Malformed, Wrong};
    let signer = p256();
    let issuer = issuer(&signer);
    let header = header(&signer).to_string();
    let good = claims();
    for (name, member, expect) in [
        ("iss", None, Absent("iss")),
        ("iss", Some("7"), Malformed("iss")),
        ("iss", Some("\"https://idp.example/\""), Wrong("iss")),
        ("iss", Some("\"https://evil.example\""), Wrong("iss")),
        ("aud", None, Absent("aud")),
        ("aud", Some("\"other\""), Wrong("aud")),
        ("aud", Some("[\"writ\",\"other\"]"), Malformed("aud")),
        ("aud", Some("[]"), Malformed("aud")),
        ("azp", Some("\"other\""), Wrong("azp")),
        ("azp", Some("7"), Malformed("azp")),
        ("sub", None, Absent("sub")),
        ("sub", Some("\"\""), Malformed("sub")),
        ("sub", Some("7"), Malformed("sub")),
        ("iat", None, Absent("iat")),
        ("iat", Some("1795000031"), ClaimError::FromTheFuture),
        ("iat", Some("1794900000"), ClaimError::Life),
        ("exp", None, Absent("exp")),
        ("exp", Some("1794999970"), ClaimError::Expired),
        ("exp", Some("true"), Malformed("exp")),
        ("nbf", Some("1795000031"), ClaimError::NotYet),
        ("nbf", Some("\"now\""), Malformed("nbf")),
    ] {
        let claims = with(&good, name, member).to_string();
        let refused = check(&issuer, &signer, &header, &claims).err();
        assert_eq!(refused, Some(OidcError::Claim(expect)), "{name} {member:?}");
    }
    for name in good.as_object().unwrap().keys() {
        let refused = check(&issuer, &signer, &header, &doubled(&good, name)).err();
        assert_eq!(
            refused,
            Some(OidcError::Claim(ClaimError::NotClaims)),
            "{name} twice"
        );
    }
    let array = with(&good, "aud", Some("[\"writ\"]"));
    let own_party = with(&array, "azp", Some("\"writ\"")).to_string();
    assert!(check(&issuer, &signer, &header, &own_party).is_ok());
    let mut wider = issuer;
    wider.authorized_parties.insert("portal".to_owned());
    let portal = with(&good, "azp", Some("\"portal\"")).to_string();
    assert!(check(&wider, &signer, &header, &portal).is_ok());
}

#[test]
fn kinds_of_token_are_not_confused() {
    let signer = p256();
    let id_tokens = issuer(&signer);
    let mut access_tokens = issuer(&signer);
    access_tokens.access_tokens = true;
    let (good, claims) = (header(&signer), claims().to_string());
    let typ = |issuer: &Issuer, typ: Option<&str>| {
        check(
            issuer,
            &signer,
            &with(&good, "typ", typ).to_string(),
            &claims,
        )
        .err()
    };
    let wrong = Some(OidcError::Jose(JoseError::Typ));
    assert_eq!(typ(&id_tokens, None), None);
    assert_eq!(typ(&id_tokens, Some("\"at+jwt\"")), wrong);
    assert_eq!(typ(&id_tokens, Some("\"logout+jwt\"")), wrong);
    assert_eq!(typ(&access_tokens, None), wrong);
    assert_eq!(typ(&access_tokens, Some("\"JWT\"")), wrong);
    assert_eq!(typ(&access_tokens, Some("\"at+jwt\"")), None);
    for name in ["crit", "jku", "x5u", "x5c", "jwk", "b64", "nonce"] {
        let header = with(&good, name, Some("[]")).to_string();
        let refused = check(&id_tokens, &signer, &header, &claims).err();
        assert_eq!(
            refused,
            Some(OidcError::Jose(JoseError::HeaderMember)),
            "{name}"
        );
    }
}

#[test]
fn may_act_names_the_only_actor() {
    let signer = p256();
    let admits = |may_act: Option<&str>| {
        let claims = with(&claims(), "may_act", may_act).to_string();
        let token = check(
            &issuer(&signer),
            &signer,
            &header(&signer).to_string(),
            &claims,
        )
        .unwrap();
        token.admits_actor(&agent())
    };
    assert!(admits(None));
    assert!(admits(Some(r#"{"sub":"spiffe://writ.local/agent/dns"}"#)));
    for other in [
        "{}",
        "null",
        "\"spiffe://writ.local/agent/dns\"",
        r#"{"sub":"spiffe://writ.local/agent/other"}"#,
        r#"{"sub":"spiffe://writ.local/agent/dns","iss":"https://other.example"}"#,
        r#"{"sub":["spiffe://writ.local/agent/dns"]}"#,
    ] {
        assert!(!admits(Some(other)), "{other}");
    }
}

#[test]
fn no_mutated_byte_verifies() {
    let signer = p256();
    let text = signer
        .sign_parts(&header(&signer).to_string(), &claims().to_string())
        .unwrap();
    for mutated in mutations(&text) {
        assert!(
            OidcToken::verify(&mutated, &issuer(&signer), now()).is_err(),
            "{mutated}"
        );
    }
}
