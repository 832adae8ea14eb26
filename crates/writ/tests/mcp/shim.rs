//! What a client that knows nothing of key proofs needs before it: a hop on loopback that adds the task's token and a fresh proof
//! to each request. The rest travels unchanged both ways, but for the hop's own name in `Host` and `Origin`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use writ_testkit::{Caller, Project};

/// A running hop; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Shim {
    pub(crate) address: SocketAddr,
}

struct Hop {
    caller: Caller<'static>,
    own: SocketAddr,
    gateway: SocketAddr,
}

impl Shim {
    pub(crate) async fn start(project: &Project, caller: Caller<'static>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        caller.learn().await;
        let hop = Arc::new(Hop {
            caller,
            own: address,
            gateway: SocketAddr::from((Ipv4Addr::LOCALHOST, project.gateway)),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let hop = Arc::clone(&hop);
                tokio::spawn(async move {
                    let service = service_fn(|request| hop.pass(request));
                    let serving = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    drop(serving.await);
                });
            }
        });
        Self { address }
    }
}

impl Hop {
    async fn pass(&self, request: Request<Incoming>) -> hyper::Result<Response<Incoming>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.rename(&mut head.headers);
        let answer = self.send(&head, body.clone()).await?;
        // A nonce that grew old; the next answer may be handed on.
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.caller.learn().await;
        self.send(&head, body).await
    }

    /// The gateway's name in the place of the hop's.
    fn rename(&self, headers: &mut HeaderMap) {
        for (name, own, theirs) in [
            (header::HOST, self.own.to_string(), self.gateway.to_string()),
            (
                header::ORIGIN,
                format!("http://{}", self.own),
                format!("http://{}", self.gateway),
            ),
        ] {
            if headers.get(&name).is_some_and(|value| *value == *own) {
                headers.insert(name, HeaderValue::try_from(theirs).unwrap());
            }
        }
    }

    async fn send(
        &self,
        head: &hyper::http::request::Parts,
        body: Bytes,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        for hop in [header::CONNECTION, header::TRANSFER_ENCODING] {
            request.headers_mut().remove(hop);
        }
        for (name, value) in self.caller.fields(head.method.as_str(), head.uri.path()) {
            let value = HeaderValue::try_from(value).unwrap();
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
        let stream = TcpStream::connect(self.gateway).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await
    }
}
