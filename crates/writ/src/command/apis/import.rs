//! `writ api import`: a vendor's document into the project, with a registration and a first overlay for a person to review.

use std::path::{Path, PathBuf};

use writ_contract::{
    Bundler, Contract, Diagnostic, Reviews, Severity, Shipped, Visibility, propose,
};
use writ_types::{ApiId, Upstream, Value};

use super::{documents, listed};
use crate::cli::ImportArgs;
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::terminal::{Terminal, Tone};

/// Largest file of a document, in bytes.
const MOST: u64 = 64 * 1024 * 1024;
/// Most diagnostics that are shown.
const SHOWN: usize = 20;

/// A document that needs no other file.
pub(super) struct Imported {
    pub(super) bytes: Vec<u8>,
    /// How many other files are in it.
    pub(super) files: usize,
    /// The ending of its own file.
    pub(super) ending: String,
    /// The MCP server whose lists they are.
    pub(super) server: Option<Upstream>,
}

pub(super) async fn run(
    terminal: Terminal,
    config: &Path,
    args: &ImportArgs,
) -> Result<(), Failure> {
    let imported = match listed::server(args)? {
        Some(server) => listed::read(terminal, config, server, args).await?,
        None => read(terminal, &args.document)?,
    };
    let id = api_id(args)?;
    let (contract, diagnostics) = Contract::compile(&id, &imported.bytes, &Reviews::default());
    let name = args.document.display();
    let errors = || {
        let severe = |found: &&Diagnostic| found.severity == Severity::Error;
        diagnostics.iter().filter(severe)
    };
    let Some(contract) = contract else {
        let failure = Failure::new(format!("{name} is no contract that can be used"));
        return Err(errors().take(10).fold(failure, |failure, diagnostic| {
            failure.detail(format!("{name}{}", line(diagnostic)))
        }));
    };
    for diagnostic in errors().take(SHOWN) {
        let refused = terminal.paint(Tone::Warn, "refused");
        terminal.talk(&format!("{refused} {name}{}", line(diagnostic)));
    }
    let hidden = errors().count().saturating_sub(SHOWN);
    if hidden > 0 {
        terminal.talk(&format!("and {hidden} more; `--json` has them all"));
    }
    report(terminal, &id, &contract, &imported, &diagnostics);
    if args.check {
        return Ok(());
    }
    write(terminal, config, args, &id, &contract, &imported)
}

/// Reads the document, and every file of its folder that it refers to.
fn read(terminal: Terminal, path: &Path) -> Result<Imported, Failure> {
    let unreadable = |path: &Path, fault: &std::io::Error| {
        Failure::caused(format!("cannot read {}", path.display()), fault)
    };
    let bytes = documents::bytes(path)?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    let alone = |bytes| Imported {
        bytes,
        files: 0,
        ending: ending.unwrap_or("json").to_owned(),
        server: None,
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(alone(bytes));
    };
    // What is wrong with the first file is said by whoever compiles it.
    let Ok(mut bundler) = Bundler::new(name, &bytes) else {
        return Ok(alone(bytes));
    };
    let folder = path
        .canonicalize()
        .map_err(|fault| unreadable(path, &fault))?;
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    while let Some(wanted) = bundler.wanted().map(str::to_owned) {
        match file(&folder, &wanted) {
            Ok(bytes) => bundler.give(&wanted, &bytes),
            Err(why) => bundler.absent(&wanted, why),
        }
    }
    let Some(bundle) = bundler.finish() else {
        return Ok(alone(bytes));
    };
    for (wanted, why) in bundle.absent.iter().take(SHOWN) {
        let missing = terminal.paint(Tone::Warn, "missing");
        terminal.talk(&format!(
            "{missing} {wanted:?}: {why}; what needs it is refused"
        ));
    }
    Ok(Imported {
        bytes: bundle.document.into_bytes(),
        files: bundle.files,
        ending: "json".to_owned(),
        server: None,
    })
}

/// A file of the folder. A link that leads out of it leads nowhere.
fn file(folder: &Path, wanted: &str) -> Result<Vec<u8>, String> {
    let path: PathBuf = folder.join(wanted);
    let real = path.canonicalize().map_err(|fault| fault.to_string())?;
    if !real.starts_with(folder) {
        return Err("it lies outside the folder".to_owned());
    }
    let metadata = real.metadata().map_err(|fault| fault.to_string())?;
    if !metadata.is_file() || metadata.len() > MOST {
        return Err("it is no file, or larger than 64 MiB".to_owned());
    }
    std::fs::read(&real).map_err(|fault| fault.to_string())
}

/// What was read, and how clearly policies will see it.
fn report(
    terminal: Terminal,
    id: &ApiId,
    contract: &Contract,
    imported: &Imported,
    diagnostics: &[Diagnostic],
) {
    let of = |severity: Severity| {
        diagnostics
            .iter()
            .filter(move |found| found.severity == severity)
    };
    let seen = |visibility| -> usize {
        let operations = contract.operations();
        operations
            .map(|operation| operation.coverage().count(visibility))
            .sum()
    };
    let (visible, lossy, opaque) = (
        seen(Visibility::Visible),
        seen(Visibility::Lossy),
        seen(Visibility::Opaque),
    );
    let (count, warnings) = (contract.operations().count(), of(Severity::Warning).count());
    if !terminal.is_json() {
        terminal.line(&format!(
            "{} {} {}: {count} operations, {} refused, {warnings} warnings{}",
            terminal.paint(Tone::Good, "read"),
            contract.title(),
            contract.version(),
            contract.refused().len(),
            match imported.files {
                0 => String::new(),
                files => format!(", {files} more files in one document"),
            },
        ));
        terminal.line(&format!(
            "     policies see {visible} places as they are, {lossy} with something lost, {opaque} not at all; {} KiB in memory",
            contract.memory() / 1024
        ));
        return;
    }
    let texts =
        |severity| Value::Array(of(severity).map(|found| Value::from(line(found))).collect());
    let operations = contract.operations().map(|operation| {
        let places = operation.coverage().iter();
        let dim = places.filter(|(_, visibility)| *visibility != Visibility::Visible);
        let dim = dim.map(|(place, visibility)| (place, Value::from(visibility.to_string())));
        let value = Value::object([
            ("method", Value::from(operation.method())),
            ("path", Value::from(operation.template())),
            (
                "visible",
                number(operation.coverage().count(Visibility::Visible)),
            ),
            ("not_visible", Value::object(dim)),
        ]);
        (operation.id().as_str(), value)
    });
    terminal.object(&Value::object([
        ("id", Value::from(id.as_str())),
        ("title", Value::from(contract.title())),
        ("version", Value::from(contract.version())),
        ("digest", Value::from(contract.digest().to_string())),
        ("files", number(imported.files)),
        ("memory_bytes", number(contract.memory())),
        ("operations", number(count)),
        ("visible", number(visible)),
        ("lossy", number(lossy)),
        ("opaque", number(opaque)),
        ("warnings", texts(Severity::Warning)),
        ("refused", texts(Severity::Error)),
        ("coverage", Value::object(operations)),
    ]));
}

fn number(count: usize) -> Value {
    Value::from_u64(u64::try_from(count).unwrap_or(u64::MAX))
}

fn line(diagnostic: &Diagnostic) -> String {
    let line = diagnostic
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    let operation = diagnostic
        .operation
        .as_ref()
        .map(|operation| format!(" `{operation}`:"))
        .unwrap_or_default();
    format!(
        "{line}:{operation} {} (at `{}`)",
        diagnostic.message,
        documents::plain(diagnostic.pointer.as_str())
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

/// Where the API is reached: as it was said, or where its lists came from.
fn upstream(args: &ImportArgs, imported: &Imported) -> Result<String, Failure> {
    match (&args.upstream, &imported.server) {
        (None, Some(server)) => Ok(server.to_string()),
        (Some(text), _) => text
            .parse()
            .map(|url: Upstream| url.to_string())
            .map_err(Failure::usage),
        (None, None) => Err(Failure::usage("where is the API reached?")
            .hint("--upstream https://api.example.com/v1")),
    }
}

/// Writes the document, a registration, and an overlay for review.
fn write(
    terminal: Terminal,
    config: &Path,
    args: &ImportArgs,
    id: &ApiId,
    contract: &Contract,
    imported: &Imported,
) -> Result<(), Failure> {
    let folder = Config::load(config)?.project.join("apis");
    let registration = folder.join(format!("{id}.toml"));
    let overlay = folder.join(format!("{id}.overlay.yaml"));
    for path in [&registration, &overlay] {
        if path.exists() {
            return Err(Failure::new(format!("{} is there already", path.display()))
                .hint("`--id` names another API, `--check` only reads"));
        }
    }
    let upstream = upstream(args, imported)?;
    let text = std::str::from_utf8(&imported.bytes).map_err(|_binary| {
        Failure::new(format!("{} is not UTF-8 text", args.document.display()))
    })?;
    let shipped = Shipped::of_title(contract.title());
    let proposal = propose(contract, &imported.bytes, shipped);
    // What is written must be what `writ apply` takes.
    let reviews = Reviews {
        overlay: Some(proposal.clone()),
        ..Reviews::default()
    };
    let (proposed, faults) = Contract::compile(id, &imported.bytes, &reviews);
    let proposed = proposed.ok_or_else(|| {
        let failure = Failure::new("no overlay could be proposed for this document");
        faults
            .iter()
            .take(3)
            .fold(failure, |failure, fault| failure.detail(line(fault)))
    })?;
    let kind = if contract.mcp().is_some() {
        "lists"
    } else {
        "openapi"
    };
    let file = format!("{id}.{kind}.{}", imported.ending);
    init::write(&folder.join(&file), text)?;
    init::write(&overlay, &proposal)?;
    init::write(
        &registration,
        &registration_text(
            args,
            (id, contract, imported.server.as_ref()),
            &upstream,
            &file,
        ),
    )?;
    let wrote = terminal.paint(Tone::Good, "wrote");
    terminal.talk(&format!(
        "{wrote} {}: set the credential it wants",
        registration.display()
    ));
    let open = proposed
        .operations()
        .filter(|operation| !operation.reviewed())
        .count();
    let done = proposed.operations().count().saturating_sub(open);
    let from = match shipped {
        Some(shipped) => format!(
            "{done} operations reviewed by the overlay that ships for {}, ",
            shipped.name
        ),
        None => String::new(),
    };
    terminal.talk(&format!(
        "{wrote} {}: {from}{open} proposed; review those that agents may use, and take away their `reviewed: false`",
        overlay.display()
    ));
    Ok(())
}

fn registration_text(
    args: &ImportArgs,
    (id, contract, server): (&ApiId, &Contract, Option<&Upstream>),
    upstream: &str,
    file: &str,
) -> String {
    // What a running server says it has is looked at from then on.
    let drift = server
        .map(|server| format!("drift = \"{server}\"\n"))
        .unwrap_or_default();
    let attach = match server {
        Some(Upstream::Program(_)) => "\"environment\"",
        _ => "\"bearer\"      # or \"header\" with header = \"X-API-Key\", or \"basic\"",
    };
    format!(
        "# {} {}\nowner = {:?}\nupstream = {upstream:?}\ncontract = {file:?}\n{drift}\n# What its operations do stands in {id}.overlay.yaml. The credential it wants; its value: `writ credential set {id}-key`.\n# [credential]\n# name = \"{id}-key\"\n# attach = {attach}\n",
        contract.title(),
        contract.version(),
        args.owner,
    )
}
