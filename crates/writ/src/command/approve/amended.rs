//! The part of a card that says what a live task would come to hold.

use writ_types::Value;

use super::{Quoted, members, text, texts};
use crate::terminal::{Terminal, Tone};

/// The difference, what is more in front: a line for each thing, and the agent's reason behind our bar.
pub(super) fn difference(terminal: Terminal, line: &impl Fn(&str, &str), card: Option<&Value>) {
    let difference = card.and_then(|card| card.member("difference"));
    for added in members(difference, "added") {
        let added = Some(added);
        let is = |name| {
            added
                .and_then(|added| added.member(name))
                .and_then(Value::as_bool)
        };
        let unreviewed = if is("reviewed") == Some(false) {
            " (not reviewed)"
        } else {
            ""
        };
        let unbounded = if is("bounded") == Some(false) {
            ", without bounds"
        } else {
            ""
        };
        let words = format!(
            "{} {} {}{unreviewed}{unbounded}",
            text(added, "action"),
            text(added, "effects"),
            text(added, "grade"),
        );
        line("+ action", &terminal.paint(Tone::Warn, &words));
        line("", &text(added, "summary"));
    }
    bounds(terminal, line, difference);
    totals(line, difference);
    for dropped in texts(difference, "dropped") {
        line("- action", &dropped);
    }
    terminal.line("  why, in the agent's words:");
    terminal.line(&format!("  | {:?}", Quoted(&text(card, "agent_says"))));
}

fn bounds(terminal: Terminal, line: &impl Fn(&str, &str), difference: Option<&Value>) {
    for change in members(difference, "bounds") {
        let (widens, change) = (
            change.member("widens").and_then(Value::as_bool),
            Some(change),
        );
        let side = |name| match text(change, name) {
            none if none.is_empty() => "anything".to_owned(),
            bound => bound,
        };
        let words = format!(
            "{} {:?}: {} -> {}",
            text(change, "action"),
            Quoted(&text(change, "place")),
            side("before"),
            side("after"),
        );
        if widens == Some(true) {
            line("+ bound", &terminal.paint(Tone::Warn, &words));
        } else {
            line("- bound", &words);
        }
    }
}

fn totals(line: &impl Fn(&str, &str), difference: Option<&Value>) {
    for name in ["budget", "deadline", "blast_radius"] {
        let change = difference.and_then(|difference| difference.member(name));
        let side = |change: &Value, side| {
            let value = change.member(side);
            value.map_or_else(String::new, |value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
        };
        if let Some(change) = change {
            let words = format!("{} -> {}", side(change, "before"), side(change, "after"));
            line(
                if name == "blast_radius" {
                    "radius"
                } else {
                    name
                },
                &words,
            );
        }
    }
}
