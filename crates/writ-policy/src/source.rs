//! Policy files: cut into single policies, each with its place.

use crate::diagnostic::{Diagnostic, Severity};
use crate::findings::Lint;

/// The text of one policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// The file's name, for messages and for the bundle's digest.
    pub name: String,
    /// The text, in Cedar's syntax.
    pub text: String,
}

/// Largest single policy in bytes.
const LONGEST: usize = 64 * 1024;
/// Most brackets within each other: what Cedar's parser recurses through.
const MOST_NESTED: usize = 40;
/// Most `if`s. Each one within another doubles the time that validation takes: 22 take a second, 36 would take hours.
const MOST_IFS: usize = 8;
/// Most places where a chain goes on (`&&`, `||`, `.`, `[`, `+`, `-`, `*`, `!`): a chain is a tree as deep as it is long.
const MOST_JOINTS: usize = 500;

/// One policy of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) source: &'a PolicySource,
    pub(crate) text: &'a str,
    /// The line it begins at, from 1.
    pub(crate) line: u32,
    /// Where `text` begins in the file, in bytes.
    offset: usize,
}

impl PolicySource {
    /// The policies of the file in order.
    ///
    /// A policy ends at a `;` outside strings and comments. What is left after the last one is a chunk too if it holds
    /// anything but space and comments, so that nothing is passed over in silence.
    pub(crate) fn chunks(&self) -> Vec<Chunk<'_>> {
        let mut chunks = Vec::new();
        let mut scanner = Scanner::default();
        let (mut start, mut line) = (None, 1u32);
        for (place, char) in self.text.char_indices() {
            let rest = self.text.get(place..).unwrap_or("");
            let kind = scanner.step(char, rest);
            line = line.saturating_add(u32::from(char == '\n'));
            if start.is_none() && kind == Kind::Code && !char.is_whitespace() {
                start = Some((place, line));
            }
            if kind == Kind::Code && char == ';' {
                chunks.extend(self.chunk(start.take(), place.saturating_add(1)));
            }
        }
        chunks.extend(self.chunk(start, self.text.len()));
        chunks
    }

    fn chunk(&self, start: Option<(usize, u32)>, end: usize) -> Option<Chunk<'_>> {
        let (offset, line) = start?;
        let text = self.text.get(offset..end)?;
        Some(Chunk {
            source: self,
            text,
            line,
            offset,
        })
    }

    /// The first character that changes how text is shown without being seen (Trojan Source, CVE-2021-42574), comments
    /// included: a reviewer must read what the engine reads.
    pub(crate) fn hidden_character(&self) -> Option<Diagnostic> {
        let hides = |char: char| matches!(char, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}');
        let (place, char) = self.text.char_indices().find(|(_, char)| hides(*char))?;
        let message = format!(
            "the text holds U+{:04X}, which changes the order in which text is shown",
            u32::from(char)
        );
        let help =
            Some("remove it; in a string, compare with the visible characters only".to_owned());
        Some(self.at(Lint::HiddenCharacter, place, None, message, help))
    }

    /// An error at byte `place` of the file.
    pub(crate) fn at(
        &self,
        lint: Lint,
        place: usize,
        policy: Option<&str>,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let before = self.text.get(..place).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let last = before.rsplit('\n').next().unwrap_or("");
        let column = last.chars().count().saturating_add(1);
        Diagnostic {
            severity: Severity::Error,
            lint,
            file: self.name.clone(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            policy: policy.map(str::to_owned),
            message,
            help,
        }
    }
}

impl Chunk<'_> {
    /// Why Cedar must not see this text: its parser recurses without a bound of its own, and the end of the stack is the
    /// end of the process.
    pub(crate) fn beyond_measure(&self) -> Option<Diagnostic> {
        let Measure {
            nested,
            ifs,
            joints,
        } = self.measure();
        let message = if self.text.len() > LONGEST {
            format!("a policy has at most {LONGEST} bytes")
        } else if nested > MOST_NESTED {
            format!("brackets are nested {nested} deep; at most {MOST_NESTED} are taken")
        } else if ifs > MOST_IFS {
            format!("the policy has {ifs} `if`s; at most {MOST_IFS} are taken")
        } else if joints > MOST_JOINTS {
            format!(
                "the policy has {joints} operators and accesses; at most {MOST_JOINTS} are taken"
            )
        } else {
            return None;
        };
        let help = "compare with a set (`[…].contains(…)`), or make several rules of it".to_owned();
        Some(self.at(Lint::TooLarge, 0, None, message, Some(help)))
    }

    fn measure(&self) -> Measure {
        let mut scanner = Scanner::default();
        let mut measure = Measure::default();
        let (mut open, mut before) = (0usize, ' ');
        let count =
            |counter: &mut usize, seen: bool| *counter = counter.saturating_add(usize::from(seen));
        for (place, char) in self.text.char_indices() {
            let rest = self.text.get(place..).unwrap_or("");
            if scanner.step(char, rest) == Kind::Code {
                match char {
                    '(' | '[' | '{' => open = open.saturating_add(1),
                    ')' | ']' | '}' => open = open.saturating_sub(1),
                    _ => {}
                }
                measure.nested = measure.nested.max(open);
                count(
                    &mut measure.ifs,
                    !is_word(before) && starts_with_word(rest, "if"),
                );
                let sign = matches!(char, '.' | '[' | '+' | '-' | '*' | '!');
                let joint = sign || rest.starts_with("&&") || rest.starts_with("||");
                count(&mut measure.joints, joint);
            }
            before = char;
        }
        measure
    }

    /// An error at byte `place` of this policy.
    pub(crate) fn at(
        &self,
        lint: Lint,
        place: usize,
        policy: Option<&str>,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let place = self.offset.saturating_add(place);
        self.source.at(lint, place, policy, message, help)
    }

    /// Where `word` first stands in the policy as a whole word outside comments; its beginning if nowhere.
    pub(crate) fn place_of(&self, word: &str) -> usize {
        let mut scanner = Scanner::default();
        let mut before = ' ';
        for (place, char) in self.text.char_indices() {
            let rest = self.text.get(place..).unwrap_or("");
            let kind = scanner.step(char, rest);
            if kind != Kind::Comment && !is_word(before) && starts_with_word(rest, word) {
                return place;
            }
            before = char;
        }
        0
    }
}

/// How much there is of what recurses.
#[derive(Debug, Default)]
struct Measure {
    nested: usize,
    ifs: usize,
    joints: usize,
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|after| !after.chars().next().is_some_and(is_word))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Code,
    Text,
    Comment,
}

/// Cedar's lexical structure, as far as it says where a policy ends: strings with `\` escapes, comments from `//` to
/// the end of the line.
#[derive(Debug, Default)]
struct Scanner {
    state: Kind,
    escaped: bool,
}

impl Scanner {
    /// What `char` is, which stands at the beginning of `rest`.
    fn step(&mut self, char: char, rest: &str) -> Kind {
        match self.state {
            Kind::Code => {
                if char == '"' {
                    self.state = Kind::Text;
                    return Kind::Code;
                }
                if rest.starts_with("//") {
                    self.state = Kind::Comment;
                    return Kind::Comment;
                }
                Kind::Code
            }
            Kind::Text => {
                let was_escaped = std::mem::take(&mut self.escaped);
                match char {
                    '\\' if !was_escaped => self.escaped = true,
                    '"' if !was_escaped => self.state = Kind::Code,
                    _ => {}
                }
                Kind::Text
            }
            Kind::Comment => {
                if matches!(char, '\n' | '\r') {
                    self.state = Kind::Code;
                    return Kind::Code;
                }
                Kind::Comment
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> PolicySource {
        PolicySource {
            name: "a.cedar".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_policy_ends_at_its_semicolon_and_nothing_is_passed_over() {
        let texts = |text: &str| {
            let source = source(text);
            source
                .chunks()
                .iter()
                .map(|chunk| chunk.text.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts("// a; b\n permit(x);\n\nforbid(y) when { \"a;\\\";\" }; // end"),
            ["permit(x);", "forbid(y) when { \"a;\\\";\" };"]
        );
        assert_eq!(
            texts("permit(x)"),
            ["permit(x)"],
            "an unfinished policy is a chunk"
        );
        assert_eq!(texts("// only words\n"), Vec::<String>::new());
        assert_eq!(texts("// a\rpermit(x);"), ["permit(x);"]);
    }

    #[test]
    fn places_are_lines_and_columns_in_characters() {
        let source = source("permit(a);\n  // é bdoy\n  forbid(\u{e9}, bdoyx, bdoy);");
        let chunks = source.chunks();
        let found = chunks[1].at(
            Lint::Syntax,
            chunks[1].place_of("bdoy"),
            None,
            String::new(),
            None,
        );
        assert_eq!((found.line, found.column), (3, 20));
    }
}
