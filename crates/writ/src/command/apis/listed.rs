//! The lists of an MCP server, to be imported: of one that runs, or of a program that the settings name.
//!
//! A program is never taken from the command line: only its name is. What it is stands in `writ.toml`, as for calls, with its whole environment;
//! and it is started when that was asked for, after it was said what that is, because it runs as whoever imports.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use writ_contract::McpRevision;
use writ_types::{Program, ProgramName, Secret, Upstream, UpstreamUrl};

use super::import::Imported;
use crate::cli::ImportArgs;
use crate::config::Config;
use crate::drift;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::{lists, tls};

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The server that is named in the place of a document.
pub(super) fn server(args: &ImportArgs) -> Result<Option<Upstream>, Failure> {
    let text = args.document.to_str().unwrap_or_default();
    let is_program = text.starts_with("stdio:");
    if args.start && !is_program {
        return Err(Failure::usage("`--start` is for a program, `stdio:<name>`"));
    }
    let is_url = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if !is_url && !is_program {
        let stray = args.mcp.is_some() || args.token_file.is_some();
        let fault = "`--mcp` and `--token-file` are for a running MCP server, or a program";
        return if stray {
            Err(Failure::usage(fault))
        } else {
            Ok(None)
        };
    }
    if args.id.is_none() {
        return Err(
            Failure::usage("what is the server to be called?").hint("name it with `--id mail`")
        );
    }
    text.parse().map(Some).map_err(Failure::usage)
}

/// Who is asked.
enum Who {
    Url(UpstreamUrl, Arc<rustls::ClientConfig>),
    Program(ProgramName, Program),
}

impl Who {
    /// Sees to it that it is known what a program is, and that it is to be started.
    fn of(
        terminal: Terminal,
        config: &Path,
        server: &Upstream,
        args: &ImportArgs,
    ) -> Result<Self, Failure> {
        let name = match server {
            Upstream::Http(url) => {
                let roots = tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
                return Ok(Self::Url(url.clone(), roots));
            }
            Upstream::Program(name) => name,
        };
        let mut programs = Config::load(config)?.programs;
        let program = programs.remove(name).ok_or_else(|| {
            Failure::usage(format!(
                "{} has no `[mcp.program.{name}]`",
                config.display()
            ))
            .hint("what may be started stands there, and only there")
        })?;
        if args.token_file.is_some() && program.credential().is_none() {
            return Err(Failure::usage(format!(
                "`[mcp.program.{name}]` names no variable for a credential: `credential = \"…\"`"
            )));
        }
        let variables: Vec<&str> = program.environment().keys().map(String::as_str).collect();
        let what = format!(
            "`{}` in {}, as you and not as Writ, with the variables [{}] and nothing else of yours",
            program.command().join(" "),
            program.directory(),
            variables.join(", ")
        );
        if !args.start {
            return Err(Failure::usage(format!("{server} is a program: {what}"))
                .hint("`--start` starts it, to ask what it has"));
        }
        terminal.talk(&format!("starts {what}"));
        Ok(Self::Program(name.clone(), program))
    }

    /// A server to ask: of a program, a new process.
    fn server(&self, token: Option<&Secret<String>>) -> Result<lists::Server, String> {
        Ok(match self {
            Self::Url(url, roots) => {
                let bearer =
                    |token: &Secret<String>| Secret::new(format!("Bearer {}", token.expose()));
                let field = token.map(|token| ("authorization".to_owned(), bearer(token)));
                lists::Server::Http(drift::endpoint(url.clone(), field, Arc::clone(roots)))
            }
            Self::Program(name, program) => {
                let programs = [(name.clone(), program.clone())].into();
                lists::Server::Program(drift::interview(&programs, name, token)?)
            }
        })
    }
}

/// Asks the server for its lists, in the revision that is named, or in the newest that it speaks.
pub(super) async fn read(
    terminal: Terminal,
    config: &Path,
    server: Upstream,
    args: &ImportArgs,
) -> Result<Imported, Failure> {
    let revisions = match args.mcp.as_deref() {
        None => vec![McpRevision::Stateless, McpRevision::Sessions],
        Some(name) => vec![McpRevision::named(name).ok_or_else(|| {
            Failure::usage(format!(
                "{name:?} is no revision of MCP that is spoken here"
            ))
            .hint("--mcp 2026-07-28, or --mcp 2025-11-25")
        })?],
    };
    let who = Who::of(terminal, config, &server, args)?;
    let token = args.token_file.as_deref().map(token).transpose()?;
    let mut failure = Failure::new(format!("the lists of {server} could not be read"));
    for revision in revisions {
        let asked = match who.server(token.as_ref()) {
            Ok(server) => {
                let patience = PATIENCE;
                lists::read(lists::Place { server, patience }, revision).await
            }
            Err(fault) => Err(fault),
        };
        match asked {
            Ok(bytes) => {
                return Ok(Imported {
                    bytes,
                    files: 0,
                    ending: "json".to_owned(),
                    server: Some(server),
                });
            }
            Err(fault) => failure = failure.detail(format!("{}: {fault}", revision.as_str())),
        }
    }
    Err(failure)
}

/// The token of a file.
fn token(path: &Path) -> Result<Secret<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|fault| Failure::caused(format!("cannot read {}", path.display()), &fault))?;
    let value = text.trim_end_matches(['\n', '\r']);
    Ok(Secret::new(value.to_owned()))
}
