//! Who could do what, before and after: every agent, purpose and action, by the rules themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use writ_policy::{Holds, Part, Standing, Survey};
use writ_types::{
    ActionName, Agent, Bounds, Charge, Effects, Grant, Plan, Purpose, PurposeName, SpiffeId,
    TaskId, Tenant, Timestamp, Value,
};

use super::proof::Proof;
use super::side::Side;
use super::{Place, either, is_grave};

/// The rules of both sides, taken apart.
#[derive(Debug)]
pub(super) struct Surveys<'a> {
    pub(super) before: Survey<'a>,
    pub(super) after: Survey<'a>,
}

/// Whether something could be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// No call of it can be allowed.
    No(Refusal),
    /// Some call of it may be allowed; what is asked for beside.
    Yes {
        /// Whether that depends on the call.
        depends: bool,
        /// Who approves every such call, and what every such call waits for.
        asks: BTreeSet<String>,
    },
}

impl Access {
    /// The answer in one word: `yes`, `with_approval` (or after a wait), `depends`, `no`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::No(_) => "no",
            Self::Yes { asks, .. } if !asks.is_empty() => "with_approval",
            Self::Yes { depends: true, .. } => "depends",
            Self::Yes { .. } => "yes",
        }
    }
}

/// Why no call can be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The agent is not registered.
    NoAgent,
    /// The agent is stopped.
    Stopped,
    /// The agent does not have the purpose.
    NoPurpose,
    /// The purpose does not name the action.
    NotNamed,
    /// The API is in no environment that the purpose reaches.
    Environment,
    /// The contract does not have the operation.
    NoOperation,
    /// The purpose's budget does not cover it.
    Budget,
    /// A rule forbids it whatever the call.
    Forbidden(String),
    /// No rule permits it.
    NotPermitted,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAgent => "the agent is not registered",
            Self::Stopped => "the agent is stopped",
            Self::NoPurpose => "the agent does not have the purpose",
            Self::NotNamed => "the purpose does not name it",
            Self::Environment => "the API is in no environment that the purpose reaches",
            Self::NoOperation => "the contract does not have it",
            Self::Budget => "the purpose's budget does not cover it",
            Self::Forbidden(rule) => return write!(f, "forbidden by `{rule}`"),
            Self::NotPermitted => "no rule permits it",
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No(why) => write!(f, "no: {why}"),
            Self::Yes { depends, asks } => {
                f.write_str(if *depends {
                    "depends on the call"
                } else {
                    "yes"
                })?;
                for ask in asks {
                    write!(f, ", {ask}")?;
                }
                Ok(())
            }
        }
    }
}

/// What becomes of somebody's access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It was impossible, and no longer is.
    Gains,
    /// More calls may be allowed than before.
    MayGain,
    /// Rules changed, and the calls that are allowed did not, or only fewer are.
    NoMore,
    /// Fewer calls may be allowed than before.
    MayLose,
    /// It was possible, and no longer is.
    Loses,
}

impl Direction {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gains => "gains",
            Self::MayGain => "may_gain",
            Self::NoMore => "no_more",
            Self::MayLose => "may_lose",
            Self::Loses => "loses",
        }
    }
}

/// A rule that stands otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleShift {
    /// Its `@id`.
    pub rule: String,
    /// What became of it: `added`, `removed`, `changed`, or how it applies now.
    pub what: &'static str,
}

/// What becomes of the access of one agent, for one purpose, to one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// The agent.
    pub agent: SpiffeId,
    /// The purpose of its task.
    pub purpose: PurposeName,
    /// The action.
    pub action: ActionName,
    /// What the action does; afterwards, where it is there.
    pub effects: Effects,
    /// Which way.
    pub direction: Direction,
    /// Before.
    pub before: Access,
    /// After.
    pub after: Access,
    /// The rules that stand otherwise.
    pub rules: Vec<RuleShift>,
    /// Whether agent and purpose are the same on both sides.
    same_task: bool,
}

impl Shift {
    /// Whether it is more of what cannot be undone or leaves the house.
    #[must_use]
    pub const fn is_grave(&self) -> bool {
        matches!(self.direction, Direction::Gains | Direction::MayGain) && is_grave(self.effects)
    }

    pub(super) fn to_value(&self) -> Value {
        let rule = |shift: &RuleShift| {
            Value::object([
                ("rule", Value::from(shift.rule.as_str())),
                ("what", Value::from(shift.what)),
            ])
        };
        Value::object([
            ("agent", Value::from(self.agent.as_str())),
            ("purpose", Value::from(self.purpose.as_str())),
            ("action", Value::from(self.action.to_string())),
            ("effects", Value::from(self.effects.to_string())),
            ("direction", Value::from(self.direction.as_str())),
            ("before", Value::from(self.before.to_string())),
            ("after", Value::from(self.after.to_string())),
            ("rules", Value::Array(self.rules.iter().map(rule).collect())),
        ])
    }
}

/// One side of one place.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) access: Access,
    pub(super) effects: Option<Effects>,
    pub(super) standings: Vec<Standing>,
}

impl Stand {
    /// Whether it is refused before any rule is asked.
    const fn is_no_rules_doing(&self) -> bool {
        matches!(
            &self.access,
            Access::No(
                Refusal::NoAgent
                    | Refusal::Stopped
                    | Refusal::NoPurpose
                    | Refusal::NotNamed
                    | Refusal::Environment
                    | Refusal::NoOperation
                    | Refusal::Budget
            )
        )
    }
}

/// Every place whose access differs, gains first, of these the grave ones.
pub(super) fn shifts(
    before: &Side,
    after: &Side,
    surveys: &Surveys<'_>,
    now: Timestamp,
) -> Result<Vec<Shift>, String> {
    let mut found = Vec::new();
    let spiffes = |side: &'_ Side| -> BTreeSet<SpiffeId> {
        let agents = side.registry.agents.values();
        agents.map(|agent| agent.spiffe.clone()).collect()
    };
    let (old_agents, new_agents) = (spiffes(before), spiffes(after));
    for agent in either(&old_agents, &new_agents) {
        let purposes = either(held(before, agent), held(after, agent));
        for purpose in purposes {
            let same_task = before.agent(agent) == after.agent(agent)
                && before.registry.purposes.get(purpose) == after.registry.purposes.get(purpose);
            let actions: BTreeSet<ActionName> = named(before, purpose)
                .chain(named(after, purpose))
                .cloned()
                .collect();
            let old = stands(before, &surveys.before, agent, purpose, &actions, now)?;
            let new = stands(after, &surveys.after, agent, purpose, &actions, now)?;
            for action in actions {
                let place = Place {
                    agent: agent.clone(),
                    purpose: purpose.clone(),
                    action,
                };
                if let (Some(old), Some(new)) = (old.get(&place.action), new.get(&place.action)) {
                    found.extend(shift(place, old, new).map(|shift| Shift { same_task, ..shift }));
                }
            }
        }
    }
    order(&mut found);
    Ok(found)
}

fn order(shifts: &mut [Shift]) {
    shifts.sort_by(|one, other| {
        let key = |shift: &Shift| (!shift.is_grave(), shift.direction);
        let place = |shift: &Shift| {
            (
                shift.action.clone(),
                shift.agent.clone(),
                shift.purpose.clone(),
            )
        };
        key(one)
            .cmp(&key(other))
            .then_with(|| place(one).cmp(&place(other)))
    });
}

fn held<'s>(side: &'s Side, agent: &SpiffeId) -> impl Iterator<Item = &'s PurposeName> {
    let agent = side.agent(agent);
    agent.into_iter().flat_map(|agent| &agent.purposes)
}

fn named<'s>(side: &'s Side, purpose: &PurposeName) -> impl Iterator<Item = &'s ActionName> {
    let purpose = side.registry.purposes.get(purpose);
    purpose.into_iter().flat_map(|purpose| &purpose.actions)
}

/// How every action stands on one side.
pub(super) fn stands(
    side: &Side,
    survey: &Survey<'_>,
    spiffe: &SpiffeId,
    purpose: &PurposeName,
    actions: &BTreeSet<ActionName>,
    now: Timestamp,
) -> Result<BTreeMap<ActionName, Stand>, String> {
    let refused = |why: &Refusal| {
        let stand = |action: &ActionName| {
            let stand = Stand {
                access: Access::No(why.clone()),
                effects: side.operation(action).map(|operation| operation.effects()),
                standings: Vec::new(),
            };
            (action.clone(), stand)
        };
        Ok(actions.iter().map(stand).collect())
    };
    let Some(agent) = side.agent(spiffe) else {
        return refused(&Refusal::NoAgent);
    };
    if !agent.enabled {
        return refused(&Refusal::Stopped);
    }
    let registered = side.registry.purposes.get(purpose);
    let Some(purpose) = registered.filter(|_| agent.purposes.contains(purpose)) else {
        return refused(&Refusal::NoPurpose);
    };
    let grant = widest(agent, purpose, now);
    let mut standings = survey.standings(agent, &grant, actions.iter().cloned())?;
    let stand = |action: &ActionName| {
        let operation = side.operation(action);
        let standings = standings.remove(action).unwrap_or_default();
        let effects = operation.map(|operation| operation.effects());
        let refusal = match effects {
            _ if !purpose.actions.contains(action) => Some(Refusal::NotNamed),
            _ if !side
                .registry
                .apis
                .get(&action.api)
                .is_none_or(|api| purpose.reaches(api)) =>
            {
                Some(Refusal::Environment)
            }
            None => Some(Refusal::NoOperation),
            Some(effects) if !purpose.budget.covers(Charge::of(effects)) => Some(Refusal::Budget),
            Some(_) => None,
        };
        let stand = Stand {
            access: refusal.map_or_else(|| by_rules(&standings), Access::No),
            effects,
            standings,
        };
        (action.clone(), stand)
    };
    Ok(actions.iter().map(stand).collect())
}

/// The widest task that can be opened for the purpose.
fn widest(agent: &Agent, purpose: &Purpose, now: Timestamp) -> Grant {
    Grant {
        tenant: Tenant::default_tenant(),
        task: TaskId::new(now, [0; 10]),
        agent: agent.id,
        requester: None,
        purpose: purpose.name.clone(),
        mode: agent.mode,
        actions: purpose.actions.clone(),
        bounds: Bounds::none(),
        plan: Plan::none(),
        budget: purpose.budget,
        opened: now,
        deadline: now.plus(purpose.max_task_life),
        parent: None,
        prompt: None,
        asserters: writ_types::Asserters::default(),
    }
}

/// What follows from the rules alone.
pub(crate) fn by_rules(standings: &[Standing]) -> Access {
    let that = |part: &Part, holds: Holds| {
        let same = |standing: &&Standing| standing.part == *part && standing.holds == holds;
        standings.iter().find(same)
    };
    if let Some(forbid) = that(&Part::Forbids, Holds::Always) {
        return Access::No(Refusal::Forbidden(forbid.rule.clone()));
    }
    let permitted = that(&Part::Permits, Holds::Always).is_some();
    if !permitted && that(&Part::Permits, Holds::Depends).is_none() {
        return Access::No(Refusal::NotPermitted);
    }
    let mut asks = BTreeSet::new();
    let mut depends = !permitted;
    for standing in standings {
        let ask = match &standing.part {
            Part::AsksApproval(role) => Some(format!("with approval by {role}")),
            Part::Defers(wait) => Some(format!("after {wait}")),
            Part::Obliges(what) => Some(format!("with {what}")),
            Part::Permits | Part::Forbids => None,
        };
        match (standing.holds, ask) {
            (Holds::Always, Some(ask)) => drop(asks.insert(ask)),
            (Holds::Depends, _) if standing.part != Part::Permits => depends = true,
            (Holds::Never | Holds::Depends | Holds::Always, _) => {}
        }
    }
    Access::Yes { depends, asks }
}

fn shift(place: Place, old: &Stand, new: &Stand) -> Option<Shift> {
    let mut rules = rules(&old.standings, &new.standings);
    if old.is_no_rules_doing() || new.is_no_rules_doing() {
        // Rules stand otherwise to a task that cannot be opened; that is not why it cannot.
        rules.clear();
    }
    let direction = match (&old.access, &new.access) {
        (Access::No(_), Access::No(_)) => return None,
        (Access::No(_), Access::Yes { .. }) => Direction::Gains,
        (Access::Yes { .. }, Access::No(_)) => Direction::Loses,
        (Access::Yes { .. }, Access::Yes { .. }) => way(&old.standings, &new.standings)?,
    };
    Some(Shift {
        agent: place.agent,
        purpose: place.purpose,
        action: place.action,
        // Of what is gone it is what it was; what neither side has cannot be possible on one of them.
        effects: new.effects.or(old.effects)?,
        direction,
        before: old.access.clone(),
        after: new.access.clone(),
        rules,
        same_task: false,
    })
}

/// The rules that stand otherwise.
fn rules(old: &[Standing], new: &[Standing]) -> Vec<RuleShift> {
    let by_id = |standings: &'_ [Standing]| -> BTreeMap<String, Standing> {
        let named = |standing: &Standing| (standing.rule.clone(), standing.clone());
        standings.iter().map(named).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let mut shifts = Vec::new();
    for rule in either(old.keys(), new.keys()) {
        let what = match (old.get(rule), new.get(rule)) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(old), Some(new)) if old.digest != new.digest => "changed",
            (Some(old), Some(new)) if old.holds != new.holds => match new.holds {
                Holds::Never => "no longer applies",
                Holds::Depends => "depends on the call now",
                Holds::Always => "applies to every call now",
            },
            (Some(_), Some(_)) => continue,
        };
        shifts.push(RuleShift {
            rule: rule.clone(),
            what,
        });
    }
    shifts
}

/// Which way a change of rules may go, where calls are possible on both sides; none if the rules stand alike.
fn way(old: &[Standing], new: &[Standing]) -> Option<Direction> {
    let (mut gains, mut loses) = (false, false);
    let named = |standings: &'_ [Standing]| -> BTreeSet<String> {
        standings
            .iter()
            .map(|standing| standing.rule.clone())
            .collect()
    };
    for rule in named(old).union(&named(new)) {
        let of = |standings: &'_ [Standing]| -> Option<Standing> {
            let mut same = standings.iter().filter(|standing| standing.rule == *rule);
            same.next().cloned()
        };
        let (was, is) = (of(old), of(new));
        // A rule that never applies is as good as none.
        let holds = |standing: &Option<Standing>| {
            standing
                .as_ref()
                .map_or(Holds::Never, |standing| standing.holds)
        };
        let (before, after) = (holds(&was), holds(&is));
        let same_text = match (&was, &is) {
            (Some(was), Some(is)) => was.digest == is.digest,
            (None, _) | (_, None) => true,
        };
        let part = is.or(was).map(|standing| standing.part);
        if !same_text && (before, after) != (Holds::Never, Holds::Never) {
            (gains, loses) = (true, true);
        } else if before != after {
            // A permit that applies to more gives, a forbid or an obligation takes.
            let gives = (part == Some(Part::Permits)) == (after > before);
            gains |= gives;
            loses |= !gives;
        }
    }
    match (gains, loses) {
        (true, _) => Some(Direction::MayGain),
        (false, true) => Some(Direction::MayLose),
        (false, false) => None,
    }
}

/// Where it is proven that an action's rules let no more through, nobody gains by them. A proof compares the rules for one
/// and the same task; where agent or purpose are others too, it does not settle what they gain.
pub(super) fn settle(shifts: &mut [Shift], proofs: &BTreeMap<ActionName, Proof>) {
    for shift in shifts.iter_mut() {
        let proof = proofs.get(&shift.action);
        if shift.direction == Direction::MayGain
            && shift.same_task
            && proof.is_some_and(Proof::lets_no_more_through)
        {
            shift.direction = Direction::NoMore;
        }
    }
    order(shifts);
}
