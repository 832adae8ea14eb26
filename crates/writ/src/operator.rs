//! The operator's side of the command line: the control plane's admin API.

use std::path::{Path, PathBuf};

use hyper::Method;
use writ_types::Value;

use crate::config::Config;
use crate::failure::Failure;
use crate::http::Peer;
use crate::progress::Progress;
use crate::tls;

/// A client of the admin API.
#[derive(Debug)]
pub(crate) struct OperatorClient {
    control: Peer,
    session: Option<String>,
}

impl OperatorClient {
    /// A client with the session that `writ login` keeps beside the project's state.
    pub(crate) fn of(config: &Config) -> Result<Self, Failure> {
        let session = std::fs::read_to_string(session_file(config))
            .ok()
            .map(|text| text.trim().to_owned());
        Ok(Self {
            control: control(config)?,
            session,
        })
    }

    /// Looks.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Changes or stops something.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends one request; a refusal is a failure that says what was wrong.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let authorization = self
            .session
            .as_ref()
            .map(|session| format!("Bearer {session}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(
            authorization
                .as_deref()
                .map(|value| ("authorization", value)),
        );
        let text = body.map(Value::to_string).unwrap_or_default();
        let progress = Progress::of("waiting for the control plane");
        let answer = self.control.send(method, path, &headers, text).await;
        drop(progress);
        let answer = answer?;
        let json = answer.json();
        // 202: it waits for somebody, and says so.
        if matches!(answer.status, 200 | 202) {
            return Ok(json);
        }
        let detail = json
            .member("detail")
            .and_then(Value::as_str)
            .unwrap_or("the control plane refused");
        let mut failure = Failure::new(detail);
        for fault in json
            .member("faults")
            .and_then(Value::as_array)
            .unwrap_or_default()
        {
            failure = failure.detail(fault_line(fault));
        }
        Err(if answer.status == 401 {
            failure.hint("writ login")
        } else {
            failure
        })
    }
}

fn fault_line(fault: &Value) -> String {
    let text = |name| {
        fault
            .member(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut line = text("file").to_owned();
    if let Some(number) = fault.member("line").and_then(Value::as_u64) {
        line.push_str(&format!(":{number}"));
    }
    line.push_str(": ");
    if !text("rule").is_empty() {
        line.push_str(&format!("`{}`: ", text("rule")));
    }
    line.push_str(text("message"));
    if !text("fix").is_empty() {
        line.push_str(&format!(" ({})", text("fix")));
    }
    line
}

/// The control plane of a configuration.
pub(crate) fn control(config: &Config) -> Result<Peer, Failure> {
    let own = config.tls.as_ref().map(|files| files.certificate.as_path());
    let roots: Vec<&Path> = own
        .into_iter()
        .chain([Path::new("/etc/ssl/certs/ca-certificates.crt")])
        .collect();
    Ok(Peer::url(
        config.control_url.as_str(),
        Some(tls::client(&roots)?),
    )?)
}

/// Where the operator's session is kept, 0600.
pub(crate) fn session_file(config: &Config) -> PathBuf {
    config.data.join("operator-session")
}

/// Where Writ's own user begins a session.
pub(crate) fn socket_file(config: &Config) -> PathBuf {
    config.data.join("operator.sock")
}
