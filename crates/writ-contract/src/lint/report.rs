//! What lint found, in forms for programs.

use std::collections::BTreeMap;

use writ_types::{OperationId, Pointer, Value};

use super::grade::{Grade, Score};
use super::rules::{Level, Rule};
use crate::document;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The operation it is about; the first of several that share the place.
    pub operation: Option<OperationId>,
    /// Where in the document.
    pub pointer: Pointer,
    /// The line of that place, from 1, where it could be found.
    pub line: Option<u32>,
    /// What is there, in words. Quotes the document, which is a stranger's text.
    pub message: String,
}

/// One operation and its score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linted {
    /// Its id.
    pub id: OperationId,
    /// The method, upper case.
    pub method: &'static str,
    /// The path as the document writes it.
    pub path: String,
    /// Its score.
    pub score: Score,
}

/// What lint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// The operations, in the document's order of paths.
    pub operations: Vec<Linted>,
    /// Findings beyond the bound, which are not listed.
    pub left_out: usize,
}

impl Report {
    /// How many findings each rule has, the worst rules first.
    #[must_use]
    pub fn by_rule(&self) -> Vec<(Rule, usize)> {
        let mut counts: BTreeMap<Rule, usize> = BTreeMap::new();
        for finding in &self.findings {
            let count = counts.entry(finding.rule).or_default();
            *count = count.saturating_add(1);
        }
        let mut counts: Vec<(Rule, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(rule, count)| (rule.level(), std::cmp::Reverse(*count)));
        counts
    }

    /// How many operations have each grade, best first.
    #[must_use]
    pub fn by_grade(&self) -> [(Grade, usize); 5] {
        Grade::ALL.map(|grade| {
            let of_it = |linted: &&Linted| linted.score.grade() == grade;
            (grade, self.operations.iter().filter(of_it).count())
        })
    }

    /// Whether anything at least as bad was found.
    #[must_use]
    pub fn has(&self, level: Level) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.rule.level() <= level)
    }

    /// The whole report as one JSON object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let finding = |finding: &Finding| {
            let optional = |text: Option<Value>| text.unwrap_or(Value::Null);
            Value::object([
                ("rule", Value::from(finding.rule.id())),
                ("level", Value::from(finding.rule.level().as_str())),
                (
                    "operation",
                    optional(
                        finding
                            .operation
                            .as_ref()
                            .map(|id| Value::from(id.as_str())),
                    ),
                ),
                ("pointer", Value::from(finding.pointer.as_str())),
                (
                    "line",
                    optional(finding.line.map(|line| Value::from_u64(u64::from(line)))),
                ),
                ("message", Value::from(finding.message.as_str())),
            ])
        };
        let operation = |linted: &Linted| {
            Value::object([
                ("operation", Value::from(linted.id.as_str())),
                ("method", Value::from(linted.method)),
                ("path", Value::from(linted.path.as_str())),
                ("score", Value::from_u64(u64::from(linted.score.points()))),
                ("grade", Value::from(linted.score.grade().as_str())),
            ])
        };
        let grades = self
            .by_grade()
            .map(|(grade, count)| (grade.as_str(), number(count)));
        let rules = self
            .by_rule()
            .into_iter()
            .map(|(rule, count)| (rule.id(), number(count)));
        Value::object([
            ("grades", Value::object(grades)),
            ("rules", Value::object(rules)),
            (
                "operations",
                Value::Array(self.operations.iter().map(operation).collect()),
            ),
            (
                "findings",
                Value::Array(self.findings.iter().map(finding).collect()),
            ),
            ("left_out", number(self.left_out)),
        ])
    }

    /// The report as SARIF 2.1.0 (OASIS), for code scanning; `artifact` is the document's URI or relative path.
    #[must_use]
    pub fn to_sarif(&self, artifact: &str) -> Value {
        super::sarif::write(self, artifact)
    }

    /// Fills in the lines.
    pub(super) fn locate(&mut self, bytes: &[u8]) {
        let pointers: Vec<&Pointer> = self.findings.iter().map(|found| &found.pointer).collect();
        let lines = document::lines(bytes, &pointers);
        for finding in &mut self.findings {
            finding.line = lines.get(finding.pointer.as_str()).copied();
        }
    }
}

fn number(count: usize) -> Value {
    Value::from_u64(u64::try_from(count).unwrap_or(u64::MAX))
}
