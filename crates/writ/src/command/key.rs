//! `writ key`: replacing the keys that sign access tokens.

use writ_types::Value;

use crate::cli::KeyCommand;
use crate::command::changes;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::Terminal;

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &KeyCommand,
) -> Result<(), Failure> {
    let KeyCommand::Rotate { revoke } = command;
    let body = Value::object([("revoke", Value::from(*revoke))]);
    let answer = OperatorClient::of(config)?
        .post("/v1/keys/rotate", &body)
        .await?;
    if changes::waits(terminal, &answer) {
        return Ok(());
    }
    if terminal.is_json() {
        terminal.object(&answer);
        return Ok(());
    }
    let signs = answer.member("signs").and_then(Value::as_str);
    terminal.line(&format!("{} signs from now on", signs.unwrap_or_default()));
    terminal.line(if *revoke {
        "every token issued before is refused; agents get new ones for their live tasks"
    } else {
        "tokens issued before are good until their end, five minutes at most"
    });
    Ok(())
}
