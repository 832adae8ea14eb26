//! What a compile has to say about a document, for the person who must mend it.

use std::fmt;

use writ_types::Pointer;

/// Most diagnostics kept; one more says how many were left out.
const MOST: usize = 2_000;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document, or the operation it names, is refused.
    Error,
    /// Something is read more narrowly or seen less clearly than it was written.
    Warning,
}

/// Which text a diagnostic is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiagnosticSource {
    /// The vendor's document.
    #[default]
    Document,
    /// The owner's overlay.
    Overlay,
}

/// One finding, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Which text it is about.
    pub source: DiagnosticSource,
    /// Where in it.
    pub pointer: Pointer,
    /// The line of that place, from 1, where it could be found.
    pub line: Option<u32>,
    /// The operation it is about, as the document would call it.
    pub operation: Option<String>,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    /// `line 12: /paths/~1x: message`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.pointer.as_str().is_empty() {
            write!(f, "{}: ", plain(self.pointer.as_str()))?;
        }
        if let Some(operation) = &self.operation {
            write!(f, "`{operation}`: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A text that may quote the document, safe to show in a terminal.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{FFFD}")
}

/// Collects diagnostics, with a bound.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    found: Vec<Diagnostic>,
    left_out: usize,
}

impl Sink {
    pub(crate) fn error(
        &mut self,
        pointer: &Pointer,
        operation: Option<&str>,
        message: impl AsRef<str>,
    ) {
        self.push(Severity::Error, pointer, operation, message.as_ref());
    }

    pub(crate) fn warning(
        &mut self,
        pointer: &Pointer,
        operation: Option<&str>,
        message: impl AsRef<str>,
    ) {
        self.push(Severity::Warning, pointer, operation, message.as_ref());
    }

    /// Errors are never left out: an operation that is refused is refused by name.
    fn push(
        &mut self,
        severity: Severity,
        pointer: &Pointer,
        operation: Option<&str>,
        message: &str,
    ) {
        if severity == Severity::Warning && self.found.len() >= MOST {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.found.push(Diagnostic {
            severity,
            source: DiagnosticSource::Document,
            pointer: pointer.clone(),
            line: None,
            operation: operation.map(plain),
            message: plain(message),
        });
    }

    pub(crate) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        if self.left_out > 0 {
            let message = format!("{} more warnings are not listed", self.left_out);
            self.left_out = 0;
            self.found.push(Diagnostic {
                severity: Severity::Warning,
                source: DiagnosticSource::Document,
                pointer: Pointer::root(),
                line: None,
                operation: None,
                message,
            });
        }
        self.found
    }
}
