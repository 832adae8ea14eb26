//! Gets what the servers of APIs publish, so that the control plane can hold it against what is pinned.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use tokio::sync::Semaphore;
use writ_control::{Fetch, Published, Publisher};
use writ_proxy::Interview;
use writ_types::{Program, ProgramName, Secret, UpstreamUrl};

use crate::failure::Failure;
use crate::http::{HttpError, Peer};
use crate::lists;
use crate::tls;

/// Most programs that run at once to be asked.
const MOST_PROGRAMS: usize = 2;

/// One request with a bound on time and size, to exactly the place that was registered; or one of the programs that the settings name,
/// started to be asked.
pub(crate) fn fetch(
    patience: Duration,
    programs: BTreeMap<ProgramName, Program>,
) -> Result<Fetch, Failure> {
    let roots = tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
    let programs = Arc::new((programs, Semaphore::new(MOST_PROGRAMS)));
    Ok(Box::new(move |published: Published| {
        let (roots, programs) = (Arc::clone(&roots), Arc::clone(&programs));
        Box::pin(async move {
            let Published { place, lists } = published;
            match (place, lists) {
                (Publisher::Program { name, credential }, revision) => {
                    let revision = revision.ok_or("its contract is no MCP server's")?;
                    let (programs, room) = &*programs;
                    let place = tokio::time::timeout(patience, room.acquire()).await;
                    let place =
                        place.map_err(|_late| "other programs are being asked".to_owned())?;
                    let _place = place.map_err(|fault| fault.to_string())?;
                    let interview = interview(programs, &name, credential.as_ref())?;
                    let server = lists::Server::Program(interview);
                    lists::read(lists::Place { server, patience }, revision).await
                }
                (Publisher::Server { url, field }, None) => {
                    document(endpoint(url, field, roots), patience).await
                }
                (Publisher::Server { url, field }, Some(revision)) => {
                    let server = lists::Server::Http(endpoint(url, field, roots));
                    lists::read(lists::Place { server, patience }, revision).await
                }
            }
        })
    }))
}

/// Starts a program that the settings name; no other, whatever the revision says.
pub(crate) fn interview(
    programs: &BTreeMap<ProgramName, Program>,
    name: &ProgramName,
    credential: Option<&Secret<String>>,
) -> Result<Interview, String> {
    let program = programs.get(name);
    let program = program.ok_or_else(|| format!("the settings have no `[mcp.program.{name}]`"))?;
    let begun = Interview::begin(name, program, credential);
    begun.map_err(|fault| format!("{} is not started: {fault}", program.command().join(" ")))
}

/// Where a server answers.
pub(crate) fn endpoint(
    mut url: UpstreamUrl,
    field: Option<(String, Secret<String>)>,
    roots: Arc<rustls::ClientConfig>,
) -> lists::Endpoint {
    let path = std::mem::take(&mut url.base_path);
    lists::Endpoint {
        peer: Peer::Url(url, Some(roots)),
        path: if path.is_empty() {
            "/".to_owned()
        } else {
            path
        },
        field,
    }
}

async fn document(at: lists::Endpoint, patience: Duration) -> Result<Vec<u8>, String> {
    let mut headers = vec![(
        "accept",
        "application/json, application/yaml;q=0.9, */*;q=0.5",
    )];
    let field = at.field.as_ref();
    headers.extend(field.map(|(name, value)| (name.as_str(), value.expose().as_str())));
    let exchange = at.peer.send(Method::GET, &at.path, &headers, Vec::new());
    let answer = tokio::time::timeout(patience, exchange)
        .await
        .map_err(|_late| "no answer in time".to_owned())?;
    let answer = answer.map_err(unanswered)?;
    // A redirect is not followed: it could lead anywhere.
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    let document = answer.body.to_vec();
    if at.is_told_its_credential(&document) {
        return Err("what it publishes holds the credential that it was asked with".to_owned());
    }
    Ok(document)
}

/// Why a server of somebody else's does not answer.
pub(crate) fn unanswered(fault: HttpError) -> String {
    match fault {
        HttpError::Connect(url, cause) => format!("cannot connect to {url}: {cause}"),
        HttpError::Url(_)
        | HttpError::Tls(..)
        | HttpError::Exchange(..)
        | HttpError::Late(_)
        | HttpError::Header => fault.to_string(),
    }
}
