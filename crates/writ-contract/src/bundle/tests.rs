use std::collections::BTreeMap;

use super::{Bundle, Bundler};
use crate::fixture::{api, operation};
use crate::{Contract, Reviews};

/// Bundles a folder; the first file is `api/openapi.yaml`.
fn bundled(files: &[(&str, &str)]) -> Option<Bundle> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let root = "api/openapi.yaml";
    let mut bundler = Bundler::new(root, files[root].as_bytes()).unwrap();
    while let Some(path) = bundler.wanted().map(str::to_owned) {
        assert!(
            !path.starts_with('/') && !path.split('/').any(|part| part == ".."),
            "{path}"
        );
        match files.get(path.as_str()) {
            Some(text) => bundler.give(&path, text.as_bytes()),
            None => bundler.absent(&path, "it is not there"),
        }
    }
    bundler.finish()
}

const ROOT: &str = "openapi: 3.0.3
info: {title: t, version: '1'}
paths:
  /pets/{id}: {$ref: 'paths/pet.yaml#/item'}
  /away: {get: {operationId: away, parameters: [{$ref: 'https://example.org/x.yaml#/a'}]}}
  /out: {get: {operationId: out, parameters: [{$ref: '../../etc/passwd'}]}}
  /gone: {get: {operationId: gone, parameters: [{$ref: 'gone.yaml'}]}}
components:
  schemas:
    Id: {type: integer}
";
const PET: &str = "item:
  parameters: [{name: id, in: path, required: true, schema: {$ref: '../openapi.yaml#/components/schemas/Id'}}]
  post:
    operationId: savePet
    requestBody: {required: true, content: {application/json: {schema: {$ref: '../models/a%20pet.json'}}}}
";
const MODEL: &str = r##"{"type":"object","additionalProperties":false,"properties":{"name":{"$ref":"#/$defs/Name"},"friend":{"$ref":"a%20pet.json"}},"$defs":{"Name":{"type":"string"}}}"##;

#[test]
fn many_files_become_one_that_needs_no_other() {
    let bundle = bundled(&[
        ("api/openapi.yaml", ROOT),
        ("api/paths/pet.yaml", PET),
        ("api/models/a pet.json", MODEL),
    ])
    .unwrap();
    assert_eq!(bundle.files, 2);
    let absent: Vec<&str> = bundle.absent.keys().map(String::as_str).collect();
    assert_eq!(
        absent,
        ["api/gone.yaml"],
        "asked for in the folder, and nowhere else"
    );
    let (contract, diagnostics) =
        Contract::compile(&api(), bundle.document.as_bytes(), &Reviews::default());
    let contract = contract.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let refused: Vec<&str> = contract
        .refused()
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(
        refused,
        ["away", "gone", "out"],
        "each by its name, the rest load"
    );
    let places: Vec<_> = operation(&contract, "savePet")
        .coverage()
        .iter()
        .map(|(place, _)| place.to_owned())
        .collect();
    assert!(places.contains(&"/body/name".to_owned()), "{places:?}");
}

#[test]
fn what_needs_no_other_file_stays_as_it_is() {
    let alone = "openapi: 3.0.3\ninfo: {title: t}\npaths: {/x: {$ref: '#/y'}}\n";
    assert_eq!(bundled(&[("api/openapi.yaml", alone)]), None);
}

#[test]
fn nothing_outside_the_folder_is_ever_asked_for() {
    for reference in [
        "../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "//host/x",
        "C:/x",
        "..\\\\..\\\\x",
        "%2e%2e%5cx",
        "x%3Ay",
        "x%0Ay",
        "x%00y",
        "x?y",
    ] {
        let text =
            format!("{{\"openapi\":\"3.0.3\",\"paths\":{{\"/x\":{{\"$ref\":\"{reference}\"}}}}}}");
        let bundler = Bundler::new("a/openapi.yaml", text.as_bytes()).unwrap();
        assert_eq!(bundler.wanted(), None, "{reference}");
    }
}

#[test]
fn dots_in_a_name_lead_nowhere() {
    for (reference, file) in [
        ("a..b.yaml", "api/a..b.yaml"),
        ("..b.yaml", "api/..b.yaml"),
        ("./../b...yaml", "b...yaml"),
    ] {
        let text =
            format!("{{\"openapi\":\"3.0.3\",\"paths\":{{\"/x\":{{\"$ref\":\"{reference}\"}}}}}}");
        let bundler = Bundler::new("api/openapi.yaml", text.as_bytes()).unwrap();
        assert_eq!(bundler.wanted(), Some(file), "{reference}");
    }
}

#[test]
fn files_that_refer_to_each_other_end() {
    let bundle = bundled(&[
        (
            "api/openapi.yaml",
            "openapi: 3.0.3\npaths: {/x: {$ref: a.yaml}}\n",
        ),
        ("api/a.yaml", "$ref: b.yaml\n"),
        ("api/b.yaml", "$ref: a.yaml\n"),
    ])
    .unwrap();
    let (contract, diagnostics) =
        Contract::compile(&api(), bundle.document.as_bytes(), &Reviews::default());
    assert_eq!(contract.unwrap().operations().count(), 0);
    assert!(
        diagnostics
            .iter()
            .any(|found| found.message.contains("circle")),
        "{diagnostics:?}"
    );
}
