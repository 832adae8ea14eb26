//! Policy tests: cases that people write (`policies/tests/*.toml`), asked of the rules that would be in force.
//!
//! A case says who asks for what, with which arguments and facts, and what must come of it. It takes the road of a call:
//! the agent, its purpose, the budget, the contract's reading of the arguments, the bounds, and then the policies. What a
//! gateway finds out while a task runs (labels, where values come from, what was spent) is what the case says it is; without
//! a word of it the task is fresh, and every value is vouched for.

mod ask;
mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use writ_policy::{Explanation, RuleOutcome, Step};
use writ_types::{ActionName, ReasonCode, Timestamp, Value, Verdict};

use crate::plan::{Side, matrix};
use crate::project::{ProjectFault, line_of};
use raw::{RawAsk, RawCase, RawExpect, RawExpected, RawFile};

/// The folder of a project's cases.
pub const FOLDER: &str = "policies/tests/";

/// The table of who can do what that is kept beside the cases.
pub const MATRIX: &str = "policies/tests/matrix.txt";

/// What keeps a project from coming into force: cases that do not read, cannot be asked, or come out otherwise than they say,
/// and a table of who can do what that is another. `tests` are the files of [`FOLDER`].
#[must_use]
pub fn failures(
    tests: &BTreeMap<String, Vec<u8>>,
    side: &Side,
    now: Timestamp,
) -> Vec<ProjectFault> {
    let cases = match read(tests) {
        Ok(cases) => cases,
        Err(faults) => return faults,
    };
    let mut failed = Vec::new();
    for case in cases {
        let mut fault = |message: String| {
            let message = format!("the case `{}` fails: {message}", case.name);
            failed.push(ProjectFault::of_file(&case.file, Some(case.line), message));
        };
        match case.try_on(side, now) {
            Err(message) => fault(message),
            Ok(tried) if tried.passed() => {}
            Ok(tried) => {
                let differences = tried.differences.iter().map(ToString::to_string);
                fault(differences.collect::<Vec<_>>().join("; "));
            }
        }
    }
    if let Some(kept) = tests.get(MATRIX) {
        let message = match matrix(side, now) {
            Ok(table) if rows(&table) == rows(&String::from_utf8_lossy(kept)) => None,
            Ok(_) => Some("who can do what is not as it is kept: `writ policy test` shows it, with `--accept` it is written anew".to_owned()),
            Err(message) => Some(message),
        };
        failed.extend(message.map(|message| ProjectFault::of_file(MATRIX, None, message)));
    }
    failed
}

/// The rows of a table of who can do what. Columns widen with the longest name; what counts is what they say.
#[must_use]
pub fn rows(table: &str) -> BTreeSet<String> {
    let cells = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
            .join("  ")
    };
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(cells).collect()
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Its file, relative to the project.
    pub file: String,
    /// Its line; the first is 1.
    pub line: u32,
    /// What a person calls it; one in a file.
    pub name: String,
    ask: RawAsk,
    raw: RawCase,
    action: ActionName,
    expected: Expected,
}

/// What must come of a case. What is not said is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    verdict: Verdict,
    reason: Option<ReasonCode>,
    rules: Option<BTreeSet<String>>,
    obligations: Option<BTreeSet<String>>,
    needs: Option<BTreeSet<String>>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Tried {
    /// How it was decided.
    pub explanation: Explanation,
    /// The reason as the agent would read it.
    pub reason: Option<ReasonCode>,
    /// Where that is not what must come of it; empty if it is.
    pub differences: Vec<Difference>,
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What: `decision`, `reason`, `rules`, `obligations` or `needs`.
    pub what: &'static str,
    /// What the case says.
    pub expected: String,
    /// What is.
    pub was: String,
}

/// Reads the cases of a project, in the order of files and lines.
///
/// # Errors
///
/// Every fault of every file.
pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Case>, Vec<ProjectFault>> {
    let mut cases = Vec::new();
    let mut faults = Vec::new();
    let ours = files.iter().filter_map(|(file, bytes)| {
        let name = file.strip_prefix(FOLDER)?.strip_suffix(".toml")?;
        (!name.contains('/')).then_some((file, bytes))
    });
    for (file, bytes) in ours {
        let fault = |line: Option<u32>, message: String| ProjectFault::of_file(file, line, message);
        let Ok(text) = std::str::from_utf8(bytes) else {
            faults.push(fault(None, "the file is not UTF-8 text".to_owned()));
            continue;
        };
        let raw: RawFile = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let message: Vec<&str> = error.message().lines().collect();
                faults.push(fault(line, message.join("; ")));
                continue;
            }
        };
        let mut names = BTreeSet::new();
        for case in raw.cases {
            let line = line_of(text, case.span().start);
            let case = case.into_inner();
            if !names.insert(case.name.clone()) {
                let message = format!("another case of this file is called `{}`", case.name);
                faults.push(fault(Some(line), message));
            }
            match Case::of(file, line, case, &raw.default) {
                Ok(case) => cases.push(case),
                Err(message) => faults.push(fault(Some(line), message)),
            }
        }
    }
    if faults.is_empty() {
        Ok(cases)
    } else {
        Err(faults)
    }
}

impl Case {
    fn of(file: &str, line: u32, raw: RawCase, default: &RawAsk) -> Result<Self, String> {
        let ask = raw.ask().or(default);
        let action = ask
            .action
            .as_deref()
            .ok_or("the case names no `action`, and `[default]` neither")?;
        let action = action
            .parse()
            .map_err(|error| format!("`action`: {error}"))?;
        if ask.agent.is_none() {
            return Err("the case names no `agent`, and `[default]` neither".to_owned());
        }
        if ask.purpose.is_none() {
            return Err("the case names no `purpose`, and `[default]` neither".to_owned());
        }
        let expected = Expected::of(&raw.expect)?;
        ask::check(&raw)?;
        Ok(Self {
            file: file.to_owned(),
            line,
            name: raw.name.clone(),
            ask,
            raw,
            action,
            expected,
        })
    }

    /// Asks the case of a project's rules.
    ///
    /// # Errors
    ///
    /// Why it cannot be asked: it names an agent, a purpose or an operation that there is not.
    pub fn try_on(&self, side: &Side, now: Timestamp) -> Result<Tried, String> {
        let (explanation, reason) = ask::ask(self, side, now)?;
        let differences = self.expected.differences(&explanation, reason);
        Ok(Tried {
            explanation,
            reason,
            differences,
        })
    }
}

impl Tried {
    /// Whether it is as it must be.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// The rules that applied, whatever they decided.
    pub fn applied(&self) -> impl Iterator<Item = &str> {
        let steps = self.explanation.steps.iter();
        steps.filter_map(|step| match step {
            Step::Rule { id, outcome, .. } if *outcome == RuleOutcome::Applies => Some(id.as_str()),
            Step::Rule { .. } | Step::Gate { .. } | Step::Error(_) => None,
        })
    }

    /// What came of a case, as JSON.
    #[must_use]
    pub fn to_value(&self, case: &Case) -> Value {
        let difference = |difference: &Difference| {
            Value::object([
                ("what", Value::from(difference.what)),
                ("expected", Value::from(difference.expected.as_str())),
                ("was", Value::from(difference.was.as_str())),
            ])
        };
        let explanation = &self.explanation;
        let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::from).collect());
        let reason = self
            .reason
            .map_or(Value::Null, |reason| Value::from(reason.as_str()));
        let why = explanation.steps.iter().map(ToString::to_string).collect();
        Value::object([
            ("kind", Value::from("case")),
            ("file", Value::from(case.file.as_str())),
            ("line", Value::from_u64(u64::from(case.line))),
            ("name", Value::from(case.name.as_str())),
            ("passed", Value::from(self.passed())),
            ("decision", Value::from(explanation.verdict.as_str())),
            ("reason", reason),
            ("rules", texts(explanation.rules.clone())),
            (
                "obligations",
                texts(explanation.obligations.words().collect()),
            ),
            ("needs", texts(needs(explanation).into_iter().collect())),
            (
                "differences",
                Value::Array(self.differences.iter().map(difference).collect()),
            ),
            ("why", texts(why)),
        ])
    }
}

impl Expected {
    fn of(raw: &RawExpect) -> Result<Self, String> {
        let table;
        let raw = match raw {
            RawExpect::Table(table) => table,
            RawExpect::Word(word) => {
                table = RawExpected {
                    decision: word.clone(),
                    ..RawExpected::default()
                };
                &table
            }
        };
        let all = [
            Verdict::Allow,
            Verdict::Modify,
            Verdict::StepUp,
            Verdict::Defer,
            Verdict::Deny,
        ];
        let mut verdicts = all.into_iter();
        let verdict = verdicts
            .find(|verdict| verdict.as_str() == raw.decision)
            .ok_or_else(|| {
                let word: String = raw.decision.chars().take(32).collect();
                format!("`{word}` is no decision: ALLOW, MODIFY, STEP_UP, DEFER or DENY")
            })?;
        let reason = |word: &String| {
            let mut known = ReasonCode::ALL.iter().copied();
            let found = known.find(|reason| reason.as_str() == word);
            found.ok_or_else(|| {
                let word: String = word.chars().take(64).collect();
                format!("`{word}` is no reason code (docs/reference/reason-codes.md)")
            })
        };
        let set = |texts: &Option<Vec<String>>| {
            texts.as_ref().map(|texts| texts.iter().cloned().collect())
        };
        Ok(Self {
            verdict,
            reason: raw.reason.as_ref().map(reason).transpose()?,
            rules: set(&raw.rules),
            obligations: set(&raw.obligations),
            needs: set(&raw.needs),
        })
    }

    fn differences(&self, was: &Explanation, reason: Option<ReasonCode>) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut compare = |what, expected: String, was: String| {
            if expected != was {
                found.push(Difference {
                    what,
                    expected,
                    was,
                });
            }
        };
        let list = |texts: &BTreeSet<String>| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            if texts.is_empty() {
                "none".to_owned()
            } else {
                texts.join(", ")
            }
        };
        compare(
            "decision",
            self.verdict.as_str().to_owned(),
            was.verdict.as_str().to_owned(),
        );
        if let Some(expected) = self.reason {
            let was = reason.map_or("none", ReasonCode::as_str);
            compare("reason", expected.as_str().to_owned(), was.to_owned());
        }
        if let Some(expected) = &self.rules {
            let was = was.rules.iter().cloned().collect();
            compare("rules", list(expected), list(&was));
        }
        if let Some(expected) = &self.obligations {
            let was = was.obligations.words().collect();
            compare("obligations", list(expected), list(&was));
        }
        if let Some(expected) = &self.needs {
            compare("needs", list(expected), list(&needs(was)));
        }
        found
    }
}

/// The roles and waits that would lift a refusal.
fn needs(explanation: &Explanation) -> BTreeSet<String> {
    let needs = explanation.needs.iter();
    needs
        .flat_map(|needs| needs.roles.iter().chain(&needs.waits).cloned())
        .collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            expected,
            was,
        } = self;
        write!(f, "{what}: expected {expected}, was {was}")
    }
}

#[cfg(test)]
mod tests;
