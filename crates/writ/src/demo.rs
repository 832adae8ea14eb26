//! `writ demo`: one agent's task, played on a real Writ before a real API. Nothing is scripted but what is tried.

mod play;
mod stage;

use std::sync::Arc;

use crate::cli::DemoArgs;
use crate::clock::SystemClock;
use crate::command::serve::{Signals, until_stopped};
use crate::failure::Failure;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(terminal: Terminal, args: &DemoArgs) -> Result<(), Failure> {
    let stage = stage::Stage::set(Arc::new(SystemClock::start())).await?;
    if !terminal.is_json() {
        terminal.line(&terminal.paint(
            Tone::Strong,
            "Writ demo: a support agent, a help desk, and a customer who gives orders",
        ));
        terminal.line(&terminal.paint(
            Tone::Faint,
            &format!(
                "state in {}; gateway {}; control {}",
                stage.folder.display(),
                stage.config.public_url,
                stage.config.control_url
            ),
        ));
        terminal.line("");
    }
    let outcome = play::play(terminal, &stage).await;
    if outcome.is_ok() && !args.once {
        invite(terminal, &stage);
        until_stopped(&stage.app, Signals::listen()?).await?;
    }
    stage.strike().await?;
    outcome
}

/// The addresses, and three commands to try next.
fn invite(terminal: Terminal, stage: &stage::Stage) {
    let config = stage.folder.join("writ.toml");
    let program = std::env::current_exe().map_or_else(
        |_unknown| "writ".to_owned(),
        |path| path.display().to_string(),
    );
    let command = |rest: &str| format!("  {program} --config {} {rest}", config.display());
    terminal.talk("");
    terminal.talk(&terminal.paint(Tone::Strong, "Still serving. Try, in another terminal:"));
    terminal.talk(&command("audit tail"));
    terminal.talk(&command("can-i --agent triage-bot helpdesk:deleteTicket"));
    terminal.talk(&command("policy test"));
    terminal.talk(&command(
        "task open --purpose ticket-triage --action helpdesk:listTickets --out /tmp/task.json",
    ));
    terminal.talk("");
    terminal.talk(&format!(
        "  gateway {}   control {}   agents {}",
        stage.config.public_url,
        stage.config.control_url,
        stage.app.socket.display()
    ));
    terminal.talk(&terminal.paint(
        Tone::Faint,
        "  Ctrl-C stops everything and removes the demo's folder",
    ));
}
