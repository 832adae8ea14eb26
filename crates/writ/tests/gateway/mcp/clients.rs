//! The official clients, unchanged, with a token bound to a key: they find and call the same tools in both revisions.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_testkit::{json, runtime};
use writ_types::Value;

use crate::installation::Installation;

/// Where `cargo xtask test` has put the clients; none, loudly, where it has not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("WRIT_TEST_CLIENTS_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!(
            "SKIPPED: WRIT_TEST_CLIENTS_DIR is not set; `cargo xtask test` installs the clients"
        );
    }
    folder
}

/// What each client of a script says, one JSON object a line.
async fn says(program: PathBuf, script: &str) -> Vec<Value> {
    let installation = Installation::start().await;
    let actions = ["helpdesk:getTicket", "helpdesk:closeTicket", "odd:echo"];
    let task = installation.task_with(&actions, "").await;
    let key = STANDARD.encode(task.pkcs8.expose());
    let url = format!("http://127.0.0.1:{}/mcp", installation.project.gateway);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/gateway/mcp/clients")
        .join(script);
    let mut command = Command::new(program);
    command
        .arg(script)
        .env("WRIT_MCP_URL", url)
        .env("WRIT_MCP_TOKEN", &task.token)
        .env("WRIT_MCP_KEY", key);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.lines().map(json).collect()
}

fn expect(revision: &str) -> Value {
    json(&format!(
        r#"{{"revision":"{revision}","tools":["helpdesk_getTicket","odd_echo"],
        "read":[false,"T-1001"],"refused":[true,"forbidden"]}}"#
    ))
}

#[test]
fn the_python_client_works_with_a_bound_token() {
    let Some(folder) = folder() else { return };
    let said = runtime().block_on(says(folder.join("python/bin/python"), "client.py"));
    assert_eq!(said, [expect("2026-07-28"), expect("2025-11-25")]);
}

#[test]
fn the_typescript_clients_work_with_a_bound_token() {
    let Some(_) = folder() else { return };
    let said = runtime().block_on(says(PathBuf::from("node"), "client.mjs"));
    assert_eq!(said, [expect("2026-07-28"), expect("2025-11-25")]);
}
