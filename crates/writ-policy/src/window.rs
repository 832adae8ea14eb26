//! The windows of a bundle: how they are written down, what rules see of them, and what makes a rule about a sum sound.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cedar_policy::RestrictedExpression;
use writ_types::{
    ActionName, Amount, AttrField, AttrType, Facts, Sum, Summed, Unit, Window, WindowName,
    WindowScope, Windowed, Windows,
};

use crate::diagnostic::{Diagnostic, Severity};
use crate::entities::count;
use crate::findings::Lint;
use crate::index;
use crate::rule::{Rule, RuleEffect};
use crate::schema::Root;
use crate::scope::{Apis, Scope};
use crate::source::PolicySource;
use crate::suggest;

/// The source that says which windows there are. It is no rules.
pub const WINDOWS: &str = "policies/windows";

/// How the names of our own windows begin.
const OWN: &str = "writ_";

/// What every bundle counts, for the rules that are shipped: what one agent writes within an hour, over all its tasks.
const WRITES_HOUR: &str = "writ_writes_hour";

/// A window as a project declares it, with the line where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredWindow {
    /// The line, from 1.
    pub line: u32,
    /// The window.
    pub window: Window,
}

/// What stands in [`WINDOWS`]: one window on each line.
#[must_use]
pub fn windows_text(declared: &[DeclaredWindow]) -> String {
    let mut text = String::new();
    for DeclaredWindow { line, window } in declared {
        let sum = window.sum.as_ref().map_or_else(
            || "-".to_owned(),
            |summed| format!("{}/{}", summed.quantity, summed.unit.as_str()),
        );
        let (by, seconds) = (window.by.as_str(), window.within.as_secs());
        text.push_str(&format!("{line} {} {by} {seconds} {sum}", window.name));
        for group in &window.groups {
            text.push_str(&format!(" {group}"));
        }
        for action in &window.actions {
            text.push_str(&format!(" {action}"));
        }
        text.push('\n');
    }
    text
}

/// Reads what [`windows_text`] writes; none if that is not what it is.
#[must_use]
pub fn declared_windows(text: &str) -> Option<Vec<DeclaredWindow>> {
    let read: Option<Vec<DeclaredWindow>> = text.lines().map(declared).collect();
    read.filter(|read| windows_text(read) == text)
}

fn declared(line: &str) -> Option<DeclaredWindow> {
    let mut parts = line.split(' ');
    let line = parts.next()?.parse().ok()?;
    let name = parts.next()?.parse().ok()?;
    let by = parts.next()?;
    let by = WindowScope::ALL
        .into_iter()
        .find(|scope| scope.as_str() == by)?;
    let within = Duration::from_secs(parts.next()?.parse().ok()?);
    let sum = match parts.next()? {
        "-" => None,
        summed => {
            let (quantity, unit) = summed.split_once('/')?;
            Some(Summed {
                quantity: quantity.parse().ok()?,
                unit: Unit::of(unit)?,
            })
        }
    };
    let (mut actions, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for counted in parts {
        if counted.is_empty() {
            return None;
        }
        match counted.parse::<ActionName>() {
            Ok(action) => drop(actions.insert(action)),
            Err(_group) => drop(groups.insert(counted.to_owned())),
        }
    }
    let window = Window {
        name,
        by,
        within,
        actions,
        groups,
        sum,
    };
    Some(DeclaredWindow { line, window })
}

fn own() -> Option<Window> {
    Some(Window {
        name: WRITES_HOUR.parse().ok()?,
        by: WindowScope::Agent,
        within: Duration::from_secs(3600),
        actions: BTreeSet::new(),
        groups: BTreeSet::from(["write".to_owned()]),
        sum: None,
    })
}

/// The windows of a bundle, and those of them that were declared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read {
    pub(crate) windows: Windows,
    declared: Vec<DeclaredWindow>,
}

/// Reads the windows of a bundle.
pub(crate) fn read(policies: &[&PolicySource]) -> Result<Read, Vec<Diagnostic>> {
    let mut read = Read::default();
    let mut faults = Vec::new();
    if let Some(window) = own()
        && let Err(error) = read.windows.add(window)
    {
        faults.push(fault(0, None, error.to_string()));
    }
    for source in policies.iter().filter(|source| source.name == WINDOWS) {
        let Some(declared) = declared_windows(&source.text) else {
            faults.push(fault(
                0,
                None,
                "these are no windows as Writ writes them".to_owned(),
            ));
            continue;
        };
        for one in declared {
            let name = one.window.name.clone();
            let added = if name.as_str().starts_with(OWN) {
                Err(format!("the windows that Writ ships begin with `{OWN}`"))
            } else {
                let added = read.windows.add(one.window.clone());
                added.map_err(|error| error.to_string())
            };
            match added {
                Ok(()) => read.declared.push(one),
                Err(message) => faults.push(fault(one.line, Some(&name), message)),
            }
        }
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(faults)
    }
}

fn fault(line: u32, window: Option<&WindowName>, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        lint: Lint::Window,
        file: WINDOWS.to_owned(),
        line,
        column: 1,
        policy: None,
        message: match window {
            Some(name) => format!("window `{name}`: {message}"),
            None => message,
        },
        help: None,
    }
}

/// The actions and amounts that windows name and no contract has.
pub(crate) fn unfounded(read: &Read, apis: &Apis) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for DeclaredWindow { line, window } in &read.declared {
        let mut say = |message: String, help: Option<String>| {
            let fault = fault(*line, Some(&window.name), message);
            faults.push(Diagnostic { help, ..fault });
        };
        let operations = || apis.values().flat_map(|model| model.operations.values());
        for action in &window.actions {
            if !operations().any(|operation| operation.action == *action) {
                let names: Vec<&str> = operations().map(|known| known.name.as_str()).collect();
                let help = suggest::help(&action.to_string(), &names);
                say(format!("there is no action `{action}`"), help);
            }
        }
        let Some(Summed { quantity, .. }) = &window.sum else {
            continue;
        };
        let declares = |known: &&crate::schema::Operation| known.quantities.contains(quantity);
        for action in &window.actions {
            let known = operations().find(|known| known.action == *action);
            if known.is_some_and(|known| !declares(&known)) {
                let message = format!("no argument of `{action}` is a `{quantity}`");
                say(message, Some(name_it(quantity)));
            }
        }
        let grouped =
            |known: &&crate::schema::Operation| window.covers(&known.action, known.effects);
        if window.actions.is_empty() && !operations().filter(grouped).any(|known| declares(&known))
        {
            let message = format!("no argument of the actions it counts is a `{quantity}`");
            say(message, Some(name_it(quantity)));
        }
    }
    faults
}

fn name_it(quantity: &WindowName) -> String {
    format!(
        "say in the API's overlay which argument is one: `x-writ: {{quantity: {{name: {quantity}, per: …}}}}`"
    )
}

/// A rule about a sum that whoever pays in another unit would get round: some forbid has to look at what is not in it.
pub(crate) fn circumvented(read: &Read, rules: &[(&Rule<'_>, &Scope)]) -> Vec<Diagnostic> {
    let looks = |rule: &Rule<'_>, name: &WindowName, member: &str| {
        rule.reads.paths.iter().any(|path| {
            let attrs = path.attrs.iter().map(String::as_str);
            path.root == Root::Context && attrs.eq(["sys", "windows", name.as_str(), member])
        })
    };
    let mut faults = Vec::new();
    for window in read.windows.iter().filter(|window| window.sum.is_some()) {
        let name = &window.name;
        let mut forbids = rules
            .iter()
            .filter(|(rule, _)| rule.effect == RuleEffect::Forbid);
        if forbids.any(|(rule, _)| looks(rule, name, "others")) {
            continue;
        }
        let summing = rules.iter().find(|(rule, _)| looks(rule, name, "sum"));
        if let Some((rule, _)) = summing {
            let message = format!(
                "the sum of `{name}` is compared, and no forbid looks at what is not in it: an amount in another unit gets round the rule"
            );
            let help = format!(
                "add `|| context.sys.windows.{name}.others > 0`, or a forbid of its own for those"
            );
            faults.push(rule.fault(Lint::Window, "sum", message, Some(help)));
        }
    }
    faults
}

/// What rules see of windows: a record of records.
pub(crate) fn attributes(windows: &Windows) -> AttrType {
    let required = |ty| AttrField { ty, required: true };
    let of_one = |window: &Window| {
        let mut members = BTreeMap::from([("calls".to_owned(), required(AttrType::Long))]);
        if window.sum.is_some() {
            members.insert("sum".to_owned(), required(AttrType::Decimal));
            members.insert("others".to_owned(), required(AttrType::Long));
        }
        required(AttrType::Record(members))
    };
    let all = windows.iter();
    AttrType::Record(
        all.map(|window| (window.name.to_string(), of_one(window)))
            .collect(),
    )
}

/// The sum that a rule looks at and that cannot be said exactly, if there is one.
pub(crate) fn unrepresentable<'f>(
    facts: &'f Facts,
    wanted: &index::Facts,
) -> Option<&'f WindowName> {
    let vague = |(name, held): &(&WindowName, &Windowed)| {
        held.sum == Some(Sum::Unrepresentable) && wanted.sums(name.as_str())
    };
    facts.windows.iter().find(vague).map(|(name, _)| name)
}

/// `context.sys.windows`.
pub(crate) fn expression(facts: &Facts) -> Result<RestrictedExpression, String> {
    let mut windows = Vec::new();
    for (name, held) in &facts.windows {
        let mut members = vec![("calls".to_owned(), count(held.calls))];
        if let Some(sum) = held.sum {
            members.push(("others".to_owned(), count(held.others)));
            // Of one that cannot be held, the most that can: where a rule looks at it nothing is decided at all.
            let sum = match sum {
                Sum::Exact(amount) => amount,
                Sum::Unrepresentable => Amount::MOST,
            };
            let sum = RestrictedExpression::new_decimal(sum.to_string());
            members.push(("sum".to_owned(), sum));
        }
        let record = RestrictedExpression::new_record(members);
        windows.push((name.to_string(), record.map_err(|error| error.to_string())?));
    }
    RestrictedExpression::new_record(windows).map_err(|error| error.to_string())
}
