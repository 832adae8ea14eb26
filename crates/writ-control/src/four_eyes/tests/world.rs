//! An installation as far as its people and their changes go: what the routes do with [`need`] and [`judge`], and what the
//! store keeps of it. Each decision is held against [`History`]'s.

use super::reference::{Given, Happened, History, Proposed, Way, What};
use super::*;

/// Something that an admin, or somebody who would like to be one, does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Proposes to register somebody.
    Add { by: u8, given: Given },
    /// Proposes to give somebody another role.
    Give { by: u8, whom: u8, given: Given },
    /// Proposes to remove somebody.
    Remove { by: u8, whom: u8 },
    /// Proposes another token key, trust roots, or other rules of who is asked.
    Other { by: u8, kind: Other },
    /// Invites somebody again.
    Invite { by: u8, whom: u8 },
    /// Somebody signs in whom nobody registered: a viewer.
    Account,
    /// Says yes to a change, counted back from the last one.
    Yes { by: u8, change: usize },
    /// Two say yes to a change, or one says it twice, both before either is heard.
    Race { one: u8, other: u8, change: usize },
    /// Says no to a change, or withdraws it.
    No { by: u8, change: usize },
    /// Signs in, for the first time or again.
    SignIn { who: u8 },
    /// Time passes.
    Wait { minutes: u16 },
}

impl Step {
    /// Whose rights it changes.
    fn about(self) -> Option<OperatorId> {
        if let Self::Give { whom, .. } | Self::Remove { whom, .. } = self {
            Some(id(whom))
        } else {
            None
        }
    }
}

/// What takes two people and is about nobody.
#[derive(Debug, Clone, Copy)]
pub(super) enum Other {
    Keys,
    Roots,
    Rules,
}

impl Other {
    const fn kind(self) -> &'static str {
        match self {
            Self::Keys => "key.rotate",
            Self::Roots => "trust.approve",
            Self::Rules => "project.apply",
        }
    }
}

/// What the store was told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Put(Operator),
    Changed(Operator),
    Invited(OperatorId, OperatorId),
    Removed(OperatorId),
    SignedIn(OperatorId, Timestamp),
    Proposed(StoredChange),
    /// Who decided, how, and when; the first of them was heard.
    Decided(ChangeId, Vec<(OperatorId, &'static str)>, Timestamp),
}

const MOST: u8 = 7;

pub(super) struct World {
    pub(super) all: Vec<Operator>,
    pub(super) makers: BTreeMap<OperatorId, BTreeSet<OperatorId>>,
    pub(super) changes: Vec<(StoredChange, Step)>,
    pub(super) now: Timestamp,
    pub(super) told: Vec<Told>,
    pub(super) effects: Vec<(OperatorId, OperatorId, Approved)>,
    begun: BTreeMap<OperatorId, Timestamp>,
    history: History,
    made: u8,
}

impl World {
    /// The first admin, whom nobody made, has just signed in.
    pub(super) fn new() -> Self {
        let mut world = Self::empty();
        world.join(None, Given::Admin);
        world.sign_in(id(1));
        world
    }

    /// Somebody more is registered, by somebody before them or by nobody, and has signed in if `told`.
    pub(super) fn with(mut self, (given, maker, told): (Given, u8, bool)) -> Self {
        let maker = self.all.get(usize::from(maker)).map(|one| one.id);
        self.join(maker, given);
        if told {
            self.sign_in(id(self.made));
        }
        self
    }

    fn empty() -> Self {
        Self {
            all: Vec::new(),
            makers: BTreeMap::new(),
            changes: Vec::new(),
            now: START,
            told: Vec::new(),
            effects: Vec::new(),
            begun: BTreeMap::new(),
            history: History::default(),
            made: 0,
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Add { by, .. }
            | Step::Give { by, .. }
            | Step::Remove { by, .. }
            | Step::Other { by, .. } => self.propose(id(by), step),
            Step::Invite { by, whom } => self.invite(id(by), id(whom)),
            Step::Account => self.join(None, Given::Viewer),
            Step::Yes { by, change } => self.yes(&[id(by)], change),
            Step::Race { one, other, change } => self.yes(&[id(one), id(other)], change),
            Step::No { by, change } => self.no(id(by), change),
            Step::SignIn { who } => self.sign_in(id(who)),
            Step::Wait { minutes } => {
                self.now = self.now.plus(Duration::from_secs(60 * u64::from(minutes)));
            }
        }
    }

    pub(super) fn people(&self) -> People {
        let mut makers = self.makers.clone();
        for one in &self.all {
            if let Some(maker) = one.made_by {
                makers.entry(one.id).or_default().insert(maker);
            }
        }
        People::of(self.all.clone(), makers)
    }

    fn happened(&mut self, who: OperatorId, what: What, by: Option<OperatorId>) {
        let at = self.now;
        self.history.0.push(Happened { who, what, by, at });
    }

    fn join(&mut self, by: Option<OperatorId>, given: Given) {
        if self.made == MOST {
            return;
        }
        self.made = self.made.saturating_add(1);
        let fresh = Operator {
            id: id(self.made),
            name: self.made.to_string(),
            role: given.role(),
            approves: given.approves().map(str::to_owned).into_iter().collect(),
            identity: None,
            certificate: None,
            created: self.now,
            since: self.now,
            made_by: by,
            signed_in: None,
        };
        self.happened(fresh.id, What::Joined(given), by);
        if let Some(maker) = by {
            self.makers.entry(fresh.id).or_default().insert(maker);
        }
        self.told.push(Told::Put(fresh.clone()));
        self.all.push(fresh);
    }

    fn invite(&mut self, by: OperatorId, whom: OperatorId) {
        let waits =
            |one: &&Operator| one.id == whom && one.made_by == Some(by) && one.signed_in.is_none();
        if self.begun.contains_key(&by) && self.all.iter().any(|one| waits(&one)) {
            self.makers.entry(whom).or_default().insert(by);
            self.happened(whom, What::Invited, Some(by));
            self.told.push(Told::Invited(whom, by));
        }
    }

    fn sign_in(&mut self, who: OperatorId) {
        let now = self.now;
        if let Some(found) = self.all.iter_mut().find(|one| one.id == who) {
            found.signed_in.get_or_insert(now);
            self.begun.insert(who, now);
            self.happened(who, What::SignedIn, None);
            self.told.push(Told::SignedIn(who, now));
        }
    }

    fn propose(&mut self, author: OperatorId, what: Step) {
        if !self.begun.contains_key(&author) {
            return;
        }
        let needed = need(&self.people(), author, self.now, self.now);
        let allowed = self.history.may_propose(author, self.now);
        let at_once = needed.map(|needed| needed == Need::Nothing);
        assert_eq!(at_once, allowed, "{author} proposes {what:?}");
        match needed {
            None => {}
            Some(Need::Nothing) => self.effect((author, author), what, Approved::Alone),
            Some(Need::Another | Need::Alone { .. }) => {
                let place = u8::try_from(self.changes.len()).unwrap_or(u8::MAX);
                let (kind, target) = match what {
                    Step::Give { whom, .. } => ("operator.change", id(whom).to_string()),
                    Step::Remove { whom, .. } => ("operator.remove", id(whom).to_string()),
                    Step::Other { kind, .. } => (kind.kind(), String::new()),
                    Step::Add { .. }
                    | Step::Invite { .. }
                    | Step::Account
                    | Step::Yes { .. }
                    | Step::Race { .. }
                    | Step::No { .. }
                    | Step::SignIn { .. }
                    | Step::Wait { .. } => ("operator.add", String::new()),
                };
                let proposed = StoredChange {
                    id: ChangeId::new(self.now, [place; 10]),
                    kind: kind.to_owned(),
                    target,
                    ..change(author, self.now)
                };
                self.told.push(Told::Proposed(proposed.clone()));
                self.changes.push((proposed, what));
            }
        }
    }

    /// Each is judged as things are before any of them is heard; then they are heard one after another.
    fn yes(&mut self, by: &[OperatorId], back: usize) {
        let place = self.changes.len().wrapping_sub(back).wrapping_sub(1);
        let Some((change, what)) = self.changes.get(place).cloned() else {
            return;
        };
        let about = what.about();
        let known = Proposed {
            author: change.author,
            at: change.proposed,
            about,
            decided: change.state != WAITING,
        };
        let people = self.people();
        let mut counted = Vec::new();
        for one in by {
            let Some(begun) = self.begun.get(one).copied() else {
                continue;
            };
            let judged = judge(&people, &change, about, (*one, begun), self.now);
            let wanted = self.history.yes(&known, (*one, begun), self.now);
            let way = judged.map(|how| match how {
                Approved::ByAnother => Way::Two,
                Approved::Alone => Way::One,
            });
            assert_eq!(way.ok(), wanted, "{one}, {what:?}: {judged:?}");
            counted.extend(judged.ok().map(|how| (*one, how)));
        }
        let Some((first, how)) = counted.first().copied() else {
            return;
        };
        let all = counted.iter().map(|(one, _)| (*one, "approved")).collect();
        self.decide(place, all);
        self.effect((change.author, first), what, how);
    }

    fn no(&mut self, by: OperatorId, back: usize) {
        let place = self.changes.len().wrapping_sub(back).wrapping_sub(1);
        let Some((change, _)) = self.changes.get(place) else {
            return;
        };
        let mine = change.author == by || self.people().find(by).is_some_and(decides);
        if self.begun.contains_key(&by) && mine && waits(change, self.now) {
            self.decide(place, vec![(by, "refused")]);
        }
    }

    fn decide(&mut self, place: usize, by: Vec<(OperatorId, &'static str)>) {
        let (first, state) = by[0];
        let (change, _) = &mut self.changes[place];
        change.state = state.to_owned();
        change.decided_by = Some(first);
        self.told.push(Told::Decided(change.id, by, self.now));
    }

    fn effect(&mut self, (author, by): (OperatorId, OperatorId), what: Step, how: Approved) {
        self.effects.push((author, by, how));
        match what {
            Step::Add { given, .. } => self.join(Some(author), given),
            Step::Give { whom, given, .. } => self.give(author, id(whom), given),
            Step::Remove { whom, .. } => self.remove(id(whom)),
            Step::Other { .. }
            | Step::Invite { .. }
            | Step::Account
            | Step::Yes { .. }
            | Step::Race { .. }
            | Step::No { .. }
            | Step::SignIn { .. }
            | Step::Wait { .. } => {}
        }
    }

    fn give(&mut self, author: OperatorId, whom: OperatorId, given: Given) {
        let stays = given == Given::Admin || self.admins_without(whom);
        let now = self.now;
        let Some(found) = self.all.iter_mut().find(|one| one.id == whom && stays) else {
            return;
        };
        found.role = given.role();
        found.approves = given.approves().map(str::to_owned).into_iter().collect();
        found.since = now;
        found.made_by = Some(author);
        let changed = found.clone();
        self.told.push(Told::Changed(changed));
        self.happened(whom, What::Given(given), Some(author));
    }

    fn remove(&mut self, whom: OperatorId) {
        let found = self.all.iter().find(|one| one.id == whom).cloned();
        let Some(found) = found.filter(|_| self.admins_without(whom)) else {
            return;
        };
        self.makers.entry(whom).or_default().extend(found.made_by);
        self.all.retain(|one| one.id != whom);
        self.begun.remove(&whom);
        self.told.push(Told::Removed(whom));
        self.happened(whom, What::Left, None);
    }

    fn admins_without(&self, whom: OperatorId) -> bool {
        let stays = |one: &&Operator| one.id != whom && one.role == Role::Admin;
        self.all
            .iter()
            .filter(stays)
            .any(|one| one.signed_in.is_some())
    }
}
