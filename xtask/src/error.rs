//! Why a command could not do its work.

use std::io;

/// Why a command could not do its work. What the tests themselves say is not one of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XtaskError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// A file, a socket or a program.
    #[error("cannot {what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    /// Packages are missing and may not be installed from here.
    #[error(
        "these Debian packages are needed and not installed: {}\ninstall them with\n  sudo apt-get install --no-install-recommends {}\nor let this command do it: run it as root, or set WRIT_MAY_INSTALL=1",
        .missing.join(", "),
        .missing.join(" ")
    )]
    PackagesMissing { missing: Vec<String> },
    /// `apt-get` did not bring them.
    #[error("apt-get did not install {}; its own words are above", .missing.join(", "))]
    InstallFailed { missing: Vec<String> },
    /// The clients of `xtask/clients` are required and could not be installed.
    #[error(
        "the clients of xtask/clients could not be installed: it takes node, npm, python3 with venv, and their registries"
    )]
    ClientsMissing,
    /// `AgentDojo` could not be played.
    #[error("AgentDojo cannot be played: {0}")]
    AgentDojo(&'static str),
    /// The upstream for the tests did not come up.
    #[error("PowerDNS did not come up: {0}")]
    PowerDns(String),
}

/// Names what was tried when it fails.
pub(crate) trait Tried<T> {
    /// The result, with `what` in its error, after the word "cannot".
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, XtaskError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, XtaskError> {
        self.map_err(|source| XtaskError::Io {
            what: what(),
            source,
        })
    }
}
