//! `writ shadow`: what came of the draft that is tried beside the rules in force.

use writ_types::Value;

use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::{disagreement, items, shown, text};
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    let report = OperatorClient::of(config)?.get("/v1/shadow").await?;
    if terminal.is_json() {
        terminal.object(&report);
        return Ok(());
    }
    let words = match text(&report, "state").as_str() {
        "coming" => "is tried from",
        "over" => "was tried from",
        _ => "is tried, from",
    };
    terminal.line(&format!(
        "the draft in policies/shadow {words} {} until {}, and binds nobody",
        text(&report, "from"),
        text(&report, "until"),
    ));
    terminal.line(&format!(
        "of {} decisions in that time it makes {} otherwise",
        shown(&report, "decided"),
        shown(&report, "disagreed"),
    ));
    let rows: Vec<[String; 6]> = items(&report, "disagreements")
        .iter()
        .map(disagreement)
        .collect();
    if !rows.is_empty() {
        let heads = ["CALLS", "ACTION", "IN FORCE", "DRAFT", "BY", "LAST CALL"];
        terminal.table(heads, &rows);
    }
    let looser = |row: &Value| row.member("looser") == Some(&Value::from(true));
    let next = if items(&report, "disagreements").iter().any(looser) {
        "what it would let through stands first; `writ explain CALL` says why it was not"
    } else {
        "to put it in force, move its files to policies/ and take policies/shadow.toml out; then `writ plan` and `writ apply`"
    };
    terminal.line(&terminal.paint(Tone::Faint, next));
    Ok(())
}
