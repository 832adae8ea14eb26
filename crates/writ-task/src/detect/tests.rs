//! What is found, and what is taken for it by mistake.

use super::*;

fn found(text: &str) -> String {
    let labels = Detector::labels_of(text.as_bytes());
    let words: Vec<String> = labels.iter().map(ToString::to_string).collect();
    words.join(" ")
}

/// Made-up tokens are put together here, so that nobody's scanner takes this file for a leak.
fn token(prefix: &str, length: usize) -> String {
    let letters = "aB3dE5gH7jK9mN1pQ".chars().cycle();
    prefix.chars().chain(letters.take(length)).collect()
}

#[test]
fn credentials_are_found_wherever_they_stand() {
    for text in [
        token("ghp_", 36),
        token("github_pat_", 60),
        token("glpat-", 20),
        token("xoxb-", 30),
        token("sk_live_", 24),
        token("sk-ant-", 40),
        token("AIza", 35),
        token("npm_", 36),
        token("hvs.", 24),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        token("eyJhbGciOiJI.eyJzdWIiOiIx.", 30),
        "-----BEGIN PRIVATE KEY-----".to_owned(),
        "-----BEGIN RSA PRIVATE KEY-----\\nMIIE".to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
        r#""password": "hunter2hunter2""#.to_owned(),
        r#""client_secret":"9f8e7d6c5b4a""#.to_owned(),
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI7K7MDENG".replace('=', ": "),
        format!("Authorization: Bearer {}", token("", 32)),
        "postgres://app:s3cret@db.internal/prod".to_owned(),
    ] {
        for text in [
            text.clone(),
            format!("{{\"a\":\"{text}\",\"b\":1}}"),
            format!("see ({text}), now"),
            format!("k={text}"),
        ] {
            assert!(found(&text).contains("secret"), "{text}");
        }
    }
}

#[test]
fn personal_data_is_found_by_its_form() {
    for text in [
        "ada@example.org",
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "4111111111111111",
        "4111 1111 1111 1111",
        "5500-0055-5555-5559",
        "+4915112345678",
        "+49 151 12345678",
        "078-05-1120",
    ] {
        for text in [
            text.to_owned(),
            format!("{{\"a\":\"{text}\"}}"),
            format!("it is {text}."),
        ] {
            assert_eq!(found(&text), "pii", "{text}");
        }
    }
}

/// The false positives of the field: each was somebody's.
const ORDINARY: &[&str] = &[
    "git@github.com:acme/app.git",
    "logo@2x.png",
    "noreply@example.org",
    "@alice and @bob",
    "user@host",
    "2026-11-23T08:15:30.000Z",
    "1732348800000",
    "1234567890123456",
    "0000000000000000",
    "1111 1111 1111 1111",
    "123e4567-e89b-12d3-a456-426614174000",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "version 10.15.7 build 19H2026",
    "192.0.2.1 2001:db8::1",
    "DE89",
    "GB00NWBK60161331926818",
    "ISBN 978-3-16-148410-0",
    "2026-11-23",
    "123-45-678",
    "000-12-3456",
    "+1",
    r#""password": null"#,
    r#""password": """#,
    r#""password": "string""#,
    r#""type": "password""#,
    r#""api_key": {"type": "string"}"#,
    "forgot your password? reset it here",
    "the secret of good cooking",
    "Bearer authentication is described in RFC 6750",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "sk-learn is scikit-learn",
    "ghp_short",
    "hf_transfer",
    "eyJ",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "https://example.org/users/@ada/posts",
    "lat 52.520008 lon 13.404954",
    "order 4711, invoice 2026-0001, EUR 1200.50",
];

#[test]
fn ordinary_content_raises_nothing() {
    for text in ORDINARY {
        assert_eq!(found(text), "", "{text}");
        assert_eq!(
            found(&format!("{{\"a\":\"{text}\",\"b\":2}}")),
            "",
            "{text}"
        );
    }
}

#[test]
fn where_the_bytes_are_cut_makes_no_difference() {
    let text = format!(
        "{{\"mail\":\"ada@example.org\",\"iban\":\"DE89 3704 0044 0532 0130 00\",\"k\":\"{}\"}}",
        token("ghp_", 36)
    );
    let whole = Detector::labels_of(text.as_bytes());
    assert_eq!(whole.len(), 2);
    for cut in 0..text.len() {
        let (one, two) = text.as_bytes().split_at(cut);
        let mut detector = Detector::new();
        detector.pass(one);
        detector.pass(two);
        assert_eq!(detector.end(), whole, "cut at {cut}");
    }
}

#[test]
fn a_label_is_raised_with_the_bytes_that_complete_it() {
    let mut detector = Detector::new();
    assert!(detector.pass(b"{\"mail\":\"ada@exam").is_empty());
    let labels = detector.pass(b"ple.org\",\"more\":");
    assert_eq!(labels.len(), 1, "before the bytes after it leave");
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut detector = Detector::new();
    for _ in 0..1000 {
        detector.pass(&[b'a'; 4096]);
        assert!(detector.word.capacity() <= 2 * LONGEST_WORD && detector.groups.capacity() <= 256);
    }
    for _ in 0..1000 {
        detector.pass(b"1 2 3 4 5 6 7 8 9 ");
        assert!(detector.groups.capacity() <= 256);
    }
    assert!(detector.end().is_empty());
}
