//! Asking the prover: a program beside this one, or in PATH.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Its name.
const NAME: &str = "writ-prove";

/// Gives it the cases and reads what it says.
pub(super) fn ask(given: Option<&Path>, input: &str, seconds: u64) -> Result<String, String> {
    let program = given.map_or_else(installed, |path| path.as_os_str().to_owned());
    let started = Command::new(&program)
        .args(["--seconds", &seconds.to_string(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|fault| {
        if fault.kind() == ErrorKind::NotFound {
            format!("there is no `{}`", program.display())
        } else {
            format!("{}: {fault}", program.display())
        }
    })?;
    // It reads everything before it says a word, so neither waits for the other. What it did not read shows below.
    let written = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child
        .wait_with_output()
        .map_err(|fault| fault.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().trim_start_matches("writ-prove: ").to_owned());
    }
    match written {
        Some(Ok(())) => {}
        Some(Err(fault)) => return Err(format!("the prover did not read on: {fault}")),
        None => return Err("the prover cannot be written to".to_owned()),
    }
    String::from_utf8(output.stdout).map_err(|_binary| "the prover's output is no text".to_owned())
}

/// The one beside this program, otherwise the name, for PATH.
fn installed() -> OsString {
    let beside = std::env::current_exe().ok();
    let beside = beside.map(|program| program.with_file_name(NAME));
    beside
        .filter(|path| path.is_file())
        .map_or_else(|| NAME.into(), Into::into)
}
