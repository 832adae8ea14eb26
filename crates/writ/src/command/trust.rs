//! `writ trust`: who vouches for others.

use writ_types::Value;

use crate::cli::TrustCommand;
use crate::command::changes;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::Terminal;

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &TrustCommand,
) -> Result<(), Failure> {
    let client = OperatorClient::of(config)?;
    match command {
        TrustCommand::List => {
            let trust = client.get("/v1/trust").await?;
            if terminal.is_json() {
                terminal.object(&trust);
                return Ok(());
            }
            let row = |root: &Value| {
                ["name", "state", "settings"].map(|name| {
                    let text = root.member(name).and_then(Value::as_str);
                    text.unwrap_or_default().to_owned()
                })
            };
            let roots = trust.member("roots").and_then(Value::as_array);
            let rows: Vec<_> = roots.unwrap_or_default().iter().map(row).collect();
            terminal.table(["name", "state", "settings"], &rows);
            let digest = trust.member("digest").and_then(Value::as_str);
            terminal.line(&format!("all of it: {}", digest.unwrap_or_default()));
        }
        TrustCommand::Approve { digest } => {
            let body = Value::object([("digest", Value::from(digest.as_str()))]);
            let answer = client.post("/v1/trust/approve", &body).await?;
            if changes::waits(terminal, &answer) {
                return Ok(());
            }
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            if let Some(fault) = answer.member("fault").and_then(Value::as_str) {
                return Err(
                    Failure::new(format!("approved, and not believed yet: {fault}"))
                        .hint("mend it, then send SIGHUP to `writ serve`"),
                );
            }
            terminal.line("approved, and believed from now on");
        }
    }
    Ok(())
}
