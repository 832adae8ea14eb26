//! `writ audit`: the log, with nothing but the log and its public key where that is enough.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use writ_audit::VerifierKey;
use writ_control::log::verify_counting;
use writ_types::Value;

use crate::cli::{AuditCommand, VerifyArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::progress::Progress;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &AuditCommand,
) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify(terminal, config, args),
        AuditCommand::Tail { count } => {
            rows(terminal, config, &format!("/v1/records?tail={count}")).await
        }
        AuditCommand::Search { text } => {
            rows(terminal, config, &format!("/v1/records?search={text}")).await
        }
        AuditCommand::Show { index } => {
            let answer = OperatorClient::of(config)?
                .get(&format!("/v1/records?index={index}"))
                .await?;
            let row = answer.as_array().and_then(<[Value]>::first).cloned();
            let row = row.ok_or_else(|| Failure::new(format!("the log has no entry {index}")))?;
            if terminal.is_json() {
                terminal.object(&row);
            } else {
                super::ask::print(terminal, row.member("record").unwrap_or(&Value::Null), 0);
            }
            Ok(())
        }
    }
}

async fn rows(terminal: Terminal, config: &Config, path: &str) -> Result<(), Failure> {
    let answer = OperatorClient::of(config)?.get(path).await?;
    for row in answer.as_array().unwrap_or_default() {
        if terminal.is_json() {
            terminal.object(row);
        } else {
            terminal.line(&one_line(terminal, row));
        }
    }
    Ok(())
}

/// A record on one line: when, what, who, which action, how it went.
fn one_line(terminal: Terminal, row: &Value) -> String {
    let record = row.member("record").cloned().unwrap_or(Value::Null);
    let text = |name: &str| {
        record
            .member(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let index = row
        .member("index")
        .map(Value::to_string)
        .unwrap_or_default();
    let detail = |name: &str| {
        let value = record
            .member("detail")
            .and_then(|detail| detail.member(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let kind = text("kind");
    let tone = match kind.as_str() {
        "refused" | "token_refused" | "task_closed" | "alarm" => Tone::Bad,
        "intent" | "outcome" | "task_opened" | "token_issued" => Tone::Good,
        _ => Tone::Faint,
    };
    let rest: Vec<String> = [
        "action", "reason", "result", "what", "trap", "response", "purpose", "task", "call",
    ]
    .into_iter()
    .map(detail)
    .filter(|text| !text.is_empty())
    .collect();
    format!(
        "{index:>6}  {}  {}  {}",
        text("time"),
        terminal.paint(tone, &format!("{kind:<18}")),
        rest.join("  ")
    )
}

fn verify(terminal: Terminal, config: &Config, args: &VerifyArgs) -> Result<(), Failure> {
    let log: PathBuf = args.log.clone().unwrap_or_else(|| config.data.join("log"));
    // The key of the project, not the one that lies in the copy: who can alter a log can alter a key beside it.
    let key_file = args
        .key
        .clone()
        .unwrap_or_else(|| config.data.join("log").join("log.pub"));
    let key = read_key(&key_file)?;
    if !log.is_dir() {
        return Err(Failure::new(format!(
            "there is no log in {}",
            log.display()
        )));
    }
    let done = Arc::default();
    let progress = Progress::counting("verifying the log", "entries", &done);
    let report = verify_counting(&log, &key, &done);
    drop(progress);
    let report = report
        .map_err(|fault| Failure::caused(format!("cannot read {}", log.display()), &fault))?;
    if terminal.is_json() {
        let faults = report
            .faults
            .iter()
            .map(|fault| Value::from(fault.to_string()))
            .collect();
        terminal.object(&Value::object([
            ("sound", Value::from(report.is_sound())),
            ("entries", Value::from_u64(report.verified)),
            (
                "not_yet_under_a_checkpoint",
                Value::from_u64(report.uncovered),
            ),
            ("torn", Value::from(report.torn)),
            ("faults", Value::Array(faults)),
        ]));
    } else if report.is_sound() {
        terminal.line(&format!(
            "{} {} entries lead to the signed checkpoint; {} more are not yet under one",
            terminal.paint(Tone::Good, "sound:"),
            report.verified,
            report.uncovered
        ));
        if report.torn {
            let next = report.verified.saturating_add(report.uncovered);
            terminal.line(&format!(
                "{} the journal ends in a write that was cut short, where entry {next} would be: after a crash that is no fault, else it is",
                terminal.paint(Tone::Warn, "note:")
            ));
        }
    }
    if report.is_sound() {
        return Ok(());
    }
    let failure = Failure::new(format!("the log in {} was altered", log.display()));
    Err(report
        .faults
        .iter()
        .take(20)
        .fold(failure, |failure, fault| failure.detail(fault.to_string())))
}

/// Reads a log's public key (C2SP signed-note verifier key).
pub(crate) fn read_key(path: &Path) -> Result<VerifierKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|fault| {
        Failure::caused(
            format!("cannot read the log's public key from {}", path.display()),
            &fault,
        )
    })?;
    text.trim().parse().map_err(|fault: writ_audit::NoteError| {
        Failure::caused(format!("{} holds no verifier key", path.display()), &fault)
    })
}
