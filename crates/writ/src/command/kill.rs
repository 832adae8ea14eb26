//! `writ kill`: at once; and `writ resume`.

use writ_types::Value;

use crate::cli::{KillCommand, ResumeCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &KillCommand,
) -> Result<(), Failure> {
    let (kind, name) = match command {
        KillCommand::Task { task } => ("task", task),
        KillCommand::Agent { agent } => ("agent", agent),
        KillCommand::Api { api } => ("api", api),
        KillCommand::Credential { credential } => ("credential", credential),
        KillCommand::Owner { owner } => ("owner", owner),
        KillCommand::List => return list(terminal, config).await,
    };
    let body = Value::object([(kind, Value::from(name.as_str()))]);
    let answer = OperatorClient::of(config)?.post("/v1/kill", &body).await?;
    match command {
        KillCommand::Task { .. } | KillCommand::Agent { .. } | KillCommand::List => {
            report(terminal, &answer, "killed");
        }
        KillCommand::Api { .. } | KillCommand::Credential { .. } | KillCommand::Owner { .. } => {
            stopped(terminal, &answer, (kind, name));
        }
    }
    Ok(())
}

pub(crate) async fn resume(
    terminal: Terminal,
    config: &Config,
    command: &ResumeCommand,
) -> Result<(), Failure> {
    let (kind, name) = match command {
        ResumeCommand::Api { api } => ("api", api),
        ResumeCommand::Credential { credential } => ("credential", credential),
        ResumeCommand::Owner { owner } => ("owner", owner),
    };
    let body = Value::object([(kind, Value::from(name.as_str()))]);
    let client = OperatorClient::of(config)?;
    let answer = client.post("/v1/resume", &body).await?;
    if terminal.is_json() {
        terminal.object(&answer);
    } else {
        terminal.line(&format!("{kind} {name} goes on"));
    }
    Ok(())
}

/// Says that something is stopped, what that has ended and cut, and the way back.
fn stopped(terminal: Terminal, answer: &Value, (kind, name): (&str, &str)) {
    if terminal.is_json() {
        return terminal.object(answer);
    }
    let count = |list| {
        answer
            .member(list)
            .and_then(Value::as_array)
            .map_or(0, <[Value]>::len)
    };
    let word = terminal.paint(Tone::Bad, "stopped");
    terminal.line(&format!("{word} {kind} {name}"));
    let (tasks, calls) = (count("tasks"), count("calls_cut"));
    terminal.line(&format!(
        "{tasks} tasks have ended, {calls} calls in flight were cut"
    ));
    terminal.line(&format!("it goes on with `writ resume {kind} {name}`"));
}

async fn list(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    let answer = OperatorClient::of(config)?.get("/v1/stops").await?;
    if terminal.is_json() {
        terminal.object(&answer);
        return Ok(());
    }
    let stops = answer.as_array().unwrap_or_default();
    if stops.is_empty() {
        terminal.line("nothing is stopped");
    }
    for stop in stops {
        let text = |name| {
            stop.member(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let over = match stop.member("holds").and_then(Value::as_bool) {
            Some(false) => ", and replaced since",
            Some(true) | None => "",
        };
        terminal.line(&format!(
            "{} {} since {} by {}{over}",
            text("kind"),
            text("name"),
            text("since"),
            text("by")
        ));
    }
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
