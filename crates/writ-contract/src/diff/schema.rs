//! Schemas, compared keyword by keyword.
//!
//! INVARIANT: every keyword of either schema is looked at. Those that are known have a rule; the others must be equal. So a
//! change that is reported as narrowing leaves nothing unreported beside it.
//!
//! Pairs of referenced schemas are compared once. They form a graph; a change reaches every operation from which its pair
//! is reached, so that a change in one component is one change.

mod keywords;
mod members;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use writ_types::{Pointer, Value};

use super::verdict::{Direction, Effect, Polarity, of_schema};
use super::{Change, Found, shown};
use crate::outline::{Node, Outline, Schema};
use crate::schema::Dialect;

/// Most pairs of schemas of one comparison; beyond it a pair counts as changed in an unknown way.
const MOST_PAIRS: usize = 200_000;

/// What a schema is the schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    pub(super) direction: Direction,
    pub(super) root: Root,
    /// Below a property.
    pub(super) property: bool,
    pub(super) polarity: Polarity,
}

/// What stands at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    Parameter,
    HeaderParameter,
    Body,
    Header,
}

impl Site {
    pub(super) const fn request(root: Root) -> Self {
        Self {
            direction: Direction::Request,
            root,
            property: false,
            polarity: Polarity::Same,
        }
    }

    pub(super) const fn response(root: Root) -> Self {
        Self {
            direction: Direction::Response,
            root,
            property: false,
            polarity: Polarity::Same,
        }
    }

    /// The beginning of a rule's id, as oasdiff says it.
    const fn subject(self) -> &'static str {
        match (self.direction, self.root, self.property) {
            (Direction::Request, Root::Parameter | Root::HeaderParameter | Root::Header, false) => {
                "request-parameter"
            }
            (Direction::Request, Root::Parameter, true) => "request-parameter-property",
            (Direction::Request, Root::HeaderParameter | Root::Header, true) => {
                "request-header-property"
            }
            (Direction::Request, Root::Body, false) => "request-body",
            (Direction::Request, Root::Body, true) => "request-property",
            (Direction::Response, Root::Header, _) => "response-header",
            (Direction::Response, _, false) => "response-body",
            (Direction::Response, _, true) => "response-property",
        }
    }
}

/// A place in a document, made a pointer and words only when something is found there.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    base: &'a Base,
    last: Option<(&'a Self, Token<'a>)>,
}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    Name(&'a str),
    Index(usize),
}

/// Where a comparison begins: the place, and what it is called.
#[derive(Debug, Clone)]
struct Base {
    pointer: Pointer,
    name: String,
}

impl<'a> At<'a> {
    fn name(&'a self, name: &'a str) -> Self {
        Self {
            base: self.base,
            last: Some((self, Token::Name(name))),
        }
    }

    fn index(&'a self, index: usize) -> Self {
        Self {
            base: self.base,
            last: Some((self, Token::Index(index))),
        }
    }

    fn pointer(&self) -> Pointer {
        match self.last {
            None => self.base.pointer.clone(),
            Some((before, Token::Name(name))) => before.pointer().child(name),
            Some((before, Token::Index(index))) => before.pointer().item(index),
        }
    }

    /// `body.owner.login`, `limit`, `repository.topics[]`
    fn words(&self) -> String {
        let pointer = self.pointer();
        let depth = self.base.pointer.tokens().count();
        let mut tokens = pointer.tokens().skip(depth);
        let mut words = self.base.name.clone();
        while let Some(token) = tokens.next() {
            match &*token {
                "properties" => {
                    if let Some(name) = tokens.next() {
                        words.push('.');
                        words.push_str(&name);
                    }
                }
                "items" => words.push_str("[]"),
                "additionalProperties" => words.push_str(".*"),
                _ => {}
            }
        }
        words
    }
}

/// One pair of schemas.
#[derive(Debug, Default)]
struct PairOf {
    changes: Vec<usize>,
    below: Vec<usize>,
}

/// A pair that waits for its comparison.
struct Waiting<'o, 'n> {
    pair: usize,
    old: Node<'o>,
    new: Node<'n>,
    name: String,
    site: Site,
}

/// The comparison of all schemas of two documents.
pub(super) struct Schemas<'s, 'o, 'n> {
    old: &'s Outline<'o>,
    new: &'s Outline<'n>,
    pairs: Vec<PairOf>,
    /// By the values' addresses: a value is read under many pointers, and has one address while its document lives.
    known: BTreeMap<(usize, usize, Site), usize>,
    waiting: VecDeque<Waiting<'o, 'n>>,
}

impl<'s, 'o, 'n> Schemas<'s, 'o, 'n> {
    pub(super) fn new(old: &'s Outline<'o>, new: &'s Outline<'n>) -> Self {
        Self {
            old,
            new,
            pairs: Vec::new(),
            known: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Compares two schemas; the changes are those of the pair that comes back, see [`Schemas::changes`].
    pub(super) fn compare(
        &mut self,
        old: &Node<'o>,
        new: &Node<'n>,
        name: &str,
        site: Site,
        found: &mut Found,
    ) -> usize {
        let pair = self.pair(old, new, name, site);
        while let Some(waiting) = self.waiting.pop_front() {
            self.run(&waiting, found);
        }
        pair
    }

    /// Every change that a pair reaches.
    pub(super) fn changes(&self, pair: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([pair]);
        let mut open = vec![pair];
        let mut changes = BTreeSet::new();
        while let Some(pair) = open.pop() {
            let Some(pair) = self.pairs.get(pair) else {
                continue;
            };
            changes.extend(&pair.changes);
            open.extend(pair.below.iter().filter(|below| seen.insert(**below)));
        }
        changes
    }

    /// The pair's number; new ones wait to be compared.
    fn pair(&mut self, old: &Node<'o>, new: &Node<'n>, name: &str, site: Site) -> usize {
        let (old, name) = referenced(self.old, old, name);
        let (new, _) = referenced(self.new, new, &name);
        let address = |value: &Value| std::ptr::from_ref(value).addr();
        let key = (address(old.value), address(new.value), site);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let number = self.pairs.len();
        self.pairs.push(PairOf::default());
        self.known.insert(key, number);
        self.waiting.push_back(Waiting {
            pair: number,
            old,
            new,
            name,
            site,
        });
        number
    }

    fn run(&mut self, waiting: &Waiting<'o, 'n>, found: &mut Found) {
        let base = |pointer: &Pointer| Base {
            pointer: pointer.clone(),
            name: waiting.name.clone(),
        };
        let (old_base, new_base) = (base(&waiting.old.pointer), base(&waiting.new.pointer));
        let full = self.pairs.len() > MOST_PAIRS;
        let mut run = Run {
            schemas: self,
            found,
            pair: waiting.pair,
        };
        let (old_at, new_at) = (root(&old_base), root(&new_base));
        let place = Place {
            old: &old_at,
            new: &new_at,
            site: waiting.site,
        };
        if full {
            run.change(
                place,
                "too-large",
                Effect::Differs,
                "too many schemas to compare",
            );
        } else {
            run.schema(waiting.old.value, waiting.new.value, place);
        }
    }
}

fn root(base: &Base) -> At<'_> {
    At { base, last: None }
}

/// What a reference leads to, and what it is called. From 3.1 on, members beside it keep it where it is.
fn referenced<'d>(outline: &Outline<'d>, node: &Node<'d>, name: &str) -> (Node<'d>, String) {
    let bare = node.value.as_object().is_some_and(|members| {
        members.contains_key("$ref") && (members.len() == 1 || outline.dialect != Dialect::V31)
    });
    if bare && let Some(target) = outline.follow(node) {
        let called = target.pointer.tokens().last().map(|last| last.into_owned());
        return (target, called.unwrap_or_else(|| name.to_owned()));
    }
    (node.clone(), name.to_owned())
}

#[derive(Clone, Copy)]
struct Place<'a> {
    old: &'a At<'a>,
    new: &'a At<'a>,
    site: Site,
}

impl Place<'_> {
    fn with(self, site: Site) -> Self {
        Self { site, ..self }
    }

    const fn unknown(self) -> Self {
        Self {
            site: Site {
                polarity: Polarity::Unknown,
                ..self.site
            },
            ..self
        }
    }
}

/// The comparison of one pair, without what it refers to.
struct Run<'r, 's, 'o, 'n> {
    schemas: &'r mut Schemas<'s, 'o, 'n>,
    found: &'r mut Found,
    pair: usize,
}
