//! What agents and requesters know after a restart: a fold over everything the log says was read and written.

use std::collections::{BTreeMap, BTreeSet};

use writ_types::{Label, TaskId, Timestamp, ValueDigest};

use crate::carried::{Acting, Carried, Knower, Live, several};

/// After so many openings the trees that are over by then are let go.
const SWEEP_EVERY: usize = 1024;

/// One tenant's memories as of the last record that was read.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    carried: Carried,
    trees: BTreeMap<TaskId, Known>,
    /// The root of each task of those trees.
    roots: BTreeMap<TaskId, TaskId>,
    openings: usize,
}

/// A tree that may still act.
#[derive(Debug)]
struct Known {
    /// For whom a client vouched that they begin anew; nobody if it did not.
    shielded: BTreeSet<Knower>,
    labels: BTreeSet<Label>,
    deadline: Timestamp,
    /// Its tasks that are not over: the one above each, and who acts in it.
    tasks: BTreeMap<TaskId, (Option<TaskId>, Acting)>,
}

impl Known {
    fn subjects(&self) -> BTreeSet<Knower> {
        let acting = self.tasks.values();
        acting.flat_map(|(_, acting)| acting.subjects()).collect()
    }

    /// Takes a task out with everything below it.
    fn end(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        let is_below =
            |(_, (above, _)): &(&TaskId, &(Option<TaskId>, Acting))| *above == Some(task);
        let below: Vec<_> = self.tasks.iter().filter(is_below).collect();
        let below: Vec<_> = below.into_iter().map(|(task, _)| *task).collect();
        for task in below {
            self.end(task);
        }
    }
}

/// The opening of a task, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The task.
    pub task: TaskId,
    /// The task it was narrowed from, if any.
    pub parent: Option<TaskId>,
    /// Who acts in it.
    pub acting: Acting,
    /// Whether a client vouched for what it is: agent and requester then begin anew.
    pub attested: bool,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends by itself.
    pub deadline: Timestamp,
}

impl Recall {
    pub(crate) fn opened(&mut self, opening: &Opening) {
        self.openings = self.openings.saturating_add(1);
        if self.openings.is_multiple_of(SWEEP_EVERY) {
            self.sweep(opening.opened);
        }
        let own = (opening.parent, opening.acting.clone());
        let above = opening
            .parent
            .and_then(|parent| self.roots.get(&parent).copied());
        if let Some(root) = above
            && let Some(known) = self.trees.get_mut(&root)
        {
            let there = known.subjects();
            let brought = self.carried.brought(&opening.acting, &there);
            known.labels.extend(brought);
            let (acting, opened) = (&opening.acting, opening.opened);
            // What the tree has read does not vouch after a restart, so nothing has to be disowned.
            let _wrote: Option<Vec<ValueDigest>> = self.carried.meet(acting, &there, opened);
            known.tasks.insert(opening.task, own);
            self.roots.insert(opening.task, root);
            let (subjects, labels) = (known.subjects(), known.labels.clone());
            self.spread(subjects, &labels, Some(root));
            return;
        }
        let labels = if opening.attested {
            let live = self.trees.values().map(|known| Live {
                subjects: known.subjects(),
                labels: known.labels.clone(),
            });
            let live: Vec<_> = live.collect();
            self.carried.begin_anew(&opening.acting, &live);
            BTreeSet::new()
        } else {
            self.carried.labels(&opening.acting)
        };
        let known = Known {
            shielded: if opening.attested {
                opening.acting.subjects().collect()
            } else {
                BTreeSet::new()
            },
            labels,
            tasks: BTreeMap::from([(opening.task, own)]),
            deadline: opening.deadline,
        };
        self.trees.insert(opening.task, known);
        self.roots.insert(opening.task, opening.task);
    }

    /// What the tree of a task has read so far; nothing if the log did not open it.
    pub(crate) fn labels(&self, task: TaskId) -> BTreeSet<Label> {
        let tree = self.roots.get(&task).and_then(|root| self.trees.get(root));
        tree.map(|known| known.labels.clone()).unwrap_or_default()
    }

    /// A task lives until another deadline; with a root its tree does.
    pub(crate) fn amended(&mut self, task: TaskId, deadline: Timestamp) {
        if let Some(known) = self.trees.get_mut(&task) {
            known.deadline = deadline;
        }
    }

    pub(crate) fn read(&mut self, task: TaskId, acting: &Acting, labels: &BTreeSet<Label>) {
        let root = self.roots.get(&task).copied();
        let all = self.everybody(root, acting);
        if let Some(known) = root.and_then(|root| self.trees.get_mut(&root)) {
            known.labels.extend(labels.iter().cloned());
        }
        self.spread(all, labels, root);
    }

    /// Who acts in a tree, and in a call of it that may have outlived its task.
    fn everybody(&self, root: Option<TaskId>, acting: &Acting) -> BTreeSet<Knower> {
        let known = root.and_then(|root| self.trees.get(&root));
        let mut all = known.map(Known::subjects).unwrap_or_default();
        all.extend(acting.subjects());
        all
    }

    /// They know such things now, in all their trees that no client vouches for, and so does whoever acts with one of them
    /// there.
    fn spread(
        &mut self,
        subjects: BTreeSet<Knower>,
        labels: &BTreeSet<Label>,
        from: Option<TaskId>,
    ) {
        let mut next = vec![subjects];
        while let Some(subjects) = next.pop() {
            if !self.carried.read(subjects.iter().cloned(), labels) {
                continue;
            }
            for (other, known) in &mut self.trees {
                let acting = known.subjects();
                let mut exposed = acting.difference(&known.shielded);
                if Some(*other) != from && exposed.any(|own| subjects.contains(own)) {
                    known.labels.extend(labels.iter().cloned());
                    next.push(several(acting));
                }
            }
        }
    }

    pub(crate) fn wrote(
        &mut self,
        task: TaskId,
        acting: &Acting,
        forms: Option<&[ValueDigest]>,
        at: Timestamp,
    ) {
        let root = self.roots.get(&task).copied();
        let all = self.everybody(root, acting);
        self.carried.write(all, forms, at);
    }

    /// A task is over; a root takes everything below it along.
    pub(crate) fn ended(&mut self, task: TaskId) {
        let Some(root) = self.roots.get(&task).copied() else {
            return;
        };
        if root == task {
            self.trees.remove(&task);
            self.roots.retain(|_, root| *root != task);
        } else if let Some(known) = self.trees.get_mut(&root) {
            known.end(task);
        }
    }

    /// What everybody knows, and what each tree that may still live has read or heard, by its root.
    pub(crate) fn finish(mut self, now: Timestamp) -> (Carried, Vec<(TaskId, BTreeSet<Label>)>) {
        self.carried.sweep(now);
        let trees = self.trees.into_iter();
        let heard = trees.map(|(root, known)| (root, known.labels)).collect();
        (self.carried, heard)
    }

    fn sweep(&mut self, now: Timestamp) {
        self.trees.retain(|_, known| known.deadline > now);
        let trees = &self.trees;
        self.roots.retain(|_, root| trees.contains_key(root));
        self.carried.sweep(now);
    }
}
