//! `writ change`: changes that take two people.

use writ_types::Value;

use crate::cli::ChangeCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &ChangeCommand,
) -> Result<(), Failure> {
    let client = OperatorClient::of(config)?;
    match command {
        ChangeCommand::List { all } => {
            let path = if *all {
                "/v1/changes?all=true"
            } else {
                "/v1/changes"
            };
            let changes = client.get(path).await?;
            if terminal.is_json() {
                terminal.line(&changes.to_string());
                return Ok(());
            }
            let row = |change: &Value| {
                ["change", "kind", "target", "state", "needs"]
                    .map(|name| text(change, name).to_owned())
            };
            let rows = changes.as_array().unwrap_or_default();
            let rows: Vec<_> = rows.iter().map(row).collect();
            terminal.table(["change", "kind", "target", "state", "needs"], &rows);
        }
        ChangeCommand::Show { change } => {
            let change = client.get(&format!("/v1/changes/{change}")).await?;
            if terminal.is_json() {
                terminal.object(&change);
                return Ok(());
            }
            for (name, value) in change.as_object().into_iter().flatten() {
                let shown = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                terminal.line(&format!("{name:<10} {shown}"));
            }
        }
        ChangeCommand::Approve { change, digest } => {
            let body = Value::object([("digest", Value::from(digest.as_str()))]);
            let path = format!("/v1/changes/{change}/approve");
            let answer = client.post(&path, &body).await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            let alone = answer.member("single_operator").and_then(Value::as_bool) == Some(true);
            let how = if alone {
                "approved by its author: there is nobody else, and the record says so"
            } else {
                "approved"
            };
            terminal.line(&format!("{} {change}", terminal.paint(Tone::Good, how)));
        }
        ChangeCommand::Refuse { change } => {
            let path = format!("/v1/changes/{change}/refuse");
            let answer = client.post(&path, &Value::object::<&str>([])).await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            terminal.line(&format!("refused {change}"));
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value
        .member(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether the answer says that a change waits; if so, it is told what to do next.
pub(super) fn waits(terminal: Terminal, answer: &Value) -> bool {
    if text(answer, "state") != "waiting" {
        return false;
    }
    if terminal.is_json() {
        terminal.object(answer);
        return true;
    }
    let (change, digest) = (text(answer, "change"), text(answer, "digest"));
    terminal.line(&format!(
        "{} {change} ({})",
        terminal.paint(Tone::Warn, "proposed, not done:"),
        text(answer, "kind")
    ));
    match text(answer, "needs") {
        "single_operator" => terminal.line(&format!(
            "there is nobody else to approve it: from {} on, sign in again (`writ login`), then",
            text(answer, "from")
        )),
        _ => terminal.line("another person approves it:"),
    }
    terminal.line(&format!("writ change approve {change} --digest {digest}"));
    true
}
