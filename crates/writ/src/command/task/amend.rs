//! `writ task amend`: the agent that holds a task asks for it to hold something else, and gets a token for that.

use std::sync::Arc;

use writ_types::{JsonLimits, Secret, Value};

use super::keep;
use crate::agent::{AgentClient, OpenTask};
use crate::cli::TaskAmendArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::http::Peer;
use crate::operator;
use crate::terminal::{Terminal, Tone};

pub(super) async fn amend(
    terminal: Terminal,
    config: &Config,
    args: &TaskAmendArgs,
) -> Result<(), Failure> {
    let (task, held) = kept(args)?;
    let details = details(args, &held)?;
    let control = operator::control(config)?;
    let gateway = Peer::url(config.public_url.as_str(), None)?;
    let client = AgentClient::new(
        &config.identity.socket,
        (&config.control_url, control),
        (&config.public_url, gateway),
        Arc::new(SystemClock::start()),
    );
    let prefer = format!("wait={}", args.wait);
    let asked = (&details, args.reason.as_str());
    let answer = client.amend(&task, asked, &prefer).await?;
    let json = answer.json();
    let text = |name| {
        let member = json.member(name).and_then(Value::as_str);
        member.unwrap_or_default().to_owned()
    };
    if answer.status != 200 {
        let mut failure =
            Failure::new(format!("the task was not amended: {}", text("reason_code")))
                .detail(text("detail"));
        for fault in json
            .member("faults")
            .and_then(Value::as_array)
            .unwrap_or_default()
        {
            let detail = fault.member("detail").and_then(Value::as_str);
            failure = failure.detail(detail.unwrap_or_default());
        }
        let approval = json
            .member("approval")
            .and_then(|approval| approval.member("id"));
        return Err(match approval.and_then(Value::as_str) {
            Some(id) => failure.hint(format!(
                "writ approve show {id}; then ask for the very same again"
            )),
            None => failure,
        });
    }
    // A token of before names what was held before.
    let identity = client.identity(args.spiffe_id.as_deref()).await?;
    let renewed = client.renew(&identity, &task).await?;
    let renewed = renewed.map_err(|refused| {
        Failure::new("the task was amended, and its token was not renewed")
            .detail(refused.json().to_string())
    })?;
    keep(&args.file, &renewed, &identity.spiffe)?;
    if terminal.is_json() {
        terminal.object(&json);
        return Ok(());
    }
    let number = |name| json.member(name).map(Value::to_string).unwrap_or_default();
    terminal.line(&format!(
        "{} {}",
        terminal.paint(Tone::Good, &text("state")),
        text("task_id")
    ));
    terminal.line(&format!(
        "task for {} s, blast radius {}; its new token is in {}",
        number("task_expires_in"),
        number("blast_radius"),
        args.file.display()
    ));
    Ok(())
}

/// The task whose token and key lie in the file, and what the token names.
fn kept(args: &TaskAmendArgs) -> Result<(OpenTask, Value), Failure> {
    use base64::Engine as _;
    let shown = args.file.display();
    let read = std::fs::read(&args.file);
    let read = read.map_err(|fault| Failure::caused(format!("cannot read {shown}"), &fault))?;
    let broken = || Failure::new(format!("{shown} is not what `writ task open` leaves"));
    let kept = Value::parse(&read, &JsonLimits::REQUEST).map_err(|_no_json| broken())?;
    let text = |name| kept.member(name).and_then(Value::as_str).ok_or_else(broken);
    let pkcs8 = base64::engine::general_purpose::STANDARD.decode(text("dpop_key_pkcs8")?);
    let pkcs8 = Secret::new(pkcs8.map_err(|_no_key| broken())?);
    let task = OpenTask::kept(text("task")?, text("access_token")?, pkcs8)?;
    let details = kept.member("authorization_details");
    let held = details.and_then(|details| details.as_array()?.first());
    Ok((task, held.cloned().ok_or_else(broken)?))
}

/// What is asked for: the `authorization_details` array.
fn details(args: &TaskAmendArgs, held: &Value) -> Result<Value, Failure> {
    let member = |name| held.member(name).cloned().unwrap_or(Value::Null);
    let actions = if args.actions.is_empty() {
        member("actions")
    } else {
        let actions = args.actions.iter();
        Value::Array(actions.map(|action| Value::from(action.as_str())).collect())
    };
    let mut detail = vec![
        ("type", Value::from("writ_task")),
        ("purpose", member("purpose")),
        ("actions", actions),
    ];
    let life = args.expires_in.map(Value::from_u64);
    detail.extend(life.map(|life| ("expires_in", life)));
    for (name, text) in [("bounds", &args.bounds), ("budget", &args.budget)] {
        detail.extend(super::json(name, text.as_deref())?.map(|value| (name, value)));
    }
    Ok(Value::Array(vec![Value::object(detail)]))
}
