//! An installation of Writ for one test: a project in a temporary folder, the real binary, an agent and an operator.
//!
//! Support for the whole-program tests, a crate of its own so that it compiles once for all of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a test that cannot be set up has failed"
)]

mod caller;

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use tempfile::TempDir;
use writ::agent::{AgentClient, Identity, OpenTask};
use writ::http::{Answer, Peer};
use writ_types::{Clock, JsonLimits, Monotonic, Timestamp, Value};

pub use caller::Caller;

/// The machine's clocks, for clients.
#[derive(Debug)]
pub struct TestClock(Instant);

impl TestClock {
    /// Starts the clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of a real server needs the real time"
    )]
    pub fn start() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TestClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of a real server needs the real time"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.0.elapsed())
    }
}

/// A JSON value from its text.
pub fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).unwrap()
}

/// A project folder that becomes an installation when it is started.
#[derive(Debug)]
pub struct Project {
    /// Its folder, removed at the end.
    pub folder: TempDir,
    /// The gateway's port.
    pub gateway: u16,
    /// The control plane's port.
    pub control: u16,
    binary: &'static str,
}

/// A project for the binary that cargo has built for this test.
#[macro_export]
macro_rules! project {
    () => {
        $crate::Project::new(env!("CARGO_BIN_EXE_writ"))
    };
}

impl Project {
    /// A project with settings for free ports and nothing else. Agents may run as this user.
    #[must_use]
    pub fn new(binary: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, control) = (free_port(), free_port());
        let project = Self {
            folder,
            gateway,
            control,
            binary,
        };
        project.settings("");
        project
    }

    /// Writes the settings anew, with more of them at the end.
    pub fn settings(&self, more: &str) {
        let Self {
            gateway, control, ..
        } = self;
        self.write(
            "writ.toml",
            &format!(
                "public_url = \"http://127.0.0.1:{gateway}\"\ncontrol_url = \"http://127.0.0.1:{control}\"\nworkers = 2\n[listen]\ngateway = \"127.0.0.1:{gateway}\"\ncontrol = \"127.0.0.1:{control}\"\n[identity]\nsingle_user_machine = true\n{more}"
            ),
        );
    }

    /// Writes one file of the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A path in the project.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Registers an agent that is this very user, for the given purposes.
    pub fn agent(&self, name: &str, mode: &str, purposes: &[&str]) {
        let uid = rustix::process::geteuid().as_raw();
        self.write(
            &format!("agents/{name}.toml"),
            &format!("owner = \"owner@example.org\"\nmode = \"{mode}\"\npurposes = {purposes:?}\nselectors = [\"unix:uid:{uid}\"]\n"),
        );
    }

    /// A command of the binary on this project.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command
            .arg("--config")
            .arg(self.path("writ.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .env("NO_COLOR", "1");
        command
    }

    /// Starts `writ serve` and waits until it listens.
    pub fn start(&self) -> Server {
        self.try_start()
            .unwrap_or_else(|(status, output)| panic!("writ serve ended with {status}:\n{output}"))
    }

    /// Starts `writ serve`; if it ends instead of listening, its status and what it said.
    pub fn try_start(&self) -> Result<Server, (ExitStatus, String)> {
        self.serve(self.command(&["serve"]))
    }

    /// Runs a command that is or becomes `writ serve`, and waits until it listens.
    pub fn serve(&self, mut command: Command) -> Result<Server, (ExitStatus, String)> {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("writ gateway ") {
                // Somebody always reads, so that the process never waits for a reader.
                let later = Arc::new(Mutex::new(said.clone()));
                let kept = Arc::clone(&later);
                let reader = std::thread::spawn(move || {
                    for line in lines {
                        let line = line.unwrap_or_default();
                        eprintln_line(&line);
                        let mut kept = kept.lock().unwrap();
                        kept.push_str(&line);
                        kept.push('\n');
                    }
                });
                return Ok(Server {
                    child,
                    said,
                    output: later,
                    reader: Some(reader),
                });
            }
        }
        Err((child.wait().unwrap(), said))
    }

    /// Signs in with the first-boot token.
    pub fn sign_in(&self) {
        let output = self.command(&["login"]).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap_or(-1),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// Sets a credential through the command line.
    pub fn credential(&self, name: &str, value: &str) {
        use std::io::Write as _;
        let mut command = self.command(&["credential", "set", name]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(value.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// An agent that talks to this installation.
    pub fn client(&self) -> AgentClient {
        let (public, control) = (
            format!("http://127.0.0.1:{}", self.gateway),
            format!("http://127.0.0.1:{}", self.control),
        );
        let peer = |url: &str| Peer::url(url, None).unwrap();
        AgentClient::new(
            &self.path(".writ-agent.sock"),
            (&control.parse().unwrap(), peer(&control)),
            (&public.parse().unwrap(), peer(&public)),
            TestClock::start(),
        )
    }

    /// The gateway, for requests that no agent would make.
    pub fn gateway(&self) -> Peer {
        Peer::url(&format!("http://127.0.0.1:{}", self.gateway), None).unwrap()
    }

    /// The control plane, for requests that no agent would make.
    pub fn control(&self) -> Peer {
        Peer::url(&format!("http://127.0.0.1:{}", self.control), None).unwrap()
    }

    /// The operator's request with the session of [`Self::sign_in`].
    pub async fn operator(&self, method: Method, path: &str, body: &str) -> Answer {
        let session = std::fs::read_to_string(self.path(".writ/operator-session")).unwrap();
        let authorization = format!("Bearer {}", session.trim());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.control()
            .send(method, path, &headers, body.to_owned())
            .await
            .unwrap()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "what the server says belongs to the output of a failed test"
)]
fn eprintln_line(line: &str) {
    eprintln!("  server: {line}");
}

/// A running `writ serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// What it said before it listened.
    pub said: String,
    output: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and everything it ever wrote to standard error.
    pub fn stop_and_tell(mut self) -> String {
        let reader = self.reader.take().unwrap();
        let output = Arc::clone(&self.output);
        self.stop();
        reader.join().unwrap();
        let output = output.lock().unwrap();
        output.clone()
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// From now on no write makes a file of its longer (`RLIMIT_FSIZE`). A process that does not ignore SIGXFSZ dies of it.
    pub fn let_no_file_grow(&self) {
        rustix::process::prlimit(
            Some(rustix::process::Pid::from_child(&self.child)),
            rustix::process::Resource::Fsize,
            rustix::process::Rlimit {
                current: Some(0),
                maximum: None,
            },
        )
        .unwrap();
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::HUP,
        )
        .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on and that nobody is given by chance.
///
/// Below the range from which the system gives ports to outgoing connections (32768 and above), because the clients of
/// other tests would take one of those between this look and the server's start; and each process looks at ports of its own.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(64);
    let mut candidates = std::iter::repeat_with(|| {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        u16::try_from(offset)
            .unwrap_or_default()
            .saturating_add(12_000)
    });
    let free =
        |port: &u16| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).is_ok();
    candidates.by_ref().take(20_000).find(free).unwrap()
}

/// A Python with the clients of `xtask/clients`, which `cargo xtask test` installs; none, said aloud, where it has not.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn python() -> Option<PathBuf> {
    let folder = std::env::var_os("WRIT_TEST_CLIENTS_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!(
            "SKIPPED: WRIT_TEST_CLIENTS_DIR is not set; `cargo xtask test` installs the clients"
        );
    }
    folder.map(|folder| folder.join("python/bin/python"))
}

/// A runtime for one test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Shows the identity and opens a task that must be granted.
pub async fn open(client: &AgentClient, details: &str) -> OpenTask {
    let identity: Identity = client.identity(None).await.unwrap();
    match client.open(&identity, &json(details)).await.unwrap() {
        Ok(task) => task,
        Err(answer) => panic!("not opened: {}", answer.json()),
    }
}

/// The reason of a refusal.
pub fn reason(answer: &Answer) -> String {
    answer
        .json()
        .member("reason_code")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A help desk before this installation, with its key set.
#[derive(Debug)]
pub struct Desk {
    /// The desk, to look at.
    pub desk: Arc<writ_helpdesk::HelpDesk>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its one all-powerful key.
    pub key: String,
}

impl Desk {
    /// Opens a help desk and writes its registration into the project.
    pub async fn open(project: &Project) -> Self {
        let key = "desk-key-0123456789abcdef".to_owned();
        let desk = Arc::new(writ_helpdesk::HelpDesk::new(
            writ_types::Secret::new(key.clone()),
            TestClock::start(),
        ));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Arc::clone(&desk).serve(listener, std::future::pending()));
        let mut text = format!(
            "owner = \"desk@example.org\"\nupstream = \"http://{address}\"\ncontract = \"helpdesk.openapi.yaml\"\nrate = \"1000000/s\"\n[credential]\nname = \"helpdesk-key\"\nattach = \"header\"\nheader = \"{}\"\n",
            writ_helpdesk::KEY_HEADER
        );
        for (operation, effect, irreversible, external_send, labels) in writ_helpdesk::REVIEWS {
            text.push_str(&format!("[operations.{operation}]\neffect = \"{effect}\"\nirreversible = {irreversible}\nexternal_send = {external_send}\nlabels = {labels:?}\n"));
        }
        project.write("apis/helpdesk.openapi.yaml", writ_helpdesk::OPENAPI);
        project.write("apis/helpdesk.toml", &text);
        Self { desk, address, key }
    }
}
