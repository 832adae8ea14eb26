//! Who may bring a change about, worked out from the history of an installation and from nothing the code under test keeps.

use std::collections::BTreeSet;

use writ_store::Role;
use writ_types::{OperatorId, Timestamp};

// In milliseconds.
const TEN_MINUTES: u64 = 600_000;
const DAY: u64 = 86_400_000;
const WEEK: u64 = 7 * DAY;

/// Something that happened to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// They were registered.
    Joined(Given),
    /// They have another role.
    Given(Given),
    /// They were invited again.
    Invited,
    /// They signed in.
    SignedIn,
    /// They were removed.
    Left,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Admin,
    /// An approver of changes.
    Changes,
    /// An approver of something else.
    Finance,
    Viewer,
}

impl Given {
    pub(super) const fn role(self) -> Role {
        match self {
            Self::Admin => Role::Admin,
            Self::Changes | Self::Finance => Role::Approver,
            Self::Viewer => Role::Viewer,
        }
    }

    pub(super) const fn approves(self) -> Option<&'static str> {
        match self {
            Self::Changes => Some("changes"),
            Self::Finance => Some("finance"),
            Self::Admin | Self::Viewer => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Happened {
    pub(super) who: OperatorId,
    pub(super) what: What,
    pub(super) by: Option<OperatorId>,
    pub(super) at: Timestamp,
}

/// A change that was proposed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposed {
    pub(super) author: OperatorId,
    pub(super) at: Timestamp,
    pub(super) about: Option<OperatorId>,
    pub(super) decided: bool,
}

/// Everything that happened, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct History(pub(super) Vec<Happened>);

/// How a change may come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Two,
    One,
}

impl History {
    fn of(&self, who: OperatorId) -> impl DoubleEndedIterator<Item = &Happened> {
        self.0.iter().filter(move |event| event.who == who)
    }

    fn everybody(&self) -> BTreeSet<OperatorId> {
        self.0.iter().map(|event| event.who).collect()
    }

    /// The role somebody has, and since when; none if they are not there.
    pub(super) fn role(&self, who: OperatorId) -> Option<(Given, u64)> {
        let last = self
            .of(who)
            .rfind(|event| !matches!(event.what, What::SignedIn | What::Invited))?;
        match last.what {
            What::Joined(given) | What::Given(given) => Some((given, last.at.millis_since_epoch())),
            What::Left | What::SignedIn | What::Invited => None,
        }
    }

    /// Who brought somebody along, whatever became of either: registered them, invited them, or gave them the last role they had.
    fn makers(&self, who: OperatorId) -> Vec<OperatorId> {
        let brought = self
            .of(who)
            .filter(|event| matches!(event.what, What::Joined(_) | What::Invited));
        let given = self
            .of(who)
            .rfind(|event| matches!(event.what, What::Given(_)));
        brought.chain(given).filter_map(|event| event.by).collect()
    }

    /// Whether somebody is of another's making: whoever that other brought along, whoever those did, and so on.
    fn is_of(&self, who: OperatorId, maker: OperatorId) -> bool {
        let mut family = BTreeSet::from([maker]);
        let everybody = self.everybody().into_iter();
        let made: Vec<_> = everybody.map(|one| (one, self.makers(one))).collect();
        for _generation in &made {
            for (one, makers) in &made {
                if makers.iter().any(|above| family.contains(above)) {
                    family.insert(*one);
                }
            }
        }
        // The maker is of their own making only where there is a circle, and nobody is asked about themselves.
        family.contains(&who) && who != maker
    }

    fn is_in(&self, who: OperatorId) -> bool {
        self.of(who).any(|event| event.what == What::SignedIn)
    }

    fn decides(&self, who: OperatorId) -> bool {
        matches!(self.role(who), Some((Given::Admin | Given::Changes, _)))
    }

    /// Whether some two people could ever agree.
    fn two_could(&self) -> bool {
        let mut people = self.everybody();
        people.retain(|one| self.decides(*one) && self.is_in(*one));
        people.iter().any(|author| {
            matches!(self.role(*author), Some((Given::Admin, _)))
                && people
                    .iter()
                    .any(|other| author != other && !self.is_of(*other, *author))
        })
    }

    /// Whether the only person sets the installation up.
    fn sets_up(&self, who: OperatorId, now: u64) -> bool {
        let unmade = self.of(who).all(|event| match event.what {
            What::Joined(_) => event.by.is_none(),
            What::Given(_) => false,
            What::Invited | What::SignedIn | What::Left => true,
        });
        let since = self.role(who).map(|(_, since)| since);
        unmade && since.is_some_and(|since| now < since.saturating_add(DAY))
    }

    /// Whether somebody may propose now, and whether it then comes about at once.
    pub(super) fn may_propose(&self, who: OperatorId, now: Timestamp) -> Option<bool> {
        let (given, _) = self.role(who)?;
        let at_once = !self.two_could() && self.sets_up(who, now.millis_since_epoch());
        (given == Given::Admin).then_some(at_once)
    }

    /// How the yes of somebody, in a session that began then, brings a change about; none if it does not.
    pub(super) fn yes(
        &self,
        change: &Proposed,
        (by, begun): (OperatorId, Timestamp),
        now: Timestamp,
    ) -> Option<Way> {
        let (now, begun) = (now.millis_since_epoch(), begun.millis_since_epoch());
        let at = change.at.millis_since_epoch();
        let (authors, since) = self.role(change.author)?;
        let waits = !change.decided && now < at.saturating_add(WEEK);
        if !waits || authors != Given::Admin || since > at || !self.decides(by) {
            return None;
        }
        if by == change.author {
            let due = at.saturating_add(TEN_MINUTES);
            let alone = self.sets_up(by, now) || (now >= due && begun >= due);
            return (!self.two_could() && alone).then_some(Way::One);
        }
        let (_, since) = self.role(by)?;
        let counts = change.about != Some(by)
            && !self.is_of(by, change.author)
            && now >= since.saturating_add(DAY);
        counts.then_some(Way::Two)
    }
}
