//! Programs of `xtask/clients`, run with the Node that is pinned beside them.

use std::path::PathBuf;
use std::process::Command;

/// Where `cargo xtask test` has put the programs; none, said aloud, where it has not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("WRIT_TEST_CLIENTS_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!(
            "SKIPPED: WRIT_TEST_CLIENTS_DIR is not set; `cargo xtask test` installs the clients"
        );
    }
    folder
}

/// Runs a script of a package to its end: whether it succeeded, and what it printed.
pub(crate) async fn run(script: &str, arguments: &[&str]) -> (bool, String) {
    let modules = folder().unwrap().join("node_modules");
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(modules.join(".bin/node"));
    command
        .arg(modules.join(script))
        .args(arguments)
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    (output.status.success(), said)
}
