//! `writ credential`: written, never read.

use std::io::{IsTerminal as _, Read as _};

use hyper::Method;
use writ_types::Value;

use crate::cli::CredentialCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::shown;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &CredentialCommand,
) -> Result<(), Failure> {
    let client = OperatorClient::of(config)?;
    match command {
        CredentialCommand::Set { name } => set(terminal, &client, name).await,
        CredentialCommand::List => {
            let answer = client.get("/v1/credentials").await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            let rows: Vec<[String; 3]> = answer
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(|row| {
                    [
                        shown(row, "name"),
                        shown(row, "version"),
                        shown(row, "created"),
                    ]
                })
                .collect();
            terminal.table(["NAME", "VERSION", "SET"], &rows);
            Ok(())
        }
    }
}

async fn set(terminal: Terminal, client: &OperatorClient, name: &str) -> Result<(), Failure> {
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        terminal.talk("type the credential, then Enter and Ctrl-D (it is shown as you type; a pipe or a file shows nothing)");
    }
    let mut value = String::new();
    input
        .read_to_string(&mut value)
        .map_err(|fault| Failure::caused("cannot read standard input", &fault))?;
    let value = value.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(Failure::usage("standard input is empty").hint(format!(
            "writ credential set {name} < file-with-the-credential"
        )));
    }
    let body = Value::object([("value", Value::from(value))]);
    let answer = client
        .send(Method::PUT, &format!("/v1/credentials/{name}"), Some(&body))
        .await?;
    if terminal.is_json() {
        terminal.object(&answer);
    } else {
        let version = answer
            .member("version")
            .map(Value::to_string)
            .unwrap_or_default();
        terminal.line(&format!(
            "{} {name}, version {version}, in force",
            terminal.paint(Tone::Good, "stored")
        ));
    }
    Ok(())
}
