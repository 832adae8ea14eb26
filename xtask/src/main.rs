//! `cargo xtask`: what the repository does with itself. It sets up and runs the tests and writes the generated
//! references. It knows nothing of the product but `writ-types`, and it is no build system.

mod agentdojo;
mod bench;
mod clients;
mod error;
mod fuzz;
mod http;
mod keeper;
mod packages;
mod powerdns;
mod reference;
mod say;
mod testing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use error::XtaskError;

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  test [--filter <text>]  run every test, with real servers on free loopback ports
  bench [<options>]       measure Writ beside nginx and haproxy; `bench --help` lists the options
  fuzz [--minutes <n>]    read mutated documents for n minutes (60) each way, and keep the result in docs/fuzzing.md
  agentdojo [<suite>] [<mode>]
                          AgentDojo's traces through a running Writ; suites banking, slack; modes careful, careful-remembers,
                          clicks, enters-anything
  reference               write the generated pages under docs/reference

environment of `test`:
  WRIT_MAY_INSTALL        1: install missing Debian packages, with `sudo -n` if need be; 0: never install, not even as root;
                          the clients of xtask/clients come without it, below target
  WRIT_SHARED             folder with the public test corpora; a folder `shared` beside the repository if unset
  CI                      set: the corpora must be used by every test that knows them, and nextest's profile is `ci`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", rest @ ..] => testing::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["agentdojo", rest @ ..] => agentdojo::run(rest),
        ["reference"] => reference::write(root()),
        ["help" | "--help" | "-h", ..] => {
            say::out(USAGE);
            Ok(ExitCode::SUCCESS)
        }
        [] => Err(XtaskError::Usage("no command was given".to_owned())),
        [other, ..] => Err(XtaskError::Usage(format!("no command `{other}`"))),
    };
    outcome.unwrap_or_else(|error| {
        say::error(&error);
        match error {
            XtaskError::Usage(_) => {
                say::talk(USAGE);
                ExitCode::from(2)
            }
            XtaskError::Io { .. }
            | XtaskError::PackagesMissing { .. }
            | XtaskError::InstallFailed { .. }
            | XtaskError::ClientsMissing
            | XtaskError::AgentDojo(_)
            | XtaskError::PowerDns(_) => ExitCode::FAILURE,
        }
    })
}

/// Where cargo builds.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target"))
}

/// The repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
