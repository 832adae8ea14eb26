//! The cases as typed. Every unknown key is an error, because a fact that is misspelt would not be one.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// `policies/tests/*.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    /// What every case of the file says unless it says otherwise.
    #[serde(default)]
    pub(super) default: RawAsk,
    #[serde(default, rename = "case")]
    pub(super) cases: Vec<Spanned<RawCase>>,
}

/// Who asks.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAsk {
    pub(super) agent: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) requester: Option<String>,
    pub(super) action: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCase {
    pub(super) name: String,
    // Who asks; serde's `flatten` would take unknown keys.
    pub(super) agent: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) requester: Option<String>,
    pub(super) action: Option<String>,
    // The arguments, by where they stand.
    pub(super) path: Option<toml::Table>,
    pub(super) query: Option<toml::Table>,
    pub(super) header: Option<toml::Table>,
    pub(super) body: Option<toml::Value>,
    /// All of them as JSON, for what TOML cannot say (`null`).
    pub(super) arguments: Option<String>,
    pub(super) bounds: Option<toml::Table>,
    pub(super) budget: Option<RawCounts>,
    #[serde(default)]
    pub(super) facts: RawFacts,
    pub(super) expect: RawExpect,
}

impl RawCase {
    pub(super) fn ask(&self) -> RawAsk {
        RawAsk {
            agent: self.agent.clone(),
            purpose: self.purpose.clone(),
            mode: self.mode.clone(),
            requester: self.requester.clone(),
            action: self.action.clone(),
        }
    }
}

impl RawAsk {
    /// What is said here, otherwise what `other` says.
    pub(super) fn or(self, other: &Self) -> Self {
        Self {
            agent: self.agent.or_else(|| other.agent.clone()),
            purpose: self.purpose.or_else(|| other.purpose.clone()),
            mode: self.mode.or_else(|| other.mode.clone()),
            requester: self.requester.or_else(|| other.requester.clone()),
            action: self.action.or_else(|| other.action.clone()),
        }
    }
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCounts {
    pub(super) calls: Option<u64>,
    pub(super) writes: Option<u64>,
    pub(super) deletes: Option<u64>,
    pub(super) irreversible: Option<u64>,
}

/// What the gateway knows about the call.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFacts {
    pub(super) now: Option<String>,
    pub(super) labels: Vec<String>,
    pub(super) seen: Vec<String>,
    pub(super) approved: Vec<String>,
    pub(super) approvals: Vec<String>,
    pub(super) deferred: Vec<String>,
    /// Where values of arguments come from, by pointer; what is not named is vouched for.
    pub(super) origins: BTreeMap<String, String>,
    /// What the task has spent, this call included.
    pub(super) spent: RawCounts,
    /// How the call stands to the task's plan: `free` (the default), `follows` or `outside`.
    pub(super) plan: Option<String>,
    /// Calls of this operation, this call included.
    pub(super) this_operation: Option<u64>,
    /// What windows held before this call, by name.
    pub(super) windows: BTreeMap<String, RawWindow>,
}

/// What a window held.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWindow {
    pub(super) calls: u64,
    /// An exact amount, as a text.
    pub(super) sum: Option<String>,
    /// Calls whose amount is not in the sum.
    pub(super) others: u64,
}

/// What is to come of it: one word, or a table.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RawExpect {
    Word(String),
    Table(RawExpected),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpected {
    pub(super) decision: String,
    pub(super) reason: Option<String>,
    pub(super) rules: Option<Vec<String>>,
    pub(super) obligations: Option<Vec<String>>,
    pub(super) needs: Option<Vec<String>>,
}
