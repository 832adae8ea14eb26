//! The ledger of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use writ_types::{
    ActionName, AgentId, CallId, Charge, Digest, Facts, Grant, Label, Limits, Stop, TaskId, Tenant,
    Timestamp, ValueDigest, WindowName, Windowed, Windows,
};

use crate::carried::{Acting, Carried, Knower, Live};
use crate::ledger::{Cut, Ending, Known, Ledger, LedgerFuture, Read, TaskStatus};
use crate::proof::{Entered, Reservation};
use crate::tally::SharedTallies;
use crate::tree::{Before, Severed, Taken, Tree};
use crate::{AmendError, Called, EndError, EnterError, OpenError, ReserveError};

/// The live tasks of this process.
///
/// One lock finds a task's tree, one lock per tree decides. Neither is held while anything waits or a waker runs, and
/// the first is never asked for under the second.
#[derive(Debug)]
pub struct MemoryLedger {
    most_in_flight: usize,
    most_tasks: usize,
    tenants: RwLock<BTreeMap<Tenant, Tasks>>,
}

/// One tenant's tasks.
#[derive(Debug, Default)]
struct Tasks {
    trees: BTreeMap<TaskId, Arc<Tree>>,
    live: BTreeSet<(AgentId, TaskId)>,
    carried: Mutex<Carried>,
    tallies: SharedTallies,
}

impl Tasks {
    fn carried<T>(&self, act: impl FnOnce(&mut Carried) -> T) -> T {
        act(&mut self.carried.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The live tasks of an agent.
    fn of_agent(&self, agent: AgentId) -> impl Iterator<Item = TaskId> {
        let first = TaskId::new(Timestamp::from_millis(0), [0; 10]);
        let from = self.live.range((agent, first)..);
        from.take_while(move |(own, _)| *own == agent)
            .map(|(_, task)| *task)
    }
}

impl MemoryLedger {
    /// A ledger without tasks, with `task_in_flight` and `agent_tasks` of the limits.
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self {
            most_in_flight: limits.task_in_flight,
            most_tasks: limits.agent_tasks,
            tenants: RwLock::new(BTreeMap::new()),
        }
    }

    /// What agents and requesters of a tenant read and wrote before a restart.
    pub(crate) fn recall(&self, tenant: &Tenant, recalled: Carried) {
        let mut tenants = self.write();
        let tasks = tenants.entry(tenant.clone()).or_default();
        tasks.carried(|carried| *carried = recalled);
    }

    /// What was counted of a tenant's calls before a restart.
    pub(crate) fn recall_tallies(&self, tenant: &Tenant, recalled: SharedTallies) {
        let mut tenants = self.write();
        tenants.entry(tenant.clone()).or_default().tallies = recalled;
    }

    /// Forgets what was counted of trees in which nobody acts.
    pub(crate) fn keep_live_tallies(&self) {
        for tasks in self.read().values() {
            let live = tasks.trees.iter();
            let live = live.filter(|(_, tree)| tree.live().is_some());
            tasks
                .tallies
                .keep_trees(&live.map(|(task, _)| *task).collect());
        }
    }

    /// Puts a task back with what it had spent, itself and everything below it ([`TaskStatus::spent`]), after a restart.
    /// A parent comes before its children. `seen` counts its own calls of each action, `labels` is what it had read.
    ///
    /// What is spent is not checked against the budget, nor the budget against what the parent has left by now, nor the
    /// number of the agent's tasks: they were when it was opened.
    ///
    /// # Errors
    ///
    /// [`OpenError`], as for [`Ledger::open`] but for the number of tasks.
    pub fn restore(
        &self,
        grant: Grant,
        spent: Charge,
        seen: BTreeMap<ActionName, u64>,
        labels: BTreeSet<Label>,
        now: Timestamp,
    ) -> Result<Arc<Grant>, OpenError> {
        let before = Before {
            spent,
            seen,
            labels,
        };
        self.insert(grant, Some(before), None, now)
    }

    /// Counts a call of the log; `false` if its task is not known.
    pub(crate) fn spend_recorded(
        &self,
        tenant: &Tenant,
        task: TaskId,
        taken: &Taken,
        written: Option<&[ValueDigest]>,
    ) -> bool {
        self.tree(tenant, task)
            .is_some_and(|tree| tree.spend_recorded(task, taken, written))
    }

    /// A task of the log was paused; `false` if it is not known.
    pub(crate) fn pause_recorded(&self, tenant: &Tenant, task: TaskId) -> bool {
        let tree = self.tree(tenant, task);
        tree.is_some_and(|tree| tree.pause(task))
    }

    /// A person lets a task go on, now or in the log; `false` if it is not known.
    pub(crate) fn resume_at(&self, tenant: &Tenant, task: TaskId) -> bool {
        let tree = self.tree(tenant, task);
        tree.is_some_and(|tree| tree.endorse(task, &[]))
    }

    /// Labels of the log; `false` if the task is not known.
    pub(crate) fn label_recorded(
        &self,
        tenant: &Tenant,
        task: TaskId,
        labels: &BTreeSet<Label>,
    ) -> bool {
        self.tree(tenant, task)
            .is_some_and(|tree| tree.add_labels(task, labels) != Err(EnterError::Unknown))
    }

    pub(crate) fn insert(
        &self,
        grant: Grant,
        before: Option<Before>,
        most_tasks: Option<usize>,
        now: Timestamp,
    ) -> Result<Arc<Grant>, OpenError> {
        if grant.deadline <= now {
            return Err(OpenError::DeadlinePast);
        }
        let grant = Arc::new(grant);
        // Held to the end: the number of tasks and the freedom of the id are true when the task is in.
        let mut tenants = self.write();
        let tasks = tenants.entry(grant.tenant.clone()).or_default();
        if tasks.trees.contains_key(&grant.task) {
            return Err(OpenError::Exists);
        }
        if let Some(most) = most_tasks
            && tasks.of_agent(grant.agent).count() >= most
        {
            return Err(OpenError::TooManyTasks { most });
        }
        let mut news = None;
        let tree = match grant.parent {
            Some(parent) => {
                let tree = tasks.trees.get(&parent).ok_or(OpenError::ParentUnknown)?;
                let there = tree.live().map(|live| live.subjects).unwrap_or_default();
                tree.open_below(parent, Arc::clone(&grant), before, now)?;
                if most_tasks.is_some() {
                    // What its agent knows it may tell, and be told what its parent knows.
                    tasks.carried(|carried| meet(tree, &grant, &there, carried, now));
                    news = tree.live();
                }
                Arc::clone(tree)
            }
            None => {
                let mut before = before;
                if most_tasks.is_some() {
                    // Opened now, not put back: it begins with what its agent knows.
                    let labels = tasks.carried(|carried| carried.labels(&Acting::of(&grant)));
                    before.get_or_insert_default().labels.extend(labels);
                }
                let tree = Tree::of(Arc::clone(&grant), before);
                let remembered = tasks.carried(|carried| carried.endorsed(&grant, now));
                if !remembered.is_empty() {
                    tree.endorse(grant.task, &remembered);
                }
                Arc::new(tree)
            }
        };
        tasks.trees.insert(grant.task, Arc::clone(&tree));
        tasks.live.insert((grant.agent, grant.task));
        drop(tenants);
        if let Some(live) = news {
            self.spread(&grant, &tree, live.subjects, &live.labels);
        }
        Ok(grant)
    }

    /// Knows a sub-task of the log as ended, so that what the log says it spent counts against the tasks above it.
    pub(crate) fn insert_ended(&self, grant: Grant) {
        let mut tenants = self.write();
        let tasks = tenants.entry(grant.tenant.clone()).or_default();
        let above = grant.parent.and_then(|parent| tasks.trees.get(&parent));
        if let Some(tree) = above.map(Arc::clone)
            && !tasks.trees.contains_key(&grant.task)
        {
            tasks.trees.insert(grant.task, Arc::clone(&tree));
            tree.insert_ended(Arc::new(grant));
        }
    }

    pub(crate) fn end(&self, tenant: &Tenant, task: TaskId, why: Ending) -> Result<Cut, EndError> {
        let tree = self.tree(tenant, task).ok_or(EndError::Unknown)?;
        let severed = tree.end(task, why).ok_or(EndError::Unknown)?;
        Ok(self.retire(severed))
    }

    /// Ends every task that is over at `now` and forgets what nothing hangs on.
    pub(crate) fn sweep_at(&self, now: Timestamp) -> Cut {
        let mut trees: Vec<(Tenant, Arc<Tree>)> = Vec::new();
        for (tenant, tasks) in self.read().iter() {
            let mut own: Vec<_> = tasks.trees.values().collect();
            own.sort_unstable_by_key(|tree| Arc::as_ptr(tree));
            own.dedup_by_key(|tree| Arc::as_ptr(tree));
            trees.extend(
                own.into_iter()
                    .map(|tree| (tenant.clone(), Arc::clone(tree))),
            );
        }
        let mut severed = Severed::default();
        let mut forgotten = Vec::new();
        for (tenant, tree) in &trees {
            let tasks = tree.sweep(now, &mut severed);
            forgotten.extend(tasks.into_iter().map(|task| (tenant, task)));
        }
        let cut = self.retire(severed);
        for (tenant, tasks) in self.read().iter() {
            tasks.carried(|carried| carried.sweep(now));
            let own = forgotten.iter().filter(|(own, _)| *own == tenant);
            let over: Vec<TaskId> = own.map(|(_, task)| *task).collect();
            tasks.tallies.sweep(&over, now);
        }
        if !forgotten.is_empty() {
            let mut tenants = self.write();
            for (tenant, task) in forgotten {
                if let Some(tasks) = tenants.get_mut(tenant) {
                    tasks.trees.remove(&task);
                }
            }
        }
        cut
    }

    /// Changes what outlives the task's tasks.
    fn carry<T: Default>(&self, grant: &Grant, act: impl FnOnce(&mut Carried) -> T) -> T {
        let tenants = self.read();
        let tasks = tenants.get(&grant.tenant);
        tasks.map_or_else(T::default, |tasks| tasks.carried(act))
    }

    /// Every other tree of the tenant, each once.
    fn others(&self, tenant: &Tenant, tree: &Arc<Tree>) -> Vec<Arc<Tree>> {
        let mut others = self.all(tenant);
        others.retain(|other| !Arc::ptr_eq(other, tree));
        others
    }

    /// Every tree of the tenant, each once.
    fn all(&self, tenant: &Tenant) -> Vec<Arc<Tree>> {
        let mut trees: Vec<Arc<Tree>> = {
            let tenants = self.read();
            let trees = tenants.get(tenant).into_iter();
            trees
                .flat_map(|tasks| tasks.trees.values())
                .map(Arc::clone)
                .collect()
        };
        trees.sort_unstable_by_key(Arc::as_ptr);
        trees.dedup_by_key(|tree| Arc::as_ptr(tree));
        trees
    }

    fn attest_at(
        &self,
        tenant: &Tenant,
        task: TaskId,
        prompt: Option<Arc<str>>,
    ) -> Result<(), EndError> {
        let tree = self.tree(tenant, task).ok_or(EndError::Unknown)?;
        let status = tree.status(task).ok_or(EndError::Unknown)?;
        if !tree.attest(task, prompt) {
            return Err(EndError::Unknown);
        }
        if status.grant.parent.is_none() {
            let trees = self.others(tenant, &tree);
            // Looked at while nobody's memory changes: what is read meanwhile is remembered after this.
            self.carry(&status.grant, |carried| {
                let live: Vec<Live> = trees.iter().filter_map(|tree| tree.live()).collect();
                carried.begin_anew(&Acting::of(&status.grant), &live);
            });
        }
        Ok(())
    }

    fn label_at(&self, entered: &Entered, labels: &BTreeSet<Label>) -> Result<(), EnterError> {
        let grant = &entered.grant;
        // The tree first: whoever begins anew meanwhile sees it there, or is before what is remembered here.
        let labelled = entered.tree.add_labels(grant.task, labels);
        if !labels.is_empty() {
            self.spread(grant, &entered.tree, everybody(entered), labels);
        }
        labelled
    }

    /// They know such things now, in all their trees that no client vouches for, and so does whoever acts with one of them
    /// there.
    fn spread(
        &self,
        grant: &Grant,
        from: &Arc<Tree>,
        subjects: BTreeSet<Knower>,
        labels: &BTreeSet<Label>,
    ) {
        let mut next = vec![subjects];
        while let Some(subjects) = next.pop() {
            let is_news = self.carry(grant, |carried| {
                carried.read(subjects.iter().cloned(), labels)
            });
            if is_news {
                let others = self.others(&grant.tenant, from).into_iter();
                next.extend(others.map(|other| other.hear(&subjects, labels)));
            }
        }
    }

    fn note_at(&self, entered: &Entered, read: &Read, now: Timestamp) -> Result<(), EnterError> {
        let grant = &entered.grant;
        let sources: Vec<_> = if read.sources.is_empty() {
            Vec::new()
        } else {
            let all = everybody(entered);
            self.carry(grant, |carried| {
                let sources = read.sources.iter();
                let vouching = sources.filter(|one| !carried.has_written(&all, one.form, now));
                vouching.collect()
            })
        };
        let tree = &entered.tree;
        tree.note(grant.task, entered.call, &sources, &read.seen)
    }

    fn write_at(
        &self,
        entered: &Entered,
        forms: Option<&[ValueDigest]>,
        given: &BTreeSet<ValueDigest>,
        now: Timestamp,
    ) -> Result<(), EnterError> {
        let grant = &entered.grant;
        let carried: Option<Vec<_>> = forms.map(|forms| {
            let forms = forms.iter().copied();
            forms.filter(|form| !given.contains(form)).collect()
        });
        let cools = carried.as_deref();
        if cools.is_none_or(|forms| !forms.is_empty()) {
            self.carry(grant, |carried| {
                carried.write(everybody(entered), cools, now);
            });
        }
        entered.tree.write(grant.task, forms)
    }

    /// Takes what has ended off the agents' lists, and wakes what was cut.
    fn retire(&self, severed: Severed) -> Cut {
        if !severed.tasks.is_empty() {
            let mut tenants = self.write();
            for grant in &severed.tasks {
                if let Some(tasks) = tenants.get_mut(&grant.tenant) {
                    tasks.live.remove(&(grant.agent, grant.task));
                }
            }
        }
        severed.wake()
    }

    fn expire(&self, tree: &Tree, task: TaskId, now: Timestamp) {
        let severed = tree.expire(task, now);
        self.retire(severed);
    }

    fn tree(&self, tenant: &Tenant, task: TaskId) -> Option<Arc<Tree>> {
        self.read().get(tenant)?.trees.get(&task).map(Arc::clone)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Tenant, Tasks>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Tenant, Tasks>> {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_at(&self, grant: Grant, now: Timestamp) -> Result<Arc<Grant>, OpenError> {
        let (tenant, agent) = (grant.tenant.clone(), grant.agent);
        let full = |ledger: &Self| {
            let tenants = ledger.read();
            let tasks = tenants.get(&tenant);
            tasks.is_some_and(|tasks| tasks.of_agent(agent).count() >= ledger.most_tasks)
        };
        if full(self) {
            // Some of them may be over without anyone having looked.
            self.sweep_at(now);
        }
        self.insert(grant, None, Some(self.most_tasks), now)
    }

    fn enter_at(
        &self,
        tenant: &Tenant,
        task: TaskId,
        call: CallId,
        now: Timestamp,
    ) -> Result<Entered, EnterError> {
        let tree = self.tree(tenant, task).ok_or(EnterError::Unknown)?;
        let entered = tree.enter(task, call, self.most_in_flight, now);
        if matches!(entered, Err(EnterError::Ended(Ending::Deadline))) {
            self.expire(&tree, task, now);
        }
        entered
    }

    fn reserve_at(
        &self,
        entered: &Entered,
        (action, charge): (&ActionName, Charge),
        fitting: Option<&[u16]>,
        now: Timestamp,
    ) -> Result<(Reservation, Facts), ReserveError> {
        let what = (action, at_least_one(charge));
        let who = (&entered.grant, entered.call);
        let reserved = entered.tree.reserve(who, what, fitting, now);
        if matches!(reserved, Err(ReserveError::Ended(Ending::Deadline))) {
            self.expire(&entered.tree, entered.grant.task, now);
        }
        reserved
    }

    fn amend_at(&self, grant: Grant, from: &Digest, now: Timestamp) -> Result<Cut, AmendError> {
        let grant = Arc::new(grant);
        let tree = self.tree(&grant.tenant, grant.task);
        let tree = tree.ok_or(AmendError::Unknown)?;
        Ok(self.retire(tree.amend(&grant, from, now)?))
    }

    /// An amendment of the log.
    pub(crate) fn amend_recorded(&self, grant: Grant, from: &Digest) -> Result<(), AmendError> {
        let grant = Arc::new(grant);
        let tree = self.tree(&grant.tenant, grant.task);
        let tree = tree.ok_or(AmendError::Unknown)?;
        self.retire(tree.amend_recorded(&grant, from)?);
        Ok(())
    }

    fn status_at(&self, tenant: &Tenant, task: TaskId, now: Timestamp) -> Option<TaskStatus> {
        let tree = self.tree(tenant, task)?;
        self.expire(&tree, task, now);
        tree.status(task)
    }
}

/// A sub-task begins in a tree in which these act: its agent brings what it knows, and what it wrote vouches for nothing there.
fn meet(
    tree: &Tree,
    grant: &Grant,
    there: &BTreeSet<Knower>,
    carried: &mut Carried,
    now: Timestamp,
) {
    let acting = Acting::of(grant);
    let knows = carried.brought(&acting, there);
    if !knows.is_empty() {
        // It was opened just now, and if it has ended since, the labels are there all the same.
        let _ended: Result<(), EnterError> = tree.add_labels(grant.task, &knows);
    }
    let wrote = carried.meet(&acting, there, now);
    if !there.contains(&Knower::Agent(grant.agent)) {
        tree.disown(wrote.as_deref());
    }
}

/// Who acts in the tree of a call, and in the call itself, which may outlive its task.
fn everybody(entered: &Entered) -> BTreeSet<Knower> {
    let live = entered.tree.live();
    let mut all = live.map(|live| live.subjects).unwrap_or_default();
    all.extend(Acting::of(&entered.grant).subjects());
    all
}

/// A call is a call, whatever its operation declares.
fn at_least_one(charge: Charge) -> Charge {
    Charge {
        calls: charge.calls.max(1),
        ..charge
    }
}

impl Ledger for MemoryLedger {
    fn open(
        &self,
        grant: Grant,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Arc<Grant>, OpenError>> {
        Box::pin(ready(self.open_at(grant, now)))
    }

    fn enter(
        &self,
        tenant: &Tenant,
        task: TaskId,
        call: CallId,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Entered, EnterError>> {
        Box::pin(ready(self.enter_at(tenant, task, call, now)))
    }

    fn reserve(
        &self,
        entered: &Entered,
        what: (&ActionName, Charge),
        fitting: Option<&[u16]>,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<(Reservation, Facts), ReserveError>> {
        Box::pin(ready(self.reserve_at(entered, what, fitting, now)))
    }

    fn tally(
        &self,
        entered: &Entered,
        reservation: &mut Reservation,
        called: &Called,
        windows: &Windows,
        now: Timestamp,
    ) -> LedgerFuture<'_, BTreeMap<WindowName, Windowed>> {
        let tallies = self
            .read()
            .get(&entered.grant.tenant)
            .map(|tasks| tasks.tallies.clone());
        let shown = tallies.map(|tallies| {
            let (booked, shown) = tallies.reserve(&entered.caller(), called, windows, now);
            reservation.book(booked);
            shown
        });
        Box::pin(ready(shown.unwrap_or_default()))
    }

    fn windows(
        &self,
        entered: &Entered,
        windows: &Windows,
        now: Timestamp,
    ) -> LedgerFuture<'_, BTreeMap<WindowName, Windowed>> {
        let tenants = self.read();
        let shown = tenants
            .get(&entered.grant.tenant)
            .map(|tasks| tasks.tallies.shown(&entered.caller(), windows, now));
        drop(tenants);
        Box::pin(ready(shown.unwrap_or_default()))
    }

    fn look(
        &self,
        entered: &Entered,
        action: &ActionName,
        charge: Charge,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Facts, ReserveError>> {
        let task = entered.grant.task;
        let found = entered.tree.look(task, action, at_least_one(charge), now);
        Box::pin(ready(found))
    }

    fn add_labels(
        &self,
        entered: &Entered,
        labels: &BTreeSet<Label>,
    ) -> LedgerFuture<'_, Result<(), EnterError>> {
        Box::pin(ready(self.label_at(entered, labels)))
    }

    fn attest(
        &self,
        tenant: &Tenant,
        task: TaskId,
        prompt: Option<Arc<str>>,
    ) -> LedgerFuture<'_, Result<(), EndError>> {
        Box::pin(ready(self.attest_at(tenant, task, prompt)))
    }

    fn amend(
        &self,
        grant: Grant,
        from: &Digest,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Cut, AmendError>> {
        Box::pin(ready(self.amend_at(grant, from, now)))
    }

    fn look_at_amendment(
        &self,
        grant: &Grant,
        from: &Digest,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<Known, AmendError>> {
        let tree = self.tree(&grant.tenant, grant.task);
        let known = tree.ok_or(AmendError::Unknown);
        let known = known.and_then(|tree| tree.look_at_amendment(grant, from, now));
        Box::pin(ready(known))
    }

    fn note(
        &self,
        entered: &Entered,
        read: &Read,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<(), EnterError>> {
        Box::pin(ready(self.note_at(entered, read, now)))
    }

    fn write(
        &self,
        entered: &Entered,
        forms: Option<&[ValueDigest]>,
        given: &BTreeSet<ValueDigest>,
        now: Timestamp,
    ) -> LedgerFuture<'_, Result<(), EnterError>> {
        Box::pin(ready(self.write_at(entered, forms, given, now)))
    }

    fn count_unvouched(
        &self,
        entered: &Entered,
        action: &ActionName,
        places: &BTreeSet<String>,
    ) -> LedgerFuture<'_, bool> {
        let paused = !places.is_empty() && entered.tree.count_unvouched(action, places);
        Box::pin(ready(paused))
    }

    fn endorse(
        &self,
        grant: &Grant,
        values: &[(ValueDigest, ValueDigest)],
        until: Option<Timestamp>,
    ) -> LedgerFuture<'_, Result<(), EndError>> {
        let tree = self.tree(&grant.tenant, grant.task);
        let known = tree.is_some_and(|tree| tree.endorse(grant.task, values));
        if let Some(until) = until.filter(|_| known) {
            self.carry(grant, |carried| carried.endorse(grant, values, until));
        }
        Box::pin(ready(known.then_some(()).ok_or(EndError::Unknown)))
    }

    fn resume(&self, tenant: &Tenant, task: TaskId) -> LedgerFuture<'_, Result<(), EndError>> {
        let known = self.resume_at(tenant, task);
        Box::pin(ready(known.then_some(()).ok_or(EndError::Unknown)))
    }

    fn close(&self, tenant: &Tenant, task: TaskId) -> LedgerFuture<'_, Result<Cut, EndError>> {
        self.revoke(tenant, task, Ending::Closed)
    }

    fn revoke(
        &self,
        tenant: &Tenant,
        task: TaskId,
        why: Ending,
    ) -> LedgerFuture<'_, Result<Cut, EndError>> {
        Box::pin(ready(self.end(tenant, task, why)))
    }

    fn revoke_agent(&self, tenant: &Tenant, agent: AgentId) -> LedgerFuture<'_, Cut> {
        let live: Vec<TaskId> = {
            let tenants = self.read();
            let tasks = tenants.get(tenant).into_iter();
            tasks.flat_map(|tasks| tasks.of_agent(agent)).collect()
        };
        let mut cut = Cut::default();
        for task in live {
            // One that was forgotten in between has nothing left to cut.
            let more = self
                .end(tenant, task, Ending::AgentRevoked)
                .unwrap_or_default();
            cut.tasks.extend(more.tasks);
            cut.calls.extend(more.calls);
        }
        Box::pin(ready(cut))
    }

    fn cut(&self, tenant: &Tenant, stop: &Stop, version: u32) -> LedgerFuture<'_, Cut> {
        let mut severed = Severed::default();
        for tree in self.all(tenant) {
            severed.join(tree.cut(stop, version));
        }
        Box::pin(ready(severed.wake()))
    }

    fn sweep(&self, now: Timestamp) -> LedgerFuture<'_, Cut> {
        Box::pin(ready(self.sweep_at(now)))
    }

    fn status(
        &self,
        tenant: &Tenant,
        task: TaskId,
        now: Timestamp,
    ) -> LedgerFuture<'_, Option<TaskStatus>> {
        Box::pin(ready(self.status_at(tenant, task, now)))
    }

    fn list(
        &self,
        tenant: &Tenant,
        after: Option<TaskId>,
        limit: usize,
        now: Timestamp,
    ) -> LedgerFuture<'_, Vec<TaskStatus>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page: Vec<TaskId> = {
            let tenants = self.read();
            let tasks = tenants.get(tenant).map(|tasks| &tasks.trees);
            let range = tasks.map(|trees| trees.range((from, Bound::Unbounded)));
            let ids = range.into_iter().flatten().map(|(task, _)| *task);
            ids.take(limit).collect()
        };
        let page = page.into_iter();
        let page = page.filter_map(|task| self.status_at(tenant, task, now));
        Box::pin(ready(page.collect()))
    }
}
