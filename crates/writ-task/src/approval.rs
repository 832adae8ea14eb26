//! The seam between the call path and whoever keeps approvals, and who may give one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use writ_types::{
    ActionName, ApprovalId, ApprovalState, CallId, Digest, Effect, Grant, KeyedDigest, OwnerName,
    ReasonCode, Requester, RevisionId, Tenant, Timestamp, Value,
};

use crate::ledger::LedgerFuture;

/// Where approvals and waits are kept (DESIGN §2, §6).
///
/// What holds: one is for one canonical call, by [`Ask::binding`]; it is used at most once, on disk before
/// [`consume`](Self::consume) returns; and it lives no longer than its task, except a wait, which is for the agent.
pub trait Approvals: Send + Sync + fmt::Debug {
    /// How the matter of this very call stands. Where nobody was asked yet, somebody is, or the wait begins; that is on
    /// disk when this returns.
    ///
    /// # Errors
    ///
    /// [`AskError`]; nobody was asked then.
    fn stand(&self, ask: Ask) -> LedgerFuture<'_, Result<Standing, AskError>>;

    /// Uses up all of `approvals`, or none: nothing if one of them is no longer good, because another call was faster, or
    /// time was.
    ///
    /// # Errors
    ///
    /// [`AskError::Unavailable`]; none is used then.
    fn consume<'a>(
        &'a self,
        tenant: &'a Tenant,
        approvals: &'a [ApprovalId],
        call: CallId,
        now: Timestamp,
    ) -> LedgerFuture<'a, Result<Option<Used>, AskError>>;

    /// An approval of this task, or a wait of its agent; none for anybody else's.
    ///
    /// # Errors
    ///
    /// [`AskError::Unavailable`].
    fn status<'a>(
        &'a self,
        grant: &'a Grant,
        approval: ApprovalId,
        now: Timestamp,
    ) -> LedgerFuture<'a, Result<Option<Status>, AskError>>;

    /// The actions of which this task has made a call that a person approved; not those of other tasks of its tree.
    ///
    /// # Errors
    ///
    /// [`AskError::Unavailable`].
    fn approved<'a>(
        &'a self,
        grant: &'a Grant,
    ) -> LedgerFuture<'a, Result<BTreeSet<ActionName>, AskError>>;

    /// Becomes ready at the next answer of a person after this call.
    fn changed(&self) -> LedgerFuture<'_, ()>;

    /// Whether a person has said no to this effect on this resource for this requester, not long ago.
    fn remembers_no(&self, memory: &KeyedDigest, now: Timestamp) -> bool;
}

/// What a call needs before it is permitted.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The tenant.
    pub tenant: Tenant,
    /// The revision in force.
    pub revision: RevisionId,
    /// The call that asks.
    pub call: CallId,
    /// Its task.
    pub grant: Arc<Grant>,
    /// Who answers for the agent.
    pub owner: OwnerName,
    /// The action.
    pub action: ActionName,
    /// What the operation does.
    pub effect: Effect,
    /// The commitment to the canonical call, whose it is, the deciding rules and the card.
    pub binding: KeyedDigest,
    /// The commitments to requester, resource and effect, for what is remembered of a no: one for each resource.
    pub memory: Vec<KeyedDigest>,
    /// What is needed.
    pub want: Want,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// What a person is shown.
    pub card: Value,
    /// Its digest.
    pub card_digest: Digest,
    /// The instant.
    pub now: Timestamp,
}

/// What is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// People in all of these roles say yes.
    Approval {
        /// The roles.
        roles: BTreeSet<String>,
        /// Whether the requester is nobody to ask.
        four_eyes: bool,
    },
    /// Time passes.
    Wait {
        /// Until then.
        until: Timestamp,
    },
}

/// How the matter stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is given, and not used.
    Ready(ApprovalId),
    /// Somebody is asked now, or the wait begins.
    Begun(Status),
    /// Somebody was asked, or time must pass.
    Waiting(Status),
    /// A person has said no.
    Denied(ApprovalId),
}

/// What was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Whoever gave it wants the values they entered remembered.
    pub remembered: bool,
}

/// An approval as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub id: ApprovalId,
    /// How far it has come.
    pub state: ApprovalState,
    /// From when on it can be used; none if that is for people to say.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub expires: Timestamp,
}

impl Status {
    /// The word for the agent at `now`: `pending`, `approved`, `denied`, `expired` or `used`.
    #[must_use]
    pub fn word(&self, now: Timestamp) -> &'static str {
        let waits = self.not_before.is_some_and(|at| at > now);
        match self.state {
            ApprovalState::Denied => "denied",
            ApprovalState::Used => "used",
            ApprovalState::Withdrawn => "expired",
            ApprovalState::Pending | ApprovalState::Approved if self.expires <= now => "expired",
            ApprovalState::Approved if !waits => "approved",
            ApprovalState::Pending | ApprovalState::Approved => "pending",
        }
    }
}

/// Why nobody was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// As many as the task or its agent may have wait for an answer already.
    #[error("too many approvals wait for an answer already")]
    TooMany,
    /// They cannot be read, recorded or kept.
    #[error("approvals cannot be kept")]
    Unavailable,
}

impl AskError {
    /// The reason for the wire.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::TooMany => ReasonCode::TooManyApprovals,
            Self::Unavailable => ReasonCode::ApprovalUnavailable,
        }
    }
}

/// A person who could say yes.
#[derive(Debug, Clone, Copy)]
pub struct Approver<'a> {
    /// The name under which they act.
    pub name: &'a str,
    /// Whether they run Writ.
    pub is_operator: bool,
    /// Whether they may do everything.
    pub is_admin: bool,
    /// The roles they were given for approving.
    pub roles: &'a BTreeSet<String>,
    /// Who they are as a user of agents, where that is known.
    pub identity: Option<&'a Requester>,
}

/// What an approval is about, for the question who may give it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The user the agent acts for.
    pub requester: Option<&'a Requester>,
    /// Who answers for the agent.
    pub owner: &'a str,
    /// Whether the requester is nobody to ask.
    pub four_eyes: bool,
}

impl Approver<'_> {
    /// Whether this person can give what `role` stands for.
    ///
    /// `operator` and `admin` are whoever runs Writ; `requester` is the very user the agent acts for and, where it acts for
    /// none, its `owner`; any other role is what its members were given by name.
    #[must_use]
    pub fn can_give(&self, role: &str, subject: Subject<'_>) -> bool {
        if subject.four_eyes && self.is(subject.requester) {
            return false;
        }
        let owns = self.name == subject.owner;
        match role {
            "admin" => self.is_admin,
            "operator" => self.is_operator,
            "owner" => owns,
            "requester" => subject
                .requester
                .map_or(owns, |requester| self.identity == Some(requester)),
            named => self.roles.contains(named),
        }
    }

    /// Whether this is the requester. A name that is the same counts as the same person, though it grants nothing.
    fn is(&self, requester: Option<&Requester>) -> bool {
        requester.is_some_and(|requester| {
            self.identity == Some(requester) || self.name == requester.subject
        })
    }
}

/// The roles that somebody has in every installation; any other is given by name.
pub const STANDING_ROLES: [&str; 4] = ["admin", "operator", "owner", "requester"];

#[cfg(test)]
mod tests;
