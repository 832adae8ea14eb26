//! `cargo xtask agentdojo`: the traces of the benchmark `AgentDojo` through a running Writ. The harness is `shared/agentdojo`, the adapter
//! `bench/agentdojo`; this brings both together with the built binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::error::{Tried, XtaskError};
use crate::{root, say, target, testing};

/// What the adapter needs beside the harness's own lock.
const ADAPTER: &str = include_str!("../../bench/agentdojo/requirements.txt");

/// The suites that the harness has, each with an overlay in `bench/agentdojo/overlays`.
const SUITES: [&str; 2] = ["banking", "slack"];

/// Name, what the harness's replayer says to an approval, what the person at Writ's own approvals does.
const MODES: [(&str, &str, &str); 4] = [
    ("careful", "oracle", ""),
    ("careful-remembers", "oracle", r#","remember":true"#),
    ("clicks", "all", r#","person":"clicks""#),
    ("enters-anything", "all", ""),
];

/// Makes a Python with the harness and plays its export, once.
const INSTALL: &str = r#"
set -eu
python3 -m venv --clear "$1/python"
"$1/python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" -r "$3"
"#;

/// Plays every suite in every mode, or those that are named; the tables are on standard output.
///
/// # Errors
///
/// The harness is missing or cannot be installed; Writ does not build.
pub(crate) fn run(arguments: &[&str]) -> Result<ExitCode, XtaskError> {
    let chosen = Chosen::read(arguments)?;
    let harness = harness()?;
    let folder = target().join("agentdojo");
    let python = match std::env::var_os("WRIT_AGENTDOJO_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => installed(&folder, &harness)?,
    };
    say::talk("building Writ");
    let built = testing::cargo()
        .args(["build", "--locked", "-p", "writ", "--bin", "writ"])
        .current_dir(root())
        .status()
        .tried(|| "run cargo".to_owned())?;
    if !built.success() {
        return Ok(testing::code(built));
    }
    let stage = Stage {
        python,
        harness,
        folder,
    };
    if !stage.data().join("validation.json").is_file() {
        say::talk("exporting the suites and their traces, once: this takes some minutes");
        let data = stage.data();
        stage.python("dojo_harness.export", &["--out".as_ref(), data.as_os_str()])?;
    }
    for suite in SUITES.iter().filter(|suite| chosen.has(suite)) {
        for mode in MODES.iter().filter(|(mode, ..)| chosen.has(mode)) {
            stage.play(suite, *mode)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The suites and modes that were named; none means all.
struct Chosen<'a> {
    suites: Vec<&'a str>,
    modes: Vec<&'a str>,
}

impl<'a> Chosen<'a> {
    fn read(arguments: &[&'a str]) -> Result<Self, XtaskError> {
        let mut chosen = Self {
            suites: Vec::new(),
            modes: Vec::new(),
        };
        for argument in arguments {
            if SUITES.contains(argument) {
                chosen.suites.push(argument);
            } else if MODES.iter().any(|(mode, ..)| mode == argument) {
                chosen.modes.push(argument);
            } else {
                let modes: Vec<&str> = MODES.iter().map(|(mode, ..)| *mode).collect();
                return Err(XtaskError::Usage(format!(
                    "`agentdojo` knows no `{argument}`: suites are {}, modes {}",
                    SUITES.join(", "),
                    modes.join(", ")
                )));
            }
        }
        Ok(chosen)
    }

    fn has(&self, word: &str) -> bool {
        let list = if SUITES.contains(&word) {
            &self.suites
        } else {
            &self.modes
        };
        list.is_empty() || list.contains(&word)
    }
}

/// The harness: `agentdojo` in `WRIT_SHARED`, or in a folder `shared` beside the repository.
fn harness() -> Result<PathBuf, XtaskError> {
    let shared = std::env::var_os("WRIT_SHARED").map(PathBuf::from);
    let shared = shared.or_else(|| root().parent().map(|beside| beside.join("shared")));
    let harness = shared.map(|shared| shared.join("agentdojo"));
    harness
        .filter(|harness| harness.join("dojo_harness/replay.py").is_file())
        .ok_or(XtaskError::AgentDojo(
            "its harness is not there: name the folder that holds `agentdojo` in WRIT_SHARED, or put it as `shared` beside the repository",
        ))
}

/// A Python with what the harness and the adapter pin, made once below `target`.
fn installed(folder: &Path, harness: &Path) -> Result<PathBuf, XtaskError> {
    let python = folder.join("python/bin/python");
    let lock = harness.join("requirements.lock.txt");
    let pinned = fs::read_to_string(&lock).tried(|| format!("read {}", lock.display()))? + ADAPTER;
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == pinned) && python.is_file() {
        return Ok(python);
    }
    fs::create_dir_all(folder).tried(|| format!("write {}", folder.display()))?;
    say::talk("installing AgentDojo and what its harness pins, once: some 300 MB");
    let status = Command::new("sh")
        .args(["-c", INSTALL, "install"])
        .args([folder, lock.as_path()])
        .arg(root().join("bench/agentdojo/requirements.txt"))
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .tried(|| "run sh".to_owned())?;
    if !status.success() {
        return Err(XtaskError::AgentDojo(
            "it takes python3 (3.11) with venv, and PyPI; WRIT_AGENTDOJO_PYTHON names a Python that has what is pinned",
        ));
    }
    fs::write(&stamp, pinned).tried(|| format!("write {}", stamp.display()))?;
    Ok(python)
}

/// What a run needs.
struct Stage {
    python: PathBuf,
    harness: PathBuf,
    folder: PathBuf,
}

impl Stage {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One suite in one mode.
    fn play(
        &self,
        suite: &str,
        (mode, approve, person): (&str, &str, &str),
    ) -> Result<(), XtaskError> {
        say::talk(&format!("{suite}, {mode}"));
        let writ = target().join("debug/writ");
        let options = format!("{{\"writ\":{:?}{person}}}", writ.display().to_string());
        let (data, results) = (self.data(), self.folder.join(format!("results/{mode}")));
        let adapter = ["--adapter", "writ_adapter:WritAdapter", "--suite", suite];
        let how = [
            "--upstream",
            "http",
            "--approve",
            approve,
            "--options",
            &options,
        ];
        let mut arguments: Vec<&std::ffi::OsStr> =
            adapter.iter().chain(&how).map(AsRef::as_ref).collect();
        arguments.extend(["--data".as_ref(), data.as_os_str()]);
        arguments.extend(["--out".as_ref(), results.as_os_str()]);
        self.python("dojo_harness.replay", &arguments)
    }

    fn python(&self, module: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), XtaskError> {
        let adapter = root().join("bench/agentdojo");
        let path = format!("{}:{}", self.harness.display(), adapter.display());
        let status = Command::new(&self.python)
            .args(["-m", module])
            .args(arguments)
            .current_dir(&self.folder)
            .env("PYTHONPATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DOJO_CACHE", self.folder.join("cache"))
            .stdin(Stdio::null())
            .status()
            .tried(|| format!("run {}", self.python.display()))?;
        if status.success() {
            Ok(())
        } else {
            Err(XtaskError::AgentDojo(
                "the harness failed; its own words are above",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_played_and_what_is_unknown_is_not_guessed() {
        let chosen = Chosen::read(&["slack", "clicks"]).unwrap();
        let has = |word| chosen.has(word);
        assert!(has("slack") && !has("banking") && has("clicks") && !has("careful"));
        let all = Chosen::read(&[]).unwrap();
        assert!(SUITES.iter().all(|suite| all.has(suite)));
        assert!(MODES.iter().all(|(mode, ..)| all.has(mode)));
        assert!(Chosen::read(&["travel"]).is_err());
    }

    #[test]
    fn every_suite_has_an_overlay() {
        for suite in SUITES {
            let overlay = root().join(format!("bench/agentdojo/overlays/{suite}.overlay.yaml"));
            assert!(overlay.is_file(), "{suite}");
        }
    }
}
