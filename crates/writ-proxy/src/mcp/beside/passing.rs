//! Questions of a server of 2025-11-25, asked on the stream of a call: each goes to the client as it comes, and its answer to the server.
//!
//! The answer is a call of the same operation with the same arguments, and what the client says in its commitment. It is sent in the very session
//! in which the server asked, or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use writ_task::Detector;
use writ_types::{AgentId, JsonLimits, ReasonCode, Value};

use super::{Again, Asked, BREATH, Round, Then, message, new_id};
use crate::completion::{Completion, End};
use crate::gateway::Gateway;
use crate::leak::LeakGuard;
use crate::mcp::asking::{Answers, MOST_QUESTIONS, Way};
use crate::mcp::envelope::is_id;
use crate::mcp::events::Line;
use crate::mcp::holding::Putting;
use crate::mcp::upstream::SessionMark;
use crate::mcp::{Asking, Caller, Errand, Exchange, Message, ToolCall};
use crate::refusal::Refusal;

/// Longest question, in bytes.
const LONGEST: usize = 64 * 1024;

/// A question of a server that waits for its answer.
pub(super) struct Passing {
    /// What the server calls it by.
    id: Value,
    within: SessionMark,
    again: Again,
    passed: Passed,
}

/// An answer on its way to the server. Dropped before [`Passed::over`], it did not get there.
#[derive(Debug)]
pub(in crate::mcp) struct Passed {
    to: mpsc::Sender<bool>,
    told: bool,
}

impl Passed {
    const fn new(to: mpsc::Sender<bool>) -> Self {
        Self { to, told: false }
    }

    /// The server has taken it.
    fn over(mut self) {
        self.told = true;
        self.to.try_send(true).unwrap_or_default();
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        if !self.told {
            self.to.try_send(false).unwrap_or_default();
        }
    }
}

/// An answer as it is sent.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) id: Value,
    pub(crate) within: SessionMark,
    passed: Passed,
}

impl Answering {
    pub(in crate::mcp) const fn new(id: Value, within: SessionMark, passed: Passed) -> Self {
        Self { id, within, passed }
    }
}

impl Exchange {
    /// The call that sends an answer on.
    ///
    /// # Errors
    ///
    /// `unknown_operation` where there is none any more.
    pub(super) fn pass<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        passing: Passing,
        answer: Value,
    ) -> Result<Message<'s>, Refusal> {
        let (api, operation) = passing.again.find(caller.snapshot)?;
        let answering = Answering::new(passing.id, passing.within, passing.passed);
        self.answering = Some(answering);
        Ok(Message::Call(ToolCall {
            api,
            operation,
            arguments: passing.again.arguments,
            answers: Some(Answers::one(answer)),
            errand: Errand::Call,
        }))
    }

    /// The server has taken the answer that was sent on, if that is what the call did.
    pub(crate) fn passed(&mut self) {
        if let Some(answering) = self.answering.take() {
            answering.passed.over();
        }
    }

    /// What passes questions of the server on to the client; none where it may ask nothing on the way.
    pub(crate) fn passer<'e>(
        &'e self,
        gateway: &'e Arc<Gateway>,
        completion: &Completion,
        guard: &LeakGuard,
        within: Option<SessionMark>,
    ) -> Option<Box<Passer<'e>>> {
        let asking = self.asking.as_ref();
        let asking = asking.filter(|asking| asking.way().is_beside())?;
        let (grant, within) = (completion.entered().grant(), within?);
        let to = match asking.way() {
            Way::Held => To::Answers(self.putting(grant, within)?, VecDeque::new()),
            Way::Answer | Way::Beside | Way::Stream => To::Line(Asker {
                line: self.line.as_ref()?,
                again: self.again.as_ref()?,
                asked: Asked::of(grant, self.api.as_ref(), self.session.clone()?),
            }),
        };
        let (sender, passed) = mpsc::channel(MOST_QUESTIONS);
        let mut breath = tokio::time::interval_at(Instant::now(), BREATH);
        breath.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Box::new(Passer {
            gateway,
            asking,
            to,
            agent: grant.agent,
            within,
            guard: guard.fresh(),
            sender,
            passed,
            ids: Vec::new(),
            asked: 0,
            open: 0,
            by: Instant::now(),
            breath,
        }))
    }
}

/// How the client is asked.
enum To<'e> {
    /// On the stream of its call.
    Line(Asker<'e>),
    /// In the answers to its requests, one question at a time; the others wait.
    Answers(Putting<'e>, VecDeque<(Value, Value)>),
}

/// A client that is asked on the stream of its call.
struct Asker<'e> {
    line: &'e Line,
    again: &'e Again,
    asked: Asked,
}

/// Passes the questions of one call on.
pub(crate) struct Passer<'e> {
    gateway: &'e Arc<Gateway>,
    asking: &'e Asking,
    to: To<'e>,
    agent: AgentId,
    within: SessionMark,
    guard: LeakGuard,
    sender: mpsc::Sender<bool>,
    passed: mpsc::Receiver<bool>,
    /// All that were asked on the stream, and how many there were in all.
    ids: Vec<String>,
    asked: usize,
    /// How many are not answered yet.
    open: usize,
    /// When the last of them must be.
    by: Instant,
    breath: Interval,
}

impl Drop for Passer<'_> {
    /// What is not answered by now nobody waits for.
    fn drop(&mut self) {
        for id in &self.ids {
            drop(self.gateway.questions().close(id));
        }
    }
}

impl Passer<'_> {
    /// Whether an answer is waited for.
    pub(crate) const fn waits(&self) -> bool {
        self.open > 0
    }

    /// Takes a message of the server, and asks the client if it is a question.
    ///
    /// # Errors
    ///
    /// It may not be asked, holds the credential, is one too many, or the call was cut.
    pub(crate) async fn hear(
        &mut self,
        said: &[u8],
        completion: &mut Completion,
    ) -> Result<(), (End, ReasonCode)> {
        let Ok(request) = Value::parse(said, &JsonLimits::DOCUMENT) else {
            return Ok(());
        };
        let (Some(_), Some(id)) = (request.member("method"), request.member("id")) else {
            return Ok(());
        };
        let refused = (End::Withheld, ReasonCode::UpstreamInvalid);
        let question = self.asking.question(&request).ok_or(refused)?;
        if said.len() > LONGEST || self.asked >= MOST_QUESTIONS || !is_id(id) {
            return Err(refused);
        }
        let held = Bytes::copy_from_slice(said);
        if self.guard.fresh().pass(held).is_err() || self.guard.stands_in(said) {
            return Err(refused);
        }
        let labels = Detector::labels_of(request.to_string().as_bytes());
        if !completion.has_marked(&labels) {
            let marked = completion.mark(&labels).await;
            marked.map_err(|ended| (End::Cut, ended.reason()))?;
        }
        self.asked = self.asked.saturating_add(1);
        self.open = self.open.saturating_add(1);
        let patience = self.gateway.parts.timeouts.client_answer;
        self.by = Instant::now().checked_add(patience).unwrap_or(self.by);
        let asked = match &mut self.to {
            To::Line(_) => self.ask(id, &question, completion),
            To::Answers(_, waiting) => {
                waiting.push_back((id.clone(), question));
                // Another is out, and is answered first.
                if self.open > 1 {
                    return Ok(());
                }
                self.put(completion)
            }
        };
        asked.map_err(|reason| (End::Withheld, reason))
    }

    /// Asks on the stream of the call.
    fn ask(
        &mut self,
        id: &Value,
        question: &Value,
        completion: &Completion,
    ) -> Result<(), ReasonCode> {
        let To::Line(asker) = &self.to else {
            return Ok(());
        };
        let cut = completion.entered().cut();
        let (round, name) = (new_id(), "0".to_owned());
        let kept = Round {
            asked: asker.asked.clone(),
            agent: self.agent,
            cut: cut.clone(),
            open: BTreeMap::from([(0, name)]),
            answers: BTreeMap::new(),
            bytes: 0,
            then: Then::Pass(Box::new(Passing {
                id: id.clone(),
                within: self.within,
                again: asker.again.clone(),
                passed: Passed::new(self.sender.clone()),
            })),
        };
        let limits = &self.gateway.parts.limits;
        let opened = self.gateway.questions().open(&round, kept, limits);
        opened.map_err(|_full| ReasonCode::TooManyInFlight)?;
        let asked = message(&round, 0, question);
        self.ids.push(round);
        let told = asker.line.tell(&asked, cut);
        told.then_some(()).ok_or(ReasonCode::InputUnanswered)
    }

    /// Asks the next question in the answer to whichever request waits.
    fn put(&mut self, completion: &Completion) -> Result<(), ReasonCode> {
        let To::Answers(putting, waiting) = &mut self.to else {
            return Ok(());
        };
        let Some(question) = waiting.pop_front() else {
            return Ok(());
        };
        let entered = completion.entered();
        let passed = Passed::new(self.sender.clone());
        let call = (entered.cut(), entered.canceller(), completion.call());
        putting.put(question, (self.asking, passed), call)
    }

    /// Waits until the server has the next answer; for ever where none is waited for.
    ///
    /// # Errors
    ///
    /// `input_unanswered`: there is none, or it was not let through.
    pub(crate) async fn next(&mut self, completion: &Completion) -> Result<(), ReasonCode> {
        if self.open == 0 {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::select! {
                biased;
                passed = self.passed.recv() => {
                    self.open = self.open.saturating_sub(1);
                    passed.filter(|passed| *passed).ok_or(ReasonCode::InputUnanswered)?;
                    return self.put(completion);
                }
                () = tokio::time::sleep_until(self.by) => return Err(ReasonCode::InputUnanswered),
                () = gone(&self.to) => return Err(ReasonCode::InputUnanswered),
                _ = self.breath.tick() => if let To::Line(asker) = &self.to {
                    asker.line.breathe(completion.entered().cut());
                },
            }
        }
    }
}

/// Waits until a client that is asked on the stream of its call is gone; for ever of one that comes back.
async fn gone(to: &To<'_>) {
    match to {
        To::Line(asker) => asker.line.gone().await,
        To::Answers(..) => std::future::pending().await,
    }
}
