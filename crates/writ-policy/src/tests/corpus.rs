//! The Cedar project's own integration corpus (fuzzed policies, entities and requests with the answers that all its
//! implementations agree on), through the same door as our decisions.
//!
//! The one difference is on purpose: where any policy errs, Cedar skips it and we deny.

use std::path::{Path, PathBuf};
use std::process::Command;

use cedar_policy::{Context, Entities, EntityUid, PolicySet, Request, Schema};
use serde_json::Value;
use writ_types::ReasonCode;

use crate::decide::Outcome;

fn var(name: &str) -> Option<String> {
    let named = std::env::vars().find(|(key, _)| key == name);
    named.map(|(_, value)| value)
}

/// The corpus in the shared folder of test vectors, if there is one.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let found = var("WRIT_SHARED").map_or(beside, PathBuf::from);
    let corpus = found.join("vectors/cedar/corpus-tests.tar.gz");
    if corpus.exists() {
        return Some(corpus);
    }
    assert!(
        var("WRIT_REQUIRE_SHARED").is_none(),
        "{} is not there",
        corpus.display()
    );
    skipped();
    None
}

#[expect(clippy::print_stderr, reason = "a test that did not run must say so")]
fn skipped() {
    eprintln!("SKIPPED: the Cedar corpus needs WRIT_SHARED");
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    requests: usize,
    allowed: usize,
    denied: usize,
    erred: usize,
}

/// Compares one test file; what it has that the public API of Cedar does not read is an error of ours.
fn compare(root: &Path, file: &Path, seen: &mut Seen) {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let test: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let text = |name: &str| test[name].as_str().unwrap();
    let policies: PolicySet = read(text("policies")).parse().unwrap();
    let (schema, _) = Schema::from_cedarschema_str(&read(text("schema"))).unwrap();
    let entities: Value = serde_json::from_str(&read(text("entities"))).unwrap();
    let entities = Entities::from_json_value(entities, Some(&schema)).unwrap();
    for request in test["requests"].as_array().unwrap() {
        let uid = |name: &str| EntityUid::from_json(request[name].clone()).unwrap();
        let (principal, action, resource) = (uid("principal"), uid("action"), uid("resource"));
        let context =
            Context::from_json_value(request["context"].clone(), Some((&schema, &action))).unwrap();
        let asked = Request::new(principal, action, resource, context, None).unwrap();
        let mut outcome = Outcome::default();
        outcome.add(&asked, &policies, &entities);
        let names = |member: &str| {
            let mut names: Vec<String> = request[member]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        let allow = request["decision"] == "allow";
        let mut reasons = if allow {
            outcome.permits.clone()
        } else {
            outcome.forbids.clone()
        };
        reasons.sort();
        assert_eq!(
            reasons,
            names("reason"),
            "{} {}",
            file.display(),
            request["description"]
        );
        let mut errors: Vec<String> = outcome.errors.iter().map(|(id, _)| id.clone()).collect();
        errors.sort();
        assert_eq!(
            errors,
            names("errors"),
            "{} {}",
            file.display(),
            request["description"]
        );
        let ours = outcome.verdict();
        if errors.is_empty() {
            assert_eq!(
                ours.is_ok(),
                allow,
                "{} {}",
                file.display(),
                request["description"]
            );
        } else {
            assert_eq!(ours.unwrap_err().reason, ReasonCode::PolicyError);
            seen.erred = seen.erred.saturating_add(1);
        }
        seen.requests = seen.requests.saturating_add(1);
        seen.allowed = seen.allowed.saturating_add(usize::from(allow));
        seen.denied = seen.denied.saturating_add(usize::from(!allow));
    }
}

#[test]
fn cedars_corpus_decides_alike_except_that_an_error_denies() {
    let Some(archive) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.path().join("corpus-tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(".json") && !name.ends_with(".entities.json")
        })
        .collect();
    files.sort();
    // All of it takes a minute and a half without optimisation: a tenth while working, everything in the full run.
    let step = if var("WRIT_REQUIRE_SHARED").is_some() {
        1
    } else {
        10
    };
    let mut seen = Seen::default();
    for file in files.iter().step_by(step) {
        compare(folder.path(), file, &mut seen);
    }
    assert!(
        files.len() > 7_000 && seen.requests.saturating_mul(step) > 50_000,
        "{seen:?}"
    );
    assert!(
        seen.allowed > 100 && seen.denied > 100 && seen.erred > 10,
        "{seen:?}"
    );
}
