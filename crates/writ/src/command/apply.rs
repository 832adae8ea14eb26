//! `writ apply`: the project's files, checked whole and put in force.

use std::collections::BTreeMap;

use writ_control::cases;
use writ_control::plan::Side;
use writ_types::{Clock as _, Value};

use crate::app::App;
use crate::cli::ApplyArgs;
use crate::clock::SystemClock;
use crate::command::changes;
use crate::command::plan::faulty;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::project;
use crate::rows::text;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &ApplyArgs,
) -> Result<(), Failure> {
    let files = project::files(&config.project)?;
    let tests = project::tests(&config.project)?;
    if args.offline {
        passes(config, &files, &tests)?;
        return offline(terminal, config, files, &args.resume).await;
    }
    let resume = args
        .resume
        .iter()
        .map(|name| Value::from(name.as_str()))
        .collect();
    let body = Value::object([
        ("files", project::texts(files)?),
        ("tests", project::texts(tests)?),
        ("check", Value::from(args.check)),
        ("resume", Value::Array(resume)),
    ]);
    let answer = OperatorClient::of(config)?.post("/v1/apply", &body).await?;
    if changes::waits(terminal, &answer) {
        return Ok(());
    }
    if !in_force(terminal, &answer) {
        terminal.line("the project is sound; `writ apply` puts it in force");
    }
    Ok(())
}

/// Says what became of what was to be put in force; not where it was only checked and is another than what is.
pub(super) fn in_force(terminal: Terminal, answer: &Value) -> bool {
    if terminal.is_json() {
        terminal.object(answer);
        return true;
    }
    let flag = |name| answer.member(name).and_then(Value::as_bool) == Some(true);
    let revision = text(answer, "revision");
    let checked = match (flag("changed"), flag("checked_only")) {
        (false, _) => {
            terminal.line("nothing has changed");
            false
        }
        (true, true) => true,
        (true, false) => {
            let in_force = terminal.paint(Tone::Good, "in force:");
            terminal.line(&format!("{in_force} {revision}"));
            false
        }
    };
    let stopped = answer.member("still_stopped").and_then(Value::as_array);
    for agent in stopped.unwrap_or_default() {
        stays_stopped(terminal, agent.as_str().unwrap_or_default());
    }
    !checked
}

/// Whether the project passes its own tests, where nothing runs that could try them.
fn passes(
    config: &Config,
    files: &BTreeMap<String, Vec<u8>>,
    tests: &BTreeMap<String, Vec<u8>>,
) -> Result<(), Failure> {
    if tests.is_empty() {
        return Ok(());
    }
    let now = SystemClock::start().now();
    let compiled = Side::of_files(files, &config.identity.trust_domain, None, now);
    let (side, _stopped) = compiled.map_err(|faults| faulty("the project has faults", &faults))?;
    let failed = cases::failures(tests, &side, now);
    if failed.is_empty() {
        return Ok(());
    }
    Err(faulty("the project fails its own tests", &failed).hint("writ policy test"))
}

/// Puts the files in force with nothing running; who may read and write the store and its keys may do so.
async fn offline(
    terminal: Terminal,
    config: &Config,
    files: BTreeMap<String, Vec<u8>>,
    resume: &[String],
) -> Result<(), Failure> {
    let mended = App::mend(config, files, resume).await?;
    let revision = mended.revision.to_string();
    if terminal.is_json() {
        let stopped = mended.still_stopped.iter();
        let stopped = stopped.map(|spiffe| Value::from(spiffe.as_str())).collect();
        terminal.object(&Value::object([
            ("revision", Value::from(revision)),
            ("still_stopped", Value::Array(stopped)),
        ]));
        return Ok(());
    }
    terminal.line(&format!(
        "{} {revision}, from the next `writ serve` on",
        terminal.paint(Tone::Good, "in force:")
    ));
    for agent in &mended.still_stopped {
        stays_stopped(terminal, agent.as_str());
    }
    Ok(())
}

fn stays_stopped(terminal: Terminal, name: &str) {
    terminal.line(&format!(
        "{} {name} was killed and stays stopped: `writ apply --resume {name}`",
        terminal.paint(Tone::Warn, "note")
    ));
}
