//! Every OpenAPI and Swagger document of the corpus loads, or names the operations it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use writ_contract::{Contract, Reviews, Severity, Visibility};
use writ_types::ApiId;

/// The shared test data; none, loudly, if it is not there and not demanded.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
#[expect(
    clippy::disallowed_methods,
    reason = "test data is found through the environment"
)]
fn shared() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = std::env::var("WRIT_SHARED").unwrap_or_else(|_| beside.to_owned());
    let folder = PathBuf::from(folder);
    if folder.join("specs").is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var("WRIT_REQUIRE_SHARED").is_err(),
        "no shared test data in {}",
        folder.display()
    );
    eprintln!("SKIPPED: this test needs WRIT_SHARED");
    None
}

/// What is in the folder and is no OpenAPI document.
fn is_other(name: &str) -> bool {
    [
        "oasdiff/",
        "mcp/",
        "stripe/fixtures",
        "recursor-schema",
        "multifile",
        "INDEX",
    ]
    .iter()
    .any(|part| name.contains(part))
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !is_other(&path.to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::decode_all(bytes.as_slice()).unwrap()
    } else {
        bytes
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the table is what a person reads")]
fn every_document_loads_or_names_what_it_refuses() {
    let Some(shared) = shared() else { return };
    let api: ApiId = "corpus".parse().unwrap();
    let (mut total, mut refused, mut unloaded) = (0, 0, Vec::new());
    eprintln!(
        "{:<52} {:>6} {:>7} {:>6} {:>7} {:>6} {:>6}",
        "document", "loaded", "refused", "warns", "visible", "lossy", "opaque"
    );
    for path in documents(&shared.join("specs")) {
        let name = path
            .strip_prefix(shared.join("specs"))
            .unwrap()
            .display()
            .to_string();
        let (contract, diagnostics) = Contract::compile(&api, &read(&path), &Reviews::default());
        let errors = diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        let Some(contract) = contract else {
            unloaded.push(format!("{name}: {errors:?}"));
            continue;
        };
        let loaded = contract.operations().count();
        // Whoever is refused is named, with a reason.
        assert!(
            errors.len() >= contract.refused().len(),
            "{name}: {errors:?}"
        );
        for operation in contract.refused() {
            assert!(
                errors
                    .iter()
                    .any(|error| error.contains(operation.id.as_str())),
                "{name}: {} is refused without a reason",
                operation.id
            );
        }
        let seen = |visibility| -> usize {
            contract
                .operations()
                .map(|one| one.coverage().count(visibility))
                .sum()
        };
        eprintln!(
            "{name:<52} {loaded:>6} {:>7} {:>6} {:>7} {:>6} {:>6}",
            contract.refused().len(),
            diagnostics.len() - errors.len(),
            seen(Visibility::Visible),
            seen(Visibility::Lossy),
            seen(Visibility::Opaque),
        );
        for error in &errors {
            eprintln!("    {error}");
        }
        total += loaded + contract.refused().len();
        refused += contract.refused().len();
    }
    eprintln!("{total} operations, {refused} refused");
    assert!(unloaded.is_empty(), "{unloaded:#?}");
    assert!(total > 13_000, "only {total} operations were found");
    assert!(refused * 100 <= total, "{refused} of {total} are refused");
}
