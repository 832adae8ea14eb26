//! A program that speaks MCP over its standard input and output (stdio transport): the only module that starts one.
//!
//! What is started the settings of this process say, whole: command, directory, environment. There is no shell, nothing of Writ's own environment
//! goes along, and it is a process group of its own, which ends with it. A line is a message; a line that is none ends the program, and so does one that
//! is too long. What it writes to its standard error goes to Writ's log, bounded and without the credential, and to no model.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem::Finder;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use writ_types::{JsonLimits, Program, ProgramName, Secret, Value};

use super::standing::{ACKNOWLEDGED, Hearers, Standing, subscription};
use crate::mcp::updates::UPDATED;

/// Longest message, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;
/// Longest id of a server's own request that is said back to it, in bytes.
const LONGEST_ID: usize = 64;
/// Most messages that a program tells in a call and nobody has taken yet. What finds no room is not told.
const MOST_TOLD: usize = 64;
/// Longest message that is told, in bytes.
const LONGEST_TOLD: usize = 64 * 1024;
/// Most messages on their way to the program.
const MOST_QUEUED: usize = 64;
/// Longest line of its standard error that is kept, in bytes, and most of them.
const LONGEST_WORDS: usize = 512;
const MOST_WORDS: usize = 200;
/// How long it may take to end when it is told to.
const GRACE: Duration = Duration::from_millis(500);

/// A running program.
pub(super) struct Process {
    lines: mpsc::Sender<Bytes>,
    calls: Arc<Calls>,
    stop: watch::Sender<bool>,
    /// Its end was counted.
    pub(super) counted: AtomicBool,
}

/// The calls that wait for an answer, by the id of their request, and who hears what is said beside them.
#[derive(Default)]
struct Calls {
    waiting: Mutex<Waiting>,
    hearers: Arc<Hearers>,
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    ended: bool,
    calls: BTreeMap<String, Ear>,
}

/// Where what is said in a call goes.
struct Ear {
    told: mpsc::Sender<Bytes>,
    answer: oneshot::Sender<Bytes>,
}

/// What comes of a request: what the program tells on the way to its answer, and that.
#[derive(Debug)]
pub(crate) struct Coming {
    told: mpsc::Receiver<Bytes>,
    answer: oneshot::Receiver<Bytes>,
    over: bool,
}

/// A message in a call.
#[derive(Debug)]
pub(crate) enum Said {
    /// Something on the way.
    Told(Bytes),
    /// The answer, or what ends the call in its place.
    Answer(Bytes),
}

impl Coming {
    /// The next message; none after the answer, or if the program has ended.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Said>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(told)) = self.told.poll_recv(context) {
            return Poll::Ready(Some(Said::Told(told)));
        }
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(context));
        // What was told before it may have come in between.
        if let Ok(told) = self.told.try_recv() {
            self.late(answer.ok());
            return Poll::Ready(Some(Said::Told(told)));
        }
        self.over = true;
        Poll::Ready(answer.ok().map(Said::Answer))
    }

    /// Keeps an answer until all was told that came before it.
    fn late(&mut self, answer: Option<Bytes>) {
        let (kept, later) = oneshot::channel();
        if let Some(answer) = answer {
            kept.send(answer).unwrap_or_default();
        }
        self.answer = later;
    }

    pub(super) async fn next(&mut self) -> Option<Said> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The answer alone; none if the program has ended.
    pub(super) async fn answer(mut self) -> Option<Bytes> {
        loop {
            match self.next().await? {
                Said::Told(_) => {}
                Said::Answer(answer) => return Some(answer),
            }
        }
    }
}

impl Calls {
    fn all(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever waits learns that nothing comes.
    fn end(&self) {
        let mut waiting = self.all();
        waiting.ended = true;
        waiting.calls.clear();
        self.over.send_replace(true);
    }
}

/// The program was not started.
#[derive(Debug, thiserror::Error)]
#[error("the program could not be started")]
pub(super) struct NotStarted(#[from] std::io::Error);

impl Process {
    /// Starts it, with the credential in the variable that the settings name for it.
    pub(super) fn start(
        name: &ProgramName,
        program: &Program,
        credential: Option<&Secret<String>>,
        finders: Arc<[Finder<'static>]>,
    ) -> Result<Arc<Self>, NotStarted> {
        let (path, arguments) = program.command().split_first().ok_or_else(not_found)?;
        let mut command = Command::new(path);
        command
            .args(arguments)
            .current_dir(program.directory())
            .env_clear()
            .envs(program.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some((variable, secret)) = program.credential().zip(credential) {
            command.env(variable, secret.expose());
        }
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(words)) = pipes else {
            return Err(not_found().into());
        };
        let (lines, queue) = mpsc::channel(MOST_QUEUED);
        let (stop, stopped) = watch::channel(false);
        let calls = Arc::new(Calls::default());
        let process = Arc::new(Self {
            lines: lines.clone(),
            calls: Arc::clone(&calls),
            stop,
            counted: AtomicBool::new(false),
        });
        tokio::spawn(log(words, name.clone(), finders));
        let group = Group::of(&child);
        tokio::spawn(run(
            child,
            group,
            (input, queue),
            (output, lines, calls),
            stopped,
        ));
        Ok(process)
    }

    /// Whether it has ended, or is about to.
    pub(super) fn has_ended(&self) -> bool {
        self.calls.all().ended
    }

    /// Whether this is the first time that its end is noticed.
    pub(super) fn is_news(&self) -> bool {
        self.has_ended() && !self.counted.swap(true, Ordering::SeqCst)
    }

    /// Sends a request and gives where its answer comes. None if it has ended, or does not read.
    pub(super) fn ask(&self, id: &str, message: Bytes) -> Option<Coming> {
        let (answered, answer) = oneshot::channel();
        let (tells, told) = mpsc::channel(MOST_TOLD);
        let mut waiting = self.calls.all();
        if waiting.ended || !self.tell(message) {
            return None;
        }
        let ear = Ear {
            told: tells,
            answer: answered,
        };
        waiting.calls.insert(id.to_owned(), ear);
        Some(Coming {
            told,
            answer,
            over: false,
        })
    }

    /// Sends a message that is not answered; whether it will be written.
    pub(super) fn tell(&self, message: Bytes) -> bool {
        self.lines.try_send(message).is_ok()
    }

    /// What it says beside its calls.
    pub(super) fn standing(self: &Arc<Self>) -> Arc<Standing> {
        let to = Arc::downgrade(self);
        let tell = move |message: String| {
            if let Some(to) = to.upgrade()
                && !to.tell(Bytes::from(message))
            {
                tracing::debug!("a program does not read");
            }
        };
        let (hearers, over) = (&self.calls.hearers, self.calls.over.subscribe());
        Arc::new(Standing::of(Arc::clone(hearers), over, tell))
    }

    /// Nobody waits for that answer any more.
    pub(super) fn forget(&self, id: &str) {
        self.calls.all().calls.remove(id);
    }

    /// Ends it.
    pub(super) fn end(&self) {
        self.counted.store(true, Ordering::SeqCst);
        self.stop.send_replace(true);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn not_found() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::NotFound)
}

/// The processes of a program: it, and those it has started. Killed when this is dropped, whatever else happens.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(fault) = kill_process_group(group, signal)
        {
            tracing::debug!(%fault, "a program's processes had ended");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Until the program ends, or is told to. Its group is killed at once then: its number is not given to others so soon (numbers go round), and
/// while one of its processes lives, to nobody.
async fn run(
    mut child: Child,
    group: Group,
    (input, queue): (ChildStdin, mpsc::Receiver<Bytes>),
    (output, back, calls): (ChildStdout, mpsc::Sender<Bytes>, Arc<Calls>),
    mut stopped: watch::Receiver<bool>,
) {
    let writing = tokio::spawn(write(input, queue));
    let mut reading = std::pin::pin!(read(output, &back, &calls));
    if !over(&mut child, reading.as_mut(), &mut stopped).await {
        // First that nothing more comes (MCP, stdio, shutdown), then a signal, then the end. What it has said until then counts.
        writing.abort();
        group.signal(Signal::TERM);
        drop(tokio::time::timeout(GRACE, reading).await);
    }
    writing.abort();
    calls.end();
    drop(group);
    drop(child.wait().await);
}

/// Whether it says nothing more; if it does not, it is to end, or its first process has and another may still hold its output.
async fn over(
    child: &mut Child,
    reading: Pin<&mut impl Future<Output = ()>>,
    stopped: &mut watch::Receiver<bool>,
) -> bool {
    let told = async {
        // Nobody holds it any more: that is to end, too.
        drop(stopped.wait_for(|stop| *stop).await);
    };
    tokio::select! {
        () = reading => true,
        _ = child.wait() => false,
        () = told => false,
    }
}

async fn write(mut input: ChildStdin, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(message) = queue.recv().await {
        let line = one_line(&message);
        let written = async {
            input.write_all(&line).await?;
            input.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

/// A message as one line. Line ends in it stand between its parts, never inside of a text (RFC 8259 §7).
fn one_line(message: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> = message
        .iter()
        .map(|byte| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                *byte
            }
        })
        .collect();
    line.push(b'\n');
    line
}

/// Reads messages until there are no more, or what comes is none.
async fn read(output: ChildStdout, back: &mpsc::Sender<Bytes>, calls: &Calls) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Some(whole) = next_line(&mut output, &mut line, LONGEST).await {
        if line.iter().all(u8::is_ascii_whitespace) && whole {
            continue;
        }
        let message = Value::parse(&line, &JsonLimits::DOCUMENT).ok();
        let Some(message) = message.filter(|message| whole && message.as_object().is_some()) else {
            tracing::warn!("a program wrote what is no message of MCP, and is ended");
            return;
        };
        heard(&message, &line, back, calls);
    }
}

fn heard(message: &Value, line: &[u8], back: &mpsc::Sender<Bytes>, calls: &Calls) {
    let id = message.member("id");
    let method = message.member("method").and_then(Value::as_str);
    // What it calls its own requests by is said back to it: short, or not at all.
    let short = |id: &Value| id.to_string().len() <= LONGEST_ID;
    match (method, id) {
        (Some("ping"), Some(id)) if !short(id) => {}
        (Some("ping"), Some(id)) => {
            let pong = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            drop(back.try_send(Bytes::from(pong)));
        }
        (Some(_), Some(id)) => {
            // What it asks for nobody has declared. Whose call it is about it does not say: all that wait are over.
            if short(id) {
                let refused = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"not offered"}}}}"#
                );
                drop(back.try_send(Bytes::from(refused)));
            }
            let waiting = std::mem::take(&mut calls.all().calls);
            for call in waiting.into_values() {
                drop(call.answer.send(Bytes::copy_from_slice(line)));
            }
        }
        (Some(method), None) => tell((method, message), line, calls),
        (None, id) => {
            let id = id.and_then(Value::as_str);
            let call = id.and_then(|id| calls.all().calls.remove(id));
            // An answer that nobody waits for any more is nobody's.
            if let Some(call) = call {
                drop(call.answer.send(Bytes::copy_from_slice(line)));
            }
        }
    }
}

/// What it tells on the way reaches the call that it is about. How far it is it says of a call by name, and of a subscription what becomes of it; what it logs is of
/// the one call that waits, and where several do, of none. That a resource was updated whoever subscribed to it hears.
fn tell((method, message): (&str, &Value), line: &[u8], calls: &Calls) {
    let all = calls.all();
    let params = message.member("params");
    let named = |id: Option<&Value>| id.and_then(Value::as_str).and_then(|id| all.calls.get(id));
    let call = match method {
        "notifications/progress" => named(params.and_then(|params| params.member("progressToken"))),
        UPDATED | ACKNOWLEDGED => {
            calls.hearers.hear(message);
            named(subscription(message))
        }
        "notifications/message" if all.calls.len() == 1 => all.calls.values().next(),
        _ => None,
    };
    if let Some(call) = call.filter(|_| line.len() <= LONGEST_TOLD)
        && call.told.try_send(Bytes::copy_from_slice(line)).is_err()
    {
        tracing::debug!("a program tells more than is heard");
    }
}

/// The next line without its end, and whether it is whole. None at the end.
async fn next_line<R: AsyncRead + Unpin>(
    from: &mut BufReader<R>,
    line: &mut Vec<u8>,
    most: usize,
) -> Option<bool> {
    line.clear();
    loop {
        let part = from.fill_buf().await.ok()?;
        if part.is_empty() {
            return (!line.is_empty()).then_some(false);
        }
        let end = memchr::memchr(b'\n', part);
        let taken = end.unwrap_or(part.len());
        if line.len().saturating_add(taken) > most {
            return Some(false);
        }
        line.extend_from_slice(part.get(..taken)?);
        from.consume(taken.saturating_add(usize::from(end.is_some())));
        if end.is_some() {
            return Some(true);
        }
    }
}

/// Puts its standard error into the log, as far as it is worth it. All of it is read, so that it does not wait.
async fn log(words: impl AsyncRead + Unpin, name: ProgramName, finders: Arc<[Finder<'static>]>) {
    let mut words = BufReader::new(words);
    let (mut line, mut told) = (Vec::new(), 0usize);
    loop {
        let Ok(part) = words.fill_buf().await else {
            return;
        };
        if part.is_empty() {
            return;
        }
        let end = memchr::memchr(b'\n', part);
        let taken = end.unwrap_or(part.len());
        let room = LONGEST_WORDS.saturating_sub(line.len());
        line.extend_from_slice(part.get(..taken.min(room)).unwrap_or_default());
        words.consume(taken.saturating_add(usize::from(end.is_some())));
        if end.is_none() {
            continue;
        }
        told = told.saturating_add(1);
        if told <= MOST_WORDS {
            tracing::info!(program = %name, words = said(&line, &finders), "a program says");
        }
        line.clear();
    }
}

/// A line as it is logged. The first part of a credential at its cut end is part of one, so that a cut line is told without its last word.
fn said(line: &[u8], finders: &[Finder<'static>]) -> String {
    if finders.iter().any(|finder| finder.find(line).is_some()) {
        return "[it holds the credential]".to_owned();
    }
    let text = String::from_utf8_lossy(line);
    let whole = if line.len() >= LONGEST_WORDS {
        text.rsplit_once(' ').map_or("", |(whole, _)| whole)
    } else {
        &*text
    };
    whole.chars().filter(|char| !char.is_control()).collect()
}

#[cfg(test)]
mod tests;
