//! Agent-readiness lint: what in a document will make an agent call it wrongly, or the gateway govern it badly.
//!
//! Each [`Rule`] says why it hurts when the caller is an agent and what mends it. Findings have a place; operations have a
//! [`Score`]. The rules look at the document alone: no network, no clock, no model.

mod access;
mod effects;
mod grade;
mod input;
mod naming;
mod output;
mod paths;
mod report;
mod rules;
mod sarif;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{OperationId, Pointer, Value};

use crate::diagnostic::Sink;
use crate::document;
use crate::outline::Outline;
use crate::overlay;

pub(crate) use paths::anonymous;

pub use grade::{Grade, Score};
pub use report::{Finding, Linted, Report};
pub use rules::{Level, Rule};

/// Most findings kept; the report says how many more there were.
const MOST_FINDINGS: usize = 100_000;

/// Lints a document: JSON or YAML, OpenAPI 3.x or Swagger 2.0.
///
/// # Errors
///
/// The bytes are no such document, and why.
pub fn lint(bytes: &[u8]) -> Result<Report, NotLinted> {
    lint_overlaid(bytes, None)
}

/// Lints a document as its owner's overlay leaves it, which is how a contract's operations get their grades.
///
/// # Errors
///
/// As [`lint`]; or the overlay is none, or says nothing somewhere.
pub fn lint_overlaid(bytes: &[u8], overlay: Option<&str>) -> Result<Report, NotLinted> {
    let mut value = document::read(bytes).map_err(|fault| NotLinted {
        line: fault.line,
        pointer: fault.pointer,
        message: fault.message,
    })?;
    if let Some(text) = overlay {
        // As a contract is compiled: what a vendor says in our words does not count, and a target finds what is referred to.
        overlay::strip(&mut value, &mut Sink::default());
        document::inline(&mut value);
        overlay::overlay(text, &mut value).map_err(|faults| {
            let first = faults.into_iter().next();
            let (line, pointer, message) = first.map_or_else(
                || (None, Pointer::root(), "it says nothing".to_owned()),
                |first| (first.line, first.pointer, first.message),
            );
            NotLinted {
                line,
                pointer,
                message: format!("the overlay: {message}"),
            }
        })?;
    }
    let outline = Outline::of(&value).ok_or_else(|| NotLinted {
        line: Some(1),
        pointer: Pointer::root(),
        message: crate::reader::NO_DOCUMENT.to_owned(),
    })?;
    let mut found = Found::of(&outline, MOST_FINDINGS);
    found.look(&outline);
    let mut report = found.into_report(&outline);
    report.locate(bytes);
    Ok(report)
}

/// The scores of a document's operations; those of an operation that is there twice are the worse of the two.
pub(crate) fn scores(document: &Value) -> BTreeMap<OperationId, Score> {
    let mut scores = BTreeMap::new();
    let Some(outline) = Outline::of(document) else {
        return scores;
    };
    let mut found = Found::of(&outline, 0);
    found.look(&outline);
    for (id, tally) in found.ids.into_iter().zip(&found.tallies) {
        let score = tally.score();
        let worst = scores.entry(id).or_insert(score);
        *worst = score.min(*worst);
    }
    scores
}

/// A document that cannot be linted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at `{pointer}`)")]
pub struct NotLinted {
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// Where in the document.
    pub pointer: Pointer,
    /// What is wrong.
    pub message: String,
}

/// What the rules have found so far.
#[derive(Debug)]
struct Found {
    findings: Vec<Finding>,
    /// A place shared by several operations is one finding, and counts for each of them.
    known: BTreeSet<(Rule, Pointer)>,
    tallies: Vec<grade::Tally>,
    ids: Vec<OperationId>,
    /// Most findings kept.
    most: usize,
    left_out: usize,
}

impl Found {
    fn of(outline: &Outline<'_>, most: usize) -> Self {
        let ids: Vec<OperationId> = outline
            .operations
            .iter()
            .map(|operation| operation.id.clone())
            .collect();
        Self {
            findings: Vec::new(),
            known: BTreeSet::new(),
            tallies: ids.iter().map(|_| grade::Tally::default()).collect(),
            ids,
            most,
            left_out: 0,
        }
    }

    /// Asks every rule.
    fn look(&mut self, outline: &Outline<'_>) {
        naming::check(outline, self);
        input::check(outline, self);
        output::check(outline, self);
        effects::check(outline, self);
        access::check(outline, self);
        paths::check(outline, self);
        texts::check(outline, self);
    }

    /// A finding about an operation, by its place in the outline.
    fn of_operation(
        &mut self,
        rule: Rule,
        operation: usize,
        pointer: Pointer,
        message: impl Into<String>,
    ) {
        if let Some(tally) = self.tallies.get_mut(operation) {
            tally.add(rule);
        }
        let id = self.ids.get(operation).cloned();
        self.push(rule, id, pointer, &message.into());
    }

    /// A finding about the document.
    fn of_document(&mut self, rule: Rule, pointer: Pointer, message: impl Into<String>) {
        self.push(rule, None, pointer, &message.into());
    }

    fn push(
        &mut self,
        rule: Rule,
        operation: Option<OperationId>,
        pointer: Pointer,
        message: &str,
    ) {
        if self.findings.len() >= self.most {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        if self.known.insert((rule, pointer.clone())) {
            self.findings.push(Finding {
                rule,
                operation,
                pointer,
                line: None,
                // A document is a stranger's text, and a finding is shown in a terminal.
                message: message.replace(char::is_control, "\u{FFFD}"),
            });
        }
    }

    fn into_report(self, outline: &Outline<'_>) -> Report {
        let operations = outline
            .operations
            .iter()
            .zip(&self.tallies)
            .map(|(operation, tally)| Linted {
                id: operation.id.clone(),
                method: operation.method,
                path: operation.path.to_owned(),
                score: tally.score(),
            })
            .collect();
        let mut findings = self.findings;
        findings.sort_by(|left, right| {
            (left.rule.level(), left.rule, &left.pointer).cmp(&(
                right.rule.level(),
                right.rule,
                &right.pointer,
            ))
        });
        Report {
            findings,
            operations,
            left_out: self.left_out,
        }
    }
}

/// At most 60 characters of a stranger's text, for a message.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
