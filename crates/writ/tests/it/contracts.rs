//! What the command line says about documents, as a person and a build would use it.

use std::path::Path;
use std::process::{Command, Output};

use writ_types::{JsonLimits, Value};

/// Runs `writ` in a folder without a project.
fn writ(folder: &Path, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_writ"));
    command.args(arguments).current_dir(folder).output().ok()
}

/// What it printed, as JSON.
fn json(folder: &Path, arguments: &[&str]) -> Option<Value> {
    let output = writ(folder, arguments)?;
    Value::parse(&output.stdout, &JsonLimits::DOCUMENT).ok()
}

const DOCUMENT: &str = r#"{"openapi": "3.0.3",
 "paths": {"/zones": {"get": {
  "operationId": "listZones",
  "summary": "List all zones",
  "deprecated": true}}}}"#;

#[test]
fn lint_names_place_reason_and_fix_and_fails_from_the_chosen_level() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dns.json"), DOCUMENT).unwrap();
    let said = writ(folder.path(), &["api", "lint", "dns.json"]).unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success());
    for part in [
        "warning operation-deprecated (1)",
        "  why  ",
        "  fix  ",
        "dns.json:5 /paths/~1zones/get/deprecated listZones: GET /zones",
        "dns.json: 1 operations (",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }

    let report = json(folder.path(), &["--json", "api", "lint", "dns.json"]).unwrap();
    let operations = report.member("operations").unwrap().as_array().unwrap();
    assert_eq!(
        operations[0].member("operation"),
        Some(&Value::from("listZones"))
    );
    assert!(operations[0].member("grade").is_some());
    let sarif = json(folder.path(), &["api", "lint", "dns.json", "--sarif"]).unwrap();
    assert_eq!(sarif.member("version"), Some(&Value::from("2.1.0")));

    for (level, code) in [("error", 0), ("warning", 1), ("note", 1), ("fatal", 2)] {
        let said = writ(
            folder.path(),
            &["api", "lint", "dns.json", "--fail-on", level],
        )
        .unwrap();
        assert_eq!(said.status.code(), Some(code), "{level}: {said:?}");
    }
    for (what, code) in [("none.json", 2), ("dns", 1)] {
        let said = writ(folder.path(), &["api", "lint", what]).unwrap();
        assert_eq!(said.status.code(), Some(code), "{what}: {said:?}");
    }
    std::fs::write(folder.path().join("bad.json"), "{\"a\":1,\n\"a\":2}").unwrap();
    let said = writ(folder.path(), &["api", "lint", "bad.json"]).unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.status.code() == Some(1) && text.contains("bad.json:2"),
        "{text}"
    );
}

#[test]
fn diff_says_what_an_approved_agent_could_newly_do_and_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    let wider = DOCUMENT.replace(
        "\"deprecated\": true}",
        "\"deprecated\": true, \"parameters\": [{\"name\": \"force\", \"in\": \"query\", \"schema\": {\"type\": \"boolean\"}}]},
         \"delete\": {\"operationId\": \"deleteZones\"}",
    );
    std::fs::write(folder.path().join("old.json"), DOCUMENT).unwrap();
    std::fs::write(folder.path().join("new.json"), wider).unwrap();
    let said = writ(folder.path(), &["api", "diff", "old.json", "new.json"]).unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(2));
    let added = text
        .find("irreversible: DELETE /zones (1): deleteZones")
        .unwrap();
    let widened = text
        .find("read listZones: new-optional-request-parameter; query force: new")
        .unwrap();
    assert!(added < widened, "{text}");
    let same = writ(folder.path(), &["api", "diff", "old.json", "old.json"]).unwrap();
    assert_eq!(same.status.code(), Some(0), "{same:?}");

    let diff = json(
        folder.path(),
        &["--json", "api", "diff", "old.json", "new.json"],
    )
    .unwrap();
    let rules: Vec<&str> = diff
        .member("changes")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change.member("rule").unwrap().as_str().unwrap())
        .collect();
    assert_eq!(rules, ["endpoint-added", "new-optional-request-parameter"]);
    std::fs::write(folder.path().join("bad.json"), "[]").unwrap();
    let bad = writ(folder.path(), &["api", "diff", "old.json", "bad.json"]).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
}

/// A file, what it holds, and what is said of it: the file, a line and a pointer.
fn bad_documents() -> [(&'static str, Vec<u8>, Vec<&'static str>); 9] {
    let of_paths = |paths: &str| {
        format!("openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths:\n{paths}").into_bytes()
    };
    let deep = |open: &str, close: &str| (open.repeat(5_000) + &close.repeat(5_000)).into_bytes();
    [
        (
            "empty.yaml",
            Vec::new(),
            vec!["empty.yaml:1: the document is empty"],
        ),
        (
            "none.yaml",
            b"hello: world".to_vec(),
            vec!["none.yaml:1: not an OpenAPI 3.0,"],
        ),
        (
            "other.yaml",
            b"info: {}\nopenapi: 4.0.0".to_vec(),
            vec!["other.yaml:2: not an", "(at `/openapi`)"],
        ),
        (
            "broken.json",
            b"{\"openapi\": \"3.0.3\",\n}".to_vec(),
            vec!["broken.json:2: not strict JSON"],
        ),
        (
            "twice.yaml",
            of_paths("  /a:\n    get: {}\n    get: {}"),
            vec![
                "twice.yaml:6: the key `get` stands twice",
                "(at `/paths/~1a`)",
            ],
        ),
        (
            "deep.json",
            deep("{\"a\":", "}"),
            vec![
                "deep.json:1: not strict JSON: nested too deeply (at `/a/a/a",
                "…`)",
            ],
        ),
        (
            "deep.yaml",
            deep("- ", ""),
            vec!["deep.yaml:1: nested too deeply (at `/0/0/0", "…`)"],
        ),
        (
            "large.json",
            vec![b' '; 64 * 1024 * 1024 + 1],
            vec!["large.json: the document is larger than 67108864 bytes"],
        ),
        (
            "remote.yaml",
            of_paths(
                "  /a:\n    post:\n      operationId: makeA\n      requestBody:\n        content:\n          application/json:\n            schema: {$ref: 'https://example.com/a.json'}\n      responses: {}\n  /b:\n    $ref: 'http://example.com/b.yaml'\n  \"/c\\e[31m\":\n    get: {$ref: 'file:///etc/passwd'}\n",
            ),
            vec![
                "remote.yaml:10: `makeA`: a reference out of the document is never fetched",
                "(at `/paths/~1a/post/requestBody/content/application~1json/schema`)",
                "remote.yaml:12: `/b`: a reference out of the document is never fetched",
                "(at `/paths/~1b`)",
                // A terminal obeys nothing in it.
                "(at `/paths/~1c\u{FFFD}[31m/get`)",
            ],
        ),
    ]
}

#[test]
fn what_is_no_document_is_refused_where_it_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expect) in bad_documents() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let said = writ(
            folder.path(),
            &["api", "import", name, "--check", "--id", "x"],
        )
        .unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        for part in expect {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
    // What has no end is not read to it.
    let endless = ["api", "import", "/dev/zero", "--check", "--id", "x"];
    let said = writ(folder.path(), &endless).unwrap();
    let text = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains("larger than 67108864 bytes"), "{text}");
}
