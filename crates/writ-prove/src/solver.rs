//! cvc5: where it is, and what it is asked with.

use std::ffi::OsString;
use std::path::PathBuf;

use cedar_policy_symcc::solver::LocalSolver;
use tokio::process::Command;

/// An installed cvc5.
#[derive(Debug, Clone)]
pub struct Cvc5 {
    program: PathBuf,
    version: String,
}

/// Most milliseconds for one question.
const LONGEST_QUESTION: &str = "--tlimit-per=5000";

impl Cvc5 {
    /// Finds it: the program given, otherwise `cvc5` in `PATH`.
    ///
    /// # Errors
    ///
    /// Why there is none, with what to do.
    pub fn find(given: Option<OsString>) -> Result<Self, String> {
        let program = PathBuf::from(given.unwrap_or_else(|| "cvc5".into()));
        let asked = std::process::Command::new(&program)
            .arg("--version")
            .output();
        let missing = |why: &dyn std::fmt::Display| {
            format!(
                "there is no cvc5 ({}: {why}); install it, or name it in WRIT_CVC5",
                program.display()
            )
        };
        let asked = asked.map_err(|fault| missing(&fault))?;
        let text = String::from_utf8_lossy(&asked.stdout);
        let first = text.lines().next().unwrap_or_default();
        match first.find("cvc5") {
            Some(_) if asked.status.success() => Ok(Self {
                version: first.chars().take(80).collect(),
                program,
            }),
            Some(_) | None => Err(missing(&"it does not say that it is cvc5")),
        }
    }

    /// What it says of itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Starts a process that answers questions. It ends when it is dropped.
    pub(crate) fn start(&self) -> Result<LocalSolver, String> {
        let mut command = Command::new(&self.program);
        command
            .args(["--lang", "smt", LONGEST_QUESTION])
            .kill_on_drop(true);
        LocalSolver::from_command(&mut command).map_err(|fault| fault.to_string())
    }
}
