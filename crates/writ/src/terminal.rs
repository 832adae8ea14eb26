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

/// How a process talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// To a person, in plain text.
    Plain,
    /// To a person, in colour.
    Colour,
    /// To a program, in JSON.
    Json,
    /// Not at all.
    Quiet,
}

/// Standard output and error of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal(Manner);

impl Terminal {
    /// For a person. Colour is off where output is no terminal or `NO_COLOR` is set.
    pub(crate) fn for_person() -> Self {
        let colour = std::io::stdout().is_terminal() && crate::config::colour_wanted();
        Self(if colour {
            Manner::Colour
        } else {
            Manner::Plain
        })
    }

    /// For a program.
    pub(crate) const fn for_program() -> Self {
        Self(Manner::Json)
    }

    /// For commands that other commands run.
    pub(crate) const fn quiet() -> Self {
        Self(Manner::Quiet)
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(self) -> bool {
        self.0 == Manner::Json
    }

    /// A word in its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self.0 != Manner::Colour {
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
        if self.0 != Manner::Quiet {
            // Output that nobody reads (a closed pipe) is no reason to fail.
            drop(writeln!(std::io::stdout().lock(), "{text}"));
        }
    }

    /// One line of talk.
    pub(crate) fn talk(self, text: &str) {
        if self.0 != Manner::Quiet {
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
