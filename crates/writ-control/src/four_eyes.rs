//! Changes that one person alone does not make: who may propose one, whose yes counts, and what remains where there is
//! nobody else.
//!
//! An admin proposes, another person approves. Nobody counts whom the author has brought along (registered, invited or given
//! their role, or did so to somebody who did), or who has had their role for less than a day: an admin would otherwise make
//! the second pair of eyes. Where no two of the people who have signed in could ever
//! make a change together, the installation is in single-operator mode: a change takes a delay and a sign-in after it, so
//! that a stolen session does not suffice and the person can notice. While the first admin sets the installation up, in
//! the first day, it takes nothing. Both are recorded as such.
//!
//! Nothing here reads a clock, and what is decided reads no store: who decides with it holds the lock on changes, so that
//! nothing moves between the question and the effect.

mod people;

use std::time::Duration;

use writ_store::{Operator, Role, StoredChange};
use writ_types::{OperatorId, Timestamp};

pub(crate) use people::People;

/// How long somebody has a role before their yes counts.
pub(crate) const AGE: Duration = Duration::from_secs(24 * 3600);
/// How long after their role was given the only person sets the installation up.
pub(crate) const SETTING_UP: Duration = AGE;
/// How long a change waits where there is nobody else.
pub(crate) const DELAY: Duration = Duration::from_secs(600);
/// How long a change can be approved.
pub(crate) const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most changes of one author that wait at once.
pub(crate) const MOST_WAITING: u64 = 100;
/// The state of a change that nobody has decided on.
pub(crate) const WAITING: &str = "waiting";
/// The role to approve in that makes an approver somebody who decides on changes.
pub(crate) const DECIDES: &str = "changes";

/// What a change of this author takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Another person's yes.
    Another,
    /// There is nobody else: the author's own yes, from this instant on, in a session that began after it.
    Alone {
        /// From when on.
        from: Timestamp,
    },
    /// There is nobody else, and the installation is being set up.
    Nothing,
}

/// Why somebody's yes to a change does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It was decided on, withdrawn, or waited too long.
    #[error("the change does not wait any more")]
    Over,
    /// The author has no right to propose it any more, or was given it anew since.
    #[error("its author may not propose it any more, or has another role since: propose it again")]
    Author,
    /// They do not decide on changes.
    #[error("changes are decided on by admins, and by approvers who approve in the role `changes`")]
    Role,
    /// They are the author, and others could decide.
    #[error("a change is approved by another person than its author")]
    Same,
    /// The author brought them along.
    #[error(
        "the author of the change, or somebody they made, has given you your role: it takes somebody else"
    )]
    MadeByAuthor,
    /// The change is about themselves.
    #[error("the change is about you: it takes somebody else")]
    About,
    /// They have had their role for less than a day.
    #[error("you have your role since less than 24 hours: it takes somebody else, or time")]
    TooYoung,
    /// There is nobody else, and the delay is not over.
    #[error(
        "there is nobody else to ask: the change can be approved ten minutes after it was proposed"
    )]
    TooEarly,
    /// There is nobody else, and the session began before the delay was over.
    #[error("there is nobody else to ask: sign in again, then approve it")]
    OldSession,
}

/// How an approved change came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approved {
    /// By two people.
    ByAnother,
    /// In single-operator mode.
    Alone,
}

/// Whether somebody decides on changes.
pub(crate) fn decides(operator: &Operator) -> bool {
    match operator.role {
        Role::Admin => true,
        Role::Approver | Role::Operator => operator.approves.contains(DECIDES),
        Role::Viewer => false,
    }
}

/// Whether a change can still be decided on.
pub(crate) fn waits(change: &StoredChange, now: Timestamp) -> bool {
    change.state == WAITING && now < change.expires
}

/// Whether no two of these people could ever make a change together. Those who never signed in are names, not people.
pub(crate) fn single_operator(people: &People) -> bool {
    let deciding = || {
        let all = people.all().iter();
        all.filter(|one| decides(one) && one.signed_in.is_some())
    };
    let could = |author: &Operator| {
        author.role == Role::Admin
            && deciding().any(|other| other.id != author.id && !people.brought(author.id, other.id))
    };
    !deciding().any(could)
}

/// What a change takes that was proposed by `author`; none where they may not propose any, or were given the right to after
/// they proposed it.
pub(crate) fn need(
    people: &People,
    author: OperatorId,
    proposed: Timestamp,
    now: Timestamp,
) -> Option<Need> {
    let found = people.find(author)?;
    if found.role != Role::Admin || found.since > proposed {
        return None;
    }
    Some(if !single_operator(people) {
        Need::Another
    } else if found.made_by.is_none() && now < found.since.plus(SETTING_UP) {
        Need::Nothing
    } else {
        Need::Alone {
            from: proposed.plus(DELAY),
        }
    })
}

/// Judges the yes of `approver`, whose session began at `begun`, to a change. Where it changes what somebody may do, `about` is
/// that person, and their own yes to it does not count.
///
/// # Errors
///
/// [`Refusal`]: the yes does not count; a change that waits goes on waiting.
pub(crate) fn judge(
    people: &People,
    change: &StoredChange,
    about: Option<OperatorId>,
    (approver, begun): (OperatorId, Timestamp),
    now: Timestamp,
) -> Result<Approved, Refusal> {
    if !waits(change, now) {
        return Err(Refusal::Over);
    }
    let need = need(people, change.author, change.proposed, now).ok_or(Refusal::Author)?;
    let found = people.find(approver);
    let found = found.filter(|one| decides(one)).ok_or(Refusal::Role)?;
    if approver == change.author {
        return match need {
            Need::Another => Err(Refusal::Same),
            Need::Nothing => Ok(Approved::Alone),
            Need::Alone { from } if now < from => Err(Refusal::TooEarly),
            Need::Alone { from } if begun < from => Err(Refusal::OldSession),
            Need::Alone { .. } => Ok(Approved::Alone),
        };
    }
    if about == Some(approver) {
        return Err(Refusal::About);
    }
    if people.brought(change.author, approver) {
        return Err(Refusal::MadeByAuthor);
    }
    if now < found.since.plus(AGE) {
        return Err(Refusal::TooYoung);
    }
    Ok(Approved::ByAnother)
}

#[cfg(test)]
mod tests;
