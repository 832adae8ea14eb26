//! `writ api lint`: what in a document will make an agent call it wrongly.

use std::path::Path;

use writ_contract::lint::{Finding, Grade, Level, Linted, Report, Rule, lint_overlaid};

use super::documents;
use crate::cli::LintArgs;
use crate::failure::Failure;
use crate::terminal::{Terminal, Tone};

/// Places shown for a rule unless all are asked for.
const SHOWN: usize = 3;
/// Operations shown for the worst grades.
const WORST: usize = 10;

pub(super) fn run(terminal: Terminal, config: &Path, args: &LintArgs) -> Result<(), Failure> {
    let mut document = documents::read(config, &args.document)?;
    if let Some(file) = &args.overlay {
        document.overlay = Some(documents::text(file)?);
    }
    let report = lint_overlaid(&document.bytes, document.overlay.as_deref());
    let report = report.map_err(|fault| {
        let line = fault
            .line
            .map(|line| format!(":{line}"))
            .unwrap_or_default();
        let message = format!("{}{line} is no contract that can be linted", document.name);
        Failure::new(message).detail(fault.to_string())
    })?;
    if args.sarif {
        terminal.object(&report.to_sarif(&document.name));
    } else if terminal.is_json() {
        terminal.object(&report.to_value());
    } else {
        print(terminal, &document.name, &report, args);
    }
    match args.fail_on {
        Some(level) if report.has(level) => Err(Failure::new(format!(
            "{} has findings of level `{level}` or worse",
            document.name
        ))),
        Some(_) | None => Ok(()),
    }
}

fn tone(level: Level) -> Tone {
    match level {
        Level::Error => Tone::Bad,
        Level::Warning => Tone::Warn,
        Level::Note => Tone::Faint,
    }
}

fn print(terminal: Terminal, name: &str, report: &Report, args: &LintArgs) {
    for (rule, count) in report.by_rule() {
        let level = terminal.paint(tone(rule.level()), rule.level().as_str());
        let title = terminal.paint(Tone::Strong, rule.id());
        terminal.line(&format!("{level} {title} ({count}): {}", rule.title()));
        terminal.line(&format!("  why  {}", rule.why()));
        terminal.line(&format!("  fix  {}", rule.fix()));
        let of_rule = || report.findings.iter().filter(|found| found.rule == rule);
        let most = if args.all { count } else { SHOWN };
        for found in of_rule().take(most) {
            terminal.line(&format!("  {}", place(name, found, rule)));
        }
        if count > most {
            let rest = count.saturating_sub(most);
            terminal.line(&terminal.paint(Tone::Faint, &format!("  … {rest} more (--all)")));
        }
        terminal.line("");
    }
    if report.left_out > 0 {
        terminal.line(&format!(
            "{} more findings are not listed\n",
            report.left_out
        ));
    }
    worst(terminal, report, args);
    let grades: Vec<String> = report
        .by_grade()
        .iter()
        .map(|(grade, count)| format!("{grade} {count}"))
        .collect();
    terminal.line(&format!(
        "{name}: {} operations ({}), {} findings",
        report.operations.len(),
        grades.join(", "),
        report.findings.len()
    ));
}

/// `apis/dns.yaml:12 /paths/~1zones/get listZones: message`
fn place(name: &str, found: &Finding, rule: Rule) -> String {
    let line = found
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    let operation = found.operation.as_ref();
    let operation = operation.map(|id| format!(" {id}")).unwrap_or_default();
    let message = if found.message.is_empty() {
        rule.title()
    } else {
        &found.message
    };
    let pointer = documents::plain(found.pointer.as_str());
    format!("{name}{line} {pointer}{operation}: {message}")
}

/// The operations that a person should look at first.
fn worst(terminal: Terminal, report: &Report, args: &LintArgs) {
    let mut worst: Vec<&Linted> = report
        .operations
        .iter()
        .filter(|one| args.all || one.score.grade() >= Grade::D)
        .collect();
    worst.sort_by_key(|one| one.score);
    if !args.all {
        worst.truncate(WORST);
    }
    if worst.is_empty() {
        return;
    }
    let row = |one: &&Linted| {
        [
            one.score.grade().to_string(),
            one.score.points().to_string(),
            one.id.to_string(),
            format!("{} {}", one.method, one.path),
        ]
    };
    let rows: Vec<[String; 4]> = worst.iter().map(row).collect();
    terminal.table(["GRADE", "SCORE", "OPERATION", "ROUTE"], &rows);
    terminal.line("");
}
