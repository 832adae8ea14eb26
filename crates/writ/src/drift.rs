//! Gets what the servers of APIs publish, so that the control plane can hold it against what is pinned.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use writ_control::{Fetch, Published};

use crate::failure::Failure;
use crate::http::{HttpError, Peer};
use crate::lists;
use crate::tls;

/// One request with a bound on time and size, to exactly the place that was registered.
pub(crate) fn fetch(patience: Duration) -> Result<Fetch, Failure> {
    let roots = tls::client(&[Path::new("/etc/ssl/certs/ca-certificates.crt")])?;
    Ok(Box::new(move |published: Published| {
        let roots = Arc::clone(&roots);
        Box::pin(async move {
            let Published {
                mut url,
                field,
                lists,
            } = published;
            let path = std::mem::take(&mut url.base_path);
            let path = if path.is_empty() { "/" } else { &path };
            let peer = Peer::Url(url, Some(roots));
            if let Some(revision) = lists {
                let place = lists::Place {
                    peer,
                    path: path.to_owned(),
                    field,
                    patience,
                };
                return lists::read(place, revision).await;
            }
            let mut headers = vec![(
                "accept",
                "application/json, application/yaml;q=0.9, */*;q=0.5",
            )];
            headers.extend(
                field
                    .as_ref()
                    .map(|(name, value)| (name.as_str(), value.expose().as_str())),
            );
            let exchange = peer.send(Method::GET, path, &headers, Vec::new());
            let answer = tokio::time::timeout(patience, exchange)
                .await
                .map_err(|_late| "no answer in time".to_owned())?;
            let answer = answer.map_err(unanswered)?;
            // A redirect is not followed: it could lead anywhere.
            if answer.status != 200 {
                return Err(format!("status {}", answer.status));
            }
            Ok(answer.body.to_vec())
        })
    }))
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
