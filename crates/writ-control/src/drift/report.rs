//! What drifted, for the owner: first what agents may be given.

use std::collections::BTreeSet;

use writ_contract::Contract;
use writ_contract::diff::{Diff, Fate, Group};
use writ_types::{ApiId, Digest, OperationId, Timestamp, Value};

use crate::loaded::Loaded;

/// The operations of an API that a purpose names: no task can hold another.
pub(super) fn in_use(loaded: &Loaded, id: &ApiId) -> BTreeSet<OperationId> {
    let actions = loaded
        .purposes
        .values()
        .flat_map(|purpose| &purpose.actions);
    actions
        .filter(|action| action.api == *id)
        .map(|action| action.operation.clone())
        .collect()
}

/// The review.
pub(super) fn of(
    (id, digest, at): (&ApiId, &Digest, Option<Timestamp>),
    diff: &Diff,
    (quarantined, used): (&BTreeSet<OperationId>, &BTreeSet<OperationId>),
    contract: &Contract,
) -> Value {
    let added = diff.operations.iter().filter(|one| one.fate == Fate::Added);
    let renamed = diff.operations.iter().filter_map(|one| match &one.fate {
        Fate::Renamed { to } => Some((one.id.as_str(), Value::from(to.as_str()))),
        Fate::Kept | Fate::Moved { .. } | Fate::Added | Fate::Removed => None,
    });
    let changed = diff.changed();
    let narrowed = changed
        .iter()
        .filter(|(_, authority)| !authority.needs_owner())
        .map(|(id, _)| *id);
    let places = places(diff, used, contract);
    let review = diff.review().groups;
    let review = review
        .iter()
        .filter(|group| group.section.needs_owner())
        .map(|group| line(group, &places));
    Value::object([
        ("api", Value::from(id.as_str())),
        ("digest", Value::from(digest.to_string())),
        (
            "seen",
            at.map_or(Value::Null, |at| Value::from(at.to_string())),
        ),
        ("quarantined", ids(quarantined.iter())),
        ("in_use", ids(quarantined.intersection(used))),
        ("narrowed", ids(narrowed)),
        ("added", ids(added.map(|one| &one.id))),
        ("renamed", Value::object(renamed)),
        ("review", Value::Array(review.collect())),
    ])
}

/// The places in a comparison of the operations in use. The owner's overlay may give an operation another name than its document does.
fn places(diff: &Diff, used: &BTreeSet<OperationId>, contract: &Contract) -> BTreeSet<usize> {
    let calls: BTreeSet<(&str, &str)> = used
        .iter()
        .filter_map(|id| contract.operation(id))
        .map(|operation| (operation.method(), operation.template()))
        .collect();
    diff.operations
        .iter()
        .enumerate()
        .filter(|(_, one)| one.fate != Fate::Added)
        .filter(|(_, one)| calls.contains(&(one.method, one.path.as_str())))
        .map(|(place, _)| place)
        .collect()
}

/// One line of the review, and how many operations in use it is about.
fn line(group: &Group, used: &BTreeSet<usize>) -> Value {
    let rules = group
        .rules
        .iter()
        .map(|(rule, count)| (rule.as_str(), number(*count)));
    let examples = group.examples.iter().map(|text| Value::from(text.as_str()));
    Value::object([
        ("section", Value::from(group.section.title())),
        ("subject", Value::from(group.subject.as_str())),
        ("consequence", Value::from(group.consequence.as_str())),
        ("rules", Value::object(rules)),
        ("examples", Value::Array(examples.collect())),
        (
            "in_use",
            number(group.operations.intersection(used).count()),
        ),
    ])
}

fn ids<'i, I: Iterator<Item = &'i OperationId>>(ids: I) -> Value {
    Value::Array(ids.map(|id| Value::from(id.as_str())).collect())
}

fn number(count: usize) -> Value {
    Value::from_u64(u64::try_from(count).unwrap_or(u64::MAX))
}
