//! The action index: for each action the rules about it, ready to evaluate, and what they look at.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::{EntityUid, Policy, PolicySet};
use writ_types::{ActionName, ApiId, Digest, Projection};

use crate::diagnostic::Diagnostic;
use crate::exception::Liftings;
use crate::findings::Lint;
use crate::pdp::Named;
use crate::rule::{Comparison, Mention, Path, Rule, RuleEffect, Turn};
use crate::schema::{ApiModel, Operation, Root, Shape};
use crate::scope::{Apis, Scope};
use crate::validate::Scoped;
use crate::vocabulary::{INPUT_PARTS, SYS};

/// What is kept of a rule for explaining and records.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) effect: RuleEffect,
    pub(crate) doc: Option<String>,
    /// Its `@owner`.
    pub(crate) owner: Option<String>,
    /// The attributes that its conditions mention.
    pub(crate) paths: Vec<Path>,
    /// What it compares them with.
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) reads_input: bool,
    pub(crate) turn: Turn,
    pub(crate) digest: Digest,
    /// It asks whether something vouches for the arguments.
    pub(crate) reads_vouched: bool,
    pub(crate) scope: Scope,
    pub(crate) policy: Policy,
    /// What it names of a registry.
    pub(crate) named: Vec<Named>,
}

/// Rules that apply together, shared by all actions to which the same ones apply.
#[derive(Debug)]
pub(crate) struct RuleSet {
    pub(crate) rules: Vec<Arc<Known>>,
    /// All that grant or refuse.
    pub(crate) all: PolicySet,
    /// The forbids that read nothing of the input: all that is decided when the input is faulty.
    pub(crate) blind: PolicySet,
    /// Those that oblige, which grant nothing.
    pub(crate) obliging: PolicySet,
    paths: BTreeSet<Path>,
    whole_context: bool,
}

/// Which members of `context.sys` the rules look at.
#[derive(Debug, Default, Clone)]
pub(crate) struct Facts {
    members: BTreeSet<&'static str>,
    /// The windows whose sums they look at; none: of all.
    sums: Option<BTreeSet<String>>,
    /// The windows that they look at; none: all.
    windows: Option<BTreeSet<String>>,
}

impl Facts {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.members.contains(name)
    }

    /// Whether they look at the sum of a window.
    pub(crate) fn sums(&self, window: &str) -> bool {
        let named = |sums: &BTreeSet<String>| sums.contains(window);
        self.wants("windows") && self.sums.as_ref().is_none_or(named)
    }

    /// Whether they look at a window.
    pub(crate) fn watches(&self, window: &str) -> bool {
        let named = |windows: &BTreeSet<String>| windows.contains(window);
        self.wants("windows") && self.windows.as_ref().is_none_or(named)
    }

    /// Adds what others look at.
    pub(crate) fn join(&mut self, other: &Self) {
        self.members.extend(&other.members);
        let both = |own: &mut Option<BTreeSet<String>>, other: &Option<BTreeSet<String>>| {
            *own = own.take().zip(other.clone()).map(|(mut own, more)| {
                own.extend(more);
                own
            });
        };
        both(&mut self.sums, &other.sums);
        both(&mut self.windows, &other.windows);
    }
}

/// One action, ready to be decided.
#[derive(Debug)]
pub(crate) struct ActionIndex {
    pub(crate) uid: EntityUid,
    pub(crate) upstream: EntityUid,
    /// At most two: the rules about the operation's class, and the rules that name it. Few rules are in one.
    pub(crate) sets: Vec<Arc<RuleSet>>,
    /// The exceptions that name it. They lift nothing by themselves: the clauses of rules do.
    pub(crate) exceptions: PolicySet,
    /// Of the input.
    pub(crate) projection: Projection,
    pub(crate) facts: Facts,
}

/// All actions of a bundle.
pub(crate) type Index = BTreeMap<ActionName, Arc<ActionIndex>>;

/// Up to this many rules about a class of operations are repeated for each operation that has rules of its own. Asking
/// one set instead of two saves microseconds; repeating many would cost memory.
const FEW: usize = 16;

/// Builds the index. A rule without a set would be a forbid that is never asked, so sets that Cedar refuses are faults.
pub(crate) fn build(
    rules: &[Scoped<'_, '_>],
    known: &[Arc<Known>],
    apis: &Apis,
    liftings: &Liftings<'_>,
) -> Result<Index, Vec<Diagnostic>> {
    let mut wide: BTreeMap<(ApiId, Vec<&'static str>), Wide> = BTreeMap::new();
    let mut named = named(rules, apis);
    let mut index = Index::new();
    for model in apis.values() {
        for operation in model.operations.values() {
            let key = (model.id.clone(), operation.groups().collect());
            let wide = match wide.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Wide::of(operation, rules, known)?),
            };
            let own = named.remove(&operation.action).unwrap_or_default();
            let sets = if own.is_empty() {
                wide.set.iter().cloned().collect()
            } else if wide.places.len() <= FEW {
                let both = wide.places.iter().copied().chain(own);
                RuleSet::of(both, rules, known)?.into_iter().collect()
            } else {
                let own = RuleSet::of(own.into_iter(), rules, known)?;
                wide.set.iter().cloned().chain(own).collect()
            };
            let mut action = ActionIndex::new(operation, model, sets);
            action.exceptions =
                liftings.naming(&operation.action, |rule| action.rule(rule).is_some())?;
            index.insert(operation.action.clone(), Arc::new(action));
        }
    }
    Ok(index)
}

/// The rules about a class of operations of one API.
struct Wide {
    places: Vec<usize>,
    set: Option<Arc<RuleSet>>,
}

impl Wide {
    fn of(
        operation: &Operation,
        rules: &[Scoped<'_, '_>],
        known: &[Arc<Known>],
    ) -> Result<Self, Vec<Diagnostic>> {
        let covering = rules.iter().enumerate();
        let places: Vec<usize> = covering
            .filter(|(_, (_, scope))| scope.covers_widely(operation))
            .map(|(place, _)| place)
            .collect();
        let set = RuleSet::of(places.iter().copied(), rules, known)?;
        Ok(Self { places, set })
    }
}

/// For each action the rules that name it and do not cover it as one of a class.
fn named(rules: &[Scoped<'_, '_>], apis: &Apis) -> BTreeMap<ActionName, Vec<usize>> {
    let mut named: BTreeMap<ActionName, Vec<usize>> = BTreeMap::new();
    for (place, (_, scope)) in rules.iter().enumerate() {
        for model in apis.values() {
            let operations = scope.operations.get(&model.id).into_iter().flatten();
            for operation in operations.filter_map(|id| model.operations.get(id)) {
                if scope.names(operation) && !scope.covers_widely(operation) {
                    let places = named.entry(operation.action.clone()).or_default();
                    places.push(place);
                }
            }
        }
    }
    named
}

impl RuleSet {
    fn of(
        places: impl Iterator<Item = usize>,
        rules: &[Scoped<'_, '_>],
        known: &[Arc<Known>],
    ) -> Result<Option<Arc<Self>>, Vec<Diagnostic>> {
        let mut set = Self {
            rules: Vec::new(),
            all: PolicySet::new(),
            blind: PolicySet::new(),
            obliging: PolicySet::new(),
            paths: BTreeSet::new(),
            whole_context: false,
        };
        for (rule, known) in
            places.filter_map(|place| Some((rules.get(place)?.0, known.get(place)?)))
        {
            set.add(rule, known)
                .map_err(|message| vec![rule.fault(Lint::Syntax, "id", message, None)])?;
        }
        Ok((!set.rules.is_empty()).then(|| Arc::new(set)))
    }

    fn add(&mut self, rule: &Rule<'_>, known: &Arc<Known>) -> Result<(), String> {
        let added = |set: &mut PolicySet| {
            set.add(rule.evaluated.clone())
                .map_err(|error| error.to_string())
        };
        match known.effect {
            RuleEffect::Oblige => added(&mut self.obliging)?,
            RuleEffect::Permit | RuleEffect::Forbid => added(&mut self.all)?,
        }
        if known.effect == RuleEffect::Forbid && !known.reads_input {
            added(&mut self.blind)?;
        }
        self.paths.extend(rule.reads.paths.iter().cloned());
        self.whole_context |= rule.reads.whole_context;
        self.rules.push(Arc::clone(known));
        Ok(())
    }
}

impl ActionIndex {
    /// A rule about the action by its `@id`.
    pub(crate) fn rule(&self, id: &str) -> Option<&Known> {
        let mut rules = self.sets.iter().flat_map(|set| &set.rules);
        rules.find(|rule| rule.id == id).map(|rule| &**rule)
    }

    fn new(operation: &Operation, model: &ApiModel, sets: Vec<Arc<RuleSet>>) -> Self {
        let whole = sets.iter().any(|set| set.whole_context);
        let paths: BTreeSet<&Path> = sets.iter().flat_map(|set| &set.paths).collect();
        let (projection, facts) = if whole {
            let parts = INPUT_PARTS.map(|part| (part.to_owned(), Projection::All));
            let facts = Facts {
                members: SYS.iter().map(|field| field.name).collect(),
                sums: None,
                windows: None,
            };
            (Projection::Some(BTreeMap::from(parts)), facts)
        } else {
            (projection(operation, &paths), facts(&paths))
        };
        Self {
            uid: operation.uid.clone(),
            upstream: model.upstream.clone(),
            sets,
            exceptions: PolicySet::new(),
            projection,
            facts,
        }
    }
}

/// What the rules look at in the input of one operation.
///
/// `has` on a record asks only whether it is there, so the record is projected without members unless they are
/// mentioned too: what nobody reads cannot make a call unrepresentable.
fn projection(operation: &Operation, paths: &BTreeSet<&Path>) -> Projection {
    let mut projection = Projection::Nothing;
    let context = Shape::root(Root::Context, Some(operation));
    for path in paths.iter().filter(|path| path.root == Root::Context) {
        if path.attrs.first().is_none_or(|first| first == "sys") {
            continue;
        }
        let Some(shape) = context.at(&path.attrs) else {
            continue;
        };
        let presence = path.mention == Mention::Has && shape.is_input_record();
        insert(
            &mut projection,
            &path.attrs,
            if presence { Leaf::Presence } else { Leaf::All },
        );
    }
    projection
}

#[derive(Clone, Copy)]
enum Leaf {
    All,
    Presence,
}

fn insert(projection: &mut Projection, attrs: &[String], leaf: Leaf) {
    let mut node = projection;
    for attr in attrs {
        if matches!(node, Projection::Nothing) {
            *node = Projection::Some(BTreeMap::new());
        }
        match node {
            Projection::Some(children) => node = children.entry(attr.clone()).or_default(),
            Projection::All | Projection::Nothing => return,
        }
    }
    match (leaf, &node) {
        (Leaf::All, _) => *node = Projection::All,
        (Leaf::Presence, Projection::Nothing) => *node = Projection::Some(BTreeMap::new()),
        (Leaf::Presence, Projection::All | Projection::Some(_)) => {}
    }
}

fn facts(paths: &BTreeSet<&Path>) -> Facts {
    let mut facts = Facts {
        members: BTreeSet::new(),
        sums: Some(BTreeSet::new()),
        windows: Some(BTreeSet::new()),
    };
    for path in paths.iter().filter(|path| path.root == Root::Context) {
        let mut attrs = path.attrs.iter().map(String::as_str);
        if attrs.next() != Some("sys") {
            continue;
        }
        let member = attrs.next();
        let wanted = SYS
            .iter()
            .filter(|field| member.is_none_or(|member| member == field.name));
        facts.members.extend(wanted.map(|field| field.name));
        // What is not named down to a member is looked at whole.
        let (window, of_window) = (attrs.next(), attrs.next());
        match (member, window) {
            (Some("windows"), Some(window)) => {
                if let Some(windows) = &mut facts.windows {
                    windows.insert(window.to_owned());
                }
            }
            (Some("windows"), None) | (None, _) => facts.windows = None,
            (Some(_), _) => {}
        }
        match (member, window, of_window) {
            (Some("windows"), Some(_), Some("calls" | "others")) => {}
            (Some("windows"), Some(window), _) => {
                if let Some(sums) = &mut facts.sums {
                    sums.insert(window.to_owned());
                }
            }
            (Some("windows"), None, _) | (None, _, _) => facts.sums = None,
            (Some(_), _, _) => {}
        }
    }
    facts
}
