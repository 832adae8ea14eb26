//! The official conformance suite, once against the server itself and once through Writ: what passes there passes here.
//!
//! The suite has no way to prove a key, so it goes through [`crate::shim`]; token, proof, decision and record are those of any
//! other caller. `conformance.txt` lists what differs, with the reason; what is listed and passes all the same is an error too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use writ_testkit::{json, runtime};
use writ_types::Value;

use crate::node;
use crate::server::Stage;

const EXPLAINED: &str = include_str!("conformance.txt");
const SUITE: &str = "@modelcontextprotocol/conformance/dist/index.js";
/// What the suite writes after the name of a scenario: `-2026-07-28T12-34-56-789Z`.
const STAMP: usize = 25;

/// The checks of one run: scenario, check and its name, and whether it succeeded whenever it was made.
type Checks = BTreeMap<(String, String), bool>;

#[test]
fn what_passes_directly_in_2026_07_28_passes_through_writ() {
    compare("2026-07-28", "2026-07-28", 150);
}

#[test]
fn what_passes_directly_in_2025_11_25_passes_through_writ() {
    compare("2025-11-25", "2026-07-28", 83);
}

#[test]
fn what_passes_directly_in_2025_11_25_passes_through_writ_and_a_session_with_the_server() {
    compare("2025-11-25", "2025-11-25", 83);
}

/// Compares the checks of a client's revision, with a server that Writ speaks to in another, or in the same.
fn compare(revision: &str, upstream: &str, least: usize) {
    if node::folder().is_none() {
        return;
    }
    let [direct, through] = runtime().block_on(async {
        let stage = Stage::open_in(upstream).await;
        let [direct, through] = stage.endpoints().await;
        [run(&direct, revision).await, run(&through, revision).await]
    });
    let passed = |checks: &Checks| -> BTreeSet<(String, String)> {
        let good = checks.iter().filter(|(_, good)| **good);
        good.map(|(check, _)| check.clone()).collect()
    };
    let (direct, through) = (passed(&direct), passed(&through));
    assert!(direct.len() >= least, "{} pass directly", direct.len());
    let missing: Vec<_> = direct.difference(&through).collect();
    let explained = explained(revision, upstream);
    let is_told = |(scenario, check): &(String, String)| {
        explained
            .iter()
            .any(|(one, which)| one == scenario && (which == "*" || which == check))
    };
    let untold: Vec<_> = missing.iter().filter(|check| !is_told(check)).collect();
    assert!(
        untold.is_empty(),
        "pass directly and not through Writ, {} of {}: {untold:#?}",
        untold.len(),
        direct.len()
    );
    let stale: Vec<_> = explained
        .iter()
        .filter(|(scenario, which)| {
            !missing
                .iter()
                .any(|(one, check)| one == scenario && (which == "*" || which == check))
        })
        .collect();
    assert!(
        stale.is_empty(),
        "explained, and passing all the same: {stale:#?}"
    );
}

async fn run(url: &str, revision: &str) -> Checks {
    let results = tempfile::tempdir().unwrap();
    let folder = results.path().to_str().unwrap();
    let arguments = [
        "server",
        "--url",
        url,
        "--requirements",
        revision,
        "-o",
        folder,
    ];
    let (_, said) = node::run(SUITE, &arguments).await;
    let checks = read(results.path());
    assert!(!checks.is_empty(), "{said}");
    checks
}

fn read(results: &Path) -> Checks {
    let mut checks = Checks::new();
    for entry in std::fs::read_dir(results).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let scenario = name.strip_prefix("server-").unwrap();
        let scenario = scenario
            .get(..scenario.len().saturating_sub(STAMP))
            .unwrap();
        let text = std::fs::read_to_string(entry.path().join("checks.json")).unwrap();
        for check in json(&text).as_array().unwrap() {
            let word = |name: &str| check.member(name).and_then(Value::as_str).unwrap();
            let key = (
                scenario.to_owned(),
                format!("{} {}", word("id"), word("name")),
            );
            let good = word("status") == "SUCCESS";
            checks
                .entry(key)
                .and_modify(|all| *all &= good)
                .or_insert(good);
        }
    }
    checks
}

/// The lines of `conformance.txt` for a client's revision, whatever the server's is or for that (`client+server`): scenario,
/// and a check or `*`.
fn explained(revision: &str, upstream: &str) -> Vec<(String, String)> {
    let both = format!("{revision}+{upstream}");
    let lines = EXPLAINED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (own, rest) = line.split_once(' ').unwrap();
        let (scenario, check) = rest.split_once(' ').unwrap();
        (own == revision || own == both).then(|| (scenario.to_owned(), check.to_owned()))
    };
    lines.filter_map(split).collect()
}
