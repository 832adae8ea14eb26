//! Ends what was started, however the one who started it ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Tried, XtaskError};

/// Runs a server, and ends it and the process group named last on standard input when standard input ends. The pipe closes
/// however its other end goes, by SIGKILL too, so there is no handler to install and nothing to forget. The group of
/// its own keeps it out of the way of Ctrl-C.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
directory=$1
shift
"$@" </dev/null >"$directory/server.log" 2>&1 &
server=$!
echo "$server"
exec >/dev/null
runner=none
while read -r line; do runner=$line; done
[ "$runner" = none ] || kill -s TERM -- "-$runner" 2>/dev/null
kill -s KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf -- "$directory"
"#;

/// A server that was started. Dropping this ends it and removes its directory, before `drop` returns.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
    server: u32,
    directory: PathBuf,
}

impl Keeper {
    /// Starts `program`, whose output goes to `server.log` in `directory`.
    ///
    /// # Errors
    ///
    /// There is no shell. A program that cannot be run shows in [`Keeper::is_running`] and in the log.
    pub(crate) fn start<A: AsRef<OsStr>>(
        directory: tempfile::TempDir,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, XtaskError> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(directory.path())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .tried(|| "start sh".to_owned())?;
        let mut line = String::new();
        if let Some(output) = shell.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .tried(|| "read from sh".to_owned())?;
        }
        Ok(Self {
            shell,
            server: line.trim().parse().unwrap_or(0),
            directory: directory.keep(),
        })
    }

    /// The server's directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last ten lines the server wrote.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(10)..).unwrap_or(&[]);
        tail.join("\n")
    }

    /// Whether the server has not ended by itself.
    pub(crate) fn is_running(&self) -> bool {
        is_running(self.server)
    }

    /// From now on the process group `runner` ends with the server.
    pub(crate) fn end_with_it(&mut self, runner: u32) {
        self.tell(&runner.to_string());
    }

    /// The process group has ended by itself; its number may soon be somebody else's.
    pub(crate) fn runner_ended(&mut self) {
        self.tell("none");
    }

    fn tell(&mut self, line: &str) {
        if let Some(pipe) = self.shell.stdin.as_mut() {
            writeln!(pipe, "{line}").unwrap_or_default();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // A shell that cannot be waited for has nothing left to tell.
        self.shell.wait().map(drop).unwrap_or_default();
    }
}

/// Whether there is such a process and it is not merely waiting to be reaped.
fn is_running(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests;
