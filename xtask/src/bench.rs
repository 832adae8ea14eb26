//! `cargo xtask bench`: Writ beside nginx and haproxy. The measuring is `bench/`'s; this builds and starts it.

use std::process::{Command, ExitCode, Stdio};

use crate::error::{Tried, XtaskError};
use crate::{packages, root, say};

/// What the bench needs beside the tests' packages.
const FOR_BENCH: &str = include_str!("../debian-packages-bench.txt");

/// Builds Writ and the bench for release, and runs the bench with what was typed.
///
/// # Errors
///
/// Packages are missing, or cargo cannot be run. What the bench itself finds is its exit code.
pub(crate) fn run(arguments: &[&str]) -> Result<ExitCode, XtaskError> {
    packages::require(FOR_BENCH)?;
    say::talk("building Writ for release");
    let cargo = || {
        let mut command = crate::testing::cargo();
        command.current_dir(root()).stdin(Stdio::null());
        command
    };
    let build: &mut Command = &mut cargo();
    build.args([
        "build",
        "--release",
        "--locked",
        "-p",
        "writ",
        "-p",
        "writ-bench",
    ]);
    let built = build.status().tried(|| "run cargo".to_owned())?;
    if !built.success() {
        return Ok(crate::testing::code(built));
    }
    let bench: &mut Command = &mut cargo();
    bench.args([
        "run",
        "--release",
        "--locked",
        "--quiet",
        "-p",
        "writ-bench",
        "--",
    ]);
    let ran = bench
        .args(arguments)
        .status()
        .tried(|| "run cargo".to_owned())?;
    Ok(crate::testing::code(ran))
}
