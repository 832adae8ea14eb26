//! Streams: each message is the whole state; another comes when it changes or an identity is half used up.

use std::sync::Arc;
use std::time::Duration;

use writ_types::{Agent, SpiffeId, Timestamp};

use super::message::{self, Bundles};
use super::wire::{self, Code, Feed, Status};
use super::{bundles, instant, x509_svids};
use crate::identity::{self, IdentityBody, Workload};
use crate::plane::Plane;

/// What is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    X509Svids,
    X509Bundles,
    JwtBundles,
}

/// Begins a stream, if the process is a registered agent.
pub(super) async fn open(
    plane: Arc<Plane>,
    workload: Workload,
    kind: Kind,
) -> Result<IdentityBody, Status> {
    identity::agents_of(&plane, &workload).await?;
    let (feed, body) = wire::many();
    tokio::spawn(async move {
        if let Err(status) = run(&plane, &workload, kind, &feed).await {
            feed.end(status).await;
        }
    });
    Ok(body)
}

/// What a message said, to tell whether another would say the same.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Svids(Vec<SpiffeId>, Bundles),
    Bundles(Bundles),
}

/// Sends until the client is gone, or the process is no agent any more.
async fn run(plane: &Plane, workload: &Workload, kind: Kind, feed: &Feed) -> Result<(), Status> {
    let (mut changes, mut trust) = (plane.changes(), plane.trust.changes());
    let mut said = None;
    let mut renewal: Option<Timestamp> = None;
    loop {
        // What changes from here on wakes us again.
        changes.mark_unchanged();
        trust.mark_unchanged();
        let agents = identity::agents_of(plane, workload).await?;
        let now = instant(plane)?;
        let due = renewal.is_some_and(|due| now >= due);
        let state = state(plane, kind, &agents, now);
        if due || said.as_ref() != Some(&state) {
            let message = match &state {
                Said::Svids(_, federated) => {
                    let (svids, ends) = x509_svids(plane, &agents, now)?;
                    renewal = Some(half_way(now, ends));
                    message::x509_svid_response(&svids, federated)
                }
                Said::Bundles(bundles) if kind == Kind::JwtBundles => {
                    message::jwt_bundles_response(bundles)
                }
                Said::Bundles(bundles) => message::x509_bundles_response(bundles),
            };
            if !feed.send(&message).await {
                return Ok(());
            }
            said = Some(state);
        }
        let ends = plane.trust.bundles().next_end(now);
        let next = renewal.into_iter().chain(ends).min();
        let wait = next.map(|next| next.since(plane.clock.now()));
        tokio::select! {
            () = feed.gone() => return Ok(()),
            changed = changes.changed() => {
                changed.map_err(|_ending| Status(Code::Unavailable, "the server is ending"))?;
            }
            changed = trust.changed() => {
                changed.map_err(|_ending| Status(Code::Unavailable, "the server is ending"))?;
            }
            () = sleep(wait) => {}
        }
    }
}

fn state(plane: &Plane, kind: Kind, agents: &[Arc<Agent>], now: Timestamp) -> Said {
    match kind {
        Kind::X509Svids => Said::Svids(
            agents.iter().map(|agent| agent.spiffe.clone()).collect(),
            bundles::federated(plane, now),
        ),
        Kind::X509Bundles => Said::Bundles(bundles::x509(plane, now)),
        Kind::JwtBundles => Said::Bundles(bundles::jwt(plane, now)),
    }
}

/// When an identity is half used up.
fn half_way(now: Timestamp, ends: Timestamp) -> Timestamp {
    now.plus(ends.since(now).mul_f64(0.5))
}

/// For ever, if there is nothing to wait for.
async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
