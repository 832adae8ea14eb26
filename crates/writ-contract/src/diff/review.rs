//! The order of review: what is newly possible and cannot be taken back comes first, and a change that many operations
//! share is looked at once.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::Value;

use super::verdict::{Authority, Caller, Topic};
use super::{Change, Diff, Fate};
use crate::outline::{Outline, Outlined, words};

/// Examples kept of one group.
const EXAMPLES: usize = 3;

/// What a call can do at worst, judged by method and name: a proposal, until its owner reviews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consequence {
    /// It reads.
    Read,
    /// It changes something.
    Write,
    /// It sends something to a party outside.
    External,
    /// It cannot be taken back.
    Irreversible,
}

impl Consequence {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::External => "external",
            Self::Irreversible => "irreversible",
        }
    }
}

/// Judges an operation by its method and the words of its name.
pub(super) fn consequence(outline: &Outline<'_>, operation: &Outlined<'_>) -> Consequence {
    if operation.is_safe() {
        return Consequence::Read;
    }
    let name = operation.node.text("operationId").unwrap_or(operation.path);
    let last = operation.path.rsplit('/').next().unwrap_or_default();
    let words: Vec<String> = words(name).into_iter().chain(words(last)).collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let lasting = [
        "delete",
        "destroy",
        "purge",
        "remove",
        "revoke",
        "terminate",
        "transfer",
        "wipe",
        "merge",
        "pay",
        "refund",
        "payout",
        "close",
        "archive",
    ];
    let sending = [
        "send",
        "email",
        "mail",
        "notify",
        "invite",
        "invitation",
        "invitations",
        "share",
        "publish",
        "webhook",
        "webhooks",
        "hook",
        "hooks",
        "message",
        "sms",
        "dispatch",
        "export",
        "forward",
        "comment",
        "comments",
        "fork",
        "upload",
    ];
    let takes_url = || {
        operation
            .parameters
            .iter()
            .any(|parameter| is_url(parameter.name))
            || operation.body.iter().any(|body| {
                body.media
                    .values()
                    .flatten()
                    .next()
                    .and_then(|schema| outline.schema(schema.value).keyword("properties"))
                    .and_then(Value::as_object)
                    .is_some_and(|properties| properties.keys().any(|name| is_url(name)))
            })
    };
    if operation.method == "DELETE" || has(&lasting) {
        Consequence::Irreversible
    } else if has(&sending) || takes_url() {
        Consequence::External
    } else {
        Consequence::Write
    }
}

fn is_url(name: &str) -> bool {
    words(name)
        .iter()
        .any(|word| matches!(word.as_str(), "url" | "uri" | "callback" | "webhook"))
}

/// What a group of changes is about, in the order of review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Who may call.
    Security,
    /// Operations that were not there.
    Added,
    /// Calls that an approved agent could not make before.
    Widened,
    /// Changes of calls of which nothing is proven.
    Unproven,
    /// What comes back.
    Responses,
    /// What a model reads.
    Texts,
    /// Operations with another name for the same call.
    Renamed,
    /// Operations that are gone.
    Removed,
    /// Calls that are possible no longer.
    Narrowed,
    /// What is of no concern to the authorizer.
    Neutral,
}

impl Section {
    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Security => "Security requirements changed",
            Self::Added => "New operations",
            Self::Widened => "Approved calls can do more",
            Self::Unproven => "Approved calls changed, nothing is proven",
            Self::Responses => "Responses can hold something else",
            Self::Texts => "Texts that a model reads changed",
            Self::Renamed => "Renamed: no grant of the old name holds for the new one",
            Self::Removed => "Gone",
            Self::Narrowed => "Approved calls can do less",
            Self::Neutral => "Of no concern to grants",
        }
    }

    /// Whether its owner must look.
    #[must_use]
    pub const fn needs_owner(self) -> bool {
        !matches!(
            self,
            Self::Renamed | Self::Removed | Self::Narrowed | Self::Neutral
        )
    }
}

/// Changes that are looked at together: of one operation, or of one shared part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they are about.
    pub section: Section,
    /// The operation, the family of operations, or the shared part.
    pub subject: String,
    /// The worst that a call of the operations can do.
    pub consequence: Consequence,
    /// The worst for a caller.
    pub caller: Caller,
    /// How many changes follow each rule.
    pub rules: BTreeMap<String, usize>,
    /// A few of them in words.
    pub examples: Vec<String>,
    /// The operations it reaches, as places in [`Diff::operations`].
    pub operations: BTreeSet<usize>,
}

/// The changes as a person reviews them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The groups, in the order of review.
    pub groups: Vec<Group>,
}

impl Review {
    /// The groups of one section.
    pub fn section(&self, section: Section) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .filter(move |group| group.section == section)
    }

    /// The sections that have groups, in the order of review.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        let sections: BTreeSet<Section> = self.groups.iter().map(|group| group.section).collect();
        sections.into_iter().collect()
    }
}

/// Groups and orders.
pub(super) fn of(diff: &Diff) -> Review {
    let mut groups: BTreeMap<(Section, String), Group> = BTreeMap::new();
    for change in &diff.changes {
        let section = section(diff, change);
        // A rename is said once, by its operation.
        if section == Section::Renamed {
            continue;
        }
        let subject = subject(diff, change, section);
        let group = groups
            .entry((section, subject.clone()))
            .or_insert_with(|| Group::new(section, subject));
        group.add(diff, change);
    }
    for (place, operation) in diff.operations.iter().enumerate() {
        let Fate::Renamed { to } = &operation.fate else {
            continue;
        };
        let subject = format!("{} -> {to}", operation.id);
        let mut group = Group::new(Section::Renamed, subject.clone());
        group.consequence = operation.consequence;
        group.operations.insert(place);
        groups.insert((Section::Renamed, subject), group);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|left, right| {
        let key = |group: &Group| {
            // What comes back is as bad for reads; the most shared part is worth the first look.
            let weight = if matches!(group.section, Section::Responses | Section::Texts) {
                Consequence::Read
            } else {
                group.consequence
            };
            (
                group.section,
                std::cmp::Reverse(weight),
                std::cmp::Reverse(group.operations.len()),
            )
        };
        key(left)
            .cmp(&key(right))
            .then_with(|| left.subject.cmp(&right.subject))
    });
    Review { groups }
}

impl Group {
    fn new(section: Section, subject: String) -> Self {
        Self {
            section,
            subject,
            consequence: Consequence::Read,
            caller: Caller::Compatible,
            rules: BTreeMap::new(),
            examples: Vec::new(),
            operations: BTreeSet::new(),
        }
    }

    fn add(&mut self, diff: &Diff, change: &Change) {
        let count = self.rules.entry(change.rule.clone()).or_default();
        *count = count.saturating_add(1);
        self.caller = self.caller.max(change.caller);
        if self.examples.len() < EXAMPLES {
            self.examples.push(change.what.clone());
        }
        for place in &change.operations {
            self.operations.insert(*place);
            if let Some(operation) = diff.operations.get(*place) {
                self.consequence = self.consequence.max(operation.consequence);
            }
        }
    }
}

fn section(diff: &Diff, change: &Change) -> Section {
    let only = change
        .operations
        .first()
        .filter(|_| change.operations.len() == 1);
    let fate = only.and_then(|place| diff.operations.get(*place));
    match (fate.map(|operation| &operation.fate), change.topic) {
        (Some(Fate::Added), Topic::Operation) => return Section::Added,
        (Some(Fate::Removed), Topic::Operation) if change.new.is_none() => return Section::Removed,
        _ => {}
    }
    let renames = matches!(
        change.rule.as_str(),
        "api-operation-id-added" | "api-operation-id-removed"
    );
    match (change.topic, change.authority) {
        (Topic::Operation, Authority::Neutral) if renames => Section::Renamed,
        (_, Authority::Neutral) => Section::Neutral,
        // A scheme that no operation names is no concern yet.
        (Topic::Security, _) if change.operations.is_empty() => Section::Neutral,
        (Topic::Security, _) => Section::Security,
        (_, Authority::Narrows) => Section::Narrowed,
        (Topic::Text, _) => Section::Texts,
        (Topic::Response, _) => Section::Responses,
        (_, Authority::Widens) => Section::Widened,
        (_, Authority::Unproven) => Section::Unproven,
    }
}

/// What a change is told under.
fn subject(diff: &Diff, change: &Change, section: Section) -> String {
    let of = |place: &usize| diff.operations.get(*place);
    match section {
        Section::Added => {
            let family = change.operations.first().and_then(of);
            return family.map_or_else(String::new, |operation| {
                let family = operation.path.split('/').find(|part| !part.is_empty());
                let word = operation.consequence.as_str();
                format!(
                    "{word}: {} /{}",
                    operation.method,
                    family.unwrap_or_default()
                )
            });
        }
        Section::Security => return change.what.clone(),
        Section::Widened
        | Section::Unproven
        | Section::Responses
        | Section::Texts
        | Section::Renamed
        | Section::Removed
        | Section::Narrowed
        | Section::Neutral => {}
    }
    let mut operations = change.operations.iter();
    match (operations.next().and_then(of), operations.next()) {
        (Some(operation), None) => operation.id.to_string(),
        _ => {
            // A shared component has a name; inline copies share their words.
            let name = change
                .what
                .split(['.', ':', '['])
                .next()
                .unwrap_or_default();
            name.trim().to_owned()
        }
    }
}
