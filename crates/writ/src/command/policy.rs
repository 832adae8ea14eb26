//! `writ policy check` and `writ policy test`: what is wrong with a project's policies, and whether they say what people wrote
//! down that they must. Both read files and need nothing running.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use writ_control::cases::{self, Case, MATRIX, Tried};
use writ_control::plan::{self, Side};
use writ_control::project::ProjectFault;
use writ_store::{Store, StoreError};
use writ_types::{Clock as _, Tenant, Timestamp, Value};

use crate::cli::{PolicyCommand, PolicyTestArgs};
use crate::clock::SystemClock;
use crate::command::init;
use crate::command::plan::faulty;
use crate::config::Config;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::project;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    settings: &Path,
    command: &PolicyCommand,
) -> Result<(), Failure> {
    let folder = match command {
        PolicyCommand::Check { folder } | PolicyCommand::Test(PolicyTestArgs { folder, .. }) => {
            folder.as_ref().map(|folder| folder.join("writ.toml"))
        }
    };
    let config = Config::load(folder.as_deref().unwrap_or(settings))?;
    match command {
        PolicyCommand::Check { .. } => check(terminal, &config).await,
        PolicyCommand::Test(args) => test(terminal, &config, args),
    }
}

/// The project's files, compiled.
fn side(config: &Config, now: Timestamp) -> Result<Result<Side, Vec<ProjectFault>>, Failure> {
    let _progress = Progress::of("reading contracts and policies");
    let files = project::files(&config.project)?;
    let compiled = Side::of_files(&files, &config.identity.trust_domain, None, now);
    Ok(compiled.map(|(side, _stopped)| side))
}

async fn check(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    let now = SystemClock::start().now();
    let (errors, notices, counted) = match side(config, now)? {
        Err(faults) => (faults, Vec::new(), None),
        Ok(side) => {
            let held = roles(config).await?;
            let counted = side.policies();
            (Vec::new(), side.notices(held.as_ref()), Some(counted))
        }
    };
    // Cases that cannot be read are faults of the project too.
    let cases = cases::read(&project::tests(&config.project)?);
    let errors: Vec<ProjectFault> = errors
        .into_iter()
        .chain(cases.err().unwrap_or_default())
        .collect();
    for (found, severity) in errors
        .iter()
        .map(|found| (found, "error"))
        .chain(notices.iter().map(|found| (found, "notice")))
    {
        finding(terminal, found, severity);
    }
    if terminal.is_json() {
        let count = |number: usize| Value::from_u64(u64::try_from(number).unwrap_or(u64::MAX));
        let (files, rules) = counted.unwrap_or_default();
        terminal.object(&Value::object([
            ("kind", Value::from("summary")),
            ("errors", count(errors.len())),
            ("notices", count(notices.len())),
            ("files", count(files)),
            ("rules", count(rules)),
        ]));
    } else if let Some((files, rules)) = counted.filter(|_| errors.is_empty()) {
        let word = terminal.paint(Tone::Good, "sound:");
        terminal.line(&format!(
            "{word} {} in force, {} of your own, {}",
            many(rules, "rule"),
            many(files, "file"),
            many(notices.len(), "notice")
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(many(errors.len(), "error")))
    }
}

fn many(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `policies/local.cedar:3:22: error[unknown-attribute]: … (rule `a`)`, and the fix on a line of its own.
fn finding(terminal: Terminal, found: &ProjectFault, severity: &str) {
    if terminal.is_json() {
        let members = found.to_value();
        let members = members.as_object().cloned().unwrap_or_default();
        let kind = [("kind", "finding"), ("severity", severity)];
        let kind = kind.map(|(name, word)| (name.to_owned(), Value::from(word)));
        return terminal.object(&Value::object(members.into_iter().chain(kind)));
    }
    let mut place = found.file.clone();
    for number in [found.line, found.column].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    let tone = if severity == "error" {
        Tone::Bad
    } else {
        Tone::Warn
    };
    let rule = found.rule.as_ref();
    let rule = rule.map_or_else(String::new, |rule| format!(" (rule `{rule}`)"));
    terminal.line(&format!(
        "{place}: {}: {}{rule}",
        terminal.paint(tone, &format!("{severity}[{}]", found.lint)),
        found.message
    ));
    if let Some(fix) = &found.fix {
        terminal.line(&format!("  fix: {fix}"));
    }
}

/// The roles that somebody has, where the project has a store and no server holds it: what is checked are the files.
async fn roles(config: &Config) -> Result<Option<BTreeSet<String>>, Failure> {
    let path = config.data.join("writ.db");
    if !path.exists() {
        return Ok(None);
    }
    let store = match Store::open(&path).await {
        Err(StoreError::InUse { .. }) => return Ok(None),
        opened => opened?,
    };
    let tenant = Tenant::default_tenant();
    let mut held = BTreeSet::new();
    let mut after = None;
    loop {
        let page = store.operators(&tenant, after).await?;
        let Some(last) = page.last() else {
            return Ok(Some(held));
        };
        after = Some(last.id);
        held.extend(page.into_iter().flat_map(|operator| operator.approves));
    }
}

/// What is counted of a run.
#[derive(Debug, Default)]
struct Run {
    passed: usize,
    failed: usize,
    /// The rules that applied in some case.
    applied: BTreeSet<String>,
}

fn test(terminal: Terminal, config: &Config, args: &PolicyTestArgs) -> Result<(), Failure> {
    let now = SystemClock::start().now();
    let side = side(config, now)?
        .map_err(|faults| faulty("the project has faults", &faults).hint("writ policy check"))?;
    let tests = project::tests(&config.project)?;
    let cases = cases::read(&tests).map_err(|faults| faulty("the tests have faults", &faults))?;
    if args.accept {
        return accept(terminal, config, &side, now);
    }
    let wanted = |case: &&Case| {
        args.only.as_ref().is_none_or(|text| {
            case.name.contains(text.as_str()) || case.file.contains(text.as_str())
        })
    };
    let cases: Vec<&Case> = cases.iter().filter(wanted).collect();
    let matrix = tests.get(MATRIX).filter(|_| args.only.is_none());
    if cases.is_empty() && matrix.is_none() {
        // A run that tried nothing has shown nothing.
        let hint = "write cases into policies/tests/*.toml; `writ init` shows how";
        return Err(Failure::new("there is nothing to test").hint(hint));
    }
    let mut run = Run::default();
    for case in cases {
        tried(terminal, case, case.try_on(&side, now), args, &mut run);
    }
    if let Some(kept) = matrix {
        compared(terminal, kept, &side, now, &mut run)?;
    }
    let untried: Vec<&str> = side
        .own_rules()
        .filter(|rule| !run.applied.contains(*rule))
        .collect();
    tell(
        terminal,
        &run,
        if args.only.is_some() { &[] } else { &untried },
    );
    if run.failed == 0 {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{} of the policy tests failed",
            run.failed
        )))
    }
}

fn tried(
    terminal: Terminal,
    case: &Case,
    outcome: Result<Tried, String>,
    args: &PolicyTestArgs,
    run: &mut Run,
) {
    let place = format!("{}:{} {}", case.file, case.line, case.name);
    let tried = match outcome {
        Ok(tried) => tried,
        Err(message) => {
            run.failed = run.failed.saturating_add(1);
            if terminal.is_json() {
                terminal.object(&Value::object([
                    ("kind", Value::from("case")),
                    ("file", Value::from(case.file.as_str())),
                    ("line", Value::from_u64(u64::from(case.line))),
                    ("name", Value::from(case.name.as_str())),
                    ("passed", Value::from(false)),
                    ("error", Value::from(message)),
                ]));
            } else {
                terminal.line(&format!("{} {place}", terminal.paint(Tone::Bad, "FAIL")));
                terminal.line(&format!("  {message}"));
            }
            return;
        }
    };
    run.applied.extend(tried.applied().map(str::to_owned));
    let counter = if tried.passed() {
        &mut run.passed
    } else {
        &mut run.failed
    };
    *counter = counter.saturating_add(1);
    if terminal.is_json() {
        return terminal.object(&tried.to_value(case));
    }
    if tried.passed() {
        terminal.line(&format!("{}   {place}", terminal.paint(Tone::Good, "ok")));
    } else {
        terminal.line(&format!("{} {place}", terminal.paint(Tone::Bad, "FAIL")));
        for difference in &tried.differences {
            let label = format!("{:<11}", difference.what);
            terminal.line(&format!("  {label} expected {}", difference.expected));
            terminal.line(&format!("  {:<11} was      {}", "", difference.was));
        }
    }
    if args.why || !tried.passed() {
        terminal.line("  why");
        for line in tried.explanation.to_string().lines() {
            terminal.line(&format!("    {line}"));
        }
    }
}

/// Holds the table of who can do what against the one that was kept.
fn compared(
    terminal: Terminal,
    kept: &[u8],
    side: &Side,
    now: Timestamp,
    run: &mut Run,
) -> Result<(), Failure> {
    let is = plan::matrix(side, now).map_err(Failure::new)?;
    let was = String::from_utf8_lossy(kept);
    let lines = cases::rows;
    let (was, is) = (lines(&was), lines(&is));
    let changes: Vec<String> = was
        .difference(&is)
        .map(|line| format!("- {line}"))
        .chain(is.difference(&was).map(|line| format!("+ {line}")))
        .collect();
    let counter = if changes.is_empty() {
        &mut run.passed
    } else {
        &mut run.failed
    };
    *counter = counter.saturating_add(1);
    if terminal.is_json() {
        let changes = changes.into_iter().map(Value::from).collect::<Vec<_>>();
        terminal.object(&Value::object([
            ("kind", Value::from("matrix")),
            ("file", Value::from(MATRIX)),
            ("passed", Value::from(changes.is_empty())),
            ("changes", Value::Array(changes)),
        ]));
        return Ok(());
    }
    if changes.is_empty() {
        terminal.line(&format!("{}   {MATRIX}", terminal.paint(Tone::Good, "ok")));
        return Ok(());
    }
    terminal.line(&format!("{} {MATRIX}", terminal.paint(Tone::Bad, "FAIL")));
    terminal
        .line("  who can do what is not what it was; `writ policy test --accept` writes it anew");
    for change in changes {
        terminal.line(&format!("  {change}"));
    }
    Ok(())
}

fn tell(terminal: Terminal, run: &Run, untried: &[&str]) {
    if terminal.is_json() {
        let count = |number: usize| Value::from_u64(u64::try_from(number).unwrap_or(u64::MAX));
        let untried = untried.iter().copied().map(Value::from).collect();
        let members: BTreeMap<String, Value> = BTreeMap::from([
            ("kind".to_owned(), Value::from("summary")),
            ("passed".to_owned(), count(run.passed)),
            ("failed".to_owned(), count(run.failed)),
            ("rules_in_no_case".to_owned(), Value::Array(untried)),
        ]);
        return terminal.object(&Value::Object(members));
    }
    terminal.line(&format!("{} passed, {} failed", run.passed, run.failed));
    if !untried.is_empty() {
        let line = format!("in no case did these rules apply: {}", untried.join(", "));
        terminal.line(&terminal.paint(Tone::Faint, &line));
    }
}

/// Writes the table of who can do what.
fn accept(terminal: Terminal, config: &Config, side: &Side, now: Timestamp) -> Result<(), Failure> {
    let text = plan::matrix(side, now).map_err(Failure::new)?;
    init::write(&config.project.join(MATRIX), &text)?;
    if terminal.is_json() {
        terminal.object(&Value::object([
            ("kind", Value::from("matrix")),
            ("file", Value::from(MATRIX)),
            ("written", Value::from(true)),
        ]));
    } else {
        terminal.line(&format!("wrote {MATRIX}: read it, it is who can do what"));
    }
    Ok(())
}
