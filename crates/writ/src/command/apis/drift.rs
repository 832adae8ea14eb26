//! `writ api drift` and `writ api promote`: what a server publishes against what is pinned, and the owner's yes to it.

use std::path::Path;

use writ_contract::diff::Section;
use writ_types::Value;

use super::documents;
use crate::cli::PromoteArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

/// Groups of changes shown unless JSON is asked for.
const SHOWN: usize = 60;

/// Looks now. Fails with exit code 2 if operations wait for their owner.
pub(super) async fn look(terminal: Terminal, config: &Path, api: &str) -> Result<(), Failure> {
    let client = OperatorClient::of(&Config::load(config)?)?;
    let path = format!("/v1/apis/{api}/drift");
    let seen = client.post(&path, &Value::object::<&str>([])).await?;
    if terminal.is_json() {
        terminal.object(&seen);
    } else {
        print(terminal, &seen);
    }
    let waiting = list(&seen, "quarantined").len();
    if waiting == 0 {
        return Ok(());
    }
    let digest = text(&seen, "digest");
    Err(Failure::changes(format!(
        "{waiting} operations of `{api}` wait for their owner"
    ))
    .hint(format!("writ api promote {api} --digest {digest}")))
}

fn print(terminal: Terminal, seen: &Value) {
    let mut section = "";
    let groups = seen
        .member("review")
        .and_then(Value::as_array)
        .unwrap_or_default();
    // What no purpose names no task can hold: it is not what has to be read today.
    let is_used = |group: &&Value| {
        let used = group.member("in_use").and_then(Value::as_u64);
        used.unwrap_or_default() > 0
    };
    let is_text = |group: &&Value| text(group, "section") == Section::Texts.title();
    let (texts, used): (Vec<&Value>, Vec<&Value>) =
        groups.iter().filter(is_used).partition(is_text);
    for group in used.iter().take(SHOWN) {
        if text(group, "section") != section {
            section = text(group, "section");
            terminal.line(&terminal.paint(Tone::Strong, section));
        }
        let rules = group.member("rules").and_then(Value::as_object);
        let rules: Vec<&str> = rules
            .into_iter()
            .flat_map(|rules| rules.keys().map(String::as_str))
            .collect();
        let examples = list(group, "examples").join("; ");
        terminal.line(&format!(
            "  {} {}: {}; {examples}",
            text(group, "consequence"),
            text(group, "subject"),
            rules.join(", ")
        ));
    }
    if used.len() > SHOWN {
        let rest = used.len().saturating_sub(SHOWN);
        terminal.line(&format!("  … {rest} more (--json)"));
    }
    if !texts.is_empty() {
        let title = terminal.paint(Tone::Strong, Section::Texts.title());
        terminal.line(&format!("{title}: {} (--json)", texts.len()));
    }
    let told = used.len().saturating_add(texts.len());
    if groups.len() > told {
        let rest = groups.len().saturating_sub(told);
        terminal.line(&format!(
            "{rest} more lines are of operations that no purpose names, or that are new (--json); they are approved with the others"
        ));
    }
    for (name, what) in [
        ("quarantined", "wait for their owner"),
        ("in_use", "of these are in use: a purpose names them"),
        ("narrowed", "can do less, and are accepted"),
        ("added", "are new, and not in the contract"),
    ] {
        let ids = list(seen, name);
        if !ids.is_empty() {
            terminal.line(&format!("{} {what}: {}", ids.len(), ids.join(", ")));
        }
    }
    let renamed = seen.member("renamed").and_then(Value::as_object);
    for (from, to) in renamed.into_iter().flatten() {
        let to = to.as_str().unwrap_or_default();
        terminal.line(&format!(
            "renamed: {from} -> {to}; no grant of the old name holds for the new one"
        ));
    }
    terminal.line(&format!("published: {}", text(seen, "digest")));
}

/// Approves what is published, by the digest that was looked at; the project's file follows.
pub(super) async fn promote(
    terminal: Terminal,
    config: &Path,
    args: &PromoteArgs,
) -> Result<(), Failure> {
    let settings = Config::load(config)?;
    let body = Value::object([
        ("digest", Value::from(args.digest.as_str())),
        ("beside", Value::Bool(args.beside)),
    ]);
    let path = format!("/v1/apis/{}/promote", args.api);
    let answer = OperatorClient::of(&settings)?.post(&path, &body).await?;
    if terminal.is_json() {
        terminal.object(&answer);
        return Ok(());
    }
    terminal.line(&format!(
        "{} {}",
        terminal.paint(Tone::Good, "in force:"),
        text(&answer, "revision")
    ));
    if args.beside {
        return Ok(());
    }
    let id = args
        .api
        .parse()
        .map_err(|fault: writ_types::NameError| Failure::usage(fault.to_string()))?;
    // The project is the wanted state: the next `writ apply` must not undo this.
    let (file, name) = documents::pinned(&settings.project, &id)?;
    std::fs::write(&file, text(&answer, "document"))
        .map_err(|fault| Failure::caused(format!("cannot write {}", file.display()), &fault))?;
    terminal.line(&format!("{} {name}", terminal.paint(Tone::Good, "wrote")));
    for dropped in list(&answer, "reviews_dropped") {
        terminal.line(&format!(
            "{} `{dropped}` is no operation any more: take `[operations.{dropped:?}]` out of apis/{id}.toml",
            terminal.paint(Tone::Warn, "note")
        ));
    }
    Ok(())
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value
        .member(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    let list = value
        .member(name)
        .and_then(Value::as_array)
        .unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}
