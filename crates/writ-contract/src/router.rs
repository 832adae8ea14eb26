//! Which operation a call is.
//!
//! A path is split on `/` and each segment is decoded once, then. In every segment a literal beats a segment that is
//! partly a parameter, which beats a parameter; the leftmost difference decides. A method is looked for on the most
//! specific path that has it. What cannot be told apart was refused by name when the contract was compiled, and its
//! place stays taken: a call to it is not routed to a wider template.

mod path;
mod tell_apart;
mod template;

use std::collections::BTreeMap;

use crate::operation::Operation;

pub(crate) use path::split;
pub(crate) use tell_apart::{Entry, Guard, Place, Told, tell_apart};
pub(crate) use template::{Fit, Partial, Segment, Template};

/// Why a call has no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is not well formed, or could be read in two ways: a bad escape, a control character, `.` or `..`,
    /// an empty segment, a character that must be escaped.
    #[error("the path is not well formed")]
    Malformed,
    /// No template matches, or the one that does was refused when the contract was compiled.
    #[error("no operation of the contract has this path")]
    NotFound,
    /// Templates match, with other methods.
    #[error("no operation of the contract has this method on this path")]
    MethodNotAllowed {
        /// The methods that would do, for `Allow` (RFC 9110 §10.2.1).
        allow: Vec<&'static str>,
    },
}

/// An operation and the texts of its path parameters, decoded once.
#[derive(Debug, Clone)]
pub struct Route<'c> {
    pub(crate) operation: &'c Operation,
    pub(crate) values: Vec<String>,
}

impl<'c> Route<'c> {
    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &'c Operation {
        self.operation
    }
}

/// What tells apart the operations of one path besides the path: the call's query and headers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Telling<'a> {
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
}

/// The operations of one method on one template.
#[derive(Debug)]
struct Slot {
    /// The most guarded first.
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    /// Its place among the operations; none if it was refused.
    operation: Option<usize>,
    guards: Vec<Guard>,
}

#[derive(Debug, Default)]
struct Node {
    literals: BTreeMap<String, Self>,
    /// Narrower ones first.
    partials: Vec<(Partial, Self)>,
    parameter: Option<Box<Self>>,
    slots: BTreeMap<&'static str, Slot>,
}

/// The templates of one contract as a tree.
#[derive(Debug, Default)]
pub(crate) struct Router {
    root: Node,
}

/// A template that matched: its values, and whether a segment could be split in two ways.
struct Matched<'n> {
    slot: &'n Slot,
    values: Vec<String>,
    crowded: bool,
}

impl Router {
    /// Adds an operation that can be told apart, or the place of one that was refused.
    pub(crate) fn add(
        &mut self,
        method: &'static str,
        template: &Template,
        operation: Option<usize>,
        guards: Vec<Guard>,
    ) {
        let node = template
            .segments
            .iter()
            .fold(&mut self.root, |node, segment| node.below(segment));
        let candidates = &mut node
            .slots
            .entry(method)
            .or_insert_with(|| Slot {
                candidates: Vec::new(),
            })
            .candidates;
        candidates.push(Candidate { operation, guards });
        // A refused operation takes what no other of its path does.
        candidates.sort_by_key(|candidate| {
            (
                std::cmp::Reverse(candidate.guards.len()),
                candidate.operation.is_none(),
            )
        });
    }

    /// The operation's place and the values of its path parameters.
    pub(crate) fn find(
        &self,
        method: &str,
        raw_path: &str,
        telling: Telling<'_>,
    ) -> Result<(usize, Vec<String>), RouteError> {
        let segments = split(raw_path)?;
        let hollow = segments.iter().rev().skip(1).any(String::is_empty);
        let nothing = || {
            // A template may hold an empty segment; otherwise it is a path that others would fold.
            if hollow {
                RouteError::Malformed
            } else {
                RouteError::NotFound
            }
        };
        let Some(found) = self.root.find(&segments, method) else {
            let mut allow = Vec::new();
            self.root.methods(&segments, &mut allow);
            allow.sort_unstable();
            allow.dedup();
            return Err(if allow.is_empty() {
                nothing()
            } else {
                RouteError::MethodNotAllowed { allow }
            });
        };
        if found.crowded {
            return Err(RouteError::Malformed);
        }
        let candidate = found
            .slot
            .candidates
            .iter()
            .find(|candidate| {
                candidate
                    .guards
                    .iter()
                    .all(|guard| guard.holds(&found.values, telling))
            })
            .and_then(|candidate| candidate.operation);
        candidate
            .map(|operation| (operation, found.values))
            .ok_or(RouteError::NotFound)
    }
}

impl Node {
    fn below(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default(),
            Segment::Parameter => self.parameter.get_or_insert_default(),
            Segment::Partial(partial) => {
                // Longer literals first: whatever is within another pattern has more of them.
                let order = |other: &Partial| (std::cmp::Reverse(other.weight()), other.clone());
                let at = self
                    .partials
                    .binary_search_by(|(known, _)| order(known).cmp(&order(partial)));
                let at = match at {
                    Ok(at) => at,
                    Err(at) => {
                        self.partials.insert(at, (partial.clone(), Self::default()));
                        at
                    }
                };
                match self.partials.get_mut(at) {
                    Some((_, node)) => node,
                    // Not reachable: the entry was found or made. The parameter's node is wider, never wrong to have.
                    None => self.parameter.get_or_insert_default(),
                }
            }
        }
    }

    /// The most specific template with the method.
    fn find(&self, segments: &[String], method: &str) -> Option<Matched<'_>> {
        let Some((first, rest)) = segments.split_first() else {
            return self.slots.get(method).map(|slot| Matched {
                slot,
                values: Vec::new(),
                crowded: false,
            });
        };
        if let Some(found) = self
            .literals
            .get(first)
            .and_then(|node| node.find(rest, method))
        {
            return Some(found);
        }
        for (partial, node) in &self.partials {
            let fit = partial.fit(first);
            if fit == Fit::No {
                continue;
            }
            if let Some(found) = node.find(rest, method) {
                return Some(found.behind(fit));
            }
        }
        let node = self.parameter.as_ref().filter(|_| !first.is_empty())?;
        let found = node.find(rest, method)?;
        Some(found.behind(Fit::Values(vec![first.clone()])))
    }

    /// The methods of every template that matches; a refused operation's are none.
    fn methods(&self, segments: &[String], allow: &mut Vec<&'static str>) {
        let Some((first, rest)) = segments.split_first() else {
            let served = self.slots.iter().filter(|(_, slot)| {
                slot.candidates
                    .iter()
                    .any(|candidate| candidate.operation.is_some())
            });
            allow.extend(served.map(|(method, _)| *method));
            return;
        };
        if let Some(node) = self.literals.get(first) {
            node.methods(rest, allow);
        }
        for (partial, node) in &self.partials {
            if partial.fit(first) != Fit::No {
                node.methods(rest, allow);
            }
        }
        if let Some(node) = self.parameter.as_ref().filter(|_| !first.is_empty()) {
            node.methods(rest, allow);
        }
    }
}

impl Matched<'_> {
    /// The match with what an earlier segment gave.
    fn behind(self, fit: Fit) -> Self {
        match fit {
            Fit::Values(mut values) => {
                values.extend(self.values);
                Self { values, ..self }
            }
            Fit::No | Fit::Crowded => Self {
                crowded: true,
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests;
