//! What was done within a time: calls counted, and amounts summed up, by task tree, agent and requester.
//!
//! A call counts from when it is reserved, so that two at the same time cannot both be the last, and is given back only if
//! the upstream never heard of it. What is remembered are buckets of a minute, an hour or a day, after the length of a
//! window: a call counts until its bucket is over, never less long than the window, and a bucket longer at most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use writ_types::{
    ActionName, AgentId, Amount, Effects, Quantities, Requester, Sum, Summed, TaskId, Timestamp,
    Window, WindowName, WindowScope, Windowed, Windows,
};

use crate::carried::Acting;
use crate::tree::MOST_DEPTH;

/// Most buckets of one tree, agent or requester. What finds no room is counted as if it were a call of every action.
const MOST_BUCKETS: usize = 2048;

/// Most trees, agents and requesters that are remembered. Beyond, one that is not is taken to have done everything.
const MOST_COUNTED: usize = 65_536;

/// How long the buckets are that a window is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Minute,
    Hour,
    Day,
}

impl Width {
    /// The buckets for windows of a length.
    fn of(within: Duration) -> Self {
        match within.as_secs() {
            0..=3600 => Self::Minute,
            3601..=604_800 => Self::Hour,
            _ => Self::Day,
        }
    }

    const fn millis(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    fn bucket(self, at: Timestamp) -> u64 {
        at.millis_since_epoch()
            .checked_div(self.millis())
            .unwrap_or_default()
    }

    /// The first bucket in which something could stand that still counts.
    fn first(self, now: Timestamp, within: Duration) -> u64 {
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        // What was done exactly so long ago does not count any more; the rest of its bucket does.
        let since = now
            .millis_since_epoch()
            .saturating_sub(millis)
            .saturating_add(1);
        since.checked_div(self.millis()).unwrap_or_default()
    }
}

/// Whose calls are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    /// A task tree, by its root.
    Tree(TaskId),
    Agent(AgentId),
    Requester(Requester),
}

/// Who a call is counted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The root of the task's tree.
    pub root: TaskId,
    /// Its agent and those that handed the task on to it.
    pub agents: Vec<AgentId>,
    /// For whom it acts.
    pub requester: Option<Requester>,
}

impl Caller {
    /// Whose counts a window shows, and is counted in.
    fn shown(&self, by: WindowScope) -> BTreeSet<Counted> {
        let agents = || self.agents.iter().copied().map(Counted::Agent).collect();
        match (by, &self.requester) {
            (WindowScope::Task, _) => BTreeSet::from([Counted::Tree(self.root)]),
            (WindowScope::Agent, _) | (WindowScope::Requester, None) => agents(),
            (WindowScope::Requester, Some(requester)) => {
                BTreeSet::from([Counted::Requester(requester.clone())])
            }
        }
    }
}

/// A call, as far as windows look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The action.
    pub action: ActionName,
    /// What it does.
    pub effects: Effects,
    /// What its arguments come to.
    pub quantities: Quantities,
}

/// A bucket: when, and of which calls; none: of any.
type Bucket = (Width, u64, Option<(ActionName, Effects)>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tally {
    calls: u64,
    /// Of each sum that windows show: how much, and how many calls are wholly in it.
    sums: BTreeMap<Summed, (i128, u64)>,
}

#[derive(Debug, Default)]
struct History {
    buckets: BTreeMap<Bucket, Tally>,
    /// Until when more may have been done than stands here: what came before found no room.
    lost_until: Option<Timestamp>,
}

impl History {
    /// Counts a call, and says in which bucket.
    fn add(&mut self, mut bucket: Bucket, call: &Tally) -> Bucket {
        if self.buckets.len() >= MOST_BUCKETS && !self.buckets.contains_key(&bucket) {
            bucket.2 = None;
        }
        let tally = self.buckets.entry(bucket.clone()).or_default();
        tally.calls = tally.calls.saturating_add(call.calls);
        for (summed, (amount, wholly)) in &call.sums {
            let sum = tally.sums.entry(summed.clone()).or_default();
            sum.0 = sum.0.saturating_add(*amount);
            sum.1 = sum.1.saturating_add(*wholly);
        }
        bucket
    }

    /// Takes a call back that was counted there.
    fn take(&mut self, bucket: &Bucket, call: &Tally) {
        let Some(tally) = self.buckets.get_mut(bucket) else {
            return;
        };
        tally.calls = tally.calls.saturating_sub(call.calls);
        for (summed, (amount, wholly)) in &call.sums {
            if let Some(sum) = tally.sums.get_mut(summed) {
                sum.0 = sum.0.saturating_sub(*amount);
                sum.1 = sum.1.saturating_sub(*wholly);
            }
        }
        if tally.calls == 0 {
            self.buckets.remove(bucket);
        }
    }

    /// What a window shows of it.
    fn show(&self, window: &Window, now: Timestamp) -> Windowed {
        let width = Width::of(window.within);
        let from: Bucket = (width, width.first(now, window.within), None);
        let all = self.buckets.range(from..);
        let of_width = all.take_while(|((own, _, _), _)| *own == width);
        let (mut calls, mut sum, mut wholly) = (0u64, 0i128, 0u64);
        for (_, tally) in of_width.filter(|((_, _, of), _)| {
            let covers =
                |(action, effects): &(ActionName, Effects)| window.covers(action, *effects);
            of.as_ref().is_none_or(covers)
        }) {
            calls = calls.saturating_add(tally.calls);
            if let Some((amount, whole)) = window.sum.as_ref().and_then(|one| tally.sums.get(one)) {
                sum = sum.saturating_add(*amount);
                wholly = wholly.saturating_add(*whole);
            }
        }
        let exact = Amount::of_ten_thousandths(sum).map_or(Sum::Unrepresentable, Sum::Exact);
        Windowed {
            calls,
            sum: window.sum.as_ref().map(|_| exact),
            others: match window.sum {
                Some(_) => calls.saturating_sub(wholly),
                None => 0,
            },
        }
    }

    /// Forgets what no window shows any more.
    fn forget(&mut self, longest: &BTreeMap<Width, Duration>, now: Timestamp) {
        self.buckets.retain(|(width, bucket, _), _| {
            let shown = longest.get(width);
            shown.is_some_and(|within| *bucket >= width.first(now, *within))
        });
    }
}

/// What was counted of one tenant's calls.
#[derive(Debug, Default)]
struct Tallies {
    histories: BTreeMap<Counted, History>,
    /// The longest window of each width, as of the last call that was counted.
    longest: BTreeMap<Width, Duration>,
    /// Until when somebody may have done what found no room.
    lost_until: Option<Timestamp>,
}

/// Where a call was counted.
type Places = Vec<(Counted, Bucket)>;

impl Tallies {
    /// Counts a call that windows look at.
    fn count(
        &mut self,
        caller: &Caller,
        called: &Called,
        windows: &Windows,
        now: Timestamp,
    ) -> (Tally, Places) {
        let covering = || {
            let covers = |window: &&Window| window.covers(&called.action, called.effects);
            windows.iter().filter(covers)
        };
        let sums = covering().filter_map(|window| window.sum.as_ref());
        let of = |summed: &Summed| {
            let wholly = called.quantities.wholly(summed).is_some();
            let amount = called.quantities.in_unit(summed).ten_thousandths();
            (i128::from(amount), u64::from(wholly))
        };
        let call = Tally {
            calls: 1,
            sums: sums.map(|summed| (summed.clone(), of(summed))).collect(),
        };
        self.longest.clear();
        for window in windows.iter() {
            let longest = self.longest.entry(Width::of(window.within)).or_default();
            *longest = window.within.max(*longest);
        }
        let mut wanted = BTreeSet::new();
        for window in covering() {
            let width = Width::of(window.within);
            let shown = caller.shown(window.by).into_iter();
            wanted.extend(shown.map(|counted| (counted, width)));
        }
        let mut places = Places::new();
        for (counted, width) in wanted {
            let what = Some((called.action.clone(), called.effects));
            let bucket = (width, width.bucket(now), what);
            match self.history(&counted, now) {
                Some(history) => {
                    let bucket = history.add(bucket, &call);
                    places.push((counted, bucket));
                }
                None => self.lost_until = Some(now.plus(Window::LONGEST)),
            }
        }
        (call, places)
    }

    fn take(&mut self, call: &Tally, places: &Places) {
        for (counted, bucket) in places {
            if let Some(history) = self.histories.get_mut(counted) {
                history.take(bucket, call);
            }
        }
    }

    /// What a window shows of a caller: where several are shown, the most that one of them has.
    fn show(&self, window: &Window, caller: &Caller, now: Timestamp) -> Windowed {
        let shown = caller.shown(window.by);
        let each = shown
            .iter()
            .map(|counted| match self.histories.get(counted) {
                Some(history) if history.lost_until.is_none_or(|until| until <= now) => {
                    history.show(window, now)
                }
                None if self.lost(now).is_none() => Windowed::nothing(window),
                Some(_) | None => Windowed::anything(window),
            });
        let most = each.reduce(|most, other| most.at_least(&other));
        most.unwrap_or_else(|| Windowed::nothing(window))
    }

    fn show_all(
        &self,
        windows: &Windows,
        caller: &Caller,
        now: Timestamp,
    ) -> BTreeMap<WindowName, Windowed> {
        let each = windows.iter();
        each.map(|window| (window.name.clone(), self.show(window, caller, now)))
            .collect()
    }

    /// Until when somebody of whom nothing is known may have done everything, if that is still to come.
    fn lost(&self, now: Timestamp) -> Option<Timestamp> {
        self.lost_until.filter(|until| *until > now)
    }

    fn history(&mut self, counted: &Counted, now: Timestamp) -> Option<&mut History> {
        if self.histories.len() >= MOST_COUNTED && !self.histories.contains_key(counted) {
            self.sweep(now);
            if self.histories.len() >= MOST_COUNTED {
                return None;
            }
        }
        let lost_until = self.lost(now);
        let history = self.histories.entry(counted.clone());
        let history = history.or_insert_with(|| History {
            lost_until,
            ..History::default()
        });
        if history.buckets.len() >= MOST_BUCKETS {
            history.forget(&self.longest, now);
        }
        Some(history)
    }

    fn forget(&mut self, over: &[TaskId]) {
        for root in over {
            self.histories.remove(&Counted::Tree(*root));
        }
    }

    /// Forgets what counts no more.
    fn sweep(&mut self, now: Timestamp) {
        let longest = &self.longest;
        self.histories.retain(|_, history| {
            history.forget(longest, now);
            !history.buckets.is_empty()
        });
    }
}

/// One tenant's tallies, shared with the calls that are counted in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedTallies(Arc<Mutex<Tallies>>);

impl SharedTallies {
    /// Counts a call and shows the windows with it, in one critical section: no other call sees the same counts.
    pub(crate) fn reserve(
        &self,
        caller: &Caller,
        called: &Called,
        windows: &Windows,
        now: Timestamp,
    ) -> (Booked, BTreeMap<WindowName, Windowed>) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (call, places) = tallies.count(caller, called, windows, now);
        let shown = tallies.show_all(windows, caller, now);
        drop(tallies);
        let booked = Booked {
            tallies: Self(Arc::clone(&self.0)),
            call,
            places,
        };
        (booked, shown)
    }

    /// What the windows show of a caller.
    pub(crate) fn shown(
        &self,
        caller: &Caller,
        windows: &Windows,
        now: Timestamp,
    ) -> BTreeMap<WindowName, Windowed> {
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.show_all(windows, caller, now)
    }

    /// Counts a call of the log.
    pub(crate) fn recall(
        &self,
        caller: &Caller,
        called: &Called,
        windows: &Windows,
        at: Timestamp,
    ) {
        let (mut booked, _shown) = self.reserve(caller, called, windows, at);
        booked.keep();
    }

    /// Forgets what counts no more, and trees that nobody can call in any more.
    pub(crate) fn sweep(&self, over: &[TaskId], now: Timestamp) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.sweep(now);
        tallies.forget(over);
    }

    /// Forgets trees that nobody can call in any more.
    pub(crate) fn forget(&self, over: &[TaskId]) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.forget(over);
    }

    /// Forgets the trees that are not live.
    pub(crate) fn keep_trees(&self, live: &BTreeSet<TaskId>) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.histories.retain(|counted, _| match counted {
            Counted::Tree(root) => live.contains(root),
            Counted::Agent(_) | Counted::Requester(_) => true,
        });
    }
}

/// A call that is counted, and taken back when this is dropped before it was kept.
#[derive(Debug)]
pub(crate) struct Booked {
    tallies: SharedTallies,
    call: Tally,
    places: Places,
}

impl Booked {
    /// The call's intent is recorded: it counts for good.
    pub(crate) fn keep(&mut self) {
        self.places.clear();
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        if !self.places.is_empty() {
            let tallies = &self.tallies.0;
            let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
            tallies.take(&self.call, &self.places);
        }
    }
}

/// Who the calls of the log were made for: the tasks above each, as their openings tell.
#[derive(Debug, Default)]
pub(crate) struct Lineages {
    tasks: BTreeMap<TaskId, (Option<TaskId>, AgentId, Timestamp)>,
    openings: usize,
}

/// After so many openings the tasks that are over by then are let go.
const SWEEP_EVERY: usize = 1024;

/// How much later than a task's end a record of one of its calls may still come.
const LATE: Duration = Duration::from_secs(3600);

impl Lineages {
    /// A task was opened. Gives back the tasks that are over by then and let go.
    pub(crate) fn opened(
        &mut self,
        task: TaskId,
        parent: Option<TaskId>,
        agent: AgentId,
        (opened, deadline): (Timestamp, Timestamp),
    ) -> Vec<TaskId> {
        self.openings = self.openings.saturating_add(1);
        let mut over = Vec::new();
        if self.openings.is_multiple_of(SWEEP_EVERY) {
            let is_over = |until: &Timestamp| *until <= opened;
            let gone = self
                .tasks
                .iter()
                .filter(|(_, (_, _, until))| is_over(until));
            over.extend(gone.map(|(task, _)| *task));
            self.tasks.retain(|_, (_, _, until)| !is_over(until));
        }
        let until = deadline.plus(LATE);
        self.tasks.insert(task, (parent, agent, until));
        over
    }

    /// A task came to live until another deadline.
    pub(crate) fn amended(&mut self, task: TaskId, deadline: Timestamp) {
        if let Some((_, _, until)) = self.tasks.get_mut(&task) {
            *until = deadline.plus(LATE);
        }
    }

    /// The caller of a call in `task`.
    pub(crate) fn caller(&self, task: TaskId, acting: &Acting) -> Caller {
        let mut caller = Caller {
            root: task,
            agents: vec![acting.agent],
            requester: acting.requester.clone(),
        };
        let mut next = Some(task);
        // No tree is deeper, so this ends whatever a log says.
        for _ in 0..=MOST_DEPTH {
            let Some((task, (above, agent, _))) =
                next.and_then(|task| self.tasks.get_key_value(&task))
            else {
                break;
            };
            caller.root = *task;
            if !caller.agents.contains(agent) {
                caller.agents.push(*agent);
            }
            next = *above;
        }
        caller
    }
}
