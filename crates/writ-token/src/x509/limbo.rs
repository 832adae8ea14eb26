//! The cases of x509-limbo through our own path validation. None of their leaves is an X.509-SVID, so that the whole
//! verifier refuses every one of them; what is compared is the path. `testdata/x509-limbo-deviations.md` explains every
//! case whose verdict differs; the list here and there must name the same ones.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use webpki::KeyUsage;
use writ_types::{JsonLimits, Timestamp, TrustDomain, Value};

use super::{Anchor, X509Svid, verify_path};
use crate::TrustBundle;

const DEVIATIONS: &str = include_str!("../../testdata/x509-limbo-deviations.md");

/// The instant of cases that name none.
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

/// The cases, from the folder of shared test data.
#[expect(
    clippy::disallowed_methods,
    reason = "test data lies where the environment says"
)]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn cases() -> Option<Value> {
    let shared = std::env::var("WRIT_SHARED").map_or_else(
        |_unset| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    match std::fs::read(shared.join("vectors/x509-limbo/limbo.json.zst")) {
        Ok(bytes) => {
            let text = zstd::decode_all(bytes.as_slice()).unwrap();
            Some(Value::parse(&text, &JsonLimits::DOCUMENT).unwrap())
        }
        Err(absent) => {
            let required = std::env::var("WRIT_REQUIRE_SHARED").is_ok();
            assert!(!required, "x509-limbo: {absent}");
            eprintln!("SKIPPED: x509-limbo needs WRIT_SHARED ({absent})");
            None
        }
    }
}

fn der(pem: &Value) -> Vec<u8> {
    let lines = pem.as_str().unwrap().lines();
    let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

fn certificates(case: &Value, name: &str) -> Vec<Vec<u8>> {
    let listed = case.member(name).and_then(Value::as_array).unwrap();
    listed.iter().map(der).collect()
}

/// `2024-01-01T00:00:00+00:00` or with milliseconds, always in UTC; ours always has milliseconds, and ends in `Z`.
fn instant(text: &str) -> Timestamp {
    let local = text.strip_suffix("+00:00").unwrap();
    let decimals = if local.contains('.') { "" } else { ".000" };
    Timestamp::parse(&format!("{local}{decimals}Z")).unwrap()
}

/// The verdict on a case's path: its roots are the authorities of a trust domain.
fn accepts(case: &Value) -> bool {
    let (leaf, intermediates) = (
        der(case.member("peer_certificate").unwrap()),
        certificates(case, "untrusted_intermediates"),
    );
    let roots = certificates(case, "trusted_certs");
    let anchors: Result<Vec<Anchor>, _> = roots.iter().map(|root| Anchor::parse(root)).collect();
    let Ok(anchors) = anchors else {
        return false;
    };
    let domain: TrustDomain = "limbo.example".parse().unwrap();
    let bundle = TrustBundle::of_anchors(domain, anchors);
    let text = case.member("validation_time").and_then(Value::as_str);
    let now = text.map_or(NOW, instant);
    let intermediates: Vec<&[u8]> = intermediates.iter().map(Vec::as_slice).collect();
    let mut chain = vec![leaf.as_slice()];
    chain.extend(&intermediates);
    assert!(X509Svid::verify(&chain, &bundle, now).is_err(), "no SVID");
    let too_large = chain.iter().any(|der| der.len() > X509Svid::MOST_BYTES);
    if chain.len() > X509Svid::MOST_CERTIFICATES || too_large {
        return false;
    }
    let usage = match case.member("validation_kind").and_then(Value::as_str) {
        Some("CLIENT") => KeyUsage::client_auth(),
        _ => KeyUsage::server_auth(),
    };
    verify_path(&leaf, &intermediates, &bundle, usage, now).is_ok()
}

/// The ids in the table of the given section.
fn explained(section: &str) -> Vec<&'static str> {
    let body = DEVIATIONS
        .split("\n## ")
        .find(|part| part.starts_with(section))
        .unwrap();
    let rows = body.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn every_path_is_judged_as_expected_or_for_a_reason() {
    let Some(file) = cases() else { return };
    let cases = file.member("testcases").and_then(Value::as_array).unwrap();
    assert_eq!(cases.len(), 208);
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for case in cases {
        let text = |name| case.member(name).and_then(Value::as_str).unwrap();
        match (text("expected_result"), accepts(case)) {
            ("SUCCESS", true) | ("FAILURE", false) => {}
            ("FAILURE", true) => accepted.push(text("id")),
            _ => refused.push(text("id")),
        }
    }
    accepted.sort_unstable();
    refused.sort_unstable();
    assert_eq!(refused, explained("Refused"), "paths that are refused");
}
