//! The one door for output. A reader who went away is no reason to fail.

use std::error::Error;
use std::io::{self, Write as _};

/// Data: what was asked for.
pub(crate) fn out(text: &str) {
    writeln!(io::stdout().lock(), "{}", text.trim_end()).unwrap_or_default();
}

/// Talk: what goes on meanwhile.
pub(crate) fn talk(text: &str) {
    writeln!(io::stderr().lock(), "{}", text.trim_end()).unwrap_or_default();
}

/// An error and what caused it.
pub(crate) fn error(error: &dyn Error) {
    let mut text = format!("bench: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    talk(&text);
}
