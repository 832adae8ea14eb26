//! The context of a call, made with constructors.
//!
//! Never from JSON: Cedar's JSON form reads `{"__entity":…}` and `{"__extn":…}` as references, and a caller chooses what
//! is in a body. A constructor knows no escapes: a text stays a text.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Context, RestrictedExpression};
use writ_types::{ActionName, Attr, Facts, Projection};

use crate::entities::{budget, count, record, text, texts};
use crate::vocabulary::INPUT_PARTS;
use crate::{index, window};

/// Why a context was not made.
#[derive(Debug)]
pub(crate) enum ContextFault {
    /// A value of the input is none of Cedar's.
    Input(String),
    /// The gateway's own part could not be made.
    Facts(String),
}

/// What `context.sys` is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sys<'a> {
    pub(crate) action: &'a ActionName,
    pub(crate) facts: &'a Facts,
    pub(crate) extra: &'a BTreeSet<String>,
    pub(crate) nulls: &'a BTreeSet<String>,
    pub(crate) wanted: &'a index::Facts,
}

/// The context of a call: the projected input and what the rules want of `context.sys`. `input` is none when nothing of it
/// may be looked at.
pub(crate) fn build(
    sys: Sys<'_>,
    input: Option<(&BTreeMap<String, Attr>, &Projection)>,
) -> Result<Context, ContextFault> {
    let mut pairs = Vec::with_capacity(INPUT_PARTS.len().saturating_add(1));
    if let Some((parts, projection)) = input {
        for part in INPUT_PARTS {
            let wanted = projection.child(part);
            if let Some(attr) = parts.get(part).filter(|_| !wanted.is_nothing()) {
                let value = expression(attr, wanted).map_err(ContextFault::Input)?;
                pairs.push((part.to_owned(), value));
            }
        }
    }
    if let Some(window) = window::unrepresentable(sys.facts, sys.wanted) {
        let message = format!("the sum of `{window}` is more than can be held");
        return Err(ContextFault::Input(message));
    }
    let own = sys_record(sys).map_err(ContextFault::Facts)?;
    pairs.push(("sys".to_owned(), own));
    // Evaluating the constructors is where a decimal or an instant that is none shows.
    Context::from_pairs(pairs).map_err(|error| {
        if own_part_is_sound(sys) {
            ContextFault::Input(error.to_string())
        } else {
            ContextFault::Facts(error.to_string())
        }
    })
}

fn own_part_is_sound(sys: Sys<'_>) -> bool {
    sys_record(sys).is_ok_and(|own| Context::from_pairs([("sys".to_owned(), own)]).is_ok())
}

fn sys_record(sys: Sys<'_>) -> Result<RestrictedExpression, String> {
    let Sys {
        action,
        facts,
        extra,
        nulls,
        wanted,
    } = sys;
    let mut members = Vec::new();
    let mut add = |name: &'static str, value: &dyn Fn() -> Result<RestrictedExpression, String>| {
        if wanted.wants(name) {
            members.push((name, value()?));
        }
        Ok::<(), String>(())
    };
    add("op", &|| Ok(text(action.operation.as_str())))?;
    add("action", &|| Ok(text(&action.to_string())))?;
    add("labels", &|| {
        Ok(texts(facts.labels.iter().map(ToString::to_string)))
    })?;
    add("held", &|| Ok(texts(facts.held().map(ToString::to_string))))?;
    add("now", &|| {
        Ok(RestrictedExpression::new_datetime(facts.now.to_string()))
    })?;
    add("seen", &|| Ok(texts(facts.seen.iter().cloned())))?;
    add("approved", &|| Ok(texts(facts.approved.iter().cloned())))?;
    add("extra", &|| Ok(texts(extra.iter().cloned())))?;
    add("nulls", &|| Ok(texts(nulls.iter().cloned())))?;
    let arguments = &facts.arguments;
    add("unvouched", &|| {
        Ok(texts(arguments.unvouched().map(str::to_owned)))
    })?;
    add("prompted", &|| {
        Ok(texts(arguments.prompted().map(str::to_owned)))
    })?;
    add("untrusted", &|| {
        Ok(texts(arguments.untrusted().map(str::to_owned)))
    })?;
    add("named", &|| Ok(texts(arguments.named().map(str::to_owned))))?;
    add("unnamed", &|| {
        Ok(texts(arguments.unnamed().map(str::to_owned)))
    })?;
    add("free", &|| match &arguments.free {
        Some(places) => Ok(texts(places.iter().cloned())),
        // Nobody has looked: all of it could be.
        None => Ok(texts(["/".to_owned()])),
    })?;
    add("windows", &|| window::expression(facts))?;
    add("plan", &|| Ok(text(facts.plan.as_str())))?;
    add("count", &|| {
        record([
            ("calls", count(facts.spent.calls)),
            ("writes", count(facts.spent.writes)),
            ("deletes", count(facts.spent.deletes)),
            ("irreversible", count(facts.spent.irreversible)),
            ("thisOp", count(facts.this_operation)),
        ])
    })?;
    add("left", &|| budget(facts.left))?;
    add("approvals", &|| Ok(texts(facts.approvals.iter().cloned())))?;
    add("deferred", &|| Ok(texts(facts.deferred.iter().cloned())))?;
    record(members)
}

/// A value in Cedar's terms, only what the projection names of it.
fn expression(attr: &Attr, wanted: &Projection) -> Result<RestrictedExpression, String> {
    Ok(match attr {
        Attr::Bool(truth) => RestrictedExpression::new_bool(*truth),
        Attr::Long(number) => RestrictedExpression::new_long(*number),
        Attr::String(value) => text(value),
        Attr::Decimal(literal) => RestrictedExpression::new_decimal(literal),
        Attr::Datetime(instant) => RestrictedExpression::new_datetime(instant.to_string()),
        Attr::Set(items) => {
            let items = items.iter().map(|item| expression(item, &Projection::All));
            RestrictedExpression::new_set(items.collect::<Result<Vec<_>, _>>()?)
        }
        Attr::Record(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name, member, wanted.child(name)))
                .filter(|(_, _, wanted)| !wanted.is_nothing())
                .map(|(name, member, wanted)| Ok((name.clone(), expression(member, wanted)?)));
            RestrictedExpression::new_record(members.collect::<Result<Vec<_>, String>>()?)
                .map_err(|error| error.to_string())?
        }
    })
}
