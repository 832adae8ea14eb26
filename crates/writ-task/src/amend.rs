//! A live task comes to hold something else: what is asked under the lock of its tree, and what a token of before names.

use std::sync::Arc;

use writ_types::{Asserter, Budget, Charge, Difference, Digest, Grant, Timestamp, Value};

use crate::AmendError;
use crate::narrow::within;

/// Most amendments of one task; what it held before each is kept, because tokens name it.
pub(crate) const MOST_AMENDMENTS: usize = 16;

/// What a task held before it was amended, the oldest first. Shared with its calls; most tasks have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Former(Option<Arc<Earlier>>);

#[derive(Debug, Clone, Default)]
struct Earlier(Vec<Arc<Grant>>);

impl Former {
    pub(crate) fn all(&self) -> &[Arc<Grant>] {
        self.0
            .as_ref()
            .map(|earlier| &*earlier.0)
            .unwrap_or_default()
    }

    pub(crate) fn push(&mut self, grant: Arc<Grant>) {
        let earlier = self.0.get_or_insert_default();
        Arc::make_mut(earlier).0.push(grant);
    }
}

/// What a task holds as far as a token with these details names it; none if they describe nothing that it ever held.
pub(crate) fn named(
    grant: &Arc<Grant>,
    former: &[Arc<Grant>],
    details: &Value,
) -> Option<Arc<Grant>> {
    if grant.is_described_by(details) {
        return Some(Arc::clone(grant));
    }
    let mut newest = former.iter().rev();
    let then = newest.find(|former| former.is_described_by(details))?;
    Some(Arc::new(grant.as_of(then)))
}

/// The task that is amended, as its tree has it.
pub(crate) struct Amended<'a> {
    pub(crate) grant: &'a Grant,
    pub(crate) amendments: usize,
    /// What it has spent and reserved.
    pub(crate) used: Charge,
    /// The task above it, and what that has left.
    pub(crate) parent: Option<(&'a Grant, Budget)>,
    /// Whether it or a task above it has a plan.
    pub(crate) planned: Planned,
}

/// Whether a plan says what a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planned {
    Yes,
    No,
}

impl Amended<'_> {
    /// Whether `after` may take the place of the grant that `from` is the digest of.
    pub(crate) fn may_become(
        &self,
        after: &Grant,
        from: &Digest,
        now: Timestamp,
    ) -> Result<(), AmendError> {
        let before = self.grant;
        if before.digest() != *from {
            return Err(AmendError::Changed);
        }
        if !after.amends(before) {
            return Err(AmendError::Another);
        }
        if after.deadline <= now {
            return Err(AmendError::DeadlinePast);
        }
        if self.amendments >= MOST_AMENDMENTS {
            let most = MOST_AMENDMENTS;
            return Err(AmendError::TooOften { most });
        }
        let difference = Difference::between(before, after);
        // A client vouches for what it said, and for nothing that is said later: its bounds vouch for values.
        let mut asserters = before.asserters.parts();
        let is_vouched = asserters.any(|(_, by)| matches!(by, Asserter::Client(_)));
        if is_vouched && (difference.widens() || difference.changes_bounds()) {
            return Err(AmendError::Vouched);
        }
        if self.planned == Planned::Yes && difference.widens_calls() {
            return Err(AmendError::Planned);
        }
        if difference.widens()
            && let Some((parent, left)) = self.parent
        {
            self.stays_below(after, parent, left)?;
        }
        Ok(())
    }

    /// A wider sub-task is within the task above it, as one that is opened. What it has spent is spent there, too, so that of a
    /// budget only what would be left counts, and only where more is asked for.
    fn stays_below(&self, after: &Grant, parent: &Grant, left: Budget) -> Result<(), AmendError> {
        let (asked, held) = (after.budget, self.grant.budget);
        let rest = asked.less(self.used);
        let more = |asked: u64, held: u64, rest: u64| if asked > held { rest } else { 0 };
        let budget = Budget {
            calls: more(asked.calls, held.calls, rest.calls),
            writes: more(asked.writes, held.writes, rest.writes),
            deletes: more(asked.deletes, held.deletes, rest.deletes),
            irreversible: more(asked.irreversible, held.irreversible, rest.irreversible),
        };
        let as_if_opened = Grant {
            budget,
            ..after.clone()
        };
        within(&as_if_opened, parent, left).map_err(AmendError::NotWithinParent)
    }
}
