//! Processes of the bench: pinned to a core, measured through `/proc`, gone when the bench is.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use writ_types::{Clock, Monotonic, Timestamp};

use crate::error::{BenchError, Tried as _};
use crate::say;

/// The core of what is measured.
pub(crate) const PROXY: &str = "0";
/// The core of the load and of the upstream.
pub(crate) const LOAD: &str = "1";

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct MachineClock(Instant);

impl MachineClock {
    /// Starts the monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    pub(crate) fn start() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.0.elapsed())
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, BenchError> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).tried(|| "find a port".to_owned())?;
    let address = listener.local_addr().tried(|| "find a port".to_owned())?;
    Ok(address.port())
}

/// A command that runs on one core and is told to end when the bench ends, however that happens.
pub(crate) fn on_core(core: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM", "taskset", "-c", core])
        .arg(program)
        .stdin(Stdio::null());
    command
}

/// A server that was started. Dropping it ends it, and waits until it has.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server whose output goes to a file of its name in `run`, and waits until it takes connections on every
    /// port.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        run: &Path,
        ports: &[u16],
    ) -> Result<Self, BenchError> {
        let path = run.join(format!("{name}.log"));
        let log = fs::File::create(&path).tried(|| format!("write {}", path.display()))?;
        let second = log.try_clone().tried(|| "share a file".to_owned())?;
        let child = command
            .stdout(log)
            .stderr(second)
            .spawn()
            .tried(|| format!("start {name}"))?;
        let mut server = Self {
            name,
            child,
            log: path,
        };
        for port in ports {
            server.wait_for(*port)?;
        }
        Ok(server)
    }

    /// Nothing tells when a server of somebody else's listens, so it is asked until it does or has ended.
    fn wait_for(&mut self, port: u16) -> Result<(), BenchError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..400 {
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            pause(Duration::from_millis(25));
        }
        Err(BenchError::Down {
            name: self.name,
            said: self.said(),
        })
    }

    /// The last lines that it said.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(10)..);
        tail.unwrap_or_default().join("\n")
    }

    /// User and system time of the process and all below it, in seconds.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let ticks = rustix::param::clock_ticks_per_second();
        let ticks = f64::from(u32::try_from(ticks).unwrap_or(100));
        let all = tree(self.child.id());
        all.iter().map(|pid| ticks_of(*pid)).sum::<f64>() / ticks
    }

    /// Memory of the process and all below it, in MiB; what several processes share is counted once.
    pub(crate) fn memory_mib(&self) -> f64 {
        let kib = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        tree(self.child.id()).iter().map(kib).sum::<f64>() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // TERM, so that a server with workers ends them too.
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_err() {
            say::talk(&format!("{} had ended before the bench did", self.name));
        }
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(Duration::from_millis(25));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits: between two looks at what gives no sign, and for a machine to come to rest.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no runtime whose worker this could block"
)]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// The process and all below it.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next = next.saturating_add(1);
        let children =
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    found
}

/// `utime` and `stime` of `proc_pid_stat(5)`, in clock ticks.
fn ticks_of(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks_in(&stat)
}

fn ticks_in(stat: &str) -> f64 {
    // The second field is the name in parentheses and may hold anything; the fields after it are counted from `state`.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// How many programs want to run at this moment besides ours: the first load average.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

/// The processors as `/proc/cpuinfo` names them, and how many.
pub(crate) fn processors() -> (usize, String) {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names = || {
        text.lines()
            .filter_map(|line| line.strip_prefix("model name"))
            .filter_map(|rest| rest.split_once(':'))
    };
    let name = names().next().map(|(_, name)| name.trim().to_owned());
    (names().count(), name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20";
        for name in ["nginx", "a) b (c", "14 15"] {
            let ticks = ticks_in(&format!("7 ({name}) {fields}"));
            assert!((ticks - 154.0).abs() < f64::EPSILON, "{name}: {ticks}");
        }
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        let own = std::process::id();
        assert_eq!(tree(own).first(), Some(&own));
    }
}
