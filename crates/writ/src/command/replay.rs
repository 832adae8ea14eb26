//! `writ replay`: recorded calls, decided again by the project's files.

use writ_types::Value;

use crate::cli::ReplayArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::progress::Progress;
use crate::project;
use crate::rows::{self, shown, text};
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &ReplayArgs,
) -> Result<(), Failure> {
    let folder = args.folder.as_ref().unwrap_or(&config.project);
    let files = project::files(folder)?;
    if files.is_empty() {
        let message = format!("{} holds no project", folder.display());
        return Err(Failure::new(message));
    }
    let body = Value::object([
        ("files", project::texts(files)?),
        ("last", Value::from_u64(args.last)),
    ]);
    let progress = Progress::of("deciding again");
    let client = OperatorClient::of(config)?;
    let report = client.post("/v1/replay", &body).await?;
    drop(progress);
    let otherwise = rows::items(&report, "disagreements");
    if terminal.is_json() {
        terminal.object(&report);
    } else {
        told(terminal, &report, otherwise);
    }
    if otherwise.is_empty() {
        Ok(())
    } else {
        Err(Failure::changes("calls would be decided otherwise"))
    }
}

fn told(terminal: Terminal, report: &Value, otherwise: &[Value]) {
    if shown(report, "decisions") == "0" {
        terminal.line("no decision is recorded yet: there is nothing to make again");
        return;
    }
    terminal.line(&format!(
        "of the newest {} decisions, from {} until {}, {} were made again, and {} come out otherwise",
        shown(report, "decisions"),
        text(report, "from"),
        text(report, "until"),
        shown(report, "decided_again"),
        shown(report, "disagreed"),
    ));
    let unsaid = report.member("not_decided").and_then(Value::as_object);
    for (why, calls) in unsaid.into_iter().flatten() {
        terminal.line(&format!("  {calls} were not: {}", words(why)));
    }
    if shown(report, "other_contract") != "0" {
        terminal.line(&format!(
            "  {} of them were read by another contract than the project has, and are decided on what that one read",
            shown(report, "other_contract"),
        ));
    }
    if otherwise.is_empty() {
        return;
    }
    let table: Vec<[String; 6]> = otherwise.iter().map(rows::disagreement).collect();
    let heads = ["CALLS", "ACTION", "DECIDED", "PROJECT", "BY", "LAST CALL"];
    terminal.table(heads, &table);
    let next = "what would be let through stands first; `writ explain CALL` says why it was decided as it was";
    terminal.line(&terminal.paint(Tone::Faint, next));
}

fn words(why: &str) -> &str {
    match why {
        "not_by_rules" => {
            "their token, pace, budget, a person's no or the drift of a contract decided, and no project does"
        }
        "not_kept" => {
            "their task was amended, or it, their revision, or what they were decided on is not kept any more"
        }
        "arguments_not_kept" => "their arguments were not kept",
        "not_reproduced" => {
            "what is kept is not all that they were decided on: even what was in force then comes to another decision by it"
        }
        "windows" => "the project's rules look at a window that was counted otherwise then",
        other => other,
    }
}
