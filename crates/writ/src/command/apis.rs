//! `writ api`: from a vendor's document to a registration that a person reviews.

mod diff;
mod documents;
mod lint;

use std::fmt::Write as _;
use std::path::Path;

use writ_contract::{Contract, Diagnostic, Reviews, Severity};
use writ_types::{ApiId, UpstreamUrl, Value};

use crate::cli::{ApiCommand, ImportArgs};
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::OperatorClient;
use crate::rows::{shown, text};
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Path,
    command: &ApiCommand,
) -> Result<(), Failure> {
    match command {
        // A document can be looked at without a project.
        ApiCommand::Import(args) => import(terminal, config, args),
        ApiCommand::Lint(args) => lint::run(terminal, config, args),
        ApiCommand::Diff(args) => diff::run(terminal, config, args),
        ApiCommand::List => {
            let apis = OperatorClient::of(&Config::load(config)?)?
                .get("/v1/apis")
                .await?;
            if terminal.is_json() {
                terminal.object(&apis);
                return Ok(());
            }
            let row = |row: &Value| {
                [
                    shown(row, "id"),
                    shown(row, "upstream"),
                    format!("{}/{}", shown(row, "reviewed"), shown(row, "operations")),
                    shown(row, "owner"),
                ]
            };
            let rows: Vec<[String; 4]> = apis
                .as_array()
                .unwrap_or_default()
                .iter()
                .map(row)
                .collect();
            terminal.table(["API", "UPSTREAM", "REVIEWED", "OWNER"], &rows);
            Ok(())
        }
        ApiCommand::Show { api } => {
            let answer = OperatorClient::of(&Config::load(config)?)?
                .get(&format!("/v1/apis/{api}"))
                .await?;
            if terminal.is_json() {
                terminal.object(&answer);
                return Ok(());
            }
            let row = |row: &Value| {
                [
                    text(row, "action"),
                    text(row, "method"),
                    text(row, "path"),
                    text(row, "effects"),
                ]
            };
            let operations = answer
                .member("operations")
                .and_then(Value::as_array)
                .unwrap_or_default();
            let rows: Vec<[String; 4]> = operations.iter().map(row).collect();
            terminal.table(["ACTION", "METHOD", "PATH", "EFFECTS"], &rows);
            Ok(())
        }
    }
}

fn import(terminal: Terminal, config: &Path, args: &ImportArgs) -> Result<(), Failure> {
    let document = std::fs::read(&args.document).map_err(|fault| {
        Failure::caused(format!("cannot read {}", args.document.display()), &fault)
    })?;
    let id = api_id(args)?;
    let (contract, diagnostics) = Contract::compile(&id, &document, &Reviews::default());
    let name = args.document.display();
    let Some(contract) = contract else {
        let failure = Failure::new(format!("{name} is no contract that can be used"));
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .take(10);
        return Err(errors.fold(failure, |failure, diagnostic| {
            failure.detail(line(diagnostic))
        }));
    };
    for diagnostic in diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .take(20)
    {
        terminal.talk(&format!(
            "{} {name}{}",
            terminal.paint(Tone::Warn, "refused"),
            line(diagnostic)
        ));
    }
    let count = contract.operations().count();
    let warnings = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Warning)
        .count();
    if terminal.is_json() {
        terminal.object(&Value::object([
            ("id", Value::from(id.as_str())),
            ("title", Value::from(contract.title())),
            ("version", Value::from(contract.version())),
            ("digest", Value::from(contract.digest().to_string())),
            ("operations", number(count)),
            ("warnings", number(warnings)),
            (
                "refused",
                Value::Array(
                    diagnostics
                        .iter()
                        .filter(|diagnostic| diagnostic.severity == Severity::Error)
                        .map(|diagnostic| Value::from(line(diagnostic)))
                        .collect(),
                ),
            ),
        ]));
    } else {
        terminal.line(&format!(
            "{} {} {}: {count} operations, {warnings} warnings",
            terminal.paint(Tone::Good, "read"),
            contract.title(),
            contract.version()
        ));
    }
    if args.check {
        Ok(())
    } else {
        write(terminal, config, args, &id, &contract, &document)
    }
}

fn number(count: usize) -> Value {
    Value::from_u64(u64::try_from(count).unwrap_or(u64::MAX))
}

fn line(diagnostic: &Diagnostic) -> String {
    let line = diagnostic
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    format!(
        "{line}: {} (at `{}`)",
        diagnostic.message, diagnostic.pointer
    )
}

/// The id that was given, or one made from the file's name.
fn api_id(args: &ImportArgs) -> Result<ApiId, Failure> {
    if let Some(id) = &args.id {
        return id
            .parse()
            .map_err(|fault: writ_types::NameError| Failure::usage(fault.to_string()));
    }
    let stem = args
        .document
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let first = stem
        .split(['.', '-', '_'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    first.parse().map_err(|_no_id: writ_types::NameError| {
        Failure::usage("the file's name makes no API id").hint("name one with `--id dns`")
    })
}

/// Writes the document and a registration for review.
fn write(
    terminal: Terminal,
    config: &Path,
    args: &ImportArgs,
    id: &ApiId,
    contract: &Contract,
    document: &[u8],
) -> Result<(), Failure> {
    let project = Config::load(config)?.project;
    let registration = project.join("apis").join(format!("{id}.toml"));
    if registration.exists() {
        return Err(
            Failure::new(format!("{} is there already", registration.display()))
                .hint("`--id` names another API, `--check` only reads"),
        );
    }
    let upstream = match &args.upstream {
        Some(text) => text
            .parse::<UpstreamUrl>()
            .map_err(|fault| Failure::usage(fault.to_string()))?
            .to_string(),
        None => {
            return Err(Failure::usage("where is the API reached?")
                .hint("--upstream https://api.example.com/v1"));
        }
    };
    let ending = args
        .document
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or("json");
    let file = format!("{id}.openapi.{ending}");
    let text = std::str::from_utf8(document).map_err(|_binary| {
        Failure::new(format!("{} is not UTF-8 text", args.document.display()))
    })?;
    init::write(&project.join("apis").join(&file), text)?;
    init::write(
        &registration,
        &registration_text(args, id, contract, &upstream, &file),
    )?;
    terminal.talk(&format!("{} {}: set the credential it wants, and review the effects of the operations agents may use", terminal.paint(Tone::Good, "wrote"), registration.display()));
    Ok(())
}

fn registration_text(
    args: &ImportArgs,
    id: &ApiId,
    contract: &Contract,
    upstream: &str,
    file: &str,
) -> String {
    let mut text = format!(
        "# {} {}\nowner = {:?}\nupstream = {upstream:?}\ncontract = {file:?}\n\n# The credential it wants; its value: `writ credential set {id}-key`.\n# [credential]\n# name = \"{id}-key\"\n# attach = \"bearer\"      # or \"header\" with header = \"X-API-Key\", or \"basic\"\n\n# Proposed from the methods. An operation counts as irreversible and external until its lines are no comment.\n",
        contract.title(),
        contract.version(),
        args.owner,
    );
    for operation in contract.operations() {
        let summary = operation
            .summary()
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        // Writing to a `String` cannot fail.
        write!(
            text,
            "
# {} {}  {summary}
# [operations.{:?}]
# effect = \"{}\"
",
            operation.method(),
            operation.template(),
            operation.id().as_str(),
            operation.effects().kind.as_str()
        )
        .unwrap_or_default();
    }
    text
}
