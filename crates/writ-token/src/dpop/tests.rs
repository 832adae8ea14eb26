use writ_types::{Digest, Secret, Value};

use super::{DpopError, DpopExpectation, DpopProof, HttpUri, NonceCheck, NonceIssuer};
use crate::jose::base64url;
use crate::testing::{Row, doubled, ed25519, mutations, now, p256, rows, secs, with};
use crate::{ClaimError, JoseError, JwkError, Signer};

const TOKEN: &str = "eyJ.eyJ.c2ln";

fn nonces() -> NonceIssuer {
    NonceIssuer::new(Secret::new([3; 32]))
}

fn uri() -> HttpUri {
    "https://writ.example/dns/zones".parse().unwrap()
}

fn header(signer: &Signer) -> Value {
    Value::object([
        ("typ", Value::from("dpop+jwt")),
        ("alg", Value::from(signer.algorithm().as_str())),
        ("jwk", signer.public().to_value()),
    ])
}

fn claims() -> Value {
    Value::object([
        ("jti", Value::from("e1j3V_bKic8-LAEB")),
        ("htm", Value::from("GET")),
        ("htu", Value::from("https://writ.example/dns/zones")),
        ("iat", Value::from_u64(now().secs_since_epoch())),
        (
            "ath",
            Value::from(base64url::encode(Digest::of(TOKEN.as_bytes()).as_bytes())),
        ),
        ("nonce", Value::from(nonces().issue(now()))),
    ])
}

fn verify(proof: &str) -> Result<DpopProof, DpopError> {
    let (nonces, uri) = (nonces(), uri());
    let expect = DpopExpectation {
        method: "GET",
        uri: &uri,
        access_token: Some(TOKEN),
        nonce: NonceCheck::Required(&nonces),
        now: now(),
        max_age: secs(60),
    };
    DpopProof::verify(proof, &expect)
}

fn check(signer: &Signer, header: &str, claims: &str) -> Option<DpopError> {
    verify(&signer.sign_parts(header, claims).unwrap()).err()
}

/// RFC 9449 §4.1 (figure 2), with the key of §4.2.
#[test]
fn rfc_9449_section_4_1() {
    let proof = include_str!("../../testdata/rfc9449-4.1.txt").trim();
    let uri: HttpUri = "https://server.example.com/token".parse().unwrap();
    let mut expect = DpopExpectation {
        method: "POST",
        uri: &uri,
        access_token: None,
        nonce: NonceCheck::NotIssued,
        now: writ_types::Timestamp::from_secs(1_562_262_616),
        max_age: secs(60),
    };
    let verified = DpopProof::verify(proof, &expect).unwrap();
    // RFC 9449 §6.1: the thumbprint of that key.
    assert_eq!(
        base64url::encode(verified.jkt().as_bytes()),
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
    assert_eq!(verified.issued().secs_since_epoch(), 1_562_262_616);
    assert_eq!(verified.jti_hash(), Digest::of(b"-BwC3ESc6acc2lTc"));
    for mutated in mutations(proof) {
        assert!(DpopProof::verify(&mutated, &expect).is_err(), "{mutated}");
    }
    expect.method = "GET";
    assert_eq!(
        DpopProof::verify(proof, &expect).err(),
        Some(DpopError::Method)
    );
}

#[test]
fn check_1_exactly_one() {
    assert_eq!(DpopProof::only(&[b"a.b.c"]), Ok("a.b.c"));
    for bad in [&[][..], &[&b"a"[..], &b"a"[..]], &[&b"\xff"[..]]] {
        assert_eq!(DpopProof::only(bad), Err(DpopError::Count));
    }
    let signer = p256();
    let proof = signer
        .sign_parts(&header(&signer).to_string(), &claims().to_string())
        .unwrap();
    for bad in [
        format!("{proof}, {proof}"),
        format!("{proof},{proof}"),
        format!("{proof} "),
    ] {
        assert!(matches!(verify(&bad), Err(DpopError::Form(_))), "{bad}");
    }
}

#[test]
fn every_claim_of_the_proof() {
    let signer = p256();
    let header = header(&signer).to_string();
    let good = claims();
    assert_eq!(check(&signer, &header, &good.to_string()), None);
    let long = format!("\"{}\"", "j".repeat(257));
    let old_nonce = nonces().issue(now().minus(secs(240)));
    let old_nonce = format!("\"{old_nonce}\"");
    let mut rows = rows(include_str!("../../testdata/dpop-claims.txt"));
    for (name, value, expect) in [
        ("jti", &long, "Claim(Malformed(\"jti\"))"),
        ("nonce", &old_nonce, "Nonce"),
    ] {
        let value = Some(value.as_str());
        rows.push(Row {
            name,
            value,
            expect,
        });
    }
    for row in &rows {
        let claims = with(&good, row.name, row.value).to_string();
        let refused = check(&signer, &header, &claims).unwrap();
        assert_eq!(format!("{refused:?}"), row.expect, "{row:?}");
    }
    for name in good.as_object().unwrap().keys() {
        let expect = DpopError::Claim(ClaimError::NotClaims);
        assert_eq!(
            check(&signer, &header, &doubled(&good, name)),
            Some(expect),
            "{name} twice"
        );
        assert!(
            rows.iter().any(|row| row.name == name),
            "no row tries `{name}`"
        );
    }
    for (name, member) in [
        ("iat", "1794999940"),
        ("iat", "1795000005"),
        ("unknown", "1"),
    ] {
        let claims = with(&good, name, Some(member)).to_string();
        assert_eq!(check(&signer, &header, &claims), None, "{name} {member}");
    }
}

#[test]
fn every_header_of_the_proof() {
    let signer = p256();
    let (good, claims) = (header(&signer), claims().to_string());
    let private = with(&signer.public().to_value(), "d", Some("\"AQ\"")).to_string();
    let other = p256().public().to_value().to_string();
    let okp = ed25519().public().to_value().to_string();
    let pinned = with(&signer.public().to_value(), "alg", Some("\"ES384\"")).to_string();
    let member = DpopError::Form(JoseError::HeaderMember);
    for (name, value, expect) in [
        ("typ", None, DpopError::Typ),
        ("typ", Some("\"JWT\""), DpopError::Typ),
        ("typ", Some("\"at+jwt\""), DpopError::Typ),
        ("alg", None, DpopError::Form(JoseError::HeaderType("alg"))),
        ("alg", Some("\"none\""), DpopError::Algorithm),
        ("alg", Some("\"HS256\""), DpopError::Algorithm),
        ("alg", Some("\"ES512\""), DpopError::Algorithm),
        (
            "alg",
            Some("\"ES384\""),
            DpopError::Key(JwkError::Algorithm),
        ),
        ("jwk", None, DpopError::Key(JwkError::Member("jwk"))),
        ("jwk", Some("7"), DpopError::Key(JwkError::Member("kty"))),
        ("jwk", Some(&private), DpopError::Key(JwkError::Private)),
        (
            "jwk",
            Some(r#"{"kty":"oct","k":"AQ"}"#),
            DpopError::Key(JwkError::Symmetric),
        ),
        ("jwk", Some(&other), DpopError::Signature),
        ("jwk", Some(&okp), DpopError::Key(JwkError::Algorithm)),
        ("jwk", Some(&pinned), DpopError::Key(JwkError::Algorithm)),
        ("kid", Some("\"x\""), member),
        ("crit", Some("[\"exp\"]"), member),
        ("jku", Some("\"https://evil.example\""), member),
        ("x5c", Some("[]"), member),
    ] {
        let header = with(&good, name, value).to_string();
        assert_eq!(
            check(&signer, &header, &claims),
            Some(expect),
            "{name} {value:?}"
        );
    }
    for name in ["typ", "alg", "jwk"] {
        let expect = DpopError::Form(JoseError::Header);
        assert_eq!(
            check(&signer, &doubled(&good, name), &claims),
            Some(expect),
            "{name} twice"
        );
    }
}

#[test]
fn the_token_endpoint_asks_for_its_nonce() {
    for (error, code) in [
        (DpopError::Nonce, "use_dpop_nonce"),
        (DpopError::Count, "invalid_dpop_proof"),
        (DpopError::Time, "invalid_dpop_proof"),
    ] {
        assert_eq!(error.oauth_error().code.as_str(), code);
    }
}

#[test]
fn no_mutated_byte_of_a_proof_verifies() {
    for signer in [p256(), ed25519()] {
        let proof = signer
            .sign_parts(&header(&signer).to_string(), &claims().to_string())
            .unwrap();
        assert_eq!(verify(&proof).unwrap().jkt(), signer.public().thumbprint());
        for mutated in mutations(&proof) {
            assert!(verify(&mutated).is_err(), "{mutated}");
        }
    }
}
