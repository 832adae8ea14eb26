use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use writ_types::{Digest, Timestamp, TrustDomain, Value};

use super::{X509Error, X509Svid};
use crate::testing::{agent, authority, domain, now, secs};
use crate::{BundleError, KeyPins, SubjectKey, TrustBundle, TrustBundles, generate_signing_key};

/// An authority made with the library directly, so that its leaves can be wrong in one thing at a time.
struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

fn dated(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().unwrap())
}

impl Ca {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        dated(&mut params);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }

    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn issue(&self, params: &CertificateParams) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&key, &issuer).unwrap().der().to_vec()
    }

    fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn bundle(&self, domain: TrustDomain) -> Result<TrustBundle, BundleError> {
        let key = Value::object([
            ("kty", Value::from("EC")),
            ("use", Value::from("x509-svid")),
            (
                "x5c",
                Value::Array(vec![Value::from(STANDARD.encode(&self.der))]),
            ),
        ]);
        let document = Value::object([("keys", Value::Array(vec![key]))]);
        TrustBundle::of_value(domain, &document, &KeyPins::default())
    }
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    dated(&mut params);
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(agent().as_str())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

fn check(change: impl FnOnce(&mut CertificateParams)) -> Result<X509Svid, X509Error> {
    let ca = Ca::root(Ca::params("root"));
    let mut params = leaf();
    change(&mut params);
    let der = ca.issue(&params);
    X509Svid::verify(&[&der], &ca.bundle(domain()).unwrap(), now())
}

#[test]
fn our_own_svids_verify() {
    let authority = authority();
    let key = SubjectKey::of_pkcs8(&generate_signing_key().unwrap()).unwrap();
    let leaf = authority
        .x509()
        .issue(&agent(), &key, now(), secs(600), [2; 16])
        .unwrap();
    let bundle = authority.trust_bundle().unwrap();
    let svid = X509Svid::verify(&[&leaf.der], &bundle, now()).unwrap();
    assert_eq!(svid.spiffe(), &agent());
    assert_eq!(svid.leaf_digest(), Digest::of(&leaf.der));
    assert_eq!(
        (svid.not_after(), leaf.not_after),
        (now().plus(secs(600)), now().plus(secs(600)))
    );
    let at = |time| X509Svid::verify(&[&leaf.der], &bundle, time).err();
    assert_eq!(at(now().minus(secs(30))), None);
    assert_eq!(at(now().minus(secs(31))), Some(X509Error::Path));
    assert_eq!(at(now().plus(secs(600))), None);
    assert_eq!(at(now().plus(secs(601))), Some(X509Error::Path));
    for place in 0..leaf.der.len() {
        let mut mutated = leaf.der.clone();
        mutated[place] ^= 1;
        assert!(
            X509Svid::verify(&[&mutated], &bundle, now()).is_err(),
            "byte {place}"
        );
    }
}

/// X509-SVID §2, §4 and appendix A, one row per rule.
#[test]
fn the_rules_for_leaves() {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign};
    assert!(check(|_| {}).is_ok());
    let names = |names: Vec<SanType>| check(|params| params.subject_alt_names = names).err();
    let own = || uri(agent().as_str());
    let dns = || SanType::DnsName("agent.example".to_owned().try_into().unwrap());
    assert_eq!(
        names(vec![own(), dns()]),
        None,
        "other kinds of name may stand beside it"
    );
    for bad in [
        vec![],
        vec![dns()],
        vec![own(), own()],
        vec![own(), uri("https://a.example")],
        vec![uri("https://a.example"), own()],
    ] {
        assert_eq!(names(bad.clone()), Some(X509Error::UriSan), "{bad:?}");
    }
    for bad in [
        "https://writ.local/agent",
        "spiffe://writ.local",
        "spiffe://writ.local/",
        "spiffe://writ.local/a/../b",
        "spiffe://writ.local:80/a",
        "spiffe://user@writ.local/a",
        "spiffe://WRIT.local/a",
        "spiffe://writ.local/a?b",
        "spiffe://writ.local/a%2fb",
    ] {
        let refused = names(vec![uri(bad)]);
        assert!(
            matches!(refused, Some(X509Error::SpiffeId(_))),
            "{bad}: {refused:?}"
        );
    }
    let foreign = names(vec![uri("spiffe://other.example/agent")]);
    assert_eq!(foreign, Some(X509Error::TrustDomain));
    let ca = check(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(ca.err(), Some(X509Error::Authority));
    assert!(
        check(|params| params.is_ca = IsCa::NoCa).is_ok(),
        "absent is no CA"
    );
    let usage = |usages: Vec<KeyUsagePurpose>| check(|params| params.key_usages = usages).err();
    for bad in [
        vec![],
        vec![KeyAgreement],
        vec![DigitalSignature, KeyCertSign],
        vec![DigitalSignature, CrlSign],
    ] {
        assert_eq!(usage(bad.clone()), Some(X509Error::KeyUsage), "{bad:?}");
    }
    assert_eq!(usage(vec![DigitalSignature, KeyAgreement]), None);
    let extended = |usages: Vec<ExtendedKeyUsagePurpose>| {
        check(|params| params.extended_key_usages = usages).err()
    };
    assert_eq!(extended(vec![]), None, "absent is any");
    assert_eq!(extended(vec![ClientAuth, ServerAuth, CodeSigning]), None);
    for bad in [vec![ClientAuth], vec![ServerAuth], vec![CodeSigning]] {
        assert_eq!(
            extended(bad.clone()),
            Some(X509Error::ExtendedKeyUsage),
            "{bad:?}"
        );
    }
}

/// DER that the library does not write.
#[test]
fn names_are_counted_as_they_stand() {
    let raw = |oid: &[u64], content: Vec<u8>, critical: bool| {
        let mut extension = CustomExtension::from_oid_content(oid, content);
        extension.set_criticality(critical);
        extension
    };
    const SAN: [u64; 4] = [2, 5, 29, 17];
    const KEY_USAGE: [u64; 4] = [2, 5, 29, 15];
    let with_san = |second: &[u8]| {
        let first = agent().as_str().as_bytes().to_vec();
        let mut names = vec![0x86, u8::try_from(first.len()).unwrap()];
        names.extend(first);
        names.extend([0x86, u8::try_from(second.len()).unwrap()]);
        names.extend(second);
        let mut content = vec![0x30, u8::try_from(names.len()).unwrap()];
        content.extend(names);
        check(|params| {
            params.subject_alt_names.clear();
            params.custom_extensions = vec![raw(&SAN, content, false)];
        })
    };
    assert_eq!(
        with_san(b"spiffe://writ.local/b").err(),
        Some(X509Error::UriSan)
    );
    assert_eq!(
        with_san(b"").err(),
        Some(X509Error::UriSan),
        "an empty URI is a URI"
    );
    assert_eq!(
        with_san(&[0xFF, 0xFE]).err(),
        Some(X509Error::Malformed),
        "a URI that is no text"
    );
    // Two SAN extensions: which one would another verifier read?
    let twice = check(|params| {
        let mut content = vec![0x30, 0x0B, 0x82, 0x09];
        content.extend(b"a.example");
        params.custom_extensions = vec![raw(&SAN, content, false)];
    });
    assert_eq!(twice.err(), Some(X509Error::Malformed));
    let usage = |critical| {
        check(|params| {
            params.key_usages.clear();
            params.custom_extensions =
                vec![raw(&KEY_USAGE, vec![0x03, 0x02, 0x07, 0x80], critical)];
        })
    };
    assert!(usage(true).is_ok());
    assert_eq!(
        usage(false).err(),
        Some(X509Error::KeyUsage),
        "key usage is critical"
    );
    let unknown = check(|params| {
        params.custom_extensions = vec![raw(&[1, 2, 3, 4], vec![0x05, 0x00], true)];
    });
    assert!(
        unknown.is_err(),
        "a critical extension that nobody understands"
    );
}

#[test]
fn paths_lead_to_an_authority_of_the_domain() {
    let root = Ca::root(Ca::params("root"));
    let middle = root.intermediate(Ca::params("middle"));
    let der = middle.issue(&leaf());
    let bundle = root.bundle(domain()).unwrap();
    let verify =
        |chain: &[&[u8]], bundle: &TrustBundle| X509Svid::verify(chain, bundle, now()).err();
    assert_eq!(verify(&[&der, &middle.der], &bundle), None);
    assert_eq!(
        verify(&[&der, &root.der, &middle.der], &bundle),
        None,
        "in any order"
    );
    assert_eq!(verify(&[&der], &bundle), Some(X509Error::Path), "a gap");
    assert_eq!(verify(&[], &bundle), Some(X509Error::Chain));
    let long = vec![der.as_slice(); 9];
    assert_eq!(verify(&long, &bundle), Some(X509Error::Chain));
    let large = vec![0; 16 * 1024 + 1];
    assert_eq!(verify(&[&der, &large], &bundle), Some(X509Error::Chain));
    let same_name = Ca::root(Ca::params("root")).bundle(domain()).unwrap();
    assert_eq!(
        verify(&[&der, &middle.der], &same_name),
        Some(X509Error::Path)
    );
    let trailing = [der.as_slice(), b"\0"].concat();
    assert_eq!(
        verify(&[&trailing, &middle.der], &bundle),
        Some(X509Error::Malformed)
    );

    // An ordinary leaf signs another leaf.
    let holder = root.intermediate(leaf());
    let forged = holder.issue(&leaf());
    assert_eq!(
        verify(&[&forged, &holder.der], &bundle),
        Some(X509Error::Path)
    );
    // An intermediate that is a CA by its constraints, but may not sign by its key usage.
    let mut silent = Ca::params("silent");
    silent.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let silent = root.intermediate(silent);
    let der = silent.issue(&leaf());
    assert_eq!(verify(&[&der, &silent.der], &bundle), Some(X509Error::Path));
    // A path longer than the authority allows.
    let mut flat = Ca::params("flat");
    flat.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let flat = Ca::root(flat);
    let below = flat.intermediate(Ca::params("below"));
    let der = below.issue(&leaf());
    let flat = flat.bundle(domain()).unwrap();
    assert_eq!(verify(&[&der, &below.der], &flat), Some(X509Error::Path));
}

#[test]
fn an_authority_ends_and_is_one() {
    let mut old = Ca::params("old");
    old.not_after = date_time_ymd(2026, 6, 1);
    let old = Ca::root(old);
    let der = old.issue(&leaf());
    let bundle = old.bundle(domain()).unwrap();
    assert_eq!(
        X509Svid::verify(&[&der], &bundle, now()).err(),
        Some(X509Error::Path)
    );
    let in_may = Timestamp::from_secs(1_778_000_000);
    assert!(X509Svid::verify(&[&der], &bundle, in_may).is_ok());

    let not_authority = Some(BundleError::Certificate(X509Error::NotAuthority));
    let no_ca = Ca::root(leaf());
    assert_eq!(no_ca.bundle(domain()).err(), not_authority);
    let mut silent = Ca::params("silent");
    silent.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    assert_eq!(Ca::root(silent).bundle(domain()).err(), not_authority);
}

#[test]
fn domains_are_never_merged() {
    let (ours, theirs) = (Ca::root(Ca::params("ours")), Ca::root(Ca::params("theirs")));
    let other: TrustDomain = "other.example".parse().unwrap();
    let bundles = TrustBundles::of([
        ours.bundle(domain()).unwrap(),
        theirs.bundle(other).unwrap(),
    ]);
    let verify = |der: &[u8]| bundles.verify_x509(&[der], now()).err();
    assert_eq!(verify(&ours.issue(&leaf())), None);
    assert_eq!(
        verify(&theirs.issue(&leaf())),
        Some(X509Error::Path),
        "their key, our name"
    );
    let mut foreign = leaf();
    foreign.subject_alt_names = vec![uri("spiffe://unknown.example/a")];
    assert_eq!(verify(&ours.issue(&foreign)), Some(X509Error::TrustDomain));
    assert_eq!(
        bundles.verify_x509(&[], now()).err(),
        Some(X509Error::Chain)
    );
    assert_eq!(bundles.iter().count(), 2);
}

proptest! {
    /// Nothing that stands where a certificate should be panics; no certificate with one byte changed is read as good.
    #[test]
    fn no_certificate_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let authority = authority();
        let bundle = authority.trust_bundle().unwrap();
        prop_assert!(X509Svid::verify(&[&bytes], &bundle, now()).is_err());
        let key = SubjectKey::of_pkcs8(&generate_signing_key().unwrap()).unwrap();
        let mut leaf = authority.x509().issue(&agent(), &key, now(), secs(60), [2; 16]).unwrap().der;
        let at = place.index(leaf.len());
        let changed = leaf[at] != byte;
        leaf[at] = byte;
        prop_assert_eq!(X509Svid::verify(&[&leaf], &bundle, now()).is_err(), changed);
    }
}
