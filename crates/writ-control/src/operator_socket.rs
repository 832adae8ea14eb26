//! The operator socket: `POST /v1/session`, for processes of the user that Writ runs as.
//!
//! It lies in the data directory, which nobody else may enter, and the kernel is asked as well.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode};
use tokio::net::UnixStream;

use crate::admin::{AdminError, local_session};
use crate::http::json;
use crate::plane::Plane;

/// Whether the other end of a connection runs as the user that Writ runs as.
#[must_use]
pub fn is_own_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own)
}

/// Serves one request of Writ's own user. There is always a response.
pub async fn serve<B>(plane: Arc<Plane>, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Send + 'static,
{
    if request.method() != hyper::Method::POST || request.uri().path() != "/v1/session" {
        return AdminError::NotFound("there is no such request: POST /v1/session").into_response();
    }
    match local_session(&plane).await {
        Ok(session) => json(StatusCode::OK, &session),
        Err(fault) => fault.into_response(),
    }
}
