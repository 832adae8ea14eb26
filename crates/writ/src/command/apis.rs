//! `writ api`: from a vendor's document to a registration that a person reviews.

mod diff;
mod documents;
mod drift;
mod import;
mod lint;
mod listed;
mod reviews;

use std::path::Path;

use writ_types::Value;

use crate::cli::ApiCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::{shown, text};
use crate::terminal::Terminal;

pub(crate) async fn run(
    terminal: Terminal,
    config: &Path,
    command: &ApiCommand,
) -> Result<(), Failure> {
    match command {
        // A document can be looked at without a project.
        ApiCommand::Import(args) => Box::pin(import::run(terminal, config, args)).await,
        ApiCommand::Lint(args) => lint::run(terminal, config, args),
        ApiCommand::Drift { api } => drift::look(terminal, config, api).await,
        ApiCommand::Promote(args) => drift::promote(terminal, config, args).await,
        ApiCommand::Diff(args) => diff::run(terminal, config, args),
        ApiCommand::Reviews { api } => reviews::run(terminal, config, api.as_deref()).await,
        ApiCommand::List => {
            let apis = OperatorClient::of(&Config::load(config)?)?
                .get("/v1/apis")
                .await?;
            if terminal.is_json() {
                terminal.object(&apis);
                return Ok(());
            }
            let row = |row: &Value| {
                [
                    shown(row, "id"),
                    shown(row, "upstream"),
                    format!("{}/{}", shown(row, "reviewed"), shown(row, "operations")),
                    shown(row, "owner"),
                ]
            };
            let rows: Vec<[String; 4]> = apis
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(row)
                .collect();
            terminal.table(["API", "UPSTREAM", "REVIEWED", "OWNER"], &rows);
            Ok(())
        }
        ApiCommand::Show { api } => {
            let answer = OperatorClient::of(&Config::load(config)?)?
                .get(&format!("/v1/apis/{api}"))
                .await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            let row = |row: &Value| {
                [
                    text(row, "action"),
                    text(row, "method"),
                    text(row, "path"),
                    text(row, "effects"),
                    text(row, "grade"),
                ]
            };
            let operations = answer
                .member("operations")
                .and_then(Value::as_array)
                .unwrap_or_default();
            let rows: Vec<[String; 5]> = operations.iter().map(row).collect();
            terminal.table(["ACTION", "METHOD", "PATH", "EFFECTS", "GRADE"], &rows);
            Ok(())
        }
    }
}
