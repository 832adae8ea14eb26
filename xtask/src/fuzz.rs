//! `cargo xtask fuzz`: mutated documents for as long as one likes, and a page that keeps what came of it.

use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use writ_types::Timestamp;

use crate::error::{Tried, XtaskError};
use crate::testing::{cargo, code};
use crate::{root, say};

const PAGE: &str = "docs/fuzzing.md";
const DEFAULT: u64 = 60;

/// Runs every fuzz target for so many minutes, all at once, and writes the page if none failed.
///
/// # Errors
///
/// The tests could not be run, or the page not be written.
pub(crate) fn run(arguments: &[&str]) -> Result<ExitCode, XtaskError> {
    let minutes = minutes(arguments)?;
    let begun = today();
    let mut tests: Command = cargo();
    tests
        .args([
            "test",
            "-p",
            "writ-contract",
            "--test",
            "mutated",
            "--locked",
        ])
        .args(["--", "--nocapture"])
        .env("WRIT_FUZZ_SECONDS", minutes.saturating_mul(60).to_string())
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let output = tests.output().tried(|| "run the fuzz targets".to_owned())?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        say::talk(&told);
        return Ok(code(output.status));
    }
    let mut lines: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("fuzzed "))
        .collect();
    lines.sort_unstable();
    let page = page(&begun, minutes, &lines);
    std::fs::write(root().join(PAGE), page).tried(|| format!("write {PAGE}"))?;
    say::out(PAGE);
    Ok(ExitCode::SUCCESS)
}

fn minutes(arguments: &[&str]) -> Result<u64, XtaskError> {
    let fault = || XtaskError::Usage("`fuzz` takes `--minutes <n>`, at least 1".to_owned());
    match arguments {
        [] => Ok(DEFAULT),
        ["--minutes", number] => {
            let minutes: Option<u64> = number.parse().ok();
            minutes.filter(|minutes| *minutes > 0).ok_or_else(fault)
        }
        _ => Err(fault()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the page says when it was")]
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = Timestamp::from_secs(since.unwrap_or_default().as_secs()).to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

/// The page: what was read, how often, and when.
fn page(begun: &str, minutes: u64, lines: &[&str]) -> String {
    let mut page = format!(
        "# Fuzzing\n\n\
         `cargo xtask fuzz --minutes <n>` writes this page. Inputs are documents of `crates/writ-contract/testdata` with stretches\n\
         cut out and replaced, overlays likewise, two files that refer to each other, two versions that are compared, and plain bytes. Each\n\
         is refused with a reason, or used in full: routed, parsed, projected, checked. Every run of the tests does the same for two\n\
         seconds, and `.ci/run` for a minute each.\n\n\
         Last run: {begun}, {minutes} minutes each, no panic and no broken promise.\n\n"
    );
    for line in lines {
        page.push_str(&format!("- {line}\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_a_number_of_at_least_one() {
        assert!(matches!(minutes(&[]), Ok(DEFAULT)));
        assert!(matches!(minutes(&["--minutes", "5"]), Ok(5)));
        for bad in [
            &["--minutes"][..],
            &["--minutes", "0"],
            &["5"],
            &["--minutes", "x"],
        ] {
            assert!(matches!(minutes(bad), Err(XtaskError::Usage(_))), "{bad:?}");
        }
    }
}
