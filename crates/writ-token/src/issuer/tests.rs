use writ_types::{Secret, TrustDomain};

use super::{
    IssueError, JwtSvidSigner, SubjectKey, TrustDomainAuthority, X509Authority,
    generate_signing_key,
};
use crate::testing::{agent, authority, domain, now, secs};
use crate::{BundleError, KeyPins, KeySetError, SignError, TrustBundle};

#[test]
fn the_bundle_is_spiffes() {
    let authority = authority();
    let bundle = authority.bundle(7, secs(300));
    let keys = bundle.member("keys").unwrap().as_array().unwrap();
    let text = |key: usize, name: &str| keys[key].member(name).map(ToString::to_string);
    assert_eq!(text(0, "use").as_deref(), Some("\"jwt-svid\""));
    assert!(text(0, "kid").is_some() && text(0, "alg").is_none() && text(0, "d").is_none());
    assert_eq!(text(1, "use").as_deref(), Some("\"x509-svid\""));
    assert!(text(1, "kid").is_none() && text(1, "x5c").is_some());
    let read =
        TrustBundle::parse(domain(), bundle.to_string().as_bytes(), &KeyPins::default()).unwrap();
    assert_eq!(
        (read.sequence(), read.refresh_hint()),
        (Some(7), Some(secs(300)))
    );
    assert_eq!(read.jwt_keys().keys().len(), 1);
    assert_eq!(read.authority_subjects().count(), 1);
    assert_eq!(read.domain(), &domain());
}

#[test]
fn bundles_are_read_strictly() {
    let read =
        |text: &str| TrustBundle::parse(domain(), text.as_bytes(), &KeyPins::default()).err();
    assert_eq!(read(r#"{"keys":[]}"#), None);
    assert_eq!(
        read(r#"{"keys":[{"kty":"new","use":"new"}]}"#),
        None,
        "unknown ones are left out"
    );
    assert_eq!(read("{}"), Some(BundleError::Keys(KeySetError::Shape)));
    assert!(matches!(read("{"), Some(BundleError::Json(_))));
    for x5c in [
        "",
        r#","x5c":[]"#,
        r#","x5c":["!"]"#,
        r#","x5c":["AA==","AA=="]"#,
        r#","x5c":"AA==""#,
    ] {
        let document = format!(r#"{{"keys":[{{"kty":"EC","use":"x509-svid"{x5c}}}]}}"#);
        assert_eq!(read(&document), Some(BundleError::X5c), "{x5c}");
    }
    assert!(matches!(
        read(r#"{"keys":[{"kty":"EC","use":"x509-svid","x5c":["AA=="]}]}"#),
        Some(BundleError::Certificate(_))
    ));
    for number in [
        r#""spiffe_sequence":"1""#,
        r#""spiffe_refresh_hint":-1"#,
        r#""spiffe_sequence":1.5"#,
    ] {
        assert_eq!(
            read(&format!(r#"{{"keys":[],{number}}}"#)),
            Some(BundleError::Number),
            "{number}"
        );
    }
}

#[test]
fn an_authority_is_stored_and_loaded() {
    let key = generate_signing_key().unwrap();
    let made = X509Authority::create(domain(), &key, now(), secs(86_400), [9; 16]).unwrap();
    let load = |domain: &str, key: &Secret<Vec<u8>>, certificate: &[u8]| {
        X509Authority::load(domain.parse().unwrap(), key, certificate.to_vec())
    };
    let loaded = load("writ.local", &key, made.certificate()).unwrap();
    assert_eq!(loaded.certificate(), made.certificate());
    assert_eq!(
        (loaded.not_after(), made.not_after()),
        (now().plus(secs(86_400)), now().plus(secs(86_400)))
    );
    let subject = SubjectKey::of_pkcs8(&generate_signing_key().unwrap()).unwrap();
    let leaf = loaded
        .issue(&agent(), &subject, now(), secs(60), [1; 16])
        .unwrap();
    let jwt = || JwtSvidSigner::from_pkcs8(domain(), &generate_signing_key().unwrap()).unwrap();
    let bundle = TrustDomainAuthority::new(jwt(), made)
        .unwrap()
        .trust_bundle()
        .unwrap();
    assert!(crate::X509Svid::verify(&[&leaf.der], &bundle, now()).is_ok());

    let wrong = Some(IssueError::Certificate);
    let other = generate_signing_key().unwrap();
    assert_eq!(
        load("writ.local", &other, loaded.certificate()).err(),
        wrong,
        "another key"
    );
    assert_eq!(
        load("other.local", &key, loaded.certificate()).err(),
        wrong,
        "another domain"
    );
    assert_eq!(load("writ.local", &key, b"").err(), wrong);
    assert_eq!(load("writ.local", &key, &leaf.der).err(), wrong, "a leaf");
    assert_eq!(
        load(
            "writ.local",
            &Secret::new(vec![1, 2, 3]),
            loaded.certificate()
        )
        .err(),
        Some(IssueError::Key)
    );
    let elsewhere: TrustDomain = "other.local".parse().unwrap();
    let elsewhere = X509Authority::create(elsewhere, &key, now(), secs(60), [1; 16]).unwrap();
    assert_eq!(
        TrustDomainAuthority::new(jwt(), elsewhere).err(),
        Some(SignError::TrustDomain)
    );
}

#[test]
fn lives_are_bounded() {
    let key = generate_signing_key().unwrap();
    let subject = SubjectKey::of_pkcs8(&key).unwrap();
    for life in [0, 3651 * 86_400] {
        let made = X509Authority::create(domain(), &key, now(), secs(life), [1; 16]);
        assert_eq!(made.err(), Some(IssueError::Life), "{life}");
    }
    let authority = X509Authority::create(domain(), &key, now(), secs(1800), [1; 16]).unwrap();
    let issue = |life| {
        authority
            .issue(&agent(), &subject, now(), secs(life), [1; 16])
            .err()
    };
    assert_eq!(issue(1800), None);
    assert_eq!(issue(0), Some(IssueError::Life));
    assert_eq!(
        issue(1801),
        Some(IssueError::Life),
        "no leaf outlives its authority"
    );
    let long = X509Authority::create(domain(), &key, now(), secs(86_400), [1; 16]).unwrap();
    let refused = long
        .issue(&agent(), &subject, now(), secs(3601), [1; 16])
        .err();
    assert_eq!(refused, Some(IssueError::Life));
    let foreign = "spiffe://other.example/a".parse().unwrap();
    let refused = long
        .issue(&foreign, &subject, now(), secs(60), [1; 16])
        .err();
    assert_eq!(refused, Some(IssueError::TrustDomain));
}

#[test]
fn a_listener_is_named_beside_its_identity() {
    let authority = authority();
    let subject = SubjectKey::of_pkcs8(&generate_signing_key().unwrap()).unwrap();
    let issue = |hosts: &[&str]| {
        authority
            .x509()
            .issue_server(&agent(), &subject, hosts, now(), secs(60), [1; 16])
    };
    let leaf = issue(&["localhost", "127.0.0.1", "::1", "writ.example"]).unwrap();
    let bundle = authority.trust_bundle().unwrap();
    assert!(crate::X509Svid::verify(&[&leaf.der], &bundle, now()).is_ok());
    let holds = |name: &[u8]| leaf.der.windows(name.len()).any(|part| part == name);
    assert!(holds(b"localhost") && holds(b"writ.example") && holds(&[0x87, 4, 127, 0, 0, 1]));
    for bad in [
        "",
        "a b",
        "*.example",
        "A.example",
        "a..b",
        "-a",
        "a-",
        "a.",
        "https://a",
        "127.0.0.1:80",
    ] {
        assert_eq!(issue(&[bad]).err(), Some(IssueError::HostName), "{bad}");
    }
}

#[test]
fn a_subject_key_is_a_point_of_p256() {
    let key = generate_signing_key().unwrap();
    let subject = SubjectKey::of_pkcs8(&key).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&subject);
    assert_eq!(SubjectKey::from_spki(&spki), Ok(subject));
    let mut off_curve = spki.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    let mut compressed = spki.clone();
    compressed[26] = 2;
    for bad in [
        off_curve,
        compressed,
        vec![],
        [spki.as_slice(), &[0]].concat(),
    ] {
        assert_eq!(SubjectKey::from_spki(&bad), Err(IssueError::PublicKey));
    }
}
