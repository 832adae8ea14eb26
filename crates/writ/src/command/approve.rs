//! `writ approve`: the card, and a person's answer to it.
//!
//! What an agent or an upstream wrote is marked and escaped: it can say anything, but it cannot move the cursor, imitate
//! the card, or hide.

mod amended;

use std::io::{BufRead as _, IsTerminal as _};

use writ_types::Value;

use crate::cli::ApproveCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &ApproveCommand,
) -> Result<(), Failure> {
    let client = OperatorClient::of(config)?;
    match command {
        ApproveCommand::List { all } => {
            let path = if *all {
                "/v1/approvals?all=true"
            } else {
                "/v1/approvals"
            };
            list(terminal, &client.get(path).await?);
            Ok(())
        }
        ApproveCommand::Show { approval } => {
            let shown = client.get(&format!("/v1/approvals/{approval}")).await?;
            if terminal.is_json() {
                terminal.object(&shown);
            } else {
                card(terminal, &shown);
            }
            Ok(())
        }
        ApproveCommand::Yes {
            approval,
            although_not_all_is_shown,
            card,
            values,
            remember,
        } => {
            let (digest, values) = match card {
                Some(digest) => (digest.clone(), given(values)?),
                None => confirmed(terminal, &client, approval).await?,
            };
            let body = Value::object([
                ("card", Value::from(digest)),
                (
                    "although_not_all_is_shown",
                    Value::from(*although_not_all_is_shown),
                ),
                ("values", Value::Array(values)),
                ("remember", Value::from(*remember)),
            ]);
            let path = format!("/v1/approvals/{approval}/yes");
            said(terminal, &client.post(&path, &body).await?, Tone::Good);
            Ok(())
        }
        ApproveCommand::No {
            approval,
            once,
            resume,
        } => {
            let body = Value::object([
                ("once", Value::from(*once)),
                ("resume", Value::from(*resume)),
            ]);
            let path = format!("/v1/approvals/{approval}/no");
            said(terminal, &client.post(&path, &body).await?, Tone::Bad);
            Ok(())
        }
    }
}

/// The values of the command line.
fn given(values: &[String]) -> Result<Vec<Value>, Failure> {
    let one = |text: &String| {
        let (place, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::new("a value is written PLACE=VALUE"))?;
        Ok(entered(place, value))
    };
    values.iter().map(one).collect()
}

fn entered(place: &str, value: &str) -> Value {
    Value::object([("place", Value::from(place)), ("value", Value::from(value))])
}

/// Shows the card to a person at a terminal and asks; the digest of what was shown, and the values they entered.
async fn confirmed(
    terminal: Terminal,
    client: &OperatorClient,
    approval: &str,
) -> Result<(String, Vec<Value>), Failure> {
    let shown = client.get(&format!("/v1/approvals/{approval}")).await?;
    let digest = text(shown.member("approval"), "card");
    if !std::io::stdin().is_terminal() || terminal.is_json() {
        let failure = Failure::new("a yes is a person's, to a card they have seen");
        return Err(failure.hint(format!(
            "writ approve show {approval}; writ approve yes {approval} --card DIGEST"
        )));
    }
    card(terminal, &shown);
    let answer = |question: &str| {
        terminal.talk(question);
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        read.ok().map(|_length| line.trim().to_owned())
    };
    let nothing = || Failure::new("nothing was approved");
    let mut values = Vec::new();
    for wanted in members(shown.member("card"), "confirm") {
        let (place, kind) = (text(Some(wanted), "place"), text(Some(wanted), "kind"));
        let question = format!("the {kind} at {place}, as you know it:");
        let value = answer(&question).ok_or_else(nothing)?;
        let place = wanted.member("place").and_then(Value::as_str);
        values.push(entered(place.unwrap_or_default(), &value));
    }
    if answer("type yes to approve this, once:").as_deref() == Some("yes") {
        Ok((digest, values))
    } else {
        Err(nothing())
    }
}

fn text(value: Option<&Value>, name: &str) -> String {
    let member = value.and_then(|value| value.member(name));
    let text = member.and_then(Value::as_str).unwrap_or_default();
    printable(text)
}

fn texts(value: Option<&Value>, name: &str) -> Vec<String> {
    let member = value.and_then(|value| value.member(name));
    let items = member.and_then(Value::as_array).unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(printable)
        .collect()
}

fn list(terminal: Terminal, approvals: &Value) {
    if terminal.is_json() {
        return terminal.line(&approvals.to_string());
    }
    let rows: Vec<[String; 6]> = approvals
        .as_array()
        .unwrap_or_default()
        .iter()
        .map(|approval| {
            let approval = Some(approval);
            [
                text(approval, "id"),
                text(approval, "state"),
                text(approval, "action"),
                text(approval, "purpose"),
                texts(approval, "needs").join(" "),
                text(approval, "expires"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return terminal.line("nothing waits for an answer");
    }
    terminal.table(
        ["approval", "state", "action", "purpose", "needs", "until"],
        &rows,
    );
}

fn said(terminal: Terminal, answer: &Value, tone: Tone) {
    if terminal.is_json() {
        return terminal.object(answer);
    }
    let state = text(Some(answer), "state");
    terminal.line(&format!(
        "{} {}",
        terminal.paint(tone, &state),
        text(Some(answer), "approval")
    ));
}

/// The card, a line for each thing a person should know before saying yes.
fn card(terminal: Terminal, shown: &Value) {
    let (approval, card) = (shown.member("approval"), shown.member("card"));
    let line = |name: &str, value: &str| {
        if !value.is_empty() {
            terminal.line(&format!(
                "  {} {value}",
                terminal.paint(Tone::Faint, &format!("{name:<9}"))
            ));
        }
    };
    let action = text(card, "action");
    terminal.line(&terminal.paint(Tone::Strong, &action));
    line("does", &text(card, "summary"));
    if card.and_then(|card| card.member("difference")).is_some() {
        amended::difference(terminal, &line, card);
    } else {
        called(terminal, &line, card);
    }
    line(
        "agent",
        &format!("{} ({})", text(card, "agent"), text(card, "mode")),
    );
    line("owner", &text(card, "owner"));
    line("for", &text(card, "requester"));
    line("purpose", &text(card, "purpose"));
    line("task", &text(card, "task"));
    line("has read", &texts(card, "task_has_read").join(", "));
    for rule in members(card, "rules") {
        line(
            "because",
            &format!("{} [{}]", text(Some(rule), "doc"), text(Some(rule), "id")),
        );
    }
    planned(&line, card);
    line("needs", &texts(card, "needs").join(", "));
    line("yours", &texts(approval, "you_can_give").join(", "));
    line("state", &text(approval, "state"));
    line("until", &text(approval, "expires"));
    line("card", &text(approval, "card"));
    values(terminal, card);
    for value in members(card, "confirm") {
        let value = Some(value);
        let seen = if text(value, "origin") == "seen" {
            "only seen where anybody could have written it"
        } else {
            "never seen"
        };
        line(
            "enter",
            &terminal.paint(
                Tone::Warn,
                &format!(
                    "{} ({}): nothing vouches for it, {seen}",
                    text(value, "place"),
                    text(value, "kind")
                ),
            ),
        );
    }
}

/// What the call does.
fn called(terminal: Terminal, line: &impl Fn(&str, &str), card: Option<&Value>) {
    let request = format!("{} {}", text(card, "method"), text(card, "path"));
    line("request", &request);
    let effects = text(card, "effects");
    let reviewed = card
        .and_then(|card| card.member("reviewed"))
        .and_then(Value::as_bool);
    let unreviewed = if reviewed == Some(false) {
        " (not reviewed)"
    } else {
        ""
    };
    line(
        "effects",
        &terminal.paint(Tone::Warn, &format!("{effects}{unreviewed}")),
    );
    // How well the API's document tells an agent what it does.
    line("document", &text(card, "grade"));
}

/// The plan that the call is no step of.
fn planned(line: &impl Fn(&str, &str), card: Option<&Value>) {
    for (number, step) in (1u64..).zip(members(card, "plan")) {
        let step = Some(step);
        let arguments = step
            .and_then(|step| step.member("arguments"))
            .map_or_else(String::new, |arguments| format!(" {arguments}"));
        let times = step
            .and_then(|step| step.member("times"))
            .and_then(Value::as_u64)
            .filter(|times| *times > 1)
            .map_or_else(String::new, |times| format!(", at most {times} times"));
        let action = text(step, "action");
        line("planned", &format!("{number}. {action}{arguments}{times}"));
    }
}

/// The values of the call: the agent's words, each behind our bar.
fn values(terminal: Terminal, card: Option<&Value>) {
    terminal.line("  values, as the agent wrote them:");
    for value in members(card, "values") {
        let value = Some(value);
        let whole = value
            .and_then(|value| value.member("whole"))
            .and_then(Value::as_bool);
        let cut = if whole == Some(false) {
            " … (cut)"
        } else {
            ""
        };
        let known = match text(value, "origin").as_str() {
            "" => "",
            "seen" => ": only seen where anybody could have written it",
            "unseen" => ": never seen",
            _ => ": known",
        };
        // The bar is ours and in front of every line; what is behind it is the agent's.
        terminal.line(&format!(
            "  | {} = {:?}{cut}{known}",
            text(value, "place"),
            Quoted(&text(value, "value"))
        ));
    }
    for place in texts(card, "not_in_contract") {
        terminal.line(&format!("  | {place} is not in the contract"));
    }
    let hidden = card
        .and_then(|card| card.member("not_shown"))
        .and_then(Value::as_u64);
    if hidden != Some(0) {
        let words = format!("{} values are not shown whole", hidden.unwrap_or(u64::MAX));
        terminal.line(&format!("  {}", terminal.paint(Tone::Bad, &words)));
    }
}

/// A text in quotes that is escaped already.
struct Quoted<'a>(&'a str);

impl std::fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\\\""))
    }
}

fn members<'a>(card: Option<&'a Value>, name: &str) -> &'a [Value] {
    let member = card.and_then(|card| card.member(name));
    member.and_then(Value::as_array).unwrap_or_default()
}

/// The text with everything escaped that is no visible character of its own: controls, which move the cursor or change
/// colours, and characters that hide or turn text around (Unicode's Cf, Zl, Zp, and unusual spaces).
pub(super) fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for char in text.chars() {
        let hidden = matches!(
            char,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{e0000}'..='\u{e0fff}'
        );
        let odd_space = char.is_whitespace() && char != ' ';
        if char.is_control() || hidden || odd_space || char == '\\' {
            printed.extend(char.escape_default());
        } else {
            printed.push(char);
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_an_agent_writes_moves_the_cursor_or_hides() {
        for (text, shown) in [
            ("plain text, é, 漢字, 🙂", "plain text, é, 漢字, 🙂"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2K\u{1b}[1Aapproved", "\\u{1b}[2K\\u{1b}[1Aapproved"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\u{2028}b\u{a0}c", "a\\u{2028}b\\u{a0}c"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("\\n", "\\\\n"),
        ] {
            assert_eq!(printable(text), shown);
            assert!(printable(text).chars().all(|char| !char.is_control()));
        }
        let shown = format!("{:?}", Quoted(&printable("a\" = \"b")));
        assert_eq!(shown, r#""a\" = \"b""#);
    }
}
