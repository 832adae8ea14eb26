use super::*;
use crate::testing::{agent, authority, domain, now, secs, token_id};
use crate::{SubjectKey, TrustDomainAuthority, generate_signing_key};

const AUDIENCE: &str = "https://control.writ.example";

fn bundle(authority: &TrustDomainAuthority, sequence: Option<u64>) -> TrustBundle {
    let mut bundle = authority.trust_bundle().unwrap();
    bundle.sequence = sequence;
    bundle
}

fn svid(authority: &TrustDomainAuthority) -> String {
    let life = secs(600);
    let signed = authority
        .jwt()
        .sign(&agent(), &[AUDIENCE], life, now(), token_id());
    signed.unwrap()
}

/// Which of two generations of one domain's keys are believed.
fn believed(bundles: &TrustBundles, authority: &TrustDomainAuthority, at: Timestamp) -> bool {
    bundles.verify_jwt(&svid(authority), AUDIENCE, at).is_ok()
}

#[test]
fn a_newer_bundle_replaces_and_an_older_one_does_not() {
    let (first, second) = (authority(), authority());
    for (known, arriving, replaced) in [
        (Some(1), Some(2), true),
        (Some(2), Some(2), true),
        (Some(2), Some(1), false),
        (Some(0), None, false),
        (None, None, true),
        (None, Some(0), true),
    ] {
        let bundles = TrustBundles::of([bundle(&first, known)]).with(bundle(&second, arriving));
        assert_eq!(bundles.iter().count(), 1, "one domain, one bundle");
        let row = format!("{known:?} {arriving:?}");
        assert_eq!(believed(&bundles, &second, now()), replaced, "{row}");
        assert_eq!(believed(&bundles, &first, now()), !replaced, "{row}");
    }
}

#[test]
fn a_bundle_is_believed_until_its_limit() {
    let authority = authority();
    let limit = now().plus(secs(60));
    let bundles = TrustBundles::of([bundle(&authority, None).until(limit)]);
    assert!(believed(&bundles, &authority, limit.minus(secs(1))));
    let late = bundles.verify_jwt(&svid(&authority), AUDIENCE, limit);
    assert_eq!(late, Err(SvidError::TrustDomain));
    assert!(
        bundles.get(&domain()).is_some(),
        "it is still there to be told of"
    );
}

/// Bundles are never merged: what one domain's keys signed is nothing in another domain (SPIFFE Federation §5.1).
#[test]
fn a_domain_vouches_for_itself_alone() {
    let (own, foreign) = (authority(), authority());
    let foreign_bundle = foreign.bundle(7, secs(60));
    let other: TrustDomain = "other.example".parse().unwrap();
    let foreign_bundle = TrustBundle::of_value(other, &foreign_bundle, &KeyPins::default());
    let bundles = TrustBundles::of([bundle(&own, None)]).with(foreign_bundle.unwrap());
    assert!(believed(&bundles, &own, now()));
    assert!(!believed(&bundles, &foreign, now()));
}

/// An empty `keys` revokes everything (SPIFFE Trust Domain and Bundle §4.1.3).
#[test]
fn an_empty_bundle_revokes() {
    let authority = authority();
    let empty = TrustBundle::parse(
        domain(),
        br#"{"keys":[],"spiffe_sequence":2}"#,
        &KeyPins::default(),
    );
    let bundles = TrustBundles::of([bundle(&authority, Some(1))]).with(empty.unwrap());
    assert!(!believed(&bundles, &authority, now()));
}

/// SPIFFE Workload API §5.2.2 and §6.2.2: what an agent hands out of one domain, and what a key set may say of its keys.
#[test]
fn a_workload_api_hands_out_certificates_and_a_plain_key_set() {
    let (first, second) = (authority(), authority());
    let of = |authorities: &[u8], jwks: &str| {
        let pins = KeyPins::default();
        TrustBundle::of_workload_api(domain(), Some(authorities), Some(jwks.as_bytes()), &pins)
    };
    let published = first.trust_bundle().unwrap();
    let one: Vec<u8> = published.authorities().flatten().copied().collect();
    let other = second.trust_bundle().unwrap();
    let two: Vec<u8> = one
        .iter()
        .chain(other.authorities().flatten())
        .copied()
        .collect();
    let jwks = published.jwks().to_string();
    let plain = jwks.replace(r#","use":"jwt-svid""#, "");
    assert_ne!(plain, jwks, "the key says its use");
    for (row, authorities, keys, anchors, verifies) in [
        ("as Writ serves it", &one, &jwks, 1, true),
        ("as SPIRE serves it, without a use", &one, &plain, 1, true),
        ("two authorities", &two, &plain, 2, true),
        (
            "a key for something else",
            &one,
            &plain.replace("\"kid\"", "\"use\":\"sig\",\"kid\""),
            1,
            false,
        ),
        (
            "everything revoked",
            &Vec::new(),
            &r#"{"keys":[]}"#.to_owned(),
            0,
            false,
        ),
    ] {
        let bundle = of(authorities, keys).unwrap();
        assert_eq!(bundle.anchors().len(), anchors, "{row}");
        let bundles = TrustBundles::of([bundle]);
        assert_eq!(believed(&bundles, &first, now()), verifies, "{row}");
        assert!(!believed(&bundles, &second, now()), "{row}");
    }
    let nothing = TrustBundle::of_workload_api(domain(), None, None, &KeyPins::default());
    assert!(!believed(
        &TrustBundles::of([nothing.unwrap()]),
        &first,
        now()
    ));

    let private = plain.replace("\"kid\"", "\"use\":\"sig\",\"d\":\"AA\",\"kid\"");
    let many: Vec<u8> = std::iter::repeat_n(one.iter(), 129)
        .flatten()
        .copied()
        .collect();
    let leaf = SubjectKey::of_pkcs8(&generate_signing_key().unwrap()).unwrap();
    let leaf = first
        .x509()
        .issue(&agent(), &leaf, now(), secs(60), [7; 16])
        .unwrap();
    for (row, authorities, keys) in [
        ("half a certificate", &one[..one.len() - 1].to_vec(), &plain),
        ("something behind it", &[&one[..], b"x"].concat(), &plain),
        ("no authority's", &leaf.der, &plain),
        ("too many", &many, &plain),
        ("no key set", &one, &"[]".to_owned()),
        ("no JSON", &one, &"{".to_owned()),
        ("a private key", &one, &private),
    ] {
        assert!(of(authorities, keys).is_err(), "{row}");
    }
}
