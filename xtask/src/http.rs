//! Just enough HTTP/1.1 to talk to a server that was started for the tests: one request, one connection, loopback.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends one JSON request; the status of the answer.
///
/// # Errors
///
/// The server does not answer, or not in HTTP.
pub(crate) fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    key: &str,
    body: &str,
) -> io::Result<u16> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.take(1024 * 1024).read_to_end(&mut answer)?;
    status_of(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP/1.1"))
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let rest = answer
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line_only() {
        for (answer, status) in [
            ("HTTP/1.1 201 Created\r\n", Some(201)),
            ("HTTP/1.0 401 Unauthorized\r\n", Some(401)),
            ("HTTP/1.1 20", None),
            ("SSH-2.0-OpenSSH 200", None),
            ("", None),
        ] {
            assert_eq!(status_of(answer.as_bytes()), status, "{answer}");
        }
    }
}
