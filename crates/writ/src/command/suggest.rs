//! `writ suggest`: a rule that leaves an agent what it has used of a purpose, and the cases that fail without it.

use writ_types::{PurposeName, Value};

use crate::cli::SuggestArgs;
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::{shown, text};
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &SuggestArgs,
) -> Result<(), Failure> {
    let purpose: PurposeName = args
        .purpose
        .parse()
        .map_err(|fault: writ_types::NameError| Failure::usage(fault.to_string()))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
    if !args.agent.bytes().all(plain) {
        return Err(Failure::usage(
            "an agent is named by its SPIFFE ID, or by the end of it",
        ));
    }
    let path = format!("/v1/suggest?agent={}&purpose={purpose}", args.agent);
    let suggestion = OperatorClient::of(config)?.get(&path).await?;
    let written = if args.write {
        write(config, &suggestion)?
    } else {
        Vec::new()
    };
    if terminal.is_json() {
        terminal.object(&suggestion);
        return Ok(());
    }
    print(terminal, &suggestion);
    for file in &written {
        terminal.line(&format!("wrote {file}"));
    }
    let next = if args.write {
        "next: `writ policy test`, then `writ plan` says who loses what, and `writ apply` proposes it"
    } else {
        "next: the same with `--write` puts the rule and its cases into the project"
    };
    terminal.line(&terminal.paint(Tone::Faint, next));
    Ok(())
}

/// The files, by their names in the project. One that is there is not written over.
fn write(config: &Config, suggestion: &Value) -> Result<Vec<String>, Failure> {
    let name = text(suggestion, "name");
    let files = [
        (
            format!("policies/suggested-{name}.cedar"),
            text(suggestion, "policy"),
        ),
        (
            format!("policies/tests/suggested-{name}.toml"),
            text(suggestion, "tests"),
        ),
    ];
    let known = files
        .iter()
        .find(|(file, _)| config.project.join(file).exists());
    if let Some((file, _)) = known {
        let message = format!("{file} is there already");
        let hint = "delete it to have it written anew, or edit it";
        return Err(Failure::new(message).detail(hint));
    }
    for (file, text) in &files {
        init::write(&config.project.join(file), text)?;
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

fn print(terminal: Terminal, suggestion: &Value) {
    let number = |name| suggestion.member(name).and_then(Value::as_u64).unwrap_or(0);
    terminal.line(&format!(
        "learned from {} tasks of {} for {}",
        number("tasks"),
        text(suggestion, "agent"),
        text(suggestion, "purpose")
    ));
    for (name, why) in [
        (
            "tasks_that_read_strangers",
            "whose agent had read what strangers wrote",
        ),
        ("tasks_that_were_stopped", "that somebody stopped"),
    ] {
        if number(name) > 0 {
            terminal.line(&format!("  left out: {} {why}", number(name)));
        }
    }
    if number("records_before") > 0 {
        terminal.line(&format!(
            "  {} older records were not looked at",
            number("records_before")
        ));
    }
    let used = suggestion.member("used").and_then(Value::as_array);
    let row = |row: &Value| {
        [
            text(row, "action"),
            shown(row, "calls"),
            shown(row, "most_in_a_task"),
        ]
    };
    let rows: Vec<[String; 3]> = used.unwrap_or_default().iter().map(row).collect();
    terminal.table(["USED", "CALLS", "MOST IN A TASK"], &rows);
    let unused = suggestion.member("unused").and_then(Value::as_array);
    let unused = unused.unwrap_or_default().iter();
    let unused: Vec<&str> = unused.filter_map(Value::as_str).collect();
    if unused.is_empty() {
        terminal.line("it has used every action of the purpose: the rule would take nothing away");
    } else {
        terminal.line(&format!(
            "never used, and taken away: {}",
            unused.join(", ")
        ));
    }
    terminal.line(&format!(
        "enough for a task: {}",
        shown(suggestion, "grant")
    ));
    terminal.line("");
    terminal.line(text(suggestion, "policy").trim_end());
    terminal.line("");
}
