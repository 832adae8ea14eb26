//! The life of a call. This is the product; read it from top to bottom.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use tokio::task::JoinHandle;
use writ_task::Entered;
use writ_token::Authenticated;
use writ_types::{Agent, CallId, ReasonCode, Timestamp, Value};

use crate::approve::Canonical;
use crate::asked::Asked;
use crate::body::Body;
use crate::completion::Completion;
use crate::gateway::{Downstream, Gateway};
use crate::pool::Pool;
use crate::refusal::{CALL_ID, Challenge, Refusal};
use crate::snapshot::Snapshot;
use crate::story::Story;
use crate::target::Endpoint;
use crate::transaction::Transaction;
use crate::upstream::Arrived;
use crate::{
    approve, authenticate, decide, flow, mcp, metadata, pace, planned, response, stops, target,
    upstream, watch,
};

/// Serves one request: proves who asks, decides, records, forwards. There is always a response.
///
/// The call runs on a task of its own: a client that hangs up does not stop a call between its record and its sending,
/// and a panic ends one call, not the connection's others.
pub async fn handle(
    gateway: Arc<Gateway>,
    pool: Arc<Pool>,
    from: Downstream,
    request: Request<Incoming>,
) -> Response<Body> {
    if let Some(response) = metadata::answer(&gateway, &request) {
        return response;
    }
    let id = gateway.new_call();
    let endpoint = Endpoint::of(request.uri().path());
    let hang_up = mcp::HangUp::of(&gateway, id);
    let (mut mcp, told) = mcp::exchange(&endpoint).unzip();
    let served = tokio::spawn(async move {
        let mut story = Story::begin(&gateway, id, &from, request.headers());
        let called = Box::pin(call(&gateway, &pool, &from, request, &mut story, &mut mcp)).await;
        // The answer may be one that another request waits for.
        let back = mcp.as_mut().and_then(mcp::Exchange::back);
        let turn = mcp.as_ref().and_then(mcp::Exchange::turn);
        let answer = match called {
            Ok(response) => {
                let sent = u64::from(story.is_recorded());
                gateway
                    .counters()
                    .forwarded
                    .fetch_add(sent, Ordering::Relaxed);
                match mcp.take() {
                    Some(exchange) if exchange.asks(&response) => {
                        exchange.ask(&gateway, id, response).await
                    }
                    Some(exchange) => exchange.answered_by(response, id).await,
                    None => response,
                }
            }
            Err(refusal) => refuse(&gateway, story, mcp, refusal, endpoint).await,
        };
        match (back, turn) {
            (None, None) => answer,
            (None, Some(turn)) => turn.settle(answer).await,
            (Some(back), _) => back.hand(answer),
        }
    });
    let mut response = answer(id, served, hang_up, told).await;
    if let Ok(value) = id.to_string().try_into() {
        response.headers_mut().insert(CALL_ID, value);
    }
    response
}

/// Waits for the answer, or for the first that is told on the way to it: then the answer is a stream that ends with it.
async fn answer(
    id: CallId,
    mut served: JoinHandle<Response<Body>>,
    hang_up: mcp::HangUp,
    told: Option<mcp::Told>,
) -> Response<Body> {
    if let Some(mut told) = told {
        // There is no first when the answer is there before it. What was cut before it was told is refused like any other call.
        if let Some(first) = told.recv().await.filter(|first| !first.is_cut()) {
            if first.is_acceptance() {
                hang_up.answered();
                return mcp::accepted();
            }
            if first.is_last() {
                hang_up.answered();
                return first.alone();
            }
            return mcp::Events::response(Some(first), told, served, Some(hang_up));
        }
    }
    let served = (&mut served).await;
    hang_up.answered();
    served.unwrap_or_else(|fault| {
        tracing::error!(call.id = %id, %fault, "a call ended in a panic");
        Refusal::from(ReasonCode::NotReady).into_response(id, None)
    })
}

/// The call itself. Every refusal leaves by `?` and becomes a response in [`refuse`], nowhere else.
///
/// The order is the argument. Nothing but the token is looked at before the caller is known, so strangers learn
/// nothing. Both doors, HTTP and MCP, lead to one operation and its arguments, and from there on nothing knows which it
/// was. The input is read only when the task holds the action, so nobody makes us buffer what could never be
/// allowed. The decision is made on the parsed input, the record is written before the upstream hears of the call, and
/// the three proofs that this happened are handed over by value.
async fn call(
    gateway: &Arc<Gateway>,
    pool: &Arc<Pool>,
    from: &Downstream,
    request: Request<Incoming>,
    story: &mut Story,
    mcp: &mut Option<mcp::Exchange>,
) -> Result<Response<Body>, Refusal> {
    let parts = &gateway.parts;
    let now = gateway.instant()?;
    let snapshot = gateway.snapshot()?;
    let (head, body) = request.into_parts();
    let target = target::parse(&head, parts.limits.target_bytes);
    mcp::begin(mcp.as_ref(), &snapshot, &head.headers)?;

    let caller =
        authenticate::authenticate(gateway, &snapshot, from, &head, &target, story.call(), now)?;
    let entered = enter(gateway, &snapshot, &caller, story, now).await?;
    let agent = watch::agent(gateway, &snapshot, (&caller, &entered), from, now)?;
    decide::user(&snapshot, &caller, &entered, now)?;
    if let Some(approval) = &target.approval {
        return approve::status(gateway, &entered, &head, &target, approval).await;
    }

    let deciding = Deciding {
        gateway,
        pool,
        snapshot: &snapshot,
        agent: &agent,
        now,
    };
    let asked = match mcp {
        None => decide::resolve(&snapshot, target, &head, body)?,
        Some(exchange) => {
            let asker = mcp::Caller::new(gateway, &snapshot, &entered, &agent, now);
            match exchange.serve(&asker, &target, &head, body).await? {
                mcp::Message::Answered(response) => return Ok(response),
                mcp::Message::Call(call) => Asked::Tool(call),
                mcp::Message::Subscribe(call, ear) => {
                    Box::pin(subscribe(&deciding, entered, call, story, &ear)).await?;
                    return Ok(exchange.subscribed());
                }
                mcp::Message::Listen(wanted, ear) => {
                    let (who, way) = ((&caller, &entered), (from, &head.headers));
                    return listen(&deciding, who, way, exchange, (wanted, ear)).await;
                }
            }
        }
    };
    let (api, operation) = asked.operation();
    let arrived = Box::pin(make(&deciding, entered, asked, story, mcp.as_ref())).await?;
    let forwarding = response::forward(gateway, api, operation, arrived, mcp.as_ref());
    Box::pin(forwarding).await.map_err(Refusal::from)
}

/// What a call is decided with.
struct Deciding<'c> {
    gateway: &'c Arc<Gateway>,
    pool: &'c Arc<Pool>,
    snapshot: &'c Arc<Snapshot>,
    agent: &'c Arc<Agent>,
    now: Timestamp,
}

/// Decides on a call, records it, and sends it.
async fn make(
    deciding: &Deciding<'_>,
    entered: Entered,
    asked: Asked<'_>,
    story: &mut Story,
    mcp: Option<&mcp::Exchange>,
) -> Result<Arrived, Refusal> {
    let Deciding {
        gateway,
        pool,
        snapshot,
        agent,
        now,
    } = *deciding;
    let parts = &gateway.parts;
    let (api, operation) = asked.operation();
    story.resolved(api, operation);
    decide::granted(snapshot, agent, &entered, operation.action(), now)?;
    decide::unchanged(api, operation)?;
    let who = (&**agent, &entered);
    stops::keep(gateway, snapshot, who, api)?;
    pace::keep(gateway, &entered, operation)?;
    let read = asked.read(parts).await?;
    story.read(operation, &read);

    let reserved = planned::reserve(parts, snapshot, &entered, operation, &read, now).await;
    let (mut reservation, mut facts) = reserved.map_err(|fault| story.unpaid(fault))?;
    let (key, input) = (&parts.audit_key, &read.parsed.input);
    let mut judged = flow::judge(key, operation, input, &facts.vouchers);
    flow::tell(&mut facts, operation, &mut judged, &read);
    let canonical = Canonical::of(operation, &read, judged.unvouched.as_deref());
    let permit = approve::permit(gateway, snapshot, who, &canonical, &mut facts, story).await?;

    let written = judged.written(key, &facts.arguments, &read);
    flow::carry(parts, &entered, operation, &written, now).await?;
    let outgoing = decide::outgoing((api, operation), read, story.call(), mcp)?;
    let transaction = Transaction {
        agent,
        action: operation.action(),
        now,
    };

    let told = (&facts, reservation.charge());
    let (receipt, armed) = story.intend(&permit, told, api, &written).await?;
    reservation.commit();
    let hearing = flow::hearing(snapshot, operation, &entered, &facts, &outgoing.body);
    let completion = Completion::arm(gateway, entered, &receipt, armed).listening(hearing);
    upstream::send(
        pool,
        api,
        (permit, reservation, receipt),
        completion,
        transaction,
        outgoing,
    )
    .await
    .map_err(Refusal::from)
}

/// Subscribes to a resource: a call like its reading, which is under way as long as the server holds the subscription.
async fn subscribe(
    deciding: &Deciding<'_>,
    entered: Entered,
    call: mcp::ToolCall<'_>,
    story: &mut Story,
    ear: &Arc<mcp::updates::Ear>,
) -> Result<(), Refusal> {
    let (gateway, api) = (deciding.gateway, call.api);
    let uri = call.arguments.member("uri").and_then(Value::as_str);
    let uri = uri.ok_or(ReasonCode::InvalidInput)?.to_owned();
    let place = mcp::updates::Place::of(gateway, entered.grant());
    let place = place.ok_or(ReasonCode::TooManyInFlight)?;
    let making = make(deciding, entered, Asked::Tool(call), story, None);
    let arrived = Box::pin(making).await?;
    Box::pin(mcp::updates::begin(
        gateway,
        api,
        (arrived, place),
        &uri,
        ear,
    ))
    .await
    .map_err(Refusal::from)
}

/// Serves a stream of changes. Each resource that it wants to hear of is subscribed to by a call of its own; of what is refused it does not hear.
async fn listen(
    deciding: &Deciding<'_>,
    (caller, entered): (&Authenticated, &Entered),
    (from, headers): (&Downstream, &HeaderMap),
    exchange: &mcp::Exchange,
    (mut wanted, own): (mcp::Wanted, Option<Arc<mcp::updates::Ear>>),
) -> Result<Response<Body>, Refusal> {
    let gateway = deciding.gateway;
    let opened = gateway.listeners().open(entered);
    let _listener = opened.ok_or(ReasonCode::TooManyInFlight)?;
    let ear = own.unwrap_or_default();
    let uris = std::mem::take(&mut wanted.uris);
    let who = (caller, entered);
    wanted.uris = open(deciding, who, (from, headers), exchange, (uris, &ear)).await;
    exchange
        .listen(gateway, (caller, entered), (&wanted, &ear))
        .await
}

/// Longest that all subscriptions of a stream together take.
const OPENING: Duration = Duration::from_secs(60);

/// Subscribes to each of these resources by a call of its own, and gives those that are subscribed.
///
/// When the stream is cut, its client has gone, its token is over, or they take too long, the call under way is taken back, and no
/// other is begun.
async fn open(
    deciding: &Deciding<'_>,
    (caller, entered): (&Authenticated, &Entered),
    (from, headers): (&Downstream, &HeaderMap),
    exchange: &mcp::Exchange,
    (uris, ear): (Vec<String>, &Arc<mcp::updates::Ear>),
) -> Vec<String> {
    let (gateway, pool) = (deciding.gateway, deciding.pool);
    let left = caller.expires().since(deciding.now).min(OPENING);
    let mut over = std::pin::pin!(tokio::time::sleep(left));
    let mut cut = entered.cut();
    let mut held = Vec::new();
    for uri in uris {
        if cut.is_cut() || over.is_elapsed() {
            break;
        }
        let mut story = Story::begin(gateway, gateway.new_call(), from, headers);
        let turn = Turn::begin(gateway, caller, &mut story).await;
        let subscribed = match turn {
            Ok((turn, own)) => {
                let canceller = own.canceller();
                let opening =
                    turn.subscribe((gateway, pool), exchange, own, (&uri, ear), &mut story);
                let mut opening = Box::pin(opening);
                let ends = tokio::select! {
                    biased;
                    () = &mut cut => None,
                    () = &mut over => None,
                    opened = &mut opening => Some(opened),
                };
                match ends {
                    Some(opened) => opened,
                    None => {
                        canceller.cancel();
                        opening.await
                    }
                }
            }
            Err(refusal) => Err(refusal),
        };
        match subscribed {
            Ok(()) => held.push(uri),
            Err(mut refusal) => record(gateway, &story, &mut refusal).await,
        }
    }
    held
}

/// What one subscription of a stream is decided with: what is in force when its turn comes.
struct Turn {
    snapshot: Arc<Snapshot>,
    agent: Arc<Agent>,
    now: Timestamp,
}

impl Turn {
    /// The questions that any call is asked before it is known what it is.
    async fn begin(
        gateway: &Arc<Gateway>,
        caller: &Authenticated,
        story: &mut Story,
    ) -> Result<(Self, Entered), Refusal> {
        let (now, snapshot) = (gateway.instant()?, gateway.snapshot()?);
        let entered = enter(gateway, &snapshot, caller, story, now).await?;
        let agent = decide::agent(&snapshot, caller, &entered)?;
        decide::user(&snapshot, caller, &entered, now)?;
        let turn = Self {
            snapshot,
            agent,
            now,
        };
        Ok((turn, entered))
    }

    async fn subscribe(
        &self,
        (gateway, pool): (&Arc<Gateway>, &Arc<Pool>),
        exchange: &mcp::Exchange,
        entered: Entered,
        (uri, ear): (&str, &Arc<mcp::updates::Ear>),
        story: &mut Story,
    ) -> Result<(), Refusal> {
        let deciding = Deciding {
            gateway,
            pool,
            snapshot: &self.snapshot,
            agent: &self.agent,
            now: self.now,
        };
        let asker = mcp::Caller::new(gateway, &self.snapshot, &entered, &self.agent, self.now);
        let call = exchange.subscription(&asker, uri)?;
        Box::pin(subscribe(&deciding, entered, call, story, ear)).await
    }
}

/// Enters the caller's task. That it is over or paused is a record, too, but not for every call: whoever has no task any more
/// pays for nothing.
async fn enter(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    caller: &Authenticated,
    story: &mut Story,
    now: Timestamp,
) -> Result<Entered, Refusal> {
    let (ledger, task) = (&gateway.parts.ledger, caller.principal().task);
    let tenant = &snapshot.tenant;
    let entered = ledger.enter(tenant, task, story.call(), now).await;
    // A token from before the task was amended keeps what it named.
    let details = caller.token().details();
    let entered = entered.map(|entered| entered.as_named_by(details));
    match &entered {
        Ok(entered) => story.known(caller, entered.grant(), snapshot, now),
        Err(_) if gateway.late().admits(task) => {
            if let Some(status) = ledger.status(tenant, task, now).await {
                story.known(caller, &status.grant, snapshot, now);
            }
        }
        Err(_) => {}
    }
    entered.map_err(|fault| fault.reason().into())
}

/// Turns a refusal into its record and its response.
///
/// Refusals of callers that are known are records; if that record cannot be written, the answer is that, since a
/// refusal nobody can look up teaches nobody. Strangers are counted.
async fn refuse(
    gateway: &Gateway,
    story: Story,
    mcp: Option<mcp::Exchange>,
    mut refusal: Refusal,
    endpoint: Endpoint,
) -> Response<Body> {
    let call = story.call();
    if let Some(exchange) = &mcp {
        refusal.reason = exchange.reason(refusal.reason);
    }
    record(gateway, &story, &mut refusal).await;
    let challenge = gateway.snapshot().ok().map(|snapshot| Challenge {
        public_url: snapshot.public_url.clone(),
        endpoint,
        nonce: gateway.parts.nonces.issue(gateway.parts.clock.now()),
    });
    match mcp {
        None => refusal.into_response(call, challenge.as_ref()),
        Some(exchange) => exchange.refusal(refusal, call, challenge.as_ref()),
    }
}

/// Records why a call was refused, or counts it where nobody known called.
async fn record(gateway: &Gateway, story: &Story, refusal: &mut Refusal) {
    if story.is_known() {
        gateway.counters().refused.fetch_add(1, Ordering::Relaxed);
        if story.is_recorded() {
            // An intent stands in the log, and its outcome says the rest.
        } else if let Err(reason) = story.refused(refusal).await {
            *refusal = reason.into();
        }
    } else {
        gateway.counters().strangers.fetch_add(1, Ordering::Relaxed);
    }
    tracing::debug!(call.id = %story.call(), reason = %refusal.reason, "refused");
}
