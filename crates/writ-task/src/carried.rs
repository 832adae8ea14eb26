//! What outlives a task: what an agent and a requester have read, and what was written by and for them.
//!
//! An agent that has read something knows it in its next task too, and so does whoever the task was for (DESIGN §6
//! "labels"). A value that one task wrote could be read back by the next from a field that is trusted, so it vouches for
//! nothing until a person had time to notice ([`COOLING_OFF`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ_types::{AgentId, Grant, Label, Requester, Timestamp, ValueDigest};

/// How long what a task wrote without anything vouching for it does not vouch in the tasks of the same agent or requester.
pub(crate) const COOLING_OFF: Duration = Duration::from_secs(24 * 3600);

/// Most values that the tasks of one agent or requester wrote and that still cool off. Beyond, whatever is read vouches for nothing until
/// the last of them has cooled off.
const MOST_WRITTEN: usize = 4096;

/// Most values that are remembered for one requester because a person wants it.
const MOST_ENDORSED: usize = 1024;

/// Most agents and requesters that are remembered. Beyond, one that is not is taken to have read everything.
const MOST_SUBJECTS: usize = 65_536;

/// What a task that could have read anything carries.
pub(crate) const WORST: [&str; 4] = ["confidential", "pii", "secret", Label::UNTRUSTED];

/// Whose memory it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knower {
    /// An agent's.
    Agent(AgentId),
    /// A user's.
    Requester(Requester),
}

/// The agents of a tree in which several act: what one of them knows the others may be told. None where one acts alone.
#[must_use]
pub fn several(mut acting: BTreeSet<Knower>) -> BTreeSet<Knower> {
    acting.retain(|one| matches!(one, Knower::Agent(_)));
    if acting.len() < 2 {
        acting.clear();
    }
    acting
}

/// Who acts in a task: the agent, and the user it acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// The agent.
    pub agent: AgentId,
    /// The user, if there is one.
    pub requester: Option<Requester>,
}

impl Acting {
    /// Who acts in the task of `grant`.
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        Self {
            agent: grant.agent,
            requester: grant.requester.clone(),
        }
    }

    /// Both, each with a memory of its own.
    pub fn subjects(&self) -> impl Iterator<Item = Knower> {
        let requester = self.requester.clone().map(Knower::Requester);
        [Knower::Agent(self.agent)].into_iter().chain(requester)
    }
}

#[derive(Debug, Default)]
struct Memory {
    labels: BTreeSet<Label>,
    /// Until when each written form does not vouch.
    written: BTreeMap<ValueDigest, Timestamp>,
    /// Until when nothing that is read vouches, because what was written is not known.
    lost_until: Option<Timestamp>,
    /// What a person entered and wants remembered (`argument` to `form`), and until when.
    endorsed: BTreeMap<ValueDigest, (ValueDigest, Timestamp)>,
}

/// Who was asked for what a person entered: the requester, or the agent where it acts for nobody. What helps is no wider
/// than that, other than what was read and written.
fn asker(grant: &Grant) -> Knower {
    grant
        .requester
        .clone()
        .map_or(Knower::Agent(grant.agent), Knower::Requester)
}

impl Memory {
    fn write(&mut self, forms: Option<&[ValueDigest]>, until: Timestamp, now: Timestamp) {
        let Some(forms) = forms else {
            self.lost_until = Some(until);
            return;
        };
        for form in forms {
            if self.written.len() >= MOST_WRITTEN && !self.written.contains_key(form) {
                self.written.retain(|_, until| *until > now);
            }
            if self.written.len() < MOST_WRITTEN || self.written.contains_key(form) {
                self.written.insert(*form, until);
            } else {
                self.lost_until = Some(until);
            }
        }
    }

    /// What somebody else wrote counts as written here, for as long as it does there.
    fn adopt(&mut self, other: &Self, now: Timestamp) {
        self.lost_until = self.lost_until.max(other.lost_until);
        for (form, until) in other.written.iter().filter(|(_, until)| **until > now) {
            let known = self.written.get(form).copied();
            self.write(
                Some(&[*form]),
                known.map_or(*until, |own| own.max(*until)),
                now,
            );
        }
    }
}

/// A tree with tasks that may still act.
#[derive(Debug)]
pub(crate) struct Live {
    /// Who acts in them.
    pub(crate) subjects: BTreeSet<Knower>,
    /// What the tree has read.
    pub(crate) labels: BTreeSet<Label>,
}

/// The memories of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    memories: BTreeMap<Knower, Memory>,
    /// There was no room for somebody.
    forgetful: bool,
    /// Until when what they wrote may not have cooled off.
    lost_until: Option<Timestamp>,
}

/// What whoever could have read anything has read.
#[must_use]
pub fn worst() -> BTreeSet<Label> {
    WORST
        .iter()
        .filter_map(|label| label.parse().ok())
        .collect()
}

impl Carried {
    /// The labels a task begins with that its agent opens itself.
    pub(crate) fn labels(&self, acting: &Acting) -> BTreeSet<Label> {
        let mut labels = BTreeSet::new();
        for subject in acting.subjects() {
            match self.memories.get(&subject) {
                Some(memory) => labels.extend(memory.labels.iter().cloned()),
                None if self.forgetful => labels.extend(worst()),
                None => {}
            }
        }
        labels
    }

    /// The labels that the agent of a sub-task brings into a tree in which these act already.
    pub(crate) fn brought(&self, acting: &Acting, there: &BTreeSet<Knower>) -> BTreeSet<Label> {
        if there.contains(&Knower::Agent(acting.agent)) {
            return BTreeSet::new();
        }
        // For whom it acts is the tree's own.
        self.labels(&Acting {
            agent: acting.agent,
            requester: None,
        })
    }

    /// The agent of a sub-task acts in a tree in which these did already: what one of its agents wrote, each of them could have
    /// been told to write. What its agents wrote that has not cooled off; none if that is not known.
    pub(crate) fn meet(
        &mut self,
        acting: &Acting,
        there: &BTreeSet<Knower>,
        now: Timestamp,
    ) -> Option<Vec<ValueDigest>> {
        if there.contains(&Knower::Agent(acting.agent)) {
            return Some(Vec::new());
        }
        let mut agents = there.clone();
        agents.insert(Knower::Agent(acting.agent));
        let agents = several(agents);
        let mut all = Memory::default();
        for memory in agents.iter().filter_map(|one| self.memories.get(one)) {
            all.adopt(memory, now);
        }
        if !all.written.is_empty() || all.lost_until.is_some() {
            for agent in agents {
                match self.memory(agent) {
                    Some(memory) => memory.adopt(&all, now),
                    None => self.lost_until = Some(now.plus(COOLING_OFF)),
                }
            }
        }
        let lost = self.lost_until.max(all.lost_until);
        let known = lost.is_none_or(|until| until <= now);
        known.then(|| all.written.into_keys().collect())
    }

    /// A tree in which they act has read something so labelled. `true` if one of them had read nothing of the kind; who finds
    /// no room here begins every task with everything anyway.
    pub(crate) fn read(
        &mut self,
        subjects: impl IntoIterator<Item = Knower>,
        labels: &BTreeSet<Label>,
    ) -> bool {
        let mut is_news = false;
        for subject in subjects {
            if let Some(memory) = self.memory(subject) {
                is_news |= !labels.is_subset(&memory.labels);
                memory.labels.extend(labels.iter().cloned());
            }
        }
        is_news
    }

    /// A person or an orchestrator has opened a task: agent and requester begin anew, each with what its tasks that still
    /// live have read. Nobody comes to know more by it: what somebody is known to have read, all their live tasks have heard.
    pub(crate) fn begin_anew(&mut self, acting: &Acting, live: &[Live]) {
        for subject in acting.subjects() {
            let own = live.iter().filter(|live| live.subjects.contains(&subject));
            let labels: BTreeSet<&Label> = own.flat_map(|live| &live.labels).collect();
            if let Some(memory) = self.memory(subject) {
                memory.labels.retain(|label| labels.contains(label));
            }
        }
    }

    /// A tree in which they act is about to write values of these forms that nothing vouches for; none: it is not known which.
    pub(crate) fn write(
        &mut self,
        subjects: BTreeSet<Knower>,
        forms: Option<&[ValueDigest]>,
        now: Timestamp,
    ) {
        let until = now.plus(COOLING_OFF);
        for subject in subjects {
            match self.memory(subject) {
                Some(memory) => memory.write(forms, until, now),
                None => self.lost_until = Some(until),
            }
        }
    }

    /// Whether a value of this form was written by or for one of those who act in a tree, and has not cooled off; if that is
    /// not known, it was.
    pub(crate) fn has_written(
        &self,
        subjects: &BTreeSet<Knower>,
        form: ValueDigest,
        now: Timestamp,
    ) -> bool {
        let later = |until: Option<Timestamp>| until.is_some_and(|until| until > now);
        let mut memories = subjects
            .iter()
            .filter_map(|subject| self.memories.get(subject));
        later(self.lost_until)
            || memories
                .any(|memory| later(memory.lost_until) || later(memory.written.get(&form).copied()))
    }

    /// A person entered values for the task's requester, and wants them remembered. What finds no room is asked for again.
    pub(crate) fn endorse(
        &mut self,
        grant: &Grant,
        values: &[(ValueDigest, ValueDigest)],
        until: Timestamp,
    ) {
        if let Some(memory) = self.memory(asker(grant)) {
            for (argument, form) in values {
                if memory.endorsed.len() < MOST_ENDORSED || memory.endorsed.contains_key(argument) {
                    memory.endorsed.insert(*argument, (*form, until));
                }
            }
        }
    }

    /// What a person entered for the task's requester that is still remembered.
    pub(crate) fn endorsed(
        &self,
        grant: &Grant,
        now: Timestamp,
    ) -> Vec<(ValueDigest, ValueDigest)> {
        let memory = self.memories.get(&asker(grant)).into_iter();
        let endorsed = memory.flat_map(|memory| &memory.endorsed);
        let good = endorsed.filter(|(_, (_, until))| *until > now);
        good.map(|(argument, (form, _))| (*argument, *form))
            .collect()
    }

    /// Forgets what has cooled off, and who has nothing left to remember.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let forgetful = self.forgetful;
        self.memories.retain(|_, memory| {
            memory.written.retain(|_, until| *until > now);
            memory.endorsed.retain(|_, (_, until)| *until > now);
            // Where nobody is known means tainted, one who is known to be clean must stay known.
            forgetful
                || !memory.labels.is_empty()
                || !memory.written.is_empty()
                || !memory.endorsed.is_empty()
                || memory.lost_until.is_some_and(|until| until > now)
        });
    }

    fn memory(&mut self, subject: Knower) -> Option<&mut Memory> {
        if self.memories.len() >= MOST_SUBJECTS && !self.memories.contains_key(&subject) {
            self.forgetful = true;
            return None;
        }
        let forgetful = self.forgetful;
        let memory = self.memories.entry(subject);
        Some(memory.or_insert_with(|| Memory {
            labels: if forgetful { worst() } else { BTreeSet::new() },
            ..Memory::default()
        }))
    }
}
