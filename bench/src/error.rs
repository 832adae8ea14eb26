//! Why there are no numbers.

use std::io;

use writ::failure::Failure;
use writ::http::HttpError;

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
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
    /// A server did not come up.
    #[error("{name} did not come up; it said:\n{said}")]
    Down { name: &'static str, said: String },
    /// A program ended badly.
    #[error("{name} failed; it said:\n{said}")]
    Program { name: String, said: String },
    /// Writ refused what the bench needs.
    #[error("Writ refused {what}: {answer}")]
    Refused { what: &'static str, answer: String },
    /// A server answered some requests with errors, so its numbers would mean nothing.
    #[error("{errors} of {requests} requests to {target} failed; it said:\n{said}")]
    Errors {
        target: &'static str,
        errors: f64,
        requests: f64,
        said: String,
    },
    /// Keys and certificates.
    #[error("a key or certificate could not be made: {0}")]
    Keys(String),
    /// No HTTP exchange.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An agent's failure.
    #[error("{0}")]
    Agent(Failure),
}

impl From<Failure> for BenchError {
    fn from(failure: Failure) -> Self {
        Self::Agent(failure)
    }
}

/// Names what was tried when it fails.
pub(crate) trait Tried<T> {
    /// The result, with `what` in its error, after the word "cannot".
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, BenchError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, BenchError> {
        self.map_err(|source| BenchError::Io {
            what: what(),
            source,
        })
    }
}
