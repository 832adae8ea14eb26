//! A server of another hand, as long as one test takes.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use writ_testkit::{free_port, python};

/// A running server with a folder of its own. Dropping it kills it.
pub(super) struct Running {
    child: Child,
    pub(super) port: u16,
    _folder: TempDir,
}

/// A program that `cargo xtask test` has installed; none, said aloud, where it has not.
pub(super) fn installed(name: &str) -> Option<PathBuf> {
    python().map(|python| python.with_file_name(name))
}

/// A port that is free with the one above it, where some servers talk among themselves.
pub(super) fn port() -> u16 {
    let mut lower = free_port();
    loop {
        let next = free_port();
        if next == lower.saturating_add(1) {
            return lower;
        }
        lower = next;
    }
}

impl Running {
    /// Starts it and waits until it says that it serves.
    pub(super) fn start(mut command: Command, folder: TempDir, port: u16, serves: &str) -> Self {
        let mut child = command
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.by_ref().map(Result::unwrap);
        let seen = said.into_iter().any(|line| line.contains(serves));
        assert!(seen, "it has ended: {:?}", child.wait());
        // Somebody always reads, so that the server never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
