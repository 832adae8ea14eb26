//! The Workload API of another agent on this machine, as its client: what it says of the trust bundle of one domain (SPIFFE
//! Workload API §4, §5.2.2, §6.2.2).
//!
//! Each message is the whole state, and what it does not say is not so any more (§4.4). Of all that stands in one, only the
//! bundle of the configured trust domain is taken. The connection is not kept alive by pings, which agents take amiss: whoever
//! follows opens it anew from time to time.

mod messages;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Method, Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use writ_token::{BundleError, KeyPins, TrustBundle};
use writ_types::TrustDomain;

use super::{SECURITY_HEADER, wire};
use messages::Messages;

/// Bytes of one stream, and of the connection, that may be under way.
const WINDOW: u32 = 64 * 1024;
/// Largest field block, in bytes.
const MOST_FIELDS: u32 = 16 * 1024;
/// Most messages of one connection. More of them in the time between two openings are no rotation of keys.
const MOST_MESSAGES: u32 = 1024;

/// Why an agent's word on a trust bundle could not be had, or is not taken.
#[derive(Debug, thiserror::Error)]
pub enum EndpointFault {
    /// Nobody listens there.
    #[error("nobody answers at the socket: {0}")]
    Connect(#[source] std::io::Error),
    /// Somebody else listens there: whoever may write the folder of a socket may put one there.
    #[error(
        "the user {0} listens at the socket, who is neither root, nor Writ's own, nor `workload_api_uid`"
    )]
    Stranger(u32),
    /// The agent is silent.
    #[error("the agent said nothing in time")]
    Late,
    /// The exchange broke.
    #[error("the exchange broke: {0}")]
    Exchange(#[from] hyper::Error),
    /// Not gRPC.
    #[error("what listens there does not speak gRPC")]
    NotGrpc,
    /// It says that this process gets no bundles.
    #[error("the agent gives this process no bundles (PermissionDenied): register Writ there")]
    Denied,
    /// It refuses with another status.
    #[error("the agent refuses: {0}")]
    Refused(&'static str),
    /// It ended a stream that has no end.
    #[error("the agent ended the stream")]
    Ended,
    /// A message is compressed, larger than 4 MiB, cut short, or not one of protobuf's.
    #[error("a message is malformed or larger than 4 MiB")]
    Malformed,
    /// A message without any bundle, which has at least one (§4.5).
    #[error("a message holds no bundle at all")]
    Empty,
    /// Too much in one message.
    #[error("a message holds more than 1,024 bundles, or one larger than 256 KiB")]
    TooMany,
    /// One trust domain stands twice in a message.
    #[error("a message says twice what the bundle of the trust domain is")]
    Twice,
    /// Revocation lists, which are not looked at here: without them a certificate that was revoked would be believed.
    #[error("the agent hands out revocation lists, which are not known here")]
    RevocationLists,
    /// More messages than keys can be rotated.
    #[error("the agent sent more than 1,024 messages")]
    Flood,
    /// The bundle itself.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// An agent, and the trust domain whose bundle it is asked for.
#[derive(Debug, Clone)]
pub struct WorkloadEndpoint {
    socket: PathBuf,
    domain: TrustDomain,
    patience: Duration,
    /// The user that runs it, where it is neither root nor Writ's own.
    uid: Option<u32>,
}

impl WorkloadEndpoint {
    /// The agent at a socket. `patience` is how long it may take until it has said everything once.
    #[must_use]
    pub const fn new(socket: PathBuf, domain: TrustDomain, patience: Duration) -> Self {
        Self {
            socket,
            domain,
            patience,
            uid: None,
        }
    }

    /// The same, run by this user.
    #[must_use]
    pub fn run_by(self, uid: Option<u32>) -> Self {
        Self { uid, ..self }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens both streams, and waits until each has said what there is.
    ///
    /// # Errors
    ///
    /// [`EndpointFault`].
    pub async fn follow(&self) -> Result<(Following, Option<TrustBundle>), EndpointFault> {
        let opening = async {
            let stream = UnixStream::connect(&self.socket).await;
            let stream = stream.map_err(EndpointFault::Connect)?;
            let peer = stream.peer_cred().map_err(EndpointFault::Connect)?.uid();
            if !may_answer(peer, rustix::process::geteuid().as_raw(), self.uid) {
                return Err(EndpointFault::Stranger(peer));
            }
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW.saturating_mul(2))
                .max_header_list_size(MOST_FIELDS);
            let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
            let connection = Connection(tokio::spawn(connection));
            let x509 = call(&mut sender, "FetchX509Bundles").await?;
            let jwt = call(&mut sender, "FetchJWTBundles").await?;
            let mut following = Following {
                domain: self.domain.clone(),
                x509: Said::new(x509),
                jwt: Said::new(jwt),
                messages: 0,
                _requests: sender,
                _connection: connection,
            };
            let bundle = following.changed().await?;
            Ok((following, bundle))
        };
        let opened = tokio::time::timeout(self.patience, opening).await;
        opened.map_err(|_late| EndpointFault::Late)?
    }
}

async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
) -> Result<Messages, EndpointFault> {
    let (name, value) = SECURITY_HEADER;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://localhost/SpiffeWorkloadAPI/{method}"))
        .header(header::CONTENT_TYPE, wire::GRPC)
        .header(header::TE, "trailers")
        .header(name, value);
    let message = wire::frame(&[]).unwrap_or_default();
    // Every part of it stands here and is well-formed.
    let request = request.body(Full::new(message));
    let request = request.map_err(|_malformed| EndpointFault::NotGrpc)?;
    sender.ready().await?;
    Messages::of(sender.send_request(request).await?)
}

/// The connection ends with whoever follows.
#[derive(Debug)]
struct Connection(JoinHandle<Result<(), hyper::Error>>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One stream, and what it said last of the trust domain.
#[derive(Debug)]
struct Said {
    messages: Messages,
    spoke: bool,
    bundle: Option<Vec<u8>>,
}

impl Said {
    const fn new(messages: Messages) -> Self {
        Self {
            messages,
            spoke: false,
            bundle: None,
        }
    }
}

/// Both streams of an agent, open.
#[derive(Debug)]
pub struct Following {
    domain: TrustDomain,
    x509: Said,
    jwt: Said,
    messages: u32,
    // Dropping it would end the connection.
    _requests: SendRequest<Full<Bytes>>,
    _connection: Connection,
}

impl Following {
    /// Waits for the next message and gives the bundle of the trust domain as it is now; none if the agent speaks of that
    /// domain no more. What waits can be given up at any time.
    ///
    /// # Errors
    ///
    /// [`EndpointFault`]. Nothing follows.
    pub async fn changed(&mut self) -> Result<Option<TrustBundle>, EndpointFault> {
        loop {
            let (said, message, x509) = tokio::select! {
                message = self.x509.messages.next() => (&mut self.x509, message?, true),
                message = self.jwt.messages.next() => (&mut self.jwt, message?, false),
            };
            self.messages = self.messages.saturating_add(1);
            if self.messages > MOST_MESSAGES {
                return Err(EndpointFault::Flood);
            }
            let read = if x509 {
                messages::x509_bundle
            } else {
                messages::jwt_bundle
            };
            said.bundle = read(&message, &self.domain)?.map(<[u8]>::to_vec);
            said.spoke = true;
            if self.x509.spoke && self.jwt.spoke {
                return self.bundle();
            }
        }
    }

    fn bundle(&self) -> Result<Option<TrustBundle>, EndpointFault> {
        let (authorities, jwks) = (self.x509.bundle.as_deref(), self.jwt.bundle.as_deref());
        if authorities.is_none() && jwks.is_none() {
            return Ok(None);
        }
        let (domain, pins) = (self.domain.clone(), KeyPins::default());
        let bundle = TrustBundle::of_workload_api(domain, authorities, jwks, &pins)?;
        Ok(Some(bundle))
    }
}

/// Whether the user `peer` may say what a trust domain's keys are: root, Writ's own user, and the one that the settings name, which
/// people approved.
fn may_answer(peer: u32, own: u32, named: Option<u32>) -> bool {
    peer == 0 || peer == own || Some(peer) == named
}

#[cfg(test)]
mod tests {
    use super::may_answer;

    #[test]
    fn only_who_is_trusted_with_the_machine_or_named_says_what_keys_are() {
        for (peer, named, may) in [
            (0, None, true),
            (500, None, true),
            (501, None, false),
            (501, Some(501), true),
            (501, Some(502), false),
        ] {
            assert_eq!(may_answer(peer, 500, named), may, "{peer} {named:?}");
        }
    }
}
