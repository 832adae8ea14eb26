//! SPIFFE's own client for Python against Writ's Workload API.

use std::process::Command;

use writ_testkit::{project, python};

/// Every method of the client's library, its streams too; it prints `done` behind its last assertion.
const SCRIPT: &str = include_str!("client.py");

#[test]
fn the_python_client_gets_what_it_asks_for() {
    let Some(python) = python() else { return };
    let project = project!();
    project.agent("bot", "autonomous", &[]);
    project.settings("x509_svid_life = \"4s\"\n");
    let _server = project.start();
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .env(
            "SPIFFE_ENDPOINT_SOCKET",
            format!("unix://{}", project.path(".writ-agent.sock").display()),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.ends_with("done\n"),
        "{said}\n{faults}"
    );
}
