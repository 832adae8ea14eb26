//! One tree of tasks, a root and everything opened below it, behind one lock.
//!
//! Every rule that two calls could race for is decided here, under that lock, and nothing waits while it is held.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_types::{
    ActionName, AgentId, ArgumentOrigins, Budget, CallId, Charge, Difference, Digest, Facts, Grant,
    Label, Origins, PlanStanding, Progress, Sighting, Stop, TaskId, Timestamp, ValueDigest,
    Vouchers,
};

use crate::amend::{Amended, Former, Planned};
use crate::carried::{Acting, Knower, Live, several};
use crate::cut::CutFlag;
use crate::ledger::{Cut, Ending, Known, TaskState, TaskStatus};
use crate::narrow::{Widening, within};
use crate::proof::{Entered, Held, Registered, Reservation};
use crate::{AmendError, EnterError, Heading, OpenError, ReserveError};

/// Deepest nesting of sub-tasks; each level is one more budget to look at for every call below it.
pub(crate) const MOST_DEPTH: usize = 16;

/// After so many refusals for the values of one parameter the tree is paused.
const MOST_UNVOUCHED: u8 = 3;

/// Most parameters whose refusals are counted each. Beyond, the tree is paused.
const MOST_PARAMETERS: usize = 64;

pub(crate) struct Tree {
    state: Mutex<State>,
}

/// What a task that is put back after a restart had spent and read before it.
#[derive(Debug, Default)]
pub(crate) struct Before {
    pub(crate) spent: Charge,
    pub(crate) seen: BTreeMap<ActionName, u64>,
    pub(crate) labels: BTreeSet<Label>,
}

struct State {
    nodes: Nodes,
    root: TaskId,
    labels: BTreeSet<Label>,
    // None until something was noted: most trees never need it.
    flow: Option<Box<Flow>>,
    // Of the whole tree, so that a sub-task does not begin to count from zero.
    // In the order of the actions.
    operations: Vec<Count>,
}

/// The tasks of a tree in the order of their ids. No map: a leaf of a B-tree has room for eleven, most trees are one
/// task, and an open task is to cost little.
struct Nodes(Vec<Node>);

/// What values a tree knows, and which were tried in vain.
#[derive(Default)]
struct Flow {
    // Shared with the calls that have its facts; copied when it changes under them.
    origins: Arc<Origins>,
    unvouched: BTreeMap<(ActionName, String), u8>,
    paused: bool,
}

struct Count {
    action: ActionName,
    spent: u64,
    reserved: u64,
}

struct Node {
    grant: Arc<Grant>,
    // What it held before it was amended.
    former: Former,
    // The task itself, its parent, … the root.
    lineage: Arc<[TaskId]>,
    ended: Option<Ending>,
    // Whether the party that opened it vouches for its bounds, and for this prompt.
    attested: bool,
    prompt: Option<Arc<str>>,
    // Both with everything below it.
    spent: Charge,
    reserved: Charge,
    in_flight: usize,
    flights: Vec<Flight>,
    children: Vec<TaskId>,
    // None until a step of its plan was reserved: most tasks have none.
    progress: Option<Box<Progress>>,
}

/// What a call takes from its task and those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) action: ActionName,
    pub(crate) charge: Charge,
    /// The step of the plan that it is.
    pub(crate) step: Option<u16>,
}

struct Flight {
    call: CallId,
    flag: Arc<CutFlag>,
    reserved: bool,
    // Where it goes, once that is known.
    heading: Option<Box<Heading>>,
}

/// What ending tasks leaves to be done outside the lock.
#[derive(Default)]
pub(crate) struct Severed {
    pub(crate) tasks: Vec<Arc<Grant>>,
    calls: Vec<(CallId, Arc<CutFlag>)>,
    /// Those of calls that live on in a task that was amended.
    amended: Vec<Arc<CutFlag>>,
}

impl Severed {
    /// Takes what else was severed.
    pub(crate) fn join(&mut self, more: Self) {
        self.tasks.extend(more.tasks);
        self.calls.extend(more.calls);
        self.amended.extend(more.amended);
    }

    /// Wakes what was cut or has another grant. The flags are set already; this only hurries the calls that wait.
    pub(crate) fn wake(self) -> Cut {
        let cut = self.calls.iter().map(|(_, flag)| flag);
        for flag in cut.chain(&self.amended) {
            flag.wake();
        }
        Cut {
            tasks: self.tasks.iter().map(|grant| grant.task).collect(),
            calls: self.calls.into_iter().map(|(call, _)| call).collect(),
        }
    }
}

impl Tree {
    /// A tree of one task.
    pub(crate) fn of(grant: Arc<Grant>, before: Option<Before>) -> Self {
        let root = grant.task;
        let before = before.unwrap_or_default();
        let mut state = State {
            nodes: Nodes(Vec::with_capacity(1)),
            root,
            labels: before.labels,
            flow: None,
            operations: Vec::new(),
        };
        state.count_seen(before.seen);
        state.insert(grant, Arc::from([root]), before.spent, None);
        Self {
            state: Mutex::new(state),
        }
    }

    /// Opens a task below `parent`, if it holds nothing that the parent does not.
    pub(crate) fn open_below(
        &self,
        parent: TaskId,
        grant: Arc<Grant>,
        before: Option<Before>,
        now: Timestamp,
    ) -> Result<(), OpenError> {
        let mut state = self.lock();
        let node = state.nodes.get(parent).ok_or(OpenError::ParentUnknown)?;
        node.live(now).map_err(OpenError::ParentEnded)?;
        // What a task that is put back has spent already is spent in its parent too, so what the parent has left says
        // nothing about it any more.
        let left = match before {
            Some(_) => node.grant.budget,
            None => state.left(node),
        };
        within(&grant, &node.grant, left).map_err(OpenError::NotWithinParent)?;
        // One plan for a call: that of the task above holds below it, too.
        if !grant.plan.is_none() && state.planned(&node.lineage).is_some() {
            return Err(OpenError::NotWithinParent(Widening::Plan));
        }
        if node.lineage.len() >= MOST_DEPTH {
            return Err(OpenError::TooDeep { most: MOST_DEPTH });
        }
        let before = before.unwrap_or_default();
        state.labels.extend(before.labels);
        state.count_seen(before.seen);
        state.insert_below(parent, grant, before.spent, None);
        Ok(())
    }

    /// Knows a task below its parent that has no authority, whatever it asked for.
    pub(crate) fn insert_ended(&self, grant: Arc<Grant>) {
        if let Some(parent) = grant.parent {
            let ended = Some(Ending::WithParent);
            self.lock()
                .insert_below(parent, grant, Charge::default(), ended);
        }
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        task: TaskId,
        call: CallId,
        most: usize,
        now: Timestamp,
    ) -> Result<Entered, EnterError> {
        let mut state = self.lock();
        let node = state.nodes.get(task).ok_or(EnterError::Unknown)?;
        node.live(now).map_err(EnterError::Ended)?;
        if state.is_paused() {
            return Err(EnterError::Paused);
        }
        if node.flight(call).is_some() {
            return Err(EnterError::SameCall);
        }
        let lineage = Arc::clone(&node.lineage);
        if state.chain(&lineage).any(|node| node.in_flight >= most) {
            return Err(EnterError::TooManyInFlight { most });
        }
        let flag = Arc::new(CutFlag::default());
        let flight = Flight {
            call,
            flag: Arc::clone(&flag),
            reserved: false,
            heading: None,
        };
        let node = state.nodes.get_mut(task).ok_or(EnterError::Unknown)?;
        node.flights.push(flight);
        let grant = Arc::clone(&node.grant);
        state.each(&lineage, |node| {
            node.in_flight = node.in_flight.saturating_add(1);
        });
        let planned = state.planned(&lineage).map(|node| Arc::clone(&node.grant));
        let above = state.nodes.get(task).map(|node| state.above(node));
        let former = state.nodes.get(task).map(|node| node.former.clone());
        drop(state);
        let registered = Registered {
            tree: Arc::clone(self),
            task,
            call,
        };
        Ok(Entered {
            tree: Arc::clone(self),
            grant,
            planned,
            above: above.unwrap_or_default(),
            former: former.unwrap_or_default(),
            call,
            flag,
            registered: Arc::new(registered),
        })
    }

    /// What a task holds now; none if it has ended.
    pub(crate) fn held(&self, task: TaskId) -> Option<Held> {
        let state = self.lock();
        let node = state.nodes.get(task).filter(|node| node.ended.is_none())?;
        let planned = state.planned(&node.lineage);
        Some(Held {
            grant: Arc::clone(&node.grant),
            planned: planned.map(|node| Arc::clone(&node.grant)),
            above: state.above(node),
            former: node.former.clone(),
        })
    }

    /// Notes where a call goes.
    pub(crate) fn head(&self, task: TaskId, call: CallId, heading: Heading) {
        let mut state = self.lock();
        let flights = state.nodes.get_mut(task).map(|node| &mut node.flights);
        let flight = flights.and_then(|all| all.iter_mut().find(|flight| flight.call == call));
        if let Some(flight) = flight {
            flight.heading = Some(Box::new(heading));
        }
    }

    /// Cuts the calls that need what was stopped, a credential up to this version.
    pub(crate) fn cut(&self, stop: &Stop, version: u32) -> Severed {
        let state = self.lock();
        let mut severed = Severed::default();
        for flight in state.nodes.0.iter().flat_map(|node| &node.flights) {
            let heading = flight.heading.as_ref();
            let needs = heading.is_some_and(|heading| heading.needs(stop, version));
            if needs && flight.flag.stop() {
                let flag = Arc::clone(&flight.flag);
                severed.calls.push((flight.call, flag));
            }
        }
        severed
    }

    /// Forgets a call. The other half of [`Tree::enter`].
    pub(crate) fn leave(&self, task: TaskId, call: CallId) {
        let mut state = self.lock();
        let Some(node) = state.nodes.get_mut(task) else {
            return;
        };
        let place = node.flights.iter().position(|flight| flight.call == call);
        if let Some(place) = place {
            node.flights.swap_remove(place);
            if node.flights.is_empty() {
                node.flights = Vec::new();
            }
            let lineage = Arc::clone(&node.lineage);
            state.each(&lineage, |node| {
                node.in_flight = node.in_flight.saturating_sub(1);
            });
        }
    }

    /// Reserves for a call that was decided on `grant`: what the task has given up since is gone.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        (grant, call): (&Arc<Grant>, CallId),
        (action, charge): (&ActionName, Charge),
        fitting: Option<&[u16]>,
        now: Timestamp,
    ) -> Result<(Reservation, Facts), ReserveError> {
        let task = grant.task;
        let mut state = self.lock();
        // A task with a call in flight is never forgotten, so a missing one is an ended one.
        let gone = ReserveError::Ended(Ending::Deadline);
        let paused = state.is_paused();
        let node = state.nodes.get_mut(task).ok_or(gone)?;
        node.live(now).map_err(ReserveError::Ended)?;
        // Calls of the same task race for the last try.
        if paused {
            return Err(ReserveError::Paused);
        }
        let gives_up = !Arc::ptr_eq(&node.grant, grant)
            && Difference::between(&node.grant, grant).widens_calls();
        if gives_up || !node.grant.holds(action) {
            return Err(ReserveError::NotGranted);
        }
        let lineage = Arc::clone(&node.lineage);
        if node.flight(call).ok_or(gone)?.reserved {
            return Err(ReserveError::AlreadyReserved);
        }
        state.take(&lineage, action, charge)?;
        let node = state.nodes.get_mut(task).ok_or(gone)?;
        for flight in &mut node.flights {
            flight.reserved |= flight.call == call;
        }
        let mut facts = state.facts(task, action, now);
        state.follow(&lineage, fitting, &mut facts);
        drop(state);
        let tree = Arc::clone(self);
        let taken = Taken {
            action: action.clone(),
            charge,
            step: facts.plan.step(),
        };
        Ok((Reservation::of(tree, lineage, call, taken), facts))
    }

    /// What a reservation would find.
    pub(crate) fn look(
        &self,
        task: TaskId,
        action: &ActionName,
        charge: Charge,
        now: Timestamp,
    ) -> Result<Facts, ReserveError> {
        let mut state = self.lock();
        let gone = ReserveError::Ended(Ending::Deadline);
        let paused = state.is_paused();
        let node = state.nodes.get_mut(task).ok_or(gone)?;
        node.live(now).map_err(ReserveError::Ended)?;
        if paused {
            return Err(ReserveError::Paused);
        }
        if !node.grant.holds(action) {
            return Err(ReserveError::NotGranted);
        }
        let lineage = Arc::clone(&node.lineage);
        // Taken and given back before anybody else can look; nothing of it stays.
        state.take(&lineage, action, charge)?;
        let facts = state.facts(task, action, now);
        state.unreserve(&lineage, action, charge);
        state
            .operations
            .retain(|count| count.spent > 0 || count.reserved > 0);
        Ok(facts)
    }

    /// A reservation becomes spent.
    pub(crate) fn spend(&self, lineage: &[TaskId], taken: &Taken) {
        let mut state = self.lock();
        state.give_back(lineage, taken);
        state.spend(lineage, taken);
    }

    /// A reservation is given back.
    pub(crate) fn release(&self, lineage: &[TaskId], taken: &Taken) {
        self.lock().give_back(lineage, taken);
    }

    /// Counts a call of the log and what it wrote (none: not known), whether or not the task has ended meanwhile.
    pub(crate) fn spend_recorded(
        &self,
        task: TaskId,
        taken: &Taken,
        written: Option<&[ValueDigest]>,
    ) -> bool {
        let mut state = self.lock();
        let lineage = state.nodes.get(task).map(|node| Arc::clone(&node.lineage));
        if let Some(lineage) = &lineage {
            state.spend(lineage, taken);
            if taken.charge.writes > 0 {
                state.write(written);
            }
        }
        lineage.is_some()
    }

    /// Adds labels to the tree, and says whether `task` may still act.
    pub(crate) fn add_labels(
        &self,
        task: TaskId,
        labels: &BTreeSet<Label>,
    ) -> Result<(), EnterError> {
        let mut state = self.lock();
        state.labels.extend(labels.iter().cloned());
        let node = state.nodes.get(task).ok_or(EnterError::Unknown)?;
        node.ended.map_or(Ok(()), |why| Err(EnterError::Ended(why)))
    }

    /// Whether nothing was read that is labelled otherwise.
    pub(crate) fn has_read_only(&self, labels: &BTreeSet<Label>) -> bool {
        self.lock().labels.is_subset(labels)
    }

    /// Somebody has read something so labelled in another tree. Who acts here too knows it, but for the agent and the user
    /// of a tree that was opened by a party that vouches for what they begin with; to whom that agent has handed it on, it
    /// was not vouched for. Who has to be told in turn: the agents of a tree in which several act, where one of them knows.
    pub(crate) fn hear(
        &self,
        subjects: &BTreeSet<Knower>,
        labels: &BTreeSet<Label>,
    ) -> BTreeSet<Knower> {
        let mut state = self.lock();
        let root = state.nodes.get(state.root);
        let vouched = root.filter(|root| root.attested).map(|root| &*root.grant);
        let shielded = vouched.map_or_else(BTreeSet::new, |grant| {
            Acting::of(grant).subjects().collect::<BTreeSet<_>>()
        });
        let acting = state.acting();
        let mut exposed = acting.difference(&shielded);
        if !exposed.any(|own| subjects.contains(own)) {
            return BTreeSet::new();
        }
        state.labels.extend(labels.iter().cloned());
        several(acting)
    }

    /// Somebody vouches for a task's bounds and prompt; `false` if it is not known. A root begins without labels.
    pub(crate) fn attest(&self, task: TaskId, prompt: Option<Arc<str>>) -> bool {
        let mut state = self.lock();
        if state.root == task {
            state.labels.clear();
        }
        let node = state.nodes.get_mut(task);
        if let Some(node) = node {
            node.attested = true;
            node.prompt = prompt;
            return true;
        }
        false
    }

    /// The task at its top.
    pub(crate) fn root(&self) -> TaskId {
        self.lock().root
    }

    /// What may still act, and what the tree has read; none if nothing may.
    pub(crate) fn live(&self) -> Option<Live> {
        let state = self.lock();
        let subjects = state.acting();
        (!subjects.is_empty()).then(|| Live {
            subjects,
            labels: state.labels.clone(),
        })
    }

    /// Notes sources and sightings, and says whether `task` may still act.
    pub(crate) fn note(
        &self,
        task: TaskId,
        call: CallId,
        sources: &[&Sighting],
        seen: &[ValueDigest],
    ) -> Result<(), EnterError> {
        let mut state = self.lock();
        let node = state.nodes.get(task).ok_or(EnterError::Unknown)?;
        node.ended
            .map_or(Ok(()), |why| Err(EnterError::Ended(why)))?;
        if !(sources.is_empty() && seen.is_empty()) {
            let origins = Arc::make_mut(&mut state.flow().origins);
            for sighting in sources {
                origins.note(sighting);
            }
            origins.see(seen, call);
        }
        Ok(())
    }

    /// Remembers what is about to be written, and says whether `task` may still act.
    pub(crate) fn write(
        &self,
        task: TaskId,
        forms: Option<&[ValueDigest]>,
    ) -> Result<(), EnterError> {
        let mut state = self.lock();
        state.write(forms);
        let node = state.nodes.get(task).ok_or(EnterError::Unknown)?;
        node.ended.map_or(Ok(()), |why| Err(EnterError::Ended(why)))
    }

    /// Somebody acts here from now on who wrote values of these forms elsewhere (none: not known which).
    pub(crate) fn disown(&self, forms: Option<&[ValueDigest]>) {
        if forms.is_none_or(|forms| !forms.is_empty()) {
            Arc::make_mut(&mut self.lock().flow().origins).disown(forms);
        }
    }

    /// Counts a refusal for values that nothing vouched for; `true` if the tree is paused now.
    pub(crate) fn count_unvouched(&self, action: &ActionName, places: &BTreeSet<String>) -> bool {
        let mut state = self.lock();
        let flow = state.flow();
        for place in places {
            let parameter = (action.clone(), place.clone());
            if flow.unvouched.len() >= MOST_PARAMETERS && !flow.unvouched.contains_key(&parameter) {
                flow.paused = true;
                break;
            }
            let count = flow.unvouched.entry(parameter).or_default();
            *count = count.saturating_add(1);
            flow.paused |= *count >= MOST_UNVOUCHED;
        }
        flow.paused
    }

    /// The tree was paused before a restart; `false` if the task is not known.
    pub(crate) fn pause(&self, task: TaskId) -> bool {
        let mut state = self.lock();
        let known = state.nodes.get(task).is_some();
        if known {
            state.flow().paused = true;
        }
        known
    }

    /// A person said yes to values, and the tree goes on; `false` if the task is not known.
    pub(crate) fn endorse(&self, task: TaskId, values: &[(ValueDigest, ValueDigest)]) -> bool {
        let mut state = self.lock();
        if state.nodes.get(task).is_none() {
            return false;
        }
        let flow = state.flow();
        flow.paused = false;
        flow.unvouched.clear();
        if !values.is_empty() {
            let origins = Arc::make_mut(&mut flow.origins);
            for (argument, form) in values {
                origins.endorse(*argument, *form);
            }
        }
        true
    }

    /// Whether another grant may take the place of what a task holds, and what the tree knows.
    pub(crate) fn look_at_amendment(
        &self,
        after: &Grant,
        from: &Digest,
        now: Timestamp,
    ) -> Result<Known, AmendError> {
        let state = self.lock();
        let node = state.amendable(after.task, now)?;
        if state.is_paused() {
            return Err(AmendError::Paused);
        }
        let amended = state.amended(node);
        amended.may_become(after, from, now)?;
        Ok(Known {
            labels: state.labels.clone(),
            vouchers: state.vouchers(node),
        })
    }

    /// Another grant takes the place of what a task holds. Sub-tasks that hold what it gives up end.
    pub(crate) fn amend(
        &self,
        after: &Arc<Grant>,
        from: &Digest,
        now: Timestamp,
    ) -> Result<Severed, AmendError> {
        let mut state = self.lock();
        let node = state.amendable(after.task, now)?;
        if state.is_paused() {
            return Err(AmendError::Paused);
        }
        state.amended(node).may_become(after, from, now)?;
        Ok(state.amend(after))
    }

    /// The same as the log tells it: what was asked under the lock then is not asked again, but that the task held `from`, that
    /// it stays within the task above it, and that it lives. What it holds already it holds: whoever was not told in time that
    /// the log has a record asks again, and the log has it twice.
    pub(crate) fn amend_recorded(
        &self,
        after: &Arc<Grant>,
        from: &Digest,
    ) -> Result<Severed, AmendError> {
        let mut state = self.lock();
        let node = state.amendable(after.task, after.opened)?;
        if node.grant.digest() == after.digest() {
            return Ok(Severed::default());
        }
        if node.grant.digest() != *from {
            return Err(AmendError::Changed);
        }
        if !after.amends(&node.grant) {
            return Err(AmendError::Another);
        }
        // As for a sub-task that is opened again: what the task above had left then was judged then.
        let parent = after.parent.and_then(|parent| state.nodes.get(parent));
        let below = parent.map_or(Ok(()), |parent| {
            within(after, &parent.grant, after.budget).map_err(AmendError::NotWithinParent)
        });
        match below {
            Ok(()) => Ok(state.amend(after)),
            Err(_wider) => Ok(state.end(after.task, Ending::WithParent)),
        }
    }

    /// Ends a task and everything below it; none if it is not known.
    pub(crate) fn end(&self, task: TaskId, why: Ending) -> Option<Severed> {
        let mut state = self.lock();
        let known = state.nodes.get(task).is_some();
        known.then(|| state.end(task, why))
    }

    /// Ends `task` if its deadline has passed. Children have no later deadline, so nothing else need be looked at.
    pub(crate) fn expire(&self, task: TaskId, now: Timestamp) -> Severed {
        let mut state = self.lock();
        let over = state.nodes.get(task).is_some_and(|node| node.is_over(now));
        if over {
            state.end(task, Ending::Deadline)
        } else {
            Severed::default()
        }
    }

    /// Ends every task whose deadline has passed, and forgets those that nothing hangs on any more.
    pub(crate) fn sweep(&self, now: Timestamp, severed: &mut Severed) -> Vec<TaskId> {
        let mut state = self.lock();
        let over: Vec<_> = state
            .nodes
            .0
            .iter()
            .filter(|node| node.is_over(now))
            .collect();
        let mut over: Vec<_> = over
            .iter()
            .map(|node| (node.lineage.len(), node.grant.task))
            .collect();
        // From the root down, so that what ends is named for its own deadline only if no parent's passed with it.
        over.sort_unstable();
        for (_, task) in over {
            let more = state.end(task, Ending::Deadline);
            severed.tasks.extend(more.tasks);
            severed.calls.extend(more.calls);
        }
        state.forget(now)
    }

    pub(crate) fn status(&self, task: TaskId) -> Option<TaskStatus> {
        let state = self.lock();
        let node = state.nodes.get(task)?;
        Some(TaskStatus {
            grant: Arc::clone(&node.grant),
            former: node.former.all().to_vec(),
            state: node.ended.map_or(TaskState::Live, TaskState::Ended),
            paused: state.is_paused(),
            spent: node.spent,
            reserved: node.reserved,
            left: node.ended.map_or_else(|| state.left(node), |_| NOTHING),
            in_flight: node.in_flight,
            children: node.children.clone(),
            progress: node.progress.as_deref().cloned().unwrap_or_default(),
            above: state.above(node),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("root", &self.lock().root)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// What the task itself has left, whatever those above it have.
    fn left(&self) -> Budget {
        self.grant.budget.less(self.spent.plus(self.reserved))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.live(now) == Err(Ending::Deadline) && self.ended.is_none()
    }

    fn flight(&self, call: CallId) -> Option<&Flight> {
        self.flights.iter().find(|flight| flight.call == call)
    }

    /// Whether it may act at `now`. No task above it has an earlier deadline.
    fn live(&self, now: Timestamp) -> Result<(), Ending> {
        match self.ended {
            Some(why) => Err(why),
            None if now >= self.grant.deadline => Err(Ending::Deadline),
            None => Ok(()),
        }
    }

    /// Whether it is over for good: nobody can hold a token for it, and nothing in memory points at it.
    fn is_finished(&self, now: Timestamp) -> bool {
        self.ended.is_some()
            && now >= self.grant.deadline
            && self.in_flight == 0
            && self.children.is_empty()
            && self.reserved == Charge::default()
    }
}

impl Nodes {
    fn place(&self, task: TaskId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&task, |node| node.grant.task)
    }

    fn get(&self, task: TaskId) -> Option<&Node> {
        self.0.get(self.place(task).ok()?)
    }

    fn get_mut(&mut self, task: TaskId) -> Option<&mut Node> {
        let place = self.place(task).ok()?;
        self.0.get_mut(place)
    }

    /// Adds a task; one of that id stays as it is.
    fn insert(&mut self, node: Node) {
        if let Err(place) = self.place(node.grant.task) {
            self.0.insert(place, node);
        }
    }

    fn remove(&mut self, task: TaskId) {
        if let Ok(place) = self.place(task) {
            self.0.remove(place);
        }
    }
}

impl State {
    fn insert_below(
        &mut self,
        parent: TaskId,
        grant: Arc<Grant>,
        spent: Charge,
        ended: Option<Ending>,
    ) {
        let Some(above) = self.nodes.get_mut(parent) else {
            return;
        };
        above.children.push(grant.task);
        let lineage = std::iter::once(grant.task).chain(above.lineage.iter().copied());
        let lineage = lineage.collect();
        self.insert(grant, lineage, spent, ended);
    }

    fn insert(
        &mut self,
        grant: Arc<Grant>,
        lineage: Arc<[TaskId]>,
        spent: Charge,
        ended: Option<Ending>,
    ) {
        let node = Node {
            grant,
            former: Former::default(),
            lineage,
            ended,
            attested: false,
            prompt: None,
            spent,
            reserved: Charge::default(),
            in_flight: 0,
            flights: Vec::new(),
            children: Vec::new(),
            progress: None,
        };
        self.nodes.insert(node);
    }

    /// Who acts in what may still act.
    fn acting(&self) -> BTreeSet<Knower> {
        let live = self.nodes.0.iter().filter(|node| node.ended.is_none());
        live.flat_map(|node| Acting::of(&node.grant).subjects().collect::<Vec<_>>())
            .collect()
    }

    /// The agents of the tasks above one, other than its own, each once.
    fn above(&self, node: &Node) -> Vec<AgentId> {
        let mut above = Vec::new();
        for agent in self.chain(&node.lineage).map(|node| node.grant.agent) {
            if agent != node.grant.agent && !above.contains(&agent) {
                above.push(agent);
            }
        }
        above
    }

    fn flow(&mut self) -> &mut Flow {
        self.flow.get_or_insert_default()
    }

    /// Remembers what is about to be written; none: it is not known.
    fn write(&mut self, forms: Option<&[ValueDigest]>) {
        match forms {
            Some([]) => {}
            Some(forms) => Arc::make_mut(&mut self.flow().origins).write(forms),
            None => Arc::make_mut(&mut self.flow().origins).lose(),
        }
    }

    fn is_paused(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.paused)
    }

    /// What vouches for the values of a call of `node`: what was said to it and to those above it, what the tree has read.
    fn vouchers(&self, node: &Node) -> Vouchers {
        let attested = || self.chain(&node.lineage).filter(|node| node.attested);
        let bounded = attested().filter(|node| !node.grant.bounds.is_empty());
        Vouchers {
            prompts: attested().filter_map(|node| node.prompt.clone()).collect(),
            bounds: bounded.map(|node| Arc::clone(&node.grant)).collect(),
            step: None,
            origins: self.flow.as_ref().map(|flow| Arc::clone(&flow.origins)),
        }
    }

    /// Changes the counters of an action, which begin at zero.
    fn count(&mut self, action: &ActionName, change: impl FnOnce(&mut Count)) {
        let found = self
            .operations
            .binary_search_by(|count| count.action.cmp(action));
        let place = found.unwrap_or_else(|place| {
            let count = Count {
                action: action.clone(),
                spent: 0,
                reserved: 0,
            };
            self.operations.insert(place, count);
            place
        });
        if let Some(count) = self.operations.get_mut(place) {
            change(count);
        }
    }

    fn count_seen(&mut self, seen: BTreeMap<ActionName, u64>) {
        for (action, calls) in seen {
            self.count(&action, |count| {
                count.spent = count.spent.saturating_add(calls);
            });
        }
    }

    fn chain<'a>(&'a self, lineage: &'a [TaskId]) -> impl Iterator<Item = &'a Node> {
        lineage.iter().filter_map(|task| self.nodes.get(*task))
    }

    fn each(&mut self, lineage: &[TaskId], mut act: impl FnMut(&mut Node)) {
        for task in lineage {
            if let Some(node) = self.nodes.get_mut(*task) {
                act(node);
            }
        }
    }

    /// The least that the task or one above it has left.
    fn left(&self, node: &Node) -> Budget {
        self.chain(&node.lineage)
            .fold(node.left(), |left, above| left.narrowed_to(above.left()))
    }

    /// The task of a line that has a plan; there is at most one.
    fn planned<'a>(&'a self, lineage: &'a [TaskId]) -> Option<&'a Node> {
        self.chain(lineage).find(|node| !node.grant.plan.is_none())
    }

    /// Reserves the step of the plan that a call is, if it is one that is due, and says how the call stands to the plan.
    /// `fitting`: the steps it could be; none where there is no plan, or it is free.
    fn follow(&mut self, lineage: &[TaskId], fitting: Option<&[u16]>, facts: &mut Facts) {
        let Some(planned) = self.planned(lineage).map(|node| node.grant.task) else {
            return;
        };
        let (Some(fitting), Some(node)) = (fitting, self.nodes.get_mut(planned)) else {
            return;
        };
        let grant = Arc::clone(&node.grant);
        let progress = node.progress.get_or_insert_default();
        facts.plan = match progress.reserve(&grant.plan, fitting) {
            Some(step) => PlanStanding::Follows(step),
            None => PlanStanding::Outside,
        };
        if node.attested {
            facts.vouchers.step = facts.plan.step().map(|step| (grant, step));
        }
    }

    /// Changes how far a line's plan has come.
    fn progress(
        &mut self,
        lineage: &[TaskId],
        step: Option<u16>,
        change: impl FnOnce(&mut Progress, u16),
    ) {
        let planned = self.planned(lineage).map(|node| node.grant.task);
        let node = planned.and_then(|task| self.nodes.get_mut(task));
        if let (Some(step), Some(node)) = (step, node) {
            change(node.progress.get_or_insert_default(), step);
        }
    }

    fn give_back(&mut self, lineage: &[TaskId], taken: &Taken) {
        self.unreserve(lineage, &taken.action, taken.charge);
        self.progress(lineage, taken.step, Progress::release);
    }

    fn spend(&mut self, lineage: &[TaskId], taken: &Taken) {
        self.each(lineage, |node| node.spent = node.spent.plus(taken.charge));
        self.count(&taken.action, |count| {
            count.spent = count.spent.saturating_add(1);
        });
        self.progress(lineage, taken.step, Progress::take);
    }

    /// Takes a charge from a task and its ancestors, if each has it.
    fn take(
        &mut self,
        lineage: &[TaskId],
        action: &ActionName,
        charge: Charge,
    ) -> Result<(), ReserveError> {
        let poor = self.chain(lineage).find(|node| !node.left().covers(charge));
        if let Some((task, left)) = poor.map(|node| (node.grant.task, node.left())) {
            return Err(ReserveError::Exhausted { task, left });
        }
        self.each(lineage, |node| node.reserved = node.reserved.plus(charge));
        self.count(action, |count| {
            count.reserved = count.reserved.saturating_add(1);
        });
        Ok(())
    }

    fn unreserve(&mut self, lineage: &[TaskId], action: &ActionName, charge: Charge) {
        self.each(lineage, |node| node.reserved = minus(node.reserved, charge));
        self.count(action, |count| {
            count.reserved = count.reserved.saturating_sub(1);
        });
    }

    fn facts(&self, task: TaskId, action: &ActionName, now: Timestamp) -> Facts {
        let whole = self.nodes.get(self.root);
        let own = self.nodes.get(task);
        let this = self.operations.iter().find(|count| count.action == *action);
        let seen = self.operations.iter().filter(|count| count.spent > 0);
        Facts {
            now,
            labels: self.labels.clone(),
            sinks: BTreeSet::new(),
            spent: whole.map_or_else(Charge::default, |root| root.spent.plus(root.reserved)),
            this_operation: this.map_or(1, |count| count.spent.saturating_add(count.reserved)),
            left: own.map_or(NOTHING, |node| self.left(node)),
            seen: seen.map(|count| count.action.to_string()).collect(),
            approved: BTreeSet::new(),
            windows: BTreeMap::new(),
            operation: action.operation.clone(),
            vouchers: own.map_or_else(Vouchers::default, |node| self.vouchers(node)),
            arguments: ArgumentOrigins::default(),
            plan: PlanStanding::Free,
            approvals: BTreeSet::new(),
            deferred: BTreeSet::new(),
        }
    }

    /// A task that may be amended: it lives.
    fn amendable(&self, task: TaskId, now: Timestamp) -> Result<&Node, AmendError> {
        let node = self.nodes.get(task).ok_or(AmendError::Unknown)?;
        node.live(now).map_err(AmendError::Ended)?;
        Ok(node)
    }

    /// A task as its amendments see it.
    fn amended<'a>(&'a self, node: &'a Node) -> Amended<'a> {
        let parent = node.grant.parent.and_then(|parent| self.nodes.get(parent));
        Amended {
            grant: &node.grant,
            amendments: node.former.all().len(),
            used: node.spent.plus(node.reserved),
            parent: parent.map(|parent| (&*parent.grant, self.left(parent))),
            planned: self
                .planned(&node.lineage)
                .map_or(Planned::No, |_| Planned::Yes),
        }
    }

    /// Puts another grant in place; what it holds already is no other. A sub-task that is not within it any more ends; its
    /// budget is bounded anyway, by what every task above has left.
    fn amend(&mut self, after: &Arc<Grant>) -> Severed {
        let task = after.task;
        let is_new = |node: &&mut Node| node.grant.digest() != after.digest();
        let Some(node) = self.nodes.get_mut(task).filter(is_new) else {
            return Severed::default();
        };
        let before = std::mem::replace(&mut node.grant, Arc::clone(after));
        node.former.push(before);
        let children = node.children.clone();
        let mut severed = Severed::default();
        for flight in &node.flights {
            flight.flag.amend();
            severed.amended.push(Arc::clone(&flight.flag));
        }
        for child in children {
            let holds_more = self
                .nodes
                .get(child)
                .is_some_and(|child| within(&child.grant, after, child.grant.budget).is_err());
            if holds_more {
                severed.join(self.end(child, Ending::WithParent));
            }
        }
        severed
    }

    fn end(&mut self, task: TaskId, why: Ending) -> Severed {
        let mut severed = Severed::default();
        let mut next = vec![(task, why)];
        while let Some((task, why)) = next.pop() {
            let Some(node) = self.nodes.get_mut(task).filter(|node| node.ended.is_none()) else {
                continue;
            };
            node.ended = Some(why);
            for flight in &node.flights {
                flight.flag.set();
                let flag = Arc::clone(&flight.flag);
                severed.calls.push((flight.call, flag));
            }
            severed.tasks.push(Arc::clone(&node.grant));
            next.extend(
                node.children
                    .iter()
                    .map(|child| (*child, Ending::WithParent)),
            );
        }
        severed
    }

    fn forget(&mut self, now: Timestamp) -> Vec<TaskId> {
        let ended = self.nodes.0.iter().filter(|node| node.ended.is_some());
        let mut ended: Vec<_> = ended
            .map(|node| {
                (
                    Reverse(node.lineage.len()),
                    node.grant.task,
                    node.grant.parent,
                )
            })
            .collect();
        // From the leaves up, so that one pass is enough.
        ended.sort_unstable();
        let mut forgotten = Vec::new();
        for (_, task, parent) in ended {
            if !self
                .nodes
                .get(task)
                .is_some_and(|node| node.is_finished(now))
            {
                continue;
            }
            self.nodes.remove(task);
            if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
                parent.children.retain(|child| *child != task);
            }
            forgotten.push(task);
        }
        forgotten
    }
}

const NOTHING: Budget = Budget {
    calls: 0,
    writes: 0,
    deletes: 0,
    irreversible: 0,
};

fn minus(from: Charge, charge: Charge) -> Charge {
    Charge {
        calls: from.calls.saturating_sub(charge.calls),
        writes: from.writes.saturating_sub(charge.writes),
        deletes: from.deletes.saturating_sub(charge.deletes),
        irreversible: from.irreversible.saturating_sub(charge.irreversible),
    }
}
