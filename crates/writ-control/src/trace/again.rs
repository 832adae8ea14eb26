//! A recorded call decided again: by what was in force then, and by a draft.

use std::collections::BTreeSet;

use writ_types::{Facts, Grant, Inputs, ReasonCode, Verdict};

use super::road::Asked;
use super::{Ground, Recorded};

/// What a draft makes of a recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Again {
    /// What was decided.
    Same,
    /// Another verdict, other people to ask, or other obligations: the verdict, and the rules or the reason code that decide.
    Otherwise(Verdict, BTreeSet<String>),
    /// It cannot be said.
    Unsaid(Unsaid),
}

/// Why a recorded call is not decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsaid {
    /// It was stopped by what no project decides: its token, its pace, its budget, a person's no, drift.
    NotByRules,
    /// Its task, its revision, or what it was decided on is not kept any more.
    NotKept,
    /// Its arguments were not kept.
    Arguments,
    /// Decided again by what was in force then it is not what was recorded: what is kept is not all that it was decided on.
    NotReproduced,
    /// The draft's rules look at a window that was not counted then, or counted otherwise.
    Windows,
}

impl Unsaid {
    /// As reports write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotByRules => "not_by_rules",
            Self::NotKept => "not_kept",
            Self::Arguments => "arguments_not_kept",
            Self::NotReproduced => "not_reproduced",
            Self::Windows => "windows",
        }
    }
}

/// Decides a recorded call again. Without a `draft` ground it knows neither the agent nor the operation, and refuses. Of a call that does not come out as it was
/// recorded nothing is said: it is no evidence.
pub(crate) fn again(
    recorded: &Recorded,
    then: Ground<'_>,
    draft: Option<Ground<'_>>,
    grant: &Grant,
    inputs: Inputs,
) -> Again {
    let same_rules = recorded
        .policy
        .is_none_or(|policy| policy == then.pdp.digest());
    let contract = then.contract.digest();
    if !same_rules || recorded.contract.is_some_and(|digest| digest != contract) {
        return Again::Unsaid(Unsaid::NotKept);
    }
    let asked = Asked::new(recorded, then, grant, inputs.clone());
    if !asked.is_for_rules() {
        return Again::Unsaid(Unsaid::NotByRules);
    }
    if !asked.is_known() {
        return Again::Unsaid(Unsaid::Arguments);
    }
    if asked.decide() != (recorded.verdict, recorded.reason) {
        return Again::Unsaid(Unsaid::NotReproduced);
    }
    let Some(draft) = draft else {
        return if recorded.verdict == Verdict::Deny {
            Again::Same
        } else {
            Again::Otherwise(Verdict::Deny, reason(Some(ReasonCode::ActionNotGranted)))
        };
    };
    let mut inputs = inputs;
    if let Some(facts) = &mut inputs.facts {
        if !counted_so(facts, then, draft) {
            return Again::Unsaid(Unsaid::Windows);
        }
        facts.sinks.clone_from(&draft.operation.handling().sink);
    }
    let drafted = Asked::new(recorded, draft, grant, inputs);
    if !drafted.is_known() {
        return Again::Unsaid(Unsaid::Arguments);
    }
    compared(&asked, &drafted)
}

/// Whether what was found then says what each window shows that the draft's rules look at.
fn counted_so(facts: &Facts, then: Ground<'_>, draft: Ground<'_>) -> bool {
    let mut watched = draft.pdp.watched(draft.operation.action());
    watched.all(|window| {
        let mut known = then.pdp.windows().iter();
        facts.windows.contains_key(&window.name) && known.any(|known| known == window)
    })
}

fn compared(then: &Asked<'_>, drafted: &Asked<'_>) -> Again {
    match (then.ruled(), drafted.ruled()) {
        (Ok(before), Ok(after)) => {
            let other = drafted.ground.pdp.disagreement(&before, after);
            other.map_or(Again::Same, |other| {
                Again::Otherwise(other.verdict, other.rules.into_iter().collect())
            })
        }
        (Err(before), Err(after)) if before.0 == after.0 => Again::Same,
        (_, Err((verdict, why))) => match then.decide().0 {
            before if before == verdict => Again::Same,
            _ => Again::Otherwise(verdict, reason(why)),
        },
        (Err((before, _)), Ok(after)) => {
            let (verdict, rules) = match after {
                Ok(permit) => (permit.verdict(), permit.rules().to_vec()),
                Err(denied) => (denied.verdict, denied.rules),
            };
            if verdict == before {
                Again::Same
            } else {
                Again::Otherwise(verdict, rules.into_iter().collect())
            }
        }
    }
}

fn reason(why: Option<ReasonCode>) -> BTreeSet<String> {
    why.map(|why| why.as_str().to_owned()).into_iter().collect()
}
