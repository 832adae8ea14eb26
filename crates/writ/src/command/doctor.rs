//! `writ doctor`: what is configured, what is loose, what does not work.

use std::collections::BTreeMap;

use writ_types::{Clock as _, Value};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{self, OperatorClient};
use crate::project;
use crate::terminal::{Terminal, Tone};

pub(crate) async fn run(terminal: Terminal, config: &Config) -> Result<(), Failure> {
    let mut report = Report {
        terminal,
        broken: 0,
        rows: Vec::new(),
    };
    report.good(
        "settings",
        &format!(
            "gateway {}, control {}, data {}",
            config.public_url,
            config.control_url,
            config.data.display()
        ),
    );
    project_files(&mut report, config)?;
    keys(&mut report, config);
    running(&mut report, config).await;
    if terminal.is_json() {
        let rows = std::mem::take(&mut report.rows);
        terminal.object(&Value::object([
            ("broken", Value::from_u64(report.broken)),
            ("findings", Value::Array(rows)),
        ]));
    }
    match report.broken {
        0 => Ok(()),
        1 => Err(Failure::new("one thing does not work")),
        many => Err(Failure::new(format!("{many} things do not work"))),
    }
}

struct Report {
    terminal: Terminal,
    broken: u64,
    rows: Vec<Value>,
}

impl Report {
    fn add(&mut self, level: &str, tone: Tone, what: &str, text: &str) {
        if self.terminal.is_json() {
            self.rows.push(Value::object([
                ("level", Value::from(level)),
                ("what", Value::from(what)),
                ("text", Value::from(text)),
            ]));
        } else {
            self.terminal.line(&format!(
                "{}  {what}: {text}",
                self.terminal.paint(tone, &format!("{level:<6}"))
            ));
        }
    }

    fn good(&mut self, what: &str, text: &str) {
        self.add("ok", Tone::Good, what, text);
    }

    fn loose(&mut self, what: &str, text: &str) {
        self.add("loose", Tone::Warn, what, text);
    }

    fn bad(&mut self, what: &str, text: &str) {
        self.broken = self.broken.saturating_add(1);
        self.add("broken", Tone::Bad, what, text);
    }
}

fn project_files(report: &mut Report, config: &Config) -> Result<(), Failure> {
    let files: BTreeMap<String, Vec<u8>> = project::files(&config.project)?;
    let now = SystemClock::start().now();
    match writ_control::check_project(&files, &config.identity.trust_domain, now) {
        Ok(summary) => report.good("project", &summary),
        Err(faults) => {
            for fault in faults.iter().take(50) {
                report.bad("project", &fault.to_string());
            }
        }
    }
    Ok(())
}

/// Key files are for their owner alone.
fn keys(report: &mut Report, config: &Config) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = config.data.join("keys");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return report.good("keys", "none yet; the first `writ serve` makes them");
    };
    let open: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            entry
                .metadata()
                .is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
        })
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_none_or(|ending| ending != "der")
        })
        .map(|entry| entry.path().display().to_string())
        .collect();
    if open.is_empty() {
        report.good(
            "keys",
            &format!("{} is for its owner alone", folder.display()),
        );
    } else {
        report.bad(
            "keys",
            &format!("others can read {}: chmod 600", open.join(", ")),
        );
    }
    if config.identity.single_user_machine {
        report.loose(
            "identity",
            "single_user_machine is on: agents that run as Writ's own user could read its keys",
        );
    }
}

async fn running(report: &mut Report, config: &Config) {
    let ready = match operator::control(config) {
        Ok(control) => {
            control
                .send(hyper::Method::GET, "/readyz", &[], Vec::new())
                .await
        }
        Err(failure) => return report.bad("control", &failure.to_string()),
    };
    match ready {
        Err(fault) => return report.loose("process", &fault.to_string()),
        Ok(answer) if answer.status != 200 => {
            report.bad("process", String::from_utf8_lossy(&answer.body).trim())
        }
        Ok(_) => report.good("process", "running and ready"),
    }
    let status = match OperatorClient::of(config) {
        Ok(client) => client.get("/v1/status").await,
        Err(failure) => return report.bad("control", &failure.to_string()),
    };
    let Ok(status) = status else {
        return report.loose(
            "operator",
            "not signed in, so what is in force cannot be looked at: `writ login`",
        );
    };
    let text = |name| status.member(name).and_then(Value::as_str);
    report.good("revision", text("revision").unwrap_or("none"));
    if let Some(fault) = text("not_in_force") {
        report.bad("revision", fault);
    }
    if let Some(fault) = text("settings_not_in_force") {
        report.bad(
            "settings",
            &format!(
                "those before stay in force: {fault}; mend it, then send SIGHUP to `writ serve`"
            ),
        );
    }
    let vouching = status.member("keys").and_then(Value::as_array);
    for origin in vouching.unwrap_or_default() {
        key_origin(report, origin);
    }
    let servers = status.member("authorization_servers");
    for server in servers.and_then(Value::as_array).unwrap_or_default() {
        authorization_server(report, server);
    }
    let alarms = status.member("alarms").and_then(Value::as_array);
    for alarm in alarms.unwrap_or_default() {
        report.bad("alarm", &told(alarm));
    }
    for loose in status
        .member("loose")
        .and_then(Value::as_array)
        .unwrap_or_default()
    {
        report.loose("policy", loose.as_str().unwrap_or_default());
    }
}

/// Where the keys of somebody who vouches come from, and how old they are.
fn key_origin(report: &mut Report, origin: &Value) {
    let text = |name| origin.member(name).and_then(Value::as_str);
    let (name, from) = (
        text("name").unwrap_or_default(),
        text("from").unwrap_or_default(),
    );
    let age = origin.member("age_seconds").and_then(Value::as_u64);
    let had = age.map_or_else(
        || "nobody has them".to_owned(),
        |age| format!("{age} s old"),
    );
    let until = text("until").map(|until| format!(", believed until {until}"));
    let fault = text("fault").map(|fault| format!("; {fault}"));
    let told = format!(
        "{name} from {from}: {had}{}{}",
        until.unwrap_or_default(),
        fault.as_deref().unwrap_or_default()
    );
    let believed = origin.member("believed").and_then(Value::as_bool);
    match (believed, fault) {
        (Some(true), None) => report.good("trust", &told),
        (Some(true), Some(_)) => report.loose("trust", &told),
        (Some(false) | None, _) => report.bad("trust", &told),
    }
}

/// Where the tokens come from that the calls of an API carry.
fn authorization_server(report: &mut Report, server: &Value) {
    let text = |name| {
        server
            .member(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let told = format!(
        "calls of `{}` carry tokens of {} ({} as {} by {})",
        text("api"),
        text("token_endpoint"),
        text("grant"),
        text("client_id"),
        text("authentication"),
    );
    match server.member("usable").and_then(Value::as_bool) {
        Some(true) => report.good("tokens", &told),
        Some(false) | None => {
            report.bad("tokens", &format!("{told}; the client's secret is not set"))
        }
    }
}

/// An alarm in one line.
fn told(alarm: &Value) -> String {
    let text = |name| alarm.member(name).and_then(Value::as_str);
    let said = |word: &str, name| text(name).map(|value| format!("{word} {value}"));
    let parts = [
        text("time").map(str::to_owned),
        text("what").map(str::to_owned),
        text("trap").map(|trap| format!("`{trap}`")),
        said("of", "agent"),
        said("from", "source"),
        said("in use at", "before"),
        said("and", "response"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
