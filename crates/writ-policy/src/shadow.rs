//! A draft tried beside the rules in force: it decides every call too, is recorded where it decides otherwise, and binds nobody.
//!
//! A draft is written down like rules are, in a folder of its own, with a begin and an end. A rule of it with the `@id` of one in
//! force stands in that one's place; the others are added.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_types::{Digest, Timestamp, Verdict};

use crate::decide::{Denied, Permit};
use crate::diagnostic::{Diagnostic, Severity};
use crate::findings::Lint;
use crate::pdp::Pdp;
use crate::source::PolicySource;

/// How the names of a draft's files begin.
pub const SHADOW: &str = "policies/shadow/";
/// The file that says when a draft is tried. It is no rules.
pub const SHADOW_TIME: &str = "policies/shadow/time";

/// When a draft is tried, and which rules in force it does without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowTime {
    /// Its first instant.
    pub from: Timestamp,
    /// Its end, not included.
    pub until: Timestamp,
    /// The ids of the rules that the draft leaves out.
    pub without: BTreeSet<String>,
}

/// Why a draft cannot be tried in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// It ends before it begins.
    #[error("a draft's trial ends after it begins")]
    Order,
    /// It would be tried for ever.
    #[error("a draft is tried for at most 30 days: put it in force, or take it out")]
    Long,
    /// A rule is named by no id.
    #[error("`without` names rules by their `@id`: letters, digits, `.`, `_` and `-`")]
    Rule,
}

impl ShadowTime {
    /// The longest trial.
    pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

    /// What stands in [`SHADOW_TIME`].
    ///
    /// # Errors
    ///
    /// [`ShadowError`].
    pub fn text(&self) -> Result<String, ShadowError> {
        if self.until <= self.from {
            return Err(ShadowError::Order);
        }
        if self.until.since(self.from) > Self::LONGEST {
            return Err(ShadowError::Long);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_id = |id: &String| (1..=64).contains(&id.len()) && id.bytes().all(plain);
        if !self.without.iter().all(is_id) {
            return Err(ShadowError::Rule);
        }
        let mut text = format!("{}\n{}\n", self.from, self.until);
        for id in &self.without {
            text.push_str(id);
            text.push('\n');
        }
        Ok(text)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let read = Self {
            from: Timestamp::parse(lines.next()?)?,
            until: Timestamp::parse(lines.next()?)?,
            without: lines.map(str::to_owned).collect(),
        };
        (read.text().ok()? == text).then_some(read)
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// The sources of a bundle: those in force, and a draft's.
pub(crate) struct Split<'a> {
    pub(crate) in_force: Vec<&'a PolicySource>,
    pub(crate) draft: Result<Option<Draft<'a>>, Box<Diagnostic>>,
}

/// A draft as it is loaded.
pub(crate) struct Draft<'a> {
    pub(crate) time: ShadowTime,
    pub(crate) sources: Vec<&'a PolicySource>,
}

/// Takes a draft from beside the rules in force.
pub(crate) fn split(policies: &[PolicySource]) -> Split<'_> {
    let is_draft = |source: &&PolicySource| source.name.starts_with(SHADOW);
    let (drafted, in_force): (Vec<_>, Vec<_>) = policies.iter().partition(is_draft);
    Split {
        in_force,
        draft: draft_of(drafted).map_err(Box::new),
    }
}

fn draft_of(drafted: Vec<&PolicySource>) -> Result<Option<Draft<'_>>, Diagnostic> {
    let is_time = |source: &&PolicySource| source.name == SHADOW_TIME;
    let (times, sources): (Vec<&PolicySource>, Vec<_>) = drafted.into_iter().partition(is_time);
    let fault = |at: &PolicySource, message: &str| {
        let help = Some("write `from` and `until` into `policies/shadow.toml`".to_owned());
        at.at(Lint::Shadow, 0, None, message.to_owned(), help)
    };
    let time = match (times.as_slice(), sources.first()) {
        ([], None) => return Ok(None),
        ([time], _) => time,
        ([first, ..], _) | ([], Some(first)) => {
            return Err(fault(first, "a draft says once when it is tried"));
        }
    };
    let read = ShadowTime::read(&time.text);
    let read = read.ok_or_else(|| fault(time, "this is no time as Writ writes it"))?;
    Ok(Some(Draft {
        time: read,
        sources,
    }))
}

/// A draft, compiled.
#[derive(Debug)]
pub(crate) struct Shadow {
    pub(crate) time: Option<ShadowTime>,
    /// Or what is wrong with it; nothing of that once the trial is over.
    pub(crate) pdp: Result<Pdp, Vec<Diagnostic>>,
}

/// What a draft decides otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its rules that decided.
    pub rules: Vec<String>,
    /// The digest of its policies.
    pub policy: Digest,
}

impl Pdp {
    /// The draft that is tried at `now`, if one is.
    #[must_use]
    pub fn shadow(&self, now: Timestamp) -> Option<&Self> {
        let shadow = self.draft()?;
        let holds = shadow.time.as_ref().is_some_and(|time| time.holds(now));
        shadow.pdp.as_ref().ok().filter(|_| holds)
    }

    /// When the draft of the bundle is tried, if there is one, be its trial over or not.
    #[must_use]
    pub fn shadow_time(&self) -> Option<&ShadowTime> {
        self.draft()?.time.as_ref()
    }

    /// What is wrong with the draft of the bundle: it is not tried then.
    #[must_use]
    pub fn shadow_faults(&self) -> &[Diagnostic] {
        let faults = self.draft().and_then(|shadow| shadow.pdp.as_ref().err());
        faults.map_or(&[], Vec::as_slice)
    }

    /// The digest of the draft's policies, as records name it; none once its trial is over.
    #[must_use]
    pub fn shadow_digest(&self) -> Option<Digest> {
        self.draft()?.pdp.as_ref().ok().map(Self::digest)
    }

    /// What a draft makes of a call, where that is another decision than the one in force: another verdict, other approvals and waits
    /// that would lift it, or other obligations.
    #[must_use]
    pub fn disagreement(
        &self,
        in_force: &Result<Permit, Denied>,
        drafted: Result<Permit, Denied>,
    ) -> Option<Disagreement> {
        let verdict = |decided: &Result<Permit, Denied>| match decided {
            Ok(permit) => permit.verdict(),
            Err(denied) => denied.verdict,
        };
        let same = match (in_force, &drafted) {
            (Ok(one), Ok(other)) => one.obligations() == other.obligations(),
            (Err(one), Err(other)) => asks(one) == asks(other),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        let other = verdict(&drafted);
        (!same || other != verdict(in_force)).then(|| Disagreement {
            verdict: other,
            rules: match drafted {
                Ok(permit) => permit.rules().to_vec(),
                Err(denied) => denied.rules,
            },
            policy: self.digest(),
        })
    }
}

/// What a refusal could be lifted by.
fn asks(denied: &Denied) -> Option<impl PartialEq> {
    let needs = denied.needs.as_deref()?;
    let waits = (&needs.waits, needs.span);
    Some((&needs.roles, needs.four_eyes, needs.confirm, waits))
}

/// What a draft cannot do without: no draft stands in the place of the baseline, and a name that there is not is a slip.
pub(crate) fn left_out(draft: &Draft<'_>, in_force: &Pdp) -> Vec<Diagnostic> {
    let faults = draft.time.without.iter().filter_map(|id| {
        let message = if id.starts_with("core.") {
            format!("`{id}` is of the baseline, which no draft does without")
        } else if in_force.rules().any(|rule| rule == id) {
            return None;
        } else {
            format!("there is no rule `{id}` to do without")
        };
        let help = "take it out of `policies/shadow.toml`";
        Some(of_time(Lint::Shadow, message, help))
    });
    faults.collect()
}

/// A finding about the file that says when a draft is tried.
fn of_time(lint: Lint, message: String, help: &str) -> Diagnostic {
    let source = PolicySource {
        name: SHADOW_TIME.to_owned(),
        text: String::new(),
    };
    source.at(lint, 0, None, message, Some(help.to_owned()))
}

/// That a trial is over.
pub(crate) fn over(time: &ShadowTime) -> Diagnostic {
    let message = format!(
        "the draft in policies/shadow was tried until {}",
        time.until
    );
    Diagnostic {
        severity: Severity::Notice,
        ..of_time(
            Lint::Expired,
            message,
            "put its rules in force, or take them out",
        )
    }
}
