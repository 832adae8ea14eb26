//! The lists of a running MCP server, to be imported.

use std::path::Path;
use std::time::Duration;

use writ_contract::McpRevision;
use writ_types::{Secret, UpstreamUrl};

use super::import::Imported;
use crate::cli::ImportArgs;
use crate::failure::Failure;
use crate::http::Peer;
use crate::{lists, tls};

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The server that is named in the place of a document.
pub(super) fn server(args: &ImportArgs) -> Result<Option<UpstreamUrl>, Failure> {
    let text = args.document.to_str().unwrap_or_default();
    if text.starts_with("stdio:") {
        return Err(Failure::usage("a program is not started to be imported")
            .hint("save what its lists say as a file, with `protocolVersion` beside `tools`"));
    }
    let is_url = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if !is_url {
        let stray = args.mcp.is_some() || args.token_file.is_some();
        let fault = "`--mcp` and `--token-file` are for the URL of a running MCP server";
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
    let url = text.parse();
    url.map(Some)
        .map_err(|fault: writ_types::UpstreamUrlError| Failure::usage(fault.to_string()))
}

/// Asks the server for its lists, in the revision that is named, or in the newest that it speaks.
pub(super) async fn read(server: UpstreamUrl, args: &ImportArgs) -> Result<Imported, Failure> {
    let revisions = match args.mcp.as_deref() {
        None => vec![McpRevision::Stateless, McpRevision::Sessions],
        Some(name) => vec![McpRevision::named(name).ok_or_else(|| {
            Failure::usage(format!(
                "{name:?} is no revision of MCP that is spoken here"
            ))
            .hint("--mcp 2026-07-28, or --mcp 2025-11-25")
        })?],
    };
    let roots = tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
    let mut failure = Failure::new(format!("the lists of {server} could not be read"));
    for revision in revisions {
        let mut root = server.clone();
        let path = std::mem::take(&mut root.base_path);
        let place = lists::Place {
            peer: Peer::Url(root, Some(std::sync::Arc::clone(&roots))),
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
            field: args.token_file.as_deref().map(token).transpose()?,
            patience: PATIENCE,
        };
        match lists::read(place, revision).await {
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

/// The field with the token of a file.
fn token(path: &Path) -> Result<(String, Secret<String>), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|fault| Failure::caused(format!("cannot read {}", path.display()), &fault))?;
    let value = format!("Bearer {}", text.trim_end_matches(['\n', '\r']));
    Ok(("authorization".to_owned(), Secret::new(value)))
}
