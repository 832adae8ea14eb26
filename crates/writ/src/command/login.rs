//! `writ login`: the first admin, by the first-boot token.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use hyper::Method;
use writ_types::Value;

use crate::cli::LoginArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &LoginArgs,
) -> Result<(), Failure> {
    let path = args
        .token_file
        .clone()
        .unwrap_or_else(|| config.data.join("first-boot-token"));
    let token = std::fs::read_to_string(&path).map_err(|fault| {
        Failure::caused(
            format!("cannot read the first-boot token from {}", path.display()),
            &fault,
        )
        .hint("start `writ serve` once; the token dies when the first admin signs in")
    })?;
    let body = Value::object([
        ("token", Value::from(token.trim())),
        ("name", Value::from(args.name.as_str())),
    ]);
    let answer = operator::control(config)?
        .send(
            Method::POST,
            "/v1/login",
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await?;
    let json = answer.json();
    let Some(session) = json
        .member("session")
        .and_then(Value::as_str)
        .filter(|_| answer.status == 200)
    else {
        return Err(Failure::new(
            "the first-boot token was refused: it has been used, or is another installation's",
        ));
    };
    keep(&operator::session_file(config), session)?;
    // It is spent; a file that opens nothing only invites questions.
    if args.token_file.is_none() {
        drop(std::fs::remove_file(&path));
    }
    if terminal.is_json() {
        let shown = json
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| name != "session");
        terminal.object(&Value::object(shown));
    } else {
        let until = json
            .member("expires")
            .and_then(Value::as_str)
            .unwrap_or_default();
        terminal.line(&format!(
            "{} as {} (admin) until {until}",
            terminal.paint(Tone::Good, "signed in"),
            args.name
        ));
    }
    Ok(())
}

fn keep(path: &std::path::Path, session: &str) -> Result<(), Failure> {
    let failed =
        |fault: std::io::Error| Failure::caused(format!("cannot write {}", path.display()), &fault);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    writeln!(file, "{session}").map_err(failed)
}
