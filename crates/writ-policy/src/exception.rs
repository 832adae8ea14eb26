//! Exceptions: one forbid, lifted for some actions of one agent, until an instant that is written down.
//!
//! There is one evaluator of them, and it is the one of rules: an exception becomes a clause of the rule it lifts, so that decisions,
//! plans, proofs and explanations know of it alike, and an expired one is honoured by none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use writ_types::{ActionName, OwnerName, PurposeName, SpiffeId, Timestamp};

use crate::baseline::{FREEZE_ID, is_part_of_an_id, is_quotable};
use crate::diagnostic::{Diagnostic, Severity};
use crate::findings::Lint;
use crate::rule::{Rule, Turn};
use crate::scope::{Apis, Scope};
use crate::source::{Chunk, PolicySource};
use crate::suggest;

/// The file that exceptions become. Nobody else's file is called so.
pub const EXCEPTIONS: &str = "exceptions.cedar";
/// How their ids begin, in records as in messages. No rule's id begins so.
pub(crate) const EXCEPTION_ID: &str = "exception.";

/// A deviation from one rule, with somebody who answers for it and an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// A short name: letters, digits and `-`.
    pub name: String,
    /// The `@id` of the forbid that it lifts.
    pub rule: String,
    /// The agent it is for.
    pub agent: SpiffeId,
    /// The purpose whose tasks it is for; none means every purpose of the agent.
    pub purpose: Option<PurposeName>,
    /// The actions it is for.
    pub actions: BTreeSet<ActionName>,
    /// Who answers for it.
    pub owner: OwnerName,
    /// Why, for people.
    pub reason: String,
    /// Where it was agreed upon.
    pub ticket: String,
    /// Its first instant.
    pub from: Timestamp,
    /// Its end, not included.
    pub until: Timestamp,
}

/// Why an exception is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExceptionError {
    /// Its name would be no part of an id.
    #[error("an exception's name has 1 to 24 lower-case letters, digits and `-`")]
    Name,
    /// Its reason could not be quoted.
    #[error(
        "an exception's reason has 1 to 200 printable characters without quotes and backslashes"
    )]
    Reason,
    /// Its ticket could not be quoted.
    #[error(
        "an exception's ticket has 1 to 100 printable characters without quotes and backslashes"
    )]
    Ticket,
    /// It names no rule.
    #[error("an exception names a rule by its `@id`: letters, digits, `.`, `_` and `-`")]
    Rule,
    /// It names no action, or too many.
    #[error("an exception names 1 to {most} actions", most = Exception::MOST_ACTIONS)]
    Actions,
    /// It ends before it begins.
    #[error("an exception ends after it begins")]
    Order,
    /// It is not for a time, but a rule.
    #[error("an exception lasts at most 90 days: what is to hold for longer is a rule")]
    Long,
}

/// How an exception stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionState {
    /// It has not begun.
    Coming,
    /// It lifts its rule.
    InForce,
    /// It is over, and lifts nothing.
    Expired,
}

impl ExceptionState {
    /// Its name in listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coming => "coming",
            Self::InForce => "in_force",
            Self::Expired => "expired",
        }
    }
}

impl Exception {
    /// The longest time that one lasts.
    pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);
    /// Most actions of one.
    pub const MOST_ACTIONS: usize = 32;
    /// Most of one rule. Each makes its rule longer.
    const MOST_OF_A_RULE: usize = 16;

    /// How it stands at an instant.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ExceptionState {
        if now >= self.until {
            ExceptionState::Expired
        } else if now < self.from {
            ExceptionState::Coming
        } else {
            ExceptionState::InForce
        }
    }

    /// Its id in records.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{EXCEPTION_ID}{}", self.name)
    }

    /// What stands for it in [`EXCEPTIONS`]. Its annotations say everything, and what Cedar is to read of it follows from them.
    ///
    /// # Errors
    ///
    /// [`ExceptionError`].
    pub fn text(&self) -> Result<String, ExceptionError> {
        self.check()?;
        let actions: Vec<String> = self.actions.iter().map(ToString::to_string).collect();
        let purpose = self.purpose.as_ref();
        let purpose = purpose.map_or(String::new(), |name| format!("@purpose(\"{name}\")\n"));
        Ok(format!(
            "@id(\"{id}\")\n@doc(\"{reason}\")\n@owner(\"{owner}\")\n@ticket(\"{ticket}\")\n@lifts(\"{rule}\")\n@agent(\"{agent}\")\n{purpose}@actions(\"{actions}\")\n@from(\"{from}\")\n@until(\"{until}\")\npermit (principal, action, resource)\nwhen {{ {condition} }};\n\n",
            id = self.id(),
            reason = self.reason,
            owner = self.owner,
            ticket = self.ticket,
            rule = self.rule,
            agent = self.agent,
            actions = actions.join(" "),
            from = self.from,
            until = self.until,
            condition = self.condition(),
        ))
    }

    fn check(&self) -> Result<(), ExceptionError> {
        if !is_part_of_an_id(&self.name) {
            return Err(ExceptionError::Name);
        }
        let dotted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=64).contains(&self.rule.len()) || !self.rule.bytes().all(dotted) {
            return Err(ExceptionError::Rule);
        }
        if !is_quotable(&self.reason, 200) {
            return Err(ExceptionError::Reason);
        }
        if !is_quotable(&self.ticket, 100) {
            return Err(ExceptionError::Ticket);
        }
        if !(1..=Self::MOST_ACTIONS).contains(&self.actions.len()) {
            return Err(ExceptionError::Actions);
        }
        if self.until <= self.from {
            return Err(ExceptionError::Order);
        }
        if self.until.since(self.from) > Self::LONGEST {
            return Err(ExceptionError::Long);
        }
        Ok(())
    }

    /// When it lifts its rule, as Cedar reads it.
    fn condition(&self) -> String {
        let purpose = self.purpose.as_ref();
        let purpose = purpose.map_or(String::new(), |name| {
            format!("principal.purpose == \"{name}\" && ")
        });
        let actions: Vec<String> = self
            .actions
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        format!(
            "principal.agent.spiffe == \"{agent}\" && {purpose}[{actions}].contains(context.sys.action) && context.sys.now >= datetime(\"{from}\") && context.sys.now < datetime(\"{until}\")",
            agent = self.agent,
            actions = actions.join(", "),
            from = self.from,
            until = self.until,
        )
    }

    /// Reads what [`Self::text`] wrote; none if it is not exactly that.
    fn read(text: &str) -> Option<Self> {
        let policy = Policy::parse(None, text).ok()?;
        let said = |name: &str| policy.annotation(name);
        let actions = said("actions")?.split(' ').map(str::parse);
        let read = Self {
            name: said("id")?.strip_prefix(EXCEPTION_ID)?.to_owned(),
            rule: said("lifts")?.to_owned(),
            agent: said("agent")?.parse().ok()?,
            purpose: match said("purpose") {
                Some(name) => Some(name.parse().ok()?),
                None => None,
            },
            actions: actions.collect::<Result<_, _>>().ok()?,
            owner: said("owner")?.parse().ok()?,
            reason: said("doc")?.to_owned(),
            ticket: said("ticket")?.to_owned(),
            from: Timestamp::parse(said("from")?)?,
            until: Timestamp::parse(said("until")?)?,
        };
        (read.text().ok()?.trim_end() == text).then_some(read)
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            rule,
            owner,
            ticket,
            until,
            ..
        } = self;
        write!(
            f,
            "`{name}` lifts `{rule}` until {until} ({owner}, {ticket})"
        )
    }
}

/// The exceptions of a bundle, as they were read.
#[must_use]
pub fn exceptions<'a>(policies: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Exception> {
    let ours = policies.into_iter().filter(|(name, _)| *name == EXCEPTIONS);
    ours.flat_map(|(name, text)| {
        let source = PolicySource {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let chunks = source.chunks();
        let read = chunks
            .iter()
            .filter_map(|chunk| Exception::read(chunk.text));
        read.collect::<Vec<_>>()
    })
    .collect()
}

/// An exception of a file that is loaded.
#[derive(Debug)]
pub(crate) struct Lifting<'a> {
    pub(crate) exception: Exception,
    pub(crate) chunk: Chunk<'a>,
}

impl Lifting<'_> {
    /// A fault of it, with its place.
    pub(crate) fn fault(&self, lint: Lint, word: &str, message: String, help: &str) -> Diagnostic {
        let place = self.chunk.place_of(word);
        let id = self.exception.id();
        self.chunk
            .at(lint, place, Some(&id), message, Some(help.to_owned()))
    }

    /// The rule's clause.
    pub(crate) fn clause(&self) -> String {
        format!("unless {{ {} }}", self.exception.condition())
    }

    /// What Cedar says of it: whether it covers a call.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let policy = Policy::parse(None, self.chunk.text).ok()?;
        Some(policy.new_id(PolicyId::new(self.exception.id())))
    }
}

/// The exceptions of a load.
#[derive(Debug, Default)]
pub(crate) struct Liftings<'a> {
    /// By the rule that each lifts.
    of_rule: BTreeMap<String, Vec<Lifting<'a>>>,
    /// Those that are over. They lift nothing.
    over: Vec<Lifting<'a>>,
}

impl<'a> Liftings<'a> {
    /// Reads the exceptions' file, if there is one.
    pub(crate) fn read(
        policies: &[&'a PolicySource],
        now: Timestamp,
    ) -> (Self, Vec<Diagnostic>, Vec<Diagnostic>) {
        let (mut found, mut notices, mut faults) = (Self::default(), Vec::new(), Vec::new());
        let mut names = BTreeSet::new();
        let ours = policies.iter().filter(|source| source.name == EXCEPTIONS);
        for chunk in ours.copied().flat_map(PolicySource::chunks) {
            if let Some(fault) = chunk.beyond_measure() {
                faults.push(fault);
                continue;
            }
            let Some(exception) = Exception::read(chunk.text) else {
                let message = "this is no exception as Writ writes it".to_owned();
                let help = Some("write it into `policies/exceptions.toml`".to_owned());
                faults.push(chunk.at(Lint::Exception, 0, None, message, help));
                continue;
            };
            let lifting = Lifting { exception, chunk };
            if !names.insert(lifting.exception.name.clone()) {
                let message = format!("there are two exceptions `{}`", lifting.exception.name);
                faults.push(lifting.fault(
                    Lint::Exception,
                    "id",
                    message,
                    "call one of them otherwise",
                ));
                continue;
            }
            if lifting.exception.state(now) == ExceptionState::Expired {
                let message = format!(
                    "the exception {} is over and lifts nothing",
                    lifting.exception
                );
                notices.push(Diagnostic {
                    severity: Severity::Notice,
                    ..lifting.fault(Lint::Expired, "until", message, "take it out")
                });
                found.over.push(lifting);
                continue;
            }
            let of_rule = found
                .of_rule
                .entry(lifting.exception.rule.clone())
                .or_default();
            if of_rule.len() >= Exception::MOST_OF_A_RULE {
                let message = format!("`{}` has too many exceptions", lifting.exception.rule);
                faults.push(lifting.fault(
                    Lint::Exception,
                    "lifts",
                    message,
                    "change the rule instead",
                ));
                continue;
            }
            of_rule.push(lifting);
        }
        (found, notices, faults)
    }

    /// Those that name an action and lift a rule that is asked about it, as Cedar reads them.
    pub(crate) fn naming(
        &self,
        action: &ActionName,
        is_asked: impl Fn(&str) -> bool,
    ) -> Result<PolicySet, Vec<Diagnostic>> {
        let mut set = PolicySet::new();
        for lifting in self.all() {
            if lifting.exception.actions.contains(action) && is_asked(&lifting.exception.rule) {
                let added = lifting
                    .policy()
                    .is_some_and(|policy| set.add(policy).is_ok());
                if !added {
                    let message = "Cedar does not take it".to_owned();
                    return Err(vec![lifting.fault(
                        Lint::Exception,
                        "id",
                        message,
                        "take it out",
                    )]);
                }
            }
        }
        Ok(set)
    }

    /// Those of one rule.
    pub(crate) fn of(&self, rule: &str) -> &[Lifting<'a>] {
        self.of_rule.get(rule).map_or(&[], Vec::as_slice)
    }

    /// All of them, those that are over last.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Lifting<'a>> {
        self.all().chain(&self.over)
    }

    /// All that are or will be in force.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Lifting<'a>> {
        self.of_rule.values().flatten()
    }
}

/// What exceptions name that there is not: a rule, an action, or an action that the rule is not about.
pub(crate) fn unfounded(
    liftings: &Liftings<'_>,
    rules: &[(&Rule<'_>, &Scope)],
    apis: &Apis,
) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for lifting in liftings.all() {
        let rule = &lifting.exception.rule;
        let Some((_, scope)) = rules.iter().find(|(known, _)| known.id == *rule) else {
            let known = rules.iter().map(|(rule, _)| rule.id.as_str());
            let help = suggest::help(rule, &known.collect::<Vec<_>>());
            let message = format!("there is no rule `{rule}`");
            let help = help
                .unwrap_or_else(|| "`writ explain` names the rule that refused a call".to_owned());
            faults.push(lifting.fault(Lint::Exception, "lifts", message, &help));
            continue;
        };
        for action in &lifting.exception.actions {
            let model = apis.get(&action.api);
            let operation = model.and_then(|model| model.operations.get(&action.operation));
            let message = match operation {
                None => format!("there is no action `{action}`"),
                Some(operation) if !scope.covers_widely(operation) && !scope.names(operation) => {
                    format!("`{rule}` is not about `{action}`")
                }
                Some(_) => continue,
            };
            faults.push(lifting.fault(Lint::Exception, "actions", message, "take the action out"));
        }
    }
    faults
}

/// Whether an exception can lift a rule at all, by what it is called and does.
///
/// What time alone lifts (a freeze) has its own end. What no person can lift in Writ's baseline is the floor that every installation
/// stands on. An exception grants nothing: what nothing permits needs a rule.
pub(crate) fn liftable(id: &str, effect: Effect, turn: &Turn) -> Result<(), &'static str> {
    let asks = matches!(turn, Turn::Approval { .. } | Turn::Defer { .. });
    if effect != Effect::Forbid {
        Err("an exception lifts a `forbid`, and this rule forbids nothing")
    } else if id.starts_with(FREEZE_ID) {
        Err("a freeze is lifted by nothing but its end: change `policies/freezes.toml`")
    } else if id.starts_with("core.") && !asks {
        Err("this is the floor of the baseline, which no person can lift")
    } else {
        Ok(())
    }
}
