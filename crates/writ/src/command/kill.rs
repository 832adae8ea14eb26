//! `writ kill`: at once.

use writ_types::Value;

use crate::cli::KillCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &KillCommand,
) -> Result<(), Failure> {
    let body = match command {
        KillCommand::Task { task } => Value::object([("task", Value::from(task.as_str()))]),
        KillCommand::Agent { agent } => Value::object([("agent", Value::from(agent.as_str()))]),
    };
    let answer = OperatorClient::of(config)?.post("/v1/kill", &body).await?;
    report(terminal, &answer, "killed");
    Ok(())
}

/// Says what has ended and what was cut.
pub(super) fn report(terminal: Terminal, answer: &Value, word: &str) {
    if terminal.is_json() {
        return terminal.object(answer);
    }
    let list = |name| {
        answer
            .member(name)
            .and_then(Value::as_array)
            .unwrap_or_default()
    };
    if list("tasks").is_empty() {
        return terminal.line("nothing was live");
    }
    for task in list("tasks") {
        terminal.line(&format!(
            "{} {}",
            terminal.paint(Tone::Bad, word),
            task.as_str().unwrap_or_default()
        ));
    }
    terminal.line(&format!(
        "{} calls in flight were cut",
        list("calls_cut").len()
    ));
}
