use proptest::prelude::*;
use writ_types::{Digest, JsonLimits, Value};

use super::{
    Algorithm, JoseError, Jwk, JwkError, Jws, KeyPins, KeySet, KeySetError, KeyUse, Profile, Typ,
    base64url,
};
use crate::testing::{doubled, ed25519, json, keys_of, mutations, p256, with};

const ANY: Profile = Profile {
    typ: Typ::Optional(&["JWT"]),
    headers: &["alg", "kid", "typ"],
    algorithms: Algorithm::ALL,
};

/// RFC 7517 appendix A.1, both keys.
const RFC_7517_KEYS: &str = include_str!("../../testdata/rfc7517-a1.json");

#[test]
fn rfc_7638_section_3_1() {
    let keys = json(RFC_7517_KEYS);
    let rsa = &keys.member("keys").unwrap().as_array().unwrap()[1];
    assert_eq!(
        base64url::encode(Jwk::parse(rsa).unwrap().thumbprint().as_bytes()),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn rfc_7515_appendix_a_3() {
    let text = include_str!("../../testdata/rfc7515-a3.txt").trim();
    let key = json(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    );
    let key = Jwk::parse(&key)
        .unwrap()
        .verifying_key(KeyUse::Signature, None)
        .unwrap();
    let keys = KeySet::of(vec![key]).unwrap();
    let claims = Jws::parse(text, 1024, &ANY)
        .unwrap()
        .verify(&keys)
        .unwrap()
        .claims()
        .unwrap();
    assert_eq!(claims.text("iss"), Ok("joe"));
    for mutated in mutations(text) {
        let accepted = Jws::parse(&mutated, 1024, &ANY).and_then(|jws| jws.verify(&keys));
        assert!(accepted.is_err(), "{mutated}");
    }
}

#[test]
fn a_key_set_pins_one_algorithm_to_each_key() {
    let plain = with(&json(RFC_7517_KEYS), "unknown", Some("1"));
    let set = |pins: &KeyPins| KeySet::of_use(&plain, KeyUse::Signature, pins).unwrap();
    // The first key of the RFC is for encryption.
    let keys = set(&KeyPins::default());
    assert_eq!(keys.keys().len(), 1);
    assert_eq!(keys.skipped()[0].cause, JwkError::Use);
    assert_eq!(keys.keys()[0].algorithm(), Algorithm::RS256);
    let mut pins = KeyPins::default();
    pins.by_kid
        .insert("2011-04-29".to_owned(), Algorithm::PS512);
    // The RFC's key says RS256; a pin that contradicts it leaves the key out.
    assert_eq!(set(&pins).keys().len(), 0);
    assert_eq!(set(&pins).skipped()[1].cause, JwkError::Algorithm);

    let members = with(
        &plain.member("keys").unwrap().as_array().unwrap()[1],
        "alg",
        None,
    );
    let unpinned = Jwk::parse(&members).unwrap();
    assert_eq!(
        unpinned.verifying_key(KeyUse::Signature, None).err(),
        Some(JwkError::Algorithm),
        "an RSA key alone does not say what it verifies"
    );
    assert_eq!(
        unpinned
            .verifying_key(KeyUse::Signature, Some(Algorithm::ES256))
            .err(),
        Some(JwkError::Algorithm)
    );
    let document = Value::object([("keys", Value::Array(vec![members]))]).to_string();
    for (pins, algorithm) in [
        (KeyPins::default(), Algorithm::RS256),
        (pins, Algorithm::PS512),
    ] {
        let keys = KeySet::parse(document.as_bytes(), &pins).unwrap();
        assert_eq!(keys.keys()[0].algorithm(), algorithm);
    }
}

#[test]
fn secrets_and_doubles_refuse_the_whole_set() {
    let (one, two) = (p256().to_jwks_entry(), p256().to_jwks_entry());
    let parse = |keys: &[&Value]| {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        let document = Value::object([("keys", Value::Array(keys))]);
        KeySet::parse(document.to_string().as_bytes(), &KeyPins::default())
    };
    assert_eq!(parse(&[&one, &two]).unwrap().keys().len(), 2);
    assert_eq!(parse(&[]).unwrap().keys().len(), 0);
    let private = with(&two, "d", Some("\"AQ\""));
    let cause = JwkError::Private;
    assert_eq!(
        parse(&[&one, &private]).err(),
        Some(KeySetError::Secret { place: 1, cause })
    );
    let symmetric = json(r#"{"kty":"oct","k":"AQ"}"#);
    let cause = JwkError::Symmetric;
    assert_eq!(
        parse(&[&symmetric, &one]).err(),
        Some(KeySetError::Secret { place: 0, cause })
    );
    let same = with(&two, "kid", Some(&one.member("kid").unwrap().to_string()));
    assert_eq!(parse(&[&one, &same]).err(), Some(KeySetError::DuplicateKid));
    for bad in ["[]", "{}", r#"{"keys":{}}"#] {
        let read = KeySet::parse(bad.as_bytes(), &KeyPins::default());
        assert_eq!(read.err(), Some(KeySetError::Shape), "{bad}");
    }
    let twice = KeySet::parse(br#"{"keys":[],"keys":[]}"#, &KeyPins::default());
    assert!(matches!(twice, Err(KeySetError::Json(_))));
    assert_ne!(
        parse(&[&one]).unwrap().fingerprint(),
        parse(&[&two]).unwrap().fingerprint()
    );
}

#[test]
fn keys_that_are_none_are_refused() {
    let good = p256().to_jwks_entry();
    let rsa = json(RFC_7517_KEYS)
        .member("keys")
        .unwrap()
        .as_array()
        .unwrap()[1]
        .clone();
    let okp = ed25519().to_jwks_entry();
    let short = r#""AQAB""#;
    let even_exponent = r#""AQAC""#;
    for (key, name, member, expect) in [
        (&good, "kty", None, JwkError::Member("kty")),
        (&good, "kty", Some("1"), JwkError::Member("kty")),
        (&good, "kty", Some(r#""AKP""#), JwkError::UnknownType),
        (&good, "crv", None, JwkError::UnknownType),
        (&good, "crv", Some(r#""secp256k1""#), JwkError::UnknownType),
        (&good, "crv", Some(r#""P-384""#), JwkError::Member("x")),
        (&good, "x", None, JwkError::Member("x")),
        (&good, "x", Some(short), JwkError::Member("x")),
        (&good, "y", Some("7"), JwkError::Member("y")),
        (
            &good,
            "y",
            Some(&good.member("x").unwrap().to_string()),
            JwkError::Point,
        ),
        (&good, "alg", Some(r#""RS256""#), JwkError::Algorithm),
        (&good, "alg", Some(r#""none""#), JwkError::Algorithm),
        (&good, "use", Some(r#""enc""#), JwkError::Use),
        (&good, "use", Some(r#""jwt-svid""#), JwkError::Use),
        (&good, "key_ops", Some(r#"["encrypt"]"#), JwkError::Use),
        (&good, "key_ops", Some("7"), JwkError::Member("key_ops")),
        (&good, "kid", Some("7"), JwkError::Member("kid")),
        (&okp, "crv", Some(r#""X25519""#), JwkError::UnknownType),
        (&okp, "x", Some(short), JwkError::Member("x")),
        (&rsa, "n", Some(short), JwkError::Size),
        (&rsa, "e", Some(r#""AQ""#), JwkError::Size),
        (&rsa, "e", Some(even_exponent), JwkError::Size),
        (&rsa, "e", Some(r#""AQAAAAAB""#), JwkError::Size),
        (&rsa, "e", Some(r#""AAAD""#), JwkError::Member("n")),
        (&rsa, "p", Some(short), JwkError::Private),
    ] {
        let key = with(key, name, member);
        let read = Jwk::parse(&key).and_then(|jwk| jwk.verifying_key(KeyUse::Signature, None));
        assert_eq!(read.err(), Some(expect), "{name} {member:?}");
    }
}

/// The key of Wycheproof's `json_web_key_test` 7.
#[test]
fn a_key_of_a_broken_generator_is_refused() {
    let key = json(include_str!("../../testdata/wycheproof-roca.json"));
    assert_eq!(Jwk::parse(&key), Err(JwkError::Weak));
}

#[test]
fn every_header_is_one_the_profile_allows() {
    let signer = p256();
    let keys = keys_of(&signer);
    let header = json(&format!(
        r#"{{"alg":"ES256","kid":"{}","typ":"JWT"}}"#,
        signer.kid()
    ));
    let check = |header: &str| {
        let text = signer.sign_parts(header, "{}").unwrap();
        Jws::parse(&text, 4096, &ANY)
            .and_then(|jws| jws.verify(&keys))
            .err()
    };
    assert_eq!(check(&header.to_string()), None);
    for (name, member, expect) in [
        ("alg", None, JoseError::HeaderType("alg")),
        ("alg", Some("256"), JoseError::HeaderType("alg")),
        ("alg", Some(r#""none""#), JoseError::Algorithm),
        ("alg", Some(r#""NONE""#), JoseError::Algorithm),
        ("alg", Some(r#""HS256""#), JoseError::Algorithm),
        ("alg", Some(r#""es256""#), JoseError::Algorithm),
        ("alg", Some(r#""ES384""#), JoseError::Pinned),
        ("alg", Some(r#""RS256""#), JoseError::Pinned),
        ("kid", Some("7"), JoseError::HeaderType("kid")),
        ("kid", Some(r#""other""#), JoseError::UnknownKey),
        ("typ", Some("7"), JoseError::HeaderType("typ")),
        ("typ", Some(r#""at+jwt""#), JoseError::Typ),
        ("typ", Some(r#""jwt""#), JoseError::Typ),
        ("crit", Some(r#"["exp"]"#), JoseError::HeaderMember),
        ("crit", Some("[]"), JoseError::HeaderMember),
        ("b64", Some("false"), JoseError::HeaderMember),
        (
            "jku",
            Some(r#""https://evil.example""#),
            JoseError::HeaderMember,
        ),
        (
            "x5u",
            Some(r#""https://evil.example""#),
            JoseError::HeaderMember,
        ),
        ("x5c", Some("[]"), JoseError::HeaderMember),
        ("jwk", Some("{}"), JoseError::HeaderMember),
        ("zip", Some(r#""DEF""#), JoseError::HeaderMember),
        ("enc", Some(r#""A128GCM""#), JoseError::HeaderMember),
        ("unknown", Some("1"), JoseError::HeaderMember),
    ] {
        let header = with(&header, name, member).to_string();
        assert_eq!(check(&header), Some(expect), "{header}");
    }
    for name in ["alg", "kid", "typ"] {
        assert_eq!(
            check(&doubled(&header, name)),
            Some(JoseError::Header),
            "{name}"
        );
    }
    for bad in ["[]", "null", "{", "{}{}", "\u{feff}{}"] {
        assert_eq!(check(bad), Some(JoseError::Header), "{bad:?}");
    }
    assert_eq!(check(""), Some(JoseError::NotCompact));
}

#[test]
fn a_header_without_kid_means_the_only_key() {
    let signer = p256();
    let unnamed = signer.sign_parts(r#"{"alg":"ES256"}"#, "{}").unwrap();
    let verify = |keys: &KeySet| Jws::parse(&unnamed, 4096, &ANY).unwrap().verify(keys).err();
    assert_eq!(verify(&keys_of(&signer)), None);
    let two = KeySet::of(vec![
        signer.verifying_key().unwrap(),
        p256().verifying_key().unwrap(),
    ])
    .unwrap();
    assert_eq!(verify(&two), Some(JoseError::NoKid));
    assert_eq!(
        verify(&KeySet::of(Vec::new()).unwrap()),
        Some(JoseError::NoKid)
    );
}

#[test]
fn members_that_choose_their_own_key_are_refused_even_if_a_profile_names_them() {
    let careless = Profile {
        headers: &["alg", "crit", "jku", "x5u", "x5c", "b64", "zip", "enc"],
        ..ANY
    };
    for name in careless.headers.iter().skip(1) {
        let text = p256()
            .sign_parts(&format!(r#"{{"alg":"ES256","{name}":[]}}"#), "{}")
            .unwrap();
        let read = Jws::parse(&text, 4096, &careless);
        assert_eq!(read.err(), Some(JoseError::HeaderMember), "{name}");
    }
}

#[test]
fn a_public_key_is_no_hmac_key() {
    // RFC 8725 §2.1: the attacker signs with the public key's bytes and says HS256.
    let signer = p256();
    let header = base64url::encode(br#"{"alg":"HS256"}"#);
    let text = format!("{header}.e30.{}", base64url::encode(&[1; 32]));
    assert_eq!(
        Jws::parse(&text, 4096, &ANY).err(),
        Some(JoseError::Algorithm)
    );
    let moved = ed25519().sign_parts(
        &format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, signer.kid()),
        "{}",
    );
    let read = Jws::parse(&moved.unwrap(), 4096, &ANY)
        .unwrap()
        .verify(&keys_of(&signer));
    assert_eq!(read.err(), Some(JoseError::Pinned));
}

#[test]
fn the_form_is_exact() {
    let signer = p256();
    let text = signer
        .sign_parts(r#"{"alg":"ES256"}"#, r#"{"a":1}"#)
        .unwrap();
    let keys = keys_of(&signer);
    let check = |text: &str| {
        Jws::parse(text, 4096, &ANY)
            .and_then(|jws| jws.verify(&keys))
            .err()
    };
    assert_eq!(check(&text), None);
    assert_eq!(
        Jws::parse(&text, text.len() - 1, &ANY).err(),
        Some(JoseError::TooLong)
    );
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    for (bad, expect) in [
        (String::new(), JoseError::NotCompact),
        (signed.to_owned(), JoseError::NotCompact),
        (format!("{text}."), JoseError::NotCompact),
        (format!("{text}.AA"), JoseError::NotCompact),
        (format!(".{payload}.{signature}"), JoseError::NotCompact),
        (format!("{text}="), JoseError::Base64),
        (format!(" {text}"), JoseError::Base64),
        (format!("{text}\n"), JoseError::Base64),
        (
            format!("{header}=.{payload}.{signature}"),
            JoseError::Base64,
        ),
        (format!("{header}.{payload}."), JoseError::Signature),
        (format!("{header}..{signature}"), JoseError::Signature),
        (
            format!(r#"{{"payload":"{payload}"}}"#),
            JoseError::NotCompact,
        ),
    ] {
        assert_eq!(check(&bad), Some(expect), "{bad}");
    }
}

#[test]
fn a_signer_names_its_key_by_thumbprint() {
    for signer in [p256(), ed25519()] {
        let thumbprint = base64url::encode(signer.public().thumbprint().as_bytes());
        assert_eq!(signer.kid(), thumbprint);
        assert!(!format!("{signer:?}").contains("pkcs8"));
        let entry = signer.to_jwks_entry();
        let document = Value::object([("keys", Value::Array(vec![entry]))]).to_string();
        let keys = KeySet::parse(document.as_bytes(), &KeyPins::default()).unwrap();
        assert_eq!(keys.keys()[0].thumbprint(), signer.public().thumbprint());
        let text = signer.sign_compact("JWT", &json("{}")).unwrap();
        let verified = Jws::parse(&text, 4096, &ANY)
            .unwrap()
            .verify(&keys)
            .unwrap();
        assert_eq!(
            verified.key(),
            Digest::from_bytes(*signer.public().thumbprint().as_bytes())
        );
    }
}

proptest! {
    /// The strict reader never panics on a stranger's text.
    #[test]
    fn no_text_panics(text in "\\PC*", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        drop(Jws::parse(&text, 4096, &ANY));
        let encoded = base64url::encode(&bytes);
        drop(Jws::parse(&format!("{encoded}.{encoded}.{encoded}"), 4096, &ANY));
        if let Ok(value) = Value::parse(&bytes, &JsonLimits::REQUEST) {
            drop(Jwk::parse(&value));
        }
    }

    /// What is signed verifies, and nothing that differs from it does.
    #[test]
    fn only_what_was_signed_verifies(payload in "\\PC{0,40}", place in any::<prop::sample::Index>(), bit in 0u8..7) {
        let signer = ed25519();
        let keys = keys_of(&signer);
        let text = signer.sign_parts(r#"{"alg":"EdDSA"}"#, &payload).unwrap();
        let verified = Jws::parse(&text, 4096, &ANY).unwrap().verify(&keys).unwrap();
        prop_assert_eq!(verified.payload(), payload.as_bytes());
        let mut bytes = text.into_bytes();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(mutated) = String::from_utf8(bytes) {
            prop_assert!(Jws::parse(&mutated, 4096, &ANY).and_then(|jws| jws.verify(&keys)).is_err());
        }
    }
}
