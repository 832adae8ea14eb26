//! `writ who-can`: who could do something, or what an agent could do, by the rules themselves.

use std::collections::BTreeSet;

use writ_control::plan::{Reach, Side, reach};
use writ_types::{ActionName, Clock as _};

use crate::cli::WhoCanArgs;
use crate::clock::SystemClock;
use crate::command::plan::{faulty, in_force, stored};
use crate::config::Config;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::project;
use crate::terminal::Terminal;

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &WhoCanArgs,
) -> Result<(), Failure> {
    let action: Option<ActionName> = match &args.action {
        Some(name) => Some(
            name.parse()
                .map_err(|fault: writ_types::NameError| Failure::usage(fault.to_string()))?,
        ),
        None => None,
    };
    let side = side(config, args).await?;
    let beside: BTreeSet<ActionName> = action.iter().cloned().collect();
    let all = reach(&side, &beside, SystemClock::start().now()).map_err(Failure::new)?;
    let is_agent = |one: &Reach| {
        args.agent.as_ref().is_none_or(|name| {
            let spiffe = one.agent.as_str();
            spiffe == name || spiffe.ends_with(&format!("/{name}"))
        })
    };
    if args.agent.is_some() && !all.iter().any(is_agent) {
        return Err(Failure::new("there is no such agent, or it has no purpose"));
    }
    let asked = all
        .iter()
        .filter(|one| is_agent(one) && action.as_ref().is_none_or(|action| one.action == *action));
    if action.is_some() && asked.clone().all(|one| one.effects.is_none()) {
        return Err(Failure::new("no contract has this operation"));
    }
    let shown: Vec<&Reach> = asked
        .clone()
        .filter(|one| args.all || one.is_possible())
        .collect();
    if terminal.is_json() {
        for one in shown {
            terminal.object(&one.to_value());
        }
        return Ok(());
    }
    if shown.is_empty() {
        terminal.line("nobody and nothing; `--all` says why not");
        return Ok(());
    }
    let row = |one: &&Reach| {
        [
            one.access.word().replace('_', " "),
            one.agent.to_string(),
            one.purpose.to_string(),
            one.action.to_string(),
            one.access.to_string(),
            one.rules.join(", "),
            one.owner.to_string(),
        ]
    };
    let rows: Vec<[String; 7]> = shown.iter().map(row).collect();
    let head = [
        "ANSWER", "AGENT", "PURPOSE", "ACTION", "WHY", "RULES", "ASK",
    ];
    terminal.table(head, &rows);
    Ok(())
}

/// The project's files or the revision in force, compiled here.
async fn side(config: &Config, args: &WhoCanArgs) -> Result<Side, Failure> {
    let now = SystemClock::start().now();
    let _progress = Progress::of("reading contracts and policies");
    if args.files {
        let files = project::files(&config.project)?;
        let compiled = Side::of_files(&files, &config.identity.trust_domain, None, now);
        let (side, _) = compiled.map_err(|faults| faulty("the project has faults", &faults))?;
        return Ok(side);
    }
    let (_, registry) = if args.offline {
        stored(config).await?
    } else {
        in_force(config).await?
    };
    let message = "the revision in force cannot be read by this program";
    Side::of_registry(registry, now).map_err(|faults| faulty(message, &faults))
}
