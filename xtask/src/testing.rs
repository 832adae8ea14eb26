//! `cargo xtask test`: every test, with the servers it needs.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use crate::error::{Tried, XtaskError};
use crate::powerdns::PowerDns;
use crate::{clients, packages, root, say};

/// Runs the tests and the documentation's tests; the code of the first that fails.
///
/// # Errors
///
/// What the tests need could not be set up.
pub(crate) fn run(arguments: &[&str]) -> Result<ExitCode, XtaskError> {
    let filter = filter(arguments)?;
    packages::require(packages::FOR_TESTS)?;
    let surroundings = Surroundings::find()?;
    let mut server = PowerDns::start()?;
    let mut runner = |command: &mut Command| {
        surroundings.tell(command, &server);
        finish(command, &mut server)
    };
    let mut tests = cargo();
    if has_nextest() {
        tests.args(["nextest", "run", "--workspace", "--locked"]);
        if surroundings.ci {
            tests.args(["--profile", "ci"]);
        }
    } else {
        tests.args([
            "test",
            "--workspace",
            "--locked",
            "--tests",
            "--no-fail-fast",
        ]);
    }
    tests.args(filter);
    let status = runner(&mut tests)?;
    if !status.success() {
        return Ok(code(status));
    }
    // Neither of the two ran them: the proofs' `compile_fail` examples are here.
    let mut documentation = cargo();
    documentation.args(["test", "--doc", "--workspace", "--locked"]);
    documentation.args(filter);
    runner(&mut documentation).map(code)
}

fn filter<'a>(arguments: &[&'a str]) -> Result<Option<&'a str>, XtaskError> {
    match arguments {
        [] => Ok(None),
        ["--filter", text] if !text.is_empty() && !text.starts_with('-') => Ok(Some(text)),
        ["--filter", ..] => Err(XtaskError::Usage(
            "`--filter` takes one text, a part of the names of the tests to run".to_owned(),
        )),
        [other, ..] => Err(XtaskError::Usage(format!("`test` knows no `{other}`"))),
    }
}

/// What the tests are told about where they run.
#[derive(Debug)]
struct Surroundings {
    shared: Option<PathBuf>,
    clients: Option<PathBuf>,
    ci: bool,
}

impl Surroundings {
    fn find() -> Result<Self, XtaskError> {
        let named = std::env::var_os("WRIT_SHARED").map(PathBuf::from);
        let beside = root()
            .parent()
            .map(|folder| folder.join("shared"))
            .filter(|folder| folder.is_dir());
        let ci = std::env::var_os("CI").is_some_and(|word| !word.is_empty());
        let found = Self {
            shared: named.or(beside),
            clients: clients::find()?,
            ci,
        };
        if ci && found.clients.is_none() {
            return Err(XtaskError::ClientsMissing);
        }
        if found.shared.is_none() {
            say::talk(
                "NOTE: there is no folder `shared` beside the repository and WRIT_SHARED is not set; tests over the public corpora use their small samples only",
            );
        }
        Ok(found)
    }

    fn tell(&self, command: &mut Command, server: &PowerDns) {
        command
            .env("WRIT_TEST_PDNS_URL", server.url())
            .env("WRIT_TEST_PDNS_KEY", server.key())
            .env("WRIT_TEST_PDNS_DIR", server.keeper.directory());
        if let Some(clients) = &self.clients {
            command.env("WRIT_TEST_CLIENTS_DIR", clients);
        }
        if self.ci {
            command
                .env("WRIT_REQUIRE_SOLVER", "1")
                .env("WRIT_FUZZ_SECONDS", "60");
        }
        if let Some(shared) = &self.shared {
            command.env("WRIT_SHARED", shared);
            if self.ci {
                command.env("WRIT_REQUIRE_SHARED", "1");
            }
        }
    }
}

/// Runs a command to its end; should xtask end first, the command and all it started end too.
fn finish(command: &mut Command, server: &mut PowerDns) -> Result<ExitStatus, XtaskError> {
    let mut child = command
        .current_dir(root())
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .tried(|| "start cargo".to_owned())?;
    server.keeper.end_with_it(child.id());
    let status = child.wait();
    server.keeper.runner_ended();
    status.tried(|| "wait for cargo".to_owned())
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

fn has_nextest() -> bool {
    cargo()
        .args(["nextest", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The same code, or 1 for a runner that a signal ended.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => ExitCode::from(code),
        Some(Err(_)) | None => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_text_and_nothing_else_is_known() {
        assert!(matches!(filter(&[]), Ok(None)));
        assert!(matches!(filter(&["--filter", "tidy"]), Ok(Some("tidy"))));
        for bad in [
            &["--filter"][..],
            &["--filter", ""],
            &["--filter", "--help"],
            &["tidy"],
            &["--filter", "a", "b"],
        ] {
            assert!(matches!(filter(bad), Err(XtaskError::Usage(_))), "{bad:?}");
        }
    }
}
