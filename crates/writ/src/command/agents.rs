//! `writ agent`.

use std::path::Path;

use writ_types::{Mode, Selector, Value};

use crate::cli::{AgentAddArgs, AgentCommand};
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::text;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Path,
    command: &AgentCommand,
) -> Result<(), Failure> {
    let config = Config::load(config)?;
    match command {
        AgentCommand::Add(args) => add(terminal, &config, args),
        AgentCommand::List => {
            let agents = OperatorClient::of(&config)?.get("/v1/agents").await?;
            if terminal.is_json() {
                terminal.object(&agents);
                return Ok(());
            }
            let list = |row: &Value, name: &str| {
                let items = row
                    .member(name)
                    .and_then(Value::as_array)
                    .unwrap_or_default();
                items
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(",")
            };
            let row = |row: &Value| {
                [
                    text(row, "spiffe_id"),
                    text(row, "mode"),
                    text(row, "owner"),
                    list(row, "purposes"),
                ]
            };
            let rows: Vec<[String; 4]> = agents
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(row)
                .collect();
            terminal.table(["AGENT", "MODE", "OWNER", "PURPOSES"], &rows);
            Ok(())
        }
        AgentCommand::Show { agent } => show(terminal, &config, agent).await,
    }
}

async fn show(terminal: Terminal, config: &Config, agent: &str) -> Result<(), Failure> {
    let agents = OperatorClient::of(config)?.get("/v1/agents").await?;
    let ending = format!("/{agent}");
    let meant = |row: &&Value| {
        let spiffe = text(row, "spiffe_id");
        text(row, "id") == agent || spiffe == agent || spiffe.ends_with(&ending)
    };
    let found = agents.as_array().unwrap_or_default().iter().find(meant);
    let missing =
        || Failure::new(format!("no agent `{agent}` is in force")).hint("writ agent list");
    let found = found.ok_or_else(missing)?;
    if terminal.is_json() {
        terminal.object(found);
    } else {
        super::ask::print(terminal, found, 0);
    }
    Ok(())
}

fn add(terminal: Terminal, config: &Config, args: &AgentAddArgs) -> Result<(), Failure> {
    let mode: Mode = args
        .mode
        .parse()
        .map_err(|fault: &str| Failure::usage(fault))?;
    for selector in &args.selectors {
        selector.parse::<Selector>().map_err(Failure::usage)?;
    }
    let spiffe = format!(
        "spiffe://{}/agent/{}",
        config.identity.trust_domain, args.name
    );
    spiffe.parse::<writ_types::SpiffeId>().map_err(|fault| {
        Failure::usage(format!("`{}` cannot end a SPIFFE id: {fault}", args.name))
    })?;
    let path = config
        .project
        .join("agents")
        .join(format!("{}.toml", args.name));
    if path.exists() {
        return Err(Failure::new(format!("{} is there already", path.display()))
            .hint("edit it, then `writ apply`"));
    }
    let list = |items: &[String]| {
        items
            .iter()
            .map(|item| format!("{:?}", item))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let text = format!(
        "# {spiffe}\nowner = {:?}\nmode = \"{mode}\"\npurposes = [{}]\nselectors = [{}]\n",
        args.owner,
        list(&args.purposes),
        list(&args.selectors),
    );
    init::write(&path, &text)?;
    terminal.line(&format!(
        "{} {} ({spiffe}); `writ apply` puts it in force",
        terminal.paint(Tone::Good, "wrote"),
        path.display()
    ));
    Ok(())
}
