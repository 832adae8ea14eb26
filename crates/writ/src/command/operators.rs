//! `writ operator`: the people who run Writ, and those who approve.

use writ_types::Value;

use crate::cli::OperatorCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &OperatorCommand,
) -> Result<(), Failure> {
    let client = OperatorClient::of(config)?;
    match command {
        OperatorCommand::Add(args) => {
            let roles = args.approves.iter().map(|role| Value::from(role.as_str()));
            let mut members = vec![
                ("name", Value::from(args.name.as_str())),
                ("role", Value::from(args.role.as_str())),
                ("approves", Value::Array(roles.collect())),
            ];
            let identity = args.identity.as_deref();
            members.extend(identity.map(|identity| ("identity", Value::from(identity))));
            let answer = client
                .post("/v1/operators", &Value::object(members))
                .await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            let text = |name| {
                answer
                    .member(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            terminal.line(&format!(
                "{} {}",
                terminal.paint(Tone::Good, "registered"),
                args.name
            ));
            terminal.line(&format!("until {}, once: put this into a file of theirs and let them sign in with `writ login --token-file FILE`", text("expires")));
            terminal.line(text("invitation"));
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
                ]
            };
            let rows: Vec<_> = operators
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(row)
                .collect();
            terminal.table(["name", "role", "approves", "is"], &rows);
        }
    }
    Ok(())
}
