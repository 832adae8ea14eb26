//! A plan for a person: what is gravest first, and no longer than it takes to read in a minute.

use std::collections::{BTreeMap, BTreeSet};

use writ_control::plan::{Change, Difference, Direction, Plan, Proof, Shift};

use crate::terminal::{Terminal, Tone};

/// Rows of a section, unless all are asked for.
pub(super) const ROWS: usize = 12;
/// Names in a row.
const NAMES: usize = 6;

pub(super) fn show(
    terminal: Terminal,
    with: &str,
    plan: &Plan,
    unasked: Option<&str>,
    rows_shown: usize,
) {
    if plan.is_empty() {
        terminal.line(&format!("no changes (compared with {with})"));
        return;
    }
    let page = Page {
        terminal,
        rows: rows_shown,
    };
    terminal.line(&format!("compared with {with}"));
    page.section(
        Tone::Strong,
        "Changes",
        plan.differences.iter().map(difference),
    );
    let grave = |shift: &&Shift| shift.is_grave();
    let of = |direction| {
        let shifts = plan.shifts.iter().filter(|shift| !shift.is_grave());
        let shifts: Vec<&Shift> = shifts
            .filter(|shift| shift.direction == direction)
            .collect();
        rows(&shifts)
    };
    let title = "Newly allowed, and irreversible or sent outside";
    let gravest: Vec<&Shift> = plan.shifts.iter().filter(grave).collect();
    page.section(Tone::Bad, title, rows(&gravest));
    page.section(Tone::Warn, "Newly allowed", of(Direction::Gains));
    page.section(Tone::Warn, "May allow more", of(Direction::MayGain));
    page.section(Tone::Good, "No longer allowed", of(Direction::Loses));
    page.section(Tone::Good, "May allow less", of(Direction::MayLose));
    page.section(
        Tone::Good,
        "Other rules, nothing more allowed",
        of(Direction::NoMore),
    );
    page.section(
        Tone::Strong,
        "Rules of each action, over all calls",
        proofs(&plan.proofs),
    );
    page.section(
        Tone::Warn,
        "Asked of an operator before each call",
        plan.asked_each_time.iter().map(|fix| Row {
            head: fix.clone(),
            below: Vec::new(),
        }),
    );
    for spiffe in &plan.still_stopped {
        terminal.line(&format!(
            "{} {spiffe} was killed and stays stopped: `writ apply --resume {spiffe}`",
            terminal.paint(Tone::Warn, "note")
        ));
    }
    let open = plan.unproven().count();
    if open > 0 {
        terminal.line("");
        let why = unasked.map(|why| format!(" ({why})")).unwrap_or_default();
        terminal.line(&format!(
            "{} for {open} actions it is not proven that nothing more is allowed{why}: a second person has to approve this",
            terminal.paint(Tone::Warn, "note")
        ));
    }
}

struct Page {
    terminal: Terminal,
    rows: usize,
}

impl Page {
    fn section(&self, tone: Tone, title: &str, rows: impl IntoIterator<Item = Row>) {
        let rows: Vec<Row> = rows.into_iter().collect();
        if rows.is_empty() {
            return;
        }
        let Self {
            terminal,
            rows: shown,
        } = self;
        terminal.line("");
        terminal.line(&terminal.paint(tone, title));
        for row in rows.iter().take(*shown) {
            terminal.line(&format!("  {}", row.head));
            for line in &row.below {
                terminal.line(&format!("      {}", terminal.paint(Tone::Faint, line)));
            }
        }
        let more = rows.len().saturating_sub(*shown);
        if more > 0 {
            terminal.line(&format!("  and {more} more (--all)"));
        }
    }
}

/// One thing, with what there is to say of it.
struct Row {
    head: String,
    below: Vec<String>,
}

fn difference(difference: &Difference) -> Row {
    let Difference {
        kind,
        name,
        change,
        details,
    } = difference;
    let sign = match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    };
    let mut below: Vec<String> = details.iter().take(ROWS).cloned().collect();
    let more = details.len().saturating_sub(below.len());
    if more > 0 {
        below.push(format!("and {more} more (--json)"));
    }
    Row {
        head: format!("{sign} {:<10} {name}", kind.as_str()),
        below,
    }
}

/// Shifts that say the same of several actions or agents are one row.
fn rows(shifts: &[&Shift]) -> Vec<Row> {
    let mut groups: Vec<(String, BTreeSet<String>, BTreeSet<String>)> = Vec::new();
    for shift in shifts {
        let said = sentence(shift);
        let action = format!("{} ({})", shift.action, shift.effects);
        let name = shift.agent.as_str().rsplit('/').next().unwrap_or_default();
        let who = format!("{name} for {}", shift.purpose);
        let same = groups.iter_mut().find(|(known, actions, whos)| {
            *known == said
                && (actions.len() == 1 && actions.contains(&action)
                    || whos.len() == 1 && whos.contains(&who))
        });
        match same {
            Some((_, actions, whos)) => {
                actions.insert(action);
                whos.insert(who);
            }
            None => groups.push((said, BTreeSet::from([action]), BTreeSet::from([who]))),
        }
    }
    let row = |(said, actions, whos): (String, BTreeSet<String>, BTreeSet<String>)| Row {
        head: format!("{}: {}", names(&whos), names(&actions)),
        below: vec![said],
    };
    groups.into_iter().map(row).collect()
}

fn sentence(shift: &Shift) -> String {
    let mut said = format!("{} -> {}", shift.before, shift.after);
    if shift.before == shift.after {
        said = shift.after.to_string();
    }
    if !shift.rules.is_empty() {
        let rules: Vec<String> = shift
            .rules
            .iter()
            .map(|rule| format!("`{}` {}", rule.rule, rule.what))
            .collect();
        said.push_str("; ");
        said.push_str(&rules.join(", "));
    }
    said
}

fn names(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
    let more = names.len().saturating_sub(shown.len());
    let mut text = shown.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Widenings one by one with their examples, the others together.
fn proofs(proofs: &BTreeMap<writ_types::ActionName, Proof>) -> Vec<Row> {
    let mut wider: Vec<Row> = Vec::new();
    let mut others: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for (action, proof) in proofs {
        let why = match proof {
            Proof::Wider(example) => {
                wider.push(Row {
                    head: format!("wider     {action}"),
                    below: vec![format!("for example {}", example.sentence())],
                });
                continue;
            }
            Proof::Unproven(why) => why.as_str(),
            Proof::Equal | Proof::Narrower => "",
        };
        let group = others.entry((proof.as_str(), why)).or_default();
        group.insert(action.to_string());
    }
    let row = |((word, why), actions): ((&str, &str), BTreeSet<String>)| Row {
        head: format!("{word:<9} {}", names(&actions)),
        below: (!why.is_empty())
            .then(|| why.to_owned())
            .into_iter()
            .collect(),
    };
    wider
        .into_iter()
        .chain(others.into_iter().map(row))
        .collect()
}
