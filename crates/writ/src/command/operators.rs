//! `writ operator`: the people who run Writ, and those who approve.

use writ_types::Value;

use crate::cli::{OperatorCommand, OperatorRights};
use crate::command::changes;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

#[expect(clippy::too_many_lines, reason = "one arm for each command")]
pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &OperatorCommand,
) -> Result<(), Failure> {
    let client = OperatorClient::of(config)?;
    match command {
        OperatorCommand::Add(args) => {
            let mut members = rights(&args.rights);
            members.push(("name", Value::from(args.name.as_str())));
            let answer = client
                .post("/v1/operators", &Value::object(members))
                .await?;
            if changes::waits(terminal, &answer) {
                return Ok(());
            }
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            terminal.line(&format!(
                "{} {}",
                terminal.paint(Tone::Good, "registered"),
                args.name
            ));
            invitation(terminal, &answer);
        }
        OperatorCommand::Change(args) => {
            let path = format!("/v1/operators/{}", args.operator);
            let answer = client
                .post(&path, &Value::object(rights(&args.rights)))
                .await?;
            done(terminal, &answer, "changed");
        }
        OperatorCommand::Invite { operator } => {
            let path = format!("/v1/operators/{operator}/invite");
            let answer = client.post(&path, &Value::object::<&str>([])).await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            invitation(terminal, &answer);
        }
        OperatorCommand::Remove { operator } => {
            let path = format!("/v1/operators/{operator}/remove");
            let answer = client.post(&path, &Value::object::<&str>([])).await?;
            done(terminal, &answer, "removed");
        }
        OperatorCommand::List => {
            let operators = client.get("/v1/operators").await?;
            if terminal.is_json() {
                terminal.line(&operators.to_string());
                return Ok(());
            }
            let row = |operator: &Value| {
                let text = |name| {
                    operator
                        .member(name)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned()
                };
                let roles = operator
                    .member("approves")
                    .and_then(Value::as_array)
                    .unwrap_or_default();
                let roles: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
                [
                    text("name"),
                    text("role"),
                    roles.join(" "),
                    text("identity"),
                    text("certificate"),
                    text("id"),
                ]
            };
            let rows: Vec<_> = operators
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(row)
                .collect();
            terminal.table(
                ["name", "role", "approves", "is", "certificate", "operator"],
                &rows,
            );
        }
    }
    Ok(())
}

fn rights(args: &OperatorRights) -> Vec<(&'static str, Value)> {
    let roles = args.approves.iter().map(|role| Value::from(role.as_str()));
    let mut members = vec![
        ("role", Value::from(args.role.as_str())),
        ("approves", Value::Array(roles.collect())),
    ];
    for (name, given) in [
        ("identity", &args.identity),
        ("certificate", &args.certificate),
    ] {
        members.extend(given.as_deref().map(|given| (name, Value::from(given))));
    }
    members
}

/// Says how somebody signs in for the first time.
fn invitation(terminal: Terminal, answer: &Value) {
    let text = |name| answer.member(name).and_then(Value::as_str);
    terminal.line(&format!("until {}, once: put this into a file of theirs and let them sign in with `writ login --token-file FILE`", text("expires").unwrap_or_default()));
    terminal.line(text("invitation").unwrap_or_default());
}

fn done(terminal: Terminal, answer: &Value, what: &str) {
    if changes::waits(terminal, answer) {
        return;
    }
    if terminal.is_json() {
        return terminal.object(answer);
    }
    let operator = answer.member("operator").and_then(Value::as_str);
    terminal.line(&format!(
        "{} {}",
        terminal.paint(Tone::Good, what),
        operator.unwrap_or_default()
    ));
}
