//! How a command fails: what was wrong, where, and what to do.

use std::error::Error;
use std::fmt;

/// A failed command. Exit code 1, or 2 where the command line was wrong or what was compared differs.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    usage: bool,
}

impl Failure {
    /// What was wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            usage: false,
        }
    }

    /// What was wrong and why, down to the first cause.
    pub fn caused(message: impl Into<String>, cause: &dyn Error) -> Self {
        let mut failure = Self::new(message);
        let mut next = Some(cause);
        while let Some(cause) = next {
            failure.causes.push(cause.to_string());
            next = cause.source();
        }
        failure
    }

    /// The command line itself was wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            usage: true,
            ..Self::new(message)
        }
    }

    /// The command did what it should, and the answer is that something differs, as `plan` says it.
    pub fn changes(message: impl Into<String>) -> Self {
        Self::usage(message)
    }

    /// What to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// One more line of detail.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.causes.push(line.into());
        self
    }

    /// 1 refused or failed, 2 usage or changes.
    pub const fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, "\n  {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nTry: {hint}")?;
        }
        Ok(())
    }
}

impl<E: Error> From<E> for Failure {
    fn from(fault: E) -> Self {
        let message = fault.to_string();
        match fault.source() {
            Some(cause) => Self::caused(message, cause),
            None => Self::new(message),
        }
    }
}
