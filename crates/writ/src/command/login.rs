//! `writ login`: the first admin by the first-boot token, later sessions as the user Writ runs as.

use hyper::Method;
use writ_types::Value;

use crate::cli::LoginArgs;
use crate::command::callback::{Callback, PATIENCE};
use crate::command::init;
use crate::config::Config;
use crate::failure::Failure;
use crate::http::Peer;
use crate::operator;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(
    terminal: Terminal,
    config: &Config,
    args: &LoginArgs,
) -> Result<(), Failure> {
    if args.oidc {
        return with_account(terminal, config, args).await;
    }
    let path = args
        .token_file
        .clone()
        .unwrap_or_else(|| config.data.join("first-boot-token"));
    // The first admin brings the first-boot token; afterwards the kernel says who is asking.
    let first = args.token_file.is_some() || path.exists();
    let answer = if first {
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
        let headers = [("content-type", "application/json")];
        operator::control(config)?
            .send(Method::POST, "/v1/login", &headers, body.to_string())
            .await?
    } else {
        let socket = Peer::socket(&operator::socket_file(config));
        socket.send(Method::POST, "/v1/session", &[], Vec::new()).await.map_err(|fault| {
            let wait = format!("cannot read the first-boot token from {}, and nobody answers on the operator socket", path.display());
            Failure::caused(wait, &fault).hint("start `writ serve`, and sign in as the user it runs as")
        })?
    };
    let json = answer.json();
    let session = json
        .member("session")
        .and_then(Value::as_str)
        .filter(|_| answer.status == 200);
    let Some(session) = session else {
        let why = json
            .member("detail")
            .and_then(Value::as_str)
            .unwrap_or_default();
        return Err(if first {
            Failure::new(
                "the first-boot token was refused: it has been used, or is another installation's",
            )
        } else {
            Failure::new(why)
        });
    };
    init::write_private(&operator::session_file(config), session)?;
    // It is spent; a file that opens nothing only invites questions.
    if args.token_file.is_none() {
        drop(std::fs::remove_file(&path));
    }
    tell(terminal, args, &json);
    Ok(())
}

/// Signs in with an outside account: a browser of this machine brings back the code, the control plane makes a session of it.
async fn with_account(
    terminal: Terminal,
    config: &Config,
    args: &LoginArgs,
) -> Result<(), Failure> {
    let callback = Callback::open().await?;
    let body = Value::object([("port", Value::from_u64(u64::from(callback.port)))]);
    let begun = ask(config, "/v1/sign-in", &body).await?;
    let text = |name| begun.member(name).and_then(Value::as_str);
    let (Some(url), Some(state), Some(handle)) = (text("url"), text("state"), text("handle"))
    else {
        return Err(Failure::new("the control plane's answer is not understood"));
    };
    terminal.talk(&format!(
        "open this in a browser on this machine:\n\n  {url}\n"
    ));
    let back = tokio::time::timeout(PATIENCE, callback.wait(state)).await;
    let back =
        back.map_err(|_late| Failure::new("nobody came back from the browser in time"))??;
    let mut members = vec![
        ("handle", Value::from(handle)),
        ("state", Value::from(state)),
        ("code", Value::from(back.code)),
    ];
    members.extend(back.iss.map(|iss| ("iss", Value::from(iss))));
    let answer = ask(config, "/v1/sign-in/complete", &Value::object(members)).await?;
    let session = answer.member("session").and_then(Value::as_str);
    let session =
        session.ok_or_else(|| Failure::new("the control plane's answer is not understood"))?;
    init::write_private(&operator::session_file(config), session)?;
    tell(terminal, args, &answer);
    Ok(())
}

async fn ask(config: &Config, path: &str, body: &Value) -> Result<Value, Failure> {
    let headers = [("content-type", "application/json")];
    let control = operator::control(config)?;
    let sent = control.send(Method::POST, path, &headers, body.to_string());
    let answer = sent.await?;
    if answer.status == 200 {
        return Ok(answer.json());
    }
    let json = answer.json();
    let detail = json.member("detail").and_then(Value::as_str);
    Err(match answer.status {
        401 => Failure::new("the sign-in was refused").hint(
            "is there a `[sign_in]` in writ.toml, and an operator whose `identity` is your account? The server's log says why",
        ),
        _ => Failure::new(detail.unwrap_or("the sign-in failed")),
    })
}

/// Says who is signed in until when; never the session.
fn tell(terminal: Terminal, args: &LoginArgs, answer: &Value) {
    if terminal.is_json() {
        let members = answer.as_object().cloned().unwrap_or_default();
        return terminal.object(&Value::object(
            members.into_iter().filter(|(name, _)| name != "session"),
        ));
    }
    let text = |name| answer.member(name).and_then(Value::as_str);
    let (name, until) = (
        text("name").unwrap_or(&args.name),
        text("expires").unwrap_or_default(),
    );
    terminal.line(&format!(
        "{} as {name} ({}) until {until}",
        terminal.paint(Tone::Good, "signed in"),
        text("role").unwrap_or_default()
    ));
}
