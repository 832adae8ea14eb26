//! A conversation with an MCP server in which it is asked what it has, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use writ_contract::McpRevision;
use writ_proxy::{EventReader, Interview};
use writ_types::{JsonLimits, Secret, Value};

use crate::http::{Answer, Peer};

/// Most bytes of all answers together: what is larger than a document may be is none.
const MOST: usize = 16 * 1024 * 1024;
/// What is told of a program that is no more, and of an answer to something else.
const ENDED: &str = "the program has ended, or does not read";
const STRAY: &str = "the answer is none of this request";
/// The id of every request: there is never more than one.
const ID: &str = "1";

/// Who is asked, and how long each answer may take.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) server: Server,
    pub(crate) patience: Duration,
}

/// A server, over HTTP or as a program.
#[derive(Debug)]
pub(crate) enum Server {
    Http(Endpoint),
    Program(Interview),
}

/// Where a server is, and what it wants to see.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) peer: Peer,
    /// Path of the endpoint, below the peer's own.
    pub(crate) path: String,
    /// A field with the server's credential.
    pub(crate) field: Option<(String, Secret<String>)>,
}

impl Server {
    /// Whether what it said holds the credential that it was shown.
    pub(super) fn is_told_its_credential(&self, said: &[u8]) -> bool {
        match self {
            Self::Program(interview) => interview.is_told_in(said),
            Self::Http(endpoint) => endpoint.is_told_its_credential(said),
        }
    }
}

/// The shortest part of a credential that is looked for: a shorter one stands in any document.
const SHORTEST: usize = 8;

impl Endpoint {
    /// Whether what it said holds the credential that it was shown: as it was sent, without its scheme, as the two halves of `Basic`
    /// (RFC 7617) have it, and each as JSON writes it.
    pub(crate) fn is_told_its_credential(&self, said: &[u8]) -> bool {
        let Some((_, value)) = &self.field else {
            return false;
        };
        let sent = value.expose().trim();
        let bare = sent.rsplit(' ').next().unwrap_or_default();
        let basic = STANDARD
            .decode(bare)
            .ok()
            .and_then(|pair| String::from_utf8(pair).ok());
        let password = basic
            .as_ref()
            .and_then(|pair| pair.split_once(':'))
            .map(|(_, word)| word);
        let parts = [Some(sent), Some(bare), basic.as_deref(), password]
            .into_iter()
            .flatten();
        let mut parts = parts.filter(|part| part.len() >= SHORTEST);
        let said = String::from_utf8_lossy(said);
        parts.any(|part| {
            let written = Value::from(part).to_string();
            said.contains(part) || said.contains(written.trim_matches('"'))
        })
    }
}

/// A server that is being asked.
#[derive(Debug)]
pub(crate) struct Conversation {
    place: Place,
    revision: McpRevision,
    session: Option<String>,
    can: Value,
    /// The bytes of its answers so far.
    heard: AtomicUsize,
}

impl Conversation {
    /// Opens a session, or asks what the server is, as its revision has it.
    pub(super) async fn begin(place: Place, revision: McpRevision) -> Result<Self, String> {
        let mut server = Self {
            place,
            revision,
            session: None,
            can: Value::Null,
            heard: AtomicUsize::new(0),
        };
        let result = match revision {
            McpRevision::Stateless => server.ask("server/discover", Vec::new()).await?,
            McpRevision::Sessions => server.open().await?,
        };
        let can = result
            .member("capabilities")
            .filter(|can| can.as_object().is_some());
        server.can = can.ok_or("it does not say what it can")?.clone();
        Ok(server)
    }

    /// What the server says it can.
    pub(super) fn capabilities(&self) -> Value {
        self.can.clone()
    }

    /// Who is asked.
    pub(super) const fn server(&self) -> &Server {
        &self.place.server
    }

    async fn open(&mut self) -> Result<Value, String> {
        let revision = self.revision.as_str();
        let params = vec![
            ("protocolVersion", Value::from(revision)),
            ("capabilities", Value::object::<&str>([])),
            ("clientInfo", client()),
        ];
        let opening = message("initialize", Some(ID), params);
        let (result, session) = match &self.place.server {
            Server::Http(endpoint) => {
                let answer = self.send(endpoint, Method::POST, opening).await?;
                let session = answer.header("mcp-session-id").map(str::to_owned);
                (result(&answer)?, session)
            }
            Server::Program(interview) => (self.interview(interview, opening.1).await?, None),
        };
        let spoken = result.member("protocolVersion").and_then(Value::as_str);
        if spoken != Some(revision) {
            return Err(format!("it does not speak revision {revision} of MCP"));
        }
        self.session = session;
        let understood = message("notifications/initialized", None, Vec::new());
        match &self.place.server {
            Server::Http(endpoint) => {
                let answer = self.send(endpoint, Method::POST, understood).await?;
                if !(200..300).contains(&answer.status) {
                    return Err(format!("status {}", answer.status));
                }
            }
            Server::Program(interview) if interview.tell(understood.1) => {}
            Server::Program(_) => return Err(ENDED.to_owned()),
        }
        Ok(result)
    }

    /// Asks one thing.
    pub(super) async fn ask(
        &self,
        method: &str,
        mut params: Vec<(&'static str, Value)>,
    ) -> Result<Value, String> {
        if self.revision == McpRevision::Stateless {
            let meta = Value::object([
                (
                    "io.modelcontextprotocol/protocolVersion",
                    Value::from(self.revision.as_str()),
                ),
                ("io.modelcontextprotocol/clientInfo", client()),
                (
                    "io.modelcontextprotocol/clientCapabilities",
                    Value::object::<&str>([]),
                ),
            ]);
            params.push(("_meta", meta));
        }
        let asked = message(method, Some(ID), params);
        match &self.place.server {
            Server::Http(endpoint) => result(&self.send(endpoint, Method::POST, asked).await?),
            Server::Program(interview) => self.interview(interview, asked.1).await,
        }
    }

    /// Asks a program. What it asks in its turn is no answer.
    async fn interview(&self, interview: &Interview, body: String) -> Result<Value, String> {
        let answer = tokio::time::timeout(self.place.patience, interview.ask(ID, body)).await;
        let answer = answer.map_err(|_late| "no answer in time".to_owned())?;
        let answer = answer.ok_or(ENDED)?;
        self.hear(answer.len())?;
        outcome(&read(&answer)?)
    }

    /// Ends the session, if there is one. A server that refuses ends it when it likes.
    pub(super) async fn end(&self) {
        if self.session.is_some()
            && let Server::Http(endpoint) = &self.place.server
            && let Err(fault) = self
                .send(endpoint, Method::DELETE, (String::new(), String::new()))
                .await
        {
            tracing::debug!(%fault, "a session was not ended");
        }
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        method: Method,
        (what, body): (String, String),
    ) -> Result<Answer, String> {
        let Endpoint { peer, path, field } = endpoint;
        let mut headers = vec![("accept", "application/json, text/event-stream")];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        if what != "initialize" {
            headers.push(("mcp-protocol-version", self.revision.as_str()));
        }
        if self.revision == McpRevision::Stateless {
            headers.push(("mcp-method", &what));
        }
        let session = self.session.as_deref();
        headers.extend(session.map(|session| ("mcp-session-id", session)));
        headers.extend(
            field
                .as_ref()
                .map(|(name, value)| (name.as_str(), value.expose().as_str())),
        );
        let exchange = peer.send(method, path, &headers, body);
        let answer = tokio::time::timeout(self.place.patience, exchange).await;
        let answer = answer.map_err(|_late| "no answer in time".to_owned())?;
        let answer = answer.map_err(crate::drift::unanswered)?;
        self.hear(answer.body.len())?;
        Ok(answer)
    }

    /// So many bytes more of its answers.
    fn hear(&self, length: usize) -> Result<(), String> {
        let before = self.heard.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > MOST {
            return Err(format!("its answers are larger than {MOST} bytes"));
        }
        Ok(())
    }
}

fn client() -> Value {
    Value::object([
        ("name", Value::from("writ")),
        ("version", Value::from(env!("CARGO_PKG_VERSION"))),
    ])
}

/// A message and its method.
fn message(method: &str, id: Option<&str>, params: Vec<(&'static str, Value)>) -> (String, String) {
    let mut members = vec![
        ("jsonrpc", Value::from("2.0")),
        ("method", Value::from(method)),
    ];
    members.extend(id.map(|id| ("id", Value::from(id))));
    if !params.is_empty() {
        members.push(("params", Value::object(params)));
    }
    (method.to_owned(), Value::object(members).to_string())
}

/// The result in an answer. What the server tells on the way is dropped; what it asks is refused.
fn result(answer: &Answer) -> Result<Value, String> {
    let kind = answer.header("content-type").unwrap_or_default();
    let message = match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => read(&answer.body)?,
        "text/event-stream" => {
            let mut found = None;
            for data in EventReader::all(&answer.body) {
                let message = read(&data)?;
                if message.member("id").is_some() {
                    found = Some(message);
                    break;
                }
            }
            found.ok_or("the server ended without an answer")?
        }
        // A redirect is not followed: it could lead anywhere.
        _ => return Err(format!("status {}", answer.status)),
    };
    if answer.status == 200 || message.member("error").is_some() {
        outcome(&message)
    } else {
        Err(STRAY.to_owned())
    }
}

fn read(bytes: &[u8]) -> Result<Value, String> {
    let read = Value::parse(bytes, &JsonLimits::DOCUMENT);
    read.map_err(|_not_strict| "the answer is not strict JSON".to_owned())
}

/// What a message says that answers the request, if it does.
fn outcome(message: &Value) -> Result<Value, String> {
    let own = message.member("id").and_then(Value::as_str) == Some(ID);
    match (message.member("result"), message.member("error")) {
        (Some(result), None) if own => Ok(result.clone()),
        (None, Some(error)) => {
            // A number, as it must be; anything else would be words of the server's in logs.
            let code = error.member("code").map(Value::to_string);
            let code = code.and_then(|code| code.parse::<i64>().ok());
            Err(code.map_or_else(
                || "the server refuses".to_owned(),
                |code| format!("the server refuses, with code {code}"),
            ))
        }
        _ => Err(STRAY.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use writ_types::UpstreamUrl;

    use super::*;

    #[test]
    fn a_credential_is_found_however_it_was_sent_and_is_written() {
        let url: UpstreamUrl = "https://mail.example".parse().unwrap();
        // `operator:pass "word"`, as Basic has it.
        let basic = "Basic b3BlcmF0b3I6cGFzcyAid29yZCI=";
        for (sent, said, found) in [
            (
                "Bearer t0k3n-long-enough",
                "the t0k3n-long-enough, said",
                true,
            ),
            ("k3y-with-a-space-after ", "k3y-with-a-space-after", true),
            (basic, "b3BlcmF0b3I6cGFzcyAid29yZCI=", true),
            (basic, r#"operator:pass "word""#, true),
            (basic, r#"{"a":"pass \"word\""}"#, true),
            (basic, "operator", false),
            ("Bearer short", "as short as it is", false),
        ] {
            let endpoint = Endpoint {
                peer: Peer::Url(url.clone(), None),
                path: "/".to_owned(),
                field: Some(("authorization".to_owned(), Secret::new(sent.to_owned()))),
            };
            assert_eq!(
                endpoint.is_told_its_credential(said.as_bytes()),
                found,
                "{sent} {said}"
            );
        }
    }

    #[test]
    fn what_a_server_calls_a_code_is_no_text_of_ours() {
        let said = |code: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":"1","error":{{"code":{code}}}}}"#);
            outcome(&Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap())
        };
        assert_eq!(
            said("-32601"),
            Err("the server refuses, with code -32601".to_owned())
        );
        assert_eq!(
            said(r#""its credential""#),
            Err("the server refuses".to_owned())
        );
    }
}
