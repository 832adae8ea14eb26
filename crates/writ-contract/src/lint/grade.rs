//! The score of an operation: one number and one letter for how safely an agent can be given it.

use std::collections::BTreeMap;
use std::fmt;

use super::rules::{Level, Rule};

/// From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Nothing that matters.
    A,
    /// Little.
    B,
    /// Usable with care.
    C,
    /// Likely to be called wrongly.
    D,
    /// Not to be left to an agent without a person's look.
    F,
}

impl Grade {
    /// Every grade, best first.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::F];

    /// The letter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// 0 to 100; 100 is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(u8);

impl Score {
    /// The number.
    #[must_use]
    pub const fn points(self) -> u8 {
        self.0
    }

    /// The letter: A from 85, B from 70, C from 55, D from 40.
    #[must_use]
    pub const fn grade(self) -> Grade {
        match self.0 {
            85.. => Grade::A,
            70..=84 => Grade::B,
            55..=69 => Grade::C,
            40..=54 => Grade::D,
            0..=39 => Grade::F,
        }
    }
}

/// How often each rule fired for one operation.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Rule, u32>);

impl Tally {
    pub(super) fn add(&mut self, rule: Rule) {
        let count = self.0.entry(rule).or_default();
        *count = count.saturating_add(1);
    }

    /// What one rule takes does not grow with the size of a body: it takes at most twice.
    pub(super) fn score(&self) -> Score {
        let taken = self.0.iter().map(|(rule, count)| {
            let points = match rule.level() {
                Level::Error => 20,
                Level::Warning => 5,
                Level::Note => 1,
            };
            (*count).min(2).saturating_mul(points)
        });
        let taken: u32 = taken.sum();
        Score(u8::try_from(100u32.saturating_sub(taken)).unwrap_or(0))
    }
}
