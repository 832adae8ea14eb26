//! `writ exception`.

use std::path::Path;
use std::time::Duration;

use writ_types::{Clock as _, Value};

use crate::cli::{ExceptionAddArgs, ExceptionCommand};
use crate::clock::SystemClock;
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::text;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Path,
    command: &ExceptionCommand,
) -> Result<(), Failure> {
    let config = Config::load(config)?;
    match command {
        ExceptionCommand::Add(args) => add(terminal, &config, args),
        ExceptionCommand::List => {
            let exceptions = OperatorClient::of(&config)?.get("/v1/exceptions").await?;
            if terminal.is_json() {
                terminal.object(&exceptions);
                return Ok(());
            }
            let rows: Vec<[String; 7]> = exceptions
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(row)
                .collect();
            let heads = [
                "EXCEPTION",
                "STATE",
                "LIFTS",
                "AGENT",
                "UNTIL",
                "OWNER",
                "TICKET",
            ];
            terminal.table(heads, &rows);
            Ok(())
        }
    }
}

fn row(exception: &Value) -> [String; 7] {
    ["name", "state", "rule", "agent", "until", "owner", "ticket"].map(|name| text(exception, name))
}

/// Writes it behind what is there already.
fn add(terminal: Terminal, config: &Config, args: &ExceptionAddArgs) -> Result<(), Failure> {
    let agent = config
        .project
        .join("agents")
        .join(format!("{}.toml", args.agent));
    if !agent.exists() {
        let message = format!(
            "there is no agent `{}`: {} is not there",
            args.agent,
            agent.display()
        );
        return Err(Failure::usage(message).hint("writ agent list"));
    }
    let from = SystemClock::start().now();
    let until = from.plus(Duration::from_secs(
        u64::from(args.days).saturating_mul(24 * 3600),
    ));
    let path = config.project.join("policies").join("exceptions.toml");
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(fault) => {
            return Err(Failure::caused(
                format!("cannot read {}", path.display()),
                &fault,
            ));
        }
    };
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let actions: Vec<String> = args.actions.iter().map(|action| quoted(action)).collect();
    let purpose = args.purpose.as_ref();
    let purpose = purpose.map_or(String::new(), |name| {
        format!("purpose = {}\n", quoted(name))
    });
    let gap = if before.is_empty() { "" } else { "\n" };
    let added = format!(
        "{before}{gap}[[exception]]\nname = {name}\nrule = {rule}\nagent = {agent}\n{purpose}actions = [{actions}]\nowner = {owner}\nreason = {reason}\nticket = {ticket}\nfrom = \"{from}\"\nuntil = \"{until}\"\n",
        name = quoted(&args.name),
        rule = quoted(&args.rule),
        agent = quoted(&args.agent),
        actions = actions.join(", "),
        owner = quoted(&args.owner),
        reason = quoted(&args.reason),
        ticket = quoted(&args.ticket),
    );
    init::write(&path, &added)?;
    terminal.line(&format!(
        "{} `{}` to {}; `writ policy check` says whether it holds together, `writ apply` proposes it, and another person approves it",
        terminal.paint(Tone::Good, "added"),
        args.name,
        path.display()
    ));
    Ok(())
}
