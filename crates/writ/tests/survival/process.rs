//! A `writ serve` whose every word is kept, and the state it leaves behind.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use writ_audit::{Event, Record};
use writ_control::log::LogReader;
use writ_testkit::Project;
use writ_types::Value;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

/// Longest wait for something that must be said; a hung process fails the test instead of stopping the run.
const PATIENCE: Duration = Duration::from_secs(60);

impl Process {
    /// Starts `writ serve` without waiting for anything.
    pub(crate) fn spawn(project: &Project) -> Self {
        let mut child = project
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                // Nobody may be listening any more; the pipe is read on, so that the process never waits.
                drop(send.send(line.unwrap_or_default()));
            }
        });
        Self { child, lines }
    }

    /// Starts `writ serve` and waits until it listens.
    pub(crate) fn start(project: &Project) -> Self {
        let process = Self::spawn(project);
        process.says("writ gateway ");
        process
    }

    /// Waits until it says a line with this text, and gives the line.
    pub(crate) fn says(&self, text: &str) -> String {
        let mut before = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => before = before + &line + "\n",
                Err(_ended) => panic!("`writ serve` never said `{text}`, but:\n{before}"),
            }
        }
    }

    /// Everything it still has to say, once it has ended.
    pub(crate) fn last_words(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.lines.iter().collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and what it says until its end.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.last_words()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// All records of a project's log, read from its files.
pub(crate) fn records(project: &Project) -> Vec<Record> {
    records_from(project, 0)
}

/// The records from an index on.
pub(crate) fn records_from(project: &Project, first: usize) -> Vec<Record> {
    let mut records = Vec::new();
    LogReader::new(&project.path(".writ/log"))
        .scan(u64::try_from(first).unwrap(), |_, bytes| {
            records.push(Record::decode(bytes).unwrap());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    records
}

/// What each start said of the calls before it.
pub(crate) fn starts(records: &[Record]) -> Vec<u64> {
    let orphans = |record: &Record| match &record.event {
        Event::Started(started) => Some(started.orphans),
        _ => None,
    };
    records.iter().filter_map(orphans).collect()
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs a command that must succeed.
pub(crate) fn done(project: &Project, arguments: &[&str]) -> String {
    let (code, out, err) = project.run(arguments);
    assert_eq!(code, 0, "writ {arguments:?}: {out}{err}");
    out
}

/// Runs a command that must fail with exit code 1, and gives what it says.
pub(crate) fn refused(project: &Project, arguments: &[&str]) -> String {
    let (code, out, err) = project.run(arguments);
    assert_eq!(code, 1, "writ {arguments:?}: {out}{err}");
    out + &err
}

/// One number of a JSON answer.
pub(crate) fn number(value: &Value, path: &[&str]) -> u64 {
    let mut at = value;
    for name in path {
        at = at.member(name).unwrap_or(&Value::Null);
    }
    at.as_u64().unwrap_or_else(|| panic!("{path:?} in {value}"))
}
