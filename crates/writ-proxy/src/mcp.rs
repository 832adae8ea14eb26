//! The second door: MCP over streamable HTTP, at `/mcp` for everything a task holds and `/mcp/{api}` for one API of it.
//!
//! Two revisions on one endpoint: 2026-07-28, where each POST stands alone, and 2025-11-25, with sessions. A message is
//! read after the caller is known (`envelope`), and is either answered here (`tools`, `session`) or is a tool call: then
//! it is an operation and its arguments, and the call path goes on as if they had come over HTTP. What comes back, or why
//! nothing did, is said in JSON-RPC (`answer`). The other way round, an upstream may be an MCP server (`upstream`). The caller's token is read by `authenticate` alone and goes nowhere.

mod answer;
pub(crate) mod asking;
mod beside;
mod envelope;
mod events;
mod fault;
mod holding;
mod listening;
mod offers;
mod reader;
mod running;
mod session;
pub(crate) mod telling;
mod tools;
pub(crate) mod updates;
pub(crate) mod upstream;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use writ_contract::{Ask, McpRevision as Revision, Operation};
use writ_task::Entered;
use writ_types::{Agent, ApiId, ReasonCode, Timestamp, Value};

use crate::body::{self, Body};
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::snapshot::{ApiSnapshot, Snapshot};
use crate::target::{Door, Endpoint, Target};

use asking::{Answers, Asking, Way};
use beside::{Again, Answering, Back};
pub(crate) use beside::{Passer, Questions, accepted};
use envelope::{Envelope, Kind, Received};
pub use events::Events;
pub(crate) use events::{Line, Told, line};
pub(crate) use fault::Fault;
use holding::Coming;
pub(crate) use holding::HeldCalls;
pub(crate) use holding::Turn;
pub(crate) use listening::Listeners;
pub(crate) use listening::Wanted;
use offers::List;
pub use reader::Reader;
pub(crate) use running::{HangUp, Running};
use running::{Name, Runs};
pub(crate) use session::Sessions;
use telling::{Level, Wishes};
use updates::Ear;
pub(crate) use updates::Updates;
pub use upstream::Interview;
use waiting::Held;
pub(crate) use waiting::Waiting;

/// Largest message, in bytes, whatever the limit for bodies is.
const MOST_BYTES: usize = 1024 * 1024;

/// One exchange at the MCP door: what must be known to answer it, as far as it is known.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The one API of the endpoint; none for all.
    api: Option<ApiId>,
    revision: Revision,
    /// The request's id, as it was written.
    id: Option<Value>,
    /// The message is a tool call: a refusal is a result that the model reads.
    calls: bool,
    /// What the server may ask in the call.
    asking: Option<Asking>,
    /// What the client of a session can answer beside its call.
    can: BTreeSet<Ask>,
    /// What the call is made again with when that was asked and answered.
    again: Option<Again>,
    /// It is made again, and who waits for it.
    back: Option<Back>,
    /// It sends an answer on to the server that asked.
    answering: Option<Answering>,
    /// Who hears what becomes of the call, where it waits at its server while its client is asked.
    turn: Option<Arc<Turn>>,
    /// What the answer that it sends on leads to.
    coming: Option<Coming>,
    /// The resource that is asked for, where its URI is plain.
    uri: Option<String>,
    /// The session of the message.
    session: Option<String>,
    /// The call, where it may come to wait and its client knows of that.
    held: Option<Held>,
    /// The call can be taken back as long as this is there.
    runs: Option<Runs>,
    /// What the client wants to be told on the way to its answer, and the way there.
    wishes: Wishes,
    line: Option<Line>,
}

/// What a message turned out to be.
pub(crate) enum Message<'s> {
    /// Something that is answered here.
    Answered(Response<Body>),
    /// A call: the operation, and the arguments as they were given.
    Call(ToolCall<'s>),
    /// A subscription to a resource, for the session of the message.
    Subscribe(ToolCall<'s>, Arc<Ear>),
    /// A stream of changes; that of a session, where it is what the session has subscribed to.
    Listen(Wanted, Option<Arc<Ear>>),
}

/// A call of a tool, or of what else an MCP server has, before it is decided on.
pub(crate) struct ToolCall<'s> {
    pub(crate) api: &'s ApiSnapshot,
    pub(crate) operation: &'s Operation,
    pub(crate) arguments: Value,
    /// Answers to what the server asked when the call was made before.
    pub(crate) answers: Option<Answers>,
    /// What is asked for.
    pub(crate) errand: Errand,
}

/// What is asked for with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// That it is done.
    Call,
    /// To be told when what it reads is another.
    Subscription,
}

/// What a message is served with.
pub(crate) struct Caller<'c, 's> {
    gateway: &'c Arc<Gateway>,
    snapshot: &'s Arc<Snapshot>,
    entered: &'c Entered,
    agent: &'c Agent,
    now: Timestamp,
}

impl<'c, 's> Caller<'c, 's> {
    pub(crate) const fn new(
        gateway: &'c Arc<Gateway>,
        snapshot: &'s Arc<Snapshot>,
        entered: &'c Entered,
        agent: &'c Agent,
        now: Timestamp,
    ) -> Self {
        Self {
            gateway,
            snapshot,
            entered,
            agent,
            now,
        }
    }
}

impl Exchange {
    /// Reads the message and answers it, unless it is a call.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the protocol, or why the body was not read. `self` then knows what the answer needs.
    pub(crate) async fn serve<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        target: &Target,
        head: &Parts,
        body: Incoming,
    ) -> Result<Message<'s>, Refusal> {
        if target.malformed {
            return Err(ReasonCode::MalformedRequest.into());
        }
        if let Some(api) = &self.api {
            if !caller.snapshot.apis.contains_key(api) {
                return Err(ReasonCode::UnknownOperation.into());
            }
            let actions = &caller.entered.grant().actions;
            if !actions.iter().any(|action| action.api == *api) {
                // An empty list would read as an API without operations.
                return Err(Refusal {
                    insufficient_scope: true,
                    ..ReasonCode::ActionNotGranted.into()
                });
            }
        }
        let sessions = caller.gateway.sessions();
        if head.method == Method::DELETE {
            let known = session::given(&head.headers)?.ok_or(Fault::SessionMissing)?;
            sessions.end(&known, caller, self.api.as_ref())?;
            return Ok(Message::Answered(answer::nothing(
                hyper::StatusCode::NO_CONTENT,
            )));
        }
        if let Some(listening) = self.stands(caller, head)? {
            return Ok(listening);
        }
        if head.method != Method::POST {
            // Nothing is sent unasked but what was subscribed: there is no stream to open.
            let allow = Some("POST, DELETE".to_owned());
            return Err(Refusal {
                allow,
                ..ReasonCode::MethodNotAllowed.into()
            });
        }
        let bytes = read(caller.gateway, head, body).await?;
        let envelope = match Received::parse(&bytes)? {
            Received::Asked(envelope) => envelope,
            Received::Answered(reply) => return self.take(caller, &head.headers, reply),
        };
        self.id.clone_from(&envelope.id);
        self.revision = envelope.revision(&head.headers)?;
        envelope.agrees_with(&head.headers, self.revision)?;
        if self.revision == Revision::Sessions && envelope.kind() != Kind::Initialize {
            let known = session::given(&head.headers)?.ok_or(Fault::SessionMissing)?;
            let said = sessions.check(&known, caller, self.api.as_ref())?;
            self.session = Some(known);
            self.wishes = Wishes::read(&envelope, &head.headers, self.revision, said.level)?;
            if telling::takes_events(&head.headers) {
                self.can = said.can;
            }
        } else {
            self.wishes = Wishes::read(&envelope, &head.headers, self.revision, None)?;
        }
        self.dispatch(caller, &head.headers, &envelope).await
    }

    async fn dispatch<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        headers: &HeaderMap,
        envelope: &Envelope,
    ) -> Result<Message<'s>, Refusal> {
        match (envelope.kind(), self.revision) {
            // Nothing else that a client may tell us changes anything here.
            (Kind::Notification, _) => {
                self.cancel(caller, envelope);
                let nothing = answer::nothing(hyper::StatusCode::ACCEPTED);
                Ok(Message::Answered(nothing))
            }
            (Kind::Initialize, Revision::Sessions) => {
                envelope.text("protocolVersion")?;
                let (sessions, can) = (caller.gateway.sessions(), envelope.declared());
                let opened = sessions.open(caller, self.api.as_ref(), can)?;
                let result = tools::introduction(self.revision, &self.offered(caller));
                Ok(Message::Answered(self.opened(result, &opened)))
            }
            (Kind::CallTool, _) => self.call_tool(caller, headers, envelope),
            (Kind::ReadResource, _) => {
                self.uri = offers::plain(envelope.optional_text("uri")?);
                let call = self.offered(caller).read(envelope)?;
                self.call(caller, envelope, call)
            }
            (Kind::Subscribe, Revision::Sessions) => self.subscribe(caller, envelope),
            (Kind::GetPrompt, _) => {
                let call = self.offered(caller).get(envelope)?;
                self.call(caller, envelope, call)
            }
            (Kind::Complete, _) => {
                let call = self.offered(caller).complete(envelope)?;
                self.run(caller);
                Ok(Message::Call(call))
            }
            (Kind::Listen, Revision::Stateless) => {
                // There is no other answer to it than a stream.
                if !telling::takes_events(headers) {
                    return Err(Fault::Header.into());
                }
                let wanted = Wanted::read(envelope, &self.offered(caller))?;
                self.run(caller);
                Ok(Message::Listen(wanted, None))
            }
            (Kind::GetTask, Revision::Stateless) => self.get_task(caller, envelope).await,
            (kind, _) => {
                let result = self.answered(caller, envelope, kind).await?;
                let answer = self.result(result);
                let streams = kind.lists() && telling::rather_takes_events(headers);
                let answer = if streams {
                    events::streamed(answer)
                } else {
                    answer
                };
                Ok(Message::Answered(answer))
            }
        }
    }

    /// What is answered here.
    async fn answered(
        &self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
        kind: Kind,
    ) -> Result<Value, Refusal> {
        match (kind, self.revision) {
            (Kind::Discover, Revision::Stateless) => {
                Ok(tools::introduction(self.revision, &self.offered(caller)))
            }
            (Kind::Ping, Revision::Sessions) => Ok(Value::object::<&str>([])),
            (Kind::Unsubscribe, Revision::Sessions) => Ok(self.unsubscribe(caller, envelope)?),
            (Kind::SetLevel, Revision::Sessions) => Ok(self.set_level(caller, envelope)?),
            (Kind::UpdateTask, Revision::Stateless) => Ok(self.update_task(caller, envelope)?),
            (Kind::CancelTask, Revision::Stateless) => Ok(self.cancel_task(caller, envelope)?),
            (Kind::ListTools, _) => {
                let cursor = envelope.optional_text("cursor")?;
                tools::list(caller, self.api.as_ref(), cursor).await
            }
            (Kind::ListResources, _) => self.list(caller, envelope, List::Resources).await,
            (Kind::ListTemplates, _) => self.list(caller, envelope, List::Templates).await,
            (Kind::ListPrompts, _) => self.list(caller, envelope, List::Prompts).await,
            _ => Err(Fault::UnknownMethod.into()),
        }
    }

    fn call_tool<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        headers: &HeaderMap,
        envelope: &Envelope,
    ) -> Result<Message<'s>, Refusal> {
        let (name, arguments) = (envelope.text("name")?, envelope.arguments()?);
        let (api, operation) =
            tools::find(caller.snapshot, self.api.as_ref(), name).ok_or(Fault::UnknownTool)?;
        if self.revision == Revision::Stateless {
            let none = BTreeMap::new();
            let tool = operation.pinned_tool();
            let mirrored = tool.map_or(&none, |tool| &tool.mirrored);
            envelope.repeats(headers, mirrored, &arguments)?;
        }
        self.calls = true;
        let call = ToolCall {
            api,
            operation,
            arguments,
            answers: None,
            errand: Errand::Call,
        };
        self.hold(caller, envelope, &call);
        if self.revision == Revision::Sessions && telling::rather_takes_events(headers) {
            self.prime(caller);
        }
        self.call(caller, envelope, call)
    }

    /// A call in which the server may ask, with the answers it brings.
    fn call<'s>(
        &mut self,
        caller: &Caller<'_, 's>,
        envelope: &Envelope,
        mut call: ToolCall<'s>,
    ) -> Result<Message<'s>, Refusal> {
        let (operation, arguments) = (call.operation, &call.arguments);
        let asking = Asking::read(caller, operation, envelope, arguments, self.revision)?;
        if let Some((asking, answers)) = asking {
            // A server of 2025-11-25 asks beside the call, not in its answer.
            if call.api.contract.mcp() == Some(Revision::Sessions) {
                return self.hold_open(caller, call, (asking.held(), answers));
            }
            self.asking = Some(asking);
            call.answers = answers;
        } else if let Some(spoken) = call.api.contract.mcp() {
            let way = match spoken {
                Revision::Stateless => Way::Beside,
                Revision::Sessions => Way::Stream,
            };
            self.asking = Asking::beside((caller, operation), arguments, &self.can, way);
            self.again = self.asking.is_some().then(|| Again::of(&call));
        }
        self.run(caller);
        Ok(Message::Call(call))
    }

    /// What the client calls its request by, in its session.
    fn request(&self, caller: &Caller<'_, '_>, id: &Value) -> Option<Name> {
        let grant = caller.entered.grant();
        Some(Name::Request {
            tenant: grant.tenant.clone(),
            task: grant.task,
            session: self.session.clone()?,
            id: id.to_string(),
        })
    }

    /// Lets the client take the call back from here on, in the way of its revision.
    fn run(&mut self, caller: &Caller<'_, '_>) {
        let name = match (self.revision, &self.id) {
            (Revision::Stateless, _) => Some(Name::Connection(caller.entered.call())),
            (Revision::Sessions, Some(id)) => self.request(caller, id),
            (Revision::Sessions, None) => None,
        };
        let canceller = caller.entered.canceller();
        self.runs = name.map(|name| Runs::begin(caller.gateway, name, canceller));
    }

    /// Takes back the request that a `notifications/cancelled` of the same session names.
    fn cancel(&self, caller: &Caller<'_, '_>, envelope: &Envelope) {
        let id = envelope.cancelled();
        if let Some(name) = id.and_then(|id| self.request(caller, id)) {
            caller.gateway.running().cancel(&name);
        }
    }

    /// Why a call was refused: one that its client took back did not end with its task.
    pub(crate) fn reason(&self, reason: ReasonCode) -> ReasonCode {
        let cancelled = self.runs.as_ref().is_some_and(Runs::is_cancelled);
        if cancelled && reason == ReasonCode::TaskEnded {
            ReasonCode::Cancelled
        } else {
            reason
        }
    }

    /// Remembers for the session what its client wants to hear of what servers log (2025-11-25).
    fn set_level(&self, caller: &Caller<'_, '_>, envelope: &Envelope) -> Result<Value, Fault> {
        if !self.offered(caller).logs() {
            return Err(Fault::UnknownMethod);
        }
        let level = envelope.member("level").and_then(Level::of);
        let level = level.ok_or(Fault::Parameters)?;
        if let Some(session) = &self.session {
            caller.gateway.sessions().listen(session, caller, level);
        }
        Ok(Value::object::<&str>([]))
    }

    /// What the client wants to be told on the way.
    pub(crate) const fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// The answer that the call sends on, if that is what it does.
    pub(crate) const fn answering(&self) -> Option<&Answering> {
        self.answering.as_ref()
    }

    /// What the server may ask in the call.
    pub(crate) const fn asking(&self) -> Option<&Asking> {
        self.asking.as_ref()
    }

    async fn list(
        &self,
        caller: &Caller<'_, '_>,
        envelope: &Envelope,
        list: List,
    ) -> Result<Value, Refusal> {
        let cursor = envelope.optional_text("cursor")?;
        self.offered(caller).list(caller, list, cursor).await
    }

    /// What the endpoint's server has beside tools, as far as the task holds it.
    fn offered<'s>(&self, caller: &Caller<'_, 's>) -> offers::Offered<'s> {
        let api = self.api.as_ref();
        let api = api.and_then(|api| caller.snapshot.apis.get(api));
        offers::Offered::of(api, caller)
    }
}

/// The exchange of a request that came to this door, and the way to its client; of one that came to the other there is none.
pub(crate) fn exchange(endpoint: &Endpoint) -> Option<(Exchange, Told)> {
    if endpoint.door == Door::Http {
        return None;
    }
    let (line, told) = line();
    let exchange = Exchange {
        api: endpoint.api.clone(),
        revision: Revision::Stateless,
        id: None,
        calls: false,
        asking: None,
        can: BTreeSet::new(),
        again: None,
        back: None,
        answering: None,
        turn: None,
        coming: None,
        uri: None,
        session: None,
        held: None,
        runs: None,
        wishes: Wishes::default(),
        line: Some(line),
    };
    Some((exchange, told))
}

/// Begins the exchange of a request that came to this door.
///
/// What a page of another origin sends through a person's browser is refused before anything else is looked at (DNS
/// rebinding).
///
/// # Errors
///
/// [`Fault::Origin`].
pub(crate) fn begin(
    exchange: Option<&Exchange>,
    snapshot: &Snapshot,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    if exchange.is_none() {
        return Ok(());
    }
    let own = |origin: &header::HeaderValue| origin == snapshot.public_url.as_str();
    if headers.get_all(header::ORIGIN).iter().all(own) {
        Ok(())
    } else {
        Err(Fault::Origin.into())
    }
}

/// Reads the message's bytes.
async fn read(gateway: &Gateway, head: &Parts, body: Incoming) -> Result<bytes::Bytes, ReasonCode> {
    let parts = &gateway.parts;
    let coded = head.headers.get_all(header::CONTENT_ENCODING).iter();
    if coded.into_iter().any(|coding| coding != "identity") {
        return Err(ReasonCode::UnsupportedEncoding);
    }
    let json = head.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let essence = value.to_str().ok().and_then(|text| text.split(';').next());
        essence.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"))
    });
    if !json {
        return Err(ReasonCode::UnsupportedMediaType);
    }
    let most = parts.limits.body_bytes.min(MOST_BYTES);
    body::read(body, most, parts.timeouts.request_body).await
}
