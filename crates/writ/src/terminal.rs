//! The one door for output: data to standard output, talk to standard error, colour only where it helps.

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use writ_types::Value;

/// How a word is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It was refused, or failed.
    Bad,
    /// It needs a look.
    Warn,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
}

/// Standard output and error of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// Whether JSON was asked for.
    pub(crate) json: bool,
    colour: bool,
    quiet: bool,
}

impl Terminal {
    /// The process's terminal. Colour is off where output is no terminal or `NO_COLOR` is set.
    pub(crate) fn new(json: bool) -> Self {
        let colour = !json && std::io::stdout().is_terminal() && crate::config::colour_wanted();
        Self {
            json,
            colour,
            quiet: false,
        }
    }

    /// A terminal that prints nothing: for commands that other commands run.
    pub(crate) const fn quiet() -> Self {
        Self {
            json: false,
            colour: false,
            quiet: true,
        }
    }

    /// A word in its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
            Tone::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())),
            Tone::Warn => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }

    /// One line of data.
    pub(crate) fn line(self, text: &str) {
        if !self.quiet {
            // Output that nobody reads (a closed pipe) is no reason to fail.
            drop(writeln!(std::io::stdout().lock(), "{text}"));
        }
    }

    /// One line of talk.
    pub(crate) fn talk(self, text: &str) {
        if !self.quiet {
            drop(writeln!(std::io::stderr().lock(), "{text}"));
        }
    }

    /// One JSON object on one line.
    pub(crate) fn object(self, value: &Value) {
        self.line(&value.to_string());
    }

    /// Rows under headings, aligned.
    pub(crate) fn table<const N: usize>(self, headings: [&str; N], rows: &[[String; N]]) {
        let mut widths = headings.map(|heading| heading.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let render = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<String> = cells
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        self.line(&self.paint(Tone::Faint, &render(&mut headings.into_iter())));
        for row in rows {
            self.line(&render(&mut row.iter().map(String::as_str)));
        }
    }
}
