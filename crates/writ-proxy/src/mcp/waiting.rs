//! A call that waits for a person or for a time, as a task of MCP (extension `io.modelcontextprotocol/tasks`, 2026-07-28).
//!
//! A client that says it knows tasks gets one in place of the refusal, and asks for it until it is done. The task is the call
//! and nothing more: its arguments are kept, for the task and the endpoint that made it. Once somebody has answered, the next
//! request for it makes the call anew, as if its client had repeated it: the caller is proven, and all is decided and recorded
//! as of any other. So a task gives no authority that the approval does not give, runs at most once, and never without its client.
//! A restart forgets it; the approval stands, and is found by the same call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use writ_types::{
    ActionName, AgentId, ApiId, ApprovalId, Pending, ReasonCode, TaskId, Tenant, Timestamp, Value,
};

use super::envelope::Envelope;
use super::{Caller, Errand, Exchange, Fault, Message, Revision, ToolCall};
use crate::gateway::{Gateway, random};
use crate::refusal::Refusal;

/// The extension's name.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Most calls of one task that wait.
const MOST_OF_A_TASK: usize = 16;
/// Most calls of one agent that wait.
const MOST_OF_AN_AGENT: usize = 128;
/// Most calls that wait.
const MOST: usize = 1024;
/// Longest arguments that are kept, in bytes of JSON.
const LONGEST: usize = 8 * 1024;
/// How often a client should ask, in milliseconds.
const POLL: u64 = 2_000;

/// Whose call it is.
type Holder = (Tenant, TaskId);

/// The calls that wait. What finds no room is refused like any other call.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<BTreeMap<String, Kept>>);

/// A call that waits.
#[derive(Clone)]
struct Kept {
    holder: Holder,
    agent: AgentId,
    /// The endpoint it was made at.
    api: Option<ApiId>,
    action: ActionName,
    arguments: Value,
    approval: ApprovalId,
    created: Timestamp,
    until: Timestamp,
    /// It is being made again.
    running: bool,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Waiting {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of this holder at this endpoint. Another's is as unknown as none.
    fn find(&self, id: &str, asker: (&Holder, Option<&ApiId>), now: Timestamp) -> Option<Kept> {
        let all = self.all();
        let own = |kept: &&Kept| (&kept.holder, kept.api.as_ref()) == asker && kept.until > now;
        all.get(id).filter(own).cloned()
    }

    /// Lets a call be made again, once.
    fn run(&self, id: &str) -> bool {
        let mut all = self.all();
        let waits = all.get_mut(id).filter(|kept| !kept.running);
        waits.is_some_and(|kept| {
            kept.running = true;
            true
        })
    }

    /// Keeps a call, if there is room.
    fn keep(&self, id: &str, kept: Kept, now: Timestamp) -> bool {
        let mut all = self.all();
        if !all.contains_key(id) {
            all.retain(|_, other| other.until > now || other.running);
            let of_task = all.values().filter(|other| other.holder == kept.holder);
            let of_agent = all.values().filter(|other| other.agent == kept.agent);
            let full = of_task.count() >= MOST_OF_A_TASK || of_agent.count() >= MOST_OF_AN_AGENT;
            if full || all.len() >= MOST {
                return false;
            }
        }
        all.insert(id.to_owned(), kept);
        true
    }

    fn forget(&self, id: &str) {
        drop(self.all().remove(id));
    }
}

/// A call that may come to wait, as it is made.
pub(super) struct Held {
    gateway: Arc<Gateway>,
    holder: Holder,
    agent: AgentId,
    api: Option<ApiId>,
    action: ActionName,
    arguments: Value,
    id: String,
    created: Timestamp,
    deadline: Timestamp,
    /// It waited before, and its client asks for it.
    again: bool,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for Held {
    /// What was made again is over, unless it waits anew: whoever asks for it once more must not make it twice.
    fn drop(&mut self) {
        let waiting = self.gateway.waiting();
        let mut all = waiting.all();
        if self.again && all.get(&self.id).is_some_and(|kept| kept.running) {
            all.remove(&self.id);
        }
    }
}

impl Held {
    /// Keeps the call until it was answered. None if there is no room.
    fn wait(&self, pending: &Pending, reason: ReasonCode) -> Option<Value> {
        let now = self.gateway.parts.clock.now();
        let kept = Kept {
            holder: self.holder.clone(),
            agent: self.agent,
            api: self.api.clone(),
            action: self.action.clone(),
            arguments: self.arguments.clone(),
            approval: pending.id,
            created: self.created,
            until: self.deadline,
            running: false,
        };
        let kept_now = self.gateway.waiting().keep(&self.id, kept, now);
        kept_now.then(|| self.described("working", Some(said_of(reason)), now))
    }

    /// The task as it is now.
    fn described(&self, status: &str, message: Option<&str>, now: Timestamp) -> Value {
        described(
            &self.id,
            status,
            message,
            (self.created, self.deadline, now),
        )
    }
}

fn said_of(reason: ReasonCode) -> &'static str {
    if reason == ReasonCode::Deferred {
        "waits until its time has come"
    } else {
        "waits for a person to approve the call"
    }
}

fn described(
    id: &str,
    status: &str,
    message: Option<&str>,
    (created, until, now): (Timestamp, Timestamp, Timestamp),
) -> Value {
    let lives = u64::try_from(until.since(created).as_millis()).unwrap_or(u64::MAX);
    let mut members = vec![
        ("taskId", Value::from(id)),
        ("status", Value::from(status)),
        ("createdAt", Value::from(created.to_string())),
        ("lastUpdatedAt", Value::from(now.to_string())),
        ("ttlMs", Value::from_u64(lives)),
        ("pollIntervalMs", Value::from_u64(POLL)),
    ];
    members.extend(message.map(|text| ("statusMessage", Value::from(text))));
    Value::object(members)
}

fn joined(one: Value, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut all = match one {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            BTreeMap::new()
        }
    };
    all.extend(
        more.into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    Value::Object(all)
}

impl Exchange {
    /// The call may come to wait: of a client that knows tasks its arguments are held, as far as they are not too long.
    pub(super) fn hold(
        &mut self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
        call: &ToolCall<'_>,
    ) {
        let knows = self.revision == Revision::Stateless && envelope.extends(EXTENSION);
        // Answers to a server's questions are for now and not for later.
        let asked = envelope.member("inputResponses").is_some() || call.answers.is_some();
        if !knows || asked || call.arguments.to_string().len() > LONGEST {
            return;
        }
        let grant = caller.entered.grant();
        let bytes = [random(), random()].concat();
        self.held = Some(Held {
            gateway: Arc::clone(caller.gateway),
            holder: (grant.tenant.clone(), grant.task),
            agent: grant.agent,
            api: self.api.clone(),
            action: call.operation.action().clone(),
            arguments: call.arguments.clone(),
            id: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            created: caller.now,
            deadline: grant.deadline,
            again: false,
        });
    }

    /// What an earlier call has come to: it waits, or it is made now.
    ///
    /// # Errors
    ///
    /// [`Fault::Tasks`], [`Fault::UnknownTask`]; `approval_required` if nobody answered in time, or the approval was used by another call.
    pub(super) async fn get_task<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        envelope: &Envelope,
    ) -> Result<Message<'s>, Refusal> {
        let (id, kept) = self.task_of(caller, envelope)?;
        let (parts, grant) = (&caller.gateway.parts, caller.entered.grant());
        let found = parts
            .approvals
            .status(grant, kept.approval, caller.now)
            .await;
        let found = found.map_err(|fault| fault.reason())?;
        let word = found.map_or("expired", |found| found.word(caller.now));
        let waits = kept.running || word == "pending";
        if waits || !caller.gateway.waiting().run(&id) {
            let times = (kept.created, kept.until, caller.now);
            let message = waits.then_some("waits for its answer");
            let task = described(&id, "working", message, times);
            return Ok(Message::Answered(self.result(task)));
        }
        self.calls = true;
        self.held = Some(Held {
            gateway: Arc::clone(caller.gateway),
            holder: kept.holder,
            agent: kept.agent,
            api: kept.api,
            action: kept.action.clone(),
            arguments: kept.arguments.clone(),
            id,
            created: kept.created,
            deadline: kept.until,
            again: true,
        });
        // Nobody is asked anew because a client asks how things stand.
        if !matches!(word, "approved" | "denied") {
            return Err(ReasonCode::ApprovalRequired.into());
        }
        let api = caller.snapshot.apis.get(&kept.action.api);
        let operation = api.and_then(|api| api.contract.operation(&kept.action.operation));
        let (Some(api), Some(operation)) = (api, operation) else {
            return Err(ReasonCode::UnknownOperation.into());
        };
        self.run(caller);
        Ok(Message::Call(ToolCall {
            api,
            operation,
            arguments: kept.arguments,
            answers: None,
            errand: Errand::Call,
        }))
    }

    /// Ends the waiting for a call. What runs already runs to its end; the approval stays what it is.
    ///
    /// # Errors
    ///
    /// [`Fault::Tasks`], [`Fault::UnknownTask`].
    pub(super) fn cancel_task(
        &self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
    ) -> Result<Value, Fault> {
        let (id, kept) = self.task_of(caller, envelope)?;
        if !kept.running {
            caller.gateway.waiting().forget(&id);
        }
        Ok(Value::object::<&str>([]))
    }

    /// Takes nothing: no task of ours asks its client anything.
    ///
    /// # Errors
    ///
    /// [`Fault::Tasks`], [`Fault::UnknownTask`].
    pub(super) fn update_task(
        &self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
    ) -> Result<Value, Fault> {
        self.task_of(caller, envelope)?;
        Ok(Value::object::<&str>([]))
    }

    fn task_of(
        &self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
    ) -> Result<(String, Kept), Fault> {
        if !envelope.extends(EXTENSION) {
            return Err(Fault::Tasks);
        }
        let id = envelope.text("taskId")?;
        let grant = caller.entered.grant();
        let holder = (grant.tenant.clone(), grant.task);
        let asker = (&holder, self.api.as_ref());
        let kept = caller.gateway.waiting().find(id, asker, caller.now);
        Ok((id.to_owned(), kept.ok_or(Fault::UnknownTask)?))
    }

    /// The task that stands in place of a refusal for now.
    pub(super) fn task(&self, refusal: &Refusal, problem: &Value) -> Option<Value> {
        let (held, pending) = (self.held.as_ref()?, refusal.pending.as_ref()?);
        let task = held.wait(pending, refusal.reason)?;
        let kind = if held.again { "complete" } else { "task" };
        let meta = Value::object([
            ("io.modelcontextprotocol/serverInfo", super::tools::server()),
            ("writ/denial", problem.clone()),
        ]);
        Some(joined(
            task,
            [("resultType", Value::from(kind)), ("_meta", meta)],
        ))
    }

    /// A result, as what the task that was asked for came to.
    pub(super) fn of_task(&self, result: Value) -> Value {
        let Some(held) = self.held.as_ref().filter(|held| held.again) else {
            return result;
        };
        let task = held.described("completed", None, held.gateway.parts.clock.now());
        joined(
            task,
            [("resultType", Value::from("complete")), ("result", result)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(agent: u8, task: u64) -> Kept {
        let now = Timestamp::from_secs(1);
        Kept {
            holder: (
                Tenant::default_tenant(),
                TaskId::new(Timestamp::from_millis(task), [agent; 10]),
            ),
            agent: AgentId::new(now, [agent; 10]),
            api: None,
            action: "mail:send".parse().unwrap(),
            arguments: Value::Null,
            approval: ApprovalId::new(now, [1; 10]),
            created: now,
            until: Timestamp::from_secs(100),
            running: false,
        }
    }

    #[test]
    fn one_agent_cannot_take_the_room_of_all() {
        let (waiting, now) = (Waiting::default(), Timestamp::from_secs(2));
        let mut number = 0;
        let mut keep = |agent, task| {
            number += 1;
            waiting.keep(&format!("{number}"), kept(agent, task), now)
        };
        for task in 0..8 {
            for _ in 0..MOST_OF_A_TASK {
                assert!(keep(1, task), "{task}");
            }
            assert!(!keep(1, task), "a task has a share of its own: {task}");
        }
        assert!(!keep(1, 100), "in whatever task");
        assert!(keep(2, 100), "another agent has room");
        assert!(waiting.keep("1", kept(1, 0), now), "what is kept stays");
        let later = Timestamp::from_secs(200);
        let next = Kept {
            until: Timestamp::from_secs(300),
            ..kept(1, 100)
        };
        assert!(
            waiting.keep("later", next, later),
            "what is over makes room"
        );
    }
}
