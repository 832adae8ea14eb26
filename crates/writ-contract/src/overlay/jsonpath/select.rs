//! From a query and a document to places (RFC 9535 §2.3, §2.5).

use writ_types::{Pointer, Value};

use super::filter::holds;
use super::{FilterQuery, Query, Segment, Selector, TooMuch};

/// Most values looked at for one query, those of its filters included.
const MOST_STEPS: usize = 5_000_000;

pub(super) fn select(query: &Query, root: &Value) -> Result<Vec<Pointer>, TooMuch> {
    let mut walk = Walk { root, steps: 0 };
    let from = Node {
        place: Some(Pointer::root()),
        value: root,
    };
    let found = walk.segments(&query.segments, from)?;
    Ok(found.into_iter().filter_map(|node| node.place).collect())
}

/// A value, and its place where that is wanted: filters ask for none, and building places is what costs.
#[derive(Debug, Clone)]
pub(super) struct Node<'v> {
    place: Option<Pointer>,
    pub(super) value: &'v Value,
}

impl<'v> Node<'v> {
    fn named(&self, name: &str, value: &'v Value) -> Self {
        Self {
            place: self.place.as_ref().map(|place| place.child(name)),
            value,
        }
    }

    fn item(&self, index: usize, value: &'v Value) -> Self {
        Self {
            place: self.place.as_ref().map(|place| place.item(index)),
            value,
        }
    }

    fn children(&self) -> Vec<Self> {
        match self.value {
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| self.named(name, value))
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, value)| self.item(index, value))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }
}

pub(super) struct Walk<'v> {
    root: &'v Value,
    steps: usize,
}

impl<'v> Walk<'v> {
    /// The values a filter's query selects.
    pub(super) fn values(
        &mut self,
        query: &FilterQuery,
        current: &'v Value,
    ) -> Result<Vec<Node<'v>>, TooMuch> {
        let value = if query.absolute { self.root } else { current };
        self.segments(&query.segments, Node { place: None, value })
    }

    pub(super) fn step(&mut self) -> Result<(), TooMuch> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > MOST_STEPS {
            return Err(TooMuch);
        }
        Ok(())
    }

    fn segments(&mut self, segments: &[Segment], from: Node<'v>) -> Result<Vec<Node<'v>>, TooMuch> {
        let mut nodes = vec![from];
        for segment in segments {
            let mut next = Vec::new();
            for node in nodes {
                if !segment.descendant {
                    self.selectors(&segment.selectors, &node, &mut next)?;
                    continue;
                }
                // Children come after their parent.
                let mut open = vec![node];
                while let Some(node) = open.pop() {
                    self.selectors(&segment.selectors, &node, &mut next)?;
                    open.extend(node.children().into_iter().rev());
                }
            }
            nodes = next;
        }
        Ok(nodes)
    }

    fn selectors(
        &mut self,
        selectors: &[Selector],
        node: &Node<'v>,
        into: &mut Vec<Node<'v>>,
    ) -> Result<(), TooMuch> {
        self.step()?;
        let items = node.value.as_array().unwrap_or_default();
        for selector in selectors {
            match selector {
                Selector::Name(name) => {
                    let member = node.value.member(name);
                    into.extend(member.map(|value| node.named(name, value)));
                }
                Selector::Wildcard => {
                    for child in node.children() {
                        self.step()?;
                        into.push(child);
                    }
                }
                Selector::Index(index) => {
                    let place = usize::try_from(normal(*index, items.len())).ok();
                    let item = place.and_then(|place| Some(node.item(place, items.get(place)?)));
                    into.extend(item);
                }
                Selector::Slice { start, end, step } => {
                    for place in slice(*start, *end, *step, items.len()) {
                        self.step()?;
                        into.extend(items.get(place).map(|value| node.item(place, value)));
                    }
                }
                Selector::Filter(filter) => {
                    for child in node.children() {
                        if holds(self, filter, child.value)? {
                            into.push(child);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// An index from the end becomes one from the beginning.
fn normal(index: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if index < 0 {
        length.saturating_add(index)
    } else {
        index
    }
}

/// RFC 9535 §2.3.4.2.2.
fn slice(start: Option<i64>, end: Option<i64>, step: i64, length: usize) -> Vec<usize> {
    let most = i64::try_from(length).unwrap_or(i64::MAX);
    let last = most.saturating_sub(1);
    let (mut place, until) = if step >= 0 {
        let from = normal(start.unwrap_or(0), length).clamp(0, most);
        (from, normal(end.unwrap_or(most), length).clamp(0, most))
    } else {
        let from = start.map_or(last, |start| normal(start, length));
        let until = end.map_or(-1, |end| normal(end, length));
        (from.clamp(-1, last), until.clamp(-1, last))
    };
    let mut places = Vec::new();
    while step > 0 && place < until || step < 0 && place > until {
        places.extend(usize::try_from(place));
        place = place.saturating_add(step);
    }
    places
}
