//! Wycheproof's JWS and JWK vectors through our own entry point. `testdata/wycheproof-deviations.md` explains every
//! vector whose verdict differs; the list here and there must name the same ones.

use std::path::PathBuf;

use writ_types::{JsonLimits, Value};

use super::{Algorithm, Jwk, Jws, KeyPins, KeySet, KeyUse, Profile, Typ, VerifyingKey};

/// What the vectors' headers may be; the same checks as everywhere, for texts that are no tokens.
const VECTORS: Profile = Profile {
    typ: Typ::Optional(&["JWT"]),
    headers: &["alg", "kid", "typ"],
    algorithms: Algorithm::ALL,
};

const DEVIATIONS: &str = include_str!("../../testdata/wycheproof-deviations.md");

/// The vectors, from the folder of shared test data.
#[expect(
    clippy::disallowed_methods,
    reason = "test data lies where the environment says"
)]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn vectors(name: &str) -> Option<Value> {
    let shared = std::env::var("WRIT_SHARED").map_or_else(
        |_unset| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    match std::fs::read(shared.join("vectors/wycheproof").join(name)) {
        Ok(bytes) => Some(Value::parse(&bytes, &JsonLimits::DOCUMENT).unwrap()),
        Err(absent) => {
            let required = std::env::var("WRIT_REQUIRE_SHARED").is_ok();
            assert!(!required, "{name}: {absent}");
            eprintln!("SKIPPED: {name} needs WRIT_SHARED ({absent})");
            None
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value
        .member(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Every test of a file as (group, test), in order.
fn tests(file: &Value) -> Vec<(&Value, &Value)> {
    let groups = file.member("testGroups").and_then(Value::as_array).unwrap();
    let of_group = |group| {
        let tests = Value::member(group, "tests")
            .and_then(Value::as_array)
            .unwrap();
        tests.iter().map(move |test| (group, test))
    };
    groups.iter().flat_map(of_group).collect()
}

/// The key as a verifier gets it: the public form, or without one the private form whose private members a careless
/// operator published.
fn key(group: &Value) -> &Value {
    group
        .member("public")
        .or_else(|| group.member("private"))
        .unwrap()
}

/// A key of the set's pins: RSA keys without `alg` verify what the vector says they should.
fn verifying_key(key: &Value) -> Option<VerifyingKey> {
    Jwk::parse(key)
        .ok()?
        .verifying_key(KeyUse::Signature, None)
        .ok()
}

/// Compares verdicts; gives the ids of valid vectors that were refused.
fn run(file: &Value, accepts: impl Fn(&Value, &str) -> bool) -> Vec<String> {
    let mut refused = Vec::new();
    for (group, test) in tests(file) {
        let id = test.member("tcId").unwrap().to_string();
        let jws = test.member("jws").unwrap();
        let jws = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
        let accepted = accepts(key(group), &jws);
        match text(test, "result") {
            "valid" if !accepted => refused.push(id),
            "valid" => {}
            _ => assert!(
                !accepted,
                "a false accept: test {id}, {}",
                text(test, "comment")
            ),
        }
    }
    refused
}

/// The ids in the table of the given section.
fn explained(section: &str) -> Vec<String> {
    let body = DEVIATIONS
        .split("\n## ")
        .find(|part| part.starts_with(section))
        .unwrap();
    let rows = body.lines().filter_map(|line| line.strip_prefix("| "));
    let ids = rows.filter_map(|row| row.split(' ').next());
    let ids = ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    ids.map(str::to_owned).collect()
}

#[test]
fn signatures() {
    let Some(file) = vectors("json_web_signature_test.json") else {
        return;
    };
    assert_eq!(tests(&file).len(), 401);
    let refused = run(&file, |key, jws| {
        let Some(key) = verifying_key(key) else {
            return false;
        };
        let keys = KeySet::of(vec![key]).unwrap();
        Jws::parse(jws, 64 * 1024, &VECTORS)
            .and_then(|jws| jws.verify(&keys))
            .is_ok()
    });
    assert_eq!(refused, explained("json_web_signature_test"));
}

#[test]
fn keys() {
    let Some(file) = vectors("json_web_key_test.json") else {
        return;
    };
    assert_eq!(tests(&file).len(), 26);
    let refused = run(&file, |keys, jws| {
        let Ok(keys) = KeySet::parse(keys.to_string().as_bytes(), &KeyPins::default()) else {
            return false;
        };
        Jws::parse(jws, 64 * 1024, &VECTORS)
            .and_then(|jws| jws.verify(&keys))
            .is_ok()
    });
    assert_eq!(refused, explained("json_web_key_test"));
}

/// One vector of each kind, so that the rules are tested without the shared folder too.
#[test]
fn sample() {
    let sample = include_str!("../../testdata/wycheproof-sample.json");
    let file = Value::parse(sample.as_bytes(), &JsonLimits::DOCUMENT).unwrap();
    let refused = run(&file, |key, jws| {
        verifying_key(key).is_some_and(|key| {
            let keys = KeySet::of(vec![key]).unwrap();
            Jws::parse(jws, 64 * 1024, &VECTORS)
                .and_then(|jws| jws.verify(&keys))
                .is_ok()
        })
    });
    assert!(refused.is_empty(), "{refused:?}");
}
