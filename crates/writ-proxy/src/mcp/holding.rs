//! Questions of a server of 2025-11-25 to a client of 2026-07-28: the one asks while it works, the other is asked in the answer to its request.
//!
//! The call stays under way at its server while the client, which has its questions in place of a result, goes to ask; with its answers it comes back by the
//! same call and the state it was given. That names the call that waits, sealed for tenant, task, action and arguments as any state is (`asking`). What it comes back with
//! is a call like any other, decided and recorded with the answers in its commitment; they go to the server in the session in which it asked, and what comes next of the call that
//! waited, a question or its result, is the answer to the request that brought them.
//!
//! The same way a client of 2025-11-25 that rather takes streams comes back to the stream of its call when that breaks off (SEP-1699): it begins with an id, which its session alone
//! may name. What was not handed to its connection yet is not lost then; what was, is not kept.
//!
//! A call that waits so is in flight, and so bounded with its task's; a kill cuts it; nobody waits for answers longer than for those of any
//! client. A restart ends it, and who comes back then is told that its state is none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use tokio::sync::{Notify, oneshot};
use writ_task::{Canceller, CutSignal};
use writ_types::{AgentId, ApiId, CallId, Grant, Limits, ReasonCode, TaskId, Tenant, Value};

use super::asking::{Answers, Asking};
use super::beside::{Answering, MOST as ALL, MOST_OF_AN_AGENT, Passed, SHARE_OF_A_TASK};
use super::events::Line;
use super::running::{Name, Runs};
use super::upstream::SessionMark;
use super::{Caller, Exchange, Fault, Message, ToolCall, accepted, answer, tools};
use crate::body::Body;
use crate::gateway::{Gateway, random};
use crate::refusal::Refusal;

/// How long a call waits for a client whose stream broke off, when it is over.
const RETURNS: Duration = Duration::from_secs(60);
/// What the one question of a round is called.
const QUESTION: &str = "question";

/// The calls whose clients were asked and have not come back yet.
#[derive(Default)]
pub(crate) struct HeldCalls(Mutex<BTreeMap<String, Open>>);

/// A question that is open.
struct Open {
    holder: Holder,
    agent: AgentId,
    cut: CutSignal,
    canceller: Canceller,
    what: What,
    turn: Arc<Turn>,
}

/// What is waited for.
enum What {
    /// The answer to a question of the server: what it calls that by, and where it asked.
    Answer {
        id: Value,
        within: SessionMark,
        passed: Passed,
    },
    /// That a client whose stream broke off comes back, in its session.
    Return { session: String },
}

/// Whose call it is, and at which endpoint.
type Holder = (Tenant, TaskId, Option<ApiId>);

/// Who hears what becomes of the call next.
pub(crate) struct Turn {
    gateway: Arc<Gateway>,
    /// What names the question that was put last in the state of its client.
    name: Mutex<String>,
    next: Mutex<Next>,
    taken: Notify,
    /// How long what became of the call waits for whoever may come for it.
    patience: Duration,
}

enum Next {
    /// The request that made it.
    First,
    /// Nobody: its client has a question.
    Nobody,
    /// The request that brought the last answer.
    Waits(oneshot::Sender<Came>),
    /// Nobody, and all is over.
    Done(Box<Response<Body>>),
}

/// What became of the call next.
enum Came {
    Asks(Value),
    Answer(Box<Response<Body>>),
}

/// What a request that brought an answer waits for.
pub(crate) struct Coming(oneshot::Receiver<Came>);

impl Coming {
    /// What came already.
    fn of(answer: Box<Response<Body>>) -> Self {
        let (back, coming) = oneshot::channel();
        drop(back.send(Came::Answer(answer)));
        Self(coming)
    }
}

impl fmt::Debug for HeldCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldCalls")
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

impl fmt::Debug for Coming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coming")
    }
}

impl HeldCalls {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a question, if there is room.
    fn open(&self, name: &str, open: Open, limits: &Limits) -> bool {
        let mut all = self.all();
        let own =
            |other: &&Open| (&other.holder.0, other.holder.1) == (&open.holder.0, open.holder.1);
        let of_task = all.values().filter(own).count();
        let of_agent = all
            .values()
            .filter(|other| other.agent == open.agent)
            .count();
        let share = limits.task_in_flight.div_ceil(SHARE_OF_A_TASK);
        if of_task >= share || of_agent >= MOST_OF_AN_AGENT || all.len() >= ALL {
            return false;
        }
        all.insert(name.to_owned(), open);
        true
    }

    /// Takes what is waited for out, for whom it is of; `session`: the client of which comes back, and otherwise with an answer. Another's is as unknown as none, and so is
    /// that of a call that was cut.
    fn take(&self, name: &str, holder: &Holder, session: Option<&str>) -> Option<Open> {
        let mut all = self.all();
        let own = |open: &&Open| {
            let comes = match &open.what {
                What::Answer { .. } => session.is_none(),
                What::Return { session: own } => session == Some(own),
            };
            comes && open.holder == *holder && !open.cut.is_cut()
        };
        all.get(name).filter(own)?;
        all.remove(name)
    }

    /// Whether the call of an entry was cut, so that nobody takes it out any more.
    fn is_cut(&self, name: &str) -> bool {
        let all = self.all();
        all.get(name).is_some_and(|open| open.cut.is_cut())
    }

    fn close(&self, name: &str) {
        drop(self.all().remove(name));
    }
}

impl Turn {
    fn of(gateway: &Arc<Gateway>, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            gateway: Arc::clone(gateway),
            name: Mutex::default(),
            next: Mutex::new(Next::First),
            taken: Notify::new(),
            patience,
        })
    }

    fn name(&self) -> MutexGuard<'_, String> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for the next question: who answered one has no state for another.
    fn rename(&self) -> String {
        let bytes = [random(), random()].concat();
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.name().clone_from(&name);
        name
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what became of the call to whoever waits for it; back where that is the request that made it.
    pub(crate) async fn settle(&self, answer: Response<Body>) -> Response<Body> {
        let cut = match answer.body() {
            Body::Whole(whole) => Some(whole.cut()),
            Body::Full(_) | Body::Forwarded(_) | Body::Events(_) => None,
        };
        {
            let mut next = self.next();
            match std::mem::replace(&mut *next, Next::Nobody) {
                Next::First => {
                    drop(next);
                    self.close();
                    return answer;
                }
                Next::Waits(back) => {
                    // Who waited may have gone.
                    drop(back.send(Came::Answer(Box::new(answer))));
                    return accepted();
                }
                Next::Nobody | Next::Done(_) => *next = Next::Done(Box::new(answer)),
            }
        }
        // What was cut nobody may come back to: its place is another's at once.
        let name = self.name().clone();
        if self.gateway.held_calls().is_cut(&name) {
            self.close();
            *self.next() = Next::Nobody;
            return accepted();
        }
        let cut = async {
            match cut {
                Some(cut) => cut.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cut => {}
            () = self.taken.notified() => {}
            () = tokio::time::sleep(self.patience) => {}
        }
        self.close();
        *self.next() = Next::Nobody;
        accepted()
    }

    /// Nobody comes back to it any more.
    fn close(&self) {
        let name = self.name().clone();
        self.gateway.held_calls().close(&name);
    }

    /// The client of the request that made it has gone.
    pub(super) fn leave(&self) {
        let mut next = self.next();
        if matches!(*next, Next::First) {
            *next = Next::Nobody;
        }
    }

    /// Lets another request wait; or gives what became of the call meanwhile.
    fn wait(&self) -> Result<Coming, Box<Response<Body>>> {
        let (back, coming) = oneshot::channel();
        let mut next = self.next();
        match std::mem::replace(&mut *next, Next::Waits(back)) {
            Next::Done(answer) => {
                *next = Next::Nobody;
                self.taken.notify_one();
                Err(answer)
            }
            Next::First | Next::Nobody | Next::Waits(_) => Ok(Coming(coming)),
        }
    }
}

/// What puts the questions of one call to its client.
pub(super) struct Putting<'e> {
    turn: &'e Arc<Turn>,
    line: &'e Line,
    exchange: &'e Exchange,
    holder: Holder,
    agent: AgentId,
    within: SessionMark,
}

impl Putting<'_> {
    /// Puts a question, to whoever waits for the call.
    ///
    /// # Errors
    ///
    /// `too_many_in_flight` where too many wait; `input_unanswered` where nobody is there to be asked.
    pub(super) fn put(
        &self,
        (id, question): (Value, Value),
        (asking, passed): (&Asking, Passed),
        (cut, canceller, call): (CutSignal, Canceller, CallId),
    ) -> Result<(), ReasonCode> {
        let turn = self.turn;
        let requests = Value::object([(QUESTION, question)]);
        let name = turn.rename();
        let state = Value::from(name.as_str());
        let asked = Value::object([("inputRequests", requests), ("requestState", state)]);
        let result = self.exchange.sealed(asking, &asked, call);
        let open = Open {
            holder: self.holder.clone(),
            agent: self.agent,
            cut: cut.clone(),
            canceller,
            what: What::Answer {
                id,
                within: self.within,
                passed,
            },
            turn: Arc::clone(turn),
        };
        let gateway = &turn.gateway;
        if !gateway
            .held_calls()
            .open(&name, open, &gateway.parts.limits)
        {
            return Err(ReasonCode::TooManyInFlight);
        }
        let mut next = turn.next();
        let told = match std::mem::replace(&mut *next, Next::Nobody) {
            Next::First => self
                .line
                .answer(&self.exchange.message("result", result), cut),
            Next::Waits(back) => back.send(Came::Asks(result)).is_ok(),
            Next::Nobody | Next::Done(_) => false,
        };
        drop(next);
        if told {
            return Ok(());
        }
        gateway.held_calls().close(&name);
        Err(ReasonCode::InputUnanswered)
    }
}

impl Exchange {
    /// What the call is made with, or that its client comes back to one that waits (client of 2026-07-28, server of 2025-11-25).
    ///
    /// # Errors
    ///
    /// [`Fault::State`] for a state that names no call that waits for this client; [`Fault::Parameters`] where its question is not answered.
    pub(super) fn hold_open<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        mut call: ToolCall<'s>,
        (asking, answers): (Asking, Option<Answers>),
    ) -> Result<Message<'s>, Refusal> {
        let Some(answers) = answers else {
            self.asking = Some(asking);
            let patience = caller.gateway.parts.timeouts.client_answer;
            self.turn = Some(Turn::of(caller.gateway, patience));
            self.run(caller);
            return Ok(Message::Call(call));
        };
        let answers = answers.as_value();
        let name = answers.member("requestState").and_then(Value::as_str);
        let given = answers.member("inputResponses");
        let answer = given.and_then(|given| given.member(QUESTION)).cloned();
        let (name, answer) = (name.ok_or(Fault::State)?, answer.ok_or(Fault::Parameters)?);
        let holder = holder(caller.entered.grant(), self.api.as_ref());
        let held = caller.gateway.held_calls().take(name, &holder, None);
        let open = held.ok_or(Fault::State)?;
        let What::Answer { id, within, passed } = open.what else {
            return Err(Fault::State.into());
        };
        match open.turn.wait() {
            Ok(coming) => self.coming = Some(coming),
            Err(answer) => return Ok(Message::Answered(self.readdressed(*answer))),
        }
        // Who goes now takes back the call that is waited for.
        let own = Name::Connection(caller.entered.call());
        self.runs = Some(Runs::begin(caller.gateway, own, open.canceller));
        self.answering = Some(Answering::new(id, within, passed));
        call.answers = Some(Answers::one(answer));
        Ok(Message::Call(call))
    }

    /// Lets a client of 2025-11-25 come back to the stream of its call if that breaks off: it begins with an id for that. Where too many wait, there is none.
    pub(super) fn prime(&mut self, caller: &Caller<'_, '_>) {
        let (Some(line), Some(session)) = (&self.line, &self.session) else {
            return;
        };
        let (gateway, grant) = (caller.gateway, caller.entered.grant());
        let turn = Turn::of(gateway, RETURNS);
        let name = turn.rename();
        let open = Open {
            holder: holder(grant, self.api.as_ref()),
            agent: grant.agent,
            cut: caller.entered.cut(),
            canceller: caller.entered.canceller(),
            what: What::Return {
                session: session.clone(),
            },
            turn: Arc::clone(&turn),
        };
        let limits = &gateway.parts.limits;
        if !gateway.held_calls().open(&name, open, limits) {
            return;
        }
        line.begin(&name, caller.entered.cut(), Arc::clone(&turn));
        self.turn = Some(turn);
    }

    /// What comes of the call whose stream broke off, for its client: in its session, of its task, at its endpoint, once.
    ///
    /// # Errors
    ///
    /// [`Fault::Unasked`] where no call waits so.
    pub(super) fn come_back(&mut self, caller: &Caller<'_, '_>, name: &str) -> Result<(), Fault> {
        let holder = holder(caller.entered.grant(), self.api.as_ref());
        let session = self.session.as_deref();
        let held = caller.gateway.held_calls().take(name, &holder, session);
        let open = held.ok_or(Fault::Unasked)?;
        let cut = open.cut;
        // The stream that it broke off from may not have noticed yet.
        open.turn.leave();
        self.coming = Some(match open.turn.wait() {
            Ok(coming) => coming,
            Err(answer) => Coming::of(answer),
        });
        if let Some(line) = &self.line {
            line.breathe(cut);
        }
        Ok(())
    }

    /// What puts questions of the server to the client in its answers.
    pub(super) fn putting<'e>(&'e self, grant: &Grant, within: SessionMark) -> Option<Putting<'e>> {
        Some(Putting {
            turn: self.turn.as_ref()?,
            line: self.line.as_ref()?,
            exchange: self,
            holder: holder(grant, self.api.as_ref()),
            agent: grant.agent,
            within,
        })
    }

    /// Who hears what becomes of the call, where its client may be asked meanwhile.
    pub(crate) fn turn(&self) -> Option<Arc<Turn>> {
        self.turn.clone()
    }

    /// The answer of the request: what comes of the call that its own brought an answer for, or the response to that.
    pub(crate) async fn answered_by(
        mut self,
        response: Response<Body>,
        call: CallId,
    ) -> Response<Body> {
        self.passed();
        let Some(Coming(coming)) = self.coming.take() else {
            return response;
        };
        match coming.await {
            Ok(Came::Asks(result)) => answer::said(StatusCode::OK, &self.message("result", result)),
            Ok(Came::Answer(answer)) if self.id.is_none() => *answer,
            Ok(Came::Answer(answer)) => self.readdressed(*answer),
            // The call ended in a panic.
            Err(_gone) => self.refusal(ReasonCode::NotReady.into(), call, None),
        }
    }

    /// A question as a result.
    fn sealed(&self, asking: &Asking, asked: &Value, call: CallId) -> Value {
        let sealed = asking.sealed(asked);
        let members = sealed.as_ref().and_then(Value::as_object);
        let mut result = members.cloned().unwrap_or_default();
        let meta = Value::object([
            ("io.modelcontextprotocol/serverInfo", tools::server()),
            ("writ/call", Value::from(call.to_string())),
        ]);
        result.insert("resultType".to_owned(), Value::from("input_required"));
        result.insert("_meta".to_owned(), meta);
        Value::Object(result)
    }

    /// A response to another request of the same client, as the answer to this.
    fn readdressed(&self, response: Response<Body>) -> Response<Body> {
        let id = self.id.clone().unwrap_or(Value::Null);
        let again = |words: &Bytes| {
            let message = Value::parse(words, &writ_types::JsonLimits::DOCUMENT).ok();
            let Some(Value::Object(mut message)) = message else {
                return words.clone();
            };
            if !message.contains_key("jsonrpc") {
                return words.clone();
            }
            message.insert("id".to_owned(), id.clone());
            Bytes::from(Value::Object(message).to_string())
        };
        let (head, body) = response.into_parts();
        let body = match body {
            Body::Whole(whole) => Body::Whole(Box::new(whole.readdressed(again))),
            Body::Full(words) => Body::Full(again(&words)),
            streamed @ (Body::Forwarded(_) | Body::Events(_)) => streamed,
        };
        Response::from_parts(head, body)
    }
}

fn holder(grant: &Grant, api: Option<&ApiId>) -> Holder {
    (grant.tenant.clone(), grant.task, api.cloned())
}
