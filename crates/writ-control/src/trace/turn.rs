//! The smallest changes that would turn a decision.
//!
//! What is tried comes from what stopped the call and from what the rules about its action compare: an approval, a value
//! that is vouched for, a bound, a budget, a label, the mode, a literal of a rule in place of an argument. Each change is made
//! on a copy of the call, and the copy is decided by the same policies; an argument is read by the contract first. One change
//! is smaller than two; two are tried where none by itself is enough, and more are not.

use std::collections::BTreeSet;

use writ_policy::{Comparison, Constant};
use writ_types::{
    Asserter, Asserters, Bounds, Charge, Facts, Input, Label, Limits, Mode, Number, Origin,
    PlanStanding, Pointer, PurposeName, Timestamp, Value, Verdict,
};

use super::road::Asked;

/// Most single changes that are tried.
const MOST_TRIED: usize = 96;

/// Most changes of which pairs are tried.
const MOST_PAIRED: usize = 24;

/// Most changes that are offered.
const MOST_OFFERED: usize = 3;

/// Who can make a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The agent, by another call.
    Agent,
    /// Those who approve.
    Approvers,
    /// Whoever opens tasks.
    Opener,
    /// The owner of the agent.
    AgentOwner,
    /// The owner of the purpose.
    PurposeOwner,
    /// The owner of the API.
    ApiOwner,
    /// Time alone.
    Time,
}

impl Who {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "the agent",
            Self::Approvers => "those who approve",
            Self::Opener => "whoever opens the task",
            Self::AgentOwner => "the owner of the agent",
            Self::PurposeOwner => "the owner of the purpose",
            Self::ApiOwner => "the owner of the API",
            Self::Time => "time",
        }
    }
}

/// A change, or two together, that turns the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turned {
    /// What is changed.
    pub(crate) what: Vec<String>,
    /// Who can do it.
    pub(crate) who: Vec<Who>,
    /// What the call would be then: a verdict, or what the rules say of every such call where the arguments are not known.
    pub(crate) becomes: String,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Enabled,
    Approved(BTreeSet<String>),
    Waited(BTreeSet<String>),
    Argument(String, Option<Value>),
    Vouched(String),
    NotVouched(String),
    Unbound(String),
    Paid,
    Planned,
    Forgotten,
    Looked,
    Label(Label, bool),
    Mode(Mode),
    Granted,
    Reached,
    Opened,
    PurposeOf(PurposeName),
    Group(String, bool),
    Asserted,
    Called(String, bool),
    /// Whether a person has approved a call of the operation in the task.
    ApprovedBefore(String, bool),
    Fresh,
    Counted(&'static str, u64),
    At(Timestamp),
}

/// The changes that turn the decision, the smallest first, and how many were tried.
pub(super) fn search(asked: &Asked<'_>) -> (usize, Vec<Turned>) {
    let (before, _) = asked.decide();
    let mut candidates = candidates(asked);
    candidates.truncate(MOST_TRIED);
    let mut tried = 0_usize;
    let mut found: Vec<Turned> = Vec::new();
    let mut attempt = |changes: &[&Change]| {
        tried = tried.saturating_add(1);
        let mut changed = asked.clone();
        for change in changes {
            change.make(&mut changed)?;
        }
        let becomes = if changed.is_known() {
            let (verdict, _) = changed.decide();
            let turned = is_yes(verdict) != is_yes(before);
            turned.then(|| verdict.as_str().to_owned())
        } else {
            changed.prospect()
        };
        becomes.map(|becomes| Turned {
            what: changes.iter().map(|change| change.text(asked)).collect(),
            who: changes.iter().map(|change| change.who()).collect(),
            becomes,
        })
    };
    let mut places: Vec<&str> = Vec::new();
    for change in &candidates {
        // Of the values that turn it the nearest is the smallest change.
        let place = change.place();
        if place.is_some_and(|place| places.contains(&place)) {
            continue;
        }
        let turned = attempt(&[change]);
        places.extend(place.filter(|_| turned.is_some()));
        found.extend(turned);
        if found.len() >= MOST_OFFERED {
            break;
        }
    }
    if found.is_empty() {
        let paired = candidates.iter().take(MOST_PAIRED).enumerate();
        'pairs: for (number, first) in paired {
            let rest = candidates.iter().take(MOST_PAIRED);
            for second in rest.skip(number.saturating_add(1)) {
                found.extend(attempt(&[first, second]));
                if found.len() >= MOST_OFFERED {
                    break 'pairs;
                }
            }
        }
    }
    (tried, found)
}

const fn is_yes(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Allow | Verdict::Modify)
}

/// What could be changed, the least first.
fn candidates(asked: &Asked<'_>) -> Vec<Change> {
    let action = asked.ground.operation.action();
    let mut all: Vec<Change> = Vec::new();
    if let Some(needs) = asked.needs() {
        if !needs.waits.is_empty() {
            all.push(Change::Waited(needs.waits.clone()));
        }
        if !needs.roles.is_empty() {
            all.push(Change::Approved(needs.roles.clone()));
        }
    }
    let purpose_covers = asked
        .purpose
        .as_ref()
        .is_some_and(|purpose| purpose.actions.contains(action));
    let has = asked.agent.purposes.contains(&asked.grant.purpose);
    if !purpose_covers || !has || !asked.grant.holds(action) {
        all.push(Change::Granted);
    }
    if let Some(purpose) = &asked.purpose {
        all.extend((!purpose.reaches(asked.ground.api)).then_some(Change::Reached));
        all.extend((!purpose.is_open(asked.facts.now)).then_some(Change::Opened));
    }
    if !asked.agent.enabled {
        all.push(Change::Enabled);
    }
    all.extend(asked.quarantined.then_some(Change::Looked));
    all.extend(asked.unpaid.then_some(Change::Paid));
    let is_outside = asked.facts.plan == PlanStanding::Outside;
    all.extend(is_outside.then_some(Change::Planned));
    all.extend(asked.remembered.then_some(Change::Forgotten));
    all.extend(arguments(asked));
    let outside = asked
        .input
        .as_ref()
        .and_then(|input| asked.grant.violation(action, input));
    all.extend(outside.map(|place| Change::Unbound(place.to_string())));
    let weakest = asked.facts.arguments.weakest.iter();
    all.extend(weakest.map(|(place, origin)| {
        if origin.vouches() {
            Change::NotVouched(place.clone())
        } else {
            Change::Vouched(place.clone())
        }
    }));
    all.extend(around(asked));
    let mut once: Vec<Change> = Vec::new();
    for change in all {
        if !once.contains(&change) {
            once.push(change);
        }
    }
    once
}

/// Literals of rules in place of arguments, and members left out that rules look for.
fn arguments(asked: &Asked<'_>) -> Vec<Change> {
    let mut found = Vec::new();
    // Another argument would be read beside what was not kept.
    let input = asked.input.as_ref().filter(|_| asked.unseen.is_empty());
    let Some(input) = input else {
        return found;
    };
    let (comparisons, _) = asked
        .ground
        .pdp
        .turning_points(asked.ground.operation.action());
    let whole = input.to_value();
    for comparison in comparisons {
        let Some(place) = argument(comparison) else {
            continue;
        };
        let now = Pointer::parse(&place).and_then(|pointer| whole.at(&pointer).cloned());
        let values = values(&comparison.constant);
        let others = values
            .into_iter()
            .filter(|value| now.as_ref() != Some(value));
        found.extend(others.map(|value| Change::Argument(place.clone(), Some(value))));
        if now.is_some() {
            found.push(Change::Argument(place, None));
        }
    }
    let open = input.extra.iter().chain(&input.nulls);
    found.extend(open.map(|place| Change::Argument(place.clone(), None)));
    found.sort_by_key(|change| distance(change, &whole));
    found
}

/// How far a changed argument is from what it was. Only numbers are near each other.
fn distance(change: &Change, whole: &Value) -> u128 {
    let number = |value: &Value| value.to_string().parse::<i64>().ok();
    let Change::Argument(place, Some(new)) = change else {
        return u128::MAX;
    };
    let now = Pointer::parse(place).and_then(|pointer| number(whole.at(&pointer)?));
    match (now, number(new)) {
        (Some(now), Some(new)) => u128::from(now.abs_diff(new)),
        _ => u128::MAX,
    }
}

/// The place of the argument that a rule compares, if it is one.
fn argument(comparison: &Comparison) -> Option<String> {
    let (root, rest) = comparison.attribute.split_first()?;
    let part = rest.first()?;
    let is_argument = root == "context"
        && rest.len() > 1
        && matches!(part.as_str(), "path" | "query" | "header" | "body");
    is_argument.then(|| {
        let place = rest
            .iter()
            .fold(Pointer::root(), |place, name| place.child(name));
        place.to_string()
    })
}

/// A literal as an argument, and its neighbours where it is a whole number.
fn values(constant: &Constant) -> Vec<Value> {
    match constant {
        Constant::Text(text) => vec![Value::from(text.as_str())],
        Constant::Long(number) => [0, -1, 1]
            .into_iter()
            .filter_map(|by| number.checked_add(by))
            .map(Value::from_i64)
            .collect(),
        Constant::Decimal(text) => Number::parse(text).map(Value::Number).into_iter().collect(),
        Constant::Instant(text) => vec![Value::from(text.as_str())],
    }
}

/// What is around the call: labels, mode, groups, purposes, counts, time.
fn around(asked: &Asked<'_>) -> Vec<Change> {
    let mut found = Vec::new();
    let action = asked.ground.operation.action();
    let (comparisons, groups) = asked.ground.pdp.turning_points(action);
    for Comparison {
        attribute,
        constant,
    } in comparisons
    {
        let path: Vec<&str> = attribute.iter().map(String::as_str).collect();
        match (path.as_slice(), constant) {
            (["context", "sys", "labels" | "held"], Constant::Text(text)) => {
                if let Ok(label) = text.parse::<Label>() {
                    let there = asked.facts.labels.contains(&label);
                    found.push(Change::Label(label, !there));
                }
            }
            (["context", "sys", "seen"], Constant::Text(text)) => {
                let there = asked.facts.seen.contains(text);
                found.push(Change::Called(text.clone(), !there));
            }
            (["context", "sys", "approved"], Constant::Text(text)) => {
                let there = asked.facts.approved.contains(text);
                found.push(Change::ApprovedBefore(text.clone(), !there));
            }
            (["context", "sys", "count", name], Constant::Long(number)) => {
                found.push(Change::Fresh);
                for by in [0_i64, -1, 1] {
                    let count = number
                        .checked_add(by)
                        .and_then(|count| u64::try_from(count).ok());
                    found.extend(
                        count
                            .zip(counter(name))
                            .map(|(count, name)| Change::Counted(name, count)),
                    );
                }
            }
            (["context", "sys", "now"], Constant::Instant(text)) => {
                let instant = Timestamp::parse(text).or_else(|| whole_day(text));
                found.extend(instant.map(Change::At));
                let before = instant.map(|at| at.minus(std::time::Duration::from_millis(1)));
                found.extend(before.map(Change::At));
            }
            (["principal", "mode"] | ["principal", "agent", "mode"], Constant::Text(_)) => {
                let other = match asked.grant.mode {
                    Mode::Copilot => Mode::Autonomous,
                    Mode::Autonomous => Mode::Copilot,
                };
                found.push(Change::Mode(other));
            }
            (["principal", "purpose"], Constant::Text(text)) => {
                let purpose = text.parse::<PurposeName>().ok();
                let other = purpose.filter(|purpose| *purpose != asked.grant.purpose);
                found.extend(other.map(Change::PurposeOf));
            }
            (["principal", "vouched"], Constant::Text(_)) => found.push(Change::Asserted),
            _ => {}
        }
    }
    let groups = groups.into_iter();
    found.extend(groups.map(|group| {
        let is_in = asked.agent.groups.contains(group);
        Change::Group(group.to_owned(), !is_in)
    }));
    found
}

/// `2026-12-31` as Cedar reads it.
fn whole_day(text: &str) -> Option<Timestamp> {
    Timestamp::parse(&format!("{text}T00:00:00.000Z"))
        .or_else(|| Timestamp::parse(&format!("{}.000Z", text.strip_suffix('Z')?)))
}

fn counter(name: &str) -> Option<&'static str> {
    ["calls", "writes", "deletes", "irreversible", "thisOp"]
        .into_iter()
        .find(|counter| *counter == name)
}

impl Change {
    /// Makes the change; none if it cannot be made.
    fn make(&self, asked: &mut Asked<'_>) -> Option<()> {
        let action = asked.ground.operation.action().clone();
        match self {
            Self::Enabled => asked.agent.enabled = true,
            Self::Approved(roles) => asked.facts.approvals.extend(roles.iter().cloned()),
            Self::Waited(waits) => asked.facts.deferred.extend(waits.iter().cloned()),
            Self::Argument(place, value) => {
                asked.input = Some(argued(asked, place, value.as_ref())?);
                asked.faulty = false;
            }
            Self::Vouched(place) => {
                let weakest = &mut asked.facts.arguments.weakest;
                weakest.insert(place.clone(), Origin::Endorsement);
            }
            Self::NotVouched(place) => {
                let weakest = &mut asked.facts.arguments.weakest;
                weakest.insert(place.clone(), Origin::Unseen);
            }
            Self::Unbound(place) => asked.grant.bounds = without(asked, place)?,
            Self::Paid => asked.unpaid = false,
            Self::Planned => asked.facts.plan = PlanStanding::Follows(0),
            Self::Forgotten => asked.remembered = false,
            Self::Looked => asked.quarantined = false,
            Self::Label(label, true) => drop(asked.facts.labels.insert(label.clone())),
            Self::Label(label, false) => drop(asked.facts.labels.remove(label)),
            Self::Mode(mode) => {
                asked.grant.mode = *mode;
                asked.agent.mode = *mode;
            }
            Self::Granted => {
                let purpose = asked.purpose.as_mut()?;
                purpose.actions.insert(action.clone());
                asked.agent.purposes.insert(purpose.name.clone());
                asked.grant.actions.insert(action);
            }
            Self::Reached => asked.purpose.as_mut()?.environments.clear(),
            Self::Opened => asked.purpose.as_mut()?.hours = None,
            Self::PurposeOf(name) => {
                let purpose = asked.ground.purposes.get(name)?;
                asked.purpose = Some(purpose.clone());
                asked.grant.purpose = name.clone();
            }
            Self::Group(group, true) => drop(asked.agent.groups.insert(group.clone())),
            Self::Group(group, false) => drop(asked.agent.groups.remove(group)),
            Self::Asserted => asked.grant.asserters = Asserters::all(Asserter::AgentAccepted),
            Self::Called(operation, true) => drop(asked.facts.seen.insert(operation.clone())),
            Self::Called(operation, false) => drop(asked.facts.seen.remove(operation)),
            Self::ApprovedBefore(operation, there) => {
                let approved = &mut asked.facts.approved;
                let _changed = if *there {
                    approved.insert(operation.clone())
                } else {
                    approved.remove(operation)
                };
            }
            Self::Fresh => {
                asked.facts.spent = Charge::of(asked.ground.operation.effects());
                asked.facts.this_operation = 1;
            }
            Self::Counted(name, count) => {
                let own = Charge::of(asked.ground.operation.effects());
                let facts = &mut asked.facts;
                let (counter, least) = counter_of(facts, own, name)?;
                if *count < least {
                    return None;
                }
                *counter = *count;
            }
            Self::At(now) => asked.facts.now = *now,
        }
        Some(())
    }

    /// What is changed, in words.
    fn text(&self, asked: &Asked<'_>) -> String {
        let list = |texts: &BTreeSet<String>| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            texts.join(" and ")
        };
        let action = asked.ground.operation.action();
        let purpose = &asked.grant.purpose;
        match self {
            Self::Enabled => "the agent is enabled".to_owned(),
            Self::Approved(roles) => format!("an approval as {}", list(roles)),
            Self::Waited(waits) => format!("a wait of {}", list(waits)),
            Self::Argument(place, Some(value)) => format!("`{place}` is {value}"),
            Self::Argument(place, None) => format!("`{place}` is left out"),
            Self::Vouched(place) => format!("something vouches for the value of `{place}`"),
            Self::NotVouched(place) => format!("nothing vouches for the value of `{place}`"),
            Self::Unbound(place) => {
                format!("the task has no bound on `{place}`, or one that admits the value")
            }
            Self::Paid => {
                let charge = Charge::of(asked.ground.operation.effects());
                format!("the budget covers the call ({})", amounts(charge))
            }
            Self::Planned => "it is a step of the task's plan that is due".to_owned(),
            Self::Forgotten => "nobody has refused it (a no is remembered for a day)".to_owned(),
            Self::Looked => "the owner of the API promotes the changed operation".to_owned(),
            Self::Label(label, true) => format!("the task has read what is labelled `{label}`"),
            Self::Label(label, false) => {
                format!("the task has read nothing that is labelled `{label}`")
            }
            Self::Mode(mode) => format!("the mode is `{mode}`"),
            Self::Granted => {
                format!("the purpose `{purpose}` needs `{action}`, and the task is opened with it")
            }
            Self::Reached => format!("the purpose `{purpose}` reaches the API's environment"),
            Self::Opened => format!("it is made within the hours of the purpose `{purpose}`"),
            Self::PurposeOf(name) => format!("the task is opened for the purpose `{name}`"),
            Self::Group(group, true) => format!("the agent is in the group `{group}`"),
            Self::Group(group, false) => format!("the agent is not in the group `{group}`"),
            Self::Asserted => {
                "somebody other than the agent vouches for prompt, bounds and plan".to_owned()
            }
            Self::Called(operation, true) => format!("the task has called `{operation}` before"),
            Self::Called(operation, false) => {
                format!("the task has not called `{operation}` before")
            }
            Self::ApprovedBefore(operation, true) => {
                format!("a person has approved a call of `{operation}` in the task before")
            }
            Self::ApprovedBefore(operation, false) => {
                format!("nobody has approved a call of `{operation}` in the task before")
            }
            Self::Fresh => "it is the first call of its task".to_owned(),
            Self::Counted(name, count) => format!("`count.{name}` is {count}"),
            Self::At(now) => format!("it is made at {now}"),
        }
    }

    /// The argument that gets another value.
    fn place(&self) -> Option<&str> {
        if let Self::Argument(place, Some(_)) = self {
            return Some(place);
        }
        None
    }

    const fn who(&self) -> Who {
        match self {
            Self::Argument(..) => Who::Agent,
            Self::Approved(_) | Self::ApprovedBefore(..) | Self::Vouched(_) | Self::Forgotten => {
                Who::Approvers
            }
            Self::Unbound(_)
            | Self::Paid
            | Self::Planned
            | Self::Fresh
            | Self::Counted(..)
            | Self::Called(..)
            | Self::Label(..)
            | Self::NotVouched(_)
            | Self::PurposeOf(_)
            | Self::Asserted => Who::Opener,
            Self::Reached => Who::PurposeOwner,
            Self::Opened => Who::Time,
            Self::Enabled | Self::Mode(_) | Self::Group(..) => Who::AgentOwner,
            Self::Granted => Who::PurposeOwner,
            Self::Looked => Who::ApiOwner,
            Self::Waited(_) | Self::At(_) => Who::Time,
        }
    }
}

fn amounts(charge: Charge) -> String {
    let all = [
        ("calls", charge.calls),
        ("writes", charge.writes),
        ("deletes", charge.deletes),
        ("irreversible", charge.irreversible),
    ];
    let some = all.into_iter().filter(|(_, count)| *count > 0);
    let some: Vec<String> = some
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    some.join(", ")
}

/// A counter, and what it is at least with this call.
fn counter_of<'f>(facts: &'f mut Facts, own: Charge, name: &str) -> Option<(&'f mut u64, u64)> {
    Some(match name {
        "calls" => (&mut facts.spent.calls, own.calls),
        "writes" => (&mut facts.spent.writes, own.writes),
        "deletes" => (&mut facts.spent.deletes, own.deletes),
        "irreversible" => (&mut facts.spent.irreversible, own.irreversible),
        "thisOp" => (&mut facts.this_operation, 1),
        _ => return None,
    })
}

/// The bounds of the task without the one at `place`.
fn without(asked: &Asked<'_>, place: &str) -> Option<Bounds> {
    let action = asked.ground.operation.action().to_string();
    let Value::Object(mut bounds) = asked.grant.bounds.to_value() else {
        return None;
    };
    if let Value::Object(own) = bounds.get_mut(&action)? {
        own.remove(place)?;
        if own.is_empty() {
            bounds.remove(&action);
        }
    }
    Bounds::parse(&Value::Object(bounds)).ok()
}

/// The arguments with another value at `place`, or without one, as the contract reads them; none if it does not take them.
fn argued(asked: &Asked<'_>, place: &str, value: Option<&Value>) -> Option<Input> {
    let pointer = Pointer::parse(place)?;
    let tokens: Vec<String> = pointer.tokens().map(std::borrow::Cow::into_owned).collect();
    let mut whole = asked.input.as_ref()?.to_value();
    if !put(&mut whole, &tokens, value) {
        return None;
    }
    if let Value::Object(parts) = &mut whole {
        let is_empty = |part: &Value| {
            part.as_object()
                .is_some_and(std::collections::BTreeMap::is_empty)
        };
        parts.retain(|name, part| name == "body" || !is_empty(part));
    }
    let Asked { ground, .. } = asked;
    let read = ground
        .contract
        .read_tool_call(ground.operation, &whole, &Limits::default());
    read.parsed.faults.is_empty().then_some(read.parsed.input)
}

/// Sets or removes what stands at `tokens`, in every item where that is a list; `false` if nothing is there to hold it.
fn put(value: &mut Value, tokens: &[String], new: Option<&Value>) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return false;
    };
    match value {
        Value::Object(members) if rest.is_empty() => match new {
            Some(new) => {
                members.insert(token.clone(), new.clone());
                true
            }
            None => members.remove(token).is_some(),
        },
        Value::Object(members) => members
            .get_mut(token)
            .is_some_and(|inner| put(inner, rest, new)),
        Value::Array(items) => {
            let mut done = false;
            for item in items {
                done |= put(item, tokens, new);
            }
            done
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
