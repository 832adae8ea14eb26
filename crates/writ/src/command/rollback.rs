//! `writ revisions` and `writ rollback`: what was in force, and going back to it.

use writ_types::Value;

use crate::cli::RollbackArgs;
use crate::command::{apply, changes};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::text;
use crate::terminal::{Terminal, Tone};

/// Most parts that are named of one revision.
const NAMED: usize = 4;

pub(crate) async fn list(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    let revisions = OperatorClient::of(config)?.get("/v1/revisions").await?;
    if terminal.is_json() {
        terminal.line(&revisions.to_string());
        return Ok(());
    }
    let rows = revisions.as_array().unwrap_or_default();
    let rows: Vec<[String; 3]> = rows.iter().map(row).collect();
    terminal.table(["REVISION", "MADE", "CHANGED"], &rows);
    let next = "the first is in force; `writ plan --to REVISION` says what going back to another would change, `writ rollback REVISION` does it";
    terminal.line(&terminal.paint(Tone::Faint, next));
    Ok(())
}

fn row(past: &Value) -> [String; 3] {
    let changed = past.member("changed").and_then(Value::as_array);
    let changed = changed.unwrap_or_default();
    let said = |part: &Value| {
        let sign = match text(part, "step").as_str() {
            "added" => "+",
            "removed" => "-",
            _ => "~",
        };
        format!("{sign}{}/{}", text(part, "part"), text(part, "name"))
    };
    let mut said: Vec<String> = changed.iter().take(NAMED).map(said).collect();
    let more = changed.len().saturating_sub(NAMED);
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    [text(past, "revision"), text(past, "made"), said.join(" ")]
}

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &RollbackArgs,
) -> Result<(), Failure> {
    let body = Value::object([
        ("revision", Value::from(args.revision.as_str())),
        ("check", Value::from(args.check)),
    ]);
    let client = OperatorClient::of(config)?;
    let answer = client.post("/v1/rollback", &body).await?;
    if changes::waits(terminal, &answer) {
        return Ok(());
    }
    if !apply::in_force(terminal, &answer) {
        terminal.line("it can be put in force: the same without `--check` does it");
    } else if !args.check && !terminal.is_json() {
        let note = "the project's files say what they said: the next `writ apply` puts them in force again; `writ plan` says what that is";
        terminal.line(&terminal.paint(Tone::Faint, note));
    }
    Ok(())
}
