//! Least privilege from what was done: a rule that leaves an agent, for one purpose, the actions it has used.
//!
//! What is suggested only narrows. It is written for a project, where tests and a plan come before it is in force, and a person
//! decides. Nothing is learned from a task that somebody stopped, or whose agent or requester had read what strangers wrote: what such
//! a task did could be what a stranger wanted. No value of a call is in it.

use std::collections::{BTreeMap, BTreeSet};

use writ_audit::{Closing, Event, Record, TaskOpened};
use writ_task::{Acting, Knower, several};
use writ_types::{
    ActionName, Agent, AgentId, Asserter, Budget, Charge, Label, Purpose, PurposeName, TaskId,
    Timestamp, Value,
};

use crate::start::brought;

/// What the tasks of one agent did for one purpose, folded over the records of a log in their order.
#[derive(Debug)]
pub(crate) struct Usage {
    agent: AgentId,
    purpose: PurposeName,
    /// Those of everybody, by root task: what one agent hands on, another may do for a stranger.
    trees: BTreeMap<TaskId, Tree>,
    /// The root of each task.
    roots: BTreeMap<TaskId, TaskId>,
    /// Who acts in each task, or did.
    acting: BTreeMap<TaskId, Acting>,
    /// Who has read what strangers wrote.
    tainted: BTreeSet<Knower>,
}

/// What a task and those below it did.
#[derive(Debug)]
struct Tree {
    /// Its tasks that may still act, and who acts in them.
    live: BTreeMap<TaskId, Acting>,
    /// For whom a client vouched that they begin anew.
    shielded: BTreeSet<Knower>,
    /// A task of it was the agent's, for the purpose.
    is_meant: bool,
    /// What those tasks called.
    calls: BTreeMap<ActionName, u64>,
    spent: Charge,
    knows: Knows,
    end: End,
}

impl Tree {
    fn subjects(&self) -> BTreeSet<Knower> {
        self.live.values().flat_map(Acting::subjects).collect()
    }
}

/// What whoever acts in a tree knows of strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knows {
    /// Nothing.
    Nothing,
    /// What they read elsewhere; nothing was done here since.
    Elsewhere,
    /// What they read here, or read elsewhere before they went on here.
    Here,
}

/// How far a tree is with its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its root may still act.
    Live,
    /// Its root is over.
    Over,
    /// Somebody stopped a task of it.
    Stopped,
}

impl Usage {
    pub(crate) const fn of(agent: AgentId, purpose: PurposeName) -> Self {
        Self {
            agent,
            purpose,
            trees: BTreeMap::new(),
            roots: BTreeMap::new(),
            acting: BTreeMap::new(),
            tainted: BTreeSet::new(),
        }
    }

    /// Takes the next record. `strangers` says whether what strangers wrote comes with an action's answers.
    pub(crate) fn take(&mut self, record: &Record, strangers: impl Fn(&ActionName) -> bool) {
        match &record.event {
            Event::TaskOpened(opened) => self.opened(opened),
            Event::Intent(intent) => {
                let task = intent.subject.task;
                if strangers(&intent.action) {
                    self.reads_strangers(task);
                }
                let own = intent.subject.agent == self.agent && intent.purpose == self.purpose;
                if let Some(tree) = self.tree(task)
                    && tree.knows == Knows::Elsewhere
                {
                    tree.knows = Knows::Here;
                }
                if let Some(tree) = self.tree(task).filter(|_| own) {
                    let calls = tree.calls.entry(intent.action.clone()).or_default();
                    *calls = calls.saturating_add(1);
                    tree.spent = tree.spent.plus(Charge::of(intent.effects));
                }
            }
            Event::Outcome(outcome) => {
                if brought(outcome).contains(&Label::untrusted()) {
                    self.reads_strangers(outcome.task);
                }
            }
            Event::TaskClosed(closed) => {
                let is_root = self.roots.get(&closed.task) == Some(&closed.task);
                if let Some(tree) = self.tree(closed.task) {
                    tree.live.remove(&closed.task);
                    if closed.how == Closing::Revoked {
                        tree.end = End::Stopped;
                    } else if is_root && tree.end == End::Live {
                        tree.end = End::Over;
                    }
                }
            }
            Event::Refused(_)
            | Event::TaskAmended(_)
            | Event::TokenIssued(_)
            | Event::TokenRefused(_)
            | Event::UpstreamToken(_)
            | Event::Started(_)
            | Event::RevisionActivated(_)
            | Event::OperatorAction(_)
            | Event::KeyRotated(_)
            | Event::Approval(_)
            | Event::Alarm(_) => {}
        }
    }

    fn opened(&mut self, opened: &TaskOpened) {
        let acting = Acting {
            agent: opened.agent,
            requester: opened.requester.clone(),
        };
        let is_meant = opened.agent == self.agent && opened.purpose == self.purpose;
        let above = opened.parent.and_then(|above| self.roots.get(&above));
        let root = above.copied().unwrap_or(opened.task);
        self.roots.insert(opened.task, root);
        self.acting.insert(opened.task, acting.clone());
        if let Some(tree) = self.trees.get_mut(&root) {
            // What its agent knows it may tell, and be told what is known there.
            let agent = Knower::Agent(acting.agent);
            let brings = !tree.subjects().contains(&agent) && self.tainted.contains(&agent);
            tree.live.insert(opened.task, acting);
            tree.is_meant |= is_meant;
            if brings && tree.knows == Knows::Nothing {
                tree.knows = Knows::Elsewhere;
            }
            if tree.knows != Knows::Nothing {
                let subjects = tree.subjects();
                self.spread(subjects, root);
            }
            return;
        }
        let attested = matches!(opened.asserters.prompt, Asserter::Client(_));
        let mut shielded = BTreeSet::new();
        if attested && opened.parent.is_none() {
            shielded.extend(acting.subjects());
            self.begin_anew(&shielded);
        }
        let knows = acting.subjects().any(|one| self.tainted.contains(&one));
        let knows = knows && shielded.is_empty();
        let tree = Tree {
            live: BTreeMap::from([(opened.task, acting)]),
            shielded,
            is_meant,
            calls: BTreeMap::new(),
            spent: Charge::default(),
            knows: if knows {
                Knows::Elsewhere
            } else {
                Knows::Nothing
            },
            end: End::Live,
        };
        self.trees.insert(root, tree);
    }

    /// Agent and requester begin anew, but for what their tasks that still live know.
    fn begin_anew(&mut self, subjects: &BTreeSet<Knower>) {
        let knowing = self.trees.values();
        let knowing = knowing.filter(|tree| tree.knows != Knows::Nothing);
        let known: BTreeSet<Knower> = knowing.flat_map(Tree::subjects).collect();
        self.tainted
            .retain(|one| !subjects.contains(one) || known.contains(one));
    }

    /// A task of anybody has read what strangers wrote: whoever acts in its tree knows, in their other tasks and in those to come.
    fn reads_strangers(&mut self, task: TaskId) {
        let Some(root) = self.roots.get(&task).copied() else {
            return;
        };
        // Those of a call that outlived its task, too.
        let mut subjects: BTreeSet<Knower> = BTreeSet::new();
        if let Some(acting) = self.acting.get(&task) {
            subjects.extend(acting.subjects());
        }
        if let Some(tree) = self.trees.get_mut(&root) {
            tree.knows = Knows::Here;
            subjects.extend(tree.subjects());
        }
        self.spread(subjects, root);
    }

    /// They know now, and so does whoever acts with one of them in another tree (`writ_task::Ledger::add_labels`).
    fn spread(&mut self, subjects: BTreeSet<Knower>, from: TaskId) {
        let mut next = vec![subjects];
        while let Some(subjects) = next.pop() {
            let is_news = !subjects.is_subset(&self.tainted);
            self.tainted.extend(subjects.iter().cloned());
            if !is_news {
                continue;
            }
            for (other, tree) in &mut self.trees {
                let acting = tree.subjects();
                let mut exposed = acting.difference(&tree.shielded);
                if *other != from && exposed.any(|own| subjects.contains(own)) {
                    if tree.knows == Knows::Nothing {
                        tree.knows = Knows::Elsewhere;
                    }
                    next.push(several(acting));
                }
            }
        }
    }

    fn tree(&mut self, task: TaskId) -> Option<&mut Tree> {
        let root = self.roots.get(&task)?;
        self.trees.get_mut(root)
    }

    /// The trees in which the agent had a task for the purpose.
    fn meant(&self) -> impl Iterator<Item = &Tree> {
        self.trees.values().filter(|tree| tree.is_meant)
    }

    /// Those of them that something is learned from.
    fn sound(&self) -> impl Iterator<Item = &Tree> {
        let is_sound = |tree: &&Tree| tree.knows != Knows::Here && tree.end != End::Stopped;
        self.meant().filter(is_sound)
    }

    fn seen(&self) -> Seen {
        let is_stopped = |tree: &&Tree| tree.end == End::Stopped;
        let is_tainted = |tree: &&Tree| tree.knows == Knows::Here && tree.end != End::Stopped;
        Seen {
            tasks: self.sound().count(),
            tainted: self.meant().filter(is_tainted).count(),
            stopped: self.meant().filter(is_stopped).count(),
        }
    }

    /// What is suggested.
    ///
    /// # Errors
    ///
    /// There is nothing to learn from.
    pub(crate) fn suggest(
        &self,
        agent: &Agent,
        purpose: &Purpose,
        now: Timestamp,
    ) -> Result<Suggestion, NothingSeen> {
        let mut used: BTreeMap<ActionName, Used> = BTreeMap::new();
        let mut spent = Charge::default();
        for tree in self.sound() {
            spent = most(spent, tree.spent);
            for (action, calls) in &tree.calls {
                // What is not of the purpose any more is not given back.
                if purpose.actions.contains(action) {
                    let used = used.entry(action.clone()).or_default();
                    used.calls = used.calls.saturating_add(*calls);
                    used.most = used.most.max(*calls);
                }
            }
        }
        let seen = self.seen();
        if used.is_empty() {
            return Err(NothingSeen(seen));
        }
        let unused = purpose.actions.iter();
        let unused = unused.filter(|action| !used.contains_key(*action));
        Ok(Suggestion {
            agent: agent.clone(),
            purpose: purpose.name.clone(),
            unused: unused.cloned().collect(),
            used,
            spent,
            seen,
            now,
        })
    }
}

fn most(one: Charge, other: Charge) -> Charge {
    Charge {
        calls: one.calls.max(other.calls),
        writes: one.writes.max(other.writes),
        deletes: one.deletes.max(other.deletes),
        irreversible: one.irreversible.max(other.irreversible),
    }
}

/// How many tasks were seen, and how many of them nothing is learned from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Learned from.
    pub(crate) tasks: usize,
    /// Left out, because they read what strangers wrote.
    pub(crate) tainted: usize,
    /// Left out, because somebody stopped them.
    pub(crate) stopped: usize,
}

/// No task was seen that something can be learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no task to learn from: {} had called nothing, {} had read what strangers wrote, {} were stopped", .0.tasks, .0.tainted, .0.stopped)]
pub(crate) struct NothingSeen(pub(crate) Seen);

/// How an action was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    calls: u64,
    /// In one task.
    most: u64,
}

/// What is suggested for an agent and a purpose.
#[derive(Debug)]
pub(crate) struct Suggestion {
    agent: Agent,
    purpose: PurposeName,
    used: BTreeMap<ActionName, Used>,
    unused: BTreeSet<ActionName>,
    spent: Charge,
    seen: Seen,
    now: Timestamp,
}

impl Suggestion {
    /// The name that files and rules are called by: that of the agent in its trust domain, as far as it can stand there, and of
    /// the purpose.
    fn name(&self) -> String {
        let path = self.agent.spiffe.as_str();
        let path = path.splitn(4, '/').last().unwrap_or(path);
        let own = path.strip_prefix("agent/").unwrap_or(path);
        let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
        let agent: String = own
            .chars()
            .map(|char| if plain(char) { char } else { '-' })
            .collect();
        format!("{agent}-{}", self.purpose)
    }

    /// The rule, as Cedar.
    pub(crate) fn policy(&self) -> String {
        let actions: Vec<String> = self
            .used
            .keys()
            .map(|action| quoted(&action.to_string()))
            .collect();
        let all = self.used.len().saturating_add(self.unused.len());
        format!(
            "// Suggested on {day} from {tasks} tasks. It only narrows what the purpose lets this agent do; delete it when the agent has to do more.\n\
             @id(\"suggested.{name}\")\n\
             @doc(\"It has used {used} of {all} actions of `{purpose}`, and keeps those.\")\n\
             forbid (principal, action, resource)\n\
             when {{ principal.agent.spiffe == {spiffe} && principal.purpose == {purpose_text} }}\n\
             unless {{ [{actions}].contains(context.sys.action) }};\n",
            day = self.now.to_string().get(..10).unwrap_or_default(),
            tasks = self.seen.tasks,
            name = self.name(),
            used = self.used.len(),
            purpose = self.purpose,
            spiffe = quoted(self.agent.spiffe.as_str()),
            purpose_text = quoted(self.purpose.as_str()),
            actions = actions.join(", "),
        )
    }

    /// Cases that fail without the rule: one for each action that is taken away.
    pub(crate) fn tests(&self) -> String {
        let mut text = format!(
            "[default]\nagent = {}\npurpose = {}\n",
            quoted(self.agent.spiffe.as_str()),
            quoted(self.purpose.as_str())
        );
        for action in &self.unused {
            let name = format!("{action} was never used");
            text.push_str(&format!(
                "\n[[case]]\nname = {}\naction = {}\nexpect = {{ decision = \"DENY\", rules = [\"suggested.{}\"] }}\n",
                quoted(&name),
                quoted(&action.to_string()),
                self.name()
            ));
        }
        text
    }

    /// The budget that the task which spent most would have needed.
    const fn budget(&self) -> Budget {
        Budget {
            calls: self.spent.calls,
            writes: self.spent.writes,
            deletes: self.spent.deletes,
            irreversible: self.spent.irreversible,
        }
    }

    /// `authorization_details` of a task that could do what was done.
    fn grant(&self) -> Value {
        let actions = self
            .used
            .keys()
            .map(|action| Value::from(action.to_string()));
        Value::Array(vec![Value::object([
            ("type", Value::from("writ_task")),
            ("purpose", Value::from(self.purpose.as_str())),
            ("actions", Value::Array(actions.collect())),
            ("budget", self.budget().to_value()),
        ])])
    }

    /// As JSON; `before` is how many older records were not looked at.
    pub(crate) fn to_value(&self, before: u64) -> Value {
        let number = |count: usize| Value::from_u64(u64::try_from(count).unwrap_or(u64::MAX));
        let used = self.used.iter().map(|(action, used)| {
            Value::object([
                ("action", Value::from(action.to_string())),
                ("calls", Value::from_u64(used.calls)),
                ("most_in_a_task", Value::from_u64(used.most)),
            ])
        });
        let unused = self
            .unused
            .iter()
            .map(|action| Value::from(action.to_string()));
        Value::object([
            ("name", Value::from(self.name())),
            ("agent", Value::from(self.agent.spiffe.as_str())),
            ("purpose", Value::from(self.purpose.as_str())),
            ("tasks", number(self.seen.tasks)),
            ("tasks_that_read_strangers", number(self.seen.tainted)),
            ("tasks_that_were_stopped", number(self.seen.stopped)),
            ("used", Value::Array(used.collect())),
            ("unused", Value::Array(unused.collect())),
            ("records_before", Value::from_u64(before)),
            ("grant", self.grant()),
            ("policy", Value::from(self.policy())),
            ("tests", Value::from(self.tests())),
        ])
    }
}

/// A text as Cedar, TOML and JSON all read it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
