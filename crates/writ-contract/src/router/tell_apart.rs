//! Operations that share a path: told apart by what their contract fixes, or refused by name.

use std::collections::BTreeMap;

use super::template::crossing;
use super::{Segment, Telling, Template};
use crate::parse::percent;

/// Most templates with partial segments; beyond, comparing each with each would take too long.
const MOST_PARTIAL: usize = 2_000;
/// Most operations of one path and method, for the same reason.
const MOST_SHARING: usize = 1_000;

/// Where a fixed value stands in a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A path parameter, by its number.
    Path(usize),
    /// A query parameter.
    Query(String),
    /// A header, lower case.
    Header(String),
}

/// A value that a call must have to be this operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) place: Place,
    pub(crate) value: String,
}

impl Guard {
    pub(crate) fn holds(&self, path: &[String], telling: Telling<'_>) -> bool {
        match &self.place {
            Place::Path(number) => path.get(*number) == Some(&self.value),
            Place::Query(name) => {
                let mut values = telling
                    .query
                    .into_iter()
                    .flat_map(|query| query.split('&'))
                    .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                    .filter(|(key, _)| percent::decode_form(key).as_ref() == Some(name))
                    .map(|(_, value)| percent::decode_form(value));
                // Given twice, two servers would read two values.
                values.next().flatten().as_ref() == Some(&self.value) && values.next().is_none()
            }
            Place::Header(name) => {
                let mut values = telling
                    .headers
                    .iter()
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name));
                values.next().map(|(_, value)| *value) == Some(self.value.as_bytes())
                    && values.next().is_none()
            }
        }
    }
}

/// What is known of an operation to tell it apart.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) method: &'static str,
    pub(crate) template: Template,
    /// From `?name=value` in the path key: a call must have it.
    pub(crate) key: Vec<Guard>,
    /// Values the contract fixes: required parameters with one value.
    pub(crate) fixed: BTreeMap<Place, String>,
    /// Path parameters' defaults, used only where nothing else tells apart.
    pub(crate) defaults: BTreeMap<Place, String>,
    /// The path key had a `#`: on the wire it is the path without it.
    pub(crate) fragment: bool,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Routed, if the guards hold. `narrowed` if a default had to serve.
    Apart { guards: Vec<Guard>, narrowed: bool },
    /// Cannot be told apart from the entry of this number.
    From(usize),
    /// One of too many that would have to be compared.
    TooMany,
}

/// Decides for every entry; the order is that of the entries.
pub(crate) fn tell_apart(entries: &[Entry]) -> Vec<Told> {
    let mut told: Vec<Told> = entries
        .iter()
        .map(|entry| Told::Apart {
            guards: entry.key.clone(),
            narrowed: false,
        })
        .collect();
    let mut groups: BTreeMap<(&'static str, &[Segment]), Vec<usize>> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        groups
            .entry((entry.method, &entry.template.segments))
            .or_default()
            .push(number);
    }
    for group in groups.values().filter(|group| group.len() > 1) {
        within_group(entries, group, &mut told);
    }
    across_partials(entries, &mut told);
    told
}

/// How two entries of one path can be told apart.
enum Pair {
    /// Both have a value at this place, and not the same.
    By(Place),
    /// One demands a query of its path key that the other does not know, or is the plain one beside a fragment.
    Other,
    /// Only by their path parameters' defaults.
    Default(Place),
    Never,
}

fn pair(left: &Entry, right: &Entry) -> Pair {
    let differ = |left: &BTreeMap<Place, String>, right: &BTreeMap<Place, String>| {
        left.iter()
            .find(|(place, value)| right.get(place).is_some_and(|other| other != *value))
            .map(|(place, _)| place.clone())
    };
    if let Some(place) = differ(&left.fixed, &right.fixed) {
        return Pair::By(place);
    }
    let keyed = |one: &Entry, other: &Entry| {
        one.key
            .iter()
            .any(|guard| !other.key.iter().any(|known| known.place == guard.place))
    };
    if keyed(left, right) != keyed(right, left) {
        return Pair::Other;
    }
    differ(&left.defaults, &right.defaults).map_or(Pair::Never, Pair::Default)
}

fn within_group(entries: &[Entry], group: &[usize], told: &mut [Told]) {
    if group.len() > MOST_SHARING {
        for number in group {
            if let Some(place) = told.get_mut(*number) {
                *place = Told::TooMany;
            }
        }
        return;
    }
    for (at, number) in group.iter().enumerate() {
        let Some(entry) = entries.get(*number) else {
            continue;
        };
        let mut guards: BTreeMap<Place, String> = entry
            .key
            .iter()
            .map(|guard| (guard.place.clone(), guard.value.clone()))
            .collect();
        let mut narrowed = false;
        let mut from = None;
        let others = group.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, other_number) in others {
            let Some(other) = entries.get(*other_number) else {
                continue;
            };
            match pair(entry, other) {
                Pair::By(place) => {
                    guards.extend(entry.fixed.get_key_value(&place).map(owned));
                }
                Pair::Other => {}
                Pair::Default(place) => {
                    narrowed = true;
                    guards.extend(entry.defaults.get_key_value(&place).map(owned));
                }
                // A fragment never goes over the wire: the call is the operation without it.
                Pair::Never if other.fragment && !entry.fragment => {}
                Pair::Never => from = from.or(Some(*other_number)),
            }
        }
        let verdict = from.map_or_else(
            || Told::Apart {
                guards: guards
                    .into_iter()
                    .map(|(place, value)| Guard { place, value })
                    .collect(),
                narrowed,
            },
            Told::From,
        );
        if let Some(place) = told.get_mut(*number) {
            *place = verdict;
        }
    }
}

fn owned((place, value): (&Place, &String)) -> (Place, String) {
    (place.clone(), value.clone())
}

/// Partial segments that share texts without one being the narrower: both operations are refused.
fn across_partials(entries: &[Entry], told: &mut [Told]) {
    let partial = |entry: &Entry| {
        let mut segments = entry.template.segments.iter();
        segments.any(|segment| matches!(segment, Segment::Partial(_)))
    };
    let numbers: Vec<(usize, &Entry)> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| partial(entry))
        .collect();
    if numbers.len() > MOST_PARTIAL {
        for (number, _) in numbers {
            if let Some(place) = told.get_mut(number) {
                *place = Told::TooMany;
            }
        }
        return;
    }
    for (at, (left_number, left)) in numbers.iter().enumerate() {
        for (right_number, right) in numbers.iter().skip(at.saturating_add(1)) {
            if left.method == right.method && crossing(&left.template, &right.template) {
                for (number, other) in [(left_number, right_number), (right_number, left_number)] {
                    if let Some(place) = told.get_mut(*number) {
                        *place = Told::From(*other);
                    }
                }
            }
        }
    }
}
