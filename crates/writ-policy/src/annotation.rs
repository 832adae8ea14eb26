//! What a policy says of itself: the closed vocabulary of annotations.

use std::time::Duration;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Template as Tree};
use cedar_policy::{Effect, Policy};
use writ_types::Obligations;

use crate::diagnostic::Diagnostic;
use crate::findings::Lint;
use crate::rule::{Turn, conditions};
use crate::schema::Root;
use crate::source::Chunk;
use crate::{suggest, walk};

/// Annotations a policy may carry.
const KNOWN: [&str; 10] = [
    "id",
    "doc",
    "owner",
    "severity",
    "expires",
    "approval",
    "four_eyes",
    "confirm",
    "defer",
    "oblige",
];
/// Annotations of a later version, named so that nobody believes them to work.
const LATER: [&str; 3] = ["blind", "assume", "test"];
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// The members of `context.sys` that only the clauses of [`clause`] may look at.
const LIFTED: [&str; 2] = ["approvals", "deferred"];

/// Everything wrong with the annotations' names, and with values that stand alone.
pub(crate) fn check(chunk: &Chunk<'_>, policy: &Policy, id: Option<&str>) -> Vec<Diagnostic> {
    let mut keys: Vec<(&str, &str)> = policy.annotations().collect();
    keys.sort_unstable();
    let fault = |key: &str, message: String, help: Option<String>| {
        chunk.at(Lint::Annotation, chunk.place_of(key), id, message, help)
    };
    keys.into_iter()
        .filter_map(|(key, value)| {
            if LATER.contains(&key) {
                let message = format!("`@{key}` is not available yet in this version");
                let help = "without it the rule would decide otherwise than it says; take it out"
                    .to_owned();
                Some(fault(key, message, Some(help)))
            } else if !KNOWN.contains(&key) {
                Some(fault(
                    key,
                    format!("unknown annotation `@{key}`"),
                    suggest::help(key, &KNOWN),
                ))
            } else if key == "severity" && !SEVERITIES.contains(&value) {
                let message = format!("`@severity` is one of {}", SEVERITIES.join(", "));
                Some(fault(key, message, None))
            } else {
                None
            }
        })
        .collect()
}

/// What the rule's annotations make of it.
///
/// `@approval` and `@defer` soften a forbid: on a permit they would mean nothing. `@oblige` is a rule of its own set that
/// never grants, and is written as a permit. Of the three a rule has one.
pub(crate) fn turn(chunk: &Chunk<'_>, policy: &Policy) -> Result<Turn, Diagnostic> {
    let fault = |key: &str, message: &str, help: &str| wrong(chunk, policy, key, message, help);
    let wants = |key: &'static str, effect: Effect| match policy.annotation(key) {
        Some(_) if policy.effect() != effect && effect == Effect::Forbid => Err(fault(
            key,
            &format!("`@{key}` stands on a permit"),
            "it says what lifts a forbid: write the rule as a `forbid` of what is not to happen without it",
        )),
        Some(_) if policy.effect() != effect => Err(fault(
            key,
            &format!("`@{key}` stands on a forbid"),
            "an obligation is a `permit` that grants nothing: it says what is done to responses of calls that other rules permit",
        )),
        value => Ok(value),
    };
    let approval = wants("approval", Effect::Forbid)?;
    let defer = wants("defer", Effect::Forbid)?;
    let oblige = wants("oblige", Effect::Permit)?;
    let four_eyes = beside(chunk, policy, "four_eyes")?;
    let confirm = beside(chunk, policy, "confirm")?;
    match (approval, defer, oblige) {
        (None, None, None) => Ok(Turn::Plain),
        (Some("requester"), None, None) if four_eyes => Err(nobody_left(chunk, policy)),
        (Some(role), None, None) if is_role(role) => Ok(Turn::Approval {
            role: role.to_owned(),
            four_eyes,
            confirm,
        }),
        (Some(_), None, None) => Err(fault(
            "approval",
            "`@approval` names no role",
            "a role has 1 to 32 lower-case letters, digits and `-`, and begins with a letter: `@approval(\"security\")`",
        )),
        (None, Some(wait), None) => match span(wait) {
            Some(span) => Ok(Turn::Defer {
                wait: wait.to_owned(),
                span,
            }),
            None => Err(fault(
                "defer",
                "`@defer` names no time",
                "write 1 to 9999 minutes, hours or days, at most 30 days: `@defer(\"24h\")`",
            )),
        },
        (None, None, Some(text)) => {
            text.parse::<Obligations>()
                .map(Turn::Oblige)
                .map_err(|error| {
                    fault(
                        "oblige",
                        &format!("`@oblige`: {error}"),
                        "several obligations are several rules",
                    )
                })
        }
        _ => Err(fault(
            "approval",
            "a rule has one of `@approval`, `@defer` and `@oblige`",
            "make a rule of each: where several forbid, all must be lifted",
        )),
    }
}

fn wrong(chunk: &Chunk<'_>, policy: &Policy, key: &str, message: &str, help: &str) -> Diagnostic {
    let (place, id) = (chunk.place_of(key), policy.annotation("id"));
    let (message, help) = (message.to_owned(), Some(help.to_owned()));
    chunk.at(Lint::Annotation, place, id, message, help)
}

/// Whether the rule has an annotation that says more of its `@approval`.
fn beside(chunk: &Chunk<'_>, policy: &Policy, key: &str) -> Result<bool, Diagnostic> {
    let Some(value) = policy.annotation(key) else {
        return Ok(false);
    };
    if policy.annotation("approval").is_none() {
        let help = "it says more of who approves, or how: it stands beside `@approval`";
        let message = format!("`@{key}` stands alone");
        return Err(wrong(chunk, policy, key, &message, help));
    }
    if !value.is_empty() {
        let message = format!("`@{key}` takes no value, and here it has `{value}`");
        let help = format!("write `@{key}`");
        return Err(wrong(chunk, policy, key, &message, &help));
    }
    Ok(true)
}

/// The requester is asked, and is nobody to ask.
fn nobody_left(chunk: &Chunk<'_>, policy: &Policy) -> Diagnostic {
    let message = "`@four_eyes` leaves out the very person whom `@approval(\"requester\")` asks";
    let help = "ask another role: `owner`, `operator`, or one of your own";
    let place = chunk.place_of("four_eyes");
    let (id, lint) = (policy.annotation("id"), Lint::NobodyApproves);
    chunk.at(lint, place, id, message.to_owned(), Some(help.to_owned()))
}

/// `[a-z][a-z0-9-]*`, at most 32 characters.
fn is_role(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 32
        && text.bytes().all(plain)
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
}

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// `90m`, `24h`, `7d`.
fn span(text: &str) -> Option<Duration> {
    let unit = match text.bytes().next_back()? {
        b'm' => 60,
        b'h' => 3600,
        b'd' => 24 * 3600,
        _ => return None,
    };
    let digits = text.get(..text.len().saturating_sub(1))?;
    let plain = (1..=4).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    let span = Duration::from_secs(number.saturating_mul(unit));
    (span <= LONGEST).then_some(span)
}

/// The clause that lets the rule be lifted, unless it is written out already.
///
/// What lifts a rule is looked at nowhere else: a condition that asks for an approval no rule demands would ask for
/// something nobody can give.
pub(crate) fn clause(
    chunk: &Chunk<'_>,
    id: &str,
    turn: &Turn,
    tree: &Tree,
) -> Result<Option<String>, Vec<Diagnostic>> {
    let own = match turn {
        Turn::Approval { role, .. } => Some(("approvals", role.as_str())),
        Turn::Defer { wait, .. } => Some(("deferred", wait.as_str())),
        Turn::Plain | Turn::Oblige(_) => None,
    };
    let is_own = |clause: &Clause| own.is_some_and(|own| lifts(clause, own));
    let written_out = tree.clauses().iter().any(is_own);
    let others: Vec<&Expr> = conditions(tree)
        .into_iter()
        .zip(tree.clauses())
        .filter(|(_, clause)| !is_own(clause))
        .map(|(condition, _)| condition)
        .collect();
    let reads = walk::reads(tree, &others);
    let stray = reads.paths.iter().find_map(|path| {
        let member = path.attrs.get(1).map(String::as_str);
        let sys =
            path.root == Root::Context && path.attrs.first().is_some_and(|first| first == "sys");
        LIFTED.into_iter().find(|name| sys && member == Some(name))
    });
    if let Some(name) = stray {
        let message = format!(
            "`context.sys.{name}` is looked at outside `@approval` and `@defer`, where nobody could ever give it"
        );
        let help = match own {
            Some((_, value)) => format!(
                "take it out: the annotation adds `unless {{ context.sys.{name}.contains(\"{value}\") }}`"
            ),
            None => "write a `forbid` with `@approval(\"role\")` or `@defer(\"24h\")`".to_owned(),
        };
        return Err(vec![chunk.at(
            Lint::NobodyApproves,
            chunk.place_of(name),
            Some(id),
            message,
            Some(help),
        )]);
    }
    Ok(own
        .filter(|_| !written_out)
        .map(|(name, value)| format!("unless {{ context.sys.{name}.contains(\"{value}\") }}")))
}

/// Whether the clause is `unless { context.sys.<name>.contains("<value>") }`.
fn lifts(clause: &Clause, (name, value): (&str, &str)) -> bool {
    let Clause::Unless(condition) = clause else {
        return false;
    };
    let Expr::BinaryOp {
        op: BinaryOp::Contains,
        left,
        right,
    } = &**condition
    else {
        return false;
    };
    let set = walk::path(left)
        .is_some_and(|(root, attrs)| root == Root::Context && attrs == ["sys", name]);
    set && matches!(&**right, Expr::Literal(Literal::String(text)) if text == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_roles_read() {
        for (text, secs) in [
            ("1m", 60),
            ("90m", 5400),
            ("24h", 86_400),
            ("30d", 2_592_000),
        ] {
            assert_eq!(span(text), Some(Duration::from_secs(secs)), "{text}");
        }
        for bad in [
            "", "h", "24", "0h", "024h", "31d", "10000m", "1w", "-1h", "1 h", "１h",
        ] {
            assert_eq!(span(bad), None, "{bad}");
        }
        assert!(is_role("security") && is_role("a-1"));
        for bad in ["", "Security", "1a", "a_b", "a\"b", &"a".repeat(33)] {
            assert!(!is_role(bad), "{bad}");
        }
    }
}
