//! Questions of a server to a client of revision 2025-11-25: put on the stream of its call, and answered by a POST in its session.
//!
//! What may be asked is what `asking` lets through: declared by the API's owner, and by the client when it opened its session. Questions go out
//! under ids of ours that nobody can guess. Only the session that was asked may answer, of the task and at the endpoint of the call, and each question once.
//!
//! A server of 2026-07-28 asks in its answer: then the last answer makes the call anew, with the answers and the state that belongs to them, as a client
//! of 2026-07-28 would. A server of 2025-11-25 asks while it is at work (`passing`): then each answer is sent on to it. Both are calls
//! of their own: their sender is proven, and all is decided and recorded as of any other call.
//!
//! A question that is not answered in time, or that the client declines, ends its call. While it waits the call is in flight: it counts among those
//! of its task, a kill cuts it, and its client can take it back.

mod passing;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use writ_contract::Operation;
use writ_task::CutSignal;
use writ_types::{
    ActionName, AgentId, ApiId, CallId, Grant, JsonLimits, Limits, ReasonCode, TaskId, Tenant,
    Value,
};

use super::asking::Way;
use super::envelope::Reply;
use super::{
    Asking, Caller, Errand, Exchange, Fault, Message, Revision, ToolCall, answer, session,
};
use crate::body::{Body, Whole};
use crate::gateway::{Gateway, random};
use crate::refusal::Refusal;
use crate::snapshot::{ApiSnapshot, Snapshot};

pub(super) use passing::Passed;
use passing::Passing;
pub(crate) use passing::{Answering, Passer};

/// Most times that one call asks.
const MOST_ROUNDS: u8 = 8;
/// Most calls of one agent that wait for answers.
pub(super) const MOST_OF_AN_AGENT: usize = 64;
/// One in so many of the calls that a task may make at once may wait so: the answers are calls, too, and those of tasks below need
/// room with them.
pub(super) const SHARE_OF_A_TASK: usize = 4;
/// Most calls that wait for answers.
pub(super) const MOST: usize = 1024;
/// Most bytes of the answers of one call, as JSON.
const MOST_BYTES: usize = 1024 * 1024;
/// How often a stream on which nothing happens shows that it is there.
const BREATH: Duration = Duration::from_secs(15);

/// The calls that wait for answers of their clients.
#[derive(Default)]
pub(crate) struct Questions(Mutex<BTreeMap<String, Round>>);

/// What a call is made again with.
#[derive(Debug, Clone)]
pub(super) struct Again {
    action: ActionName,
    arguments: Value,
    /// How often it has asked.
    rounds: u8,
}

impl Again {
    pub(super) fn of(call: &ToolCall<'_>) -> Self {
        Self {
            action: call.operation.action().clone(),
            arguments: call.arguments.clone(),
            rounds: 0,
        }
    }

    /// Where the operation stands now.
    fn find<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> Result<(&'s ApiSnapshot, &'s Operation), ReasonCode> {
        let api = snapshot.apis.get(&self.action.api);
        let operation = api.and_then(|api| api.contract.operation(&self.action.operation));
        api.zip(operation).ok_or(ReasonCode::UnknownOperation)
    }
}

/// Who may answer: nobody but the session that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    tenant: Tenant,
    task: TaskId,
    api: Option<ApiId>,
    session: String,
}

impl Asked {
    fn of(grant: &Grant, api: Option<&ApiId>, session: String) -> Self {
        Self {
            tenant: grant.tenant.clone(),
            task: grant.task,
            api: api.cloned(),
            session,
        }
    }
}

/// Questions that were put together.
struct Round {
    asked: Asked,
    agent: AgentId,
    /// The call that asks.
    cut: CutSignal,
    /// What the server calls those that are not answered yet, by the number that ends their id.
    open: BTreeMap<usize, String>,
    answers: BTreeMap<String, Value>,
    bytes: usize,
    then: Then,
}

/// Questions and the messages that ask them; or the exchange and the server's answer back.
type Put = Result<(Round, Vec<Value>), Box<(Exchange, Box<Whole>)>>;

/// What the last answer leads to.
enum Then {
    /// The call is made again.
    Again(Box<Parked>),
    /// The answer is sent on, in the middle of the call.
    Pass(Box<Passing>),
}

/// A call that is made again.
struct Parked {
    /// The state that belongs to the questions.
    state: String,
    /// The server's answer, under way until the questions are over.
    whole: Box<Whole>,
    /// The exchange of the call, and what it is made again with.
    exchange: Box<Exchange>,
    again: Again,
    /// Where the call is waited for.
    back: Back,
}

/// Hands what became of a call to whoever waits for it.
pub(crate) struct Back(oneshot::Sender<Came>);

/// What became of the questions of a call.
enum Came {
    /// The call was made again, and this is its answer.
    Answer(Response<Body>),
    /// The client declined.
    Declined(Box<Exchange>),
}

/// What an answer led to.
enum Given {
    /// Others are still waited for.
    More,
    Declined(Then),
    All(Then, BTreeMap<String, Value>),
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Questions")
    }
}

impl fmt::Debug for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Back")
    }
}

impl Back {
    /// Hands over the answer, and gives what its sender is told: that it was taken. Who waited for it may have gone.
    pub(crate) fn hand(self, answer: Response<Body>) -> Response<Body> {
        drop(self.0.send(Came::Answer(answer)));
        accepted()
    }
}

/// What is said to a message that asks for nothing.
pub(crate) fn accepted() -> Response<Body> {
    answer::nothing(StatusCode::ACCEPTED)
}

impl Questions {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Round>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the questions of a call, or gives them back where there is no room.
    fn open(&self, id: &str, round: Round, limits: &Limits) -> Result<(), Then> {
        let mut all = self.all();
        let own = all.values().filter(|other| other.agent == round.agent);
        let of_task = all.values().filter(|other| {
            (&other.asked.tenant, other.asked.task) == (&round.asked.tenant, round.asked.task)
        });
        let share = limits.task_in_flight.div_ceil(SHARE_OF_A_TASK);
        if of_task.count() >= share || own.count() >= MOST_OF_AN_AGENT || all.len() >= MOST {
            return Err(round.then);
        }
        all.insert(id.to_owned(), round);
        Ok(())
    }

    /// Takes the questions of a call out, unless the last was answered.
    fn close(&self, id: &str) -> Option<Then> {
        self.all().remove(id).map(|round| round.then)
    }

    /// Takes one answer. The last, and one that declines, takes the questions out.
    ///
    /// # Errors
    ///
    /// [`Fault::Unasked`] where no such question is open in this session; [`Fault::Parameters`] for answers that are too long.
    fn answer(&self, id: &str, by: &Asked, result: Option<Value>) -> Result<Given, Fault> {
        let (round_id, number) = id.split_once('-').ok_or(Fault::Unasked)?;
        let mut all = self.all();
        let round = all.get_mut(round_id);
        let round = round.filter(|round| round.asked == *by && !round.cut.is_cut());
        let round = round.ok_or(Fault::Unasked)?;
        // As it was given out, and no other way of writing it.
        let number = number
            .parse()
            .ok()
            .filter(|own: &usize| own.to_string() == number);
        let number = number.filter(|number| round.open.contains_key(number));
        let number = number.ok_or(Fault::Unasked)?;
        let over = match result {
            None => true,
            Some(result) => {
                let length = result.to_string().len();
                round.bytes = round.bytes.saturating_add(length);
                if round.bytes > MOST_BYTES {
                    return Err(Fault::Parameters);
                }
                let name = round.open.remove(&number).ok_or(Fault::Unasked)?;
                round.answers.insert(name, result);
                false
            }
        };
        if !over && !round.open.is_empty() {
            return Ok(Given::More);
        }
        let Round { then, answers, .. } = all.remove(round_id).ok_or(Fault::Unasked)?;
        Ok(if over {
            Given::Declined(then)
        } else {
            Given::All(then, answers)
        })
    }
}

impl Then {
    /// Ends the questions without answers: of a server's answer, which was handed over, the exchange has another end.
    fn end(self) -> Option<Box<Exchange>> {
        match self {
            Self::Again(parked) => {
                parked.whole.handed_over();
                Some(parked.exchange)
            }
            Self::Pass(_) => None,
        }
    }
}

impl Exchange {
    /// Whether a response is a question that the client is asked beside its call.
    pub(crate) fn asks(&self, response: &Response<Body>) -> bool {
        self.again.is_some() && response.status() == StatusCode::ACCEPTED
    }

    /// Who waits for the answer to the call, if it is one that was made again.
    pub(crate) const fn back(&mut self) -> Option<Back> {
        self.back.take()
    }

    /// Asks the client what the server asked, and waits for what comes of it.
    pub(crate) async fn ask(
        self,
        gateway: &Arc<Gateway>,
        call: CallId,
        response: Response<Body>,
    ) -> Response<Body> {
        let unasked = ReasonCode::UpstreamInvalid;
        let Body::Whole(whole) = response.into_body() else {
            return self.unanswered(unasked, call);
        };
        let (mut cut, line) = (whole.cut(), self.line.clone());
        let asked = Value::parse(whole.words(), &JsonLimits::DOCUMENT).ok();
        let result = asked.as_ref().and_then(|asked| asked.member("result"));
        let (Some(line), Some(result)) = (line, result) else {
            whole.handed_over();
            return self.unanswered(unasked, call);
        };
        let id = new_id();
        let (back, came) = oneshot::channel();
        let put = match self.put(&id, result, whole, Back(back)) {
            Ok((round, messages)) => {
                let opened = gateway.questions().open(&id, round, &gateway.parts.limits);
                opened.map(|()| messages)
            }
            Err(parts) => {
                let (exchange, whole) = *parts;
                whole.handed_over();
                return exchange.unanswered(unasked, call);
            }
        };
        let messages = match put {
            Ok(messages) => messages,
            Err(then) => return ended(then, ReasonCode::TooManyInFlight, call),
        };
        let told = messages
            .iter()
            .all(|message| line.tell(message, cut.clone()));
        let late = tokio::time::sleep(gateway.parts.timeouts.client_answer);
        tokio::pin!(late, came);
        let mut breath = tokio::time::interval_at(Instant::now(), BREATH);
        breath.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reason = loop {
            if !told {
                break ReasonCode::InputUnanswered;
            }
            tokio::select! {
                biased;
                came = &mut came => return over(came.ok(), call),
                () = &mut cut => break ended_by(&cut),
                () = &mut late => break ReasonCode::InputUnanswered,
                () = line.gone() => break ReasonCode::InputUnanswered,
                _ = breath.tick() => line.breathe(cut.clone()),
            }
        };
        match gateway.questions().close(&id) {
            Some(then) => ended(then, reason, call),
            // The last answer came first.
            None => over(came.await.ok(), call),
        }
    }

    /// The questions as they are kept, and the messages that ask them. The exchange and the answer back if there are none, or too many.
    fn put(mut self, id: &str, result: &Value, whole: Box<Whole>, back: Back) -> Put {
        let requests = result.member("inputRequests").and_then(Value::as_object);
        let state = result.member("requestState").and_then(Value::as_str);
        let session = self.session.clone();
        let again = self.again.take().filter(|again| again.rounds < MOST_ROUNDS);
        let (Some(requests), Some(state), Some(session), Some(again)) =
            (requests, state, session, again)
        else {
            return Err(Box::new((self, whole)));
        };
        let (mut open, mut messages) = (BTreeMap::new(), Vec::new());
        for (number, (name, request)) in requests.iter().enumerate() {
            messages.push(message(id, number, request));
            open.insert(number, name.clone());
        }
        let grant = whole.grant();
        let (Some(grant), false) = (grant, messages.is_empty()) else {
            return Err(Box::new((self, whole)));
        };
        let (asked, agent) = (Asked::of(grant, self.api.as_ref(), session), grant.agent);
        let round = Round {
            asked,
            agent,
            cut: whole.cut(),
            open,
            answers: BTreeMap::new(),
            bytes: 0,
            then: Then::Again(Box::new(Parked {
                state: state.to_owned(),
                whole,
                exchange: Box::new(self),
                again: Again {
                    rounds: again.rounds.saturating_add(1),
                    ..again
                },
                back,
            })),
        };
        Ok((round, messages))
    }

    /// Why a call that asked has no result.
    fn unanswered(self, reason: ReasonCode, call: CallId) -> Response<Body> {
        let reason = self.reason(reason);
        self.refusal(reason.into(), call, None)
    }

    /// Takes what a client answers. With the last answer the call is made again, in the place of the message that brought it.
    ///
    /// # Errors
    ///
    /// A [`Fault`] for what was not asked in this session; from then on why the call is refused, which its own exchange says.
    pub(super) fn take<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        headers: &HeaderMap,
        reply: Reply,
    ) -> Result<Message<'s>, Refusal> {
        Reply::agrees_with(headers)?;
        self.revision = Revision::Sessions;
        let session = session::given(headers)?.ok_or(Fault::SessionMissing)?;
        let gateway = caller.gateway;
        gateway
            .sessions()
            .check(&session, caller, self.api.as_ref())?;
        let by = Asked::of(caller.entered.grant(), self.api.as_ref(), session);
        let id = reply.id.as_str().ok_or(Fault::Unasked)?;
        match gateway.questions().answer(id, &by, reply.result)? {
            Given::More => Ok(Message::Answered(accepted())),
            Given::Declined(then) => {
                if let Then::Again(parked) = then {
                    parked.whole.handed_over();
                    drop(parked.back.0.send(Came::Declined(parked.exchange)));
                }
                Ok(Message::Answered(accepted()))
            }
            Given::All(Then::Again(parked), answers) => {
                let Parked {
                    state,
                    whole,
                    exchange,
                    again,
                    back,
                } = *parked;
                whole.handed_over();
                if let Some(line) = &self.line {
                    line.accept(caller.entered.cut());
                }
                *self = *exchange;
                self.back = Some(back);
                self.make_again(caller, again, &state, &Value::Object(answers))
            }
            Given::All(Then::Pass(passing), answers) => {
                let answer = answers.into_values().next().ok_or(Fault::Unasked)?;
                self.pass(caller, *passing, answer)
            }
        }
    }

    /// The call once more, with the answers to what was asked.
    fn make_again<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        again: Again,
        state: &str,
        answers: &Value,
    ) -> Result<Message<'s>, Refusal> {
        let (api, operation) = again.find(caller.snapshot)?;
        let asking = Asking::beside(
            (caller, operation),
            &again.arguments,
            &self.can,
            Way::Beside,
        );
        // What may be asked has changed since, and no question of it is left.
        let asking = asking.ok_or(ReasonCode::UpstreamInvalid)?;
        let answers = asking.open(state, Some(answers))?;
        self.asking = Some(asking);
        let arguments = again.arguments.clone();
        self.again = Some(again);
        self.run(caller);
        Ok(Message::Call(ToolCall {
            api,
            operation,
            arguments,
            answers: Some(answers),
            errand: Errand::Call,
        }))
    }
}

/// What is answered to the call that asked.
fn over(came: Option<Came>, call: CallId) -> Response<Body> {
    match came {
        Some(Came::Answer(answer)) => answer,
        Some(Came::Declined(exchange)) => exchange.unanswered(ReasonCode::InputUnanswered, call),
        // Whoever made the call again ended in a panic.
        None => Refusal::from(ReasonCode::NotReady).into_response(call, None),
    }
}

/// Why a call that waits was cut: its task is over, or lives on without what the call needs.
fn ended_by(cut: &CutSignal) -> ReasonCode {
    if cut.is_stopped() {
        ReasonCode::Stopped
    } else {
        ReasonCode::TaskEnded
    }
}

/// Why a call that asked has no result, where its questions were ended.
fn ended(then: Then, reason: ReasonCode, call: CallId) -> Response<Body> {
    match then.end() {
        Some(exchange) => exchange.unanswered(reason, call),
        None => Refusal::from(reason).into_response(call, None),
    }
}

/// What the ids of questions that are put together begin with: 160 random bits.
fn new_id() -> String {
    let bytes = [random(), random()].concat();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A question as the client gets it.
fn message(id: &str, number: usize, request: &Value) -> Value {
    let mut message = request.as_object().cloned().unwrap_or_default();
    message.insert("jsonrpc".to_owned(), Value::from("2.0"));
    message.insert("id".to_owned(), Value::from(format!("{id}-{number}")));
    Value::Object(message)
}
