//! A small HTTP client for the command line: one request, one connection, bounded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use writ_types::{JsonLimits, UpstreamUrl, Value};

/// Largest answer that is read, in bytes.
const MOST: usize = 64 * 1024 * 1024;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The text is no URL.
    #[error("`{0}` is no URL of this kind")]
    Url(String),
    /// Nobody listens there.
    #[error("cannot connect to {0}: is `writ serve` running?")]
    Connect(String, #[source] std::io::Error),
    /// TLS failed.
    #[error("no TLS with {0}")]
    Tls(String, #[source] std::io::Error),
    /// The exchange broke.
    #[error("the exchange with {0} broke")]
    Exchange(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer from {0} within 60 s")]
    Late(String),
    /// A field of the request is malformed.
    #[error("a header of the request is malformed")]
    Header,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        Value::parse(&self.body, &JsonLimits::DOCUMENT).unwrap_or(Value::Null)
    }

    /// One field, if it is there and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Where requests go.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A server by its URL; the configuration says whom to believe where it is `https`.
    Url(UpstreamUrl, Option<Arc<rustls::ClientConfig>>),
    /// A Unix socket.
    Socket(std::path::PathBuf),
}

impl Peer {
    /// A server by its URL.
    ///
    /// # Errors
    ///
    /// The text is no `http` or `https` URL.
    pub fn url(url: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, HttpError> {
        let parsed = url
            .parse()
            .map_err(|_not_a_url| HttpError::Url(url.to_owned()))?;
        Ok(Self::Url(parsed, tls))
    }

    /// A Unix socket.
    pub fn socket(path: &Path) -> Self {
        Self::Socket(path.to_owned())
    }

    fn name(&self) -> String {
        match self {
            Self::Url(url, _) => url.to_string(),
            Self::Socket(path) => path.display().to_string(),
        }
    }

    /// Sends one request and reads the answer whole. `path` begins with `/`.
    ///
    /// # Errors
    ///
    /// Nobody answers, the exchange breaks, or a header is malformed. A status is no error.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, HttpError> {
        let (authority, base) = match self {
            Self::Url(url, _) => (url.authority(), url.base_path.as_str()),
            Self::Socket(_) => ("localhost".to_owned(), ""),
        };
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{base}{path}")
            .parse()
            .map_err(|_not_a_path| HttpError::Url(path.to_owned()))?;
        let plain = |text: &str| HeaderValue::from_str(text).map_err(|_control| HttpError::Header);
        request
            .headers_mut()
            .insert(header::HOST, plain(&authority)?);
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().map_err(|_no_name| HttpError::Header)?;
            request.headers_mut().append(name, plain(value)?);
        }
        tokio::time::timeout(PATIENCE, self.exchange(request))
            .await
            .map_err(|_late| HttpError::Late(self.name()))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, HttpError> {
        let refused = |fault| HttpError::Connect(self.name(), fault);
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(refused)?;
                self.converse(TokioIo::new(stream), request).await
            }
            Self::Url(url, tls) => {
                let stream = TcpStream::connect((url.host.as_str(), url.port))
                    .await
                    .map_err(refused)?;
                let Some(tls) = tls.as_ref().filter(|_| url.tls) else {
                    if url.tls {
                        return Err(HttpError::Url(url.to_string()));
                    }
                    return self.converse(TokioIo::new(stream), request).await;
                };
                let name = ServerName::try_from(url.host.clone())
                    .map_err(|_no_name| HttpError::Url(url.to_string()))?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(tls));
                let stream = connector
                    .connect(name, stream)
                    .await
                    .map_err(|fault| HttpError::Tls(self.name(), fault))?;
                self.converse(TokioIo::new(stream), request).await
            }
        }
    }

    async fn converse<I>(&self, io: I, request: Request<Full<Bytes>>) -> Result<Answer, HttpError>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let broke = |fault: Box<dyn std::error::Error + Send + Sync>| {
            HttpError::Exchange(self.name(), fault)
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .map_err(|fault| broke(fault.into()))?;
        let driver = tokio::spawn(connection);
        let response = sender
            .send_request(request)
            .await
            .map_err(|fault| broke(fault.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MOST)
            .collect()
            .await
            .map_err(broke)?
            .to_bytes();
        driver.abort();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}
