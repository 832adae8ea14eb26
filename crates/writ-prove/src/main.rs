//! The `writ-prove` program: `writ-prove [--seconds N] FILE` reads cases, one JSON object a line, and prints verdicts.
//!
//! Exit codes: 0 every case has a verdict, 1 it could not run, 2 usage.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use writ_prove::{Cvc5, run};

const USAGE: &str = "usage: writ-prove [--seconds N] FILE
       writ-prove --solver

FILE holds one case a line, as `writ plan` writes them; `-` is standard input. --solver says which cvc5 would be asked.
cvc5 is the program named by WRIT_CVC5, otherwise `cvc5` in PATH.";

/// Cedar's compiler recurses through conditions.
const STACK: usize = 64 * 1024 * 1024;

fn main() -> ExitCode {
    let worker = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(|| Asked::read(std::env::args_os().skip(1)).map(answer));
    let (code, text) = match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(done))) => done,
        Ok(Ok(Err(usage))) => (2, Err(usage)),
        Ok(Err(_panic)) => (1, Err("the prover failed".to_owned())),
        Err(fault) => (1, Err(fault.to_string())),
    };
    let written = match text {
        Ok(text) => std::io::stdout().lock().write_all(text.as_bytes()),
        Err(text) => writeln!(std::io::stderr().lock(), "writ-prove: {text}"),
    };
    ExitCode::from(if written.is_ok() { code } else { 1 })
}

/// What was asked on the command line.
enum Asked {
    Solver,
    Prove { file: PathBuf, seconds: u64 },
}

impl Asked {
    fn read(mut words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let usage = || USAGE.to_owned();
        let (mut file, mut seconds) = (None, 30);
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--solver") => return Ok(Self::Solver),
                Some("--seconds") => {
                    let number = words.next().and_then(|word| word.to_str()?.parse().ok());
                    seconds = number
                        .filter(|number| (1..=3600).contains(number))
                        .ok_or_else(usage)?;
                }
                Some(other) if other.starts_with('-') && other != "-" => return Err(usage()),
                Some(_) | None if file.is_none() => file = Some(PathBuf::from(word)),
                Some(_) | None => return Err(usage()),
            }
        }
        Ok(Self::Prove {
            file: file.ok_or_else(usage)?,
            seconds,
        })
    }
}

type Answer = (u8, Result<String, String>);

fn answer(asked: Asked) -> Answer {
    let failed = |why: String| (1, Err(why));
    let cvc5 = match Cvc5::find(std::env::var_os("WRIT_CVC5")) {
        Ok(cvc5) => cvc5,
        Err(why) => return failed(why),
    };
    let Asked::Prove { file, seconds } = asked else {
        return (0, Ok(format!("{}\n", cvc5.version())));
    };
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin().lock())
    } else {
        std::fs::read_to_string(&file)
    };
    let text = match text {
        Ok(text) => text,
        Err(fault) => return failed(format!("cannot read {}: {fault}", file.display())),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(fault) => return failed(fault.to_string()),
    };
    match runtime.block_on(run(&cvc5, &text, Duration::from_secs(seconds))) {
        Ok(outcomes) => {
            let lines = outcomes
                .iter()
                .map(|outcome| format!("{}\n", outcome.to_json()));
            (0, Ok(lines.collect()))
        }
        Err(why) => failed(why),
    }
}
