//! SARIF 2.1.0: the form that code scanning reads.

use writ_types::{Digest, Value};

use super::report::{Finding, Report};
use super::rules::{Level, Rule};

/// The schema that the log says it follows (SARIF 2.1.0 §3.13.3).
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole log: one run.
pub(super) fn write(report: &Report, artifact: &str) -> Value {
    let rules = Rule::ALL.iter().map(|rule| descriptor(*rule)).collect();
    let driver = Value::object([
        ("name", Value::from("writ")),
        ("semanticVersion", Value::from(env!("CARGO_PKG_VERSION"))),
        ("rules", Value::Array(rules)),
    ]);
    let results = report
        .findings
        .iter()
        .map(|finding| result(finding, artifact));
    let run = Value::object([
        ("tool", Value::object([("driver", driver)])),
        // §3.14.17: columns count characters as the document's readers do; regions here have lines alone.
        ("columnKind", Value::from("unicodeCodePoints")),
        ("results", Value::Array(results.collect())),
    ]);
    Value::object([
        ("$schema", Value::from(SCHEMA)),
        ("version", Value::from("2.1.0")),
        ("runs", Value::Array(vec![run])),
    ])
}

/// §3.49: what a rule is.
fn descriptor(rule: Rule) -> Value {
    let text = |text: &str| Value::object([("text", Value::from(text))]);
    let help = format!("{}\n\nFix: {}", rule.why(), rule.fix());
    Value::object([
        ("id", Value::from(rule.id())),
        ("shortDescription", text(rule.title())),
        ("fullDescription", text(rule.why())),
        ("help", text(&help)),
        (
            "defaultConfiguration",
            Value::object([("level", Value::from(level(rule.level())))]),
        ),
    ])
}

/// §3.27: one finding.
fn result(finding: &Finding, artifact: &str) -> Value {
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule);
    let mut place = vec![(
        "artifactLocation",
        Value::object([("uri", Value::from(uri(artifact)))]),
    )];
    if let Some(line) = finding.line {
        let line = Value::from_u64(u64::from(line));
        place.push(("region", Value::object([("startLine", line)])));
    }
    let mut logical = vec![("fullyQualifiedName", Value::from(finding.pointer.as_str()))];
    if let Some(operation) = &finding.operation {
        logical.push(("name", Value::from(operation.as_str())));
    }
    let location = Value::object([
        ("physicalLocation", Value::object(place)),
        (
            "logicalLocations",
            Value::Array(vec![Value::object(logical)]),
        ),
    ]);
    // Stays the same while lines move.
    let fingerprint = Digest::of_parts(&[
        finding.rule.id().as_bytes(),
        b"\0",
        finding.pointer.as_str().as_bytes(),
    ]);
    Value::object([
        ("ruleId", Value::from(finding.rule.id())),
        (
            "ruleIndex",
            Value::from_u64(index.and_then(|at| u64::try_from(at).ok()).unwrap_or(0)),
        ),
        ("level", Value::from(level(finding.rule.level()))),
        (
            "message",
            Value::object([("text", Value::from(finding.message.as_str()))]),
        ),
        ("locations", Value::Array(vec![location])),
        (
            "partialFingerprints",
            Value::object([("ruleAndPointer/v1", Value::from(fingerprint.to_string()))]),
        ),
    ])
}

/// §3.27.10.
fn level(level: Level) -> &'static str {
    level.as_str()
}

/// A relative path as a URI reference (RFC 3986 §4.2): what is no unreserved character or slash is escaped.
fn uri(artifact: &str) -> String {
    let mut uri = String::new();
    for byte in artifact.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
