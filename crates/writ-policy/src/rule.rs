//! One policy: what it is called, what it is about, and what it reads.

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy::ffi::DetailedError;
use cedar_policy::pst::{
    ActionConstraint, Clause, EntityUID, PrincipalConstraint, Template as Tree,
};
use cedar_policy::{Effect, Policy, PolicyId, Template};
use writ_types::{Digest, Obligations, Timestamp};

use crate::baseline::{FREEZE_ID, FREEZES};
use crate::diagnostic::{Diagnostic, Severity};
use crate::exception::{EXCEPTION_ID, Lifting, Liftings, liftable};
use crate::findings::Lint;
use crate::schema::Root;
use crate::source::Chunk;
use crate::vocabulary::{INPUT_FACTS, INPUT_PARTS};
use crate::{annotation, walk};

/// What a rule does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleEffect {
    /// It allows.
    Permit,
    /// It refuses, whatever permits.
    Forbid,
    /// It grants nothing, and says what is done to the response of a call that others permit (`@oblige`).
    Oblige,
}

impl RuleEffect {
    /// Cedar's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
            Self::Oblige => "oblige",
        }
    }
}

/// What a rule does beside permitting or forbidding, by its annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    #[default]
    Plain,
    /// `@approval`: a forbid that a person in this role can lift, for one call.
    Approval {
        role: String,
        /// `@four_eyes`: the requester is no such person.
        four_eyes: bool,
        /// `@confirm`: they enter the values that nothing vouches for.
        confirm: bool,
    },
    /// `@defer`: a forbid that time lifts, for one call.
    Defer { wait: String, span: Duration },
    /// `@oblige`: it grants nothing and says what must be done to the response.
    Oblige(Obligations),
}

/// How a condition mentions an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mention {
    /// `x has a`
    Has,
    /// `x.a`
    Get,
}

/// An attribute that a condition mentions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) attrs: Vec<String>,
    pub(crate) mention: Mention,
}

/// An attribute that a condition compares with a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Compared {
    pub(crate) root: Root,
    pub(crate) attrs: Vec<String>,
    pub(crate) text: String,
}

/// An attribute and something that a condition compares it with: where a decision may turn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comparison {
    /// The attribute, from its variable on: `["context", "body", "amount"]`.
    pub attribute: Vec<String>,
    /// What it is compared with.
    pub constant: Constant,
}

/// A literal of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constant {
    /// A text.
    Text(String),
    /// A whole number.
    Long(i64),
    /// A number with up to four decimals, as written.
    Decimal(String),
    /// An instant, as written.
    Instant(String),
}

/// What a rule's conditions read.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) paths: BTreeSet<Path>,
    /// The context as a whole, such as `context == …`.
    pub(crate) whole_context: bool,
    /// Entities named in the conditions or the scope.
    pub(crate) entities: Vec<EntityUID>,
    /// An action is named in a condition.
    pub(crate) names_actions: bool,
    /// `has` on something that is not an attribute path of a variable.
    pub(crate) blind_has: Option<String>,
    /// How deep the deepest condition is.
    pub(crate) depth: usize,
    /// Attributes that are compared with texts.
    pub(crate) literals: BTreeSet<Compared>,
    /// Attributes that are compared with any literal.
    pub(crate) comparisons: BTreeSet<Comparison>,
    /// Arithmetic that can overflow, as written in Cedar.
    pub(crate) arithmetic: Option<&'static str>,
}

impl Reads {
    /// Whether the rule reads anything that is taken from the call's input.
    pub(crate) fn input(&self) -> bool {
        let from_input = |path: &Path| {
            let mut attrs = path.attrs.iter().map(String::as_str);
            match (path.root, attrs.next()) {
                (Root::Context, Some("sys")) => {
                    attrs.next().is_none_or(|fact| INPUT_FACTS.contains(&fact))
                }
                (Root::Context, Some(part)) => INPUT_PARTS.contains(&part),
                (Root::Context, None) => true,
                (Root::Principal | Root::Action | Root::Resource, _) => false,
            }
        };
        self.whole_context || self.paths.iter().any(from_input)
    }

    /// Whether the rule asks what vouches for the call's arguments.
    pub(crate) fn vouched(&self) -> bool {
        let asks = |path: &Path| {
            path.root == Root::Context
                && path
                    .attrs
                    .iter()
                    .map(String::as_str)
                    .eq(["sys", "unvouched"])
        };
        self.paths.iter().any(asks)
    }
}

/// A policy that stands on its own: parsed, named, with known annotations.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    pub(crate) id: String,
    pub(crate) effect: RuleEffect,
    pub(crate) turn: Turn,
    pub(crate) doc: Option<String>,
    /// As written; locations point into `chunk`.
    pub(crate) written: Policy,
    /// As evaluated: with `@expires`, `@approval`, `@defer` and exceptions made conditions.
    pub(crate) evaluated: Policy,
    pub(crate) action: ActionConstraint,
    pub(crate) resource: cedar_policy::pst::ResourceConstraint,
    pub(crate) reads: Reads,
    /// It is about every task, and has no condition.
    pub(crate) unconditional: bool,
    pub(crate) digest: Digest,
    pub(crate) chunk: Chunk<'a>,
}

/// What became of a chunk.
#[derive(Debug)]
pub(crate) enum Loaded<'a> {
    Rule(Box<Rule<'a>>),
    /// A permit that has expired.
    Dropped(Diagnostic),
}

impl<'a> Rule<'a> {
    /// Reads one policy.
    pub(crate) fn load(
        chunk: Chunk<'a>,
        now: Timestamp,
        liftings: &Liftings<'_>,
    ) -> Result<Loaded<'a>, Vec<Diagnostic>> {
        if let Some(fault) = chunk.beyond_measure() {
            return Err(vec![fault]);
        }
        let written = Policy::parse(None, chunk.text).map_err(|error| syntax(&chunk, &error))?;
        let id = identity(&chunk, &written);
        let mut faults = annotation::check(&chunk, &written, id.as_deref().ok());
        let expiry = expiry(&chunk, &written, now);
        let turn = annotation::turn(&chunk, &written);
        let (id, expiry, turn) = match (id, expiry, turn) {
            (Ok(id), Ok(expiry), Ok(turn)) if faults.is_empty() => (id, expiry, turn),
            (id, expiry, turn) => {
                faults.extend(id.err());
                faults.extend(expiry.err().map(|fault| *fault));
                faults.extend(turn.err());
                return Err(faults);
            }
        };
        let tree = |policy: &Policy| {
            let tree = policy.to_pst().map_err(|error| {
                vec![chunk.at(Lint::Syntax, 0, Some(&id), error.to_string(), None)]
            })?;
            Ok::<Tree, Vec<Diagnostic>>(tree.body().clone())
        };
        let mut added = Vec::new();
        if let Some(clause) = annotation::clause(&chunk, &id, &turn, &tree(&written)?)? {
            added.push(clause);
        }
        match expiry {
            Expiry::Never => {}
            Expiry::Past(date) => return Ok(Loaded::Dropped(dropped(&chunk, &id, &date))),
            Expiry::On(date) => {
                added.push(format!("when {{ context.sys.now < datetime(\"{date}\") }}"));
            }
        }
        let lifted = lifted(&id, &written, &turn, liftings)?;
        let texts = ["writ rule v1\n", chunk.text].into_iter();
        let texts = texts.chain(lifted.iter().map(String::as_str));
        let digest = Digest::of_parts(&texts.map(str::as_bytes).collect::<Vec<_>>());
        added.extend(lifted);
        let policy_id = PolicyId::new(&id);
        let evaluated = match chunk.text.strip_suffix(';') {
            Some(text) if !added.is_empty() => {
                let text = format!("{text} {};", added.join(" "));
                Policy::parse(None, text).map_err(|error| syntax(&chunk, &error))?
            }
            Some(_) | None => written.clone(),
        };
        let tree = tree(&evaluated)?;
        Ok(Loaded::Rule(Box::new(Self {
            effect: match (&turn, written.effect()) {
                (Turn::Oblige(_), _) => RuleEffect::Oblige,
                (_, Effect::Permit) => RuleEffect::Permit,
                (_, Effect::Forbid) => RuleEffect::Forbid,
            },
            turn,
            doc: written.annotation("doc").map(str::to_owned),
            written: written.new_id(policy_id.clone()),
            evaluated: evaluated.new_id(policy_id),
            reads: walk::reads(&tree, &conditions(&tree)),
            unconditional: tree.clauses().is_empty()
                && matches!(tree.principal, PrincipalConstraint::Any),
            action: tree.action,
            resource: tree.resource,
            digest,
            chunk,
            id,
        })))
    }

    /// Whether it refuses every call it is about, for everybody and for good.
    pub(crate) fn refuses_everything(&self) -> bool {
        self.effect == RuleEffect::Forbid && self.turn == Turn::Plain && self.unconditional
    }

    /// An error at the first place `word` stands at in this rule.
    pub(crate) fn fault(
        &self,
        lint: Lint,
        word: &str,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let place = self.chunk.place_of(word);
        self.chunk.at(lint, place, Some(&self.id), message, help)
    }
}

pub(crate) fn conditions(tree: &Tree) -> Vec<&cedar_policy::pst::Expr> {
    tree.clauses()
        .iter()
        .map(|clause| match clause {
            Clause::When(condition) | Clause::Unless(condition) => &**condition,
        })
        .collect()
}

fn syntax(chunk: &Chunk<'_>, error: &cedar_policy::ParseErrors) -> Vec<Diagnostic> {
    if Template::parse(None, chunk.text).is_ok() {
        return vec![chunk.at(
            Lint::Syntax,
            chunk.text.find('?').unwrap_or(0),
            None,
            "templates (`?principal`, `?resource`) are not taken".to_owned(),
            Some("write the policy out for each principal or resource, or use a group".to_owned()),
        )];
    }
    error
        .iter()
        .map(|error| located(chunk, Lint::Syntax, None, &DetailedError::from(error)))
        .collect()
}

/// One of Cedar's own findings, at its place.
pub(crate) fn located(
    chunk: &Chunk<'_>,
    lint: Lint,
    policy: Option<&str>,
    error: &DetailedError,
) -> Diagnostic {
    let place = error
        .source_locations
        .first()
        .map_or(0, |label| label.loc.start);
    chunk.at(
        lint,
        place,
        policy,
        error.message.clone(),
        error.help.clone(),
    )
}

/// The clauses of the rule's exceptions.
fn lifted(
    id: &str,
    written: &Policy,
    turn: &Turn,
    liftings: &Liftings<'_>,
) -> Result<Vec<String>, Vec<Diagnostic>> {
    let of_rule = liftings.of(id);
    match liftable(id, written.effect(), turn) {
        Ok(()) => Ok(of_rule.iter().map(Lifting::clause).collect()),
        Err(why) => {
            let fault = |lifting: &Lifting<'_>| {
                let message = format!("`{id}` cannot be lifted: {why}");
                let help = "take the exception out, or change the rule";
                lifting.fault(Lint::Exception, "lifts", message, help)
            };
            let faults: Vec<Diagnostic> = of_rule.iter().map(fault).collect();
            if faults.is_empty() {
                Ok(Vec::new())
            } else {
                Err(faults)
            }
        }
    }
}

/// The `@id`: 1 to 64 of `a-z A-Z 0-9 . _ -`, beginning with a letter. It is in records, messages and digests.
fn identity(chunk: &Chunk<'_>, policy: &Policy) -> Result<String, Diagnostic> {
    let fault = |message: &str| {
        let help = "give it a stable, unique name: `@id(\"team.what-it-does\")`".to_owned();
        chunk.at(
            Lint::Id,
            chunk.place_of("id"),
            None,
            message.to_owned(),
            Some(help),
        )
    };
    let id = policy
        .annotation("id")
        .ok_or_else(|| fault("the policy has no `@id`"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.starts_with(FREEZE_ID) && chunk.source.name != FREEZES {
        let help = "write the freeze into `policies/freezes.toml`".to_owned();
        let message = format!("ids that begin with `{FREEZE_ID}` are those of freezes");
        return Err(chunk.at(Lint::Id, chunk.place_of("id"), None, message, Some(help)));
    }
    if id.starts_with(EXCEPTION_ID) {
        let help = "write the exception into `policies/exceptions.toml`".to_owned();
        let message = format!("ids that begin with `{EXCEPTION_ID}` are those of exceptions");
        return Err(chunk.at(Lint::Id, chunk.place_of("id"), None, message, Some(help)));
    }
    let starts_well = id
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic());
    if starts_well && id.len() <= 64 && id.bytes().all(plain) {
        Ok(id.to_owned())
    } else {
        Err(fault(
            "an `@id` has 1 to 64 letters, digits, `.`, `_` and `-`, and begins with a letter",
        ))
    }
}

enum Expiry {
    Never,
    On(String),
    Past(String),
}

/// The `@expires` date: the rule holds until that day begins in UTC.
///
/// An expired permit gives nothing and is dropped; an expired forbid must not vanish unseen, so it fails the load.
fn expiry(chunk: &Chunk<'_>, policy: &Policy, now: Timestamp) -> Result<Expiry, Box<Diagnostic>> {
    let Some(date) = policy.annotation("expires") else {
        return Ok(Expiry::Never);
    };
    let id = policy.annotation("id");
    let fault = |message: &str, help: &str| {
        let place = chunk.place_of("expires");
        Box::new(chunk.at(
            Lint::Expired,
            place,
            id,
            message.to_owned(),
            Some(help.to_owned()),
        ))
    };
    if !is_date(date) {
        return Err(fault(
            "`@expires` is no date",
            "write the first day on which the rule no longer holds, in UTC: `@expires(\"2027-01-31\")`",
        ));
    }
    let (year, month, day) = now.date();
    let past = *date <= *format!("{year:04}-{month:02}-{day:02}");
    match (policy.effect(), past) {
        (_, false) if policy.effect() == Effect::Forbid => Ok(Expiry::Never),
        (_, false) => Ok(Expiry::On(date.to_owned())),
        (Effect::Permit, true) => Ok(Expiry::Past(date.to_owned())),
        (Effect::Forbid, true) => Err(fault(
            "this forbid has expired, and a forbid does not vanish by itself",
            "take it out if what it forbade is to be allowed, or give it a later date",
        )),
    }
}

/// `YYYY-MM-DD`, a day that there is.
fn is_date(text: &str) -> bool {
    let digits = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let part =
        |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u32>().ok());
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(5, 7), part(8, 10)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    digits && year >= 1970 && (1..=longest).contains(&day)
}

fn dropped(chunk: &Chunk<'_>, id: &str, date: &str) -> Diagnostic {
    let place = chunk.place_of("expires");
    let message = format!("this permit expired on {date} and is left out");
    let help = Some("take it out, or give it a later date".to_owned());
    Diagnostic {
        severity: Severity::Notice,
        ..chunk.at(Lint::Expired, place, Some(id), message, help)
    }
}
