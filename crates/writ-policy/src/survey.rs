//! What can be said of an action before anybody calls it: for each rule whether it applies to every call, to none, or
//! depends on the call. This is what a change is compared by (`writ plan`), and it is never part of a decision.
//!
//! Fixed before the call are the task (agent, groups, mode, purpose, declared actions, budget), the action and the API.
//! Everything else of the context is the call's, and so is the requester: a task may be opened for anybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{
    self, BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, PrincipalConstraint, Template, UnaryOp,
};
use cedar_policy::{Context, Effect, Policy, PolicySet, Request};
use writ_types::{ActionName, Agent, Digest, Grant, PlanStanding};

use crate::decide::Outcome;
use crate::entities::{Prepared, record, text};
use crate::index::{ActionIndex, Known};
use crate::pdp::Pdp;
use crate::rule::Reads;
use crate::schema::Root;
use crate::walk;

/// Whether a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// To no call of the task.
    Never,
    /// It depends on the call: its arguments, labels, counters, the time, the requester.
    Depends,
    /// To every call of the task.
    Always,
}

/// What a rule does when it applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// It allows.
    Permits,
    /// It refuses.
    Forbids,
    /// It refuses until somebody in this role approves.
    AsksApproval(String),
    /// It refuses until this time has passed.
    Defers(String),
    /// It says what is done to the response, and grants nothing.
    Obliges(String),
}

/// How one rule stands to an action of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its `@id`.
    pub rule: String,
    /// Of everything it says, annotations included. Two rules with the same one are the same.
    pub digest: Digest,
    /// What it does.
    pub part: Part,
    /// Whether it applies.
    pub holds: Holds,
}

/// A bundle, taken apart for asking what is fixed in it.
#[derive(Debug)]
pub struct Survey<'p> {
    pdp: &'p Pdp,
    rules: BTreeMap<&'p str, Taken>,
}

/// One rule, taken apart.
#[derive(Debug)]
struct Taken {
    file: String,
    digest: Digest,
    part: Part,
    /// Its conditions that are fixed before the call; none if they cannot be told apart.
    fixed: Option<PolicySet>,
    /// Whether it has others.
    depends: bool,
    /// Of each clause that takes calls out, what of it is fixed: where that does not hold, the clause takes none.
    guards: Vec<PolicySet>,
}

impl Pdp {
    /// Takes the bundle apart for [`Survey::standings`].
    #[must_use]
    pub fn survey(&self) -> Survey<'_> {
        Survey::new(self)
    }
}

impl<'p> Survey<'p> {
    fn new(pdp: &'p Pdp) -> Self {
        let rules = pdp
            .known()
            .map(|rule| (rule.id.as_str(), Taken::of(rule)))
            .collect();
        Self { pdp, rules }
    }

    /// The rules of one file by their `@id`, each with the digest of what it says.
    #[must_use]
    pub fn in_file(&self, file: &str) -> BTreeMap<&'p str, Digest> {
        let rules = self.rules.iter();
        rules
            .filter(|(_, taken)| taken.file == file)
            .map(|(id, taken)| (*id, taken.digest))
            .collect()
    }

    /// The rules about an action by their `@id`, each with the digest of what it says. Empty for an unknown action.
    #[must_use]
    pub fn about(&self, action: &ActionName) -> BTreeMap<&str, Digest> {
        let sets = self.pdp.action(action).map(|index| &index.sets);
        let rules = sets.into_iter().flatten().flat_map(|set| &set.rules);
        rules
            .filter_map(|rule| {
                let (id, taken) = self.rules.get_key_value(rule.id.as_str())?;
                Some((*id, taken.digest))
            })
            .collect()
    }

    /// How every rule about the action stands to a task with this grant, in the order of their ids. Empty for an action
    /// that the bundle does not have.
    ///
    /// # Errors
    ///
    /// Why the task's entities cannot be made; every call of the task would be refused alike.
    pub fn standings(
        &self,
        agent: &Agent,
        grant: &Grant,
        actions: impl IntoIterator<Item = ActionName>,
    ) -> Result<BTreeMap<ActionName, Vec<Standing>>, String> {
        let prepared = Prepared::new(self.pdp, agent, grant)?;
        let mut all = BTreeMap::new();
        for action in actions {
            let standings = match self.pdp.action(&action) {
                Some(index) => self.of_action(&prepared, index, &action)?,
                None => Vec::new(),
            };
            all.insert(action, standings);
        }
        Ok(all)
    }

    fn of_action(
        &self,
        prepared: &Prepared,
        index: &ActionIndex,
        action: &ActionName,
    ) -> Result<Vec<Standing>, String> {
        let request = request(prepared, index, action)?;
        let mut standings: Vec<Standing> = index
            .sets
            .iter()
            .flat_map(|set| &set.rules)
            .filter_map(|known| Some((known, self.rules.get(known.id.as_str())?)))
            .map(|(known, taken)| Standing {
                rule: known.id.clone(),
                digest: taken.digest,
                part: taken.part.clone(),
                holds: taken.holds(&request, prepared),
            })
            .collect();
        standings.sort_by(|one, other| one.rule.cmp(&other.rule));
        Ok(standings)
    }
}

/// A request with what is fixed of its context. It is one of a task without a plan: a plan only binds whoever opens with it.
fn request(
    prepared: &Prepared,
    index: &ActionIndex,
    action: &ActionName,
) -> Result<Request, String> {
    let sys = record([
        ("op", text(action.operation.as_str())),
        ("action", text(&action.to_string())),
        ("plan", text(PlanStanding::Free.as_str())),
    ])?;
    let context =
        Context::from_pairs([("sys".to_owned(), sys)]).map_err(|error| error.to_string())?;
    Request::new(
        prepared.task.clone(),
        index.uid.clone(),
        index.upstream.clone(),
        context,
        None,
    )
    .map_err(|error| error.to_string())
}

impl Taken {
    fn of(rule: &Known) -> Self {
        let tree = rule.policy.to_pst().ok();
        let split = tree.and_then(|tree| split(tree.body()));
        let (fixed, depends, guards) = match split {
            Some(Split {
                fixed,
                depends,
                guards,
            }) => (Some(fixed), depends, guards),
            None => (None, true, Vec::new()),
        };
        Self {
            file: rule.file.clone(),
            digest: digest(&rule.policy),
            part: part(&rule.policy),
            fixed,
            depends,
            guards,
        }
    }

    fn holds(&self, request: &Request, prepared: &Prepared) -> Holds {
        let Some(fixed) = &self.fixed else {
            return Holds::Depends;
        };
        let mut outcome = Outcome::default();
        outcome.add(request, fixed, &prepared.entities);
        if !outcome.errors.is_empty() {
            // What cannot be evaluated refuses a call; that is for the call to show.
            return Holds::Depends;
        }
        let takes_out = |guard: &PolicySet| {
            let mut outcome = Outcome::default();
            outcome.add(request, guard, &prepared.entities);
            !outcome.permits.is_empty() || !outcome.errors.is_empty()
        };
        match (
            outcome.permits.is_empty() && outcome.forbids.is_empty(),
            self.depends || self.guards.iter().any(takes_out),
        ) {
            (true, _) => Holds::Never,
            (false, true) => Holds::Depends,
            (false, false) => Holds::Always,
        }
    }
}

/// What the rule does, by its effect and the annotations that change it.
pub(crate) fn part(policy: &Policy) -> Part {
    let value = |name| policy.annotation(name).map(str::to_owned);
    match policy.effect() {
        Effect::Permit => value("oblige").map_or(Part::Permits, Part::Obliges),
        Effect::Forbid => {
            let approval = value("approval").map(Part::AsksApproval);
            approval
                .or_else(|| value("defer").map(Part::Defers))
                .unwrap_or(Part::Forbids)
        }
    }
}

/// Of the rule's JSON form: spaces and comments are no part of what a rule says.
fn digest(policy: &Policy) -> Digest {
    let text = policy.to_json().map_or_else(
        |_no_json| policy.to_string(),
        |json| {
            let mut said = json;
            if let Some(annotations) = said
                .get_mut("annotations")
                .and_then(serde_json::Value::as_object_mut)
            {
                for name in ["doc", "owner"] {
                    annotations.remove(name);
                }
            }
            said.to_string()
        },
    );
    Digest::of_parts(&[b"writ rule said v1\n", text.as_bytes()])
}

/// A rule, taken apart.
struct Split {
    /// The part that is fixed before the call.
    fixed: PolicySet,
    /// Whether there is another.
    depends: bool,
    /// The fixed parts of clauses that take calls out.
    guards: Vec<PolicySet>,
}

/// Takes a rule apart. None if it cannot be rebuilt.
fn split(tree: &Template) -> Option<Split> {
    let mut depends = false;
    let mut guards = Vec::new();
    let principal = if is_persons(&tree.principal) {
        depends = true;
        PrincipalConstraint::Any
    } else {
        tree.principal.clone()
    };
    let softened =
        tree.annotations.contains_key("approval") || tree.annotations.contains_key("defer");
    let mut fixed = Vec::new();
    for clause in tree.clauses() {
        if let Some(guard) = guard(tree, clause) {
            guards.push(guard);
            continue;
        }
        for (condition, negated) in conjuncts(clause) {
            match reads(&condition) {
                Reading::Fixed if negated => fixed.push(Clause::Unless(condition)),
                Reading::Fixed => fixed.push(Clause::When(condition)),
                // What lifts the rule is no part of when it applies.
                Reading::Lifting if softened && negated => {}
                Reading::Lifting | Reading::Call => depends = true,
            }
        }
    }
    let template = Template::new(
        tree.id.clone(),
        tree.effect,
        principal,
        tree.action.clone(),
        tree.resource.clone(),
    );
    let template = template.try_with_clauses(fixed).ok()?;
    let fixed = pst::StaticPolicy::try_from(template).ok()?;
    let policy = Policy::from_pst(pst::Policy::Static(fixed)).ok()?;
    let mut set = PolicySet::new();
    set.add(policy).ok()?;
    Some(Split {
        fixed: set,
        depends,
        guards,
    })
}

/// Of `unless { a && b && … }`, such as an exception's, what is fixed before the call, where some of it is and some is not: a rule
/// of its own that permits where the clause could take a call out.
fn guard(tree: &Template, clause: &Clause) -> Option<PolicySet> {
    let Clause::Unless(condition) = clause else {
        return None;
    };
    let all = conjuncts(&Clause::When(Arc::clone(condition)));
    let is_fixed = |(condition, _): &&(Arc<Expr>, bool)| reads(condition) == Reading::Fixed;
    let (fixed, others): (Vec<_>, Vec<_>) = all.iter().partition(is_fixed);
    let reads_call = |(condition, _): &&(Arc<Expr>, bool)| reads(condition) == Reading::Call;
    if fixed.is_empty() || others.is_empty() || !others.iter().all(reads_call) {
        return None;
    }
    let clauses = fixed.into_iter().map(|(condition, negated)| {
        let condition = Arc::clone(condition);
        if *negated {
            Clause::Unless(condition)
        } else {
            Clause::When(condition)
        }
    });
    let template = Template::new(
        tree.id.clone(),
        pst::Effect::Permit,
        PrincipalConstraint::Any,
        pst::ActionConstraint::Any,
        pst::ResourceConstraint::Any,
    );
    let template = template
        .try_with_clauses(clauses.collect::<Vec<_>>())
        .ok()?;
    let policy = pst::StaticPolicy::try_from(template).ok()?;
    let policy = Policy::from_pst(pst::Policy::Static(policy)).ok()?;
    let mut set = PolicySet::new();
    set.add(policy).ok()?;
    Some(set)
}

/// The conditions that must all hold for the clause to, each with whether it is negated.
fn conjuncts(clause: &Clause) -> Vec<(Arc<Expr>, bool)> {
    let mut open = match clause {
        Clause::When(condition) => vec![(Arc::clone(condition), false)],
        Clause::Unless(condition) => vec![(Arc::clone(condition), true)],
    };
    let mut found = Vec::new();
    while let Some((expr, negated)) = open.pop() {
        if let Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } = &*expr
        {
            open.push((Arc::clone(expr), !negated));
            continue;
        }
        // `!(a || b)` is `!a && !b`.
        let joint = if negated { BinaryOp::Or } else { BinaryOp::And };
        if let Expr::BinaryOp { op, left, right } = &*expr
            && *op == joint
        {
            open.extend([(Arc::clone(left), negated), (Arc::clone(right), negated)]);
            continue;
        }
        found.push((expr, negated));
    }
    found
}

/// What a condition reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Only what is fixed before the call.
    Fixed,
    /// Only what lifts a rule: approvals and waits.
    Lifting,
    /// Something of the call.
    Call,
}

fn reads(condition: &Expr) -> Reading {
    let reads: Reads = walk::of_condition(condition);
    if reads.whole_context || reads.blind_has.is_some() || reads.entities.iter().any(is_person) {
        return Reading::Call;
    }
    let kind = |root: Root, attrs: &[String]| {
        let mut attrs = attrs.iter().map(String::as_str);
        match (root, attrs.next(), attrs.next()) {
            (Root::Principal, Some("requester"), _) => Reading::Call,
            (Root::Principal | Root::Action | Root::Resource, _, _)
            | (Root::Context, Some("sys"), Some("op" | "action" | "plan")) => Reading::Fixed,
            (Root::Context, Some("sys"), Some("approvals" | "deferred")) => Reading::Lifting,
            (Root::Context, _, _) => Reading::Call,
        }
    };
    let mut kinds = reads.paths.iter().map(|path| kind(path.root, &path.attrs));
    let Some(first) = kinds.next() else {
        return Reading::Fixed;
    };
    if kinds.all(|other| other == first) {
        first
    } else {
        Reading::Call
    }
}

/// Whether the scope is about a person or one single task, which are not known before the call.
fn is_persons(scope: &PrincipalConstraint) -> bool {
    match scope {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
        PrincipalConstraint::Eq(entity)
        | PrincipalConstraint::In(entity)
        | PrincipalConstraint::IsIn(_, entity) => match entity {
            EntityOrSlot::Entity(entity) => is_person(entity),
            EntityOrSlot::Slot(_) => true,
        },
    }
}

fn is_person(entity: &EntityUID) -> bool {
    matches!(entity.ty.to_string().as_str(), "Writ::User" | "Writ::Task")
}
