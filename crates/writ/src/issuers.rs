//! Issuers of user tokens, with their keys from a file or a URL.

use writ_token::{Issuer, KeyPins, KeySet};
use writ_types::Timeouts;

use crate::app::Issuers;
use crate::config::{IssuerConfig, KeySource};
use crate::failure::Failure;
use crate::http::Peer;
use crate::tls;

/// Largest key set, in bytes.
const MOST: usize = 256 * 1024;

/// Reads the keys of every configured issuer. One that cannot be read stops the start: an issuer without keys would
/// vouch for nobody, and whoever configured it would not learn why.
pub(crate) async fn load(
    issuers: &[IssuerConfig],
    timeouts: &Timeouts,
) -> Result<Issuers, Failure> {
    let mut loaded = Vec::new();
    for issuer in issuers {
        let document = match &issuer.keys {
            KeySource::File(path) => std::fs::read(path).map_err(|fault| {
                Failure::caused(
                    format!(
                        "cannot read the keys of {} from {}",
                        issuer.issuer,
                        path.display()
                    ),
                    &fault,
                )
            })?,
            KeySource::Url(url) => fetch(&issuer.issuer, url, timeouts).await?,
        };
        if document.len() > MOST {
            return Err(Failure::new(format!(
                "the key set of {} is larger than 256 KiB",
                issuer.issuer
            )));
        }
        let keys = KeySet::parse(&document, &KeyPins::default()).map_err(|fault| {
            Failure::caused(
                format!("the keys of {} cannot be used", issuer.issuer),
                &fault,
            )
        })?;
        let url = issuer
            .issuer
            .parse()
            .map_err(|fault: writ_token::IdentifierError| {
                Failure::caused(issuer.issuer.clone(), &fault)
            })?;
        loaded.push(Issuer::new(url, issuer.audience.clone(), keys));
    }
    Ok(loaded)
}

async fn fetch(issuer: &str, url: &str, timeouts: &Timeouts) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| {
        Failure::new(format!(
            "cannot fetch the keys of {issuer} from {url}: {why}"
        ))
    };
    let scheme_end = url.find("://").map_or(0, |at| at.saturating_add(3));
    let path_at = url
        .get(scheme_end..)
        .and_then(|rest| rest.find('/'))
        .map(|at| at.saturating_add(scheme_end));
    let (origin, path) = path_at
        .and_then(|at| url.split_at_checked(at))
        .unwrap_or((url, "/"));
    let roots = tls::client(&[std::path::Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
    let peer = Peer::url(origin, Some(roots)).map_err(|fault| failed(fault.to_string()))?;
    let exchange = peer.send(
        hyper::Method::GET,
        path,
        &[("accept", "application/json")],
        Vec::new(),
    );
    let answer = tokio::time::timeout(timeouts.key_fetch, exchange)
        .await
        .map_err(|_late| failed("no answer in time".to_owned()))?;
    let answer = answer.map_err(|fault| failed(fault.to_string()))?;
    // A redirect is not followed: it could lead anywhere.
    if answer.status != 200 {
        return Err(failed(format!("status {}", answer.status)));
    }
    Ok(answer.body.to_vec())
}
