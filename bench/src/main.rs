//! Writ beside nginx and haproxy: `cargo xtask bench`.
//!
//! Every target is started once, before the same upstream. They are measured in turn, A B C, A B C, so that samples that
//! are compared lie seconds apart. The target has one core, load and upstream the other. Processor time of a call is user
//! and system time of the target's processes over the requests that the load counted.

mod error;
mod gateway;
mod load;
mod machine;
mod report;
mod say;
mod servers;
mod stats;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use error::{BenchError, Tried as _};
use gateway::{BOUND, UNBOUND};
use load::Spec;
use report::{Memory, Report, Sample};
use servers::Servers;
use wrk::Counted;

const USAGE: &str = "\
usage: cargo xtask bench [--rounds <n>] [--seconds <n>] [--only <traffic>] [--quick]

  --rounds <n>      how often every target is measured (5)
  --seconds <n>     how long each time (3)
  --only <traffic>  read, write, dpop or mtls
  --quick           two rounds of one second, to see that it works

The table goes to standard error, JSON to standard output.
";

/// Connections of the load.
const CONNECTIONS: [u32; 3] = [1, 16, 64];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    /// A plain read with an unbound token, by wrk.
    Read,
    /// A write whose record is on disk before the upstream hears of it, by wrk.
    Write,
    /// A plain read with a fresh proof of possession each time.
    Dpop,
    /// A plain read over TLS with a client certificate that the token is bound to.
    Mtls,
}

impl Traffic {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Dpop, Self::Mtls];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
        }
    }

    /// Who takes part. haproxy is a second yardstick where wrk drives.
    const fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Read | Self::Write => &["nginx", "haproxy", "Writ"],
            Self::Dpop | Self::Mtls => &["nginx", "Writ"],
        }
    }
}

#[derive(Debug)]
struct Plan {
    rounds: u32,
    seconds: u32,
    traffic: Vec<Traffic>,
}

impl Plan {
    fn read(words: &[&str]) -> Result<Self, BenchError> {
        let mut plan = Self {
            rounds: 5,
            seconds: 3,
            traffic: Traffic::ALL.to_vec(),
        };
        let count = |text: &str| {
            let number = text.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| BenchError::Usage(format!("`{text}` is no number above zero")))
        };
        let mut rest = words;
        loop {
            rest = match rest {
                [] => return Ok(plan),
                ["--quick", rest @ ..] => {
                    (plan.rounds, plan.seconds) = (2, 1);
                    rest
                }
                ["--rounds", number, rest @ ..] => {
                    plan.rounds = count(number)?;
                    rest
                }
                ["--seconds", number, rest @ ..] => {
                    plan.seconds = count(number)?;
                    rest
                }
                ["--only", name, rest @ ..] => {
                    plan.traffic.retain(|traffic| traffic.name() == *name);
                    rest
                }
                [other, ..] => return Err(BenchError::Usage(format!("there is no `{other}`"))),
            };
            if plan.traffic.is_empty() {
                return Err(BenchError::Usage(
                    "`--only` takes read, write, dpop or mtls".to_owned(),
                ));
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["load"] => load::serve().map(|line| say::out(&line)),
        ["help" | "--help" | "-h", ..] => {
            say::out(USAGE);
            Ok(())
        }
        words => Plan::read(words).and_then(|plan| run(&plan)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            if matches!(error, BenchError::Usage(_)) {
                say::talk(USAGE);
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> Result<(), BenchError> {
    let folder = tempfile::tempdir().tried(|| "make a folder".to_owned())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .tried(|| "start a runtime".to_owned())?;
    let load_before = machine::load_average();
    if load_before > 0.5 {
        say::talk(&format!(
            "NOTE: the machine is busy (load average {load_before}); ratios of one round still compare, times do not"
        ));
    }
    let servers = runtime.block_on(Servers::start(folder.path(), &binary()?))?;
    let idle = servers.memory();
    let mut samples = Vec::new();
    for round in 1..=plan.rounds {
        for traffic in &plan.traffic {
            for connections in CONNECTIONS {
                let turn = Turn {
                    servers: &servers,
                    traffic: *traffic,
                    connections,
                    seconds: plan.seconds,
                };
                for target in traffic.targets() {
                    let sample = runtime.block_on(turn.measure(target, round))?;
                    say::talk(&format!(
                        "round {round} {} {connections} {target}: {:.1} µs, {:.0}/s, p50 {:.0} µs, p99 {:.0} µs",
                        traffic.name(),
                        sample.cpu,
                        sample.rate,
                        sample.p50,
                        sample.p99
                    ));
                    samples.push(sample);
                }
            }
        }
    }
    let memory = idle.into_iter().zip(servers.memory());
    let memory = memory.map(|((target, idle), (_, after))| Memory {
        target,
        idle,
        after,
    });
    let report = Report {
        rounds: plan.rounds,
        seconds: plan.seconds,
        load_before,
        samples,
        memory: memory.collect(),
    };
    say::talk(&format!("\n{}", report.table()));
    say::out(&report.json().to_string());
    Ok(())
}

/// The `writ` that was built beside this program.
fn binary() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().tried(|| "find this program".to_owned())?;
    let binary = own.with_file_name("writ");
    if binary.is_file() {
        return Ok(binary);
    }
    Err(BenchError::Usage(
        "there is no `writ` beside this program: run `cargo xtask bench`, which builds both"
            .to_owned(),
    ))
}

/// One measurement of each target with the same load.
struct Turn<'a> {
    servers: &'a Servers,
    traffic: Traffic,
    connections: u32,
    seconds: u32,
}

impl Turn<'_> {
    async fn measure(&self, target: &'static str, round: u32) -> Result<Sample, BenchError> {
        let server = self.servers.server(target, self.traffic);
        // A token lives for five minutes, so each measurement has its own; connections and caches are warm after the first.
        let load = self.load(target).await?;
        load(1)?;
        let before = server.processor_seconds();
        let counted = load(self.seconds)?;
        let spent = server.processor_seconds() - before;
        if counted.errors > 0.0 || counted.requests < 1.0 {
            return Err(BenchError::Errors {
                target,
                errors: counted.errors,
                requests: counted.requests,
                said: server.said(),
            });
        }
        Ok(Sample {
            traffic: self.traffic.name(),
            target,
            connections: self.connections,
            round,
            cpu: spent * 1e6 / counted.requests,
            rate: counted.requests / counted.seconds,
            p50: counted.p50,
            p99: counted.p99,
        })
    }

    /// The load for one target: the same requests, whoever answers them.
    async fn load(
        &self,
        target: &str,
    ) -> Result<Box<dyn Fn(u32) -> Result<Counted, BenchError> + '_>, BenchError> {
        let servers = self.servers;
        let (port, connections) = (servers.port(target, self.traffic), self.connections);
        match self.traffic {
            Traffic::Read | Traffic::Write => {
                let authorization = format!("Bearer {}", servers.writ.bearer(UNBOUND).await?);
                let path = match self.traffic {
                    Traffic::Write => "things",
                    Traffic::Read | Traffic::Dpop | Traffic::Mtls => "things/42",
                };
                let what = self.traffic.name();
                let url = format!("http://127.0.0.1:{port}/{UNBOUND}/v1/{path}");
                Ok(Box::new(move |seconds| {
                    wrk::drive(
                        &servers.script,
                        &url,
                        &authorization,
                        what,
                        (connections, seconds),
                    )
                }))
            }
            Traffic::Dpop => {
                let bound = servers.writ.bound().await?;
                let path = format!("/{BOUND}/v1/things/42");
                let url = servers.writ.call_url(&path);
                Ok(Box::new(move |seconds| {
                    Spec {
                        port,
                        connections,
                        seconds,
                        path: &path,
                        token: &bound.token,
                        proof: Some((&url, &bound.key)),
                        tls: None,
                    }
                    .drive()
                }))
            }
            Traffic::Mtls => {
                let token = servers.writ_tls.bearer(BOUND).await?;
                let path = format!("/{BOUND}/v1/things/42");
                Ok(Box::new(move |seconds| {
                    Spec {
                        port,
                        connections,
                        seconds,
                        path: &path,
                        token: &token,
                        proof: None,
                        tls: Some(servers.writ_tls.folder()),
                    }
                    .drive()
                }))
            }
        }
    }
}

fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn base64_decode(text: &str) -> Result<Vec<u8>, BenchError> {
    STANDARD
        .decode(text)
        .map_err(|fault| BenchError::Keys(fault.to_string()))
}

/// Writes one file of the run's folder.
fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, BenchError> {
    let path = folder.join(name);
    std::fs::write(&path, text).tried(|| format!("write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_is_wrong() {
        let plan = Plan::read(&["--rounds", "7", "--only", "dpop"]).unwrap();
        assert_eq!((plan.rounds, plan.seconds), (7, 3));
        assert_eq!(plan.traffic, [Traffic::Dpop]);
        for (words, wanted) in [
            (&["--rounds", "0"][..], "`0` is no number above zero"),
            (
                &["--only", "tea"],
                "`--only` takes read, write, dpop or mtls",
            ),
            (&["--fast"], "there is no `--fast`"),
            (&["--rounds"], "there is no `--rounds`"),
        ] {
            let said = Plan::read(words).unwrap_err().to_string();
            assert_eq!(said, wanted, "{words:?}");
        }
    }
}
