//! Connections to upstreams: one pool for each worker, so that no lock is shared between cores.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use writ_types::{Clock, Monotonic, ReasonCode, Timeouts, UpstreamUrl};

use crate::upload::Upload;

/// Idle connections kept for each upstream and worker.
const MOST_IDLE: usize = 256;

/// How long a connection from the pool may take to be ready: it has nothing to do but notice its last response's end.
const READY: Duration = Duration::from_millis(100);

/// An exchange that is under way: giving it back returns the connection to the pool.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    key: Key,
    sender: Option<SendRequest<Upload>>,
}

/// What tells two upstream connections apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tls: bool,
    host: String,
    port: u16,
}

struct Idle {
    sender: SendRequest<Upload>,
    since: Monotonic,
}

/// The connections of one worker.
pub struct Pool {
    idle: Mutex<BTreeMap<Key, Vec<Idle>>>,
    tls: Arc<rustls::ClientConfig>,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty pool. `tls` says which certificates upstreams are believed by.
    #[must_use]
    pub fn new(
        tls: Arc<rustls::ClientConfig>,
        timeouts: Timeouts,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::default(),
            tls,
            timeouts,
            clock,
        })
    }

    /// How long the phases of an exchange may take.
    pub(crate) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Sends one request and waits for the head of its response.
    ///
    /// A request is sent a second time only if the first connection was found closed before anything of it was
    /// written, so no request reaches an upstream twice.
    ///
    /// # Errors
    ///
    /// [`Unanswered`], which says whether the upstream may have heard of the request.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        upstream: &UpstreamUrl,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Lease), Unanswered> {
        let unheard = |reason| Unanswered {
            reason,
            heard: false,
        };
        let heard = |reason| Unanswered {
            reason,
            heard: true,
        };
        let key = Key {
            tls: upstream.tls,
            host: upstream.host.clone(),
            port: upstream.port,
        };
        let mut request = request;
        while let Some(sender) = self.idle(&key) {
            match self.attempt(sender, request).await {
                Ok((response, sender)) => return Ok((response, self.lease(key, sender))),
                Err(Attempt::NotSent(back)) => request = *back,
                Err(Attempt::Failed(reason)) => return Err(heard(reason)),
            }
        }
        // Boxed: connecting is rare, and its state is large.
        let connect = Box::pin(self.connect(upstream));
        let connect = tokio::time::timeout(self.timeouts.upstream_connect, connect);
        let sender = connect
            .await
            .unwrap_or(Err(ReasonCode::UpstreamTimeout))
            .map_err(unheard)?;
        match self.attempt(sender, request).await {
            Ok((response, sender)) => Ok((response, self.lease(key, sender))),
            Err(Attempt::NotSent(_)) => Err(unheard(ReasonCode::UpstreamUnreachable)),
            Err(Attempt::Failed(reason)) => Err(heard(reason)),
        }
    }

    fn lease(self: &Arc<Self>, key: Key, sender: SendRequest<Upload>) -> Lease {
        Lease {
            pool: Arc::clone(self),
            key,
            sender: Some(sender),
        }
    }

    /// The most recently used connection that is still open and fresh; staler ones are closed by dropping them.
    fn idle(&self, key: &Key) -> Option<SendRequest<Upload>> {
        let now = self.clock.monotonic();
        let mut pools = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.get_mut(key)?;
        while let Some(idle) = pool.pop() {
            if now.since(idle.since) > self.timeouts.pool_idle {
                pool.clear();
            } else if !idle.sender.is_closed() {
                return Some(idle.sender);
            }
        }
        None
    }

    async fn attempt(
        &self,
        mut sender: SendRequest<Upload>,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, SendRequest<Upload>), Attempt> {
        // The connection is ready as soon as its task has seen the end of the response before.
        let ready = tokio::time::timeout(READY, sender.ready()).await;
        if !matches!(ready, Ok(Ok(()))) {
            return Err(Attempt::NotSent(Box::new(request)));
        }
        let patience = request.body().patience(self.timeouts.upstream_head);
        tokio::select! {
            head = sender.try_send_request(request) => match head {
                Ok(response) => Ok((response, sender)),
                Err(mut fault) => match fault.take_message() {
                    Some(request) => Err(Attempt::NotSent(Box::new(request))),
                    None => Err(Attempt::Failed(ReasonCode::UpstreamUnreachable)),
                },
            },
            () = patience => Err(Attempt::Failed(ReasonCode::UpstreamTimeout)),
        }
    }

    async fn connect(&self, upstream: &UpstreamUrl) -> Result<SendRequest<Upload>, ReasonCode> {
        let unreachable = ReasonCode::UpstreamUnreachable;
        let stream = connect_judged(upstream).await?;
        stream.set_nodelay(true).map_err(|_closed| unreachable)?;
        if upstream.tls {
            let name =
                ServerName::try_from(upstream.host.clone()).map_err(|_no_name| unreachable)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|_refused| unreachable)?;
            handshake(TokioIo::new(stream)).await
        } else {
            handshake(TokioIo::new(stream)).await
        }
    }
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// `upstream_unreachable` or `upstream_timeout`.
    pub(crate) reason: ReasonCode,
    /// Whether anything of the request may have been written, so that it may have had its effect.
    pub(crate) heard: bool,
}

/// How one attempt failed.
enum Attempt {
    /// Nothing was written: another connection may try.
    NotSent(Box<Request<Upload>>),
    /// Something may have been written.
    Failed(ReasonCode),
}

async fn handshake<I>(io: I) -> Result<SendRequest<Upload>, ReasonCode>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io)
        .await
        .map_err(|_refused| ReasonCode::UpstreamUnreachable)?;
    // The task ends with the connection, which ends when its sender is dropped.
    tokio::spawn(async move {
        if let Err(fault) = connection.await {
            tracing::debug!(%fault, "upstream connection ended");
        }
    });
    Ok(sender)
}

/// Resolves the upstream once, judges each address, and connects to the first that is allowed and answers.
async fn connect_judged(upstream: &UpstreamUrl) -> Result<TcpStream, ReasonCode> {
    let literal = upstream.host.parse::<IpAddr>().is_ok();
    let resolved = tokio::net::lookup_host((upstream.host.as_str(), upstream.port));
    let addresses = resolved
        .await
        .map_err(|_unknown| ReasonCode::UpstreamUnreachable)?;
    for address in addresses.filter(|address| literal || may_connect(address)) {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    Err(ReasonCode::UpstreamUnreachable)
}

/// Whether a *name* may lead to this address.
///
/// An operator may write a link-local address out; a name that resolves to one is an attack on the cloud's metadata
/// service or on a neighbour (CWE-918). Private networks are where internal APIs live and are allowed.
fn may_connect(address: &SocketAddr) -> bool {
    let embedded = match address.ip() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    match embedded.unwrap_or_else(|| address.ip()) {
        IpAddr::V4(v4) => {
            !(v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()),
    }
}

impl Lease {
    /// The response was read to its end: the connection can serve another call.
    pub(crate) fn give_back(mut self) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        if sender.is_closed() {
            return;
        }
        let since = self.pool.clock.monotonic();
        let mut pools = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(self.key.clone()).or_default();
        if pool.len() < MOST_IDLE {
            pool.push(Idle { sender, since });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_to_a_metadata_service() {
        for (address, allowed) in [
            ("169.254.169.254:80", false),
            ("[::ffff:169.254.169.254]:80", false),
            ("[fe80::1]:80", false),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("224.0.0.1:80", false),
            ("255.255.255.255:80", false),
            ("10.0.0.7:80", true),
            ("127.0.0.1:80", true),
            ("[fd00::7]:80", true),
            ("203.0.113.9:443", true),
        ] {
            assert_eq!(may_connect(&address.parse().unwrap()), allowed, "{address}");
        }
    }
}
