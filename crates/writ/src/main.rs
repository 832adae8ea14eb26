//! The `writ` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    writ::run()
}
