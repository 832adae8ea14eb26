//! `writ can-i` and `writ explain`: why, and why not.

use writ_types::Value;

use crate::cli::{CanIArgs, ExplainArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::text;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn can_i(
    terminal: Terminal,
    config: &Config,
    args: &CanIArgs,
) -> Result<(), Failure> {
    let mut members = vec![
        ("agent", Value::from(args.agent.as_str())),
        ("action", Value::from(args.action.as_str())),
    ];
    members.extend(
        args.purpose
            .as_deref()
            .map(|purpose| ("purpose", Value::from(purpose))),
    );
    let answer = OperatorClient::of(config)?
        .post("/v1/can-i", &Value::object(members))
        .await?;
    let possible = answer.member("possible").and_then(Value::as_bool) == Some(true);
    if terminal.is_json() {
        terminal.object(&answer);
    } else {
        tell(terminal, &answer);
    }
    if possible {
        Ok(())
    } else {
        Err(Failure::new("no"))
    }
}

/// The answer for people: one line for each purpose, with the rules and whom to ask.
fn tell(terminal: Terminal, answer: &Value) {
    terminal.line(&format!(
        "{} {} ({})",
        text(answer, "agent"),
        text(answer, "action"),
        text(answer, "effects")
    ));
    let purposes = answer
        .member("purposes")
        .and_then(Value::as_array)
        .unwrap_or_default();
    if purposes.is_empty() {
        terminal.line("  the agent has no such purpose: add it to its `purposes`");
    }
    for purpose in purposes {
        let yes = purpose.member("possible").and_then(Value::as_bool) == Some(true);
        let word = match text(purpose, "answer").as_str() {
            "with_approval" => terminal.paint(Tone::Warn, "with approval"),
            "depends" => terminal.paint(Tone::Good, "depends"),
            _ if yes => terminal.paint(Tone::Good, "yes"),
            _ => terminal.paint(Tone::Bad, "no "),
        };
        let rules = purpose
            .member("rules")
            .and_then(Value::as_array)
            .unwrap_or_default();
        let rules: Vec<&str> = rules.iter().filter_map(Value::as_str).collect();
        let rules = if rules.is_empty() {
            String::new()
        } else {
            format!(" [{}]", rules.join(", "))
        };
        terminal.line(&format!(
            "  {word} for {}: {}{rules}",
            text(purpose, "purpose"),
            text(purpose, "why")
        ));
        let radius = purpose.member("blast_radius").map(Value::to_string);
        let mut about = format!(
            "blast radius of a task for it {}",
            radius.unwrap_or_default()
        );
        if let Some(most) = purpose.member("max_blast_radius").and_then(Value::as_u64) {
            about.push_str(&format!(" (at most {most})"));
        }
        if let Some(hours) = purpose.member("hours").and_then(Value::as_str) {
            about.push_str(&format!("; open {hours}"));
        }
        terminal.line(&format!("      {about}"));
        if !yes {
            terminal.line(&format!("      ask {}", text(purpose, "owner")));
        }
    }
    let fix = text(answer, "fix");
    if !fix.is_empty() {
        terminal.line(&format!("  {} {fix}", terminal.paint(Tone::Warn, "fix")));
    }
}

pub(crate) async fn explain(
    terminal: Terminal,
    config: &Config,
    args: &ExplainArgs,
) -> Result<(), Failure> {
    let answer = OperatorClient::of(config)?
        .get(&format!("/v1/explain/{}", args.call))
        .await?;
    if terminal.is_json() {
        terminal.object(&answer);
        return Ok(());
    }
    let trace = answer
        .member("trace")
        .and_then(|trace| trace.member("text"));
    let trace = trace.and_then(Value::as_str);
    trace
        .unwrap_or_default()
        .lines()
        .for_each(|line| terminal.line(line));
    // What was decided nowhere has records alone.
    if trace.is_some() && !args.records {
        return Ok(());
    }
    for row in answer
        .member("records")
        .and_then(Value::as_array)
        .unwrap_or_default()
    {
        let index = row
            .member("index")
            .map(Value::to_string)
            .unwrap_or_default();
        let record = row.member("record").cloned().unwrap_or(Value::Null);
        let kind = record
            .member("kind")
            .and_then(Value::as_str)
            .unwrap_or("record")
            .to_owned();
        terminal.line(&format!(
            "{} {}",
            terminal.paint(Tone::Strong, &kind),
            terminal.paint(Tone::Faint, &format!("entry {index}"))
        ));
        print(terminal, &record, 1);
        if let Some(evidence) = row
            .member("evidence")
            .filter(|evidence| **evidence != Value::Null)
        {
            terminal.line(&terminal.paint(Tone::Strong, "  inputs of the decision"));
            print(terminal, evidence, 2);
        }
    }
    Ok(())
}

/// A value as indented lines, one member a line.
pub(super) fn print(terminal: Terminal, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let Some(members) = value.as_object() else {
        return terminal.line(&format!("{indent}{value}"));
    };
    for (name, member) in members {
        match member {
            Value::Object(inner) if !inner.is_empty() => {
                terminal.line(&format!("{indent}{}", terminal.paint(Tone::Faint, name)));
                print(terminal, member, depth.saturating_add(1));
            }
            Value::String(text) => terminal.line(&format!(
                "{indent}{} {text}",
                terminal.paint(Tone::Faint, name)
            )),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => terminal.line(&format!(
                "{indent}{} {other}",
                terminal.paint(Tone::Faint, name)
            )),
        }
    }
}
