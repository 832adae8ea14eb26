//! What is said while something takes longer than a second.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long nothing is said.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a line on a terminal is written anew.
const TERMINAL: Duration = Duration::from_millis(250);

/// How often another line is written to a file.
const FILE: Duration = Duration::from_secs(10);

/// Work under way. Dropping it ends the talk.
#[derive(Debug)]
pub(crate) struct Progress {
    end: Option<Sender<()>>,
    talk: Option<JoinHandle<()>>,
}

impl Progress {
    /// Says on standard error what is being done, from the second second on.
    pub(crate) fn of(what: &str) -> Self {
        Self::begin(what.to_owned(), None)
    }

    /// The same with how much of it is done, in `unit`s.
    pub(crate) fn counting(what: &str, unit: &'static str, done: &Arc<AtomicU64>) -> Self {
        Self::begin(what.to_owned(), Some((Arc::clone(done), unit)))
    }

    fn begin(what: String, count: Option<(Arc<AtomicU64>, &'static str)>) -> Self {
        let (end, ended) = channel();
        let talk = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || {
                let line = |waited| line(&what, count.as_ref(), waited);
                if std::io::stderr().is_terminal() {
                    on_terminal(&ended, &line);
                } else {
                    in_file(&ended, &line);
                }
            });
        Self {
            end: Some(end),
            // Without a thread there is no talk; the work is the same.
            talk: talk.ok(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(talk) = self.talk.take() {
            drop(talk.join());
        }
    }
}

fn line(what: &str, count: Option<&(Arc<AtomicU64>, &'static str)>, waited: Duration) -> String {
    let seconds = waited.as_secs();
    match count {
        None => format!("{what} … {seconds} s"),
        Some((done, unit)) => {
            let done = done.load(Ordering::Relaxed);
            format!("{what} … {done} {unit}, {seconds} s")
        }
    }
}

/// Whether the work goes on after this long.
fn goes_on(ended: &Receiver<()>, patience: Duration) -> bool {
    matches!(ended.recv_timeout(patience), Err(RecvTimeoutError::Timeout))
}

/// One line that is written again and again, and gone in the end.
fn on_terminal(ended: &Receiver<()>, line: &dyn Fn(Duration) -> String) {
    let mut waited = PATIENCE;
    if !goes_on(ended, waited) {
        return;
    }
    loop {
        write(&format!("\r\u{1b}[2K{}", line(waited)));
        if !goes_on(ended, TERMINAL) {
            return write("\r\u{1b}[2K");
        }
        waited = waited.saturating_add(TERMINAL);
    }
}

fn in_file(ended: &Receiver<()>, line: &dyn Fn(Duration) -> String) {
    let (mut waited, mut patience) = (Duration::ZERO, PATIENCE);
    while goes_on(ended, patience) {
        waited = waited.saturating_add(patience);
        write(&format!("{}\n", line(waited)));
        patience = FILE;
    }
}

/// Talk that nobody reads is no reason to fail.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()));
    drop(stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_how_much_and_how_long() {
        let done = Arc::new(AtomicU64::new(70_000));
        let since = Duration::from_millis(2_900);
        assert_eq!(line("starting", None, since), "starting … 2 s");
        assert_eq!(
            line("verifying the log", Some(&(done, "entries")), since),
            "verifying the log … 70000 entries, 2 s"
        );
    }

    #[test]
    fn what_is_done_within_a_second_says_nothing() {
        let (end, ended) = channel::<()>();
        drop(end);
        let said = std::cell::Cell::new(false);
        let line = |_| {
            said.set(true);
            String::new()
        };
        in_file(&ended, &line);
        on_terminal(&ended, &line);
        assert!(!said.get());
    }
}
