//! Upstreams that are programs: what an API names, and what the settings of this process let be started.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{ProgramName, UpstreamUrl};

/// What the text of an upstream that is a program begins with.
const STDIO: &str = "stdio:";
/// Most words of a command.
const MOST_WORDS: usize = 64;

/// Where an API is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upstream {
    /// Over HTTP.
    Http(UpstreamUrl),
    /// A program of this machine that speaks MCP over its standard input and output, by the name that the settings give it. What is started,
    /// no project says.
    Program(ProgramName),
}

impl Upstream {
    /// The URL; none of a program.
    #[must_use]
    pub const fn url(&self) -> Option<&UpstreamUrl> {
        match self {
            Self::Http(url) => Some(url),
            Self::Program(_) => None,
        }
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(STDIO) {
            Some(name) => {
                let name: Result<ProgramName, _> = name.parse();
                name.map(Self::Program).map_err(|fault| fault.to_string())
            }
            None => {
                let url: Result<UpstreamUrl, _> = text.parse();
                url.map(Self::Http).map_err(|fault| fault.to_string())
            }
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => write!(f, "{url}"),
            Self::Program(name) => write!(f, "{STDIO}{name}"),
        }
    }
}

/// A program that may be started: all of it, so that nothing is left for anybody else to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    command: Vec<String>,
    directory: String,
    environment: BTreeMap<String, String>,
    credential: Option<String>,
}

/// Why something is no program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There is no command, or it is too long.
    #[error("a command is one to 64 words, the first an absolute path without `..`")]
    Command,
    /// The working directory is none.
    #[error("a working directory is an absolute path without `..`")]
    Directory,
    /// A variable of the environment is none.
    #[error(
        "a variable's name is `[A-Za-z_][A-Za-z0-9_]*`, its value has no NUL, and the credential's own is not among them"
    )]
    Variable,
}

impl Program {
    /// A command, the directory it runs in, its whole environment, and the variable of it that holds the API's credential.
    ///
    /// # Errors
    ///
    /// [`ProgramError`].
    pub fn new(
        command: Vec<String>,
        directory: Option<String>,
        environment: BTreeMap<String, String>,
        credential: Option<String>,
    ) -> Result<Self, ProgramError> {
        let whole = (1..=MOST_WORDS).contains(&command.len());
        let plain = command.iter().all(|word| !word.contains('\0'));
        if !whole || !plain || !command.first().is_some_and(|path| is_absolute(path)) {
            return Err(ProgramError::Command);
        }
        let directory = directory.unwrap_or_else(|| "/".to_owned());
        if !is_absolute(&directory) {
            return Err(ProgramError::Directory);
        }
        let named = environment
            .iter()
            .all(|(name, value)| is_variable(name) && !value.contains('\0'));
        let own = credential
            .as_ref()
            .is_none_or(|name| is_variable(name) && !environment.contains_key(name));
        if !named || !own {
            return Err(ProgramError::Variable);
        }
        Ok(Self {
            command,
            directory,
            environment,
            credential,
        })
    }

    /// The absolute path and its arguments.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// Where it runs.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// All variables of its environment but the credential's.
    #[must_use]
    pub const fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The variable that holds the API's credential.
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }
}

fn is_absolute(path: &str) -> bool {
    let dots = path.split('/').any(|part| part == "..");
    path.starts_with('/') && !dots && !path.contains('\0')
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_read_and_print() {
        for text in [
            "stdio:mail",
            "http://127.0.0.1:1/mcp",
            "https://example.org",
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), text);
        }
        for bad in [
            "stdio:",
            "stdio:/bin/sh",
            "stdio:a b",
            "stdio:Mail",
            "exec:mail",
            "mail",
        ] {
            assert!(bad.parse::<Upstream>().is_err(), "{bad}");
        }
    }

    /// What is wrong with a command, a directory, one variable of the environment, and the credential's.
    fn fault(
        command: &str,
        directory: &str,
        variable: &str,
        credential: &str,
    ) -> Option<ProgramError> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let command = given(command).map_or_else(Vec::new, |text| {
            text.split(' ').map(str::to_owned).collect()
        });
        let variable = variable
            .split_once(':')
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = variable.into_iter().collect();
        Program::new(command, given(directory), environment, given(credential)).err()
    }

    #[test]
    #[rustfmt::skip]
    fn a_program_is_said_whole() {
        assert_eq!(fault("/usr/bin/mail -v", "/var/mail", "LANG:C", "KEY"), None);
        for (command, directory, variable, credential, wanted) in [
            ("", "", "", "", ProgramError::Command),
            ("mail", "", "", "", ProgramError::Command),
            ("/usr/../bin/mail", "", "", "", ProgramError::Command),
            ("/bin/mail a\0b", "", "", "", ProgramError::Command),
            ("/bin/mail", "var", "", "", ProgramError::Directory),
            ("/bin/mail", "", "A=B:1", "", ProgramError::Variable),
            ("/bin/mail", "", "A:1\0", "", ProgramError::Variable),
            ("/bin/mail", "", "A:1", "A", ProgramError::Variable),
            ("/bin/mail", "", "", "1A", ProgramError::Variable),
        ] {
            assert_eq!(fault(command, directory, variable, credential), Some(wanted), "{command}");
        }
    }
}
