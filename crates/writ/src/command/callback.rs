//! Where the browser comes back to: loopback, a port of this process, for one answer (RFC 8252 §7.3).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::failure::Failure;

/// How long a person may take in the browser.
pub(crate) const PATIENCE: Duration = Duration::from_secs(540);
/// How long one request may take to arrive.
const ONE_REQUEST: Duration = Duration::from_secs(5);
/// Largest request head.
const MOST: usize = 16 * 1024;
/// The path that the issuer knows.
const PATH: &str = "/v1/sign-in/callback";

/// Waits for the browser.
pub(crate) struct Callback {
    listener: TcpListener,
    /// On 127.0.0.1.
    pub(crate) port: u16,
}

/// What the browser brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Back {
    pub(crate) code: String,
    pub(crate) iss: Option<String>,
}

/// What a request to the callback is.
#[derive(Debug, PartialEq, Eq)]
enum Arrived {
    /// The answer of this sign-in.
    Back(Back),
    /// The issuer's refusal of this sign-in (RFC 6749 §4.1.2.1).
    Refused(String),
    /// Something else: any page of the browser can come here.
    Other,
}

impl Callback {
    /// Opens a port.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let cannot = |fault: &std::io::Error| {
            Failure::caused(
                "cannot listen on 127.0.0.1 for the browser".to_owned(),
                fault,
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|fault| cannot(&fault))?;
        let port = listener
            .local_addr()
            .map_err(|fault| cannot(&fault))?
            .port();
        Ok(Self { listener, port })
    }

    /// Waits for the answer with this `state`. Whatever else comes is turned away and does not end the wait.
    pub(crate) async fn wait(&self, state: &str) -> Result<Back, Failure> {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                continue;
            };
            let read = tokio::time::timeout(ONE_REQUEST, head(&mut stream)).await;
            let arrived = match read {
                Ok(Some(head)) => arrived(&head, state),
                Ok(None) | Err(_) => Arrived::Other,
            };
            let (status, said) = match &arrived {
                Arrived::Back(_) => (
                    "200 OK",
                    "You can close this window; the terminal says more.",
                ),
                Arrived::Refused(_) => {
                    ("200 OK", "The sign-in was refused; the terminal says more.")
                }
                Arrived::Other => ("404 Not Found", "Nothing is here."),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n{said}",
                said.len()
            );
            // The browser may be gone; what it brought is here.
            drop(stream.write_all(answer.as_bytes()).await);
            match arrived {
                Arrived::Back(back) => return Ok(back),
                Arrived::Refused(error) => {
                    return Err(Failure::new(format!(
                        "the issuer refused the sign-in: {error}"
                    )));
                }
                Arrived::Other => {}
            }
        }
    }
}

/// The head of one request.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut part = [0; 2048];
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream
            .read(&mut part)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        read.extend_from_slice(part.get(..count)?);
        if read.len() > MOST {
            return None;
        }
    }
    String::from_utf8(read).ok()
}

/// Reads a request: `GET`, the one path, each parameter at most once, and the `state` of this sign-in.
fn arrived(head: &str, state: &str) -> Arrived {
    let mut line = head.lines().next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(target)) = (line.next(), line.next()) else {
        return Arrived::Other;
    };
    let Some((PATH, query)) = target.split_once('?') else {
        return Arrived::Other;
    };
    let mut parameters = BTreeMap::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(value) = decoded(value) else {
            return Arrived::Other;
        };
        if parameters.insert(name, value).is_some() {
            return Arrived::Other;
        }
    }
    if parameters.get("state").map(String::as_str) != Some(state) {
        return Arrived::Other;
    }
    if let Some(error) = parameters.remove("error") {
        // What the issuer writes goes to a terminal.
        let plain = error.chars().filter(char::is_ascii_graphic).take(64);
        return Arrived::Refused(plain.collect());
    }
    match parameters.remove("code").filter(|code| !code.is_empty()) {
        Some(code) => Arrived::Back(Back {
            code,
            iss: parameters.remove("iss"),
        }),
        None => Arrived::Other,
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from((high << 4) | low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_of_this_sign_in_ends_the_wait() {
        let read = |target: &str| arrived(&format!("{target} HTTP/1.1\r\nhost: x\r\n\r\n"), "s1");
        let back = |iss: Option<&str>| {
            Arrived::Back(Back {
                code: "c".to_owned(),
                iss: iss.map(str::to_owned),
            })
        };
        for (query, expected) in [
            ("code=c&state=s1", back(None)),
            (
                "state=s1&code=c&iss=https%3A%2F%2Fi.example",
                back(Some("https://i.example")),
            ),
            (
                "error=access_denied&state=s1",
                Arrived::Refused("access_denied".to_owned()),
            ),
            (
                "error=%1b[31mx&state=s1",
                Arrived::Refused("[31mx".to_owned()),
            ),
            ("error=access_denied&state=s2", Arrived::Other),
            ("code=c", Arrived::Other),
            ("code=c&state=", Arrived::Other),
            ("code=c&state=s2", Arrived::Other),
            ("code=c&state=s1&state=s1", Arrived::Other),
            ("code=c&code=d&state=s1", Arrived::Other),
            ("code=c&state=s1&iss=a&iss=b", Arrived::Other),
            ("code=&state=s1", Arrived::Other),
            ("code=%zz&state=s1", Arrived::Other),
        ] {
            assert_eq!(read(&format!("GET {PATH}?{query}")), expected, "{query}");
        }
        for target in [
            &format!("POST {PATH}?code=c&state=s1"),
            "GET /?code=c&state=s1",
            "GET /v1/sign-in/callback/?code=c&state=s1",
            "GET",
            "",
        ] {
            assert_eq!(read(target), Arrived::Other, "{target}");
        }
    }
}
