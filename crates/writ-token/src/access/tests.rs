use std::sync::Arc;

use writ_types::{Binding, Digest, Resource, Tenant, Timestamp, UserAuthentication, Value};

use super::{AccessTokenClaims, TokenCache, TokenError, TokenVerifier, VerifiedToken};
use crate::testing::{
    access_claims, doubled, ed25519, issuer_url, json, keys_of, mutations, now, p256, public_url,
    rows, secs, verifier, with,
};
use crate::{ClaimError, JoseError, SignError, Signer};

const KEY: Digest = Digest::from_bytes([5; 32]);

fn header(signer: &Signer) -> Value {
    let (alg, kid) = (signer.algorithm(), signer.kid());
    json(&format!(
        r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#
    ))
}

fn check(signer: &Signer, header: &str, payload: &str) -> Result<VerifiedToken, TokenError> {
    verifier(signer).verify(&signer.sign_parts(header, payload).unwrap(), now())
}

#[test]
fn what_is_signed_is_read_back() {
    for signer in [p256(), ed25519()] {
        for binding in [Binding::Dpop(KEY), Binding::Mtls(KEY), Binding::Unbound] {
            for (requester, prior) in [(true, true), (false, true), (true, false), (false, false)] {
                let mut claims = access_claims(binding.clone());
                if !requester {
                    claims.requester = None;
                    claims.authentication = None;
                }
                if !prior {
                    claims.prior_actors.clear();
                }
                let text = signer.sign(&claims, &public_url()).unwrap();
                let token = verifier(&signer).verify(&text, now()).unwrap();
                assert_eq!(token.claims, claims);
                assert_eq!(token.principal().tenant, Tenant::default_tenant());
                assert_eq!(token.principal().spiffe, claims.spiffe);
                assert_eq!(token.principal().requester, claims.requester);
                assert_eq!(token.binding(), &binding);
                assert_eq!(token.digest(), Digest::of(text.as_bytes()));
            }
        }
    }
}

#[test]
fn every_claim_of_the_token() {
    let signer = p256();
    let header = header(&signer).to_string();
    let good = access_claims(Binding::Dpop(KEY)).to_value(&public_url());
    assert!(check(&signer, &header, &good.to_string()).is_ok());
    let rows = rows(include_str!("../../testdata/access-claims.txt"));
    for row in &rows {
        let payload = with(&good, row.name, row.value).to_string();
        let refused = check(&signer, &header, &payload).err();
        let Some(TokenError::Claim(claim)) = refused else {
            panic!("{row:?}: {refused:?}")
        };
        assert_eq!(format!("{claim:?}"), row.expect, "{row:?}");
    }
    for name in good.as_object().unwrap().keys() {
        let refused = check(&signer, &header, &doubled(&good, name)).err();
        assert_eq!(
            refused,
            Some(TokenError::Claim(ClaimError::NotClaims)),
            "{name} twice"
        );
        let covered = rows.iter().any(|row| row.name == name);
        assert!(covered, "no row tries `{name}`");
    }
    let unbound = with(&good, "cnf", None).to_string();
    let token = check(&signer, &header, &unbound).unwrap();
    assert_eq!(
        token.binding(),
        &Binding::Unbound,
        "an absent `cnf` is no key, and says so"
    );
}

/// How a user authenticated is said of users alone, in part where only that is known.
#[test]
fn nobody_has_authenticated_where_there_is_no_user() {
    let signer = p256();
    let read = |claims: &AccessTokenClaims| {
        let text = signer.sign(claims, &public_url()).unwrap();
        let token = verifier(&signer).verify(&text, now());
        token.map(|token| token.authentication().cloned())
    };
    let said = access_claims(Binding::Unbound);
    let known = said.authentication.clone().unwrap();
    for (at, acr) in [
        (known.at, None),
        (None, known.acr.clone()),
        (known.at, known.acr),
    ] {
        let authentication = Some(UserAuthentication { at, acr });
        let user = AccessTokenClaims {
            authentication: authentication.clone(),
            ..said.clone()
        };
        assert_eq!(read(&user), Ok(authentication));
        let nobody = AccessTokenClaims {
            requester: None,
            ..user
        };
        assert!(matches!(
            read(&nobody),
            Err(TokenError::Claim(ClaimError::Wrong("auth_time" | "acr")))
        ));
    }
}

#[test]
fn every_header_of_the_token() {
    let signer = p256();
    let good = header(&signer);
    let payload = access_claims(Binding::Dpop(KEY))
        .to_value(&public_url())
        .to_string();
    for typ in ["\"at+jwt\"", "\"application/at+jwt\""] {
        let header = with(&good, "typ", Some(typ)).to_string();
        assert!(check(&signer, &header, &payload).is_ok(), "{typ}");
    }
    for (name, member, expect) in [
        ("typ", None, JoseError::Typ),
        ("typ", Some("\"JWT\""), JoseError::Typ),
        ("typ", Some("\"AT+JWT\""), JoseError::Typ),
        ("typ", Some("\"dpop+jwt\""), JoseError::Typ),
        ("typ", Some("\"txntoken+jwt\""), JoseError::Typ),
        ("typ", Some("7"), JoseError::HeaderType("typ")),
        ("alg", None, JoseError::HeaderType("alg")),
        ("alg", Some("\"none\""), JoseError::Algorithm),
        ("alg", Some("\"HS256\""), JoseError::Algorithm),
        ("alg", Some("\"ES384\""), JoseError::Pinned),
        ("kid", Some("\"other\""), JoseError::UnknownKey),
        ("kid", Some("7"), JoseError::HeaderType("kid")),
        ("crit", Some("[\"exp\"]"), JoseError::HeaderMember),
        (
            "jku",
            Some("\"https://evil.example\""),
            JoseError::HeaderMember,
        ),
        (
            "x5u",
            Some("\"https://evil.example\""),
            JoseError::HeaderMember,
        ),
        ("x5c", Some("[]"), JoseError::HeaderMember),
        ("jwk", Some("{}"), JoseError::HeaderMember),
        ("b64", Some("false"), JoseError::HeaderMember),
        ("zip", Some("\"DEF\""), JoseError::HeaderMember),
        ("cty", Some("\"JWT\""), JoseError::HeaderMember),
    ] {
        let header = with(&good, name, member).to_string();
        let refused = check(&signer, &header, &payload).err();
        assert_eq!(refused, Some(TokenError::Jose(expect)), "{name} {member:?}");
    }
    for name in ["alg", "kid", "typ"] {
        let refused = check(&signer, &doubled(&good, name), &payload).err();
        assert_eq!(
            refused,
            Some(TokenError::Jose(JoseError::Header)),
            "{name} twice"
        );
    }
}

#[test]
fn no_mutated_byte_verifies_and_no_other_key_does() {
    let signer = ed25519();
    let verifier = verifier(&signer);
    let text = signer
        .sign(&access_claims(Binding::Dpop(KEY)), &public_url())
        .unwrap();
    for mutated in mutations(&text) {
        assert!(verifier.verify(&mutated, now()).is_err(), "{mutated}");
    }
    let (header, payload) = (
        header(&signer),
        access_claims(Binding::Unbound).to_value(&public_url()),
    );
    let forged = ed25519()
        .sign_parts(&header.to_string(), &payload.to_string())
        .unwrap();
    let refused = verifier.verify(&forged, now()).err();
    assert_eq!(refused, Some(TokenError::Jose(JoseError::Signature)));
}

#[test]
fn a_token_ends_to_the_second_and_a_signer_gives_no_long_life() {
    let signer = p256();
    let verifier = verifier(&signer);
    let mut claims = access_claims(Binding::Unbound);
    let text = signer.sign(&claims, &public_url()).unwrap();
    let (end, first) = (claims.expires, now().minus(secs(5)));
    let token = verifier.verify(&text, now()).unwrap();
    for (at, good) in [
        (first.minus(std::time::Duration::from_millis(1)), false),
        (first, true),
        (end.minus(std::time::Duration::from_millis(1)), true),
        (end, false),
        (Timestamp::from_secs(u64::MAX), false),
    ] {
        assert_eq!(verifier.verify(&text, at).is_ok(), good, "{at}");
        assert_eq!(token.live_at(at), good, "{at}");
    }
    for life in [0, 301, 100_000] {
        claims.expires = claims.issued.plus(secs(life));
        assert_eq!(
            signer.sign(&claims, &public_url()),
            Err(SignError::Life),
            "{life}"
        );
    }
}

#[test]
fn another_issuer_tenant_or_gateway_is_another_verifier() {
    let signer = p256();
    let text = signer
        .sign(&access_claims(Binding::Unbound), &public_url())
        .unwrap();
    let with = |issuer: &str, url: &str| {
        let (issuer, url) = (issuer.parse().unwrap(), url.parse().unwrap());
        TokenVerifier::new(
            issuer,
            Tenant::default_tenant(),
            url,
            keys_of(&signer),
            16 * 1024,
        )
    };
    let issuer = issuer_url();
    let wrong = |claim| Some(TokenError::Claim(ClaimError::Wrong(claim)));
    let other = with("https://other.example", "https://writ.example");
    assert_eq!(other.verify(&text, now()).err(), wrong("iss"));
    let other = with(issuer.as_str(), "https://other.example");
    assert_eq!(other.verify(&text, now()).err(), wrong("aud"));
    let short = TokenVerifier::new(
        issuer,
        Tenant::default_tenant(),
        public_url(),
        keys_of(&signer),
        100,
    );
    assert_eq!(
        short.verify(&text, now()).err(),
        Some(TokenError::Jose(JoseError::TooLong))
    );
}

#[test]
fn actors_are_bounded() {
    let signer = p256();
    let mut claims = access_claims(Binding::Unbound);
    let one = claims.spiffe.clone();
    claims.prior_actors = vec![one.clone(); AccessTokenClaims::MOST_PRIOR_ACTORS];
    let verify = |claims: &AccessTokenClaims| {
        let text = signer.sign(claims, &public_url()).unwrap();
        verifier(&signer).verify(&text, now())
    };
    assert!(verify(&claims).is_ok());
    claims.prior_actors.push(one);
    assert_eq!(
        verify(&claims).err(),
        Some(TokenError::Claim(ClaimError::Malformed("act")))
    );
}

#[test]
fn a_cached_token_still_ends() {
    let signer = p256();
    let verifier = verifier(&signer);
    let cache = TokenCache::new(100);
    let claims = access_claims(Binding::Unbound);
    let text = signer.sign(&claims, &public_url()).unwrap();
    let first = cache.verify(&text, &verifier, now()).unwrap();
    let second = cache.verify(&text, &verifier, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(
        cache.verify(&text, &verifier, claims.expires).err(),
        Some(TokenError::Claim(ClaimError::Expired))
    );
    assert!(cache.verify("x.y.z", &verifier, now()).is_err());
    assert_eq!(cache.len(), 1, "a refused text takes no room");
    for mutated in mutations(&text) {
        assert!(cache.verify(&mutated, &verifier, now()).is_err());
    }
}

#[test]
fn a_key_taken_away_takes_its_cached_tokens_with_it() {
    let (signer, other) = (p256(), p256());
    let cache = TokenCache::new(100);
    let text = signer
        .sign(&access_claims(Binding::Unbound), &public_url())
        .unwrap();
    assert!(cache.verify(&text, &verifier(&signer), now()).is_ok());
    assert_eq!(
        cache.verify(&text, &verifier(&other), now()).err(),
        Some(TokenError::Jose(JoseError::UnknownKey))
    );
    let tenant: Tenant = "other".parse().unwrap();
    let elsewhere = TokenVerifier::new(
        issuer_url(),
        tenant.clone(),
        public_url(),
        keys_of(&signer),
        16 * 1024,
    );
    let token = cache.verify(&text, &elsewhere, now()).unwrap();
    assert_eq!(
        token.principal().tenant,
        tenant,
        "one tenant's entry is not another's"
    );
}

#[test]
fn the_cache_is_bounded_and_forgets_what_ends_first() {
    let signer = ed25519();
    let verifier = verifier(&signer);
    let cache = TokenCache::new(16);
    for count in 0..100 {
        let mut claims = access_claims(Binding::Unbound);
        claims.resource = Resource::All;
        claims.token = writ_types::TokenId::new(now(), [count; 10]);
        let text = signer.sign(&claims, &public_url()).unwrap();
        assert!(cache.verify(&text, &verifier, now()).is_ok());
        assert!(cache.len() <= 16);
    }
    assert!(!cache.is_empty());
}
