//! `writ task`: open and amend one as the agent this process is; look at and close any as an operator.

mod amend;

use std::path::Path;
use std::sync::Arc;

use writ_types::{JsonLimits, Value};

use crate::agent::{AgentClient, OpenTask};
use crate::cli::{TaskCommand, TaskOpenArgs};
use crate::clock::SystemClock;
use crate::command::{init, kill};
use crate::config::Config;
use crate::failure::Failure;
use crate::http::Peer;
use crate::operator::{self, OperatorClient};
use crate::rows::shown;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    command: &TaskCommand,
) -> Result<(), Failure> {
    match command {
        TaskCommand::Open(args) => open(terminal, config, args).await,
        TaskCommand::Amend(args) => amend::amend(terminal, config, args).await,
        TaskCommand::List => list(terminal, config).await,
        TaskCommand::Show { task } => {
            let answer = OperatorClient::of(config)?
                .get(&format!("/v1/tasks/{task}"))
                .await?;
            if terminal.is_json() {
                terminal.object(&answer);
            } else {
                super::ask::print(terminal, &answer, 0);
            }
            Ok(())
        }
        TaskCommand::Close { task } => {
            let answer = OperatorClient::of(config)?
                .post(
                    &format!("/v1/tasks/{task}/close"),
                    &Value::object::<String>([]),
                )
                .await?;
            kill::report(terminal, &answer, "closed");
            Ok(())
        }
    }
}

async fn list(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    let answer = OperatorClient::of(config)?.get("/v1/tasks").await?;
    if terminal.is_json() {
        terminal.object(&answer);
        return Ok(());
    }
    let row = |row: &Value| {
        [
            shown(row, "task"),
            shown(row, "state"),
            shown(row, "purpose"),
            shown(row, "calls_spent"),
            shown(row, "deadline"),
        ]
    };
    let rows: Vec<[String; 5]> = answer
        .as_array()
        .unwrap_or_default()
        .iter()
        .map(row)
        .collect();
    terminal.table(["TASK", "STATE", "PURPOSE", "CALLS", "DEADLINE"], &rows);
    Ok(())
}

/// What is asked for: the `authorization_details` array.
fn details(args: &TaskOpenArgs) -> Result<Value, Failure> {
    let mut detail = vec![
        ("type", Value::from("writ_task")),
        ("purpose", Value::from(args.purpose.as_str())),
        (
            "actions",
            Value::Array(
                args.actions
                    .iter()
                    .map(|action| Value::from(action.as_str()))
                    .collect(),
            ),
        ),
    ];
    detail.extend(
        args.prompt
            .as_deref()
            .map(|prompt| ("prompt", Value::from(prompt))),
    );
    detail.extend(
        args.expires_in
            .map(|seconds| ("expires_in", Value::from_u64(seconds))),
    );
    for (name, text) in [("bounds", &args.bounds), ("plan", &args.plan)] {
        detail.extend(json(name, text.as_deref())?.map(|value| (name, value)));
    }
    Ok(Value::Array(vec![Value::object(detail)]))
}

/// The JSON of an option, if it was given.
fn json(name: &str, text: Option<&str>) -> Result<Option<Value>, Failure> {
    let parsed = text.map(|text| Value::parse(text.as_bytes(), &JsonLimits::REQUEST));
    let parsed = parsed.transpose();
    parsed.map_err(|fault| Failure::usage(format!("--{name} is no JSON: {fault}")))
}

async fn open(terminal: Terminal, config: &Config, args: &TaskOpenArgs) -> Result<(), Failure> {
    let details = details(args)?;
    let control = operator::control(config)?;
    let gateway = Peer::url(config.public_url.as_str(), None)?;
    let client = AgentClient::new(
        &config.identity.socket,
        (&config.control_url, control),
        (&config.public_url, gateway),
        Arc::new(SystemClock::start()),
    );
    let identity = client.identity(args.spiffe_id.as_deref()).await?;
    let opened = client.open(&identity, &details).await?;
    let opened = opened.map_err(|answer| {
        let json = answer.json();
        let text = |name| {
            json.member(name)
                .and_then(Value::as_str)
                .unwrap_or("no reason given")
                .to_owned()
        };
        Failure::new(format!("the task was not opened: {}", text("error")))
            .detail(text("error_description"))
    })?;
    keep(&args.out, &opened, &identity.spiffe)?;
    if terminal.is_json() {
        let shown = opened
            .answer
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| name != "access_token");
        terminal.object(&Value::object(shown));
        return Ok(());
    }
    let number = |name| {
        opened
            .answer
            .member(name)
            .map(Value::to_string)
            .unwrap_or_default()
    };
    terminal.line(&format!(
        "{} {} as {}",
        terminal.paint(Tone::Good, "opened"),
        opened.task,
        identity.spiffe
    ));
    terminal.line(&format!(
        "token for {} s, task for {} s, blast radius {}; token and key are in {}",
        number("expires_in"),
        number("task_expires_in"),
        number("blast_radius"),
        args.out.display()
    ));
    Ok(())
}

/// Keeps token and key for the agent, 0600.
fn keep(path: &Path, opened: &OpenTask, spiffe: &str) -> Result<(), Failure> {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(opened.pkcs8.expose());
    let document = Value::object([
        ("task", Value::from(opened.task.as_str())),
        ("spiffe_id", Value::from(spiffe)),
        ("access_token", Value::from(opened.token.as_str())),
        ("token_type", Value::from("DPoP")),
        ("dpop_key_pkcs8", Value::from(key)),
        (
            "authorization_details",
            opened
                .answer
                .member("authorization_details")
                .cloned()
                .unwrap_or(Value::Null),
        ),
    ]);
    init::write_private(path, &document.to_string())
}
